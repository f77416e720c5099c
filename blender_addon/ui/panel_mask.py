"""The sub-panel "Mask", and its like in Image Editors: what corrects the mask by hand."""

import bpy

from ..data import pictures, region, results, thing_labels
from ..jobs.job import PAINTING, PICKING
from . import words
from .languages import iface_
from .languages.sentences import capitalised
from .panel import SUB_PANELS, SidebarPanel, WYS_PT_main
from .pointing import shows_picture
from .waiting_tools import is_running

NAMED = 4
"""Picked things that are called by their names."""
LITTLE = 0.1
"""Percent, below which a share is not a number."""


class WYS_PT_mask(SidebarPanel, bpy.types.Panel):
    """What corrects the mask by hand."""

    bl_parent_id = WYS_PT_main.bl_idname
    bl_label = "Mask"
    bl_order = SUB_PANELS.index(bl_label)
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """What its outline keeps to, clicks on things, the brush, and what changes all of it."""
        _draw(self.layout, context)


class WYS_PT_mask_in_image(bpy.types.Panel):
    """The same beside a picture in an Image Editor."""

    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = SidebarPanel.bl_category
    bl_idname = "WYS_PT_mask_in_image"
    bl_label = "Watch Your Steps: Mask"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only beside one of the scene's pictures."""
        return shows_picture(context.space_data, context.scene.watch_your_steps)

    def draw(self, context: bpy.types.Context) -> None:
        """The slider, and the same."""
        self.layout.prop(context.scene.watch_your_steps, "threshold", slider=True)
        _draw(self.layout, context)


def _draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings = context.scene.watch_your_steps
    row = layout.row(align=True)
    row.label(text="Snap")
    row.prop(settings, "snap", expand=True)
    _draw_picks(layout, context, settings)
    column = layout.column(align=True)
    row = column.row(align=True)
    depress = is_running(context, PAINTING)
    row.operator("watch_your_steps.paint_mask", icon="BRUSH_DATA", depress=depress)
    if settings.painted_image is not None:
        row.operator("watch_your_steps.clear_painting", text="", icon="X")
    column.prop(settings, "brush")
    column = layout.column(align=True)
    column.prop(settings, "grow")
    column.prop(settings, "rim")
    icon = "ARROW_LEFTRIGHT"
    column = layout.column(align=True)
    column.operator("watch_your_steps.invert_mask", icon=icon, depress=settings.invert)
    row = column.row(align=True)
    row.operator("watch_your_steps.import_mask", text="From File...", icon="FILEBROWSER")
    row.operator("watch_your_steps.import_mask_image", text="From Image...", icon="IMAGE_DATA")
    if text := how_large(settings):
        words.paragraph(layout, context, text, icon="INFO")
    for text in _hints(settings):
        words.paragraph(layout, context, text, icon="INFO")


def _draw_picks(
    layout: bpy.types.UILayout, context: bpy.types.Context, settings: bpy.types.PropertyGroup
) -> None:
    """Clicks on things, and what was picked."""
    row = layout.row(align=True)
    row.operator(
        "watch_your_steps.pick_things",
        icon="RESTRICT_SELECT_OFF",
        depress=is_running(context, PICKING),
    )
    picks = region.Picks.read(settings.picks)
    if picks != region.Picks() and settings.render_image is not None:
        row.operator("watch_your_steps.clear_picks", text="", icon="X")
        words.paragraph(layout, context, _picked(settings, picks))


def _picked(settings: bpy.types.PropertyGroup, picks: region.Picks) -> str:
    """The picked things, in words."""
    names = thing_labels.names(settings.render_image)
    parts = []
    for said, labels in (("added: {}", picks.added), ("removed: {}", picks.removed)):
        titles = [words.thing(names[label]) for label in sorted(labels) if label < len(names)]
        if titles:
            named = ", ".join(titles[:NAMED])
            if titles[NAMED:]:
                named = f"{named} and {len(titles) - NAMED} more"
            parts.append(iface_(said.format(named)))
    return capitalised("; ".join(parts))


def how_large(settings: bpy.types.PropertyGroup) -> str:
    """How much of the picture is in the mask, in words; "" where there is none."""
    counted = region.count(settings)
    if counted is None:
        return ""
    pixels, all_ = counted
    if pixels == 0:
        return "The mask is empty."
    if pixels == all_:
        return "The mask is all of the picture."
    share = 100 * pixels / all_
    said = f"{share:.1f} %" if share >= LITTLE else f"less than {LITTLE} %"
    if pixels == 1:
        return f"1 pixel, {said} of the picture."
    return f"{pixels:,} pixels, {said} of the picture."


def _hints(settings: bpy.types.PropertyGroup) -> list[str]:
    """What the artist should know of what is painted."""
    image = settings.painted_image
    if image is None:
        return []
    if lost := pictures.why_lost(image):
        return [f"{lost}. Clear the painting with the cross."]
    painted = region.painted(settings)
    hints = []
    if painted is not None and painted.all():
        hints.append("All of it is painted or imported: the slider moves nothing.")
    if results.is_painted_elsewhere(settings):
        hints.append("This was painted on another view or picture: the cross clears it.")
    return hints


CLASSES = (WYS_PT_mask, WYS_PT_mask_in_image)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
