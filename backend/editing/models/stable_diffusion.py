"""Stable Diffusion: a model that is told what a picture shows, and of no other picture.

    eps = eps(z, "") + s_T (eps(z, text) - eps(z, ""))           classifier-free guidance

Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022; Rombach et al., "High-Resolution Image
Synthesis with Latent Diffusion Models", 2022. Its texts are captions ("a red cube"), not
instructions ("make the cube red"): methods use it that ask for a text-to-image model.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from torch import Tensor

from backend.errors import BadInput

from .ddpm import PREDICTIONS, Ddpm, Schedule
from .denoiser import Encoding, Level, Prediction
from .guidance import Guidance
from .instruct_pix2pix import ImageAndText, InstructPix2Pix


class StableDiffusion(InstructPix2Pix):
    """A model in the format of diffusers' StableDiffusionPipeline. Satisfies `Denoiser`, with
    captions where that says instructions; image guidance means nothing to it.

    It is what InstructPix2Pix was made from: the same but for the picture that it is not told of.
    """

    pipeline: ClassVar[type[DiffusionPipeline]] = StableDiffusionPipeline
    kind: ClassVar[str] = "a text-to-image model"
    is_told_of_picture: ClassVar[bool] = False
    default_guidance: ClassVar[Guidance] = Guidance(text=7.5, image=1.0)

    def _schedule(self, scheduler: Any, name: str, device: torch.device) -> Schedule:
        known = hasattr(scheduler, "alphas_cumprod")
        if not known or scheduler.config.prediction_type not in PREDICTIONS:
            raise BadInput(f"{name} predicts neither noise nor v on a schedule of DDPM's kind.")
        return Ddpm(scheduler, device)

    def conditions(self, encoding: Encoding, instruction: str) -> ImageAndText:
        """See `Denoiser`: the caption, and no channels of the picture."""
        nothing = encoding.latents[:, :0]
        return ImageAndText(self._text(instruction), self._text(""), nothing)

    def predict(
        self, noisy: Tensor, level: Level, conditions: Sequence[ImageAndText], guidance: Guidance
    ) -> Prediction:
        """Classifier-free guidance by the text: Eq. 1 at image guidance 1, without a picture."""
        return super().predict(noisy, level, conditions, Guidance(guidance.text, 1.0))
