"""What the buttons beside the list of kept edits do."""

import bpy

from ..data import changing_layers, edits
from ..data.scene_error import SceneError
from ..jobs import again_jobs, session
from ..jobs.job import SessionError
from .languages import rpt_
from .operators import ExplainedOperator, JobOperator, refuse

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
        scene = context.scene
        entry = edits.chosen(scene)
        assert entry is not None  # poll has found it
        if entry.layers:
            changing_layers.put_back(scene, entry)
        edits.restore(scene)
        if lost := edits.not_restored(entry):
            session.say(scene, lost, refusal=True)
        return {"FINISHED"}


class WYS_OT_edit_again(ExplainedOperator):
    """Make this edit again with the next seed that it was not made with yet: of the same picture, inside the same mask and with the same settings, whatever the panel shows now. While a job of this scene runs, it waits for its end"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.edit_again"
    bl_label = "Another Seed"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where all that it takes is still there."""
        entry = edits.chosen(context.scene)
        if entry is None:
            return NONE
        return again_jobs.why_not(entry) or super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Send, return; the result comes through the timer."""
        scene = context.scene
        entry = edits.chosen(scene)
        assert entry is not None  # poll has found it
        try:
            session.ask(scene, again_jobs.again_job(scene, entry))
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_delete_edit(ExplainedOperator):
    """Delete this edit, and its pictures where nothing else uses them"""

    bl_idname = "watch_your_steps.delete_edit"
    bl_label = "Delete Edit"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one is chosen, and no job makes it again."""
        entry = edits.chosen(context.scene)
        if entry is None:
            return NONE
        if again_jobs.is_made_again(context.scene, entry.uid):
            return "This edit is being made again: wait for that, or cancel it"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take it out of the list."""
        scene = context.scene
        entry = edits.chosen(scene)
        assert entry is not None  # poll has found it
        title, before = entry.title, len(scene.watch_your_steps.layers)
        edits.delete(scene)
        if len(scene.watch_your_steps.layers) < before:
            self.report({"INFO"}, rpt_(f'"{title}" was a layer, too: Undo brings both back.'))
        return {"FINISHED"}


CLASSES = (WYS_OT_restore_edit, WYS_OT_edit_again, WYS_OT_delete_edit)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
