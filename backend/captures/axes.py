"""The conventions in which programs write camera poses, told apart by where the cameras look."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from backend.captures.box import AHEAD, Crossing, crossing

Axes = Literal["opengl", "opencv", "opengl-w2c", "opencv-w2c"]
"""Of the cameras: OpenGL's (x right, y up, looking along -z) or OpenCV's (x right, y down, looking
along z); w2c for world-to-camera matrices, without it they are camera-to-world."""
AXES: Sequence[Axes] = get_args(Axes)
NAMES: Mapping[Axes, str] = {
    "opengl": "OpenGL's axes (y up, z backward)",
    "opencv": "OpenCV's axes (y down, z forward)",
    "opengl-w2c": "world-to-camera matrices with OpenGL's axes",
    "opencv-w2c": "world-to-camera matrices with OpenCV's axes, as COLMAP has them",
}
Y_AND_Z_TURNED = np.diag([1.0, -1.0, -1.0, 1.0])
MEET, MEET_TURNED = 0.3, 1.0
"""Axes that miss each other by no more than this share of the cameras' distance look at one thing;
the same for OpenCV's, which are the same lines as OpenGL's."""
AHEAD_SURELY = 0.9
CLEARLY_LESS = 0.7


def to_opengl(matrices: NDArray[np.float64], axes: Axes) -> NDArray[np.float64]:
    """Matrices as a file has them to camera-to-world poses of OpenGL's cameras.

    Args:
        matrices: float64 (n, 4, 4), rigid.
        axes: what they are.

    Returns:
        float64 (n, 4, 4).
    """
    poses = matrices
    if axes.endswith("w2c"):
        turned = matrices[:, :3, :3].transpose(0, 2, 1)
        poses = matrices.copy()
        poses[:, :3, :3] = turned
        poses[:, :3, 3] = -(turned @ matrices[:, :3, 3:])[:, :, 0]
    return poses @ Y_AND_Z_TURNED if axes.startswith("opencv") else poses


def suspected(matrices: NDArray[np.float64]) -> Axes | None:
    """The convention by which the cameras look at one thing, where by OpenGL's they do not.

    Photos of a room taken from its middle rightly look outwards: this is a suspicion, not a proof.

    Args:
        matrices: float64 (n, 4, 4), rigid, as a file has them.
    """
    fits: dict[Axes, Crossing] = {}
    for axes in AXES:
        poses = to_opengl(matrices, axes)
        found = crossing(poses) if _spread(poses) else None
        if found is not None and found.ahead >= (AHEAD if axes == "opengl" else AHEAD_SURELY):
            fits[axes] = found
    plain = fits.pop("opengl", None)
    fits = {
        axes: found
        for axes, found in fits.items()
        if found.miss <= (MEET_TURNED if axes == "opencv" else MEET)
    }
    if plain is not None:
        # Matrices that are the wrong way round can look sound, too, if less so: then those are
        # right whose cameras meet better and stand level.
        least = CLEARLY_LESS * _roll(matrices)
        fits = {
            axes: found
            for axes, found in fits.items()
            if found.miss < CLEARLY_LESS * plain.miss and _roll(to_opengl(matrices, axes)) < least
        }
    return min(fits, key=lambda axes: fits[axes].miss, default=None)


def turned_round(poses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which cameras look the other way than most: the place where all axes meet is behind them,
    but before most, or the other way round.

    Args:
        poses: float64 (n, 4, 4), camera-to-world, OpenGL's cameras.

    Returns:
        bool (n,); none where the axes do not meet.
    """
    found = crossing(poses) if _spread(poses) else None
    if found is None or found.miss > MEET:
        return np.zeros(len(poses), dtype=bool)
    towards = ((found.point - poses[:, :3, 3]) * -poses[:, :3, 2]).sum(axis=1)
    behind = np.asarray(towards < 0)
    return behind if behind.mean() <= 0.5 else ~behind


def _spread(poses: NDArray[np.float64]) -> bool:
    """Whether the cameras stand in more than one place."""
    positions = poses[:, :3, 3]
    return bool(np.ptp(positions, axis=0).max() > 1e-6 * max(1.0, np.abs(positions).max()))


def _roll(poses: NDArray[np.float64]) -> float:
    """How far cameras are from standing level: how far their x axes leave one plane, 0..1."""
    sideways = poses[:, :3, 0]
    return float(np.linalg.svd(sideways, compute_uv=False)[-1] / np.sqrt(len(sideways)))
