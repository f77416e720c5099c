"""A model of Stable Diffusion 1.5's full size with random weights: as slow and as large as the real
InstructPix2Pix, and to be had without a network. Its pictures are noise.
"""

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from backend.editing.models.instruct_pix2pix import InstructPix2Pix
from backend.editing.models.registry import DEMO_WEIGHTS

NAME = "random weights at Stable Diffusion 1.5's size"
MAX_TOKENS = 77


def random_parts(small: bool = False) -> dict[str, Any]:
    """The components of a StableDiffusionInstructPix2PixPipeline; U-Net and text encoder in torch's
    default precision and on its default device, the VAE in float32 there.

    Args:
        small: a tenth as wide, to try in seconds what the full size takes minutes for.
    """
    widths = (32, 64, 64, 64) if small else (320, 640, 1280, 1280)
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64,
        in_channels=8,
        cross_attention_dim=768,
        attention_head_dim=8,
        block_out_channels=widths,
    )
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=2 if small else 12,
            num_attention_heads=12,
        )
    )
    precision = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        vae = AutoencoderKL(
            block_out_channels=(32, 32, 32, 32) if small else (128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        )
    finally:
        torch.set_default_dtype(precision)
    parts = {"unet": unet, "vae": vae, "text_encoder": text_encoder}
    for part in parts.values():
        part.eval().requires_grad_(False)
    return parts | {
        "tokenizer": CLIPTokenizer.from_pretrained(
            DEMO_WEIGHTS, subfolder="tokenizer", model_max_length=MAX_TOKENS
        ),
        "scheduler": DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
    }


def random_model(device: torch.device, dtype: torch.dtype, small: bool = False) -> InstructPix2Pix:
    """The model, made where it is to run and in the precision that it runs in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            parts = random_parts(small)
    finally:
        torch.set_default_dtype(before)
    return InstructPix2Pix(parts, NAME, device, dtype)
