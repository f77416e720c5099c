"""Sentences and how they are laid out in a panel."""

from collections.abc import Callable

import blf
import bpy

from .link import LinkState, LinkStatus
from .protocol.messages import Welcome

ICONS = {
    LinkState.CLOSED: "UNLINKED",
    LinkState.CONNECTING: "SORTTIME",
    LinkState.CONNECTED: "LINKED",
    LinkState.FAILED: "ERROR",
}
SURROUNDINGS = 80  # in unscaled pixels: the tabs, the panel's margins, the label's icon


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
        return f"Connected; loading {model}..."
    return f"Ready: {model} on {link.welcome.device}"


def status_icon(state: LinkState) -> str:
    """The icon that goes with it."""
    return ICONS[state]


def guidance(
    layout: bpy.types.UILayout, welcome: Welcome | None, settings: bpy.types.PropertyGroup
) -> None:
    """The settings of the guidance: the model's own, in numbers where they are known, or two."""
    text = "Model's Own Guidance"
    if welcome is not None and welcome.model_state == "ready":
        text += f" ({welcome.text_guidance:g}, {welcome.image_guidance:g})"
    column = layout.column(align=True)
    column.prop(settings, "own_guidance", text=text)
    if not settings.own_guidance:
        column.prop(settings, "text_guidance")
        column.prop(settings, "image_guidance")


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
    """Labels with `text`, wrapped to the region's width less `inset` unscaled pixels."""
    preferences = context.preferences
    scale = preferences.system.ui_scale
    blf.size(0, preferences.ui_styles[0].widget.points * scale)
    width = context.region.width - (SURROUNDINGS + inset) * scale
    column = layout.column(align=True)
    column.scale_y = 0.8
    for line in wrap(text, max(width, 40), lambda part: blf.dimensions(0, part)[0]):
        column.label(text=line, icon=icon)
        icon = "BLANK1" if icon != "NONE" else "NONE"
