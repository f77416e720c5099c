"""What adds things to the mask and removes them from it: clicks on the picture."""

from dataclasses import dataclass

import bpy
from bpy.props import EnumProperty, IntProperty

from ..data import pictures, region, results, strokes, thing_labels
from ..jobs.job import PICKING
from . import words
from .languages import iface_
from .operators import MISSING, ExplainedOperator
from .pointing import canvas_at, why_no_canvas
from .waiting_tools import ended, is_ending, may_begin, redraw

UNKNOWN = "No things are known in this render: preview again"
SHOWN = ("RELEVANCE", "MASK")
"""Views that show what is in the mask."""
MODES = (
    ("TOGGLE", "Toggle", "Add the thing where the mask has none of it, else remove it"),
    ("ADD", "Add", "Add the thing to the mask"),
    ("REMOVE", "Remove", "Remove the thing from the mask"),
)

HELP = "Click: add or remove   Shift: add   Ctrl: remove   Esc, Enter or right click: end"
ENDS = {"ESC", "RET", "NUMPAD_ENTER", "RIGHTMOUSE"}


def why_none(settings: bpy.types.PropertyGroup) -> str:
    """Why no things can be picked, without a full stop; "" where they can."""
    if wrong := why_no_mask(settings):
        return wrong
    if region.things_of(settings) is not None:
        return ""
    render = settings.render_image
    known = thing_labels.of(render) if render is not None else None
    return known.unknown.rstrip(".") if known is not None and known.unknown else UNKNOWN


def why_no_mask(settings: bpy.types.PropertyGroup) -> str:
    """Why there is no mask to correct, without a full stop; "" where there is one."""
    if settings.relevance_image is None:
        return MISSING["relevance_image"]
    for image in (settings.relevance_image, settings.render_image, settings.painted_image):
        if image is not None and (lost := pictures.why_lost(image)):
            return lost
    return ""


def pick(scene: bpy.types.Scene, label: int, mode: str = "TOGGLE") -> bool:
    """Add a thing to the mask or remove it, as one of MODES says; whether it is inside then. A
    thing counts as inside where most of it is, so that a click always changes something. A second
    click on a picked thing leaves it to the threshold again, where that says the same. What was
    painted on the thing goes: of clicking and painting the last one wins.
    """
    settings = scene.watch_your_steps
    things, mask = region.things_of(settings), results.mask(scene)
    assert things is not None  # `why_none` has found nothing
    assert mask is not None
    there = things == label
    inside = not mask[there].mean() > 0.5 if mode == "TOGGLE" else mode == "ADD"
    picks = region.Picks.read(settings.picks)
    if mode == "TOGGLE" and label in picks.added | picks.removed:
        plain = region.by_slider(settings)
        assert plain is not None
        if bool(plain[there].mean() > 0.5) == inside:
            strokes.forget(scene, there)
            settings.picks = picks.without(label).write()
            return inside
    strokes.forget(scene, there)
    settings.picks = picks.with_thing(label, inside).write()
    return inside


class WYS_OT_pick_thing(ExplainedOperator):
    """Add a thing to the mask or remove it from it"""

    bl_idname = "watch_your_steps.pick_thing"
    bl_label = "Pick Thing"
    bl_options = {"UNDO", "INTERNAL"}

    label: IntProperty(name="Label", min=0)  # type: ignore[valid-type]  # read by Blender
    mode: EnumProperty(items=MODES)  # type: ignore[valid-type]  # Blender reads the annotation

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where things are known."""
        return why_none(context.scene.watch_your_steps) or super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Pick it."""
        pick(context.scene, self.label, self.mode)
        return {"FINISHED"}


class WYS_OT_clear_picks(ExplainedOperator):
    """Forget the picked things: the mask is again where the relevance reaches the threshold"""

    bl_idname = "watch_your_steps.clear_picks"
    bl_label = "Clear Picked Things"
    bl_options = {"UNDO"}

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where there are some."""
        if not context.scene.watch_your_steps.picks:
            return "No things are picked"
        return super().why_not(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Forget them."""
        context.scene.watch_your_steps.picks = ""
        return {"FINISHED"}


@dataclass(frozen=True)
class Under:
    """The thing under the pointer."""

    label: int
    name: str


def under(context: bpy.types.Context, event: bpy.types.Event) -> Under | None:
    """The thing under the pointer where that is over the camera's frame in a 3D view, or over one
    of the pictures in an Image Editor.
    """
    canvas = canvas_at(context.window.screen, event.mouse_x, event.mouse_y)
    place = canvas.place(context.scene, event) if canvas is not None else None
    return thing_at(context.scene.watch_your_steps, *place) if place is not None else None


def thing_at(settings: bpy.types.PropertyGroup, x: float, y: float) -> Under | None:
    """The thing at a place of the shown render, (0, 0) being its lower left corner and (1, 1) its
    upper right one; None beside it, and where things are unknown.
    """
    things = region.things_of(settings)
    if things is None or not (0 <= x < 1 and 0 <= y < 1):
        return None
    height, width = things.shape
    label = int(things[height - 1 - int(y * height), int(x * width)])
    names = thing_labels.names(settings.render_image)
    return Under(label, names[label] if label < len(names) else str(label))


class WYS_OT_pick_things(ExplainedOperator):
    """Click on things in the camera's frame to add them to the mask, or to remove them from it. Press again, or Esc, to end"""  # noqa: E501  # a tooltip

    bl_idname = "watch_your_steps.pick_things"
    bl_label = "Pick Things"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        """Only where things are known, and the frame is to be seen."""
        wrong = why_none(context.scene.watch_your_steps) or why_no_canvas(context)
        return wrong or super().why_not(context)

    def invoke(self, context: bpy.types.Context, _: bpy.types.Event) -> set[str]:
        """Wait for clicks, and show where they go."""
        if not may_begin(context, PICKING):
            return {"CANCELLED"}
        settings = context.scene.watch_your_steps
        settings.show = True
        if settings.view not in SHOWN:
            settings.view = "MASK"
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(iface_(HELP))
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Blender calls this for every event. What is not for this goes on to Blender, so that the
        slider can be moved between two clicks, and the view.
        """
        if is_ending(PICKING) or why_none(
            context.scene.watch_your_steps
        ):  # another render, or none
            return self._end(context)
        found = under(context, event)
        if event.type in ENDS and event.value == "PRESS":
            if found is None and event.type == "RIGHTMOUSE":
                return {"PASS_THROUGH"}  # a menu of something else
            return self._end(context)
        if event.type == "MOUSEMOVE":
            text = iface_(HELP)
            context.workspace.status_text_set(
                f"{words.thing(found.name)}   |   {text}" if found else text
            )
        if found is None or event.type != "LEFTMOUSE":
            return {"PASS_THROUGH"}
        if event.value in ("PRESS", "DOUBLE_CLICK"):
            mode = "ADD" if event.shift else "REMOVE" if event.ctrl else "TOGGLE"
            inside = pick(context.scene, found.label, mode)
            verb = "Add" if inside else "Remove"
            bpy.ops.ed.undo_push(message=f"{verb} {found.name}")
            redraw(context)
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Blender calls this where it ends the operator."""
        self._end(context)

    def _end(self, context: bpy.types.Context) -> set[str]:
        ended(context, PICKING)
        return {"FINISHED"}


CLASSES = (WYS_OT_pick_thing, WYS_OT_clear_picks, WYS_OT_pick_things)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
