"""Cameras that move: around what a capture shows, along its own cameras, or as nerfstudio's viewer
has written it down.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import torch
from msgspec import Meta
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from backend.captures.box import focus_point
from backend.captures.capture import Capture, CaptureError
from backend.captures.lens import Intrinsics
from backend.captures.up import orientations, shown_upright, up_of
from backend.counts import check_counts
from backend.fields.nerfstudio_compat import auto_orient_and_center_poses
from backend.scenes.camera import Camera

UNSEEN, SPARSE = math.radians(90), 3.0
"""An orbit does not cross a gap between neighbouring photos that is wider than this, and than so
many times the others."""
ABOVE = 0.3
"""Cameras nearer to an orbit's axis than this share of the usual radius are on no side of it."""
ORIENTATIONS = ("up", "pca", "vertical", "none")
"""nerfstudio's, which a capture's description may choose."""
KEY_CAMERAS = 12
"""Cameras of the capture at most that a path goes through, spread evenly in its order."""


def orbit(capture: Capture, frames: int) -> list[Camera]:
    """A circle around what the cameras look at, at their usual distance and height, once round;
    where they stand on a part of the circle only, there and back on that part (see `arc_note`).

    Args:
        capture: whose cameras look inwards.
        frames: how many cameras, 1 at least; the last one stands just before the first.

    Raises:
        CaptureError: the cameras do not look at one place, or nothing says which way is up.
    """
    check_counts(frames=frames)
    circle = _circle(capture)
    turns = np.arange(frames) * 2 * math.pi / frames
    if circle.arc is not None:
        start, extent = circle.arc
        turns = start + extent * (1 - np.cos(turns)) / 2
    lens = _usual_lens(capture)
    return [Camera(circle.camera(turn), lens) for turn in turns.tolist()]


def arc_note(capture: Capture) -> list[str]:
    """That an orbit does not go all round, where it does not."""
    arc = _circle(capture).arc
    if arc is None:
        return []
    return [
        f"The photos were taken from {math.degrees(arc[1]):.0f} degrees of a circle around what "
        "they show: the orbit goes there and back, as from elsewhere nothing is known."
    ]


@dataclass(frozen=True, eq=False)
class _Circle:
    """Around what cameras look at.

    Attributes:
        middle: float64 (3,), what they look at.
        up, first, around: float64 (3,), unit vectors: of its axis, to its first point, and from
            there onwards.
        radius, height: capture units.
        arc: where cameras are on a part of it only: its begin and its extent in radians.
    """

    middle: NDArray[np.float64]
    up: NDArray[np.float64]
    first: NDArray[np.float64]
    around: NDArray[np.float64]
    radius: float
    height: float
    arc: tuple[float, float] | None

    def camera(self, turn: float) -> NDArray[np.float64]:
        """float64 (4, 4): the camera at an angle, that looks at the middle."""
        aside = self.radius * (math.cos(turn) * self.first + math.sin(turn) * self.around)
        return looking_at(self.middle + aside + self.height * self.up, self.middle, self.up)


def _circle(capture: Capture) -> _Circle:
    poses = capture.camera_to_world
    middle = focus_point(poses)
    if middle is None:
        raise CaptureError(
            f"The cameras of {capture.folder} do not look at one place, which an orbit could go "
            "around: name another --path."
        )
    up = up_of(capture)
    offsets = poses[:, :3, 3] - middle
    heights = offsets @ up
    level = offsets - heights[:, None] * up
    radii = np.linalg.norm(level, axis=1)
    first = level[radii.argmax()] / radii.max()
    around = np.cross(up, first)
    height, radius = float(np.median(heights)), float(np.median(radii))
    level = level[radii >= ABOVE * radius]  # who stands above sees all sides
    arc = _arc(np.arctan2(level @ around, level @ first))
    return _Circle(middle, up, first, around, radius, height, arc)


def _arc(angles: NDArray[np.float64]) -> tuple[float, float] | None:
    """Begin and extent of the part of a circle on which angles (n,) lie; None where they lie all
    round it, as far as their number allows.
    """
    ordered = np.sort(angles)
    gaps = np.diff(ordered, append=ordered[0] + 2 * math.pi)
    widest = int(gaps.argmax())
    rest = (2 * math.pi - gaps[widest]) / max(len(gaps) - 1, 1)
    if gaps[widest] <= max(UNSEEN, SPARSE * rest):
        return None
    return float(ordered[(widest + 1) % len(ordered)]), float(2 * math.pi - gaps[widest])


def unseen_note(capture: Capture, cameras: Sequence[Camera]) -> list[str]:
    """That some cameras of a path stand where no photo was taken from nearly the same side of what
    the photos show, if so.

    Args:
        capture: the photos.
        cameras: of the path, one at least.
    """
    middle = focus_point(capture.camera_to_world)
    if middle is None:
        return []
    known = _directions(capture.camera_to_world, middle)
    asked = _directions(np.array([camera.pose for camera in cameras]), middle)
    unseen = int(((asked @ known.T).max(axis=1) < math.cos(UNSEEN / 2)).sum())
    if unseen == 0:
        return []
    which = f"{unseen} of {len(cameras)} cameras of the path stand"
    if len(cameras) == 1:
        which = "The camera stands"
    aside = f"{math.degrees(UNSEEN / 2):.0f} degrees aside of every photo"
    return [f"{which} more than {aside}: nothing is known there."]


def _directions(poses: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (n, 3) from a place to cameras (n, 4, 4)."""
    offsets = poses[:, :3, 3] - middle
    lengths = np.linalg.norm(offsets, axis=1, keepdims=True)
    found: NDArray[np.float64] = offsets / np.maximum(lengths, 1e-12)
    return found


def through(capture: Capture, frames: int) -> list[Camera]:
    """A smooth path along the capture's own cameras, in their order, of photos that lie on their
    side as if they stood.

    Args:
        capture: two cameras at least.
        frames: how many cameras, from the first to the last one of the capture.
    """
    check_counts(frames=frames)
    count = len(capture)
    keys = np.unique(np.linspace(0, count - 1, min(count, KEY_CAMERAS)).round().astype(int))
    lens = _usual_lens(capture)
    return [Camera(pose, lens) for pose in smooth(shown_upright(capture)[keys], frames)]


def smooth(poses: NDArray[np.float64], frames: int) -> NDArray[np.float64]:
    """float64 (frames, 4, 4): poses along smooth curves through the given ones, (n, 4, 4), n >= 2.

    Positions follow a cubic spline, rotations one with continuous angular acceleration (scipy's
    RotationSpline); as much time passes between two poses as they lie apart, a turn by a radian
    counting as much as the path's mean distance from its middle.
    """
    places, turns = poses[:, :3, 3], Rotation.from_matrix(poses[:, :3, :3])
    reach = np.linalg.norm(places - places.mean(axis=0), axis=1).mean()
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    steps = steps + reach * (turns[:-1].inv() * turns[1:]).magnitude()
    # Cameras that stand on one spot are passed, however slowly: time never stands still.
    time = np.concatenate([[0.0], np.cumsum(steps + 1e-6 * max(steps.max(), 1e-9))])
    at = np.linspace(0, time[-1], frames)
    found = np.tile(np.eye(4), (frames, 1, 1))
    found[:, :3, 3] = CubicSpline(time, places)(at)
    found[:, :3, :3] = RotationSpline(time, turns)(at).as_matrix()
    return found


def looking_at(
    place: NDArray[np.float64], target: NDArray[np.float64], up: NDArray[np.float64]
) -> NDArray[np.float64]:
    """float64 (4, 4): a camera (OpenGL) at a place, that looks at a target with `up` upwards."""
    back = place - target
    back = back / np.linalg.norm(back)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, place], axis=1)
    return pose


class _PathCamera(msgspec.Struct):
    camera_to_world: list[float | list[float]]  # 16 numbers, or 4 rows of 4
    fov: Annotated[float, Meta(gt=0, lt=180)]


class _PathFile(msgspec.Struct):
    camera_path: Annotated[list[_PathCamera], Meta(min_length=1)]
    render_height: Annotated[float, Meta(ge=1, le=8192)]
    render_width: Annotated[float, Meta(ge=1, le=8192)]
    camera_type: str = "perspective"
    fps: Annotated[float, Meta(gt=0, le=240)] = 24.0


def read_path(path: Path, capture: Capture) -> tuple[list[Camera], float]:
    """The cameras of a path that nerfstudio's viewer has written, and frames a second.

    Such a path is in the coordinates that nerfstudio's parser gives the capture by default: turned
    so that the cameras' mean upward axis is z, or as the capture's description says, moved so that
    their mean position is the origin, scaled so that all of them just fit into [-1, 1]^3.

    Args:
        path: the .json file.
        capture: that the viewer showed.

    Raises:
        CaptureError: the file is missing or not such a path; one sentence that names it.
    """
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_PathFile)
    except FileNotFoundError:
        raise CaptureError(
            f"There is no file {path}: --path is orbit, through, or a camera path of nerfstudio's."
        ) from None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CaptureError(f"{path} is no camera path of nerfstudio's: {error}.") from error
    if content.camera_type != "perspective":
        raise CaptureError(
            f"{path} asks for {content.camera_type} pictures: only perspective ones can be made."
        )
    height, width = round(content.render_height), round(content.render_width)
    back = from_nerfstudio(capture)
    cameras = []
    for number, key in enumerate(content.camera_path):
        pose = np.array(key.camera_to_world, np.float64)
        if pose.size != 16 or not np.isfinite(pose).all():
            raise CaptureError(f"{path}: camera {number} of the path has no 4x4 matrix.")
        focal = height / 2 / math.tan(math.radians(key.fov) / 2)
        lens = Intrinsics(focal, focal, width / 2, height / 2, width, height)
        moved = back @ pose.reshape(4, 4)
        turn, _, turned = np.linalg.svd(moved[:3, :3])  # without the scale, which cameras have not
        moved[:3, :3] = turn @ turned
        cameras.append(Camera(moved, lens))
    return cameras, content.fps


def from_nerfstudio(capture: Capture) -> NDArray[np.float64]:
    """float64 (4, 4): nerfstudio's own coordinates of a capture to those of the capture; see
    `read_path`.
    """
    poses = torch.from_numpy(capture.camera_to_world).float()  # as nerfstudio has them
    method = capture.turned_by or "up"
    if method not in ORIENTATIONS:
        raise CaptureError(
            f"{capture.folder} says that nerfstudio turns it by {method} (orientation_override), "
            f"which is none of its ways: {', '.join(ORIENTATIONS)}."
        )
    oriented, transform = auto_orient_and_center_poses(poses, method=method, center_method="poses")
    scale = 1 / float(oriented[:, :3, 3].abs().max())
    there = np.eye(4)
    there[:3] = transform.double().numpy()
    there[:3] *= scale
    return np.linalg.inv(there).astype(np.float64)


def _usual_lens(capture: Capture) -> Intrinsics:
    """The capture's first camera with the picture's middle in its middle, of a picture as it asks
    for being shown.
    """
    lens = capture.intrinsics[0]
    if orientations(capture.views[:1])[0] >= 5:  # it lies on its side
        return Intrinsics(
            lens.fy, lens.fx, lens.height / 2, lens.width / 2, lens.height, lens.width
        )
    return Intrinsics(lens.fx, lens.fy, lens.width / 2, lens.height / 2, lens.width, lens.height)


def resized(cameras: Sequence[Camera], width: int) -> list[Camera]:
    """The cameras with pictures of another width, and a height that fits."""
    found = []
    for camera in cameras:
        lens = camera.intrinsics
        height = max(1, round(lens.height * width / lens.width))
        found.append(Camera(camera.pose, lens.resized(width, height)))
    return found


def thinned(cameras: Sequence[Camera], frames: int) -> list[Camera]:
    """So many of the cameras, 1 at least, spread evenly, or all where there are no more."""
    check_counts(frames=frames)
    if len(cameras) <= frames:
        return list(cameras)
    keep = np.linspace(0, len(cameras) - 1, frames).round().astype(int)
    return [cameras[index] for index in keep]
