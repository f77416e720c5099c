"""The real model's architecture at its full size, with random weights.

Stable Diffusion 1.5's widths, 1.07 billion parameters, loaded from float16 safetensors as the real
one is.
"""

import shutil
import time

import numpy as np
import psutil
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInstructPix2PixPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from backend.editing import Editor

NEEDED_MEMORY = 12 * 2**30
NEEDED_DISK = 4 * 2**30

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def full_size_model(tmp_path_factory, tiny_model):
    """A folder with the model."""
    folder = tmp_path_factory.mktemp("full-size")
    if psutil.virtual_memory().available < NEEDED_MEMORY:
        pytest.skip(f"needs {NEEDED_MEMORY / 2**30:.0f} GiB of free memory")
    if shutil.disk_usage(folder).free < NEEDED_DISK:
        pytest.skip(f"needs {NEEDED_DISK / 2**30:.0f} GiB of free disk")
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float16)
    try:
        unet = UNet2DConditionModel(
            sample_size=64, in_channels=8, cross_attention_dim=768, attention_head_dim=8
        )
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
            )
        )
    finally:
        torch.set_default_dtype(before)
    StableDiffusionInstructPix2PixPipeline(
        vae=vae.half(),
        text_encoder=text_encoder.half(),
        tokenizer=CLIPTokenizer.from_pretrained(
            tiny_model, subfolder="tokenizer", model_max_length=77
        ),
        unet=unet.half(),
        scheduler=EulerAncestralDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)
    yield folder
    shutil.rmtree(folder)


def test_full_size_model_localises_and_edits(full_size_model):
    # a CPU that only emulates bfloat16 takes many times as long in it as in float32
    dtype = "bfloat16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
    start = time.perf_counter()
    editor = Editor.from_pretrained(str(full_size_model), device="cpu", dtype=dtype)
    print(f"loaded in {time.perf_counter() - start:.1f} s")
    parameters = sum(p.numel() for p in editor.model.unet.parameters())
    assert parameters == 859_520_964 + 4 * 320 * 9  # SD 1.5, and four more input channels
    assert (editor.card.cell, editor.card.native_size) == (8, 512)
    image = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    editor.set_image(image)
    start = time.perf_counter()
    relevance = editor.relevance("turn the bear into a panda", seeds=(0,))
    print(f"relevance at 512x658 in {time.perf_counter() - start:.1f} s")
    assert relevance.values.shape == (64, 83)  # the short side at 512, the long one padded to 664
    assert np.isfinite(relevance.raw).all()
    assert relevance.values.max() == 1.0
    mask = np.zeros((700, 900), bool)
    mask[100:300, 200:500] = True
    edit = editor.edit("turn the bear into a panda", mask=mask, steps=2, image_guidance=1.0)
    assert edit.image.shape == image.shape
    assert (edit.image[~mask] == image[~mask]).all()
    assert (edit.image[mask] != image[mask]).any()
