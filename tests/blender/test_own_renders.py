"""The artist's own renders stay exactly as they were when the add-on renders: the Render Result and
its slots, what handlers of other add-ons do, and what the compositor writes.
"""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import preview

RED, GREEN, BLUE = (0.8, 0.05, 0.05, 1), (0.05, 0.8, 0.05, 1), (0.05, 0.05, 0.8, 1)


def result() -> bpy.types.Image:
    """The artist's Render Result."""
    (image,) = [image for image in bpy.data.images if image.type == "RENDER_RESULT"]
    return image


def pixels_of(image: bpy.types.Image, scene: bpy.types.Scene, folder: Path) -> np.ndarray:
    path = folder / "saved.png"
    image.save_render(str(path), scene=scene)
    loaded = bpy.data.images.load(str(path))
    width, height = loaded.size
    values = np.array(loaded.pixels[:], np.float32).reshape(height, width, -1)[..., :3]
    bpy.data.images.remove(loaded)
    return values


def slot(number: int, scene: bpy.types.Scene, folder: Path) -> np.ndarray:
    shown = result().render_slots.active_index
    result().render_slots.active_index = number
    pixels = pixels_of(result(), scene, folder)
    result().render_slots.active_index = shown
    return pixels


def data_blocks() -> dict[str, list[tuple[str, int]]]:
    """Names and users of what renders could leave behind."""
    return {
        name: [(block.name, block.users) for block in getattr(bpy.data, name)]
        for name in ("scenes", "images", "node_groups", "cameras", "objects", "worlds")
    }


def compositor(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    """A compositor that passes the render on; its output node is called "out"."""
    if hasattr(scene, "compositing_node_group"):
        tree = bpy.data.node_groups.new("compositor", "CompositorNodeTree")
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        scene.compositing_node_group = tree
        out = tree.nodes.new("NodeGroupOutput")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        out = tree.nodes.new("CompositorNodeComposite")
    out.name = "out"
    layers = tree.nodes.new("CompositorNodeRLayers")
    layers.name = "layers"
    layers.scene = scene
    tree.links.new(layers.outputs["Image"], out.inputs[0])
    return tree


def flipped(scene: bpy.types.Scene) -> bpy.types.Node:
    """The node of a compositor that turns the render upside down."""
    tree = compositor(scene)
    node = tree.nodes.new("CompositorNodeFlip")
    tree.links.new(tree.nodes["layers"].outputs["Image"], node.inputs[0])
    tree.links.new(node.outputs[0], tree.nodes["out"].inputs[0])
    return node


def write_files(tree: bpy.types.NodeTree, folder: Path) -> bpy.types.Node:
    """A File Output node that writes what the layers give into a folder."""
    node = tree.nodes.new("CompositorNodeOutputFile")
    if hasattr(node, "base_path"):
        node.base_path = str(folder)
    else:
        node.directory, node.file_name = str(folder), "written"
        node.file_output_items.new("RGBA", "Image")
    tree.links.new(tree.nodes["layers"].outputs["Image"], node.inputs[0])
    return node


@pytest.fixture
def take(addon: SimpleNamespace, scene: bpy.types.Scene) -> Callable[[], np.ndarray]:
    """Renders the camera as a preview does; uint8 (H, W, 3)."""
    return lambda: addon.pictures.decode_png(addon.camera_render.capture(scene, 32))


@pytest.fixture(params=["stays", "moved on"])
def rendered(request: pytest.FixtureRequest, scene: bpy.types.Scene) -> bpy.types.Scene:
    """Red in slot 1, green in slot 2, and slot 2 or 1 is shown."""
    ball = bpy.data.objects["ball"]
    ball.color = RED
    bpy.ops.render.render()
    result().render_slots.active_index = 1
    ball.color = GREEN
    bpy.ops.render.render()
    if request.param == "moved on":
        result().render_slots.active_index = 0
    ball.color = BLUE
    return scene


def test_render_result_and_all_its_slots_stay(
    rendered: bpy.types.Scene, take: Callable[[], np.ndarray], tmp_path: Path
) -> None:
    before = [slot(number, rendered, tmp_path) for number in (0, 1)]
    assert before[0][24, 32].argmax() == 0
    assert before[1][24, 32].argmax() == 1
    blocks, shown = data_blocks(), result().render_slots.active_index
    for _ in range(2):
        assert take()[12, 16].argmax() == 2, "the preview shows what there is now"
        assert result().render_slots.active_index == shown
        for number in (0, 1):
            assert np.array_equal(slot(number, rendered, tmp_path), before[number])
    assert data_blocks() == blocks
    bpy.ops.render.render()  # a render after that goes where it always goes
    assert slot(shown, rendered, tmp_path)[24, 32].argmax() == 2
    assert np.array_equal(slot(1 - shown, rendered, tmp_path), before[1 - shown])


def test_a_file_that_was_never_rendered_gets_no_render_result(
    take: Callable[[], np.ndarray],
) -> None:
    blocks = data_blocks()
    take()
    assert data_blocks() == blocks


def broken(engine: bpy.types.RenderEngine, _: bpy.types.Depsgraph) -> None:
    engine.report({"ERROR"}, "no light today")


@pytest.fixture
def called() -> Iterator[list[str]]:
    """What handlers of another add-on were called for."""
    calls: list[str] = []
    added = []
    for name in (
        *("render_init", "render_pre", "render_post", "render_write", "render_complete"),
        *("render_cancel", "composite_pre", "composite_post", "frame_change_pre"),
    ):

        def handler(*_: object, name: str = name) -> None:
            calls.append(name)

        getattr(bpy.app.handlers, name).append(handler)
        added.append((name, handler))
    yield calls
    for name, handler in added:
        getattr(bpy.app.handlers, name).remove(handler)


def test_render_handlers_of_others_are_not_called_and_come_back(
    scene: bpy.types.Scene, take: Callable[[], np.ndarray], called: list[str], tmp_path: Path
) -> None:
    take()
    assert set(called) <= {"frame_change_pre"}
    called.clear()
    scene.render.filepath = str(tmp_path / "own.png")
    bpy.ops.render.render(write_still=True)
    assert {"render_init", "render_pre", "render_post", "render_write", "render_complete"} <= set(
        called
    )


def test_handlers_come_back_after_a_failure(
    addon: SimpleNamespace, scene: bpy.types.Scene, called: list[str]
) -> None:
    engine = type(
        "BrokenEngine",
        (bpy.types.RenderEngine,),
        {"bl_idname": "WYS_BROKEN", "bl_label": "Broken", "render": broken},
    )
    bpy.utils.register_class(engine)
    try:
        scene.render.engine = "WYS_BROKEN"
        blocks = data_blocks()
        with pytest.raises(addon.scene_error.SceneError, match="no light today"):
            addon.camera_render.render_png(scene, 16, 16)
        assert data_blocks() == blocks
    finally:
        scene.render.engine = "BLENDER_WORKBENCH"
        bpy.utils.unregister_class(engine)
    bpy.ops.render.render()
    assert "render_init" in called


def test_compositor_writes_nothing_and_its_picture_is_taken(
    scene: bpy.types.Scene, take: Callable[[], np.ndarray], tmp_path: Path
) -> None:
    """With a File Output node at the top and one in a group, and a Viewer."""
    plain = take()
    tree = compositor(scene)
    assert np.array_equal(take(), plain)
    write_files(tree, tmp_path / "files")
    invert = tree.nodes.new("CompositorNodeInvert")
    tree.links.new(tree.nodes["layers"].outputs["Image"], invert.inputs["Color"])
    tree.links.new(invert.outputs["Color"], tree.nodes["out"].inputs[0])
    viewer = tree.nodes.new("CompositorNodeViewer")
    tree.links.new(invert.outputs["Color"], viewer.inputs[0])
    bpy.ops.render.render()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert written, "the artist's own render writes files"
    blocks, nodes = data_blocks(), [node.name for node in tree.nodes]
    inverted = take()
    assert not np.array_equal(inverted, plain)
    now = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert now == written
    assert data_blocks() == blocks
    assert [node.name for node in tree.nodes] == nodes
    assert len(tree.links) == 4


def test_a_scene_that_the_compositor_shows_keeps_its_render(
    scene: bpy.types.Scene, take: Callable[[], np.ndarray], tmp_path: Path
) -> None:
    other = bpy.data.scenes.new("background")
    other.render.engine = "BLENDER_WORKBENCH"
    other.display.shading.color_type = "OBJECT"
    other.render.resolution_x, other.render.resolution_y = 64, 48
    block = bpy.data.objects.new("block", bpy.data.objects["ball"].data)
    block.color = GREEN
    other.collection.objects.link(block)
    other.collection.objects.link(scene.camera)
    other.camera = scene.camera
    bpy.ops.render.render(scene=other.name)
    before = pixels_of(result(), other, tmp_path)
    assert before[24, 32].argmax() == 1
    tree = compositor(scene)
    tree.nodes["layers"].scene = other
    block.color = BLUE
    blocks = data_blocks()
    assert take()[12, 16].argmax() == 2, "the picture is the other scene's, as it is now"
    assert np.array_equal(pixels_of(result(), other, tmp_path), before)
    assert data_blocks() == blocks
    assert tree.nodes["layers"].scene == other


def test_a_stamp_is_not_burnt_in(scene: bpy.types.Scene, take: Callable[[], np.ndarray]) -> None:
    plain = take()
    scene.render.use_stamp = scene.render.use_stamp_note = True
    scene.render.stamp_note_text = "of the artist"
    assert np.array_equal(take(), plain)


def test_preview_capture_and_texture_all_leave_it_alone(
    connected: SimpleNamespace, rendered: bpy.types.Scene, installed: str, tmp_path: Path
) -> None:
    before = [slot(number, rendered, tmp_path) for number in (0, 1)]
    preview(connected, rendered)
    scene_capture = importlib.import_module(f"{installed}.render.capture_views")
    plan = scene_capture.plan_around(rendered, bpy.context.view_layer, 3, 16)
    taken = scene_capture.take_view(rendered, plan, 0, "0" * 32)
    assert taken.depth is not None
    for number in (0, 1):
        assert np.array_equal(slot(number, rendered, tmp_path), before[number])


def test_the_active_camera_is_rendered_and_stays_whatever_markers_say(
    addon: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    """Blender takes a marker's in a render, and makes it the active one after that."""
    active, other = scene.camera, scene.camera.copy()
    scene.collection.objects.link(other)
    other.location.z = 30
    seen = addon.pictures.decode_png(addon.camera_render.capture(scene, 64))
    scene.timeline_markers.new("cut", frame=1).camera = other
    scene.timeline_markers.new("another", frame=9).camera = other
    scene.camera = active
    found = addon.camera_render.capture_with_things(scene, 64, "OBJECTS")
    assert np.array_equal(addon.pictures.decode_png(found.png), seen)
    assert scene.camera == active
    assert scene.timeline_markers[0].camera == other


def test_rigid_bodies_are_where_the_artist_sees_them(
    scene: bpy.types.Scene, take: Callable[[], np.ndarray], tmp_path: Path
) -> None:
    ball = bpy.data.objects["ball"]
    ball.location.z = 4
    bpy.ops.rigidbody.world_add()
    bpy.context.view_layer.objects.active = ball
    bpy.ops.rigidbody.object_add()
    for frame in range(1, 13):
        scene.frame_set(frame)
    fallen = ball.matrix_world.translation.z
    assert fallen < 3.9
    seen = take().astype(int)
    scene.render.resolution_x, scene.render.resolution_y = 32, 24
    scene.render.image_settings.color_mode = "RGB"
    bpy.ops.render.render()
    own = np.rint(pixels_of(result(), scene, tmp_path)[::-1] * 255)
    assert np.abs(own - seen).max() <= 1
    assert ball.matrix_world.translation.z == fallen
