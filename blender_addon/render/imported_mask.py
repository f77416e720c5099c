"""Masks that artists bring as images: what is bright is inside."""

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.painting import scaled
from ..data.scene_error import SceneError
from .image_pixels import image_pixels

BRIGHT = 128
"""Brightness times opacity, of 255, from which a pixel is inside, as people see it."""
SAME_SHAPE = 0.02
"""By how much of one the shapes of a mask and its picture may differ, besides a rounding."""
UNSCALED = 2**31


def imported_mask(
    scene: bpy.types.Scene, image: bpy.types.Image, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Where an image is bright and opaque, bool (H, W), at the size (height, width) of a picture of
    the same shape: each pixel is the nearest one's.

    Raises:
        SceneError: it cannot be read, has another shape, or marks nothing; the text says so.
    """
    if image.type in ("RENDER_RESULT", "COMPOSITING"):
        raise SceneError(f'"{image.name}" is no image of its own: save it, and import the file.')
    pixels = image_pixels(scene, image, UNSCALED)
    bright = pixels[..., :3].mean(axis=2, dtype=np.float32)
    if pixels.shape[2] == 4:
        bright *= pixels[..., 3] / np.float32(255)
    (rows, columns), (height, width) = bright.shape, shape
    if abs(rows * width - columns * height) > SAME_SHAPE * rows * width + max(rows, columns):
        raise SceneError(
            f'The image "{image.name}" is {columns} x {rows}, of another shape than the picture, '
            f"which is {width} x {height}: crop it first."
        )
    inside = scaled(bright >= BRIGHT, shape)
    if not inside.any():
        raise SceneError(
            f'The image "{image.name}" marks nothing: none of its pixels is bright and opaque.'
        )
    return inside
