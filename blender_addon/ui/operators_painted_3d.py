"""What keeps painted views of a scene for its edits in 3D."""

import bpy
from bpy.props import IntProperty

from ..data.scene_error import SceneError
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


CLASSES = (WYS_OT_keep_painted_view, WYS_OT_remove_painted_view)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
