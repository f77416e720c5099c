"""The list of all edits that are kept with the scene."""

import bpy

from ..data import edit_words, edits
from . import panel_variants, thumbnails, words
from .languages.sentences import capitalised
from .panel import SUB_PANELS, SidebarPanel, WYS_PT_main

ROWS = 3
INDENT = 1.5
"""Of an edit from the one that it is on top of, in Blender's spaces."""


class WYS_UL_edits(bpy.types.UIList):
    """One row an edit: its picture, what it is called and a star; of variants, which differ by that
    alone, the seed.
    """

    bl_idname = "WYS_UL_edits"

    def draw_item(
        self,
        _context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: bpy.types.PropertyGroup,
        item: bpy.types.PropertyGroup,
        _icon: int,
        _active_data: object,
        _active_property: str,
    ) -> None:
        """Blender calls this for every row that is to be seen."""
        row = layout.row(align=True)
        if above := edits.depth(data, item):
            row.separator(factor=above * INDENT)
        number = thumbnails.of_image(item.image) if item.image is not None else 0
        if number:
            row.label(text="", icon_value=number)
        else:
            row.label(text="", icon="ERROR")
        row.prop(item, "title", text="", emboss=False)
        if item.variants:
            seed = row.row()
            seed.alignment = "RIGHT"
            seed.label(text=f"#{item.seed}")
        icon = "SOLO_ON" if item.favourite else "SOLO_OFF"
        row.prop(item, "favourite", text="", icon=icon, emboss=False)

    def filter_items(
        self, _context: bpy.types.Context, data: bpy.types.PropertyGroup, name: str
    ) -> tuple[list[int], list[int]]:
        """What is searched for is found in titles and in instructions."""
        entries = getattr(data, name)
        shown = self.bitflag_filter_item
        flags = [shown] * len(entries)
        if self.filter_name:
            by = bpy.types.UI_UL_list.filter_items_by_name
            titles, names = (
                by(self.filter_name, shown, entries, field) for field in ("title", "name")
            )
            flags = [one | other for one, other in zip(titles, names, strict=True)]
        if data.only_favourites:
            flags = [
                flag if entry.favourite else 0 for flag, entry in zip(flags, entries, strict=True)
            ]
        return flags, []


class WYS_PT_edits(SidebarPanel, bpy.types.Panel):
    """Every edit of the scene's renders, to look at, go back to or delete."""

    bl_parent_id = WYS_PT_main.bl_idname
    bl_label = "Edits"
    bl_order = SUB_PANELS.index(bl_label)

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only once there is one."""
        return len(context.scene.watch_your_steps.edits) > 0

    def draw(self, context: bpy.types.Context) -> None:
        """The list, and what is known of the one that is chosen."""
        layout = self.layout
        settings = context.scene.watch_your_steps
        row = layout.row()
        row.template_list(
            WYS_UL_edits.bl_idname, "", settings, "edits", settings, "edit_index", rows=ROWS
        )
        buttons = row.column(align=True)
        buttons.operator("watch_your_steps.restore_edit", text="", icon="LOOP_BACK")
        buttons.operator("watch_your_steps.delete_edit", text="", icon="TRASH")
        buttons.prop(settings, "only_favourites", text="", icon="SOLO_ON")
        entry = edits.chosen(context.scene)
        if entry is None:
            return
        layout.operator("watch_your_steps.edit_again", icon="FILE_REFRESH")
        panel_variants.draw(layout, context, entry)
        if entry.image is None:
            text = "The picture of this edit was deleted from the file."
            words.paragraph(layout, context, text, icon="ERROR")
        if entry.instruction:  # else it was kept of layers; a long one is cut off in the list
            words.paragraph(layout, context, f'"{entry.instruction}"')
        if entry.root is not None:
            below = edits.named(settings, entry.parent)
            text = f'On top of "{below.title}".' if below else "On top of an edit that was deleted."
            words.paragraph(layout, context, text)
        text = words.listed(edit_words.describe(entry))
        words.paragraph(layout, context, capitalised(f"{text}."))
        if entry.notes:
            words.paragraph(layout, context, entry.notes, icon="INFO")


CLASSES = (WYS_UL_edits, WYS_PT_edits)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
