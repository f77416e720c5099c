"""Whether the compositor moves the pixels of a render: then what a picture shows at a pixel is not
what the camera sees there.
"""

import bpy

from ..data.edit_group import is_edit_group

MOVING = {
    *("TRANSLATE", "SCALE", "ROTATE", "TRANSFORM", "FLIP", "CROP", "LENSDIST", "DISPLACE"),
    *("MAP_UV", "CORNERPIN", "PLANETRACKDEFORM", "STABILIZE2D", "MOVIEDISTORTION"),
}
"""Types of nodes. A blur moves nothing: it spreads."""
MOVED = 'The compositor\'s node "{}" moves the picture: what things lie where is not known.'


def is_moved(unknown: str) -> bool:
    """Whether that is why the things of a picture are not known (MOVED)."""
    return unknown.startswith(MOVED.partition("{")[0])


def mover_of(tree: bpy.types.NodeTree) -> bpy.types.Node | None:
    """A node on the way from the render to the compositor's output that moves pixels, if any."""
    ends = [node for node in tree.nodes if node.type in ("COMPOSITE", "GROUP_OUTPUT")]
    return next((node for node in _before(ends) if _moves(node) and _has_render(node)), None)


def _before(ends: list[bpy.types.Node]) -> list[bpy.types.Node]:
    """All nodes that something flows from to these, which are among them."""
    found, left = set[bpy.types.Node](), list(ends)
    while left:
        node = left.pop()
        if node not in found:
            found.add(node)
            left += [link.from_node for socket in node.inputs for link in socket.links]
    return list(found)


def _has_render(node: bpy.types.Node) -> bool:
    return any(one.type == "R_LAYERS" for one in _before([node]))


def _moves(node: bpy.types.Node) -> bool:
    """Whether it moves what it is given; of a group, whether any node in it does."""
    if node.mute or is_edit_group(getattr(node, "node_tree", None)):
        return False  # an edit is laid over the render, which stays where it is
    if node.type == "GROUP" and node.node_tree is not None:
        return any(_moves(inner) for inner in node.node_tree.nodes)
    return node.type in MOVING
