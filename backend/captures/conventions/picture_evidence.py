"""How well the pictures of a capture agree under poses: what one of them shows, others must show in
the same colours, at some distance from it (a coarse plane sweep).

Poses that are read in a wrong way can look sound; their pictures do not agree.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter

from backend.captures.box import crossing, standing
from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics
from backend.captures.views import StoredView

SIDE = 48
"""Pixels of the longer side that pictures are scaled down to; a lens's distortion is not seen."""
COMPARED, NEIGHBOURS = 4, 2
"""Pictures that are compared, and with how many others each."""
TURNED = np.radians(10)
"""How far a neighbour should be turned against a picture: beyond, it sees other sides of things."""
NEAREST, FARTHEST, DISTANCES = 0.3, 8.0, 36
"""Distances that are tried, in multiples of that of what the cameras look at."""
PATCH = 5
"""Pixels of a side of the squares that are compared."""


class PictureEvidence:
    """Pictures, of which a few are read when they are asked about for the first time."""

    def __init__(self, views: Sequence[StoredView], matrices: NDArray[np.float64]) -> None:
        """Args:
        views: n of them.
        matrices: float64 (n, 4, 4), their poses in any convention: how far two cameras are turned
            against each other is the same in all.
        """
        self._views, self._rotations = views, matrices[:, :3, :3]
        self._together = np.flatnonzero(~standing(matrices).stray)

    def disagreement(self, poses: NDArray[np.float64]) -> float:
        """How far the pictures' colours are apart where they should show the same, weighted with
        how much there is to see: 0 if not at all, about 1 as for any two pictures.

        Args:
            poses: float64 (n, 4, 4), camera-to-world, OpenGL's cameras.

        Returns:
            1 where the pictures show nothing or cannot be read.
        """
        found = crossing(poses)
        total = weight = 0.0
        for one, others in self._neighbours.items():
            place = poses[one, :3, 3]
            away = poses[:, :3, 3].std() if found is None else np.linalg.norm(found.point - place)
            distances = max(float(away), 1e-9) * np.geomspace(NEAREST, FARTHEST, DISTANCES)
            picture, camera = self._pictures[one]
            # at one distance for all others, as each alone finds some distance that fits
            apart = np.mean(
                [
                    _apart(picture, camera, *self._pictures[other], moved, distances)
                    for other in others
                    for moved in [np.linalg.inv(poses[other]) @ poses[one]]
                ],
                axis=0,
            )
            best = uniform_filter(apart, (0, PATCH, PATCH), mode="nearest").min(axis=0)
            blurred = uniform_filter(picture, (PATCH, PATCH, 0), mode="nearest")
            seen = np.abs(picture - blurred).max(axis=-1)
            total += float((best * seen).sum())
            weight += float(seen.sum())
        return total / weight if weight > 0 else 1.0

    @cached_property
    def _chosen(self) -> dict[int, list[int]]:
        """Some views, spread over all, and for each the others that it is compared with."""
        count, rotations = len(self._together), self._rotations[self._together]
        spread = np.linspace(0, count - 1, min(count, COMPARED + 2)).round().astype(int)
        chosen = {}
        for one in sorted(set(spread[1:-1].tolist())):
            traces = np.einsum("ij,nij->n", rotations[one], rotations)
            turned = np.arccos(((traces - 1) / 2).clip(-1, 1))
            order = np.argsort(np.abs(turned - TURNED), kind="stable")
            others = self._together[order[order != one][:NEIGHBOURS]]
            chosen[int(self._together[one])] = others.tolist()
        return chosen

    @cached_property
    def _neighbours(self) -> dict[int, list[int]]:
        """The same without those whose pictures cannot be read."""
        there = {
            one: [other for other in others if other in self._pictures]
            for one, others in self._chosen.items()
            if one in self._pictures
        }
        return {one: others for one, others in there.items() if others}

    @cached_property
    def _pictures(self) -> dict[int, tuple[NDArray[np.float32], Intrinsics]]:
        """Small pictures, float32 (h, w, 3), 0..1, and their cameras; without damaged ones, which
        are told of when all are read.
        """
        pictures: dict[int, tuple[NDArray[np.float32], Intrinsics]] = {}
        for index in sorted(set(self._chosen).union(*self._chosen.values())):
            view = self._views[index]
            try:
                colours = view.read_image()
            except CaptureError:
                continue
            camera = view.intrinsics
            share = min(1.0, SIDE / max(camera.width, camera.height))
            small = camera.resized(
                max(1, round(camera.width * share)), max(1, round(camera.height * share))
            )
            scaled = Image.fromarray(colours).resize(
                (small.width, small.height), Image.Resampling.BOX
            )
            values = (np.asarray(scaled) / 255).astype(np.float32)
            if values.shape[2] == 4:
                values[..., :3] *= values[..., 3:]
            pictures[index] = values[..., :3], small
        return pictures


def _apart(
    colours: NDArray[np.float32],
    camera: Intrinsics,
    others: NDArray[np.float32],
    other_camera: Intrinsics,
    moved: NDArray[np.float64],
    distances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How far each pixel of a picture is from what another one shows there, if it is at one of some
    distances, as a share of how far it is from the other's mean colour: 1 where it is not shown.

    Args:
        colours, others: float32 (h, w, 3), the two pictures, of their cameras.
        moved: float64 (4, 4), from the first camera's frame to the other's.
        distances: (k,)

    Returns:
        float64 (k, h, w), 0..1.
    """
    height, width = colours.shape[:2]
    rows, columns = np.mgrid[:height, :width] + 0.5
    rays = camera.directions(np.stack([columns, rows], axis=-1)) @ moved[:3, :3].T
    x, y, z = np.moveaxis(moved[:3, 3] + rays * distances[:, None, None, None], -1, 0)
    ahead = -z > 1e-6 * distances[0]
    depth = np.where(ahead, -z, 1.0)
    column = np.floor(x / depth * other_camera.fx + other_camera.cx)
    row = np.floor(-y / depth * other_camera.fy + other_camera.cy)
    shown = ahead & (column >= 0) & (column < others.shape[1])
    shown &= (row >= 0) & (row < others.shape[0])
    row, column = (np.where(shown, place, 0).astype(int) for place in (row, column))
    chance = max(float(np.abs(colours - others.mean(axis=(0, 1))).mean()), 1e-6)
    apart = np.abs(others[row, column] - colours).mean(axis=-1) / chance
    return np.where(shown, apart.clip(0, 1), 1.0)
