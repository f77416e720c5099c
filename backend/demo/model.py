"""The demo model's parts: a small but real InstructPix2Pix in diffusers' format, its tokenizer,
saving and loading.
"""

from __future__ import annotations

import copy
import itertools
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from tokenizers import pre_tokenizers
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from backend.editing.models.guidance import Guidance, write_guidance
from backend.world import instructions
from protocol import files

WEIGHTS = Path(__file__).parent / "weights"
SCALING_FACTOR = 0.18215
PICTURE_SIZE = 128
LATENT_FACTOR = 4
MAX_TOKENS = 24
GUIDANCE = Guidance(text=1.5, image=1.0)
"""Chosen on views of captures of validation scenes (docs/demo-model-diary.md): to this model the
empty instruction means "no change", so that there is little to make up for; and at 1 a branch
cancels.
"""
TEXT_WIDTH = 128
NOISE_SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}
"""Stable Diffusion's own schedule."""


def build_vae() -> AutoencoderKL:
    """Factor 4, 4 latent channels, without attention, so that any size costs in proportion to its
    area.
    """
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,  # small groups normalise a picture's own colours away
        sample_size=PICTURE_SIZE,
        scaling_factor=SCALING_FACTOR,
        mid_block_add_attention=False,
    )
    for name, parameter in vae.named_parameters():
        if name.endswith("conv2.weight"):  # every residual block starts near the identity
            parameter.data.mul_(0.1)
    return vae


def build_unet() -> UNet2DConditionModel:
    """Text reaches the two coarser levels (16x16 and 8x8 at the native size)."""
    unet = UNet2DConditionModel(
        sample_size=PICTURE_SIZE // LATENT_FACTOR,
        in_channels=8,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(32, 128, 192),
        cross_attention_dim=TEXT_WIDTH,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,  # diffusers' historical name: this is the number of heads
        norm_num_groups=4,
    )
    with torch.no_grad():  # the image condition is not scaled, the noisy latents are
        unet.conv_in.weight[:, 4:] *= SCALING_FACTOR
    return unet


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A two-layer CLIP text model for the tokenizer's vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            projection_dim=TEXT_WIDTH,
        )
    )


def build_tokenizer() -> CLIPTokenizer:
    """CLIP's byte-level tokenizer with a vocabulary of its own: one token for each word of the
    world, bytes for the rest, so that any text in any script has tokens.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = _merges([w for w in instructions.vocabulary() if w.isalpha()])
    pieces = [*alphabet, *(a + "</w>" for a in alphabet), *(a + b for a, b in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS)


def _merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent pair first, until every word is one piece. Ties go by the
    alphabet: the library's own trainer breaks them by chance, and every process must agree.
    """
    spelled = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while any(len(pieces) > 1 for pieces in spelled):
        pairs = Counter(pair for pieces in spelled for pair in itertools.pairwise(pieces))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for pieces in spelled:
            for i in range(len(pieces) - 1, 0, -1):
                if tuple(pieces[i - 1 : i + 1]) == best:
                    pieces[i - 1 : i + 1] = ["".join(best)]
    return merges


def tokenize(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Token ids, int64 (len(texts), MAX_TOKENS), padded and cut to length."""
    return tokenizer(
        list(texts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids


def ddim_scheduler() -> DDIMScheduler:
    """Deterministic sampling on the model's own schedule; spacing and end point as the paper's DDIM
    needs them.
    """
    return DDIMScheduler(
        **NOISE_SCHEDULE,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="trailing",
    )


def save_pipeline(
    folder: Path,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> None:
    """Writes the model in half precision where `folder` is, with what guidance it is best used
    with, replacing what was there only when all is written.
    """
    scheduler = EulerAncestralDiscreteScheduler(
        **NOISE_SCHEDULE, steps_offset=1, timestep_spacing="leading"
    )
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=copy.deepcopy(vae),
        text_encoder=copy.deepcopy(text_encoder),
        tokenizer=tokenizer,
        unet=copy.deepcopy(unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    with whole_folder(folder) as beside:
        pipeline.to(torch.float16).save_pretrained(beside, safe_serialization=True)
        for config in beside.glob("*/config.json"):
            values = json.loads(config.read_text("utf-8"))
            values.pop("_name_or_path", None)  # the folder of this machine that a part came from
            config.write_text(json.dumps(values, indent=2) + "\n", "utf-8")
        write_guidance(beside, GUIDANCE)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside this one to write a model into, which takes its place only when the block has
    written all.
    """
    files.make_folder(folder.parent)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield beside
        beside.chmod(0o755)
        if folder.exists():
            files.delete_folder(folder, f"{beside.name}-old")
        files.move_folder(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load_pipeline(folder: Path = WEIGHTS) -> StableDiffusionInstructPix2PixPipeline:
    """The model in float32, with DDIM sampling. Raises FileNotFoundError where the folder holds no
    model.
    """
    if not (folder / "model_index.json").exists():
        raise FileNotFoundError(
            f"{folder} holds no demo model: train one with `python -m backend.demo.train`."
        )
    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(
        folder, safety_checker=None, torch_dtype=torch.float32, local_files_only=True
    )
    pipeline.scheduler = ddim_scheduler()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def to_tensor(images: Sequence[np.ndarray]) -> Tensor:
    """uint8 (H, W, 3) pictures as float32 (N, 3, H, W) in -1..1, channels last."""
    stacked = torch.stack([torch.from_numpy(image) for image in images])
    tensor = stacked.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return tensor.contiguous(memory_format=torch.channels_last)
