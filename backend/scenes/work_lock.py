"""One process at a time works on a capture: two trainings would delete each other's checkpoints."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = ".wys.lock"
"""In the capture's folder, beside the work folder, which may be deleted under the lock."""


class InUse(RuntimeError):
    """Another process works on the capture; the text is one sentence."""


@contextmanager
def alone(capture: Path) -> Iterator[None]:
    """Keeps other processes that ask the same out of a capture. The operating system takes the
    lock away when the process ends, however it ends.

    Args:
        capture: its folder.

    Raises:
        InUse: another process holds the lock.
        OSError: the folder cannot be written.
    """
    descriptor = os.open(capture / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            raise InUse(
                "Another backend on this machine works on this capture: wait until it is done, or "
                "stop it."
            ) from None
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Locks an open file without waiting.

    Raises:
        BlockingIOError, PermissionError: somebody else holds it (on Windows the latter).
    """
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
