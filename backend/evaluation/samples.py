"""The demo world's held-out samples, and the raw maps that a model has of them.

Figures while training and `evaluate relevance` both draw and measure here.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from backend.editing.encoded_image import resize
from backend.editing.models.denoiser import Conditions, Denoiser, Encoding, draw_noise
from backend.editing.relevance import CELLS_AT_ONCE, NOISE_LEVEL, noise_differences
from backend.errors import BadInput
from backend.evaluation.metrics import Map
from backend.world import instructions, world
from backend.world.pool import Sample, draw_samples

EDITS_OF_ONE_PICTURE = 3
SEEDS = {"validation": world.VALIDATION_SEEDS, "test": world.TEST_SEEDS}
"""Scenes by what they are for; no other is ever measured on."""


def draw_present(
    seeds: range,
    count: int,
    size: int,
    kinds: Sequence[str] = world.KINDS,
    captured: bool = False,
) -> list[Sample]:
    """The first `count` samples of these scenes that ask for what is there, up to
    EDITS_OF_ONE_PICTURE of one picture; pictures of `size` pixels a side, where asked for as the
    views of a capture show the scenes.
    """
    found: list[Sample] = []
    for seed in seeds:
        samples = draw_samples(
            seed, size, size, EDITS_OF_ONE_PICTURE, kinds=kinds, captured=captured
        )
        found += [sample for sample in samples if sample.edit.target is not None]
        if len(found) >= count:
            break
    return found[:count]


def absent_edit(rng: np.random.Generator, scene: world.Scene, kind: str) -> world.Edit:
    """An edit of a kind that asks for what is not in the scene."""
    if kind == "recolour":
        return instructions.sample_recolouring(rng, scene, None)
    return instructions.worded(rng, scene, world.Edit(kind, None, None, "", ""))


def absent_twins(samples: Sequence[Sample]) -> list[Sample]:
    """For every sample one of the same picture and kind that asks for what is not there."""
    twins = []
    for number, sample in enumerate(samples):
        edit = absent_edit(np.random.default_rng([number, 2]), sample.scene, sample.edit.kind)
        nothing = np.zeros_like(sample.mask)
        twins.append(dataclasses.replace(sample, edited=sample.image, mask=nothing, edit=edit))
    return twins


@dataclass(frozen=True)
class Probe:
    """Samples as a model sees them.

    Attributes:
        samples: N of them, all pictures of one size.
        encodings: N of the pictures.
        truths: bool (N, h, w), the true masks at latent resolution.
        things: float32 (n, h, w) for each sample, every thing's own mask as shares of cells.
    """

    samples: Sequence[Sample]
    encodings: Sequence[Encoding]
    truths: NDArray[np.bool_]
    things: Sequence[Map]


@torch.inference_mode()
def encode(model: Denoiser, samples: Sequence[Sample]) -> Probe:
    """Encode every picture once, scaled down to the size that the model was trained at where it is
    larger, as the Editor does.

    Samples are left out whose mask is empty or everywhere at latent resolution: no figure says
    anything about them.

    Raises:
        BadInput: the pictures are not of one size, or not of whole latent cells.
    """
    shape = samples[0].image.shape[:2]
    scale = min(1.0, model.card.native_size / min(shape))
    height, width = (round(side * scale) for side in shape)
    cells = (height // model.card.cell, width // model.card.cell)
    if any(side % count for side, count in zip((*shape, height, width), cells * 2, strict=True)):
        raise BadInput(
            f"Pictures of {shape[1]}x{shape[0]} cannot be measured with {model.card.name}: each "
            f"side must be a multiple of {model.card.native_size} pixels."
        )
    encodings: dict[int, Encoding] = {}
    kept, truths = [], []
    for sample in samples:
        if sample.image.shape[:2] != shape:
            raise BadInput("All pictures must have one size.")
        truth = at_cells(sample.mask, cells) > 0.5
        if not (0 < truth.sum() < truth.size or sample.edit.target is None):
            continue
        kept.append(sample)
        truths.append(truth)
        if id(sample.image) not in encodings:
            encodings[id(sample.image)] = model.encode(resize(sample.image, height, width))
    if not kept:
        raise BadInput("No sample has a mask that could be measured: ask for more samples.")
    return Probe(
        kept,
        [encodings[id(sample.image)] for sample in kept],
        np.stack(truths),
        [at_cells(sample.things, cells) for sample in kept],
    )


def at_cells(masks: Map, cells: tuple[int, int]) -> Map:
    """Masks (…, H, W) at latent resolution (…, h, w), by area."""
    height, width = masks.shape[-2:]
    rows, columns = cells
    parts = masks.reshape(*masks.shape[:-2], rows, height // rows, columns, width // columns)
    return parts.mean(axis=(-3, -1), dtype=np.float32)


@torch.inference_mode()
def conditions(model: Denoiser, probe: Probe) -> list[Conditions]:
    """What the model is told of each sample's picture and instruction."""
    return [
        model.conditions(encoding, sample.edit.instruction)
        for encoding, sample in zip(probe.encodings, probe.samples, strict=True)
    ]


@torch.inference_mode()
def differences(
    model: Denoiser,
    probe: Probe,
    told: Sequence[Conditions],
    seed: int = 0,
    noise_level: float = NOISE_LEVEL,
) -> NDArray[np.float32]:
    """float32 (N, c, h, w): what Eq. 2 sums over channels, for what the model is told of each
    sample, with the very noise that `Editor.relevance` draws for this seed.
    """
    noise = draw_noise(seed, probe.encodings[0].latents)
    at_once = max(1, CELLS_AT_ONCE // (noise.shape[2] * noise.shape[3]))
    parts = []
    for first in range(0, len(told), at_once):
        clean = torch.cat([one.latents for one in probe.encodings[first : first + at_once]])
        noises = noise.expand(len(clean), -1, -1, -1)
        found = noise_differences(model, clean, told[first : first + at_once], noises, noise_level)
        parts.append(found.cpu())
    return torch.cat(parts).numpy()
