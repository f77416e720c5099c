"""A texture's pixels as the backend paints on them.

Blender drops what it has decoded of an image with each render, and takes its time to decode it
again; so what was read is known here for as long as the image's file stays the same.
"""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from .. import tiles
from ..reachable import is_file
from ..scene_error import SceneError

MOVING = {
    "SEQUENCE": "an image sequence",
    "MOVIE": "a movie",
    "VIEWER": "a render result",
}
"""Sources of images that are not one picture, in words."""
KEPT = 4

_read: list[tuple[tuple[object, ...], NDArray[np.uint8]]] = []
"""The pixels that were read last, and the files that they are of."""


def forget_all() -> None:
    """Another file was opened."""
    _read.clear()


def read_texture(image: bpy.types.Image) -> NDArray[np.uint8]:
    """An image's pixels: uint8 (T, S, 4), row 0 at the top, the very bytes of an 8-bit image.

    Raises:
        SceneError: it has more than 8 bits a channel, is not sRGB, or its file is missing.
    """
    if (known := _known(_file_of(image))) is not None:
        return known
    if image.source in MOVING:
        raise SceneError(
            f'The texture "{image.name}" is {MOVING[image.source]}, which cannot be painted: press '
            "Make Texture, which bakes it into one image."
        )
    if not tiles.is_tiled(image):
        _check_size(image)
    pixels = tiles.read(image) if tiles.is_tiled(image) else None
    if image.is_float or (pixels is not None and pixels.dtype != np.uint8):
        raise SceneError(
            f'The texture "{image.name}" has more than 8 bits a channel: save a copy as an 8-bit '
            "PNG and use that, or press Make Texture."
        )
    space = image.colorspace_settings
    known = type(space).bl_rna.properties["name"].enum_items
    if "sRGB" in known and space.name != "sRGB":  # other configurations have other names for it
        raise SceneError(
            f'The texture "{image.name}" is read as "{space.name}", and only sRGB can be painted: '
            "set its color space to sRGB, or press Make Texture."
        )
    return _remembered(image) if pixels is None else pixels.astype(np.uint8, copy=False)


def load(image: bpy.types.Image) -> bool:
    """Let Blender decode a texture's file, where what was read of it before is not known any more:
    it takes most of the time of reading it; whether that had to be done.
    """
    if image.has_data or tiles.is_tiled(image) or _known(_file_of(image)) is not None:
        return False
    return len(image.pixels) > 0 and image.has_data


def _remembered(image: bpy.types.Image) -> NDArray[np.uint8]:
    pixels, file = pixels_of(image), _file_of(image)
    if file is not None:
        pixels.setflags(write=False)
        _read.append((file, pixels))
        del _read[:-KEPT]
    return pixels


def _known(file: tuple[object, ...] | None) -> NDArray[np.uint8] | None:
    return next((pixels for known, pixels in _read if known == file), None)


def _file_of(image: bpy.types.Image) -> tuple[object, ...] | None:
    """What tells whether an image has other pixels than before; None where they are in no file."""
    if image.is_dirty or image.source != "FILE":
        return None
    how = (image.session_uid, image.alpha_mode, image.colorspace_settings.name)
    if image.packed_file is not None:
        return (*how, image.packed_file.data)
    path = Path(bpy.path.abspath(image.filepath_raw, library=image.library))
    if not is_file(path):
        return None
    stat = path.stat()
    return (*how, path, stat.st_mtime_ns, stat.st_size)


def _check_size(image: bpy.types.Image) -> None:
    width, height = image.size
    if width == 0 or height == 0:
        raise SceneError(f'The texture "{image.name}" has no pixels: its file is missing.')
    if max(width, height) > tiles.MAX_SIDE:
        raise SceneError(
            f'The texture "{image.name}" is {width}x{height}, and at most {tiles.MAX_SIDE} pixels '
            "a side can be painted: scale a copy down and use that, or press Make Texture."
        )


def pixels_of(image: bpy.types.Image) -> NDArray[np.uint8]:
    """The very bytes of an 8-bit image with pixels, in whatever colour space: uint8 (T, S, 4), row
    0 at the top; of UDIM tiles their atlas.
    """
    if tiles.is_tiled(image):
        return tiles.read(image).astype(np.uint8, copy=False)
    width, height = image.size
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    values *= 255  # in place, which takes a third of the time
    values += 0.5
    pixels = values.astype(np.uint8).reshape(height, width, -1)[::-1]
    if pixels.shape[2] < 3:  # gray, with or without alpha
        pixels = np.concatenate([pixels[..., :1].repeat(3, axis=2), pixels[..., 1:]], axis=2)
    if pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2)
    return np.ascontiguousarray(pixels)
