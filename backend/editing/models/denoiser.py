"""What a model has to offer: all that relevance maps (Eq. 2, 3) and guided edits (Eq. 4, 5) need.

Latents are float32 (B, c, h, w) in the units in which the noise has variance 1. How far they are
noised is a *level*, a number in 0..1: 0 is what the model's noising ends at, about the picture
itself, and 1 is noise. What lies between (a schedule's steps, a flow's time, a sigma) is the
model's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.editing.devices import in_words
from backend.editing.prompt_check import DEFAULT_EVIDENCE_LIMIT

from .guidance import DEFAULT_GUIDANCE, Guidance

Level = float | Tensor
"""One level for all, or float64 (B,) on the CPU, each its own."""
Conditions = Any
"""What a model is told of one image and one instruction; its own, and opaque to all others."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What others have to know about a model.

    Attributes:
        name: hub id, folder, "demo" or another that says which one it is.
        device, dtype: where and in which precision it runs.
        native_size: pixels a side that it was trained at.
        multiple: pixels that the sides of its pictures must be a multiple of.
        cell: pixels a latent cell, along each side.
        guidance: what it is best used with.
        evidence_limit: from which evidence an instruction counts as applying (prompt_check.py).
        views_evidence_limit: the same of all views of a scene together.
        unread: the end of an instruction that is too long for it, or "".
        english: whether it was trained on English instructions alone.
    """

    name: str
    device: torch.device
    dtype: torch.dtype
    native_size: int
    multiple: int
    cell: int
    guidance: Guidance = DEFAULT_GUIDANCE
    evidence_limit: float = DEFAULT_EVIDENCE_LIMIT
    views_evidence_limit: float = DEFAULT_EVIDENCE_LIMIT
    unread: Callable[[str], str] = lambda instruction: ""
    english: bool = True

    @property
    def device_name(self) -> str:
        """The device in words, as of `in_words`."""
        return in_words(self.device)

    def check_numbers(self, computed: Tensor) -> None:
        """Refuse what a network has computed where it is not numbers (float16 can overflow).

        Raises:
            FloatingPointError: it is not; the text says what to do.
        """
        if not computed.isfinite().all():
            advice = "choose float32 (--dtype float32)"
            if self.dtype == torch.float32:
                advice = "lower the guidance, or take another copy of the model"
            raise FloatingPointError(
                f"{self.name} computed values that are no numbers in {self.dtype}: {advice}."
            )


@dataclass(frozen=True)
class Encoding:
    """A picture as a model sees it.

    Attributes:
        latents: (1, c, h, w), E(I).
        condition: what else the model keeps of it, for its own conditions.
    """

    latents: Tensor
    condition: Any = None


@dataclass(frozen=True)
class Prediction:
    """What a model makes of noised latents, both (B, c, h, w).

    Attributes:
        clean: the latents without their noise.
        noise: the noise; `noised(clean, noise, level)` is what it was made of.
    """

    clean: Tensor
    noise: Tensor


class Denoiser(Protocol):
    """A model. See `Level`, `Conditions`; everything but `latents` is called in torch's inference
    mode, or without gradients.
    """

    @property
    def card(self) -> ModelCard:
        """What others have to know about it."""

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """Encode uint8 (H, W, 3), sides multiples of `card.multiple`."""

    def latents(self, pixels: Tensor) -> Tensor:
        """E(I) of float32 (B, 3, H, W), sRGB 0..1, sides multiples of `card.multiple`: the latents
        of `encode`, (B, c, h, w), with a gradient to the pixels where one is asked for.
        """

    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """Latents (1, c, h, w) to a uint8 (H, W, 3) picture.

        Raises:
            FloatingPointError: as `ModelCard.check_numbers`.
        """

    def conditions(self, encoding: Encoding, instruction: str) -> Conditions:
        """What it is told of a picture and an instruction. Kept as long as the picture is."""

    def noised(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """Latents (B, c, h, w) noised to a level, with standard normal noise."""

    def difference(self, noisy: Tensor, level: float, conditions: Sequence[Conditions]) -> Tensor:
        """What the instruction changes in the noise that is predicted, in units of that noise: the
        prediction with the instruction less that without, (B, c, h, w). Eq. 2 sums its absolute
        values.
        """

    def predict(
        self, noisy: Tensor, level: Level, conditions: Sequence[Conditions], guidance: Guidance
    ) -> Prediction:
        """The picture and the noise in latents (B, c, h, w), guided: Eq. 1, or the model's own."""

    def levels(self, steps: int, strength: float) -> list[float]:
        """The levels of an edit in `steps` steps from 0 < strength <= 1 down, those that steps
        start from: exactly so many. The last step ends at level 0.
        """


def draw_noise(seed: int, like: Tensor) -> Tensor:
    """(1, c, h, w) standard normal, at the size and on the device of latents (B, c, h, w). Drawn on
    the CPU, so that a seed means the same noise on every device.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn((1, *like.shape[1:]), generator=generator).to(like.device)
