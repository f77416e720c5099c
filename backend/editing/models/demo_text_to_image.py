"""The text-to-image companion of the embedded demo model.

Its folder holds what it does not share with the demo model: a text encoder, a tokenizer, and those
parameters of the UNet that learnt captions. The rest is read from the demo model's folder; the
first layer loses the channels that take a picture.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors import safe_open
from transformers import CLIPTextModel, CLIPTokenizer

from backend.errors import BadInput

from .networks import COPY, read_network

CHANGED_FILE = "unet.safetensors"
"""Parameters float16 by their names in the UNet; its metadata has the base's `fingerprint`."""


def without_picture(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """An InstructPix2Pix's UNet (c + c channels) that is told of no picture: what it computes where
    its picture is all 0, from c channels.
    """
    channels = unet.config.in_channels // 2
    cut = UNet2DConditionModel.from_config({**unet.config, "in_channels": channels})
    values = unet.state_dict()
    values["conv_in.weight"] = values["conv_in.weight"][:, :channels].clone()
    cut.load_state_dict(values)
    return cut.to(unet.dtype)


def fingerprint(weights: Path) -> str:
    """Which UNet a model's folder holds: the SHA-256 of its file."""
    return hashlib.sha256(
        (weights / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    ).hexdigest()


def read_demo_text_to_image(
    folder: Path, weights: Path, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """The parts of a StableDiffusionPipeline, by their names there.

    Args:
        folder: of the companion.
        weights: of the demo model.
        device, dtype: where and in which precision U-Net and text encoder are to be; the VAE is in
            float32.

    Raises:
        OSError, ValueError: files are missing or cannot be read.
        BadInput: the two do not belong together.
    """
    unet = without_picture(read_network(weights, "unet", UNet2DConditionModel, torch.float32))
    with safe_open(str(folder / CHANGED_FILE), "pt") as file:
        if file.metadata().get("base") != fingerprint(weights):
            raise BadInput(
                f"The text-to-image model in {folder} was trained beside another demo model than "
                f"the one in {weights}: train it again with `python -m backend.demo.train --stages "
                "captions export-captions`."
            )
        values = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    if unexpected := unet.load_state_dict(values, strict=False).unexpected_keys:
        raise BadInput(f"{folder / CHANGED_FILE} holds {unexpected[0]}, which is unknown: {COPY}.")
    parts = {
        "unet": unet.to(dtype),
        "text_encoder": read_network(folder, "text_encoder", CLIPTextModel, dtype),
        "vae": read_network(weights, "vae", AutoencoderKL, torch.float32),
    }
    for part in parts.values():
        part.to(device).eval().requires_grad_(False)
    return parts | {
        "tokenizer": CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        "scheduler": DDIMScheduler.from_pretrained(
            weights,
            subfolder="scheduler",
            clip_sample=False,
            set_alpha_to_one=False,
            timestep_spacing="trailing",
        ),
    }
