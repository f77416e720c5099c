"""What is edited: the relevance map, snapped to what is there.

A map's cells are coarse, so its outline cuts across things. Here it becomes *values* whose
outline follows the picture's edges, or that are the same all over each thing; the region is always
`values >= threshold`. Both sides of the protocol compute it, so that a threshold can be moved
without asking the server: numpy alone, and nothing whose rounding depends on other libraries.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .values import Snap

Values = NDArray[np.float32]
Labels = NDArray[np.integer]

# Chosen on validation scenes (backend/evaluation/README.md).
HIGH = 0.4
"""How far from the least to the most relevant thing the suggested threshold of things lies."""
SMALLEST = 1e-3
"""Share of all pixels below which a thing does not say what is least or most relevant: about a cell
of a map."""
EVEN = 0.5
"""How far below its thing, on the way to the least relevant one, a pixel lies at most that takes
part in it."""
LEAST_ABOVE = 0.5
"""Of its relevance: so far above the least relevant one a thing lies at least, for EVEN; where all
things are relevant, none lies far above another."""
LEAST_EVEN = 0.6
"""Share of the pixels of relevant things that take part, from which things explain a map."""
LEAST_COVERED = 0.1
"""Share of the relevant things that the map's own region covers, from which they explain it where
they are hardly above the others (LEAST_ABOVE): what a noisy map says of all of a large thing hides
a small part of it."""
SMALL_SIDE = 128
"""Pixels of the short side at which the filter's coefficients are found: at most twice as many."""
RADIUS = 1 / 16
"""Of the filter's window, as a share of the short side."""
SMOOTH = 1e-4
"""Variance of colour (0..1) within a window below which it counts as one surface."""

NO_THINGS = "No things are known here: the region follows the picture's edges."
ONE_THING = "All of the picture is one thing: the region follows the picture's edges."
NO_WHOLE_THINGS = (
    "Whole things do not explain where the model sees this: the region follows the picture's edges."
)


@dataclass(frozen=True, eq=False)
class Snapped:
    """A relevance map ready to be thresholded.

    Attributes:
        values: float32 (H, W), 0..1: the region is where they reach the threshold.
        took: what the values keep to.
        why: one sentence where that is not what was asked for, else "".
        suggested_threshold: 0..1, for these values.
    """

    values: Values
    took: Snap
    why: str
    suggested_threshold: float


def snapped(
    relevance: Values,
    image: NDArray[np.uint8],
    snap: Snap,
    things: Labels | None,
    suggested_threshold: float,
) -> Snapped:
    """The values to threshold, made of a map.

    Args:
        relevance: float32 (H, W), 0..1, at the picture's size.
        image: uint8 (H, W, 3), the picture that the map is of.
        snap: what to keep to: "nothing" leaves the map as it is, "edges" moves its outline to the
            picture's edges, "things" gives each thing one value, and falls back to "edges" where no
            things are known or they do not explain the map.
        things: whole numbers (H, W), 0..65535, each pixel's thing; None where none are known. The
            rest of the picture, such as the sky, is a thing, too.
        suggested_threshold: the map's own.

    Raises:
        ValueError: the arrays are not of one size.
    """
    if image.shape != (*relevance.shape, 3):
        raise ValueError(f"the map is {relevance.shape} but the image is {image.shape[:2]}")
    if snap == "nothing":
        return Snapped(relevance, "nothing", "", suggested_threshold)
    why = ""
    if snap == "things":
        if things is None:
            why = NO_THINGS
        else:
            if things.shape != relevance.shape:
                raise ValueError(f"things are {things.shape} but the map is {relevance.shape}")
            values, labels = relevance.ravel(), things.ravel().astype(np.intp)
            scores = thing_scores(values, labels)
            threshold = things_threshold(scores, np.bincount(labels), suggested_threshold)
            if explained(values, labels, threshold=threshold) and _told_apart(
                values, scores[labels], threshold, suggested_threshold
            ):
                return Snapped(scores[things], "things", "", threshold)
            why = ONE_THING if (labels == labels[0]).all() else NO_WHOLE_THINGS
    return Snapped(edge_map(relevance, image), "edges", why, suggested_threshold)


def thing_scores(
    values: Values, labels: Labels, weights: NDArray[np.floating] | None = None
) -> Values:
    """How relevant each thing is, 0..1.

    Args:
        values: float32 (N,), 0..1, the relevance of N pixels or texels.
        labels: whole numbers (N,), 0..65535, the thing of each.
        weights: (N,), 0 or more, how much each counts; None for all alike.

    Returns:
        float32 (K,), K being the highest label and one: the mean of each thing's values; 0 for
        numbers that no thing has, or whose weights are all 0.
    """
    weighted = values if weights is None else values * weights
    sums = np.bincount(labels, weighted)
    counts = np.bincount(labels, weights)
    means = np.divide(sums, counts, out=np.zeros(len(sums)), where=counts > 0)
    return means.astype(np.float32).clip(0, 1)


def things_threshold(
    scores: Values, sizes: NDArray[np.integer] | NDArray[np.floating], suggested_threshold: float
) -> float:
    """The threshold that parts things best: HIGH of the way from the least relevant to the most
    relevant of those that are not too small to tell (SMALLEST); of one thing alone the map's own,
    as it would reach any that is made of its score.

    Args:
        scores: float32 (K,), 0..1, of each thing.
        sizes: (K,), 0 or more, the pixels or weights of each; things of none do not count.
        suggested_threshold: the map's own.
    """
    told = sizes >= max(SMALLEST * sizes.sum(), np.finfo(np.float32).tiny)
    if not told.any():  # thousands of small ones
        told = sizes > 0
    low, high = float(scores[told].min()), float(scores[told].max())
    alone = told.sum() == 1
    return suggested_threshold if alone or high == 0 else low + HIGH * (high - low)


def explained(
    values: Values,
    labels: Labels,
    weights: NDArray[np.floating] | None = None,
    threshold: float = 0.5,
) -> bool:
    """Whether whole things are what a map shows, and not parts of them or places beside them:
    whether the things that reach the threshold are relevant all over.

    Args:
        values, labels, weights: as in `thing_scores`.
        threshold: 0..1, of the things' scores.
    """
    own = thing_scores(values, labels, weights)[labels]
    counted = (own >= threshold) * (1.0 if weights is None else weights)
    area = float(counted.sum())
    if area == 0:
        return False
    above = np.maximum(own - own.min(), LEAST_ABOVE * own)
    takes_part = values >= own - EVEN * above
    return float(counted[takes_part].sum()) >= LEAST_EVEN * area


def _told_apart(values: Values, own: Values, threshold: float, suggested_threshold: float) -> bool:
    """Whether things that reach a threshold, `own` being each pixel's score, lie far above the
    others, or else the map's own region covers some of them.
    """
    chosen = own >= threshold
    score = float(own[chosen].mean())
    far_above = score - float(own.min()) >= LEAST_ABOVE * score
    covered = float((values[chosen] >= suggested_threshold).mean())
    return far_above or covered >= LEAST_COVERED


def agreement(
    values: Values,
    labels: Labels,
    weights: NDArray[np.floating] | None = None,
    threshold: float = 0.5,
) -> float:
    """How far a map's own region and that of whole things are the same: their IoU, 0..1, and 0
    where both are empty.

    Args:
        values, labels, weights: as in `thing_scores`.
        threshold: 0..1, the map's own.
    """
    own = values >= threshold
    whole = (thing_scores(values, labels, weights) >= threshold)[labels]
    counted = np.ones(len(values)) if weights is None else weights
    union = float(counted[own | whole].sum())
    return float(counted[own & whole].sum()) / union if union > 0 else 0.0


def with_clicks(
    mask: NDArray[np.bool_], things: Labels, added: Collection[int], removed: Collection[int]
) -> NDArray[np.bool_]:
    """A region, bool of any shape, with and without the things that a person has chosen; `things`
    are the labels of its pixels. A thing in both is removed.
    """
    on = np.isin(things, list(added))
    off = np.isin(things, list(removed))
    return (mask | on) & ~off


# ---------------------------------------------------------------- edges


def edge_map(relevance: Values, image: NDArray[np.uint8]) -> Values:
    """The map, float32 (H, W), 0..1, with the outlines of the picture, uint8 (H, W, 3): the guided
    filter (He, Sun, Tang, "Guided Image Filtering", 2013), whose coefficients are found on a small
    picture and applied to the whole one (He, Sun, "Fast Guided Filter", 2015).

    In each window the map is a linear function of the colours, which follows an edge of theirs.
    """
    height, width = relevance.shape
    step = max(1, min(height, width) // SMALL_SIDE)
    radius = max(1, round(RADIUS * min(height, width) / step))
    colours = np.moveaxis(image, 2, 0).astype(np.float32) / 255
    guide = np.moveaxis(_small(image, step, np.uint32) / 255, 2, 0)
    target = _small(relevance, step, np.float64)
    slopes, offset = _local_fit(guide, target, radius)
    wide = [_large(plane.astype(np.float32).T, step, width).T for plane in (offset, *slopes)]
    found, *by_colour = (_large(plane, step, height) for plane in wide)
    for slope, channel in zip(by_colour, colours, strict=True):
        slope *= channel
        found += slope
    return found.clip(0, 1, out=found)


Plane = NDArray[np.float64]


def _local_fit(guide: Plane, target: Plane, radius: int) -> tuple[Plane, Plane]:
    """Slopes (3, h, w) and offset (h, w), averaged over all windows with a pixel in it, of the
    target (h, w) as a linear function of the guide's colours (3, h, w).
    """
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    squares = [guide[i] * guide[j] for i, j in pairs]
    boxed = _box(np.stack([*guide, target, *squares, *(guide * target)]), radius)
    means, mean, of_squares, with_target = boxed[:3], boxed[3], boxed[4:10], boxed[10:]
    rr, rg, rb, gg, gb, bb = (
        one - means[i] * means[j] + (SMOOTH if i == j else 0.0)
        for one, (i, j) in zip(of_squares, pairs, strict=True)
    )
    with_r, with_g, with_b = with_target - means * mean
    # The inverse of the symmetric 3x3 covariance, by its cofactors.
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c_rr + rg * c_rg + rb * c_rb
    slopes = np.stack(
        [
            (c_rr * with_r + c_rg * with_g + c_rb * with_b) / determinant,
            (c_rg * with_r + c_gg * with_g + c_gb * with_b) / determinant,
            (c_rb * with_r + c_gb * with_g + c_bb * with_b) / determinant,
        ]
    )
    offset = mean - (slopes * means).sum(axis=0)
    *averaged, constant = _box(np.stack([*slopes, offset]), radius)
    return np.stack(averaged), constant


def _box(planes: Plane, radius: int) -> Plane:
    """The means over squares of 2 * radius + 1 pixels a side, of those that are in the picture, of
    planes (n, h, w).
    """
    for _ in range(2):  # along the rows, and then along the columns
        count, height, width = planes.shape
        first = np.arange(width) - radius
        last = np.minimum(first + 2 * radius + 1, width)
        first = np.maximum(first, 0)
        sums = np.zeros((count, height, width + 1))
        np.cumsum(planes, axis=2, out=sums[..., 1:])
        made = (sums.take(last, 2) - sums.take(first, 2)) / (last - first)
        planes = made.transpose(0, 2, 1)
    return planes


def _small(pixels: NDArray[np.generic], step: int, kind: type[np.generic]) -> Plane:
    """The means of cells of step x step pixels (H, W, ...), those at the ends smaller; `kind` is
    what holds their sums.
    """
    height, width = pixels.shape[:2]
    whole = height // step * step
    sums = pixels[0:whole:step].astype(kind)
    for row in range(1, step):
        sums += pixels[row:whole:step]
    if whole < height:
        sums = np.concatenate([sums, pixels[whole:].sum(axis=0, dtype=kind)[None]])
    counts = [np.diff(np.append(np.arange(0, n, step), n)) for n in (height, width)]
    shape = (-1, len(counts[1]), *[1] * (pixels.ndim - 2))
    pixels_in = np.multiply.outer(*counts).reshape(shape)
    return np.add.reduceat(sums, np.arange(0, width, step), axis=1) / pixels_in


def _large(rows: Values, step: int, height: int) -> Values:
    """Rows of cells, each `step` pixels high but for the last one, at `height` pixels: linear
    between the cells' centres, and beyond those of the first and the last cell as there.
    """
    cells, width = rows.shape
    rows = np.ascontiguousarray(rows)
    middle = step // 2
    last = middle + step * (cells - 1)
    made = np.empty((max(last, height), width), np.float32)
    made[:middle], made[last:] = rows[:1], rows[-1:]
    shares = ((np.arange(step) + (0 if step % 2 else 0.5)) / step).astype(np.float32)
    between = made[middle:last].reshape(cells - 1, step, width)
    np.multiply(np.diff(rows, axis=0)[:, None], shares[:, None], out=between)
    between += rows[:-1, None]
    return made[:height]
