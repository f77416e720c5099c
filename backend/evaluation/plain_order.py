"""What others compute, plainly written: the order in which the paper's authors find a map, and
diffusers' own pipeline on the networks of a loaded model.
"""

import copy
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from backend.editing.models.instruct_pix2pix import InstructPix2Pix


def pipeline_of(model: InstructPix2Pix) -> Any:
    """diffusers' own pipeline on a model's very networks, denoising by DDIM with trailing steps, as
    this program does. Its VAE is a copy where it must compute in the U-Net's precision.
    """
    vae = model.vae
    if vae.dtype != model.unet.dtype:
        vae = copy.deepcopy(vae).to(model.unet.dtype)
    alphas = model.schedule.alphas_cumprod  # type: ignore[attr-defined]
    betas = 1 - alphas / torch.cat([torch.ones(1, dtype=alphas.dtype), alphas[:-1]])
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=vae,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        unet=model.unet,
        scheduler=DDIMScheduler(
            trained_betas=betas.numpy(),
            timestep_spacing="trailing",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@torch.inference_mode()
def three_branch_map(
    pipeline: Any, image: NDArray[np.uint8], instruction: str, level: float, noise: Tensor
) -> NDArray[np.float32]:
    """A relevance map in the authors' order: all three branches of InstructPix2Pix's guidance are
    computed in one batch, as for a denoising step, and the one without the picture goes unused.

    Args:
        pipeline: of `pipeline_of`.
        image: uint8 (H, W, 3), sides of whole latent cells.
        instruction: what to change.
        level: 0..1, the noise level.
        noise: (1, c, h, w).

    Returns:
        float32 (h, w), 0..1: Eq. 2, clamped and stretched by Eq. 3.
    """
    unet, device = pipeline.unet, noise.device
    told, nothing = _embedded(pipeline, [instruction, ""])
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device, pipeline.vae.dtype)
    mode = pipeline.vae.encode(pixels / 127.5 - 1).latent_dist.mode().float()
    steps = len(pipeline.scheduler.alphas_cumprod)
    time = torch.tensor(min(round(level * steps), steps - 1), device=device)
    noisy = pipeline.scheduler.add_noise(
        mode * pipeline.vae.config.scaling_factor, noise, time[None]
    )
    given = torch.cat(
        [noisy.repeat(3, 1, 1, 1), torch.cat([mode, mode, torch.zeros_like(mode)])], dim=1
    )
    texts = torch.stack([told, nothing, nothing])
    predicted = unet(given.to(unet.dtype), time, encoder_hidden_states=texts).sample.float()
    with_text, without, _ = predicted.chunk(3)
    raw = (with_text - without).abs().sum(dim=1)[0].cpu().numpy().astype(np.float64)
    first, third = np.quantile(raw, [0.25, 0.75])
    clamped = np.minimum(raw, third + 1.5 * (third - first))
    stretched = (clamped - clamped.min()) / (clamped.max() - clamped.min())
    return np.asarray(stretched, np.float32)


def pipeline_edit(
    pipeline: Any,
    image: NDArray[np.uint8],
    instruction: str,
    start: Tensor,
    steps: int,
    guidance: tuple[float, float],
) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): the whole picture edited by diffusers' pipeline from latents (1, c, h, w),
    with the guidance (text, image).
    """
    made = pipeline(
        instruction,
        image=Image.fromarray(image),
        latents=start.to(pipeline.unet.dtype),
        num_inference_steps=steps,
        guidance_scale=guidance[0],
        image_guidance_scale=guidance[1],
        output_type="np",
    ).images[0]
    edited: NDArray[np.uint8] = (made * 255).round().astype(np.uint8)
    return edited


def _embedded(pipeline: Any, texts: list[str]) -> Tensor:
    """(N, tokens, channels)."""
    tokens = pipeline.tokenizer(
        texts,
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    embedded: Tensor = pipeline.text_encoder(tokens.to(pipeline.text_encoder.device))[0]
    return embedded
