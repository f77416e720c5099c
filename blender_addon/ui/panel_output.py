"""The chosen edit at the render's size: where it can go, and what that takes."""

import bpy

from ..data import edits, full_results, picture_source
from ..data.scene_error import SceneError
from ..render import full_render
from . import words
from .panel import SUB_PANELS, SidebarPanel, WYS_PT_main


class WYS_PT_result(SidebarPanel, bpy.types.Panel):
    """What becomes of an edit outside this panel."""

    bl_parent_id = WYS_PT_main.bl_idname
    bl_label = "Result"
    bl_order = SUB_PANELS.index(bl_label)
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only once there is an edit."""
        return len(context.scene.watch_your_steps.edits) > 0

    def draw(self, context: bpy.types.Context) -> None:
        """The size, and the buttons."""
        layout = self.layout
        entry = edits.chosen(context.scene)
        if entry is not None and entry.image is not None:
            words.paragraph(layout, context, about(context.scene, entry))
        column = layout.column(align=True)
        column.operator("watch_your_steps.save_result", icon="FILE_TICK")
        row = column.row(align=True)
        row.operator("watch_your_steps.show_result", icon="IMAGE_DATA")
        row.operator("watch_your_steps.composite_result", icon="NODETREE")
        layout.operator("watch_your_steps.edit_full_size", icon="FULLSCREEN_ENTER")


def about(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> str:
    """How large the result of an edit is, and whether the scene is rendered for it, in words."""
    made = full_results.result_of(entry)
    if made is not None:
        return f"{made.size[0]} x {made.size[1]}, kept in the file with the edit."
    try:
        height, width = full_render.size_to_come(scene, entry)
        size = f"{width} x {height}"
        if not full_render.needs_picture(scene, entry):
            return f"{size}. No other render is needed."
        source = picture_source.of(full_results.render_below(entry))
    except SceneError as error:
        return str(error)
    if source.kind == picture_source.IMAGE:
        return f"{size}, as the image."
    if source.kind == picture_source.RESULT:
        return f"{size}. Without the Render Result it is of, the scene is rendered once for it."
    return f"{size}. The scene is rendered once at that size for it."


CLASSES = (WYS_PT_result,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
