"""An editor that knows the truth, in place of a model: what a scene's edit loses with it, the 3D
half loses.

It knows every view by its pixels, where the instruction applies there, and what the view truly
shows after the edit. Guided as a model's edit is: outside the mask the picture stays, and inside
it the start is moved towards the truth by the noise level's share. At level 1 it gives the truth
itself, whatever it started from; at a low one it keeps most of what the scene shows by then.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.editing import RelevanceMap
from backend.editing.guided_edit import Step
from backend.editing.image_editor import Edit
from backend.editing.models.denoiser import ModelCard
from backend.editing.relevance import perfect_map
from backend.errors import BadInput
from protocol.corrections import Correction
from protocol.region import Snapped
from protocol.settings import EditSettings, MapSettings, RegionSettings, SpeedSettings
from protocol.values import Box

NAME = "truth"
NOISE, HOLES, BLOTS = 0.25, 0.3, 8
"""Of `spoiled`: standard deviation, share of the picture, blots along a side at most."""


@dataclass(frozen=True)
class Truth:
    """What is known of one view.

    Attributes:
        image: uint8 (H, W, 3), the view.
        edited: uint8 (H, W, 3), what it truly shows after the edit.
        relevance: float32 (h, w), 0..1, where the instruction applies, at the resolution that maps
            are to have.
    """

    image: NDArray[np.uint8]
    edited: NDArray[np.uint8]
    relevance: NDArray[np.float32]


class TrueEditor:
    """An `ImageEditor` that answers with the truth."""

    model = None  # there is none whose gradient could be followed

    def __init__(self, truths: Sequence[Truth], cell: int) -> None:
        """Args:
        truths: of every view that it may be asked about.
        cell: pixels of a view for a cell of the maps, about.

        Raises:
            BadInput: two views show the same, and not the same afterwards.
        """
        self._truths: dict[tuple[tuple[int, ...], bytes], Truth] = {}
        for truth in truths:
            other = self._truths.setdefault(_key(truth.image), truth)
            if not np.array_equal(other.edited, truth.edited):
                raise BadInput(
                    "Two views have the same pixels and different truths, so that nothing tells "
                    "them apart: leave one of them out."
                )
        self._set: NDArray[np.uint8] | None = None
        side = max(truths[0].image.shape[:2])
        self._card = ModelCard(
            name=NAME,
            device=torch.device("cpu"),
            dtype=torch.float32,
            native_size=side,
            multiple=1,
            cell=cell,
        )

    @property
    def card(self) -> ModelCard:
        """See `ImageEditor`."""
        return self._card

    def set_image(self, image: NDArray[np.uint8]) -> None:
        """See `ImageEditor`."""
        self._set = image

    def relevance(
        self,
        instruction: str,
        *,
        settings: MapSettings | None = None,
        on_draw: Callable[[int, int], None] | None = None,
    ) -> RelevanceMap:
        """See `ImageEditor`: the truth, whatever the settings."""
        if on_draw is not None:
            on_draw(0, 1)
        return perfect_map(self._of(self._image).relevance)

    def relevance_of_images(
        self,
        instruction: str,
        images: Sequence[NDArray[np.uint8]],
        settings: MapSettings = MapSettings(),
        wanted: Sequence[int] | None = None,
        on_draw: Callable[[int, int], None] | None = None,
    ) -> Iterator[tuple[int, RelevanceMap]]:
        """See `ImageEditor`."""
        for number in range(len(images)) if wanted is None else wanted:
            if on_draw is not None:
                on_draw(number, len(images))
            yield number, perfect_map(self._of(images[number]).relevance)

    def edit(
        self,
        instruction: str,
        threshold: float | None = None,
        *,
        settings: EditSettings | None = None,
        relevance: RelevanceMap | None = None,
        mask: NDArray[np.bool_] | None = None,
        start: NDArray[np.uint8] | None = None,
        crop: Box | None = None,
        on_step: Callable[[Step], None] | None = None,
        things: NDArray[np.integer] | None = None,
        region: RegionSettings = RegionSettings(),
        speed: SpeedSettings = SpeedSettings(),
        correction: Correction = Correction(),
    ) -> Edit:
        """See `ImageEditor`: as `edit_images`, with all of the picture as the crop, and the map
        snapped to nothing.
        """
        image = self._image
        found, limit, snapped = relevance, threshold, None
        if mask is None:
            found = found or self.relevance(instruction)
            limit = found.suggested_threshold if limit is None else limit
            snapped = Snapped(found.at(*image.shape[:2]), "nothing", "", found.suggested_threshold)
            mask = correction.mask(snapped.values, limit)
        strength = (settings or EditSettings()).strength
        begun = image if start is None else start
        edited = self._edited(image, mask, begun, strength)
        return Edit(edited, mask, found, limit, None, snapped=snapped)

    def edit_images(
        self,
        instruction: str,
        images: Sequence[NDArray[np.uint8]],
        masks: Sequence[NDArray[np.bool_]],
        starts: Sequence[NDArray[np.uint8]],
        strengths: Sequence[float],
        seeds: Sequence[int],
        settings: EditSettings = EditSettings(),
        on_step: Callable[[Step], None] | None = None,
    ) -> list[NDArray[np.uint8]]:
        """See `ImageEditor`. There are no steps to tell of."""
        parts = zip(images, masks, starts, strengths, strict=True)
        return [self._edited(*part) for part in parts]

    def preview(self, step: Step) -> NDArray[np.uint8]:
        """See `ImageEditor`: the true edit of the picture that was set."""
        return self._of(self._image).edited

    def _edited(
        self,
        image: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        start: NDArray[np.uint8],
        strength: float,
    ) -> NDArray[np.uint8]:
        moved = (1 - strength) * start + strength * self._of(image).edited.astype(np.float64)
        return np.where(mask[..., None], (moved + 0.5).astype(np.uint8), image)

    @property
    def _image(self) -> NDArray[np.uint8]:
        if self._set is None:
            raise ValueError("No image was set.")
        return self._set

    def _of(self, image: NDArray[np.uint8]) -> Truth:
        found = self._truths.get(_key(image))
        if found is None:
            raise ValueError("The true editor is asked about a picture that it does not know.")
        return found


def _key(image: NDArray[np.uint8]) -> tuple[tuple[int, ...], bytes]:
    return image.shape, image.tobytes()


def spoiled(raw: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Shares of cells (h, w) as a model may find them: with noise of a standard deviation of NOISE,
    and holes, which take HOLES of the picture out of the map, in blots.
    """
    height, width = raw.shape
    blots = rng.random((BLOTS, BLOTS)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(blots).resize((width, height), Image.Resampling.BICUBIC))
    kept = np.where(smooth < np.quantile(smooth, HOLES), 0, raw)
    noisy: NDArray[np.float32] = (kept + rng.normal(0, NOISE, raw.shape)).clip(0, 1)
    return noisy.astype(np.float32)
