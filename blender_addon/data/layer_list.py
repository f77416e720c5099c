"""The list of layers in step with the list of edits."""

import bpy


def remove_of(settings: bpy.types.PropertyGroup, uid: str) -> None:
    """Take the layer of an edit away, where it has one."""
    places = [index for index, layer in enumerate(settings.layers) if layer.edit == uid]
    for index in reversed(places):
        settings.layers.remove(index)
    settle(settings)


def settle(settings: bpy.types.PropertyGroup) -> None:
    """Choose a layer that is there, and show something else where there is none."""
    settings.layer_index = max(0, min(settings.layer_index, len(settings.layers) - 1))
    if not settings.layers and settings.view == "LAYERS":
        settings.view = "EDIT" if settings.edit_image is not None else "RENDER"
