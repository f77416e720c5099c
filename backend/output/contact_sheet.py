"""Pictures side by side with words, as one PNG.

    python -m backend.output.contact_sheet OUT.png SHEET.json

SHEET.json is a list of rows; a row is a list of {"picture": FILE, "words": TEXT}.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

TILE = 256
MARGIN = 12
LINE = 17
PAPER, INK = (250, 250, 248), (40, 40, 40)

Tile = tuple[Image.Image, str]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def contact_sheet(rows: Sequence[Sequence[Tile]], tile: int = TILE) -> Image.Image:
    """One RGB picture of all rows.

    Args:
        rows: tiles of picture and words, of any number of lines; more are made of lines that are
            longer than a tile.
        tile: pixels of a tile's longer side.
    """
    font = ImageFont.load_default(size=13)
    rows = [[(picture, _within(tile, words, font)) for picture, words in row] for row in rows]
    columns = max(len(row) for row in rows)
    lines = max(words.count("\n") + 1 for row in rows for _, words in row)
    height = tile + 6 + lines * LINE + MARGIN
    size = (columns * (tile + MARGIN) + MARGIN, len(rows) * height + MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for y, row in enumerate(rows):
        for x, (picture, words) in enumerate(row):
            left = MARGIN + x * (tile + MARGIN)
            top = MARGIN + y * height
            scale = tile / max(picture.size)
            shown = picture.convert("RGB").resize(
                (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
                Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC,
            )
            sheet.paste(shown, (left, top))
            draw.multiline_text((left, top + tile + 4), words, INK, font, spacing=2)
    return sheet


def _within(width: int, words: str, font: Font) -> str:
    """The words in lines of so many pixels at most, broken at spaces where there are some."""
    lines = []
    for line in words.split("\n"):
        left = line
        while font.getlength(left) > width:
            fitting = max(
                k for k in range(1, len(left)) if k == 1 or font.getlength(left[:k]) <= width
            )
            space = left.rfind(" ", 0, fitting + 1)
            end = space if space > 0 else fitting
            lines.append(left[:end])
            left = left[end:].lstrip(" ")
        lines.append(left)
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write a contact sheet; the exit status."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    out, description = map(Path, arguments)
    rows = json.loads(description.read_text("utf-8"))
    tiles = [[(Image.open(tile["picture"]), tile["words"]) for tile in row] for row in rows]
    contact_sheet(tiles).save(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
