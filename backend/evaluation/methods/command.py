"""`python -m backend evaluate methods`: the methods that edit scenes, side by side on one trained
field: the paper's Table 1, with the truth where that is known.

Writes report.json, figures.md and contact_sheet.png, and under edits/ a record of every edit: the
same command goes on where it was stopped, and one with more repeats or methods takes what is there.
"""

import dataclasses
import sys
import textwrap
import time
from typing import Any

from PIL import Image

from backend.captures.view_masks import read_view_masks, without_training_masks
from backend.editing import Editor, ImageEditor
from backend.editing.devices import in_words
from backend.editing.encoders import DEMO, ClipEncoder, load_encoder
from backend.editing.methods.caption_editor import CaptionEditor
from backend.editing.models.registry import load_text_to_image, resolve_device
from backend.errors import BadInput, words_of
from backend.evaluation.edits import SAME
from backend.evaluation.kept_settings import check_settings, contents_of
from backend.evaluation.lpips import Lpips, load_lpips
from backend.evaluation.samples import SEEDS
from backend.evaluation.scenes.scene import open_scene
from backend.evaluation.scenes.scene_figures import Figures
from backend.evaluation.scenes.scene_world import WorldScene, draw
from backend.evaluation.scenes.telling import as_before, show, told
from backend.evaluation.scenes.true_editor import NAME
from backend.fields import checkpoint
from backend.fields.config import EDIT_PRESETS, SceneEditConfig
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.progress import time_left
from backend.output.report import Report, print_notes
from backend.scenes.scene import Scene
from backend.work_lock import InUse, alone_in
from protocol import files

from . import table
from .capture_subject import CaptureSubject
from .options import MethodsOptions
from .rows import ROWS, Need, usable
from .subject import Subject
from .work import EDITS, SECONDS, STEPS, Plan
from .world_subject import WorldSubject

COMPANION = "text_to_image"
"""The setting that may be added later."""
UNEDITED = "the unedited field"
TILE = 128


def run(options: MethodsOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        # its own edits, and the scene with its field, which other evaluations would take, too
        scene = options.out / ("scenes" if options.folder is None else "fields")
        with alone_in(options.out / "edits"), alone_in(scene):
            return _run(options, command)
    except (BadInput, InUse, FloatingPointError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1


def _run(options: MethodsOptions, command: list[str]) -> int:
    report = Report(command)
    chosen, left_out = usable(options.methods, _given(options))
    print_notes([f"left out: {sentence}" for sentence in left_out])
    # before what takes long
    model = None
    if options.editor == "model":
        model = Editor.from_pretrained(options.model, options.device, options.dtype)
    clip = _clip(options)
    encoder = None if clip is None else load_encoder(clip, options.device)
    lpips = None if options.lpips is None else load_lpips(options.lpips, options.device)
    other = None
    if options.text_to_image is not None:
        other = load_text_to_image(options.text_to_image, options.device, options.dtype)
    subject = _subject(options, encoder, lpips, report)
    editor: ImageEditor = subject.true_editor() if model is None else model
    by_caption = None
    if other is not None and subject.captions is not None:
        by_caption = CaptionEditor(other, subject.captions[1])
    config = _config(options, clip, subject.captions)
    # an edit takes those of the trained views, and figures also those of the others
    measured = subject.scene.field.names if options.folder is None else subject.scene.capture.names
    masks = [subject.masks[name] for name in measured]
    settings: dict[str, Any] = {
        "scene": _name(options, subject),
        "instruction": subject.instruction,
        "model": NAME if model is None else model.card.name,
        COMPANION: "" if other is None else other.card.name,
        "device": in_words(resolve_device(options.device)),
        "clip": encoder and encoder.name,
        "captions": options.captions and list(options.captions),
        "colour": options.colour,
        "masks": checkpoint.fingerprint(*masks),
        "preset": options.preset,
        "edit_preset": options.edit_preset or options.preset,
        "views": len(subject.scene.capture),
        "pixels": [lens.width for lens in subject.scene.capture.intrinsics[:1]],
    }
    if options.dtype != "auto":
        settings["dtype"] = options.dtype
    if lpips is not None:
        settings["lpips"] = lpips.name
    plan = Plan(options.out / "edits", subject, editor, by_caption, config)
    contents = contents_of(model=model and model.model, text_to_image=other, clip=encoder)
    check_settings(plan.folder, settings | contents, (COMPANION, *contents))
    report.settings = settings | {
        "repeats": options.repeats,
        "edits": {
            name: dataclasses.asdict(
                plan.config_of(name, 0).for_views(len(subject.scene.field.names))
            )
            for name in chosen
        },
    }
    refused = _make(plan, chosen, options.repeats, report)
    report.notes = left_out + refused
    with report.stage("measuring"):
        before = {what: min(v, SAME) for what, v in subject.figures(subject.unedited).items()}
    _write(plan, chosen, options, before, report)
    for sentence in refused:
        print(f"error: {sentence}", file=sys.stderr)
    return 1 if refused else 0


def _given(options: MethodsOptions) -> set[Need]:
    """What methods are given."""
    found: set[Need] = {"masks"}  # a capture must have them, and the world has its own
    if options.editor == "model":
        found.add("model")
    if options.text_to_image is not None:
        found.add("text-to-image")
    if options.folder is None or options.captions is not None:
        found.add("captions")
    if _clip(options) is not None:
        found.add("clip")
    return found


def _clip(options: MethodsOptions) -> str | None:
    """The CLIP that was asked for; by default the demo world's, which knows no photos."""
    return options.clip or (DEMO if options.folder is None else None)


def _config(
    options: MethodsOptions, clip: str | None, captions: tuple[str, str] | None
) -> SceneEditConfig:
    """The numbers of ours, and what a method is told that compares with captions."""
    config = EDIT_PRESETS[options.edit_preset or options.preset]
    if clip is not None:
        told = dataclasses.replace(config.clip_guidance, captions=captions, clip=clip)
        config = dataclasses.replace(config, clip_guidance=told)
    if options.editor == "truth":
        # perfect maps are relevance already, and to Eq. 3 all that is not 0 in them is an outlier
        config = dataclasses.replace(config, normalisation="full")
        if options.folder is not None:  # masks know their outlines
            config = dataclasses.replace(config, snap="nothing")
    return config


def _subject(
    options: MethodsOptions, encoder: ClipEncoder | None, lpips: Lpips | None, report: Report
) -> Subject:
    """The scene with its field, which is trained or taken from the folder."""
    if options.folder is None:
        with report.stage("drawing scenes"):
            world = _world(options)
        scene = open_scene(world, options.out / "scenes" / str(world.seed), False, options.device)
    else:
        fields = options.out / "fields"
        scene = Scene.open(options.folder, options.downscale, fields, options.device, options.axes)
        assert options.masks is not None
        scene.capture = without_training_masks(scene.capture, [options.masks])
        print_notes(as_before(options.downscale, scene.downscale))
    print_notes([*scene.capture.notes, *scene.note_on_size(options.preset, "--out")])
    masks = None if options.masks is None else read_view_masks(options.masks, scene.capture)
    with report.stage("radiance field"):
        scene.train(config=options.preset, on_step=told("radiance field"))
    if options.folder is None:
        assert encoder is not None
        given = None
        if masks is not None:
            sizes = zip(scene.capture.names, scene.capture.intrinsics, strict=True)
            given = {name: masks[name].at(lens.height, lens.width) for name, lens in sizes}
        return WorldSubject(world, scene, encoder, lpips, given)
    assert masks is not None
    return CaptureSubject.of(
        scene, masks, options.instruction, options.colour, options.captions, encoder, lpips
    )


def _world(options: MethodsOptions) -> WorldScene:
    """The scene of the world that was asked for.

    Raises:
        BadInput: it cannot be measured.
    """
    if options.scene is None:
        drawn = (draw(seed, options.views, options.side) for seed in SEEDS[options.seeds])
        return next(world for world in drawn if world is not None)
    world = draw(options.scene, options.views, options.side)
    if world is None:
        raise BadInput(
            f"The scene {options.scene} of the demo world has nothing that can be told apart from "
            "all sides: name another --scene."
        )
    return world


def _name(options: MethodsOptions, subject: Subject) -> str:
    if isinstance(subject, WorldSubject):
        return str(subject.world.seed)
    assert options.folder is not None
    return str(options.folder.resolve())


def _make(plan: Plan, chosen: list[str], repeats: int, report: Report) -> list[str]:
    """Make every edit of which there is no record yet; a sentence on each that there cannot be."""
    tasks = [
        (name, repeat)
        for repeat in range(repeats)
        for name in chosen
        if plan.record(name, repeat) is None
    ]
    refused, began = [], time.monotonic()
    for number, (name, repeat) in enumerate(tasks):
        label = ROWS[name].label
        passed = time.monotonic() - began
        left = f", {time_left(passed / number * (len(tasks) - number))}" if number else ""
        show(f"edit {number + 1} of {len(tasks)}: {label}, repeat {repeat + 1}{left}")
        with report.stage(label):
            try:
                plan.make(name, repeat)
            except (BadInput, FloatingPointError) as error:  # the other figures are worth having
                refused.append(f"{label}, repeat {repeat + 1}: {error}")
    return refused


def _write(
    plan: Plan, chosen: list[str], options: MethodsOptions, before: Figures, report: Report
) -> None:
    """Tables, sheet and report of what was made."""
    kept = {
        ROWS[name].label: [
            found
            for repeat in range(options.repeats)
            if (found := plan.record(name, repeat)) is not None
        ]
        for name in chosen
    }
    methods = {label: table.spread(rows) for label, rows in kept.items() if rows}
    shown = {
        table.label_of(label, kept[label], options.repeats): row for label, row in methods.items()
    }
    report.figures = {
        UNEDITED: before,
        "methods": {label: methods[label] | {"each": kept[label]} for label in methods},
    }
    text = table.markdown(
        table.title_of(plan.subject.instruction, options.repeats),
        {UNEDITED: table.spread([before])} | shown,
        (*plan.subject.columns, EDITS, STEPS, SECONDS),
    )
    files.make_folder(options.out)
    files.write_text(options.out / "figures.md", "\n".join([text, *report.notes, ""]))
    _sheet(plan, chosen).save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")


def _sheet(plan: Plan, chosen: list[str]) -> Image.Image:
    """Held-out views, a column for the field and one for each method's first edit."""
    shown = {
        textwrap.fill(ROWS[name].label, 19): plan.shown(name, 0)
        for name in chosen
        if plan.record(name, 0) is not None
    }
    rows: list[list[Tile]] = []
    for camera, tiles in plan.subject.views():
        field = (Image.fromarray(plan.subject.unedited.render(camera).image), UNEDITED)
        edits = [(Image.fromarray(one.render(camera).image), label) for label, one in shown.items()]
        rows.append([*tiles, field, *edits])
    return contact_sheet(rows, tile=TILE)
