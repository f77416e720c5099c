"""Keys for what is done again and again. They are free in Blender's own keymaps; who wants others
sets them in the preferences.
"""

import bpy
import rna_keymap_ui

from . import words

KEYMAP, SPACE = "3D View", "VIEW_3D"
KEYS = (("watch_your_steps.preview_relevance", "R"), ("watch_your_steps.edit", "E"))
"""With Ctrl and Alt, while the pointer is over a 3D view."""

_added: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The keys as Blender's own preferences show them, to be changed or switched off."""
    config = context.window_manager.keyconfigs.user
    keymap = config.keymaps.get(KEYMAP) if config is not None else None
    column = layout.column()
    column.use_property_split = False
    words.paragraph(column, context, "Shortcuts in the 3D view", icon="KEYINGSET")
    for item in keymap.keymap_items if keymap is not None else ():
        if item.idname in dict(KEYS):
            column.context_pointer_set("keymap", keymap)
            rna_keymap_ui.draw_kmi([], config, keymap, item, column, 0)


def register() -> None:
    """Add the keys to what add-ons add to Blender's; there is none where Blender has no window."""
    config = bpy.context.window_manager.keyconfigs.addon
    if config is None:
        return
    keymap = config.keymaps.new(name=KEYMAP, space_type=SPACE)
    for operator, key in KEYS:
        item = keymap.keymap_items.new(operator, type=key, value="PRESS", ctrl=True, alt=True)
        _added.append((keymap, item))


def unregister() -> None:
    """Take them away; what was set in the preferences stays there."""
    for keymap, item in _added:
        keymap.keymap_items.remove(item)
    _added.clear()
