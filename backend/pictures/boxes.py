"""Parts of pictures: what holds what, and what they share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label
from scipy.sparse.csgraph import connected_components

from backend.errors import BadInput
from protocol.values import Box

GRID = 64
"""Cells of a picture's longer side in which parts are told apart."""


def check_box(box: Box, picture: tuple[int, ...]) -> None:
    """Raise BadInput where a box is not inside a picture of this shape, or holds no pixel."""
    if not isinstance(box, Box):
        raise BadInput(f"A crop must be a Box(top, left, height, width), not {box!r}.")
    height, width = picture[:2]
    rows = 0 <= box.top < box.top + box.height <= height
    columns = 0 <= box.left < box.left + box.width <= width
    if not (rows and columns):
        raise BadInput(
            f"The crop ({box}) is not inside the picture of {width}x{height} pixels: it needs at "
            "least one pixel of it, and none outside."
        )


def bounds(mask: NDArray[np.bool_]) -> Box:
    """The smallest box around what a mask, bool (H, W), marks: one pixel at least."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    return Box(top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left)


def grown(box: Box, pixels: int, picture: tuple[int, ...]) -> Box:
    """A box with so many pixels more on each side, as far as a picture of this shape reaches."""
    top, left = max(0, box.top - pixels), max(0, box.left - pixels)
    bottom = min(picture[0], box.top + box.height + pixels)
    right = min(picture[1], box.left + box.width + pixels)
    return Box(top, left, bottom - top, right - left)


def common(one: Box, other: Box) -> Box:
    """What two boxes share: at least one pixel."""
    top, left = max(one.top, other.top), max(one.left, other.left)
    bottom = min(one.top + one.height, other.top + other.height)
    right = min(one.left + one.width, other.left + other.width)
    return Box(top, left, bottom - top, right - left)


def around(parts: Sequence[Box]) -> Box:
    """The smallest box around others, one at least."""
    top, left = min(one.top for one in parts), min(one.left for one in parts)
    bottom = max(one.top + one.height for one in parts)
    right = max(one.left + one.width for one in parts)
    return Box(top, left, bottom - top, right - left)


def relative(box: Box, frame: Box) -> Box:
    """A box inside another one, seen from that one's corner."""
    return Box(box.top - frame.top, box.left - frame.left, box.height, box.width)


def apart(mask: NDArray[np.bool_], sides: float, least: int) -> list[Box]:
    """Boxes around the parts of a mask, bool (H, W), that lie apart; all of it is in them.

    Args:
        mask: one pixel at least.
        sides: how far from each other parts lie apart, in longer sides of the larger one's box.
        least: the same in pixels, 1 or more: what is nearer is one part however small it is, and so
            is what is nearer than a GRIDth of the picture.
    """
    cell = -(-max(mask.shape) // GRID)
    cells = mask
    for axis in (0, 1):
        cells = np.logical_or.reduceat(cells, np.arange(0, mask.shape[axis], cell), axis=axis)
    pieces = find_objects(label(cells, np.ones((3, 3)))[0])
    first = np.array([[rows.start, columns.start] for rows, columns in pieces]) * cell
    last = np.array([[rows.stop, columns.stop] for rows, columns in pieces]) * cell
    while True:
        gaps = np.maximum(first[:, None] - last, first - last[:, None]).max(axis=2)
        longest = (last - first).max(axis=1)
        needed = np.maximum(least, sides * np.maximum(longest[:, None], longest))
        count, group = connected_components(gaps < needed, directed=False)
        if count == len(first):
            break
        first = np.array([first[group == number].min(axis=0) for number in range(count)])
        last = np.array([last[group == number].max(axis=0) for number in range(count)])
    found = []
    for (top, left), (bottom, right) in zip(first.tolist(), last.tolist(), strict=True):
        inner = bounds(mask[top:bottom, left:right])
        found.append(Box(top + inner.top, left + inner.left, inner.height, inner.width))
    return found
