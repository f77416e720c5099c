"""What takes long is done for the front end in threads of their own: decoding large messages,
writing views, sealing, checking, deleting. The front end hands in errands and is called back; it
never waits.

What concerns one client, or one capture, is done in the order in which it was asked for, one at a
time; others do not wait for it.
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

logger = logging.getLogger("backend.server")

READ_AHEAD_BYTES = 256 * 1024**2
"""Of messages that wait in memory. What comes above that is parked on the disk."""
MOST_BYTES = 1024**3
"""Of messages that wait in memory because parking them takes longer than sending them."""
PATIENCE = 5.0
"""Seconds without anything done, after which the disk is taken to hang."""


@dataclass
class _Errand:
    lane: str | bytes
    size: int
    work: Callable[[], Any]
    then: Callable[[Any], None]
    begun: bool = False


@dataclass(frozen=True)
class _Parked:
    """What is to be done for an errand that no longer needs memory while it waits."""

    work: Callable[[], Any]


class Errands:
    """Does errands. All methods are called in the front end's thread.

    Attributes:
        woken: a socket that can be read when errands are done: call `deliver`.
        waiting_bytes: that errands keep in memory.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._parker = ThreadPoolExecutor(1, "parking")
        self._lanes: dict[str | bytes, deque[_Errand]] = {}
        self._done: SimpleQueue[tuple[_Errand, Any]] = SimpleQueue()
        self.woken, self._wake = socket.socketpair()
        self.woken.setblocking(False)
        self._wake.setblocking(False)
        self.waiting_bytes = 0
        self._last_done = time.monotonic()

    def ask(
        self,
        lane: str | bytes,
        size: int,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        park: Callable[[], Callable[[], Any]] | None = None,
    ) -> None:
        """Have something done.

        Args:
            lane: whom or what it concerns, such as a capture: behind what else does.
            size: bytes that the errand keeps in memory until it is done.
            work: is called in another thread. What it raises is given to `then`.
            then: is called by `deliver` with what `work` returned or raised, and where that fails,
                once more with the error, so that who asked is told of it.
            park: is called in another thread where the errand has to wait and memory has no room
                for that; it returns what does the same as `work` and needs none until then.
        """
        if not self._lanes:
            self._last_done = time.monotonic()
        errand = _Errand(lane, size, work, then)
        queue = self._lanes.setdefault(lane, deque())
        queue.append(errand)
        self.waiting_bytes += size
        if len(queue) == 1:
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
                    self.waiting_bytes -= errand.size
                    errand.size = 0
                continue
            self.waiting_bytes -= errand.size
            queue = self._lanes[errand.lane]
            queue.popleft()
            if queue:
                self._begin(queue[0])
            else:
                del self._lanes[errand.lane]
            self._answer(errand, outcome)

    def _answer(self, errand: _Errand, outcome: Any) -> None:
        """Tell who asked; a defect in that, too, must neither leave them waiting nor cost others
        their answers.
        """
        try:
            errand.then(outcome)
        except Exception as error:
            logger.exception("an errand for %r", errand.lane)
            try:
                errand.then(error)
            except Exception:
                logger.exception("an errand for %r", errand.lane)

    def concern(self, lane: str | bytes) -> bool:
        """Whether an errand concerns this."""
        return lane in self._lanes

    @property
    def is_full(self) -> bool:
        """Whether more wait than should be kept in memory."""
        return self.waiting_bytes > READ_AHEAD_BYTES

    @property
    def is_over_full(self) -> bool:
        """Whether so much waits that nothing more may be added."""
        return self.waiting_bytes > MOST_BYTES

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
        except OSError as error:  # it waits where it is
            logger.warning("an errand for %r waits in memory: %s", errand.lane, error)

    def _do(self, errand: _Errand) -> None:
        outcome: Any
        try:
            outcome = errand.work()
        except Exception as error:  # a defect, which must not cost the others their answers
            logger.exception("an errand for %r", errand.lane)
            outcome = error
        self._tell(errand, outcome)

    def _tell(self, errand: _Errand, outcome: Any) -> None:
        self._done.put((errand, outcome))
        with contextlib.suppress(BlockingIOError):  # it has been woken often enough
            self._wake.send(b"x")
