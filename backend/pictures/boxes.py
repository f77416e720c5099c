"""Parts of pictures: what holds what, and what they share."""

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput
from protocol.values import Box


def check_box(box: Box, picture: tuple[int, ...]) -> None:
    """Raise BadInput where a box is not inside a picture of this shape, or holds no pixel."""
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


def relative(box: Box, frame: Box) -> Box:
    """A box inside another one, seen from that one's corner."""
    return Box(box.top - frame.top, box.left - frame.left, box.height, box.width)
