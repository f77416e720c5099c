"""How far a command is, on the standard error: a bar in a terminal, a few plain lines elsewhere."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.progress import Progress

OnProgress = Callable[[str, float], None]
"""Called with what is being done in words, and the share 0..1 of the whole that is done. What it
raises ends the work."""
OnPreview = Callable[[str, float, NDArray[np.uint8] | None], None]
"""The same, called with a picture of how far the work is, too: uint8 (H, W, 3), or None."""
SILENCE = 120.0
"""Seconds after which there is a line in any case: a tenth of some evaluations takes half an
hour."""


def time_left(seconds: float, at_most: bool = False) -> str:
    """A remaining time for the end of a sentence; `at_most` where the work may end earlier."""
    words = f"{max(1, round(seconds))} s" if seconds < 100 else f"{round(seconds / 60)} min"
    return f"{words} left at most" if at_most else f"about {words} left"


@contextmanager
def shown_progress() -> Iterator[OnProgress]:
    """Shows what the `with` block tells the function it is given.

    In a terminal that is a bar with the time remaining, which stays once it has reached a share of
    1, and goes at the end of the block where it has not; elsewhere a line for every tenth of the
    way, and where that takes minutes some between.
    """
    # A "dumb" terminal, such as an editor's, cannot redraw a line.
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _lines()
        return
    bar = _Bar()
    try:
        yield bar.show
    finally:
        bar.stop()


def show_log() -> None:
    """Show what is logged on the standard error, too, on lines of their own above a bar."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_LogLines()])


class _LogLines(logging.Handler):
    """Unlike logging's own, it asks for the standard error each time: a bar puts itself there."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


def _lines() -> OnProgress:
    last, told = -1, 0.0

    def show(words: str, share: float) -> None:
        nonlocal last, told
        now = time.monotonic()
        if int(share * 10) > last or now - told >= SILENCE:
            last, told = int(share * 10), now
            print(f"{share:4.0%}  {words}", file=sys.stderr, flush=True)

    return show


class _Bar:
    """A bar that appears with the first words it is told, so that nothing is drawn before."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def show(self, words: str, share: float) -> None:
        if self._progress is None:
            self._progress = _bar()
            self._progress.add_task(words, total=1.0)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], description=words, completed=share)
        if share >= 1:
            self.stop()

    def stop(self) -> None:
        if self._progress is not None:
            # One that stands short of its end would look like a failure.
            self._progress.live.transient = not self._progress.finished
            self._progress.stop()
            self._progress = None


def _bar() -> "Progress":
    # Only now: pipes and files need none of it.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    # The words are cut where there is no room for all of them, and nothing before them is.
    words = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        TaskProgressColumn(table_column=Column(min_width=4, no_wrap=True)),
        BarColumn(bar_width=24, table_column=Column(min_width=6)),
        TimeRemainingColumn(
            elapsed_when_finished=True, table_column=Column(min_width=7, no_wrap=True)
        ),
        TextColumn("{task.description}", markup=False, table_column=words),  # names hold brackets
        expand=True,
        console=Console(stderr=True, highlight=False),
        redirect_stdout=sys.stdout.isatty(),  # else results would go where the bar is
    )
