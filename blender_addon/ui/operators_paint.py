"""What paints on the mask: a brush over the camera's view and in Image Editors."""

from collections.abc import Callable

import bpy

from ..data import region, results
from ..data.strokes import Stroke
from ..jobs.job import PAINTING
from ..protocol.corrections import ADDED, NOTHING, TAKEN
from . import brush_circle
from .languages import iface_
from .operators import ExplainedOperator
from .operators_picks import SHOWN, why_no_mask
from .pointing import Canvas, canvas_at, why_no_canvas
from .waiting_tools import ended, is_ending, may_begin, redraw

HELP = (
    "Drag: add   Ctrl: take away   Shift: give back to the slider   [ and ], or Ctrl and wheel: "
    "size   Esc, Enter or right click: end"
)

ENDS = {"ESC", "RET", "NUMPAD_ENTER", "RIGHTMOUSE"}
MOVES = {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"}
LARGER, SMALLER = {"RIGHT_BRACKET", "WHEELUPMOUSE"}, {"LEFT_BRACKET", "WHEELDOWNMOUSE"}
STEP = 1.25
"""By which a key makes the brush larger."""
NAMES = {
    ADDED: "Paint Mask",
    TAKEN: "Erase Mask",
    NOTHING: "Give Mask Back to Slider",
}
"""Of undo steps."""


class Brush:
    """The tool while it waits and paints. Between two strokes it keeps nothing of the file, which
    undo may have read anew.
    """

    def __init__(self) -> None:
        self._stroke: Stroke | None = None
        self._canvas: Canvas | None = None
        """Where the stroke began: it goes on beyond the border of the region."""
        self._what = ADDED

    def take(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """What Blender is to do after an event: FINISHED ends the tool, PASS_THROUGH leaves the
        event to Blender, so that the slider can be moved between two strokes, and the view.
        """
        if why_no_mask(context.scene.watch_your_steps):  # another file, or a deleted picture
            self.stop(context)
            return {"FINISHED"}
        if self._stroke is not None:
            return self._go_on(context, event)
        canvas = canvas_at(context.window.screen, event.mouse_x, event.mouse_y)
        place = canvas.place(context.scene, event) if canvas is not None else None
        if event.type in MOVES:
            brush_circle.show(canvas if place is not None else None, event)
            redraw(context)
        if event.type in ENDS and event.value == "PRESS":
            if place is None and event.type == "RIGHTMOUSE":
                return {"PASS_THROUGH"}  # a menu of something else
            return {"FINISHED"}
        if canvas is None or place is None:
            return {"PASS_THROUGH"}
        if self._resized(context, event):
            return {"RUNNING_MODAL"}
        if event.type == "LEFTMOUSE" and event.value in ("PRESS", "DOUBLE_CLICK"):
            self._begin(context, event, canvas)
            return {"RUNNING_MODAL"}
        return {"PASS_THROUGH"}

    def stop(self, context: bpy.types.Context) -> None:
        """Give a stroke up."""
        self._stroke = self._canvas = None
        region.show_live(context.scene, None)

    def _resized(self, context: bpy.types.Context, event: bpy.types.Event) -> bool:
        """Whether the event has made the brush larger or smaller."""
        wheel = event.type.startswith("WHEEL")
        if event.value != "PRESS" or (wheel and not event.ctrl):
            return False
        if event.type not in LARGER | SMALLER:
            return False
        settings = context.scene.watch_your_steps
        larger = event.type in LARGER
        change: Callable[[float, int], float] = max if larger else min
        by = STEP if larger else 1 / STEP
        settings.brush = round(change(settings.brush * by, settings.brush + (1 if larger else -1)))
        redraw(context)
        return True

    def _begin(self, context: bpy.types.Context, event: bpy.types.Event, canvas: Canvas) -> None:
        settings = context.scene.watch_your_steps
        self._what = ADDED
        if event.ctrl:
            self._what = TAKEN
        elif event.shift:
            self._what = NOTHING
        self._stroke, self._canvas = Stroke(context.scene, self._what, settings.brush), canvas
        self._paint_to(context, event)

    def _go_on(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        assert self._stroke is not None
        assert self._canvas is not None
        gone = not self._canvas.is_open(context.window.screen)
        if gone or (event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS"):
            self.stop(context)
        elif event.type in MOVES:
            brush_circle.show(self._canvas, event)
            self._paint_to(context, event)
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            self._paint_to(context, event)
            self._stroke.end(context.scene)
            self._stroke = self._canvas = None
            bpy.ops.ed.undo_push(message=NAMES[self._what])
        redraw(context)
        return {"RUNNING_MODAL"}

    def _paint_to(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        assert self._stroke is not None
        assert self._canvas is not None
        place = self._canvas.place(context.scene, event)
        if place is not None:
            height, width = self._stroke.shape
            self._stroke.to(context.scene, place[0] * width, (1 - place[1]) * height)
        redraw(context)


class WYS_OT_paint_mask(ExplainedOperator):
    """Paint on the mask over the camera's frame, or in an Image Editor that shows one of the pictures: drag to add, with Ctrl to take away, with Shift to give back to the slider. Press again, or Esc, to end"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.paint_mask"
    bl_label = "Paint Mask"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is a mask, and it is to be seen."""
        wrong = why_no_mask(context.scene.watch_your_steps) or why_no_canvas(context)
        return wrong or super().why_not(context)

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Wait for strokes, and show where they go."""
        if not may_begin(context, PAINTING):
            return {"CANCELLED"}
        settings = context.scene.watch_your_steps
        settings.show = True
        if settings.view not in SHOWN:
            settings.view = "MASK"
        self.brush = Brush()
        brush_circle.begin()
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(iface_(HELP))
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Blender calls this for every event."""
        if is_ending(PAINTING):
            return self._end(context)
        outcome = self.brush.take(context, event)
        return self._end(context) if "FINISHED" in outcome else outcome

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender calls this where it ends the operator."""
        self._end(context)

    def _end(self, context: bpy.types.Context) -> set[str]:
        self.brush.stop(context)
        brush_circle.end()
        ended(context, PAINTING)
        return {"FINISHED"}


class WYS_OT_clear_painting(ExplainedOperator):
    """Forget what was painted and imported: the mask is again what the slider and the picked things say"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.clear_painting"
    bl_label = "Clear Painting"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there is some."""
        if context.scene.watch_your_steps.painted_image is None:
            return "Nothing is painted"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget it."""
        results.install_painting(context.scene, None, None)
        return {"FINISHED"}


CLASSES = (WYS_OT_paint_mask, WYS_OT_clear_painting)

register, _unregister_classes = bpy.utils.register_classes_factory(CLASSES)


def unregister() -> None:
    """Take the tool off, also while it waits."""
    brush_circle.end()
    _unregister_classes()
