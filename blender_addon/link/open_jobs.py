"""The jobs of a link that have not ended: what was asked, and what the backend has heard of it, so
that what breaks in between neither loses a job nor does it twice. It never touches bpy.
"""

import time
from dataclasses import dataclass, field

from ..protocol.requests import Request

MAX_TRIES = 3
GONE = ("unknown_job", "result_gone")
"""Codes of a backend that has nothing of a job any more."""


@dataclass
class OpenJobs:
    """All that one thread knows of them, by the jobs' names."""

    _requests: dict[str, Request | None] = field(default_factory=dict)
    """None for a job that was started before, and is followed alone."""
    _tries: dict[str, int] = field(default_factory=dict)
    """How often each was sent since the backend last said something about it."""
    _heard: set[str] = field(default_factory=set)
    """Those that the backend has said something about: after a loss they are followed, as their
    pictures need not be sent again."""
    _cancelled: set[str] = field(default_factory=set)
    """Those that are to be stopped, which a backend may not have heard before a loss."""
    _put_off: dict[str, float] = field(default_factory=dict)
    """Those for which the backend had no room, and when they are sent again."""
    _abandoned: set[str] = field(default_factory=set)
    """Jobs that count as cancelled here, and that the backend may still work on, also where only
    an earlier link has told it of them."""

    def __contains__(self, job: str) -> bool:
        return job in self._requests

    def open(self, job: str, request: Request | None) -> None:
        """From now on it is open."""
        self._requests[job] = request

    def forget(self, job: str) -> None:
        """It has ended."""
        self._requests.pop(job, None)
        self._tries.pop(job, None)
        self._put_off.pop(job, None)
        self._heard.discard(job)
        self._cancelled.discard(job)

    def cancel(self, job: str) -> None:
        """It is to be stopped, and open until the backend says so."""
        self._cancelled.add(job)

    def abandon(self, job: str) -> None:
        """It has ended here, and the backend is to be told to stop it."""
        self._abandoned.add(job)
        self.forget(job)

    def is_cancelled(self, job: str) -> bool:
        """Whether it is open and to be stopped."""
        return job in self._cancelled

    def is_heard(self, job: str) -> bool:
        """Whether it is open and the backend has said something about it."""
        return job in self._heard

    def heard(self, job: str) -> None:
        """The backend has said something about it."""
        self._tries[job] = 0
        self._heard.add(job)

    def unheard(self, job: str) -> None:
        """The backend has said that it has nothing of it any more."""
        self._tries[job] = 0
        self._heard.discard(job)

    def can_begin_anew(self, job: str) -> bool:
        """Whether it can be sent to a backend that has nothing of it, and is to be done."""
        return self._requests.get(job) is not None and job not in self._cancelled

    def may_be_sent(self, job: str) -> bool:
        """Whether it has not been sent too often without a word about it."""
        return self._tries.get(job, 0) < MAX_TRIES

    def to_send(self, job: str) -> Request | None:
        """What to send of it; None where it is followed alone."""
        return None if job in self._heard else self._requests[job]

    def sent(self, job: str) -> None:
        """It was sent once more."""
        self._tries[job] = self._tries.get(job, 0) + 1

    def put_off(self, job: str, seconds: float) -> None:
        """The backend has no room for it now."""
        self._tries[job] = 0
        self._put_off[job] = time.monotonic() + seconds

    def due(self) -> list[str]:
        """Those that were put off until now."""
        now = time.monotonic()
        found = [job for job, when in self._put_off.items() if when < now]
        for job in found:
            del self._put_off[job]
        return found

    def handed_over(self) -> list[str]:
        """All of them, for a new connection; none is put off any more."""
        self._put_off.clear()
        return list(self._requests)

    def abandoned(self) -> set[str]:
        """The abandoned ones, once."""
        found, self._abandoned = self._abandoned, set()
        return found
