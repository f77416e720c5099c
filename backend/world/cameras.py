"""Cameras of the demo world: where they stand, the rays they see along, and where they see a point.

Poses are Blender's and OpenGL's: a camera looks along its own -z, its y is up in the picture; the
world is z up. Pixels are counted from the upper left corner, the first one's centre is (0.5, 0.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.world.world import Camera, Thing, Vector

Array = np.ndarray


@dataclass(frozen=True)
class View:
    """A camera with its pose and intrinsics as other programs want them.

    camera_to_world  float64 (4, 4), rows; columns 0 to 2 are the camera's x, y, z in the world
    intrinsics       fx, fy, cx, cy in pixels
    """

    camera: Camera
    camera_to_world: Array
    intrinsics: tuple[float, float, float, float]


def orbit_camera(
    azimuth: float,
    elevation: float,
    distance: float,
    target: Vector,
    fov: float,
    roll: float = 0.0,
) -> Camera:
    """A camera `distance` metres from `target`, at `azimuth` and `elevation` radians around it."""
    offset = (
        math.cos(azimuth) * math.cos(elevation),
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
    )
    x, y, z = (t + distance * o for t, o in zip(target, offset, strict=True))
    return Camera((x, y, z), target, fov, roll)


def orbit(camera: Camera, count: int, height: int, width: int) -> list[View]:
    """`count` views around the camera's target in even steps of azimuth, the first from where the
    camera stands; all at its distance, elevation and angle of view.
    """
    offset = np.subtract(camera.position, camera.target)
    distance = float(np.linalg.norm(offset))
    azimuth = math.atan2(offset[1], offset[0])
    elevation = math.asin(offset[2] / distance)
    turns = (azimuth + 2 * math.pi * k / count for k in range(count))
    around = (
        orbit_camera(turn, elevation, distance, camera.target, camera.fov, camera.roll)
        for turn in turns
    )
    return [View(c, camera_to_world(c), intrinsics(c, height, width)) for c in around]


RING_FOV = math.radians(45)
RINGS = tuple(math.radians(degrees) for degrees in (15, 32.5, 50))
"""Elevations of cameras around things."""
RING_FILLED = 0.75
"""Share of the picture's side that the ball around the things takes up."""


def rings(middle: Vector, radius: float, count: int, turn: float = 0.0) -> list[Camera]:
    """`count` cameras that look at a ball from all around, for a reconstruction: in even steps of
    azimuth, neighbours at different elevations, as the Blender extension places them too.

    Args:
        middle, radius: of the ball, in metres.
        count: of the cameras.
        turn: how far all are moved on, in steps of azimuth: at 0.5 they stand between those at 0.
    """
    distance = radius / (RING_FILLED * math.tan(RING_FOV / 2))
    return [
        orbit_camera(
            2 * math.pi * (number + turn) / count,
            RINGS[number % len(RINGS)],
            distance,
            middle,
            RING_FOV,
        )
        for number in range(count)
    ]


def ball_around(things: Sequence[Thing]) -> tuple[Vector, float]:
    """Middle and radius of a ball around all things, in metres."""
    reach = np.array([[thing.size * max(1.0, thing.stretch)] for thing in things])
    places = np.array([thing.position for thing in things])
    x, y, z = ((places - reach).min(axis=0) + (places + reach).max(axis=0)) / 2
    middle = (float(x), float(y), float(z))
    radius = (np.linalg.norm(places - middle, axis=1) + reach[:, 0]).max()
    return middle, float(radius)


def camera_to_world(camera: Camera) -> Array:
    """The camera's pose, float64 (4, 4)."""
    position = np.array(camera.position, np.float64)
    back = position - camera.target
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    c, s = math.cos(camera.roll), math.sin(camera.roll)
    pose = np.eye(4)
    pose[:3] = np.stack([c * right + s * up, c * up - s * right, back, position], 1)
    return pose


def intrinsics(camera: Camera, height: int, width: int) -> tuple[float, float, float, float]:
    """fx, fy, cx, cy in pixels."""
    focal = min(height, width) / 2 / math.tan(camera.fov / 2)
    return focal, focal, width / 2, height / 2


def project(camera: Camera, points: Array, height: int, width: int) -> tuple[Array, Array]:
    """Where points (3, N) of the world are seen: x and y in pixels, float64 (2, N), and how far
    before the camera they lie along its axis, float64 (N,); what is not above 0 is behind it.
    """
    pose = camera_to_world(camera)
    local = pose[:3, :3].T @ (np.asarray(points, np.float64) - pose[:3, 3:])
    fx, fy, cx, cy = intrinsics(camera, height, width)
    ahead = -local[2]
    safe = np.where(ahead > 1e-9, ahead, np.nan)
    return np.stack([cx + fx * local[0] / safe, cy - fy * local[1] / safe]), ahead


def camera_rays(camera: Camera, height: int, width: int) -> tuple[Array, Array]:
    """The camera's position (3,) and unit directions (3, height * width) through the pixels'
    centres, float32.
    """
    pose = camera_to_world(camera)
    fx, fy, cx, cy = intrinsics(camera, height, width)
    x = (np.arange(width) + 0.5 - cx) / fx
    y = (cy - np.arange(height) - 0.5) / fy
    right, up, back = pose[:3, :3].T[:, :, None, None]
    rays = (right * x[None, None, :] + up * y[None, :, None] - back).reshape(3, -1)
    rays /= np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
    return pose[:3, 3].astype(np.float32), rays.astype(np.float32)
