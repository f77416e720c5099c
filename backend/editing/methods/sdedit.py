"""SDEdit (Meng et al. 2022): the picture is noised to a level, and denoised by a text-to-image
model under a text. No mask; the level decides how much of the picture is left.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.editing.guided_edit import Step
from backend.editing.models.denoiser import Prediction
from backend.editing.models.guidance import Guidance

from .method import Edited, Knob, Models, Need, Request, check
from .picture import Picture, denoised

STRENGTH = Knob("strength", (0.3, 0.45, 0.6, 0.75, 0.9), 0.75, 0.01, 1.0)


@dataclass(frozen=True)
class SdEdit:
    """SDEdit.

    Attributes:
        by_caption: whether its text is the output's caption, as the model was trained on, and not
            the instruction.
    """

    label: str
    by_caption: bool
    knob: Knob = STRENGTH

    @property
    def needs(self) -> Sequence[Need]:
        """See `ImageMethod`."""
        return ("text-to-image", "output caption") if self.by_caption else ("text-to-image",)

    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        assert models.text_to_image is not None
        text = request.instruction
        if self.by_caption:
            assert request.captions is not None
            text = request.captions[1]
        model = models.text_to_image
        picture = Picture(model, request.image)
        strength, guidance = self.knob.at(request.knob), model.card.guidance
        return Edited(sdedited(picture, text, request.steps, strength, request.seed, guidance))


def sdedited(
    picture: Picture,
    text: str,
    steps: int,
    strength: float,
    seed: int,
    guidance: Guidance,
    on_step: Callable[[Step], None] | None = None,
) -> NDArray[np.uint8]:
    """The picture after SDEdit, uint8 (H, W, 3).

    Args:
        picture: as a text-to-image model sees it.
        text: what it is to show.
        steps: of denoising.
        strength: 0..1, the level that it is noised to.
        seed: of the noise.
        guidance: by the text.
        on_step: called after every step; what it raises ends the edit.
    """
    levels = picture.levels(steps, strength)
    latents = picture.model.noised(picture.clean, picture.noise(seed), levels[0])

    def after(index: int, predicted: Prediction, latents: Tensor) -> Tensor:
        if on_step is not None:
            level = torch.tensor([levels[index]], dtype=torch.float64)
            on_step(Step(index, steps, level, predicted.clean))
        return latents

    told = picture.told(text)
    return picture.decoded(denoised(picture.model, latents, levels, told, guidance, after))
