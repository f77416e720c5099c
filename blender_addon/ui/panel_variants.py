"""The buttons for variants, below the list of edits."""

import bpy

from ..data import contact_sheet
from ..jobs.job import PICKING_VARIANT
from .waiting_tools import is_running


def draw(
    layout: bpy.types.UILayout, context: bpy.types.Context, entry: bpy.types.PropertyGroup
) -> None:
    """What can be done with the variants that the chosen edit is one of; nothing for one of its
    own.
    """
    if not contact_sheet.of_group(context.scene.watch_your_steps, entry.variants)[1:]:
        return
    row = layout.row(align=True)
    row.operator("watch_your_steps.contact_sheet", depress=is_running(context, PICKING_VARIANT))
    row.operator("watch_your_steps.keep_variant")
