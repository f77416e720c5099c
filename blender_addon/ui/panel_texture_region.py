"""In the sub-panel "Texture": where the next edit applies, and where the shown one does."""

import bpy

from ..data.meshes import moved_threshold, painted_regions, texture_regions
from ..jobs import session
from . import overlay, words
from .languages import iface_
from .operators_painted_region import BRUSHES
from .operators_texture_region import preview_of, shown_edit, shows_preview
from .switches import cell

COVERED = (
    "The picture over the camera view hides it: switch Show in Camera View off, or turn the view."
)


def draw_settings(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Snap and threshold: of the preview, where there is one, else as the backend takes them."""
    texture, region = context.scene.watch_your_steps.texture, preview_of(context)
    shown = texture if region is None else region
    column = layout.column(align=True)
    column.prop(shown, "snap")
    if shown.snap == "things":
        column.prop(texture, "things")
    for name in ("detail", "rim"):
        column.prop(texture, name)
    row = layout.row()
    row.scale_y = 1.4
    row.operator("watch_your_steps.preview_texture", icon="VIEWZOOM")
    if region is None:
        row = layout.row(heading="Threshold")
        row.prop(texture, "use_threshold", text="")
        if texture.use_threshold:
            row.prop(texture, "threshold", text="", slider=True)
        else:
            row.label(text="Automatic")
        if shows_preview(context):  # of maps that were deleted, or not saved with a linked image
            layout.operator("watch_your_steps.show_texture_preview", icon="HIDE_OFF", depress=True)
        if painted_regions.being_painted(context) is not None:  # the mesh shows another picture
            layout.operator("watch_your_steps.end_texture_painting", icon="CHECKMARK")
        return
    _draw_preview(layout, context, region)


def _draw_preview(
    layout: bpy.types.UILayout, context: bpy.types.Context, region: bpy.types.PropertyGroup
) -> None:
    row = layout.row(align=True)
    row.prop(region, "threshold", slider=True)
    row.prop(region, "invert", text="", icon="ARROW_LEFTRIGHT")
    layout.prop(region, "grow")
    if why := texture_regions.why_not_grown(region):
        words.paragraph(layout, context, why, icon="ERROR")
    row = layout.row(align=True)
    row.operator(
        "watch_your_steps.show_texture_preview",
        icon="HIDE_OFF",
        depress=shows_preview(context),
    )
    row.operator("watch_your_steps.clear_texture_preview", text="", icon="X")
    row = layout.row()
    row.label(text=iface_(f"Suggested: {region.suggested_threshold:.3f}"))
    row.operator("watch_your_steps.use_texture_suggestion")
    if shows_preview(context):
        text = "Look at it in Material Preview. Renders show it, too, until you switch it off."
        words.paragraph(layout, context, text, icon="INFO")
        if overlay.covers(context.scene, context.space_data):
            words.paragraph(layout, context, COVERED, icon="INFO")
    _draw_painting(layout, context, region)
    if why := texture_regions.why_so(region):
        words.paragraph(layout, context, why, icon="INFO")
    if region.seen_share >= 0:
        words.paragraph(layout, context, f"The views show {region.seen_share:.0%} of the texture.")
    if what := texture_regions.changed_since(region, context.scene.watch_your_steps):
        text = f"The {what} has changed: Edit Texture will look anew, without this preview."
        words.paragraph(layout, context, text, icon="INFO")


def _draw_painting(
    layout: bpy.types.UILayout, context: bpy.types.Context, region: bpy.types.PropertyGroup
) -> None:
    """The brushes of the painted correction."""
    painting = painted_regions.is_painting(context, region)
    layout.label(text="Correct by Painting", icon="TPAINT_HLT")
    row = layout.row(align=True)
    for brush, *_ in BRUSHES:
        held = painting and painted_regions.brush_of(context) == brush
        cell(row, "watch_your_steps.paint_texture_region", "brush", brush, held)
    if painted_regions.being_painted(context) is not None:
        layout.operator("watch_your_steps.end_texture_painting", icon="CHECKMARK")
    elif region.paint is not None:
        layout.operator("watch_your_steps.clear_texture_painting", icon="X")
    row = layout.row(align=True)
    row.operator("watch_your_steps.import_texture_mask", text="From File...", icon="FILEBROWSER")
    name = "watch_your_steps.import_texture_mask_image"
    row.operator(name, text="From Image...", icon="IMAGE_DATA")


def draw_edit(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The threshold of the edit that is shown."""
    edited = shown_edit(context)
    if edited is None or not moved_threshold.can_move(edited):
        return
    column = layout.column(align=True)
    column.enabled = session.job_of(context.scene) is None  # its views show the texture
    column.prop(edited.watch_your_steps.region, "threshold", slider=True, text="Edited from")
    if moved_threshold.is_moved(edited):
        row = column.row(align=True)
        row.operator("watch_your_steps.apply_texture_threshold", icon="CHECKMARK")
        row.operator("watch_your_steps.reset_texture_threshold", icon="LOOP_BACK")
