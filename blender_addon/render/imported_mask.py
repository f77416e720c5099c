"""Masks that artists bring as images: what is bright is inside."""

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data import tiles
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
    _check_marks(image, inside)
    return inside


def imported_tiles(image: bpy.types.Image, like: bpy.types.Image) -> NDArray[np.bool_]:
    """The same of an image with UDIM tiles, bool (H, W): for the atlas of an image `like`, whose
    tiles may have another size. A tile that the mask lacks marks nothing.

    Raises:
        SceneError: it cannot be read, has no tiles, or marks nothing; the text says so.
    """
    if not tiles.is_tiled(image):
        raise SceneError(
            f'The texture has UDIM tiles and "{image.name}" has none: open the mask with its tiles '
            'in an Image Editor ("Detect UDIMs"), and choose it by From Image.'
        )
    atlas, found = tiles.atlas_of(like), tiles.read_tiles(image)
    inside = np.zeros(atlas.shape, np.bool_)
    for tile in atlas.tiles:
        if tile.number not in found:
            continue
        pixels = found[tile.number]
        full = np.float32(255 if pixels.dtype == np.uint8 else 1)
        bright = pixels[..., :3].mean(axis=2, dtype=np.float32) * pixels[..., 3] / full**2
        inside[tile.slices] = scaled(bright >= BRIGHT / 255, (tile.height, tile.width))
    _check_marks(image, inside)
    return inside


def _check_marks(image: bpy.types.Image, inside: NDArray[np.bool_]) -> None:
    if not inside.any():
        raise SceneError(
            f'The image "{image.name}" marks nothing: none of its pixels is bright and opaque.'
        )
