"""One edit of one picture: what of it the networks see, and how the result is put back in."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.errors import BadInput
from backend.pictures import blend, boxes
from protocol.settings import WorkSettings
from protocol.values import Box

from . import crop
from .encoded_image import EncodedImage, check_image, padded, resize
from .models.denoiser import Denoiser, ModelCard
from .relevance import images_at_once

PREVIEW_SIDE = 512
"""Pixels of a preview's long side at most."""


@dataclass(frozen=True)
class Place:
    """Where a picture is edited: its region with the rim, and the part that is worked on.

    Attributes:
        mask: bool (H, W), the region.
        window: the part that is worked on, and at which size.
        area: the part that the edit is put into; inside the window.
        share: float32 or bool of the area's shape, how much of the edit each pixel gets.
    """

    mask: NDArray[np.bool_]
    window: crop.Window
    area: Box
    share: NDArray[np.float32] | NDArray[np.bool_]

    @classmethod
    def within(cls, mask: NDArray[np.bool_], window: crop.Window, rim: float) -> "Place":
        """The place of a region, all of which lies inside a window, or is as good as cut off
        there.
        """
        # one pixel more, so that the rim sees what is outside the mask
        area = boxes.grown(boxes.bounds(mask), math.ceil(rim / 2) + 1, mask.shape)
        share = blend.weights(mask[area.slices], rim)
        inner = boxes.common(area, window.box)
        return cls(mask, window, inner, share[boxes.relative(inner, area).slices])

    def touched(self) -> NDArray[np.bool_]:
        """bool of the window's shape: the pixels that get any of the edit."""
        found = np.zeros(self.window.box.shape, np.bool_)
        found[boxes.relative(self.area, self.window.box).slices] = self.share > 0
        return found

    def put_in(self, image: NDArray[np.uint8], edited: NDArray[np.uint8]) -> None:
        """Put the window's edit into a picture, uint8 (H, W, 3), of which every byte beyond the rim
        stays.
        """
        part = edited[boxes.relative(self.area, self.window.box).slices]
        image[self.area.slices] = blend.blended(image[self.area.slices], part, self.share)


def places(
    mask: NDArray[np.bool_],
    card: ModelCard,
    size: int,
    settings: WorkSettings,
    by_hand: Box | None = None,
    together: bool = False,
) -> list[Place]:
    """The places of an edit inside a mask, bool (H, W) with one pixel at least: as many as
    `crop.windows` says, whose areas share no pixel.

    Args:
        mask: the region.
        card: of the model.
        size: pixels of the short side that the networks see at most.
        settings: say which part is worked on, and how wide the rim is.
        by_hand: the part to work on, in place of what the settings say; nothing outside it is
            edited.
        together: whether there shall be one place for all.

    Raises:
        BadInput: as `crop.by_hand`.
    """
    if by_hand is not None:
        window = crop.by_hand(by_hand, mask, card, size, settings.detail)
        return [Place.within(_only(mask, by_hand), window, settings.rim)]
    reach = math.ceil(settings.rim / 2)
    if together or settings.detail == "whole":
        parts = [boxes.bounds(mask)]
    else:
        parts = boxes.apart(mask, crop.APART, 2 * reach + 3)
    touched = [boxes.grown(part, reach, mask.shape) for part in parts]
    windows = crop.windows(touched, mask.shape, card, size, settings.detail)
    if len(windows) == 1:
        return [Place.within(mask, windows[0], settings.rim)]
    return [
        Place.within(_only(mask, part), window, settings.rim)
        for part, window in zip(parts, windows, strict=True)
    ]


def _only(mask: NDArray[np.bool_], box: Box) -> NDArray[np.bool_]:
    """A mask without what is outside a box."""
    found = np.zeros_like(mask)
    found[box.slices] = mask[box.slices]
    return found


class Parts:
    """A picture, and those parts of it that were asked for as a model sees them, each encoded once.

    Attributes:
        image: uint8 (H, W, 3).
        size: pixels of the short side that the networks see at most.
        whole: the window that is the whole picture.
    """

    KEPT = 4
    """Parts, the last ones, besides the whole picture."""

    def __init__(
        self,
        image: NDArray[np.uint8],
        size: int,
        model: Denoiser,
    ) -> None:
        self.image, self.size, self._model = image, size, model
        self.whole = crop.whole(image.shape, size)
        self._known: dict[crop.Window, EncodedImage] = {}

    def encoded(self, window: crop.Window | None = None) -> EncodedImage:
        """A part of it, by default the whole picture.

        Raises:
            FloatingPointError: as `ModelCard.check_numbers`.
        """
        window = window or self.whole
        if window not in self._known:
            others = [known for known in self._known if known != self.whole]
            if len(others) >= self.KEPT:
                del self._known[others[0]]
            part = self.image[window.box.slices]
            with torch.inference_mode():
                model = window.seen_by(self._model)
                self._known[window] = EncodedImage.of(model, part, window.shape)
        return self._known[window]


@dataclass(frozen=True)
class Work:
    """One edit of one place.

    Attributes:
        parts: of the picture.
        place: where it is edited.
        edited: uint8 (H, W, 3), what the edit is put into.
        seed: of its noise.
        strength: the noise level that it starts from.
        start: uint8 (H, W, 3), what it starts from, None for the picture itself.
    """

    parts: Parts
    place: Place
    edited: NDArray[np.uint8]
    seed: int
    strength: float
    start: NDArray[np.uint8] | None = None

    @property
    def encoded(self) -> EncodedImage:
        """The part that is worked on."""
        return self.parts.encoded(self.place.window)

    def start_part(self) -> NDArray[np.uint8]:
        """The part of what it starts from.

        Raises:
            BadInput: that is not of the picture's size.
        """
        start, image = self.start, self.parts.image
        assert start is not None
        if start.dtype != np.uint8 or start.shape != image.shape:
            raise BadInput(
                f"The start must be uint8 of shape {image.shape}, not {start.dtype} {start.shape}."
            )
        return start[self.place.window.box.slices]


@dataclass(frozen=True)
class Shown:
    """Edits that are made together, as they are previewed: those of the first one's picture."""

    works: Sequence[Work]

    def preview(self, latents: Tensor) -> NDArray[np.uint8]:
        """A small uint8 (h, w, 3) look at the whole picture, in which latents (B, c, h, w) of the
        parts that are worked on lie in their places.
        """
        whole = self.works[0].parts.image.shape
        shown = None
        for work, own in zip(self.works, latents, strict=True):
            if work.edited is not self.works[0].edited:
                continue
            small, box = work.encoded.preview(own), work.place.window.box
            if box.shape == whole[:2]:
                return small
            shown = self._base.copy() if shown is None else shown
            scale = shown.shape[0] / whole[0], shown.shape[1] / whole[1]
            first = zip((box.top, box.left), scale, strict=True)
            top, left = (round(begin * s) for begin, s in first)
            bottom = max(top + 1, round((box.top + box.height) * scale[0]))
            right = max(left + 1, round((box.left + box.width) * scale[1]))
            shown[top:bottom, left:right] = resize(small, bottom - top, right - left)
        assert shown is not None
        return shown

    @cached_property
    def _base(self) -> NDArray[np.uint8]:
        """The whole picture with what is edited by now, uint8 (h, w, 3), with about as many pixels
        as the parts have cells.
        """
        image = self.works[0].edited
        cells = max(one.encoded.extent[0] / one.place.window.box.height for one in self.works)
        scale = min(cells, PREVIEW_SIDE / max(image.shape[:2]))
        return resize(image, *(max(1, round(side * scale)) for side in image.shape[:2]))


def image_batches(
    images: Sequence[NDArray[np.uint8]], card: ModelCard, seeds: int
) -> Iterator[range]:
    """Numbers of neighbouring images of one size, as many as are noised in one batch."""
    first = 0
    while first < len(images):
        check_image(images[first])
        sides = padded(card, crop.work_shape(images[first].shape, card.native_size))
        cells = math.prod(side // card.cell for side in sides)
        last, end = min(first + images_at_once(cells, seeds), len(images)), first + 1
        while end < last and images[end].shape == images[first].shape:
            end += 1
        yield range(first, end)
        first = end


def batches(works: Sequence[Work], card: ModelCard, pictures: int) -> list[list[Work]]:
    """Works on so many pictures of one size, those together whose latents have one size and are
    seen in the same tiles; of those no more at once than fill the whole pictures.
    """
    alike: dict[tuple[tuple[int, int], tuple[Box, ...]], list[Work]] = {}
    for work in works:
        window = work.place.window
        alike.setdefault((padded(card, window.shape), window.tiles), []).append(work)
    found = []
    for (shape, _), some in alike.items():
        whole = padded(card, some[0].parts.whole.shape)
        at_once = pictures * max(1, math.prod(whole) // math.prod(shape))
        found += [some[first : first + at_once] for first in range(0, len(some), at_once)]
    return found
