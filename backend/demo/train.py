"""`python -m backend.demo.train`: makes the demo model from nothing, or trains it on.

The stages, each of which goes on where a killed run stopped:

    render   pictures and edits of training seeds                 CACHE/pictures
    vae      pictures to latents and back                         CACHE/vae.pt
    encode   the pictures' latents                                CACHE/vae, CACHE/latents
    unet     InstructPix2Pix on the latents                       CACHE/unet.pt, CACHE/unet.jsonl
    decoder  the VAE's decoder alone, the latents fixed           CACHE/vae
    export   the averaged weights in half precision               backend/demo/weights
    captions the text-to-image companion on the latents           CACHE/captions.pt, captions.jsonl
    export-captions  what of its weights differs from those       backend/demo/text_to_image
"""

from __future__ import annotations

import argparse
import os
from functools import cache, partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from backend.counts import check_options
from backend.demo import companion, training
from backend.demo.encode import encode_pool
from backend.demo.heads import Heads
from backend.demo.model import (
    PICTURE_SIZE,
    WEIGHTS,
    build_text_encoder,
    build_tokenizer,
    build_unet,
    ddim_scheduler,
    save_pipeline,
)
from backend.demo.train_captions import averaged_companion, train_captions
from backend.demo.train_unet import train_unet
from backend.demo.train_vae import finished_vae, replace_folder, train_decoder, train_vae
from backend.editing.models.instruct_pix2pix import InstructPix2Pix
from backend.editing.models.registry import DEMO_TEXT_TO_IMAGE
from backend.editing.models.stable_diffusion import StableDiffusion
from backend.errors import BadInput
from backend.evaluation.captions import Question, edit_questions, right_answers
from backend.evaluation.maps import checkpoint_figures
from backend.evaluation.retrieval import draw_pairs
from backend.evaluation.samples import Probe, draw_present, encode
from backend.world import pool, world

STAGES = (
    "render",
    "vae",
    "encode",
    "unet",
    "decoder",
    "export",
    "captions",
    "export-captions",
)
DEFAULT_CACHE = Path(__file__).parents[2] / ".cache" / "demo"
DEFAULT_SHARDS = 152
DEFAULT_MINUTES = {"vae": 25.0, "unet": 90.0, "decoder": 10.0, "captions": 60.0}


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m backend.demo.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default: all")
    add("--cache", type=Path, default=DEFAULT_CACHE, help="pool, checkpoints and curves")
    add("--weights", type=Path, default=WEIGHTS, help="where `export` writes")
    add(
        "--text-to-image",
        type=Path,
        default=DEMO_TEXT_TO_IMAGE,
        help="where `export-captions` writes",
    )
    add("--start", type=Path, default=WEIGHTS, help="the model to go on from without a checkpoint")
    add("--from-nothing", action="store_true", help="begin anew, not from `--start`")
    add("--minutes", type=float, help="of each training stage; default: the recipe's")
    add("--shards", type=int, default=DEFAULT_SHARDS, help="of 64 scenes each, to render")
    add(
        "--first-shard", type=int, default=0, help="the number of the first; shard k has seeds 64k+"
    )
    add("--batch", type=int, default=32, help="samples a step and process")
    add("--rate", type=float, default=1e-3, help="the UNet's learning rate")
    add("--falling", type=float, default=0.4, help="share of the UNet's minutes its rate falls in")
    add("--conflict", type=float, default=0.6, help="share of conflict augmentation")
    add(
        "--naming-minutes", type=float, default=10.0, help="of names alone, at the UNet's beginning"
    )
    add("--check-minutes", type=float, default=4.0, help="between checkpoints of the UNet")
    add("--check-samples", type=int, default=96, help="held-out samples of a checkpoint's figures")
    add(
        "--blend",
        type=Path,
        metavar="MODEL",
        help="export the means of the checkpoint's parameters and of those of this earlier model, "
        "whose training it went on with",
    )
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="of torch")
    add("--processes", type=int, help="default: one a core on a CPU, one on a GPU")
    options = parser.parse_args(arguments)
    try:
        check_options(options)
    except BadInput as error:
        parser.error(str(error))
    if options.processes is None:
        options.processes = (os.cpu_count() or 1) if options.device == "cpu" else 1
    for stage in STAGES:
        if stage in options.stages:
            print(f"stage {stage}", flush=True)
            _RUN[stage](options)


def _minutes(options: argparse.Namespace, stage: str) -> float:
    return DEFAULT_MINUTES[stage] if options.minutes is None else options.minutes


def _render(options: argparse.Namespace) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    shards = range(options.first_shard, options.first_shard + options.shards)
    rendered = pool.render_shards(options.cache / "pictures", shards, os.cpu_count() or 1)
    for number, path in enumerate(rendered, 1):
        print(f"{path.name} ({number} of {len(shards)})", flush=True)


def _starts_from_weights(options: argparse.Namespace) -> bool:
    """Whether a finished model is where a run without checkpoints begins."""
    return not options.from_nothing and (options.start / "model_index.json").exists()


def _vae(options: argparse.Namespace) -> None:
    if (options.cache / "vae").exists() or (
        _starts_from_weights(options) and not (options.cache / "vae.pt").exists()
    ):
        print(
            "the VAE is finished, its latents are what the UNet knows: to train it on, remove "
            f"{options.cache / 'vae'} and {options.cache / 'latents'} first",
            flush=True,
        )
        return
    arguments = (options.cache, _minutes(options, "vae"), options.batch // 2, 2e-3)
    training.run_group(train_vae, arguments, options.processes, options.device)


def _encode(options: argparse.Namespace) -> None:
    folder = options.cache / "vae"
    if not folder.exists():
        if (options.cache / "vae.pt").exists() or not _starts_from_weights(options):
            vae = finished_vae(options.cache)
        else:
            vae = AutoencoderKL.from_pretrained(options.start / "vae", torch_dtype=torch.float32)
        replace_folder(vae, folder)
    arguments = (options.cache, folder)
    training.run_group(encode_pool, arguments, options.processes, options.device)


def _unet(options: argparse.Namespace) -> None:
    start = options.start if _starts_from_weights(options) else None
    arguments = (
        options.cache,
        _minutes(options, "unet"),
        options.batch,
        options.rate,
        options.conflict,
        options.naming_minutes,
        start,
        partial(check, options.cache / "vae", options.check_samples),
        options.check_minutes,
        options.falling,
    )
    training.run_group(train_unet, arguments, options.processes, options.device)


_PROBES: dict[tuple[Path, int], tuple[AutoencoderKL, Probe]] = {}


def check(
    vae_folder: Path,
    samples: int,
    unet: nn.Module,
    text_encoder: nn.Module,
    tokenizer: CLIPTokenizer,
) -> dict[str, float]:
    """Quick figures on validation seeds; the probe is drawn and encoded once in a process."""
    key = (vae_folder, samples)
    device = next(unet.parameters()).device
    known = _PROBES.get(key)
    vae = known[0] if known else AutoencoderKL.from_pretrained(vae_folder).to(device).eval()
    parts = {
        "unet": unet,
        "text_encoder": text_encoder,
        "tokenizer": tokenizer,
        "vae": vae,
        "scheduler": ddim_scheduler(),
    }
    checkpoint = InstructPix2Pix(parts, "checkpoint", device, torch.float32)
    if known is None:
        drawn = draw_present(world.VALIDATION_SEEDS, samples, PICTURE_SIZE)
        known = _PROBES[key] = (vae, encode(checkpoint, drawn))
    return checkpoint_figures(checkpoint, known[1])


def _decoder(options: argparse.Namespace) -> None:
    arguments = (options.cache, options.cache / "vae", _minutes(options, "decoder"), 8, 1e-3)
    training.run_group(train_decoder, arguments, options.processes, options.device)


def averaged_model(cache: Path) -> tuple[nn.Module, CLIPTextModel, CLIPTokenizer]:
    """UNet, text encoder and tokenizer with the checkpoint's averaged parameters."""
    checkpoint = training.load_checkpoint(cache / "unet.pt")
    if checkpoint is None:
        raise FileNotFoundError(f"No trained UNet in {cache}: run the UNet's stage first.")
    tokenizer = build_tokenizer()
    unet = build_unet()
    modules = nn.ModuleDict(
        {
            "unet": unet,
            "text_encoder": build_text_encoder(tokenizer),
            "heads": Heads(unet),
        }
    )
    modules.load_state_dict(checkpoint["model"])
    for parameter, value in zip(modules.parameters(), checkpoint["average"], strict=True):
        parameter.data.copy_(value)
    unet = build_unet()  # without the heads' hooks
    unet.load_state_dict(modules["unet"].state_dict())
    return unet.eval(), modules["text_encoder"].eval(), tokenizer


def blend(part: nn.Module, other: nn.Module) -> None:
    """Set a network's parameters to their means with those of another of the same shape: between
    two points of one training that is often better than either ("Model soups" and "Robust
    fine-tuning of zero-shot models", both Wortsman et al. 2022).
    """
    with torch.no_grad():
        for own, its in zip(part.parameters(), other.parameters(), strict=True):
            own.copy_((own + its.to(own.dtype)) / 2)


def _export(options: argparse.Namespace) -> None:
    unet, text_encoder, tokenizer = averaged_model(options.cache)
    if options.blend is not None:
        blend(unet, UNet2DConditionModel.from_pretrained(options.blend, subfolder="unet"))
        earlier = CLIPTextModel.from_pretrained(options.blend, subfolder="text_encoder")
        blend(text_encoder, earlier)
    vae = AutoencoderKL.from_pretrained(options.cache / "vae")
    save_pipeline(options.weights, vae, unet, text_encoder, tokenizer)
    print(f"wrote {options.weights}", flush=True)


def _captions(options: argparse.Namespace) -> None:
    arguments = (
        options.cache,
        options.weights,
        _minutes(options, "captions"),
        options.batch // 4,
        0.7 * options.rate,
        partial(check_captions, options.cache / "vae", options.check_samples),
        options.check_minutes,
        options.falling,
    )
    training.run_group(train_captions, arguments, options.processes, options.device)


def check_captions(
    vae_folder: Path,
    samples: int,
    unet: nn.Module,
    text_encoder: nn.Module,
    tokenizer: CLIPTokenizer,
) -> dict[str, float]:
    """Which of two captions denoises better, on validation seeds: see `evaluation.captions`."""
    device = next(unet.parameters()).device
    parts = {
        "unet": unet,
        "text_encoder": text_encoder,
        "tokenizer": tokenizer,
        "vae": AutoencoderKL.from_pretrained(vae_folder).to(device).eval(),
        "scheduler": ddim_scheduler(),
    }
    checkpoint = StableDiffusion(parts, "checkpoint", device, torch.float32)
    questions = _validation_questions(max(1, samples // 4))
    return {"right caption": right_answers(checkpoint, questions)}


@cache
def _validation_questions(scenes: int) -> list[Question]:
    return edit_questions(draw_pairs(world.VALIDATION_SEEDS, scenes, PICTURE_SIZE).edits)


def _export_captions(options: argparse.Namespace) -> None:
    unet, text_encoder, tokenizer = averaged_companion(options.cache, options.weights)
    companion.save(options.text_to_image, options.weights, unet, text_encoder, tokenizer)
    print(f"wrote {options.text_to_image}", flush=True)


_RUN = {
    "render": _render,
    "vae": _vae,
    "encode": _encode,
    "unet": _unet,
    "decoder": _decoder,
    "export": _export,
    "captions": _captions,
    "export-captions": _export_captions,
}

if __name__ == "__main__":
    main()
