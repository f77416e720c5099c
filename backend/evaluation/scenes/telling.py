"""What evaluations print while they work."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backend.fields.training import Progress
from backend.output.progress import time_left


def show(words: str) -> None:
    """Prints at once."""
    print(words, flush=True)


def told(what: str) -> Callable[[Progress], None]:
    """Prints where a training is, a few times."""

    def on_step(progress: Progress) -> None:
        if progress.step % max(1, progress.iterations // 4) == 0:
            score = "" if progress.score is None else f", {progress.score:.1f} dB"
            left = progress.remaining
            end = f", {time_left(left, at_most=True)}" if left else ""
            show(f"{what}: step {progress.step} of {progress.iterations}{score}{end}")

    return on_step


def told_of_edit() -> Callable[[str, float, NDArray[np.uint8] | None], None]:
    """Prints where an edit is, ten times."""
    last = 0

    def on_progress(words: str, fraction: float, picture: NDArray[np.uint8] | None) -> None:
        nonlocal last
        if int(10 * fraction) > last:
            last = int(10 * fraction)
            show(f"edit, {fraction:.0%}: {words}")

    return on_progress


def as_before(asked: float | None, downscale: float) -> list[str]:
    """That images are read smaller though nobody asks for it, where they are, as an evaluation goes
    on with what lies in its folder.

    Args:
        asked: how many times smaller they are to be; None where that is not said.
        downscale: how many times smaller they are.
    """
    if asked is not None or downscale == 1:
        return []
    return [f"Images are read {downscale:g} times smaller, as for what is in the folder already."]
