"""The text-to-image companion of the embedded demo model.

Its folder holds what it does not share with the demo model: a text encoder, a tokenizer, and by how
much its UNet's parameters differ, in 8 bits each. The rest is read from the demo model's folder;
the first layer loses the channels that take a picture.
"""

import hashlib
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from backend.errors import BadInput

from .networks import COPY, read_network

CHANGES_FILE = "unet.safetensors"
"""`changes` of the UNet; its metadata has the base's `fingerprint`."""
STEP = ".step"


def changes(values: dict[str, Tensor], base: dict[str, Tensor]) -> dict[str, Tensor]:
    """By how much parameters differ from those of a base, for a small file.

    Returns:
        By their names, for weights int8 numbers of the same shape, and by their names with `STEP`
        appended float32 (rows, 1, ...), what a number stands for in each row; for what has one axis
        (biases, norms), which are few, the differences in float16.
    """
    stored: dict[str, Tensor] = {}
    for name, value in values.items():
        change = (value - base[name]).detach().float().cpu()
        if change.ndim < 2:
            stored[name] = change.half().contiguous()
            continue
        most = change.abs().flatten(1).amax(1).view(-1, *[1] * (change.ndim - 1))
        step = (most / 127).clamp(min=1e-12)
        stored[name] = (change / step).round().to(torch.int8).contiguous()
        stored[name + STEP] = step
    return stored


def changed(base: dict[str, Tensor], stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The base's parameters (float32) with `changes`.

    Raises:
        KeyError: a change is missing.
    """
    values = {}
    for name, value in base.items():
        change = stored[name].float()
        if change.ndim > 1:
            change = change * stored[name + STEP]
        values[name] = value + change
    return values


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
    path = folder / CHANGES_FILE
    with safe_open(str(path), "pt") as file:
        if file.metadata().get("base") != fingerprint(weights):
            raise BadInput(
                f"The text-to-image model in {folder} was trained beside another demo model than "
                f"the one in {weights}: train it again with `python -m backend.demo.train --stages "
                "captions export-captions`."
            )
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        unet.load_state_dict(changed(unet.state_dict(), stored))
    except KeyError as error:
        raise BadInput(f"{path} lacks {error.args[0]}: {COPY}.") from error
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
