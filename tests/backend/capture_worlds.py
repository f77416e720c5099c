"""Small worlds whose images are known exactly, seen by cameras that are known exactly."""

import numpy as np

from backend.captures.lens import Intrinsics, Lens
from backend.captures.transforms import NewView
from backend.captures.views import Pixels


def look_at(position, target, up=(0.0, 0.0, 1.0)):
    """float64 (4, 4): an OpenGL camera at `position` that looks at `target`."""
    back = np.subtract(position, target, dtype=np.float64)
    back /= np.linalg.norm(back)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(back, right), back, position], axis=1)
    return pose


def orbit(count, radius=4.0, target=(0.0, 0.0, 0.0), height=1.0, turn=2 * np.pi):
    """float64 (count, 4, 4): cameras in a circle around `target`, all looking at it."""
    target = np.asarray(target, dtype=np.float64)
    angles = np.linspace(0, turn, count, endpoint=False)
    places = np.stack([radius * np.cos(angles), radius * np.sin(angles), height + 0 * angles], 1)
    return np.array([look_at(target + place, target) for place in places])


TURNS = {
    "opengl": np.eye(4),
    "opencv": np.diag([1.0, -1.0, -1.0, 1.0]),
    "pytorch3d": np.diag([-1.0, 1.0, -1.0, 1.0]),
}


def as_other_programs_write(poses, axes):
    """Camera-to-world poses of OpenGL's cameras as a convention of `AXES` has them."""
    if axes == "unity":
        left_handed = np.diag([1.0, 1.0, -1.0, 1.0])
        return left_handed @ poses @ left_handed
    turned = poses @ TURNS[axes.partition("-")[0]]
    if axes.endswith("transposed"):
        turned[:, :3, :3] = turned[:, :3, :3].transpose(0, 2, 1)
        return turned
    return np.linalg.inv(turned) if axes.endswith("w2c") else turned


def views_of_noise(poses, width=24, height=16, fx=30.0, seed=0, **extra):
    """NewViews of random pixels with names 0000, 0001, ..."""
    rng = np.random.default_rng(seed)
    centre = width / 2 + min(0.5, width / 4), height / 2 - min(0.25, height / 4)
    camera = Intrinsics(fx, fx * 1.1, *centre, width, height)
    for index, pose in enumerate(poses):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        yield NewView(f"{index:04}", Pixels(image, **extra), camera, pose)


def pixel_directions(camera, lens=None):
    """float64 (H, W, 3): where the pixels of a camera with a distorting lens look, in its frame."""
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width] + 0.5
    points = camera.normalise(np.stack([columns, rows], axis=-1))
    points = (lens or Lens()).undistort(points.reshape(-1, 2)).reshape(points.shape)
    return np.stack([points[..., 0], -points[..., 1], -np.ones(points.shape[:2])], axis=-1)


class TexturedRoom:
    """A corner of three walls of smooth noise: every pixel has a known colour and depth."""

    SIZE = 256
    EXTENT = 5.0

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.walls = [self._noise(rng) for _ in range(3)]

    def _noise(self, rng):
        """uint8 texture with detail at several scales, which features can hold on to."""
        total = np.zeros((self.SIZE, self.SIZE))
        for cells in (8, 32, 128):
            coarse = rng.uniform(size=(cells, cells))
            step = self.SIZE // cells
            total += np.kron(coarse, np.ones((step, step)))
        return (255 * total / total.max()).astype(np.uint8)

    def render(self, camera, pose, lens=None):
        """uint8 (H, W, 3) and depth float32 (H, W) along the viewing axis."""
        rays = pixel_directions(camera, lens) @ pose[:3, :3].T
        nearest = np.full(rays.shape[:2], np.inf)
        image = np.zeros((*rays.shape[:2], 3), dtype=np.uint8)
        for axis, wall in enumerate(self.walls):
            with np.errstate(divide="ignore"):
                distance = -pose[axis, 3] / rays[..., axis]  # walls at x = 0, y = 0, z = 0
            hit = (distance > 1e-6) & (distance < nearest)
            nearest[hit] = distance[hit]
            point = pose[:3, 3] + np.where(hit, distance, 0)[..., None] * rays
            u, v = (point[..., k] / self.EXTENT % 1 for k in range(3) if k != axis)
            rows, columns = (v * self.SIZE).astype(int), (u * self.SIZE).astype(int)
            colours = wall[np.minimum(rows, self.SIZE - 1), np.minimum(columns, self.SIZE - 1)]
            image[hit] = np.stack([colours, colours // (axis + 1), 255 - colours], -1)[hit]
        return image, np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)
