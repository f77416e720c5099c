"""One edit of one picture: what of it the networks see, and how the result is put back in."""

import math
from collections.abc import Iterator, Mapping, Sequence
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
    def of(
        cls,
        mask: NDArray[np.bool_],
        card: ModelCard,
        size: int,
        settings: WorkSettings,
        by_hand: Box | None = None,
    ) -> "Place":
        """The place of an edit inside a mask, bool (H, W) with one pixel at least.

        Args:
            mask: the region.
            card: of the model.
            size: pixels of the short side that the networks see at most.
            settings: say which part is worked on, and how wide the rim is.
            by_hand: the part to work on, in place of one that the settings say; nothing outside
                it is edited.

        Raises:
            BadInput: as `crop.by_hand`.
        """
        if by_hand is not None:
            window = crop.by_hand(by_hand, mask, card, size, settings.detail)
            cut = np.zeros_like(mask)
            cut[by_hand.slices] = mask[by_hand.slices]
            mask = cut
        bounds = boxes.bounds(mask)
        reach = math.ceil(settings.rim / 2)
        # one pixel more, so that the rim sees what is outside the mask
        area = boxes.grown(bounds, reach + 1, mask.shape)
        if by_hand is None:
            touched = boxes.grown(bounds, reach, mask.shape)
            window = crop.around(touched, mask.shape, card, size, settings.detail)
        share = blend.weights(mask[area.slices], settings.rim)
        inner = boxes.common(area, window.box)
        return cls(mask, window, inner, share[boxes.relative(inner, area).slices])

    def touched(self) -> NDArray[np.bool_]:
        """bool of the window's shape: the pixels that get any of the edit."""
        found = np.zeros(self.window.box.shape, np.bool_)
        found[boxes.relative(self.area, self.window.box).slices] = self.share > 0
        return found

    def put_in(self, image: NDArray[np.uint8], edited: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture, uint8 (H, W, 3), with the window's edit in it; every byte beyond the rim is
        the picture's.
        """
        found = image.copy()
        part = edited[boxes.relative(self.area, self.window.box).slices]
        found[self.area.slices] = blend.blended(image[self.area.slices], part, self.share)
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
    """One edit.

    Attributes:
        parts: of the picture.
        place: where it is edited.
        encoded: the part of it that is worked on.
    """

    parts: Parts
    place: Place

    @property
    def encoded(self) -> EncodedImage:
        """The part that is worked on."""
        return self.parts.encoded(self.place.window)

    def start(self, start: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same part of another picture, from which the edit starts.

        Raises:
            BadInput: it is not of the picture's size.
        """
        image = self.parts.image
        if start.dtype != np.uint8 or start.shape != image.shape:
            raise BadInput(
                f"The start must be uint8 of shape {image.shape}, not {start.dtype} {start.shape}."
            )
        return start[self.place.window.box.slices]

    def preview(self, latents: Tensor) -> NDArray[np.uint8]:
        """A small uint8 (h, w, 3) look at the whole picture, in which latents (c, h, w) of the part
        that is worked on lie in their place.
        """
        small = self.encoded.preview(latents)
        box, whole = self.place.window.box, self.parts.image.shape
        if box.shape == whole[:2]:
            return small
        base = self._base
        scale = base.shape[0] / whole[0], base.shape[1] / whole[1]
        top, left = (round(first * s) for first, s in zip((box.top, box.left), scale, strict=True))
        bottom = max(top + 1, round((box.top + box.height) * scale[0]))
        right = max(left + 1, round((box.left + box.width) * scale[1]))
        shown = base.copy()
        shown[top:bottom, left:right] = resize(small, bottom - top, right - left)
        return shown

    @cached_property
    def _base(self) -> NDArray[np.uint8]:
        """The whole picture, uint8 (h, w, 3), with about as many pixels as the part has cells."""
        image, box = self.parts.image, self.place.window.box
        scale = min(self.encoded.extent[0] / box.height, PREVIEW_SIDE / max(image.shape[:2]))
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


def batches(works: Mapping[int, Work], card: ModelCard) -> list[list[int]]:
    """The numbers of works whose latents have one size and are seen in the same tiles, together."""
    found: dict[tuple[tuple[int, int], tuple[Box, ...]], list[int]] = {}
    for number, work in works.items():
        window = work.place.window
        found.setdefault((padded(card, window.shape), window.tiles), []).append(number)
    return list(found.values())
