"""Which of two methods keeps more of the input where both do as much: their curves compared at
every height along which both are known.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.images.plot import Curve, Panel, Place
from backend.evaluation.maps import Table

LEVELS = 201
"""Places of the overlap at which curves are compared, evenly spread."""


def best_at(points: Sequence[Place], level: float) -> float:
    """The highest that a curve, straight between its points (along, up), reaches at a level; it may
    pass there more than once.

    Raises:
        ValueError: it does not come there.
    """
    heights = [up for along, up in points if along == level]
    for (a, low), (b, high) in pairwise(points):
        if min(a, b) < level < max(a, b):
            heights.append(low + (level - a) / (b - a) * (high - low))
    return max(heights)


def overlap(one: Sequence[Place], other: Sequence[Place]) -> tuple[float, float] | None:
    """From where to where along both curves are known; None where nowhere."""
    if not one or not other:
        return None
    start = max(min(along for along, _ in points) for points in (one, other))
    end = min(max(along for along, _ in points) for points in (one, other))
    return (start, end) if start <= end else None


def differences(one: Sequence[Place], other: Sequence[Place]) -> NDArray[np.float64]:
    """How much higher `one` is than `other`, at LEVELS of their overlap, or the one that there is;
    none where they have none.
    """
    both = overlap(one, other)
    if both is None:
        return np.zeros(0)
    start, end = both
    levels = np.linspace(start, end, LEVELS) if start < end else np.array([start])
    return np.array([best_at(one, level) - best_at(other, level) for level in levels.tolist()])


def against(panel: Panel, label: str) -> Table:
    """A method, by the label of its curve, against every other of a panel: where their curves
    overlap, the least and the mean of what it is higher, and the share of the overlap in which it
    is at least as high. A curve that overlaps with it nowhere has a row without figures.
    """
    (own,) = (curve for curve in panel.curves if curve.label == label)
    return {curve.label: _row(own, curve) for curve in panel.curves if curve is not own}


def _row(own: Curve, other: Curve) -> dict[str, float]:
    both, found = overlap(own.points, other.points), differences(own.points, other.points)
    if both is None:
        return {}
    row = {
        "from": both[0],
        "to": both[1],
        "worst": float(found.min()),
        "mean": float(found.mean()),
        "share": float((found >= 0).mean()),
    }
    return {name: round(value, 3) for name, value in row.items()}
