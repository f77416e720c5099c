"""What the buttons beside the layers do."""

import bpy
from bpy.props import EnumProperty

from ..data import changing_layers, edits, layers
from .languages import tip_
from .operators import ExplainedOperator
from .operators_edits import NONE

NO_LAYER = "There is no layer in the list"
MOVES = (
    ("UP", "Up", "Lay this layer over the one above it"),
    ("DOWN", "Down", "Lay this layer below the one under it"),
)


class WYS_OT_add_layer(ExplainedOperator):
    """Lay the edit that is chosen in the list of edits over the layers that are there, inside its own mask"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.add_layer"
    bl_label = "Add Chosen Edit"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one is chosen that fits the others."""
        entry = edits.chosen(context.scene)
        if entry is None:
            return NONE
        return super().why_not(context) or layers.why_not(context.scene.watch_your_steps, entry)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Put it on top."""
        entry = edits.chosen(context.scene)
        assert entry is not None  # poll has found it
        changing_layers.add(context.scene, entry)
        return {"FINISHED"}


class LayerOperator(ExplainedOperator):
    """What all operators on the chosen layer have in common."""

    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one is chosen."""
        if changing_layers.chosen(context.scene) is None:
            return NO_LAYER
        return super().why_not(context)


class WYS_OT_remove_layer(LayerOperator):
    """Take this layer away. Its edit stays in the list of edits"""

    bl_idname = "watch_your_steps.remove_layer"
    bl_label = "Remove Layer"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take it away."""
        changing_layers.remove(context.scene)
        return {"FINISHED"}


class WYS_OT_clear_layers(LayerOperator):
    """Take all layers away, to lay edits of another render over each other. Their edits stay in the list of edits"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.clear_layers"
    bl_label = "Remove All Layers"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take them away."""
        changing_layers.clear(context.scene)
        return {"FINISHED"}


class WYS_OT_move_layer(LayerOperator):
    """Lay this layer over or under its neighbour"""

    bl_idname = "watch_your_steps.move_layer"
    bl_label = "Move Layer"

    to: EnumProperty(items=MOVES)  # type: ignore[valid-type]  # Blender reads the annotation

    @classmethod
    def description(cls, context: bpy.types.Context, given: bpy.types.OperatorProperties) -> str:
        """The tooltip."""
        return tip_(next(text for name, _, text in MOVES if name == given.to))

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Change places; at an end it stays."""
        changing_layers.move(context.scene, -1 if self.to == "UP" else 1)
        return {"FINISHED"}


class WYS_OT_keep_layers(ExplainedOperator):
    """Keep what the layers show now as one edit in the list, to edit on top of it, compare it or save it. The layers stay, and Restore sets them as they are now"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.keep_layers"
    bl_label = "Keep as Edit"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is something to be seen."""
        return layers.why_unseen(context.scene.watch_your_steps) or super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Make it."""
        changing_layers.keep(context.scene)
        return {"FINISHED"}


CLASSES = (
    WYS_OT_add_layer,
    WYS_OT_remove_layer,
    WYS_OT_clear_layers,
    WYS_OT_move_layer,
    WYS_OT_keep_layers,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
