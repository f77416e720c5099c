"""`python -m backend evaluate grid`: one picture edited at every pair of a threshold and an image
guidance, as in the paper's Figures 5 and 14: the threshold says where, the guidance how much.

All edits are from one map, one noise and one instruction. Writes grid.png, every edit by itself,
and report.json.
"""

import sys
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.editing import Editor, RelevanceMap
from backend.errors import BadInput, check_instruction, check_value, words_of
from backend.evaluation.options import GridOptions
from backend.output.contact_sheet import Tile, contact_sheet
from backend.output.progress import OnProgress, shown_progress
from backend.output.report import Report, print_notes
from backend.pictures import heat_map, read_picture
from backend.pictures.changes import UNSEEN
from backend.pictures.visible_change import changed_share
from protocol.settings import EditSettings, RegionSettings, Threshold
from protocol.values import MAX_IMAGE_SIDE

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Cell:
    """One edit of the grid.

    Attributes:
        threshold, image_guidance: of it.
        image: uint8 (H, W, 3).
        edited: share 0..1 of the picture that lies in its region.
        changed: share 0..1 of that which can be seen to have changed.
    """

    threshold: float
    image_guidance: float
    image: Picture
    edited: float
    changed: float

    @property
    def name(self) -> str:
        """Of its file and its figures."""
        return f"threshold {self.threshold:g}, image guidance {self.image_guidance:g}"


def edits(
    editor: Editor,
    image: Picture,
    instruction: str,
    options: GridOptions,
    on_progress: OnProgress,
) -> tuple[RelevanceMap, list[list[Cell]]]:
    """The map of a picture, uint8 (H, W, 3), and its edits: a row for each threshold.

    Raises:
        FloatingPointError: the networks overflowed.
    """
    editor.set_image(image)
    on_progress("Relevance", 0.0)
    relevance = editor.relevance(instruction)
    rows: list[list[Cell]] = []
    count = len(options.thresholds) * len(options.image_guidances)
    for threshold in options.thresholds:
        row: list[Cell] = []
        for guidance in options.image_guidances:
            number = len(rows) * len(options.image_guidances) + len(row)
            on_progress(f"Edit {number + 1} of {count}", number / count)
            edit = editor.edit(
                instruction,
                threshold=threshold,
                relevance=relevance,
                settings=EditSettings(
                    steps=options.steps,
                    seed=options.seed,
                    text_guidance=options.text_guidance,
                    image_guidance=guidance,
                    detail=options.detail,
                ),
                region=RegionSettings(snap="nothing"),
            )
            seen = changed_share(image, edit.image, edit.mask, UNSEEN)
            row.append(Cell(threshold, guidance, edit.image, float(edit.mask.mean()), seen))
        rows.append(row)
    on_progress("Edited", 1.0)
    return relevance, rows


def sheet(image: Picture, relevance: RelevanceMap, rows: list[list[Cell]]) -> Image.Image:
    """A row for each threshold, which begins with its region, a column for each guidance; above
    them the picture and the map.
    """
    height, width = image.shape[:2]
    values = relevance.at(height, width)
    top: list[Tile] = [
        (Image.fromarray(image), "the picture"),
        (
            Image.fromarray(heat_map(values)),
            f"relevance, suggested\nthreshold {relevance.suggested_threshold:.2f}",
        ),
    ]
    found: list[list[Tile]] = [top]
    for row in rows:
        first = row[0]
        region = Image.fromarray(values >= first.threshold)
        words = f"threshold {first.threshold:g}\n{first.edited:.0%} of the picture"
        tiles = [(cell.image, f"image guidance\n{cell.image_guidance:g}") for cell in row]
        found.append([(region, words), *((Image.fromarray(shown), w) for shown, w in tiles)])
    return contact_sheet(found)


def run(options: GridOptions, command: list[str]) -> int:
    """Edit and write; the exit status."""
    try:
        return _run(options, command)
    except (BadInput, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cancelled; nothing was written", file=sys.stderr)
        return 130


def _run(options: GridOptions, command: list[str]) -> int:
    check(options)
    picture = read_picture(options.image, MAX_IMAGE_SIDE)
    image = picture.seen()
    if options.out.exists() and any(options.out.iterdir()):
        raise BadInput(f"{options.out} is not empty: name a new folder with --out.")
    report = Report(command, settings=asdict(options), notes=list(picture.notes))
    report.settings |= {"image": str(options.image), "out": str(options.out)}
    with report.stage("loading the model"):
        editor = Editor.from_pretrained(options.model, options.device, options.dtype)
    report.settings |= {"model": editor.card.name, "device": editor.card.device_name}
    with report.stage("edits"), shown_progress() as show:
        relevance, rows = edits(editor, image, options.instruction, options, show)
    report.figures["suggested threshold"] = round(relevance.suggested_threshold, 4)
    for cell in (cell for row in rows for cell in row):
        report.figures[cell.name] = {
            "share of the picture edited": round(cell.edited, 4),
            "share of that changed visibly": round(cell.changed, 4),
        }
    (options.out / "edits").mkdir(parents=True, exist_ok=True)
    for cell in (cell for row in rows for cell in row):
        Image.fromarray(cell.image).save(options.out / "edits" / f"{cell.name}.png")
    sheet(image, relevance, rows).save(options.out / "grid.png")
    report.write(options.out)
    print_notes(report.notes)
    print(f"wrote grid.png, edits and report.json to {options.out}")
    return 0


def check(options: GridOptions) -> None:
    """Refuse what no grid can be made of.

    Raises:
        BadInput: no threshold or guidance is given, or one is out of range.
    """
    check_instruction(options.instruction)
    for name in ("thresholds", "image_guidances"):
        values = getattr(options, name)
        option = f"--{name.replace('_', '-')}"
        if not values or len({f"{value:g}" for value in values}) < len(values):
            raise BadInput(f"{option} must name one value at least, and none twice, to six digits.")
    for threshold in options.thresholds:
        check_value(Threshold, threshold)
    for guidance in options.image_guidances:
        if not 0.0 <= guidance <= 100.0:
            raise BadInput(f"--image-guidances must be from 0 to 100, not {guidance:g}.")
