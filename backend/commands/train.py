"""`python -m backend scene train`: the radiance field of a capture."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image

from backend.commands.options import SceneCommand, SceneOptions
from backend.output.progress import OnProgress, time_left
from backend.output.report import Report, print_notes
from backend.output.writable import check_writable
from protocol import files
from protocol.settings import FieldSettings

if TYPE_CHECKING:
    from backend.scenes.scene import Scene

SHEET_VIEWS, SHEET_SIDE = 6, 512
"""Views in a sheet, and pixels of a side of each at most: whole photos of a phone would be
rendered for an hour.
"""


@dataclass(frozen=True, kw_only=True)
class Train(SceneOptions, SceneCommand):
    """Train the radiance field of a capture, or go on with it.

    Write checkpoints, report.json and held_out.png (left the view, right the field) into the work
    folder, and unfit.png where views do not fit the others. Ctrl-C pauses: the same command goes
    on.
    """

    settings: FieldSettings = FieldSettings()

    cancelled: ClassVar[str] = "paused: the same command goes on from the last checkpoint"

    def do(self, report: Report, on_progress: OnProgress) -> None:
        """Do it.

        Raises:
            CaptureError, CheckpointError, FloatingPointError, ValueError, OSError: as
                `Scene.train`.
        """
        # Only now: torch and nerfstudio take seconds to load.
        from backend.fields.training import Progress

        scene = self.open_scene()
        check_writable(scene.work, "name another folder with --work")
        # before what may take hours: other axes, or smaller images, may be what is wanted
        before = [*scene.capture.notes, *scene.note_on_size(self.settings.preset)]
        print_notes(before)

        def show(progress: Progress) -> None:
            score = "" if progress.score is None else f", {progress.score:.1f} dB"
            left = progress.remaining
            end = f", {time_left(left, at_most=True)}" if left else ""
            on_progress(
                f"Step {progress.step} of {progress.iterations}{score}{end}",
                progress.step / progress.iterations,
            )

        asked = self.settings
        with report.stage("training"):
            course = scene.train(asked.iterations, show, asked.preset, asked.seed)
        report.settings |= {"config": dataclasses.asdict(scene.trained_with(asked.iterations))}
        outside = [name for name in scene.capture.names if name not in scene.field.names]
        report.figures |= {
            "held_out_psnr": [[step, round(score, 2)] for step, score in course.scores],
            "held_out_views": outside,
            "views": len(scene.capture),
            "steps": course.step,
            "training_seconds_of_all_runs": round(course.seconds, 1),
            "notes": list(scene.capture.notes),
        }
        found = [*scene.capture.notes, *course.notes]
        found = [note for note in found if note not in before]
        report.notes = [*before, *found]
        fit = course.trained_psnr
        assert fit is not None  # as it has ended
        report.figures |= {"trained_psnr": round(fit, 2), "unfit_views": course.unfit}
        unfit = scene.work / "unfit.png"
        with report.stage("pictures"):
            _write_sheet(scene.work / "held_out.png", scene, outside or scene.capture.names)
            unfit.unlink(missing_ok=True)
            if course.unfit:
                _write_sheet(unfit, scene, course.unfit)
        report.write(scene.work)
        print_notes(found)
        if course.unfit:
            print(f"{unfit} shows them, and the field beside them")
        score = ""
        if course.scores:
            held_out = f"{len(outside)} held-out view{'s' * (len(outside) != 1)}"
            score = f"{course.scores[-1][1]:.1f} dB on {held_out}, "
        early = ""
        if course.ended_early:
            early = f" of {course.most}, as held-out views show no progress any more"
        print(
            f"{course.step} steps{early}: {score}{fit:.1f} dB on the {len(scene.field.names)} that "
            f"it was trained on; the field is in {scene.work}"
        )


def _write_sheet(path: Path, scene: "Scene", names: Sequence[str]) -> None:
    """Some views and the field from there, side by side."""
    capture, rows = scene.capture, []
    for name in names[:SHEET_VIEWS]:
        camera = scene.camera(name).at_most(SHEET_SIDE)
        size = camera.intrinsics.width, camera.intrinsics.height
        photo = Image.fromarray(capture.read(capture.names.index(name)).image)
        photo = photo.resize(size, Image.Resampling.BOX)
        rows.append(np.concatenate([np.asarray(photo), scene.render(camera).image], 1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    with files.replacing(path) as file:
        Image.fromarray(np.concatenate(padded)).save(file, "PNG")
