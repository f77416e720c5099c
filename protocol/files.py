"""Files and folders that are there whole or not at all, whenever the process ends or the power
fails; and none is more open to other people than the folder that it lies in.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

UNFINISHED = ".unfinished"
"""Ends the name of a file that is being written, or was when its process was killed."""


@contextlib.contextmanager
def replacing(path: Path, private: bool = False) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` in one step at the block's end, after it has
    reached the disk; after an error the older file is as it was.

    Args:
        path: in a folder that exists.
        private: readable by its owner only, whatever its folder is.

    Raises:
        OSError: it cannot be written.
    """
    folder = path.parent
    mode = 0o600 if private else folder.stat().st_mode & 0o666
    # a name of its own, as two processes may write the same file
    unfinished = folder / f"{path.name[:40]}.{secrets.token_hex(4)}{UNFINISHED}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(unfinished, flags, mode), "wb") as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.close()  # Windows renames no open file
            unfinished.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):  # of what did not fit on the disk, once more
                file.close()
            unfinished.unlink(missing_ok=True)
            raise
    _sync_folder(folder)


def write_bytes(path: Path, content: bytes, private: bool = False) -> Path:
    """Write a file in one step; see `replacing`. Returns `path`."""
    with replacing(path, private) as file:
        file.write(content)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file (UTF-8) in one step; see `replacing`. Returns `path`."""
    return write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> Path:
    """Write a JSON file in one step; see `replacing`. Returns `path`."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    # Only halves of pairs, as in file names that are not UTF-8: as JSON escapes them.
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))


def make_folder(folder: Path) -> Path:
    """Make a folder, and those above it, where they are missing; a new one lets in whom the folder
    above it lets in, at most. Returns `folder`.

    Raises:
        OSError: it cannot be made, or there is a file in its place.
    """
    if not folder.is_dir():
        above = make_folder(folder.parent) if folder.parent != folder else folder
        folder.mkdir(above.stat().st_mode & 0o777, exist_ok=True)
        _sync_folder(above)
    return folder


def move_folder(folder: Path, target: Path) -> Path:
    """Rename a folder within the one that it lies in, once all of it has reached the disk. There
    must be nothing, or an empty folder, at `target`. Returns `target`.

    Raises:
        OSError: it cannot be moved.
    """
    for place, _, names in os.walk(folder):
        for name in names:
            # Windows flushes no file that is open for reading
            with (Path(place) / name).open("rb+" if sys.platform == "win32" else "rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(place))
    if sys.platform == "win32" and target.is_dir():
        target.rmdir()  # only an empty one; Windows replaces no folder
    folder.replace(target)
    _sync_folder(target.parent)
    return target


def delete_folder(folder: Path, doomed: str) -> None:
    """Delete a folder and all in it.

    Args:
        folder: that exists.
        doomed: the name that it has meanwhile, which nothing takes for what the folder was: so a
            deletion that is interrupted leaves no half of it. The next one finishes it.

    Raises:
        OSError: it cannot be deleted.
    """
    place = folder.with_name(doomed)
    if place.exists():
        shutil.rmtree(place)
    folder.replace(place)
    _sync_folder(place.parent)
    shutil.rmtree(place)


def _sync_folder(folder: Path) -> None:
    """Waits until the names in a folder have reached the disk."""
    if sys.platform == "win32":  # which opens no folders, and writes names by itself
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network file systems cannot do it for a folder
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
