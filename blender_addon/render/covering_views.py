"""Views of an object that show as much of its texture as can be: cameras evenly around it first,
and then those that see most of what these do not.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

from ..data.meshes.mesh_reading import MeshTexture
from .object_views import pose_at, poses_around

SAMPLES = 2000
"""Places on the mesh, evenly over its texels, that are looked at."""
TRIED = 20
"""How often as many are drawn at most, to find so many within a region."""
LEAST_COSINE = 0.25
"""Between a surface and a view, from which the view shows it: a little more than the backend's."""
CANDIDATES = 48
STEEPEST = math.radians(85)
LEAST_GAIN = 0.01
"""Share of the texels that a further view must add."""
NEAREST = 0.2
"""Of the mesh's extent, that a camera within its hollows keeps from it at least."""
CLOSE_LOOKS = 24
"""Hidden places at most whose hollows are tried."""
MOST_TRIANGLES = 300_000
"""Of a mesh that is looked at: more would take seconds."""
SLACK = 1e-4
"""Of the mesh's extent: a surface does not hide itself."""


def covering_poses(
    read: MeshTexture,
    count: int,
    more: int,
    field_of_view: float,
    region: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Choose cameras.

    Args:
        read: the mesh.
        count: how many stand evenly around it.
        more: how many may be added for what those do not see.
        field_of_view: of square views, in radians.
        region: bool (T, S), row 0 at the top: the texels that are to be seen; None for all.

    Returns:
        float64 (V, 4, 4), camera to world, V from `count` to `count` + `more`; those evenly around
        come first. A mesh of more than MOST_TRIANGLES gets no others.
    """
    corners = read.corners.reshape(-1, 3)
    poses = poses_around(corners, count, field_of_view)
    if not more or len(read.corners) + len(read.occluders) > MOST_TRIANGLES:
        return poses
    places = _Places.of(read, region)
    hidden = places.hidden(poses, field_of_view)
    far = poses_around(corners, CANDIDATES, field_of_view, -STEEPEST, STEEPEST)
    added: list[NDArray[np.float64]] = []
    for near in (False, True):
        left = more - len(added)
        if left <= 0 or hidden.mean() < LEAST_GAIN:
            break
        tried = np.array(list(places.hollows(hidden, field_of_view))) if near else far
        chosen, hidden = _best(places, tried, hidden, left, field_of_view)
        added += chosen
    return np.concatenate([poses, *(one[None] for one in added)])


def seen_share(
    read: MeshTexture,
    poses: NDArray[np.float64],
    field_of_view: float,
    region: NDArray[np.bool_] | None = None,
) -> float:
    """Of a region's texels, how many some camera shows; all as in `covering_poses`. 0..1."""
    return 1 - float(_Places.of(read, region).hidden(poses, field_of_view).mean())


def _best(
    places: "_Places",
    tried: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    most: int,
    field_of_view: float,
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
    """Of some cameras those that show most of what is hidden, one after the other, and what is
    hidden then.
    """
    shows = [places.shown(pose, field_of_view, hidden) for pose in tried]
    chosen: list[NDArray[np.float64]] = []
    while shows and len(chosen) < most:
        gains = [int((one & hidden).sum()) for one in shows]
        best = int(np.argmax(gains))
        if gains[best] < LEAST_GAIN * len(hidden):
            break
        chosen.append(tried[best])
        hidden = hidden & ~shows[best]
    return chosen, hidden


@dataclass(frozen=True, eq=False)
class _Places:
    """Places on a mesh, around its middle.

    Attributes:
        points, normals: float64 (N, 3).
        middle: (3,), in world space.
        extent: the longest side of the box around the mesh.
        tree: of all triangles that can hide them.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    middle: NDArray[np.float64]
    extent: float
    tree: BVHTree

    @staticmethod
    def of(read: MeshTexture, region: NDArray[np.bool_] | None) -> "_Places":
        """Of a mesh as it was read, within a region where there is one."""
        flat = read.corners.reshape(-1, 3)
        middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
        corners = read.corners - middle
        edges = (read.uvs[:, 1:] - read.uvs[:, :1]).astype(np.float64)
        areas = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0])
        random = np.random.default_rng(0)
        number = SAMPLES if region is None else SAMPLES * TRIED
        total = areas.sum()
        face = random.choice(len(areas), number, p=areas / total if total > 0 else None)
        shares = random.dirichlet((1.0, 1.0, 1.0), number)
        if region is not None:
            uv = np.einsum("nk,nkd->nd", shares, read.uvs[face]) % 1.0
            height, width = region.shape
            row = ((1 - uv[:, 1]) * height).astype(int).clip(0, height - 1)
            inside = region[row, (uv[:, 0] * width).astype(int).clip(0, width - 1)]
            kept = np.flatnonzero(inside)[:SAMPLES]
            face, shares = face[kept], shares[kept]
        points = np.einsum("nk,nkd->nd", shares, corners[face])
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[face]
        normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12, None)
        hiding = np.concatenate([corners, read.occluders - middle]).reshape(-1, 3)
        numbers = np.arange(len(hiding)).reshape(-1, 3)
        tree = BVHTree.FromPolygons(hiding.tolist(), numbers.tolist(), all_triangles=True)
        return _Places(points, normals, middle, float(np.ptp(flat, axis=0).max()), tree)

    def shown(
        self, pose: NDArray[np.float64], field_of_view: float, asked: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which of the places that are asked for, bool (N,), a camera shows."""
        place = pose[:3, 3] - self.middle
        away = place - self.points
        distance = np.linalg.norm(away, axis=1).clip(1e-12, None)
        away /= distance[:, None]
        across = (self.points - place) @ pose[:3, :3]
        reach = -across[:, 2] * math.tan(field_of_view / 2)
        found: NDArray[np.bool_] = asked & (np.abs(across[:, :2]).max(axis=1) <= reach)
        # Normals of scans may point either way.
        found &= np.abs(np.einsum("nd,nd->n", self.normals, away)) >= LEAST_COSINE
        slack = SLACK * self.extent
        for number in np.flatnonzero(found):
            start = Vector((self.points[number] + slack * away[number]).tolist())
            direction = Vector(away[number].tolist())
            hit = self.tree.ray_cast(start, direction, float(distance[number]))
            found[number] = hit[0] is None
        return found

    def hidden(
        self, poses: Iterable[NDArray[np.float64]], field_of_view: float
    ) -> NDArray[np.bool_]:
        """Which places none of some cameras shows, bool (N,)."""
        left = np.ones(len(self.points), np.bool_)
        for pose in poses:
            left &= ~self.shown(pose, field_of_view, left)
        return left

    def hollows(
        self, hidden: NDArray[np.bool_], field_of_view: float
    ) -> Iterator[NDArray[np.float64]]:
        """Cameras before hidden places, as far away as there is room."""
        farthest = self.extent / math.tan(field_of_view / 2)
        numbers = np.flatnonzero(hidden)
        for number in numbers[:: max(1, len(numbers) // CLOSE_LOOKS)]:
            for side in (1, -1):
                away = side * self.normals[number]
                start = self.points[number] + SLACK * self.extent * away
                hit = self.tree.ray_cast(Vector(start.tolist()), Vector(away.tolist()))
                room = farthest if hit[3] is None else min(farthest, 0.9 * hit[3])
                if room >= NEAREST * self.extent:
                    yield pose_at(self.points[number] + room * away + self.middle, away)
