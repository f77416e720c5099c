"""What the add-on has in Blender's own menus."""

from collections.abc import Callable

import bpy


def _draw(menu: bpy.types.Menu) -> None:
    layout = menu.layout
    layout.separator()
    layout.operator("watch_your_steps.preview_relevance", icon="VIEWZOOM")
    layout.operator("watch_your_steps.edit", text="Edit Where It Is Relevant", icon="BRUSH_DATA")
    layout.operator("watch_your_steps.variants")


def _draw_render(menu: bpy.types.Menu, _: bpy.types.Context) -> None:
    """The end of the menu Render in the top bar."""
    _draw(menu)
    menu.layout.operator("watch_your_steps.edit_frames", icon="RENDER_ANIMATION")


def _draw_image(menu: bpy.types.Menu, _: bpy.types.Context) -> None:
    """The end of the menu Image of an Image Editor."""
    _draw(menu)
    menu.layout.operator("watch_your_steps.use_shown_image", icon="IMAGE")


def _drawn() -> tuple[tuple[type[bpy.types.Menu], Callable[..., None]], ...]:
    return (bpy.types.TOPBAR_MT_render, _draw_render), (bpy.types.IMAGE_MT_image, _draw_image)


def register() -> None:
    """Be in them."""
    for menu, draw in _drawn():
        menu.append(draw)


def unregister() -> None:
    """Leave them as they were."""
    for menu, draw in _drawn():
        menu.remove(draw)
