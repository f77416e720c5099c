"""What is kept of every edit of a render, saved with the scene."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..data.properties_settings import with_settings
from ..protocol.settings import EditSettings, PictureMapSettings, RegionSettings

AS_BEFORE: dict[str, dict[str, Any]] = {
    "snap": {"default": "nothing"},
    "detail": {"default": "whole"},
    "closer": {"default": False},
}
"""What edits were made with that were kept before it could be chosen."""


def _titled(changed: "KeptEdit", _: bpy.types.Context) -> None:
    """Blender calls this when an edit was renamed in the list."""
    if changed.name and not changed.title.strip():
        changed.title = changed.name


@with_settings(PictureMapSettings, RegionSettings, EditSettings, **AS_BEFORE)
class KeptEdit(bpy.types.PropertyGroup):
    """One edit: its picture, what it was made of, and all that makes it again. The pointers keep
    the pictures in the file. Its `name`, which Blender's lists search, is the instruction,
    or what it is where there is none.
    """

    image: PointerProperty(name="Edit", type=bpy.types.Image)
    render: PointerProperty(name="Render", type=bpy.types.Image)
    relevance: PointerProperty(name="Relevance", type=bpy.types.Image)
    mask: PointerProperty(
        name="Mask", description="White where the edit may have changed it", type=bpy.types.Image
    )
    root: PointerProperty(
        name="Render Below",
        description="Where the edit is on top of others: the render that the first of them is of",
        type=bpy.types.Image,
    )
    source_image: PointerProperty(
        name="Image",
        description="Where the picture was taken from an image: that image",
        type=bpy.types.Image,
    )
    full: PointerProperty(
        name="Full Size",
        description="The edit at the render's size, once that was asked for",
        type=bpy.types.Image,
    )
    full_render: PointerProperty(
        name="Full Render",
        description="The render at that size, which edits of one render share",
        type=bpy.types.Image,
    )
    painted: PointerProperty(name="Painting", type=bpy.types.Image)
    uid: StringProperty(description="What other edits call this one by")
    parent: StringProperty(description="The edit that this one is on top of; empty: a render")
    variants: StringProperty(
        description="The same for all edits that were asked for together as variants; empty: none"
    )
    picture: StringProperty(description="Identity of the render")
    instruction: StringProperty(description="What was asked for")
    title: StringProperty(
        name="Title",
        description="What the list calls this edit; empty: the instruction",
        update=_titled,
    )
    favourite: BoolProperty(name="Favourite", description="Mark this edit, to find it again")
    threshold: FloatProperty(
        description="Relevance from which it was edited: the mask is where the relevance reaches it"
    )
    suggested_threshold: FloatProperty(description="The map's own suggestion", default=-1.0)
    picks: StringProperty(description="The things that were added to the mask and removed from it")
    made_of: StringProperty(
        description="The uid of the edit that was made again at full size; empty: it is no such"
    )
    layers: StringProperty(
        description="The layers that it was kept of and how they were set, as JSON; empty: of none"
    )
    grow: IntProperty(description="Pixels that the mask was grown by; less than 0: shrunk")
    invert: BoolProperty(description="Whether the mask was inverted")
    prompt_check: StringProperty(description="What the model said of the instruction")
    notes: StringProperty(description="What the backend said of the edit")
    model: StringProperty(description="Hub id or folder of the model; empty: not known")
    date: StringProperty(description="When it was made: year-month-day hour:minute, local time")

    known: BoolProperty(description="Whether the settings that follow are known")
    own_guidance: BoolProperty(description="Whether the guidance was the model's own")
    normalisation: StringProperty(description="As in the settings; empty: not known")
    camera: StringProperty(description="Name of the camera that was rendered")
    frame: IntProperty(description="Frame of the scene that was rendered")


CLASSES = (KeptEdit,)
