"""What the buttons beside the list of kept edits do."""

import bpy

from ..data import edits
from .operators import ExplainedOperator, JobOperator

NONE = "There is no edit in the list"


class WYS_OT_restore_edit(JobOperator):
    """Go back to this edit: its render, relevance map and threshold, its instruction, seed and all other settings that it was made with"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.restore_edit"
    bl_label = "Restore"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one is chosen, and no job is about to replace what it brings back."""
        return super().why_not(context) if edits.chosen(context.scene) is not None else NONE

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Put everything back."""
        edits.restore(context.scene)
        return {"FINISHED"}


class WYS_OT_delete_edit(ExplainedOperator):
    """Delete this edit, and its pictures where nothing else uses them"""

    bl_idname = "watch_your_steps.delete_edit"
    bl_label = "Delete Edit"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one is chosen."""
        return super().why_not(context) if edits.chosen(context.scene) is not None else NONE

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take it out of the list."""
        edits.delete(context.scene)
        return {"FINISHED"}


CLASSES = (WYS_OT_restore_edit, WYS_OT_delete_edit)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
