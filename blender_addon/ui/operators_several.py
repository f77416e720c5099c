"""What the button does that edits the textures of all selected meshes."""

import bpy

from ..data.scene_error import SceneError
from ..jobs import session
from ..jobs.job import SessionError
from ..jobs.texture_each_jobs import each_job
from .languages import rpt_
from .operators import ExplainedOperator, refuse
from .operators_texture import native_size

FEWEST = 2
"""Selected meshes, from which they are edited together."""


def selected_meshes(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The active one first."""
    meshes = [one for one in context.selected_objects if one.type == "MESH"]
    return sorted(meshes, key=lambda one: (one != context.active_object, one.name))


class WYS_OT_edit_textures(ExplainedOperator):
    """Edit the textures of all selected meshes with this instruction and these settings, one after the other: each is an edit of its own. While a job of this scene runs, they wait for its end"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.edit_textures"
    bl_label = "Edit Textures of Selected"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where several are selected."""
        if len(selected_meshes(context)) < FEWEST:
            return "Select two meshes at least: Edit Texture edits the active one"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Return; meshes are read, and views, sending and results come, through the timer."""
        scene, things = context.scene, selected_meshes(context)
        try:
            session.check_connection()
            size = native_size(scene.watch_your_steps.texture.size)
            jobs = each_job(scene, things, size)
            session.ask(scene, *jobs)
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        begun = {one.title for one in jobs}
        left = [f'"{one.name}"' for one in things if one.name not in begun]
        if left:
            names = ", ".join(left)
            self.report({"INFO"}, rpt_(f"Left out, without a texture of their own: {names}"))
        return {"FINISHED"}


CLASSES = (WYS_OT_edit_textures,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
