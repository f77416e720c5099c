"""The panel says what has changed since the shown render was taken, and only then."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
from driving import preview

Change = Callable[[bpy.types.Scene], None]


def material() -> bpy.types.Material:
    return bpy.data.materials["paint"]


def base_colour() -> bpy.types.NodeSocket:
    nodes = material().node_tree.nodes
    return next(node for node in nodes if node.type == "BSDF_PRINCIPLED").inputs["Base Color"]


def move_vertex(_: bpy.types.Scene) -> None:
    mesh = bpy.data.objects["ball"].data
    mesh.vertices[0].co.x += 0.5
    mesh.update()


def add_light(scene: bpy.types.Scene) -> None:
    light = bpy.data.objects.new("late", bpy.data.lights.new("late", "POINT"))
    scene.collection.objects.link(light)


def add_modifier(_: bpy.types.Scene) -> None:
    bpy.data.objects["ball"].modifiers.new("bevel", "BEVEL").width = 0.2


def unlink_colour(_: bpy.types.Scene) -> None:
    tree = material().node_tree
    colour = tree.nodes.new("ShaderNodeRGB")
    tree.links.new(colour.outputs[0], base_colour())


def setter(path: str, value: object) -> Change:
    """Sets scene.PATH."""

    def change(scene: bpy.types.Scene) -> None:
        *owners, name = path.split(".")
        owner = scene
        for part in owners:
            owner = getattr(owner, part)
        setattr(owner, name, value)

    return change


def of_ball(name: str, value: object) -> Change:
    return lambda _: setattr(bpy.data.objects["ball"], name, value)


CHANGES: dict[str, tuple[str, Change]] = {
    "object moved": ("objects", of_ball("location", (1, 0, 0))),
    "object colour": ("objects", of_ball("color", (0, 0, 1, 1))),
    "object hidden": ("objects", of_ball("hide_render", True)),
    "object removed": ("objects", lambda _: bpy.data.objects.remove(bpy.data.objects["ball"])),
    "vertex moved": ("objects", move_vertex),
    "modifier added": ("objects", add_modifier),
    "frame": ("frame", lambda scene: scene.frame_set(7)),
    "camera moved": ("camera", lambda scene: setattr(scene.camera, "location", (0, -9, 3))),
    "lens": ("camera", lambda scene: setattr(scene.camera.data, "lens", 35)),
    "depth of field": ("camera", lambda s: setattr(s.camera.data.dof, "use_dof", True)),
    "material colour": (
        "materials and lights",
        lambda _: setattr(base_colour(), "default_value", (0, 1, 0, 1)),
    ),
    "material node": ("materials and lights", unlink_colour),
    "world": ("materials and lights", lambda scene: setattr(scene.world, "color", (1, 0, 0))),
    "light": (
        "materials and lights",
        lambda _: setattr(bpy.data.lights["lamp"], "energy", 5.0),
    ),
    "light added": ("objects", add_light),
    "exposure": ("render settings", setter("view_settings.exposure", 1.0)),
    "view transform": ("render settings", setter("view_settings.view_transform", "Standard")),
    "size limit": ("render settings", setter("watch_your_steps.max_side", 32)),
    "resolution": ("render settings", setter("render.resolution_x", 48)),
    "engine": ("render settings", setter("render.engine", "CYCLES")),
    "film": ("render settings", setter("render.film_transparent", True)),
    "shading": ("render settings", setter("display.shading.show_cavity", True)),
}


@pytest.fixture
def shown(connected: SimpleNamespace, scene: bpy.types.Scene) -> SimpleNamespace:
    """A preview of a scene with a material, a light and a world."""
    made = bpy.data.materials.new("paint")
    made.use_nodes = True
    bpy.data.objects["ball"].data.materials.append(made)
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    scene.collection.objects.link(lamp)
    scene.world = bpy.data.worlds.new("world")
    bpy.context.view_layer.update()
    preview(connected, scene)
    return connected


def changes(shown: SimpleNamespace) -> list[str]:
    """What the panel would say now, without its patience."""
    bpy.context.view_layer.update()
    scene = bpy.context.scene
    state = scene.watch_your_steps.render_image["watch_your_steps_state"]
    return shown.freshness.changes(scene, state)


@pytest.mark.parametrize("name", CHANGES)
def test_what_has_changed_since_the_render_is_named(shown: SimpleNamespace, name: str) -> None:
    part, change = CHANGES[name]
    assert changes(shown) == []
    change(bpy.context.scene)
    found = changes(shown)
    assert part in found
    also = {"materials and lights"} if part == "objects" else {"camera", "objects"}
    assert set(found) <= {part, *also}, "an object goes with what it is made of"


def test_a_new_preview_with_the_same_pixels_is_fresh(shown: SimpleNamespace) -> None:
    bpy.data.objects["ball"]["unseen"] = 1.0
    assert changes(shown) == ["objects"]
    preview(shown, bpy.context.scene)
    assert changes(shown) == []


def test_what_changes_no_pixel_is_no_change(
    shown: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    bpy.ops.object.select_all(action="SELECT")
    bpy.context.view_layer.objects.active = bpy.data.objects["ground"]
    for node in material().node_tree.nodes:
        node.location.x += 50
        node.select = True
    scene.watch_your_steps.threshold = 0.7
    scene.watch_your_steps.steps = 7
    scene.render.filepath = str(tmp_path / "elsewhere")
    scene.render.image_settings.file_format = "JPEG"
    scene.render.use_border = scene.render.use_crop_to_border = True
    scene.render.border_min_x = 0.3
    scene.render.use_multiview, scene.render.use_sequencer = True, False
    scene.render.use_compositing = False  # there is no compositor
    assert changes(shown) == []
    ball = bpy.data.objects["ball"]
    ball.location.x += 1
    assert changes(shown) == ["objects"]
    ball.location.x -= 1
    scene.frame_set(5)
    scene.frame_set(1)
    assert changes(shown) == [], "all is as it was"


def test_texture_paint_is_no_change_and_leaves_nothing_that_crashes(
    shown: SimpleNamespace,
) -> None:
    """Its slots are not read: Blender leaves them with images that are deleted later."""
    nodes, canvases = material().node_tree.nodes, []
    for number in range(4):  # of the first one Blender forgets the slot
        node = nodes.new("ShaderNodeTexImage")
        node.image = bpy.data.images.new(f"canvas {number}", 64, 64)
        canvases.append(node)
    preview(shown, bpy.context.scene)
    thing = bpy.data.objects["ball"]
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(material().texture_paint_images) == 4
    assert changes(shown) == []
    for node in canvases:
        image = node.image
        nodes.remove(node)
        bpy.data.images.remove(image)
    assert changes(shown) == ["materials and lights"]


def test_it_is_known_when_the_file_is_opened_again(
    shown: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    path = str(tmp_path / "scene.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert changes(shown) == []
    bpy.data.objects["ball"].location.x += 1
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    assert changes(shown) == ["objects"]


def test_where_its_file_and_its_images_lie_is_no_change(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    """Blender writes paths anew when a file is saved for the first time, or in another folder."""
    bpy.ops.wm.read_homefile(use_empty=False)  # whose material comes from a library of assets
    scene = bpy.context.scene
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.watch_your_steps.instruction = "turn the ball blue"
    drawn = bpy.data.images.new("wood", 4, 4)
    drawn.filepath_raw = str(tmp_path / "wood.png")
    drawn.file_format = "PNG"
    drawn.save()
    image = bpy.data.images.load(str(tmp_path / "wood.png"))
    material = bpy.data.objects["Cube"].active_material
    material.node_tree.nodes.new("ShaderNodeTexImage").image = image
    preview(connected, scene)
    (tmp_path / "folder").mkdir()
    for name in ("a.blend", "folder/b.blend"):
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / name))
        assert connected.panel.changed_since(bpy.context.scene) == []
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / name))
        assert connected.panel.changed_since(bpy.context.scene) == []
    bpy.data.images["wood.png"].filepath = "//elsewhere.png"
    connected.freshness.forget_all()
    assert connected.panel.changed_since(bpy.context.scene) == ["materials and lights"]


def test_the_panel_says_it_and_reads_the_scene_only_after_updates(
    shown: SimpleNamespace, scene: bpy.types.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    real = shown.freshness.fingerprint
    monkeypatch.setattr(shown.freshness, "fingerprint", lambda *of: read.append(1) or real(*of))
    monkeypatch.setattr(shown.freshness, "SECONDS", 0.0)
    monkeypatch.setattr(shown.freshness, "SHARE", 0)
    shown.panel.changed_since(scene)
    count = len(read)
    assert shown.panel.changed_since(scene) == []
    assert len(read) == count, "nothing was updated"
    bpy.data.objects["ball"].location.x += 1
    bpy.context.view_layer.update()
    assert shown.panel.changed_since(scene) == ["objects"]
    assert len(read) == count + 1
    assert shown.words.stale(["objects"], False) == (
        "The objects have changed since this render: preview again to take a new one."
    )
    assert shown.words.stale(["camera", "frame", "objects"], True) == (
        "The camera, the frame and the objects have changed since this render: Render View again "
        "to take a new one."
    )
    assert shown.words.stale([], False) == ""


def test_a_mesh_is_read_again_only_when_it_has_changed(
    shown: SimpleNamespace, installed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(f"{installed}.render.fingerprint")
    real, read = module._mesh, []
    monkeypatch.setattr(module, "_mesh", lambda mesh: read.append(mesh.name) or real(mesh))
    ball = bpy.data.objects["ball"]
    assert changes(shown) == []
    read.clear()
    ball.location.x += 1
    assert changes(shown) == ["objects"]
    assert read == []
    ball.location.x -= 1
    move_vertex(bpy.context.scene)
    assert changes(shown) == ["objects"]
    assert read == [ball.data.name]
    bpy.ops.ed.undo_push(message="before")
    ball.data.vertices[0].co.x -= 0.5
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    read.clear()
    assert changes(shown) == ["objects"]
    assert bpy.data.objects["ball"].data.name in read, "another state of the file"


def test_reading_a_scene_leaves_nothing_in_it(
    addon: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    """Settings of add-ons in a scene's shading are freed twice where the scene was copied."""
    addon.freshness.state_of(scene)
    if bpy.app.version < (5, 0):
        assert not scene.display.shading.keys()
    bpy.data.scenes.remove(scene.copy())
    bpy.ops.wm.read_homefile(use_empty=True)
    assert len(bpy.data.objects) == 0
