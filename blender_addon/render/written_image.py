"""An image's pixels as Blender writes them to a file: as they look, or as light."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.helper_files import check_room, helper_folder, read_whole, whole
from ..data.scene_error import SceneError
from ..link.decode import decode_exr, decode_targa
from .file_look import kept_look

KINDS = {"ENUM", "INT", "BOOLEAN", "FLOAT"}
FIRST = ("media_type", "file_format", "color_mode", "color_depth")
"""Of how a file is written, in this order: each changes what those after it may be."""
SEEN = {"file_format": "TARGA_RAW"}
LIGHT = {"file_format": "OPEN_EXR", "color_depth": "32", "exr_codec": "NONE"}
"""Kinds of files."""


class Unreadable(SceneError):
    """An image has no pixels that can be read."""


def written(image: bpy.types.Image, scene: bpy.types.Scene) -> NDArray[np.uint8]:
    """What a scene's view transform makes of an image, uint8 (H, W, 4), row 0 at the top, sRGB with
    straight alpha. Bytes that are as they look already stay as they are.

    Of the Render Result it is the slot that is shown, of the scene that has rendered it. How the
    scene writes its files is another way for that moment only.

    Raises:
        Unreadable: the image has no pixels.
        SceneError: it cannot be written to the disk for a moment.
    """
    with _written(image, scene, SEEN) as path:
        return whole(decode_targa, read_whole(path))


def written_light(
    image: bpy.types.Image, scene: bpy.types.Scene, alpha: bool
) -> NDArray[np.float32]:
    """The scene linear light that an image holds, float32 (H, W, 3), or (H, W, 4) with colours
    times alpha; the rest is as for `written`.
    """
    with _written(image, scene, LIGHT) as path:
        return light_in(read_whole(path), alpha)


def light_in(exr: bytes, alpha: bool) -> NDArray[np.float32]:
    """The same of an uncompressed OpenEXR file that Blender has written."""
    channels = whole(decode_exr, exr)
    found = [channels[name] for name in ("RGBA" if alpha else "RGB")]
    return np.stack(found, axis=2).astype(np.float32)


@contextmanager
def _written(
    image: bpy.types.Image, scene: bpy.types.Scene, kind: dict[str, str]
) -> Iterator[Path]:
    with helper_folder() as folder, _raw_files(scene.render, kind):
        try:
            image.save_render(str(folder / "picture"), scene=scene)
        except RuntimeError as error:
            check_room(folder, image.size[0] * image.size[1] * 16)
            if not any(folder.iterdir()):  # Blender also says so of a stereo render that it wrote
                reason = str(error).strip().removeprefix("Error: ")
                text = f'The image "{image.name}" cannot be read: {reason}.'
                raise Unreadable(text) from error
        files = sorted(folder.iterdir())  # of a stereo render the left eye's is first
        if not files:
            raise Unreadable(f'The image "{image.name}" cannot be read: Blender wrote nothing.')
        yield files[0]


@contextmanager
def _raw_files(render: bpy.types.RenderSettings, kind: dict[str, str]) -> Iterator[None]:
    """Let a scene write what needs no decoding."""
    file, stamp = render.image_settings, render.use_stamp
    before = {
        name: getattr(file, name)
        for name, described in file.bl_rna.properties.items()
        if described.type in KINDS and not described.is_readonly
    }
    wanted = {
        "media_type": "IMAGE",
        "color_mode": "RGBA",
        **kind,
        "color_management": "FOLLOW_SCENE",
        "views_format": "INDIVIDUAL",
    }
    with kept_look(file):
        try:
            _set(file, wanted)
            render.use_stamp = False
            yield
        finally:
            _set(file, before)
            render.use_stamp = stamp


def _set(file: bpy.types.ImageFormatSettings, values: dict[str, Any]) -> None:
    for name in (*FIRST, *(name for name in values if name not in FIRST)):
        if name in values and name in file.bl_rna.properties:  # Blender 5 has media types
            setattr(file, name, values[name])
