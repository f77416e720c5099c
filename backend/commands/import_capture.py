"""`python -m backend scene import`: photos to a capture, or a capture checked."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from tyro.conf import Positional, arg

from backend.captures.alignment import pose_errors
from backend.captures.capture import Capture
from backend.captures.error import CaptureError
from backend.captures.files import FILE_NAME, other_descriptions
from backend.captures.formats.refused import refusal
from backend.captures.formats.table import found_in
from backend.captures.transforms import open_capture, readable
from backend.captures.video import draw_photos, video_in
from backend.command_line import otherwise
from backend.commands.options import AxesOption, SceneCommand
from backend.errors import BadInput
from backend.output.progress import OnProgress
from backend.output.report import Report, print_notes
from backend.output.writable import check_writable
from backend.scenes.work_folder import WORK_FOLDER
from backend.work_lock import LOCK_FILE, InUse, alone_in
from protocol.values import MAX_VIEWS, MIN_VIEWS


@dataclass(frozen=True, kw_only=True)
class Import(SceneCommand):
    """Check a capture, or find the cameras of photos alone.

    For a folder of photos: find their cameras and write transforms.json into it (or to FILE). For a
    film: draw its sharpest frames into a folder of its name, and find their cameras. For a
    folder whose cameras are known: read and check all of it.
    """

    folder: Positional[Path]
    """the capture, the photos, or a film of them"""
    out: Annotated[Path | None, otherwise("transforms.json in FOLDER", "FILE")] = None
    """find the cameras, even where FOLDER has some, and write this .json file"""
    compare: Annotated[Path | None, otherwise("no comparison", "FILE")] = None
    """say how far the cameras are from those in this transforms.json, by image name"""
    frames: Annotated[int, arg(metavar="N")] = 150
    """of a film: photos drawn from it, the sharpest of as many equal parts"""
    matching: Literal["auto", "exhaustive", "sequential"] = "auto"
    """compare all photos with each other, or neighbours by name; auto: all, up to 200 photos"""
    threads: int = -1
    """CPU threads, -1 for all cores; as many give the same cameras up to rounding, 1 exactly"""
    axes: AxesOption = None

    def do(self, report: Report, on_progress: OnProgress) -> None:
        """Do it.

        Raises:
            CaptureError, OSError: the photos or the capture cannot be used.
        """
        if not MIN_VIEWS <= self.frames <= MAX_VIEWS:
            raise CaptureError(f"--frames must be {MIN_VIEWS} to {MAX_VIEWS}.")
        if self.out is not None and self.out.suffix != ".json":
            raise CaptureError(
                f"{self.out} is no .json file: name the file that --out should write."
            )
        notes: Sequence[str] = ()
        with contextlib.ExitStack() as kept:
            folder, drawn = self._photos_of_film(report, on_progress)
            if drawn:
                kept.enter_context(
                    _left(f"the photos in {folder / 'images'} are kept: import {folder} to go on")
                )
            path = folder
            photos_alone = self.out is not None or (folder.is_dir() and not _described(folder))
            if photos_alone:
                path, notes = self._cameras_of_photos(folder, report, on_progress)
                kept.enter_context(
                    _left(f"{path} is kept, but not checked to its end: import it to do that")
                )
            with report.stage("checking"):
                capture = open_capture(path, axes="opengl" if photos_alone else self.axes)
                count = len(capture)
                capture = readable(
                    capture,
                    lambda done: on_progress(f"Checking view {done} of {count}", done / count),
                )
        report.figures |= {"views": len(capture)}
        report.notes = [*notes, *capture.notes]
        print_notes(report.notes)
        print(f"{path}: {len(capture)} views can be used")
        if self.compare is not None:
            figures = compare(capture, open_capture(self.compare))
            report.figures |= figures
            for name, figure in figures.items():
                print(f"{name.replace('_', ' ')}: {figure}")
        if photos_alone:
            report.write(path.parent)

    def _photos_of_film(self, report: Report, on_progress: OnProgress) -> tuple[Path, int]:
        """Draw the frames of a film. The folder whose `images` holds them, and how many they are;
        what was given, and 0, where that is no film, nor a folder that holds nothing else.
        """
        if self.folder.is_dir() and _described(self.folder):
            return self.folder, 0
        video = video_in(self.folder)
        if video is None:
            return self.folder, 0
        folder = self.folder if self.folder.is_dir() else self.folder.with_suffix("")
        if _described(folder):
            raise CaptureError(
                f"{folder}, where the photos of {video.name} would go, holds a capture already: "
                "name that folder, or give the film another name."
            )
        if folder.is_file():
            raise CaptureError(
                f"{folder}, where the photos of {video.name} would go, is a file: give the film "
                "another name."
            )
        new = not folder.exists()
        try:
            with report.stage("drawing frames"), alone_in(folder / WORK_FOLDER):
                drawn = draw_photos(video, folder / "images", self.frames, on_progress)
        except InUse:
            raise
        except BaseException:
            if new:
                (folder / LOCK_FILE).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # somebody else has put something there
                    folder.rmdir()
            raise
        report.figures |= {"frames": drawn}
        print(f"drew {drawn} photos from {video} into {folder / 'images'}")
        return folder, drawn

    def _cameras_of_photos(
        self, folder: Path, report: Report, on_progress: OnProgress
    ) -> tuple[Path, Sequence[str]]:
        """Find the cameras of photos alone: the file that is written, and notes."""
        if self.out is None:
            if unread := refusal(folder):
                raise CaptureError(unread)
            _check_above(folder)
        # Only now: COLMAP's library takes a second to load.
        from backend.captures.photos import import_photos

        target = folder if self.out is None else self.out.parent
        check_writable(target, "name another file, such as transforms.json elsewhere, with --out")
        beside = target / WORK_FOLDER
        with report.stage("finding the cameras"), alone_in(beside):
            imported = import_photos(folder, self.out, self.matching, self.threads, on_progress)
        report.figures |= {
            "photos": len(imported.registered) + len(imported.unregistered),
            "registered": len(imported.registered),
            "unregistered": list(imported.unregistered),
            "points": imported.points,
            "reprojection_error_pixels": round(imported.reprojection_error, 4),
        }
        print(f"wrote {imported.path} with {len(imported.registered)} views")
        return imported.path, imported.losses


def _described(folder: Path) -> bool:
    """Whether a folder holds cameras."""
    return bool(found_in(folder)) or bool(other_descriptions(folder / FILE_NAME))


@contextlib.contextmanager
def _left(words: str) -> Iterator[None]:
    """Says what an interruption leaves, where nothing else has said so."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        if interruption.args:
            raise
        raise KeyboardInterrupt(f"cancelled; {words}") from None


def _check_above(folder: Path) -> None:
    """Raise CaptureError where a folder of photos is a capture's, whose cameras are known: they
    are not searched anew unasked.
    """
    place = folder.resolve()
    above = place.parent
    found = found_in(above)
    if not found:
        return
    kind, file = found[0]
    try:
        described = kind.read(above, file)
    except CaptureError:  # nothing is known by it
        return
    if any(
        place in (described.folder / frame.image).resolve().parents for frame in described.frames
    ):
        where = f"{kind.name}: {file.relative_to(above)}"
        raise CaptureError(
            f"The cameras of these photos are known ({where}): name {above} in place of {folder}, "
            f"or find them anew with --out {folder / FILE_NAME}."
        )


def compare(capture: Capture, reference: Capture) -> dict[str, float]:
    """How far the cameras of a capture are from those of another of the same images.

    Returns:
        Figures by name; degrees, and percent of the largest distance between two reference cameras.

    Raises:
        CaptureError: they have fewer than 3 images (by file name) in common, or the cameras lie on
            one line.
    """
    places = {Path(name).name: index for index, name in enumerate(reference.names)}
    pairs = [
        (index, places[Path(name).name])
        for index, name in enumerate(capture.names)
        if Path(name).name in places
    ]
    ours, theirs = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    try:
        errors = pose_errors(capture.camera_to_world[ours], reference.camera_to_world[theirs])
    except BadInput as error:
        raise CaptureError(
            f"{capture.folder} and {reference.folder} cannot be compared: {error}."
        ) from error
    return {
        "compared": len(pairs),
        "of": len(reference),
        "rotation_error_degrees_median": round(float(np.median(errors.rotation)), 4),
        "rotation_error_degrees_worst": round(float(errors.rotation.max()), 4),
        "position_error_percent_median": round(100 * float(np.median(errors.position)), 4),
        "position_error_percent_worst": round(100 * float(errors.position.max()), 4),
    }
