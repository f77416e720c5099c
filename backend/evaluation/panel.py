"""Figures of what `blender_addon/demo/panel_samples.py` brought from Blender.

    python -m backend.evaluation.panel DIR

compares the regions that the add-on's panel showed, at the threshold that it suggests, with what
Blender's camera sees of the named thing; beside it the world's own renders of the same samples,
whose regions the Editor finds by the same rule from the world's own labels. Writes figures.md,
report.json and contact_sheet.png into DIR.
"""

import argparse
import sys
import textwrap
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.editing import Editor
from backend.errors import BadInput
from backend.evaluation.maps import Table, groups_of
from backend.evaluation.metrics import intersection_over_union, mean_figures, psnr
from backend.evaluation.relevance import markdown
from backend.evaluation.renders import WORLD, drawn, read_index, rendered
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.report import Report
from backend.pictures import read_picture
from backend.world.pool import Sample
from backend.world.render import Rendering
from protocol.region import snapped
from protocol.settings import RegionSettings

SHEET_SAMPLES = 24
MAP_ALONE = "map alone"

Figures = dict[str, float]


@dataclass(frozen=True)
class Region:
    """What is edited of one picture.

    Attributes:
        image: uint8 (H, W, 3).
        mask: bool (H, W), at the suggested threshold.
        plain: the same of the map as it is, whose outline nothing was done to.
        took: what the mask keeps to.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    plain: NDArray[np.bool_]
    took: str


def measure(folder: Path, editor: Editor) -> tuple[Table, list[list[Tile]]]:
    """Figures by engine and kind of edit, and rows of a contact sheet.

    Raises:
        BadInput: the folder holds nothing of `panel_samples.py`.
    """
    index = read_index(folder)
    rows: dict[str, list[Figures]] = defaultdict(list)
    sheet: list[list[Tile]] = []
    for entry in index["renders"]:
        if not any("panel" in edit for edit in entry["edits"]):
            continue
        picture, own = drawn(entry, index["size"])
        labels = labels_of(picture)
        known: dict[int, Region] = {}
        for engine, file in entry["images"].items():
            for number, theirs in enumerate(rendered(folder, entry, file)):
                shown = entry["edits"][number].get("panel", {}).get(engine)
                if shown is None or not (theirs.mask > 0.5).any():
                    continue
                if number not in known:
                    known[number] = _of_world(editor, own[number], labels)
                region = _of_panel(folder, shown)
                figures = _figures(region, theirs) | _of_panels_own(folder, shown, theirs)
                beside = _figures(known[number], own[number])
                agree = intersection_over_union(theirs.mask > 0.5, own[number].mask > 0.5)
                for group in groups_of(own[number]):
                    rows[f"{engine}: {group}"].append(figures | {"masks agree": agree})
                    rows[f"{engine}: {group}, {WORLD}"].append(beside)
                sheet.append(_tiles(folder, shown, engine, own[number], theirs, region))
    if not rows:
        raise BadInput(f"{folder} has no regions: make them with panel_samples.py.")
    return {name: mean_figures(rows[name]) for name in sorted(rows)}, sheet


def labels_of(picture: Rendering) -> NDArray[np.uint16]:
    """What most of each pixel shows, by the world's own ids, uint16 (H, W)."""
    side, (height, width) = picture.supersample, picture.size
    cells = picture.ids.reshape(height, side, width, side).swapaxes(1, 2)
    values = np.unique(picture.ids)
    counts = np.stack([(cells == value).sum(axis=(2, 3)) for value in values])
    return values[counts.argmax(axis=0)].astype(np.uint16)


def _of_world(editor: Editor, sample: Sample, labels: NDArray[np.uint16]) -> Region:
    """The region of the world's own picture, by the rule that the panel follows."""
    editor.set_image(sample.image)
    relevance = editor.relevance(sample.edit.instruction)
    values = relevance.at(*sample.image.shape[:2])
    suggested = relevance.suggested_threshold
    found = snapped(values, sample.image, RegionSettings.snap, labels, suggested)
    mask = found.values >= np.float32(found.suggested_threshold)
    return Region(sample.image, mask, values >= np.float32(suggested), found.took)


def _of_panel(folder: Path, shown: dict[str, Any]) -> Region:
    files = shown["files"]
    mask, plain = (_read(folder / files[kind])[..., 0] > 127 for kind in ("region", "plain"))
    return Region(_read(folder / files["render"]), mask, plain, shown["took"])


def _read(path: Path) -> NDArray[np.uint8]:
    return read_picture(path).in_srgb()


def _figures(region: Region, sample: Sample) -> Figures:
    """How well a region fits, `sample` having the truth of its picture."""
    truth = sample.mask > 0.5
    return {
        "IoU": intersection_over_union(region.mask, truth),
        f"IoU, {MAP_ALONE}": intersection_over_union(region.plain, truth),
        "took things": float(region.took == "things"),
    }


def _of_panels_own(folder: Path, shown: dict[str, Any], sample: Sample) -> Figures:
    """How well one of the panel's things fits, what the edit keeps, and how long all took."""
    found = {f"seconds: {name}": value for name, value in shown["seconds"].items()}
    if "things" in shown["files"]:
        things, truth = _read(folder / shown["files"]["things"])[..., 0], sample.mask > 0.5
        fits = [intersection_over_union(things == label, truth) for label in np.unique(things)]
        found["IoU of the best thing"] = max(fits)
    if "edit" in shown["files"]:
        edited, outside = _read(folder / shown["files"]["edit"]), sample.mask < 0.02
        found["outside is input"] = float(shown["outside_is_input"])
        if outside.any():
            found["PSNR outside"] = min(99.0, psnr(edited, sample.image, outside))
    return found


def _tiles(
    folder: Path,
    shown: dict[str, Any],
    engine: str,
    own: Sample,
    theirs: Sample,
    region: Region,
) -> list[Tile]:
    iou = intersection_over_union(region.mask, theirs.mask > 0.5)
    before = intersection_over_union(region.plain, theirs.mask > 0.5)
    files = shown["files"]
    tiles: list[Tile] = [
        (Image.fromarray(own.image), textwrap.fill(own.edit.instruction, 30)),
        (Image.fromarray(theirs.image), engine),
        (Image.open(folder / files["relevance"]), "relevance"),
        (Image.fromarray(region.plain), f"{MAP_ALONE}\nIoU {before:.2f}"),
        (Image.fromarray(region.mask), f"the panel's region\nIoU {iou:.2f}, {region.took}"),
    ]
    if "edit" in files:
        tiles.append((Image.open(folder / files["edit"]), "its edit"))
    return tiles


def main(arguments: Sequence[str]) -> int:
    """Measure and write; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m backend.evaluation.panel",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="what panel_samples.py wrote")
    parser.add_argument("--model", default="demo", help="the server's (demo)")
    options = parser.parse_args(arguments)
    report = Report(["python", "-m", "backend.evaluation.panel", *arguments])
    try:
        editor = Editor.from_pretrained(options.model)
        with report.stage("measuring"):
            table, sheet = measure(options.folder, editor)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    report.settings = {"model": editor.card.name, "snap": RegionSettings.snap}
    report.figures = table
    text = markdown("The panel's regions in Blender", table)
    (options.folder / "figures.md").write_text(text, "utf-8")
    contact_sheet(sheet[:SHEET_SAMPLES], tile=192).save(options.folder / "contact_sheet.png")
    report.write(options.folder)
    print(text)
    print(f"wrote figures.md, contact_sheet.png and report.json to {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
