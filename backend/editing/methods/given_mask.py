"""The guided edit (Eq. 4, 5) inside a mask that somebody else has found, such as a segmenter."""

from collections.abc import Sequence
from dataclasses import dataclass

from .method import Edited, Knob, Models, Need, Request, check
from .plain import IMAGE_GUIDANCE


@dataclass(frozen=True)
class GivenMask:
    """As `Editor` edits inside a given mask."""

    label: str = "ours, mask given"
    needs: Sequence[Need] = ("mask",)
    knob: Knob = IMAGE_GUIDANCE

    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        models.editor.set_image(request.image)
        edit = models.editor.edit(
            request.instruction,
            image_guidance=request.knob,
            steps=request.steps,
            seed=request.seed,
            mask=request.mask,
        )
        return Edited(edit.image, edit.mask)
