"""Where does an instruction apply? The relevance map of "Watch Your Steps", section 4.1.

I_t    = E(I) noised to noise_level
M_raw  = sum over channels of | eps(I_t, I, text) - eps(I_t, I, "") |          (Eq. 2)
M      = min-max of M_raw, clamped at Q3 + 1.5 IQR                             (Eq. 3)

Eq. 3 is `normalisation="paper"`. Its clamp takes a region far below a quarter of the image for an
outlier and brings the map's own noise up to it; "full" leaves the clamp out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from protocol.settings import MapSettings
from protocol.values import Normalisation

from .models.denoiser import Conditions, Denoiser
from .prompt_check import Agreement, agreement
from .threshold import suggest_threshold

NOISE_LEVEL = MapSettings.noise_level
IQR_FACTOR = 1.5
FLAT = 1e-12
"""A map whose values differ by no more is the same everywhere."""
CELLS_AT_ONCE = 8192
"""Latent cells of the noised images that a model is given in one batch."""


@dataclass(frozen=True)
class CloserLook:
    """A second map, of a part of the image that the networks saw larger.

    Attributes:
        top, left, bottom, right: of the part, 0..1 of the image's sides.
        relevance: its map.
    """

    top: float
    left: float
    bottom: float
    right: float
    relevance: "RelevanceMap"


@dataclass(frozen=True)
class RelevanceMap:
    """The relevance of one instruction for one image.

    Attributes:
        values: float32 (h, w), 0..1, at latent resolution: Eq. 3, or its other normalisation.
        raw: float32 (h, w), the differences of Eq. 2 averaged over the seeds, in units of noise;
            a scene normalises these over all of its views together.
        spread: float32 (h, w), their standard deviation over the seeds (0 for one seed).
        extent: how many cells (rows, columns) of the map the image covers. Below (h, w) by less
            than one cell where the image was padded to whole cells.
        suggested_threshold: 0..1, where the map falls into two parts by itself.
        evidence: 0..1, how much of the differences is the same for every noise, or None with one
            seed (the prompt check, prompt_check.py).
        applies: whether the evidence reaches the model's limit, or None with one seed.
        agreement: what the evidence comes from, for pooling it over views; None with one seed.
        closer: a second look at a part of the image, which `at` joins with this one; or None.
    """

    values: NDArray[np.float32]
    raw: NDArray[np.float32]
    spread: NDArray[np.float32]
    extent: tuple[float, float]
    suggested_threshold: float
    evidence: float | None
    applies: bool | None
    agreement: Agreement | None = None
    closer: CloserLook | None = None

    def at(self, height: int, width: int) -> NDArray[np.float32]:
        """float32 (height, width) in 0..1: bilinear, each pixel sampled at its centre; where there
        was a second look, the mean of both.
        """
        rows = _interpolation(height, self.extent[0], self.values.shape[0])
        columns = _interpolation(width, self.extent[1], self.values.shape[1])
        enlarged = rows @ self.values @ columns.T
        if (look := self.closer) is not None:
            top, bottom = (round(height * end) for end in (look.top, look.bottom))
            left, right = (round(width * end) for end in (look.left, look.right))
            if top < bottom and left < right:
                part = enlarged[top:bottom, left:right]
                part += look.relevance.at(bottom - top, right - left)
                part /= 2
        return enlarged.clip(0.0, 1.0).astype(np.float32)

    def mask(self, threshold: float) -> NDArray[np.bool_]:
        """bool (h, w) at latent resolution: where the relevance reaches `threshold`."""
        return self.values >= threshold


def noise_differences(
    model: Denoiser,
    clean: Tensor,
    conditions: Sequence[Conditions],
    noises: Tensor,
    noise_level: float = NOISE_LEVEL,
) -> Tensor:
    """What Eq. 2 sums the absolute values of: the prediction with the instruction less that
    without, for N noises in one batch.

    Args:
        clean: (N, c, h, w) E(I) of the images.
        conditions: N, of the images and the instructions.
        noises: (N, c, h, w) standard normal.
        noise_level: 0..1, that E(I) is noised to.

    Returns:
        (N, c, h, w) float32.

    Raises:
        FloatingPointError: as `ModelCard.check_numbers`.
    """
    found = model.difference(model.noised(clean, noises, noise_level), noise_level, conditions)
    model.card.check_numbers(found)
    return found


def normalise(raw: NDArray[np.float32], normalisation: Normalisation) -> NDArray[np.float32]:
    """Raw differences (h, w) to relevance in 0..1.

    "paper" is Eq. 3: clamp at Q3 + 1.5 IQR, then stretch to 0..1. "full" only stretches. Nothing is
    clamped from below, as in the authors' code: where the target fills nearly all of the picture,
    the rest of it is the outlier. A map that is the same everywhere says nothing about where, and
    becomes zeros.
    """
    values = raw.astype(np.float64)
    if normalisation == "paper":
        first, third = np.quantile(values, [0.25, 0.75])
        reach = IQR_FACTOR * (third - first)
        values = values.clip(None, third + reach)
    low, high = values.min(), values.max()
    if high - low <= FLAT:
        return np.zeros_like(raw)
    stretched: NDArray[np.float32] = ((values - low) / (high - low)).astype(np.float32)
    return stretched


def normalise_together(
    maps: Sequence[NDArray[np.float32]], normalisation: Normalisation = MapSettings.normalisation
) -> list[NDArray[np.float32]]:
    """Raw maps (h, w) of all views, of any sizes, to 0..1 on one scale: Eq. 3 over all of them.
    Where each of them is the same everywhere, they become zeros as one alone does, though one may
    be higher than another.

    Args:
        maps: raw differences of Eq. 2.
        normalisation: "paper" (Eq. 3) or "full" (its clamp left out), as for single maps.
    """
    if all(raw.max() - raw.min() <= FLAT for raw in maps):
        return [np.zeros_like(raw) for raw in maps]
    pooled = normalise(np.concatenate([raw.ravel() for raw in maps]), normalisation)
    ends = np.cumsum([raw.size for raw in maps])[:-1]
    return [part.reshape(raw.shape) for part, raw in zip(np.split(pooled, ends), maps, strict=True)]


def images_at_once(cells: int, seeds: int) -> int:
    """How many images of so many latent cells a model is given in one batch, each noised with
    all seeds; at least one, whose seeds may take several batches.
    """
    return max(1, CELLS_AT_ONCE // (cells * seeds))


@torch.inference_mode()
def relevance_maps(
    model: Denoiser,
    clean: Tensor,
    conditions: Sequence[Conditions],
    noises: Tensor,
    noise_level: float,
    normalisation: Normalisation,
    extent: tuple[float, float],
    on_draw: Callable[[int, int], None] | None = None,
) -> list[RelevanceMap]:
    """The relevance maps of V images of one size, each over the same S noises, whose differences
    are averaged before they are normalised.

    Args:
        clean: (V, c, h, w) E(I) of the images.
        conditions: V, of the images and one instruction.
        noises: (S, c, h, w) standard normal.
        noise_level: as in `noise_differences`.
        normalisation: as in `normalise`.
        extent: cells (rows, columns) that each image covers; the others are left out.
        on_draw: called after every batch, with the number of its last noised image from 0 and how
            many there are (V * S, image by image); what it raises ends the work.
    """
    seeds = len(noises)
    total = len(clean) * seeds
    rows, columns = (int(np.ceil(cells)) for cells in extent)
    at_once = max(1, CELLS_AT_ONCE // (noises.shape[2] * noises.shape[3]))
    draws: list[NDArray[np.float32]] = []
    for first in range(0, total, at_once):
        pairs = [divmod(number, seeds) for number in range(first, min(first + at_once, total))]
        found = noise_differences(
            model,
            clean[[image for image, _ in pairs]],
            [conditions[image] for image, _ in pairs],
            noises[[seed for _, seed in pairs]],
            noise_level,
        )
        draws += list(found[..., :rows, :columns].cpu().numpy())
        if on_draw is not None:
            on_draw(len(draws) - 1, total)
    by_image = [np.stack(draws[first : first + seeds]) for first in range(0, total, seeds)]
    limit = model.card.evidence_limit
    return [_map_of(found, normalisation, extent, limit) for found in by_image]


def perfect_map(raw: NDArray[np.float32]) -> RelevanceMap:
    """The map of a region that is known, from the share float32 (h, w) of each cell that it covers
    in place of a model's differences. No prompt check can be made of it.
    """
    values = normalise(raw, "full")
    return RelevanceMap(
        values=values,
        raw=raw,
        spread=np.zeros_like(raw),
        extent=(float(raw.shape[0]), float(raw.shape[1])),
        suggested_threshold=suggest_threshold(values),
        evidence=None,
        applies=None,
    )


def _map_of(
    differences: NDArray[np.float32],
    normalisation: Normalisation,
    extent: tuple[float, float],
    limit: float,
) -> RelevanceMap:
    """The map of one image from its differences, (seeds, c, h, w), and the model's limit."""
    by_seed = np.abs(differences).sum(axis=1)
    raw = by_seed.mean(axis=0)
    values = normalise(raw, normalisation)
    found = agreement(differences)
    seen = None if found is None else found.evidence
    return RelevanceMap(
        values=values,
        raw=raw,
        spread=by_seed.std(axis=0),
        extent=extent,
        suggested_threshold=suggest_threshold(values),
        evidence=seen,
        applies=None if seen is None else seen >= limit,
        agreement=found,
    )


def _interpolation(pixels: int, extent: float, cells: int) -> NDArray[np.float32]:
    """(pixels, cells) weights that sample `cells` values, of which the pixels cover the first
    `extent`, linearly at every pixel's centre; constant beyond the outermost cell centres.
    """
    centres = (np.arange(pixels) + 0.5) / pixels * extent - 0.5
    centres = centres.clip(0, cells - 1)
    lower = np.floor(centres).astype(int)
    upper = np.minimum(lower + 1, cells - 1)
    weights = np.zeros((pixels, cells), np.float32)
    np.add.at(weights, (np.arange(pixels), lower), 1 - (centres - lower))
    np.add.at(weights, (np.arange(pixels), upper), centres - lower)
    return weights
