"""Files that Blender writes for the add-on to read at once, in Blender's folder for temporary ones.

Its disk may be full, and a write that fails leaves a part of a file, with or without an error: all
of it is said in one sentence.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import bpy

from .scene_error import SceneError

Found = TypeVar("Found")
ONLY_A_PART = "only a part of it was"
LEAST = 1 << 16
"""Bytes that are left on a disk at least, if all that was written has found room."""


@contextmanager
def helper_folder() -> Iterator[Path]:
    """A new folder for the time of the block, in which files are written and read.

    Raises:
        SceneError: it, or a file in it, cannot be written.
    """
    try:
        above = Path(bpy.app.tempdir)
        above.mkdir(parents=True, exist_ok=True)  # systems tidy up while Blender is open for weeks
        with tempfile.TemporaryDirectory(
            prefix="watch-your-steps-", dir=above, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)
    except OSError as error:
        raise not_written(error.strerror or str(error)) from error


def not_written(why: str) -> SceneError:
    """What to say where such a file cannot be written."""
    return SceneError(
        f"A temporary file could not be written to {bpy.app.tempdir} ({why}): free some space "
        "there, or choose another folder (Preferences > File Paths > Temporary Files)."
    )


def read_whole(path: Path) -> bytes:
    """A file that Blender has just written. Where the disk was full meanwhile, it is as long as it
    should be, but has holes, which nothing tells but that the disk is full.

    Raises:
        SceneError: there was no room for all of it.
    """
    file = path.read_bytes()
    if shutil.disk_usage(path.parent).free < LEAST:
        raise not_written(os.strerror(errno.ENOSPC))
    return file


def check_room(folder: Path, size: int) -> None:
    """Say so where a file that Blender has not written was too large for the disk.

    Args:
        folder: of `helper_folder`.
        size: bytes that were to be written, about.

    Raises:
        SceneError: it cannot be written.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(size))
    except OSError as error:
        raise not_written(error.strerror or str(error)) from error


def whole(decode: Callable[[bytes], Found], file: bytes) -> Found:
    """What `decode` makes of a file that Blender has written. Any thread may call this.

    Raises:
        SceneError: not all of it was written.
    """
    try:
        return decode(file)
    except ValueError as error:
        raise not_written(ONLY_A_PART) from error
