"""`python -m backend scene train`: the radiance field of a capture."""

import dataclasses
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
"""Views in held_out.png, and pixels of a side of each at most: whole photos of a phone would be
rendered for an hour.
"""


@dataclass(frozen=True, kw_only=True)
class Train(SceneOptions, SceneCommand):
    """Train the radiance field of a capture, or go on with it.

    Write checkpoints, report.json and held_out.png (left the view, right the field) into the work
    folder. Ctrl-C pauses: the same command goes on.
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
        from backend.fields.views import Views, psnr_of_views

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
        found = [*scene.capture.notes, *scene.notes_on_learnt(course)]
        found = [note for note in found if note not in before]
        report.notes = [*before, *found]
        trained = [scene.capture.names.index(name) for name in scene.field.names]
        with report.stage("measuring"):
            fit = psnr_of_views(scene.field, Views(scene.capture.subset(trained), scene.device))
        report.figures |= {"trained_psnr": round(fit, 2)}
        with report.stage("pictures"):
            _write_sheet(scene.work / "held_out.png", scene)
        report.write(scene.work)
        print_notes(found)
        score = ""
        if course.scores:
            held_out = f"{len(outside)} held-out view{'s' * (len(outside) != 1)}"
            score = f"{course.scores[-1][1]:.1f} dB on {held_out}, "
        early = ""
        if course.ended_early:
            early = f" of {course.most}, as held-out views show no progress any more"
        print(
            f"{course.step} steps{early}: {score}{fit:.1f} dB on the {len(trained)} that it was "
            f"trained on; the field is in {scene.work}"
        )


def _write_sheet(path: Path, scene: "Scene") -> None:
    """Held-out views and the field from there, side by side; all views where none is held out."""
    capture = scene.capture
    out = [k for k, name in enumerate(capture.names) if name not in scene.field.names]
    rows = []
    for index in (out or list(range(len(capture))))[:SHEET_VIEWS]:
        camera = scene.camera(capture.names[index]).at_most(SHEET_SIDE)
        size = camera.intrinsics.width, camera.intrinsics.height
        photo = Image.fromarray(capture.read(index).image).resize(size, Image.Resampling.BOX)
        rows.append(np.concatenate([np.asarray(photo), scene.render(camera).image], 1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    with files.replacing(path) as file:
        Image.fromarray(np.concatenate(padded)).save(file, "PNG")
