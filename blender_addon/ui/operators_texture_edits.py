"""What the buttons beside the kept edits of a texture do."""

import bpy
from bpy.props import StringProperty

from ..data.meshes import edited_textures
from ..data.meshes.mesh_reading import with_full_name
from ..jobs.job import SessionError
from .languages import rpt_
from .operators import JobOperator, refuse
from .operators_3d import no_mesh
from .operators_texture_region import shown_edit

Outcome = set[str]
GONE = "There is no such edit of this texture any more."


class WYS_OT_delete_texture_edit(JobOperator):
    """Delete this edit of the texture. Edits on top of it stay as they are, and other objects that show it keep it"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.delete_texture_edit"
    bl_label = "Delete Edit"
    bl_options = {"UNDO"}

    edit: StringProperty()  # type: ignore[valid-type]  # Blender reads the annotation

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where a mesh is active, and no job works on its texture."""
        return super().why_not(context) or no_mesh(context)

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


CLASSES = (WYS_OT_delete_texture_edit,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
