"""Photos from a film: the sharpest frame of each of its equal parts."""

from collections.abc import Iterator
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from backend.captures.error import CaptureError
from backend.captures.files import FILM_SUFFIXES, USUAL_FOLDER, photo_folder
from backend.output.new_folder import appearing
from backend.output.progress import OnProgress
from protocol.values import MAX_IMAGE_SIDE, MIN_VIEWS

SIDE = 320
"""Pixels of the longer side at which frames are compared: noise and blocks are not sharpness."""
QUALITY = 95


def video_in(place: Path) -> Path | None:
    """The film that is named, or the only one in a folder without photos; else None."""
    if place.is_file():
        return place if place.suffix.lower() in FILM_SUFFIXES else None
    if not place.is_dir() or photo_folder(place) or (place / USUAL_FOLDER).is_dir():
        return None
    films = [file for file in sorted(place.iterdir()) if file.suffix.lower() in FILM_SUFFIXES]
    return films[0] if len(films) == 1 else None


def draw_photos(
    video: Path, folder: Path, count: int, on_progress: OnProgress = lambda stage, fraction: None
) -> int:
    """Write the sharpest frame of each of `count` equal parts of a film as a JPEG, upright.

    Args:
        video: the film.
        folder: a new one, which is there when all are.
        count: photos at most; a film of fewer frames gives all of them.
        on_progress: told what is being done; what it raises leaves nothing.

    Returns:
        How many there are.

    Raises:
        CaptureError: the film cannot be read, or has fewer than 3 frames, or `folder` exists.
        OSError: the folder cannot be written.
    """
    if folder.exists():
        raise CaptureError(
            f"{folder} exists already: import the photos in it by naming the folder that it is in, "
            f"or delete it to draw the frames of {video.name} anew."
        )
    total = _frames_of(video)
    parts = min(count, total)
    written = 0
    with appearing(folder) as unfinished:
        best: NDArray[np.uint8] | None = None
        sharpest, part = -1.0, 0
        for index, frame in enumerate(_decoded(video)):
            here = min(index * parts // total, parts - 1)
            if here != part and best is not None:
                _write(best, unfinished / f"{written:04}.jpg")
                written, sharpest, best = written + 1, -1.0, None
            part = here
            found = sharpness(frame)
            if found > sharpest:
                best, sharpest = frame, found
            on_progress(f"Frame {index + 1} of {total} of {video.name}", 0.0)
        if best is not None:
            _write(best, unfinished / f"{written:04}.jpg")
            written += 1
        if written < MIN_VIEWS:
            raise CaptureError(
                f"{video} has {written} frames that can be read: a scene needs {MIN_VIEWS} views."
            )
    return written


def sharpness(frame: NDArray[np.uint8]) -> float:
    """How sharp a frame uint8 (H, W, 3) is: the variance of its Laplacian at SIDE pixels."""
    small = Image.fromarray(frame).convert("L")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return float(ndimage.laplace(np.asarray(small, np.float32)).var())


def _write(frame: NDArray[np.uint8], path: Path) -> None:
    Image.fromarray(frame).save(path, quality=QUALITY, subsampling=0)


def _frames_of(video: Path) -> int:
    """How many frames a film has, counted without decoding them."""
    with _opened(video) as container:
        count = sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    if count < MIN_VIEWS:
        raise CaptureError(
            f"{video} has {count} frame{'s' * (count != 1)}: a scene needs {MIN_VIEWS} views."
        )
    return count


def _decoded(video: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames, uint8 (H, W, 3), upright, with square pixels."""
    av = import_module("av")
    with _opened(video) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        aspect = stream.sample_aspect_ratio or Fraction(1)
        try:
            for frame in container.decode(stream):
                height, width = frame.height, max(1, round(frame.width * aspect))
                pixels = frame.to_ndarray(width=width, height=height, format="rgb24")
                yield np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
        except av.FFmpegError as error:
            raise CaptureError(f"{video} is damaged and cannot be read: {error}.") from error


def _opened(video: Path) -> Any:
    """A film with pictures, as PyAV opens it."""
    try:
        av = import_module("av")
    except ImportError as error:
        raise CaptureError(
            f"{video} is a film, and the package av, which reads it, is missing: run `python "
            "install.py backend` again, or give photos."
        ) from error
    try:
        container = av.open(str(video))
    except (OSError, ValueError) as error:  # PyAV's own errors are among these
        reason = getattr(error, "strerror", None) or error
        raise CaptureError(f"{video} cannot be read as a film: {reason}.") from error
    streams = container.streams.video
    if not streams:
        container.close()
        raise CaptureError(f"{video} has no pictures.")
    if max(streams[0].width, streams[0].height) > MAX_IMAGE_SIDE:
        container.close()
        raise CaptureError(f"{video} is larger than {MAX_IMAGE_SIDE} pixels a side.")
    return container
