"""Locks between processes, which the operating system takes away when one ends, however it ends.

One process at a time works on a capture: two trainings would delete each other's checkpoints.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import lock_descriptor

LOCK_SUFFIX = ".lock"
LOCK_FILE = f".wys{LOCK_SUFFIX}"
"""In the capture's folder, beside the work folder, which may be deleted under the lock."""

_Holder = tuple[int, int]
_holders: dict[Path, _Holder] = {}
"""Process and thread of each lock that is held here. A process that was forked holds none."""


class InUse(RuntimeError):
    """Another process works on the capture; the text is one sentence."""


@contextmanager
def alone(capture: Path) -> Iterator[None]:
    """Keeps all others that ask the same out of a capture, this thread among them.

    Args:
        capture: its folder.

    Raises:
        InUse: somebody holds the lock.
        OSError: the folder cannot be written.
    """
    with _locked(
        capture.resolve() / LOCK_FILE,
        "Another backend on this machine works on this capture: wait until it is done, or stop it.",
    ):
        yield


@contextmanager
def alone_in(work: Path) -> Iterator[None]:
    """Keeps other processes and threads that ask the same out of a work folder; of a capture's own
    one, with the same lock as `alone`. A thread that holds the lock may ask again, as a command
    does that trains a scene.

    Args:
        work: the folder; it need not be there, but the one that it lies in is made.

    Raises:
        InUse: another process or thread holds the lock.
        OSError: the folder that it lies in cannot be made.
    """
    work = work.resolve()
    work.parent.mkdir(parents=True, exist_ok=True)
    path = work.parent / f"{work.name}{LOCK_SUFFIX}"
    # what cannot be written can be read by any number
    if _holders.get(path) == _here() or not os.access(work.parent, os.W_OK):
        yield
        return
    with _locked(
        path,
        f"Another command, program or backend on this machine works in {work}: wait until it is "
        "done, or stop it.",
    ):
        yield


def _here() -> _Holder:
    return os.getpid(), threading.get_ident()


@contextmanager
def _locked(path: Path, otherwise: str) -> Iterator[None]:
    """Holds a lock; where somebody else does, raises InUse with a sentence."""
    descriptor = lock(path)
    if descriptor is None:
        raise InUse(otherwise)
    _holders[path] = _here()
    try:
        yield
    finally:
        del _holders[path]
        os.close(descriptor)


def lock(path: Path) -> int | None:
    """Open a file, made where it is missing, and lock it without waiting.

    (filelock's own `FileLock` makes a folder that is missing, too: a capture that has been deleted
    would be there again.)

    Returns:
        The descriptor, which holds the lock until it is closed; None where somebody else holds it.

    Raises:
        OSError: the file cannot be written, or its file system has no locks.
    """
    # as open to others as the folder, who may work in it, too, one at a time
    mode = path.parent.stat().st_mode & 0o666
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    except PermissionError:
        if not path.exists():
            raise
        # another person's, which can be locked all the same
        descriptor = os.open(path, os.O_RDONLY)
    try:
        locked = lock_descriptor(descriptor, blocking=False)
    except OSError:
        os.close(descriptor)
        raise
    if locked:
        return descriptor
    os.close(descriptor)
    return None
