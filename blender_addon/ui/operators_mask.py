"""What changes all of the mask at once."""

import bpy

from ..data import mask_tools
from .operators import ExplainedOperator
from .operators_picks import why_no_mask


class WYS_OT_invert_mask(ExplainedOperator):
    """Make the mask the very one that it is not, with all that was clicked and painted. What is clicked and painted later still wins"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.invert_mask"
    bl_label = "Invert"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is a mask."""
        return why_no_mask(context.scene.watch_your_steps) or super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Invert it."""
        mask_tools.invert(context.scene)
        return {"FINISHED"}


CLASSES = (WYS_OT_invert_mask,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
