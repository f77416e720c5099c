"""The guided edit from several noises, of which the one is kept that wants to change least outside
the region.

How much that is, is seen before the input is put back: the squared difference of what each step
predicts to E(I), over the cells outside the mask, averaged over the steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from backend.editing.models.denoiser import Prediction

from .method import Edited, Knob, Models, Need, Request, check
from .picture import Picture, denoised

SEEDS = Knob("seeds", (1, 2, 4), 4, 1, 64)


@dataclass(frozen=True)
class SeedChoice:
    """Inside the relevance map at its suggested threshold, the whole picture at once; the seeds
    follow the one that was asked for.
    """

    label: str = "seed choice"
    needs: Sequence[Need] = ()
    knob: Knob = SEEDS

    @torch.inference_mode()
    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        editor = models.editor
        editor.set_image(request.image)
        relevance = editor.relevance(request.instruction)
        mask = relevance.at(*request.image.shape[:2]) >= relevance.suggested_threshold
        picture = Picture(editor.model, request.image)
        count = round(self.knob.at(request.knob))
        tries = [
            one_try(picture, request, mask_cells=picture.cells(mask), seed=request.seed + n)
            for n in range(count)
        ]
        _, best = min(tries, key=lambda one: one[0])
        return Edited(picture.pasted(best, mask), mask)


@torch.inference_mode()
def one_try(
    picture: Picture, request: Request, mask_cells: Tensor, seed: int
) -> tuple[float, Tensor]:
    """How much one noise's edit wants to change outside the cells, bool (1, 1, h, w), and its
    latents (1, c, h, w).
    """
    model, clean, noise = picture.model, picture.clean, picture.noise(seed)
    levels = picture.levels(request.steps, 1.0)
    wanted: list[float] = []
    outside = ~mask_cells

    def put_back(index: int, predicted: Prediction, latents: Tensor) -> Tensor:
        change = ((predicted.clean - clean) ** 2).mean(dim=1, keepdim=True)
        wanted.append(float((change * outside).sum() / outside.sum().clamp(min=1)))
        last = index == request.steps - 1
        original = clean if last else model.noised(clean, noise, levels[index + 1])
        return torch.where(mask_cells, latents, original)

    latents = denoised(
        model,
        model.noised(clean, noise, levels[0]),
        levels,
        picture.told(request.instruction),
        model.card.guidance,
        put_back,
    )
    return sum(wanted) / len(wanted), latents
