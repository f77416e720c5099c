"""An untrained CLIP in transformers' format, small enough to build in every test run."""

from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

from backend.demo.world_clip import build_clip_tokenizer


def save_tiny_clip(folder: Path, seed: int = 0) -> Path:
    """Write one into `folder` and return it: with the preprocessing of OpenAI's, for pictures of 32
    pixels a side.
    """
    torch.manual_seed(seed)
    tokenizer = build_clip_tokenizer()
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 8,
    }
    text = sizes | {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = sizes | {"image_size": 32, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8))
    model.save_pretrained(folder)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    CLIPProcessor(processor, tokenizer).save_pretrained(folder)
    return folder
