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
    found = np.zeros(mask.shape, np.float32)
    box = _around(mask, reach)
    part = mask[box]
    inside, outside = (_distance(of, reach) for of in (part, ~part))
    # distances are to the next centre on the other side, half a pixel beyond the edge
    depth = np.where(part, inside - 0.5, 0.5 - outside)
    found[box] = (0.5 + depth / np.float32(rim)).clip(0, 1)
    return found


def _around(mask: NDArray[np.bool_], reach: int) -> tuple[slice, ...]:
    """The rows and columns in which a mask has something, and so many more on each side."""
    places = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return tuple(slice(max(0, one[0] - reach), one[-1] + 1 + reach) for one in places)


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
