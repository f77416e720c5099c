"""What the buttons of the panel "Scene in 3D" do. Each returns at once: renders are made one by one
by the timer.
"""

import bpy
from bpy.props import BoolProperty, StringProperty

from ..data import copies
from ..data.scene_error import SceneError
from ..jobs import film_jobs, scene_jobs, session
from ..jobs.job import NewJob, SessionError, check_instruction
from ..jobs.texture_jobs import scene_texture_job
from ..protocol.messages import DropCapture, UndoSceneEdit
from .languages import tip_
from .operators import ExplainedOperator, JobOperator, refuse
from .operators_texture import native_size, no_mesh

Outcome = set[str]


class _SceneOperator(JobOperator):
    """What all operators that start a job of the scene in 3D have in common."""

    needs_capture = False
    """Whether it works on a complete capture."""
    makes_capture = False
    """Whether it needs none that was made before."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is what it needs."""
        in_3d = context.scene.watch_your_steps.in_3d
        if cls.needs_capture and not in_3d.sealed:
            return scene_jobs.NOT_CAPTURED
        lacking = in_3d.sealed and in_3d.capture in session.state.lacking
        if lacking and not cls.makes_capture:
            return scene_jobs.NOT_HERE
        return super().why_not(context)

    def job(self, context: bpy.types.Context) -> NewJob:
        """The job to start. Raises SessionError or SceneError."""
        raise NotImplementedError

    def then(self, context: bpy.types.Context) -> tuple[str, ...]:
        """Kinds of the jobs that follow it."""
        return ()

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Start it, return; everything else comes through the timer."""
        copies.settle(context.scene)
        try:
            session.check_connection()
            session.submit(context.scene, self.job(context), self.then(context))
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_capture_scene(_SceneOperator):
    """Render the scene from many sides and send the views to the backend. What was captured before is left there"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.capture_scene"
    bl_label = "Capture"
    makes_capture = True
    bl_options = {"UNDO"}  # else the file would count as saved, and close without being asked

    def job(self, context: bpy.types.Context) -> NewJob:
        """A capture with a new id."""
        size = native_size(context.scene.watch_your_steps.in_3d.size)
        return scene_jobs.new_capture(context, size)


class WYS_OT_resume_capture(_SceneOperator):
    """Render and send the views that the backend does not have yet"""

    bl_idname = "watch_your_steps.resume_capture"
    bl_label = "Go On with Capture"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one was begun."""
        if not scene_jobs.is_interrupted(context.scene):
            return "No capture of this scene was interrupted"
        return super().why_not(context)

    def job(self, context: bpy.types.Context) -> NewJob:
        """The capture of the same id."""
        return scene_jobs.interrupted_capture(context.scene)


class WYS_OT_train_scene(_SceneOperator):
    """Let the backend learn the scene from the captured views; goes on where it was cancelled"""

    bl_idname = "watch_your_steps.train_scene"
    bl_label = "Train"
    needs_capture = True

    anew: BoolProperty(options={"SKIP_SAVE"})  # type: ignore[valid-type]  # Blender reads it

    @classmethod
    def description(cls, context: bpy.types.Context, given: bpy.types.OperatorProperties) -> str:
        """The tooltip of the button."""
        if given.anew:
            return tip_(
                "Delete the trained field and all its edits at the backend, and train another"
            )
        return tip_(cls.__doc__ or "")

    def job(self, context: bpy.types.Context) -> NewJob:
        """Train, or go on."""
        return scene_jobs.train(context.scene, self.anew)


class WYS_OT_edit_scene(_SceneOperator):
    """Edit the trained scene where the instruction applies, the same from every side; goes on where the same edit was cancelled"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.edit_scene"
    bl_label = "Edit in 3D"
    needs_capture = True

    def job(self, context: bpy.types.Context) -> NewJob:
        """Edit, or go on."""
        return scene_jobs.edit_scene(context.scene)


class WYS_OT_bring_mesh(_SceneOperator):
    """Bring the edited scene, or where there is no edit the trained one, as a mesh with textures"""

    bl_idname = "watch_your_steps.bring_mesh"
    bl_label = "Bring Mesh"
    needs_capture = True

    def job(self, context: bpy.types.Context) -> NewJob:
        """Make it."""
        return scene_jobs.bring_mesh(context.scene)


class WYS_OT_bring_texture(_SceneOperator):
    """Bring the chosen 3D edit into the active mesh's own texture, with its own UVs. The mesh must be as it was captured"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.bring_texture"
    bl_label = "Bring into Texture"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is an edit, and a mesh is active."""
        if not context.scene.watch_your_steps.in_3d.edit:
            return "There is no 3D edit yet: press Edit in 3D first"
        return super().why_not(context) or no_mesh(context)

    def job(self, context: bpy.types.Context) -> NewJob:
        """Render the object from the capture's places, and make it."""
        return scene_texture_job(context, native_size(context.scene.watch_your_steps.texture.size))


class _FilmOperator(_SceneOperator):
    """What both operators that render the trained scene have in common."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is a field."""
        if not context.scene.watch_your_steps.in_3d.field:
            return "The scene is not trained yet: press Train first"
        return super().why_not(context)


class WYS_OT_render_view(_FilmOperator):
    """Render the edited scene, or where there is no edit the trained one, as the active camera sees it now, and show it over the camera's view"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.render_view"
    bl_label = "Render View"

    def job(self, context: bpy.types.Context) -> NewJob:
        """Render it."""
        return film_jobs.view_job(context.scene)


class WYS_OT_render_frames(_FilmOperator):
    """Render the edited scene by the active camera at every frame of the scene's range, into the scene's output folder"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.render_frames"
    bl_label = "Render Frames"

    def job(self, context: bpy.types.Context) -> NewJob:
        """Render them."""
        return film_jobs.film_job(context.scene)


class WYS_OT_all_in_3d(_SceneOperator):
    """Do all four steps one after the other; what is there already is kept. A capture is made anew only where there is none"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.all_in_3d"
    bl_label = "Do All Steps"
    bl_options = {"UNDO"}

    def job(self, context: bpy.types.Context) -> NewJob:
        """The first step that is not done."""
        scene = context.scene
        check_instruction(scene.watch_your_steps.instruction)
        if scene.watch_your_steps.in_3d.sealed:
            return scene_jobs.train(scene)
        if scene_jobs.is_interrupted(scene):
            return scene_jobs.interrupted_capture(scene)
        return scene_jobs.new_capture(context, native_size(scene.watch_your_steps.in_3d.size))

    def then(self, context: bpy.types.Context) -> tuple[str, ...]:
        """All steps behind that one."""
        return scene_jobs.ALL_STEPS[1 if context.scene.watch_your_steps.in_3d.sealed else 0 :]


class WYS_OT_choose_scene_edit(ExplainedOperator):
    """Bring Mesh brings this edit, and the next edit can be stacked on it"""

    bl_idname = "watch_your_steps.choose_scene_edit"
    bl_label = "Choose Edit"
    bl_options = {"UNDO"}

    name: StringProperty()  # type: ignore[valid-type]  # Blender reads the annotation

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Point the scene's settings to it."""
        scene_jobs.choose_edit(context.scene, session.scene_state(context.scene), self.name)
        return {"FINISHED"}


class WYS_OT_undo_scene_edit(ExplainedOperator):
    """Delete this edit at the backend; meshes that were brought of it stay"""

    bl_idname = "watch_your_steps.undo_scene_edit"
    bl_label = "Undo 3D Edit"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only an edit of the scene's own."""
        if copies.is_borrowed(context.scene):
            return f"{scene_jobs.BORROWED}, and so do its edits: delete them there"
        return super().why_not(context)

    name: StringProperty()  # type: ignore[valid-type]  # Blender reads the annotation

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Ask the backend; the answer comes through the timer."""
        copies.settle(context.scene)
        in_3d = context.scene.watch_your_steps.in_3d
        name = self.name or in_3d.edit
        try:
            if copies.is_borrowed(context.scene):
                raise SessionError(f"{self.why_not(context)}.")
            if not name:
                raise SessionError("There is no edit to undo.")
            session.tell(UndoSceneEdit(capture=in_3d.capture, edit=name))
        except SessionError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_drop_capture(ExplainedOperator):
    """Delete this scene's capture at the backend, with its field and all its edits. Meshes that were brought stay. A capture that belongs to another scene, of which this one is a copy, is only taken out of this scene"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.drop_capture"
    bl_label = "Delete Capture"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is one, and no job uses it."""
        if not context.scene.watch_your_steps.in_3d.capture:
            return scene_jobs.NOT_CAPTURED
        if session.job_of(context.scene) is not None:
            return "A job of this scene runs: wait for it, or cancel it"
        return super().why_not(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """Ask the artist first."""
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Ask the backend; the answer comes through the timer."""
        copies.settle(context.scene)
        in_3d = context.scene.watch_your_steps.in_3d
        # a copy has left an unfinished one to its original
        if copies.is_borrowed(context.scene) or not in_3d.capture:
            in_3d.forget_capture()
            session.say(context.scene, f"{scene_jobs.BORROWED}: only this scene has forgotten it.")
            return {"FINISHED"}
        if in_3d.capture in session.state.lacking:
            in_3d.forget_capture()
            session.say(context.scene, f"{scene_jobs.LACKING}: only this scene has forgotten it.")
            return {"FINISHED"}
        try:
            session.tell(DropCapture(capture=in_3d.capture))
        except SessionError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


CLASSES = (
    WYS_OT_capture_scene,
    WYS_OT_resume_capture,
    WYS_OT_train_scene,
    WYS_OT_edit_scene,
    WYS_OT_bring_mesh,
    WYS_OT_bring_texture,
    WYS_OT_render_view,
    WYS_OT_render_frames,
    WYS_OT_all_in_3d,
    WYS_OT_choose_scene_edit,
    WYS_OT_undo_scene_edit,
    WYS_OT_drop_capture,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
