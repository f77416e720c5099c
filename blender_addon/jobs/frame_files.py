"""Where the pictures of frames are written: beside the artist's own renders, over none of them."""

import os
from pathlib import Path

import bpy

from ..data.changing import changed
from ..data.scene_error import SceneError
from ..protocol.files import write_bytes
from .job import SessionError

MARK = "watch-your-steps"
"""Stands for a file's name where Blender is asked for a whole path."""


def frames_of(scene: bpy.types.Scene) -> tuple[int, ...]:
    """The frames of the scene's range.

    Raises:
        SessionError: there are none.
    """
    frames = tuple(range(scene.frame_start, scene.frame_end + 1, scene.frame_step))
    if not frames:
        raise SessionError("The scene has no frames: set its range (Output Properties).")
    return frames


def check_camera(scene: bpy.types.Scene) -> None:
    """Raise SceneError where there is no camera to look through."""
    if scene.camera is None:
        raise SceneError("The scene has no active camera: add one (Add > Camera).")


def prefix_of(scene: bpy.types.Scene, name: str) -> str:
    """The path of files up to the frame's number: the scene's output with `name` in it, in a folder
    that is there and can be written to.

    Raises:
        SessionError: there is no such folder, or the output path cannot be understood.
    """
    output = scene.render.filepath
    if output.startswith("//") and not bpy.data.filepath:
        raise SessionError("The output path begins at the .blend file: save the file first.")
    output = _with_values(scene, output.replace("#", ""))  # the number stands at the end
    path = Path(bpy.path.abspath(output)).resolve()
    whole = not output or output.endswith(("/", "\\"))
    folder, stem = (path, "") if whole else (path.parent, f"{path.name}_")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        prefix = str(folder / f"{stem}{name}_")
        file_of(prefix, scene.frame_end).exists()  # raises where the name is too long
    except OSError as error:
        raise SessionError(_not_written(folder, error)) from error
    if not os.access(folder, os.W_OK):
        raise SessionError(_not_written(folder, PermissionError(0, "permission denied")))
    return prefix


def _with_values(scene: bpy.types.Scene, output: str) -> str:
    """An output path with the values of Blender's variables, such as {blend_name}."""
    if "{" not in output and "}" not in output:
        return output
    try:
        with changed(scene.render, filepath=output + MARK):
            path: str = scene.render.frame_path(frame=scene.frame_start)
    except RuntimeError as error:
        raise SessionError(
            "The output path has a variable in braces that Blender does not know: correct it "
            "(Output Properties)."
        ) from error
    return path[: path.rindex(MARK)]


def file_of(prefix: str, frame: int) -> Path:
    """Where a frame is written."""
    return Path(f"{prefix}{frame:04d}.png")


def write(path: Path, png: bytes) -> None:
    """Write a frame's picture. Raises SessionError where that does not work."""
    try:
        write_bytes(path, png)
    except OSError as error:
        raise SessionError(_not_written(path.parent, error)) from error


def _not_written(folder: Path, error: OSError) -> str:
    return (
        f"The frames cannot be written to {folder} ({error.strerror}): choose another output path "
        "(Output Properties)."
    )
