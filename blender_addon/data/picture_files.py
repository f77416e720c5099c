"""Pictures as files for other programs."""

import os
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

from ..protocol.files import write_bytes
from . import pictures
from .helper_files import check_room, helper_folder, read_whole
from .render_size import srgb_bytes
from .resizing import LIGHT as LIGHT_OF
from .scene_error import SceneError

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".exr": "OPEN_EXR",
}
"""What a file's name ends with, and what Blender calls its format."""
LIGHT = ".exr"
"""What ends the name of the only one of them that holds no picture as it is seen."""
KINDS = ".png, .jpg, .tif or .exr"
JPEG_QUALITY = 95


def path_of(text: str) -> Path:
    """The path of a file that an artist has chosen; one without an ending becomes a PNG.

    Raises:
        SceneError: there is no name, it ends with something else than one of FORMATS, or nothing
            can be written there.
    """
    if text.startswith("//") and not bpy.data.filepath:
        raise SceneError("The path begins at the .blend file: save the file first.")
    path = Path(bpy.path.abspath(text)).expanduser()
    try:
        is_named = bool(text) and not text.endswith(("/", "\\")) and not path.is_dir()
    except OSError as error:  # such as a name that is too long
        raise _not_written(path, error.strerror or str(error)) from error
    if not is_named:
        raise SceneError(f"The file has no name: give it one that ends with {KINDS}.")
    if not path.suffix:
        path = path.with_suffix(".png")
    if path.suffix.lower() not in FORMATS:
        raise SceneError(f'"{path.suffix}" is no kind of file that can be written: use {KINDS}.')
    if not os.access(path.parent, os.W_OK):  # known before a long render
        raise _not_written(path, "there is no such folder, or it is not yours")
    return path


def save(image: bpy.types.Image, path: Path) -> None:
    """Write a packed PNG's picture as the file that its name says, which is none of light.

    PNG and TIFF hold its very bytes, with alpha; JPEG the picture over black where it is
    transparent.

    Raises:
        SceneError: the file cannot be written.
    """
    format_ = FORMATS[path.suffix.lower()]
    png: bytes = image.packed_file.data
    if format_ == "PNG":
        file = png
    elif format_ == "JPEG":
        file = _written(_over_black(pictures.decode_png(png)), format_)
    else:
        file = _written(pictures.decode_png(png), format_)
    save_file(file, path)


def save_file(file: bytes, path: Path) -> None:
    """Write the bytes of a file.

    Raises:
        SceneError: it cannot be written.
    """
    try:
        write_bytes(path, file)
    except OSError as error:
        raise _not_written(path, error.strerror or "no reason is known") from error


def _not_written(path: Path, why: str) -> SceneError:
    return SceneError(
        f"{path.name} cannot be written to {path.parent} ({why}): choose another place."
    )


def _over_black(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if picture.shape[2] == 3:
        return picture
    alpha = picture[..., 3:].astype(np.float32) / np.float32(255)
    return srgb_bytes(LIGHT_OF[picture[..., :3]] * alpha)


def _written(picture: NDArray[np.uint8], format_: str) -> bytes:
    """The file that Blender makes of sRGB's levels, (H, W, 3), or (H, W, 4) with alpha."""
    height, width, channels = picture.shape
    values = np.ones((height, width, 4), np.float32)
    values[..., :channels] = picture / np.float32(255)
    image = bpy.data.images.new("watch your steps", width, height, alpha=channels == 4)
    try:
        image.alpha_mode = "CHANNEL_PACKED"  # what is transparent keeps its colours
        image.pixels.foreach_set(values[::-1].ravel())
        image.file_format = format_
        with helper_folder() as folder:
            path = folder / "picture"
            check_room(folder, picture.nbytes)  # of a file that ends in the middle nothing tells
            image.save(filepath=str(path), quality=JPEG_QUALITY)
            return read_whole(path)
    finally:
        bpy.data.images.remove(image)
