"""What the buttons of a texture's preview and of a finished edit's threshold do."""

import bpy

from ..data.meshes import (
    live_textures,
    moved_threshold,
    painted_regions,
    texture_bases,
    texture_regions,
)
from ..data.scene_error import SceneError
from ..jobs import session
from ..jobs.job import SessionError
from ..jobs.texture_preview_jobs import texture_preview_job
from .operators import ExplainedOperator, refuse
from .operators_texture import TextureJobOperator, native_size, no_mesh

Outcome = set[str]
NO_PREVIEW = "This texture has no preview yet: press Preview on Mesh first"
END_FIRST = "Press Done Painting first"
OLD_BACKEND = "This backend is older than the add-on and cannot preview textures: update it."
NEEDED = "texture_relevance_request"


def base_of(context: bpy.types.Context) -> bpy.types.Image | None:
    """The texture of the active object that the next edit is made of; None where there is none."""
    thing = context.active_object
    if thing is None or thing.type != "MESH":
        return None
    scene = context.scene
    return texture_bases.base_of(thing, scene.watch_your_steps.texture, scene.render.engine)


def preview_of(context: bpy.types.Context) -> bpy.types.PropertyGroup | None:
    """Its preview, or None."""
    if not any(texture_regions.chosen_map(one.watch_your_steps.preview) for one in bpy.data.images):
        return None  # buttons ask at every redraw, and the mesh may be large
    image = base_of(context)
    region = None if image is None else image.watch_your_steps.preview
    return region if region is not None and texture_regions.chosen_map(region) else None


def shows_preview(context: bpy.types.Context) -> bool:
    """Whether the active object shows one."""
    thing = context.active_object
    return thing is not None and thing.type == "MESH" and live_textures.is_previewed(thing)


class WYS_OT_preview_texture(TextureJobOperator):
    """Find where the instruction applies on the active mesh, and show it there: the threshold can then be moved without the backend. Nothing is changed yet"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.preview_texture"
    bl_label = "Preview on Mesh"

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Read the mesh, return; views, sending and the result come through the timer."""
        scene = context.scene
        try:
            session.check_connection()
            size = native_size(scene.watch_your_steps.texture.size)
            welcome = session.state.status.welcome
            if welcome is not None and NEEDED not in welcome.capabilities:
                raise SessionError(OLD_BACKEND)
            with texture_bases.base_shown(context) as before:
                session.submit(scene, texture_preview_job(context, size)).put_back = before.put_back
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class PreviewOperator(ExplainedOperator):
    """What all operators on a texture's preview have in common."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is one."""
        if preview_of(context) is None:
            return NO_PREVIEW
        return super().why_not(context)


class WYS_OT_show_texture_preview(ExplainedOperator):
    """Show the region on the mesh, or the texture itself. Look at it in Material Preview or Rendered"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.show_texture_preview"
    bl_label = "Show on Mesh"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Not while views are rendered, which must show the texture itself."""
        if session.job_of(context.scene) is not None:
            return "A job of this scene runs: wait for it, or cancel it"
        if not shows_preview(context) and preview_of(context) is None:
            return NO_PREVIEW  # one that is shown may have lost its maps
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Put the nodes there, or take them away."""
        thing, image = context.active_object, base_of(context)
        if live_textures.is_previewed(thing):
            live_textures.take_off(thing)
        elif not texture_bases.put_preview(thing, image, context.scene.render.engine):
            text = f'No material of "{thing.name}" shows this texture any more.'
            return refuse(self, context, SessionError(text))
        return {"FINISHED"}


class WYS_OT_use_texture_suggestion(PreviewOperator):
    """Set the threshold to the value at which the relevance falls into two parts by itself"""

    bl_idname = "watch_your_steps.use_texture_suggestion"
    bl_label = "Use"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Where the threshold is somewhere else, or was moved by hand."""
        region = preview_of(context)
        if (
            region is not None
            and not region.threshold_of
            and region.threshold == region.suggested_threshold
        ):
            return "The threshold is at the suggestion already"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Move the slider."""
        texture_regions.follow_suggestion(preview_of(context))
        return {"FINISHED"}


class WYS_OT_clear_texture_preview(PreviewOperator):
    """Throw this preview away: Edit Texture then finds by itself where the instruction applies"""

    bl_idname = "watch_your_steps.clear_texture_preview"
    bl_label = "Clear Preview"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Not while its correction is painted."""
        if painted_regions.being_painted(context) is not None:
            return END_FIRST
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Take it off the mesh, and out of the file."""
        live_textures.remove(preview_of(context))
        return {"FINISHED"}


class _MovedOperator(ExplainedOperator):
    """What both operators on an edit whose threshold was moved have in common."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one is shown."""
        edited = shown_edit(context)
        if edited is None:
            return no_mesh(context) or "The active object shows no edited texture"
        if not moved_threshold.is_moved(edited):
            return "The threshold of this edit was not moved"
        return super().why_not(context)


class WYS_OT_apply_texture_threshold(_MovedOperator):
    """Write what the edit shows at this threshold into a texture of its own. The edit itself stays in the list"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.apply_texture_threshold"
    bl_label = "Apply"

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Make it, and show it."""
        thing, edited = context.active_object, shown_edit(context)
        try:
            moved_threshold.apply(thing, edited, context.scene.render.engine)
        except SceneError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_reset_texture_threshold(_MovedOperator):
    """Put the threshold back to where the edit was made"""

    bl_idname = "watch_your_steps.reset_texture_threshold"
    bl_label = "Reset"

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Move the slider."""
        moved_threshold.reset(shown_edit(context))
        return {"FINISHED"}


def shown_edit(context: bpy.types.Context) -> bpy.types.Image | None:
    """The edit that the active object shows, or None."""
    thing = context.active_object
    if thing is None or thing.type != "MESH":
        return None
    scene = context.scene
    chosen = scene.watch_your_steps.texture.image
    return texture_bases.shown_edit(thing, chosen, scene.render.engine)


CLASSES = (
    WYS_OT_preview_texture,
    WYS_OT_show_texture_preview,
    WYS_OT_use_texture_suggestion,
    WYS_OT_clear_texture_preview,
    WYS_OT_apply_texture_threshold,
    WYS_OT_reset_texture_threshold,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
