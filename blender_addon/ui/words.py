"""Sentences and how they are laid out in a panel."""

from collections.abc import Callable

import blf
import bpy

from ..data import picture_source
from ..jobs.job import Job
from ..link.worker_thread import LinkState, LinkStatus
from ..protocol.messages import Welcome
from ..protocol.settings import GUIDANCE
from ..render import freshness
from ..render.seen import NO_MATERIAL
from ..render.things import REST
from . import esc
from .languages import iface_
from .languages.sentences import capitalised

ICONS = {
    LinkState.CLOSED: "UNLINKED",
    LinkState.CONNECTING: "SORTTIME",
    LinkState.CONNECTED: "LINKED",
    LinkState.FAILED: "ERROR",
}
MARGINS, ICON, BOX, BUTTON = 64, 22, 16, 26
"""What a line of text has less than the region's width, in unscaled pixels: the tabs, the panel's
and the label's own margins; and where there are some, an icon before it, a box around it, a button
beside it."""


def status(link: LinkStatus) -> str:
    """How the connection stands, in words."""
    if link.state is LinkState.CLOSED:
        return "Not connected"
    if link.state is LinkState.CONNECTING:
        return "Connecting..."
    if link.welcome is None:
        return link.text
    model = "the demo model" if link.welcome.model == "demo" else link.welcome.model
    if model.count("/") > 1 or "\\" in model:  # a folder, not a hub id
        model = model.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if link.welcome.model_state != "ready":
        return link.welcome.notice or f"Connected; loading {model}..."
    return f"Ready: {model} on {link.welcome.device}"


def memory(welcome: Welcome | None) -> str:
    """What the model and its work have taken of the memory at most; "" where that is not known."""
    if welcome is None or welcome.memory is None:
        return ""
    used = welcome.memory
    peak, total = used.peak_bytes / 2**30, used.total_bytes / 2**30
    if welcome.device.startswith("cuda"):
        return f"GPU memory used: {peak:.1f} of {total:.1f} GiB"
    return f"Memory used: {peak:.1f} of {total:.1f} GiB"


def status_icon(state: LinkState) -> str:
    """The icon that goes with it."""
    return ICONS[state]


def stale(changed: list[str], in_3d: bool, kind: str = picture_source.RENDER) -> str:
    """What to do about a picture that does not show the scene, or the image, as it is any more; ""
    for one that does. `kind` is where the picture comes from.
    """
    if not changed:
        return ""
    if kind == picture_source.IMAGE and not in_3d:
        return "The image has changed since it was taken: preview again."
    what = freshness.have_changed(changed)
    if kind == picture_source.RESULT and not in_3d:
        return f"{what} since this render: render (F12) and preview again."
    if in_3d:
        return f"{what} since this render: Render View again to take a new one."
    return f"{what} since this render: preview again to take a new one."


def guidance(
    layout: bpy.types.UILayout, welcome: Welcome | None, settings: bpy.types.PropertyGroup
) -> None:
    """The settings of the guidance: the model's own, in numbers where they are known, or two."""
    text = iface_("Model's Own Guidance")
    if welcome is not None and welcome.model_state == "ready":
        text += f" ({', '.join(f'{number:g}' for number in welcome.guidance.numbers)})"
    column = layout.column(align=True)
    column.prop(settings, "own_guidance", text=text)
    if not settings.own_guidance:
        for name in GUIDANCE:
            column.prop(settings, name)


def progress(layout: bpy.types.UILayout, context: bpy.types.Context, job: Job) -> None:
    """How far a job is, what is being done, and the button that cancels it."""
    row = layout.row(align=True)
    row.progress(factor=job.fraction, text=f"{job.fraction:.0%}")
    row.operator("watch_your_steps.cancel", text="", icon="CANCEL")
    stage = listed(job.stage)
    text = f"{iface_(job.title)}: {stage}" if job.group else capitalised(stage)
    paragraph(layout, context, text, inset=BOX)
    if esc.stops(job):
        paragraph(layout, context, iface_(esc.WORDS), inset=BOX)


def listed(text: str) -> str:
    """What stands in a text between commas, each part in the artist's language."""
    return ", ".join(iface_(part) for part in text.split(", "))


def thing(name: str) -> str:
    """What a thing is called: its own name, or the add-on's words where it has none."""
    return iface_(name) if name in (REST, NO_MATERIAL) else name


def wrap(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """Break `text` into lines that `measure` finds at most `width` wide; a word that is wider than
    that is broken too.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if measure(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while measure(line) > width and len(line) > 1:
            count = next((n for n in range(len(line) - 1, 1, -1) if measure(line[:n]) <= width), 1)
            lines.append(line[:count])
            line = line[count:]
    return [*lines, line] if line else lines


def paragraph(
    layout: bpy.types.UILayout,
    context: bpy.types.Context,
    text: str,
    icon: str = "NONE",
    inset: float = 0.0,
) -> None:
    """Labels with `text`, wrapped to the width that they have.

    Args:
        layout: as wide as the panel, less `inset`.
        context: of the panel.
        text: any, in English or what `iface_` has made of it.
        icon: before the first line.
        inset: what is around the text and beside it, in unscaled pixels: BOX, BUTTON or both.
    """
    scale, region = context.preferences.system.ui_scale, context.region
    # a sidebar can be zoomed, and its texts with it
    left, right = (region.view2d.region_to_view(x, 0)[0] for x in (0, region.width))
    taken = MARGINS + inset + (ICON if icon != "NONE" else 0)
    _labels(layout, context, text, icon, right - left - taken * scale)


def wide_paragraph(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, width: float
) -> None:
    """Labels with `text` in a dialog that is so many unscaled pixels wide."""
    _labels(layout, context, text, "NONE", (width - MARGINS) * context.preferences.system.ui_scale)


def _labels(
    layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str, width: float
) -> None:
    """Labels of at most that width in pixels."""
    preferences = context.preferences
    blf.size(0, preferences.ui_styles[0].widget.points * preferences.system.ui_scale)
    column = layout.column(align=True)
    column.scale_y = 0.8
    for line in wrap(iface_(text), max(width, 40), lambda part: blf.dimensions(0, part)[0]):
        column.label(text=line, icon=icon, translate=False)
        icon = "BLANK1" if icon != "NONE" else "NONE"
