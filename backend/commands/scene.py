"""`python -m backend scene ...`: what can be done with a scene from the command line."""

import argparse
import sys
from pathlib import Path

import numpy as np

from backend.captures.alignment import pose_errors
from backend.captures.capture import Capture
from backend.captures.error import CaptureError
from backend.captures.files import description_of, other_descriptions
from backend.captures.transforms import open_capture, readable
from backend.commands.mesh import add_mesh_command
from backend.commands.render import add_render_command
from backend.commands.scene_edit import add_edit_commands
from backend.commands.scene_options import add_axes_option
from backend.commands.texture import add_texture_command
from backend.commands.train import add_train_command
from backend.counts import check_options, check_settings
from backend.errors import BadInput
from backend.output.progress import OnProgress
from backend.output.report import Report, print_notes


def add_scene_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `scene` and its own commands to the program's parser. Each sets `run_scene`, which `run`
    calls with (options, report, on_progress).
    """
    scene = commands.add_parser("scene", help="3D: captures, fields, edits, meshes and textures")
    kinds = scene.add_subparsers(dest="what", required=True)
    importing = kinds.add_parser(
        "import",
        help="check a capture, or find the cameras of photos alone",
        description="For a folder of photos: find their cameras and write transforms.json into it "
        "(or to FILE). For a folder that has a transforms.json: read and check all of it.",
    )
    importing.add_argument("folder", type=Path, metavar="FOLDER")
    importing.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="find the cameras, even where FOLDER has a transforms.json, and write this .json file",
    )
    importing.add_argument(
        "--compare",
        type=Path,
        metavar="FILE",
        help="say how far the cameras are from those in this transforms.json, by image name",
    )
    importing.add_argument(
        "--matching",
        choices=("auto", "exhaustive", "sequential"),
        default="auto",
        help="compare all photos with each other, or neighbours by name (all, up to 200 photos)",
    )
    importing.add_argument(
        "--threads", type=int, default=-1, metavar="N", help="CPU threads (all cores)"
    )
    add_axes_option(importing)
    importing.set_defaults(run_scene=_import, cancelled="cancelled; nothing was written")
    add_train_command(kinds)
    add_edit_commands(kinds)
    add_render_command(kinds)
    add_mesh_command(kinds)
    add_texture_command(kinds)


def run(options: argparse.Namespace, command: list[str], on_progress: OnProgress) -> int:
    """Do what a scene command asks for; the exit status."""
    report = Report(command, settings=_settings(options))
    try:
        check_options(options)
        check_settings(options)
        options.run_scene(options, report, on_progress)
    except (BadInput, FloatingPointError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(options.cancelled, file=sys.stderr)
        return 130
    return 0


def _settings(options: argparse.Namespace) -> dict[str, object]:
    plain = {
        name: value
        for name, value in vars(options).items()
        if not (callable(value) or name == "cancelled")
    }
    return {name: str(v) if isinstance(v, Path) else v for name, v in plain.items()}


def _import(options: argparse.Namespace, report: Report, on_progress: OnProgress) -> None:
    """`scene import`: photos to a capture, or a capture checked."""
    folder, out = options.folder, options.out
    if out is not None and out.suffix != ".json":
        raise CaptureError(f"{out} is no .json file: name the file that --out should write.")
    path = description_of(folder)
    notes: list[str] = []
    described = path.exists() or bool(other_descriptions(path))
    photos_alone = out is not None or (folder.is_dir() and not described)
    if photos_alone:
        # Only now: COLMAP's library takes a second to load.
        from backend.captures.photos import import_photos

        with report.stage("finding the cameras"):
            imported = import_photos(folder, out, options.matching, options.threads, on_progress)
        path = imported.path
        report.figures |= {
            "photos": len(imported.registered) + len(imported.unregistered),
            "registered": len(imported.registered),
            "unregistered": list(imported.unregistered),
            "points": imported.points,
            "reprojection_error_pixels": round(imported.reprojection_error, 4),
        }
        notes += imported.losses
        print(f"wrote {path} with {len(imported.registered)} views")
    with report.stage("checking"):
        capture = open_capture(path, axes="opengl" if photos_alone else options.axes)
        count = len(capture)
        capture = readable(
            capture,
            lambda done: on_progress(f"Checking view {done} of {count}", done / count),
        )
    report.figures |= {"views": len(capture)}
    report.notes = [*notes, *capture.notes]
    print_notes(report.notes)
    print(f"{path}: {len(capture)} views can be used")
    if options.compare is not None:
        figures = compare(capture, open_capture(options.compare))
        report.figures |= figures
        for name, figure in figures.items():
            print(f"{name.replace('_', ' ')}: {figure}")
    if photos_alone:
        report.write(path.parent)


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
