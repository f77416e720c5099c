"""Textures and captures against the real backend as a process of its own, with the demo model.

Needs WATCH_YOUR_STEPS_BACKEND_PYTHON, which `python install.py test` sets.
"""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
import udim
from driving import make_scene
from test_mesh_views import painted
from test_real_server import JOB_SECONDS, START_SECONDS, Server, backend_python

__all__ = ["backend_python"]  # a fixture

OPS = bpy.ops.watch_your_steps


@pytest.fixture(scope="module")
def demo(backend_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the demo model, whose captures lie in `server.file`'s folder."""
    folder = tmp_path_factory.mktemp("server")
    server = Server(backend_python, Path("demo"), folder / "connection.json")
    server.start("--data-root", str(folder))
    yield server
    assert server.process is not None
    server.process.terminate()
    server.process.wait(30)


@pytest.fixture
def ready(addon: SimpleNamespace, demo: Server) -> SimpleNamespace:
    """The add-on, connected to it."""
    make_scene()
    addon.preferences.connection_file = str(demo.file)
    OPS.connect()
    addon.session.wait_for_connection(START_SECONDS)
    return addon


def red_ball() -> bpy.types.Object:
    """The only object: a textured sphere, and an edit of it asked for that takes seconds."""
    scene = bpy.context.scene
    for name in ("ball", "ground"):
        bpy.data.objects.remove(bpy.data.objects[name])
    bpy.ops.mesh.primitive_uv_sphere_add(segments=24, ring_count=12)
    thing = bpy.context.object
    image = painted(thing, RED)
    image.pack()
    settings = scene.watch_your_steps
    settings.instruction = "turn the red ball blue"
    settings.relevance_seeds = 2
    texture = settings.texture
    texture.views, texture.size, texture.steps, texture.rounds = 4, 64, 8, 1
    texture.lit = False
    return thing


RED = np.full((64, 64, 4), (200, 25, 25, 255), np.uint8)


def test_a_texture_turns_from_red_to_blue(ready: SimpleNamespace) -> None:
    scene, session, thing, red = bpy.context.scene, ready.session, red_ball(), RED
    OPS.edit_texture()
    session.wait_for_job(scene, JOB_SECONDS)
    nodes = thing.active_material.node_tree.nodes
    shown = next(node for node in nodes if node.type == "TEX_IMAGE").image
    assert shown.name == "paint (edited)"
    edited = ready.mesh_reading.read_texture(shown)
    relevance = ready.pictures.read_gray(shown.watch_your_steps.relevance)
    changed = (edited != red).any(axis=2)
    assert changed.mean() > 0.2
    assert np.array_equal(edited[~changed], red[~changed])
    assert (relevance[changed] > 0).mean() > 0.5
    middle = np.median(edited[changed].astype(int), axis=0)
    assert middle[2] > middle[0] + 30, f"blue, not red: {middle}"


def test_both_tiles_of_a_ball_turn_blue_without_a_seam(
    ready: SimpleNamespace, tmp_path: Path
) -> None:
    """Its halves lie on UDIM tiles of different sizes."""
    scene, thing = bpy.context.scene, red_ball()
    uvs = thing.data.uv_layers.active.uv
    for one in uvs:
        one.vector = (2 * one.vector[0], one.vector[1])
    sizes = {1001: 64, 1002: 96}
    pixels = {number: np.tile(RED[:1, :1], (size, size, 1)) for number, size in sizes.items()}
    nodes = thing.active_material.node_tree.nodes
    node = next(one for one in nodes if one.type == "TEX_IMAGE")
    node.image = udim.image(tmp_path, pixels, "ball")
    OPS.edit_texture()
    ready.session.wait_for_job(scene, JOB_SECONDS)
    assert node.image.name == "ball (edited)"
    made = udim.tiles_of(node.image, tmp_path)
    for number, one in made.items():
        middle = one[len(one) // 4 : -len(one) // 4, :, :3].astype(float).mean(axis=(0, 1))
        assert middle[2] > middle[0] + 30, f"{number} is blue"
    left, right = (made[number][..., :3].astype(float) for number in sizes)
    rows = slice(len(left) // 4, -len(left) // 4)
    across = np.abs(left[rows, -1].mean(axis=0) - right[24:-24, 0].mean(axis=0)).mean()
    assert across < 12, "the border between tiles is not seen"


def test_a_mesh_without_uvs_and_image_turns_from_red_to_blue(
    ready: SimpleNamespace, installed: str
) -> None:
    making = importlib.import_module(f"{installed}.jobs.texture_making")
    scene, session, thing = bpy.context.scene, ready.session, red_ball()
    thing.data.uv_layers.remove(thing.data.uv_layers[0])
    tree = thing.active_material.node_tree
    tree.nodes.remove(next(node for node in tree.nodes if node.type == "TEX_IMAGE"))
    tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.6, 0.01, 0.01, 1)
    scene.watch_your_steps.texture.make_size = "512"
    OPS.make_texture()
    session.wait(lambda: (making.look(), making.makings.now is None)[1], JOB_SECONDS)
    OPS.edit_texture()
    session.wait_for_job(scene, JOB_SECONDS)
    (edited,) = ready.mesh_reading.colour_images(thing, "CYCLES")
    assert edited.name.endswith("(edited)")
    before = ready.mesh_reading.read_texture(edited.watch_your_steps.original)
    after = ready.mesh_reading.read_texture(edited)
    changed = (before != after).any(axis=2)
    assert changed.mean() > 0.2
    middle = np.median(after[changed].astype(int), axis=0)
    assert middle[2] > middle[0] + 30, f"blue, not red: {middle}"
    OPS.revert_texture()
    OPS.revert_making()
    assert ready.mesh_reading.colour_images(thing, "CYCLES") == []
    assert not thing.data.uv_layers


def test_a_previewed_region_is_edited_and_nothing_else(
    ready: SimpleNamespace, installed: str
) -> None:
    scene, session, thing = bpy.context.scene, ready.session, red_ball()
    regions = importlib.import_module(f"{installed}.data.meshes.texture_regions")
    OPS.preview_texture()
    session.wait_for_job(scene, JOB_SECONDS)
    image = bpy.data.images["paint"]
    region = image.watch_your_steps.preview
    assert 0.5 < region.seen_share <= 1
    region.snap = "nothing"
    region.threshold = float(np.quantile(ready.pictures.read_gray(region.relevance), 0.7))
    inside = regions.mask(region)
    assert 0.1 < inside.mean() < 0.5
    OPS.edit_texture()
    session.wait_for_job(scene, JOB_SECONDS)
    nodes = thing.active_material.node_tree.nodes
    shown = next(node for node in nodes if node.type == "TEX_IMAGE").image
    changed = (ready.mesh_reading.read_texture(shown) != RED).any(axis=2)
    assert changed.any()
    assert not (changed & ~inside).any()
    mine = shown.watch_your_steps
    assert np.array_equal(ready.pictures.read_gray(mine.relevance) >= mine.region.threshold, inside)


@pytest.mark.slow
@pytest.mark.one_blender
def test_a_scene_is_captured_trained_and_edited(ready: SimpleNamespace) -> None:
    """In far too few steps for a good one: what is right here is the way there and back."""
    scene, session = bpy.context.scene, ready.session
    settings, in_3d = scene.watch_your_steps, scene.watch_your_steps.in_3d
    settings.instruction = "turn the red ball blue"
    in_3d.views, in_3d.size, in_3d.steps = 8, 24, 1
    in_3d.train_iterations = in_3d.edit_iterations = 12
    for operator in ("capture_scene", "train_scene", "edit_scene"):
        getattr(OPS, operator)()
        session.wait_for_job(scene, JOB_SECONDS)
    assert in_3d.field.endswith(" dB on views that it was not trained on, trained for 12 steps.")
    assert in_3d.edit.startswith("turn-the-red-ball-blue-")
    sheet = ready.pictures.read_rgb(in_3d.pictures)
    assert sheet.shape[1] == 3 * 24
    session.wait(lambda: bool(session.scene_state(scene).edits), JOB_SECONDS)
    (edit,) = session.scene_state(scene).edits
    assert (edit.name, edit.finished) == (in_3d.edit, True)
    OPS.bring_mesh()
    session.wait_for_job(scene, JOB_SECONDS)
    assert len(bpy.data.collections["Watch Your Steps"].objects) == 1
    settings.max_side = 24
    OPS.render_view()
    session.wait_for_job(scene, JOB_SECONDS)
    assert ready.pictures.read_rgb(settings.scene_image).shape == (18, 24, 3)
    thing = bpy.data.objects["ball"]
    image = painted(thing, np.full((32, 32, 4), (200, 25, 25, 255), np.uint8))
    image.pack()
    bpy.context.view_layer.objects.active = thing
    settings.texture.views, settings.texture.size, settings.texture.lit = 2, 24, False
    OPS.bring_texture()
    session.wait_for_job(scene, JOB_SECONDS)
    no_region = ("Unchanged: no texel", "Unchanged: to the model")
    unchanged = session.message_of(scene).startswith(no_region)
    shown = next(node for node in thing.active_material.node_tree.nodes if node.type == "TEX_IMAGE")
    assert (shown.image == image) == unchanged
    OPS.undo_scene_edit()
    session.wait(lambda: in_3d.edit == "", JOB_SECONDS)
    assert session.scene_state(scene).edits == ()


def test_a_capture_is_sent_checked_and_kept(ready: SimpleNamespace, demo: Server) -> None:
    """And what makes no sense of it is refused in the backend's words."""
    scene, session = bpy.context.scene, ready.session
    in_3d = scene.watch_your_steps.in_3d
    in_3d.views, in_3d.size = 6, 32
    OPS.capture_scene()
    session.wait_for_job(scene, JOB_SECONDS)
    assert in_3d.sealed
    folder = demo.file.parent / "captures" / in_3d.capture
    written = json.loads((folder / "transforms.json").read_text("utf-8"))
    assert len(written["frames"]) == 6
    plan = json.loads(in_3d.plan)
    poses = np.array([frame["transform_matrix"] for frame in written["frames"]])
    wanted = np.array([shot["pose"] for shot in plan["shots"]]).reshape(-1, 4, 4)
    np.testing.assert_allclose(poses, wanted, atol=1e-5)
    session.wait(lambda: in_3d.capture in session.state.scenes, JOB_SECONDS)
    assert session.state.scenes[in_3d.capture].sealed
    scene.frame_end = 3  # the camera stands still: three views from one place
    in_3d.cameras = "FRAMES"
    assert "place" in refused(ready, "capture_scene")
    OPS.drop_capture()
    session.wait(lambda: in_3d.capture == "", JOB_SECONDS)


def refused(addon: SimpleNamespace, operator: str) -> str:
    """The sentence with which the backend refuses what an operator has started."""
    getattr(OPS, operator)()
    with pytest.raises(addon.session.SessionError) as error:
        addon.session.wait_for_job(bpy.context.scene, JOB_SECONDS)
    return str(error.value)


@pytest.mark.slow
@pytest.mark.one_blender
def test_a_scene_is_edited_where_it_is_painted(
    ready: SimpleNamespace, demo: Server, installed: str
) -> None:
    """The real backend takes strokes over to the views of the capture: to that of the same camera
    pixel for pixel, however little the field has learnt.
    """
    scene, session = bpy.context.scene, ready.session
    strokes = importlib.import_module(f"{installed}.data.strokes")
    settings, in_3d = scene.watch_your_steps, scene.watch_your_steps.in_3d
    settings.instruction = "turn the red ball blue"
    for x in (-3, 3):
        camera = bpy.data.objects.new("another", scene.camera.data)
        camera.location, camera.rotation_euler = (x, -8, 3), (1.25, 0, x / 8)
        scene.collection.objects.link(camera)
    in_3d.cameras, in_3d.size, in_3d.steps, in_3d.snap = "CAMERAS", 24, 1, "nothing"
    in_3d.train_iterations, in_3d.edit_iterations = 12, 3
    settings.max_side = 64
    for operator in ("preview_relevance", "capture_scene", "train_scene"):
        getattr(OPS, operator)()
        session.wait_for_job(scene, JOB_SECONDS)
    kept = demo.file.parent / "captures" / in_3d.capture / ".wys" / "edits"
    seen: set[str] = set()
    for what, whole in ((1, 1.0), (2, 0.0)):  # all that the camera sees is added, then taken away
        strokes.paint(scene, what, 200.0, [(32, 24)])
        OPS.edit_scene()
        session.wait_for_job(scene, JOB_SECONDS)
        (name,) = {path.name for path in kept.iterdir()} - seen
        seen.add(name)
        with np.load(kept / name / "region.npz") as file:
            shapes, bits = file["shapes"], file["bits"]
        flat = np.unpackbits(bits, count=int(shapes.prod(axis=1).sum()))
        views = np.split(flat, np.cumsum(shapes.prod(axis=1))[:-1])
        assert any(view.mean() == whole for view in views), [view.mean() for view in views]
