"""Optimised latents instead of sampled ones: score distillation inside the relevance mask, as
appendix E of the paper's supplement compares itself with (its Eq. 13).

The supplement was not at hand when this was written. The form here is the gradient of Poole et al.,
"DreamFusion", 2023, on the latents themselves, kept inside the mask:

    z <- z - size * mask * w(t) (eps_hat(z_t, I, text) - eps),    w(t) = sigma_t^2

with t drawn from 0.02 to 0.98 of the schedule, eps drawn anew each time, and eps_hat guided
(Eq. 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.editing.distillation import HIGH, LOW, direction

from .method import Edited, Knob, Models, Need, Request, check
from .picture import Picture

STEP_SIZE = Knob("step size", (0.02, 0.05, 0.1, 0.2, 0.4), 0.1, 0.0, 10.0)
UPDATES_A_STEP = 3
"""Updates for each denoising step that other methods take: so many are needed to get anywhere."""


@dataclass(frozen=True)
class ScoreDistillation:
    """Score distillation inside the relevance map at its suggested threshold."""

    label: str = "score distillation in the mask"
    needs: Sequence[Need] = ()
    knob: Knob = STEP_SIZE

    @torch.inference_mode()
    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        editor = models.editor
        editor.set_image(request.image)
        relevance = editor.relevance(request.instruction)
        mask = relevance.at(*request.image.shape[:2]) >= relevance.suggested_threshold
        size = self.knob.at(request.knob)
        picture = Picture(editor.model, request.image)
        cells, told = picture.cells(mask), picture.told(request.instruction)
        model, latents = picture.model, picture.clean
        rng = np.random.default_rng(request.seed)
        for _ in range(UPDATES_A_STEP * request.steps):
            level = float(rng.uniform(LOW, HIGH))
            noise = _drawn(rng, latents)
            moved = direction(model, latents, noise, level, [told], model.card.guidance)
            latents = latents - size * cells * moved
        return Edited(picture.pasted(latents, mask), mask)


def _drawn(rng: np.random.Generator, like: Tensor) -> Tensor:
    """Standard normal, on whichever device the same."""
    return torch.from_numpy(rng.standard_normal(like.shape, np.float32)).to(like.device)
