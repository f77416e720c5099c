"""Record3D's export with `metadata` (or metadata.json) and a folder `rgb`, and its unpacked
.r3d file (record3d.app). World and cameras have y up; quaternions have their real part last.
"""

import json
from pathlib import Path

import msgspec
import numpy as np
from scipy.spatial.transform import Rotation

from backend.captures.error import CaptureError
from backend.captures.files import photos_in
from backend.captures.formats.described import Described, Frame, camera_of_size
from backend.captures.formats.transforms_json import read_json
from backend.captures.lens import Intrinsics, Lens

NAMES = ("metadata.json", "metadata")
FOLDERS = (".", "EXR_RGBD")
PHOTOS = ("rgb", "rgbd", ".")
DEPTHS = ("depth/{}.exr", "depth/{}.depth", "rgbd/{}.depth", "{}.depth")
"""Of a picture, by its number: in metres, as the poses are, along the viewing axis, and smaller
than the picture."""


class _Metadata(msgspec.Struct):
    w: int
    h: int
    K: list[float]
    poses: list[list[float]]
    perFrameIntrinsicCoeffs: list[list[float]] | None = None  # noqa: N815 - the file's own name


def find(place: Path) -> Path | None:
    """The metadata of a folder, or the file that is named itself."""
    if place.is_file():
        return place if place.name in NAMES and _is_ours(place) else None
    for folder in FOLDERS:
        for name in NAMES:
            if (place / folder / name).is_file() and _is_ours(place / folder / name):
                return place / folder / name
    return None


def _is_ours(file: Path) -> bool:
    """Other programs write files of this name, too."""
    try:
        content = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"poses", "K"} <= content.keys()


def read(place: Path, file: Path) -> Described:
    """The pictures whose numbers have a pose.

    Raises:
        CaptureError: the file makes no sense, or the pictures have no numbers.
    """
    try:
        metadata = msgspec.convert(read_json(file), _Metadata)
    except (msgspec.ValidationError, OverflowError) as error:
        raise CaptureError(f"{file} is no metadata of Record3D's: {error}.") from error
    poses = [_pose(file, numbers) for numbers in metadata.poses]
    folder = next((one for name in PHOTOS if photos_in(one := _inside(file, name))), file.parent)
    inside = "" if folder == file.parent else f"{folder.name}/"
    frames = []
    for name in photos_in(folder):
        number = int(Path(name).stem) if Path(name).stem.isdecimal() else -1
        if not 0 <= number < len(poses):
            raise CaptureError(
                f"{file} has the poses 0 to {len(poses) - 1}, none for {folder / name}: pictures "
                "must have the numbers that Record3D gave them."
            )
        lens = _camera(file, metadata, number)
        depth = next((one for one in DEPTHS if (file.parent / one.format(number)).is_file()), None)
        frames.append(
            Frame(
                file,
                f"{inside}{name}",
                camera_of_size(file, lens, Lens()),
                poses[number],
                depth=None if depth is None else depth.format(number),
            )
        )
    frames.sort(key=lambda frame: int(Path(frame.image).stem))
    return Described(file, file.parent, frames, opengl=True)


def _inside(file: Path, name: str) -> Path:
    folder = file.parent / name
    return folder if folder.is_dir() else file.parent


def _pose(file: Path, numbers: list[float]) -> np.ndarray:
    pose = np.eye(4)
    try:
        pose[:3, :3] = Rotation.from_quat(numbers[:4]).as_matrix()
        pose[:3, 3] = numbers[4:]
    except ValueError as error:
        raise CaptureError(f"{file} has a pose that is none: {error}.") from error
    return pose


def _camera(file: Path, metadata: _Metadata, number: int) -> Intrinsics:
    """The camera of a picture: its own, else that of all (K, column by column)."""
    own, k = metadata.perFrameIntrinsicCoeffs, metadata.K
    if own is not None and len(own) == len(metadata.poses) and len(own[number]) >= 4:
        fx, fy, cx, cy = own[number][:4]
    elif len(k) == 9:
        fx, fy, cx, cy = k[0], k[4], k[6], k[7]
    else:
        raise CaptureError(f"{file} has {len(k)} numbers in K, not 9.")
    if not (min(fx, fy, metadata.w, metadata.h) > 0 and np.isfinite([fx, fy, cx, cy]).all()):
        raise CaptureError(f"{file} has a camera whose numbers are no camera's.")
    return Intrinsics(fx, fy, cx, cy, metadata.w, metadata.h)
