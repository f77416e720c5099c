"""transforms.json in both dialects, nerfstudio's (docs.nerf.studio, "Data conventions") and
instant-ngp's (docs/nerf_dataset_tips.md), and the files transforms_train/val/test.json of NeRF's
synthetic scenes and BlenderNeRF. Lens values stand in the frame or, for all frames, at the top.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from backend.captures.depth_images import INTEGER_UNIT
from backend.captures.error import CaptureError
from backend.captures.files import (
    FILE_NAME,
    SPLIT_FILE_NAMES,
    TRAIN_FILE_NAME,
    NamedFiles,
    key,
    other_descriptions,
    tails,
)
from backend.captures.formats.camera_fields import CameraFields, camera_of
from backend.captures.formats.described import UNKNOWN, CameraOf, Described, Frame

NGP_SCALE, NGP_OFFSET = 0.33, 0.5
"""How instant-ngp puts a capture into its unit cube where the file does not say otherwise."""


class _Frame(CameraFields, kw_only=True):
    file_path: str
    transform_matrix: list[list[float | None]] | None = None
    depth_file_path: str | None = None
    depth_path: str | None = None
    things_file_path: str | None = None
    mask_path: str | None = None

    @property
    def depth(self) -> str | None:
        """The depth image, as nerfstudio or instant-ngp names it."""
        return self.depth_file_path or self.depth_path


class _Transforms(CameraFields, kw_only=True):
    frames: list[_Frame]
    aabb_scale: float | None = None
    scale: float | None = None
    offset: list[float] | None = None
    integer_depth_scale: float | None = None
    train_filenames: list[str] | None = None
    val_filenames: list[str] | None = None
    test_filenames: list[str] | None = None
    orientation_override: str | None = None


def find(place: Path) -> Path | None:
    """The transforms.json of a folder, or the .json file that is named itself."""
    if place.suffix.lower() == ".json" and not place.is_dir():
        return None if place.name == "metadata.json" else place
    return NamedFiles(place).find(FILE_NAME, ()) if place.is_dir() else None


def find_split(place: Path) -> Path | None:
    """The transforms_train.json of a folder."""
    return NamedFiles(place).find(TRAIN_FILE_NAME, ()) if place.is_dir() else None


def read(place: Path, file: Path) -> Described:
    """One file, with the lists of names for training and measuring that nerfstudio's may have.

    Raises:
        CaptureError: it cannot be used; one sentence that names the file.
    """
    transforms = _parse(file)
    frames = list(_frames(file, transforms))
    frames, notes = _split_by_lists(file, transforms, frames)
    others = [name for name in other_descriptions(file) if name.lower() in SPLIT_FILE_NAMES]
    if file.name.lower() in SPLIT_FILE_NAMES and others:
        notes.append(f"Only the views of {file.name} are used, not those of {', '.join(others)}.")
    return _described(file, transforms, frames, notes)


def read_split(place: Path, file: Path) -> Described:
    """transforms_train.json, and the views of the other files beside it held out.

    Raises:
        CaptureError: as `read`.
    """
    transforms = _parse(file)
    frames = list(_frames(file, transforms))
    seen = {_plain(frame.image) for frame in frames}
    notes = []
    for name in SPLIT_FILE_NAMES:
        other = NamedFiles(place).find(name, ())
        if other is None or other == file:
            continue
        further = list(_frames(other, _parse(other), held_out=True))
        new = [frame for frame in further if _plain(frame.image) not in seen]
        if len(new) < len(further):
            notes.append(
                f"{len(further) - len(new)} of {len(further)} views of {other.name} are those of "
                "another file, too, and are not held out for a second time."
            )
        seen |= {_plain(frame.image) for frame in new}
        frames += new
    return _described(file, transforms, frames, notes)


def _described(
    file: Path, transforms: _Transforms, frames: list[Frame], notes: list[str]
) -> Described:
    if all(frame.pose is UNKNOWN for frame in frames) and frames:
        raise CaptureError(f"{file} gives no camera poses (transform_matrix).")
    unit = INTEGER_UNIT
    if transforms.integer_depth_scale is not None:
        unit = transforms.integer_depth_scale
        if not 0 < unit < math.inf:
            raise CaptureError(f"{file} says that integer_depth_scale is {unit:g}.")
    box = None if transforms.aabb_scale is None else _ngp_box(file, transforms)
    return Described(
        file,
        file.parent,
        frames,
        depth_unit=unit,
        box=box,
        notes=notes,
        turned_by=transforms.orientation_override,
    )


def _parse(path: Path) -> _Transforms:
    try:
        return msgspec.convert(read_json(path), _Transforms)
    except (msgspec.ValidationError, OverflowError) as error:
        raise CaptureError(f"{path} is not a capture's description: {error}.") from error


def read_json(path: Path) -> Any:
    """What a .json file holds.

    Raises:
        CaptureError: it is not there, or no JSON.
    """
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        raise CaptureError(_not_there(path)) from None
    except json.JSONDecodeError as error:
        raise CaptureError(
            f"{path} is not valid JSON: line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except UnicodeDecodeError as error:
        raise CaptureError(f"{path} is not a text file in UTF-8.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CaptureError(f"{path} cannot be read: {error}.") from error


def _not_there(path: Path) -> str:
    if path.parent.exists() and not path.parent.is_dir():
        return (
            f"{path.parent} is a file, not a folder: name a capture's folder, or the .json file "
            "that describes it."
        )
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}."
    if others := other_descriptions(path):
        return (
            f"{path.parent} has no {path.name}, but {', '.join(others)}: name one of these files "
            "in place of the folder."
        )
    return (
        f"{path.parent} has no {path.name}: for photos alone, let `python -m backend scene import "
        f'"{path.parent}"` find the cameras.'
    )


def _frames(file: Path, transforms: _Transforms, held_out: bool = False) -> Iterator[Frame]:
    for frame in transforms.frames:
        yield Frame(
            file,
            frame.file_path,
            _camera(file, frame, transforms),
            _matrix(file, frame),
            frame.depth,
            frame.things_file_path,
            frame.mask_path,
            held_out,
        )


def _camera(file: Path, frame: _Frame, transforms: _Transforms) -> CameraOf:
    return lambda name, size: camera_of(file, name, frame, transforms, size)


def _matrix(file: Path, frame: _Frame) -> NDArray[np.float64]:
    """float64 (4, 4); NaN where the file gives nothing."""
    if frame.transform_matrix is None:
        return UNKNOWN
    rows = frame.transform_matrix or [[None] * 4] * 4
    if len(rows) not in (3, 4) or any(len(row) != 4 for row in rows):
        raise CaptureError(f"{file}: the transform_matrix of {frame.file_path} is not 4x4.")
    matrix = np.eye(4)
    matrix[: len(rows)] = np.array(rows, np.float64)
    return matrix


def _split_by_lists(
    file: Path, transforms: _Transforms, frames: list[Frame]
) -> tuple[list[Frame], list[str]]:
    """The frames as the file's own lists say, and notes on those that no list names, and on names
    that no image has.
    """
    find = _by_name([_plain(frame.image) for frame in frames])
    lists = transforms.train_filenames, transforms.val_filenames, transforms.test_filenames
    train, *measured = (
        None if names is None else {found for name in names if (found := find(name))}
        for names in lists
    )
    unknown = [name for names in lists for name in names or [] if find(name) is None]
    notes = []
    if unknown:
        notes.append(
            f"{file.name}'s lists (train_filenames, val_filenames, test_filenames) name images "
            f"that it does not describe, such as {unknown[0]} ({len(unknown)} in all)."
        )
    if train is None and not any(measured):
        return frames, notes
    out = set[str]().union(*(names for names in measured if names is not None)) - (train or set())
    split, unlisted = [], []
    for frame in frames:
        name = _plain(frame.image)
        if name in out:
            split.append(replace(frame, held_out=True))
        elif train is None or name in train:
            split.append(frame)
        else:
            unlisted.append(frame.image)
    if all(frame.held_out for frame in split):
        raise CaptureError(
            f"{file}: {'test_filenames' if train is None else 'train_filenames'} leaves no view to "
            "train on: correct its names, or take the lists of names out of the file."
        )
    if unlisted:
        notes.append(
            f"{len(unlisted)} of {len(frames)} images are left out, as none of {file.name}'s lists "
            f"names them (train_filenames), such as {unlisted[0]}."
        )
    return split, notes


def _by_name(images: Sequence[str]) -> Callable[[str], str | None]:
    """What finds an image by its name, in other capitals too, or by an end of it that is no
    other's, with or without suffix.
    """
    whole = {key(image): image for image in images}
    ends = {key(end): image for image, found in tails(images).items() for end in found}

    def find(written: str) -> str | None:
        name = key(_plain(written))
        short = PurePosixPath(name).with_suffix("").as_posix() if PurePosixPath(name).name else name
        return whole.get(name) or ends.get(name) or ends.get(short)

    return find


def _plain(name: str) -> str:
    """The same for names that are written in different ways."""
    return PurePosixPath(name.replace("\\", "/")).as_posix()


def _ngp_box(path: Path, transforms: _Transforms) -> tuple[NDArray[np.float64], float]:
    """Middle and half side of the cube that instant-ngp's aabb_scale describes, in capture
    coordinates.
    """
    scale = NGP_SCALE if transforms.scale is None else transforms.scale
    offset: Sequence[float] = [NGP_OFFSET] * 3 if transforms.offset is None else transforms.offset
    size = transforms.aabb_scale or 0.0
    if not (0 < scale < 1e9 and 0 < size < 1e9 and len(offset) == 3 and np.isfinite(offset).all()):
        raise CaptureError(f"{path} describes no box: check aabb_scale, scale and offset.")
    return (0.5 - np.array(offset)) / scale, size / 2 / scale
