"""What the buttons of the sub-panel Result do: the chosen edit at the render's size."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from ..data import (
    copies,
    edits,
    full_results,
    picture_files,
    picture_source,
    pictures,
    view_colours,
)
from ..data.edit_group import NAME
from ..data.scene_error import SceneError
from ..jobs import again_jobs, full_size_jobs, session
from ..jobs.job import SessionError
from ..render import compositor_edit, full_render
from .operators import ExplainedOperator, refuse

NONE = "Choose an edit in the list first"
OF_AN_IMAGE = "This edit is of an image, which your render does not show: save it instead."
DELETED = "The picture of this edit was deleted from the file"


class ResultOperator(ExplainedOperator):
    """What all that is done with the chosen edit has in common."""

    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where an edit is chosen whose picture is there."""
        entry = edits.chosen(context.scene)
        if entry is None:
            return NONE
        return DELETED if entry.image is None else super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Do it, and say in the panel what was done; or why it was not."""
        copies.settle(context.scene)
        entry = edits.chosen(context.scene)
        assert entry is not None  # the poll has found it
        try:
            done = self.do(context, entry)
        except SceneError as error:
            return refuse(self, context, error)
        session.say(context.scene, done)
        return {"FINISHED"}

    def do(self, context: bpy.types.Context, entry: bpy.types.PropertyGroup) -> str:
        """What is done with an edit; returns what there is to say of it.

        Raises:
            SceneError: it does not work; the text says why.
        """
        raise NotImplementedError


class WYS_OT_save_result(ResultOperator):
    """Save the edit at the render's size, with the render's own pixels around it, as PNG, JPEG, TIFF or OpenEXR. The scene is rendered once for it where it was sent smaller"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.save_result"
    bl_label = "Save As..."

    filepath: StringProperty(  # type: ignore[valid-type]  # Blender reads the annotation
        name="File", description="Its ending says what kind of file it is", subtype="FILE_PATH"
    )
    check_existing: BoolProperty(  # type: ignore[valid-type]
        default=True, options={"HIDDEN"}, description="Ask before a file is written over"
    )
    filter_image: BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_folder: BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Ask for the file."""
        if not self.filepath:
            entry = edits.chosen(context.scene)
            assert entry is not None  # the poll has found it
            name = bpy.path.clean_name(entry.title)[:60] or "edit"
            folder = Path(bpy.data.filepath).parent if bpy.data.filepath else Path.home()
            self.filepath = str(folder / f"{name}.png")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def do(self, context: bpy.types.Context, entry: bpy.types.PropertyGroup) -> str:
        """Write the file."""
        path = picture_files.path_of(self.filepath)
        if path.suffix.lower() == picture_files.LIGHT:  # said before a long render
            view_colours.way_back(context.scene)
        image = full_render.result(context.scene, entry)
        picture_files.save(context.scene, image, path)
        return f"{path.name} was saved, {_size_of(image)}, in {path.parent}."


class WYS_OT_show_result(ResultOperator):
    """Show the edit at the render's size in an Image Editor, or in a new window where none is open. The scene is rendered once for it where it was sent smaller"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.show_result"
    bl_label = "Image Editor"

    def do(self, context: bpy.types.Context, entry: bpy.types.PropertyGroup) -> str:
        """Show it where there is room."""
        image = full_render.result(context.scene, entry)
        space = _image_editor(context)
        if space is None:
            return f'The image "{image.name}" is in the file: open an Image Editor to see it.'
        space.image = image
        return ""


class WYS_OT_composite_result(ResultOperator):
    """Put the edit into the scene's compositor, as a node group with the edit, its matte and the mix of both with your render. Press it again for another edit: your links stay"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.composite_result"
    bl_label = "Compositor"

    def do(self, context: bpy.types.Context, entry: bpy.types.PropertyGroup) -> str:
        """Make the layer, and put it there."""
        scene = context.scene
        below = full_results.render_below(entry)
        if picture_source.of(below).kind == picture_source.IMAGE:
            raise SceneError(OF_AN_IMAGE)
        back = view_colours.way_back(scene)
        layer = full_results.layer(scene, entry, full_render.full_size(scene))
        try:
            compositor_edit.put(scene, layer, back)
        except SceneError:
            bpy.data.images.remove(layer)
            raise
        said = [f'The node group "{NAME}" lays the edit over your next render (F12).']
        if not scene.render.use_compositing:
            said.append("Compositing is off: tick it in Output › Post Processing.")
        try:
            full_render.check_unchanged(scene, below)
        except SceneError as error:  # it may be meant so
            said.append(f"But: {error}")
        return " ".join(said)


class WYS_OT_edit_full_size(ExplainedOperator):
    """Make this edit again of the full-size render, with the same seed and inside the same mask: the model is then shown the part around the mask with more detail. It becomes an edit of its own. While a job of this scene runs, it waits for its end"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.edit_full_size"
    bl_label = "Edit at Full Size"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where the edit is of a smaller picture, and all that it takes is still there."""
        scene, entry = context.scene, edits.chosen(context.scene)
        if entry is None:
            return NONE
        if lost := again_jobs.why_not(entry):
            return lost
        try:
            if full_render.size_to_come(scene, entry) == pictures.size_of(entry.render):
                return "This edit is of a picture at full size already"
        except SceneError as error:
            return str(error).rstrip(".")
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Render where that was not done yet, send, return; the result comes through the timer."""
        scene, entry = context.scene, edits.chosen(context.scene)
        assert entry is not None  # the poll has found it
        copies.settle(scene)
        try:
            session.check_connection()
            full = full_render.original(scene, entry)
            assert full is not None  # the poll has compared the sizes
            sizes = pictures.size_of(entry.render), pictures.size_of(full)
            session.ask(scene, full_size_jobs.full_size_job(scene, entry, *sizes))
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        return {"FINISHED"}


def _size_of(image: bpy.types.Image) -> str:
    return f"{image.size[0]} x {image.size[1]}"


def _image_editor(context: bpy.types.Context) -> bpy.types.SpaceImageEditor | None:
    """The largest open Image Editor, or a new window with one; None where no window can be made."""
    windows = context.window_manager.windows
    areas = [area for window in windows for area in window.screen.areas]
    editors = [area for area in areas if area.ui_type == "IMAGE_EDITOR"]
    if editors:
        return max(editors, key=lambda area: area.width * area.height).spaces.active
    if bpy.app.background:
        return None
    before = set(windows)
    bpy.ops.wm.window_new()
    made = [window for window in context.window_manager.windows if window not in before]
    if not made:
        return None
    area = made[0].screen.areas[0]
    area.ui_type = "IMAGE_EDITOR"
    return area.spaces.active


CLASSES = (
    WYS_OT_save_result,
    WYS_OT_show_result,
    WYS_OT_composite_result,
    WYS_OT_edit_full_size,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
