"""What can be done with the layers: add, move and remove them, and keep what they show."""

import time

import bpy
import msgspec

from ..link.encode import encode_png
from . import copies, edit_masks, edits, layer_list, layers, taken_pictures, thing_labels


def add(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> None:
    """Lay an edit over all others, and show the layers."""
    copies.settle(scene)
    settings = scene.watch_your_steps
    settings.layers.add().edit = entry.uid
    settings.layers.move(len(settings.layers) - 1, 0)
    settings.layer_index = 0
    settings.view = "LAYERS"


def chosen(scene: bpy.types.Scene) -> bpy.types.PropertyGroup | None:
    """The layer that is chosen in the list, or None where there is none."""
    settings = scene.watch_your_steps
    index = settings.layer_index
    return settings.layers[index] if 0 <= index < len(settings.layers) else None


def remove(scene: bpy.types.Scene) -> None:
    """Take the chosen layer away; its edit stays in the list."""
    settings = scene.watch_your_steps
    settings.layers.remove(settings.layer_index)
    layer_list.settle(settings)


def clear(scene: bpy.types.Scene) -> None:
    """Take all layers away; their edits stay in the list."""
    settings = scene.watch_your_steps
    settings.layers.clear()
    layer_list.settle(settings)


def move(scene: bpy.types.Scene, by: int) -> None:
    """Move the chosen layer up (-1) or down (1); at an end it stays."""
    settings = scene.watch_your_steps
    to = settings.layer_index + by
    if 0 <= to < len(settings.layers):
        settings.layers.move(settings.layer_index, to)
        settings.layer_index = to


def keep(scene: bpy.types.Scene) -> None:
    """Keep what the layers show as an edit of their render, and show it. It knows which layers
    these were, and how they were set.
    """
    copies.settle(scene)
    edits.adopt(scene)
    settings = scene.watch_your_steps
    picture, mask, root = layers.composite(settings), layers.mask(settings), layers.root(settings)
    assert picture is not None  # the operator's poll has found it
    assert mask is not None
    assert root is not None
    made_of = [(layer.edit, layer.visible, layer.opacity) for layer in settings.layers]
    words = described(settings)
    entry = edits.new_entry(settings, "Layers")
    entry.instruction = ""
    entry.image = edits.new_picture(scene, root, picture, encode_png(picture))
    entry.image.colorspace_settings.name = root.colorspace_settings.name
    entry.mask = edit_masks.new_image(f"{scene.name} edit mask", mask)
    entry.render = root
    packed = root.packed_file
    if packed is not None:
        entry.picture = taken_pictures.identity_of(packed.data, thing_labels.of(root))
    entry.camera, entry.frame = taken_pictures.taken_by(root)
    entry.layers = msgspec.json.encode(made_of).decode()
    entry.notes = words
    entry.date = time.strftime("%Y-%m-%d %H:%M")
    settings.edit_index = 0  # shows it


def described(settings: bpy.types.PropertyGroup) -> str:
    """The layers that are seen, from the top, in words."""
    parts = [
        f'"{entry.title}"' + ("" if opacity == 1 else f" ({opacity:.0%})")
        for entry, opacity in reversed(layers.seen(settings))
    ]
    return f"Layers from the top: {', '.join(parts)}." if parts else "No layer was seen."


def put_back(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> None:
    """Set the layers as they were when an edit was kept of them; those whose edits were deleted
    since are left out.
    """
    settings = scene.watch_your_steps
    made_of = msgspec.json.decode(entry.layers, type=list[tuple[str, bool, float]])
    settings.layers.clear()
    for uid, visible, opacity in made_of:
        if edits.named(settings, uid) is not None:
            layer = settings.layers.add()
            layer.edit, layer.visible, layer.opacity = uid, visible, opacity
    layer_list.settle(settings)
