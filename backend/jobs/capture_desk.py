"""What clients ask about captures, and jobs that name one: all that needs the disk.

The front end hands it in and goes on; answers are sent as soon as the disk has given them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from backend.captures.error import CaptureError
from backend.captures.store import NO_CAPTURE, CaptureStore, UnknownCapture, answer, out_of_room
from backend.jobs.errands import Errands
from backend.jobs.parking import parked
from backend.jobs.queue import JobQueue
from backend.jobs.scene_state import answer_scene
from protocol.messages import (
    Cancel,
    CaptureMessage,
    DropCapture,
    Error,
    Follow,
    PutView,
    SceneMessage,
    ServerMessage,
    Submit,
    UndoSceneEdit,
)
from protocol.requests import SceneRequest
from protocol.text import readable

logger = logging.getLogger("backend.captures")

DISK_THREADS = 4
JobMessage = Submit | Follow | Cancel
BUSY_DISK = "The backend's disk does not keep up: send this again later, or make its disk faster."


@dataclass
class _Held:
    """A job whose capture is being looked at, and what has been said of it meanwhile."""

    capture: str
    messages: list[tuple[bytes, JobMessage]]


class CaptureDesk:
    """Has messages about captures served.

    Attributes:
        storekeeper: does it; the front end delivers what that has done.
    """

    def __init__(
        self,
        captures: CaptureStore,
        queue: JobQueue,
        send: Callable[[bytes, ServerMessage], None],
        about_job: Callable[[bytes, JobMessage], None],
    ) -> None:
        """Args:
        captures: what is kept.
        queue: the jobs.
        send: tells a client something.
        about_job: serves a message about a job whose capture is in order.
        """
        self.storekeeper = Errands(DISK_THREADS, "captures")
        self._captures, self._queue = captures, queue
        self._send, self._about_job = send, about_job
        self._held: dict[str, _Held] = {}

    def hear(self, client: bytes, message: CaptureMessage | SceneMessage, size: int) -> None:
        """Have done what a message of so many bytes asks for, and the client told."""
        capture = message.capture
        checked = tuple(job for job, held in self._held.items() if held.capture == capture)
        jobs = self._queue.using(capture) + checked
        if isinstance(message, DropCapture | UndoSceneEdit) and jobs:
            words = "A job uses this capture: cancel it first, or wait for its end."
            self._send(client, Error(code="in_use", message=words, job=capture))
        elif self.storekeeper.is_over_full:
            self._send(client, Error(code="storage", message=BUSY_DISK, job=capture))
        else:
            self.storekeeper.ask(
                capture,
                size,
                lambda: self._answer(message, jobs),
                lambda outcome: self._send(client, _told(outcome, capture)),
                (lambda: self._parked(message)) if isinstance(message, PutView) else None,
            )

    def takes(self, client: bytes, message: JobMessage, size: int) -> bool:
        """Whether a message about a job needs the disk, too, because its capture is to be looked at
        first, so that what cannot be worked on is refused at once. It is served after that.
        """
        job = message.job
        if job in self._held:
            self._held[job].messages.append((client, message))
            return True
        if not isinstance(message, Submit) or self._queue.knows(job):
            return False
        request = message.request
        if not isinstance(request, SceneRequest):
            return False
        if self.storekeeper.is_over_full:
            self._send(client, Error(code="storage", message=BUSY_DISK, job=job))
            return True
        self._held[job] = _Held(request.capture, [(client, message)])
        self.storekeeper.ask(
            request.capture,
            size,
            lambda: self._refusal(request.capture, job),
            lambda outcome: self._looked(job, outcome),
        )
        return True

    def _answer(
        self, message: CaptureMessage | SceneMessage, jobs: tuple[str, ...]
    ) -> ServerMessage:
        if isinstance(message, CaptureMessage):
            return answer(self._captures, message)
        return answer_scene(self._captures, message, jobs)

    def _parked(self, message: PutView) -> Callable[[], ServerMessage]:
        """What keeps a view that waits for its turn on the disk."""
        view = parked(message, self._captures.root)
        return lambda: answer(self._captures, view)

    def _refusal(self, capture: str, job: str) -> Error | None:
        """Why a job on a capture cannot be worked on; None where it can."""
        try:
            state = self._captures.state(capture)
        except UnknownCapture:
            return Error(code="unknown_capture", message=NO_CAPTURE, job=job)
        except CaptureError as error:
            return Error(code="bad_capture", message=str(error), job=job)
        except OSError as error:
            logger.exception("capture %s", capture)
            return Error(code="storage", message=out_of_room(error), job=job)
        if state.sealed:
            return None
        words = (
            f"This capture is not complete ({state.views - len(state.missing)} of {state.views} "
            "views have come): send the others and seal it."
        )
        return Error(code="bad_capture", message=words, job=job)

    def _looked(self, job: str, outcome: Error | Exception | None) -> None:
        held = self._held.pop(job, None)
        for client, message in held.messages if held is not None else ():
            try:
                if outcome is not None and isinstance(message, Submit):
                    self._send(client, _told(outcome, job))
                else:
                    self._about_job(client, message)
            except Exception as error:  # a defect must not cost the others their jobs
                logger.exception("a message could not be served")
                self._send(client, _told(error, job))


def _told(outcome: ServerMessage | Exception, about: str) -> ServerMessage:
    """What a client is told of an errand's outcome."""
    if not isinstance(outcome, Exception):
        return outcome
    kind = type(outcome).__name__
    words = readable(f"The backend failed on this capture ({kind}: {outcome}); see its log.")
    return Error(code="internal", message=words, job=about)
