"""The camera's frame in a region, against Blender's own projection of points in the scene."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from mathutils import Matrix, Vector


def random_scene(rng: np.random.Generator) -> bpy.types.Scene:
    """A camera anywhere, with lens shift, non-square pixels and any sensor fit."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.location = rng.normal(size=3) * 5
    camera.rotation_euler = rng.uniform(-3, 3, 3)
    camera.scale = rng.uniform(0.5, 2, 3)
    data = camera.data
    data.type = rng.choice(["PERSP", "ORTHO"])
    data.lens = rng.uniform(15, 120)
    data.ortho_scale = rng.uniform(1, 9)
    data.shift_x, data.shift_y = rng.uniform(-0.4, 0.4, 2)
    data.sensor_fit = rng.choice(["AUTO", "HORIZONTAL", "VERTICAL"])
    data.sensor_height = rng.uniform(10, 40)
    scene.render.resolution_x, scene.render.resolution_y = map(int, rng.integers(40, 400, 2))
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = rng.uniform(1, 2, 2)
    return scene


def window_matrix(projection: Matrix, rng: np.random.Generator) -> Matrix:
    """A view through the camera, zoomed and moved as the 3D view does it: what lies in the frame
    fills some other rectangle of the region.
    """
    zoom = Matrix.Diagonal((*rng.uniform(0.3, 1.5, 2), 1, 1))
    move = Matrix.Translation((*rng.uniform(-0.5, 0.5, 2), 0))
    return move @ zoom @ projection


@pytest.mark.parametrize("seed", range(20))
def test_points_of_the_picture_lie_there_in_the_region(addon: SimpleNamespace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = random_scene(rng)
    render, camera = scene.render, scene.camera
    bpy.context.view_layer.update()
    projection = camera.calc_matrix_camera(
        bpy.context.evaluated_depsgraph_get(),
        x=render.resolution_x,
        y=render.resolution_y,
        scale_x=render.pixel_aspect_x,
        scale_y=render.pixel_aspect_y,
    )
    window = window_matrix(projection, rng)
    width, height = map(int, rng.integers(200, 2000, 2))
    corners = camera.data.view_frame(scene=scene)
    frame = addon.frame.camera_frame(corners, window, width, height)
    for _ in range(20):
        point = Vector((*rng.normal(size=2), -rng.uniform(1, 20), 1))  # in camera space
        in_picture = projection @ point
        in_region = window @ point
        u, v = ((in_picture[i] / in_picture.w + 1) / 2 for i in range(2))
        x = (in_region.x / in_region.w + 1) / 2 * width
        y = (in_region.y / in_region.w + 1) / 2 * height
        assert frame.left + u * (frame.right - frame.left) == pytest.approx(x, abs=0.05)
        assert frame.bottom + v * (frame.top - frame.bottom) == pytest.approx(y, abs=0.05)


def test_the_render_agrees(addon: SimpleNamespace) -> None:
    """A small bright thing is rendered where the frame's rectangle says it is."""
    scene = random_scene(np.random.default_rng(3))
    camera, render = scene.camera, scene.render
    camera.data.type = "PERSP"
    camera.data.lens = 40
    camera.data.shift_x, camera.data.shift_y = 0.2, -0.1
    camera.location, camera.rotation_euler, camera.scale = (0, 0, 0), (0, 0, 0), (1, 1, 1)
    render.resolution_x, render.resolution_y = 160, 90
    render.pixel_aspect_x, render.pixel_aspect_y = 1.0, 1.5
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.08, location=(1.2, 0.3, -8))
    bpy.context.object.color = (1, 1, 1, 1)
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.display.shading.color_type, scene.display.shading.light = "OBJECT", "FLAT"
    scene.world = bpy.data.worlds.new("black")
    scene.world.color = (0, 0, 0)
    png = addon.camera_render.capture(bpy.context.scene, 160)
    rgb = addon.pictures.read_rgb(addon.pictures.new_packed_image("capture", png))
    rows, columns = np.nonzero(rgb[..., 1] > 128)
    projection = camera.calc_matrix_camera(
        bpy.context.evaluated_depsgraph_get(), x=160, y=90, scale_x=1.0, scale_y=1.5
    )
    corners = camera.data.view_frame(scene=scene)
    frame = addon.frame.camera_frame(corners, projection, 160, 90)
    assert (frame.left, frame.bottom) == pytest.approx((0, 0), abs=0.01)
    assert (frame.right, frame.top) == pytest.approx((160, 90), abs=0.01)
    clip = projection @ Vector((1.2, 0.3, -8, 1))
    assert columns.mean() + 0.5 == pytest.approx((clip.x / clip.w + 1) / 2 * 160, abs=1)
    assert 90 - (rows.mean() + 0.5) == pytest.approx((clip.y / clip.w + 1) / 2 * 90, abs=1)
