"""Small pictures in the panel: a job's preview and the pictures of an edit, as Blender's icons."""

import numpy as np
from bpy.utils import previews
from numpy.typing import NDArray

_icons: previews.ImagePreviewCollection | None = None
_shown: dict[str, NDArray[np.uint8]] = {}
"""The pixels that an icon of a name was made of."""


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
