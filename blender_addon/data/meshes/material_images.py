"""Which images colour a material's surface: found by following its links back from its output.

An image counts where its colour reaches the surface as colour: through reroutes, node groups, mixes
and corrections, but not as a factor, a channel, an alpha, a normal or as "Non-Color" data.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import bpy

Groups = tuple[bpy.types.ShaderNodeGroup, ...]
"""The group nodes that something lies in, from the outside in."""
Place = tuple[bpy.types.NodeSocket, Groups]
Shares = dict["ColourNode", float]

GROUP_TYPES = ("GROUP", "CUSTOM GROUP")
COLOURS = {"Base Color": 1.0, "Color": 1.0, "Emission Color": 0.5, "Emissive Color": 0.5}
"""Inputs of shaders that are seen as colours, and how much they count."""
STRENGTHS = {"Emission Color": "Emission Strength", "Color": "Strength"}
"""Inputs without which a shader's colour is not seen."""
OVERLAID = 0.5
"""How much the second colour of a blend such as "Multiply" counts beside the first."""
UNKNOWN_FACTOR = 0.5
DATA_SHARE = 0.1
"""How much an image counts whose name says that it holds something else than colours."""
DATA_NAME = re.compile(
    r"(?:^|[\W\d_])(?:ao|ambient|occlusion|orm|arm|normals?|nor|nrm|rough(?:ness)?|metal(?:lic|ness)?"
    r"|height|disp(?:lacement)?|bump|mask|lightmap)(?:$|[\W\d_])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ColourNode:
    """An image texture node whose colour reaches the surface.

    Attributes:
        node: with an image.
        groups: the group nodes that it lies in, from the outside in.
    """

    node: bpy.types.ShaderNodeTexImage
    groups: Groups

    @cached_property
    def image(self) -> bpy.types.Image:
        """That it shows."""
        return self.node.image


def colour_nodes(material: bpy.types.Material | None, engine: str) -> Shares:
    """The image texture nodes that colour a material's surface, with the share that each has, above
    0 and roughly what is seen of it; those of "Non-Color" images too.

    Args:
        material: None for an empty slot.
        engine: the scene's, which may have an output of its own.
    """
    tree = tree_of(material)
    if tree is None:
        return {}
    output = tree.get_output_node("CYCLES" if engine == "CYCLES" else "EEVEE")
    if output is None:
        return {}
    return _Walk().behind(output.inputs["Surface"], ())


def tree_of(material: bpy.types.Material | None) -> bpy.types.ShaderNodeTree | None:
    """A material's nodes, or None where it does without."""
    if material is None or (bpy.app.version < (5, 0) and not material.use_nodes):
        return None
    return material.node_tree


def image_nodes(tree: bpy.types.NodeTree | None) -> Iterator[bpy.types.ShaderNode]:
    """All image texture nodes with an image in a tree and in its groups, whatever they are for."""
    for node in () if tree is None else tree.nodes:
        if node.type in ("TEX_IMAGE", "TEX_ENVIRONMENT") and node.image is not None:
            yield node
        elif node.type in GROUP_TYPES:
            yield from image_nodes(node.node_tree)


def holds_data(image: bpy.types.Image) -> bool:
    """Whether an image is read as numbers, not as colours."""
    return bool(image.colorspace_settings.is_data)


def name_share(image: bpy.types.Image) -> float:
    """What an image's share counts, by its name: 1, or little where it is called like a map of
    something else than colours, such as "wood_AO".
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", image.name.rpartition(".")[0] or image.name)
    return DATA_SHARE if DATA_NAME.search(words) else 1.0


def origin(entry: bpy.types.NodeSocket, groups: Groups) -> Place | None:
    """Where the value of an input comes from, through reroutes, muted nodes and the borders of
    groups: the output of a node, or an unconnected input whose own value it is; None for nothing.
    """
    while True:
        link = next((link for link in entry.links if link.is_valid and not link.is_muted), None)
        if link is None:
            return entry, groups
        output, node = link.from_socket, link.from_node
        following: bpy.types.NodeSocket | None
        if node.mute:
            pairs = ((link.from_socket, link.to_socket) for link in node.internal_links)
            following = next((source for source, target in pairs if target == output), None)
        elif node.type == "REROUTE":
            following = node.inputs[0]
        elif node.type == "GROUP_INPUT" and groups:
            following = _same(groups[-1].inputs, output)
            groups = groups[:-1]
        elif node.type in GROUP_TYPES:
            if node.node_tree is None:  # its library is missing
                return None
            ends = (one for one in node.node_tree.nodes if one.type == "GROUP_OUTPUT")
            end = next((one for one in ends if one.is_active_output), None)
            following = None if end is None else _same(end.inputs, output)
            groups = (*groups, node)
        else:
            return output, groups
        if following is None:
            return None
        entry = following


def constant(entry: bpy.types.NodeSocket, groups: Groups) -> float | str | Sequence[float] | None:
    """The value of an input where it is the same everywhere, as cameras see it; else None."""
    found = origin(entry, groups)
    if found is None:
        return None
    socket = found[0]
    if not socket.is_output or socket.node.type in ("VALUE", "RGB"):
        return getattr(socket, "default_value", None)
    if socket.node.type == "LIGHT_PATH" and socket.name.startswith("Is "):
        return float(socket.name == "Is Camera Ray")
    return None


def _same(
    sockets: bpy.types.bpy_prop_collection, like: bpy.types.NodeSocket
) -> bpy.types.NodeSocket | None:
    """The socket on the other side of a group's border."""
    return next((one for one in sockets if one.identifier == like.identifier), None)


class _Walk:
    """Goes through a material's nodes, each only once."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Shares] = {}

    def behind(self, entry: bpy.types.NodeSocket, groups: Groups) -> Shares:
        """The images whose colour reaches an input."""
        found = origin(entry, groups)
        if found is None or not found[0].is_output:
            return {}
        output, groups = found
        path = tuple(node.as_pointer() for node in groups)
        key = (output.node.as_pointer(), output.identifier, *path)
        if key not in self._known:
            self._known[key] = {}  # a tree that bites its own tail ends here
            self._known[key] = self._through(output, groups)
        return self._known[key]

    def _through(self, output: bpy.types.NodeSocket, groups: Groups) -> Shares:
        node = output.node
        if node.type == "TEX_IMAGE":
            seen = node.image is not None and output.identifier == "Color"
            return {ColourNode(node, groups): 1.0} if seen else {}
        if node.type.startswith("COMB"):
            return self._combined(node, groups)
        total: Shares = {}
        for entry, share in inputs_of(output, groups):
            if share > 0:
                for one, part in self.behind(entry, groups).items():
                    total[one] = total.get(one, 0.0) + share * part
        return total

    def _combined(self, node: bpy.types.ShaderNode, groups: Groups) -> Shares:
        """A single channel is no colour: two of the same image are."""
        channels = [self._channel(entry, groups) for entry in node.inputs if entry.enabled]
        found: dict[ColourNode, set[str]] = {}
        for one, name in dict.fromkeys(pair for channel in channels for pair in channel):
            found.setdefault(one, set()).add(name)
        return {one: len(names) / len(channels) for one, names in found.items() if len(names) > 1}

    def _channel(
        self, entry: bpy.types.NodeSocket, groups: Groups
    ) -> dict[tuple[ColourNode, str], None]:
        """The images, and which channel of them, that a number comes from."""
        found = origin(entry, groups)
        if found is None or not found[0].is_output:
            return {}
        output, groups = found
        if output.node.type.startswith("SEP"):
            there = self.behind(output.node.inputs[0], groups)
            return dict.fromkeys((one, output.identifier) for one in there)
        total: dict[tuple[ColourNode, str], None] = {}
        for one in output.node.inputs if output.type == "VALUE" else ():
            if one.enabled and one.type == "VALUE":
                total |= self._channel(one, groups)
        return total


def inputs_of(
    output: bpy.types.NodeSocket, groups: Groups
) -> list[tuple[bpy.types.NodeSocket, float]]:
    """The inputs of a node that an output's colour, or shader, is made of, with their shares."""
    node = output.node
    usable = [entry for entry in node.inputs if entry.enabled]
    if node.type in ("MIX", "MIX_RGB", "MIX_SHADER"):
        if output.type == "VALUE":
            return []
        factor, first, second = usable
        share = _factor(factor, groups)
        if node.type == "MIX_SHADER" or output.type == "VECTOR" or node.blend_type == "MIX":
            return [(first, 1 - share), (second, share)]
        if node.blend_type == "MULTIPLY":
            left = 1 - share if _level(second, groups) == 0 else 1.0
            return [
                (first, left),
                (second, 0.0 if _level(first, groups) == 0 else OVERLAID * share),
            ]
        return [(first, 1.0), (second, OVERLAID * share)]
    if node.type == "MENU_SWITCH":
        menu, *items = usable
        chosen = [item for item in items if item.name == constant(menu, groups)]
        return [(item, 1 / len(chosen or items)) for item in chosen or items]
    if node.type in ("ADD_SHADER", "SHADERTORGB"):
        shaders = [] if output.type == "VALUE" else usable
        return [(entry, 1.0) for entry in shaders if entry.type == "SHADER"]
    if node.type == "BSDF_TRANSPARENT":  # what it colours lies behind
        return []
    if output.type == "SHADER":
        return [(entry, _seen(entry, groups)) for entry in usable if entry.name in COLOURS] + [
            (entry, 1.0) for entry in usable if entry.type == "SHADER"
        ]
    if output.type == "RGBA":
        return [(entry, 1.0) for entry in usable if entry.type == "RGBA"]
    vectors = [entry for entry in usable if entry.type == "VECTOR"]
    if output.type == "VECTOR" and node.type == "VECT_MATH":
        return [(entry, OVERLAID if number else 1.0) for number, entry in enumerate(vectors)]
    if output.type == "VECTOR" and node.type in ("MAPPING", "CURVE_VEC", "MAP_RANGE"):
        return [(vectors[0], 1.0)]
    return []


def _factor(entry: bpy.types.NodeSocket, groups: Groups) -> float:
    """0..1, of the second of two that are mixed."""
    value = _level(entry, groups)
    return UNKNOWN_FACTOR if value is None else min(1.0, max(0.0, value))


def _level(entry: bpy.types.NodeSocket, groups: Groups) -> float | None:
    """The mean of an input's red, green and blue, or its number; None where they vary."""
    value = constant(entry, groups)
    if value is None or isinstance(value, str):
        return None
    numbers = [value] if isinstance(value, (int, float)) else list(value)[:3]
    return float(sum(numbers)) / len(numbers)


def _seen(entry: bpy.types.NodeSocket, groups: Groups) -> float:
    """How much a shader's colour counts; 0 where it has no strength."""
    strength = entry.node.inputs.get(STRENGTHS.get(entry.name, ""))
    dark = strength is not None and constant(strength, groups) == 0
    return 0.0 if dark else COLOURS[entry.name]
