"""How well a relevance map or a mask fits the truth, how far pictures are apart, and whether an
edit did what was asked.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from backend.world import world
from backend.world.pool import Sample
from backend.world.render import Rendering, render

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]
Means = NDArray[np.float64]

BEST_OF = np.linspace(0.05, 0.95, 19)
"""Thresholds that the best IoU is looked for at."""
SMALLEST_THING = 0.012
"""Share of the picture below which a thing is not counted: some are all but hidden by others."""
KEPT = 0.08
"""By how much of the range of colours the mean colour of a thing may change that is to be kept."""
STOPS = (-0.5, -0.25, 0.0, 0.25, 0.5)
"""Of exposure, at which a colour may be the one that was asked for: as far as the shades that the
world gives a name stay nearest to that name (README.md beside this file).
"""


def intersection_over_union(mask: Mask, truth: Mask) -> float:
    """IoU of two masks of one shape, 0..1; 1 where both are empty."""
    union = int((mask | truth).sum())
    return float((mask & truth).sum() / union) if union else 1.0


def best_iou(values: Map, truth: Mask) -> float:
    """The highest IoU of all thresholds in BEST_OF."""
    return max(intersection_over_union(values >= threshold, truth) for threshold in BEST_OF)


def auroc(values: Map, truth: Mask) -> float:
    """Chance that a cell inside the truth has a higher value than one outside; 0.5 says nothing.

    Raises:
        BadInput: the truth is empty or everywhere.
    """
    return float(roc_auc_score(truth.ravel(), values.ravel()))


def average_precision(values: Map, truth: Mask) -> float:
    """Area under precision over recall, 0..1."""
    return float(average_precision_score(truth.ravel(), values.ravel()))


def psnr(image: NDArray[np.uint8], reference: NDArray[np.uint8], where: Mask) -> float:
    """Peak signal-to-noise ratio in dB over the pixels `where`; infinite for equal ones."""
    difference = (image.astype(np.float64) - reference)[where]
    return decibels(float((difference**2).mean()))


def decibels(error: float) -> float:
    """PSNR in dB of a mean squared error of 8-bit values; infinite for 0."""
    return 10 * math.log10(255**2 / error) if error > 0 else math.inf


def selects(raw: Map, things: Map, target: int) -> bool | None:
    """Whether the thing `target` has the highest mean relevance of all things.

    Args:
        raw: (h, w) raw differences, or any relevance.
        things: (n, h, w) every thing's own mask, as shares of cells.

    Returns:
        None where there is no choice: fewer than two things are large enough to count, or the
        target is not.
    """
    counted = [i for i, thing in enumerate(things) if thing.mean() > SMALLEST_THING]
    if target not in counted or len(counted) < 2:
        return None
    means = {i: float((raw * things[i]).sum() / things[i].sum()) for i in counted}
    return max(means, key=lambda i: means[i]) == target


@dataclass(frozen=True)
class Palette:
    """What a region of one picture looks like in every colour.

    Attributes:
        weights: float64 (H, W), by how much each pixel of the region changes with the colour, 0
            outside it. The cells of a pattern that keep their own colour when a thing is repainted
            do not count: a checked thing may keep them or lose them.
        means: the weighted mean of the region in each colour, float64 (3,), 0..255.
    """

    weights: NDArray[np.float64]
    means: dict[str, Means]

    def nearest(self, image: NDArray[np.generic]) -> str | None:
        """The colour that the region of an image (H, W, 3), 0..255, is nearest to; None where it
        looks alike in all colours, as in the dark.
        """
        return nearest_colour(image, [self])


def nearest_colour(image: NDArray[np.generic], palettes: Sequence[Palette]) -> str | None:
    """The colour that a region of an image (H, W, 3), 0..255, is nearest to by any of the palettes;
    None where it looks alike in all colours by each.
    """
    distance: dict[str, float] = {}
    for palette in palettes:
        if not palette.weights.any():
            continue
        mean = _weighted(image, palette.weights)
        for name, own in palette.means.items():
            distance[name] = min(distance.get(name, math.inf), float(np.linalg.norm(mean - own)))
    return min(distance, key=lambda name: distance[name]) if distance else None


def _weighted(image: NDArray[np.generic], weights: NDArray[np.float64]) -> Means:
    """The weighted mean (3,) of an image (H, W, 3); of all of it where no weight is above 0."""
    if not weights.any():
        weights = np.ones_like(weights)
    mean: Means = np.tensordot(weights, image.astype(np.float64), axes=2) / weights.sum()
    return mean


def strict_success(
    sample: Sample, edited: NDArray[np.uint8], palette: Palette | None = None
) -> bool | None:
    """Whether the named region has become what was asked, and every other thing has kept its mean
    colour (to KEPT). None for a recolouring that nobody could see (`Palette.nearest`).

    Recolouring: the region is nearest to the asked one of all colours, as this scene's light shows
    them. Any other kind: inside the true mask the picture is nearer to the true edited one than to
    the input.

    Args:
        edited: uint8 (H, W, 3), the edit to judge.
        palette: `palette_of_sample`, where it is known already.

    Raises:
        BadInput: the sample asks for something that is not there.
    """
    if sample.edit.target is None:
        raise ValueError("An edit of what is not there has no success.")
    if sample.edit.kind == "recolour":
        palette = palette or palette_of_sample(sample)
        assert palette is not None
        nearest = palette.nearest(edited)
        if nearest is None:
            return None
        asked = nearest == sample.edit.colour
    else:
        inside = sample.mask > 0.5
        asked = psnr(edited, sample.edited, inside) > psnr(edited, sample.image, inside)
    return asked and _kept(sample, edited)


def palette_of_sample(sample: Sample) -> Palette | None:
    """The palette of the true mask; None for kinds other than recolouring."""
    target = sample.edit.target
    if sample.edit.kind != "recolour" or target is None:
        return None
    picture = render(sample.scene, sample.camera, *sample.mask.shape)
    return palette_of(picture, target, sample.mask > 0.5)


def palette_of(picture: Rendering, target: int | str, inside: Mask) -> Palette:
    """What the pixels `inside` of a picture look like with its target in every colour."""
    surface = world.surface_of(picture.scene, target)
    repainted = {
        colour: picture.recoloured(target, world.painted(surface, colour))
        for colour in world.COLOURS
    }
    spread = np.stack(list(repainted.values())).astype(np.float64).std(axis=0).sum(axis=-1)
    weights = np.where(inside, spread, 0.0)
    return Palette(weights, {name: _weighted(image, weights) for name, image in repainted.items()})


def exposed_palettes(picture: Rendering, target: int | str, inside: Mask) -> list[Palette]:
    """`palette_of` as the picture shows the target with up to half a stop less or more of light
    (STOPS).
    """
    palettes = []
    for stops in STOPS:
        look = picture.scene.look
        look = dataclasses.replace(look, exposure=look.exposure * 2.0**stops)
        exposed = dataclasses.replace(picture, scene=dataclasses.replace(picture.scene, look=look))
        palettes.append(palette_of(exposed, target, inside))
    return palettes


def _kept(sample: Sample, edited: NDArray[np.uint8]) -> bool:
    """Whether every thing that the edit is not about has kept its mean colour where the true edit
    leaves it to be seen.
    """
    changed = None if sample.edit.kind == "put on top" else sample.edit.target
    for index, own in enumerate(sample.things):
        where = (own > 0.5) & (sample.mask < 0.02)
        if index == changed or where.mean() < 0.005:
            continue
        change = edited[where].mean(axis=0) - sample.image[where].mean(axis=0)
        if np.abs(change).max() > KEPT * 255:
            return False
    return True


def mean_figures(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """How many rows there are as "n", and every column's mean over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
    return {"n": len(rows)} | {name: round(mean, 3) for name, mean in means.items()}
