"""SDEdit (Meng et al. 2022): the picture is noised to a level, and denoised by a text-to-image
model under a text. No mask; the level decides how much of the picture is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
        picture = Picture(models.text_to_image, request.image)
        levels = picture.levels(request.steps, self.knob.at(request.knob))
        latents = picture.model.noised(picture.clean, picture.noise(request.seed), levels[0])
        guidance = picture.model.card.guidance
        latents = denoised(picture.model, latents, levels, picture.told(text), guidance)
        return Edited(picture.decoded(latents))
