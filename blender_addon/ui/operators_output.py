"""What the buttons of the sub-panel Result do: the chosen edit at the render's size."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

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
from ..render import compositor_edit, full_render, light_render, window
from ..render.camera_render import Rendering
from .operators import ExplainedOperator, TakingOperator, refuse
from .picture_places import show_in_image_editor
from .taking import render_then

Made = TypeVar("Made")
MAKING = "The edit is being made at the render's size."
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


class FullSizeOperator(ResultOperator):
    """What all that takes a full-size picture has in common: by a button it is rendered as
    Blender's own job, and in scripts they return when it is done.
    """

    in_window = False

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Blender calls this for a button."""
        self.in_window = window.is_open()
        return self.execute(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Do it; or say in the panel why it cannot be done."""
        entry = edits.chosen(context.scene)
        assert entry is not None  # the poll has found it
        try:
            return self.begin(context, entry)
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)

    def begin(self, context: bpy.types.Context, entry: bpy.types.PropertyGroup) -> set[str]:
        """Do it with an edit; where that goes on later, what comes of it is an undo step then.

        Raises:
            SceneError, SessionError: it does not work; the text says why.
        """
        raise NotImplementedError

    def result_then(
        self,
        context: bpy.types.Context,
        parts: Rendering[Made],
        then: Callable[[Made], str],
        from_browser: bool = False,
    ) -> set[str]:
        """Make the full-size result, do something with it, and say what that returns; after a file
        browser that has hidden the 3D view the window is drawn before.
        """
        name, ended = self.bl_label.rstrip("."), False

        def done(scene: bpy.types.Scene, made: Made) -> None:
            nonlocal ended
            session.say(scene, then(made), done=True)
            ended = True
            if later:
                session.state.undo_steps.append(f"Watch Your Steps: {name}")

        later = False
        copies.settle(context.scene)
        render_then(context.scene, parts, done, self.in_window, MAKING, from_browser)
        later = True
        return {"FINISHED"} if ended else {"CANCELLED"}  # which is no undo step


class WYS_OT_save_result(FullSizeOperator):
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
        self.in_window = window.is_open()
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def begin(self, context: bpy.types.Context, entry: bpy.types.PropertyGroup) -> set[str]:
        """Write the file."""
        scene, path = context.scene, picture_files.path_of(self.filepath)

        def said(width: int, height: int) -> str:
            return f"{path.name} was saved, {width} x {height}, in {path.parent}."

        def save(image: bpy.types.Image) -> str:
            picture_files.save(image, path)
            return said(*image.size)

        def save_light(made: light_render.Saved) -> str:
            picture_files.save_file(made.exr, path)
            text = said(*made.size[::-1])
            if made.lost:
                text = " ".join((text, f"It has the 8 bits a channel of its picture: {made.lost}"))
            return text

        if path.suffix.lower() == picture_files.LIGHT:
            view_colours.way_back(scene)  # said before a long render
            parts = light_render.resulting_light(scene, entry.uid)
            return self.result_then(context, parts, save_light, from_browser=True)
        parts = full_render.resulting(scene, entry.uid)
        return self.result_then(context, parts, save, from_browser=True)


class WYS_OT_show_result(FullSizeOperator):
    """Show the edit at the render's size in an Image Editor, or in a new window where none is open. The scene is rendered once for it where it was sent smaller"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.show_result"
    bl_label = "Image Editor"

    def begin(self, context: bpy.types.Context, entry: bpy.types.PropertyGroup) -> set[str]:
        """Show it where there is room."""
        parts = full_render.resulting(context.scene, entry.uid)
        return self.result_then(context, parts, show_in_image_editor)


class WYS_OT_composite_result(FullSizeOperator):
    """Put the edit into the scene's compositor, as a node group with the edit, its matte and the mix of both with your render. Press it again for another edit: your links stay"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.composite_result"
    bl_label = "Compositor"

    def begin(self, context: bpy.types.Context, entry: bpy.types.PropertyGroup) -> set[str]:
        """Make the layer, and put it there."""
        if picture_source.of(full_results.render_below(entry)).kind == picture_source.IMAGE:
            raise SceneError(OF_AN_IMAGE)
        view_colours.way_back(context.scene)  # where there is none, it is said before the work
        scene, uid = context.scene.session_uid, entry.uid

        def put(png: bytes) -> str:
            return _composite(full_render.scene_of(scene), uid, png)

        return self.result_then(context, full_render.layering(context.scene, uid), put)


class WYS_OT_edit_full_size(TakingOperator, ExplainedOperator):
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

    def start(self, context: bpy.types.Context, in_window: bool) -> None:
        """Render where that was not done yet, and send; the result comes through the timer."""
        scene, entry = context.scene, edits.chosen(context.scene)
        assert entry is not None  # the poll has found it
        copies.settle(scene)
        session.check_connection()
        uid = entry.uid

        def send(scene: bpy.types.Scene, full: bpy.types.Image | None) -> None:
            entry = edits.named(scene.watch_your_steps, uid)
            assert entry is not None  # it has just got its render
            assert full is not None  # the poll has compared the sizes
            sizes = pictures.size_of(entry.render), pictures.size_of(full)
            session.ask(scene, full_size_jobs.full_size_job(scene, entry, *sizes))

        render_then(scene, full_render.taking_original(scene, uid), send, in_window)


def _composite(scene: bpy.types.Scene, uid: str, png: bytes) -> str:
    """Put the layer of an edit into the scene's compositor; what to say of it."""
    entry = full_render.entry_of(scene, uid)
    below, back = full_results.render_below(entry), view_colours.way_back(scene)
    layer = full_results.new_layer(scene, entry, png)
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


CLASSES = (
    WYS_OT_save_result,
    WYS_OT_show_result,
    WYS_OT_composite_result,
    WYS_OT_edit_full_size,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
