"""What was painted on a capture's views, from a folder of image files."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from backend.captures.capture import Capture
from backend.captures.lens import undistortion_map
from backend.captures.view_masks import files_of_views
from backend.captures.views import StoredView
from backend.errors import BadInput
from backend.pictures.masks import stored_levels
from protocol.corrections import ADDED, NOTHING, TAKEN, Painted

DARK, BRIGHT = 64, 192
"""Brightness, of 255, below which a pixel was taken away, and from which on it was added."""
OPAQUE = 0.5
"""Opacity from which on a pixel was painted."""


def read_painted(folder: Path, capture: Capture) -> dict[str, Painted]:
    """What was painted on views, uint8 (H, W) at the stored image's size, by the views' names;
    those that the folder has no file of, or nothing but grey, are left out.

    Args:
        folder: of images that are called as for `read_view_masks`: white was added, black taken
            away, and grey or see-through is neither.

    Raises:
        BadInput: there is no such folder, nothing was painted, or a file cannot be used.
    """
    views = {view.name: view for view in capture.views}
    files = files_of_views(folder, capture)
    read = {name: _read(path, views[name]) for name, path in files.items() if path is not None}
    found = {name: painted for name, painted in read.items() if painted.any()}
    if not found:
        raise BadInput(
            f"Nothing is painted in {folder}: give one view or more an image of its name, white "
            "where to edit, black where not to, and grey elsewhere."
        )
    return found


def _read(path: Path, view: StoredView) -> Painted:
    bright, opacity = stored_levels(path, (view.intrinsics.height, view.intrinsics.width))
    painted = np.full(bright.shape, NOTHING, np.uint8)
    painted[bright >= BRIGHT] = ADDED
    painted[bright < DARK] = TAKEN
    painted[opacity < OPAQUE] = NOTHING
    if view.lens.is_pinhole:
        return painted
    rows_columns = np.moveaxis(undistortion_map(view.intrinsics, view.lens), -1, 0)
    return ndimage.map_coordinates(painted, rows_columns, order=0, mode="nearest")
