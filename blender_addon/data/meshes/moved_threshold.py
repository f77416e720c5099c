"""A finished edit whose threshold was moved: written into a texture, or as it was made again."""

import bpy
import numpy as np

from .. import pictures
from ..scene_error import SceneError
from . import texture_regions
from .edited_textures import install_edited, show
from .texture_pixels import pixels_of


def can_move(edited: bpy.types.Image) -> bool:
    """Whether it is known where an edit applies, and what it was made of is still there."""
    mine = edited.watch_your_steps
    is_known = mine.region.made_at >= 0 and texture_regions.chosen_map(mine.region) is not None
    return is_known and mine.original is not None


def is_moved(edited: bpy.types.Image) -> bool:
    """Whether an edit's threshold is not the one that it was made at."""
    region = edited.watch_your_steps.region
    moved: bool = can_move(edited) and region.threshold != region.made_at
    return moved


def apply(thing: bpy.types.Object, edited: bpy.types.Image, engine: str) -> bpy.types.Image:
    """Write what an edit shows at its threshold into a texture of its own, and show that. The edit
    stays, as it was made.

    Raises:
        SceneError: a picture is not in the file any more, or the object does not show the edit.
    """
    mine = edited.watch_your_steps
    inside = texture_regions.mask(mine.region)
    for image in (edited, mine.original):
        if lost := pictures.why_lost(image):
            raise SceneError(f"{lost}.")
    above, below = pixels_of(edited), pixels_of(mine.original)
    if not inside.shape == above.shape[:2] == below.shape[:2]:
        raise SceneError("The texture has another size than when it was edited: revert the edit.")
    threshold = mine.region.threshold
    made = install_edited(
        mine.original,
        np.where(inside[..., None], above, below),
        pictures.read_gray(mine.relevance),
        mine.instruction,
        ", ".join((mine.made_with, f"threshold moved to {threshold:.3f}")),
        thing,
    )
    made.watch_your_steps.asked = mine.asked
    paint = texture_regions.copy_of_paint(mine.region)
    texture_regions.keep_of_edit(made, threshold, paint, mine.region.invert, mine.region.grow)
    if not show(thing, made, "EDITED", engine):
        raise SceneError(f'"{thing.name}" does not show this edit any more.')
    reset(edited)
    return made


def reset(edited: bpy.types.Image) -> None:
    """Put an edit's threshold back to where it was made."""
    region = edited.watch_your_steps.region
    region.threshold = region.made_at
