"""What makes a second-order step of a DDIM step (Eq. 4).

DPM-Solver++(2M), Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion
Probabilistic Models", 2022, Algorithm 2: with z_t = a_t z + s_t noise, lambda = log(a / s), the
picture z as predicted in this step and in the last one, a step from level t to u is

    D   = z + (z - z_last) / (2 r),     r = (lambda_t - lambda_last) / (lambda_u - lambda_t)
    z_u = (s_u / s_t) z_t + (a_u - s_u a_t / s_t) D

With D = z it is DDIM, so that only the rest has to be added. Every cell of the latents is for
itself in it: what Eq. 5 puts back outside the mask says nothing to a cell inside.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .models.denoiser import Denoiser


@dataclass(frozen=True)
class Seen:
    """What an earlier step predicted.

    Attributes:
        clean: (B, c, h, w).
        level: float64 (B,), where the step began.
    """

    clean: Tensor
    level: Tensor


def second_order(
    model: Denoiser, clean: Tensor, level: Tensor, following: Tensor, last: Seen
) -> Tensor:
    """(B, c, h, w): what to add to latents that DDIM took from a level to the following one.

    Args:
        clean: (B, c, h, w) as predicted in this step.
        level, following: float64 (B,).
        last: the step before.
    """
    (signal, noise), (signal_u, noise_u), (signal_l, noise_l) = (
        _shares(model, one, clean) for one in (level, following, last.level)
    )
    there, at, before = (
        torch.log(a) - torch.log(s)
        for a, s in ((signal_u, noise_u), (signal, noise), (signal_l, noise_l))
    )
    weight = (signal_u - noise_u * signal / noise) * (there - at) / (2 * (at - before))
    # two steps at one level, of more steps than the schedule has: there is no slope to go by
    weight = torch.where(weight.isfinite(), weight, torch.zeros_like(weight)).to(clean)
    return weight * (clean - last.clean)


def _shares(model: Denoiser, level: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Of signal and noise in latents noised to levels (B,), float64 (B, 1, 1, 1) each, on the CPU:
    MPS has no float64.
    """
    one = like.new_ones(len(level), 1, 1, 1)
    nothing = torch.zeros_like(one)
    signal, noise = model.noised(one, nothing, level), model.noised(nothing, one, level)
    return signal.cpu().double(), noise.cpu().double()
