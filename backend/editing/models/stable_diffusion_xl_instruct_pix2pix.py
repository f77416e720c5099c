"""InstructPix2Pix on Stable Diffusion XL, and CosXL-edit, which is told of the noise by its sigma.

What differs from InstructPix2Pix: two text encoders, whose last layer but one counts, and one
pooled vector of them; the picture's size as a further condition; another VAE; and noise schedules.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import DiffusionPipeline, StableDiffusionXLInstructPix2PixPipeline
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModelWithProjection

from backend.errors import BadInput

from .ddpm import PREDICTIONS, Ddpm, Schedule
from .denoiser import Encoding, Level, Prediction
from .guidance import Guidance
from .instruct_pix2pix import InstructPix2Pix, Text


class StableDiffusionXLInstructPix2Pix(InstructPix2Pix):
    """A model in the format of diffusers' StableDiffusionXLInstructPix2PixPipeline.

    CosXL-edit is of this class, too: a scheduler of the EDM kind, and image latents that are
    scaled. A saved pipeline does not say the latter; the scheduler does.
    """

    pipeline: ClassVar[type[DiffusionPipeline]] = StableDiffusionXLInstructPix2PixPipeline
    pipeline_options: ClassVar[dict[str, Any]] = {"add_watermarker": False}
    networks: ClassVar[dict[str, type]] = {
        **InstructPix2Pix.networks,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    told_besides: ClassVar[str | None] = "text_time"
    default_guidance: ClassVar[Guidance] = Guidance(text=5.0, image=1.5)

    def __init__(self, parts: Mapping[str, Any], *arguments: Any, **named: Any) -> None:
        """As InstructPix2Pix's, with what `parts_of` takes of a pipeline."""
        self._encoders = [
            (parts.get(f"tokenizer{number}"), parts[f"text_encoder{number}"])
            for number in ("", "_2")
            if parts.get(f"text_encoder{number}") is not None
        ]
        self._empty_is_zero: bool = parts["force_zeros_for_empty_prompt"]
        self._image_is_scaled: bool = parts["is_cosxl_edit"] or _is_edm(parts["scheduler"])
        tokenizer, encoder = self._encoders[0]
        super().__init__(
            {**parts, "tokenizer": tokenizer, "text_encoder": encoder}, *arguments, **named
        )

    def text_encoders(self) -> list[tuple[Any, Any]]:
        """The first may be missing."""
        return self._encoders

    @classmethod
    def parts_of(cls, pipeline: Any) -> dict[str, Any]:
        """Its components, and what it says about conditions."""
        return pipeline.components | {
            "force_zeros_for_empty_prompt": pipeline.config.force_zeros_for_empty_prompt,
            "is_cosxl_edit": bool(pipeline.is_cosxl_edit),
        }

    def _schedule(self, scheduler: Any, name: str, device: torch.device) -> Schedule:
        if _is_edm(scheduler) and scheduler.config.prediction_type in PREDICTIONS:
            return Edm(scheduler, device)
        known = hasattr(scheduler, "alphas_cumprod")
        if not known or scheduler.config.prediction_type not in PREDICTIONS:
            raise BadInput(
                f"{name} predicts {scheduler.config.get('prediction_type', 'a flow')} for "
                f"{type(scheduler).__name__}; Eq. 2 needs a model that predicts noise or v for a "
                "schedule of DDPM's or EDM's kind."
            )
        return Ddpm(scheduler, device)

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """See `Denoiser`."""
        encoding = super().encode(image)
        mode = encoding.condition
        if self._image_is_scaled:
            return Encoding(encoding.latents, mode * self.vae.config.scaling_factor)
        return encoding

    def _scaled(self, mode: Tensor) -> Tensor:
        mean, deviation = self._statistics()
        scaled: Tensor = (mode - mean) / deviation * self.vae.config.scaling_factor
        return scaled

    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """See `Denoiser`."""
        mean, deviation = self._statistics()
        return super().decode(latents * deviation + mean * self.vae.config.scaling_factor)

    def _statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of the VAE's latents, (c, 1, 1), where its config says them."""
        config, device = self.vae.config, self.card.device
        mean, deviation = config.get("latents_mean"), config.get("latents_std")
        if mean is None or deviation is None:
            mean, deviation = [0.0], [1.0]
        return (
            torch.tensor(mean, device=device).view(-1, 1, 1),
            torch.tensor(deviation, device=device).view(-1, 1, 1),
        )

    def embed_text(self, instruction: str) -> Text:
        """As InstructPix2Pix's; an empty one is zeros where the model was trained so."""
        outputs = [
            encoder(self.token_ids(tokenizer, instruction), output_hidden_states=True)
            for tokenizer, encoder in self._encoders
        ]
        tokens = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        pooled: Tensor = outputs[-1][0]  # the projection of the last text encoder
        if not instruction and self._empty_is_zero:
            return Text(torch.zeros_like(tokens), torch.zeros_like(pooled))
        return Text(tokens, pooled)

    def _added(self, text: Text, image: Tensor) -> dict[str, Any]:
        """The pooled texts, and the pictures' sizes: as it was, uncropped, as wanted."""
        height, width = (side * self.card.cell for side in image.shape[2:])
        sizes = torch.tensor([height, width, 0, 0, height, width], device=image.device)
        sizes = sizes.to(text.tokens.dtype).expand(len(image), -1)
        return {"added_cond_kwargs": {"text_embeds": text.pooled, "time_ids": sizes}}


def _is_edm(scheduler: Any) -> bool:
    return "sigma_data" in scheduler.config


class Edm:
    """Noise by its deviation sigma, z + sigma noise, as Karras et al., "Elucidating the Design
    Space of Diffusion-Based Generative Models", 2022, and CosXL have it. Satisfies `Schedule`.

    Level l is sigma = sigma_data tan(l pi / 2), the cosine schedule continued: signal and noise
    have the shares cos and sin of it. It is kept within the range of sigmas that the model knows;
    level 0 is what its sampling ends at.
    """

    def __init__(self, scheduler: Any, device: torch.device) -> None:
        """Takes the range and the preconditioning of one of diffusers' schedulers of this kind."""
        self._scheduler, self._config, self._device = scheduler, scheduler.config, device
        self._last = 0.0 if self._config.final_sigmas_type == "zero" else self._config.sigma_min

    def levels(self, steps: int, strength: float) -> list[float]:
        """See `Schedule`: at strength 1 the sigmas are those of the scheduler itself."""
        low = self._config.sigma_min
        high = float(self._known(self._config.sigma_data * math.tan(strength * math.pi / 2)))
        if self._config.sigma_schedule == "karras":
            rho = self._config.get("rho", 7.0)
            sigmas = np.linspace(high ** (1 / rho), low ** (1 / rho), steps) ** rho
        else:
            sigmas = np.geomspace(high, low, steps)
        return [math.atan(sigma / self._config.sigma_data) * 2 / math.pi for sigma in sigmas]

    def sigma(self, level: Level) -> Tensor:
        """float64, () or (B,): the deviation of a level's noise."""
        levels = torch.as_tensor(level, dtype=torch.float64)
        sigma = self._known(self._config.sigma_data * torch.tan(levels * (math.pi / 2)))
        return torch.where(levels > 0, sigma, self._last)

    def model_input(self, noisy: Tensor, level: Level) -> tuple[Tensor, Tensor]:
        """See `Schedule`: scaled to the same deviation for all sigmas."""
        sigma = self._known(self.sigma(level)).float().to(self._device)
        scaled: Tensor = self._scheduler.precondition_inputs(noisy, sigma.view(-1, 1, 1, 1))
        return scaled, self._scheduler.precondition_noise(sigma)

    def noised(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """See `Schedule`."""
        return clean + self.sigma(level).view(-1, 1, 1, 1).float().to(self._device) * noise

    def prediction(self, noisy: Tensor, level: Level, output: Tensor) -> Prediction:
        """See `Schedule`."""
        sigma = self._known(self.sigma(level)).view(-1, 1, 1, 1).float().to(self._device)
        clean: Tensor = self._scheduler.precondition_outputs(noisy, output, sigma)
        return Prediction(clean, (noisy - clean) / sigma)

    def noise_difference(self, outputs: Tensor, level: Level) -> Tensor:
        """See `Schedule`."""
        return self.prediction(torch.zeros_like(outputs), level, outputs).noise

    def _known(self, sigma: Any) -> Tensor:
        """The nearest sigma that the model was trained with."""
        sigmas = torch.as_tensor(sigma, dtype=torch.float64)
        return sigmas.clamp(self._config.sigma_min, self._config.sigma_max)
