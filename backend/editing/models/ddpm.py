"""The noise schedule that diffusion models of T steps are trained with (Ho et al., "Denoising
Diffusion Probabilistic Models", 2020; paper, section 3: the forward process).

    z_t = sqrt(a_t) z + sqrt(1 - a_t) noise,    t = 0..T-1
"""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .denoiser import Level, Prediction

PREDICTIONS = ("epsilon", "v_prediction")
"""What a network may predict: the noise, or v = sqrt(a_t) noise - sqrt(1 - a_t) z (Salimans and Ho,
"Progressive Distillation", 2022)."""


class Schedule(Protocol):
    """How a model's latents are noised, and what its network's outputs say about the noise."""

    def levels(self, steps: int, strength: float) -> list[float]:
        """As `Denoiser.levels`."""

    def model_input(self, noisy: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """What a network is given of latents (B, c, h, w), and its time, () or (B,)."""

    def noised(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """As `Denoiser.noised`."""

    def prediction(self, noisy: Tensor, level: Level, output: Tensor) -> Prediction:
        """What a network's output says about noisy latents, all (B, c, h, w)."""

    def noise_difference(self, outputs: Tensor, level: Level) -> Tensor:
        """The difference of two predictions of noise, from that of two outputs (B, c, h, w)."""


class Ddpm:
    """A schedule of T steps. Satisfies `Schedule`. Level l is step round(l T), or the last one.

    Attributes:
        alphas_cumprod: (T,) float64 on the CPU, the cumulative products a_t.
        predicts: one of PREDICTIONS.
    """

    def __init__(self, scheduler: Any, device: torch.device) -> None:
        """Takes the schedule of one of diffusers' schedulers for such models."""
        self.alphas_cumprod: Tensor = scheduler.alphas_cumprod.double().cpu()
        self.predicts: str = scheduler.config.prediction_type
        self._device = device

    def levels(self, steps: int, strength: float) -> list[float]:
        """`steps` levels from `strength` down, with trailing spacing. At strength 1 their steps are
        those of diffusers' DDIM with `timestep_spacing="trailing"`.
        """
        count = len(self.alphas_cumprod)
        spread = np.arange(steps, 0, -1) * (strength * count / steps)
        return [max(int(step), 0) / count for step in np.round(spread) - 1]

    def timestep(self, level: Level) -> Tensor:
        """int64, () or (B,): the step of a level."""
        count = len(self.alphas_cumprod)
        steps = (torch.as_tensor(level, dtype=torch.float64) * count).round().long()
        return steps.clamp(0, count - 1)

    def model_input(self, noisy: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """Latents as they are, and their step."""
        return noisy, self.timestep(level).to(self._device)

    def noised(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """Latents (B, c, h, w) noised to a level."""
        signal, sigma = self._signal_and_noise(level)
        return signal * clean + sigma * noise

    def prediction(self, noisy: Tensor, level: Level, output: Tensor) -> Prediction:
        """What a network's output says about noisy latents, all (B, c, h, w)."""
        signal, sigma = self._signal_and_noise(level)
        if self.predicts == "v_prediction":
            return Prediction(signal * noisy - sigma * output, signal * output + sigma * noisy)
        return Prediction((noisy - sigma * output) / signal, output)

    def noise_difference(self, outputs: Tensor, level: Level) -> Tensor:
        """The difference of two predictions of noise, from that of two outputs (B, c, h, w)."""
        if self.predicts == "v_prediction":
            return self._signal_and_noise(level)[0] * outputs
        return outputs

    def _signal_and_noise(self, level: Level) -> tuple[Tensor, Tensor]:
        """sqrt(a_t) and sqrt(1 - a_t), float32 (1 or B, 1, 1, 1)."""
        alpha = self.alphas_cumprod[self.timestep(level)].view(-1, 1, 1, 1)
        return alpha.sqrt().float().to(self._device), (1 - alpha).sqrt().float().to(self._device)
