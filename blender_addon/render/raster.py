"""Which triangle a camera sees at the centre of each pixel: a depth buffer in numpy.

Triangles are drawn in homogeneous coordinates (Olano and Greer, "Triangle Scan Conversion using 2D
Homogeneous Coordinates", 1997), so that nothing has to be clipped where the ground passes under the
camera. Along a row of pixels a triangle covers one interval, so that only what is covered costs.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

TRIANGLES, ROWS, PIXELS = 200_000, 500_000, 2_000_000
"""How many of them are worked on at once."""
ON_EDGE = 1e-7
"""A pixel's centre on an edge belongs to both sides, in spite of rounding."""
STEPS_OF_STRAND = 64
"""Pixels that a piece of a strand between two of its points covers at most."""

Floats = NDArray[np.float64]
SeenAt = Callable[[NDArray[np.int64], Floats], NDArray[np.bool_]]
"""Whether triangles are seen at places in them: of their numbers (N,) and the shares (N, 3) of
their corners, bool (N,)."""


class Canvas:
    """What is seen so far.

    Attributes:
        labels: int64 (H, W), row 0 at the top; 0 where nothing is seen.
    """

    def __init__(self, projection: Floats, width: int, height: int) -> None:
        """Begin with nothing.

        Args:
            projection: (4, 4), from the camera's space (x right, y up, looking along -z) to clip
                space, as `Object.calc_matrix_camera` returns it.
            width, height: in pixels.
        """
        self.labels = np.zeros((height, width), np.int64)
        self._nearness = np.full(height * width, -np.inf)
        """Of a perspective camera 1 / depth, of an orthographic one -depth: both are linear in the
        picture, and larger is nearer."""
        self.is_flat = bool(projection[3, 2] == 0)
        """Whether the camera is an orthographic one."""
        scale, offset = projection[2, 2], projection[2, 3]
        if self.is_flat:
            self._range = (1 - offset) / scale, -(1 + offset) / scale
        else:
            self._range = (scale + 1) / offset, (scale - 1) / offset
        half = np.array([[width, 0, 0, width], [0, -height, 0, height], [0, 0, 0, 2]]) / 2
        self._to_pixels = half @ projection
        """(3, 4): from the camera's space to x w, y w and w, x and y in pixels."""

    @property
    def depth(self) -> Floats:
        """How far what is seen at the centre of each pixel lies ahead of the camera, (H, W);
        infinite where nothing is seen.
        """
        nearness = self._nearness.reshape(self.labels.shape)
        if self.is_flat:
            return -nearness
        return np.divide(1, nearness, out=np.full_like(nearness, np.inf), where=nearness > 0)

    def in_pixels(self, places: Floats) -> Floats:
        """x w, y w and w of places (..., 3) in the camera's space, x and y in pixels from the
        picture's upper left corner; what has no w above 0 is not ahead.
        """
        return places @ self._to_pixels[:, :3].T + self._to_pixels[:, 3]

    def directions(self, pixels: Floats) -> Floats:
        """Where a perspective camera looks at places (N, 2) of its picture, x and y in pixels:
        (N, 3), in its space.
        """
        ends = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
        return ends @ np.linalg.inv(self._to_pixels[:, :3]).T

    def in_view(self, bounds: Floats, matrices: Floats) -> NDArray[np.bool_]:
        """Which instances of a box may be seen.

        Args:
            bounds: (8, 3), its corners.
            matrices: (K, 4, 4), from there to the camera's space.
        """
        points, _ = self._placed(bounds, matrices)
        return ~self._beside(points)

    def draw(
        self,
        vertices: NDArray[np.floating],
        corners: NDArray[np.integer],
        matrices: Floats,
        labels: NDArray[np.integer],
        one_sided: NDArray[np.bool_] | None = None,
        seen_at: SeenAt | None = None,
        step: int = 0,
    ) -> None:
        """Draw instances of a mesh.

        Args:
            vertices: (V, 3).
            corners: (T, 3), vertices of its triangles.
            matrices: (K, 4, 4), of each instance, to the camera's space.
            labels: (T,) what its triangles are, 0 or more.
            one_sided: (T,) whether a triangle is seen from its front only.
            seen_at: which parts of triangles are seen, all of them by default.
            step: by how much the labels of each instance are higher than those of the one before.
        """
        count = max(1, TRIANGLES // max(len(corners), len(vertices), 1))
        for first in range(0, len(matrices), count):
            points, nearness = self._placed(vertices, matrices[first : first + count])
            mirrored = np.linalg.det(matrices[first : first + count, :3, :3]) < 0
            for start in range(0, len(corners), TRIANGLES):
                part = slice(start, start + TRIANGLES)
                number = len(points)
                steps = step * np.arange(first, first + number)
                seen_from_behind = None
                if one_sided is not None:
                    sides = np.where(mirrored, -1, 1)[:, None] * one_sided[None, part]
                    seen_from_behind = sides.ravel()
                self._triangles(
                    points[:, corners[part]].reshape(-1, 3, 3),
                    nearness[:, corners[part]].reshape(-1, 3),
                    (steps[:, None] + labels[None, part]).ravel(),
                    seen_from_behind,
                    None
                    if seen_at is None
                    else (np.tile(np.arange(len(corners))[part], number), seen_at),
                )

    def strands(
        self,
        vertices: NDArray[np.floating],
        pieces: NDArray[np.integer],
        matrices: Floats,
        labels: NDArray[np.integer],
        step: int = 0,
    ) -> None:
        """Draw what is thinner than a pixel: lines between vertices, or points.

        Args:
            vertices: (V, 3).
            pieces: (N, 2), the ends of each line; the same vertex twice is a point.
            matrices: (K, 4, 4), of each instance, to the camera's space.
            labels: (N,), what each is.
            step: as in `draw`.
        """
        for instance, matrix in enumerate(matrices):
            points, nearness = self._placed(vertices, matrix[None])
            ends, near = points[0, pieces], nearness[0, pieces]
            ahead = (ends[..., 2] > 0).all(axis=1) & ~self._beside(ends)
            ends, near, own = ends[ahead], near[ahead], labels[ahead] + step * instance
            places = ends[..., :2] / ends[..., 2:]
            if not self.is_flat:
                near = 1 / ends[..., 2]
            length = np.abs(places[:, 0] - places[:, 1]).max(axis=1)
            counts = np.clip(np.ceil(length), 1, STEPS_OF_STRAND).astype(np.int64)
            for part in _pieces(counts, PIXELS):
                which, piece = _each(counts[part])
                share = ((piece + 0.5) / counts[part][which])[:, None]
                between = places[part][which]
                x, y = np.floor(between[:, 0] * (1 - share) + between[:, 1] * share).T
                found = near[part][which]
                depth = found[:, 0] * (1 - share[:, 0]) + found[:, 1] * share[:, 0]
                height, width = self.labels.shape
                inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
                pixels = (y[inside] * width + x[inside]).astype(np.int64)
                self._put(pixels, depth[inside], own[part][which][inside])

    def _placed(self, vertices: NDArray[np.floating], matrices: Floats) -> tuple[Floats, Floats]:
        """x w, y w and w in pixels of vertices of instances (K, V, 3), and what their nearness is
        made of (K, V).
        """
        there = vertices.astype(np.float64) @ matrices[:, :3, :3].transpose(0, 2, 1)
        there += matrices[:, None, :3, 3]
        points = self.in_pixels(there)
        return points, there[..., 2] if self.is_flat else np.ones(points.shape[:2])

    def _beside(self, points: Floats) -> NDArray[np.bool_]:
        """Which groups of points (..., N, 3) lie all on the wrong side of an edge of the picture,
        or behind the camera.
        """
        height, width = self.labels.shape
        x, y, w = np.moveaxis(points, -1, 0)
        outside = (x < 0, x > width * w, y < 0, y > height * w, w <= 0)
        found = np.zeros(points.shape[:-2], bool)
        for one in outside:
            found |= one.all(axis=-1)
        return found

    def _triangles(
        self,
        points: Floats,
        nearness: Floats,
        labels: NDArray[np.integer],
        front: NDArray[np.integer] | None,
        cut: tuple[NDArray[np.int64], SeenAt] | None,
    ) -> None:
        """Draw triangles (N, 3, 3); `front` is 1 or -1 where the side that is seen has that sign,
        0 where both are seen; `cut` has their numbers and says which parts of them are seen.
        """
        kept = np.flatnonzero(~self._beside(points))
        top, bottom = self._rows(points[kept])
        kept, top, bottom = (part[bottom >= top] for part in (kept, top, bottom))
        points, nearness, labels = points[kept], nearness[kept], labels[kept]
        edges = np.cross(points[:, [1, 2, 0]], points[:, [2, 0, 1]])
        twice = np.einsum("nk,nk->n", points[:, 0], edges[:, 0])
        good = twice != 0
        if front is not None:  # pixels' y runs down: what faces the camera has a negative area
            good &= twice * front[kept] <= 0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            edges /= twice[:, None, None]
        good &= np.isfinite(edges).all(axis=(1, 2))
        edges[~good] = 0
        edges[..., 2] += ON_EDGE / np.abs(points[..., 2]).max(axis=1, keepdims=True)
        slopes = np.einsum("nik,ni->nk", edges, nearness)
        counts = np.where(good, bottom - top + 1, 0)
        for part in _pieces(counts, ROWS):
            which, row = _each(counts[part])
            y = row + top[part][which]
            own = None if cut is None else (cut[0][kept][part][which], cut[1])
            self._intervals(edges[part][which], slopes[part][which], labels[part][which], y, own)

    def _rows(self, points: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first and last row whose pixels' centres triangles (N, 3, 3) may reach; where a
        triangle passes the camera, all rows. Where it reaches no centre, the last comes first.
        """
        height, width = self.labels.shape
        ahead: NDArray[np.bool_] = np.all(points[..., 2] > 0, axis=1)
        w = np.where(ahead[:, None], points[..., 2], 1)
        x, y = points[..., 0] / w, points[..., 1] / w
        few = 1e-6
        left, right = np.ceil(x.min(axis=1) - 0.5 - few), np.floor(x.max(axis=1) - 0.5 + few)
        top = np.clip(np.ceil(y.min(axis=1) - 0.5 - few), 0, height)
        bottom = np.clip(np.floor(y.max(axis=1) - 0.5 + few), -1, height - 1)
        bottom = np.where((left > right) | (right < 0) | (left >= width), -1, bottom)
        top, bottom = np.where(ahead, top, 0), np.where(ahead, bottom, height - 1)
        return top.astype(np.int64), bottom.astype(np.int64)

    def _intervals(
        self,
        edges: Floats,
        slopes: Floats,
        labels: NDArray[np.integer],
        y: NDArray[np.int64],
        cut: tuple[NDArray[np.int64], SeenAt] | None,
    ) -> None:
        """Draw one row of each triangle: what is at least 0 for all three edges (R, 3, 3)."""
        width = self.labels.shape[1]
        across = edges[..., 0]
        there = edges[..., 1] * (y + 0.5)[:, None] + edges[..., 2]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            crossing = -there / across
        low = np.where(across > 0, crossing, -np.inf).max(axis=1)
        high = np.where(across < 0, crossing, np.inf).min(axis=1)
        never = ((across == 0) & (there < 0)).any(axis=1)
        first = np.ceil(np.clip(low, 0, width) - 0.5).astype(np.int64)
        last = np.floor(np.clip(high, -1, width) - 0.5).astype(np.int64)
        last = np.minimum(last, width - 1)
        counts = np.where(never, 0, np.maximum(last - first + 1, 0))
        start = slopes[:, 1] * (y + 0.5) + slopes[:, 2]
        for part in _pieces(counts, PIXELS):
            which, x = _each(counts[part])
            x += first[part][which]
            depth = slopes[part, 0][which] * (x + 0.5) + start[part][which]
            pixels, found = y[part][which] * width + x, labels[part][which]
            if cut is not None:
                shares = across[part][which] * (x + 0.5)[:, None] + there[part][which]
                shares /= shares.sum(axis=1, keepdims=True)
                seen = cut[1](cut[0][part][which], shares)
                pixels, depth, found = pixels[seen], depth[seen], found[seen]
            self._put(pixels, depth, found)

    def _put(
        self, pixels: NDArray[np.int64], nearness: Floats, labels: NDArray[np.integer]
    ) -> None:
        """Let what is nearer than what is there be seen."""
        seen = (nearness > self._nearness[pixels]) & (nearness <= self._range[1])
        seen &= nearness >= self._range[0]
        pixels, nearness, labels = pixels[seen], nearness[seen], labels[seen]
        np.maximum.at(self._nearness, pixels, nearness)
        nearest = nearness == self._nearness[pixels]
        self.labels.reshape(-1)[pixels[nearest]] = labels[nearest]


def _each(counts: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of groups with so many members, for every member its group and its number there."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)


def _pieces(counts: NDArray[np.integer], most: int) -> Iterator[slice]:
    """Groups that follow each other with about `most` members together."""
    ends = np.cumsum(counts)
    first = 0
    while first < len(counts):
        before = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, before + most, side="right")), first + 1)
        yield slice(first, last)
        first = last
