"""An edit in the scene's compositor: its pixels, the artist's links, and renders without it."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import preview
from test_edit_pixels import bytes_of, loaded
from test_own_renders import compositor
from test_result_size import (
    TIMES,
    at_size,
    edit,
    far_from,
    here,
    large,  # noqa: F401  # a fixture
    refusal_of,
    sizes,  # noqa: F401  # another one
)

OPS = bpy.ops.watch_your_steps
IS_5 = "compositing_node_group" in bpy.types.Scene.bl_rna.properties


def tree_of(scene: bpy.types.Scene) -> bpy.types.NodeTree:
    tree: bpy.types.NodeTree = scene.compositing_node_group if IS_5 else scene.node_tree
    return tree


def edit_nodes(tree: bpy.types.NodeTree) -> list[bpy.types.Node]:
    return [
        node
        for node in tree.nodes
        if getattr(node, "node_tree", None) is not None and node.node_tree.get("watch_your_steps")
    ]


def rendered(scene: bpy.types.Scene, folder: Path) -> np.ndarray:
    """What F12 writes."""
    file = scene.render.image_settings
    if hasattr(file, "media_type"):
        file.media_type = "IMAGE"
    file.file_format, file.color_mode = "PNG", "RGBA" if scene.render.film_transparent else "RGB"
    scene.render.filepath = str(folder / "rendered.png")
    bpy.ops.render.render(write_still=True)
    pixels = loaded(folder / "rendered.png")
    return pixels if scene.render.film_transparent else pixels[..., :3]


@pytest.mark.parametrize(
    ("view_transform", "exposure", "gamma"),
    [("Standard", 0.0, 1.0), ("AgX", 0.0, 1.0), ("AgX", 0.7, 1.3), ("Filmic", -0.5, 1.0)],
)
def test_a_cycles_render_shows_the_edit_inside_its_matte(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    tmp_path: Path,
    view_transform: str,
    exposure: float,
    gamma: float,
) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 4, False
    light = bpy.data.objects.new("light", bpy.data.lights.new("light", "SUN"))
    scene.collection.objects.link(light)
    light.data.energy, light.location = 2, (0, 0, 9)
    for name, colour in (("ball", (0.8, 0.05, 0.05, 1)), ("ground", (0.1, 0.6, 0.1, 1))):
        material = bpy.data.materials.new(name)
        material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = colour
        bpy.data.objects[name].data.materials.append(material)
    view = scene.view_settings
    view.view_transform, view.exposure, view.gamma = view_transform, exposure, gamma
    scene.render.resolution_x, scene.render.resolution_y = 64 * TIMES, 48 * TIMES
    here().max_side = 64
    preview(connected, scene)
    relevance = connected.pictures.read_gray(here().relevance_image)
    here().threshold = (relevance.min() + relevance.max()) / 2
    mask = connected.results.mask(scene).copy()
    edit(connected)
    before = rendered(scene, tmp_path)
    assert OPS.composite_result() == {"FINISHED"}
    after = rendered(scene, tmp_path)
    away, deep = far_from(at_size(mask), TIMES), far_from(at_size(~mask), 2 * TIMES)
    assert away.sum() > 1000
    assert deep.sum() > 1000
    assert np.array_equal(after[away], before[away])
    small = bytes_of(here().edit_image)[..., :3]
    wanted = np.kron(small, np.ones((TIMES, TIMES, 1), np.uint8))[deep].astype(int)
    assert np.abs(after[deep] - wanted).mean() < 8, "but for the noise that is enlarged smoothly"
    assert abs((after[deep] - wanted).mean()) < 1.0
    OPS.save_result(filepath=str(tmp_path / "result.png"))
    result = loaded(tmp_path / "result.png")[..., :3]
    assert np.array_equal(result[away], after[away])
    different = np.abs(after.astype(int) - result)
    assert different[deep].mean() < 0.6, "the same as the saved result"
    assert different.mean() < 1.5, "but the outline mixes light before the view, not after it"
    assert connected.panel.changed_since(scene) == [], "the edit is no change of the scene"


def test_alpha_stays_the_renders_own(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    scene.view_settings.view_transform = "Standard"
    scene.render.film_transparent = True
    bpy.data.objects.remove(bpy.data.objects["ground"])
    scene.render.resolution_x, scene.render.resolution_y = 64 * TIMES, 48 * TIMES
    here().max_side = 64
    preview(connected, scene)
    edit(connected, threshold=0.02)
    before = rendered(scene, tmp_path)
    OPS.composite_result()
    after = rendered(scene, tmp_path)
    assert np.abs(after[..., 3].astype(int) - before[..., 3]).max() <= 1
    assert ((before[..., 3] > 0) & (before[..., 3] < 255)).any()
    OPS.save_result(filepath=str(tmp_path / "result.png"))
    result = connected.pictures.decode_png((tmp_path / "result.png").read_bytes())
    seen = before[..., 3] > 250
    assert np.abs(after[seen].astype(int) - result[seen]).mean() < 1


def test_pressing_again_keeps_the_artists_links(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    tree = compositor(scene)
    blur = tree.nodes.new("CompositorNodeBlur")
    blur.name = "blur"
    tree.links.new(tree.nodes["layers"].outputs["Image"], blur.inputs["Image"])
    tree.links.new(blur.outputs["Image"], tree.nodes["out"].inputs[0])
    OPS.composite_result()
    tree = tree_of(scene)
    (node,) = edit_nodes(tree)
    assert node.inputs["Image"].links[0].from_node.name == "blur", "what was there is laid over"
    assert tree.nodes["out"].inputs[0].links[0].from_node == node
    blend = tree.nodes.new("ShaderNodeMix")
    blend.data_type, blend.name = "RGBA", "blend"
    tree.links.new(node.outputs["Matte"], blend.inputs[0])
    tree.links.new(node.outputs["Edit"], blend.inputs[7])
    tree.links.new(node.outputs["Image"], blend.inputs[6])
    tree.links.new(blend.outputs[2], tree.nodes["out"].inputs[0])
    node.inputs["Mix"].default_value = 0.5
    links = ends(tree)
    group, layer = node.node_tree, node.node_tree.nodes["layer"].image
    layer_name = layer.name
    edit(large, threshold=0.05)
    rendered(scene, tmp_path)
    OPS.composite_result()
    assert ends(tree) == links
    assert node.node_tree == group
    assert node.inputs["Mix"].default_value == 0.5
    assert group.nodes["layer"].image.name != layer_name
    assert layer_name not in bpy.data.images, "nothing else used it"
    assert len([one for one in bpy.data.node_groups if one.get("watch_your_steps")]) == 1
    here().edit_index = 1
    OPS.delete_edit()
    rendered(scene, tmp_path)
    assert group.nodes["layer"].image is not None, "the compositor goes on without its entry"


def ends(tree: bpy.types.NodeTree) -> set[tuple[str, str, str, str]]:
    return {
        (
            link.from_node.name,
            link.from_socket.identifier,
            link.to_node.name,
            link.to_socket.identifier,
        )
        for link in tree.links
    }


def test_mix_takes_the_edit_away(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    before = rendered(scene, tmp_path)
    OPS.composite_result()
    (node,) = edit_nodes(tree_of(scene))
    assert (rendered(scene, tmp_path) != before).any()
    node.inputs["Mix"].default_value = 0
    assert np.array_equal(rendered(scene, tmp_path), before)


@pytest.mark.parametrize("own", [False, True])
def test_the_next_preview_renders_without_the_edit(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    tmp_path: Path,
    own: bool,
) -> None:
    if own:
        tree = compositor(scene)
        invert = tree.nodes.new("CompositorNodeInvert")
        invert.name = "invert"
        tree.links.new(tree.nodes["layers"].outputs["Image"], invert.inputs["Color"])
        tree.links.new(invert.outputs[0], tree.nodes["out"].inputs[0])
        preview(large, scene)
        edit(large)
    render = bytes_of(here().render_image).copy()
    assert large.panel.changed_since(scene) == []
    OPS.composite_result()
    bpy.context.view_layer.update()
    assert (rendered(scene, tmp_path)[..., 0] != 0).any()
    large.freshness.forget_all()
    assert large.panel.changed_since(scene) == []
    assert "But" not in large.session.message_of(scene)
    preview(large, scene)
    assert np.array_equal(bytes_of(here().render_image), render)
    labels = importlib.import_module("bl_ext.user_default.watch_your_steps.data.thing_labels")
    assert labels.labels(here().render_image) is not None, "nothing moves the picture"
    if own:
        tree_of(scene).nodes["invert"].mute = True
        large.freshness.forget_all()
        assert large.panel.changed_since(scene) == ["render settings"]


def test_another_render_size_still_fits(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    OPS.composite_result()
    full = rendered(scene, tmp_path)
    scene.render.resolution_percentage = 50
    half = rendered(scene, tmp_path)
    assert half.shape[0] * 2 == full.shape[0]
    smaller = full.reshape(96, 2, 128, 2, -1).mean(axis=(1, 3))
    assert np.abs(smaller[..., :3] - half[..., :3]).mean() < 6


def test_a_copy_of_the_scene_has_a_group_of_its_own(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    OPS.composite_result()
    (node,) = edit_nodes(tree_of(scene))
    layer = node.node_tree.nodes["layer"].image
    copy = scene.copy()
    bpy.context.window.scene = copy
    large.session.drain()
    edit(large, threshold=0.05)
    OPS.composite_result()
    (own,) = edit_nodes(tree_of(copy))
    (node,) = edit_nodes(tree_of(scene))
    assert own.node_tree != node.node_tree
    assert node.node_tree.nodes["layer"].image == layer
    assert own.node_tree.nodes["layer"].image != layer
    assert own.outputs["Image"].links
    bpy.context.window.scene = scene
    bpy.data.scenes.remove(copy)
    rendered(scene, tmp_path)


def test_undo_and_reopening(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    bpy.ops.ed.undo_push(message="before")
    OPS.composite_result()
    bpy.ops.ed.undo_push(message="composited")
    after = rendered(bpy.context.scene, tmp_path)
    bpy.ops.ed.undo()
    assert not [one for one in bpy.data.node_groups if one.get("watch_your_steps")]
    bpy.ops.ed.redo()
    assert np.array_equal(rendered(bpy.context.scene, tmp_path), after)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert np.array_equal(rendered(bpy.context.scene, tmp_path), after)


def test_what_is_said(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
) -> None:
    scene.render.use_compositing = False
    scene.camera.location.x += 1
    bpy.context.view_layer.update()
    OPS.composite_result()
    said = large.session.message_of(scene)
    assert "Compositing is off" in said
    assert "But: The camera" in said
    assert here().edits[0].full is None, "nothing was rendered"


def test_a_deleted_picture_leaves_the_compositor_alone(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
) -> None:
    bpy.data.images.remove(here().edits[0].render)
    assert "render that this edit was made of was deleted" in refusal_of("composite_result")
    assert not bpy.data.node_groups
    assert (tree_of(scene) is None) or not scene.use_nodes


@pytest.fixture
def group(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.edit_group")


def test_a_socket_that_was_deleted_comes_back(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    group: ModuleType,
) -> None:
    OPS.composite_result()
    (node,) = edit_nodes(tree_of(scene))
    interface = node.node_tree.interface
    interface.remove(interface.items_tree["Matte"])
    OPS.composite_result()
    assert "Matte" in node.outputs
    assert group.is_edit_group(node.node_tree)
