"""`python -m backend evaluate capture`: whether a capture is good enough for edits.

Masks of a region in every view are all that it takes, since they are the truth: of where the region
is, and of what an edit that paints it should give. Without them, the field alone is measured.
Everything is measured in the views that the radiance field holds out of its training, whose masks
nothing else sees.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.captures.view_masks import (
    ViewMask,
    read_view_masks,
    without_training_masks,
)
from backend.editing import Editor
from backend.editing.encoders import ClipEncoder, load_encoder
from backend.editing.relevance import perfect_map
from backend.errors import BadInput, words_of
from backend.evaluation.lpips import Lpips, load_lpips
from backend.evaluation.maps import Table
from backend.evaluation.options import CaptureOptions
from backend.evaluation.relevance import markdown
from backend.evaluation.scenes import capture_figures, put_on_top
from backend.evaluation.scenes.capture_figures import (
    CELLS,
    NOTHING_HELD_OUT,
    Photo,
    cell_of,
    check_marked,
    paint_for,
    painter,
    photos_of,
)
from backend.evaluation.scenes.capture_instruction import (
    edit_by_model,
    edited_by_model,
    open_model,
)
from backend.evaluation.scenes.clip_figures import edited_capture
from backend.evaluation.scenes.put_on_top import WithBall
from backend.evaluation.scenes.scene_figures import Figures
from backend.evaluation.scenes.telling import as_before, told, told_of_edit
from backend.evaluation.scenes.true_editor import TrueEditor, spoiled
from backend.evaluation.scenes.verdict import verdict
from backend.fields.config import EDIT_PRESETS, SceneEditConfig
from backend.fields.relevance_field import Relevance
from backend.output.contact_sheet import contact_sheet
from backend.output.report import Report, print_notes
from backend.scenes.camera import View
from backend.scenes.camera_path import orbit
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_records import MIDDLE
from backend.scenes.scene import Scene
from backend.work_lock import InUse, alone_in

SHEET_VIEWS = 4
FIELDS_FOLDER = "fields"
PARTS = {"": "", "-spoiled": ", noise and holes", "-behind": ", everything else"}
"""Relevance fields of a region, by what their folders' names end with."""


@dataclasses.dataclass
class Region:
    """One mask folder's region, and what became of it.

    Attributes:
        name: of the folder.
        trained, held_out: its views.
        perfect: the field of the exact maps.
        figures: of it.
        worst: name of the held-out view in which it is found worst.
        edit: that paints it, where one was made.
        added: that puts a ball on top of it, where one was made.
        with_ball: the held-out views with the ball.
    """

    name: str
    trained: list[Photo]
    held_out: list[Photo]
    perfect: Relevance
    figures: Figures
    worst: str
    edit: SceneEdit | None = None
    added: SceneEdit | None = None
    with_ball: Sequence[WithBall] = ()


def run(options: CaptureOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        return _run(options, command)
    except (BadInput, InUse, FloatingPointError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1


def _run(options: CaptureOptions, command: list[str]) -> int:
    work = options.out / FIELDS_FOLDER
    scene = Scene.open(options.folder, options.downscale, work, options.device, options.axes)
    scene.capture = without_training_masks(scene.capture, options.masks)
    masks = {name: read_view_masks(folder, scene.capture) for name, folder in _named(options.masks)}
    editor = open_model(options)  # before what may take hours
    encoder = None if options.clip is None else load_encoder(options.clip, options.device)
    lpips = None if options.lpips is None else load_lpips(options.lpips, options.device)
    if encoder is not None:
        orbit(scene.capture, 1)  # there is one
    with alone_in(work):
        return _evaluate(scene, masks, editor, encoder, lpips, options, command)


def _evaluate(
    scene: Scene,
    masks: Mapping[str, Mapping[str, ViewMask]],
    editor: Editor | None,
    encoder: ClipEncoder | None,
    lpips: Lpips | None,
    options: CaptureOptions,
    command: list[str],
) -> int:
    config = EDIT_PRESETS[options.preset]
    report = Report(
        command,
        settings={
            "preset": options.preset,
            "downscale": scene.downscale,
            "cells": options.cells,
            "instruction": options.instruction,
            "model": editor and editor.card.name,
            "dtype": editor and str(editor.card.dtype).removeprefix("torch."),
            "clip": encoder and encoder.name,
            "lpips": lpips and lpips.name,
        },
        notes=[
            *scene.capture.notes,
            *as_before(options.downscale, scene.downscale),
            *scene.note_on_size(options.preset, "--out"),
        ],
    )
    print_notes(report.notes)
    with report.stage("radiance field"):
        course = scene.train(config=options.preset, on_step=told("radiance field"))
    held_out = [name for name in scene.capture.names if name not in scene.field.names]
    if not held_out:
        raise BadInput(NOTHING_HELD_OUT)
    report.settings |= {
        "held_out": held_out,
        "field": dataclasses.asdict(scene.trained_with()),
        "edit": dataclasses.asdict(config.for_views(len(scene.field.names))),
    }
    with report.stage("measuring"):
        before = [scene.render(scene.camera(name)) for name in held_out]
    regions = []
    for name, found in masks.items():
        regions.append(_measured(scene, name, found, held_out, before, config, options, report))
    by_model, refused = None, ""
    if editor is not None:
        with report.stage("the model's edit"):
            try:
                by_model = edit_by_model(scene, editor, options, config)
            except BadInput as error:  # the other figures are worth having
                refused = str(error)
    photos = photos_of(scene, held_out, None, options.cells)
    field = capture_figures.reconstruction(before, photos)
    field |= {"steps": course.step, "seconds": round(course.seconds, 2)}
    said = verdict(field, {one.name: one.figures for one in regions})
    tables: dict[str, Table] = {"Field": {options.folder.name or "capture": _rounded(field)}}
    if regions:
        tables["Regions"] = {one.name: _rounded(one.figures) for one in regions}
    if by_model is not None:
        marked = {one.name: one.held_out for one in regions}
        done = edited_by_model(scene, by_model, options.colour, marked, before)
        tables[f'"{options.instruction}", towards {options.colour}'] = {
            name: _rounded(figures) for name, figures in done.items()
        }
        if encoder is not None:
            with report.stage("measuring"):
                along = edited_capture(
                    scene.capture, scene, by_model, options.captions, encoder, lpips
                )
            tables[f'"{options.instruction}", along an orbit, by {encoder.name}'] = {
                mode: _rounded(figures) for mode, figures in along.items()
            }
    report.figures |= tables
    report.notes += said
    text = "\n".join(markdown(title, table) for title, table in tables.items())
    (options.out / "figures.md").write_text("\n".join([text, *said, ""]), "utf-8")
    _sheet(scene, photos, regions, before, by_model).save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print("\n".join(said))
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")
    if refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    return 0


def _named(folders: Sequence[Path]) -> list[tuple[str, Path]]:
    """The mask folders by the names that figures have for them; no two are the same."""
    resolved = [folder.resolve() for folder in folders]
    short = [folder.name for folder in resolved]
    if len(set(resolved)) < len(resolved):
        raise BadInput("The same folder of masks is given twice: name each once.")
    return [
        (name if short.count(name) == 1 else str(folder), folder)
        for name, folder in zip(short, folders, strict=True)
    ]


def _measured(
    scene: Scene,
    name: str,
    masks: Mapping[str, ViewMask],
    held_out: Sequence[str],
    before: Sequence[View],
    config: SceneEditConfig,
    options: CaptureOptions,
    report: Report,
) -> Region:
    """All that is measured of one region."""
    trained = photos_of(scene, scene.field.names, masks, options.cells)
    others = photos_of(scene, held_out, masks, options.cells)
    check_marked(name, trained, others)
    key = _key(name, masks, options.cells)
    exact = [photo.cells for photo in trained]
    rng = np.random.default_rng(0)
    maps = {
        "": exact,
        "-spoiled": [spoiled(one, rng) for one in exact],
        "-behind": [1 - one for one in exact],
    }
    figures: Figures = {}
    worst = ""
    fields: dict[str, Relevance] = {}
    chosen = config.for_views(len(trained)).relevance_field
    for part, words in (
        ("", ""),
        ("-spoiled", ", noise and holes"),
        ("-behind", ", everything else"),
    ):
        with report.stage("relevance fields"):
            fields[part] = scene.train_relevance(
                key + part,
                [perfect_map(one) for one in maps[part]],
                config=chosen,
                on_step=told(f"relevance field of {name}{words}"),
            )
        with report.stage("measuring"):
            found, view = capture_figures.located(scene, fields[part], others, part == "-behind")
        figures |= {
            f"IoU{words}": found["IoU"],
            f"IoU{words}, at the best threshold": found["at the best threshold"],
        }
        if not part:
            figures["IoU, worst view"] = found["worst view"]
            worst = view
    region = Region(name, trained, others, fields[""], figures, worst)
    if not options.fields_only:
        with report.stage("edits"):
            region.edit, colour = _painted(scene, key, trained, config)
        with report.stage("measuring"):
            after = [region.edit.render(scene.camera(photo.name)) for photo in others]
            figures |= capture_figures.edited(after, colour, others, before)
            figures |= capture_figures.agreement(region.edit, trained)
    if options.put_on_top:
        _put_on_top(scene, key, region, before, config, report)
    return region


def _key(name: str, masks: Mapping[str, ViewMask], cells: int) -> str:
    """A name for the edits of a region, other for other masks and other cells of their maps."""
    pixels = hashlib.sha256()
    for view in sorted(masks):
        pixels.update(np.packbits(masks[view].stored > 127).tobytes())
    if cells != CELLS:  # as earlier versions named them
        pixels.update(str(cells).encode())
    words = "".join(c for c in name.lower() if c.isascii() and (c.isalnum() or c in "-_"))
    return f"{words[-32:].strip('-_') or 'region'}-{pixels.hexdigest()[:10]}"


def _painted(
    scene: Scene, key: str, trained: Sequence[Photo], config: SceneEditConfig
) -> tuple[SceneEdit, str]:
    """The edit that paints a region, and the colour."""
    colour = paint_for(trained)
    editor = painter(trained, colour)
    edit = scene.edit(
        f"paint it {colour}",
        editor,
        config=dataclasses.replace(config, snap="nothing"),
        name=key,
        on_progress=told_of_edit(),
    )
    return edit, colour


def _put_on_top(
    scene: Scene,
    key: str,
    region: Region,
    before: Sequence[View],
    config: SceneEditConfig,
    report: Report,
) -> None:
    """Edit the scene with a ball on top of a region, and measure it."""
    with report.stage("measuring"):
        ball = put_on_top.ball_on(scene, region.trained)
        trained = []
        if ball is not None:
            trained = [put_on_top.put(scene, ball, photo) for photo in region.trained]
            region.with_ball = [put_on_top.put(scene, ball, photo) for photo in region.held_out]
    if ball is None or not any(view.inside.any() for view in region.with_ball):
        why = "most photos end below it" if ball is None else "no view that is held out shows it"
        note = f"Nothing was put on top of {region.name}: {why}."
        print_notes([note])
        report.notes.append(note)
        return
    with report.stage("edits"):
        region.added = scene.edit(
            f"put a {ball.colour} ball on top of it",
            TrueEditor([view.truth for view in trained], cell_of(region.trained)),
            config=dataclasses.replace(config, snap="nothing"),
            name=f"{key}-ball",
            on_progress=told_of_edit(),
        )
    with report.stage("measuring"):
        after = [region.added.render(scene.camera(photo.name)) for photo in region.held_out]
        region.figures |= put_on_top.added(after, region.with_ball, before)


def _rounded(figures: Figures) -> Figures:
    return {name: round(value, 3) for name, value in figures.items()}


def _sheet(
    scene: Scene,
    photos: Sequence[Photo],
    regions: Sequence[Region],
    before: Sequence[View],
    by_model: SceneEdit | None,
) -> Image.Image:
    """Held-out views: photo and field, of every region its mask, relevance from exact maps and
    edit, and the model's edit if there is one.
    """
    rows = []
    which: Sequence[Region | None] = regions or [None]
    for region in which:
        shown_of = photos if region is None else region.held_out
        worst = None if region is None else region.worst
        for index in _chosen([photo.name for photo in shown_of], worst):
            photo, seen = shown_of[index], before[index]
            solid = (seen.accumulation.clip(0, 1) * 255).astype(np.uint8)
            field = [(seen.image, "field"), (solid, "solid: white")]
            words = Path(photo.name).name + ("\nfound worst" if photo.name == worst else "")
            row: list[tuple[NDArray[Any], str]] = [(photo.image, words), *field]
            if region is not None:
                row[1:1] = [(photo.inside, region.name)]
                row += _found(scene, photo, region)
            if by_model is not None:
                row += [(by_model.render(scene.camera(photo.name)).image, by_model.instruction)]
            rows.append([(Image.fromarray(picture), words) for picture, words in row])
    return contact_sheet(rows, tile=160)


def _chosen(names: Sequence[str], worst: str | None) -> list[int]:
    """Indices of the views for the sheet, spread evenly, with the worst among them."""
    count = len(names)
    chosen = np.linspace(0, count - 1, min(count, SHEET_VIEWS)).round().astype(int).tolist()
    if worst is not None and (place := names.index(worst)) not in chosen:
        nearest = min(range(len(chosen)), key=lambda k: abs(chosen[k] - place))
        chosen[nearest] = place
    return chosen


def _found(scene: Scene, photo: Photo, region: Region) -> list[tuple[NDArray[Any], str]]:
    """What exact maps of a region find in a view, and the region's edit."""
    camera = scene.camera(photo.name)
    relevance = scene.render(camera, region.perfect).relevance
    assert relevance is not None
    found: list[tuple[NDArray[Any], str]] = [(relevance >= MIDDLE, "found from exact maps")]
    if region.edit is not None:
        found.append((region.edit.render(camera).image, region.edit.instruction))
    if region.added is not None:
        (view,) = (one for one in region.with_ball if one.photo.name == photo.name)
        found.append((view.truth.edited, "with a ball: truth"))
        found.append((region.added.render(camera).image, region.added.instruction))
    return found
