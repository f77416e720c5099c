"""What shows the picture that Preview and Edit work on."""

import bpy

from .operators import MISSING, ExplainedOperator
from .picture_places import pictured, show_in_image_editor


class WYS_OT_show_in_image_editor(ExplainedOperator):
    """Show this picture in an Image Editor, with the relevance, the mask or the edit over it"""

    bl_idname = "watch_your_steps.show_in_image_editor"
    bl_label = "Show in Image Editor"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is a picture."""
        if pictured(context.scene.watch_your_steps) is None:
            return MISSING["render_image"]
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Show it."""
        picture = pictured(context.scene.watch_your_steps)
        assert picture is not None  # the poll has found it
        show_in_image_editor(context, picture)
        return {"FINISHED"}


CLASSES = (WYS_OT_show_in_image_editor,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
