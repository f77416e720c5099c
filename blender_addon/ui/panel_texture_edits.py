"""In the sub-panel "Texture": what the next edit is made of, and the edits that are kept."""

import bpy

from ..data.meshes import edited_textures, live_textures
from . import words
from .operators_texture import SHOWN
from .operators_texture_region import shown_edit
from .panel_edits import INDENT
from .switches import cell


def draw_base(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Original or shown edit, once there is an edit."""
    texture, thing = context.scene.watch_your_steps.texture, context.active_object
    if edited_textures.texture_of(thing, texture.image) is None:
        return
    row = layout.row(align=True)
    row.label(text="Edit")
    row.prop(texture, "base", expand=True)
    if texture.base == "ORIGINAL":
        return
    edited = shown_edit(context)
    text = "The mesh shows the original, so that is edited."
    if edited is not None:
        text = f'On top of "{edited.watch_your_steps.instruction}".'
        if edited in live_textures.mixed(thing):
            kept = "What it shows at its threshold is kept as an edit of its own."
            text = " ".join((text, kept))
    words.paragraph(layout, context, text, icon="INFO")


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The switch between original and edited, and all edits of the texture."""
    thing, engine = context.active_object, context.scene.render.engine
    edited = edited_textures.texture_of(thing, context.scene.watch_your_steps.texture.image)
    if edited is None:
        return
    now = edited_textures.shown(thing, edited, engine)
    row = layout.row(align=True)
    for what, *_ in SHOWN:
        cell(row, "watch_your_steps.show_texture", "what", what, now == what)
    mine = edited.watch_your_steps
    words.paragraph(layout, context, f'"{mine.instruction}"')
    if text := _what_is_below(edited):
        words.paragraph(layout, context, text)
    if mine.made_with:
        words.paragraph(layout, context, words.listed(mine.made_with))
    if mine.notes:
        words.paragraph(layout, context, mine.notes, icon="INFO")
    layout.operator("watch_your_steps.texture_again", icon="FILE_REFRESH")
    kept = edited_textures.edits_of(edited)
    if len(kept) > 1:
        column = layout.column(align=True)
        column.label(text="All edits of this texture")
        for one in kept:
            is_shown = one == edited and now == "EDITED"
            _draw_kept(column.row(align=True), one, is_shown)
    layout.operator("watch_your_steps.revert_texture", icon="LOOP_BACK")


def _what_is_below(edited: bpy.types.Image) -> str:
    """What an edit is on top of, in words; "" where that is the original."""
    made_of = edited.watch_your_steps.original
    if made_of is not None and edited_textures.is_listed(made_of):
        return f'On top of "{made_of.watch_your_steps.instruction}".'
    is_original = made_of is not None and not edited_textures.is_edit(made_of)
    return "" if is_original else "On top of an edit that was deleted."


def _draw_kept(row: bpy.types.UILayout, edited: bpy.types.Image, is_shown: bool) -> None:
    """One row of the list, further in the more edits are below."""
    if above := edited_textures.depth(edited):
        row.separator(factor=above * INDENT)
    text = edited.watch_your_steps.instruction
    button = row.operator(
        "watch_your_steps.show_texture", text=text, depress=is_shown, translate=False
    )
    button.what, button.edit = "EDITED", edited.name_full
    button = row.operator("watch_your_steps.delete_texture_edit", text="", icon="TRASH")
    button.edit = edited.name_full
