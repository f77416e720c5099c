"""What the buttons beside the edits that wait do."""

import bpy
from bpy.props import EnumProperty, StringProperty

from ..jobs import waiting
from ..jobs.job import SessionError
from .languages import tip_
from .operators import ExplainedOperator, refuse

BEGUN = "It does not wait any more: it has begun, or was removed."


class WaitingOperator(ExplainedOperator):
    """What all operators on edits that wait have in common. They are no undo steps, as an undo
    leaves what waits as it is.
    """

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only while there are some."""
        return "" if waiting.waiting(context.scene) else "Nothing waits"


def _place(scene: bpy.types.Scene, job: str) -> int:
    """The place of a job among those that wait. Raises SessionError where it is not among them."""
    ids = [one.id for one in waiting.waiting(scene)]
    if job not in ids:
        raise SessionError(BEGUN)
    return ids.index(job)


class WYS_OT_move_waiting(WaitingOperator):
    """Begin this edit earlier or later"""

    bl_idname = "watch_your_steps.move_waiting"
    bl_label = "Move"

    job: StringProperty()  # type: ignore[valid-type]  # Blender reads the annotation
    to: EnumProperty(  # type: ignore[valid-type]
        items=(("UP", "Up", "Begin it earlier"), ("DOWN", "Down", "Begin it later"))
    )

    @classmethod
    def description(cls, context: bpy.types.Context, given: bpy.types.OperatorProperties) -> str:
        """The tooltip."""
        if given.to == "UP":
            return tip_("Begin this edit before the one above it")
        return tip_("Begin this edit after the one below it")

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Change places with its neighbour; at an end it stays."""
        scene = context.scene
        try:
            place = _place(scene, self.job)
        except SessionError as error:
            return refuse(self, context, error)
        to = place + (1 if self.to == "DOWN" else -1)
        if 0 <= to < len(waiting.waiting(scene)):
            waiting.move(scene, place, to)
        return {"FINISHED"}


class WYS_OT_remove_waiting(WaitingOperator):
    """Do not make this edit. What runs goes on"""

    bl_idname = "watch_your_steps.remove_waiting"
    bl_label = "Remove"

    job: StringProperty()  # type: ignore[valid-type]  # Blender reads the annotation

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget it."""
        try:
            waiting.remove(context.scene, _place(context.scene, self.job))
        except SessionError as error:
            return refuse(self, context, error)
        return {"FINISHED"}


class WYS_OT_remove_all_waiting(WaitingOperator):
    """Make none of the edits that wait. What runs goes on"""

    bl_idname = "watch_your_steps.remove_all_waiting"
    bl_label = "Remove All"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget them."""
        waiting.drop(context.scene)
        return {"FINISHED"}


CLASSES = (WYS_OT_move_waiting, WYS_OT_remove_waiting, WYS_OT_remove_all_waiting)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
