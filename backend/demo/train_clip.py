"""`python -m backend.demo.train_clip`: makes the world CLIP from nothing, or trains it on.

    train   pictures and captions to embeddings                   CACHE/clip.pt, CACHE/clip.jsonl
    export  the averaged weights in half precision                backend/demo/clip

It reads the pictures that `python -m backend.demo.train --stages render` has drawn, goes on from a
killed run's last checkpoint, and learns as CLIP does (Radford et al. 2021): in a batch every
picture has to choose its caption, and every caption its picture. A batch holds pictures of a few
scenes before and after several edits of each, so that what has to be told apart is what edits are
about. For training only, a head reads the shape, colour and pattern of things from the patches that
show them: from so few pictures a network that is only told which caption fits learns shapes late.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel

from backend.counts import check_options
from backend.demo import training
from backend.demo.heads import NAME_PARTS
from backend.demo.model import PICTURE_SIZE, to_tensor
from backend.demo.train import DEFAULT_CACHE
from backend.demo.world_clip import (
    build_clip,
    build_clip_tokenizer,
    build_image_processor,
    save_clip,
    tokenize_captions,
)
from backend.editing.encoders import WORLD_CLIP, ClipEncoder
from backend.errors import BadInput
from backend.evaluation.retrieval import draw_pairs, retrieval
from backend.world import pool, world

STAGES = ("train", "export")
EDITS_OF_ONE_SCENE = 2
NAMES_WEIGHT = 1.0
CHECKED_PICTURES = 100

Array = np.ndarray


@dataclass
class Pool:
    """All pictures of the pool, at the native size, and what they show.

    images, edited  uint8 (n, S, S, 3) and (m, S, S, 3)
    things, names   as in `pool.render_shard`
    before, after   int64 (n, L) and (m, L): token ids of captions
    first           (n + 1,): edits of picture i are first[i]:first[i + 1]
    """

    images: Array
    edited: Array
    things: Array
    names: Array
    before: Tensor
    after: Tensor
    first: Array


def load_pool(folder: Path) -> Pool:
    """Every shard in a folder. Raises BadInput where there is none."""
    paths = sorted(folder.glob("pictures-*.npz"))
    if not paths:
        raise BadInput(
            f"No pictures in {folder}: draw some with `python -m backend.demo.train --stages "
            "render` first."
        )
    images, edited, things, names, before, after, first = [], [], [], [], [], [], [0]
    for path in paths:
        with np.load(path) as file:
            shard = {
                key: file[key]
                for key in ("images", "edited", "things", "names", "source", "captions")
            }
        captions = json.loads(bytes(shard["captions"]))
        source = shard["source"]
        images.append(_squeezed(shard["images"]))
        edited.append(_squeezed(shard["edited"]))
        things.append(_squares(shard["things"]))
        names.append(shard["names"])
        for number in range(len(shard["images"])):
            own = np.flatnonzero(source == number)
            first.append(first[-1] + len(own))
            before.append(captions[own[0]][0])
        after += [pair[1] for pair in captions]
    tokenizer = build_clip_tokenizer()
    return Pool(
        np.concatenate(images),
        np.concatenate(edited),
        np.concatenate(things),
        np.concatenate(names),
        tokenize_captions(tokenizer, before),
        tokenize_captions(tokenizer, after),
        np.array(first),
    )


def _squeezed(pictures: Array) -> Array:
    """Pictures uint8 (n, H, W, 3) at the native size."""
    side = (PICTURE_SIZE, PICTURE_SIZE)
    if pictures.shape[1:3] == side:
        return pictures
    resized = [Image.fromarray(one).resize(side, Image.Resampling.BICUBIC) for one in pictures]
    return np.stack([np.asarray(one) for one in resized])


def _squares(masks: Array) -> Array:
    """Masks uint8 (n, 4, h, w) as those of the squeezed pictures, (n, 4, S / 4, S / 4)."""
    side = PICTURE_SIZE // pool.MASK_FACTOR
    values = torch.from_numpy(masks).float()
    squeezed = functional.interpolate(values, (side, side), mode="area")
    return squeezed.round().byte().numpy()


@dataclass
class Batch:
    """Pictures and their captions.

    images  float32 (B, 3, S, S) in -1..1
    tokens  int64 (B, L)
    known   int64, the rows of those pictures that things and names are told of: (k,)
    things  float32 (k, 4, h, w), 0..1
    names   int64 (k, 4, 3)
    """

    images: Tensor
    tokens: Tensor
    known: Tensor
    things: Tensor
    names: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(**{name: values.to(device) for name, values in vars(self).items()})


def draw_batch(drawn: Pool, rng: np.random.Generator, scenes: int) -> Batch:
    """The pictures of some scenes, each before and after EDITS_OF_ONE_SCENE edits; half the scenes
    are mirrored (no caption speaks of left and right).
    """
    images: list[Array] = []
    tokens: list[Tensor] = []
    known: list[int] = []
    things: list[Array] = []
    chosen = rng.integers(len(drawn.images), size=scenes)
    for scene in chosen:
        low, high = int(drawn.first[scene]), int(drawn.first[scene + 1])
        edits = low + rng.permutation(high - low)[:EDITS_OF_ONE_SCENE]
        shown = [drawn.images[scene], *drawn.edited[edits]]
        masks = drawn.things[scene]
        if rng.random() < 0.5:
            shown = [one[:, ::-1] for one in shown]
            masks = masks[..., ::-1]
        known.append(len(images))
        images += [np.ascontiguousarray(one) for one in shown]
        things.append(np.ascontiguousarray(masks))
        tokens += [drawn.before[scene], *drawn.after[edits]]
    return Batch(
        to_tensor(images),
        torch.stack(tokens),
        torch.tensor(known),
        torch.from_numpy(np.stack(things)).float() / 255,
        torch.from_numpy(drawn.names[chosen]).long(),
    )


def contrastive_loss(similarity: Tensor, tokens: Tensor) -> Tensor:
    """CLIP's symmetric cross entropy of scaled similarities (B, B), pictures by texts, where texts
    of the same tokens (B, L) are equally right.
    """
    same = (tokens[:, None] == tokens[None]).all(-1).float()
    target = same / same.sum(1, keepdim=True)
    to_text = -(target * functional.log_softmax(similarity, 1)).sum(1).mean()
    to_image = -(target * functional.log_softmax(similarity.T, 1)).sum(1).mean()
    return (to_text + to_image) / 2


def names_loss(scores: Tensor, things: Tensor, names: Tensor) -> Tensor:
    """Cross entropy of shapes, colours and patterns in the patches that show a thing.

    Args:
        scores: (k, patches, scores), as many scores as NAME_PARTS has names in all.
        things: (k, 4, h, w), every thing's mask, 0..1.
        names: (k, 4, 3), -1 for none.
    """
    side = round(scores.shape[1] ** 0.5)
    share = functional.interpolate(things, (side, side), mode="area").flatten(2)
    total = scores.new_zeros(())
    for part, one in enumerate(scores.split([count for count, _ in NAME_PARTS], -1)):
        wanted = names[..., part]
        weight = share * (share > 0.1) * (wanted >= 0)[..., None]
        log_share = functional.log_softmax(one, -1)
        one_hot = functional.one_hot(wanted.clamp(min=0), one.shape[-1]).float()
        right = torch.einsum("kps,kts->ktp", log_share, one_hot)
        total = total - (right * weight).sum() / weight.sum().clamp(min=1)
    return total / len(NAME_PARTS)


class Contrast(nn.Module):
    """The model and the head that only training has."""

    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model
        width = model.config.vision_config.hidden_size
        self.head = nn.Linear(width, sum(count for count, _ in NAME_PARTS))

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The contrastive loss and that of the names."""
        with training.mixed_precision(batch.images.device):
            seen = self.model.vision_model(batch.images)
            read = self.model.text_model(batch.tokens)
            images = self.model.visual_projection(seen.pooler_output)
            texts = self.model.text_projection(read.pooler_output)
            scores = self.head(seen.last_hidden_state[batch.known, 1:])
        images = functional.normalize(images.float(), dim=-1)
        texts = functional.normalize(texts.float(), dim=-1)
        similarity = self.model.logit_scale.clamp(max=4.6).exp() * images @ texts.T
        named = names_loss(scores.float(), batch.things, batch.names)
        return contrastive_loss(similarity, batch.tokens), named


def train_clip(options: argparse.Namespace) -> None:
    """Trains for `options.minutes` on the pool, going on from CACHE/clip.pt where it is. Every few
    minutes: a checkpoint, and a line of figures on validation scenes in CACHE/clip.jsonl.
    """
    torch.manual_seed(3)
    device = torch.device(options.device)
    tokenizer = build_clip_tokenizer()
    modules = Contrast(build_clip(tokenizer)).to(device)
    parameters = list(modules.parameters())
    average = training.Average(parameters, 0.99)
    optimiser = torch.optim.AdamW(parameters, options.rate, (0.9, 0.98), weight_decay=0.05)
    step, spent = 0, 0.0
    checkpoint = training.load_checkpoint(options.cache / "clip.pt")
    if checkpoint is not None:
        training.take_over(checkpoint, modules, average, optimiser)
        step, spent = checkpoint["step"], checkpoint["minutes"]
    drawn = load_pool(options.cache / "pictures")
    pairs = draw_pairs(world.VALIDATION_SEEDS, CHECKED_PICTURES, PICTURE_SIZE)
    encoder = ClipEncoder("world CLIP", modules.model, tokenizer, build_image_processor())
    rng = np.random.default_rng([step, 5])
    clock = training.Clock(training.Group(0, 1, device), options.minutes)
    losses: list[tuple[float, float]] = []
    checked, start = 0.0, step

    def keep() -> None:
        where = {"step": step, "minutes": spent + clock.minutes}
        training.save_training(options.cache / "clip.pt", modules, average, optimiser, **where)
        modules.eval()
        with average.in_use():
            figures = retrieval(encoder, pairs)
        modules.train()
        contrastive, named = np.mean(losses[-100:] or [(0.0, 0.0)], axis=0)
        losses_now = {"loss": float(contrastive), "names": float(named)}
        training.note(options.cache / "clip.jsonl", where | losses_now | figures)

    modules.train()
    while clock.tick():
        contrastive, named = modules.loss(draw_batch(drawn, rng, options.scenes).to(device))
        rate = options.rate * clock.rate(step - start)
        training.descend(contrastive + NAMES_WEIGHT * named, parameters, optimiser, rate)
        step += 1
        average.update(step)
        losses.append((contrastive.item(), named.item()))
        if clock.minutes - checked > options.check_minutes:
            checked = clock.minutes
            keep()
    keep()


def export(options: argparse.Namespace) -> None:
    """Writes the checkpoint's averaged parameters as a model. Raises BadInput without one."""
    checkpoint = training.load_checkpoint(options.cache / "clip.pt")
    if checkpoint is None:
        raise BadInput(f"No trained CLIP in {options.cache}: run the stage train first.")
    tokenizer = build_clip_tokenizer()
    modules = Contrast(build_clip(tokenizer))
    for parameter, value in zip(modules.parameters(), checkpoint["average"], strict=True):
        parameter.data.copy_(value)
    save_clip(modules.model, tokenizer, options.weights)
    print(f"wrote {options.weights}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m backend.demo.train_clip",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default: both")
    add("--cache", type=Path, default=DEFAULT_CACHE, help="pool, checkpoint and curve")
    add("--weights", type=Path, default=WORLD_CLIP, help="where `export` writes")
    add("--minutes", type=float, default=25.0, help="of training")
    add("--scenes", type=int, default=32, help="a step: three pictures of each")
    add("--rate", type=float, default=1e-3, help="the learning rate")
    add("--check-minutes", type=float, default=4.0, help="between checkpoints")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="of torch")
    options = parser.parse_args(arguments)
    try:
        check_options(options)
        for stage in STAGES:
            if stage in options.stages:
                print(f"stage {stage}", flush=True)
                {"train": train_clip, "export": export}[stage](options)
    except BadInput as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
