"""Arrays to PNG files and back, through Blender's own images."""

import colorsys
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray


def save_png(picture: NDArray[np.generic], path: Path) -> None:
    """Write a PNG (8-bit RGB) of uint8 (H, W, 3) or (H, W), or of bool or float32 (H, W) in 0..1;
    the bytes are the array's own.
    """
    values = picture.astype(np.float32) / np.float32(255 if picture.dtype == np.uint8 else 1)
    if values.ndim == 2:
        values = np.repeat(values[..., None], 3, axis=2)
    height, width = values.shape[:2]
    image = bpy.data.images.new(path.stem, width, height, alpha=False)
    rgba = np.concatenate([values, np.ones((height, width, 1), np.float32)], axis=2)
    image.pixels.foreach_set(np.ascontiguousarray(rgba[::-1]).ravel())
    image.filepath_raw = str(path)
    image.file_format = "PNG"
    image.save()
    bpy.data.images.remove(image)


def load_png(path: Path) -> NDArray[np.uint8]:
    """The bytes of a PNG (8 bits a channel), uint8 (H, W, 3), row 0 at the top."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    values = pixels.reshape(height, width, -1)[::-1, :, :3]
    return np.rint(values * np.float32(255)).astype(np.uint8)


def in_colours(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Whole numbers from 0 on (H, W) as a picture, uint8 (H, W, 3), each in a colour of its own as
    long as there are not many; 0 is black.
    """
    turns = 0.1 + 0.618034 * np.arange(int(labels.max()) + 1)  # of hue, by the golden ratio
    colours = [
        [round(255 * c) for c in colorsys.hsv_to_rgb(turn % 1, 0.65, 0.95)] for turn in turns
    ]
    colours[0] = [0, 0, 0]
    return np.array(colours, np.uint8)[labels]
