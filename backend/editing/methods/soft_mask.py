"""A soft mask: Differential Diffusion (Levin and Fried 2023) with the relevance map as change map.

Every cell is edited from a level of its own, which the map says: where the change is 1 from pure
noise, where it is 0.3 from three tenths of it, where it is 0 not at all. Until its level is
reached, a cell is the picture noised to the level of the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.editing.models.denoiser import Conditions, Prediction
from backend.editing.models.guidance import Guidance

from .method import Edited, Knob, Models, Need, Request, check
from .picture import Picture, denoised

FULL_FROM = Knob("full change from relevance", (0.3, 0.45, 0.6, 0.8, 1.0), 0.6, 0.01, 1.0)


@dataclass(frozen=True)
class SoftMask:
    """The change is the relevance, divided by the relevance from which all may change (the knob);
    what takes part in no step keeps its bytes.
    """

    label: str = "soft mask"
    needs: Sequence[Need] = ()
    knob: Knob = FULL_FROM

    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        editor = models.editor
        editor.set_image(request.image)
        full = self.knob.at(request.knob)
        relevance = editor.relevance(request.instruction)
        picture = Picture(editor.model, request.image)
        height, width = request.image.shape[:2]
        values = relevance.values / full
        change = torch.zeros(picture.clean.shape[2:])
        change[: values.shape[0], : values.shape[1]] = torch.from_numpy(values)
        levels = picture.levels(request.steps, 1.0)
        latents = softly_denoised(
            picture,
            change.to(picture.clean.device),
            picture.noise(request.seed),
            levels,
            picture.told(request.instruction),
            picture.model.card.guidance,
        )
        mask = relevance.at(height, width) / full >= levels[-2]
        return Edited(picture.pasted(latents, mask), mask)


def softly_denoised(
    picture: Picture,
    change: Tensor,
    noise: Tensor,
    levels: Sequence[float],
    told: Conditions,
    guidance: Guidance,
) -> Tensor:
    """Latents (1, c, h, w), denoised from a level for each cell.

    Args:
        change: (h, w), a cell takes part in the steps that start from a level up to it.
        noise: (1, c, h, w) standard normal.
        levels: n + 1, falling to 0.
    """
    model, clean = picture.model, picture.clean

    def put_back(index: int, _: Prediction, latents: Tensor) -> Tensor:
        last = index == len(levels) - 2
        original = clean if last else model.noised(clean, noise, levels[index + 1])
        return torch.where(change >= levels[index], latents, original)

    begun = model.noised(clean, noise, levels[0])
    return denoised(model, begun, levels, told, guidance, put_back)
