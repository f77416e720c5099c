"""What an edit in 3D keeps to of what is painted: a part of the sub-panel "Scene in 3D"."""

import bpy

from ..render import painted_views
from . import words
from .languages import iface_
from .languages.sentences import capitalised

PAPER = "As in the Paper edits where it finds itself: what is painted is left out."


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The switch, the views that are kept, what changes all of them, and what is painted now or why
    it does not count.
    """
    scene = context.scene
    in_3d, wrong = scene.watch_your_steps.in_3d, painted_views.why_not(scene)
    if not in_3d.painted and wrong == painted_views.NOTHING_PAINTED:
        return
    if in_3d.as_in_paper:
        words.paragraph(layout, context, PAPER, icon="INFO", inset=words.BOX)
        return
    layout.prop(in_3d, "use_painting")
    if not in_3d.use_painting:
        return
    column = layout.column(align=True)
    for index, one in enumerate(in_3d.painted):
        row = column.row(align=True)
        text = capitalised(iface_(f'camera "{one.name}", frame {one.frame}'))
        row.label(text=text, icon="BRUSH_DATA", translate=False)
        row.operator("watch_your_steps.remove_painted_view", text="", icon="X").index = index
    if not painted_views.why_none(scene):
        row = column.row(align=True)
        row.operator("watch_your_steps.grow_painted_views", text="Grow")
        row.operator("watch_your_steps.shrink_painted_views", text="Shrink")
        column.operator("watch_your_steps.invert_painted_views", text="Invert")
    if wrong == painted_views.NOTHING_PAINTED:
        return
    if wrong:
        words.paragraph(layout, context, f"{wrong}.", icon="INFO", inset=words.BOX)
    layout.operator("watch_your_steps.keep_painted_view", icon="ADD")
