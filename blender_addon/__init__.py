"""Watch Your Steps for Blender: local edits of renders, textures and scenes by one sentence.

Brings the tab "Watch Your Steps" into the 3D view's sidebar. The work is done by a backend
(`python -m backend.server`), which this talks to; nothing here needs torch.
"""

from .properties import scene_settings
from .ui import (
    esc,
    handlers,
    languages,
    menus,
    operators,
    operators_3d,
    operators_backend,
    operators_edits,
    operators_frames,
    operators_layers,
    operators_make,
    operators_mask,
    operators_output,
    operators_paint,
    operators_painted_3d,
    operators_painted_region,
    operators_picks,
    operators_several,
    operators_sheet,
    operators_source,
    operators_texture,
    operators_texture_edits,
    operators_texture_mask,
    operators_texture_region,
    operators_variants,
    operators_waiting,
    overlay,
    panel,
    panel_3d,
    panel_edits,
    panel_frames,
    panel_layers,
    panel_mask,
    panel_output,
    preferences,
    presets,
    shortcuts,
    thumbnails,
)

MODULES = (
    languages,
    preferences,
    scene_settings,
    operators,
    esc,
    operators_3d,
    operators_backend,
    operators_edits,
    operators_frames,
    operators_painted_3d,
    operators_painted_region,
    operators_layers,
    operators_output,
    operators_mask,
    operators_paint,
    operators_make,
    operators_picks,
    operators_several,
    operators_sheet,
    operators_source,
    operators_texture,
    operators_variants,
    operators_waiting,
    operators_texture_edits,
    operators_texture_mask,
    operators_texture_region,
    thumbnails,
    presets,
    panel,
    panel_mask,
    panel_3d,
    panel_edits,
    panel_frames,
    menus,
    shortcuts,
    panel_layers,
    panel_output,
    overlay,
    handlers,
)


def register() -> None:
    """Blender calls this when the extension is switched on."""
    for module in MODULES:
        module.register()


def unregister() -> None:
    """Blender calls this when the extension is switched off; the connection's thread ends."""
    for module in reversed(MODULES):
        module.unregister()
