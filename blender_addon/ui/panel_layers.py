"""The list of layers: edits of one render, laid over each other."""

import bpy

from ..data import changing_layers, edits, layers
from . import thumbnails, words
from .languages import iface_
from .panel import SidebarPanel
from .panel_edits import WYS_PT_edits

ROWS = 5
ABOUT = (
    "Edits of one render can be laid over each other, each inside its own mask. Choose one in the "
    "list above and add it."
)


class WYS_UL_layers(bpy.types.UIList):
    """One row a layer, the uppermost first: its picture, its edit's title, how strong it is, and
    its eye.
    """

    bl_idname = "WYS_UL_layers"

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
        entry = edits.named(data, item.edit)
        row = layout.row(align=True)
        if entry is None or layers.why_lost(entry):
            text = entry.title if entry is not None else iface_("Deleted edit")
            row.label(text=text, icon="ERROR", translate=False)
        else:
            icon = thumbnails.of_image(entry.image)
            row.label(text=entry.title, icon_value=icon, translate=False)
        if item.opacity < 1:
            strength = row.row()
            strength.alignment = "RIGHT"
            strength.label(text=f"{item.opacity:.0%}")
        eye = "HIDE_OFF" if item.visible else "HIDE_ON"
        row.prop(item, "visible", text="", icon=eye, emboss=False)


class WYS_PT_layers(SidebarPanel, bpy.types.Panel):
    """Edits of one render, laid over each other without another edit."""

    bl_parent_id = WYS_PT_edits.__name__
    bl_label = "Layers"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """The list, and what is set of the layer that is chosen."""
        layout = self.layout
        settings = context.scene.watch_your_steps
        if not settings.layers:
            words.paragraph(layout, context, ABOUT, icon="INFO")
            layout.operator("watch_your_steps.add_layer", icon="ADD")
            return
        row = layout.row()
        row.template_list(
            WYS_UL_layers.bl_idname, "", settings, "layers", settings, "layer_index", rows=ROWS
        )
        buttons = row.column(align=True)
        buttons.operator("watch_your_steps.add_layer", text="", icon="ADD")
        buttons.operator("watch_your_steps.remove_layer", text="", icon="REMOVE")
        for to in ("UP", "DOWN"):
            buttons.operator("watch_your_steps.move_layer", text="", icon=f"TRIA_{to}").to = to
        buttons.operator("watch_your_steps.clear_layers", text="", icon="TRASH")
        layer = changing_layers.chosen(context.scene)
        if layer is not None:
            layout.prop(layer, "opacity", slider=True)
            entry = edits.named(settings, layer.edit)
            lost = "The edit of this layer was deleted" if entry is None else layers.why_lost(entry)
            if lost:
                words.paragraph(layout, context, f"{lost}: nothing of it is shown.", icon="ERROR")
        row = layout.row(align=True)
        shown = settings.view == "LAYERS"
        row.operator("watch_your_steps.show_picture", text="Show", depress=shown).view = "LAYERS"
        row.operator("watch_your_steps.keep_layers")


CLASSES = (WYS_UL_layers, WYS_PT_layers)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
