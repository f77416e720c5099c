"""The compositor's node group that lays an edit over a render.

Its sockets stay what they are for good, since artists link them: what is within it is built anew
for every edit. What a render gives is in scene linear light, so the edit is taken back to that.
"""

import bpy

from .view_colours import WayBack

NAME = "Watch Your Steps"
OURS = "watch_your_steps"
"""Custom property of such a group."""
IMAGE, MIX, EDIT, MATTE = "Image", "Mix", "Edit", "Matte"
"""Its sockets: the render, and how much of the edit is laid over it; the same with the edit, the
edit alone, and where it is."""
SOCKETS = (
    (IMAGE, "INPUT", "NodeSocketColor", "The render"),
    (MIX, "INPUT", "NodeSocketFloat", "How much of the edit is laid over the render"),
    (IMAGE, "OUTPUT", "NodeSocketColor", "The render with the edit"),
    (EDIT, "OUTPUT", "NodeSocketColor", "The edit alone, with the render's alpha"),
    (MATTE, "OUTPUT", "NodeSocketFloat", "Where the edit is: 1 inside, 0 outside"),
)
LAYER, AMOUNT = "layer", "amount"
"""Names of nodes within it: the edit's picture, and what its matte is multiplied by."""


def is_edit_group(tree: bpy.types.NodeTree | None) -> bool:
    """Whether a node group is one of these."""
    return tree is not None and bool(tree.get(OURS))


def new_group() -> bpy.types.NodeTree:
    """A group with its sockets, and nothing in it yet."""
    group = bpy.data.node_groups.new(NAME, "CompositorNodeTree")
    group[OURS] = True
    _add_sockets(group)
    return group


def fill(group: bpy.types.NodeTree, layer: bpy.types.Image, back: WayBack) -> None:
    """Let a group lay an edit over what it is given, in place of the one that it had.

    Args:
        group: whose sockets stay, with all that is linked to them.
        layer: the edit alone, with its matte as alpha.
        back: what takes it back to scene linear light.
    """
    replaced = [node.image for node in group.nodes if getattr(node, "image", None) is not None]
    group.nodes.clear()
    _add_sockets(group)
    given, end = _node(group, "NodeGroupInput", -900), _node(group, "NodeGroupOutput", 900)
    picture = _node(group, "CompositorNodeImage", -900, 300)
    picture.name, picture.image = LAYER, layer
    colours = _as_light(group, picture.outputs["Image"], back)
    colours = _fitted(group, colours)
    opaque = _with_alpha(group, colours, None, "REPLACE_ALPHA", "Replace Alpha")
    split = _node(group, "CompositorNodeSeparateColor", 100, -200)
    group.links.new(given.outputs[IMAGE], split.inputs[0])
    edit = _with_alpha(group, opaque, split.outputs["Alpha"], "APPLY", "Apply Mask")
    amount = _node(group, "ShaderNodeMath", 300, 300)
    amount.name, amount.operation = AMOUNT, "MULTIPLY"
    group.links.new(_fitted(group, picture.outputs["Alpha"]), amount.inputs[0])
    amount.inputs[1].default_value = 1
    share = _node(group, "ShaderNodeMath", 500, 300)
    share.operation = "MULTIPLY"
    group.links.new(amount.outputs[0], share.inputs[0])
    group.links.new(given.outputs[MIX], share.inputs[1])
    mix = _node(group, "ShaderNodeMix", 700)
    mix.data_type = "RGBA"
    first, second = (one for one in mix.inputs if one.type == "RGBA")
    result = next(one for one in mix.outputs if one.type == "RGBA")
    group.links.new(share.outputs[0], mix.inputs[0])
    group.links.new(given.outputs[IMAGE], first)
    group.links.new(edit, second)
    for source, name in ((result, IMAGE), (edit, EDIT), (amount.outputs[0], MATTE)):
        group.links.new(source, end.inputs[name])
    for image in replaced:
        if image.users == 0:
            bpy.data.images.remove(image)


def leave_out(group: bpy.types.NodeTree) -> None:
    """Let a group pass on what it is given, as if its edit were nowhere."""
    amount = group.nodes.get(AMOUNT)
    if amount is not None:
        amount.inputs[1].default_value = 0


def _add_sockets(group: bpy.types.NodeTree) -> None:
    there = {
        (one.name, one.in_out) for one in group.interface.items_tree if one.item_type == "SOCKET"
    }
    for name, side, kind, text in SOCKETS:
        if (name, side) in there:
            continue
        socket = group.interface.new_socket(name, description=text, in_out=side, socket_type=kind)
        if name == MIX:
            socket.default_value, socket.min_value, socket.max_value = 1, 0, 1
            socket.subtype = "FACTOR"


def _node(group: bpy.types.NodeTree, kind: str, x: float, y: float = 0) -> bpy.types.Node:
    node = group.nodes.new(kind)
    node.location = (x, y)
    return node


def _as_light(
    group: bpy.types.NodeTree, colours: bpy.types.NodeSocket, back: WayBack
) -> bpy.types.NodeSocket:
    """The image's tag has taken the view transform out of it already."""
    if back.gamma != 1:
        version_5 = "compositing_node_group" in bpy.types.Scene.bl_rna.properties
        seen = _converted(group, colours, _linear(), back.space)
        gamma = _node(group, "ShaderNodeGamma" if version_5 else "CompositorNodeGamma", -500, 300)
        gamma.inputs["Gamma"].default_value = back.gamma
        group.links.new(seen, gamma.inputs[0])
        colours = _converted(group, gamma.outputs[0], back.space, _linear())
    if back.exposure:
        exposure = _node(group, "CompositorNodeExposure", -300, 300)
        exposure.inputs["Exposure"].default_value = -back.exposure
        group.links.new(colours, exposure.inputs["Image"])
        colours = exposure.outputs["Image"]
    return colours


def _linear() -> str:
    """What the compositor's own colour space is called."""
    known = bpy.types.CompositorNodeConvertColorSpace.bl_rna.properties["from_color_space"]
    return "scene_linear" if "scene_linear" in known.enum_items else "Linear Rec.709"


def _converted(
    group: bpy.types.NodeTree, colours: bpy.types.NodeSocket, before: str, after: str
) -> bpy.types.NodeSocket:
    node = _node(group, "CompositorNodeConvertColorSpace", -600, 300)
    node.from_color_space, node.to_color_space = before, after
    group.links.new(colours, node.inputs["Image"])
    return node.outputs["Image"]


def _fitted(group: bpy.types.NodeTree, values: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """At the size of the render, should that be another one by then."""
    node = _node(group, "CompositorNodeScale", -100, 300)
    if "Type" in node.inputs:  # Blender 5
        node.inputs["Type"].default_value = "Render Size"
    else:
        node.space = "RENDER_SIZE"
    group.links.new(values, node.inputs["Image"])
    return node.outputs["Image"]


def _with_alpha(
    group: bpy.types.NodeTree,
    colours: bpy.types.NodeSocket,
    alpha: bpy.types.NodeSocket | None,
    mode: str,
    title: str,
) -> bpy.types.NodeSocket:
    """With alpha 1, or multiplied by another alpha; the mode as Blender 4 and Blender 5 call it."""
    node = _node(group, "CompositorNodeSetAlpha", 100, 300)
    if "Type" in node.inputs:  # Blender 5
        node.inputs["Type"].default_value = title
    else:
        node.mode = mode
    group.links.new(colours, node.inputs["Image"])
    if alpha is not None:
        group.links.new(alpha, node.inputs["Alpha"])
    return node.outputs["Image"]
