"""Make Texture: any mesh gets an image as its base color, looks as before, and can be edited."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, reopen
from fake_server import FakeServer
from test_flows import refusal, submits
from test_material_images import Tree, group_ends, material
from test_mesh_views import noise, painted

OPS = bpy.ops.watch_your_steps
BAKE_SECONDS = 120.0
LOOK = 2 / 255
SIZE = 96
CAMERAS = ((4, -3, 2.5), (-3, 4, -2))


@pytest.fixture
def making(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.jobs.texture_making")


@pytest.fixture
def cube(scene: bpy.types.Scene) -> bpy.types.Object:
    """The active object, beside the scene's other things: without UV map and material."""
    return new_cube()


def new_cube(place: float = 50.0) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=1.6, location=(place, 0, 0))
    thing = bpy.context.object
    thing.name = "box"
    while thing.data.uv_layers:
        thing.data.uv_layers.remove(thing.data.uv_layers[0])
    bpy.context.scene.watch_your_steps.texture.make_size = "512"
    return thing


def new_monkey() -> bpy.types.Object:
    bpy.ops.mesh.primitive_monkey_add(size=1.6, location=(50, 0, 0))
    bpy.context.scene.watch_your_steps.texture.make_size = "1024"
    return bpy.context.object


def wait(addon: SimpleNamespace, making: ModuleType) -> None:
    def ended() -> bool:
        making.look()
        return making.makings.now is None

    addon.session.wait(ended, BAKE_SECONDS)


def make(addon: SimpleNamespace, making: ModuleType) -> bpy.types.Image:
    """The whole of it, for the active object; the image that it is coloured by then."""
    assert OPS.make_texture() == {"FINISHED"}
    wait(addon, making)
    assert addon.session.message_of(bpy.context.scene) == ""
    thing = bpy.context.object
    (image,) = addon.mesh_reading.colour_images(thing, "CYCLES")
    return image


def looks(thing: bpy.types.Object, tmp_path: Path) -> np.ndarray:
    """float (2, N, N, 4), 0..1: the object alone, in light, from two sides."""
    other = bpy.data.scenes.new("looks")
    world = other.world = bpy.data.worlds.new("looks")
    world.color = (1, 1, 1)
    other.collection.objects.link(thing)
    camera = bpy.data.objects.new("looks", bpy.data.cameras.new("looks"))
    other.collection.objects.link(camera)
    other.camera, other.render.engine, other.cycles.samples = camera, "CYCLES", 16
    other.cycles.use_denoising = False
    other.render.film_transparent = True
    other.render.resolution_x = other.render.resolution_y = SIZE
    other.view_settings.view_transform = "Standard"
    pictures = []
    for place in CAMERAS:
        camera.location = thing.location + type(thing.location)(place)
        aim = thing.location - camera.location
        camera.rotation_euler = aim.to_track_quat("-Z", "Y").to_euler()
        other.render.filepath = str(tmp_path / "look.png")
        bpy.ops.render.render(write_still=True, scene=other.name)
        image = bpy.data.images.load(other.render.filepath)
        pictures.append(np.array(image.pixels[:], np.float32).reshape(SIZE, SIZE, 4))
        bpy.data.images.remove(image)
    for block, home in (
        (other, bpy.data.scenes),
        (camera.data, bpy.data.cameras),
        (world, bpy.data.worlds),
    ):
        home.remove(block)
    return np.stack(pictures)


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """Mean difference of colours where the object is seen."""
    seen = (first[..., 3] > 0.99) & (second[..., 3] > 0.99)
    assert seen.mean() > 0.05
    return float(np.abs(first - second)[seen][:, :3].mean())


# ---------------------------------------------------------------- the look stays


def plain(thing: bpy.types.Object) -> None:
    material(thing).bsdf.inputs["Base Color"].default_value = (0.7, 0.2, 0.05, 1)


def no_material(thing: bpy.types.Object) -> None:
    pass


def procedural(thing: bpy.types.Object) -> None:
    t = material(thing)
    t.colour(pattern(t))


def pattern(t: Tree, scale: float = 2.0) -> bpy.types.NodeSocket:
    """Colours by generated coordinates."""
    waves = t.new("ShaderNodeTexNoise")
    waves.inputs["Scale"].default_value = scale
    t.link(t.new("ShaderNodeTexCoord").outputs["Generated"], waves.inputs["Vector"])
    return waves.outputs["Color"]


def object_coordinates(thing: bpy.types.Object) -> None:
    t = material(thing)
    by_object = t.new("ShaderNodeTexCoord")
    by_object.object = bpy.data.objects.new("beside", None)
    by_object.object.location = (50.3, 0.2, 0.1)
    bpy.context.scene.collection.objects.link(by_object.object)
    t.link(by_object.outputs["Object"], (waves := t.new("ShaderNodeTexGradient")).inputs[0])
    t.colour(waves)


def vertex_colours(thing: bpy.types.Object) -> None:
    layer = thing.data.color_attributes.new("paint", "FLOAT_COLOR", "CORNER")
    colours = np.random.default_rng(0).random((len(thing.data.loops), 4)).astype(np.float32)
    layer.data.foreach_set("color", colours.ravel())
    t = material(thing)
    t.colour(t.new("ShaderNodeVertexColor", layer_name="paint"))


def two_materials(thing: bpy.types.Object) -> None:
    plain(thing)
    other = material(thing, "other")
    other.colour(pattern(other))
    for face in thing.data.polygons:
        face.material_index = face.index % 2


def group(thing: bpy.types.Object) -> None:
    """A shader in a group, whose colour comes from outside of it."""
    t = material(thing)
    tree = bpy.data.node_groups.new("shading", "ShaderNodeTree")
    tree.interface.new_socket("In", in_out="INPUT", socket_type="NodeSocketColor")
    tree.interface.new_socket("Out", in_out="OUTPUT", socket_type="NodeSocketShader")
    inner = Tree(tree)
    inner.new("NodeGroupInput"), inner.new("NodeGroupOutput")
    begin, end = group_ends(inner)
    shader = inner.new("ShaderNodeBsdfDiffuse")
    inner.link(begin.outputs[0], shader.inputs["Color"])
    inner.link(shader, end.inputs[0])
    node = t.new("ShaderNodeGroup", node_tree=tree)
    t.link(pattern(t), node.inputs[0])
    t.link(node, t.output.inputs["Surface"])


def layered(thing: bpy.types.Object) -> None:
    """Gloss over one of two diffuse shaders, which are mixed by a pattern; partly see-through."""
    t = material(thing)
    red, green = (t.new("ShaderNodeBsdfDiffuse") for _ in range(2))
    red.inputs[0].default_value, green.inputs[0].default_value = (0.8, 0, 0, 1), (0, 0.5, 0.1, 1)
    both, glossed, thin = (t.new("ShaderNodeMixShader") for _ in range(3))
    t.link(pattern(t), both.inputs[0])
    t.link(red, both.inputs[1]), t.link(green, both.inputs[2])
    t.link(both, glossed.inputs[1]), t.link(t.new("ShaderNodeBsdfGlossy"), glossed.inputs[2])
    glossed.inputs[0].default_value = 0.1
    t.link(glossed, thin.inputs[2]), t.link(t.new("ShaderNodeBsdfTransparent"), thin.inputs[1])
    thin.inputs[0].default_value = 0.995
    t.link(thin, t.output.inputs["Surface"])


def shining(thing: bpy.types.Object) -> None:
    t = material(thing)
    shine = t.new("ShaderNodeEmission")
    shine.inputs["Strength"].default_value = 0.7
    t.link(pattern(t), shine.inputs["Color"])
    t.link(shine, t.output.inputs["Surface"])


def black_and_shining(thing: bpy.types.Object) -> None:
    """As files of scans with baked light have it."""
    t = material(thing)
    t.bsdf.inputs["Base Color"].default_value = (0, 0, 0, 1)
    t.bsdf.inputs["Emission Strength"].default_value = 0.8
    t.link(pattern(t), t.bsdf.inputs["Emission Color"])


def metal(thing: bpy.types.Object) -> None:
    t = material(thing)
    t.bsdf.inputs["Metallic"].default_value = 1
    t.colour(pattern(t))


def corrected_image(thing: bpy.types.Object) -> None:
    """An image that is moved by Mapping and whose hue is turned, on UVs that overlap."""
    bpy.ops.mesh.primitive_cube_add(size=1.6, location=(80, 0, 0))
    other = bpy.context.object
    layer = thing.data.uv_layers.new(name="own")
    flat = np.zeros(len(thing.data.loops) * 2, np.float32)
    other.data.uv_layers[0].uv.foreach_get("vector", flat)
    flat = flat.reshape(-1, 4, 2)
    flat[1] = flat[0]
    layer.uv.foreach_set("vector", flat.ravel())
    bpy.data.objects.remove(other)
    bpy.context.view_layer.objects.active = thing
    thing.select_set(True)
    painted(thing, opaque(noise(8, 8)))  # unsaved pixels
    t = Tree(thing.active_material.node_tree)
    image = next(one for one in t.nodes if one.type == "TEX_IMAGE")
    moved = t.new("ShaderNodeMapping")
    moved.inputs["Rotation"].default_value = (0, 0, 0.3)
    t.link(t.new("ShaderNodeTexCoord").outputs["UV"], moved.inputs["Vector"])
    t.link(moved, image.inputs["Vector"])
    hue = t.new("ShaderNodeHueSaturation")
    hue.inputs["Hue"].default_value = 0.8
    t.link(image, hue.inputs["Color"])
    t.colour(hue)


def opaque(pixels: np.ndarray) -> np.ndarray:
    """New images are saved without alpha."""
    pixels[..., 3] = 255
    return pixels


def by_box(thing: bpy.types.Object) -> None:
    """Generated coordinates, by which an image is laid on as onto a box."""
    painted(thing, opaque(noise(6, 6))).pack()
    t = Tree(thing.active_material.node_tree)
    image = next(one for one in t.nodes if one.type == "TEX_IMAGE")
    image.projection = "BOX"
    t.link(t.new("ShaderNodeTexCoord").outputs["Generated"], image.inputs["Vector"])


def tiles(thing: bpy.types.Object) -> None:
    """Two UDIM tiles, one face each half of the cube."""
    bpy.ops.mesh.primitive_cube_add(size=1.6, location=(80, 0, 0))
    other = bpy.context.object
    flat = np.zeros(len(thing.data.loops) * 2, np.float32)
    other.data.uv_layers[0].uv.foreach_get("vector", flat)
    bpy.data.objects.remove(other)
    bpy.context.view_layer.objects.active = thing
    thing.select_set(True)
    flat = flat.reshape(6, 4, 2)
    flat[::2, :, 0] += 1
    thing.data.uv_layers.new(name="tiles").uv.foreach_set("vector", flat.ravel())
    t = material(thing)
    node = t.image("tiled")
    node.image.source = "TILED"
    node.image.tiles.new(1002)
    folder = Path(bpy.app.tempdir)
    for number, level in ((1001, 0.2), (1002, 0.7)):
        tile = bpy.data.images.new("tile", 8, 8)
        tile.pixels.foreach_set(np.tile([level, 0.5, 1 - level, 1], 64).astype(np.float32))
        tile.file_format = "PNG"
        tile.save(filepath=str(folder / f"tiled.{number}.png"))
        bpy.data.images.remove(tile)
    node.image.filepath = str(folder / "tiled.<UDIM>.png")
    t.colour(node)


@pytest.mark.parametrize(
    "colour",
    [
        no_material,
        plain,
        procedural,
        object_coordinates,
        vertex_colours,
        two_materials,
        group,
        layered,
        shining,
        black_and_shining,
        metal,
        corrected_image,
        by_box,
        tiles,
    ],
)
def test_a_mesh_looks_as_before(
    addon: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    tmp_path: Path,
    colour: Callable[[bpy.types.Object], None],
) -> None:
    colour(cube)
    before = looks(cube, tmp_path)
    image = make(addon, making)
    assert tuple(image.size) == (512, 512)
    assert image.packed_file is not None
    assert apart(before, looks(cube, tmp_path)) < LOOK
    read = addon.mesh_reading.read_mesh_texture(bpy.context, cube, image)
    assert len(read.corners) == 12, "all of it can be painted"
    assert read.uvs.min() >= 0
    assert read.uvs.max() <= 1


def by_alpha_input(t: Tree, image: bpy.types.ShaderNode) -> None:
    t.link(image.outputs["Alpha"], t.bsdf.inputs["Alpha"])


def by_mixed_shaders(t: Tree, image: bpy.types.ShaderNode) -> None:
    mixed = t.new("ShaderNodeMixShader")
    t.link(image.outputs["Alpha"], mixed.inputs[0])
    t.link(t.new("ShaderNodeBsdfTransparent"), mixed.inputs[1])
    t.link(t.bsdf, mixed.inputs[2])
    t.link(mixed, t.output.inputs["Surface"])


def by_roughness(t: Tree, image: bpy.types.ShaderNode) -> None:
    turned = t.new("ShaderNodeMath", operation="SUBTRACT")
    t.link(image.outputs["Alpha"], turned.inputs[1])
    t.link(turned, t.bsdf.inputs["Roughness"])


def by_nothing(t: Tree, image: bpy.types.ShaderNode) -> None:
    pass


@pytest.mark.parametrize("use", [by_alpha_input, by_mixed_shaders, by_roughness, by_nothing])
def test_colours_that_are_half_seen_are_no_darker(
    addon: SimpleNamespace,
    making: ModuleType,
    scene: bpy.types.Scene,
    tmp_path: Path,
    use: Callable[[Tree, bpy.types.ShaderNode], None],
) -> None:
    """Renderers multiply an image's colours by its alpha unless that is used, too."""
    thing = new_monkey()
    pixels = np.full((16, 16, 4), (200, 100, 25, 128), np.uint8)
    pixels[:8] = 25, 75, 230, 200
    (tmp_path / "half.png").write_bytes(addon.encode.encode_png(pixels))
    t = material(thing)
    image = t.image("half")
    image.image = bpy.data.images.load(str(tmp_path / "half.png"))
    t.colour(image)
    use(t, image)
    before = looks(thing, tmp_path)
    make(addon, making)
    after = looks(thing, tmp_path)
    seen = before[..., 3] > 0.3
    assert np.abs(before - after)[seen].mean() < 1e-3


def test_a_monkey_of_noise(
    addon: SimpleNamespace, making: ModuleType, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    thing = new_monkey()
    procedural(thing)
    before = looks(thing, tmp_path)
    make(addon, making)
    assert apart(before, looks(thing, tmp_path)) < LOOK


# ---------------------------------------------------------------- what is kept, and undone


def test_the_original_materials_and_uv_maps_come_back(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, tmp_path: Path
) -> None:
    two_materials(cube)
    group(cube)
    for face in cube.data.polygons:
        face.material_index = face.index % 3
    own = list(cube.data.materials)
    trees = [[node.name for node in one.node_tree.nodes] for one in own]
    before, kept = looks(cube, tmp_path), file_content()
    image = make(addon, making)
    assert not set(cube.data.materials) & set(own)
    assert not OPS.make_texture.poll()
    cube.name = image.name = "renamed"
    assert OPS.revert_making() == {"FINISHED"}
    assert list(cube.data.materials) == own
    assert [[node.name for node in one.node_tree.nodes] for one in own] == trees
    assert file_content() == kept, "nothing is left over"
    assert np.array_equal(looks(cube, tmp_path), before)
    assert not OPS.revert_making.poll()
    assert OPS.make_texture.poll()


def file_content() -> dict[str, list[str]]:
    data = bpy.data
    return {
        "materials": [one.name for one in data.materials],
        "images": [one.name for one in data.images if one.name != "Render Result"],
        "groups": [one.name for one in data.node_groups],
        "maps": [layer.name for mesh in data.meshes for layer in mesh.uv_layers],
        "slots": sorted(str(len(one.material_slots)) for one in data.objects),
    }


def test_undo_is_one_step(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    plain(cube)
    kept = file_content()
    bpy.ops.ed.undo_push(message="before")
    make(addon, making)
    addon.session.drain()
    now = file_content()
    assert now != kept
    bpy.ops.ed.undo()
    assert file_content() == kept
    bpy.ops.ed.redo()
    assert file_content() == now
    assert OPS.revert_making.poll()
    OPS.revert_making()
    assert file_content() == kept


def test_it_is_all_in_the_saved_file(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, tmp_path: Path
) -> None:
    plain(cube)
    own = cube.active_material.name
    pixels = np.array(make(addon, making).pixels[:])
    assert bpy.data.materials[own].users, "it is not lost with the file"
    reopen(addon, tmp_path / "a.blend")
    thing = bpy.context.view_layer.objects.active = bpy.data.objects["box"]
    (image,) = addon.mesh_reading.colour_images(thing, "CYCLES")
    assert np.array_equal(np.array(image.pixels[:]), pixels)
    OPS.revert_making()
    assert thing.active_material.name == own


def test_an_edit_of_it(
    connected: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    server: FakeServer,
    scene: bpy.types.Scene,
) -> None:
    """Edit, show, revert the edit; then the materials: an edit that was kept stays in the file."""
    procedural(cube)
    refused = refusal("edit_texture")
    assert "has no faces with an image texture" in refused
    assert "Make Texture" in refused
    image = make(connected, making)
    texture = scene.watch_your_steps.texture
    texture.views, texture.size = 2, 24
    OPS.edit_texture()
    connected.session.wait_for_job(scene, SECONDS)
    request = submits(server)[-1].request
    assert request.texture.shape == (512, 512, 4)
    assert len(request.corners) == 12
    assert [one.name for one in connected.mesh_reading.colour_images(cube, "CYCLES")] == [
        "box color (edited)"
    ]
    OPS.revert_texture()
    assert connected.mesh_reading.colour_images(cube, "CYCLES") == [image]
    OPS.edit_texture()
    connected.session.wait_for_job(scene, SECONDS)
    OPS.revert_making()
    assert connected.mesh_reading.colour_images(cube, "CYCLES") == []
    assert "box color (edited)" in bpy.data.images
    assert "box color" in bpy.data.images, "which the edit is of"


def test_a_preview_on_it(
    connected: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    scene: bpy.types.Scene,
    installed: str,
) -> None:
    """The region is seen over the made texture, counts as none of the mesh's colours, and goes with
    the texture.
    """
    plain(cube)
    image = make(connected, making)
    scene.watch_your_steps.texture.views, scene.watch_your_steps.texture.size = 2, 24
    OPS.preview_texture()
    connected.session.wait_for_job(scene, SECONDS)
    live = importlib.import_module(f"{installed}.data.meshes.live_textures")
    changes = importlib.import_module(f"{installed}.data.meshes.colour_changes")
    assert live.is_previewed(cube)
    assert changes.changing_node(cube.active_material, image, "CYCLES") is None
    OPS.revert_making()
    assert not live.is_previewed(cube)
    assert cube.active_material.name == "m"


def test_what_shows_a_preview_is_not_baked(
    connected: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    scene: bpy.types.Scene,
    installed: str,
) -> None:
    operators = importlib.import_module(f"{installed}.ui.operators_make")
    corrected_image(cube)
    t = Tree(cube.active_material.node_tree)
    t.colour(next(one for one in t.nodes if one.type == "TEX_IMAGE"))
    scene.watch_your_steps.texture.views, scene.watch_your_steps.texture.size = 2, 24
    scene.watch_your_steps.texture.lit = True
    OPS.preview_texture()
    connected.session.wait_for_job(scene, SECONDS)
    assert "switch Show on Mesh off" in operators.WYS_OT_make_texture.why_not(bpy.context)
    assert not OPS.make_texture.poll()
    OPS.show_texture_preview()
    make(connected, making)


def test_what_was_painted_is_baked_as_it_is_seen_in_every_way_to_read_alpha(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    thing = new_monkey()
    t = material(thing)
    t.colour(t.image("paint"))
    image = bpy.data.images.new("half seen", 8, 8, alpha=True)
    image.pixels.foreach_set(np.full(8 * 8 * 4, 0.5, np.float32))
    t.nodes["Image Texture"].image = image
    found = []
    for image.alpha_mode in ("STRAIGHT", "PREMUL"):
        assert image.is_dirty
        found.append(addon.pictures.channels(make(addon, making)).max(axis=(0, 1)))
        OPS.revert_making()
    assert np.array_equal(found[0], found[1])


def test_uv_maps_that_can_hold_a_texture_are_used(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    bpy.ops.mesh.primitive_uv_sphere_add(segments=12, ring_count=6, location=(50, 0, 0))
    thing = bpy.context.object
    procedural(thing)
    before = [layer.name for layer in thing.data.uv_layers]
    make(addon, making)
    assert [layer.name for layer in thing.data.uv_layers] == before
    OPS.revert_making()
    assert [layer.name for layer in thing.data.uv_layers] == before


def test_what_is_rendered_and_shown_by_keeps_its_uv_map(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    corrected_image(cube)
    make(addon, making)
    maps = cube.data.uv_layers
    assert [one.name for one in maps] == ["own", "Watch Your Steps"]
    assert maps.active.name == "own"
    assert [one.name for one in maps if one.active_render] == ["own"]


def test_other_objects_that_use_the_mesh_stay_as_they_are(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    plain(cube)
    own = cube.active_material
    other = cube.copy()
    bpy.context.scene.collection.objects.link(other)
    other.select_set(False)
    make(addon, making)
    assert other.active_material == own
    assert cube.active_material != own
    OPS.revert_making()
    assert cube.active_material == own
    assert cube.material_slots[0].link == "DATA"


def test_a_material_of_the_object_over_one_of_its_mesh(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, tmp_path: Path
) -> None:
    plain(cube)
    (slot,) = cube.material_slots
    of_mesh = slot.material
    slot.link = "OBJECT"
    slot.material = own = of_mesh.copy()
    own.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0, 0.6, 0.2, 1)
    before = looks(cube, tmp_path)
    make(addon, making)
    assert apart(before, looks(cube, tmp_path)) < LOOK
    assert cube.data.materials[0] == of_mesh
    OPS.revert_making()
    assert (slot.link, slot.material) == ("OBJECT", own)


@pytest.mark.parametrize("what", ["is_holdout", "is_shadow_catcher"])
def test_what_cuts_a_hole_or_only_catches_shadows_has_its_colours_baked(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, tmp_path: Path, what: str
) -> None:
    plain(cube)
    before = looks(cube, tmp_path)
    setattr(cube, what, True)
    make(addon, making)
    assert getattr(cube, what)
    setattr(cube, what, False)
    assert apart(before, looks(cube, tmp_path)) < LOOK


def test_selected_meshes_follow_one_another(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    plain(cube)
    other = new_cube(55)
    procedural(other)
    for one in bpy.data.objects:
        one.select_set(one in (cube, other))
    OPS.make_texture()
    assert len(making.makings.waiting) == 1
    wait(addon, making)
    for one in (cube, other):
        (image,) = addon.mesh_reading.colour_images(one, "CYCLES")
        assert image.name == f"{one.name} color"


def test_the_scenes_engine_says_which_output_counts(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    """Of two outputs, one for each engine; the scene is Workbench's, as EEVEE's are."""
    t = material(cube)
    t.output.target = "CYCLES"
    other = t.new("ShaderNodeOutputMaterial", target="EEVEE")
    green = t.new("ShaderNodeBsdfDiffuse")
    green.inputs["Color"].default_value = (0, 1, 0, 1)
    t.link(green, other.inputs["Surface"])
    OPS.make_texture()
    wait(addon, making)
    assert addon.mesh_reading.colour_images(cube, "CYCLES") == []
    (image,) = addon.mesh_reading.colour_images(cube, "BLENDER_WORKBENCH")
    assert np.allclose(np.array(image.pixels[:]).reshape(512, 512, 4)[100, 100], (0, 1, 0, 1))


def test_linked_materials_and_images_beside_the_file(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, tmp_path: Path
) -> None:
    """A material of a library, with an image by a path that begins in the library's folder."""
    image = bpy.data.images.new("beside", 4, 4)
    image.pixels.foreach_set(np.tile([1.0, 0.0, 0.0, 1.0], 16).astype(np.float32))
    image.file_format, image.filepath_raw = "PNG", str(tmp_path / "beside.png")
    image.save()
    image.source, image.filepath = "FILE", "//beside.png"
    own = material(cube, "far")
    cube.data.materials.clear()
    node = own.new("ShaderNodeTexImage", image=image)
    own.link(own.new("ShaderNodeTexCoord").outputs["Generated"], node.inputs["Vector"])
    own.colour(node)
    library = tmp_path / "library.blend"
    bpy.data.libraries.write(str(library), {bpy.data.materials["far"]}, path_remap="NONE")
    bpy.data.materials.remove(bpy.data.materials["far"])
    bpy.data.images.remove(image)
    with bpy.data.libraries.load(str(library), link=True, relative=False) as (_, wanted):
        wanted.materials = ["far"]
    cube.data.materials.append(wanted.materials[0])
    made = make(addon, making)
    assert cube.active_material.library is None
    assert np.allclose(np.array(made.pixels[:]).reshape(512, 512, 4)[100, 100], (1, 0, 0, 1))
    OPS.revert_making()
    assert cube.active_material == wanted.materials[0]


def test_a_copy_keeps_its_texture_unless_it_shares_the_mesh(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    plain(cube)
    image = make(addon, making)
    same, other = cube.copy(), cube.copy()
    other.data = cube.data.copy()
    for one in (same, other):
        bpy.context.scene.collection.objects.link(one)
    OPS.revert_making()
    assert [layer.name for layer in cube.data.uv_layers] == []
    for one in (cube, same):
        assert addon.mesh_reading.colour_images(one, "CYCLES") == []
    assert addon.mesh_reading.colour_images(other, "CYCLES") == [image]
    assert [layer.name for layer in other.data.uv_layers] == ["Watch Your Steps"]
    bpy.context.view_layer.objects.active = other
    OPS.revert_making()
    assert addon.mesh_reading.colour_images(other, "CYCLES") == []
    assert "box color" not in bpy.data.images


# ---------------------------------------------------------------- modifiers


def test_modifiers_are_baked_as_they_render(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, tmp_path: Path
) -> None:
    procedural(cube)
    subdivision = cube.modifiers.new("subdivision", "SUBSURF")
    subdivision.levels, subdivision.render_levels = 0, 3
    before = looks(cube, tmp_path)
    make(addon, making)
    assert apart(before, looks(cube, tmp_path)) < LOOK


def mirrored(thing: bpy.types.Object) -> None:
    thing.modifiers.new("mirror", "MIRROR")
    thing.data.transform(type(thing.matrix_world).Translation((2, 0, 0)))


def test_parts_that_share_texels_may_have_the_same_colours(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, tmp_path: Path
) -> None:
    vertex_colours(cube)
    colours = np.repeat(np.random.default_rng(0).random((6, 4)), 4, axis=0).astype(np.float32)
    cube.data.color_attributes["paint"].data.foreach_set("color", colours.ravel())
    mirrored(cube)
    before = looks(cube, tmp_path)
    make(addon, making)
    assert apart(before, looks(cube, tmp_path)) < LOOK


@pytest.mark.parametrize("shown", [True, False])
def test_parts_that_share_texels_and_differ_are_refused(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, shown: bool
) -> None:
    procedural(cube)
    mirrored(cube)
    cube.modifiers[0].show_viewport = shown
    kept = file_content()
    OPS.make_texture()
    wait(addon, making)
    assert "have different colors" in addon.session.message_of(bpy.context.scene)
    assert file_content() == kept
    bpy.ops.object.modifier_apply(modifier="mirror")
    make(addon, making)


# ---------------------------------------------------------------- failures


def test_what_cannot_be_made_says_why(
    addon: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    installed: str,
    tmp_path: Path,
) -> None:
    made = importlib.import_module(f"{installed}.data.meshes.made_textures")
    view = bpy.context.view_layer
    bpy.ops.object.mode_set(mode="EDIT")
    assert "Leave Edit Mode" in made.why_not_made(cube)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert made.why_not_made(cube) == ""
    view.objects.active = bpy.context.scene.camera
    assert not OPS.make_texture.poll()
    assert "is not a mesh" in made.why_not_made(view.objects.active)
    view.objects.active = None
    assert not OPS.make_texture.poll()
    empty = bpy.data.objects.new("empty", bpy.data.meshes.new("empty"))
    assert made.why_not_made(empty) == '"empty" has no faces'
    bpy.data.libraries.write(str(tmp_path / "library.blend"), {cube})
    with bpy.data.libraries.load(str(tmp_path / "library.blend"), link=True) as (_, wanted):
        wanted.objects = ["box"]
    assert "make it local" in made.why_not_made(wanted.objects[0])


def flat(thing: bpy.types.Object) -> None:
    thing.data.transform(type(thing.matrix_world).Scale(0, 4))


def see_through(thing: bpy.types.Object) -> None:
    t = material(thing)
    t.link(t.new("ShaderNodeBsdfTransparent"), t.output.inputs["Surface"])


def eight_maps(thing: bpy.types.Object) -> None:
    plain(thing)
    for number in range(8):
        thing.data.uv_layers.new(name=str(number), do_init=False)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (flat, "no faces with an area"),
        (see_through, "has a base color"),
        (eight_maps, "eight UV maps, which is all it can have: remove one."),
    ],
)
def test_what_has_nothing_to_bake_is_refused(
    addon: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    spoil: Callable[[bpy.types.Object], None],
    sentence: str,
) -> None:
    spoil(cube)
    kept = file_content()
    OPS.make_texture()
    wait(addon, making)
    assert sentence in addon.session.message_of(bpy.context.scene)
    assert file_content() == kept


def test_hidden_objects_are_made_too(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    plain(cube)
    cube.hide_render = True
    cube.hide_set(True)
    bpy.context.view_layer.objects.active = cube
    make(addon, making)
    assert cube.hide_render
    assert cube.hide_get()


def edit_mode(thing: bpy.types.Object) -> None:
    bpy.ops.object.mode_set(mode="EDIT")


def edit_mode_of_another_object(thing: bpy.types.Object) -> None:
    """That uses the same mesh."""
    other = thing.copy()
    bpy.context.scene.collection.objects.link(other)
    thing.select_set(False)
    bpy.context.view_layer.objects.active = other
    bpy.ops.object.mode_set(mode="EDIT")
    assert thing.mode == "OBJECT"


def dynamic_topology(thing: bpy.types.Object) -> None:
    bpy.ops.object.mode_set(mode="SCULPT")
    bpy.ops.sculpt.dynamic_topology_toggle()


@pytest.mark.parametrize(
    ("begin", "sentence"),
    [
        (edit_mode, ""),
        (edit_mode_of_another_object, ""),
        (dynamic_topology, "faces or UV maps"),  # it makes triangles
    ],
)
def test_a_mesh_that_is_modelled_is_waited_for(
    addon: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    installed: str,
    begin: Callable[[bpy.types.Object], None],
    sentence: str,
) -> None:
    """Blender writes the mesh anew when the mode ends: a UV map that is added before is lost."""
    made = importlib.import_module(f"{installed}.data.meshes.made_textures")
    plain(cube)
    OPS.make_texture()
    begin(cube)
    assert made.why_not_made(cube).startswith("Leave ")
    addon.session.wait(
        lambda: (making.look(), "until you leave" in making.makings.now.stage)[1], 60
    )
    bpy.ops.object.mode_set(mode="OBJECT")
    wait(addon, making)
    if sentence:
        assert sentence in addon.session.message_of(bpy.context.scene)
        return
    assert addon.session.message_of(bpy.context.scene) == ""
    (image,) = addon.mesh_reading.colour_images(cube, "CYCLES")
    bpy.context.view_layer.objects.active = cube
    read = addon.mesh_reading.read_mesh_texture(bpy.context, cube, image)
    assert np.ptp(read.uvs) > 0.5


def test_renamed_and_painted_on_while_it_is_made(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    """The edited mesh is waited for while its faces are the same."""
    plain(cube)
    OPS.make_texture()
    assert OPS.cancel_making.poll()
    cube.name, cube.active_material.name = "other", "other"
    bpy.ops.object.mode_set(mode="EDIT")
    addon.session.wait(lambda: (making.look(), "Edit Mode" in making.makings.now.stage)[1], 60)
    bpy.ops.object.mode_set(mode="OBJECT")
    wait(addon, making)
    assert [one.name for one in addon.mesh_reading.colour_images(cube, "CYCLES")] == ["other color"]
    assert not OPS.cancel_making.poll()


def delete(thing: bpy.types.Object) -> None:
    bpy.data.objects.remove(thing)


def test_a_render_of_the_artists_is_waited_for(
    addon: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain(cube)
    OPS.make_texture()
    monkeypatch.setattr(making, "artist_is_busy", lambda: True)
    addon.session.wait(lambda: (making.look(), "render" in making.makings.now.stage)[1], 60)
    assert addon.mesh_reading.colour_images(cube, "CYCLES") == []
    monkeypatch.setattr(making, "artist_is_busy", lambda: False)
    wait(addon, making)
    assert len(addon.mesh_reading.colour_images(cube, "CYCLES")) == 1


def test_undo_while_it_is_made(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object
) -> None:
    plain(cube)
    bpy.ops.ed.undo_push(message="before")
    cube.location.z += 1
    bpy.ops.ed.undo_push(message="moved")
    OPS.make_texture()
    bpy.ops.ed.undo()
    wait(addon, making)
    assert addon.session.message_of(bpy.context.scene) == ""
    thing = bpy.data.objects["box"]
    assert thing.location.z == 0
    assert len(addon.mesh_reading.colour_images(thing, "CYCLES")) == 1


def subdivide(thing: bpy.types.Object) -> None:
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.subdivide()
    bpy.ops.object.mode_set(mode="OBJECT")


def unwrap(thing: bpy.types.Object) -> None:
    """Where the material's own image may lie by it."""
    thing.data.uv_layers[0].uv[0].vector.x += 0.1


def recolour(thing: bpy.types.Object) -> None:
    Tree(thing.active_material.node_tree).bsdf.inputs["Base Color"].default_value = (0, 1, 0, 1)


def another_material(thing: bpy.types.Object) -> None:
    thing.data.materials[0] = None


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (delete, "was deleted"),
        (subdivide, "faces or UV maps"),
        (unwrap, "faces or UV maps"),
        (recolour, "The materials of"),
        (another_material, "The materials of"),
    ],
)
def test_deleted_or_changed_while_it_is_made(
    addon: SimpleNamespace,
    making: ModuleType,
    cube: bpy.types.Object,
    spoil: Callable[[bpy.types.Object], None],
    sentence: str,
) -> None:
    plain(cube)
    cube.data.uv_layers.new(name="own", do_init=False)
    OPS.make_texture()
    spoil(cube)
    kept = file_content()
    wait(addon, making)
    assert sentence in addon.session.message_of(bpy.context.scene)
    assert file_content() == kept


@pytest.mark.parametrize("end", ["cancel", "load"])
def test_nothing_goes_on_after_its_end(
    addon: SimpleNamespace, making: ModuleType, cube: bpy.types.Object, end: str
) -> None:
    plain(cube)
    OPS.make_texture()
    now = making.makings.now
    if end == "cancel":
        OPS.cancel_making()
        assert "Watch Your Steps" not in file_content()["maps"]
    else:
        bpy.ops.wm.read_homefile(use_empty=True)
    now.child.process.wait(20)
    assert making.makings.now is None
    assert not now.folder.exists()
