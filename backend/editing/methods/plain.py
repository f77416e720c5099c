"""InstructPix2Pix without a mask (Brooks et al. 2023), from either beginning.

diffusers' pipeline and the authors' code begin with pure noise. Many, the paper's own loop at
threshold 0 among them, begin with the picture noised to the highest level, where the schedule
leaves a few hundredths of it: that keeps more of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from backend.editing.models.guidance import Guidance

from .method import Edited, Knob, Models, Need, Request, check
from .picture import Picture, denoised

IMAGE_GUIDANCE = Knob("image guidance", (1.0, 1.2, 1.5, 1.8, 2.2), "the model's own", 0.0, 20.0)
"""Over the range of the paper's Figure 4."""


@dataclass(frozen=True)
class Plain:
    """InstructPix2Pix everywhere.

    Attributes:
        from_picture: whether it begins with the picture, noised to the highest level, and not with
            noise alone.
    """

    label: str
    from_picture: bool
    needs: Sequence[Need] = ()
    knob: Knob = IMAGE_GUIDANCE

    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        picture = Picture(models.editor.model, request.image)
        levels = picture.levels(request.steps, 1.0)
        begun = picture.clean if self.from_picture else torch.zeros_like(picture.clean)
        latents = picture.model.noised(begun, picture.noise(request.seed), levels[0])
        latents = denoised(
            picture.model,
            latents,
            levels,
            picture.told(request.instruction),
            guided(models, request.knob),
        )
        return Edited(picture.decoded(latents))


def guided(models: Models, image: float | None) -> Guidance:
    """The editing model's own guidance, with this image guidance where one is given."""
    own = models.editor.card.guidance
    return own if image is None else Guidance(own.text, image)
