"""What the buttons of the panel "Texture" do. Each returns at once: renders are made one by one by
the timer.
"""

import bpy
from bpy.props import EnumProperty, StringProperty

from ..data.meshes import edited_textures, painted_regions, texture_bases
from ..data.meshes.mesh_reading import left_alone, with_full_name
from ..data.scene_error import SceneError
from ..jobs import session
from ..jobs.job import SessionError
from ..jobs.texture_jobs import texture_job
from .languages import rpt_, tip_
from .operators import ExplainedOperator, JobOperator, refuse
from .switches import cell_of

SHOWN = (
    ("ORIGINAL", "Original", "Show the texture as it was"),
    ("EDITED", "Edited", "Show the edited texture"),
    ("RELEVANCE", "Relevance", "Show where the instruction applies, from dark to bright"),
)

Outcome = set[str]


def no_mesh(context: bpy.types.Context) -> str:
    """Why the active object has no texture that could be edited, as `why_not` says it."""
    thing = context.active_object
    if thing is None:
        return "There is no active object: click on the mesh whose texture you want to edit"
    return "" if thing.type == "MESH" else f'"{thing.name}" is not a mesh'


def native_size(own: int) -> int:
    """Pixels a side that the model was trained at, where no size of its own is set.

    Raises:
        SessionError: the model is not there yet to say it.
    """
    welcome = session.state.status.welcome
    size = welcome.native_size if welcome is not None else 0
    if not size and not own:
        raise SessionError(
            "The model is still loading and has not said its size: wait a moment, or set one."
        )
    return size


class TextureJobOperator(JobOperator):
    """What the operators have in common that send the active mesh."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where a mesh is active."""
        return super().why_not(context) or no_mesh(context)


class WYS_OT_edit_texture(TextureJobOperator):
    """Edit the texture of the active object where the instruction applies: the object is rendered from all sides, and the edited views are carried into a new texture with the same UVs"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.edit_texture"
    bl_label = "Edit Texture"

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Read the mesh, return; views, sending and the result come through the timer."""
        scene = context.scene
        try:
            session.check_connection()
            size = native_size(scene.watch_your_steps.texture.size)
            with texture_bases.base_shown(context) as before:
                session.submit(scene, texture_job(context, size)).put_back = before.put_back
        except (SceneError, SessionError) as error:
            return refuse(self, context, error)
        thing = context.active_object
        image = scene.watch_your_steps.job_image
        others = ", ".join(f'"{other.name}"' for other in left_alone(thing, image))
        alone = f"; left alone: {others}" if others else ""
        self.report({"INFO"}, rpt_(f'Editing "{image.name}" of "{thing.name}"{alone}'))
        return {"FINISHED"}


class WYS_OT_choose_texture(ExplainedOperator):
    """Choose this image to be edited. The others of the object are left alone"""

    bl_idname = "watch_your_steps.choose_texture"
    bl_label = "Choose Texture"
    bl_options = {"UNDO"}

    image: StringProperty()  # type: ignore[valid-type]  # Blender reads the annotation

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Keep it with the scene."""
        image = with_full_name(bpy.data.images, self.image)
        if image is None:
            return refuse(self, context, SessionError("There is no such image any more."))
        context.scene.watch_your_steps.texture.image = image
        return {"FINISHED"}


def _edited(context: bpy.types.Context) -> bpy.types.Image | None:
    """The last edit of the active object's texture."""
    chosen = context.scene.watch_your_steps.texture.image
    return edited_textures.texture_of(context.active_object, chosen)


class _TextureOperator(ExplainedOperator):
    """What all operators on an edited texture have in common."""

    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where the active object has an edited texture."""
        if _edited(context) is None:
            return "The active object has no edited texture"
        return super().why_not(context)


class WYS_OT_show_texture(_TextureOperator):
    """Choose which of the pictures the object's material shows"""

    bl_idname = "watch_your_steps.show_texture"
    bl_label = "Show Texture"

    what: EnumProperty(items=SHOWN)  # type: ignore[valid-type]  # Blender reads the annotation
    edit: StringProperty()  # type: ignore[valid-type]
    """Full name of the edit, where it is not the last one."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is the picture that the button chooses."""
        edited, what = _edited(context), cell_of(context)
        if edited is not None and what and edited_textures.image_for(edited, what) is None:
            return "This edit has no relevance map"
        return super().why_not(context)

    @classmethod
    def description(cls, context: bpy.types.Context, given: bpy.types.OperatorProperties) -> str:
        """The tooltip of the one that the button chooses."""
        return tip_(next(text for name, _, text in SHOWN if name == given.what))

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Point the material's nodes to it."""
        edited, engine = _edited(context), context.scene.render.engine
        thing = context.active_object
        if self.edit:
            edited = with_full_name(bpy.data.images, self.edit)
        if edited is None or not edited_textures.show(thing, edited, self.what, engine):
            return refuse(self, context, SessionError("There is no such picture any more."))
        return {"FINISHED"}


class WYS_OT_revert_texture(_TextureOperator):
    """Throw the last edit of this texture away, and show what it was made from. Other objects that show it keep it"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.revert_texture"
    bl_label = "Revert"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Not while a region is painted, which would go with the edit."""
        if painted_regions.being_painted(context) is not None:
            return "Press Done Painting first"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Remove it."""
        edited = _edited(context)
        assert edited is not None  # poll has found it
        edited_textures.revert(context.active_object, edited)
        return {"FINISHED"}


CLASSES = (
    WYS_OT_edit_texture,
    WYS_OT_choose_texture,
    WYS_OT_show_texture,
    WYS_OT_revert_texture,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
