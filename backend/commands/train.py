"""`python -m backend scene train`: the radiance field of a capture."""

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from backend.commands.scene_options import add_scene_options, open_scene
from backend.fields.config import PRESETS
from backend.output.progress import OnProgress
from backend.output.report import Report, print_notes
from protocol import files

if TYPE_CHECKING:
    from backend.scenes.scene import Scene

SHEET_VIEWS = 6


def add_train_command(
    kinds: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add `scene train` to the scene commands."""
    train = kinds.add_parser(
        "train",
        help="train the radiance field of a capture, or go on with it",
        description="Write checkpoints, report.json and held_out.png (left the view, right the "
        "field) into the work folder. Ctrl-C pauses: the same command goes on.",
    )
    train.add_argument("folder", type=Path, metavar="FOLDER")
    train.add_argument("--preset", choices=tuple(PRESETS), default="preview", help="(preview)")
    train.add_argument("--iterations", type=int, metavar="N", help="steps at most (the preset's)")
    add_scene_options(train, "read images smaller (1)")
    train.add_argument("--seed", type=int, default=0, help="(0)")
    train.set_defaults(
        run_scene=run_train,
        cancelled="paused: the same command goes on from the last checkpoint",
    )


def run_train(options: argparse.Namespace, report: Report, on_progress: OnProgress) -> None:
    """Do it.

    Raises:
        CaptureError, CheckpointError, FloatingPointError, ValueError, OSError: as `Scene.train`.
    """
    # Only now: torch and nerfstudio take seconds to load.
    from backend.fields.radiance_training import Views, psnr_of_views
    from backend.fields.training import Progress

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    scene = open_scene(options)

    def show(progress: Progress) -> None:
        score = "" if progress.score is None else f", {progress.score:.1f} dB"
        left = "" if progress.remaining is None else f", {progress.remaining:.0f} s left at most"
        on_progress(
            f"Step {progress.step} of {progress.iterations}{score}{left}",
            progress.step / progress.iterations,
        )

    with report.stage("training"):
        course = scene.train(options.iterations, show, options.preset, options.seed)
    report.settings |= {"config": dataclasses.asdict(scene.field.config)}
    outside = [name for name in scene.capture.names if name not in scene.field.names]
    report.figures |= {
        "held_out_psnr": [[step, round(score, 2)] for step, score in course.scores],
        "held_out_views": outside,
        "views": len(scene.capture),
        "steps": course.step,
        "training_seconds_of_all_runs": round(course.seconds, 1),
        "notes": list(scene.capture.notes),
    }
    report.notes = list(scene.capture.notes)
    trained = [scene.capture.names.index(name) for name in scene.field.names]
    with report.stage("measuring"):
        fit = psnr_of_views(scene.field, Views(scene.capture.subset(trained), scene.device))
    report.figures |= {"trained_psnr": round(fit, 2)}
    with report.stage("pictures"):
        _write_sheet(scene.work / "held_out.png", scene)
    report.write(scene.work)
    print_notes(report.notes)
    score = ""
    if course.scores:
        held_out = f"{len(outside)} held-out view{'s' * (len(outside) != 1)}"
        score = f"{course.scores[-1][1]:.1f} dB on {held_out}, "
    print(
        f"{course.step} steps: {score}{fit:.1f} dB on the {len(trained)} that it was trained on; "
        f"the field is in {scene.work}"
    )


def _write_sheet(path: Path, scene: "Scene") -> None:
    """Held-out views and the field from there, side by side; all views where none is held out."""
    capture = scene.capture
    out = [k for k, name in enumerate(capture.names) if name not in scene.field.names]
    rows = []
    for index in (out or list(range(len(capture))))[:SHEET_VIEWS]:
        shown = scene.render(scene.camera(capture.names[index])).rgb
        rows.append(
            np.concatenate([capture.read(index).image, (shown * 255 + 0.5).astype(np.uint8)], 1)
        )
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows]
    with files.replacing(path) as file:
        Image.fromarray(np.concatenate(padded)).save(file, "PNG")
