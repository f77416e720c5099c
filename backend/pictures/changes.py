"""Telling an edit that did nothing from one that did."""

import numpy as np
from numpy.typing import NDArray

UNSEEN = 3
"""Of 255: nobody sees a pixel change by so little."""
NOWHERE = (
    "Unchanged: to the model, the instruction applies nowhere more than elsewhere. Say it in other "
    "words."
)
"""Where the relevance is the same everywhere, so that no threshold helps."""


def unchanged(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    region: NDArray[np.bool_],
    threshold: float | None,
    relevance: NDArray[np.float32] | None = None,
) -> str | None:
    """A sentence that begins with "Unchanged" where an edit has changed nothing that can be seen.

    Args:
        before, after: uint8 (H, W, 3).
        region: bool (H, W), where it might change something.
        threshold: relevance that made the region; None where it was given as a mask.
        relevance: float32 of any shape, 0..1, what the region was made of; None likewise.
    """
    if not region.any():
        if threshold is None:
            return "Unchanged: the mask marks no pixel."
        if relevance is not None and not relevance.any():
            return NOWHERE
        return f"Unchanged: no pixel reaches the threshold of {threshold:.2f}. Lower it."
    apart = np.maximum(before, after)[region] - np.minimum(before, after)[region]
    if apart.max() > UNSEEN:
        return None
    return (
        f"Unchanged: no pixel of the region differs by more than {UNSEEN} of 255 from what it was. "
        "Raise the text guidance or the strength, or take more steps."
    )
