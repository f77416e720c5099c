"""A copy of a scene to render in its place, so that nothing of the artist's own renders changes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import bpy

from ..data.changing import changed
from ..data.edit_group import is_edit_group, leave_out

NAME = " watch your steps"
"""Of what is there for a render only. Begins with a space, which sorts it first: Blender renders
into the first image of the kind.
"""
HANDLERS = (
    "render_init",
    "render_pre",
    "render_post",
    "render_write",
    "render_stats",
    "render_complete",
    "render_cancel",
    "composite_pre",
    "composite_post",
    "composite_cancel",
)
WRITING_NODES = {"OUTPUT_FILE", "VIEWER", "SPLITVIEWER"}
"""Types of compositor nodes that write files, or images of the artist's."""


@contextmanager
def stand_in(scene: bpy.types.Scene) -> Iterator[bpy.types.Scene]:
    """A copy of a scene for the time of the block, which renders what its active camera sees;
    whatever is set on it is gone with it. `render_result` is where its renders are.

    The artist's Render Result with all its slots, the Viewer image, the render handlers of other
    add-ons and the compositor's File Output nodes have no part in its renders. Handlers of frame
    changes do run: they make what is rendered.
    """
    with ExitStack() as stack:
        _keep_images(stack)
        for name in HANDLERS:
            handlers = getattr(bpy.app.handlers, name)
            stack.callback(handlers.extend, list(handlers))
            handlers.clear()
        _keep_cameras(stack, scene)
        copy = _copied(stack, scene)
        for marker in copy.timeline_markers:  # else Blender may render another than the active one
            marker.camera = None
        copy.camera = scene.camera  # which is another one where some markers are left
        _keep_compositor_outputs(stack, scene, copy)
        _simulate(copy)
        yield copy


def render_result() -> bpy.types.Image:
    """The image that was rendered last within a `stand_in` block."""
    return _images_of("RENDER_RESULT")[0]


def _images_of(kind: str) -> list[bpy.types.Image]:
    return [image for image in bpy.data.images if image.type == kind]


def _keep_images(stack: ExitStack) -> None:
    """Let renders go into other images than the artist's Render Result and Viewer. Another slot of
    the Render Result would not do: Blender moves the slots' renders about when a new one begins.
    """
    for kind in ("RENDER_RESULT", "COMPOSITING"):
        artists = _images_of(kind)
        if artists:
            artists[0].copy().name = NAME
        stack.callback(_remove_images, kind, artists)


def _remove_images(kind: str, kept: list[bpy.types.Image]) -> None:
    for image in _images_of(kind):
        if image not in kept:
            bpy.data.images.remove(image)


def _keep_cameras(stack: ExitStack, scene: bpy.types.Scene) -> None:
    """Let the active cameras stay: after a render Blender takes those that markers say."""
    for one in {scene, bpy.context.scene}:
        if one is not None and one.is_editable:
            stack.enter_context(changed(one, camera=one.camera))


def _copied(stack: ExitStack, scene: bpy.types.Scene) -> bpy.types.Scene:
    copy = scene.copy()
    stack.callback(bpy.data.scenes.remove, copy)
    stack.callback(_free_render, copy)
    copy.name, copy.is_runtime_data = NAME, True  # in no file that is saved meanwhile
    if "watch_your_steps" in copy.bl_rna.properties:  # not in scripts, which register nothing
        copy.property_unset("watch_your_steps")
    render = copy.render
    render.use_persistent_data = False  # it would stay in memory without its scene
    render.use_stamp = False  # burnt into written files only: it is not in the render
    return copy


def _simulate(copy: bpy.types.Scene) -> None:
    """Let rigid bodies move to where they are at the present frame: a copied cache is not used, and
    without it they would stand where they began.
    """
    world = copy.rigidbody_world
    if world is None or not world.enabled or not world.collection:
        return
    present, subframe = copy.frame_current, copy.frame_subframe
    for frame in range(world.point_cache.frame_start, present + 1):
        copy.frame_set(frame)
        copy.view_layers[0].update()
    copy.frame_set(present, subframe=subframe)


def compositor_of(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """The tree of the scene's compositor, None where it has none or does not use it."""
    if not scene.render.use_compositing:
        return None
    if hasattr(scene, "compositing_node_group"):  # Blender 5
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def _keep_compositor_outputs(
    stack: ExitStack, scene: bpy.types.Scene, copy: bpy.types.Scene
) -> None:
    """Give the copy a compositor of its own that writes nothing, lays no edits over the render, and
    reads no scene of the artist's, which would be rendered anew.
    """
    tree = compositor_of(copy)
    if tree is None:
        return
    if not tree.is_embedded_data:
        tree = copy.compositing_node_group = _own_group(stack, tree)
    scenes = {scene: copy, copy: copy}
    _mend(stack, tree, scenes, {})


def _own_group(stack: ExitStack, group: bpy.types.NodeTree) -> bpy.types.NodeTree:
    own = group.copy()
    own.is_runtime_data = True
    stack.callback(bpy.data.node_groups.remove, own)
    return own


def _mend(
    stack: ExitStack,
    tree: bpy.types.NodeTree,
    scenes: dict[bpy.types.Scene, bpy.types.Scene],
    groups: dict[bpy.types.NodeTree, bpy.types.NodeTree],
) -> None:
    for node in list(tree.nodes):
        if node.type in WRITING_NODES:
            tree.nodes.remove(node)
            continue
        group = getattr(node, "node_tree", None)
        if group is not None:
            if group not in groups:
                groups[group] = _own_group(stack, group)
                if is_edit_group(group):
                    leave_out(groups[group])
                _mend(stack, groups[group], scenes, groups)
            node.node_tree = groups[group]
        seen = getattr(node, "scene", None)
        if seen is not None:
            layer = getattr(node, "layer", None)
            if seen not in scenes:
                scenes[seen] = _copied(stack, seen)
            node.scene = scenes[seen]
            if layer is not None:
                node.layer = layer


def _free_render(scene: bpy.types.Scene) -> None:
    """Blender 5 keeps a scene's last render when the scene goes, until another file is opened: so
    let it be next to nothing, an empty compositor's.
    """
    render = scene.render
    render.resolution_x = render.resolution_y = 4
    render.resolution_percentage = 100
    render.use_compositing, render.use_sequencer = True, False
    if hasattr(scene, "compositing_node_group"):
        tree = bpy.data.node_groups.new(NAME, "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        tree.nodes.new("NodeGroupOutput")
        scene.compositing_node_group = tree
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        tree.nodes.new("CompositorNodeComposite")
    try:
        bpy.ops.render.render(scene=scene.name)
    finally:
        if not tree.is_embedded_data:
            bpy.data.node_groups.remove(tree)
