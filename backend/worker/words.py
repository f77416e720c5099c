"""What jobs say to people while they run and when they have ended."""

import time

import numpy as np
from numpy.typing import NDArray

from backend.output.progress import OnPreview, time_left

RECKONED_SHARE, RECKONED_SECONDS = 0.03, 2.0
"""Of a job, before which nothing is said about its remaining time."""


def with_time_left(on_progress: OnPreview) -> OnPreview:
    """Adds to the words how long the job will take yet, reckoned from its share that is done, once
    that says something.
    """
    began = time.monotonic()

    def report(stage: str, fraction: float, preview: NDArray[np.uint8] | None) -> None:
        elapsed = time.monotonic() - began
        if fraction >= RECKONED_SHARE and elapsed >= RECKONED_SECONDS and fraction < 1:
            stage = f"{stage}, {time_left(elapsed * (1 - fraction) / fraction)}"
        on_progress(stage, fraction, preview)

    return report
