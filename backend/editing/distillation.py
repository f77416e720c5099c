"""Score distillation: where a model's prediction of noise would move a picture, without denoising
it.

    direction = w(t) (eps_hat(z_t, I, text) - eps),    z_t = sqrt(a_t) z + sqrt(1 - a_t) eps,
    w(t) = 1 - a_t

Poole et al., "DreamFusion", 2023, Eq. 3; eps_hat is guided (Eq. 1). It is taken for the gradient by
the latents z, and carried on from there to whatever made them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .models.denoiser import Conditions, Denoiser
from .models.guidance import Guidance

LOW, HIGH = 0.02, 0.98
"""The noise levels that are drawn from, as in DreamFusion."""


@torch.no_grad()
def direction(
    model: Denoiser,
    latents: Tensor,
    noise: Tensor,
    level: float,
    told: Sequence[Conditions],
    guidance: Guidance,
) -> Tensor:
    """The gradient (B, c, h, w) by latents (B, c, h, w); against it they go where the model says.

    Args:
        model: that predicts noise.
        latents: clean ones.
        noise: standard normal, of their shape.
        level: 0..1, that they are noised to.
        told: what the model is told of each.
        guidance: how strongly it is held to it.

    Raises:
        FloatingPointError: the networks overflowed.
    """
    predicted = model.predict(model.noised(latents, noise, level), level, told, guidance).noise
    model.card.check_numbers(predicted)
    zeros, ones = torch.zeros_like(latents), torch.ones_like(latents)
    sigma, signal = model.noised(zeros, ones, level), model.noised(ones, zeros, level)
    weight = sigma**2 / (sigma**2 + signal**2)  # of a schedule that keeps the variance: sigma^2
    return weight * (predicted - noise)
