"""Which of some places on a mesh's surface are the nearest to others."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.meshes.textured_mesh import TexturedMesh

NEAR = 0.02
"""Share of the mesh's extent up to which the nearest place is found exactly."""
NEAR_FROM, FAR_FROM = 200_000, 2_000
"""Places at most, evenly over those there are, among which a near and a far one's nearest are
looked for: the latter of each thing. A far place may have nearly the same distance to all of them,
and then a tree saves nothing: it would be compared with each."""
APART = 2.0
"""Share of the mesh's extent that is longer than any line in it."""


def nearest_on_mesh(
    mesh: TexturedMesh,
    known: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    reach: float,
    things: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For the entries `wanted` of the mesh's surface, the nearest of the `known` ones; without a
    limit, for what is farther than NEAR from all of them, the nearest of a part of them.

    Args:
        mesh: whose entries, N of them.
        known, wanted: bool (N,).
        reach: how far to look, as a share of the mesh's extent; infinite for any distance.
        things: int32 (F,), each triangle's thing, where only those of the same thing count.

    Returns:
        Those that have one, and theirs; indices.
    """
    sources, targets = np.flatnonzero(known), np.flatnonzero(wanted)
    if not len(sources) or not len(targets):
        return targets[:0], sources[:0]
    places = mesh.surface.position.astype(np.float64)
    number = np.zeros(len(places), np.int64)
    if things is not None:
        # A coordinate more keeps things farther apart than any two places of one.
        number = np.unique(things, return_inverse=True)[1].ravel()[mesh.surface.face]
        places = np.column_stack([places, number * (2 * APART * mesh.extent)])
    exactly = reach if reach < 1 else NEAR
    found = np.full(len(targets), -1)
    searches = [(np.zeros_like(number), NEAR_FROM, exactly)]
    if exactly < reach:
        searches.append((number, FAR_FROM, min(reach, APART)))
    for parted, most, farthest in searches:
        left = np.flatnonzero(found < 0)
        chosen = sources[_thinned(parted[sources], most)]
        distance, nearest = cKDTree(places[chosen]).query(
            places[targets[left]], distance_upper_bound=farthest * mesh.extent
        )
        has = np.isfinite(distance)
        found[left[has]] = chosen[nearest[has]]
    return targets[found >= 0], found[found >= 0]


def _thinned(groups: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Indices of at most `most` entries of every group (n,), evenly over those that it has."""
    order = np.argsort(groups, kind="stable")
    _, start, count = np.unique(groups[order], return_index=True, return_counts=True)
    place = np.arange(len(groups)) - np.repeat(start, count)
    chosen = order[place % np.repeat(-(-count // most), count) == 0]
    return np.sort(chosen)
