"""A layer: an edit that is kept, laid over others of the same render."""

# mypy: disable-error-code="valid-type"
# Blender reads properties from annotations, which are calls and not types.

import bpy
from bpy.props import BoolProperty, FloatProperty, StringProperty


def _changed(changed: "Layer", _: bpy.types.Context) -> None:
    """Blender calls this when a layer was switched or its opacity moved: it is to be seen."""
    changed.id_data.watch_your_steps.view = "LAYERS"


class Layer(bpy.types.PropertyGroup):
    """Which edit it is, and how it is shown."""

    edit: StringProperty(description="The uid of the edit")
    visible: BoolProperty(
        name="Visible", description="Show this layer", default=True, update=_changed
    )
    opacity: FloatProperty(
        name="Opacity",
        description="How strongly this layer covers what lies below it",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        update=_changed,
    )


CLASSES = (Layer,)
