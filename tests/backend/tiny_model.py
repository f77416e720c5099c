"""An untrained InstructPix2Pix in diffusers' format, small enough to build in every test run.

The classes, the scheduler's configuration and the file layout are those of the real model, its VAE
factor of 8 too; only the widths are small and the weights random.
"""

import json
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    SchedulerMixin,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

WORDS = ("make", "the", "sphere", "red", "blue", "turn", "bear", "into", "a", "panda")
WIDTH = 16
"""Channels of a text encoder."""


def save_tiny_model(folder: Path, seed: int = 0) -> Path:
    """Write the model into `folder` and return it."""
    torch.manual_seed(seed)
    unet = _unet(cross_attention_dim=WIDTH)
    vae = _vae()
    tokenizer = _tokenizer()
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=vae,
        text_encoder=_text_encoder(CLIPTextModel, tokenizer),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=EulerAncestralDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    assert json.loads((folder / "model_index.json").read_text())["unet"]
    return folder


def save_tiny_text_to_image_model(folder: Path, scheduler: SchedulerMixin, seed: int = 0) -> Path:
    """Write a Stable Diffusion model, which is told of no picture, into `folder` and return it."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    pipeline = StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text_encoder(CLIPTextModel, tokenizer),
        tokenizer=tokenizer,
        unet=_unet(cross_attention_dim=WIDTH, in_channels=4),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_tiny_xl_model(
    folder: Path,
    scheduler: SchedulerMixin,
    seed: int = 0,
    one_encoder: bool = False,
    latents_mean: list[float] | None = None,
    latents_std: list[float] | None = None,
) -> Path:
    """Write one on Stable Diffusion XL into `folder` and return it; where asked for, with the
    second text encoder alone, and with statistics of its VAE's latents.
    """
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    pipeline = StableDiffusionXLInstructPix2PixPipeline(
        vae=_vae(latents_mean=latents_mean, latents_std=latents_std, scaling_factor=0.13025),
        text_encoder=None if one_encoder else _text_encoder(CLIPTextModel, tokenizer),
        text_encoder_2=_text_encoder(CLIPTextModelWithProjection, tokenizer),
        tokenizer=None if one_encoder else tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            cross_attention_dim=WIDTH if one_encoder else 2 * WIDTH,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=WIDTH + 6 * 8,
        ),
        scheduler=scheduler,
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _unet(**settings: object) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=4,
        **{"in_channels": 8} | settings,
    )


def _vae(**settings: object) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        **settings,
    )


def _tokenizer() -> CLIPTokenizer:
    letters = [chr(c) for c in range(33, 127)]
    words = [word + "</w>" for word in WORDS]
    vocabulary = [*letters, *(letter + "</w>" for letter in letters)]
    merges = _merges(WORDS)
    vocabulary += [a + b for a, b in merges] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = list(dict.fromkeys(vocabulary))
    assert set(words) <= set(vocabulary)
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(vocabulary)},
        merges=merges,
        model_max_length=12,
    )


Encoder = TypeVar("Encoder", CLIPTextModel, CLIPTextModelWithProjection)


def _text_encoder(kind: type[Encoder], tokenizer: CLIPTokenizer) -> Encoder:
    end = len(tokenizer) - 1
    encoder = kind(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            projection_dim=WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=12,
            bos_token_id=end - 1,
            eos_token_id=end,
            pad_token_id=end,
        )
    )
    with torch.no_grad():  # untrained text must still make a difference that tests can see
        for parameter in encoder.parameters():
            parameter.mul_(5.0)
    return encoder


def _merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Byte-pair merges that build every word from its letters, left to right."""
    merges: list[tuple[str, str]] = []
    for word in words:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
    return list(dict.fromkeys(merges))
