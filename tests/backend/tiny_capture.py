"""A small scene whose pictures, depths and masks are exact: two spheres on a chequered floor."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.captures.capture import Capture
from backend.captures.lens import Intrinsics
from backend.captures.transforms import NewView, open_capture, write_capture
from backend.captures.views import Pixels

SPHERES = (((0.0, 0.0, 0.6), 0.6, (200, 40, 30)), ((1.1, 0.5, 0.35), 0.35, (40, 70, 200)))
"""Centre, radius and colour; the first one is what masks show."""
SUN = np.array([0.4, -0.5, 0.77])


@dataclass(frozen=True)
class Truth:
    """What the views show: images uint8, masks bool of the first sphere, distances float64 along
    the rays in capture units; (n, H, W, ...) each.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    distances: NDArray[np.float64]


def trace(
    pose: NDArray[np.float64], camera: Intrinsics
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.float64]]:
    """Image, mask of the first sphere and distance of one view."""
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = camera.directions(np.stack([columns, rows], -1)) @ pose[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    origin = pose[:3, 3]
    with np.errstate(divide="ignore"):
        distance = np.where(rays[..., 2] < 0, -origin[2] / rays[..., 2], np.inf)
    floor = origin + np.where(np.isfinite(distance), distance, 0)[..., None] * rays
    chequer = (np.floor(floor[..., 0] * 1.5) + np.floor(floor[..., 1] * 1.5)) % 2
    colour = np.where(chequer[..., None] > 0, (170.0, 160, 130), (110, 120, 100))
    far = np.hypot(floor[..., 0], floor[..., 1]) > 3.0
    colour[far | ~np.isfinite(distance)] = (120, 150, 180)
    distance[far] = np.inf
    mask = np.zeros(distance.shape, bool)
    for number, (centre, radius, albedo) in enumerate(SPHERES):
        offset = origin - np.array(centre)
        along = rays @ offset
        inside = along**2 - offset @ offset + radius**2
        hit = -along - np.sqrt(np.maximum(inside, 0))
        seen = (inside > 0) & (hit > 0) & (hit < distance)
        normal = (offset + hit[..., None] * rays) / radius
        light = 0.45 + 0.55 * np.maximum(normal @ SUN, 0)
        colour = np.where(seen[..., None], np.array(albedo) * light[..., None], colour)
        distance = np.where(seen, hit, distance)
        mask = seen if number == 0 else mask & ~seen
    return (colour + 0.5).astype(np.uint8), mask, distance


def orbit_pose(azimuth: float, elevation: float, distance: float = 4.0) -> NDArray[np.float64]:
    """A camera (OpenGL) to world pose that looks at the spheres."""
    target = np.array([0.3, 0.15, 0.4])
    back = np.array(
        [
            np.cos(azimuth) * np.cos(elevation),
            np.sin(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ]
    )
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, target + distance * back], 1)
    return pose


def planar(distances: NDArray[np.float64], camera: Intrinsics) -> NDArray[np.float32]:
    """Depth (H, W) along the viewing axis, 0 for the sky, of distances along the rays."""
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    across = (columns - camera.cx) / camera.fx
    down = (rows - camera.cy) / camera.fy
    depth = distances / np.sqrt(1 + across**2 + down**2)
    return np.where(np.isfinite(depth), depth, 0).astype(np.float32)


def orbit_capture(
    folder: Path, count: int = 16, size: int = 40, depth_every: int = 0, things: bool = False
) -> tuple[Capture, Truth]:
    """A capture of `count` views around the spheres, as it is read from `folder`, and its truth.
    Every n-th view has a depth, none where `depth_every` is 0. Where it has things, the first
    sphere is 7 and all else 0.
    """
    camera = Intrinsics(1.3 * size, 1.3 * size, size / 2, size / 2, size, size)
    poses = [orbit_pose(2 * np.pi * k / count, (0.4, 0.7, 0.55)[k % 3]) for k in range(count)]
    seen = [trace(pose, camera) for pose in poses]
    images, masks, distances = (np.array(part) for part in zip(*seen, strict=True))
    write_capture(
        folder,
        [
            NewView(
                f"{k:03d}",
                Pixels(
                    images[k],
                    depth=planar(distances[k], camera)
                    if depth_every and k % depth_every == 0
                    else None,
                    things=7 * masks[k].astype(np.uint16) if things else None,
                ),
                camera,
                poses[k],
            )
            for k in range(count)
        ],
    )
    return open_capture(folder), Truth(images, masks, distances)
