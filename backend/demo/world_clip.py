"""The world CLIP's parts: a small CLIP in transformers' format, its tokenizer and preprocessing,
saving.

It stands in, under its own name, for OpenAI's weights where these cannot be had, so that every
figure which needs a CLIP can be computed and checked without a network. It knows the demo world and
nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from backend.demo.model import PICTURE_SIZE, build_tokenizer, whole_folder
from backend.editing.encoders import WORLD_CLIP

MAX_CAPTION_TOKENS = 48
"""The longest caption of the world has 37."""
PATCH = 16
"""Pixels of a patch's side; a picture has 8x8 of them."""
VISION_WIDTH = 160
TEXT_WIDTH = 128
EMBEDDING = 128
HALF = [0.5, 0.5, 0.5]


def build_clip_tokenizer() -> CLIPTokenizer:
    """The demo model's tokenizer, for texts as long as captions are."""
    tokenizer = build_tokenizer()
    tokenizer.model_max_length = MAX_CAPTION_TOKENS
    return tokenizer


def build_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """An untrained one: 4 layers for pictures, 2 for texts, 1.5 million parameters."""
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=3 * TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=MAX_CAPTION_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        projection_dim=EMBEDDING,
    )
    vision = CLIPVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=3 * VISION_WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=PICTURE_SIZE,
        patch_size=PATCH,
        projection_dim=EMBEDDING,
    )
    return CLIPModel(
        CLIPConfig(
            text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=EMBEDDING
        )
    )


def build_image_processor() -> CLIPImageProcessor:
    """Whole pictures of any shape, squeezed to the native square: captions tell of all of them."""
    return CLIPImageProcessor(
        size={"height": PICTURE_SIZE, "width": PICTURE_SIZE},
        do_center_crop=False,
        image_mean=HALF,
        image_std=HALF,
    )


def tokenize_captions(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """Token ids, int64 (len(captions), MAX_CAPTION_TOKENS), padded and cut to length."""
    return tokenizer(
        list(captions), padding="max_length", truncation=True, return_tensors="pt"
    ).input_ids


def save_clip(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path = WORLD_CLIP) -> None:
    """Writes the model in half precision where `folder` is, replacing what was there only when all
    is written.
    """
    with whole_folder(folder) as beside:
        copy.deepcopy(model).to(torch.float16).save_pretrained(beside)
        CLIPProcessor(build_image_processor(), tokenizer).save_pretrained(beside)
