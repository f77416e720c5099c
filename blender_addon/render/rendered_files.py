"""The files that stand-ins write their renders to, to be read at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from ..data.helper_files import check_room, helper_folder, read_whole
from ..data.scene_error import SceneError
from .stand_in import render_result

STOPPED = "The render was stopped before it was complete: start it again."
SEEN_FILE = {"file_format": "TARGA_RAW"}
LIGHT_FILE = {"file_format": "OPEN_EXR", "color_depth": "32", "exr_codec": "NONE"}
"""How pictures are written as they are seen, and as scene linear light: so that a thread can read
them, where Blender decodes a PNG file on its main thread only.
"""


class Stopped(SceneError):
    """A render was stopped before it was complete."""


def _set_file(file: bpy.types.ImageFormatSettings, media_type: str, **values: Any) -> None:
    if "media_type" in file.bl_rna.properties:  # Blender 5
        file.media_type = media_type
    for name, value in values.items():  # in this order: a format may change depth and alpha
        setattr(file, name, value)


@contextmanager
def file_for(
    copy: bpy.types.Scene,
    width: int,
    height: int,
    alpha: bool,
    kind: dict[str, Any] = SEEN_FILE,
) -> Iterator[Path]:
    """Where a stand-in writes its render within the block, as a file of that kind and size."""
    render = copy.render
    color_mode = "RGBA" if alpha else "RGB"
    _set_file(
        render.image_settings,
        "IMAGE",
        **kind,
        color_mode=color_mode,
        color_management="FOLLOW_SCENE",
    )
    render.resolution_x, render.resolution_y = width, height
    render.resolution_percentage = 100
    render.use_file_extension = False
    render.use_overwrite, render.use_placeholder = True, False
    render.use_border = render.use_multiview = render.use_sequencer = False
    with helper_folder() as folder:
        path = folder / "render"
        render.filepath = str(path)
        yield path


def render_still(copy: bpy.types.Scene) -> None:
    """Render a stand-in and write it.

    Raises:
        SceneError: Blender cannot.
    """
    try:
        bpy.ops.render.render(write_still=True, scene=copy.name)
    except RuntimeError as error:
        check_room(Path(copy.render.filepath).parent, _size(copy))
        raise SceneError(cannot_render(error)) from error


def _size(copy: bpy.types.Scene) -> int:
    """Bytes of a stand-in's render as light, about."""
    return copy.render.resolution_x * copy.render.resolution_y * 16


def check_written(copy: bpy.types.Scene) -> None:
    """Raise SceneError where a stand-in's render is complete, but its file did not fit."""
    path = Path(copy.render.filepath)
    if not path.exists():
        check_room(path.parent, _size(copy))


def cannot_render(error: RuntimeError) -> str:
    """The sentence for what Blender has raised."""
    reason = str(error).strip().removeprefix("Error: ")
    return f"Blender could not render the camera: {reason}"


def read_still(path: Path) -> bytes:
    """What a stand-in has written there. Raises Stopped where it has not."""
    if not path.exists():
        raise Stopped(STOPPED)
    return read_whole(path)


def write_passes(copy: bpy.types.Scene, folder: Path) -> Path:
    """Write the OpenEXR file of a stand-in's last render, which any thread may read.

    Args:
        copy: the stand-in.
        folder: of `helper_folder`.

    Raises:
        SceneError: it cannot be written.
    """
    file = copy.render.image_settings
    _set_file(
        file,
        "MULTI_LAYER_IMAGE",
        file_format="OPEN_EXR_MULTILAYER",
        color_mode="RGBA",
        color_depth="32",
        exr_codec="NONE",
    )
    if "use_exr_interleave" in file.bl_rna.properties:  # Blender 5 else writes a part for each pass
        file.use_exr_interleave = True
    path = folder / "render.exr"
    try:
        render_result().save_render(str(path), scene=copy)
    except RuntimeError as error:
        check_room(folder, _size(copy))
        reason = str(error).strip().removeprefix("Error: ")
        raise SceneError(f"Blender could not write the render's depth: {reason}") from error
    return path
