"""What a material shows of a texture's region while it is moved: nodes between the texture and what
it colours, so that the threshold's slider changes one number of theirs.

A *preview* darkens the texture and colours the region; a *mix* shows the edited texture in the
region, and the one below it elsewhere. Both are a node group of the region, put behind the node of
the texture, which goes on showing the one below.
"""

from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager

import bpy

from . import texture_regions
from .material_images import GROUP_TYPES, colour_nodes, image_nodes, tree_of

MARK = "watch_your_steps_live"
"""Custom property of these groups: PREVIEW or MIX."""
PREVIEW, MIX = "PREVIEW", "MIX"
ALPHA_USED = "Alpha Is Used"
"""Name of the node that uses an edit's alpha."""
DIMMED = 0.25
"""What is left of the texture's brightness outside the region."""
GLOW, TINT = (0.05, 0.12, 0.5, 1.0), (1.0, 0.3, 0.02, 1.0)
"""Linear colours of what is most relevant outside the region, and of the region."""
TINTED = 0.5
"""How much of the region is TINT; the rest is the texture."""


def refresh(region: bpy.types.PropertyGroup) -> None:
    """Let materials show a region as it is now. An edit whose threshold has been moved is mixed
    from now on wherever it is shown.
    """
    edited = region.id_data
    mine = edited.watch_your_steps
    is_edit = region == mine.region and region.made_at >= 0 and mine.original is not None
    if is_edit and texture_regions.chosen_map(region) is not None:
        if region.threshold == region.made_at:
            _show_plainly(edited)
        elif _shown_plainly(edited):
            _mix_everywhere(edited)
    if region.group is None:
        return
    group = _own_group(region)
    if ("Paint" in group.nodes) != (region.paint is not None):
        rebuild(region)
    group.nodes["Threshold"].outputs[0].default_value = region.threshold
    group.nodes["Map"].image = texture_regions.chosen_map(region)


def put_preview(thing: bpy.types.Object, image: bpy.types.Image, engine: str) -> bool:
    """Show the preview of a texture on an object; whether there was a node to do it."""
    region = image.watch_your_steps.preview
    take_off(thing)
    nodes = _nodes_with(thing, image, engine)
    if nodes:
        _build(region, PREVIEW, None)
    for node in nodes:
        _put(node, region.group)
    return bool(nodes)


def is_previewed(thing: bpy.types.Object) -> bool:
    """Whether an object shows a preview."""
    return any(node.node_tree[MARK] == PREVIEW for node in _live_nodes(_trees(thing)))


def previewed(thing: bpy.types.Object) -> list[bpy.types.Image]:
    """The textures whose previews an object shows."""
    previews = [one for one in _live_nodes(_trees(thing)) if one.node_tree[MARK] == PREVIEW]
    return list(dict.fromkeys(image for node in previews if (image := _below(node)) is not None))


def mixed(thing: bpy.types.Object) -> list[bpy.types.Image]:
    """The edited textures that an object shows mixed, as their threshold was moved."""
    groups = dict.fromkeys(node.node_tree for node in _live_nodes(_trees(thing)))
    return [edited for group in groups if (edited := _edit_in(group)) is not None]


def take_off(thing: bpy.types.Object, edits: Container[bpy.types.Image] = ()) -> None:
    """Let an object show its textures themselves again, without previews, what is left of edits
    that were deleted, and the mixes of these `edits`: what is below them is seen then.
    """
    for node in list(_live_nodes(_trees(thing))):
        if _is_passing(node.node_tree) or _edit_in(node.node_tree) in edits:
            _take(node)


def remove(region: bpy.types.PropertyGroup) -> None:
    """Forget a region, and take its nodes off all that shows it."""
    for node in list(_nodes_of(region)):
        _take(node)
    texture_regions.clear(region)


@contextmanager
def without_preview(thing: bpy.types.Object | None, engine: str) -> Iterator[None]:
    """Take the preview off an object, and what is left of mixes whose edit was deleted; a preview
    is back where something does not work.
    """
    trees = _trees(thing) if thing is not None and thing.type == "MESH" else []
    nodes = [node for node in _live_nodes(trees) if _is_passing(node.node_tree)]
    shown = previewed(thing) if nodes else []
    for node in nodes:
        _take(node)
    try:
        yield
    except Exception:
        for image in shown:
            put_preview(thing, image, engine)
        raise


def _is_passing(group: bpy.types.ShaderNodeTree) -> bool:
    """Whether a region's nodes are those of no edit."""
    return group[MARK] != MIX or _edit_in(group) is None


def _edit_in(group: bpy.types.ShaderNodeTree) -> bpy.types.Image | None:
    """The edit that a region's nodes mix in; None for a preview, or where it was deleted."""
    node = group.nodes.get("Edited")
    return None if node is None else node.image


def rebuild(region: bpy.types.PropertyGroup) -> None:
    """Make a region's nodes anew where it has some: there is another map, or a correction."""
    if region.group is not None:
        kind = _own_group(region)[MARK]
        _build(region, kind, region.id_data if kind == MIX else None)


# ---------------------------------------------------------------- where they are


def _trees(thing: bpy.types.Object) -> list[bpy.types.ShaderNodeTree]:
    return [tree for slot in thing.material_slots if (tree := tree_of(slot.material)) is not None]


def _live_nodes(trees: Iterable[bpy.types.NodeTree]) -> Iterator[bpy.types.ShaderNodeGroup]:
    for tree in trees:
        for node in tree.nodes:
            if node.type not in GROUP_TYPES or node.node_tree is None:
                continue
            if MARK in node.node_tree:
                yield node
            else:
                yield from _live_nodes([node.node_tree])


def _nodes_with(
    thing: bpy.types.Object, image: bpy.types.Image, engine: str
) -> list[bpy.types.ShaderNode]:
    """The nodes that colour an object by a texture, each once."""
    shares = (one for slot in thing.material_slots for one in colour_nodes(slot.material, engine))
    return list({one.node.as_pointer(): one.node for one in shares if one.image == image}.values())


def _local_trees() -> list[bpy.types.ShaderNodeTree]:
    """Those of the materials of this file."""
    trees = (tree_of(one) for one in bpy.data.materials if one.library is None)
    return [tree for tree in trees if tree is not None]


def _nodes_of(region: bpy.types.PropertyGroup) -> Iterator[bpy.types.ShaderNodeGroup]:
    """What shows a region, in all materials of this file. Where a copy of its image has the same
    nodes, not those that show the copy.
    """
    for node in _live_nodes(_local_trees()) if region.group is not None else ():
        if node.node_tree == region.group:
            edited = _edit_in(region.group)
            if region.id_data == (_below(node) if edited is None else edited):
                yield node


def _own_group(region: bpy.types.PropertyGroup) -> bpy.types.ShaderNodeTree:
    """A region's nodes, which it has for itself from now on: a copy of its image has them, too."""
    group = region.group
    own = (one.watch_your_steps for one in bpy.data.images if one != region.id_data)
    if any(group in (one.preview.group, one.region.group) for one in own):
        nodes = list(_nodes_of(region))
        region.group = group.copy()
        for node in nodes:
            node.node_tree = region.group
    return region.group


def _shown_plainly(edited: bpy.types.Image) -> list[bpy.types.ShaderNode]:
    """The texture nodes of all materials that show an edit itself."""
    nodes = {
        node.as_pointer(): node
        for tree in _local_trees()
        for node in image_nodes(tree)
        if node.image == edited and node.type == "TEX_IMAGE"
        # not those of this module, nor what could not be saved
        if MARK not in node.id_data and node.id_data.library is None
    }
    return list(nodes.values())


def _mix_everywhere(edited: bpy.types.Image) -> None:
    mine = edited.watch_your_steps
    nodes = _shown_plainly(edited)
    _build(mine.region, MIX, edited, any(node.outputs["Alpha"].links for node in nodes))
    for node in nodes:
        node.image = mine.original
        _put(node, mine.region.group)


def _show_plainly(edited: bpy.types.Image) -> None:
    """Let what mixes an edit show the edit itself again."""
    for node in list(_nodes_of(edited.watch_your_steps.region)):
        if _below(node) == edited.watch_your_steps.original:
            node.inputs["Color"].links[0].from_node.image = edited
        _take(node)


def _below(node: bpy.types.ShaderNode) -> bpy.types.Image | None:
    """The texture that goes into nodes that were put behind it."""
    link = next(iter(node.inputs["Color"].links), None)
    return getattr(link.from_node, "image", None) if link is not None else None


def _put(node: bpy.types.ShaderNodeTexImage, group: bpy.types.ShaderNodeTree) -> None:
    """Put a region's nodes behind a texture's."""
    tree = node.id_data
    targets = [link.to_socket for link in node.outputs["Color"].links]
    added = tree.nodes.new("ShaderNodeGroup")
    added.node_tree = group
    added.label = group.name
    added.location = (node.location.x + node.width + 20, node.location.y + 60)
    given = next(iter(node.inputs["Vector"].links), None)
    if given is not None:
        place = given.from_socket
    else:  # what a texture takes by itself, a group does not
        usual = tree.nodes.new("ShaderNodeUVMap")
        usual[MARK] = True
        usual.location = (added.location.x - 20, added.location.y + 120)
        place = usual.outputs["UV"]
    for one in image_nodes(group):  # texels lie where they did, and an edit looks as its texture
        one.extension = node.extension
    if "Edited" in group.nodes:
        group.nodes["Edited"].interpolation = node.interpolation
    tree.links.new(place, added.inputs["Vector"])
    tree.links.new(node.outputs["Color"], added.inputs["Color"])
    for target in targets:
        tree.links.new(added.outputs["Color"], target)


def _take(node: bpy.types.ShaderNodeGroup) -> None:
    """Take a region's nodes away again."""
    tree = node.id_data
    color = next(iter(node.inputs["Color"].links), None)
    place = next(iter(node.inputs["Vector"].links), None)
    if color is not None:
        for link in list(node.outputs["Color"].links):
            tree.links.new(color.from_socket, link.to_socket)
    before = None if place is None else place.from_node
    usual = before if before is not None and MARK in before else None
    tree.nodes.remove(node)
    if usual is not None and not usual.outputs["UV"].links:
        tree.nodes.remove(usual)


# ---------------------------------------------------------------- what they are


def _build(
    region: bpy.types.PropertyGroup,
    kind: str,
    edited: bpy.types.Image | None,
    with_alpha: bool = False,
) -> None:
    """Make the nodes of a region's group, in place of those that it has.

    Args:
        region: of a texture.
        kind: PREVIEW or MIX.
        edited: the edit that a MIX shows in the region.
        with_alpha: whether the material uses the texture's alpha: renderers read colours of an
            image in another way where something does.
    """
    group = region.group and _own_group(region)
    if group is None:
        group = bpy.data.node_groups.new("Watch Your Steps", "ShaderNodeTree")
        for name, socket in (("Color", "NodeSocketColor"), ("Vector", "NodeSocketVector")):
            group.interface.new_socket(name, in_out="INPUT", socket_type=socket)
        group.interface.new_socket("Color", in_out="OUTPUT", socket_type="NodeSocketColor")
        region.group = group
    with_alpha |= ALPHA_USED in group.nodes
    group[MARK] = kind
    group.nodes.clear()
    made = _Nodes(group)
    given, end = made.node("NodeGroupInput"), made.node("NodeGroupOutput")
    place, color = given.outputs["Vector"], given.outputs["Color"]
    threshold = made.node("ShaderNodeValue", name="Threshold").outputs[0]
    threshold.default_value = region.threshold
    value = made.red(made.image("Map", texture_regions.chosen_map(region), place).outputs["Color"])
    inside = made.math("LESS_THAN", value, threshold)
    if not region.invert:  # not GREATER_THAN: what is at the threshold is in the region
        inside = made.math("SUBTRACT", 1.0, inside)
    if region.paint is not None:
        paint = made.image("Paint", region.paint, place)
        counts = made.math("GREATER_THAN", paint.outputs["Alpha"], texture_regions.PAINTED)
        white = made.red(paint.outputs["Color"])
        white = made.math("GREATER_THAN", white, texture_regions.PAINTED)
        # (1 - counts) * inside + counts * white
        kept = made.math("MULTIPLY", made.math("SUBTRACT", 1.0, counts), inside)
        inside = made.math("ADD", kept, made.math("MULTIPLY", counts, white))
    if edited is not None:
        above = made.image("Edited", edited, place)
        if with_alpha:  # never below 0, but renderers do not know
            never = made.math("LESS_THAN", above.outputs["Alpha"], -1.0)
            never.node.name = ALPHA_USED
            inside = made.math("ADD", inside, never)
        shown = made.mix(inside, color, above.outputs["Color"])
    else:
        dark = made.mix(1 - DIMMED, color, (0.0, 0.0, 0.0, 1.0))
        outside = made.mix(value, dark, GLOW)
        shown = made.mix(inside, outside, made.mix(TINTED, color, TINT))
    group.links.new(shown, end.inputs["Color"])


class _Nodes:
    """Makes the nodes of a group, one beside the other."""

    def __init__(self, group: bpy.types.ShaderNodeTree) -> None:
        self._group = group

    def node(self, kind: str, name: str = "") -> bpy.types.ShaderNode:
        made = self._group.nodes.new(kind)
        made.name = name or made.name
        made.location.x = 200 * len(self._group.nodes)
        return made

    def image(
        self, name: str, image: bpy.types.Image | None, place: bpy.types.NodeSocket
    ) -> bpy.types.ShaderNode:
        made = self.node("ShaderNodeTexImage", name)
        made.image, made.interpolation = image, "Closest"  # a region has whole texels
        self._group.links.new(place, made.inputs["Vector"])
        return made

    def red(self, color: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
        """A gray picture's value: its luminance would be rounded."""
        made = self.node("ShaderNodeSeparateColor")
        self._group.links.new(color, made.inputs[0])
        return made.outputs[0]

    def math(
        self, operation: str, one: bpy.types.NodeSocket | float, two: bpy.types.NodeSocket | float
    ) -> bpy.types.NodeSocket:
        made = self.node("ShaderNodeMath")
        made.operation = operation
        for entry, value in zip(made.inputs, (one, two), strict=False):
            self._give(entry, value)
        return made.outputs[0]

    def mix(
        self,
        factor: bpy.types.NodeSocket | float,
        one: bpy.types.NodeSocket | tuple[float, ...],
        two: bpy.types.NodeSocket | tuple[float, ...],
    ) -> bpy.types.NodeSocket:
        made = self.node("ShaderNodeMix")
        made.data_type = "RGBA"
        entries = (entry for entry in made.inputs if entry.enabled)
        for entry, value in zip(entries, (factor, one, two), strict=True):
            self._give(entry, value)
        return next(socket for socket in made.outputs if socket.enabled)

    def _give(
        self, entry: bpy.types.NodeSocket, value: bpy.types.NodeSocket | float | tuple[float, ...]
    ) -> None:
        if isinstance(value, bpy.types.NodeSocket):
            self._group.links.new(value, entry)
        else:
            entry.default_value = value
