"""What scenes, meshes and jobs edit pictures with, whatever method or model does it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.corrections import Correction
from protocol.region import Snapped
from protocol.settings import EditSettings, MapSettings, RegionSettings, SpeedSettings
from protocol.values import Box

from .crop import Window
from .guided_edit import Step
from .models.denoiser import Denoiser, ModelCard
from .relevance import RelevanceMap


@dataclass(frozen=True)
class Edit:
    """An edited image.

    Attributes:
        image: uint8 (H, W, 3); every pixel outside `mask` has the bytes of the input, or, with a
            rim, every one that is half a rim or more away from it.
        mask: bool (H, W), where the image was edited.
        relevance: the map that the mask was made of, or None where the mask was given.
        threshold: what the snapped map was thresholded at, or None where the mask was given.
        unchanged: a sentence that begins with "Unchanged" where nothing that can be seen was
            changed, or None.
        windows: the parts of the image that were worked on, and at which sizes: most often one;
            none where nothing was.
        snapped: what was thresholded to the mask, which is `snapped.values >= threshold`, or None
            where the mask was given.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    relevance: RelevanceMap | None
    threshold: float | None
    unchanged: str | None
    windows: tuple[Window, ...] = ()
    snapped: Snapped | None = None


class ImageEditor(Protocol):
    """Local edits of pictures by instructions. `Editor` says what the arguments are."""

    @property
    def card(self) -> ModelCard:
        """What is to be known about its model."""

    @property
    def model(self) -> Denoiser | None:
        """What predicts the noise, for methods that follow its gradient; None where no model
        does.
        """

    def set_image(self, image: NDArray[np.uint8]) -> None:
        """The picture that `relevance` and `edit` work on."""

    def relevance(
        self,
        instruction: str,
        *,
        settings: MapSettings | None = None,
        on_draw: Callable[[int, int], None] | None = None,
    ) -> RelevanceMap:
        """Where the instruction applies in it."""

    def relevance_of_images(
        self,
        instruction: str,
        images: Sequence[NDArray[np.uint8]],
        settings: MapSettings = MapSettings(),
        wanted: Sequence[int] | None = None,
        on_draw: Callable[[int, int], None] | None = None,
    ) -> Iterator[tuple[int, RelevanceMap]]:
        """Numbers and maps of several pictures; the one that was set stays."""

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
        """Edit it where the instruction applies, or inside `mask`."""

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
        """What `edit` makes of several pictures of one size inside their masks."""

    def preview(self, step: Step) -> NDArray[np.uint8]:
        """A small uint8 (h, w, 3) look at what a step of the picture's edit predicts."""
