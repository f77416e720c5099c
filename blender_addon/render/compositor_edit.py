"""Putting an edit into the scene's compositor."""

from collections.abc import Iterator

import bpy

from ..data import edit_group
from ..data.edit_group import IMAGE, is_edit_group
from ..data.scene_error import SceneError
from ..data.view_colours import WayBack

OUTPUTS = ("CompositorNodeComposite", "NodeGroupOutput")
"""Where the compositor's picture ends, in Blender 4 and in Blender 5."""
STEP = 200
"""From one node to the next one."""
Place = tuple[bpy.types.NodeTree, bpy.types.Node]
"""A node of a tree."""


def put(scene: bpy.types.Scene, layer: bpy.types.Image, back: WayBack) -> None:
    """Lay an edit over what the scene's compositor makes. Where that has an edit already, the group
    is filled anew and every link stays; else the group is put before the compositor's output.

    Args:
        scene: with or without a compositor.
        layer, back: as for `edit_group.fill`.

    Raises:
        SceneError: the compositor is linked from another file.
    """
    tree = _own_tree(scene)
    places = list(_places(tree, set()))
    group = _own_group(places) if places else edit_group.new_group()
    if not places:
        _insert(scene, tree, group)
    edit_group.fill(group, layer, back)


def _is_5() -> bool:
    return "compositing_node_group" in bpy.types.Scene.bl_rna.properties


def _own_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """The scene's compositor, which no other scene uses; made where it has none."""
    if not _is_5():
        new = scene.node_tree is None
        if not scene.use_nodes:
            scene.use_nodes = True
        tree: bpy.types.NodeTree = scene.node_tree
        if new:  # Blender has put some nodes there
            tree.nodes.clear()
        return tree
    tree = scene.compositing_node_group
    if tree is None:
        tree = scene.compositing_node_group = bpy.data.node_groups.new(
            "Compositing", "CompositorNodeTree"
        )
    elif not tree.is_editable:
        raise SceneError(
            f'The compositor "{tree.name}" is linked from another file: make it local first.'
        )
    elif any(one != scene and one.compositing_node_group == tree for one in bpy.data.scenes):
        tree = scene.compositing_node_group = tree.copy()  # the edit is of this scene alone
    return tree


def _places(tree: bpy.types.NodeTree, seen: set[bpy.types.NodeTree]) -> Iterator[Place]:
    """Where edits are, also within the artist's own groups."""
    seen.add(tree)
    for node in tree.nodes:
        group = getattr(node, "node_tree", None)
        if is_edit_group(group):
            yield tree, node
        elif group is not None and group not in seen:
            yield from _places(group, seen)


def _own_group(places: list[Place]) -> bpy.types.NodeTree:
    """The group of the first place; a copy of it where it is used elsewhere, by a copy of the scene
    for example.
    """
    group: bpy.types.NodeTree = places[0][1].node_tree
    nodes = [node for _, node in places if node.node_tree == group]
    if group.users == len(nodes) and group.is_editable:
        return group
    own = group.copy()
    for node in nodes:
        node.node_tree = own  # links stay, by the sockets' identifiers
    return own


def _insert(scene: bpy.types.Scene, tree: bpy.types.NodeTree, group: bpy.types.NodeTree) -> None:
    """Before the output, between what is linked there and it."""
    end = output_of(tree) or tree.nodes.new(OUTPUTS[_is_5()])
    if _is_5() and not any(one.in_out == "OUTPUT" for one in _sockets(tree)):
        tree.interface.new_socket(IMAGE, in_out="OUTPUT", socket_type="NodeSocketColor")
    before = next((link.from_socket for link in end.inputs[0].links), None)
    if before is None:
        layers = next((one for one in tree.nodes if one.type == "R_LAYERS"), None)
        if layers is None:
            layers = tree.nodes.new("CompositorNodeRLayers")
            layers.scene, layers.location = scene, (end.location.x - 3 * STEP, end.location.y)
        before = layers.outputs[IMAGE]
    node = tree.nodes.new("CompositorNodeGroup")
    node.node_tree, node.location = group, (end.location.x - STEP, end.location.y)
    node.name = node.label = edit_group.NAME
    tree.links.new(before, node.inputs[IMAGE])
    tree.links.new(node.outputs[IMAGE], end.inputs[0])


def _sockets(tree: bpy.types.NodeTree) -> list[bpy.types.NodeTreeInterfaceSocket]:
    return [one for one in tree.interface.items_tree if one.item_type == "SOCKET"]


def output_of(tree: bpy.types.NodeTree) -> bpy.types.Node | None:
    """The node where the compositor's picture ends: the active one of several."""
    ends = [node for node in tree.nodes if node.bl_idname in OUTPUTS]
    active = [node for node in ends if getattr(node, "is_active_output", False)]
    return (active or ends or [None])[0]


def without_edits(socket: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """What an output gives where no edit is laid over anything: where it is one of such a group,
    the output that is linked to that. The same where nothing is.
    """
    for _ in range(len(socket.id_data.nodes)):
        node = socket.node
        if not is_edit_group(getattr(node, "node_tree", None)) or socket.name != IMAGE:
            break
        links = node.inputs[IMAGE].links
        if not links:
            break
        socket = links[0].from_socket
    return socket


def only_passes_on(tree: bpy.types.NodeTree, scene: bpy.types.Scene) -> bool:
    """Whether a compositor gives the scene's render as it is, but for edits."""
    end = output_of(tree)
    if end is None:
        return False
    links = [link for one in end.inputs for link in one.links]
    if len(links) != 1 or links[0].to_socket != end.inputs[0] or links[0].is_muted:
        return False
    source = without_edits(links[0].from_socket)
    layers = source.node
    rendered = [one.name for one in scene.view_layers if one.use]
    return (
        layers.type == "R_LAYERS"
        and layers.scene == scene
        and source.name == IMAGE
        and rendered == [layers.layer]
    )
