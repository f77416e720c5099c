"""What shows variants beside each other, and picks one of them."""

import bpy
from bpy.props import StringProperty

from ..data import contact_sheet, copies, edits, variants
from ..jobs import again_jobs
from ..jobs.job import PICKING_VARIANT, SessionError
from .languages import iface_
from .languages.sentences import capitalised
from .operators import ExplainedOperator, refuse
from .pointing import canvas_at, visible_frame
from .waiting_tools import ended, is_ending, is_running, may_begin

NO_VARIANTS = "The chosen edit has no other variants: press Make Variants first"
HELP = "Click: pick this variant   Esc, Enter or right click: end"
ENDS = {"ESC", "RET", "NUMPAD_ENTER", "RIGHTMOUSE"}


class VariantsOperator(ExplainedOperator):
    """What all operators on variants that are there have in common."""

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where the chosen edit is one of several."""
        entry = edits.chosen(context.scene)
        settings = context.scene.watch_your_steps
        if entry is None or not contact_sheet.of_group(settings, entry.variants)[1:]:
            return NO_VARIANTS
        return super().why_not(context)


class WYS_OT_contact_sheet(VariantsOperator):
    """Show all variants of the chosen edit beside each other, with their seeds, in the camera's frame and as an image. Click on one to pick it"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.contact_sheet"
    bl_label = "Contact Sheet"
    bl_options = {"UNDO"}

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Show it, and wait for a click."""
        outcome = self.execute(context)
        if outcome == {"CANCELLED"} or is_running(context, PICKING_VARIANT):
            return outcome
        may_begin(context, PICKING_VARIANT)  # others end
        context.scene.watch_your_steps.show = True
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(iface_(HELP))
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Show it."""
        scene, entry = context.scene, edits.chosen(context.scene)
        assert entry is not None  # the poll has found it
        copies.settle(scene)
        if not contact_sheet.make(scene, entry.variants):
            text = "The pictures of these variants were deleted from the file."
            return refuse(self, context, SessionError(text))
        return {"FINISHED"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Blender calls this for every event. What is not for this goes on to Blender."""
        settings = context.scene.watch_your_steps
        # undone, or only one was kept
        if settings.sheet_image is None or is_ending(PICKING_VARIANT):
            return self._end(context)
        uid = under(context, event)
        if event.type in ENDS and event.value == "PRESS":
            if not uid and event.type == "RIGHTMOUSE":
                return {"PASS_THROUGH"}  # a menu of something else
            return self._end(context)
        if event.type == "MOUSEMOVE":
            entry = edits.named(settings, uid)
            text = iface_(HELP)
            seed = iface_(f"seed {entry.seed}") if entry is not None else ""
            context.workspace.status_text_set(f"{capitalised(seed)}   |   {text}" if seed else text)
        if not uid or event.type != "LEFTMOUSE":
            return {"PASS_THROUGH"}
        if event.value == "PRESS" and variants.pick(context.scene, uid):
            return self._end(context)
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender calls this where it ends the operator."""
        self._end(context)

    def _end(self, context: bpy.types.Context) -> set[str]:
        ended(context, PICKING_VARIANT)
        return {"FINISHED"}


def under(context: bpy.types.Context, event: bpy.types.Event) -> str:
    """The uid of the variant under the pointer where that is over the sheet: in the camera's frame
    of a 3D view that shows it, or in an Image Editor; "" elsewhere.
    """
    settings, found = context.scene.watch_your_steps, None
    sheet = settings.sheet_image
    there = canvas_at(context.window.screen, event.mouse_x, event.mouse_y)
    if there is None:
        return ""
    space, part = there.space, there.part
    x, y = event.mouse_x - part.x + 0.5, event.mouse_y - part.y + 0.5
    if space.type == "IMAGE_EDITOR":
        found = part.view2d.region_to_view(x, y) if space.image == sheet else None
    elif settings.view == "VARIANTS" and space.overlay.show_overlays:
        frame = visible_frame(context.scene, space, part)
        if frame is not None:
            across, up = frame.right - frame.left, frame.top - frame.bottom
            found = ((x - frame.left) / across, (y - frame.bottom) / up)
    return contact_sheet.uid_at(sheet, *found) if found is not None else ""


class WYS_OT_pick_variant(ExplainedOperator):
    """Choose a variant in the list of edits, and show it"""

    bl_idname = "watch_your_steps.pick_variant"
    bl_label = "Pick Variant"
    bl_options = {"UNDO", "INTERNAL"}

    edit: StringProperty()  # type: ignore[valid-type]  # Blender reads the annotation

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there are edits."""
        if not context.scene.watch_your_steps.edits:
            return "There is no edit in the list"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Choose it."""
        if not variants.pick(context.scene, self.edit):
            return refuse(
                self, context, SessionError("This variant was deleted: pick another one.")
            )
        return {"FINISHED"}


class WYS_OT_keep_variant(VariantsOperator):
    """Keep the chosen edit, those with a star and those that are layers, and delete the other variants that were made together with it. One undo brings them back"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.keep_variant"
    bl_label = "Keep Only This"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is something to delete."""
        wrong, scene = super().why_not(context), context.scene
        settings, entry = scene.watch_your_steps, edits.chosen(scene)
        if wrong or entry is None:
            return wrong
        gone = variants.others(settings, entry)
        if not gone:
            return "All other variants have a star or are layers: end that for those that are to go"
        if any(again_jobs.is_made_again(scene, one) for one in gone):
            return "Another variant is being made again: wait for that, or cancel it"
        return ""

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Delete the others."""
        variants.keep_only(context.scene)
        return {"FINISHED"}


CLASSES = (WYS_OT_contact_sheet, WYS_OT_pick_variant, WYS_OT_keep_variant)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
