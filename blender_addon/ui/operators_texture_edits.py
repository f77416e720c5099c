"""What the buttons beside the kept edits of a texture do."""

import bpy
from bpy.props import StringProperty

from ..data.meshes import edited_textures, painted_regions, texture_asked
from ..data.meshes.mesh_reading import with_full_name
from ..data.scene_error import SceneError
from ..jobs import session
from ..jobs.job import SessionError
from ..jobs.texture_again_jobs import texture_again_job
from .languages import rpt_
from .operators import ExplainedOperator, refuse
from .operators_texture import TextureJobOperator, no_mesh
from .operators_texture_region import END_FIRST, shown_edit

Outcome = set[str]
NO_EDIT = "The active object has no edited texture"
GONE = "There is no such edit of this texture any more."


class WYS_OT_delete_texture_edit(TextureJobOperator):
    """Delete this edit of the texture. Edits on top of it stay as they are, and other objects that show it keep it"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.delete_texture_edit"
    bl_label = "Delete Edit"
    bl_options = {"UNDO"}

    edit: StringProperty()  # type: ignore[valid-type]  # Blender reads the annotation

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where a mesh is active, and neither job nor brush works on its texture."""
        if painted_regions.being_painted(context) is not None:
            return END_FIRST
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Take it out of the list; the mesh goes on showing what it shows, where that is another
        edit.
        """
        thing, edited = context.active_object, with_full_name(bpy.data.images, self.edit)
        if edited is None or not edited_textures.is_listed(edited):
            return refuse(self, context, SessionError(GONE))
        shown, instruction = shown_edit(context), edited.watch_your_steps.instruction
        other = shown if shown != edited else None
        is_gone = edited_textures.revert(thing, edited)
        if other is not None and shown_edit(context) != other:
            edited_textures.show(thing, other, "EDITED", context.scene.render.engine)
        if not is_gone:
            self.report({"INFO"}, rpt_(f'"{instruction}" stays: other objects show it.'))
        return {"FINISHED"}


class WYS_OT_texture_again(ExplainedOperator):
    """Make the shown edit of this texture again with the next seed: in the same region, from the same sides and with the same settings, whatever the panel shows now. While a job of this scene runs, it waits for its end"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.texture_again"
    bl_label = "Another Seed"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where all that it takes is still there."""
        edited = _edited(context)
        if edited is None:
            return no_mesh(context) or NO_EDIT
        return super().why_not(context) or texture_asked.why_unknown(edited)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Check the mesh, return; views, sending and the result come through the timer."""
        edited = _edited(context)
        assert edited is not None  # poll has found it
        try:
            session.check_connection()
            new = texture_again_job(context.scene, context.active_object, edited)
            session.ask(context.scene, new)
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        return {"FINISHED"}


def _edited(context: bpy.types.Context) -> bpy.types.Image | None:
    """The edit that the active object shows, or the last one."""
    chosen = context.scene.watch_your_steps.texture.image
    return edited_textures.texture_of(context.active_object, chosen)


CLASSES = (WYS_OT_delete_texture_edit, WYS_OT_texture_again)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
