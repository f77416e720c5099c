"""Pinhole cameras, and the lens distortion that is taken out of photos when they are read.

Image coordinates (u, v) count pixels from the top left corner of the image, so that the centre of
the first pixel is (0.5, 0.5). Normalised coordinates are x = (u - cx) / fx to the right and
y = (v - cy) / fy downwards, at distance 1 before the camera.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput

NEWTON_STEPS = 50
WIDEST = math.radians(75)
"""How far off its axis a fisheye's picture is used: towards 90 degrees, a pinhole camera would give
nearly all of its pixels to the rim."""
FOLD_SAMPLES = 512
BORDER_SAMPLES = 65
CANNOT_BE_UNDONE = "its lens distortion cannot be undone over the whole image"


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera. Everything in pixels; (cx, cy) from the image's top left corner."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def resized(self, width: int, height: int) -> "Intrinsics":
        """The same camera with more or fewer pixels."""
        across, down = width / self.width, height / self.height
        return Intrinsics(
            self.fx * across, self.fy * down, self.cx * across, self.cy * down, width, height
        )

    def normalise(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Image coordinates (..., 2) to normalised coordinates (..., 2)."""
        return (pixels - (self.cx, self.cy)) / (self.fx, self.fy)

    def directions(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Viewing directions (..., 3) in the camera's frame (x right, y up, -z forward), of length
        1 along -z, of image coordinates (..., 2).
        """
        x, y = np.moveaxis(self.normalise(pixels), -1, 0)
        return np.stack([x, -y, -np.ones_like(x)], axis=-1)


@dataclass(frozen=True)
class Lens:
    """Lens distortion as nerfstudio and instant-ngp write it.

    Attributes:
        fisheye: False for OpenCV's perspective model, radius times
            1 + k1 r^2 + k2 r^4 + k3 r^6 + k4 r^8 plus tangential terms p1, p2; True for OpenCV's
            fisheye model, angle times 1 + k1 a^2 + k2 a^4 + k3 a^6 + k4 a^8.
    """

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    fisheye: bool = False

    @property
    def is_pinhole(self) -> bool:
        """Whether there is nothing to undo."""
        return self == Lens()

    def distort(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the lens puts undistorted normalised coordinates (..., 2)."""
        x, y = np.moveaxis(points, -1, 0)
        square = x * x + y * y
        if self.fisheye:
            radius = np.sqrt(square)
            angle = np.arctan(radius)
            scale = np.divide(
                angle * self._radial(angle * angle),
                radius,
                out=np.ones_like(radius),
                where=radius > 1e-9,
            )
            return points * scale[..., None]
        scale = self._radial(square)
        return np.stack(
            [
                x * scale + 2 * self.p1 * x * y + self.p2 * (square + 2 * x * x),
                y * scale + 2 * self.p2 * x * y + self.p1 * (square + 2 * y * y),
            ],
            axis=-1,
        )

    def _radial(self, square: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1 + square * (self.k1 + square * (self.k2 + square * (self.k3 + square * self.k4)))

    def cropped(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much nearer to the axis distorted points (n, 2) must be to lie within WIDEST of it:
        (n,), 1 where they do. 1 for all of a perspective lens, and of one that folds before.
        """
        angles = np.linspace(0, WIDEST, FOLD_SAMPLES)
        bent = angles * self._radial(angles * angles)
        if not self.fisheye or (np.diff(bent) <= 0).any():
            return np.ones(len(points))
        radius = np.linalg.norm(points, axis=1)
        return np.minimum(1, bent[-1] / np.maximum(radius, 1e-12))

    def undistort(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of `distort` for points (n, 2), by Newton's method from the point itself.

        Raises:
            ValueError: no point of the picture plane is put there by this lens.
        """
        found = points.astype(np.float64)
        with np.errstate(all="ignore"):  # a lens that folds is told by the result
            for _ in range(NEWTON_STEPS):
                miss = self.distort(found) - points
                if np.abs(miss).max(initial=0) < 1e-12:
                    break
                a, b, c, d = np.moveaxis(self._jacobian(found).reshape(-1, 4), -1, 0)
                along = np.stack([d * miss[:, 0] - b * miss[:, 1], a * miss[:, 1] - c * miss[:, 0]])
                found = found - (along / (a * d - b * c)).T
            if not np.abs(self.distort(found) - points).max(initial=0) < 1e-9:
                raise BadInput(CANNOT_BE_UNDONE)
        return found

    def _jacobian(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives (..., 2, 2) of `distort`, by central differences."""
        step = 1e-6
        columns = [
            (self.distort(points + offset) - self.distort(points - offset)) / (2 * step)
            for offset in (np.array([step, 0.0]), np.array([0.0, step]))
        ]
        return np.stack(columns, axis=-1)


def is_cropped(intrinsics: Intrinsics, lens: Lens) -> bool:
    """Whether a fisheye's picture reaches further off its axis than `undistorted` shows."""
    return lens.fisheye and bool((lens.cropped(_border(intrinsics)) < 1).any())


def _border(intrinsics: Intrinsics) -> NDArray[np.float64]:
    """Normalised coordinates (n, 2) of the picture's border, before undistortion."""
    across = np.linspace(0, intrinsics.width, BORDER_SAMPLES)
    down = np.linspace(0, intrinsics.height, BORDER_SAMPLES)
    sides = [np.stack([across, 0 * across + v], -1) for v in (0, intrinsics.height)]
    sides += [np.stack([0 * down + u, down], -1) for u in (0, intrinsics.width)]
    return intrinsics.normalise(np.concatenate(sides))


@lru_cache(maxsize=64)
def undistorted(intrinsics: Intrinsics, lens: Lens) -> Intrinsics:
    """The pinhole camera whose image, of the same size, is the largest rectangle that the distorted
    image covers without gaps, of a fisheye's up to WIDEST off its axis.

    Raises:
        BadInput: the distortion cannot be undone over the whole image.
    """
    if lens.is_pinhole:
        return intrinsics
    across = np.linspace(0, intrinsics.width, BORDER_SAMPLES)
    down = np.linspace(0, intrinsics.height, BORDER_SAMPLES)

    def side(
        u: NDArray[np.float64] | float, v: NDArray[np.float64] | float, axis: int
    ) -> NDArray[np.float64]:
        pixels = np.stack(np.broadcast_arrays(u, v), axis=-1).astype(np.float64)
        points = intrinsics.normalise(pixels)
        return lens.undistort(points * lens.cropped(points)[:, None])[:, axis]

    left, right = side(0, down, 0).max(), side(intrinsics.width, down, 0).min()
    top, bottom = side(across, 0, 1).max(), side(across, intrinsics.height, 1).min()
    if not (left < right and top < bottom):
        raise BadInput(CANNOT_BE_UNDONE)
    fx = float(intrinsics.width / (right - left))
    fy = float(intrinsics.height / (bottom - top))
    straight = replace(intrinsics, fx=fx, fy=fy, cx=float(-left * fx), cy=float(-top * fy))
    grid = np.stack(np.meshgrid(across, down), axis=-1)
    if not (np.linalg.det(lens._jacobian(straight.normalise(grid))) > 0).all():
        raise BadInput(CANNOT_BE_UNDONE)
    return straight


@lru_cache(maxsize=4)
def undistortion_map(intrinsics: Intrinsics, lens: Lens) -> NDArray[np.float32]:
    """Where the pixels of the undistorted image lie in the distorted one.

    Returns:
        float32 (H, W, 2): row and column, in array indices (the first pixel's centre is 0, 0).
    """
    straight = undistorted(intrinsics, lens)
    rows, columns = np.mgrid[0 : straight.height, 0 : straight.width] + 0.5
    bent = lens.distort(straight.normalise(np.stack([columns, rows], axis=-1)))
    u = bent[..., 0] * intrinsics.fx + intrinsics.cx - 0.5
    v = bent[..., 1] * intrinsics.fy + intrinsics.cy - 0.5
    return np.stack([v, u], axis=-1).astype(np.float32)
