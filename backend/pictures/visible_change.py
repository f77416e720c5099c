"""How much of a region can be seen to have changed."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

NEIGHBOURHOOD = 5
"""Pixels of a side of the square that a pixel's mean change is taken over: noise has none."""
AT_A_GLANCE = 25
"""Of 255: a change of a single pixel that is seen whatever is around it."""
LEAST_SHARE = 0.02
"""Of a region: an edit has changed nothing that can be seen where less of it has."""


def changed_share(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    region: NDArray[np.bool_],
    unseen: float,
) -> float:
    """The share 0..1 of a region's pixels that can be seen to have changed: whose neighbours within
    the region are off by more than `unseen` in the mean, or that are themselves by more than
    AT_A_GLANCE, in some channel.

    Args:
        before, after: uint8 (H, W, 3).
        region: bool (H, W); 0 is returned where it is empty.
        unseen: 0..255, by how much a mean may be off that nobody sees, or that has other reasons.
    """
    if not region.any():
        return 0.0
    rows, columns = (slice(at.min(), at.max() + 1) for at in np.nonzero(region))
    inside = region[rows, columns]
    apart = after[rows, columns].astype(np.float32) - before[rows, columns]
    apart[~inside] = 0
    mean = uniform_filter(apart, (NEIGHBOURHOOD, NEIGHBOURHOOD, 1), mode="constant")
    counted = uniform_filter(inside.astype(np.float32), NEIGHBOURHOOD, mode="constant")
    means = np.abs(mean[inside]).max(axis=-1) / counted[inside]
    singles = np.abs(apart[inside]).max(axis=-1)
    means = means.round(3)  # of whole numbers, summed as floats
    return float(((means > unseen) | (singles > AT_A_GLANCE)).mean())
