"""Edits of one render, stacked: which of them are seen, how strongly, and in what order.

A layer is nothing but the uid of an edit that is kept, with a switch and an opacity. What it shows
is what that edit has changed of its own base, inside its own mask; outside, what lies below it is
seen. So nothing is changed by stacking, and nothing can be lost by it.
"""

from collections import OrderedDict
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from . import edge_share, edit_masks, edits, pictures

RGB = NDArray[np.uint8]
KEPT = 16
BITS = 8
PARTS = 1 << BITS
"""Steps of opacity."""

FIRST = "keep them as an edit, if you want them, and remove all first"
NONE = "There are no layers yet: add an edit to them first, below Edits"


@dataclass(frozen=True, eq=False)
class Part:
    """What an edit has changed, cut out where it has.

    Attributes:
        box: rows and columns of the picture.
        edited: uint8 (h, w, 3), sRGB, the edit.
        whole: bool (h, w, 3), where all is the edit's.
        soft: rows and columns, int (N,), of the pixels that are a mixture with the edit's base.
        base: float32 (N, 3), 0..255, what they are mixed with.
        share: float32 (N, 1), 0..1, how much of the edit they have.
    """

    box: tuple[slice, slice]
    edited: RGB
    whole: NDArray[np.bool_]
    soft: tuple[NDArray[np.intp], ...]
    base: NDArray[np.float32]
    share: NDArray[np.float32]

    @classmethod
    def cut_out(cls, edited: RGB, base: RGB, share: NDArray[np.float32]) -> "Part":
        """Of whole pictures, uint8 (H, W, 3), and how much of the edit each pixel has, float32
        (H, W), 0..1.
        """
        box = _box(share > 0)
        cut = share[box]
        whole = np.repeat((cut == 1)[..., None], 3, axis=2)
        soft = np.nonzero((cut > 0) & (cut < 1))
        mixed_with = base[box][soft].astype(np.float32)
        return cls(box, edited[box].copy(), whole, soft, mixed_with, cut[soft][:, None])

    def put_on(self, picture: RGB, opacity: float) -> None:
        """Lay it over a picture, uint8 (H, W, 3), in place; opacity in 256 steps.

        At a soft edge what lies below takes the place of the edit's base. Over its own base all is
        the edit's very bytes.
        """
        below, parts = picture[self.box], round(opacity * PARTS)
        under = below[self.soft].astype(np.float32)
        full = self.edited[self.soft] + (1 - self.share) * (under - self.base)
        mixed = under + np.float32(parts / PARTS) * (full - under)
        if parts == PARTS:
            np.copyto(below, self.edited, where=self.whole)
        else:  # whole numbers are several times as fast
            sums = below.astype(np.uint16) * np.uint16(PARTS - parts)
            sums += self.edited.astype(np.uint16) * np.uint16(parts)
            sums += PARTS // 2
            sums >>= BITS
            np.copyto(below, sums, where=self.whole, casting="unsafe")
        below[self.soft] = (mixed + 0.5).clip(0, 255).astype(np.uint8)


_parts: OrderedDict[object, Part] = OrderedDict()
"""Of the edits that were drawn last; what an edit has changed never changes."""
_last: tuple[object, RGB | None] = (None, None)
"""The last composite, and what it was made of."""


def forget_all() -> None:
    """Another file was opened."""
    global _last
    _parts.clear()
    _last = (None, None)


def root_of(entry: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The render that an edit is of, also where it is on top of other edits."""
    return entry.root or entry.render


def root(settings: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The render that all layers are of; None where there are none, or it was deleted."""
    for layer in settings.layers:
        entry = edits.named(settings, layer.edit)
        if entry is not None and root_of(entry) is not None:
            return root_of(entry)
    return None


def why_not(settings: bpy.types.PropertyGroup, entry: bpy.types.PropertyGroup) -> str:
    """Why an edit cannot become a layer, without a full stop; "" where it can."""
    if any(layer.edit == entry.uid for layer in settings.layers):
        return "This edit is a layer already"
    lost = why_lost(entry)
    below = root(settings)
    if lost or below is None:
        return lost
    own = root_of(entry)
    assert own is not None  # it is not lost
    if pictures.size_of(own) != pictures.size_of(below):
        return f"The layers are of a render of another size: {FIRST}"
    if not _same(own, below):
        return f"The layers are edits of another render: {FIRST}"
    return ""


def why_lost(entry: bpy.types.PropertyGroup) -> str:
    """Why an edit cannot be shown as a layer, without a full stop; "" where it can."""
    own = root_of(entry)
    if entry.image is None:
        return "The picture of this edit was deleted from the file"
    if entry.render is None or own is None:
        return "The picture that this edit was made of was deleted from the file"
    for image in (entry.image, entry.render, own):
        if lost := pictures.why_lost(image):
            return lost
    sizes = {pictures.size_of(image) for image in (entry.image, entry.render, own)}
    if len(sizes) > 1:
        return "This edit has another size than its render"
    return edit_masks.why_unknown(entry)


def _same(one: bpy.types.Image, other: bpy.types.Image) -> bool:
    """Whether two renders are the same picture: a copy of a scene has its own."""
    if one == other:
        return True
    files = (one.packed_file, other.packed_file)
    if None in files or files[0].size != files[1].size:
        return False
    return bool(files[0].data == files[1].data)


def seen(
    settings: bpy.types.PropertyGroup,
) -> list[tuple[bpy.types.PropertyGroup, float]]:
    """The edits of the layers that are seen, from the lowest on, with their opacities."""
    found = []
    for layer in reversed(settings.layers):
        entry = edits.named(settings, layer.edit)
        if layer.visible and entry is not None and not why_lost(entry):
            found.append((entry, layer.opacity))
    return found


def why_unseen(settings: bpy.types.PropertyGroup) -> str:
    """Why the layers cannot be shown, without a full stop; "" where they can."""
    if not settings.layers:
        return NONE
    below = root(settings)
    if below is None:
        return "The render of the layers was deleted from the file"
    return pictures.why_lost(below)


def composite(settings: bpy.types.PropertyGroup) -> RGB | None:
    """The render with all layers that are seen, uint8 (H, W, 3), sRGB, row 0 at the top; the same
    array as long as nothing has changed. None where there are no layers, or their render is lost.
    """
    global _last
    below = root(settings)
    if below is None or pictures.why_lost(below):
        return None
    parts = [(_key(entry), entry, opacity) for entry, opacity in seen(settings)]
    key = (below.session_uid, *((own, opacity) for own, _, opacity in parts))
    if _last[0] != key:
        made = pictures.read_rgb(below).copy()
        for own, entry, opacity in parts:
            _part(own, entry).put_on(made, opacity)
        made.setflags(write=False)
        _last = (key, made)
    return _last[1]


def mask(settings: bpy.types.PropertyGroup) -> NDArray[np.bool_] | None:
    """Where the layers that are seen may have changed their render, bool (H, W); None as in
    `composite`.
    """
    below = root(settings)
    if below is None or pictures.why_lost(below):
        return None
    found = np.zeros(pictures.size_of(below), np.bool_)
    for entry, _ in seen(settings):
        part = _part(_key(entry), entry)
        found[part.box] |= part.whole[..., 0]
        found[part.box][part.soft] = True
    return found


def _key(entry: bpy.types.PropertyGroup) -> object:
    images = (entry.image, entry.render, entry.mask)
    return (entry.uid, *(image and image.session_uid for image in images))


def _part(key: object, entry: bpy.types.PropertyGroup) -> Part:
    if key not in _parts:
        edited, base = (pictures.read_rgb(image) for image in (entry.image, entry.render))
        share = edge_share.share(edit_masks.of(entry), entry.rim)
        _parts[key] = Part.cut_out(edited, base, share)
        while len(_parts) > KEPT:
            _parts.popitem(last=False)
    _parts.move_to_end(key)
    return _parts[key]


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns in which a mask has something."""
    found = []
    for axis in (1, 0):
        places = np.flatnonzero(mask.any(axis=axis))
        found.append(slice(places[0], places[-1] + 1) if len(places) else slice(0, 0))
    return found[0], found[1]
