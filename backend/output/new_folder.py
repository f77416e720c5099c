"""A folder of results that is there whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from backend.errors import BadInput
from backend.work_lock import lock
from protocol import files

LOCK = ".lock"


def check_new(out: Path) -> Path:
    """The folder's full path.

    Raises:
        BadInput: there is something at this place already.
    """
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} is not empty: name a new folder with --out.")
    return out


@contextlib.contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, which becomes it in one step at the block's end; nothing is left
    of it after an error.

    Raises:
        BadInput: another process makes it.
    """
    unfinished = out.with_name(f".{out.name}.unfinished")
    if unfinished.exists():
        os.close(_lock(unfinished, out))
        shutil.rmtree(unfinished)  # of a process that was killed
    files.make_folder(unfinished)
    with contextlib.ExitStack() as held:
        held.callback(os.close, _lock(unfinished, out))
        try:
            yield unfinished
            held.close()
            (unfinished / LOCK).unlink()
            files.move_folder(unfinished, out)
        except BaseException:
            held.close()  # Windows deletes no open file
            shutil.rmtree(unfinished, ignore_errors=True)
            raise


def _lock(unfinished: Path, out: Path) -> int:
    descriptor = lock(unfinished / LOCK)
    if descriptor is None:
        raise BadInput(
            f"Another command on this machine makes {out}: wait until it is done, or name another "
            "folder."
        )
    return descriptor
