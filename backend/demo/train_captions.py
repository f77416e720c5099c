"""The text-to-image companion's stage: denoising the world's pictures, told what they show.

The demo model's UNet begins it (companion.py), which has learnt to denoise without a picture,
too: what is new to it is captions. The objective is Stable Diffusion's, with the caption left out
of one sample in ten, for guidance. As in train_unet.py the loss counts more at high noise, more on
things than around them, the mean of every thing's and of the rest's error counts once more, since
what colour is where is most of what captions say, and heads that are dropped after training must
name every thing where it is: a network that only denoises learns colours soon and shapes hardly.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from backend.demo import companion, training
from backend.demo.cpu_speed import make_fast_on_cpu
from backend.demo.heads import Heads
from backend.demo.model import SCALING_FACTOR, ddim_scheduler, tokenize
from backend.demo.train_unet import NAME_WEIGHT, SHADE_WEIGHT, Tally, mean_square_of_means
from backend.demo.training import Group
from backend.demo.world_clip import build_clip_tokenizer

NO_CAPTION_SHARE = 0.1
PICTURES_BEFORE = 0.5
"""Share of samples that show a scene before any edit, whose things have names."""
THINGS_WEIGHT = 4.0
STEPS_APART = 8
STORED = ("images", "edited", "source", "masks", "things", "names")


@dataclass
class Pictures:
    """Latents of pictures of one size, float16, with what they show (see `pool.render_shard`)."""

    images: Tensor  # (n, 4, h, w), before edits
    edited: Tensor  # (m, 4, h, w)
    source: Tensor  # (m,)
    masks: Tensor  # uint8 (m, h, w)
    things: Tensor  # uint8 (n, 4, h, w)
    names: Tensor  # int64 (n, 4, 3), before edits: as `train_unet.Block.names`
    before: Tensor  # int16 (m, L): captions' tokens
    after: Tensor  # int16 (m, L)


def load_pictures(folder: Path, tokenizer: CLIPTokenizer) -> list[Pictures]:
    """All latents in a folder, together by size. Raises FileNotFoundError where there are none."""
    by_size: dict[tuple[int, ...], list[Pictures]] = {}
    for path in sorted(folder.glob("latents-*.npz")):
        with np.load(path) as file:
            shard = {key: file[key] for key in STORED}
            captions = json.loads(bytes(file["captions"]))
        found = by_size.setdefault(shard["images"].shape[2:], [])
        shard["names"] = shard["names"].astype(np.int64)
        shard["source"] = shard["source"].astype(np.int64) + sum(len(one.images) for one in found)
        before, after = (
            tokenize(tokenizer, [pair[turn] for pair in captions]).short() for turn in (0, 1)
        )
        tensors = {key: torch.from_numpy(values) for key, values in shard.items()}
        found.append(Pictures(**tensors, before=before, after=after))
    if not by_size:
        raise FileNotFoundError(f"No latents in {folder}: run the stages before this one.")
    return [
        Pictures(*(torch.cat([getattr(one, f.name) for one in found]) for f in fields(Pictures)))
        for found in by_size.values()
    ]


@dataclass
class Batch:
    """Samples of one picture size."""

    picture: Tensor  # float32 (B, 4, h, w), unscaled
    things: Tensor  # float32 (B, 4, h, w), every thing's own mask
    changed: Tensor  # float32 (B, 1, h, w), where the picture differs from that of the masks
    names: Tensor  # int64 (B, 4, 3)
    named: Tensor  # float32 (B,), 1 where the names are those of what the picture shows
    tokens: Tensor  # int64 (B, L)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(**{name: values.to(device) for name, values in vars(self).items()})


def draw_batch(
    pictures: list[Pictures], rng: np.random.Generator, size: int, small: bool = False
) -> Batch:
    """Whole pictures of one size with their captions, as many as cost what `size` square ones do;
    half of them mirrored (no caption speaks of left and right). With `small` at half their size,
    by the means of 2x2 cells, and four times as many.
    """
    counts = np.array([len(one.source) for one in pictures], np.float64)
    block = pictures[int(rng.choice(len(pictures), p=counts / counts.sum()))]
    height, width = block.images.shape[2:]
    size = max(1, size * 1024 // (height * width)) * (4 if small else 1)
    edits = torch.from_numpy(rng.integers(len(block.source), size=size))
    sources = block.source[edits]
    is_before = torch.from_numpy(rng.random(size) < PICTURES_BEFORE)
    at = is_before[:, None, None, None]
    layers = [
        torch.where(at, block.images[sources], block.edited[edits]).float(),
        block.things[sources].float() / 255,
        torch.where(at, 0, block.masks[edits][:, None].float() / 255),
    ]
    if small:
        layers = [functional.avg_pool2d(layer, 2) for layer in layers]
    mirrored = torch.from_numpy(rng.random(size) < 0.5)[:, None, None, None]
    picture, things, changed = (torch.where(mirrored, one.flip(-1), one) for one in layers)
    tokens = torch.where(is_before[:, None], block.before[edits], block.after[edits])
    names = block.names[sources]
    return Batch(picture, things, changed, names, is_before.float(), tokens.long())


class Diffusion:
    """The denoising objective on batches of latents."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        heads: Heads,
        empty: Tensor,
    ) -> None:
        self.unet, self.text_encoder, self.heads, self.empty = unet, text_encoder, heads, empty
        self.alphas = ddim_scheduler().alphas_cumprod.to(empty.device)

    def loss(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """The weighted mean loss, and which names are right (see `Heads.name_things`)."""
        count, device = len(batch.picture), batch.picture.device
        clean = batch.picture * SCALING_FACTOR
        tokens = batch.tokens.clone()
        tokens[torch.rand(count, device=device) < NO_CAPTION_SHARE] = self.empty
        high = torch.rand(count, device=device) < 0.65
        t = torch.rand(count, device=device)
        t = torch.where(high, 500 + 499 * t, 1000 * t).long().clamp(0, 999)
        signal = self.alphas[t][:, None, None, None]
        noise = torch.randn_like(clean)
        noisy = training.channels_last(signal.sqrt() * clean + (1 - signal).sqrt() * noise)
        with training.mixed_precision(device):
            told = self.text_encoder(tokens)[0]
            off = self.unet(noisy, t, encoder_hidden_states=told).sample.float() - noise

        clean_off = ((1 - signal) / signal).clamp(max=30)  # squared: of clean latents for noise
        by_noise = 0.5 + clean_off / 8
        things = torch.maximum(batch.things.amax(1, keepdim=True), batch.changed)
        by_place = 1 + THINGS_WEIGHT * things
        by_place = by_place / by_place.mean((2, 3), keepdim=True)
        parts = torch.cat([batch.things, (1 - batch.things.sum(1, keepdim=True)).clamp(min=0)], 1)
        shades, there = mean_square_of_means(off, parts)
        shade = shades.sum(1) / there.sum(1).clamp(min=1) * clean_off[:, 0, 0, 0]
        loss = (off.square() * by_noise * by_place).mean() + SHADE_WEIGHT * shade.mean()
        named, right = self.heads.name_things(batch.things, batch.names)
        loss = loss + NAME_WEIGHT * (named * batch.named).mean()
        return loss, [torch.where(batch.named[:, None] > 0, part, -1) for part in right]


def _is_small(step: int, share: float) -> bool:
    """Whether this step's pictures are small, the same in every process: all at the start of a run,
    none at its end. What words mean is learnt from many pictures, for which size matters little.
    """
    return bool(np.random.default_rng([step, 13]).random() > share**2)


def train_captions(
    group: Group,
    cache: Path,
    weights: Path,
    minutes: float,
    batch: int,
    rate: float,
    check: Callable[[nn.Module, nn.Module, CLIPTokenizer], dict[str, float]] | None,
    check_minutes: float = 4.0,
    falling: float = 0.4,
) -> None:
    """Trains for `minutes` on cache/latents, going on from cache/captions.pt, else from the demo
    model in `weights`; the rate falls over the last share `falling` of this run. Every few minutes:
    a checkpoint, and a line of `check`'s figures in cache/captions.jsonl.
    """
    tokenizer = build_clip_tokenizer()
    unet, text_encoder = companion.begin(weights, tokenizer)
    unet = unet.to(group.device, memory_format=torch.channels_last)
    heads = Heads(unet).to(group.device)
    modules = nn.ModuleDict(
        {"unet": unet, "text_encoder": text_encoder.to(group.device), "heads": heads}
    )
    parameters = list(modules.parameters())
    average = training.Average(parameters, 0.98)
    optimiser = torch.optim.AdamW(parameters, rate, (0.9, 0.99), weight_decay=1e-3, fused=True)
    step, seen, spent = 0, 0, 0.0
    checkpoint = training.load_checkpoint(cache / "captions.pt")
    if checkpoint is not None:
        training.take_over(checkpoint, modules, average, optimiser)
        step, seen, spent = checkpoint["step"], checkpoint["seen"], checkpoint["minutes"]
    if group.device.type == "cpu":
        make_fast_on_cpu(unet)
    modules.train()
    pictures = load_pictures(cache / "latents", tokenizer)
    empty = tokenize(tokenizer, [""])[0].to(group.device)
    diffusion = Diffusion(unet, text_encoder, heads, empty)
    rng = np.random.default_rng([step, group.rank, 4])
    torch.manual_seed(1000 * step + group.rank)
    clock, checked = training.Clock(group, minutes, STEPS_APART, falling), 0.0
    losses: list[float] = []
    tally, start, seen_here = Tally(), step, 0

    def keep() -> None:
        where = {"step": step, "seen": seen + seen_here, "minutes": spent + clock.minutes}
        training.save_training(cache / "captions.pt", modules, average, optimiser, **where)
        figures = where | {
            "loss": float(np.mean(losses[-200:])) if losses else None,
            "a_second": seen_here / max(clock.minutes * 60, 1e-9),
        }
        if check is not None:
            modules.eval()
            with average.in_use():
                figures |= check(unet, text_encoder, tokenizer)
            modules.train()
        training.note(cache / "captions.jsonl", figures | tally.take())

    while clock.tick():
        drawn = draw_batch(pictures, rng, batch, _is_small(step, clock.share)).to(group.device)
        loss, right = diffusion.loss(drawn)
        training.descend(loss, parameters, optimiser, rate * clock.rate(step - start, 100))
        step += 1
        seen_here += len(drawn.picture) * group.size
        losses.append(loss.item())
        tally.add(right)
        if (step - start) % STEPS_APART:
            continue
        group.average(parameters)
        average.update(step // STEPS_APART)
        if group.leads and clock.minutes - checked > check_minutes:
            checked = clock.minutes
            keep()
    if group.leads:
        keep()


def averaged_companion(
    cache: Path, weights: Path
) -> tuple[UNet2DConditionModel, CLIPTextModel, CLIPTokenizer]:
    """U-Net, text encoder and tokenizer with the checkpoint's averaged parameters.

    Raises:
        FileNotFoundError: there is no checkpoint.
    """
    checkpoint = training.load_checkpoint(cache / "captions.pt")
    if checkpoint is None:
        raise FileNotFoundError(f"No trained companion in {cache}: run the stage captions first.")
    tokenizer = build_clip_tokenizer()
    unet, text_encoder = companion.begin(weights, tokenizer)
    modules = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder, "heads": Heads(unet)})
    modules.load_state_dict(checkpoint["model"])
    for parameter, value in zip(modules.parameters(), checkpoint["average"], strict=True):
        parameter.data.copy_(value)
    without_heads, _ = companion.begin(weights, tokenizer)  # without their hooks
    without_heads.load_state_dict(unet.state_dict())
    return without_heads.eval(), text_encoder.eval(), tokenizer
