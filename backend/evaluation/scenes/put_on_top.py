"""A ball on top of what masks show of a capture, whose truth is known by construction: what an edit
that adds something becomes on real photos, where nobody has photographed it.

The ball stands on the top of the masked surfaces, as the unedited field has them. What each view
shows with it is drawn into the photo, hidden where the field's surfaces are nearer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.captures.up import up_of
from backend.evaluation.edits import SAME
from backend.evaluation.scenes.capture_figures import COLOURS, Photo, distance, paint_for
from backend.evaluation.scenes.scene_figures import Figures, psnr
from backend.evaluation.scenes.true_editor import Truth
from backend.scenes.camera import Camera, View
from backend.scenes.scene import Scene

DIAMETER = 1 / 8
"""Of the ball, of the longer side of the picture, seen from the usual distance."""
SUNK = 0.3
"""Of its radius, that it lies in what it stands on."""
ASKED = 16
"""Trained views at most that say where the top is."""
LOW, TOP = 0.9, 0.98
"""Shares of the masked surfaces that lie below where the ball stands: those above the first say
where it is across, the second how high. Above that are hairs, and what a mask's outline spilled."""
SEEN = 0.5
"""Share of the trained views that the ball's middle must be in."""
AMBIENT = 0.35
SAMPLES = 3
"""Along each side of a pixel."""
ITSELF = 0.02
"""Share of its distance by which a surface must be nearer to hide the ball: what it stands on is no
thinner line in the field."""


@dataclass(frozen=True)
class Ball:
    """A ball in a capture.

    Attributes:
        centre: float64 (3,), capture coordinates.
        radius: capture units.
        light: float64 (3,), the unit vector towards what lights it.
        colour: its name, of COLOURS.
    """

    centre: NDArray[np.float64]
    radius: float
    light: NDArray[np.float64]
    colour: str


@dataclass(frozen=True)
class WithBall:
    """A view with the ball.

    Attributes:
        photo: the view without.
        truth: what an editor knows of it.
        share: float32 (H, W), how much of each pixel the ball takes.
    """

    photo: Photo
    truth: Truth
    share: NDArray[np.float32]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """bool (H, W)."""
        found: NDArray[np.bool_] = (self.share > 0.5) & self.photo.opaque
        return found


def ball_on(scene: Scene, trained: Sequence[Photo]) -> Ball | None:
    """A ball on top of what is masked; None where fewer than SEEN of the views would show it.

    Args:
        scene: with its radiance field.
        trained: its trained views with the masks, which mark something in one of them.

    Raises:
        CaptureError: nothing says which way is up.
    """
    up = up_of(scene.capture)
    marked = [photo for photo in trained if photo.inside.any()]
    every = -(-len(marked) // ASKED)
    surfaces, units = [], []
    for photo in marked[::every]:
        camera = scene.camera(photo.name)
        view = scene.render(camera)
        inside = photo.core if photo.core.any() else photo.inside
        distances = view.depth[inside]
        surfaces.append(camera.pose[:3, 3] + _directions(camera)[inside] * distances[:, None])
        lens = camera.intrinsics
        units.append(np.median(distances) * max(photo.share.shape) / lens.fx)
    points = np.concatenate(surfaces)
    radius = float(np.median(units)) * DIAMETER / 2
    heights = points @ up
    low, top = np.quantile(heights, (LOW, TOP))
    across = np.median(points[heights >= low], axis=0)
    centre = across + up * (top - across @ up + (1 - SUNK) * radius)
    cameras = [scene.camera(photo.name) for photo in trained]
    if np.mean([_shows(camera, centre) for camera in cameras]) < SEEN:
        return None
    back = np.mean([camera.pose[:3, 2] for camera in cameras], axis=0)
    light = up + back / max(float(np.linalg.norm(back)), 1e-9)
    return Ball(centre, radius, light / np.linalg.norm(light), paint_for(marked))


def put(scene: Scene, ball: Ball, photo: Photo) -> WithBall:
    """A view of a scene, which is not edited, with the ball in it."""
    camera = scene.camera(photo.name)
    height, width = photo.share.shape
    lens = camera.intrinsics.resized(width * SAMPLES, height * SAMPLES)
    rays = _directions(Camera(camera.pose, lens))
    offset = camera.pose[:3, 3] - ball.centre
    along = rays @ offset
    within = along**2 - offset @ offset + ball.radius**2
    entry = -along - np.sqrt(np.maximum(within, 0))
    surfaces = scene.render(camera).depth.repeat(SAMPLES, 0).repeat(SAMPLES, 1)
    hit = (within > 0) & (entry > 0) & (entry < surfaces * (1 + ITSELF))
    normals = (offset + entry[..., None] * rays) / ball.radius
    lit = AMBIENT + (1 - AMBIENT) * np.maximum(normals @ ball.light, 0)
    shown = np.where(hit[..., None], lit[..., None] * np.array(COLOURS[ball.colour]), 0)
    share = _mean(hit.astype(np.float64))
    image = photo.image / 255 * (1 - share[..., None]) + _mean(shown)
    edited = (255 * image + 0.5).astype(np.uint8)
    taken = share.astype(np.float32)
    size = photo.cells.shape[::-1]
    cells = np.asarray(Image.fromarray(taken).resize(size, Image.Resampling.BOX), np.float32)
    return WithBall(photo, Truth(photo.image, edited, cells), taken)


def added(after: Sequence[View], views: Sequence[WithBall], before: Sequence[View]) -> Figures:
    """What an edit that puts the ball there has become.

    "put on top" is the share of its pixels in held-out views that are nearer to the true edit than
    to the photo; "inside" and "outside" are PSNR in dB, the one against the true edit, the other
    against the unedited field's renders.

    Args:
        after, before: renders of the held-out views with and without the edit.
        views: these, one of which shows the ball.
    """
    near, each, inside, outside = [], [], [], []
    for view, shown, seen in zip(views, after, before, strict=True):
        true = view.truth.edited.astype(np.float32) / np.float32(255)
        photo = view.photo.image.astype(np.float32) / np.float32(255)
        if view.inside.any():
            nearer = distance(shown.rgb, true) < distance(shown.rgb, photo)
            near.append(nearer[view.inside])
            each.append(float(near[-1].mean()))
            inside.append(psnr(shown.rgb, true, view.inside))
        kept = (view.share == 0) & view.photo.opaque
        if kept.any():
            outside.append(min(SAME, psnr(shown.rgb, seen.rgb, kept)))
    return {
        "put on top": float(np.concatenate(near).mean()),
        "put on top, worst view": min(each),
        "put on top, PSNR inside": float(np.mean(inside)),
        "put on top, PSNR outside": float(np.mean(outside)),
    }


def _directions(camera: Camera) -> NDArray[np.float64]:
    """float64 (H, W, 3): unit vectors through the pixels' centres, in capture coordinates."""
    lens = camera.intrinsics
    rows, columns = np.mgrid[: lens.height, : lens.width] + 0.5
    rays = lens.directions(np.stack([columns, rows], -1)) @ camera.pose[:3, :3].T
    found: NDArray[np.float64] = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    return found


def _shows(camera: Camera, place: NDArray[np.float64]) -> bool:
    """Whether a place (3,) in capture coordinates lies in a camera's picture."""
    x, y, z = (place - camera.pose[:3, 3]) @ camera.pose[:3, :3]
    if z >= 0:
        return False
    lens = camera.intrinsics
    column, row = lens.cx - lens.fx * x / z, lens.cy + lens.fy * y / z
    return bool(0 <= column < lens.width and 0 <= row < lens.height)


def _mean(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the samples (H * SAMPLES, W * SAMPLES, ...) of each pixel, (H, W, ...)."""
    height, width = (size // SAMPLES for size in samples.shape[:2])
    parts = samples.reshape(height, SAMPLES, width, SAMPLES, *samples.shape[2:])
    found: NDArray[np.float64] = parts.mean(axis=(1, 3))
    return found
