"""Figures on held-out scenes: where the relevance map looks, and whether edits do what was
asked.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionInstructPix2PixPipeline
from torch import Tensor, nn
from transformers import CLIPTokenizer

from backend.demo import pool, world
from backend.demo.model import (
    PICTURE_SIZE,
    SCALING_FACTOR,
    WEIGHTS,
    ddim_scheduler,
    load_pipeline,
    to_tensor,
    tokenize,
)
from backend.demo.pool import Sample
from backend.demo.render import render

Array = np.ndarray
NOISE_LEVEL = 0.8
THRESHOLDS = (0.3, 0.4, 0.5, 0.6)


@dataclass
class Probe:
    """Held-out samples, encoded once."""

    samples: list[Sample]
    latents: Tensor  # float32 (N, 4, h, w), unscaled modes
    masks: Array  # float32 (N, h, w), at the latents' resolution
    things: list[Array]  # float32 (n, h, w) for each sample


def held_out(seeds: range, count: int) -> list[Sample]:
    """The first `count` samples of scenes of these seeds, up to two edits a scene, absent things
    left out.
    """
    found: list[Sample] = []
    for seed in seeds:
        samples = pool.draw_samples(seed, PICTURE_SIZE, PICTURE_SIZE, edits=3)
        found += [s for s in samples if s.edit.target is not None][:2]
        if len(found) >= count:
            break
    return found[:count]


@torch.no_grad()
def make_probe(vae: AutoencoderKL, samples: list[Sample]) -> Probe:
    """Encodes the samples once, and brings their masks to the latents' resolution."""
    latents = []
    for start in range(0, len(samples), 16):
        x = to_tensor([s.image for s in samples[start : start + 16]])
        latents.append(vae.encode(x).latent_dist.mode())

    def small(mask: Array) -> Array:
        return mask.reshape(*mask.shape[:-2], mask.shape[-2] // 4, 4, -1, 4).mean((-3, -1))

    return Probe(
        samples,
        torch.cat(latents),
        np.stack([small(s.mask) for s in samples]),
        [small(s.things) for s in samples],
    )


@torch.no_grad()
def raw_relevance(
    unet: nn.Module,
    text_encoder: nn.Module,
    tokenizer: CLIPTokenizer,
    latents: Tensor,
    instructions: Sequence[str],
    seed: int = 0,
    noise_level: float = NOISE_LEVEL,
) -> Array:
    """|eps(image, text) - eps(image, empty)| summed over channels (Watch Your Steps, Eq. 2),
    float32 (N, h, w).
    """
    alphas = ddim_scheduler().alphas_cumprod
    t = torch.tensor(int(noise_level * 1000))
    tokens = tokenize(tokenizer, [*instructions, ""]).to(latents.device)
    embedding = text_encoder(tokens)[0]
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
    noise = noise.to(latents.device)
    found = []
    for part in torch.arange(len(latents)).split(16):
        image = latents[part]
        noisy = alphas[t].sqrt() * image * SCALING_FACTOR + (1 - alphas[t]).sqrt() * noise[part]
        stacked = torch.cat([noisy, image], 1).repeat(2, 1, 1, 1)
        text = torch.cat([embedding[part], embedding[-1:].expand(len(part), -1, -1)])
        with_text, without = unet(stacked, t, encoder_hidden_states=text).sample.chunk(2)
        found.append((with_text - without).abs().sum(1).cpu())
    return torch.cat(found).numpy()


def normalised(raw: Array, clamp: bool = True) -> Array:
    """Each map clamped at its quartiles -/+ 1.5 IQR and stretched to 0..1 (Watch Your Steps,
    section 4.1).
    """
    flat = raw.reshape(len(raw), -1)
    if clamp:
        q1, q3 = np.quantile(flat, 0.25, axis=1), np.quantile(flat, 0.75, axis=1)
        flat = np.clip(flat, (q1 - 1.5 * (q3 - q1))[:, None], (q3 + 1.5 * (q3 - q1))[:, None])
    low, high = flat.min(1, keepdims=True), flat.max(1, keepdims=True)
    return ((flat - low) / np.maximum(high - low, 1e-9)).reshape(raw.shape)


def intersection_over_union(mask: Array, truth: Array) -> float:
    """IoU of two boolean masks of one shape; 1 where both are empty."""
    union = np.logical_or(mask, truth).sum()
    return float(np.logical_and(mask, truth).sum() / union) if union else 1.0


def area_under_roc(scores: Array, truth: Array) -> float:
    """Probability that a pixel inside the truth scores above one outside (ties count half)."""
    flat, inside = scores.ravel(), truth.ravel()
    _, place, count = np.unique(flat, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = int(inside.sum())
    negative = inside.size - positive
    return float((rank[inside].sum() - positive * (positive + 1) / 2) / (positive * negative))


def relevance_figures(raw: Array, probe: Probe) -> dict[str, float]:
    """Selection accuracy by wording, AUROC, and IoU of the map by kind of target."""
    maps, unclamped = normalised(raw), normalised(raw, clamp=False)
    by_name: dict[str, list[float]] = {}

    def enter(name: str, value: float) -> None:
        by_name.setdefault(name, []).append(value)

    for i, sample in enumerate(probe.samples):
        truth = probe.masks[i] > 0.5
        if not 0 < truth.sum() < truth.size:
            continue
        things = [m for m in probe.things[i] if m.sum() > 0.012 * m.size]
        target = sample.edit.target
        alone = len(sample.scene.things) == 1
        kind = target if isinstance(target, str) else ("alone" if alone else "among")
        enter("auroc", area_under_roc(maps[i], truth))
        for threshold in THRESHOLDS:
            enter(f"iou{threshold}", intersection_over_union(maps[i] >= threshold, truth))
        enter(f"iou0.5 {kind}", intersection_over_union(maps[i] >= 0.5, truth))
        enter(f"unclamped iou0.5 {kind}", intersection_over_union(unclamped[i] >= 0.5, truth))
        if isinstance(target, int) and len(things) > 1:
            own = probe.things[i][target]
            if own.sum() <= 0.012 * own.size:
                continue
            means = [float((raw[i] * m).sum() / m.sum()) for m in things]
            mean = float((raw[i] * own).sum() / own.sum())
            right = float(mean >= max(means))
            enter("selection", right)
            enter(f"selection {sample.edit.wording}", right)
    return {k: float(np.mean(v)) for k, v in sorted(by_name.items())} | {
        "n": len(probe.samples),
        "n selection": len(by_name.get("selection", [])),
    }


@torch.no_grad()
def edit_latents(
    unet: nn.Module,
    text_encoder: nn.Module,
    tokenizer: CLIPTokenizer,
    latents: Tensor,
    instructions: Sequence[str],
    masks: Tensor | None = None,
    steps: int = 20,
    text_guidance: float = 7.5,
    image_guidance: float = 1.5,
    seed: int = 1,
) -> Tensor:
    """InstructPix2Pix by DDIM from pure noise level, guided by masks (N, 1, h, w) where given;
    scaled latents.

    A plain form of `backend.editing`'s loop for whole batches, for quick figures while training.
    """
    scheduler = ddim_scheduler()
    scheduler.set_timesteps(steps)
    tokens = tokenize(tokenizer, [*instructions, ""])
    embedding = text_encoder(tokens)[0]
    text, empty = embedding[:-1], embedding[-1:].expand(len(latents), -1, -1)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
    original = latents * SCALING_FACTOR
    z = scheduler.add_noise(original, noise, scheduler.timesteps[:1])
    condition = torch.cat([latents, latents, torch.zeros_like(latents)])
    for i, t in enumerate(scheduler.timesteps):
        stacked = torch.cat([z.repeat(3, 1, 1, 1), condition], 1)
        predicted = unet(stacked, t, encoder_hidden_states=torch.cat([text, empty, empty])).sample
        full, image, nothing = predicted.chunk(3)
        guided = nothing + text_guidance * (full - image) + image_guidance * (image - nothing)
        z = scheduler.step(guided, t, z).prev_sample
        if masks is not None:
            later = scheduler.timesteps[i + 1 : i + 2]
            kept = scheduler.add_noise(original, noise, later) if len(later) else original
            z = masks * z + (1 - masks) * kept
    return z


def strict_success(sample: Sample, edited: Array) -> bool:
    """Whether the target's mean colour is nearest to the asked one of all colours, as this scene's
    light shows them, and every other thing has kept its mean colour (to 0.08 of the range).

    The colours that this light would give are taken from pictures of the same scene with the target
    in each colour.
    """
    inside = sample.mask > 0.5
    assert sample.edit.target is not None
    picture = render(sample.scene, sample.camera, *sample.mask.shape)
    mean = edited[inside].mean(0)
    distance = {}
    for colour in world.COLOURS:
        surface = world.Surface(colour, world.COLOURS[colour])
        shown = picture.recoloured(sample.edit.target, surface)
        distance[colour] = float(np.linalg.norm(shown[inside].mean(0) - mean))
    if min(distance, key=lambda c: distance[c]) != sample.edit.colour:
        return False
    for index, own in enumerate(sample.things):
        where = own > 0.5
        if index == sample.edit.target or where.mean() < 0.005:
            continue
        change = edited[where].mean(0) - sample.image[where].mean(0)
        if np.abs(change).max() > 0.08 * 255:
            return False
    return True


@torch.no_grad()
def decode(vae: AutoencoderKL, scaled: Tensor) -> Array:
    """Pictures, uint8 (N, H, W, 3), of scaled latents (N, 4, h, w)."""
    pictures = [vae.decode(z / SCALING_FACTOR).sample for z in scaled.split(16)]
    shown = ((torch.cat(pictures).clamp(-1, 1) + 1) * 127.5).round().byte()
    return shown.permute(0, 2, 3, 1).numpy()


def edit_figures(
    pipeline: StableDiffusionInstructPix2PixPipeline,
    probe: Probe,
    maps: Array,
    text_guidance: float,
    image_guidance: float,
    steps: int,
) -> dict[str, float]:
    """Strict success and PSNR outside the true mask, of plain edits and of edits guided by the maps
    at 0.5, and of the VAE's round trip alone.
    """
    parts = (pipeline.unet, pipeline.text_encoder, pipeline.tokenizer, probe.latents)
    words = [s.edit.instruction for s in probe.samples]
    masks = torch.from_numpy((maps >= 0.5).astype(np.float32))[:, None]
    guidance = {"text_guidance": text_guidance, "image_guidance": image_guidance, "steps": steps}
    results = {
        "vae": probe.latents * SCALING_FACTOR,
        "plain": edit_latents(*parts, words, None, **guidance),  # type: ignore[arg-type]
        "guided": edit_latents(*parts, words, masks, **guidance),  # type: ignore[arg-type]
    }
    figures: dict[str, float] = {}
    for name, latents in results.items():
        pictures = decode(pipeline.vae, latents)
        pairs = list(zip(probe.samples, pictures, strict=True))
        outside = [
            10
            * np.log10(255**2 / ((p[s.mask == 0].astype(float) - s.image[s.mask == 0]) ** 2).mean())
            for s, p in pairs
            if (s.mask == 0).any()
        ]
        figures[f"psnr outside {name}"] = float(np.mean(outside))
        if name != "vae":
            success = [strict_success(s, p) for s, p in pairs]
            figures[f"strict success {name}"] = float(np.mean(success))
    return figures


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m backend.demo.evaluate", description=__doc__)
    add = parser.add_argument
    add("--model", type=Path, default=WEIGHTS, help="a demo model's folder")
    add("--samples", type=int, default=400, help="of relevance maps")
    add("--edits", type=int, default=60, help="of edited pictures")
    add("--seeds", choices=("validation", "test"), default="test", help="which scenes")
    add("--text-guidance", type=float, default=2.0, help="of the edits")
    add("--image-guidance", type=float, default=1.5, help="of the edits")
    add("--steps", type=int, default=20, help="of the edits")
    add("--out", type=Path, help="a folder for report.json")
    options = parser.parse_args(arguments)
    pipeline = load_pipeline(options.model)
    seeds = world.TEST_SEEDS if options.seeds == "test" else world.VALIDATION_SEEDS
    probe = make_probe(pipeline.vae, held_out(seeds, options.samples))
    parts = (pipeline.unet, pipeline.text_encoder, pipeline.tokenizer)
    raw = raw_relevance(*parts, probe.latents, [s.edit.instruction for s in probe.samples])
    figures = relevance_figures(raw, probe)
    if options.edits:
        count = min(options.edits, len(probe.samples))
        some = Probe(probe.samples[:count], probe.latents[:count], probe.masks, probe.things)
        figures |= edit_figures(
            pipeline,
            some,
            normalised(raw[:count]),
            options.text_guidance,
            options.image_guidance,
            options.steps,
        )
    report = {"settings": {k: str(v) for k, v in vars(options).items()}, "figures": figures}
    for name, value in figures.items():
        print(f"{name:32s} {value:.3f}")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
