"""Small pictures in the panel: a job's preview and the pictures of an edit, as Blender's icons."""

from collections import OrderedDict

import bpy
import numpy as np
from bpy.utils import previews
from numpy.typing import NDArray

from ..data import pictures

SIDE = 64
"""Pixels of a small picture's longest side, about."""
KEPT = 256

_icons: previews.ImagePreviewCollection | None = None
_shown: dict[str, NDArray[np.uint8]] = {}
"""The pixels that an icon of a name was made of."""
_small: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
"""Small pictures of images, by their ID.session_uid."""


def icon(name: str, pixels: NDArray[np.uint8]) -> int:
    """The number of an icon that shows uint8 (h, w, 3) pixels; made anew when the array is another.

    Args:
        name: each place in the panel has its own, as an icon is replaced by the next of its name.
        pixels: sRGB, row 0 at the top.
    """
    assert _icons is not None  # the extension is switched on
    if _shown.get(name) is not pixels or name not in _icons:
        height, width = pixels.shape[:2]
        rgba = np.ones((height, width, 4), np.float32)
        rgba[..., :3] = pixels[::-1] / 255
        made = _icons[name] if name in _icons else _icons.new(name)
        made.image_size = (width, height)
        made.image_pixels_float.foreach_set(rgba.ravel())
        _shown[name] = pixels
    number: int = _icons[name].icon_id
    return number


def of_image(image: bpy.types.Image) -> int:
    """The number of an icon that shows an 8-bit image, or 0 where its pixels are lost. They are
    read once, as the pictures of edits are never rewritten.
    """
    assert _icons is not None  # the extension is switched on
    uid = image.session_uid
    if uid not in _small:
        if pictures.why_lost(image):
            return 0
        _small[uid] = _smaller(pictures.read_rgb(image))
        while len(_small) > KEPT:
            name = _name_of(_small.popitem(last=False)[0])
            _shown.pop(name, None)
            _icons.pop(name, None)
    _small.move_to_end(uid)
    return icon(_name_of(uid), _small[uid])


def _name_of(uid: int) -> str:
    return f"image {uid}"


def _smaller(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of square blocks of uint8 (H, W, 3) pixels; what is left over at the edges is cut."""
    height, width = pixels.shape[:2]
    block = max(1, min(max(height, width) // SIDE, height, width))
    rows, columns = height // block, width // block
    whole = pixels[: rows * block, : columns * block]
    return (whole.reshape(rows, block, columns, block, 3).mean(axis=(1, 3)) + 0.5).astype(np.uint8)


def register() -> None:
    """Make room for the icons."""
    global _icons
    _icons = previews.new()


def unregister() -> None:
    """Let them go."""
    global _icons
    previews.remove(_icons)
    _icons = None
    _shown.clear()
    _small.clear()
