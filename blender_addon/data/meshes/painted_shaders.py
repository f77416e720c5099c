"""The shaders of a material that give a surface its base colour: how they are found, given an image
in place of what colours them, or made to shine in that colour so that it can be baked.
"""

from collections.abc import Iterator

import bpy

from .material_images import GROUP_TYPES, Groups, constant, origin, tree_of

MAIN = (
    {
        "BSDF_PRINCIPLED",
        "BSDF_DIFFUSE",
        "SUBSURFACE_SCATTERING",
        "BSDF_TOON",
        "EEVEE_SPECULAR",
    },
    {"EMISSION"},
    {
        "BSDF_METALLIC",
        "BSDF_GLOSSY",
        "BSDF_GLASS",
        "BSDF_TRANSLUCENT",
        "BSDF_SHEEN",
        "BSDF_REFRACTION",
        "BSDF_HAIR",
        "BSDF_HAIR_PRINCIPLED",
    },
)
"""Types of shaders, in the order in which a surface has its colour from them: the gloss over a
diffuse shader is no base colour, but that of a metal without one is."""
COLOUR_INPUTS = ("Base Color", "Color")
MIXES = ("MIX_SHADER", "ADD_SHADER")
LEAST = -1e30
"""Nothing that nodes give is less."""


def make_groups_own(tree: bpy.types.NodeTree) -> None:
    """Give the group nodes of a tree that pass shaders on groups of their own, so that these can be
    changed without changing other materials.
    """
    for node in tree.nodes:
        passes = any(socket.type == "SHADER" for socket in node.outputs)
        if passes and node.type in GROUP_TYPES and node.node_tree is not None:
            node.node_tree = node.node_tree.copy()
            make_groups_own(node.node_tree)


def surface(material: bpy.types.Material | None, engine: str) -> bpy.types.NodeSocket | None:
    """The input of a material's output that its surface comes from; None without nodes or output.

    Args:
        material: None for an empty slot.
        engine: the scene's, which may have an output of its own.
    """
    tree = tree_of(material)
    output = tree and tree.get_output_node("CYCLES" if engine == "CYCLES" else "EEVEE")
    return None if output is None else output.inputs["Surface"]


def painted_shaders(entry: bpy.types.NodeSocket | None) -> list[bpy.types.ShaderNode]:
    """The shader nodes behind a surface that give it its base colour, each once; none where nothing
    behind it has a colour.
    """
    if entry is None:
        return []
    found = list(dict.fromkeys(_shaders(entry, ())))
    for kinds in MAIN:
        if painted := [node for node in found if node.type in kinds]:
            return painted
    return []


def colour_input(node: bpy.types.ShaderNode) -> bpy.types.NodeSocket:
    """Where a painted shader has its colour from: one that is black itself, from what it shines
    with.
    """
    base, strength = node.inputs.get("Base Color"), node.inputs.get("Emission Strength")
    if base is not None and strength is not None:
        black = not base.is_linked and not any(base.default_value[:3])
        if black and (strength.is_linked or strength.default_value > 0):
            return node.inputs["Emission Color"]
    return next(node.inputs[name] for name in COLOUR_INPUTS if name in node.inputs)


def give_image(node: bpy.types.ShaderNode, image: bpy.types.Image, layer: str) -> None:
    """Colour a shader by an image that a UV map lays on, in place of what coloured it."""
    tree, entry = node.id_data, colour_input(node)
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = image
    texture.location = (node.location.x - 300, node.location.y)
    uvs = tree.nodes.new("ShaderNodeUVMap")
    uvs.uv_map = layer
    uvs.location = (texture.location.x - 200, texture.location.y)
    for one in (texture, uvs):
        one.parent = node.parent
    tree.links.new(uvs.outputs["UV"], texture.inputs["Vector"])
    tree.links.new(texture.outputs["Color"], entry)


def used_nodes(tree: bpy.types.NodeTree) -> set[bpy.types.ShaderNode]:
    """The nodes of a tree that something comes of: those that give nothing on, and what is before
    them.
    """
    found = {node for node in tree.nodes if not node.outputs}
    left = list(found)
    while left:
        entries = left.pop().inputs
        before = {link.from_node for entry in entries for link in entry.links} - found
        found |= before
        left += before
    return found


def make_shine(entry: bpy.types.NodeSocket) -> bool:
    """Have a surface shine in its base colour and nothing else; whether it has one. The material is
    of no other use afterwards, nor are its groups, which have to be its own.
    """
    return _Shining(painted_shaders(entry)).behind(entry, ())


def _shaders(entry: bpy.types.NodeSocket, groups: Groups) -> Iterator[bpy.types.ShaderNode]:
    found = origin(entry, groups)
    if found is None or not found[0].is_output:
        return
    node, groups = found[0].node, found[1]
    if node.type not in MIXES:
        yield node
        return
    factor = constant(node.inputs[0], groups) if node.type == "MIX_SHADER" else None
    entries = [one for one in node.inputs if one.type == "SHADER"]
    for unseen, one in zip((1, 0), entries, strict=True):
        if factor != unseen:
            yield from _shaders(one, groups)


class _Shining:
    """Puts emission in place of shaders, each only once."""

    def __init__(self, painted: list[bpy.types.ShaderNode]) -> None:
        self._painted = painted
        self._known: dict[bpy.types.ShaderNode, bool] = {}

    def behind(self, entry: bpy.types.NodeSocket, groups: Groups) -> bool:
        """Whether there is a painted shader behind an input."""
        found = origin(entry, groups)
        if found is None or not found[0].is_output:
            return False
        node, groups = found[0].node, found[1]
        if node not in self._known:
            self._known[node] = node in self._painted
            if node.type in MIXES:
                self._known[node] = self._mixed(node, groups)
            elif self._known[node]:
                self._replace(node)
        return self._known[node]

    def _mixed(self, node: bpy.types.ShaderNode, groups: Groups) -> bool:
        """What is no colour counts for nothing in a mix, not for black; colours that are added
        count alike.
        """
        entries = [one for one in node.inputs if one.type == "SHADER"]
        there = [self.behind(one, groups) for one in entries]
        tree = node.id_data
        if node.type == "MIX_SHADER":
            factor = node.inputs[0]
            share = constant(factor, groups)
            sources = _sources(factor) if share is None else []
            only_one = there[0] != there[1]
            if only_one or share is not None:
                for link in list(factor.links):
                    tree.links.remove(link)
            if only_one:
                _be(float(there[1]), factor, sources)
            elif share is not None:
                factor.default_value = share
            return any(there)
        mix = tree.nodes.new("ShaderNodeMixShader")
        mix.inputs[0].default_value = 0.5 if all(there) else float(there[1])
        for target, one in zip(mix.inputs[1:], entries, strict=True):
            for link in one.links:
                tree.links.new(link.from_socket, target)
        self._relink(node, mix)
        self._known[mix] = any(there)
        return any(there)

    def _replace(self, node: bpy.types.ShaderNode) -> None:
        tree, entry = node.id_data, colour_input(node)
        shining = tree.nodes.new("ShaderNodeEmission")
        shining.inputs["Color"].default_value = entry.default_value
        for link in entry.links:
            tree.links.new(link.from_socket, shining.inputs["Color"])
        numbers = (one for one in node.inputs if one.type == "VALUE" and one != entry)
        sources = [source for one in numbers for source in _sources(one)]
        _be(1.0, shining.inputs["Strength"], sources)
        self._relink(node, shining)
        self._known[shining] = True  # where another way leads here

    @staticmethod
    def _relink(node: bpy.types.ShaderNode, other: bpy.types.ShaderNode) -> None:
        tree = node.id_data
        for output in node.outputs:
            if output.type == "SHADER":
                for link in list(output.links):
                    tree.links.new(other.outputs[0], link.to_socket)


def _sources(entry: bpy.types.NodeSocket) -> list[bpy.types.NodeSocket]:
    return [link.from_socket for link in entry.links if link.is_valid and not link.is_muted]


def _be(value: float, entry: bpy.types.NodeSocket, sources: list[bpy.types.NodeSocket]) -> None:
    """Give an input a value that depends on what was used before, for all that renderers know: they
    divide the colours of an image by its alpha only where that is used.
    """
    tree = entry.id_data
    entry.default_value = value
    for source in sources:
        never = tree.nodes.new("ShaderNodeMath")
        never.operation = "LESS_THAN"
        never.inputs[1].default_value = LEAST
        tree.links.new(source, never.inputs[0])
        total = tree.nodes.new("ShaderNodeMath")
        total.operation = "ADD"
        total.inputs[1].default_value = value
        for link in entry.links:  # of those before
            tree.links.new(link.from_socket, total.inputs[1])
        tree.links.new(never.outputs[0], total.inputs[0])
        tree.links.new(total.outputs[0], entry)
