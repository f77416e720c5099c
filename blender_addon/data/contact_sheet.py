"""One picture of all variants, each with its seed, and which of them is where in it."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..link.aside import Aside, aside, breath
from ..link.encode import encode_png
from . import pictures
from .blocks import with_uid

CELLS = "watch_your_steps_cells"
"""Custom property of a sheet's Image data-block: the uids of its edits, by lines."""
SIDE = 1024
"""Pixels of a sheet's longest side, at most."""
BACKGROUND = 24
"""Grey of gaps and of cells without a picture."""
PAPER, INK = 32, 240
"""Greys of a seed's ground and of its digits."""
GLYPHS = {
    "0": "111101101101111",
    "1": "010110010010111",
    "2": "111001111100111",
    "3": "111001111001111",
    "4": "101101111001001",
    "5": "111100111001111",
    "6": "111100111101111",
    "7": "111001001001001",
    "8": "111101111101111",
    "9": "111101111001111",
}
"""Digits of 3 x 5 pixels, row by row."""


@dataclass(frozen=True, eq=False)
class _Ahead:
    """A sheet that was put together before the last of its edits was kept."""

    uids: list[str]
    """Of all but the last."""
    seeds: list[int]
    last: NDArray[np.uint8]
    sheet: NDArray[np.uint8]
    png: bytes


_ahead: list[_Ahead] = []
"""The last one."""


def forget_all() -> None:
    """Another file was opened."""
    _ahead.clear()


def of_group(settings: bpy.types.PropertyGroup, group: str) -> list[bpy.types.PropertyGroup]:
    """The edits that were asked for together and are still in the list, the first one first."""
    return [one for one in reversed(settings.edits) if group and one.variants == group]


def columns(count: int) -> int:
    """How many columns a sheet of `count` pictures has, and rows: so many that it has the pictures'
    own shape.
    """
    return math.isqrt(max(count, 1) - 1) + 1


def compose(shown: list[NDArray[np.uint8]], seeds: list[int]) -> NDArray[np.uint8]:
    """A sheet, uint8 (H, W, 3): pictures, uint8 (h, w, 3) and of one size, row by row from the top
    left, each with its seed in the lower left corner.
    """
    count = columns(len(shown))
    height, width = shown[0].shape[:2]
    scale = min(1.0, SIDE / (count * max(height, width)))
    rows, across = max(1, round(height * scale)), max(1, round(width * scale))
    gap = max(1, across // 100)
    sheet = np.full((count * rows, count * across, 3), BACKGROUND, np.uint8)
    for number, (picture, seed) in enumerate(zip(shown, seeds, strict=True)):
        top, left = number // count * rows, number % count * across
        cell = sheet[top : top + rows, left : left + across]
        inner = cell[gap:-gap, gap:-gap]
        inner[:] = _scaled(picture, *inner.shape[:2])
        tag = _tag(seed, max(1, rows // 80))[: inner.shape[0], : inner.shape[1]]
        inner[inner.shape[0] - tag.shape[0] :, : tag.shape[1]] = tag[..., None]
    return sheet


def _scaled(picture: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """A picture of another size: means of blocks, and between these linearly."""
    block = max(1, min(picture.shape[0] // rows, picture.shape[1] // columns))
    high, wide = picture.shape[0] // block, picture.shape[1] // block
    whole = picture[: high * block, : wide * block].reshape(high, block, wide, block, 3)
    values = _means(whole) if block > 1 else picture
    for axis, size in ((0, rows), (1, columns)):
        values = _resampled(values, axis, size)
    return (values + 0.5).astype(np.uint8)


def _means(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The means of blocks (h, n, w, n, 3), (h, w, 3). Whole rows are added, which takes a tenth of
    the time of numpy's own mean over two axes.
    """
    high, block, wide = blocks.shape[:3]
    rows = blocks[:, 0].astype(np.uint32)
    for number in range(1, block):
        rows += blocks[:, number]
    sums = rows.reshape(high, wide, block, 3)
    found = sums[:, :, 0].astype(np.float32)
    for number in range(1, block):
        found += sums[:, :, number]
    return found / np.float32(block * block)


def _resampled(
    values: NDArray[np.float32] | NDArray[np.uint8], axis: int, size: int
) -> NDArray[np.float32]:
    had = values.shape[axis]
    place = np.clip((np.arange(size, dtype=np.float32) + 0.5) * had / size - 0.5, 0, had - 1)
    below = place.astype(np.intp)
    above = np.minimum(below + 1, had - 1)
    share = (place - below).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    first, second = (values.take(where, axis).astype(np.float32) for where in (below, above))
    return first + (second - first) * share


def _tag(seed: int, scale: int) -> NDArray[np.uint8]:
    """A number in digits, uint8 (h, w)."""
    glyphs = [np.array(list(GLYPHS[digit]), np.uint8).reshape(5, 3) for digit in str(seed)]
    row = np.concatenate([np.pad(glyph, ((1, 1), (1, 0))) for glyph in glyphs], axis=1)
    ink = np.pad(row, ((0, 0), (0, 1))).repeat(scale, 0).repeat(scale, 1)
    return np.where(ink > 0, INK, PAPER).astype(np.uint8)


def composing(
    scene: bpy.types.Scene, group: str, last: NDArray[np.uint8], seed: int
) -> Generator[Aside[Any], None, None]:
    """The work of `make` for edits of a group, and one more of this seed whose picture, uint8
    (H, W, 3), is about to be kept; a thread does most of it (`aside`).
    """
    edits, scene_uid = of_group(scene.watch_your_steps, group), scene.session_uid
    uids = [one.uid for one in edits if _has_picture(one)]
    shown: list[NDArray[np.uint8]] = []
    seeds: list[int] = []
    for uid in uids:
        if shown:
            yield from breath()
        there = with_uid(bpy.data.scenes, scene_uid)  # read anew by an undo, or not open any more
        found = of_group(there.watch_your_steps, group) if there is not None else []
        entry = next((one for one in found if one.uid == uid), None)
        if entry is None or not _has_picture(entry):
            return  # deleted meanwhile
        shown.append(pictures.read_rgb(entry.image))
        seeds.append(entry.seed)
    if not uids or any(one.shape != last.shape for one in shown):
        return

    def put_together() -> tuple[NDArray[np.uint8], bytes]:
        sheet = compose([*shown, last], [*seeds, seed])
        return sheet, encode_png(sheet)

    sheet, png = yield from aside(put_together)
    _ahead[:] = [_Ahead(uids, [*seeds, seed], last, sheet, png)]


def make(scene: bpy.types.Scene, group: str) -> bool:
    """Make the sheet of a group's edits and show it; whether there are at least two of them with a
    picture. A sheet that shows these very edits already is shown as it is.
    """
    settings = scene.watch_your_steps
    there = [one for one in of_group(settings, group) if _has_picture(one)]
    if len(there) < 2:
        return False
    cells = "\n".join(one.uid for one in there)
    old = settings.sheet_image
    if old is None or old.get(CELLS) != cells or pictures.why_lost(old):
        sheet, png = _put_together(there)
        image = pictures.new_packed_image(f"{scene.name} variants", png, sheet)
        pictures.tag_as_seen(scene, image)
        image[CELLS] = cells
        forget(scene)
        settings.sheet_image = image
    settings.view = "VARIANTS"
    return True


def _put_together(
    there: list[bpy.types.PropertyGroup],
) -> tuple[NDArray[np.uint8], bytes]:
    """The sheet of edits, and its file."""
    uids, seeds = [one.uid for one in there], [one.seed for one in there]
    last = pictures.read_rgb(there[-1].image)
    for known in _ahead:
        if (known.uids, known.seeds) == (uids[:-1], seeds) and known.last is last:
            return known.sheet, known.png
    sheet = compose([pictures.read_rgb(one.image) for one in there], seeds)
    return sheet, encode_png(sheet)


def _has_picture(entry: bpy.types.PropertyGroup) -> bool:
    return entry.image is not None and not pictures.why_lost(entry.image)


def forget(scene: bpy.types.Scene) -> None:
    """Show no sheet any more."""
    settings = scene.watch_your_steps
    image, settings.sheet_image = settings.sheet_image, None
    if settings.view == "VARIANTS":
        settings.view = "EDIT" if settings.edit_image is not None else "RENDER"
    if image is not None and image.users == 0:
        bpy.data.images.remove(image)


def uid_at(sheet: bpy.types.Image, x: float, y: float) -> str:
    """The uid of the edit at a place of a sheet, (0, 0) being its lower left corner and (1, 1) its
    upper right one; "" where there is none.
    """
    uids = str(sheet.get(CELLS, "")).split("\n")
    if not (0 <= x < 1 and 0 < y <= 1):
        return ""
    count = columns(len(uids))
    number = int((1 - y) * count) * count + int(x * count)
    return uids[number] if number < len(uids) else ""
