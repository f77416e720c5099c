"""What the panel's buttons do. Each returns at once; in scripts, once the picture is rendered."""

import random

import bpy
import numpy as np
from bpy.props import EnumProperty

from ..data import copies, edits, layers, picture_source, pictures, region, results
from ..data.migration import new_uid
from ..data.properties_settings import LARGEST_INT
from ..data.scene_error import SceneError
from ..data.taken_pictures import Picture
from ..data.translations import CONTEXT
from ..jobs import session
from ..jobs.job import SessionError, check_instruction
from ..jobs.picture_jobs import edit_jobs, preview_job, shows_map_of
from ..properties.scene_settings import VIEWS
from ..render import window
from . import preferences
from .languages import rpt_, tip_
from .overlay import NEEDED, lost_picture
from .switches import cell_of
from .taking import take_then

MISSING = {
    "render_image": "There is no render yet: press Preview Relevance first",
    "relevance_image": "There is no relevance map yet: press Preview Relevance first",
    "edit_image": "There is no edit yet: press Edit first",
    "sheet_image": "There is no contact sheet yet: press Make Variants first",
    "scene_image": "There is no view of a 3D edit yet: press Render View, below Scene in 3D, first",
}
"""Why what needs a picture cannot be done."""
TAKEN = {
    picture_source.RENDER: "Render the active camera (Esc stops it)",
    picture_source.RESULT: "Take the Render Result",
    picture_source.IMAGE: "Take the image",
    picture_source.VIEWPORT: "Render what the active camera sees (Esc stops it)",
}
"""How a new picture begins, by where it comes from."""


def refuse(operator: bpy.types.Operator, context: bpy.types.Context, error: Exception) -> set[str]:
    """Say why something does not work: in the panel, and where it was not started by the panel's
    button also where Blender reports.
    """
    session.say(context.scene, str(error), refusal=True)
    if context.region is None or context.region.type != "UI":
        operator.report({"ERROR"}, rpt_(str(error)))
    return {"CANCELLED"}


class ExplainedOperator(bpy.types.Operator):
    """An operator whose button says why it is greyed."""

    bl_translation_context = CONTEXT

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Why it cannot be done now, without a full stop (Blender's tooltip adds it); "" where it
        can.
        """
        if not context.scene.is_editable:
            return "This scene is linked from another file: make it local first"
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Blender asks this before it draws the button."""
        reason = cls.why_not(context)
        if reason:
            cls.poll_message_set(tip_(reason))
        return not reason


class WYS_OT_connect(bpy.types.Operator):
    """Connect to the backend with its connection file, and keep trying until it is there"""

    bl_translation_context = CONTEXT
    bl_idname = "watch_your_steps.connect"
    bl_label = "Connect"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Start the worker thread; how it goes stands in the panel."""
        session.connect(session.connection_file(preferences.get()))
        return {"FINISHED"}


class WYS_OT_disconnect(bpy.types.Operator):
    """Leave the backend. A job that runs goes on there; connect again to get its result"""

    bl_translation_context = CONTEXT
    bl_idname = "watch_your_steps.disconnect"
    bl_label = "Disconnect"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only where there is one to leave."""
        if session.state.link is None:
            cls.poll_message_set(tip_("There is no connection"))
        return session.state.link is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Stop the worker thread."""
        session.disconnect()
        return {"FINISHED"}


class JobOperator(ExplainedOperator):
    """What all operators that start a job have in common."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only one job of a scene at a time."""
        if session.job_of(context.scene) is not None:
            return "A job of this scene runs: wait for it, or cancel it"
        return super().why_not(context)


class TakingOperator(bpy.types.Operator):
    """What all operators that may take a picture have in common: by a button they render as
    Blender's own jobs, and in scripts they return when it is rendered.
    """

    bl_translation_context = CONTEXT

    def start(self, context: bpy.types.Context, in_window: bool) -> None:
        """Do it; where `in_window`, what follows a render may come later.

        Raises:
            SessionError, SceneError: one sentence for the panel.
        """
        raise NotImplementedError

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Blender calls this for a button."""
        return self._started(context, in_window=window.is_open())

    def execute(self, context: bpy.types.Context) -> set[str]:
        """And this in scripts."""
        return self._started(context, in_window=False)

    def _started(self, context: bpy.types.Context, in_window: bool) -> set[str]:
        try:
            self.start(context, in_window)
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_preview_relevance(TakingOperator, JobOperator):
    """Take a new picture, or the shown edit, and find where the instruction applies."""

    bl_idname = "watch_your_steps.preview_relevance"
    bl_label = "Preview Relevance"

    @classmethod
    def description(cls, context: bpy.types.Context, _: bpy.types.OperatorProperties) -> str:
        """The tooltip."""
        if context.scene.watch_your_steps.base == "EDIT":
            return tip_(
                "Find where the instruction applies in the shown edit, without another render. "
                "Nothing is changed yet"
            )
        words = TAKEN[context.scene.watch_your_steps.source.kind]
        return tip_(f"{words} and find where the instruction applies. Nothing is changed yet")

    def start(self, context: bpy.types.Context, in_window: bool) -> None:
        """Take it, send, return; the result comes through the timer."""
        _check(context)
        scene = context.scene

        def preview(scene: bpy.types.Scene, picture: Picture) -> None:
            session.submit(scene, preview_job(scene, picture))

        shown = edits.base(scene) if scene.watch_your_steps.base == "EDIT" else None
        if shown is not None:
            preview(scene, shown)
        else:
            take_then(scene, preview, in_window)


class EditOperator(TakingOperator, ExplainedOperator):
    """What all operators that edit the picture have in common."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """While a job of the scene runs, edits wait for its end; but nothing is rendered then."""
        scene = context.scene
        job = session.job_of(scene)
        has_picture = job is None or job.picture is not None
        if not has_picture and scene.watch_your_steps.render_image is None:
            return "There is no render yet, and a job of this scene runs: wait for it, or cancel it"
        return super().why_not(context)


class WYS_OT_edit(EditOperator):
    """Edit the picture of the last preview, or a new one where there is none."""

    bl_idname = "watch_your_steps.edit"
    bl_label = "Edit"
    bl_description = (
        "Edit the previewed picture inside the mask; every pixel outside stays exactly as it is. "
        "Without a preview the picture is taken first. While a job of this scene runs, the edit "
        "waits for its end"
    )

    def start(self, context: bpy.types.Context, in_window: bool) -> None:
        """Send, return; the result comes through the timer."""
        begin_edits(context, in_window)


def _check(context: bpy.types.Context) -> None:
    """Check what can be checked without rendering.

    Raises:
        SessionError: one sentence for the panel.
    """
    copies.settle(context.scene)
    check_instruction(context.scene.watch_your_steps.instruction)
    session.check_connection()


def begin_edits(context: bpy.types.Context, in_window: bool, variants: int = 0) -> None:
    """Edit the picture that is to be edited, taken first where there is none, with the scene's
    seed; or so many `variants` of it with the seeds from there on.

    Raises:
        SessionError, SceneError: one sentence for the panel.
    """
    _check(context)
    scene = context.scene

    def edit(scene: bpy.types.Scene, picture: Picture) -> None:
        settings = scene.watch_your_steps
        _check_mask(scene, picture)
        if settings.new_seed:
            settings.seed = new_seed()
        seeds = [(settings.seed + number) % (LARGEST_INT + 1) for number in range(max(variants, 1))]
        session.ask(scene, *edit_jobs(scene, picture, seeds, new_uid() if variants else ""))

    shown = _to_edit(scene)
    if shown is not None:
        edit(scene, shown)
    else:
        take_then(scene, edit, in_window)


def new_seed() -> int:
    """A seed drawn by chance."""
    return random.randint(0, LARGEST_INT)


def _to_edit(scene: bpy.types.Scene) -> Picture | None:
    """What Edit edits, where there is a picture: what was taken for the job that runs, before what
    was taken before that.
    """
    job, settings = session.job_of(scene), scene.watch_your_steps
    taken = job.picture if job is not None else None
    if settings.base == "RENDER" and taken is not None and not taken.edit:
        return taken if taken.source == picture_source.chosen(settings) else None
    return edits.base(scene)


def _check_mask(scene: bpy.types.Scene, picture: Picture) -> None:
    """Refuse an edit whose mask is known to be empty, or that cannot be what was painted."""
    settings = scene.watch_your_steps
    painted = settings.painted_image
    if painted is not None and (lost := pictures.why_lost(painted)):
        raise SessionError(f"{lost}: clear the painting of the mask, or bring the file back.")
    mask = results.mask(scene) if shows_map_of(scene, picture) else None
    if mask is not None and not mask.any():
        way = "raise the threshold" if settings.invert else "lower the threshold"
        raise SessionError(
            f"The mask is empty at this threshold, so nothing would change: {way}, or paint what "
            "is to be edited."
        )


class WYS_OT_cancel(ExplainedOperator):
    """Stop the running job of this scene"""

    bl_idname = "watch_your_steps.cancel"
    bl_label = "Cancel"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only while a job runs."""
        return "" if session.job_of(context.scene) is not None else "No job of this scene runs"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask the backend; the answer comes through the timer."""
        session.cancel(context.scene)
        return {"FINISHED"}


class WYS_OT_use_suggestion(ExplainedOperator):
    """Set the threshold to the value at which this map falls into two parts by itself. From then on it follows the suggestion of every new map, until you move it"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.use_suggestion"
    bl_label = "Use"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where the threshold is somewhere else."""
        settings = context.scene.watch_your_steps
        if settings.relevance_image is None or settings.suggested_threshold < 0:
            return MISSING["relevance_image"]
        if settings.threshold == np.float32(region.suggestion(settings)):
            return "The threshold is at the suggestion already"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Move the slider."""
        results.follow_suggestion(context.scene)
        return {"FINISHED"}


class WYS_OT_show_picture(ExplainedOperator):
    """Choose which picture is shown in the camera's frame"""

    bl_idname = "watch_your_steps.show_picture"
    bl_label = "Show Picture"
    bl_options = {"UNDO"}

    view: EnumProperty(items=VIEWS)  # type: ignore[valid-type]  # Blender reads the annotation

    @classmethod
    def description(cls, context: bpy.types.Context, given: bpy.types.OperatorProperties) -> str:
        """The tooltip of the picture that the button shows."""
        return tip_(next(text for name, _, text in VIEWS if name == given.view))

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where the button's picture is there."""
        return _missing(context.scene, cell_of(context)) or super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Show it."""
        if wrong := _missing(context.scene, self.view):  # asked for without the button
            return refuse(self, context, SessionError(f"{wrong}."))
        context.scene.watch_your_steps.view = self.view
        return {"FINISHED"}


def _missing(scene: bpy.types.Scene, view: str) -> str:
    """Why one of VIEWS cannot be shown; "" where it can."""
    settings = scene.watch_your_steps
    if view == "LAYERS":
        return layers.why_unseen(settings)
    for name in NEEDED[view] if view else ():
        if getattr(settings, name) is None:
            return MISSING[name]
    return lost_picture(settings, view) if view else ""


class WYS_OT_dismiss(bpy.types.Operator):
    """Take this message away"""

    bl_translation_context = CONTEXT
    bl_idname = "watch_your_steps.dismiss"
    bl_label = "Dismiss"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Clear the panel's sentence."""
        session.say(context.scene, "")
        return {"FINISHED"}


class WYS_OT_look_through_camera(ExplainedOperator):
    """Look through the active camera in this view, where the pictures are shown"""

    bl_idname = "watch_your_steps.look_through_camera"
    bl_label = "Look Through Camera"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only in a 3D view of a scene with a camera."""
        if context.scene.camera is None:
            return "The scene has no active camera"
        in_3d_view = getattr(context.space_data, "type", "") == "VIEW_3D"
        return "" if in_3d_view else "This is not a 3D view"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Switch the view."""
        context.space_data.region_3d.view_perspective = "CAMERA"
        return {"FINISHED"}


CLASSES = (
    WYS_OT_connect,
    WYS_OT_disconnect,
    WYS_OT_preview_relevance,
    WYS_OT_edit,
    WYS_OT_cancel,
    WYS_OT_use_suggestion,
    WYS_OT_show_picture,
    WYS_OT_dismiss,
    WYS_OT_look_through_camera,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
