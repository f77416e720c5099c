"""Laying an edit of a small render over the full-size one, with numpy alone.

What an edit has put into the small render is what it holds beyond the share that the unedited
render still has in each pixel. That alone is enlarged, weighted by where it is: so nothing of the
small render comes along, neither around the region's edge nor in a soft rim, and the full-size
render's own pixels make up the rest. All of it is mixed as light, not as sRGB's numbers.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .resizing import LIGHT

Floats = NDArray[np.float32]
LEAST = np.float32(1 / 512)
"""Share of the edit below which a full-size pixel stays as it is: it would change by no level."""
STRIP = 128
"""Rows that are worked on at once, which bounds the memory that it takes."""
MARGIN = 2
"""Pixels around what changed that the enlarged ones depend on."""


def srgb_bytes(light: Floats) -> NDArray[np.uint8]:
    """The nearest of sRGB's 256 levels for light of any shape; what is not in 0..1 is clipped."""
    return np.rint(srgb(light) * 255).astype(np.uint8)


def srgb(light: Floats) -> Floats:
    """SRGB's values, 0..1, for light of any shape; what is not in 0..1 is clipped."""
    light = np.clip(light, 0, 1)
    curved = np.float32(1.055) * np.power(light, np.float32(1 / 2.4)) - np.float32(0.055)
    return np.where(light <= 0.0031308, light * np.float32(12.92), curved).astype(np.float32)


def laid_over(
    full: NDArray[np.uint8], base: NDArray[np.uint8], edit: NDArray[np.uint8], held: Floats
) -> NDArray[np.uint8]:
    """The full-size render with an edit laid over it.

    Args:
        full: (H, W, C), sRGB; of 4 channels the last is alpha, and the colours are straight.
        base: (h, w, C), the same render as it was edited.
        edit: (h, w, C), what became of it, with the same alpha.
        held: (h, w) in 0..1, how much of the edit each pixel of it holds (`shares`).

    Returns:
        uint8 (H, W, C): the very bytes of `full` but for pixels less than one pixel of `base` away
        from what the edit has changed. Where both sizes are the same, the edit.
    """
    made = full.copy()
    if full.shape == base.shape:
        changed = changes(base, edit)
        made[changed] = edit[changed]
        return made
    for rows, columns, colours, share in enlarged(base, edit, full.shape[:2], held):
        own = full[rows, columns]
        mixed = srgb_bytes(colours * share + (1 - share) * LIGHT[own[..., :3]])
        seen = (share > LEAST) & (own[..., 3:] > 0) if own.shape[2] == 4 else share > LEAST
        made[rows, columns, :3] = np.where(seen, mixed, own[..., :3])
    return made


def layer(
    base: NDArray[np.uint8], edit: NDArray[np.uint8], size: tuple[int, int], held: Floats
) -> NDArray[np.uint8]:
    """The edit alone as uint8 (H, W, 4) for `size`, height and width: its straight sRGB colours,
    and as alpha its share of each pixel (the matte). The other arguments are those of `laid_over`.
    """
    made = np.zeros((*size, 4), np.uint8)
    for rows, columns, colours, share in enlarged(base, edit, size, held):
        matte = np.where(share > LEAST, np.rint(share * 255), 0).astype(np.uint8)
        made[rows, columns] = np.concatenate([srgb_bytes(colours) * (matte > 0), matte], axis=2)
    return made


def enlarged_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask, bool (h, w), at a larger size, with smooth outlines."""
    down, across = (
        _Places(large, small, slice(0, small))
        for large, small in zip(size, mask.shape, strict=True)
    )
    wide = across.resample(mask.astype(np.float32), 1, slice(0, size[1]))
    found: NDArray[np.bool_] = down.resample(wide, 0, slice(0, size[0])) >= np.float32(0.5)
    return found


def changes(base: NDArray[np.uint8], edit: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where an edit differs from what it was made of, bool (h, w)."""
    found: NDArray[np.bool_] = (base != edit).any(axis=2)
    return found


def shares(changed: NDArray[np.bool_], rim: float) -> Floats:
    """How much of the edit each pixel of it holds, (h, w) in 0..1: by the distance from the
    outline of what has changed, where the rim is 0 to where it is 1. The picture's border is no
    outline.
    """
    inside = np.pad(changed, 1, constant_values=True)
    around = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    changed = changed | around  # a single pixel that the edit happens to leave as it is
    if rim <= 1:
        return changed.astype(np.float32)
    depth, left, cross = np.zeros(changed.shape, np.float32), changed, True
    while left.any() and depth.max() < rim + 1:
        depth += left
        left = _eroded(left, cross)
        cross = not cross  # crosses and squares by turns: nearly circles
    found: Floats = ((depth - 0.5) / np.float32(rim)).clip(0, 1).astype(np.float32)
    return found


def _eroded(mask: NDArray[np.bool_], cross: bool) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1, constant_values=True)
    rows = padded[:-2] & padded[1:-1] & padded[2:]
    if cross:
        flat = padded[1:-1]
        return rows[:, 1:-1] & flat[:, :-2] & flat[:, 2:]
    return rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]


def enlarged(
    base: NDArray[np.uint8],
    edit: NDArray[np.uint8],
    size: tuple[int, int],
    share: Floats,
    height: int = STRIP,
) -> Iterator[tuple[slice, slice, Floats, Floats]]:
    """The edit at another size, in strips of so many rows: rows and columns of the strip, the
    edit's colours as light, (rows, columns, 3), and its share, (rows, columns, 1) in 0..1.
    """
    if not share.any():
        return
    found = [np.flatnonzero(share.any(axis=axis)) for axis in (1, 0)]
    places = [
        _Places(count, own, slice(int(line[0]), int(line[-1]) + 1))
        for count, own, line in zip(size, share.shape, found, strict=True)
    ]
    down, across = places
    window = (down.read, across.read)
    alpha = np.ones((*share.shape, 1), np.float32)[window]
    if base.shape[2] == 4:
        alpha = base[window][..., 3:] / np.float32(255)
    part = share[window][..., None]
    held = LIGHT[edit[window][..., :3]] - (1 - part) * LIGHT[base[window][..., :3]]
    values = np.concatenate([held * alpha, part * alpha, alpha], axis=2)
    wide = across.resample(values, 1, slice(0, across.count))
    for start in range(0, down.count, height):
        rows = slice(start, min(start + height, down.count))
        strip = down.resample(wide, 0, rows)
        covered = np.maximum(strip[..., 3:4], np.float32(1e-6))
        of_seen = strip[..., 3:4] / np.maximum(strip[..., 4:5], np.float32(1e-6))
        place = slice(down.start + rows.start, down.start + rows.stop)
        columns = slice(across.start, across.start + across.count)
        yield place, columns, (strip[..., :3] / covered).clip(0, 1), of_seen.clip(0, 1)


class _Places:
    """Along one axis, which pixels of the small picture each of the large one is made of."""

    def __init__(self, large: int, small: int, changed: slice) -> None:
        scale = large / small
        self.start = max(0, int((changed.start - 1) * scale))
        self.count = min(large, int(np.ceil((changed.stop + 1) * scale))) - self.start
        at = (self.start + np.arange(self.count) + 0.5) / scale - 0.5
        first = np.floor(at).astype(int)
        self._at = (at - first).astype(np.float32)
        low, high = max(0, first.min() - MARGIN), min(small, first.max() + 1 + MARGIN)
        self.read = slice(low, high)
        self._first, self._last = first - low, high - low - 1

    def resample(self, values: Floats, axis: int, part: slice) -> Floats:
        """Catmull-Rom's curve through the pixels, kept between the two that a place lies between:
        sharp, without the halos that it would have around edges.
        """
        first, at = self._first[part], self._at[part]
        before, left, right, after = (
            np.take(values, (first + by).clip(0, self._last), axis) for by in (-1, 0, 1, 2)
        )
        at = at.reshape([-1 if one == axis else 1 for one in range(values.ndim)])
        slope, bend = right - before, 2 * before - 5 * left + 4 * right - after
        curve = 3 * (left - right) + after - before
        found: Floats = left + np.float32(0.5) * at * (slope + at * (bend + at * curve))
        return np.clip(found, np.minimum(left, right), np.maximum(left, right))
