"""Presets of one's own for how edits are made, by Blender's preset files: they stay when the add-on
is updated, and can be given to others.
"""

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel

from ..protocol.known_settings import all_settings
from ..protocol.settings import EditSettings
from .languages import iface_

FOLDER = "watch_your_steps/edit"
"""Below Blender's folder of presets."""
NOT_KEPT = {"seed"}
"""A preset is how an edit is made, of which each seed gives another one."""


class WYS_OT_add_edit_preset(AddPresetBase, bpy.types.Operator):
    """Keep the edit settings, but for the seed, as a preset, or remove one"""

    bl_idname = "watch_your_steps.add_edit_preset"
    bl_label = "Add Edit Preset"
    preset_menu = "WYS_PT_edit_presets"
    preset_subdir = FOLDER
    preset_defines = ["settings = bpy.context.scene.watch_your_steps"]
    preset_values = [
        f"settings.{name}"
        for name in ("own_guidance", *(one.name for one in all_settings(EditSettings)))
        if name not in NOT_KEPT
    ]


class WYS_PT_edit_presets(PresetPanel, bpy.types.Panel):
    """What there is to choose from."""

    bl_idname = "WYS_PT_edit_presets"
    bl_label = "Edit Presets"
    preset_subdir = FOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = WYS_OT_add_edit_preset.bl_idname

    @staticmethod
    def post_cb(_context: bpy.types.Context, filepath: str) -> None:
        """Blender calls this when a preset was chosen, which by itself is no undo step."""
        name = bpy.path.display_name(filepath, title_case=False)
        bpy.ops.ed.undo_push(message=iface_(f"Load {name}"))


CLASSES = (WYS_OT_add_edit_preset, WYS_PT_edit_presets)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
