"""What the buttons beside the edits that wait do."""

import bpy
from bpy.props import EnumProperty, StringProperty

from ..jobs import saved_waiting, session, waiting
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


class SavedOperator(ExplainedOperator):
    """What the operators have in common on edits that had not ended when the file was saved. They
    are no undo steps: an undo brings no work back.
    """

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there are some."""
        nothing = "" if saved_waiting.offered(context.scene) else "Nothing is left over"
        return nothing or super().why_not(context)


class WYS_OT_go_on(SavedOperator):
    """Make the edits that had not ended when the file was saved: of the same pictures, in the same masks, with the same seeds and settings, whatever the panel shows now"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.go_on"
    bl_label = "Go On"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only with a backend."""
        try:
            session.check_connection()
        except SessionError as error:
            return str(error).removesuffix(".")
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Put them behind what waits by now."""
        scene = context.scene
        jobs, lost = saved_waiting.go_on(scene)
        try:
            session.ask(scene, *jobs)
        except SessionError as error:
            return refuse(self, context, error)
        if lost:
            session.say(scene, lost)
        return {"FINISHED"}


class WYS_OT_drop_saved(SavedOperator):
    """Make none of them"""

    bl_idname = "watch_your_steps.drop_saved"
    bl_label = "Remove All"

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget them."""
        saved_waiting.drop(context.scene)
        return {"FINISHED"}


CLASSES = (
    WYS_OT_move_waiting,
    WYS_OT_remove_waiting,
    WYS_OT_remove_all_waiting,
    WYS_OT_go_on,
    WYS_OT_drop_saved,
)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
