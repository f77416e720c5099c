"""Whether results can be written, asked before the work that they are of."""

import tempfile
from pathlib import Path

from backend.errors import BadInput


def check_writable(folder: Path, instead: str) -> None:
    """Refuse a folder in which nothing can be made, or that cannot be made itself: what takes hours
    would find out at its end, and lose them.

    Args:
        folder: it need not be there.
        instead: what to do, as the end of a sentence.

    Raises:
        BadInput: it cannot be written, or there is a file in its place.
    """
    place = next(one for one in (folder, *folder.parents) if one.exists())
    if not place.is_dir():
        raise BadInput(f"{place} is a file, not a folder: {instead}.")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise BadInput(
            f"Nothing can be written into {folder} ({error.strerror or error}): {instead}."
        ) from error
