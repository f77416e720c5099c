"""What operators have in common that import a mask, of a picture or of a texture: the choice of a
file or an image, and what the mask does.
"""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from ..data import mask_tools
from ..data.reachable import is_file
from ..data.scene_error import SceneError
from ..jobs.job import SessionError
from .operators import refuse

NO_FILE, NO_IMAGE = "No file is chosen: choose an image.", "No image is chosen: choose one."


class MaskFromFile:
    """Reads a mask from a file. An operator that has this class beside its own also has
    `bring_in(context, image, how)`, which does with the image what one of `mask_tools.HOW` says,
    and raises SceneError where that does not work.
    """

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
        if not is_file(path):
            text = f"There is no file {path}: choose an image." if self.filepath else NO_FILE
            return refuse(self, context, SessionError(text))
        image = bpy.data.images.load(str(path), check_existing=False)
        try:
            return _imported(self, context, image)
        finally:
            bpy.data.images.remove(image)


class MaskFromImage:
    """Takes an image of the open file as a mask; otherwise as above."""

    layout: bpy.types.UILayout

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
        return _imported(self, context, image)


def _imported(
    operator: bpy.types.Operator, context: bpy.types.Context, image: bpy.types.Image
) -> set[str]:
    try:
        operator.bring_in(context, image, operator.how)
    except SceneError as error:
        return refuse(operator, context, error)
    return {"FINISHED"}
