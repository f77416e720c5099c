"""The training pool: rendered pictures and their edits in shards on disk, made once and read by
every stage.

A shard holds SCENES_PER_SHARD scenes of consecutive seeds. It is written beside its place and
renamed, so a killed run leaves whole shards only, and the next run goes on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.demo import instructions, sampling, world
from backend.demo.render import Rendering, render

SCENES_PER_SHARD = 64
EDITS_PER_SCENE = 6
WORDINGS_PER_EDIT = 3
MAX_THINGS = 4
MASK_FACTOR = 4
"""Masks are kept at the latents' resolution: a quarter of the picture's."""

SIZES = ((128, 128), (128, 176), (176, 128), (128, 224))
SIZE_SHARE = (0.76, 0.1, 0.07, 0.07)
"""Picture sizes (height, width) and the share of shards of each."""

Array = np.ndarray


@dataclass(frozen=True)
class Sample:
    """One edit of one picture, for training and for measuring.

    image, edited  uint8 (H, W, 3)
    mask           float32 (H, W), share of each pixel that changes
    things         float32 (n, H, W), each thing's own mask
    """

    image: Array
    edited: Array
    mask: Array
    things: Array
    edit: world.Edit
    scene: world.Scene
    camera: world.Camera


def draw_samples(
    seed: int,
    height: int,
    width: int,
    edits: int = EDITS_PER_SCENE,
    things: int | None = None,
) -> list[Sample]:
    """The scene of this seed and `edits` edits of it."""
    rng = np.random.default_rng(seed)
    scene, camera = sampling.sample_scene(rng, things)
    picture = render(scene, camera, height, width)
    own = np.stack([picture.coverage(i) for i in range(len(scene.things))])
    samples = []
    for edit in instructions.sample_edits(rng, scene, edits, visible_shares(scene, picture)):
        edited, mask = edited_picture(scene, picture, edit)
        samples.append(Sample(picture.image, edited, mask, own, edit, scene, camera))
    return samples


def visible_shares(scene: world.Scene, picture: Rendering) -> dict[int | str, float]:
    """Share of the picture that each possible target covers."""
    targets: list[int | str] = [*range(len(scene.things)), "background"]
    if scene.ground is not None:
        targets.append("ground")
    return {t: float(picture.coverage(t).mean()) for t in targets}


def edited_picture(scene: world.Scene, picture: Rendering, edit: world.Edit) -> tuple[Array, Array]:
    """The edited picture, uint8 (H, W, 3), and the mask of what changes, float32 (H, W)."""
    if edit.target is None:
        return picture.image, np.zeros(picture.image.shape[:2], np.float32)
    surface = world.surface_of(world.apply(scene, edit), edit.target)
    return picture.recoloured(edit.target, surface), picture.coverage(edit.target)


def shard_size(shard: int) -> tuple[int, int]:
    """Height and width of all pictures in a shard; a pure function of its number."""
    draw = np.random.default_rng([shard, 7]).random()
    return SIZES[int(np.searchsorted(np.cumsum(SIZE_SHARE), draw))]


def render_shard(folder: Path, shard: int) -> Path:
    """Renders one shard of training scenes into `folder` where it is not there yet, and returns its
    file.

    In the file: images uint8 (n, H, W, 3); edited uint8 (m, H, W, 3); source, target int16 (m)
    (target: a thing's index, -1 ground, -2 background, -3 nothing); masks uint8 (m, h, w); things
    uint8 (n, 4, h, w), in 0..255; and the instructions as JSON, a list of WORDINGS_PER_EDIT for
    each edit.
    """
    path = folder / f"pictures-{shard:05d}.npz"
    if path.exists():
        return path
    height, width = shard_size(shard)
    columns: dict[str, list[Any]] = {
        k: [] for k in ("images", "edited", "source", "target", "masks", "things", "texts")
    }
    for number in range(SCENES_PER_SHARD):
        seed = world.TRAIN_SEEDS[shard * SCENES_PER_SHARD + number]
        samples = draw_samples(seed, height, width)
        rng = np.random.default_rng([seed, 1])
        columns["images"].append(samples[0].image)
        own = np.zeros((MAX_THINGS, height, width), np.float32)
        own[: len(samples[0].things)] = samples[0].things
        columns["things"].append(np.stack([_small(m) for m in own]))
        for sample in samples:
            edit = sample.edit
            columns["edited"].append(sample.edited)
            columns["source"].append(number)
            columns["target"].append(_target_number(edit.target))
            columns["masks"].append(_small(sample.mask))
            texts = [edit.instruction]
            for _ in range(WORDINGS_PER_EDIT - 1):
                other = instructions.sample_recolouring(
                    rng, sample.scene, edit.target, colour=edit.colour
                )
                texts.append(other.instruction)
            columns["texts"].append(texts)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {k: np.stack(columns[k]) for k in ("images", "edited", "masks", "things")}
    arrays |= {k: np.array(columns[k], np.int16) for k in ("source", "target")}
    arrays["texts"] = np.frombuffer(json.dumps(columns["texts"]).encode(), np.uint8)
    beside = path.with_name(f"{path.stem}.{os.getpid()}.part.npz")
    np.savez(beside, allow_pickle=False, **arrays)
    beside.replace(path)
    return path


def _target_number(target: int | str | None) -> int:
    if isinstance(target, int):
        return target
    return {"ground": -1, "background": -2, None: -3}[target]


def _small(mask: Array) -> Array:
    """A mask at the latents' resolution, in 0..255."""
    height, width = mask.shape
    f = MASK_FACTOR
    mean = mask.reshape(height // f, f, width // f, f).mean((1, 3))
    return np.round(mean * 255).astype(np.uint8)


def _render_one(task: tuple[Path, int]) -> Path:
    return render_shard(*task)


def render_shards(folder: Path, shards: Iterable[int], processes: int) -> Iterable[Path]:
    """Renders what is missing of `shards` with that many processes, and yields each file as it is
    there.
    """
    tasks = [(folder, shard) for shard in shards]
    if processes == 1:
        yield from map(_render_one, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as workers:
        yield from workers.imap_unordered(_render_one, tasks)
