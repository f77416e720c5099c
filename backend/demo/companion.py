"""The demo model's text-to-image companion: its parts, and saving it.

It is the demo model's own UNet without the half of its input that is told of a picture, trained on
captions in some of its layers (`TRAINED`). Only those are stored, with a text encoder of its
own, since captions are longer than instructions and say other things; all else is the demo
model's. `backend.editing.models.demo_text_to_image` puts the two together.
"""

from __future__ import annotations

import copy
import re
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from backend.demo.model import build_text_encoder, whole_folder
from backend.editing.models.demo_text_to_image import (
    CHANGED_FILE,
    fingerprint,
    without_picture,
)
from backend.editing.models.guidance import Guidance, write_guidance

GUIDANCE = Guidance(text=3.0, image=1.0)
KEPT = re.compile(
    r"(down_blocks\.2|mid_block|up_blocks\.0)\.(resnets|upsamplers|attentions\..*\.ff)\b"
)
"""What stays as the demo model has it: at the coarsest level everything but what looks around and
reads. It holds 6 of 10 million parameters."""


def trained(name: str) -> bool:
    """Whether a parameter of the UNet is one of those that learn captions."""
    return KEPT.match(name) is None


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
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(trained(name))
    encoder = build_text_encoder(tokenizer)
    theirs = CLIPTextModel.from_pretrained(weights, subfolder="text_encoder").float()
    values = theirs.state_dict()
    for name, own in encoder.state_dict().items():
        if name in values and own.shape != values[name].shape:
            more = len(own) - len(values[name])
            values[name] = torch.cat([values[name], values[name][-1:].expand(more, -1)])
    encoder.load_state_dict(values)
    return unet, encoder


def changed(unet: nn.Module) -> dict[str, Tensor]:
    """The parameters that learn captions, by name, float16."""
    return {
        name: parameter.detach().half().cpu().contiguous()
        for name, parameter in unet.named_parameters()
        if trained(name)
    }


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
    with whole_folder(folder) as beside:
        save_file(changed(unet), beside / CHANGED_FILE, {"base": fingerprint(weights)})
        copy.deepcopy(text_encoder).half().save_pretrained(beside / "text_encoder")
        tokenizer.save_pretrained(beside / "tokenizer")
        write_guidance(beside, GUIDANCE)
