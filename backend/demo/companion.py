"""The demo model's text-to-image companion: its parts, and saving it.

It is the demo model's own UNet without the half of its input that is told of a picture, trained on
captions. Only by how much that changed it is stored, with a text encoder of its own, since captions
are longer than instructions and say other things; the VAE is the demo model's.
`backend.editing.models.demo_text_to_image` puts the two together.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from backend.demo.model import build_text_encoder, whole_folder
from backend.editing.models.demo_text_to_image import (
    CHANGES_FILE,
    changes,
    fingerprint,
    without_picture,
)
from backend.editing.models.guidance import Guidance, write_guidance

GUIDANCE = Guidance(text=2.0, image=1.0)


def begin(weights: Path, tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """What the training begins with: the demo model's, in float32.

    Args:
        weights: the demo model's folder.
        tokenizer: of captions. The text encoder's places beyond those of instructions begin as the
            last of these.
    """
    unet = without_picture(
        UNet2DConditionModel.from_pretrained(weights, subfolder="unet", torch_dtype=torch.float32)
    )
    encoder = build_text_encoder(tokenizer)
    theirs = CLIPTextModel.from_pretrained(weights, subfolder="text_encoder").float()
    values = theirs.state_dict()
    for name, own in encoder.state_dict().items():
        if name in values and own.shape != values[name].shape:
            more = len(own) - len(values[name])
            values[name] = torch.cat([values[name], values[name][-1:].expand(more, -1)])
    encoder.load_state_dict(values)
    return unet, encoder


def save(
    folder: Path,
    weights: Path,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> None:
    """Writes what the demo model in `weights` lacks, in half precision, where `folder` is,
    replacing what was there only when all is written.
    """
    base = without_picture(
        UNet2DConditionModel.from_pretrained(weights, subfolder="unet", torch_dtype=torch.float32)
    )
    stored = changes(unet.state_dict(), base.state_dict())
    with whole_folder(folder) as beside:
        save_file(stored, beside / CHANGES_FILE, {"base": fingerprint(weights)})
        copy.deepcopy(text_encoder).half().save_pretrained(beside / "text_encoder")
        tokenizer.save_pretrained(beside / "tokenizer")
        write_guidance(beside, GUIDANCE)
