"""Which part of a picture an edit works on, and at which size: the crop.

A region seldom fills its picture. A part around it is given to the model at the size that the model
was trained at (*sharp*), or as large as it is in the whole picture (*fast*).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput
from backend.pictures.boxes import check_box
from protocol.values import Box, Detail

from .models.denoiser import ModelCard

CONTEXT = 1.6
"""Sides of a crop, in those of its region."""
LEAST = {"sharp": 1.0, "fast": 0.5}
"""Sides of a crop at the size that it is worked on at, at least, in the model's native size."""
WORTH = 0.75
"""From this share of the whole picture's cells on, a crop that shows no more detail is not worth
what it hides from the model."""
FINER = 1.1
"""A crop shows more detail where it is worked on so many times larger than the whole picture."""


@dataclass(frozen=True)
class Window:
    """A part of a picture, and the size that it is worked on at.

    Attributes:
        box: the part.
        shape: rows and columns that it is scaled to.
    """

    box: Box
    shape: tuple[int, int]

    def words(self, picture: tuple[int, ...]) -> str:
        """What was worked on, of a picture of this shape, in words."""
        height, width = self.shape
        part = "The whole picture" if self.box.shape == picture[:2] else f"A part of {self.box}"
        return f"{part}, was worked on at {width}x{height} pixels."


def work_shape(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Rows and columns that a picture of this shape is worked on at: scaled down where its short
    side is longer than `size`, never up.
    """
    scale = min(1.0, size / min(shape[:2]))
    height, width = (max(1, round(side * scale)) for side in shape[:2])
    return height, width


def whole(picture: tuple[int, ...], size: int) -> Window:
    """All of a picture of this shape, at `work_shape`."""
    height, width = picture[:2]
    return Window(Box(0, 0, height, width), work_shape(picture, size))


def by_hand(box: Box, mask: NDArray[np.bool_], size: int) -> Window:
    """A part that was asked for.

    Raises:
        BadInput: it reaches out of the picture, or holds nothing of the mask, bool (H, W).
    """
    check_box(box, mask.shape)
    if not mask[box.slices].any():
        raise BadInput(f"The crop ({box}) holds nothing of the region: move or enlarge it.")
    return Window(box, work_shape(box.shape, size))


def around(
    region: Box, picture: tuple[int, ...], card: ModelCard, size: int, detail: Detail
) -> Window:
    """What an edit of a region works on.

    Args:
        region: the box around it.
        picture: the picture's shape.
        card: of the model.
        size: pixels of the short side that the networks see at most.
        detail: as in protocol/values.py.
    """
    everything = whole(picture, size)
    if detail == "whole":
        return everything
    scale = min(everything.shape) / min(picture[:2])
    own = scale if detail == "fast" else 1.0
    step = card.multiple / own
    side = max(CONTEXT * max(region.shape), size * LEAST[detail] / own)
    box = _square(region, round(math.ceil(side / step - 1e-9) * step), picture)
    if detail == "sharp":
        # never more cells than the whole picture has
        most = math.sqrt(math.prod(everything.shape) / math.prod(box.shape))
        own = min(1.0, size / min(box.shape), most)
    height, width = (_scaled(length, own, card.multiple) for length in box.shape)
    finer = own >= FINER * scale
    fewer = height * width <= WORTH * math.prod(everything.shape)
    return Window(box, (height, width)) if finer or fewer else everything


def _square(region: Box, side: int, picture: tuple[int, ...]) -> Box:
    """A square with a region in its middle, moved into a picture of this shape, and cut off where
    it is larger.
    """
    height, width = (min(side, whole) for whole in picture[:2])
    top = region.top + (region.height - height) // 2
    left = region.left + (region.width - width) // 2
    top, left = min(max(top, 0), picture[0] - height), min(max(left, 0), picture[1] - width)
    return Box(top, left, height, width)


def _scaled(length: int, scale: float, multiple: int) -> int:
    """A side at a scale: a multiple of what the model needs, where that is as good."""
    scaled = length * scale
    near = round(scaled / multiple) * multiple
    return max(1, near if near > 0 and abs(near - scaled) <= 0.5 else round(scaled))
