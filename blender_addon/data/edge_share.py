"""How much of an edit each pixel has, where the edge of its mask is soft: as the backend mixes it
(backend/pictures/blend.py), with numpy alone.
"""

import math

import numpy as np
from numpy.typing import NDArray


def share(mask: NDArray[np.bool_], rim: float) -> NDArray[np.float32]:
    """float32 (H, W), 0..1: how much of the edit a pixel gets.

    Args:
        mask: bool (H, W).
        rim: pixels over which its edge is soft, half of them on each side; 0 or more.
    """
    if rim <= 0 or mask.all() or not mask.any():
        return mask.astype(np.float32)
    reach = math.ceil(rim / 2) + 1
    inside, outside = (_distance(of, reach) for of in (mask, ~mask))
    # distances are to the next centre on the other side, half a pixel beyond the edge
    depth = np.where(mask, inside - 0.5, 0.5 - outside)
    return (0.5 + depth / np.float32(rim)).clip(0, 1).astype(np.float32)


def _distance(mask: NDArray[np.bool_], reach: int) -> NDArray[np.float32]:
    """float32 (H, W): from each pixel of a mask to the next centre that is not in it, in pixels;
    `reach` where it is at least as far, 0 outside the mask.
    """
    squares = np.where(mask, np.float32(reach * reach), np.float32(0))
    for axis in (0, 1):  # first along columns, then along rows
        line = np.moveaxis(squares, axis, 0)
        found = line.copy()
        for step in range(1, min(reach, len(line) - 1) + 1):
            far = np.float32(step * step)
            np.minimum(found[step:], line[:-step] + far, out=found[step:])
            np.minimum(found[:-step], line[step:] + far, out=found[:-step])
        squares = np.moveaxis(found, 0, axis)
    return np.sqrt(squares)
