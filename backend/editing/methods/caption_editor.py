"""SDEdit by a caption as an editor of pictures, so that a text-to-image model edits whatever one
that follows instructions does: a scene above all, as in the comparison of Haque et al.,
"Instruct-NeRF2NeRF", 2023, with Stable Diffusion.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from backend.editing.encoded_image import check_image, check_mask
from backend.editing.guided_edit import Step
from backend.editing.image_editor import Edit
from backend.editing.models.denoiser import Denoiser, ModelCard
from backend.editing.relevance import RelevanceMap
from backend.errors import BadInput, check_instruction, check_settings
from protocol.corrections import Correction
from protocol.settings import EditSettings, MapSettings, RegionSettings, SpeedSettings
from protocol.values import Box

from .picture import Picture
from .sdedit import sdedited


class CaptionEditor:
    """Satisfies `ImageEditor`. It edits by its own caption, whatever the instruction; a start is
    noised to the strength and denoised under the caption, of which nothing is taken but what lies
    inside the mask. Where an instruction applies it cannot tell.
    """

    def __init__(self, model: Denoiser, caption: str) -> None:
        """Args:
            model: that reads captions (`load_text_to_image`).
            caption: what an edited picture is to show.

        Raises:
            BadInput: the caption is empty.
        """
        check_instruction(caption)
        self._model, self._caption = model, caption
        self._set: Picture | None = None

    @property
    def card(self) -> ModelCard:
        """See `ImageEditor`."""
        return self._model.card

    @property
    def model(self) -> Denoiser:
        """See `ImageEditor`."""
        return self._model

    def set_image(self, image: NDArray[np.uint8]) -> None:
        """See `ImageEditor`."""
        self._set = Picture(self._model, image)

    def relevance(
        self,
        instruction: str,
        *,
        settings: MapSettings | None = None,
        on_draw: Callable[[int, int], None] | None = None,
    ) -> RelevanceMap:
        """See `ImageEditor`.

        Raises:
            BadInput: always.
        """
        self._refuse()

    def relevance_of_images(
        self,
        instruction: str,
        images: Sequence[NDArray[np.uint8]],
        settings: MapSettings = MapSettings(),
        wanted: Sequence[int] | None = None,
        on_draw: Callable[[int, int], None] | None = None,
    ) -> Iterator[tuple[int, RelevanceMap]]:
        """See `ImageEditor`.

        Raises:
            BadInput: always.
        """
        self._refuse()

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
        """See `ImageEditor`: inside the mask that is given, with all of the picture as the crop.
        Nothing makes it faster.

        Raises:
            BadInput: no mask is given, or as of `edit_images`.
        """
        if mask is None:
            self._refuse()
        chosen, image = settings or EditSettings(), self._picture.image
        (edited,) = self.edit_images(
            instruction,
            [image],
            [mask],
            [image if start is None else start],
            [chosen.strength],
            [chosen.seed],
            chosen,
            on_step,
        )
        return Edit(edited, mask, None, None, None)

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
        """See `ImageEditor`; one after the other. Of the settings, steps and text guidance count.

        Raises:
            BadInput: an array or a setting is not as it must be.
            FloatingPointError: the networks overflowed.
        """
        guidance = self.card.guidance.resolved(settings.guidance)
        edited = []
        for image, mask, start, strength, seed in zip(
            images, masks, starts, strengths, seeds, strict=True
        ):
            check_image(image)
            check_mask(mask, image)
            check_settings(replace(settings, strength=strength, seed=seed))
            if not mask.any():
                edited.append(image.copy())
                continue
            made = sdedited(
                Picture(self._model, start),
                self._caption,
                settings.steps,
                strength,
                seed,
                guidance,
                on_step,
            )
            edited.append(np.where(mask[..., None], made, image))
        return edited

    def preview(self, step: Step) -> NDArray[np.uint8]:
        """See `ImageEditor`."""
        return self._picture.decoded(step.prediction)

    @property
    def _picture(self) -> Picture:
        if self._set is None:
            raise ValueError("No image was set.")
        return self._set

    def _refuse(self) -> NoReturn:
        raise BadInput(
            f"{self.card.name} is a text-to-image model, which does not tell where an instruction "
            "applies: edit everything, or give masks."
        )
