"""LLFF's poses_bounds.npy: poses and depths of a row of photos, in the order of their names
(github.com/Fyusion/LLFF, "Using your own poses").
"""

from pathlib import Path

import numpy as np

from backend.captures.error import CaptureError
from backend.captures.files import photo_folder, photos_in
from backend.captures.formats.described import Described, Frame, camera_of_size
from backend.captures.lens import Intrinsics, Lens

NAME = "poses_bounds.npy"
NUMBERS = 17
"""Of a photo: three rows of a pose and one of height, width, focal length; nearest, farthest."""


def find(place: Path) -> Path | None:
    """The poses_bounds.npy of a folder, or the file that is named itself."""
    file = place / NAME if place.is_dir() else place
    return file if file.name.lower() == NAME and file.is_file() else None


def read(place: Path, file: Path) -> Described:
    """The photos beside the file, and their cameras.

    Raises:
        CaptureError: it is damaged, or has not as many poses as there are photos.
    """
    try:
        rows = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CaptureError(
            f"{file} cannot be read as LLFF's poses: it is damaged, or no array of numbers that "
            "numpy has saved."
        ) from error
    if rows.ndim != 2 or rows.shape[1] != NUMBERS or rows.dtype.kind != "f":
        raise CaptureError(
            f"{file} holds {rows.dtype} of the shape {rows.shape}, not {NUMBERS} numbers a photo."
        )
    photos = photo_folder(file.parent)
    names = [] if photos is None else photos_in(photos)
    if photos is None or len(names) != len(rows):
        raise CaptureError(
            f"{file} has {len(rows)} poses, and there are {len(names)} photos in "
            f"{file.parent if photos is None else photos}: it names none, so their numbers must "
            "be the same."
        )
    frames = []
    for name, row in zip(names, rows.astype(np.float64), strict=True):
        down, right, back, position, size = row[:15].reshape(3, 5).T
        height, width, focal = size.tolist()
        if not (np.isfinite(size).all() and size.min() >= 1):
            raise CaptureError(f"{file} gives {name} the size {width:g}x{height:g}, f {focal:g}.")
        camera = Intrinsics(focal, focal, width / 2, height / 2, round(width), round(height))
        pose = np.eye(4)
        pose[:3] = np.stack([right, -down, back, position], axis=1)
        written = name if photos == file.parent else f"{photos.name}/{name}"
        frames.append(Frame(file, written, camera_of_size(file, camera, Lens()), pose))
    return Described(file, file.parent, frames, opengl=True)
