"""What is done on the disk for the front end, in threads of their own: writing views, sealing,
checking, deleting. The front end hands in errands and is called back; it never waits.

What concerns one capture is done in the order in which it was asked for, one at a time; other
captures do not wait for it.
"""

import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

logger = logging.getLogger("backend.captures")

THREADS = 4
READ_AHEAD_BYTES = 256 * 1024**2
"""Of messages that wait for the disk in memory. What comes above that waits on the disk, too; no
more is read until it lies there, so that its senders wait.
"""
PATIENCE = 5.0
"""Seconds without anything done, after which the disk is taken to hang."""


@dataclass
class _Errand:
    capture: str
    size: int
    work: Callable[[], Any]
    then: Callable[[Any], None]
    begun: bool = False


@dataclass(frozen=True)
class _Parked:
    """What is to be done for an errand that no longer needs memory while it waits."""

    work: Callable[[], Any]


class Storekeeper:
    """Does errands about captures. All methods are called in the front end's thread.

    Attributes:
        woken: a socket that can be read when errands are done: call `deliver`.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "captures")
        self._parker = ThreadPoolExecutor(1, "parking")
        self._lanes: dict[str, deque[_Errand]] = {}
        self._done: SimpleQueue[tuple[_Errand, Any]] = SimpleQueue()
        self.woken, self._wake = socket.socketpair()
        self.woken.setblocking(False)
        self._wake.setblocking(False)
        self._waiting_bytes = 0
        self._last_done = time.monotonic()

    def ask(
        self,
        capture: str,
        size: int,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        park: Callable[[], Callable[[], Any]] | None = None,
    ) -> None:
        """Have something done about a capture.

        Args:
            capture: its id.
            size: bytes that the errand keeps in memory until it is done.
            work: is called in another thread. What it raises is given to `then`.
            then: is called by `deliver` with what `work` returned or raised, and where that fails,
                once more with the error, so that who asked is told of it.
            park: is called in another thread where the errand has to wait and memory has no room
                for that; it returns what does the same as `work` and needs none until then.
        """
        if not self._lanes:
            self._last_done = time.monotonic()
        errand = _Errand(capture, size, work, then)
        lane = self._lanes.setdefault(capture, deque())
        lane.append(errand)
        self._waiting_bytes += size
        if len(lane) == 1:
            self._begin(errand)
        elif park is not None and self.is_full:
            self._parker.submit(self._park, errand, park)

    def deliver(self) -> None:
        """Tell those who asked what has been done."""
        with contextlib.suppress(BlockingIOError):
            self.woken.recv(4096)
        while True:
            try:
                errand, outcome = self._done.get_nowait()
            except Empty:
                return
            self._last_done = time.monotonic()
            if isinstance(outcome, _Parked):
                if not errand.begun:
                    errand.work = outcome.work
                    self._waiting_bytes -= errand.size
                    errand.size = 0
                continue
            self._waiting_bytes -= errand.size
            lane = self._lanes[errand.capture]
            lane.popleft()
            if lane:
                self._begin(lane[0])
            else:
                del self._lanes[errand.capture]
            self._answer(errand, outcome)

    def _answer(self, errand: _Errand, outcome: Any) -> None:
        """Tell who asked; a defect in that, too, must neither leave them waiting nor cost others
        their answers.
        """
        try:
            errand.then(outcome)
        except Exception as error:
            logger.exception("capture %s", errand.capture)
            try:
                errand.then(error)
            except Exception:
                logger.exception("capture %s", errand.capture)

    @property
    def is_full(self) -> bool:
        """Whether more wait for the disk than should be kept in memory."""
        return self._waiting_bytes > READ_AHEAD_BYTES

    @property
    def hangs(self) -> bool:
        """Whether something is to be done, and nothing has been for long."""
        return bool(self._lanes) and time.monotonic() - self._last_done > PATIENCE

    def close(self) -> None:
        """Let what is being written come to its end; what waits behind it is left."""
        for pool in (self._parker, self._threads):
            pool.shutdown(wait=True, cancel_futures=True)
        self.woken.close()
        self._wake.close()

    def _begin(self, errand: _Errand) -> None:
        errand.begun = True
        self._threads.submit(self._do, errand)

    def _park(self, errand: _Errand, park: Callable[[], Callable[[], Any]]) -> None:
        try:
            self._tell(errand, _Parked(park()))
        except OSError as error:  # it waits where it is, and what comes after it is not read
            logger.warning("capture %s waits in memory: %s", errand.capture, error)

    def _do(self, errand: _Errand) -> None:
        outcome: Any
        try:
            outcome = errand.work()
        except Exception as error:  # a defect, which must not cost the others their answers
            logger.exception("capture %s", errand.capture)
            outcome = error
        self._tell(errand, outcome)

    def _tell(self, errand: _Errand, outcome: Any) -> None:
        self._done.put((errand, outcome))
        with contextlib.suppress(BlockingIOError):  # it has been woken often enough
            self._wake.send(b"x")
