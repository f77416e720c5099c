"""What shows the picture that Preview and Edit work on."""

import bpy

from ..data import picture_source
from ..jobs.job import SessionError
from .operators import MISSING, ExplainedOperator, refuse
from .picture_places import pictured, show_in_image_editor, shown_image


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
        if said := show_in_image_editor(picture):
            return refuse(self, context, SessionError(said))
        return {"FINISHED"}


class WYS_OT_use_shown_image(ExplainedOperator):
    """Edit the image that this Image Editor shows; in another editor, the one that the first Image Editor shows"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.use_shown_image"
    bl_label = "Use Shown Image as Picture"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one is shown."""
        if shown_image(context) is None:
            return "No Image Editor shows an image"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Choose it, or the Render Result where that is shown."""
        image, source = shown_image(context), context.scene.watch_your_steps.source
        assert image is not None  # the poll has found it
        if image.type == "RENDER_RESULT":
            source.kind = picture_source.RESULT
        else:
            source.kind, source.image = picture_source.IMAGE, image
        return {"FINISHED"}


CLASSES = (
    WYS_OT_use_shown_image,
    WYS_OT_show_in_image_editor,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
