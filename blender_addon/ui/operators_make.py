"""The buttons that make a texture of a mesh's materials, and take it off again."""

import bpy

from ..data.meshes import live_textures, made_textures
from ..data.meshes.edited_textures import shows_relevance
from ..data.scene_error import SceneError
from ..data.translations import CONTEXT
from ..jobs import texture_making
from ..jobs.job import SessionError
from .languages import rpt_, tip_
from .operators import ExplainedOperator, refuse

Outcome = set[str]


def _shows_no_colors(thing: bpy.types.Object, engine: str) -> str:
    """Why a mesh does not show its own colours, as `why_not` says it."""
    if live_textures.is_previewed(thing):
        return f'"{thing.name}" shows a preview: switch Show on Mesh off first'
    if shows_relevance(thing, engine):
        return f'"{thing.name}" shows its relevance: press Original or Edited first'
    return ""


class WYS_OT_make_texture(ExplainedOperator):
    """Bake the base color of the object's materials into one image that can be edited, and lay that on with a UV map. Materials and UV maps are kept, and Blender can be used meanwhile. Other selected meshes follow"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.make_texture"
    bl_label = "Make Texture"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only for a mesh of this file, one at a time."""
        if texture_making.makings.now is not None:
            return "A texture is being made already: wait for it, or cancel it"
        thing = context.active_object
        reason = super().why_not(context) or made_textures.why_not_made(thing)
        return reason or _shows_no_colors(thing, context.scene.render.engine)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Write a copy, return; what is baked comes through the timer."""
        first = context.active_object
        others = [one for one in context.selected_objects if one != first and one.type == "MESH"]
        engine = context.scene.render.engine
        can = [
            one
            for one in others
            if not made_textures.why_not_made(one) and not _shows_no_colors(one, engine)
        ]
        try:
            texture_making.begin(context.scene, [first, *can])
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        left = [f'"{one.name}"' for one in others if one not in can]
        if left:
            self.report({"INFO"}, rpt_(f"Left alone: {', '.join(left)}"))
        return {"FINISHED"}


class WYS_OT_cancel_making(bpy.types.Operator):
    """Stop making textures. The object stays as it is"""

    bl_translation_context = CONTEXT
    bl_idname = "watch_your_steps.cancel_making"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while one is made."""
        if texture_making.makings.now is None:
            cls.poll_message_set(tip_("No texture is being made"))
        return texture_making.makings.now is not None

    def execute(self, context: bpy.types.Context) -> Outcome:
        """End the process."""
        texture_making.cancel()
        return {"FINISHED"}


class WYS_OT_revert_making(ExplainedOperator):
    """Give the object its own materials and UV maps back. The image and its edits stay in the file while there are edits"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.revert_making"
    bl_label = "Revert to Materials"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where the active object has a texture that was made."""
        thing = context.active_object
        if thing is None or thing.type != "MESH" or not made_textures.made_slots(thing):
            return "The active object has no texture that was made of its materials"
        if thing.library or thing.data.library:
            return f'"{thing.name}" is linked from another file'
        if mode := made_textures.modelling_mode(thing):
            return f"Leave {mode} first"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Take it off."""
        thing, texture = context.active_object, context.scene.watch_your_steps.texture
        if texture.image in {
            slot.material.watch_your_steps.image for slot in made_textures.made_slots(thing)
        }:
            texture.image = None
        made_textures.take_off(thing)
        return {"FINISHED"}


CLASSES = (WYS_OT_make_texture, WYS_OT_cancel_making, WYS_OT_revert_making)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
