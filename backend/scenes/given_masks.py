"""Masks of a scene's views that were given, in place of maps that a model finds: drawn by hand, or
found by a segmenter or tracker. The relevance field is trained on them as on exact maps.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.editing.relevance import perfect_map
from backend.errors import BadInput
from backend.fields.config import SceneEditConfig
from backend.scenes.view_maps import map_file, write_map
from protocol import files

Mask = NDArray[np.floating] | NDArray[np.bool_]
"""(H, W), 0..1 or bool."""
CELLS = 256
"""Along the longer side of a mask as it is kept of each view, at most."""


def config_for(config: SceneEditConfig) -> SceneEditConfig:
    """The config with what masks in place of maps need: Eq. 3 would take a small mask for an
    outlier, and clamp it to nothing.

    Raises:
        BadInput: everything is to be edited.
    """
    if config.everything:
        raise BadInput("Everything is edited, or what masks show: ask for one alone.")
    return dataclasses.replace(config, normalisation="full")


def of_views(masks: Mapping[str, Mask], views: Sequence[str]) -> list[NDArray[np.float32]]:
    """The masks of views as shares of cells, at most CELLS along the longer side.

    Raises:
        BadInput: a view has none, or it is none, or they tell no places apart.
    """
    found = [_of_view(masks, view) for view in views]
    if all(mask.min() == mask.max() for mask in found):
        raise BadInput(
            "The masks show nothing or all of each view: they must say where in it to edit."
        )
    return found


def _of_view(masks: Mapping[str, Mask], view: str) -> NDArray[np.float32]:
    if view not in masks:
        raise BadInput(f"There is no mask of the view {view}: give every view one.")
    mask = np.asarray(masks[view], np.float32)
    if mask.ndim != 2 or not mask.size or not ((mask >= 0) & (mask <= 1)).all():
        raise BadInput(f"The mask of the view {view} must be (H, W) and of numbers from 0 to 1.")
    scale = min(1.0, CELLS / max(mask.shape))
    height, width = (max(1, round(side * scale)) for side in mask.shape)
    if (height, width) == mask.shape:
        return mask
    scaled = Image.fromarray(mask).resize((width, height), Image.Resampling.BOX)
    return np.asarray(scaled, np.float32).clip(0, 1)


def keep(masks: Sequence[NDArray[np.float32]], folder: Path) -> None:
    """Keeps them where the maps of an edit are kept, so that nothing finds these any more."""
    files.make_folder(folder)
    for index, mask in enumerate(masks):
        if not (path := map_file(folder, index)).exists():
            write_map(path, perfect_map(mask))
