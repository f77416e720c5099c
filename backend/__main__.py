"""The backend's jobs without Blender: `python -m backend relevance|edit`."""

import argparse
import dataclasses
import io
import os
import sys
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.commands import scene as scene_commands
from backend.counts import check_options, check_settings
from backend.errors import BadInput, check_instruction
from backend.output.progress import OnProgress, shown_progress
from backend.output.report import Report
from backend.pictures import Picture, heat_map, read_mask, read_picture, unchanged, write_png
from protocol import files
from protocol.client import Client, JobCancelled
from protocol.codec import BadMessage
from protocol.connection import (
    BadConnectionFile,
    Connection,
    default_connection_file,
    read_connection,
)
from protocol.line import ConnectionFailed, ServerError
from protocol.messages import JobEvent, Progress
from protocol.requests import (
    EditRequest,
    EditResult,
    ImageRequest,
    ImageResult,
    RelevanceRequest,
    RelevanceResult,
)
from protocol.settings import EditSettings, GuidanceSettings, MapSettings, taken
from protocol.values import MAX_IMAGE_SIDE, Normalisation

RESULTS = {
    "relevance": ("relevance.png", "overlay.png"),
    "edit": ("relevance.png", "mask.png", "edit.png"),
}
"""The pictures that a command can write."""
OVERLAY = 0.6
"""Share of these colours over the picture."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files can hold what it cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    command = ["python", "-m", "backend", *(sys.argv[1:] if arguments is None else arguments)]
    if options.command == "scene":
        with shown_progress() as show:
            return scene_commands.run(options, command, show)
    try:
        check_options(options)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.command == "evaluate":
        return _evaluate(options, command)
    if options.command == "bench":
        from backend.evaluation import bench_radiance

        return bench_radiance.run(options, command)
    try:
        check_settings(options)
        picture = read_picture(options.image, MAX_IMAGE_SIDE)
        _check_out(options)
        request, notes = _request(options, picture)
        report = Report(command, settings=_settings(request))
        with shown_progress() as show:
            result = _run(request, options, report, show)
        edited = _edited(picture, request, result)
        report.notes = [*_notes(edited, request, result), *notes]
        written = _write(picture, edited, request, result, options.out, report)
    except (BadInput, BadConnectionFile, ConnectionFailed, ServerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BadMessage as error:
        print(f"error: The backend and this command cannot exchange it: {error}.", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, JobCancelled):
        print("cancelled; nothing was written", file=sys.stderr)
        return 130
    told = list(report.notes)
    if told and told[0].startswith("Unchanged"):
        print(told.pop(0))
    if result.evidence is not None and result.suggested_threshold is not None:
        seen = "applies" if result.applies else "does not apply"
        print(
            f"prompt check: {seen} (evidence {result.evidence:.2f}); "
            f"suggested threshold {result.suggested_threshold:.2f}"
        )
    for note in told:
        print(f"note: {note}")
    print(f"wrote {', '.join(written)} to {options.out}")
    return 0


def _evaluate(options: argparse.Namespace, command: list[str]) -> int:
    if options.what == "scene":
        from backend.evaluation import scene

        return scene.run(options, command)
    if options.what == "check":
        from backend.evaluation import views_check

        return views_check.run(options, command)
    from backend.evaluation import relevance

    return relevance.run(options, command)


def _add_guidance(command: argparse.ArgumentParser) -> None:
    own = "of edits (what the model is best used with: {} for InstructPix2Pix)"
    command.add_argument("--text-guidance", type=float, help=own.format(7.5))
    command.add_argument("--image-guidance", type=float, help=own.format(1.5))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backend", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    relevance = commands.add_parser(
        "relevance",
        help="show where an instruction applies in an image",
        description="Write DIR/relevance.png (heat map), DIR/relevance.npy (float32 H x W, 0..1), "
        "DIR/overlay.png and DIR/report.json.",
    )
    edit = commands.add_parser(
        "edit",
        help="edit an image where an instruction applies, and nowhere else",
        description="Write DIR/edit.png, DIR/mask.png, DIR/relevance.png and DIR/report.json.",
    )
    for command in (relevance, edit):
        command.add_argument("image", type=Path, metavar="IMAGE")
        command.add_argument("instruction", metavar="INSTRUCTION", help='"make the sphere red"')
        command.add_argument("--out", type=Path, required=True, metavar="DIR")
        command.add_argument("--model", default="auto", help="hub id, folder, demo or auto (auto)")
        command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
        command.add_argument("--dtype", default="auto", help="auto, float32, float16, bfloat16")
        command.add_argument(
            "--server",
            nargs="?",
            type=Path,
            const=default_connection_file(),
            metavar="FILE",
            help="let a running server do it; FILE is its connection file "
            f"({default_connection_file()})",
        )
        command.add_argument("--noise-level", type=float, default=0.8, help="of the map (0.8)")
        command.add_argument(
            "--seeds",
            type=int,
            default=len(MapSettings.relevance_seeds),
            metavar="K",
            help=f"average the map over K noises ({len(MapSettings.relevance_seeds)})",
        )
        command.add_argument(
            "--normalisation",
            choices=get_args(Normalisation),
            default=MapSettings.normalisation,
            help="paper: clamp the map's outliers as the paper does; full: keep them "
            f"({MapSettings.normalisation})",
        )
    edit.add_argument(
        "--threshold",
        type=float,
        help="relevance to edit from, 0..1 (default: what the map suggests)",
    )
    edit.add_argument("--mask", type=Path, metavar="IMAGE", help="edit where this image is bright")
    _add_guidance(edit)
    edit.add_argument("--steps", type=int, default=100, help="(100)")
    edit.add_argument("--strength", type=float, default=1.0, help="noise level to start from (1)")
    edit.add_argument("--seed", type=int, default=0, help="(0)")
    evaluate = commands.add_parser("evaluate", help="measure a model where the truth is known")
    kinds = evaluate.add_subparsers(dest="what", required=True)
    maps = kinds.add_parser(
        "relevance",
        help="maps and edits on held-out scenes of the demo world",
        description="Write DIR/figures.md, DIR/contact_sheet.png and DIR/report.json.",
    )
    maps.add_argument("--out", type=Path, required=True, metavar="DIR")
    maps.add_argument("--model", default="demo", help="hub id, folder or demo (demo)")
    maps.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    maps.add_argument("--dtype", default="auto", help="auto, float32, float16, bfloat16")
    maps.add_argument("--samples", type=int, default=300, metavar="N", help="maps (300)")
    maps.add_argument("--edits", type=int, default=60, metavar="N", help="edits, of these (60)")
    maps.add_argument(
        "--kinds", nargs="+", metavar="KIND", help="kinds of edit, such as recolour (all)"
    )
    maps.add_argument(
        "--seeds",
        choices=("test", "validation"),
        default="test",
        help="which scenes: test for figures that are published, validation to choose by (test)",
    )
    maps.add_argument(
        "--captured", action="store_true", help="the scenes as the views of a capture show them"
    )
    _add_guidance(maps)
    maps.add_argument(
        "--ways",
        nargs="+",
        choices=("plain", "guided", "paper", "true"),
        default=("plain", "guided", "paper", "true"),
        help="of editing: each takes its time, guided is always measured (all)",
    )
    maps.add_argument(
        "--renders",
        type=Path,
        metavar="FOLDER",
        help="measure selection on these pictures by Blender, too (see backend.evaluation.renders)",
    )
    maps.add_argument(
        "--calibrate",
        action="store_true",
        help="write the prompt check's limit into the model's folder; validation scenes only",
    )
    scenes = kinds.add_parser(
        "scene",
        help="fields and 3D edits on held-out scenes of the demo world",
        description="Write DIR/figures.md, DIR/contact_sheet.png and DIR/report.json. The captures "
        "and their fields are kept in DIR/scenes: the same command goes on with them.",
    )
    scenes.add_argument("--out", type=Path, required=True, metavar="DIR")
    scenes.add_argument("--model", default="demo", help="hub id, folder or demo (demo)")
    scenes.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    scenes.add_argument("--dtype", default="auto", help="auto, float32, float16, bfloat16")
    scenes.add_argument("--scenes", type=int, default=2, metavar="N", help="how many (2)")
    scenes.add_argument(
        "--seeds",
        choices=("test", "validation"),
        default="test",
        help="which scenes: test for figures that are published, validation to choose by (test)",
    )
    scenes.add_argument("--views", type=int, default=24, metavar="N", help="of a capture (24)")
    scenes.add_argument("--side", type=int, default=128, help="pixels of a view (128)")
    scenes.add_argument(
        "--preset", choices=("preview", "full"), default="preview", help="of field and edit"
    )
    scenes.add_argument("--depth", action="store_true", help="capture the true depth, too")
    scenes.add_argument("--edits", type=int, default=1, metavar="N", help="edits, of these (1)")
    scenes.add_argument(
        "--ablation", action="store_true", help="edit without the relevance field, too"
    )
    _add_guidance(scenes)
    check = kinds.add_parser(
        "check",
        help="the prompt check in one picture and in all views of a scene, on the demo world",
        description="Write DIR/figures.md and DIR/report.json.",
    )
    check.add_argument("--out", type=Path, required=True, metavar="DIR")
    check.add_argument("--model", default="demo", help="hub id, folder or demo (demo)")
    check.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    check.add_argument("--dtype", default="auto", help="auto, float32, float16, bfloat16")
    check.add_argument("--scenes", type=int, default=40, metavar="N", help="how many (40)")
    check.add_argument("--views", type=int, default=8, metavar="N", help="of each (8)")
    check.add_argument("--side", type=int, default=128, help="pixels of a view (128)")
    check.add_argument(
        "--edits", type=int, default=2, metavar="N", help="instructions for each scene (2)"
    )
    check.add_argument(
        "--seeds",
        choices=("test", "validation"),
        default="test",
        help="which scenes: test for figures that are published, validation to choose by (test)",
    )
    check.add_argument(
        "--calibrate",
        action="store_true",
        help="write the check's limit for views into the model's folder; validation scenes only",
    )
    bench = commands.add_parser("bench", help="how fast this machine is")
    benches = bench.add_subparsers(dest="what", required=True)
    radiance = benches.add_parser(
        "radiance",
        help="a training step of nerfacto: nerfstudio's own torch implementation against ours",
        description="Both take turns on the same rays. Write DIR/report.json.",
    )
    radiance.add_argument("--out", type=Path, required=True, metavar="DIR")
    radiance.add_argument("--rays", type=int, default=4096, help="in a step (4096)")
    radiance.add_argument("--rounds", type=int, default=3, help="timed steps of each (3)")
    scene_commands.add_scene_commands(commands)
    return parser


def _check_out(options: argparse.Namespace) -> None:
    """Find out that the results cannot be written before anything is done for them.

    Raises:
        BadInput: there is no place for them, or the image itself would be lost.
    """
    folder: Path = options.out
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not place.is_dir():
        raise BadInput(f"{place} is a file, not a folder: name another with --out.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise BadInput(f"Nothing may be written into {place}: name another folder with --out.")
    for name in RESULTS[options.command]:
        if (folder / name).exists() and (folder / name).samefile(options.image):
            raise BadInput(
                f"{options.image} would be overwritten by the result: name another folder with "
                "--out."
            )


def _request(options: argparse.Namespace, picture: Picture) -> tuple[ImageRequest, tuple[str, ...]]:
    """The typed request that the options ask for, and what to say about the files it is made of.

    Raises:
        BadInput: a file cannot be read or a value is out of range.
    """
    check_instruction(options.instruction)
    image, notes = picture.seen(), picture.notes
    own = [f"--{name}" for name in ("model", "device", "dtype") if vars(options)[name] != "auto"]
    if options.server is not None and own:
        notes = (*notes, f"Not used: {', '.join(own)}. The server has its own model.")
    options.relevance_seeds = tuple(range(options.seeds))
    maps = taken(MapSettings, options)
    if options.command == "relevance":
        request: ImageRequest = RelevanceRequest(
            image=image,
            instruction=options.instruction,
            maps=maps,
        )
    else:
        mask, threshold = None, options.threshold
        if options.mask is not None:
            mask, notes_on_mask = read_mask(options.mask, image.shape[:2])
            notes = (*notes, *notes_on_mask)
            if threshold is not None:
                threshold = None
                notes = (*notes, "The threshold is not used: the mask says where to edit.")
        request = EditRequest(
            image=image,
            instruction=options.instruction,
            threshold=threshold,
            maps=maps,
            settings=taken(EditSettings, options),
            mask=mask,
        )
    return request, notes


def _settings(request: ImageRequest) -> dict[str, object]:
    settings: dict[str, object] = {}
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            settings |= dataclasses.asdict(value)
        else:
            settings[name] = list(value.shape) if isinstance(value, np.ndarray) else value
    if isinstance(request, RelevanceRequest):
        settings["seeds"] = settings.pop("relevance_seeds")
    return settings


def _guidance(request: ImageRequest, own: GuidanceSettings) -> dict[str, object]:
    """The guidance of an edit for its report, where the model's own is this."""
    if not isinstance(request, EditRequest):
        return {}
    return dataclasses.asdict(request.settings.resolved(own).guidance)


def _run(
    request: ImageRequest, options: argparse.Namespace, report: Report, show: OnProgress
) -> ImageResult:
    """Do the job here, or on a server where --server asks for one."""
    if options.server is not None:

        def on_event(event: JobEvent) -> None:
            if isinstance(event, Progress):
                show(event.stage, event.fraction)

        def find() -> Connection:
            return read_connection(options.server)

        def say(words: str) -> None:
            print(words, file=sys.stderr, flush=True)

        name = "watch-your-steps command line"
        with Client(find(), name, find, say) as client:
            client.connect()
            with report.stage("job on the server"):
                result = client.run(request, on_event)
            welcome = client.welcome  # at first a server may not have loaded its model yet
        assert welcome is not None
        report.settings |= {"model": welcome.model, "device": welcome.device}
        report.settings |= _guidance(request, welcome.guidance)
        assert isinstance(result, ImageResult)  # as every request of an image
        return result
    # Only now: they take seconds to import, which --server and mistyped options need not pay.
    from backend.editing import Editor
    from backend.worker.perform_image import perform_image

    try:
        with report.stage("loading the model"):
            editor = Editor.from_pretrained(options.model, options.device, options.dtype)
        report.settings |= {
            "model": editor.card.name,
            "device": editor.card.device_name,
            "dtype": str(editor.card.dtype),
        }
        report.settings |= _guidance(request, editor.card.guidance.settings)
        words = f"model {editor.card.name} on {editor.card.device_name}"
        print(words, file=sys.stderr)
        with report.stage("job"):
            return perform_image(editor, request, lambda stage, fraction, _: show(stage, fraction))
    except FloatingPointError as error:
        raise BadInput(str(error)) from error


def _edited(picture: Picture, request: ImageRequest, result: ImageResult) -> Picture | None:
    """The picture with the edit in it, or None where a map was asked for."""
    if not isinstance(result, EditResult):
        return None
    return picture.edited(request.image, result.image)


def _notes(edited: Picture | None, request: ImageRequest, result: ImageResult) -> tuple[str, ...]:
    """The result's, and a first one where the edit changed only what is transparent."""
    if not isinstance(result, EditResult) or edited is None or edited.alpha is None:
        return result.notes
    if result.notes and result.notes[0].startswith("Unchanged"):
        return result.notes
    found = unchanged(request.image, edited.seen(), result.mask, result.threshold, result.relevance)
    return result.notes if found is None else (found, *result.notes)


def _write(
    picture: Picture,
    edited: Picture | None,
    request: ImageRequest,
    result: ImageResult,
    folder: Path,
    report: Report,
) -> list[str]:
    """Write pictures and report into `folder`; returns the names of the files."""
    files.make_folder(folder)
    pictures: dict[str, NDArray[np.uint8] | NDArray[np.bool_]] = {}
    written = []
    if result.relevance is not None:
        pictures["relevance.png"] = heat_map(result.relevance)
        for name in ("suggested_threshold", "evidence", "applies"):
            report.figures[name] = getattr(result, name)
    if isinstance(result, EditResult) and edited is not None:
        pictures["mask.png"] = result.mask
        write_png(folder / "edit.png", edited)
        written.append("edit.png")
        kept = (edited.own == picture.own).all(axis=2) | result.mask
        report.figures["threshold"] = result.threshold
        report.figures["edited_share"] = float(result.mask.mean())
        report.figures["outside_is_input"] = bool(kept.all())
    if isinstance(result, RelevanceResult):
        image, heat = Image.fromarray(request.image), Image.fromarray(pictures["relevance.png"])
        pictures["overlay.png"] = np.asarray(Image.blend(image, heat, OVERLAY))
        np.save(folder / "relevance.npy", result.relevance)
        written.append("relevance.npy")
        report.figures |= {"spread": result.spread, "magnitude": result.magnitude}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / name)
    report.write(folder)
    return [*pictures, *written, "report.json"]


if __name__ == "__main__":
    sys.exit(main())
