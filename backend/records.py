"""JSON files that the program wrote, as it finds them again: whole, or damaged in whatever way."""

import stat
from pathlib import Path
from typing import TypeVar

import msgspec

from backend.errors import BadInput

LARGEST = 64 * 1024**2
"""Bytes; none of the program's own comes near it."""

Record = TypeVar("Record")


class DamagedRecord(BadInput):
    """A file that the program wrote cannot be understood any more; the text names it."""


def read_record(path: Path, kind: type[Record]) -> Record:
    """What a file holds.

    Args:
        path: of the file.
        kind: a msgspec struct, a dataclass or a type of dictionary that its content must be.

    Raises:
        FileNotFoundError: there is none.
        DamagedRecord: it is empty, cut off, of other fields or types, or no file at all.
        OSError: the disk cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
        raise DamagedRecord(f"{path} is damaged")
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedRecord(f"{path} is damaged") from error
