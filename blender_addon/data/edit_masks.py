"""Where an edit that is kept may have changed the picture that it was made of."""

from types import SimpleNamespace

import bpy
import numpy as np
from numpy.typing import NDArray

from ..link.encode import encode_png
from . import pictures, region

Mask = NDArray[np.bool_]


def new_image(name: str, mask: Mask) -> bpy.types.Image:
    """A packed image of a mask, bool (H, W), in black and white."""
    png = encode_png((mask[..., None] * np.uint8(255)).astype(np.uint8))
    image = pictures.new_packed_image(name, png, mask.astype(np.float32))
    image.colorspace_settings.name = "Non-Color"
    return image


def why_unknown(entry: bpy.types.PropertyGroup) -> str:
    """Why `of` finds no mask of the edit's render, without a full stop; "" where it finds one."""
    image = entry.mask or entry.relevance
    if image is None or entry.render is None:
        return "Where this edit has changed its render is not known"
    if lost := pictures.why_lost(image) or pictures.why_lost(entry.render):
        return lost
    if pictures.size_of(image) != pictures.size_of(entry.render):
        return "The mask of this edit has another size than the picture that it was made of"
    return ""


def of(entry: bpy.types.PropertyGroup) -> Mask:
    """The mask of an edit, bool (H, W). Where it is from before masks were kept, it is found again
    from the map, the threshold and the picks that it was made with.

    Raises:
        SceneError: a picture that it takes is lost; `why_unknown` says so.
    """
    if entry.mask is not None:
        return pictures.read_gray(entry.mask) > np.float32(0.5)
    shown = SimpleNamespace(
        relevance_image=entry.relevance,
        render_image=entry.render,
        root_image=entry.root,
        edits=entry.id_data.watch_your_steps.edits,
        suggested_threshold=entry.suggested_threshold,
        snap=entry.snap,
        picks=entry.picks,
        grow=0,
        invert=False,
    )
    values = region.unpainted(shown)
    assert values is not None  # neither picture is lost
    return values >= np.float32(entry.threshold)
