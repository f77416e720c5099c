"""Where the cameras of a capture look, and the box that a field is trained in.

Poses from elsewhere can be wrong: one camera of twelve at a thousand times the distance of the
others must neither move what the others look at nor shrink it to a dot in the box. So both follow
the cameras that stand together, and say which do not.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from protocol.values import MIN_VIEWS

CORE = 0.7
"""Share of the cameras that are taken to stand where they should."""
OUTSIDE = 2.0
"""Cameras beyond so many times the distance of the core's farthest one do not scale the box..."""
STRAY = 10.0
"""...and beyond so many times are no part of the scene."""
AHEAD = 0.75
"""Share of the cameras that must look towards a point for it to be what they look at."""
GAP = 30.0
"""Up to half of the cameras are no part of the scene where all of them stand so many times as far
out as the farthest of the others, and as what these look at, with none in between."""
FEW = 0.2
"""Share of the cameras that are too many to be wrong unasked where a gap parts them from most."""
PARALLEL = 1e-4
ROUNDS = 30


@dataclass(frozen=True, eq=False)
class Crossing:
    """Where the optical axes of cameras come nearest to each other.

    Attributes:
        point: float64 (3,).
        ahead: share 0..1 of the cameras that it lies before, not behind.
        miss: median distance of the axes from it, as a share of the median distance of the cameras.
    """

    point: NDArray[np.float64]
    ahead: float
    miss: float


def focus_point(camera_to_world: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The point that is nearest to the optical axes of all cameras, in the least-squares sense.

    Args:
        camera_to_world: float64 (n, 4, 4).

    Returns:
        float64 (3,); None where the axes are nearly parallel, or where the point lies behind more
        than a quarter of the cameras (they look outwards).
    """
    found = _nearest(camera_to_world, np.ones(len(camera_to_world)))
    return found if found is not None and _ahead(camera_to_world, found) >= AHEAD else None


def crossing(camera_to_world: NDArray[np.float64]) -> Crossing | None:
    """Where the axes of the cameras that stand together cross, by least absolute distances: as
    long as most of them agree, the others do not move it.

    Args:
        camera_to_world: float64 (n, 4, 4).

    Returns:
        None where the axes are nearly parallel.
    """
    core = camera_to_world[_core(camera_to_world)]
    point = _nearest(core, np.ones(len(core)))
    for _ in range(ROUNDS):
        if point is None:
            return None
        misses = _misses(core, point)
        # No weight without limit: one axis through the point must not outweigh all others.
        weights = 1 / np.maximum(misses, 1e-2 * np.median(misses) + np.finfo(float).tiny)
        point = _nearest(core, weights / weights.max())
    if point is None:
        return None
    distances = np.linalg.norm(core[:, :3, 3] - point, axis=1)
    miss = float(np.median(misses) / max(float(np.median(distances)), np.finfo(float).tiny))
    return Crossing(point, _ahead(core, point), miss)


@dataclass(frozen=True, eq=False)
class Standing:
    """Where each camera stands among the others.

    Attributes:
        out: float64 (n,), how far out, in multiples of the core's farthest one.
        outside: bool (n,), so far that it does not scale the box.
        stray: bool (n,), so far that it is no part of the scene.
    """

    out: NDArray[np.float64]
    outside: NDArray[np.bool_]
    stray: NDArray[np.bool_]


def standing(camera_to_world: NDArray[np.float64]) -> Standing:
    """How far out each camera stands, from what the cameras look at or, where they look at no one
    thing, from the middle of them; then only strays are outside.

    Args:
        camera_to_world: float64 (n, 4, 4).
    """
    positions = camera_to_world[:, :3, 3]
    near = np.flatnonzero(_before_a_gap(camera_to_world))
    found = crossing(camera_to_world)
    middle, limit = np.median(positions[near], axis=0), STRAY
    if found is not None and found.ahead >= AHEAD:
        middle, limit = found.point, OUTSIDE
    distances = np.abs(positions - middle).max(axis=1)
    # Each place once: a camera that stood still for most of a film says nothing of how far it goes.
    _, places = np.unique(positions[near], axis=0, return_index=True)
    unit = np.sort(distances[near[places]])[_last_of_core(len(places))]
    if unit <= 1e-9 * np.abs(positions).max():  # the core is in one place, which is no measure
        unit = distances.max()
    out = distances / unit if unit > 0 else np.zeros(len(positions))
    return Standing(out, out > limit, out > STRAY)


def box_around(camera_to_world: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shift and scale that put what the cameras look at into the middle of [-1, 1]^3 and the
    cameras inside it, but for those that stand far out.

    The middle is the cameras' focus point, or their mean position where they have none.

    Args:
        camera_to_world: float64 (n, 4, 4), at two different places at least.

    Returns:
        float64 (4, 4): capture to box coordinates.
    """
    together = camera_to_world[~standing(camera_to_world).outside]
    positions = together[:, :3, 3]
    middle = focus_point(together)
    if middle is None:
        middle = positions.mean(axis=0)
    scale = 1 / np.abs(positions - middle).max()
    to_box = np.diag([scale, scale, scale, 1.0])
    to_box[:3, 3] = -scale * middle
    return to_box


def _last_of_core(count: int) -> int:
    return int(CORE * (count - 1))


def _core(camera_to_world: NDArray[np.float64]) -> NDArray[np.intp]:
    """Which cameras are nearest to the middle of those that stand together."""
    positions = camera_to_world[:, :3, 3]
    near = _before_a_gap(camera_to_world)
    out = np.linalg.norm(positions - np.median(positions[near], axis=0), axis=1)
    last = np.sort(out[near])[_last_of_core(int(near.sum()))]
    return np.flatnonzero(near & (out <= last * (1 + 1e-9)))


def few_together(camera_to_world: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool (n,): cameras that a gap parts from most others (see GAP), a fifth of all at least, and
    that look at one thing; none where there are none. Nobody can say which are the right ones.
    """
    near = _before_a_gap(camera_to_world, FEW)
    return near if 2 * near.sum() < len(near) else np.zeros(len(near), np.bool_)


def _before_a_gap(camera_to_world: NDArray[np.float64], share: float = 0.5) -> NDArray[np.bool_]:
    """bool (n,): all cameras, or without those that a gap parts from the others (see GAP), where
    these look at one thing: cameras that stood still for half of a film say nothing of the rest.

    Args:
        camera_to_world: float64 (n, 4, 4).
        share: of the places, that those before the gap are at least.
    """
    positions = camera_to_world[:, :3, 3]
    everything = np.ones(len(positions), np.bool_)
    places, which = np.unique(positions, axis=0, return_inverse=True)
    half = math.ceil(share * len(places))
    if half < MIN_VIEWS:
        return everything
    # the middle of the densest half: far ones on one side do not draw it towards them
    apart = cdist(places, places)
    reach = np.partition(apart, half - 1, axis=1)[:, half - 1]
    densest = places[apart[reach.argmin()] <= reach.min()]
    out = np.linalg.norm(places - np.median(densest, axis=0), axis=1)
    ordered = np.sort(out)
    gaps = np.flatnonzero(ordered[half:] > GAP * ordered[half - 1 : -1])
    if len(gaps) == 0:
        return everything
    last, next_one = ordered[half - 1 + gaps[0]], ordered[half + gaps[0]]
    near: NDArray[np.bool_] = (out <= last)[which.reshape(-1)]
    group = camera_to_world[near]
    point = _nearest(group, np.ones(len(group)))
    if point is None or _ahead(group, point) < AHEAD:
        return everything
    seen = np.median(np.linalg.norm(group[:, :3, 3] - point, axis=1))
    return near if next_one > GAP * seen else everything


def _nearest(
    camera_to_world: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The point with the least weighted sum of squared distances from the axes; None where they
    are nearly parallel.
    """
    positions, forward = camera_to_world[:, :3, 3], -camera_to_world[:, :3, 2]
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]  # (n, 3, 3) projections
    across = weights[:, None, None] * across
    total = across.sum(axis=0)
    if np.linalg.eigvalsh(total)[0] < PARALLEL * weights.sum():
        return None
    centre = positions.mean(axis=0)  # near the cameras: better conditioned than the origin
    offsets = (across @ (positions - centre)[:, :, None]).sum(axis=0)[:, 0]
    return centre + np.linalg.solve(total, offsets)


def _misses(
    camera_to_world: NDArray[np.float64], point: NDArray[np.float64]
) -> NDArray[np.float64]:
    """float64 (n,): distances of the axes from a point."""
    offsets = point - camera_to_world[:, :3, 3]
    return np.linalg.norm(np.cross(offsets, camera_to_world[:, :3, 2]), axis=1)


def _ahead(camera_to_world: NDArray[np.float64], point: NDArray[np.float64]) -> float:
    towards = ((point - camera_to_world[:, :3, 3]) * -camera_to_world[:, :3, 2]).sum(axis=1)
    return float((towards > 0).mean())
