"""`python -m backend evaluate sweep`: the demo world's samples edited at every pair of a threshold
and an image guidance (the paper's Figures 4 and 13), and maps at noise levels (Figure 11) and of
several noises.

Writes report.json, figures.md, heat_maps.png, curves.png, maps.png and contact_sheet.png, and under
records/ what was measured of every edit and map: the same command goes on where it was stopped.
"""

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from backend.errors import BadInput, check_value, words_of
from backend.evaluation import metrics
from backend.evaluation.images.command import round_trip_of
from backend.evaluation.images.panels import TOP, UP, Line, Row, panels
from backend.evaluation.images.plot import plotted
from backend.evaluation.kept_settings import check_settings, contents_of
from backend.evaluation.maps import Table
from backend.evaluation.options import SweepOptions
from backend.evaluation.relevance import known_kinds, markdown
from backend.evaluation.samples import SEEDS, draw_present
from backend.evaluation.spread.edit_record import POOLED_EDIT_PSNR, EditRecord, figures_of
from backend.evaluation.spread.executors import make
from backend.evaluation.spread.records import Records
from backend.evaluation.spread.work import SHOWN, Names
from backend.evaluation.sweep.plot import HeatMap, heat_maps, map_curves
from backend.evaluation.sweep.work import MapAt, MapRecord, Pair, SweepWork
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.report import Report
from backend.work_lock import InUse, alone_in
from backend.world.pool import Sample
from protocol import files
from protocol.settings import MapSettings, Threshold

OF_MAPS = ("AUROC", "IoU suggested", "best IoU")
"""What is drawn of maps."""
LEVEL = MapSettings.noise_level
"""That maps of several noises are found at."""


def run(options: SweepOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        with alone_in(options.out / "records"):
            return _run(options, command)
    except (BadInput, InUse, FloatingPointError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1


def _run(options: SweepOptions, command: list[str]) -> int:
    check(options)
    kinds = known_kinds(options.kinds)
    names = Names(options.model, options.device, options.dtype, None, options.clip, options.lpips)
    tools = names.load()
    card, encoder = tools.models.editor.card, tools.encoder.name
    settings: dict[str, Any] = {
        "model": card.name,
        "clip": encoder,
        "device": card.device_name,
        "dtype": str(card.dtype),
        "seeds": options.seeds,
        "kinds": list(kinds),
        "steps": options.steps,
        "normalisation": options.normalisation,
    }
    if tools.lpips is not None:
        settings["lpips"] = tools.lpips.name
    records = Records(options.out / "records")
    contents = contents_of(model=tools.models.editor.model, clip=tools.encoder)
    check_settings(records.folder, settings | contents, tuple(contents))
    asked = {
        "samples": options.samples,
        "thresholds": options.thresholds,
        "image_guidances": options.image_guidances,
        "edit_seeds": options.edit_seeds,
        "noise_levels": options.noise_levels,
        "noises": options.noises,
    }
    report = Report(command, settings=settings | asked)
    with report.stage("drawing scenes"):
        samples = draw_present(SEEDS[options.seeds], options.samples, card.native_size, kinds)
    if not samples:
        raise BadInput("There are no such samples: ask for more, or for other kinds.")
    pairs = [
        Pair(threshold, guidance, seed)
        for seed in options.edit_seeds
        for threshold in options.thresholds
        for guidance in options.image_guidances
    ]
    maps = list(
        dict.fromkeys(
            [MapAt(level, 1) for level in options.noise_levels]
            + [MapAt(LEVEL, count) for count in options.noises]
        )
    )
    with report.stage("edits and maps"):
        work = SweepWork(names, options.steps, options.normalisation)
        make(work, records, samples, [*maps, *pairs], options, card.device.type)
    made = {one: records.all(len(samples), one, EditRecord) for one in pairs}
    found = {one: records.all(len(samples), one, MapRecord) for one in maps}
    round_trip = round_trip_of(tools.models, samples)
    tables = tables_of(options, made, found, encoder)
    report.figures |= {"round trip": round_trip} | tables
    text = "\n".join(markdown(*each) for each in tables.items())
    files.make_folder(options.out)
    files.write_text(options.out / "figures.md", text)
    rows = by_pair(options, made, encoder)
    first, others = panels(lines_of(options, rows), round_trip[UP], encoder)
    title = (
        f"Edits of {len(samples)} pictures of {options.seeds} scenes, {options.steps} steps, "
        f"{card.name}; image guidance from {min(options.image_guidances):g} to "
        f"{max(options.image_guidances):g}"
    )
    files.write_bytes(options.out / "curves.png", plotted(title, first, others))
    files.write_bytes(
        options.out / "heat_maps.png",
        heat_maps(
            drawn(rows, encoder), sorted(options.thresholds), sorted(options.image_guidances)
        ),
    )
    levels = {one.level: maps_row(found[one]) for one in maps if one.noises == 1}
    counts = {one.noises: maps_row(found[one]) for one in maps if one.level == LEVEL}
    files.write_bytes(options.out / "maps.png", map_curves(levels, counts, OF_MAPS))
    sheet(records, samples, sorted(levels)).save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print(
        "wrote figures.md, heat_maps.png, curves.png, maps.png, contact_sheet.png and report.json "
        f"to {options.out}"
    )
    return 0


def check(options: SweepOptions) -> None:
    """Refuse what cannot be swept over.

    Raises:
        BadInput: nothing is given, something twice, or a value is out of range.
    """
    for name in ("thresholds", "image_guidances", "edit_seeds", "noise_levels", "noises"):
        values, option = getattr(options, name), f"--{name.replace('_', '-')}"
        if not values or len({f"{value:g}" for value in values}) < len(values):
            raise BadInput(f"{option} must name one value at least, and none twice, to six digits.")
    for threshold in options.thresholds:
        check_value(Threshold, threshold)
    for name, low, high in (
        ("image_guidances", 0, 100),
        ("noise_levels", 0, 1),
        ("noises", 1, 64),
        ("edit_seeds", 0, 2**32 - 1),
    ):
        for value in getattr(options, name):
            if not low <= value <= high:
                option = f"--{name.replace('_', '-')}"
                raise BadInput(f"{option} must be from {low} to {high}, not {value:g}.")


def by_pair(
    options: SweepOptions, made: Mapping[Pair, Sequence[EditRecord]], encoder: str
) -> dict[tuple[float, float], Row]:
    """The rows of pairs, over all of their seeds."""
    return {
        (threshold, guidance): figures_of(
            [
                record
                for pair, records in made.items()
                if (pair.threshold, pair.image_guidance) == (threshold, guidance)
                for record in records
            ],
            encoder,
        )
        for threshold in options.thresholds
        for guidance in options.image_guidances
    }


def tables_of(
    options: SweepOptions,
    made: Mapping[Pair, Sequence[EditRecord]],
    found: Mapping[MapAt, Sequence[MapRecord]],
    encoder: str,
) -> dict[str, Table]:
    """Edits by pair, by seed, and maps."""
    tables: dict[str, Table] = {
        "Edits": {
            f"threshold {threshold:g}, image guidance {guidance:g}": row
            for (threshold, guidance), row in by_pair(options, made, encoder).items()
        }
    }
    if len(options.edit_seeds) > 1:
        tables["Edits of all pairs, by seed"] = {
            f"seed {seed}": figures_of(
                [one for pair, records in made.items() if pair.seed == seed for one in records],
                encoder,
            )
            for seed in options.edit_seeds
        }
    tables["Maps"] = {
        f"noise level {one.level:g}, {one.noises} noise{'s' * (one.noises > 1)}": maps_row(records)
        for one, records in found.items()
    }
    return tables


def maps_row(records: Iterable[MapRecord]) -> Row:
    """Means over maps that have a truth, and how many these are."""
    figures = [record.figures for record in records if record.figures]
    return {"n": len(figures)} | metrics.mean_figures(figures) if figures else {"n": 0}


def lines_of(options: SweepOptions, rows: Mapping[tuple[float, float], Row]) -> list[Line]:
    """A curve for each threshold, along the image guidance."""
    return [
        Line(
            f"threshold {threshold:g}",
            [rows[threshold, guidance] for guidance in sorted(options.image_guidances)],
        )
        for threshold in sorted(options.thresholds)
    ]


def drawn(rows: Mapping[tuple[float, float], Row], encoder: str) -> list[HeatMap]:
    """The heat maps of figures that the rows have."""
    shown = {
        "success": ("strict success", 2),
        UP: (f"PSNR outside the true mask in dB, at most {TOP:g}", 1),
        POOLED_EDIT_PSNR: ("edit PSNR, pooled, in dB", 1),
        f"direction similarity, {encoder}": (f"direction similarity, {encoder}", 3),
        f"image similarity, {encoder}": (f"image similarity, {encoder}", 3),
        "share edited": ("share of the picture edited", 2),
    }
    found = []
    for name, (title, digits) in shown.items():
        top = TOP if name == UP else np.inf
        values = {pair: min(row[name], top) for pair, row in rows.items() if name in row}
        if values:
            found.append(HeatMap(title, values, digits))
    return found


def sheet(records: Records, samples: Sequence[Sample], levels: Sequence[float]) -> Image.Image:
    """The first samples: picture, true mask, and the map of one noise at every noise level, as in
    the paper's Figure 11.
    """
    rows: list[list[Tile]] = []
    for number, sample in enumerate(samples[:SHOWN]):
        mask = np.rint(sample.mask * 255).astype(np.uint8)
        tiles: list[Tile] = [
            (Image.fromarray(sample.image), textwrap.fill(sample.edit.instruction, 19)),
            (Image.fromarray(mask), "true mask"),
        ]
        for level in levels:
            picture = records.picture(number, MapAt(level, 1))
            tiles.append((Image.fromarray(picture), f"noise level {level:g}"))
        rows.append(tiles)
    return contact_sheet(rows, tile=128)
