"""The demo world's held-out samples, and the raw maps that a model has of them.

Figures while training and `evaluate relevance` both draw and measure here.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.editing.backbone import Backbone
from backend.editing.editor import resize
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
        latents: (N, c, h, w) unscaled, on the model's device.
        truths: bool (N, h, w), the true masks at latent resolution.
        things: float32 (n, h, w) for each sample, every thing's own mask as shares of cells.
    """

    samples: Sequence[Sample]
    latents: Tensor
    truths: NDArray[np.bool_]
    things: Sequence[Map]


@torch.inference_mode()
def encode(backbone: Backbone, samples: Sequence[Sample]) -> Probe:
    """Encode every picture once, scaled down to the size that the model was trained at where it is
    larger, as the Editor does.

    Samples are left out whose mask is empty or everywhere at latent resolution: no figure says
    anything about them.

    Raises:
        BadInput: the pictures are not of one size, or not of whole latent cells.
    """
    shape = samples[0].image.shape[:2]
    scale = min(1.0, backbone.native_size / min(shape))
    height, width = (round(side * scale) for side in shape)
    cells = (height // backbone.factor, width // backbone.factor)
    if any(side % count for side, count in zip((*shape, height, width), cells * 2, strict=True)):
        raise BadInput(
            f"Pictures of {shape[1]}x{shape[0]} cannot be measured with {backbone.name}: each side "
            f"must be a multiple of {backbone.native_size} pixels."
        )
    latents: dict[int, Tensor] = {}
    kept, truths = [], []
    for sample in samples:
        if sample.image.shape[:2] != shape:
            raise BadInput("All pictures must have one size.")
        truth = _at_cells(sample.mask, cells) > 0.5
        if not (0 < truth.sum() < truth.size or sample.edit.target is None):
            continue
        kept.append(sample)
        truths.append(truth)
        if id(sample.image) not in latents:
            work = resize(sample.image, height, width)
            latents[id(sample.image)] = backbone.encode_image(work)
    if not kept:
        raise BadInput("No sample has a mask that could be measured: ask for more samples.")
    return Probe(
        kept,
        torch.cat([latents[id(sample.image)] for sample in kept]),
        np.stack(truths),
        [_at_cells(sample.things, cells) for sample in kept],
    )


def _at_cells(masks: Map, cells: tuple[int, int]) -> Map:
    """Masks (…, H, W) at latent resolution (…, h, w), by area."""
    height, width = masks.shape[-2:]
    rows, columns = cells
    parts = masks.reshape(*masks.shape[:-2], rows, height // rows, columns, width // columns)
    return parts.mean(axis=(-3, -1), dtype=np.float32)


@torch.inference_mode()
def embed(backbone: Backbone, samples: Sequence[Sample]) -> Tensor:
    """(N + 1, tokens, channels): the samples' instructions, and the empty one last."""
    return torch.cat(
        [backbone.embed_text(s.edit.instruction) for s in samples] + [backbone.embed_text("")]
    )


@torch.inference_mode()
def differences(
    backbone: Backbone,
    probe: Probe,
    texts: Tensor,
    seed: int = 0,
    noise_level: float = NOISE_LEVEL,
) -> NDArray[np.float32]:
    """float32 (N, c, h, w): what Eq. 2 sums over channels, with the very noise that
    `Editor.relevance` draws for this seed.
    """
    height, width = probe.latents.shape[2:]
    noise = backbone.draw_noise(seed, height, width)
    at_once = max(1, CELLS_AT_ONCE // (height * width))
    parts = [
        noise_differences(
            backbone,
            latents,
            text,
            texts[-1:],
            noise.expand(len(latents), -1, -1, -1),
            noise_level,
        ).cpu()
        for latents, text in zip(
            probe.latents.split(at_once), texts[:-1].split(at_once), strict=True
        )
    ]
    return torch.cat(parts).numpy()
