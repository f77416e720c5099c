"""Where does an instruction apply? The relevance map of "Watch Your Steps", section 4.1.

I_t    = E(I) noised to t = noise_level * T
M_raw  = sum over channels of | eps(I_t, I, text) - eps(I_t, I, "") |          (Eq. 2)
M      = min-max of M_raw after clamping its outliers by 1.5 IQR               (Eq. 3)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .backbone import Backbone, stack_branches

NOISE_LEVEL = 0.8
IQR_FACTOR = 1.5


@dataclass(frozen=True)
class RelevanceMap:
    """The relevance of one instruction for one image.

    Attributes:
        values: float32 (h, w), 0..1, at latent resolution: Eq. 3.
        raw: float32 (h, w), the differences of Eq. 2 averaged over the seeds, in units of noise;
            a scene normalises these over all of its views together.
        spread: float32 (h, w), their standard deviation over the seeds (0 for one seed).
        extent: how many cells (rows, columns) of the map the image covers. Below (h, w) by less
            than one cell where the image was padded to whole cells.
    """

    values: NDArray[np.float32]
    raw: NDArray[np.float32]
    spread: NDArray[np.float32]
    extent: tuple[float, float]

    def at(self, height: int, width: int) -> NDArray[np.float32]:
        """float32 (height, width) in 0..1: bilinear, each pixel sampled at its centre."""
        rows = _interpolation(height, self.extent[0], self.values.shape[0])
        columns = _interpolation(width, self.extent[1], self.values.shape[1])
        enlarged = rows @ self.values @ columns.T
        return enlarged.clip(0.0, 1.0).astype(np.float32)

    def mask(self, threshold: float) -> NDArray[np.bool_]:
        """bool (h, w) at latent resolution: where the relevance reaches `threshold`."""
        return self.values >= threshold


def noise_difference(
    backbone: Backbone,
    image_latents: Tensor,
    text: Tensor,
    no_text: Tensor,
    noise: Tensor,
    noise_level: float = NOISE_LEVEL,
) -> Tensor:
    """What Eq. 2 sums: how far apart the predictions with and without instruction are, for one
    noise.

    Args:
        image_latents: (1, c, h, w) unscaled latents of the image, the condition I.
        text, no_text: (1, n, d) embeddings of the instruction and of "".
        noise: (1, c, h, w) standard normal.
        noise_level: 0..1, share of the schedule up to which E(I) is noised.

    Returns:
        (c, h, w) float32, at least 0.
    """
    steps = len(backbone.alphas_cumprod)
    timestep = min(round(noise_level * steps), steps - 1)
    noised = backbone.add_noise(image_latents * backbone.scaling, noise, timestep)
    branches = stack_branches([(text, image_latents), (no_text, image_latents)])
    with_text, without_text = backbone.predict_noise(noised, timestep, branches)
    difference: Tensor = with_text - without_text
    return difference.abs()


def normalise(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """Eq. 3: clamp to [Q1 - 1.5 IQR, Q3 + 1.5 IQR], then stretch to 0..1.

    A map that is the same everywhere says nothing about where, and becomes zeros.
    """
    values = raw.astype(np.float64)
    first, third = np.quantile(values, [0.25, 0.75])
    reach = IQR_FACTOR * (third - first)
    values = values.clip(first - reach, third + reach)
    low, high = values.min(), values.max()
    if high - low <= 1e-12:
        return np.zeros_like(raw)
    stretched: NDArray[np.float32] = ((values - low) / (high - low)).astype(np.float32)
    return stretched


@torch.inference_mode()
def relevance_map(
    backbone: Backbone,
    image_latents: Tensor,
    text: Tensor,
    no_text: Tensor,
    noises: Sequence[Tensor],
    noise_level: float,
    extent: tuple[float, float],
    on_draw: Callable[[int, int], None] | None = None,
) -> RelevanceMap:
    """The relevance map over one or several noises, averaged before it is normalised.

    Args:
        image_latents, text, no_text: as in `noise_difference`.
        noises: one (1, c, h, w) tensor a seed.
        extent: cells (rows, columns) that the image covers; the others are left out.
        on_draw: called after every noise with its number from 0 and how many there are; what it
            raises ends the work.
    """
    draws = []
    for index, noise in enumerate(noises):
        difference = noise_difference(backbone, image_latents, text, no_text, noise, noise_level)
        draws.append(difference.sum(dim=0).cpu().numpy())
        if on_draw is not None:
            on_draw(index, len(noises))
    rows, columns = (int(np.ceil(cells)) for cells in extent)
    stacked = np.stack(draws)[:, :rows, :columns]
    mean = stacked.mean(axis=0)
    return RelevanceMap(normalise(mean), mean, stacked.std(axis=0), extent)


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
