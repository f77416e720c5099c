"""The conventions in which programs write camera poses, told apart by where the cameras look and,
where that leaves several, by how well the pictures agree.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from backend.captures.box import AHEAD, Crossing, crossing

Axes = Literal[
    "opengl",
    "opencv",
    "pytorch3d",
    "unity",
    "opengl-w2c",
    "opencv-w2c",
    "pytorch3d-w2c",
    "opengl-transposed",
    "opencv-transposed",
]
"""Of the cameras: OpenGL's (x right, y up, looking along -z), OpenCV's (x right, y down, looking
along z), PyTorch3D's (x left, y up, looking along z) or, in a left-handed world, Unity's (x right,
y up, looking along z); w2c for world-to-camera matrices, transposed for the rotation of such beside
the camera's place, without both they are camera-to-world."""
AXES: Sequence[Axes] = get_args(Axes)
OPENGL: Axes = "opengl"
NAMES: Mapping[Axes, str] = {
    "opengl": "OpenGL's axes (y up, z backward)",
    "opencv": "OpenCV's axes (y down, z forward)",
    "pytorch3d": "PyTorch3D's axes (x left, y up, z forward)",
    "unity": "Unity's axes (y up, z forward, a left-handed world)",
    "opengl-w2c": "world-to-camera matrices with OpenGL's axes",
    "opencv-w2c": "world-to-camera matrices with OpenCV's axes, as COLMAP has them",
    "pytorch3d-w2c": "world-to-camera matrices with PyTorch3D's axes",
    "opengl-transposed": "transposed rotations of OpenGL's cameras beside their places",
    "opencv-transposed": "transposed rotations of OpenCV's cameras beside their places",
}
TURNS = {
    "opengl": np.eye(4),
    "opencv": np.diag([1.0, -1.0, -1.0, 1.0]),
    "pytorch3d": np.diag([-1.0, 1.0, -1.0, 1.0]),
}
"""From OpenGL's camera frame to another one."""
MIRROR = np.diag([1.0, 1.0, -1.0, 1.0])
"""Between a left-handed world, and camera, and right-handed ones."""
MEET, MEET_TURNED = 0.3, 1.0
"""Axes that miss each other by no more than this share of the cameras' distance look at one thing;
the same for cameras turned round, whose axes are the same lines as OpenGL's."""
AHEAD_SURELY = 0.9
CLEARLY_LESS = 0.7
LEVEL = 1e-6
"""A roll that is none, but for rounding."""
UPRIGHT = 0.3
"""Cameras stand upright whose mean unit vector up has so much along the world's."""
AGREE_CLEARLY = 0.93
"""Pictures speak for the poses under which they disagree by less than this share of what they do
under others. Of six scenes, in parts and whole, the right ones had at most 0.90."""

Disagreement = Callable[[NDArray[np.float64]], float]
"""How badly the pictures agree under camera-to-world poses (n, 4, 4) of OpenGL's cameras (see
picture_evidence.py), at least 0."""


@dataclass(frozen=True)
class Suspicion:
    """What poses look like that are not, or may be not, OpenGL's camera-to-world.

    Attributes:
        likely: the conventions that they may be in, the likeliest first; more than one where
            neither poses nor pictures tell them apart.
    """

    likely: tuple[Axes, ...]

    def __str__(self) -> str:
        """What is seen and what to do, without a capital and a full stop."""
        others = [axes for axes in self.likely if axes != "opengl"]
        named = " or as ".join(NAMES[axes] for axes in others)
        more = "".join(f", or --axes {axes}" for axes in others[1:])
        told = "" if len(self.likely) == 1 else ", which neither they nor the pictures tell apart"
        if "opengl" in self.likely:
            return (
                f"the poses look sound as they are, and as much so read as {named}{told}: if the "
                f"scene does not become sharp, give --axes {others[0]}{more}"
            )
        seen = (
            "the poses may be no camera-to-world matrices"
            if "-" in others[0]
            else "the cameras look away from each other"
        )
        return (
            f"{seen}: read as {named}{told}, they look at one thing: if they should, give "
            f"--axes {others[0]}{more}"
        )


def to_opengl(matrices: NDArray[np.float64], axes: Axes) -> NDArray[np.float64]:
    """Matrices as a file has them to camera-to-world poses of OpenGL's cameras. A left-handed world
    comes out mirrored: its z is negated.

    Args:
        matrices: float64 (n, 4, 4), rigid.
        axes: what they are.

    Returns:
        float64 (n, 4, 4).
    """
    if axes == "unity":
        mirrored: NDArray[np.float64] = MIRROR @ matrices @ MIRROR
        return mirrored
    poses = matrices
    if axes.endswith("w2c"):
        turned = matrices[:, :3, :3].transpose(0, 2, 1)
        poses = matrices.copy()
        poses[:, :3, :3] = turned
        poses[:, :3, 3] = -(turned @ matrices[:, :3, 3:])[:, :, 0]
    elif axes.endswith("transposed"):
        poses = matrices.copy()
        poses[:, :3, :3] = matrices[:, :3, :3].transpose(0, 2, 1)
    turn = axes.partition("-")[0]
    # bit for bit where nothing is turned, with the signs of its zeros: checkpoints know the poses
    return poses if turn == OPENGL else poses @ TURNS[turn]


def suspected(
    matrices: NDArray[np.float64], disagreement: Disagreement | None = None
) -> Suspicion | None:
    """The conventions by which the cameras look at one thing, where by OpenGL's they do not or less
    so; where the pictures tell, the one by which they agree.

    Photos of a room from its middle look outwards by right: this is a suspicion, not a proof.

    Args:
        matrices: float64 (n, 4, 4), rigid, as a file has them.
        disagreement: asked only where the poses alone leave a doubt.
    """
    fits = _sound(matrices)
    if not fits.keys() - {"opengl"}:
        return None
    if disagreement is None:
        likely = _by_poses(matrices, _usual(fits), doubts=False)
    else:
        # OpenGL's are asked about in any case: cameras may look outwards by right
        apart = {axes: disagreement(to_opengl(matrices, axes)) for axes in {*fits, OPENGL}}
        least = min(apart.values())
        close = [axes for axes in AXES if axes in apart and least >= AGREE_CLEARLY * apart[axes]]
        likely = close
        if len(close) != 1:
            left = {axes: fits[axes] for axes in close if axes in fits}
            likely = _by_poses(matrices, _usual(left or fits), doubts=True)
    return None if likely == ["opengl"] else Suspicion(tuple(likely))


def _usual(fits: dict[Axes, Crossing]) -> dict[Axes, Crossing]:
    """Without transposed ones, which nobody writes on purpose, where there are others: few cameras
    often look sound when they are turned back. For those the pictures must speak.
    """
    usual = {axes: one for axes, one in fits.items() if not axes.endswith("transposed")}
    return usual or fits


def likelier(matrices: NDArray[np.float64], axes: Axes, disagreement: Disagreement) -> Axes | None:
    """The convention that poses look to be in rather than in the one that they were said to be in;
    None where nothing speaks against that.

    Args:
        matrices: float64 (n, 4, 4), rigid, as a file has them.
        axes: what was said.
        disagreement: asked only where another convention is sound.
    """
    fits = _sound(matrices)
    if not fits.keys() - {axes}:
        return None
    apart = {one: disagreement(to_opengl(matrices, one)) for one in {*fits, axes}}
    best = min(AXES, key=lambda one: apart.get(one, np.inf))
    if apart[best] < AGREE_CLEARLY * apart[axes]:
        return best
    return None if axes in fits else _by_poses(matrices, _usual(fits), doubts=False)[0]


def _sound(matrices: NDArray[np.float64]) -> dict[Axes, Crossing]:
    """The conventions by which the cameras look at one thing."""
    fits: dict[Axes, Crossing] = {}
    for axes in AXES:
        poses = to_opengl(matrices, axes)
        found = crossing(poses) if _spread(poses) else None
        if found is None:
            continue
        if axes == "opengl":
            sound = found.ahead >= AHEAD
        else:
            most = MEET if "-" in axes else MEET_TURNED
            sound = found.ahead >= AHEAD_SURELY and found.miss <= most
        if sound:
            fits[axes] = found
    return fits


def _by_poses(
    matrices: NDArray[np.float64], fits: dict[Axes, Crossing], doubts: bool
) -> list[Axes]:
    """Which of some conventions are likely where no pictures tell, the likeliest first.

    Args:
        matrices: float64 (n, 4, 4), as a file has them.
        fits: the conventions by which they are sound, at least one.
        doubts: whether others may be likely, too, where OpenGL's camera-to-world is.
    """
    rolls = {axes: _roll(to_opengl(matrices, axes)) for axes in fits}
    likely: list[Axes] = sorted(fits, key=lambda axes: fits[axes].miss)
    first = likely[0]
    if OPENGL in fits:
        # Matrices that are the wrong way round can look sound, too, if less so: then those are
        # right whose cameras meet better and stand level.
        better = [
            axes
            for axes in likely
            if fits[axes].miss < CLEARLY_LESS * fits[OPENGL].miss
            and rolls[axes] < CLEARLY_LESS * rolls[OPENGL]
        ]
        if not better and not doubts:
            return [OPENGL]
        first, likely = (better[0], better) if better else (OPENGL, likely)
    likely = [
        axes
        for axes in likely
        if CLEARLY_LESS * fits[axes].miss <= fits[first].miss
        and CLEARLY_LESS * rolls[axes] <= rolls[first] + LEVEL
    ]
    return _upright(matrices, likely)


def _upright(matrices: NDArray[np.float64], likely: list[Axes]) -> list[Axes]:
    """Without conventions that differ from another one in what is up only, where the world says
    so: cameras stand upright along its z, as a rule, or in Unity's along its y.
    """
    for one, other in (("opencv", "pytorch3d"), ("opencv-w2c", "pytorch3d-w2c")):
        if one in likely and other in likely:
            up = to_opengl(matrices, one)[:, :3, 1].mean(axis=0)  # of the other: the opposite
            if abs(up[2]) > max(UPRIGHT, abs(up[1])):
                likely = [axes for axes in likely if axes != (other if up[2] > 0 else one)]
    if "unity" in likely and len(likely) > 1:
        up = matrices[:, :3, 1].mean(axis=0)
        if up[1] < max(UPRIGHT, abs(up[2])):
            likely = [axes for axes in likely if axes != "unity"]
    return likely


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
