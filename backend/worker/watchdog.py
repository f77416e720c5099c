"""Ends the worker process where its work stands still for good, as a driver that hangs makes it.

Heartbeats are answered whatever the work does, and a long call says nothing while it works. So a
thread looks at the process: its work stands still where the main thread is at the same place of its
program in look after look, and nothing happens meanwhile in all of the process, neither on the
processor nor to and from memory and disks. Of the long calls, such as unwrapping a mesh, none looks
like that. A GPU may keep the main thread waiting in a loop that does use the processor; it stands
still where it does not come to the end of what it was given.
"""

import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from backend.jobs.worker_messages import HUNG
from protocol import files

if sys.platform != "win32":
    import resource

logger = logging.getLogger("backend.worker")

LOOK_SECONDS = 2.0
BUSY_SHARE = 0.03
"""Of one processor core between two looks, from which the process is at work. What answers
heartbeats, and the looks themselves, take less than a tenth of that."""
INNERMOST = 8
"""Frames of the main thread that the log names."""
LOADING_FACTOR = 15.0
"""How much longer than a job the loading of models may stand still: they may come from afar."""
GPU_FACTOR = 3.0
"""The same of jobs on a GPU, which may have much to do at once."""
SLOW_PLACES = {files.__file__: 8.0, subprocess.__file__: 8.0}
"""The same where a disk is made to write all that it has, or another program is waited for."""

Mark = Callable[[], Callable[[], bool]]
"""Marks the end of what a GPU has been given; what it returns tells whether that is done."""


@dataclass(frozen=True)
class Look:
    """What a look at this process sees.

    Attributes:
        when: seconds of a clock.
        place: of the main thread: each of its Python frames and the instruction that it is at.
        processor: seconds of processor time that the process has used.
        moved: pages and blocks that the process has had moved from and to disks.
        factor: how much longer than elsewhere this place may stand still.
    """

    when: float
    place: tuple[tuple[int, int], ...]
    processor: float
    moved: tuple[int, ...]
    factor: float

    @classmethod
    def now(cls) -> "Look":
        """A look at this process as it is."""
        frames = list(_frames(_main_frame()))
        return cls(
            when=time.monotonic(),
            place=tuple((id(frame), frame.f_lasti) for frame in frames),
            processor=time.process_time(),
            moved=_moved(),
            factor=max((SLOW_PLACES.get(one.f_code.co_filename, 1.0) for one in frames), default=1),
        )


class Stillness:
    """For how long the work has stood still, from one look to the next.

    Attributes:
        seconds: that it has. What passed while the whole process was stopped does not count.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last: Look | None = None

    def see(self, look: Look, interval: float) -> None:
        """Take the next look; `interval` is what should lie between two."""
        last, self._last = self._last, look
        if last is None:
            return
        passed = min(look.when - last.when, 2 * interval)
        busy = look.processor - last.processor > BUSY_SHARE * passed
        if busy or look.place != last.place or look.moved != last.moved:
            self.seconds = 0.0
        else:
            self.seconds += passed


class GpuQueue:
    """Whether a GPU comes to the end of what it is given.

    Attributes:
        seconds: that it has been at work on what it had been given, without coming to its end.
    """

    def __init__(self, mark: Mark) -> None:
        self.seconds = 0.0
        self._mark = mark
        self._is_done = mark()

    def see(self, passed: float) -> None:
        """Look at it, so many seconds after the last time."""
        if self._is_done():
            self.seconds = 0.0
            self._is_done = self._mark()
        else:
            self.seconds += passed


class Watchdog:
    """Looks at the main thread's work, and ends the process where that stands still."""

    def __init__(self, limit: float) -> None:
        """`limit` is for how many seconds a job may stand still on the processor."""
        self._limit = limit
        self._interval = min(LOOK_SECONDS, limit / 5)
        self._work = 0  # counts what has begun
        self._factor: float | None = None  # of the work that is done; None while there is none
        self._mark: Mark | None = None
        threading.Thread(target=self._look_on, daemon=True, name="watchdog").start()

    @contextmanager
    def over_loading(self) -> Iterator[None]:
        """Look at what loads the models."""
        with self._over(LOADING_FACTOR, None):
            yield

    @contextmanager
    def over_job(self, on_gpu: bool, mark: Mark | None) -> Iterator[None]:
        """Look at a job, and at the GPU that it is done on where that can be marked."""
        with self._over(GPU_FACTOR if on_gpu else 1.0, mark):
            yield

    @contextmanager
    def _over(self, factor: float, mark: Mark | None) -> Iterator[None]:
        self._work += 1
        self._mark, self._factor = mark, factor
        try:
            yield
        finally:
            self._factor = None

    def _look_on(self) -> None:
        work, stillness, gpu = 0, Stillness(), None
        while True:
            time.sleep(self._interval)
            factor = self._factor
            if factor is None:
                continue
            if work != self._work:
                work, stillness = self._work, Stillness()
                gpu = None if self._mark is None else GpuQueue(self._mark)
            look = Look.now()
            stillness.see(look, self._interval)
            if stillness.seconds > self._limit * factor * look.factor:
                _end(f"its work has stood still for {stillness.seconds:.0f} seconds")
            if gpu is None:
                continue
            gpu.see(self._interval)
            if gpu.seconds > self._limit * factor:
                _end(f"the GPU has not come to an end for {gpu.seconds:.0f} seconds")


def _end(why: str) -> None:
    place = " < ".join(
        f"{Path(one.filename).name}:{one.lineno} {one.name}"
        for one in reversed(traceback.extract_stack(_main_frame())[-INNERMOST:])
    )
    logger.error("this process ends, as %s, in %s", why, place)
    os._exit(HUNG)


def _main_frame() -> FrameType:
    return sys._current_frames()[threading.main_thread().ident or 0]


def _frames(innermost: FrameType) -> Iterator[FrameType]:
    frame: FrameType | None = innermost
    while frame is not None:
        yield frame
        frame = frame.f_back


def _moved() -> tuple[int, ...]:
    """Page faults that needed a disk, and blocks read and written; nothing on Windows."""
    if sys.platform == "win32":
        return ()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_majflt, usage.ru_inblock, usage.ru_oublock
