"""Polycam's raw data: keyframes/images, a .json file a photo in keyframes/cameras, and both once
more as Polycam has corrected them (github.com/PolyCam/polyform). World and cameras have y up.
"""

from pathlib import Path

import msgspec
import numpy as np

from backend.captures.error import CaptureError
from backend.captures.files import SUFFIXES, NamedFiles
from backend.captures.formats.described import Described, Frame, camera_of_size
from backend.captures.formats.transforms_json import read_json
from backend.captures.lens import Intrinsics, Lens

KINDS = (("corrected_cameras", "corrected_images"), ("cameras", "images"))
FOLDERS = ("keyframes", ".")


class _Camera(msgspec.Struct):
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    t_00: float
    t_01: float
    t_02: float
    t_03: float
    t_10: float
    t_11: float
    t_12: float
    t_13: float
    t_20: float
    t_21: float
    t_22: float
    t_23: float


def find(place: Path) -> Path | None:
    """The folder of the cameras, the corrected ones first."""
    for cameras, images in KINDS:
        for folder in FOLDERS:
            found = place / folder / cameras
            if (place / folder / images).is_dir() and any(found.glob("*.json")):
                return found
    return None


def read(place: Path, cameras: Path) -> Described:
    """The photos of all cameras.

    Raises:
        CaptureError: a camera's file makes no sense.
    """
    images = dict(KINDS)[cameras.name]
    inside = "" if cameras.parent == place else f"{cameras.parent.relative_to(place).as_posix()}/"
    frames, files = [], NamedFiles(place)
    for file in sorted(cameras.glob("*.json")):
        try:
            one = msgspec.convert(read_json(file), _Camera)
        except (msgspec.ValidationError, OverflowError) as error:
            raise CaptureError(f"{file} is no camera of Polycam's: {error}.") from error
        if min(one.width, one.height, one.fx, one.fy) <= 0:
            raise CaptureError(f"{file} has a camera whose numbers are no camera's.")
        pose = np.eye(4)
        for row in range(3):
            for column in range(4):
                pose[row, column] = getattr(one, f"t_{row}{column}")
        camera = Intrinsics(one.fx, one.fy, one.cx, one.cy, one.width, one.height)
        depth = files.find(f"{inside}depth/{file.stem}", (".png",))
        frames.append(
            Frame(
                file,
                f"{inside}{images}/{file.stem}{_suffix(files, f'{inside}{images}/{file.stem}')}",
                camera_of_size(file, camera, Lens()),
                pose,
                None if depth is None else f"{inside}depth/{file.stem}.png",
            )
        )
    return Described(cameras, place, frames, opengl=True)


def _suffix(files: NamedFiles, name: str) -> str:
    found = files.find(name, SUFFIXES)
    return ".jpg" if found is None else found.suffix
