"""The training pool: rendered pictures and their edits in shards on disk, made once and read by
every stage.

A shard holds SCENES_PER_SHARD scenes of consecutive seeds. It is written beside its place and
renamed, so a killed run leaves whole shards only, and the next run goes on where it stopped.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.world import instructions, naming, sampling, world
from backend.world.cameras import project
from backend.world.render import Rendering, id_of, render
from protocol import files

SCENES_PER_SHARD = 64
EDITS_PER_SCENE = 8
WORDINGS_PER_EDIT = 6
CAPTURED_SHARE = 0.4
"""Share of a shard's scenes that are seen as in a capture, and whose edits are recolourings alone:
there a wrong shade, which is the same in all views, has nothing to be averaged out by.
"""
MAX_THINGS = 4
SMALLEST_SHOWN = 0.003
"""Share of the picture from which on a caption speaks of a thing."""
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
    things         float32 (n, H, W), each thing's own mask before the edit
    captions       what the picture shows before and after
    """

    image: Array
    edited: Array
    mask: Array
    things: Array
    edit: world.Edit
    scene: world.Scene
    camera: world.Camera
    captions: tuple[str, str]


def draw_samples(
    seed: int,
    height: int,
    width: int,
    edits: int = EDITS_PER_SCENE,
    things: int | None = None,
    kinds: Sequence[str] | None = world.RECOLOURING,
    captured: bool = False,
) -> list[Sample]:
    """The scene of this seed and `edits` edits of it, of these kinds (None: of all), where asked
    for as one of the views of a capture. What could not be seen to change is left out, so there may
    be fewer.
    """
    rng = np.random.default_rng(seed)
    scene, camera = sampling.sample_scene(rng, things)
    if captured:
        scene, camera = sampling.as_captured(rng, scene)
    picture = render(scene, camera, height, width)
    own = np.stack([picture.coverage(i) for i in range(len(scene.things))])
    visible = visible_shares(scene, picture)
    shown = [i for i in range(len(scene.things)) if visible[i] >= SMALLEST_SHOWN]

    def sees(thing: world.Thing) -> bool:
        (x, y), ahead = project(camera, np.array([thing.position]).T, height, width)
        return bool(ahead[0] > 0 and 0.02 * width < x[0] < 0.98 * width and 4 < y[0] < height)

    drawn = instructions.sample_edits(rng, scene, edits, visible, kinds or world.KINDS, sees)
    samples = []
    for edit in drawn:
        edited, mask = edited_picture(scene, picture, edit)
        if edit.target is not None and not _can_be_seen(picture.image, edited, mask):
            continue
        captions = naming.captions(scene, edit, shown)
        samples.append(Sample(picture.image, edited, mask, own, edit, scene, camera, captions))
    return samples


def _can_be_seen(image: Array, edited: Array, mask: Array) -> bool:
    """Whether the edit changes enough of the picture, by enough, to be learnt from or measured."""
    change = np.abs(edited.astype(np.float32) - image).mean(-1)
    return bool(mask.mean() > 0.004 and (change * mask).sum() > 3 * mask.sum())


def visible_shares(scene: world.Scene, picture: Rendering) -> dict[int | str, float]:
    """Share of the picture that each possible target covers."""
    targets: list[int | str] = [*range(len(scene.things)), "background"]
    if scene.ground is not None:
        targets.append("ground")
    counts = np.bincount(picture.ids.ravel(), minlength=256)
    return {t: float(counts[id_of(t)] / picture.ids.size) for t in targets}


def edited_picture(scene: world.Scene, picture: Rendering, edit: world.Edit) -> tuple[Array, Array]:
    """The edited picture, uint8 (H, W, 3), and its mask, float32 (H, W): the share of each pixel
    that shows another surface before and after.

    For what changes the target's surface that is all of the target as it is seen (also where the
    pattern that comes or goes leaves the base colour); for what changes what is there, the target
    as it was seen and the new thing as it is. Shadows and reflected light may change outside.
    """
    if edit.target is None:
        return picture.image, np.zeros(picture.image.shape[:2], np.float32)
    changed = world.apply(scene, edit)
    if edit.kind not in world.STRUCTURAL_KINDS:
        surface = world.surface_of(changed, edit.target)
        return picture.recoloured(edit.target, surface), picture.coverage(edit.target)
    after = picture.of(changed)
    samples = np.zeros(picture.ids.shape, bool)
    if edit.kind != "put on top":
        samples |= picture.ids == id_of(edit.target)
    if edit.kind == "replace":
        samples |= after.ids == id_of(edit.target)
    if edit.kind == "put on top":
        samples |= after.ids == id_of(len(scene.things))
    return after.image, picture.share(samples)


def shard_size(shard: int) -> tuple[int, int]:
    """Height and width of all pictures in a shard; a pure function of its number."""
    draw = np.random.default_rng([shard, 7]).random()
    return SIZES[int(np.searchsorted(np.cumsum(SIZE_SHARE), draw))]


def render_shard(folder: Path, shard: int) -> Path:
    """Renders one shard of training scenes into `folder` where it is not there yet, and returns its
    file.

    In the file, for n scenes and m edits:

    images    uint8 (n, H, W, 3)
    edited    uint8 (m, H, W, 3)
    source    int16 (m), the edit's scene
    target    int16 (m), a thing's index, -1 ground, -2 background, -3 nothing
    kinds     int8 (m), indices into world.KINDS
    masks     uint8 (m, h, w), 0..255
    things    uint8 (n, 4, h, w), every thing's own mask before the edits, 0..255
    names     int8 (n, 4, 3), every thing's shape, colour and pattern as indices into world.SHAPES,
              world.COLOURS and world.PATTERNS, -1 for none
    texts     JSON, a list of WORDINGS_PER_EDIT instructions for each edit
    captions  JSON, what the picture shows before and after, for each edit
    """
    path = folder / f"pictures-{shard:05d}.npz"
    if path.exists():
        return path
    height, width = shard_size(shard)
    columns: dict[str, list[Any]] = {k: [] for k in (*_PICTURES, *_NUMBERS, *_TEXTS)}
    for number in range(SCENES_PER_SHARD):
        seed = world.TRAIN_SEEDS[shard * SCENES_PER_SHARD + number]
        rng = np.random.default_rng([seed, 1])
        captured = rng.random() < CAPTURED_SHARE
        kinds = world.RECOLOURING if captured else None
        samples = draw_samples(seed, height, width, kinds=kinds, captured=captured)
        columns["images"].append(samples[0].image)
        own = np.zeros((MAX_THINGS, height, width), np.float32)
        own[: len(samples[0].things)] = samples[0].things
        columns["things"].append(np.stack([_small(m) for m in own]))
        columns["names"].append(_names(samples[0].scene))
        for sample in samples:
            columns["edited"].append(sample.edited)
            columns["source"].append(number)
            columns["target"].append(_target_number(sample.edit.target))
            columns["kinds"].append(world.KINDS.index(sample.edit.kind))
            columns["masks"].append(_small(sample.mask))
            columns["texts"].append(balanced_wordings(rng, sample))
            columns["captions"].append(sample.captions)
    files.make_folder(folder)
    arrays = {k: np.stack(columns[k]) for k in _PICTURES}
    arrays |= {k: np.array(columns[k], t) for k, t in _NUMBERS.items()}
    arrays |= {k: np.frombuffer(json.dumps(columns[k]).encode(), np.uint8) for k in _TEXTS}
    with files.replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
    return path


_PICTURES = ("images", "edited", "masks", "things", "names")
_NUMBERS = {"source": np.int16, "target": np.int16, "kinds": np.int8}
_TEXTS = ("texts", "captions")


def balanced_wordings(rng: np.random.Generator, sample: Sample) -> list[str]:
    """The sample's instruction and WORDINGS_PER_EDIT - 1 more for the same edit, which take turns
    in how the target is named.
    """
    scene, edit = sample.scene, sample.edit
    ways: list[str | None] = [None]
    if edit.target is not None:
        ways = [*naming.wordings(scene, edit.target)]
    start = int(rng.integers(len(ways)))
    turns = (ways[(start + k) % len(ways)] for k in range(WORDINGS_PER_EDIT - 1))
    others = (instructions.worded(rng, scene, edit, way).instruction for way in turns)
    return [edit.instruction, *others]


def _names(scene: world.Scene) -> Array:
    names = np.full((MAX_THINGS, 3), -1, np.int8)
    colours = list(world.COLOURS)
    for i, thing in enumerate(scene.things):
        surface = thing.surface
        names[i, 0] = world.SHAPES.index(thing.shape)
        if surface.colour is not None:
            names[i, 1] = colours.index(surface.colour)
        if surface.pattern is not None:
            names[i, 2] = world.PATTERNS.index(surface.pattern.kind)
    return names


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
