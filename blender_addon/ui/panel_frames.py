"""The sub-panel "Frames"."""

import bpy

from ..data.frame_painting import FOLLOW
from ..jobs import frame_corrections
from . import words
from .panel import SUB_PANELS, SidebarPanel, WYS_PT_main


class WYS_PT_frames(SidebarPanel, bpy.types.Panel):
    """What edits a film, frame by frame."""

    bl_parent_id = WYS_PT_main.bl_idname
    bl_label = "Frames"
    bl_order = SUB_PANELS.index(bl_label)
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """What will be edited and how, and where the last frames are."""
        layout, scene = self.layout, context.scene
        settings = scene.watch_your_steps
        text = (
            f"Frames {scene.frame_start} to {scene.frame_end}, at threshold "
            f"{settings.threshold:.3f} and seed {settings.seed}, into the output folder."
        )
        words.paragraph(layout, context, text)
        if frame_corrections.has_some(settings):
            layout.prop(settings, "frames_painting")
            if text := _about_painting(settings):
                words.paragraph(layout, context, text, icon="INFO")
        layout.operator("watch_your_steps.edit_frames", icon="RENDER_ANIMATION")
        if settings.edited_frames:
            text = f"The last ones are {settings.edited_frames}."
            words.paragraph(layout, context, text, icon="INFO")


def _about_painting(settings: bpy.types.PropertyGroup) -> str:
    """Why frames cannot keep to what is painted, or at which frame it was painted."""
    if wrong := frame_corrections.why_not(settings):
        return wrong
    place = frame_corrections.where_painted(settings)
    follows = settings.painted_image is not None and settings.frames_painting == FOLLOW
    if not follows or place is None:
        return ""
    return f"Painted at frame {place.frame}: what is not seen there is left to the slider."


CLASSES = (WYS_PT_frames,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
