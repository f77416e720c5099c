"""`python -m backend evaluate relevance`: figures of a model's maps and edits on the demo world.

Scenes of held-out seeds, which nothing was trained on; the truth is the world's own masks. Writes
report.json, figures.md and contact_sheet.png.
"""

import dataclasses
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from backend.editing import Editor
from backend.editing.models.registry import DEMO_MODEL, DEMO_WEIGHTS
from backend.editing.prompt_check import write_evidence_limit
from backend.editing.relevance import normalise
from backend.editing.threshold import suggest_threshold
from backend.errors import BadInput
from backend.evaluation import maps, metrics
from backend.evaluation.edits import GUIDED, PLAIN, Edited, edit_samples, edits_table
from backend.evaluation.maps import OTHER, OWN, RawMaps, Table
from backend.evaluation.options import RelevanceOptions
from backend.evaluation.renders import read_renders
from backend.evaluation.samples import (
    SEEDS,
    Probe,
    absent_twins,
    draw_present,
    encode,
)
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.report import Report
from backend.world import world
from protocol.settings import MapSettings

SHEET_SAMPLES = 24

MAPS, PAPER_MAPS = "Maps at the default settings", 'Maps with normalisation "paper" and one seed'
CONTROLS, SETTINGS, CHECK = "Controls", "One setting at a time", "Prompt check"
RENDERS, EDITS = "Blender's renders", "Edits"
ONE_OBJECT, BY_NAME = "recolour: one object", "recolour: object by colour and shape"
SUMMARY = (
    ("AUROC, all kinds", MAPS, "all", "AUROC"),
    ("AUROC, recolouring one object", MAPS, ONE_OBJECT, "AUROC"),
    ("IoU at the suggested threshold, recolouring one object", MAPS, ONE_OBJECT, "IoU suggested"),
    ("... of a mask of all objects", CONTROLS, "mask of all objects, one object", "IoU suggested"),
    ("... of the paper's map at 0.5", PAPER_MAPS, ONE_OBJECT, "IoU 0.5"),
    ("selection, recolouring, all wordings", MAPS, "recolour", "selection"),
    ("selection, recolouring, named by colour and shape", MAPS, BY_NAME, "selection"),
    ("AUROC where there is another instruction", CONTROLS, OWN, "AUROC"),
    ("... of that other instruction's map", CONTROLS, OTHER, "AUROC"),
    ("AUROC of the prompt check", CHECK, "all", "AUROC"),
    ("strict success of recolouring, plain IP2P", EDITS, PLAIN, "success: recolour"),
    ("strict success of recolouring, guided edit", EDITS, GUIDED, "success: recolour"),
    ("PSNR outside the true mask in dB, plain IP2P", EDITS, PLAIN, "PSNR outside"),
    ("PSNR outside the true mask in dB, guided edit", EDITS, GUIDED, "PSNR outside"),
    ("... pooled over all pixels, plain IP2P", EDITS, PLAIN, "PSNR outside, pooled"),
    ("... pooled over all pixels, guided edit", EDITS, GUIDED, "PSNR outside, pooled"),
)
"""Rows of the summary: name, and table, row and column that it comes from."""


def run(options: RelevanceOptions, command: list[str]) -> int:
    """Measure and write; the exit status."""
    try:
        return _run(options, command)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(options: RelevanceOptions, command: list[str]) -> int:
    kinds = known_kinds(options.kinds)
    if options.calibrate and options.seeds != "validation":
        raise BadInput("A limit must not be chosen on test scenes: add --seeds validation.")
    report = Report(
        command,
        settings={
            "samples": options.samples,
            "edits": options.edits,
            "kinds": list(kinds),
            "seeds": options.seeds,
            "captured": options.captured,
            "relevance_seeds": list(MapSettings.relevance_seeds),
            "normalisation": MapSettings.normalisation,
        },
    )
    editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    card = editor.card
    guidance = options.guidance.resolved(card.guidance.settings)
    report.settings |= {
        "model": card.name,
        "device": card.device_name,
    } | dataclasses.asdict(guidance)
    folder = Path(DEMO_WEIGHTS if card.name == DEMO_MODEL else card.name)
    if options.calibrate and not folder.is_dir():
        raise BadInput(f"{card.name} is not a folder into which a limit can be written.")
    with report.stage("drawing scenes"):
        size = card.native_size
        samples = draw_present(SEEDS[options.seeds], options.samples, size, kinds, options.captured)
        probe = encode(editor.model, samples)
        twins = encode(editor.model, absent_twins(probe.samples))
    with report.stage("maps"):
        raw = maps.raw_maps(editor.model, probe, _show)
        _, absent = maps.default_maps(editor.model, twins)
    limit = card.evidence_limit
    tables: dict[str, Table] = {
        MAPS: maps.by_group(probe, raw.default()),
        PAPER_MAPS: maps.by_group(probe, raw.by_seed[0], "paper"),
        CONTROLS: maps.controls(probe, raw.default()),
        SETTINGS: maps.one_at_a_time(probe, raw),
        CHECK: maps.prompt_checks(probe, raw.evidence, twins, absent, limit),
    }
    if options.renders is not None:
        with report.stage("renders"):
            tables[RENDERS] = renders_table(editor, options.renders, size)
    with report.stage("edits"):
        chosen = probe.samples[: options.edits]
        edited = edit_samples(editor, chosen, guidance, _show, options.ways)
        tables[EDITS] = edits_table(edited)
    tables = {"Summary": summary(tables)} | tables
    report.figures |= tables
    if options.calibrate:
        limit = tables[CHECK]["all"]["best limit"]
        print(f"wrote {write_evidence_limit(folder, limit)}")
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(markdown(title, table) for title, table in tables.items() if table)
    (options.out / "figures.md").write_text(text, "utf-8")
    sheet(probe, raw, edited).save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")
    return 0


def known_kinds(asked: Sequence[str] | None) -> Sequence[str]:
    """The kinds of edit that are asked for, all of them where none is.

    Raises:
        BadInput: there is no such kind.
    """
    unknown = set(asked or ()) - set(world.KINDS)
    if unknown:
        raise BadInput(
            f"There is no kind of edit {sorted(unknown)[0]!r}: use {', '.join(world.KINDS)}."
        )
    return asked or world.KINDS


def _show(words: str) -> None:
    print(words, flush=True)


def renders_table(editor: Editor, folder: Path, size: int) -> Table:
    """The same scenes and instructions in Blender's pictures and in the world's own.

    Raises:
        BadInput: the folder holds no renders, or of another format or size.
    """
    table: Table = {}
    for engine, samples in read_renders(folder).items():
        probe = encode(editor.model, [s for s in samples if s.edit.target is not None])
        raws, _ = maps.default_maps(editor.model, probe)
        for group, figures in maps.by_group(probe, raws).items():
            table[f"{engine}: {group}"] = figures
    return table


def summary(tables: dict[str, Table]) -> Table:
    """What the demo model is judged by, one figure a row, from the other tables."""
    found: Table = {}
    for name, title, row, column in SUMMARY:
        if column in tables[title].get(row, {}):
            found[name] = {"value": tables[title][row][column]}
    return found


def markdown(title: str, table: Table) -> str:
    """A table with a row for each key."""
    names = list(dict.fromkeys(name for row in table.values() for name in row))
    lines = [f"### {title}", "", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for key, row in table.items():
        cells = [f"{row[name]:g}" if name in row else "" for name in names]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sheet(probe: Probe, raw: RawMaps, edited: Sequence[Edited]) -> Image.Image:
    """Picture, map, mask, guided edit (of those that were edited) and true edit of the first
    samples, two in a row.
    """
    edits = {id(each.sample): each for each in edited}
    cells: list[list[Tile]] = []
    for sample, raw_map, truth in zip(
        probe.samples[:SHEET_SAMPLES], raw.default(), probe.truths, strict=False
    ):
        values = normalise(raw_map, MapSettings.normalisation)
        mask = values >= suggest_threshold(values)
        iou = metrics.intersection_over_union(mask, truth)
        tiles: list[Tile] = [
            (Image.fromarray(sample.image), textwrap.fill(sample.edit.instruction, 19)),
            (Image.fromarray(np.round(values * 255).astype(np.uint8)), "relevance"),
            (Image.fromarray(mask), f"suggested mask\nIoU {iou:.2f}"),
            (Image.fromarray(sample.edited), "true edit"),
        ]
        if id(sample) in edits:
            tiles.append((Image.fromarray(edits[id(sample)].pictures[GUIDED]), "guided edit"))
        cells.append(tiles)
    starts = range(0, len(cells), 2)
    rows = [[tile for cell in cells[start : start + 2] for tile in cell] for start in starts]
    return contact_sheet(rows, tile=128)
