"""Rows of pictures of one width with words below them: what an edit did, to be looked at.

    python -m backend.output.poster OUT.png POSTER.json

POSTER.json is a list of rows; a row is a list of {"words": TEXT, "picture": FILE} or, of a map or
a mask, {"words": TEXT, "relevance": FILE, "of": FILE} and {"words": TEXT, "region": FILE, "of":
FILE}, which are shown over the picture that they are of.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from backend.pictures import heat_map

WIDTH = 3120
"""Pixels of a row."""
GAP = 24
LINE = 46
FONT_SIZE = 34
PAPER, INK = (250, 250, 248), (40, 40, 40)
OUTLINE = 5
"""Pixels of the line around a region."""
DIM = 0.35
"""How bright a picture is below a map."""
PALE = 0.72
"""How much of the paper a picture has outside a region."""

Tile = tuple[Image.Image, str]


def poster(rows: Sequence[Sequence[Tile]], width: int = WIDTH) -> Image.Image:
    """One RGB picture of all rows, each as wide as the others.

    Args:
        rows: tiles of picture and words, of any number of lines; the pictures of a row have one
            aspect ratio.
        width: pixels of a row, without the margins.
    """
    strips = [_strip(row, width) for row in rows]
    sheet = Image.new(
        "RGB", (width + 2 * GAP, GAP + sum(strip.height + GAP for strip in strips)), PAPER
    )
    top = GAP
    for strip in strips:
        sheet.paste(strip, (GAP, top))
        top += strip.height + GAP
    return sheet


def _strip(row: Sequence[Tile], width: int) -> Image.Image:
    font = ImageFont.load_default(size=FONT_SIZE)
    tile = (width - GAP * (len(row) - 1)) / len(row)
    tall = round(max(tile * picture.height / picture.width for picture, _ in row))
    lines = max(words.count("\n") + 1 for _, words in row)
    strip = Image.new("RGB", (width, tall + GAP // 2 + lines * LINE), PAPER)
    draw = ImageDraw.Draw(strip)
    for number, (picture, words) in enumerate(row):
        left, right = round(number * (tile + GAP)), round(number * (tile + GAP) + tile)
        size = (right - left, round(tile * picture.height / picture.width))
        strip.paste(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), (left, 0))
        draw.multiline_text((left, tall + GAP // 2), words, INK, font, spacing=6)
    return strip


def over_picture(relevance: Image.Image, picture: Image.Image) -> Image.Image:
    """A map (L, of any size) as colours from dark to bright, over the dimmed picture."""
    levels = np.asarray(relevance.convert("L").resize(picture.size), np.float32)
    values = levels / np.float32(255)
    grey = np.asarray(picture.convert("L"), np.float32) * DIM
    opacity = values[..., None]
    shown = (1 - opacity) * grey[..., None] + opacity * heat_map(values)
    return Image.fromarray(shown.round().astype(np.uint8))


def cut_out(region: Image.Image, picture: Image.Image) -> Image.Image:
    """The picture, pale outside a region (L, of its size, white inside), which has an outline."""
    inside = region.convert("L").point(lambda value: 255 * (value > 127))
    pale = Image.blend(
        picture.convert("L").convert("RGB"), Image.new("RGB", picture.size, PAPER), PALE
    )
    shown = Image.composite(picture.convert("RGB"), pale, inside)
    edge = np.asarray(inside.filter(ImageFilter.MaxFilter(2 * OUTLINE - 1))) != np.asarray(inside)
    line = Image.fromarray((edge * 255).astype(np.uint8))
    shown.paste(INK, mask=line)
    return shown


def _tile(described: dict[str, str]) -> Tile:
    words = described["words"]
    if "picture" in described:
        return Image.open(described["picture"]), words
    picture = Image.open(described["of"])
    if "region" in described:
        return cut_out(Image.open(described["region"]), picture), words
    return over_picture(Image.open(described["relevance"]), picture), words


def main(arguments: list[str]) -> int:
    """Write a poster; the exit status."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    out, description = map(Path, arguments)
    rows = json.loads(description.read_text("utf-8"))
    poster([[_tile(tile) for tile in row] for row in rows]).save(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
