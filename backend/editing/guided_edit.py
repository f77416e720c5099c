"""Editing inside a mask: the relevance-guided denoising loop.

    z_{t-1} = DDIM(z_t, eps)                                                       (Eq. 4)
    z_{t-1} = mask * z_{t-1} + (1 - mask) * (E(I) noised to t-1)                   (Eq. 5)

eps is the guided prediction of noise: Eq. 1, which stands with its model (models/). All is written
for B images of one size at once, each of which may start from its own level: its result is what it
would be alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from backend.errors import BadInput
from protocol.settings import SpeedSettings

from .deep_features import DeepFeatures
from .models.denoiser import Conditions, Denoiser, Prediction
from .models.guidance import UNGUIDED, Guidance
from .solvers import Seen, second_order


@dataclass(frozen=True)
class Step:
    """One denoising step that has been taken.

    Attributes:
        index, count: this step, from 0, and how many there are.
        level: float64 (B,), 0..1, the noise levels that it started from.
        prediction: (B, c, h, w) latents of the clean images as predicted in this step; outside the
            mask those of the input.
    """

    index: int
    count: int
    level: Tensor
    prediction: Tensor


@torch.inference_mode()
def guided_edit(
    model: Denoiser,
    clean: Tensor,
    conditions: Sequence[Conditions],
    mask: Tensor,
    noise: Tensor,
    *,
    guidance: Guidance,
    steps: int,
    strengths: Sequence[float],
    start: Tensor | None = None,
    on_step: Callable[[Step], None] | None = None,
    speed: SpeedSettings = SpeedSettings(),
    deep: DeepFeatures | None = None,
) -> Tensor:
    """Denoise noised images under an instruction, keeping each as it is outside its mask.

    Args:
        clean: (B, c, h, w) E(I) of the images.
        conditions: B, of the images and the instruction.
        mask: (B, 1, h, w) bool, True where an image may change.
        noise: (B, c, h, w) standard normal; the start and every return to the input use it.
        guidance: how strongly instruction and image guide.
        steps: number of denoising steps.
        strengths: B of 0 < strength <= 1, the noise level that each image's edit starts from.
        start: (B, c, h, w) latents that are noised and denoised, where it is not the image: a
            render of an edited scene, which stays conditioned on the original image.
        on_step: called after every step; what it raises ends the edit.
        speed: of its own, the solver and the interval of guidance; as they are by default, all is
            as in the paper.
        deep: is told of every step. Images of several strengths with an interval of guidance have
            their deep features computed anew together, whichever of them asks for it.

    Returns:
        (B, c, h, w) latents of the edited images; outside the mask exactly E(I).

    Raises:
        BadInput: the interval of guidance ends below where it begins.
        FloatingPointError: as `ModelCard.check_numbers`.
    """
    if speed.guidance_low > speed.guidance_high:
        raise BadInput(
            "Guide from a lower noise level to a higher one: --guidance-low "
            f"{speed.guidance_low:g} is above --guidance-high {speed.guidance_high:g}."
        )
    # (steps + 1, B): every image has its own level in every step, and all end at level 0
    levels = torch.tensor(
        [[*model.levels(steps, one), 0.0] for one in strengths], dtype=torch.float64
    ).T
    # 1. start from the input (or what was made of it so far), noised to the first level
    latents = model.noised(clean if start is None else start, noise, levels[0])
    guided = (levels >= speed.guidance_low) & (levels <= speed.guidance_high)
    seen: Seen | None = None
    for index in range(steps):
        level, following = levels[index], levels[index + 1]
        same = guided[index] == guided[max(index - 1, 0)]  # as guided as in the step before
        if deep is not None:
            deep.next_step(anew=index == 0 or not bool(same.all()))
        # 2. predict the noise with the instruction (Eq. 1)
        predicted = _predicted(model, latents, level, conditions, guidance, guided[index])
        model.card.check_numbers(predicted.noise)
        # 3. one deterministic DDIM step from this level to the next (Eq. 4), or one of second order
        last = index == steps - 1
        latents = model.noised(predicted.clean, predicted.noise, following)
        if seen is not None and not last:
            more = second_order(model, predicted.clean, level, following, seen)
            latents = torch.where(same.view(-1, 1, 1, 1).to(more.device), latents + more, latents)
        if speed.solver == "dpm++":
            seen = Seen(predicted.clean, level)
        # 4. outside the mask, put the input back, noised to the level just reached (Eq. 5)
        original = clean if last else model.noised(clean, noise, following)
        latents = torch.where(mask, latents, original)
        if on_step is not None:
            shown = torch.where(mask, predicted.clean, clean)
            on_step(Step(index, steps, level, shown))
    return latents


def _predicted(
    model: Denoiser,
    noisy: Tensor,
    level: Tensor,
    conditions: Sequence[Conditions],
    guidance: Guidance,
    guided: Tensor,
) -> Prediction:
    """The prediction for B images, of which those that `guided`, bool (B,), says are guided.

    Kynkäänniemi et al., "Applying Guidance in a Limited Interval Improves Sample and Distribution
    Quality in Diffusion Models", 2024.
    """
    if bool(guided.all()):
        return model.predict(noisy, level, conditions, guidance)
    if not bool(guided.any()):
        return model.predict(noisy, level, conditions, UNGUIDED)
    clean, noise = torch.empty_like(noisy), torch.empty_like(noisy)
    for which, how in ((guided, guidance), (~guided, UNGUIDED)):
        some = which.nonzero()[:, 0]
        told = [conditions[int(one)] for one in some]
        part = some.to(noisy.device)
        found = model.predict(noisy[part], level[some], told, how)
        clean[part], noise[part] = found.clean, found.noise
    return Prediction(clean, noise)


def counted_on(on_step: Callable[[Step], None], batch: int, batches: int) -> Callable[[Step], None]:
    """The same, told the steps of one of several batches, counted on from those before."""

    def counted(step: Step) -> None:
        index, count = batch * step.count + step.index, batches * step.count
        on_step(replace(step, index=index, count=count))

    return counted
