"""What was painted on views of a scene for its edits in 3D, saved with the scene."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

import bpy
from bpy.props import FloatVectorProperty, IntProperty, StringProperty

from ..render.painted_views import NUMBERS


class PaintedIn3D(bpy.types.PropertyGroup):
    """One view that was painted on. Its `name` is that of the camera that took it."""

    painted: StringProperty(description="What was painted, as painting.write has it")
    viewpoint: FloatVectorProperty(
        description="The camera's place and the corners of its frame", size=NUMBERS
    )
    frame: IntProperty(description="Frame of the scene that was painted on")


CLASSES = (PaintedIn3D,)
