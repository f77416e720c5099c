"""The button that edits all frames."""

import bpy

from ..data import copies
from ..data.scene_error import SceneError
from ..jobs import frame_jobs, saved_waiting, session, waiting
from ..jobs.job import SessionError, check_instruction
from .operators import MISSING, ExplainedOperator, refuse


class WYS_OT_edit_frames(ExplainedOperator):
    """Edit every frame of the scene's range at this threshold and with this seed, each inside a mask of its own that keeps to what is painted and picked, and write them into the output folder. Pressed again, it goes on with the frames that are missing"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.edit_frames"
    bl_label = "Edit Frames"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only once a map has been seen, and not twice."""
        if context.scene.watch_your_steps.relevance_image is None:
            return MISSING["relevance_image"]
        job = session.job_of(context.scene)
        if frame_jobs.KIND in {one.kind for one in (job, *waiting.waiting(context.scene)) if one}:
            return "Frames are being edited: wait for them, or cancel them"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Begin with the first one, return; the others follow by themselves."""
        scene = context.scene
        try:
            copies.settle(scene)
            check_instruction(scene.watch_your_steps.instruction)
            session.check_connection()
            session.ask(scene, *frame_jobs.frame_jobs(scene))
            saved_waiting.drop(scene, frame_jobs.KIND)  # they are among these
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        return {"FINISHED"}


CLASSES = (WYS_OT_edit_frames,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
