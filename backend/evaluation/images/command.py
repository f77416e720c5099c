"""`python -m backend evaluate images`: every method on single pictures of the demo world, along the
number that turns it: the paper's Figure 4 where the truth is known.

Writes report.json, figures.md, curves.png and contact_sheet.png, and under edits/ a record of every
edit: the same command goes on where it was stopped, and one with more samples or methods takes what
is there.
"""

import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from backend.editing.methods.method import Models, Request, missing
from backend.editing.methods.registry import METHODS, method
from backend.errors import BadInput, words_of
from backend.evaluation import metrics
from backend.evaluation.edits import OUTSIDE, ROUND_TRIP, SAME
from backend.evaluation.images.against import against
from backend.evaluation.images.panels import UP, Line, Row, panels
from backend.evaluation.images.plot import plotted
from backend.evaluation.images.points import Point, points_of
from backend.evaluation.images.work import ImagesWork
from backend.evaluation.kept_settings import check_settings, contents_of
from backend.evaluation.maps import Table
from backend.evaluation.options import ImagesOptions
from backend.evaluation.relevance import known_kinds, markdown
from backend.evaluation.samples import SEEDS, draw_present
from backend.evaluation.spread.edit_record import EditRecord, error, figures_of
from backend.evaluation.spread.executors import make
from backend.evaluation.spread.records import Records
from backend.evaluation.spread.work import SHOWN, Names
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.report import Report
from backend.work_lock import InUse, alone_in
from backend.world.pool import Sample
from protocol import files

COMPANION = "text_to_image"
"""The setting that may be added later."""
BY_METHOD, CURVES, AGAINST = "Methods at their defaults", "Curves", "Ours against the others"
OURS = "ours"
Rows = dict[Point, Row]


def run(options: ImagesOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        with alone_in(options.out / "edits"):
            return _run(options, command)
    except (BadInput, InUse, FloatingPointError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1


def _run(options: ImagesOptions, command: list[str]) -> int:
    kinds = known_kinds(options.kinds)
    records = Records(options.out / "edits")
    names = Names(
        options.model,
        options.device,
        options.dtype,
        options.text_to_image,
        options.clip,
        options.lpips,
    )
    tools = names.load()
    models = tools.models
    card, other = models.editor.card, models.text_to_image
    encoder = tools.encoder.name
    settings: dict[str, Any] = {
        "model": card.name,
        COMPANION: "" if other is None else other.card.name,
        "clip": encoder,
        "device": card.device_name,
        "dtype": str(card.dtype),
        "seeds": options.seeds,
        "kinds": list(kinds),
        "steps": options.steps,
        "seed": options.seed,
    }
    if tools.lpips is not None:
        settings["lpips"] = tools.lpips.name
    contents = contents_of(model=models.editor.model, text_to_image=other, clip=tools.encoder)
    check_settings(records.folder, settings | contents, (COMPANION, *contents))
    chosen, left_out = usable(options, models)
    for sentence in left_out:
        print(f"note: left out: {sentence}")
    report = Report(command, settings=settings | {"samples": options.samples}, notes=left_out)
    with report.stage("drawing scenes"):
        size = card.native_size
        samples = draw_present(SEEDS[options.seeds], options.samples, size, kinds)
    if not samples:
        raise BadInput("There are no such samples: ask for more, or for other kinds.")
    points = [point for name in chosen for point in points_of(name)]
    if options.defaults:
        points = [point for point in points if point.knob is None]
    with report.stage("edits"):
        work = ImagesWork(names, options.steps, options.seed)
        make(work, records, samples, points, options, card.device.type)
    rows = {one: figures_of(records.all(len(samples), one, EditRecord), encoder) for one in points}
    round_trip = round_trip_of(models, samples)
    report.figures |= {
        "round trip": round_trip,
        "points": [
            {
                "method": one.method,
                "label": METHODS[one.method].label,
                "knob": METHODS[one.method].knob.name,
                "stand": one.stand,
                "default": one.knob is None,
                **row,
            }
            for one, row in rows.items()
        ],
    }
    first, others = panels([line_of(name, rows) for name in chosen], round_trip[UP], encoder)
    found = tables(rows, round_trip)
    if OURS in chosen and not options.defaults:
        compared = {
            f"{AGAINST}: {one.up}, at equal {one.along}": against(one, METHODS[OURS].label)
            for one in (first, *others)
        }
        report.figures |= compared
        found |= compared
    text = "\n".join(markdown(*each) for each in found.items() if each[1])
    files.make_folder(options.out)
    files.write_text(options.out / "figures.md", text)
    files.write_bytes(
        options.out / "curves.png",
        plotted(
            f"Edits of {len(samples)} pictures of {options.seeds} scenes, {options.steps} steps, "
            f"{card.name}",
            first,
            others,
        ),
    )
    sheet(records, samples, chosen).save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md, curves.png, contact_sheet.png and report.json to {options.out}")
    return 0


def usable(options: ImagesOptions, models: Models) -> tuple[list[str], list[str]]:
    """The methods that were asked for and have what they need, and a sentence on each other.

    Raises:
        BadInput: there is no such method, or none is left.
    """
    nothing = np.zeros((1, 1, 3), np.uint8)
    request = Request(image=nothing, instruction="-", captions=("", ""), mask=nothing[..., 0] > 0)
    asked = METHODS if options.methods is None else options.methods
    lacking = {name: missing(method(name), models, request) for name in asked}
    sentences = [f"{one} See --text-to-image." for one in lacking.values() if one is not None]
    chosen = [name for name, one in lacking.items() if one is None]
    if not chosen:
        raise BadInput(sentences[0])
    return chosen, sentences


def round_trip_of(models: Models, samples: Sequence[Sample]) -> dict[str, float]:
    """PSNR in dB outside the true masks of pictures that only pass the VAE: what a perfect edit
    without pasting would keep.
    """
    errors = []
    for sample in samples:
        models.editor.set_image(sample.image)
        own = error(models.editor.round_trip(), sample.image, sample.mask < OUTSIDE)
        if own is not None:
            errors.append(own)
    each = [min(metrics.decibels(one), SAME) for one in errors]
    pooled = metrics.decibels(float(np.mean(errors)))
    figures = {"PSNR outside": float(np.mean(each)), "PSNR outside, pooled": min(pooled, SAME)}
    return {name: round(value, 3) for name, value in figures.items()}


def tables(rows: Rows, round_trip: Row) -> dict[str, Table]:
    """Every method where its knob stands by itself, and every point of every curve."""
    by_method = {METHODS[one.method].label: row for one, row in rows.items() if one.knob is None}
    curves = {}
    for one, row in rows.items():
        knob = METHODS[one.method].knob.name
        stand = f"{one.stand:g}" if isinstance(one.stand, float | int) else one.stand
        curves[f"{METHODS[one.method].label}: {knob} {stand}"] = row
    return {BY_METHOD: by_method | {ROUND_TRIP: round_trip}, CURVES: curves}


def line_of(name: str, rows: Rows) -> Line:
    """A method's curve, along the numbers of its knob."""
    own = [one for one in rows if one.method == name]
    turned = [one for one in own if isinstance(one.stand, float | int)]
    turned.sort(key=lambda one: one.stand)
    default = next(one for one in own if one.knob is None)
    return Line(METHODS[name].label, [rows[one] for one in turned or own], rows[default])


def sheet(records: Records, samples: Sequence[Sample], methods: Sequence[str]) -> Image.Image:
    """The first samples: picture, true edit, and what every method makes by default."""
    rows: list[list[Tile]] = []
    for number, sample in enumerate(samples[:SHOWN]):
        tiles: list[Tile] = [
            (Image.fromarray(sample.image), textwrap.fill(sample.edit.instruction, 19)),
            (Image.fromarray(sample.edited), "true edit"),
        ]
        for name in methods:
            picture = records.picture(number, Point(name, None))
            tiles.append((Image.fromarray(picture), textwrap.fill(METHODS[name].label, 19)))
        rows.append(tiles)
    return contact_sheet(rows, tile=128)
