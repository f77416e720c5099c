"""An InstructPix2Pix model in diffusers' format, seen as the few functions that the paper uses.

Brooks et al., "InstructPix2Pix", 2023. Every size and factor is read from the model's own configs.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers.utils.logging
import numpy as np
import torch
import transformers.utils.logging
from diffusers import StableDiffusionInstructPix2PixPipeline
from numpy.typing import NDArray
from torch import Tensor

from backend.errors import BadInput

from .guidance import Guidance, read_guidance
from .prompt_check import DEFAULT_EVIDENCE_LIMIT, read_evidence_limits

logger = logging.getLogger(__name__)

DEFAULT_MODEL = "timbrooks/instruct-pix2pix"
DEMO_MODEL = "demo"
DEMO_WEIGHTS = Path(__file__).parent.parent / "demo" / "weights"


class ModelNotFound(BadInput):
    """A model that is neither a folder nor to be had from the hub; the text says what to do."""


@dataclass(frozen=True)
class Conditioning:
    """What the U-Net is told beside the noised latents; one entry for each branch.

    Attributes:
        text: (B, tokens, channels) embedded instruction.
        image: (B, c, h, w) unscaled latents of the input image, zeros where it is left out.
    """

    text: Tensor
    image: Tensor


class Backbone:
    """The networks of one InstructPix2Pix model and its noise schedule.

    Made from the components of diffusers' StableDiffusionInstructPix2PixPipeline, which it takes
    as they are: on their device, in their precision and mode (see `load_backbone`).

    Attributes:
        name: hub id, folder or "demo".
        device, dtype: where and in which precision U-Net and text encoder run. The VAE runs in
            float32: Stable Diffusion's overflows in float16.
        factor: pixels a latent cell, along each side.
        multiple: pixels that an image's sides must be a multiple of.
        native_size: pixels a side that the model was trained at.
        latent_channels: c of all latents (B, c, h, w).
        alphas_cumprod: (T,) float64 on the CPU, the schedule's cumulative products.
        evidence_limit: from which evidence an instruction counts as applying (prompt_check.py).
        views_evidence_limit: the same of all views of a scene together.
        guidance: what it is best used with (guidance.py).
    """

    def __init__(
        self,
        parts: dict[str, Any],
        name: str,
        device: torch.device,
        dtype: torch.dtype,
        evidence_limit: float = DEFAULT_EVIDENCE_LIMIT,
        guidance: Guidance | None = None,
        views_evidence_limit: float | None = None,
    ) -> None:
        self.name = name
        self.evidence_limit = evidence_limit
        self.views_evidence_limit = (
            evidence_limit if views_evidence_limit is None else views_evidence_limit
        )
        self.guidance = guidance or Guidance()
        self.device = device
        self.dtype = dtype
        self.unet = parts["unet"]
        self.text_encoder = parts["text_encoder"]
        self.tokenizer = parts["tokenizer"]
        self.vae = parts["vae"]
        if self.unet.config.in_channels != 2 * self.vae.config.latent_channels:
            raise BadInput(
                f"{name} is not an InstructPix2Pix model: its U-Net takes "
                f"{self.unet.config.in_channels} channels, not "
                f"{2 * self.vae.config.latent_channels}."
            )
        if parts["scheduler"].config.prediction_type != "epsilon":
            raise BadInput(f"{name} does not predict noise; Eq. 2 needs a model that does.")
        self.factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.multiple = self.factor
        self.native_size = self.unet.config.sample_size * self.factor
        self.latent_channels: int = self.vae.config.latent_channels
        self.scaling: float = self.vae.config.scaling_factor
        self.alphas_cumprod: Tensor = parts["scheduler"].alphas_cumprod.double().cpu()

    @property
    def device_name(self) -> str:
        """The device in words, such as "cuda (NVIDIA RTX 4090)" or "cpu"."""
        if self.device.type == "cuda":
            return f"cuda ({torch.cuda.get_device_name(self.device)})"
        return self.device.type

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

    def encode_image(self, image: NDArray[np.uint8]) -> Tensor:
        """uint8 (H, W, 3), sides multiples of `multiple`, to unscaled latents (1, c, h, w).

        They are the mode of the posterior, which IP2P was trained on as image condition; times
        `scaling` they are E(I), float32.

        Raises:
            FloatingPointError: as `check_numbers`.
        """
        pixels = torch.tensor(image).permute(2, 0, 1)[None]
        normalised = pixels.to(self.device, self.vae.dtype) / 127.5 - 1.0
        latents: Tensor = self.vae.encode(normalised).latent_dist.mode().float()
        self.check_numbers(latents)
        return latents

    def decode(self, latents: Tensor) -> NDArray[np.uint8]:
        """Scaled latents (1, c, h, w) to a uint8 (H, W, 3) image.

        Raises:
            FloatingPointError: as `check_numbers`.
        """
        decoded = self.vae.decode((latents / self.scaling).to(self.vae.dtype)).sample[0]
        self.check_numbers(decoded)
        pixels = ((decoded.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        image: NDArray[np.uint8] = pixels.permute(1, 2, 0).cpu().numpy()
        return image

    def embed_text(self, instruction: str) -> Tensor:
        """(1, tokens, channels) embedding of an instruction, as diffusers' own pipeline makes it;
        what is longer than the model reads is cut off (see `unread_text`).
        """
        tokens = self.tokenizer(
            instruction,
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        embedding: Tensor = self.text_encoder(tokens.to(self.device))[0]
        return embedding

    def unread_text(self, instruction: str) -> str:
        """The end of an instruction that is too long for the text encoder, or ""."""
        ids = self.tokenizer(instruction, add_special_tokens=False).input_ids
        room = self.tokenizer.model_max_length - 2
        return str(self.tokenizer.decode(ids[room:])).strip() if len(ids) > room else ""

    def predict_noise(
        self, latents: Tensor, timestep: int | Tensor, conditioning: Conditioning
    ) -> Tensor:
        """eps(z_t, t, image, text) for B branches in one batch.

        Args:
            latents: (B, c, h, w) noised latents, or (1, c, h, w), the same for every branch.
            timestep: index into `alphas_cumprod`, or int64 (B,), each branch's own.
            conditioning: B branches.

        Returns:
            (B, c, h, w) float32.
        """
        branches = conditioning.text.shape[0]
        stacked = torch.cat([latents.expand(branches, -1, -1, -1), conditioning.image], dim=1)
        noise: Tensor = self.unet(
            stacked.to(self.dtype),
            torch.as_tensor(timestep, device=self.device),
            encoder_hidden_states=conditioning.text,
        ).sample.float()
        return noise

    def draw_noise(self, seed: int, height: int, width: int) -> Tensor:
        """(1, c, height, width) float32 standard normal latents. Drawn on the CPU, so that a
        seed means the same noise on every device.
        """
        generator = torch.Generator("cpu").manual_seed(seed)
        noise = torch.randn((1, self.latent_channels, height, width), generator=generator)
        return noise.to(self.device)

    def signal_and_noise(self, timestep: int | Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_t) and sqrt(1 - alpha_t), float32 (B, 1, 1, 1), of one timestep or B, (B,)."""
        alpha = self.alphas_cumprod[timestep].view(-1, 1, 1, 1)
        return alpha.sqrt().float().to(self.device), (1 - alpha).sqrt().float().to(self.device)

    def add_noise(self, latents: Tensor, noise: Tensor, timestep: int | Tensor) -> Tensor:
        """Latents (B, c, h, w) noised to `timestep`, one for all or each its own, (B,) (paper,
        section 3: the forward process).
        """
        signal, sigma = self.signal_and_noise(timestep)
        return signal * latents + sigma * noise


def load_backbone(model: str = "auto", device: str = "auto", dtype: str = "auto") -> Backbone:
    """Load a model in diffusers' StableDiffusionInstructPix2Pix format; safetensors only.

    Args:
        model: a hub id, a folder, "demo" for the embedded model, or "auto" for
            `timbrooks/instruct-pix2pix` where it can be had and the embedded one where not.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" (float16 on CUDA, float32 elsewhere), "float32", "float16", "bfloat16".

    Raises:
        ModelNotFound: there is no such model, or it is not of this format.
        BadInput: no such device or dtype, or a file beside the model cannot be read.
    """
    torch_device = _resolve_device(device)
    torch_dtype = _resolve_dtype(dtype, torch_device)
    name = resolve_model(model)
    source = str(DEMO_WEIGHTS) if name == DEMO_MODEL else name
    # Bars for the half second that reading takes; the hub's own bars for downloads stay.
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    try:
        pipeline: Any = StableDiffusionInstructPix2PixPipeline.from_pretrained(
            source,
            dtype={"default": torch_dtype, "vae": torch.float32},
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            local_files_only=Path(source).is_dir(),
        )
    except (OSError, ValueError) as error:
        raise ModelNotFound(
            f"{source} cannot be loaded as an InstructPix2Pix model in diffusers' format with "
            f"safetensors weights: {error}"
        ) from error
    for part in ("unet", "text_encoder", "vae"):
        getattr(pipeline, part).to(torch_device).eval().requires_grad_(False)
    limit, views_limit = read_evidence_limits(Path(source))
    guidance = read_guidance(Path(source))
    return Backbone(
        pipeline.components, name, torch_device, torch_dtype, limit, guidance, views_limit
    )


def resolve_model(model: str) -> str:
    """Which model `model` means: a hub id, a folder or "demo". See `load_backbone`.

    Raises:
        ModelNotFound: it looks like a folder and is none, or is neither folder nor hub id.
    """
    if model == DEMO_MODEL:
        return model
    if model == "auto":
        if hub_has(DEFAULT_MODEL):
            return DEFAULT_MODEL
        logger.warning("%s cannot be had here: using the embedded demo model.", DEFAULT_MODEL)
        return DEMO_MODEL
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "model_index.json").is_file():
            raise ModelNotFound(
                f"{folder} is not a model in diffusers' format: it has no model_index.json."
            )
        return str(folder)
    # A wrong folder must not send diffusers to the network for half a minute.
    if model.count("/") != 1 or model.startswith((".", "~", "/")):
        raise ModelNotFound(
            f"There is no folder {model}: give a folder with a model in diffusers' format, a hub "
            f'id such as {DEFAULT_MODEL}, or "{DEMO_MODEL}".'
        )
    if not hub_has(model):
        raise ModelNotFound(
            f"{model} is neither a folder here nor to be had from the hub: check its name and the "
            f'network, or use "{DEMO_MODEL}".'
        )
    return model


def hub_has(model: str) -> bool:
    """Whether the hub's cache on this machine or, within seconds, the hub itself has a model."""
    import httpx2  # what huggingface_hub asks with; it lets errors of the network through
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(huggingface_hub.try_to_load_from_cache(model, "model_index.json"), str):
        return True
    try:
        return bool(huggingface_hub.file_exists(model, "model_index.json"))
    except (OSError, HfHubHTTPError, httpx2.HTTPError) as error:
        logger.info("the hub cannot be asked for %s: %s", model, error)
        return False


def _resolve_device(device: str) -> torch.device:
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise BadInput(f"There is no device {device!r}: use auto, cpu, cuda or mps.") from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise BadInput("There is no CUDA device here: use --device cpu, or check the driver.")
    return resolved


def _resolve_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    choices = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if dtype not in choices:
        raise BadInput(f"dtype {dtype!r} is not one of auto, {', '.join(choices)}.")
    return choices[dtype]


def stack_branches(branches: Sequence[tuple[Tensor, Tensor]]) -> Conditioning:
    """Conditioning of branches for B images, branch by branch, from pairs of a text (1, n, d) and
    image latents (B, c, h, w).
    """
    texts = [text.expand(len(images), -1, -1) for text, images in branches]
    return Conditioning(torch.cat(texts), torch.cat([images for _, images in branches]))
