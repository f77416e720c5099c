"""An edit that waits, as it is saved with the file, to go on after a restart."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

import bpy
from bpy.props import PointerProperty, StringProperty

from .kept_edits import KeptEdit


class WaitingEdit(bpy.types.PropertyGroup):
    """What it takes to ask for the same again."""

    job: StringProperty(description="Id of the job")
    kind: StringProperty(description="What the job is")
    instruction: StringProperty(description="The job's instruction")
    subject: StringProperty(description="What the job's result belongs to, as its kind says")
    asked: StringProperty(description="The settings that it was asked for with, as JSON")
    title: StringProperty(description="What it is called among those that wait")
    group: StringProperty(description="The same for all that were asked for together")
    more: StringProperty(description="What else its kind has to know, as JSON")
    picture: PointerProperty(name="Picture", type=bpy.types.Image)
    mask: PointerProperty(name="Mask", type=bpy.types.Image)
    relevance: PointerProperty(name="Relevance", type=bpy.types.Image)
    texture: PointerProperty(name="Painted Texture", type=bpy.types.Image)
    thing: PointerProperty(name="Painted Object", type=bpy.types.Object)
    edit: PointerProperty(
        description="What is to be made again, where undo had taken that out of the list",
        type=KeptEdit,
    )


CLASSES = (WaitingEdit,)
