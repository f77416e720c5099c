"""Switches: rows of buttons of which each sets one value of an operator's property, and says for
itself why it is greyed. A property's own cells cannot say that.
"""

import bpy

CELL = "watch_your_steps_cell"
"""By this name a button's context has the value (bpy.types.EnumPropertyItem) that it sets."""


def cell(layout: bpy.types.UILayout, operator: str, name: str, value: str, depress: bool) -> None:
    """Draw one button.

    Args:
        layout: a row of the switch.
        operator: `bl_idname` of an operator whose poll asks `cell_of`.
        name: which of its enum properties.
        value: identifier of what the button sets; its label is that value's name.
        depress: whether it is set.
    """
    group, _, function = operator.partition(".")
    described = getattr(getattr(bpy.ops, group), function).get_rna_type()
    item = described.properties[name].enum_items[value]
    part = layout.row(align=True)
    part.context_pointer_set(CELL, item)
    setattr(part.operator(operator, text=item.name, depress=depress), name, value)


def cell_of(context: bpy.types.Context) -> str:
    """The value that the asking button sets; "" where it is no button of a switch."""
    item = getattr(context, CELL, None)
    return item.identifier if item is not None else ""
