"""What changes all of the mask at once."""

import bpy

from ..data import mask_tools, pictures
from ..render.imported_mask import imported_mask
from .importing_masks import MaskFromFile, MaskFromImage
from .operators import ExplainedOperator
from .operators_picks import why_no_mask


class MaskOperator(ExplainedOperator):
    """What all operators on the whole mask have in common."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is a mask."""
        return why_no_mask(context.scene.watch_your_steps) or super().why_not(context)


class WYS_OT_invert_mask(MaskOperator):
    """Make the mask the very one that it is not, with all that was clicked and painted. What is clicked and painted later still wins"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.invert_mask"
    bl_label = "Invert"
    bl_options = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Invert it."""
        mask_tools.invert(context.scene)
        return {"FINISHED"}


class _ImportOperator(MaskOperator):
    """What both operators that import one have in common."""

    bl_options = {"UNDO"}

    def bring_in(self, context: bpy.types.Context, image: bpy.types.Image, how: str) -> None:
        """Correct the mask by an image."""
        settings = context.scene.watch_your_steps
        inside = imported_mask(context.scene, image, pictures.size_of(settings.relevance_image))
        mask_tools.bring_in(context.scene, inside, how)
        settings.view = "MASK"


class WYS_OT_import_mask(MaskFromFile, _ImportOperator):
    """Read a mask from an image file: what is bright and opaque is inside. It counts as painted, and is scaled to the picture"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.import_mask"
    bl_label = "Import Mask"


class WYS_OT_import_mask_image(MaskFromImage, _ImportOperator):
    """Take an image of this file as a mask: what is bright and opaque is inside. It counts as painted, and is scaled to the picture"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.import_mask_image"
    bl_label = "Import Image as Mask"


CLASSES = (WYS_OT_invert_mask, WYS_OT_import_mask, WYS_OT_import_mask_image)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
