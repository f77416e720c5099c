"""What keeps painted views of a scene for its edits in 3D, and changes them all at once."""

import bpy
from bpy.props import IntProperty

from ..data import painting
from ..data.scene_error import SceneError
from ..protocol.corrections import Painted
from ..render import painted_views
from .operators import ExplainedOperator, refuse

Outcome = set[str]


class WYS_OT_keep_painted_view(ExplainedOperator):
    """Keep what is painted and clicked on this picture for edits in 3D, so that you can clear it and paint on another view, too. What was kept of this view before is replaced"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.keep_painted_view"
    bl_label = "Keep Painted View"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where something is painted that has a place in the scene."""
        scene = context.scene
        wrong = painted_views.why_not(scene) or painted_views.why_full(scene)
        return wrong or super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Keep it."""
        try:
            painted_views.keep(context.scene)
        except SceneError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_remove_painted_view(ExplainedOperator):
    """Edits in 3D do not keep to what was painted on this view any more"""

    bl_idname = "watch_your_steps.remove_painted_view"
    bl_label = "Remove Painted View"
    bl_options = {"UNDO"}

    index: IntProperty()  # type: ignore[valid-type]  # Blender reads the annotation

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where one is kept."""
        if not context.scene.watch_your_steps.in_3d.painted:
            return "No painted view is kept"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Forget it."""
        context.scene.watch_your_steps.in_3d.painted.remove(self.index)
        return {"FINISHED"}


class _ChangeOperator(ExplainedOperator):
    """What all operators on everything that is painted for 3D have in common."""

    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where something is painted that counts in 3D."""
        return painted_views.why_none(context.scene) or super().why_not(context)

    def changed(self, painted: Painted) -> Painted:
        """What becomes of what is painted on one view."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Outcome:
        """Change them."""
        try:
            painted_views.change(context.scene, self.changed)
        except SceneError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class _GrowOperator(_ChangeOperator):
    """What growing and shrinking have in common."""

    pixels: IntProperty(  # type: ignore[valid-type]  # Blender reads the annotation
        name="Pixels", description="How far, in pixels of the picture", default=4, min=1, max=256
    )


class WYS_OT_grow_painted_views(_GrowOperator):
    """Let what is added on all painted views reach further, and what is taken away less far. How far stands in Adjust Last Operation"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.grow_painted_views"
    bl_label = "Grow Painted Views"

    def changed(self, painted: Painted) -> Painted:
        """Grown."""
        return painting.grown(painted, self.pixels)


class WYS_OT_shrink_painted_views(_GrowOperator):
    """Let what is added on all painted views reach less far, and what is taken away further. How far stands in Adjust Last Operation"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.shrink_painted_views"
    bl_label = "Shrink Painted Views"

    def changed(self, painted: Painted) -> Painted:
        """Shrunk."""
        return painting.grown(painted, -self.pixels)


class WYS_OT_invert_painted_views(_ChangeOperator):
    """Take away what is added on all painted views, and add what is taken away. What is not painted is still left to the threshold"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.invert_painted_views"
    bl_label = "Invert Painted Views"

    def changed(self, painted: Painted) -> Painted:
        """Inverted."""
        return painting.inverted(painted)


CLASSES = (
    WYS_OT_keep_painted_view,
    WYS_OT_remove_painted_view,
    WYS_OT_grow_painted_views,
    WYS_OT_shrink_painted_views,
    WYS_OT_invert_painted_views,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
