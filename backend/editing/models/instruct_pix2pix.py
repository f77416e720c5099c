"""InstructPix2Pix: a model that is told of the input image and of an instruction.

    eps = eps(z, 0, 0) + s_I (eps(z, I, 0) - eps(z, 0, 0))
                       + s_T (eps(z, I, text) - eps(z, I, 0))                      (Eq. 1)

It is written here as a weighted sum over its three branches, which makes plain that a branch of
weight 0 need not be computed: at image guidance 1 the one without image and text.

Brooks et al., "InstructPix2Pix", 2023. Every size and factor is read from the model's own configs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModel

from backend.editing.prompt_check import DEFAULT_EVIDENCE_LIMIT, read_evidence_limits
from backend.errors import BadInput

from . import downloads
from .ddpm import Ddpm, Schedule
from .denoiser import Encoding, Level, ModelCard, Prediction
from .guidance import DEFAULT_GUIDANCE, Guidance, read_guidance
from .networks import COPY, check_tokenizer, lay_out, read_networks
from .source import Source

MAX_CACHED_TEXTS = 64


@dataclass(frozen=True)
class Text:
    """N embedded instructions.

    Attributes:
        tokens: (N, tokens, channels).
        pooled: (N, channels), one vector for each as a whole, or None where the network is told
            of none.
    """

    tokens: Tensor
    pooled: Tensor | None = None

    @classmethod
    def stacked(cls, texts: Sequence["Text"]) -> Self:
        """All of them."""
        pooled = [text.pooled for text in texts if text.pooled is not None]
        return cls(
            torch.cat([text.tokens for text in texts]), torch.cat(pooled) if pooled else None
        )


@dataclass(frozen=True)
class ImageAndText:
    """What the network is told of one image and one instruction.

    Attributes:
        text, no_text: the instruction, and "".
        image: (1, c, h, w) latents of the image, as the network was trained to be told of it.
    """

    text: Text
    no_text: Text
    image: Tensor


class InstructPix2Pix:
    """The networks of an InstructPix2Pix model and its noise schedule. Satisfies `Denoiser`.

    Made from the components of diffusers' StableDiffusionInstructPix2PixPipeline, which it takes
    as they are: on their device, in their precision and mode (see `load`).

    Attributes:
        card: what others have to know about it.
    """

    pipeline: ClassVar[type[DiffusionPipeline]] = StableDiffusionInstructPix2PixPipeline
    pipeline_options: ClassVar[dict[str, Any]] = {
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    networks: ClassVar[dict[str, type]] = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
    }
    kind: ClassVar[str] = "an InstructPix2Pix model"
    is_told_of_picture: ClassVar[bool] = True
    told_besides: ClassVar[str | None] = None  # as the U-Net's config names it
    default_guidance: ClassVar[Guidance] = DEFAULT_GUIDANCE

    def __init__(
        self,
        parts: Mapping[str, Any],
        name: str,
        device: torch.device,
        dtype: torch.dtype,
        guidance: Guidance | None = None,
        evidence_limits: tuple[float, float] = (DEFAULT_EVIDENCE_LIMIT, DEFAULT_EVIDENCE_LIMIT),
    ) -> None:
        """Args:
        parts: the pipeline's components by their names.
        name: of the card.
        device, dtype: where and in which precision U-Net and text encoders are. The VAE is in
            float32: Stable Diffusion's overflows in float16.
        guidance: what it is best used with, by default `default_guidance`.
        evidence_limits: of one image and of all views of a scene.

        Raises:
            BadInput: it is a model of another kind.
        """
        self.unet, self.vae = parts["unet"], parts["vae"]
        self.text_encoder, self.tokenizer = parts["text_encoder"], parts["tokenizer"]
        taken = self.vae.config.latent_channels * (2 if self.is_told_of_picture else 1)
        if self.unet.config.in_channels != taken:
            raise BadInput(
                f"{name} is not {self.kind}: its U-Net takes {self.unet.config.in_channels} "
                f"channels, not {taken}."
            )
        for tokenizer, encoder in self.text_encoders():
            check_tokenizer(name, tokenizer, encoder)
        read = sum(encoder.config.hidden_size for _, encoder in self.text_encoders())
        config = self.unet.config
        if (config.cross_attention_dim, config.addition_embed_type) != (read, self.told_besides):
            raise BadInput(
                f"The U-Net of {name} does not read what its texts are made into: {COPY}."
            )
        if config.sample_size is None:
            raise BadInput(f"The U-Net of {name} does not say at what size it was trained: {COPY}.")
        self.schedule = self._schedule(parts["scheduler"], name, device)
        cell = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.card = ModelCard(
            name=name,
            device=device,
            dtype=dtype,
            native_size=int(np.min(config.sample_size)) * cell,
            multiple=cell,
            cell=cell,
            guidance=guidance or self.default_guidance,
            evidence_limit=evidence_limits[0],
            views_evidence_limit=evidence_limits[1],
            unread=self.unread_text,
        )
        self._texts: dict[str, Text] = {}

    @classmethod
    def load(cls, source: Source) -> Self:
        """Read a model in diffusers' format; safetensors only.

        Raises:
            OSError, ValueError: its files cannot be read.
            BadInput: a file beside the model cannot be read, or it is a model of another kind.
        """
        folder = Path(source.place)
        if not folder.is_dir():
            with downloads.told():
                found = cls.pipeline.download(
                    source.place, use_safetensors=True, **cls.pipeline_options
                )
            folder = Path(found)
        dtypes = dict.fromkeys(cls.networks, source.dtype) | {"vae": torch.float32}
        pipeline: Any = cls.pipeline.from_pretrained(
            folder,
            **read_networks(folder, cls.networks, dtypes),
            local_files_only=True,
            **cls.pipeline_options,
        )
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.to(source.device).eval().requires_grad_(False)
                lay_out(part, source.device)
        return cls(
            cls.parts_of(pipeline),
            source.name,
            source.device,
            source.dtype,
            read_guidance(folder, cls.default_guidance),
            read_evidence_limits(folder),
        )

    @classmethod
    def parts_of(cls, pipeline: Any) -> dict[str, Any]:
        """What `__init__` takes of a pipeline."""
        parts: dict[str, Any] = pipeline.components
        return parts

    def _schedule(self, scheduler: Any, name: str, device: torch.device) -> Schedule:
        known = hasattr(scheduler, "alphas_cumprod")
        if not known or scheduler.config.prediction_type != "epsilon":
            raise BadInput(f"{name} does not predict noise; Eq. 2 needs a model that does.")
        return Ddpm(scheduler, device)

    def text_encoders(self) -> list[tuple[Any, Any]]:
        """Tokenizers and the text encoders that they belong to."""
        return [(self.tokenizer, self.text_encoder)]

    # ------------------------------------------------------------ pictures and words

    def encode(self, image: NDArray[np.uint8]) -> Encoding:
        """See `Denoiser`. The latents are the mode of the posterior, scaled; the condition is that
        mode as it is, which InstructPix2Pix was trained on.
        """
        pixels = torch.tensor(image).permute(2, 0, 1)[None]
        mode = self._mode(pixels.to(self.card.device, self.vae.dtype) / 127.5 - 1.0)
        return Encoding(self._scaled(mode), mode)

    def latents(self, pixels: Tensor) -> Tensor:
        """See `Denoiser`."""
        return self._scaled(self._mode(pixels.to(self.card.device, self.vae.dtype) * 2.0 - 1.0))

    def _mode(self, normalised: Tensor) -> Tensor:
        """Of the posterior, of pixels (B, 3, H, W) in -1..1."""
        mode: Tensor = self.vae.encode(normalised).latent_dist.mode().float()
        return mode

    def _scaled(self, mode: Tensor) -> Tensor:
        """A mode in the units in which the noise has variance 1."""
        scaled: Tensor = mode * self.vae.config.scaling_factor
        return scaled

    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """See `Denoiser`."""
        unscaled = latents / self.vae.config.scaling_factor
        decoded = self.vae.decode(unscaled.to(self.vae.dtype)).sample[0]
        self.card.check_numbers(decoded)
        pixels = ((decoded.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        image: NDArray[np.uint8] = pixels.permute(1, 2, 0).cpu().numpy()
        return image

    def conditions(self, encoding: Encoding, instruction: str) -> ImageAndText:
        """See `Denoiser`. A text is embedded once, for whichever images."""
        return ImageAndText(self._text(instruction), self._text(""), encoding.condition)

    def _text(self, instruction: str) -> Text:
        if instruction not in self._texts:
            if len(self._texts) >= MAX_CACHED_TEXTS:
                self._texts.pop(next(iter(self._texts)))
            self._texts[instruction] = self.embed_text(instruction)
        return self._texts[instruction]

    def forget_texts(self) -> None:
        """Nothing that was embedded before is there any more."""
        self._texts.clear()

    def embed_text(self, instruction: str) -> Text:
        """One instruction, as diffusers' own pipeline embeds it; what is longer than the model
        reads is cut off (see `unread_text`).
        """
        ids = self.token_ids(self.tokenizer, instruction)
        return Text(self.text_encoder(ids)[0])

    def token_ids(self, tokenizer: Any, instruction: str) -> Tensor:
        """int64 (1, tokens), as many as the model reads."""
        ids: Tensor = tokenizer(
            instruction,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return ids.to(self.card.device)

    def unread_text(self, instruction: str) -> str:
        """The end of an instruction that is too long for the text encoder, or ""."""
        ids = self.tokenizer(instruction, add_special_tokens=False).input_ids
        room = self.tokenizer.model_max_length - 2
        return str(self.tokenizer.decode(ids[room:])).strip() if len(ids) > room else ""

    # ------------------------------------------------------------ noise

    def levels(self, steps: int, strength: float) -> list[float]:
        """See `Denoiser`."""
        return self.schedule.levels(steps, strength)

    def noised(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        """See `Denoiser`."""
        return self.schedule.noised(clean, noise, level)

    def difference(self, noisy: Tensor, level: float, conditions: Sequence[ImageAndText]) -> Tensor:
        """See `Denoiser`: two branches, the image with the instruction and with ""."""
        images = torch.cat([one.image for one in conditions])
        with_text, without = self._branches(
            noisy,
            level,
            [
                ([one.text for one in conditions], images),
                ([one.no_text for one in conditions], images),
            ],
        )
        return self.schedule.noise_difference(with_text - without, level)

    def predict(
        self, noisy: Tensor, level: Level, conditions: Sequence[ImageAndText], guidance: Guidance
    ) -> Prediction:
        """Eq. 1, from only the branches that count."""
        texts, no_texts = [one.text for one in conditions], [one.no_text for one in conditions]
        images = torch.cat([one.image for one in conditions])
        weighted = [
            (guidance.text, (texts, images)),
            (guidance.image - guidance.text, (no_texts, images)),
            (1.0 - guidance.image, (no_texts, torch.zeros_like(images))),
        ]
        counting = [(weight, branch) for weight, branch in weighted if weight != 0.0]
        outputs = self._branches(noisy, level, [branch for _, branch in counting])
        weights = torch.tensor([weight for weight, _ in counting], device=noisy.device)
        output = (weights.view(-1, 1, 1, 1, 1) * outputs).sum(dim=0)
        return self.schedule.prediction(noisy, level, output)

    def _branches(
        self, noisy: Tensor, level: Level, branches: Sequence[tuple[Sequence[Text], Tensor]]
    ) -> Tensor:
        """The network's outputs (K, B, c, h, w) for latents (B, c, h, w) in K branches, B texts and
        images (B, c, h, w) each, all in one batch.
        """
        count = len(branches)
        outputs = self.network(
            noisy.repeat(count, 1, 1, 1),
            level.repeat(count) if isinstance(level, Tensor) else level,
            Text.stacked([text for texts, _ in branches for text in texts]),
            torch.cat([images for _, images in branches]),
        )
        return outputs.unflatten(0, (count, -1))

    def network(self, noisy: Tensor, level: Level, text: Text, image: Tensor) -> Tensor:
        """The U-Net's output float32 (N, c, h, w) for N noised latents, texts and images."""
        latents, timestep = self.schedule.model_input(noisy, level)
        output: Tensor = self.unet(
            torch.cat([latents, image], dim=1).to(self.card.dtype),
            timestep,
            encoder_hidden_states=text.tokens,
            **self._added(text, image),
        ).sample.float()
        return output

    def _added(self, text: Text, image: Tensor) -> dict[str, Any]:
        """What else the U-Net is given."""
        return {}
