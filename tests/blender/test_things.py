"""What thing the camera sees at each pixel, beside what engines draw of the same scene."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from mathutils import Matrix
from numpy.typing import NDArray
from test_own_renders import compositor

WIDTH, HEIGHT = 96, 72
CARS = ("car", "other car")


@pytest.fixture
def things(addon: SimpleNamespace, installed: str) -> ModuleType:
    """The module that tells things apart."""
    return importlib.import_module(f"{installed}.render.things")


@pytest.fixture
def empty(addon: SimpleNamespace) -> bpy.types.Scene:
    """A scene of a camera that looks along y from (0, -8, 2), 96 x 72 pixels, without objects."""
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.matrix_world = Matrix.Translation((0.0, -8.0, 2.0)) @ Matrix.Rotation(1.35, 4, "X")
    render = scene.render
    render.resolution_x, render.resolution_y = WIDTH, HEIGHT
    bare(scene)
    return scene


def bare(scene: bpy.types.Scene) -> None:
    """Let Workbench draw each object in its own flat colour, one sample a pixel."""
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.render_aa = "OFF"
    shading = scene.display.shading
    shading.light, shading.color_type = "FLAT", "OBJECT"
    shading.show_cavity = shading.show_shadows = shading.show_object_outline = False
    shading.show_specular_highlight = False
    scene.view_settings.view_transform = "Raw"
    scene.world = bpy.data.worlds.new("world")
    scene.world.color = (0, 0, 0)


def cube(name: str, place: tuple[float, float, float], size: float = 2.0) -> bpy.types.Object:
    """A cube in the scene."""
    bpy.ops.mesh.primitive_cube_add(size=size, location=place)
    thing = bpy.context.object
    thing.name = name
    return thing


def plane(name: str, size: float) -> bpy.types.Object:
    """The ground."""
    bpy.ops.mesh.primitive_plane_add(size=size)
    bpy.context.object.name = name
    return bpy.context.object


def captured(addon: SimpleNamespace, kind: str = "OBJECTS") -> SimpleNamespace:
    """What a preview takes of the scene: pixels (H, W, 3), labels, names."""
    found = addon.camera_render.capture_with_things(bpy.context.scene, 512, kind)
    rgb = addon.pictures.decode_png(found.png)
    return SimpleNamespace(rgb=rgb, labels=found.things, names=found.names, unknown=found.unknown)


def in_colours(addon: SimpleNamespace) -> SimpleNamespace:
    """The same with a colour for each object, and the labels that the colours say."""
    shown = [one for one in bpy.context.scene.objects if one.type != "CAMERA"]
    for number, thing in enumerate(shown):
        thing.color = ((number + 1) / 16, 0.5, 0.5, 1)
    found = captured(addon)
    index = np.rint(found.rgb[..., 0] / 255 * 16).astype(int)
    index[found.rgb[..., 1] == 0] = 0  # the world
    names = ["Background", *(one.name for one in shown)]
    found.drawn = np.array(names)[index]
    found.named = np.array(found.names)[found.labels]
    return found


def same(found: SimpleNamespace) -> float:
    """Share of the pixels at which the labels are what is drawn."""
    return float((found.drawn == found.named).mean())


def test_each_pixel_has_the_label_of_the_object_that_workbench_draws_there(
    addon: SimpleNamespace, empty: bpy.types.Scene
) -> None:
    plane("ground", 400)  # passes under the camera
    cube("near", (0, 0, 1))
    cube("far", (2, 4, 1.5))
    bpy.ops.mesh.primitive_uv_sphere_add(location=(-2.5, 1, 1))
    bpy.context.object.name = "ball"
    found = in_colours(addon)
    assert set(found.names) == {"Background", "ground", "near", "far", "ball"}
    assert found.labels.dtype == np.uint16
    assert found.labels.shape == (HEIGHT, WIDTH)
    assert same(found) > 0.998


@pytest.mark.parametrize(
    "change",
    [
        lambda scene: setattr(scene.camera.data, "type", "ORTHO"),
        lambda scene: (
            setattr(scene.camera.data, "shift_x", 0.2),
            setattr(scene.camera.data, "shift_y", -0.1),
        ),
        lambda scene: setattr(scene.render, "pixel_aspect_x", 2.0),
        lambda scene: setattr(scene.camera.data, "sensor_fit", "VERTICAL"),
        lambda scene: setattr(scene.camera.data, "clip_start", 8.0),
        lambda scene: setattr(scene.camera.data, "clip_end", 9.0),
        lambda scene: setattr(scene.render, "resolution_percentage", 50),
        lambda scene: setattr(scene.camera, "scale", (2, 2, 2)),
        lambda scene: scene.render.__setattr__("use_border", True),
    ],
    ids=["ortho", "shift", "aspect", "fit", "near", "far", "half", "scaled", "border"],
)
def test_labels_lie_on_the_picture_by_every_lens(
    addon: SimpleNamespace,
    empty: bpy.types.Scene,
    change: Callable[[bpy.types.Scene], object],
) -> None:
    plane("ground", 60)
    cube("near", (0, 0, 1)).rotation_euler = (0.3, 0.4, 0.5)
    cube("far", (2, 4, 1.5))
    change(empty)
    found = in_colours(addon)
    assert "near" in found.names
    assert same(found) > 0.995


def test_what_is_not_rendered_has_no_label(addon: SimpleNamespace, empty: bpy.types.Scene) -> None:
    plane("ground", 60)
    cube("hidden", (0, 0, 1)).hide_render = True
    cube("seen", (0, 3, 1)).hide_viewport = True  # of no account in a render
    found = captured(addon)
    assert set(found.names) == {"Background", "ground", "seen"}


def test_modifiers_texts_metaballs_and_instances_are_things_as_they_are_rendered(
    addon: SimpleNamespace, empty: bpy.types.Scene
) -> None:
    plane("ground", 60)
    block = cube("block", (0, 0, 1))
    array = block.modifiers.new("array", "ARRAY")
    array.count, array.show_viewport = 3, False  # in renders only
    array.relative_offset_displace = (0, 0, 1)
    bpy.ops.object.text_add(location=(-3, 0, 1), rotation=(1.5, 0, 0))
    bpy.ops.object.metaball_add(location=(3, 0, 1), radius=1)
    parts = bpy.data.collections.new("parts")
    wheel = bpy.data.objects.new("wheel", bpy.data.meshes["Cube"])

    parts.objects.link(wheel)
    for name, x in zip(CARS, (-5.0, 5.0), strict=True):
        car = bpy.data.objects.new(name, None)
        car.instance_type, car.instance_collection = "COLLECTION", parts
        car.location, car.color = (x, 4, 1), (0.75, 0.5, 0.5, 1)
        empty.collection.objects.link(car)
    found = captured(addon)
    wanted = {"block", "Text", "Mball", "wheel of car", "wheel of other car", "ground"}
    assert set(found.names) == wanted | {"Background"}
    blocks = found.labels == found.names.index("block")
    assert np.ptp(np.flatnonzero(blocks.any(axis=1))) > HEIGHT / 2  # all three
    wheels = np.isin(found.labels, [found.names.index(f"wheel of {car}") for car in CARS])
    drawn = np.abs(found.rgb[..., 0].astype(int) - 191) < 3
    assert wheels.sum() > 50
    assert (wheels == drawn).mean() > 0.998


def test_a_holdout_is_background(addon: SimpleNamespace, empty: bpy.types.Scene) -> None:
    empty.render.engine = "CYCLES"
    empty.cycles.samples, empty.cycles.use_denoising = 1, False
    plane("ground", 60)
    cube("hole", (0, 0, 1)).is_holdout = True
    cube("shadow", (3, 0, 1)).visible_camera = False
    found = captured(addon)
    assert set(found.names) == {"Background", "ground"}
    assert found.labels[HEIGHT // 2, WIDTH // 2] == 0
    empty.render.engine = "BLENDER_WORKBENCH"  # it knows neither
    found = in_colours(addon)
    assert set(found.names) == {"Background", "ground", "hole", "shadow"}
    assert same(found) > 0.995


def test_what_only_reflections_show_is_no_thing_of_cycles(
    addon: SimpleNamespace, empty: bpy.types.Scene
) -> None:
    plane("ground", 60)
    seen = cube("mirrored", (0, 0, 1))
    unseen = bpy.data.collections.new("unseen")
    empty.collection.children.link(unseen)
    empty.collection.objects.unlink(seen)
    unseen.objects.link(seen)
    part = bpy.context.view_layer.layer_collection.children["unseen"]
    empty.render.engine = "CYCLES"
    empty.cycles.samples, empty.cycles.use_denoising = 1, False
    part.indirect_only = True
    assert "mirrored" not in captured(addon).names
    part.indirect_only, part.holdout = False, True
    assert "mirrored" not in captured(addon).names
    part.holdout = False
    assert "mirrored" in captured(addon).names


def test_any_object_can_be_the_camera(addon: SimpleNamespace, empty: bpy.types.Scene) -> None:
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "SPOT"))
    lamp.matrix_world = empty.camera.matrix_world
    empty.collection.objects.link(lamp)
    plane("ground", 60)
    cube("near", (0, 0, 1))
    empty.camera = lamp
    found = in_colours(addon)
    assert "near" in found.names
    assert same(found) > 0.995


def test_hair_curves_and_points_are_seen(addon: SimpleNamespace, empty: bpy.types.Scene) -> None:
    curves = bpy.data.hair_curves.new("hair")
    curves.add_curves([2, 3])
    places = [(-1, 0, 0), (-1, 0, 3), (1, 0, 0), (1, 0, 2), (2, 0, 3)]
    curves.attributes["position"].data.foreach_set("vector", np.ravel(places))
    empty.collection.objects.link(bpy.data.objects.new("hair", curves))
    found = captured(addon)
    assert found.names == ("Background", "hair")
    assert found.labels.any(axis=1).sum() > HEIGHT / 4, "lines and no points"
    assert (found.labels > 0).mean() < 0.1


def test_cycles_sees_the_same_things(addon: SimpleNamespace, empty: bpy.types.Scene) -> None:
    empty.render.engine = "CYCLES"
    empty.cycles.samples, empty.cycles.use_denoising = 16, False
    empty.cycles.pixel_filter_type = "BOX"
    found = {}
    for number, (name, place) in enumerate((("red", (0, 0, 1)), ("green", (2, 3, 1)))):
        material = bpy.data.materials.new(name)
        material.use_nodes = True
        nodes = material.node_tree.nodes
        light = nodes.new("ShaderNodeEmission")
        light.inputs["Color"].default_value = (number == 0, number == 1, 0, 1)
        material.node_tree.links.new(light.outputs[0], nodes["Material Output"].inputs["Surface"])
        cube(name, place).data.materials.append(material)
    found = captured(addon, "MATERIALS")
    assert found.names[0] == "Background"
    for channel, name in enumerate(("red", "green")):
        shown = found.rgb[..., channel] > 127
        there = found.labels == found.names.index(name)
        assert shown.sum() > 100
        assert (shown & there).sum() / (shown | there).sum() > 0.97


def test_materials_islands_and_connected_faces(
    addon: SimpleNamespace, empty: bpy.types.Scene
) -> None:
    left, right = cube("left", (-2, 6, 1)), cube("right", (2, 6, 1))
    red = bpy.data.materials.new("red")
    left.data.materials.append(red)
    right.data.materials.append(red)
    right.data.materials.append(None)
    right.data.polygons[0].material_index = 1
    for thing in (left, right):
        thing.select_set(True)
    bpy.context.view_layer.objects.active = left
    bpy.ops.object.join()
    assert captured(addon).names == ("Background", "left")
    assert set(captured(addon, "MATERIALS").names) <= {"Background", "red", "Without material"}
    parts = captured(addon, "FACES")
    assert set(parts.names) == {"Background", "left, part 1", "left, part 2"}
    rows = np.flatnonzero(parts.labels.any(axis=1))
    middle = parts.labels[rows[len(rows) // 2]]
    seen = middle[np.insert(np.diff(middle.astype(int)) != 0, 0, True)]
    assert [parts.names[label] for label in seen] == [
        *("Background", "left, part 1", "Background", "left, part 2", "Background")
    ]
    mesh = bpy.data.objects["left"].data
    mesh.uv_layers.active.uv.foreach_set(
        "vector", np.random.default_rng(0).random(2 * len(mesh.loops))
    )  # each face an island of its own
    islands = captured(addon, "ISLANDS")
    assert len(islands.names) > 4
    assert all(name.startswith("left, island ") for name in islands.names[1:])


def test_faces_that_a_file_has_split_hang_together(
    addon: SimpleNamespace, empty: bpy.types.Scene, tmp_path: Path
) -> None:
    body = cube("body", (0, 0, 1))
    bpy.ops.mesh.primitive_uv_sphere_add(location=(0, 0, 2.6), radius=0.6)
    body.select_set(True)
    bpy.context.view_layer.objects.active = body
    bpy.ops.object.join()
    own = {kind: captured(addon, kind) for kind in ("FACES", "ISLANDS")}
    file = str(tmp_path / "two.glb")
    bpy.ops.export_scene.gltf(filepath=file, use_selection=True)
    bpy.ops.object.delete()
    bpy.ops.import_scene.gltf(filepath=file)
    assert len(bpy.context.object.data.vertices) > 4 * 100, "each face has vertices of its own"
    for kind, before in own.items():
        found = captured(addon, kind)
        assert len(found.names) == len(before.names) == 3
        for label in range(3):  # glTF orders the faces anew
            assert (found.labels == label).sum() == (before.labels == label).sum()


def test_of_several_view_layers_those_count_that_are_in_the_picture(
    addon: SimpleNamespace, empty: bpy.types.Scene
) -> None:
    first, second = empty.view_layers[0], empty.view_layers.new("a second")
    for layer, x in ((first, -2), (second, 2)):
        collection = bpy.data.collections.new(f"only {layer.name}")
        empty.collection.children.link(collection)
        thing = cube(layer.name, (x, 6, 1))
        thing.users_collection[0].objects.unlink(thing)
        collection.objects.link(thing)
        for other in (first, second):
            if other is not layer:
                other.layer_collection.children[collection.name].exclude = True
    assert captured(addon).names == ("Background", first.name)
    first.use = False
    assert captured(addon).names == ("Background", "a second")
    first.use = True
    tree = compositor(empty)
    tree.nodes["layers"].layer = "a second"
    assert captured(addon).names == ("Background", "a second")


def test_what_most_of_the_light_comes_through_is_looked_through(
    addon: SimpleNamespace, empty: bpy.types.Scene
) -> None:
    cube("ball", (0, 2, 1))
    pane = cube("pane", (0, 0, 1), 3)
    made = bpy.data.materials.new("pane")
    made.use_nodes = True
    pane.data.materials.append(made)
    nodes, links = made.node_tree.nodes, made.node_tree.links
    surface, end = nodes["Principled BSDF"], nodes["Material Output"]
    clear, mix = nodes.new("ShaderNodeBsdfTransparent"), nodes.new("ShaderNodeMixShader")
    links.new(surface.outputs[0], mix.inputs[1])
    links.new(clear.outputs[0], mix.inputs[2])

    def seen(engine: str) -> bool:
        empty.render.engine = engine
        return "ball" in captured(addon).names

    empty.cycles.samples = 1
    assert not seen("CYCLES")
    surface.inputs["Alpha"].default_value = 0.2
    assert seen("CYCLES")
    surface.inputs["Alpha"].default_value = 1.0
    links.new(mix.outputs[0], end.inputs["Surface"])
    for share, through in ((0.3, False), (0.7, True)):
        mix.inputs[0].default_value = share
        assert seen("CYCLES") == through
    path = nodes.new("ShaderNodeLightPath")
    links.new(path.outputs["Is Camera Ray"], mix.inputs[0])
    assert seen("CYCLES")
    links.new(path.outputs["Is Shadow Ray"], mix.inputs[0])
    assert not seen("CYCLES")
    shading = empty.display.shading
    assert not seen("BLENDER_WORKBENCH")
    pane.color[3] = 0.1
    assert seen("BLENDER_WORKBENCH")
    shading.color_type = "MATERIAL"
    assert not seen("BLENDER_WORKBENCH")
    made.diffuse_color[3] = 0.1
    assert seen("BLENDER_WORKBENCH")


def test_thousands_of_objects_take_little_time(
    addon: SimpleNamespace, empty: bpy.types.Scene, things: ModuleType, installed: str
) -> None:
    cube("0", (0, 0, 0), 0.1)
    mesh = bpy.context.object.data
    for number in range(1, 3000):
        thing = bpy.data.objects.new(str(number), mesh if number % 2 else mesh.copy())
        thing.location = ((number % 60) / 8 - 3.7, number // 60 / 4, 0)
        empty.collection.objects.link(thing)
    with importlib.import_module(f"{installed}.render.stand_in").stand_in(empty) as copy:
        began = time.process_time()
        found = things.label_image(copy, 256, 256, "OBJECTS", {})
        spent = time.process_time() - began
    assert len(np.unique(found)) > 2000
    assert spent < 4.0  # 1 s by itself; one by one they took 6


def test_a_panorama_says_why_its_things_are_not_known(
    addon: SimpleNamespace, empty: bpy.types.Scene
) -> None:
    cube("seen", (0, 0, 1))
    empty.camera.data.type = "PANO"
    found = captured(addon)
    assert found.labels is None
    assert "panoramic" in found.unknown


def test_labels_are_shared_by_the_pictures_of_several_cameras(
    addon: SimpleNamespace, empty: bpy.types.Scene, things: ModuleType, installed: str
) -> None:
    stand_in = importlib.import_module(f"{installed}.render.stand_in").stand_in
    cube("left", (-2, 0, 1))
    cube("right", (2, 0, 1))
    numbers: dict[str, int] = {}
    found = []
    for hidden in ("left", "none", "right"):
        for thing in bpy.context.scene.objects:
            thing.hide_render = thing.name == hidden
        with stand_in(empty) as copy:
            found.append(things.label_image(copy, 64, 48, "OBJECTS", numbers))
    assert numbers == {"right": 1, "left": 2}
    assert [np.unique(one).tolist() for one in found] == [[0, 1], [0, 1, 2], [0, 2]]


def test_telling_things_apart_changes_nothing_in_the_file(
    addon: SimpleNamespace, empty: bpy.types.Scene
) -> None:
    cube("block", (0, 0, 1))
    state = addon.freshness.state_of(empty)
    before = {name: len(getattr(bpy.data, name)) for name in ("scenes", "objects", "meshes")}
    captured(addon, "FACES")
    assert addon.freshness.state_of(empty) == state
    assert {name: len(getattr(bpy.data, name)) for name in before} == before
    assert empty.render.engine == "BLENDER_WORKBENCH"
    assert not hasattr(bpy.types, "WATCH_YOUR_STEPS_THINGS")


def islands_of(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.meshes.islands")


def test_connected_parts_are_those_of_a_plain_search(installed: str) -> None:
    connected = islands_of(installed).connected
    random = np.random.default_rng(3)
    corners = random.integers(0, 400, (150, 3))
    part = connected(corners)

    def plain() -> NDArray[np.int64]:
        found = np.full(len(corners), -1)
        for start in range(len(corners)):
            if found[start] < 0:
                number, todo = found.max() + 1, [start]
                while todo:
                    one = todo.pop()
                    if found[one] < 0:
                        found[one] = number
                        todo += np.flatnonzero(np.isin(corners, corners[one]).any(1)).tolist()
        return found

    assert part.tolist() == plain().tolist()
    chain = np.stack([np.arange(5000), np.arange(5000) + 1, np.arange(5000) + 2], axis=1)
    assert (connected(np.random.default_rng(0).permutation(chain)) == 0).all()
