"""Which triangles of a mesh hang together: over its surface, or on its UV map."""

import numpy as np
from numpy.typing import NDArray


def connected(corners: NDArray[np.integer]) -> NDArray[np.int32]:
    """The connected part that each triangle belongs to; two triangles with a corner in common are
    in one part.

    Args:
        corners: (T, 3), what each corner is: equal numbers (0 or more) are the same corner.

    Returns:
        int32 (T,), numbers of the parts from 0, in the order in which they first appear.
    """
    if not len(corners):
        return np.zeros(0, np.int32)
    flat = corners.ravel()
    parent = np.arange(int(flat.max()) + 1)
    while True:  # hook whole parts onto their lowest neighbour, then shorten the ways to the lowest
        found = parent[corners]
        lowest = np.repeat(found.min(axis=1), 3)
        if (found.ravel() == lowest).all():
            break
        np.minimum.at(parent, found.ravel(), lowest)
        np.minimum.at(parent, flat, lowest)
        while ((shorter := parent[parent]) != parent).any():
            parent = shorter
    _, first, part = np.unique(parent[corners[:, 0]], return_index=True, return_inverse=True)
    order = np.empty(len(first), np.int32)
    order[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return order[part.ravel()]


def uv_corners(corners: NDArray[np.integer], uvs: NDArray[np.floating]) -> NDArray[np.int64]:
    """What each corner is on a UV map: the same only where both vertex and place on the map are.

    Args:
        corners: (T, 3), vertices.
        uvs: (T, 3, 2).

    Returns:
        int64 (T, 3), as `connected` takes it.
    """
    placed = np.empty((corners.size, 3), np.int64)
    placed[:, 0] = corners.ravel()
    placed[:, 1:] = np.rint(uvs.reshape(-1, 2).astype(np.float64) * 2**20)
    order = np.lexsort(placed.T)
    new = (np.diff(placed[order], axis=0, prepend=placed[order[:1]]) != 0).any(axis=1)
    number = np.empty(len(placed), np.int64)
    number[order] = np.cumsum(new)
    return number.reshape(-1, 3)
