"""The files of a capture, found by how its description names them.

Descriptions travel further than the folders that they were made in: from Windows, whose names know
no case and whose paths have backslashes; from macOS, which writes an accented letter as two signs;
from the web, where a blank is %20; from another person's disk, whose absolute paths do not exist
here. A name is taken literally first.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from backend.captures.error import CaptureError

FILE_NAME = "transforms.json"
TRAIN_FILE_NAME = "transforms_train.json"
SPLIT_FILE_NAMES = (TRAIN_FILE_NAME, "transforms_val.json", "transforms_test.json")
"""Of captures that are split, as NeRF's synthetic scenes and BlenderNeRF's are."""
SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
    ".tif",
    ".tiff",
    ".bmp",
    ".avif",
    ".jfif",
    ".heic",
    ".heif",
    ".hif",  # cameras' own HEIF
)
"""Tried in this order, small and capital, where a name has no suffix."""
UNSUPPORTED = (".jxl",)
"""Photos all the same, which are named where they are left out."""
FILM_SUFFIXES = (
    ".mp4",
    ".mov",
    ".m4v",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".mts",
    ".m2ts",
    ".3gp",
)
DEPTH_SUFFIXES = (".npy", ".png", ".tif", ".tiff")
USUAL_FOLDER, USUAL_DEPTH_FOLDER, USUAL_THINGS_FOLDER = "images", "depth", "things"
USUAL_MASK_FOLDER = "masks"
"""Where files lie whose own folder has another name here."""
MASK_FOLDERS = (USUAL_MASK_FOLDER, "mask")
PHOTO_FOLDERS = ("rgb", "input", "photos", "frames", "color")
"""Where photos lie in a capture's folder, if not in `images` or a smaller copy of it, such as
images_4."""
DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def folder_of(place: Path) -> Path:
    """The folder of a capture that is given by its folder, or by a file that describes it."""
    if place.is_file() or (place.suffix.lower() == ".json" and not place.is_dir()):
        return place.parent
    return place


def other_descriptions(path: Path) -> list[str]:
    """The names of what seem to be descriptions beside one, such as transforms_test.json."""
    if not path.parent.is_dir():
        return []
    return sorted(other.name for other in path.parent.glob("transforms*.json") if other != path)


def photos_in(folder: Path) -> list[str]:
    """The names of a folder's images, in order; not the hidden files that systems put beside them,
    such as macOS's `._photo.jpg`.
    """
    return sorted(
        file.name
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES + UNSUPPORTED
        and not file.name.startswith(".")
        and file.is_file()
    )


def photo_folders(folder: Path) -> Iterator[Path]:
    """Where photos of a capture lie, there or in folders there: the larger ones first."""
    smaller = [one.name for one in folder.glob(f"{USUAL_FOLDER}_*") if one.is_dir()]
    smaller.sort(key=lambda name: (not (end := name.split("_")[-1]).isdecimal(), end.zfill(9)))
    for name in (USUAL_FOLDER, *smaller, *PHOTO_FOLDERS, "."):
        inner = folder / name
        if inner.is_dir() and (
            photos_in(inner) or any(photos_in(one) for one in inner.iterdir() if one.is_dir())
        ):
            yield inner


def photo_folder(folder: Path) -> Path | None:
    """Where the largest photos of a capture lie; None where none do."""
    return next(photo_folders(folder), None)


def tails(names: Sequence[str]) -> dict[str, list[str]]:
    """By each of some pictures' names: what a file beside them may be called that belongs to it
    alone. That is the name and, the longest first, its ends that are no other picture's; all
    without their suffix.

    Args:
        names: with forward slashes; no two are the same.
    """
    ends = {
        name: ["/".join(parts[start:]) for start in range(len(parts))]
        for name in names
        for path in [PurePosixPath(name)]
        for parts in [(path.with_suffix("") if path.name else path).parts]  # "/" has no name
    }
    count = Counter(key(end) for all_ends in ends.values() for end in all_ends)
    return {
        name: [end for at, end in enumerate(all_ends) if at == 0 or count[key(end)] == 1]
        for name, all_ends in ends.items()
    }


class MaskFolder:
    """The images in a capture's folder `masks` or `mask`, each called as its view is."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Args:
        folder: the capture's.
        names: of all its views, relative to it.
        """
        self.files: dict[str, Path] = {}
        for place in sorted(folder.iterdir()):
            if key(place.name) not in MASK_FOLDERS or not place.is_dir():
                continue
            for file in sorted(place.rglob("*")):
                if file.is_file() and not file.name.startswith("."):
                    self.files.setdefault(key(file.relative_to(place).as_posix()), file)
        self._tails = tails(names)

    def of(self, name: str, image: Path) -> Path | None:
        """The mask of a view; None where it has none.

        Args:
            name: of the view.
            image: its picture, whose name a mask may have whole, as COLMAP's do (`a.jpg.png`).
        """
        for tail in self._tails[name]:
            whole = f"{tail}{image.suffix}.png"
            for written in (whole, *(f"{tail}{suffix}" for suffix in SUFFIXES)):
                found = self.files.get(key(written))
                if found is not None and found != image:
                    return found
        return None


class NamedFiles:
    """Finds what a description names. Folders are listed once."""

    def __init__(self, folder: Path) -> None:
        """Args:
        folder: the description's, which its names are relative to.
        """
        self._folder = folder
        self._listed = cache(_listed)
        self.elsewhere: str | None = None
        """A path of another disk whose file was found in this folder by its end."""

    def find(
        self, written: str, suffixes: Sequence[str] = SUFFIXES, usual: str = USUAL_FOLDER
    ) -> Path | None:
        """The file of a name as it stands in the description; None where there is none.

        Args:
            written: a path relative to the folder, or an absolute one, of this or another system.
            suffixes: tried, as they are and in capitals, where the name lacks one.
            usual: the folder to look in where the name is of another disk.

        Raises:
            CaptureError: it is no name that a file can have.
        """
        if "\0" in written or not written.strip():
            raise CaptureError(f"{self._folder} cannot have a file of the name {written!r}.")
        try:
            for name in _spellings(written):
                for place in (self._folder / name, self._folder / _portable(name)):
                    if found := self._at(Path(os.path.normpath(place)), suffixes):
                        return found
            for name in _spellings(written):
                for place in self._ends(_portable(name), usual):
                    if found := self._at(Path(os.path.normpath(place)), suffixes):
                        self.elsewhere = self.elsewhere or written
                        return found
        except (OSError, ValueError) as error:
            raise CaptureError(f"{written} cannot be read: {error}.") from error
        return None

    def _ends(self, path: PurePosixPath | PureWindowsPath, usual: str) -> Iterator[Path]:
        """Where in this folder a file could lie that is named by a path of another disk: the
        path's end, from the longest on.
        """
        parts, shortest = path.parts, 1
        if not parts:
            return
        if path.anchor:  # a root, a drive or both
            parts = parts[1:]
        else:
            # From another folder of the other disk. The bare name would be too little: what is
            # missing in one folder is not what has its name in another.
            shortest = 2
            outside = [index for index, part in enumerate(parts) if part == ".."]
            if outside:
                parts = parts[outside[-1] + 1 :]
            elif self._folder_at(self._folder / parts[0]):
                return
        for start in range(len(parts) + 1 - shortest):
            yield self._folder.joinpath(*parts[start:])
        if path.anchor and parts and not (parts[1:] and self._folder_at(self._folder / parts[-2])):
            yield self._folder / usual / parts[-1]

    def _at(self, place: Path, suffixes: Sequence[str]) -> Path | None:
        """The file at a place, whatever its case and Unicode form, with one of the suffixes."""
        if place.is_file():
            return place
        folder = self._folder_at(place.parent)
        if folder is None:
            return None
        for name in _names(place.name, suffixes):
            if (folder / name).is_file():
                return folder / name
        for name in _names(place.name, suffixes):
            same = self._listed(folder).get(key(name), [])
            same = [other for other in same if (folder / other).is_file()]
            if len(same) == 1:  # of several nobody can say which is meant
                return folder / same[0]
        return None

    def _folder_at(self, place: Path) -> Path | None:
        """The same for a folder, each of its parts."""
        if place.is_dir():
            return place
        if place == place.parent or (parent := self._folder_at(place.parent)) is None:
            return None
        same = self._listed(parent).get(key(place.name), [])
        same = [name for name in same if (parent / name).is_dir()]
        return parent / same[0] if len(same) == 1 else None


def _spellings(written: str) -> Iterator[str]:
    """A name as it stands there, without blanks around it, and as a web address means it."""
    plain = written.strip()
    meant = unquote(plain)
    yield from dict.fromkeys([written, plain, *([meant] if "\0" not in meant else [])])


def _names(name: str, suffixes: Sequence[str]) -> Iterator[str]:
    yield name
    for suffix in suffixes:
        yield name + suffix
        yield name + suffix.upper()


def _listed(folder: Path) -> dict[str, list[str]]:
    """What a folder holds, by `key`: each name is looked up many times."""
    found: dict[str, list[str]] = {}
    for name in sorted(file.name for file in folder.iterdir()):
        found.setdefault(key(name), []).append(name)
    return found


def key(name: str) -> str:
    """The same for names that differ by case or Unicode form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _portable(written: str) -> PurePosixPath | PureWindowsPath:
    """A path as it stands in the description; some programs write backslashes or a drive."""
    windows = "\\" in written or DRIVE.match(written) is not None
    return PureWindowsPath(written) if windows else PurePosixPath(written)
