"""Which part of a picture an edit works on, and at which size: the crop.

A region seldom fills its picture. A part around it is given to the model at the size that the model
was trained at (*sharp*), or as large as it is in the whole picture (*fast*).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput
from backend.pictures import boxes
from protocol.values import Box, Detail

from .encoded_image import padded
from .models.denoiser import Denoiser, ModelCard
from .tiles import Tiled, tiles_of

CONTEXT = 1.1
"""Sides of a crop, in those of its region. On validation scenes, more of what is around it costs
detail and helps nothing."""
LEAST = {"sharp": 1.0, "fast": 0.25, "tiles": 1.0}
"""Sides of a crop at the size that it is worked on at, at least, in the model's native size."""
CELLS = 2
"""Sides of a crop are multiples of so many of what the model needs: the first halving of its
latents is even."""
WORTH = 0.75
"""From this share of the whole picture's cells on, a crop that shows no more detail is not worth
what it hides from the model."""
FINER = 1.1
"""A crop shows more detail where it is worked on so many times larger than the whole picture."""
APART = 1.0
"""Parts of a region that are so many of the larger one's sides from each other may get crops of
their own: nearer ones may be of one thing, with something before it."""
MOST = 4
"""Crops of their own, at most: each takes as long as one of all of them."""
MUCH_FINER = 1.5
"""Crops of their own are worth their time where each is worked on so many times larger than one of
all of them."""


@dataclass(frozen=True)
class Window:
    """A part of a picture, and the size that it is worked on at.

    Attributes:
        box: the part.
        shape: rows and columns that it is scaled to.
        tiles: in which the networks see it, as `tiles_of` says; none where they see it at once.
    """

    box: Box
    shape: tuple[int, int]
    tiles: tuple[Box, ...] = ()

    def seen_by(self, model: Denoiser, touched: NDArray[np.bool_] | None = None) -> Denoiser:
        """The model as it sees this part; `touched` as `Tiled` says."""
        if not self.tiles:
            return model
        return Tiled(model, self.tiles, padded(model.card, self.shape), touched)

    def size_in_words(self) -> str:
        """At which size it is worked on."""
        height, width = self.shape
        tiles = f" in {len(self.tiles)} tiles" if self.tiles else ""
        return f"{width}x{height} pixels{tiles}"


def words(windows: Sequence[Window], picture: tuple[int, ...]) -> str:
    """What was worked on, of a picture of this shape, in a sentence; "" where nothing was."""
    if not windows:
        return ""
    if len(windows) > 1:
        each = "; ".join(f"{one.box}, at {one.size_in_words()}" for one in windows)
        return f"{len(windows)} parts were worked on by themselves: {each}."
    (window,) = windows
    part = "The whole picture" if window.box.shape == picture[:2] else f"A part of {window.box},"
    return f"{part} was worked on at {window.size_in_words()}."


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


def by_hand(
    box: Box, mask: NDArray[np.bool_], card: ModelCard, size: int, detail: Detail
) -> Window:
    """A part that was asked for, at the size that goes with `detail`, as `around` says.

    Raises:
        BadInput: it reaches out of the picture, or holds nothing of the mask, bool (H, W).
    """
    boxes.check_box(box, mask.shape)
    if not mask[box.slices].any():
        raise BadInput(f"The crop ({box}) holds nothing of the region: move or enlarge it.")
    if detail == "tiles":
        return _tiled(box, card)
    if detail == "fast":
        return Window(box, _scaled(box.shape, _scale(mask.shape, size), card.multiple))
    return Window(box, work_shape(box.shape, size))


def windows(
    parts: Sequence[Box], picture: tuple[int, ...], card: ModelCard, size: int, detail: Detail
) -> list[Window]:
    """What an edit of a region works on, one after the other: one window around all of its parts,
    or one for each where that shows more (*sharp*) or takes less; the rest is as in `around`.
    """
    together = around(boxes.around(parts), picture, card, size, detail)
    if not 1 < len(parts) <= MOST:
        return [together]
    own = [around(part, picture, card, size, detail) for part in parts]
    if detail == "sharp":
        worth = min(map(_scale_of, own)) >= MUCH_FINER * _scale_of(together)
    else:
        cells = sum(math.prod(one.shape) for one in own)
        worth = cells <= WORTH * math.prod(together.shape)
    return own if worth else [together]


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
    scale = _scale(picture, size)
    own = scale if detail == "fast" else 1.0
    step, least = CELLS * card.multiple / own, size * LEAST[detail] / own
    sides = [max(CONTEXT * side, least) for side in region.shape]
    if detail == "sharp":
        sides = [max(sides)] * 2  # as the model was trained; what is beside the region is free
    height, width = (round(math.ceil(side / step - 1e-9) * step) for side in sides)
    box = _middle(region, height, width, picture)
    if detail == "tiles":
        return _tiled(box, card)
    if detail == "sharp":
        # never more cells than the whole picture has
        most = math.sqrt(math.prod(everything.shape) / math.prod(box.shape))
        own = min(1.0, size / min(box.shape), most)
    shape = _scaled(box.shape, own, card.multiple)
    finer = own >= FINER * scale
    fewer = math.prod(shape) <= WORTH * math.prod(everything.shape)
    return Window(box, shape) if finer or fewer else everything


def _scale_of(window: Window) -> float:
    """How much smaller a part is worked on."""
    return math.sqrt(math.prod(window.shape) / math.prod(window.box.shape))


def _tiled(box: Box, card: ModelCard) -> Window:
    """A part in its own pixels."""
    return Window(box, box.shape, tiles_of(padded(card, box.shape), card))


def _scale(picture: tuple[int, ...], size: int) -> float:
    """How much smaller the whole picture is worked on."""
    return min(1.0, size / min(picture[:2]))


def _middle(region: Box, height: int, width: int, picture: tuple[int, ...]) -> Box:
    """A box of this size with a region in its middle, moved into a picture of this shape, and cut
    off where it is larger.
    """
    height, width = min(height, picture[0]), min(width, picture[1])
    top = region.top + (region.height - height) // 2
    left = region.left + (region.width - width) // 2
    top, left = min(max(top, 0), picture[0] - height), min(max(left, 0), picture[1] - width)
    return Box(top, left, height, width)


def _scaled(shape: tuple[int, int], scale: float, multiple: int) -> tuple[int, int]:
    """Rows and columns at a scale: multiples of what the model needs, where that is as good."""
    found = []
    for length in shape:
        near = round(length * scale / multiple) * multiple
        as_good = near > 0 and abs(near - length * scale) <= 0.5
        found.append(max(1, near if as_good else round(length * scale)))
    return found[0], found[1]
