"""A folder of results that is there whole or not at all."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from backend.errors import BadInput
from protocol import files


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
    """
    unfinished = out.with_name(f".{out.name}.unfinished")
    if unfinished.exists():
        shutil.rmtree(unfinished)  # of a process that was killed
    files.make_folder(unfinished)
    try:
        yield unfinished
        files.move_folder(unfinished, out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
