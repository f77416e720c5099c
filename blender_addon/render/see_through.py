"""What lets more than half of the light straight through, so that what lies behind it is seen.

Only what is the same all over a material counts: a picture of an alpha channel cuts out, say, a
leaf, of which this knows nothing. Glass bends the light, and is seen itself.
"""

import bpy

HALF = 0.5


def is_seen_through(
    material: bpy.types.Material | None,
    thing: bpy.types.Object,
    engine: str,
    shading: bpy.types.View3DShading,
) -> bool:
    """Whether more is seen of what lies behind a surface than of itself.

    Args:
        material: of the surface, None where it has none.
        thing: the object that it belongs to.
        engine: Blender's name of what renders.
        shading: how Workbench shows the scene.
    """
    if engine == "BLENDER_WORKBENCH":
        if shading.color_type == "OBJECT":
            return bool(thing.color[3] < HALF)
        if material is None or shading.color_type != "MATERIAL":
            return False
        return bool(material.diffuse_color[3] < HALF)
    if material is None or material.node_tree is None or _is_without_nodes(material):
        return False
    ends = (node for node in material.node_tree.nodes if node.type == "OUTPUT_MATERIAL")
    end = next((node for node in ends if node.is_active_output), None)
    if end is None:
        return False
    if not end.inputs["Surface"].is_linked:
        return bool(end.inputs["Volume"].is_linked)  # without a surface
    return _opacity(end.inputs["Surface"]) < HALF


def _is_without_nodes(material: bpy.types.Material) -> bool:
    return bpy.app.version < (5, 0, 0) and not material.use_nodes


def _opacity(socket: bpy.types.NodeSocket) -> float:
    """Share of the light from behind that does not come through what a shader's input is, 0..1, as
    far as constants tell; 1 where they do not.
    """
    node = _behind(socket)
    if node is None:
        return 1.0
    if node.type == "BSDF_TRANSPARENT":
        colour = node.inputs["Color"]
        return 1.0 if colour.is_linked else 1.0 - sum(colour.default_value[:3]) / 3
    if node.type == "BSDF_PRINCIPLED":
        alpha = node.inputs["Alpha"]
        return 1.0 if alpha.is_linked else float(alpha.default_value)
    if node.type == "MIX_SHADER":
        first, second = _opacity(node.inputs[1]), _opacity(node.inputs[2])
        share = _share(node.inputs[0])
        return max(first, second) if share is None else first + (second - first) * share
    return 1.0


def _share(socket: bpy.types.NodeSocket) -> float | None:
    """What a mix takes of its second input, None where that differs from place to place."""
    if not socket.is_linked:
        return float(min(1.0, max(0.0, socket.default_value)))
    source = socket.links[0].from_socket
    if source.node.type == "LIGHT_PATH" and source.name == "Is Camera Ray":
        return 1.0
    return None


def _behind(socket: bpy.types.NodeSocket) -> bpy.types.Node | None:
    """The node that a socket's value comes from."""
    while socket.is_linked:
        node = socket.links[0].from_node
        if node.type != "REROUTE":
            return node
        socket = node.inputs[0]
    return None
