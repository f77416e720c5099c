"""The UNet's and the text encoder's stage: InstructPix2Pix on latents of the demo world.

The objective is InstructPix2Pix's denoising of the edited picture, given picture and instruction,
with changes, all of which are meant for the relevance map and have to be told wherever its
figures are shown:

- Conflict augmentation: in some samples the noisy latents come from the picture as it was while
  the target stays the edited one, because that is what a relevance map asks of a model, and plain
  training never shows it. In others they come from between the two, or from beyond the edited one,
  where guidance leads.
- The empty instruction asks for no change: its target is the picture itself.
- The loss counts more inside the mask and on every other thing, and more at high noise.
- The means inside the mask, of every other thing and of the rest count once more, however small
  they are: shades, which views of one scene must agree on, and which elsewhere must stay.
- Small heads, dropped after training, must find the true mask in the features of the UNet's middle
  and up blocks, and every thing's shape, colour and pattern in those of three blocks: where an
  instruction applies, and what is where, is taught directly, not only by its effect.
- Some steps teach nothing but what is where (`Diffusion.naming_loss`), on twice as many pictures: a
  network that only denoises learns colours soon and shapes hardly at all.
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
from transformers import CLIPTextModel, CLIPTokenizer

from backend.demo import training
from backend.demo.cpu_speed import make_fast_on_cpu
from backend.demo.heads import NAME_PARTS, Heads
from backend.demo.model import (
    SCALING_FACTOR,
    build_text_encoder,
    build_tokenizer,
    build_unet,
    ddim_scheduler,
    tokenize,
)
from backend.demo.training import Group

EDITS_OF_ONE_PICTURE = 2
MASK_WEIGHT = 0.25
SHADE_WEIGHT = 1.0
NAME_WEIGHT = 0.5
NAMING_SHARE = 0.25
STEPS_APART = 8
"""Every process makes so many steps of its own before their parameters are averaged: on
shared cores they would else wait for each other much of the time.
"""
WINDOW_SIDES = (16, 20, 24)


@dataclass
class Block:
    """Latents of pictures of one size, float16, with what was asked of them (see
    `pool.render_shard`).
    """

    images: Tensor  # (n, 4, h, w)
    edited: Tensor  # (m, 4, h, w)
    source: Tensor  # (m,)
    masks: Tensor  # uint8 (m, h, w)
    things: Tensor  # uint8 (n, 4, h, w): every thing's own mask
    names: Tensor  # int64 (n, 4, 3): numbers of every thing's shape, colour, pattern; -1 for none
    tokens: Tensor  # int16 (m, wordings, MAX_TOKENS)
    first: Tensor  # (n + 1,): edits of picture i are first[i]:first[i + 1]


def load_blocks(folder: Path, tokenizer: CLIPTokenizer) -> list[Block]:
    """All latents in a folder, one block for each picture size. Raises FileNotFoundError where
    there are none.
    """
    by_size: dict[tuple[int, ...], list[dict[str, np.ndarray]]] = {}
    for path in sorted(folder.glob("latents-*.npz")):
        with np.load(path) as file:
            shard = dict(file)
        by_size.setdefault(shard["images"].shape[2:], []).append(shard)
    if not by_size:
        raise FileNotFoundError(f"No latents in {folder}: run the stages before this one.")
    return [_join(shards, tokenizer) for shards in by_size.values()]


def _join(shards: list[dict[str, np.ndarray]], tokenizer: CLIPTokenizer) -> Block:
    offsets = np.cumsum([0] + [len(s["images"]) for s in shards])
    source = np.concatenate([s["source"] + o for s, o in zip(shards, offsets, strict=False)])
    texts = [t for s in shards for edit in json.loads(bytes(s["texts"])) for t in edit]
    different = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    tokens = tokenize(tokenizer, list(different)).short()[[different[t] for t in texts]]

    def joined(key: str) -> Tensor:
        return torch.from_numpy(np.concatenate([s[key] for s in shards]))

    first = np.searchsorted(source, np.arange(offsets[-1] + 1))
    return Block(
        joined("images"),
        joined("edited"),
        torch.from_numpy(source.astype(np.int64)),
        joined("masks"),
        joined("things"),
        joined("names").long(),
        tokens.view(len(source), -1, tokens.shape[1]),
        torch.from_numpy(first),
    )


@dataclass
class Batch:
    """Samples of one picture size."""

    image: Tensor  # float32 (B, 4, h, w), unscaled mode, as the image condition
    edited: Tensor  # float32 (B, 4, h, w), unscaled
    mask: Tensor  # float32 (B, 1, h, w)
    things: Tensor  # float32 (B, 4, h, w): every thing's own mask
    names: Tensor  # int64 (B, 4, 3)
    tokens: Tensor  # int64 (B, MAX_TOKENS)

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(**{name: values.to(device) for name, values in vars(self).items()})


def draw_batch(
    blocks: list[Block],
    rng: np.random.Generator,
    size: int,
    side: int | None = None,
    edits_of_one: int = EDITS_OF_ONE_PICTURE,
) -> Batch:
    """`edits_of_one` instructions for each of a few pictures, all of one size; half the
    pictures are mirrored (no instruction speaks of left and right).

    With `side`, a window of the latents that wide, of a few random ones that which holds most of
    the things: much less work, with things as large as in the whole picture. Without it, whole
    pictures, as many as cost what `size` windows do.
    """
    counts = np.array([len(b.images) for b in blocks], np.float64)
    block = blocks[int(rng.choice(len(blocks), p=counts / counts.sum()))]
    height, width = block.images.shape[2:]
    if side is None:
        size = max(edits_of_one, size * 512 // (height * width))
    parts: list[Batch] = []
    for picture in rng.integers(len(block.images), size=-(-size // edits_of_one)):
        low, high = int(block.first[picture]), int(block.first[picture + 1])
        edits = torch.from_numpy(low + rng.permutation(high - low)[:edits_of_one])
        wording = torch.from_numpy(rng.integers(block.tokens.shape[1], size=len(edits)))
        things = block.things[picture]
        rows, columns = slice(0, height), slice(0, width)
        if side is not None:
            corners = [
                (int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)))
                for _ in range(3)
            ]
            top, left = max(
                corners,
                key=lambda c: int(things[:, c[0] : c[0] + side, c[1] : c[1] + side].sum()),
            )
            rows, columns = slice(top, top + side), slice(left, left + side)
        image = block.images[picture][None, :, rows, columns].float()
        layers = [
            image.expand(len(edits), -1, -1, -1),
            block.edited[edits][..., rows, columns].float(),
            block.masks[edits][:, None, rows, columns].float() / 255,
            things[None, :, rows, columns].float().expand(len(edits), -1, -1, -1) / 255,
        ]
        if rng.random() < 0.5:
            layers = [layer.flip(-1) for layer in layers]
        shown, edited, masks, own = layers
        names = block.names[picture][None].expand(len(edits), -1, -1)
        tokens = block.tokens[edits, wording].long()
        parts.append(Batch(shown, edited, masks, own, names, tokens))
    return Batch(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(Batch)))


class Diffusion:
    """The denoising objective on batches of latents."""

    def __init__(
        self,
        unet: UNet2DConditionModel,
        text_encoder: CLIPTextModel,
        heads: Heads,
        empty: Tensor,
    ) -> None:
        self.unet, self.text_encoder, self.heads = unet, text_encoder, heads
        self.empty = empty
        self.alphas = ddim_scheduler().alphas_cumprod.to(empty.device)

    def predict(self, noisy: Tensor, t: Tensor, image: Tensor, tokens: Tensor) -> Tensor:
        """The noise that the model sees, float32 (B, 4, h, w)."""
        stacked = training.channels_last(torch.cat([noisy, image], 1))
        with training.mixed_precision(noisy.device):
            embedding = self.text_encoder(tokens)[0]
            return self.unet(stacked, t, encoder_hidden_states=embedding).sample.float()

    def naming_loss(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """What `Heads.name_things` tells of a batch's pictures, by the first half of the UNet and
        one up block alone; the mean loss and which names are right.
        """
        count, device = len(batch.image), batch.image.device
        high = torch.rand(count, device=device) < 0.65
        t = torch.rand(count, device=device)
        t = torch.where(high, 500 + 490 * t, 1000 * t).long().clamp(0, 999)
        signal = self.alphas[t][:, None, None, None]
        noise = torch.randn_like(batch.image)
        noisy = signal.sqrt() * batch.image * SCALING_FACTOR + (1 - signal).sqrt() * noise
        stacked = training.channels_last(torch.cat([noisy, batch.image], 1))
        with training.mixed_precision(device):
            self._look(stacked, t, self.text_encoder(batch.tokens)[0])
        loss, right = self.heads.name_things(batch.things, batch.names)
        return loss.mean(), right

    def _look(self, stacked: Tensor, t: Tensor, text: Tensor) -> None:
        """UNet2DConditionModel.forward up to its first up block."""
        unet = self.unet
        time = unet.time_embedding(unet.time_proj(t).to(stacked.dtype))
        features = unet.conv_in(stacked)
        skips: tuple[Tensor, ...] = (features,)
        for block in unet.down_blocks:
            attends = {"encoder_hidden_states": text} if hasattr(block, "attentions") else {}
            features, more = block(hidden_states=features, temb=time, **attends)
            skips += more
        features = unet.mid_block(features, time, encoder_hidden_states=text)
        up = unet.up_blocks[0]
        up(
            hidden_states=features,
            temb=time,
            res_hidden_states_tuple=skips[-len(up.resnets) :],
            encoder_hidden_states=text,
            upsample_size=skips[-len(up.resnets) - 1].shape[-2:],
        )

    def loss(self, batch: Batch, conflict: float) -> tuple[Tensor, list[Tensor]]:
        """The weighted loss, and which names are right (see `Heads.name_things`); `conflict` is the
        share of samples that conflict augmentation changes.
        """
        count, device = len(batch.image), batch.image.device
        original = batch.image * SCALING_FACTOR
        target = batch.edited * SCALING_FACTOR
        tokens, condition, mask = batch.tokens.clone(), batch.image.clone(), batch.mask
        u = torch.rand(count, device=device)
        no_text = u < 0.12
        no_image = (u > 0.09) & (u < 0.17)  # some of these have no text either
        tokens[no_text] = self.empty
        condition[no_image] = 0
        unchanged = (no_text & ~no_image)[:, None, None, None]
        target = torch.where(unchanged, original, target)
        plain = ~no_text & ~no_image

        high = torch.rand(count, device=device) < 0.65
        t = torch.rand(count, device=device)
        t = torch.where(high, 500 + 490 * t, 1000 * t).long().clamp(0, 999)
        signal = self.alphas[t][:, None, None, None]
        noise = torch.randn_like(target)
        mixed = plain & (t >= 400) & (torch.rand(count, device=device) < conflict)
        share = (shares_of_original(count, device) * mixed)[:, None, None, None]
        noisy = signal.sqrt() * (target + share * (original - target)) + (1 - signal).sqrt() * noise
        truth = (noisy - signal.sqrt() * target) / (1 - signal).sqrt()

        off = self.predict(noisy, t, condition, tokens) - truth
        clean_off = ((1 - signal) / signal).clamp(max=30)  # squared: of clean latents for noise
        by_noise = 0.5 + clean_off / 8
        things = batch.things.amax(1, keepdim=True)
        attention = torch.maximum(mask, things) * plain[:, None, None, None]
        by_place = 1 + 5 * attention
        by_place = by_place / by_place.mean((2, 3), keepdim=True)
        found = self.heads.find_mask(torch.where(unchanged, 0, mask), batch.things) * ~no_image
        named, right = self.heads.name_things(batch.things, batch.names)
        shade = shade_loss(off, mask, batch.things) * ~no_image * clean_off[:, 0, 0, 0]
        loss = (off.square() * by_noise * by_place).mean() + SHADE_WEIGHT * shade.mean()
        loss = loss + MASK_WEIGHT * found.mean() + NAME_WEIGHT * (named * ~no_image).mean()
        return loss, right


def shares_of_original(count: int, device: torch.device) -> Tensor:
    """How much of the picture as it was the noisy latents hold in conflict augmentation, (count,):
    half of them all of it, the others anything from 1 down to -1.

    Below 0 they have gone past the edited picture, as guidance goes, which drives an edit on along
    the line from the input: there a model that trusts what it has denoised so far stays too bright,
    too dark or too gaudy, and one that has met it comes back.
    """
    uniform = 2 * torch.rand(count, device=device) - 1
    return torch.where(torch.rand(count, device=device) < 0.5, 1.0, uniform)


def shade_loss(off: Tensor, mask: Tensor, things: Tensor) -> Tensor:
    """How far shades are off (see `mean_square_of_means`): that of what changes, and, counting the
    same together, those of every thing elsewhere and of the rest.

    Args:
        off: (B, c, h, w), the error.
        mask: (B, 1, h, w), 0..1, what changes; all 0 where nothing does.
        things: (B, n, h, w), 0..1, every thing's own mask, 0 for those that there are not.

    Returns:
        (B,)
    """
    others = things * (1 - mask)
    rest = (1 - mask - others.sum(1, keepdim=True)).clamp(min=0)
    shades, there = mean_square_of_means(off, torch.cat([mask, others, rest], 1))
    return shades[:, 0] + shades[:, 1:].sum(1) / there[:, 1:].sum(1).clamp(min=1)


def mean_square_of_means(values: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """How far values are off inside masks as a whole: the mean square over channels of their means
    there, which errors of one sign add to and noise does not.

    Args:
        values: (B, c, h, w).
        masks: (B, n, h, w), 0..1.

    Returns:
        (B, n), 0 where the mask holds less than a cell; and bool (B, n), where it holds one.
    """
    area = masks.sum((2, 3))
    means = torch.einsum("bchw,bnhw->bnc", values, masks) / area[..., None].clamp(min=1)
    there = area >= 1
    return means.square().mean(2) * there, there


def _window(step: int, share: float) -> int | None:
    """The window's side of this step, the same in every process (else they would wait for each
    other), or None for whole pictures: none at the start of a run, all at its end.
    """
    rng = np.random.default_rng([step, 11])
    return None if rng.random() < share else int(rng.choice(WINDOW_SIDES))


def _names_only(step: int) -> bool:
    """Whether this step teaches names alone, the same in every process."""
    return bool(np.random.default_rng([step, 12]).random() < NAMING_SHARE)


class Tally:
    """Shares of names that were right in the steps since the last look."""

    def __init__(self) -> None:
        self._counts = np.zeros((len(NAME_PARTS), 2))

    def add(self, right: list[Tensor]) -> None:
        """Counts what `Heads.name_things` found right."""
        for part, values in enumerate(right):
            self._counts[part] += int((values == 1).sum()), int((values >= 0).sum())

    def take(self) -> dict[str, float]:
        """Figures by part, and forgets them."""
        names = ("named shape", "named colour", "named pattern")
        shares = {n: float(r / c) for n, (r, c) in zip(names, self._counts, strict=True) if c}
        self._counts[:] = 0
        return shares


def train_unet(
    group: Group,
    cache: Path,
    minutes: float,
    batch: int,
    rate: float,
    conflict: float,
    naming_minutes: float,
    start_from: Path | None,
    check: Callable[[nn.Module, nn.Module, CLIPTokenizer], dict[str, float]] | None,
    check_minutes: float = 4.0,
    falling: float = 0.4,
) -> None:
    """Trains for `minutes` on cache/latents, going on from cache/unet.pt, else from the model in
    `start_from`, else from nothing; the first `naming_minutes` of all runs together teach names
    alone; the rate falls over the last share `falling` of this run. Every few minutes: a
    checkpoint, and a line of `check`'s figures in cache/unet.jsonl.
    """
    torch.manual_seed(2)
    tokenizer = build_tokenizer()
    checkpoint = training.load_checkpoint(cache / "unet.pt")
    start_from = start_from if checkpoint is None else None
    unet, text_encoder, heads = _networks(group, tokenizer, start_from)
    modules = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder, "heads": heads})
    parameters = list(modules.parameters())
    average = training.Average(parameters, 0.98)
    optimiser = torch.optim.AdamW(parameters, rate, (0.9, 0.99), weight_decay=1e-3, fused=True)
    step, seen, spent = 0, 0, 0.0
    if checkpoint is not None:
        training.take_over(checkpoint, modules, average, optimiser)
        step, seen, spent = checkpoint["step"], checkpoint["seen"], checkpoint["minutes"]
    if group.device.type == "cpu":
        make_fast_on_cpu(unet)
    modules.train()
    blocks = load_blocks(cache / "latents", tokenizer)
    empty = tokenize(tokenizer, [""])[0].to(group.device)
    diffusion = Diffusion(unet, text_encoder, heads, empty)
    rng = np.random.default_rng([step, group.rank, 3])
    torch.manual_seed(1000 * step + group.rank)
    clock, checked = training.Clock(group, minutes, STEPS_APART, falling), 0.0
    losses: list[float] = []
    tally, start, seen_here = Tally(), step, 0

    def keep() -> None:
        where = {"step": step, "seen": seen + seen_here, "minutes": spent + clock.minutes}
        training.save_training(cache / "unet.pt", modules, average, optimiser, **where)
        figures = where | {
            "loss": float(np.mean(losses[-200:])) if losses else None,
            "a_second": seen_here / max(clock.minutes * 60, 1e-9),
            "conflict": conflict,
            "batch": batch * group.size,
        }
        if check is not None:
            modules.eval()
            with average.in_use():
                figures |= check(unet, text_encoder, tokenizer)
            modules.train()
        training.note(cache / "unet.jsonl", figures | tally.take())

    while clock.tick():
        naming = spent + clock.minutes < naming_minutes or _names_only(step)
        drawn = draw_batch(
            blocks, rng, batch, _window(step, clock.share), 1 if naming else EDITS_OF_ONE_PICTURE
        ).to(group.device)
        loss, right = diffusion.naming_loss(drawn) if naming else diffusion.loss(drawn, conflict)
        training.descend(loss, parameters, optimiser, rate * clock.rate(step - start, 200))
        step += 1
        seen_here += len(drawn.image) * group.size
        if not naming:
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


def _networks(
    group: Group, tokenizer: CLIPTokenizer, start_from: Path | None
) -> tuple[UNet2DConditionModel, CLIPTextModel, Heads]:
    """UNet, text encoder and heads on the group's device: from a model's folder, or new ones."""
    unet, text_encoder = build_unet(), build_text_encoder(tokenizer)
    if start_from is not None:
        unet = UNet2DConditionModel.from_pretrained(start_from, subfolder="unet")
        text_encoder = CLIPTextModel.from_pretrained(start_from, subfolder="text_encoder")
    unet = unet.to(group.device, torch.float32, memory_format=torch.channels_last)
    text_encoder = text_encoder.to(group.device, torch.float32)
    return unet, text_encoder, Heads(unet).to(group.device)
