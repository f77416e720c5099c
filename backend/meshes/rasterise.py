"""Which triangle covers which pixel, exactly, in numpy: for camera views and for UV space alike.

Triangles are given in homogeneous pixel coordinates (x w, y w, w). With M the matrix of the three
corners of a triangle, M^-1 (x, y, 1) are its barycentric coordinates over w, linear in x and y
(Olano and Greer, "Triangle Scan Conversion using 2D Homogeneous Coordinates", 1997). Each pixel row
of a triangle is then one interval, nothing has to be clipped where it passes behind the camera, and
perspective correction needs no step of its own. UV space is the case w = 1.

Pixel centres lie at x + 0.5, y + 0.5; row 0 is at the top.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PIXELS_AT_ONCE = 1 << 20
"""Bound on the pixels that are worked on together, and so on the memory: about 100 MB."""
EDGE = 1e-6
"""Pixels by which a triangle reaches over its edges, so that none falls between two neighbours."""


@dataclass(frozen=True)
class Fragments:
    """Pixels that triangles cover; a pixel comes once for each triangle over it.

    Attributes:
        pixel: int64 (N,), row * width + column.
        face: int64 (N,), which triangle.
        weights: float64 (N, 3), barycentric coordinates of the pixel's centre, corrected for
            perspective.
        depth: float64 (N,), w at the pixel's centre.
    """

    pixel: NDArray[np.int64]
    face: NDArray[np.int64]
    weights: NDArray[np.float64]
    depth: NDArray[np.float64]


@dataclass(frozen=True)
class Visible:
    """What is seen in each pixel.

    Attributes:
        face: int64 (H, W), the nearest triangle, or -1.
        weights: float32 (H, W, 3), barycentric coordinates in it; zeros where there is none.
        depth: float32 (H, W), w there; infinite where there is none.
    """

    face: NDArray[np.int64]
    weights: NDArray[np.float32]
    depth: NDArray[np.float32]


def fragments(
    corners: NDArray[np.float64], height: int, width: int, near: float = 1e-9
) -> Iterator[Fragments]:
    """Every pixel of a height x width image that each triangle covers, in pieces.

    Args:
        corners: float64 (F, 3, 3), each corner as (x w, y w, w) in pixels. Triangles without an
            area are left out.
        height: rows of the image.
        width: columns of the image.
        near: what has a smaller w is not there.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        edges = np.cross(corners[:, [1, 2, 0]], corners[:, [2, 0, 1]])
        edges /= np.einsum("fk,fk->f", corners[:, 0], edges[:, 0])[:, None, None]
        points = corners[..., :2] / corners[..., 2:]
        low = np.ceil(points.min(axis=1) - 0.5 - EDGE).clip(0, (width, height))
        high = np.floor(points.max(axis=1) - 0.5 + EDGE).clip(-1, (width - 1, height - 1))
    there = np.isfinite(edges).all(axis=(1, 2)) & (corners[..., 2] >= near).any(axis=1)
    # A triangle that reaches behind the near plane may cover any part of the image.
    behind = (corners[..., 2] < near).any(axis=1)
    low[behind], high[behind] = 0, (width - 1, height - 1)
    columns, rows = (high - low + 1).clip(0, None).astype(np.int64)[there].T
    face = np.repeat(np.flatnonzero(there), rows)
    row = np.arange(len(face)) + np.repeat(
        low[there, 1].astype(np.int64) - np.cumsum(rows) + rows, rows
    )
    pixels = np.cumsum(np.repeat(columns, rows))
    for bound in range(0, int(pixels[-1]) if len(pixels) else 0, PIXELS_AT_ONCE):
        piece = slice(*np.searchsorted(pixels, (bound, bound + PIXELS_AT_ONCE), side="right"))
        yield _spans(edges[face[piece]], face[piece], row[piece], width, near)


def _spans(
    edges: NDArray[np.float64],
    face: NDArray[np.int64],
    row: NDArray[np.int64],
    width: int,
    near: float,
) -> Fragments:
    """The fragments of one pixel row for each entry of `edges`, `face` and `row`.

    Inside are those x where the three barycentric coordinates over w, and w - near, are positive:
    four inequalities a x + b >= 0.
    """
    a = edges[:, :, 0]
    b = edges[:, :, 1] * (row + 0.5)[:, None] + edges[:, :, 2]
    a = np.concatenate([a, -a.sum(axis=1, keepdims=True)], axis=1)
    b = np.concatenate([b, 1 / near - b.sum(axis=1, keepdims=True)], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        zero = -b / a
    low = np.where(a > 0, zero, -np.inf).max(axis=1)
    high = np.where(a < 0, zero, np.inf).min(axis=1)
    never = ((a == 0) & (b < 0)).any(axis=1)
    first = np.ceil(low - 0.5 - EDGE).clip(0, width).astype(np.int64)
    last = np.floor(high - 0.5 + EDGE).clip(-1, width - 1).astype(np.int64)
    counts = np.where(never, 0, (last - first + 1).clip(0, None))
    owner = np.repeat(np.arange(len(face)), counts)
    column = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    over_w = a[owner, :3] * (column + 0.5)[:, None] + b[owner, :3]
    depth = 1 / over_w.sum(axis=1)
    return Fragments(row[owner] * width + column, face[owner], over_w * depth[:, None], depth)


def nearest(corners: NDArray[np.float64], height: int, width: int, near: float = 1e-9) -> Visible:
    """The nearest triangle in each pixel; arguments as `fragments`."""
    face = np.full(height * width, -1, np.int64)
    weights = np.zeros((height * width, 3), np.float32)
    depth = np.full(height * width, np.inf, np.float32)
    for some in fragments(corners, height, width, near):
        chosen = np.flatnonzero(some.depth < depth[some.pixel])
        # Where a pixel comes several times, the last assignment counts: the nearest.
        chosen = chosen[np.argsort(-some.depth[chosen], kind="stable")]
        pixel = some.pixel[chosen]
        face[pixel] = some.face[chosen]
        weights[pixel] = some.weights[chosen]
        depth[pixel] = some.depth[chosen]
    return Visible(
        face.reshape(height, width),
        weights.reshape(height, width, 3),
        depth.reshape(height, width),
    )
