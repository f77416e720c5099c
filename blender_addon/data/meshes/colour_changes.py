"""What stands between an image and the surface that it colours, and changes its colours: an edit of
the image looks otherwise there than it was made.
"""

import bpy

from .live_textures import MARK
from .material_images import Groups, inputs_of, origin
from .painted_shaders import surface

LIGHT = ("MULTIPLY",)
"""Blends that darken as light does, which is taken out of views again."""


def changing_node(
    material: bpy.types.Material | None, image: bpy.types.Image, engine: str
) -> str | None:
    """The label of the first node that changes an image's colours on their way to the surface;
    None where they are seen as they are, or not at all.

    Args:
        material: None for an empty slot.
        image: that is to be edited.
        engine: the scene's, which may have an output of its own.
    """
    entry = surface(material, engine)
    return None if entry is None else _Way(image).changes(entry, ())[1]


class _Way:
    """Goes through a material's nodes, each only once."""

    def __init__(self, image: bpy.types.Image) -> None:
        self._image = image
        self._known: dict[tuple[object, ...], tuple[bool, str | None]] = {}

    def changes(self, entry: bpy.types.NodeSocket, groups: Groups) -> tuple[bool, str | None]:
        """Whether the image reaches an input, and what changes it before."""
        found = origin(entry, groups)
        if found is None or not found[0].is_output:
            return False, None
        output, groups = found
        node = output.node
        if node.type == "TEX_IMAGE":
            return node.image == self._image and output.identifier == "Color", None
        key = (node, output.identifier, groups)
        if key not in self._known:
            self._known[key] = False, None  # a tree that bites its own tail ends here
            self._known[key] = self._through(output, groups)
        return self._known[key]

    def _through(self, output: bpy.types.NodeSocket, groups: Groups) -> tuple[bool, str | None]:
        reaches, changed, shown = False, None, 0.0
        for entry, share in inputs_of(output, groups):
            if share <= 0:
                continue
            there, before = self.changes(entry, groups)
            reaches, changed = reaches or there, changed or before
            shown = max(shown, share) if there else shown
        node = output.node
        passes = output.type == "SHADER" or node.type == "MENU_SWITCH"
        own = any(MARK in group.node_tree for group in groups)  # what this add-on shows
        if not reaches or changed or passes or own:
            return reaches, changed
        if node.type in ("MIX", "MIX_RGB"):
            all_of_it = node.blend_type == "MIX" and shown == 1
            if all_of_it or node.blend_type in LIGHT:
                return reaches, None
        return reaches, node.label or node.bl_label
