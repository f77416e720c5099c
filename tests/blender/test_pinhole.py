"""The intrinsics and poses of captured views are those that Blender projects and renders with."""

import importlib
import math
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from driving import make_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from mathutils import Euler, Matrix, Vector


@pytest.fixture
def pinhole(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.pinhole")


@pytest.fixture
def scene_capture(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.capture_views")


def project(found: object, points: np.ndarray) -> np.ndarray:
    """(N, 3) world points to (N, 3): pixels from the top left corner, and depth."""
    pose = np.reshape(found.camera_to_world, (4, 4))
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    depth = -local[:, 2]
    x = found.cx + found.fx * local[:, 0] / depth
    y = found.cy - found.fy * local[:, 1] / depth
    return np.stack([x, y, depth], axis=1)


ANGLE = st.floats(-math.pi, math.pi)
CAMERAS = st.fixed_dictionaries(
    {
        "lens": st.floats(12, 200),
        "sensor_width": st.floats(8, 60),
        "sensor_height": st.floats(8, 60),
        "sensor_fit": st.sampled_from(["AUTO", "HORIZONTAL", "VERTICAL"]),
        "shift_x": st.floats(-0.6, 0.6),
        "shift_y": st.floats(-0.6, 0.6),
        "size": st.tuples(st.integers(8, 300), st.integers(8, 300)),
        "aspect": st.tuples(st.floats(1, 2.5), st.floats(1, 2.5)),
        "turn": st.tuples(ANGLE, ANGLE, ANGLE),
        "scale": st.floats(0.1, 5),
    }
)


@given(CAMERAS)
@settings(max_examples=100, deadline=None, database=None)
def projects_as_blender_does(pinhole: ModuleType, drawn: dict) -> None:
    scene = bpy.context.scene
    camera = scene.camera
    for name in ("lens", "sensor_width", "sensor_height", "sensor_fit", "shift_x", "shift_y"):
        setattr(camera.data, name, drawn[name])
    width, height = drawn["size"]
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = drawn["aspect"]
    camera.matrix_world = (
        Matrix.Translation((3, -2, 5))
        @ Euler(drawn["turn"]).to_matrix().to_4x4()
        @ Matrix.Scale(drawn["scale"], 4)
    )
    bpy.context.view_layer.update()
    rigid = camera.matrix_world.normalized()
    local = np.random.default_rng(0).uniform((-1, -1, -9), (1, 1, -3), (20, 3))
    points = [rigid @ Vector(point) for point in local]
    found = pinhole.pinhole_of(scene, camera, width, height)
    assert np.allclose(found.camera_to_world[:3, :3] @ found.camera_to_world[:3, :3].T, np.eye(3))
    # world_to_camera_view takes the object's matrix with its scale
    camera.matrix_world = rigid
    bpy.context.view_layer.update()
    seen = [world_to_camera_view(scene, camera, point) for point in points]
    blenders = np.array([(p.x * width, (1 - p.y) * height, p.z) for p in seen])
    own = project(found, np.array(points))
    size = max(width, height, np.abs(blenders[:, :2]).max())
    assert np.abs(own[:, :2] - blenders[:, :2]).max() < 1e-4 * size
    assert np.abs(own[:, 2] - blenders[:, 2]).max() < 1e-4


def test_projects_as_blender_does(pinhole: ModuleType, scene: bpy.types.Scene) -> None:
    projects_as_blender_does(pinhole)


@pytest.mark.parametrize("engine", ["BLENDER_WORKBENCH", "CYCLES"])
@pytest.mark.parametrize("seed", range(4))
def test_a_bright_ball_is_rendered_where_the_intrinsics_say(
    addon: SimpleNamespace, scene_capture: ModuleType, engine: str, seed: int
) -> None:
    """Its middle is, to half a pixel, in images of any aspect, shift, fit and pixel aspect."""
    rng = np.random.default_rng(seed)
    scene = make_scene()
    for thing in list(scene.objects):
        if thing.type == "MESH":
            bpy.data.objects.remove(thing)
    camera, render = scene.camera, scene.render
    render.engine = engine
    scene.cycles.samples, scene.cycles.use_denoising = 16, False
    camera.data.lens, camera.data.sensor_width = rng.uniform(25, 60), rng.uniform(20, 40)
    camera.data.sensor_fit = ("AUTO", "HORIZONTAL", "VERTICAL", "AUTO")[seed]
    camera.data.shift_x, camera.data.shift_y = rng.uniform(-0.3, 0.3, 2)
    camera.scale = (2, 2, 2)
    render.resolution_x, render.resolution_y = ((96, 64), (64, 96), (80, 60), (60, 90))[seed]
    render.pixel_aspect_x, render.pixel_aspect_y = ((1, 1), (1, 1.4), (1.5, 1), (1.2, 1))[seed]
    bpy.context.view_layer.update()
    frame = [Vector(corner) for corner in camera.data.view_frame(scene=scene)]
    inside = sum(
        (corner * w for corner, w in zip(frame, rng.dirichlet([3] * 4), strict=True)), Vector()
    )
    place = camera.matrix_world.normalized() @ (inside / -inside.z * 9)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.3, location=place)
    ball = bpy.context.object
    ball.color = (1, 1, 1, 1)
    scene.display.shading.light = "FLAT"
    glow = bpy.data.materials.new("glow")
    glow.use_nodes = True
    surface = glow.node_tree.nodes["Principled BSDF"]
    surface.inputs["Emission Color"].default_value = (1, 1, 1, 1)
    surface.inputs["Emission Strength"].default_value = 1
    ball.data.materials.append(glow)
    scene.view_settings.view_transform = "Standard"
    taken = scene_capture.take_view(
        scene, scene_capture.Plan(size=96, shots=(scene_capture.Shot(name="own"),)), 0, "0" * 32
    )
    assert taken.image.shape[:2] == (render.resolution_y, render.resolution_x)
    light = (taken.image.astype(float).mean(axis=2) - 8).clip(0)  # dithering adds a little
    assert light.max() > 100
    rows, columns = np.indices(light.shape) + 0.5
    seen = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
    assert np.abs(project(taken, np.array([place]))[0, :2] - seen).max() < 0.5


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda camera: setattr(camera.data, "type", "ORTHO"), "not a perspective camera"),
        (lambda camera: setattr(camera.data, "type", "PANO"), "not a perspective camera"),
        (lambda camera: setattr(camera, "scale", (-1, 1, 1)), "negative scale"),
        (lambda camera: setattr(camera, "scale", (1, 0, 1)), "scaled to nothing"),
        (lambda camera: setattr(camera, "location", (float("nan"), 0, 0)), "is nowhere"),
        (
            lambda camera: setattr(
                camera,
                "matrix_world",
                Matrix(((1, 0.5, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))),
            ),
            "sheared",
        ),
    ],
)
def test_what_is_no_pinhole_is_refused_in_one_sentence(
    addon: SimpleNamespace, pinhole: ModuleType, scene: bpy.types.Scene, spoil, words: str
) -> None:
    if words == "sheared":
        parent = bpy.data.objects.new("parent", None)
        scene.collection.objects.link(parent)
        parent.scale = (3, 1, 1)
        scene.camera.parent = parent
        scene.camera.rotation_euler = (0.4, 0.5, 0.6)
    else:
        spoil(scene.camera)
    with pytest.raises(addon.scene_error.SceneError, match=words):
        pinhole.pinhole_of(scene, scene.camera, 64, 48)
