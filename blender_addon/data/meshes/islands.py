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


def welded(vertices: NDArray[np.floating]) -> NDArray[np.int64]:
    """The same number for vertices at the same place: files split them where normals, colours or
    places on the UV map differ.

    Args:
        vertices: (V, 3).

    Returns:
        int64 (V,).
    """
    return _numbers(vertices + 0.0)  # which makes -0 the same as 0


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
    return _numbers(placed).reshape(-1, 3)


def _numbers(rows: NDArray[np.generic]) -> NDArray[np.int64]:
    """int64 (N,): equal numbers where the rows (N, D) are equal."""
    order = np.lexsort(rows.T)
    new = (np.diff(rows[order], axis=0, prepend=rows[order[:1]]) != 0).any(axis=1)
    number = np.empty(len(rows), np.int64)
    number[order] = np.cumsum(new)
    return number
