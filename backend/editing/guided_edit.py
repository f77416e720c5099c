"""Editing inside a mask: classifier-free guidance and the relevance-guided denoising loop.

    eps = eps(z, 0, 0) + s_I (eps(z, I, 0) - eps(z, 0, 0))
                       + s_T (eps(z, I, text) - eps(z, I, 0))                      (Eq. 1)
    z_{t-1} = DDIM(z_t, eps)                                                       (Eq. 4)
    z_{t-1} = mask * z_{t-1} + (1 - mask) * (E(I) noised to t-1)                   (Eq. 5)

Eq. 1 is written here as a weighted sum over its three branches, which makes plain that a branch of
weight 0 need not be computed: at image guidance 1 the one without image and text.

All is written for B images of one size at once, each of which may start from its own level: its
result is what it would be alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .backbone import Backbone, stack_branches


@dataclass(frozen=True)
class Step:
    """One denoising step that has been taken.

    Attributes:
        index, count: this step, from 0, and how many there are.
        timestep: (B,) the noise levels that it started from, as indices into the schedule.
        prediction: (B, c, h, w) scaled latents of the clean images as predicted in this step.
    """

    index: int
    count: int
    timestep: Tensor
    prediction: Tensor


def timesteps(steps: int, strength: float, train_steps: int) -> list[int]:
    """`steps` levels from strength * T down, with trailing spacing; each an index 0..T-1.

    At strength 1 these are those of diffusers' DDIM with `timestep_spacing="trailing"`.
    """
    levels = np.arange(steps, 0, -1) * (strength * train_steps / steps)
    return [max(int(level), 0) for level in np.round(levels) - 1]


def guided_noise(
    backbone: Backbone,
    latents: Tensor,
    timestep: Tensor,
    image_latents: Tensor,
    text: Tensor,
    no_text: Tensor,
    text_guidance: float,
    image_guidance: float,
) -> Tensor:
    """Eq. 1: the guided noise prediction (B, c, h, w), from only the branches that count.

    Raises:
        FloatingPointError: as `Backbone.check_numbers`.
    """
    no_image = torch.zeros_like(image_latents)
    weighted = [
        (text_guidance, (text, image_latents)),
        (image_guidance - text_guidance, (no_text, image_latents)),
        (1.0 - image_guidance, (no_text, no_image)),
    ]
    counting = [(weight, branch) for weight, branch in weighted if weight != 0.0]
    count = len(counting)
    predictions = backbone.predict_noise(
        latents.repeat(count, 1, 1, 1),
        timestep.repeat(count),
        stack_branches([branch for _, branch in counting]),
    ).unflatten(0, (count, -1))
    backbone.check_numbers(predictions)
    weights = torch.tensor([weight for weight, _ in counting], device=latents.device)
    return (weights.view(-1, 1, 1, 1, 1) * predictions).sum(dim=0)


@torch.inference_mode()
def guided_edit(
    backbone: Backbone,
    image_latents: Tensor,
    text: Tensor,
    no_text: Tensor,
    mask: Tensor,
    noise: Tensor,
    *,
    text_guidance: float,
    image_guidance: float,
    steps: int,
    strengths: Sequence[float],
    start: Tensor | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Tensor:
    """Denoise noised images under an instruction, keeping each as it is outside its mask.

    Args:
        image_latents: (B, c, h, w) unscaled latents of the images.
        text, no_text: (1, n, d) embeddings of the instruction and of "".
        mask: (B, 1, h, w) bool, True where an image may change.
        noise: (B, c, h, w) standard normal; the start and every return to the input use it.
        text_guidance, image_guidance: s_T and s_I of Eq. 1.
        steps: number of denoising steps.
        strengths: B of 0 < strength <= 1, the noise level that each image's edit starts from.
        start: (B, c, h, w) unscaled latents that are noised and denoised, where it is not the
            image: a render of an edited scene, which stays conditioned on the original image.
        on_step: called after every step; what it raises ends the edit.

    Returns:
        (B, c, h, w) scaled latents of the edited images; outside the mask exactly E(I).
    """
    clean = image_latents * backbone.scaling
    train_steps = len(backbone.alphas_cumprod)
    # (steps, B): every image has its own level in every step
    levels = torch.tensor([timesteps(steps, one, train_steps) for one in strengths]).T
    # 1. start from the input (or what was made of it so far), noised to the first level
    first = clean if start is None else start * backbone.scaling
    latents = backbone.add_noise(first, noise, levels[0])
    for index, timestep in enumerate(levels):
        # 2. predict the noise with the instruction (Eq. 1)
        eps = guided_noise(
            backbone, latents, timestep, image_latents, text, no_text, text_guidance, image_guidance
        )
        # 3. one deterministic DDIM step from this level to the next (Eq. 4)
        signal, sigma = backbone.signal_and_noise(timestep)
        prediction = (latents - sigma * eps) / signal
        last = index == steps - 1
        # Stable Diffusion's schedules end at the first level, not at alpha = 1 (set_alpha_to_one).
        following = torch.zeros_like(timestep) if last else levels[index + 1]
        latents = backbone.add_noise(prediction, eps, following)
        # 4. outside the mask, put the input back, noised to the level just reached (Eq. 5)
        original = clean if last else backbone.add_noise(clean, noise, following)
        latents = torch.where(mask, latents, original)
        if on_step is not None:
            on_step(Step(index, steps, timestep, prediction))
    return latents
