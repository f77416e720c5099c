"""What makes edits with several seeds at once, and draws seeds."""

import bpy

from .operators import EditOperator, ExplainedOperator, begin_edits, new_seed


class WYS_OT_variants(EditOperator):
    """Edit several times with one seed after the other, from the seed in Edit Settings on, all else the same. Each becomes an edit in the list; Cancel ends the rest and keeps what is done"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.variants"
    bl_label = "Make Variants"

    def start(self, context: bpy.types.Context, in_window: bool) -> None:
        """Send the first, return; the others follow by themselves."""
        begin_edits(context, in_window, context.scene.watch_your_steps.variants)


class WYS_OT_random_seed(ExplainedOperator):
    """Set the seed to a number drawn by chance"""

    bl_idname = "watch_your_steps.random_seed"
    bl_label = "Random Seed"
    bl_options = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Draw one."""
        context.scene.watch_your_steps.seed = new_seed()
        return {"FINISHED"}


CLASSES = (WYS_OT_variants, WYS_OT_random_seed)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
