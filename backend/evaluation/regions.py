"""`python -m backend evaluate regions`: what snapping the region and working on a crop do to edits,
by kind of edit, in pixels, where the truth is known.

The labels are the world's own things, its ground and its background among them. Every way edits the
same pictures with the same maps. Writes report.json, figures.md and contact_sheet.png.
"""

import statistics
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.editing import Editor
from backend.errors import BadInput
from backend.evaluation import metrics
from backend.evaluation.edits import OUTSIDE, SAME, STEPS
from backend.evaluation.maps import Table
from backend.evaluation.options import RegionOptions, RegionWay
from backend.evaluation.relevance import known_kinds, markdown
from backend.evaluation.samples import SEEDS, draw_present
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.report import Report
from backend.pictures import heat_map
from backend.world.pool import Sample
from backend.world.render import Rendering, render
from protocol.region import snapped
from protocol.settings import EditSettings, RegionSettings, taken
from protocol.values import Detail, Snap

WAYS: dict[RegionWay, tuple[Snap, Detail]] = {
    "today": ("nothing", "whole"),
    "edges": ("edges", "whole"),
    "things": ("things", "whole"),
    "edges-sharp": ("edges", "sharp"),
    "things-sharp": ("things", "sharp"),
    "things-fast": ("things", "fast"),
}
"""Rows of the tables: what the region keeps to, and what of the picture is worked on. "today" is
the map as it is, found once, and the whole picture; the others' times are given as shares of its.
"""
TODAY: RegionWay = "today"
SHEET_SAMPLES, SHEET_WORST = 10, 4


@dataclass(frozen=True, eq=False)
class Measured:
    """One sample, its region snapped in every way, and edited in every way if it is among those.

    Attributes:
        sample: which.
        group: kind of edit, and of what.
        seconds: of its map.
        ious: by what the region keeps to, in pixels; of TODAY the map's own that was found once.
        took: what the region keeps to where things are asked for.
        figures: by way, of its edit.
        shown: what the contact sheet shows, small.
    """

    sample: Sample
    group: str
    seconds: float
    ious: dict[str, float]
    took: Snap
    figures: dict[str, dict[str, float]]
    shown: list[Tile]


def run(options: RegionOptions, command: list[str]) -> int:
    """Measure and write; the exit status.

    Raises:
        BadInput: an option cannot be used.
    """
    kinds = known_kinds(options.kinds)
    editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    card = editor.card
    guidance = options.guidance.resolved(card.guidance.settings)
    report = Report(
        command,
        settings={
            "samples": options.samples,
            "edits": options.edits,
            "size": options.size,
            "kinds": list(kinds),
            "seeds": options.seeds,
            "steps": STEPS,
            "model": card.name,
            "device": card.device_name,
        }
        | asdict(guidance),
    )
    measured: list[Measured] = []
    with report.stage("maps and edits"):
        settings = replace(taken(EditSettings, guidance), steps=STEPS)
        asked = ["today", *options.ways]
        ways = {name: way for name, way in WAYS.items() if name in asked}
        for sample, picture in drawn(options, kinds):
            some = ways if len(measured) < options.edits else {}
            measured.append(measure(editor, sample, picture, some, settings))
            if len(measured) % 10 == 0:
                print(f"{len(measured)} of {options.samples} samples", flush=True)
    if not measured:
        raise BadInput("There are no such samples: ask for more, or for other kinds.")
    found = tables(measured)
    report.figures |= found
    report.figures["median seconds of a map"] = round(
        statistics.median(one.seconds for one in measured), 2
    )
    report.figures["samples"] = [
        {"instruction": one.sample.edit.instruction, "group": one.group, "took": one.took}
        | {"share of the picture": round(float((one.sample.mask > 0.5).mean()), 4)}
        | {snap: round(iou, 3) for snap, iou in one.ious.items()}
        | {"edits": one.figures}
        for one in measured
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(markdown(title, table) for title, table in found.items())
    (options.out / "figures.md").write_text(text, "utf-8")
    sheet(measured).save(options.out / "contact_sheet.png")
    report.write(options.out)
    print(text)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.out}")
    return 0


def drawn(options: RegionOptions, kinds: Sequence[str]) -> Iterator[tuple[Sample, Rendering]]:
    """The samples of `draw_present`, one picture after the other, and the pictures' renderings."""
    count = 0
    for seed in SEEDS[options.seeds]:
        some = draw_present(range(seed, seed + 1), options.samples - count, options.size, kinds)
        picture = None
        for sample in some:
            if picture is None:
                picture = render(sample.scene, sample.camera, options.size, options.size)
            yield sample, picture
            count += 1
        if count >= options.samples:
            return


def labels_of(picture: Rendering) -> NDArray[np.uint16]:
    """uint16 (H, W): what each pixel of a rendering shows most, as in its `ids`."""
    numbers = np.unique(picture.ids)
    shares = np.stack([picture.share(picture.ids == number) for number in numbers])
    return numbers[shares.argmax(axis=0)].astype(np.uint16)


def group_of(sample: Sample) -> str:
    """The kind of an edit, and of what a recolouring is."""
    kind, target = sample.edit.kind, sample.edit.target
    if kind != "recolour":
        return kind
    return f"recolour: {'one thing' if isinstance(target, int) else target}"


def measure(
    editor: Editor,
    sample: Sample,
    picture: Rendering,
    ways: dict[RegionWay, tuple[Snap, Detail]],
    settings: EditSettings,
) -> Measured:
    """Find the map of a sample, its regions, and its edits in these ways."""
    truth, things = sample.mask > 0.5, labels_of(picture)
    instruction = sample.edit.instruction
    begun = time.perf_counter()
    editor.set_image(sample.image)
    relevance = editor.relevance(instruction)
    seconds = time.perf_counter() - begun
    once = replace(relevance, closer=None)
    at, at_once = relevance.at(*truth.shape), once.at(*truth.shape)
    suggested = relevance.suggested_threshold
    ious: dict[str, float] = {TODAY: metrics.intersection_over_union(at_once >= suggested, truth)}
    took: Snap = "nothing"
    shown: list[Tile] = [
        (Image.fromarray(sample.image), textwrap.fill(instruction, 22)),
        (Image.fromarray(heat_map(at)), "relevance"),
    ]
    snaps: tuple[Snap, ...] = ("nothing", "edges", "things")
    for snap in snaps:
        found = snapped(at, sample.image, snap, things, relevance.suggested_threshold)
        region = found.values >= found.suggested_threshold
        ious[snap] = metrics.intersection_over_union(region, truth)
        took = found.took
        shown.append((Image.fromarray(region), f"{snap}\nIoU {ious[snap]:.2f}"))
    figures: dict[str, dict[str, float]] = {}
    palette = None
    if ways and sample.edit.kind == "recolour" and sample.edit.target is not None:
        palette = metrics.palette_of(picture, sample.edit.target, truth)
    for name, (snap, detail) in ways.items():
        editor.set_image(np.zeros_like(sample.image))  # nothing is known of the picture
        begun = time.perf_counter()
        editor.set_image(sample.image)
        edited = editor.edit(
            instruction,
            relevance=once if name == TODAY else relevance,
            things=things,
            region=RegionSettings(snap=snap),
            settings=replace(settings, detail=detail),
        ).image
        figures[name] = {"seconds": time.perf_counter() - begun} | judged(sample, edited, palette)
        if name in ("today", "things-sharp"):
            shown.append((Image.fromarray(edited), name))
    shown.append((Image.fromarray(sample.edited), "true edit"))
    small = [(tile.resize((160, 160)), words) for tile, words in shown]
    return Measured(sample, group_of(sample), seconds, ious, took, figures, small)


def judged(
    sample: Sample, edited: NDArray[np.uint8], palette: metrics.Palette | None
) -> dict[str, float]:
    """Strict success of an edit, its PSNR in dB inside the true region against the true edit, and
    outside against the input.
    """
    inside, outside = sample.mask > 0.5, sample.mask < OUTSIDE
    found: dict[str, float] = {}
    success = metrics.strict_success(sample, edited, palette)
    if success is not None:
        found["success"] = float(success)
    if inside.any():
        found["PSNR inside"] = min(metrics.psnr(edited, sample.edited, inside), SAME)
    if outside.any():
        found["PSNR outside"] = min(metrics.psnr(edited, sample.image, outside), SAME)
    return found


def tables(measured: Sequence[Measured]) -> dict[str, Table]:
    """The regions' IoU by kind, and of each kind a table of edits with a row for each way."""
    groups: dict[str, list[Measured]] = defaultdict(list)
    for one in measured:
        groups[one.group].append(one)
    groups = dict(sorted(groups.items())) | ({"all": list(measured)} if len(groups) > 1 else {})
    regions: Table = {}
    found = {"IoU of the region at its suggested threshold": regions}
    for group, some in groups.items():
        regions[group] = metrics.mean_figures(
            [one.ious | {"took things": float(one.took == "things")} for one in some]
        )
        edited = [one for one in some if one.figures]
        if edited:
            found[f"Edits: {group}"] = edits_table(edited)
    return found


def edits_table(edited: Sequence[Measured]) -> Table:
    """A row for each way: means over samples, medians of the PSNR inside and of the seconds, and
    all seconds as a share of today's.
    """
    table: Table = {}
    base = sum(one.figures["today"]["seconds"] for one in edited)
    for way, (snap, _) in WAYS.items():
        rows = [one.figures[way] for one in edited if way in one.figures]
        if not rows:
            continue
        inside = [row["PSNR inside"] for row in rows if "PSNR inside" in row]
        median: Callable[[list[float]], float] = statistics.median
        table[way] = metrics.mean_figures(
            [
                {"IoU": one.ious[way if way == TODAY else snap]}
                | {name: value for name, value in row.items() if name != "seconds"}
                for one, row in zip(edited, rows, strict=True)
            ]
        )
        table[way]["PSNR inside, median"] = round(median(inside), 2) if inside else SAME
        table[way]["seconds, median"] = round(median([row["seconds"] for row in rows]), 2)
        share = sum(row["seconds"] for row in rows) / base
        table[way]["share of today's time"] = round(share, 2)
    return table


def sheet(measured: Sequence[Measured]) -> Image.Image:
    """The first samples, edited ones if there are any, and below them those whose regions of things
    are worst.
    """
    some = [one for one in measured if one.figures] or list(measured)
    worst = sorted(some, key=lambda one: one.ious["things"])[:SHEET_WORST]
    first = [one for one in some if one not in worst][:SHEET_SAMPLES]
    return contact_sheet([one.shown for one in (*first, *worst)], tile=160)
