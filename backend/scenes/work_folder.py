"""The work folder of a capture: what is made of it, and what its field was trained in.

Nothing of the capture is ever written to. What is made of it lies in a work folder, `.wys` in the
capture's own folder unless told otherwise:

    axes.json                                  what the capture's poses were taken for, the box, and
                                               how many times smaller its images were read
    radiance.json, radiance-STEP.pt            the radiance field
    edits/NAME/                                the edits (see edit_records.py)

Nothing here needs torch: the server answers about scenes without it.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from backend.captures.capture import Capture
from backend.captures.conventions.axes import Axes
from backend.captures.error import CaptureError
from backend.captures.files import folder_of
from backend.captures.transforms import open_capture
from backend.fields.facts import RADIANCE
from backend.records import read_record
from protocol import files

WORK_FOLDER = ".wys"
AXES_FILE = "axes.json"


class _Box(msgspec.Struct):
    """Capture to box coordinates: places times `scale` plus `shift`."""

    scale: Annotated[float, msgspec.Meta(gt=0)]
    shift: tuple[float, float, float]


class _TrainedIn(msgspec.Struct):
    """What AXES_FILE holds; earlier versions kept no box, and no downscale."""

    axes: Axes
    box: _Box | None = None
    downscale: float | None = None


def _trained_in(work: Path) -> _TrainedIn | None:
    """What the scene's field was trained in; None where it never was, and where a training was
    stopped before it had come to anything.

    Raises:
        DamagedRecord: it cannot be read.
    """
    if not (work / f"{RADIANCE}.json").exists():
        return None
    try:
        return read_record(work / AXES_FILE, _TrainedIn)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _axes(work: Path, trained: Axes, asked: Axes | None) -> Axes | None:
    """The axes that a trained scene is opened with: those asked for, else those of its training.

    Raises:
        CaptureError: it was trained with others than those asked for.
    """
    if asked is not None and asked != trained:
        raise CaptureError(
            f"The scene in {work} was trained with --axes {trained}: name another folder with "
            "--work (of an evaluation, --out), or delete it to train anew."
        )
    # OpenGL's are not insisted on: where the cameras look away from each other, that is still said.
    return asked if trained == "opengl" else trained


def _downscale(work: Path, trained: float | None, asked: float | None) -> float:
    """How many times smaller a scene's images are read: as asked for, else as in its training.

    Raises:
        CaptureError: it was trained with another number.
    """
    if trained is None:
        return 1.0 if asked is None else asked
    if asked is not None and asked != trained:
        raise CaptureError(
            f"The scene in {work} was trained with --downscale {trained:g}: leave the option out, "
            "name another folder with --work (of an evaluation, --out), or delete it to train "
            "anew."
        )
    return trained


def work_folder(folder: Path, work: Path | None = None) -> Path:
    """Where what is made of a capture lies: `work`, else `.wys` in the capture's folder."""
    return work or folder_of(folder) / WORK_FOLDER


def open_as_trained(
    folder: Path, work: Path, downscale: float | None = None, axes: Axes | None = None
) -> tuple[Capture, Axes, float]:
    """A capture in the axes, the box and the size that its field was trained in.

    Args:
        folder: the capture.
        work: its work folder.
        downscale: images are read smaller by this factor; None for that of the training, else 1.
        axes: as `Scene.open`.

    Returns:
        The capture, what its poses were taken for, and the factor.

    Raises:
        CaptureError: the capture cannot be used, or was trained with other axes or another factor.
        DamagedRecord: what it was trained with cannot be read.
    """
    trained = _trained_in(work)
    if trained is not None:
        axes = _axes(work, trained.axes, axes)
    factor = _downscale(work, None if trained is None else trained.downscale, downscale)
    capture = open_capture(folder, factor, axes)
    if trained is not None and trained.box is not None:
        # A field lies in the box of its training: the one around the cameras is another one
        # where some of them are gone, or new.
        to_box = np.diag([*[trained.box.scale] * 3, 1.0])
        to_box[:3, 3] = trained.box.shift
        capture = dataclasses.replace(capture, to_box=to_box)
    return capture, axes or "opengl", factor


def keep_trained_in(work: Path, capture: Capture, axes: Axes, downscale: float) -> None:
    """Keeps what a field is trained in.

    Raises:
        OSError: the folder cannot be written.
    """
    box = _Box(capture.box_scale, tuple(capture.to_box[:3, 3].tolist()))
    files.write_json(work / AXES_FILE, msgspec.to_builtins(_TrainedIn(axes, box, downscale)))
