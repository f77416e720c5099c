"""What the add-on has in Blender's own menus."""

import bpy


def _draw(menu: bpy.types.Menu, _: bpy.types.Context) -> None:
    """The end of the menu Render in the top bar, and of the menu Image of an Image Editor."""
    layout = menu.layout
    layout.separator()
    layout.operator("watch_your_steps.preview_relevance", icon="VIEWZOOM")
    layout.operator("watch_your_steps.edit", text="Edit Where It Is Relevant", icon="BRUSH_DATA")
    layout.operator("watch_your_steps.variants")


def _menus() -> tuple[type[bpy.types.Menu], ...]:
    return bpy.types.TOPBAR_MT_render, bpy.types.IMAGE_MT_image


def register() -> None:
    """Be in them."""
    for menu in _menus():
        menu.append(_draw)


def unregister() -> None:
    """Leave them as they were."""
    for menu in _menus():
        menu.remove(_draw)
