"""What changes all of the mask at once."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..data import mask_tools, pictures
from ..data.scene_error import SceneError
from ..jobs.job import SessionError
from ..render.imported_mask import imported_mask
from .operators import ExplainedOperator, refuse
from .operators_picks import why_no_mask

NO_FILE, NO_IMAGE = "No file is chosen: choose an image.", "No image is chosen: choose one."


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


class WYS_OT_import_mask(MaskOperator):
    """Read a mask from an image file: what is bright and opaque is inside. It counts as painted, and is scaled to the picture"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.import_mask"
    bl_label = "Import Mask"
    bl_options = {"UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filter_image: BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    how: EnumProperty(  # type: ignore[valid-type]  # Blender reads the annotation
        name="Mask", description="What the imported mask does", items=mask_tools.HOW
    )

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Open the file browser."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Read it."""
        path = Path(bpy.path.abspath(self.filepath))
        if not path.is_file():
            text = f"There is no file {path}: choose an image." if self.filepath else NO_FILE
            return refuse(self, context, SessionError(text))
        image = bpy.data.images.load(str(path), check_existing=False)
        try:
            return _import(self, context, image)
        finally:
            bpy.data.images.remove(image)


class WYS_OT_import_mask_image(MaskOperator):
    """Take an image of this file as a mask: what is bright and opaque is inside. It counts as painted, and is scaled to the picture"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.import_mask_image"
    bl_label = "Import Image as Mask"
    bl_options = {"UNDO"}

    image: StringProperty(  # type: ignore[valid-type]  # Blender reads the annotation
        name="Image", description="What is bright in this image is inside", options={"SKIP_SAVE"}
    )
    how: EnumProperty(  # type: ignore[valid-type]  # Blender reads the annotation
        name="Mask", description="What the imported mask does", items=mask_tools.HOW
    )

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Ask which image."""
        outcome: set[str] = context.window_manager.invoke_props_dialog(self)
        return outcome

    def draw(self, _: bpy.types.Context) -> None:
        """The image, and what it does."""
        self.layout.prop_search(self, "image", bpy.data, "images")
        self.layout.row().prop(self, "how", expand=True)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Take it."""
        image = bpy.data.images.get(self.image)
        if image is None:
            text = f'There is no image "{self.image}": choose one.' if self.image else NO_IMAGE
            return refuse(self, context, SessionError(text))
        return _import(self, context, image)


def _import(
    operator: bpy.types.Operator, context: bpy.types.Context, image: bpy.types.Image
) -> set[str]:
    settings = context.scene.watch_your_steps
    try:
        inside = imported_mask(context.scene, image, pictures.size_of(settings.relevance_image))
    except SceneError as error:
        return refuse(operator, context, error)
    mask_tools.bring_in(context.scene, inside, operator.how)
    settings.view = "MASK"
    return {"FINISHED"}


CLASSES = (WYS_OT_invert_mask, WYS_OT_import_mask, WYS_OT_import_mask_image)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
