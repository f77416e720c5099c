"""From what lies in a folder to what reads it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backend.captures.error import CaptureError
from backend.captures.files import FILE_NAME, NamedFiles
from backend.captures.formats import (
    colmap,
    llff,
    metashape,
    polycam,
    record3d,
    transforms_json,
)
from backend.captures.formats.described import Described
from backend.captures.formats.refused import refusal


@dataclass(frozen=True)
class Format:
    """A form of description.

    Attributes:
        name: what people call it.
        find: the description in a folder, or what is given if it is one itself; else None.
        read: what is given, and what `find` found, to what it describes; may raise CaptureError.
    """

    name: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path, Path], Described]


FORMATS = (
    Format("transforms.json", transforms_json.find, transforms_json.read),
    Format("NeRF's split files", transforms_json.find_split, transforms_json.read_split),
    Format("COLMAP", colmap.find, colmap.read),
    Format("LLFF", llff.find, llff.read),
    Format("Polycam", polycam.find, polycam.read),
    Format("Record3D", record3d.find, record3d.read),
    Format("Metashape", metashape.find, metashape.read),
)
"""The first that is found is read. The first of all is what people make of the others: where it is,
nothing is said of those."""


def found_in(place: Path) -> list[tuple[Format, Path]]:
    """The descriptions in a folder, and their formats, the one that is read first."""
    found = ((one, one.find(place)) for one in FORMATS)
    return [(one, file) for one, file in found if file is not None]


def describe(place: Path) -> Described:
    """Read the description of a capture.

    Args:
        place: its folder, or the file itself.

    Raises:
        CaptureError: there is none, or it cannot be used; one sentence that names the file.
    """
    found = found_in(place)
    if not found:
        if refused := refusal(place):
            raise CaptureError(refused)
        transforms_json.read_json(place / FILE_NAME)  # it says what there is in its place
        raise CaptureError(f"{place} is no capture.")
    notes = []
    while True:
        (chosen, file), *others = found
        described = chosen.read(place, file)
        if not others or _has_pictures(described):
            break
        notes.append(
            f"None of the pictures that {described.label} names is there: the cameras are read "
            f"from {others[0][1].name} ({others[0][0].name}) instead."
        )
        found = others
    described.notes.extend(notes)
    for other, unread in others if chosen is not FORMATS[0] else ():
        described.notes.append(
            f"The cameras are read from {file.name}, not from {unread.name} ({other.name}): name "
            f"{unread} in place of the folder to take those."
        )
    return described


def _has_pictures(described: Described) -> bool:
    files = NamedFiles(described.folder)

    def there(name: str) -> bool:
        with suppress(CaptureError):  # no name of a file
            return files.find(name) is not None
        return False

    return any(there(frame.image) for frame in described.frames)
