"""A mesh, its texture and views of it leave Blender as they are; nothing of the scene changes."""

import importlib
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

ROOT = Path(__file__).parents[2]
FIELD_OF_VIEW = math.radians(40)
BACKEND = """
import sys
import numpy as np
from backend.captures.lens import Intrinsics
from backend.meshes.textured_mesh import MeshView, TexturedMesh, see_texture
given = np.load(sys.argv[1])
corners, uvs, occluders = (given[name].astype(float) for name in ("corners", "uvs", "occluders"))
mesh = TexturedMesh(corners, uvs, given["texture"], occluders)
texture = mesh.texture[..., :3].astype(np.float32)
renders, coverage = [], []
for image, pose in zip(given["images"], given["camera_to_world"]):
    camera = Intrinsics(*given["intrinsics"], image.shape[1], image.shape[0])
    seen = see_texture(mesh, MeshView(image, camera, pose), 4, 1.0)
    renders.append(seen.render(texture))
    coverage.append(seen.coverage)
np.savez(
    sys.argv[2], texel=mesh.surface.texel, position=mesh.surface.position + mesh.centre,
    renders=renders, coverage=coverage,
)
"""
"""What the backend makes of a mesh and its views, in its own Python."""


@pytest.fixture
def in_backend(tmp_path: Path) -> Callable[[Any, Any], dict[str, np.ndarray]]:
    """A function that hands a MeshTexture and ObjectViews to the backend's own modules."""
    python = os.environ.get("WATCH_YOUR_STEPS_BACKEND_PYTHON")
    if not python:
        pytest.fail("Set WATCH_YOUR_STEPS_BACKEND_PYTHON (python install.py test does).")

    def ask(read: Any, views: Any) -> dict[str, np.ndarray]:
        given, taken = tmp_path / "given.npz", tmp_path / "taken.npz"
        arrays = {name: getattr(read, name) for name in ("corners", "uvs", "occluders", "texture")}
        np.savez(given, **arrays, **vars(views))
        subprocess.run([python, "-c", BACKEND, str(given), str(taken)], cwd=ROOT, check=True)
        return dict(np.load(taken))

    return ask


@pytest.fixture
def mesh_texture(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.meshes.mesh_reading")


@pytest.fixture
def view_cameras(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.object_views")


def painted(thing: bpy.types.Object, pixels: np.ndarray, name: str = "paint") -> bpy.types.Image:
    """Give an object a texture as its base color: uint8 (T, S, 4), row 0 at the top."""
    height, width = pixels.shape[:2]
    image = bpy.data.images.new(name, width, height)
    image.pixels.foreach_set((pixels[::-1].astype(np.float32) / 255).ravel())
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture = nodes.new("ShaderNodeTexImage")
    texture.image = image
    links.new(texture.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    thing.data.materials.append(material)
    return image


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)


@pytest.fixture
def thing(addon: SimpleNamespace) -> bpy.types.Object:
    """A cone, unwrapped, turned, stretched, moved, with a texture of noise; a floor beside it."""
    bpy.ops.mesh.primitive_plane_add(size=9, location=(0, 0, -3))
    bpy.ops.mesh.primitive_cone_add(vertices=7, radius1=1, depth=2)
    thing = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.uv.smart_project(island_margin=0.05)
    bpy.ops.object.mode_set(mode="OBJECT")
    thing.location, thing.rotation_euler, thing.scale = (3, -2, 1), (0.3, 0.2, 1.0), (1, 1.5, 0.7)
    bpy.context.view_layer.update()
    painted(thing, noise(48, 64))
    bpy.context.scene.render.engine = "CYCLES"
    bpy.context.scene.cycles.samples = 1
    bpy.context.scene.cycles.use_denoising = False
    return thing


def state(scene: bpy.types.Scene) -> dict[str, Any]:
    """What a render from around an object could leave behind."""
    owners = {
        "render": (scene.render, "engine resolution_x resolution_y resolution_percentage filepath"),
        "aspect": (scene.render, "pixel_aspect_x pixel_aspect_y use_motion_blur use_compositing"),
        "view": (scene.view_settings, "view_transform look exposure gamma use_curve_mapping"),
        "shading": (scene.display.shading, "light color_type show_cavity show_object_outline"),
        "scene": (scene, "camera world"),
        "file": (scene.render.image_settings, "file_format color_mode color_depth exr_codec"),
    }
    found = {
        f"{key}.{name}": getattr(owner, name)
        for key, (owner, names) in owners.items()
        for name in names.split()
    }
    found |= {thing.name: thing.hide_render for thing in scene.objects}
    found |= {f"depth of {layer.name}": layer.use_pass_z for layer in scene.view_layers}
    kinds = ("cameras", "worlds", "images", "meshes", "objects", "materials")
    blocks = {kind: set(getattr(bpy.data, kind).keys()) for kind in kinds}
    blocks["images"].discard("Render Result")
    return found | blocks


# ---------------------------------------------------------------- mesh and texture


def test_triangles_lie_in_the_world_with_their_uvs(
    mesh_texture: ModuleType, thing: bpy.types.Object
) -> None:
    read = mesh_texture.read_mesh_texture(bpy.context, thing)
    assert read.corners.shape == (len(read.uvs), 3, 3)
    assert read.occluders.shape == (0, 3, 3)
    thing.data.calc_loop_triangles()
    uv = thing.data.uv_layers.active.uv
    for triangle, corners, uvs in zip(
        thing.data.loop_triangles, read.corners, read.uvs, strict=True
    ):
        for vertex, loop, corner, coordinate in zip(
            triangle.vertices, triangle.loops, corners, uvs, strict=True
        ):
            place = thing.matrix_world @ thing.data.vertices[vertex].co
            assert (Vector(corner) - place).length < 1e-5
            assert (Vector(coordinate) - uv[loop].vector).length < 1e-6


def test_the_texture_comes_byte_for_byte(mesh_texture: ModuleType, thing: bpy.types.Object) -> None:
    assert np.array_equal(mesh_texture.read_mesh_texture(bpy.context, thing).texture, noise(48, 64))


def test_modifiers_are_those_of_a_render(mesh_texture: ModuleType, thing: bpy.types.Object) -> None:
    plain = mesh_texture.read_mesh_texture(bpy.context, thing)
    smooth = thing.modifiers.new("smooth", "SUBSURF")
    smooth.levels, smooth.render_levels = 0, 2
    hidden = thing.modifiers.new("only while working", "ARRAY")
    hidden.show_render = False
    fine = mesh_texture.read_mesh_texture(bpy.context, thing)
    assert 8 * len(plain.corners) < len(fine.corners) < 40 * len(plain.corners)
    assert (smooth.levels, hidden.show_viewport) == (0, True)


def test_faces_with_another_material_only_hide(
    mesh_texture: ModuleType, thing: bpy.types.Object
) -> None:
    other = painted(thing, noise(8, 8, 1), "other")
    thing.data.polygons[0].material_index = 1
    whole = mesh_texture.read_mesh_texture(bpy.context, thing)
    assert whole.image == "paint"
    assert len(whole.occluders) > 0
    part = mesh_texture.read_mesh_texture(bpy.context, thing, other)
    assert np.array_equal(part.corners, whole.occluders)
    assert np.array_equal(part.texture, noise(8, 8, 1))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda thing: thing.data.materials.clear(), "no faces with an image texture"),
        (lambda thing: thing.data.uv_layers.remove(thing.data.uv_layers[0]), "no UV map"),
        (
            lambda thing: setattr(
                next(
                    node
                    for node in thing.active_material.node_tree.nodes
                    if node.type == "TEX_IMAGE"
                ),
                "image",
                bpy.data.images.new("deep", 8, 8, float_buffer=True),
            ),
            "more than 8 bits",
        ),
    ],
)
def test_refused_in_one_sentence(
    addon: SimpleNamespace,
    mesh_texture: ModuleType,
    thing: bpy.types.Object,
    spoil: Any,
    words: str,
) -> None:
    spoil(thing)
    with pytest.raises(addon.scene_error.SceneError, match=words):
        mesh_texture.read_mesh_texture(bpy.context, thing)


def test_texels_lie_where_blenders_own_bake_finds_them(
    mesh_texture: ModuleType,
    view_cameras: ModuleType,
    thing: bpy.types.Object,
    in_backend: Callable[[Any, Any], dict[str, np.ndarray]],
) -> None:
    """Cycles bakes the world position as emission into the same texels."""
    read = mesh_texture.read_mesh_texture(bpy.context, thing)
    nothing = view_cameras.ObjectViews(np.zeros((0, 8, 8, 3)), np.ones(4), np.zeros((0, 4, 4)))
    own = in_backend(read, nothing)
    material = thing.active_material
    nodes, links = material.node_tree.nodes, material.node_tree.links
    target = nodes.new("ShaderNodeTexImage")
    target.image = bpy.data.images.new("bake", 64, 48, float_buffer=True, alpha=True)
    target.image.colorspace_settings.name = "Non-Color"
    emission, geometry = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeNewGeometry")
    links.new(geometry.outputs["Position"], emission.inputs["Color"])
    links.new(emission.outputs["Emission"], nodes["Material Output"].inputs["Surface"])
    nodes.active = target
    bpy.ops.object.select_all(action="DESELECT")
    thing.select_set(True)
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.bake(type="EMIT", margin=0, use_clear=True)
    baked = np.empty(48 * 64 * 4, np.float32)
    target.image.pixels.foreach_get(baked)
    baked = baked.reshape(48, 64, 4)[::-1].reshape(-1, 4)[:, :3]
    written = (baked != 0).any(axis=1)
    covered = np.zeros(48 * 64, bool)
    covered[own["texel"]] = True
    assert covered.sum() > 300
    assert (written != covered).mean() < 0.03, "they differ on borders at most"
    both = written[own["texel"]]
    distance = np.linalg.norm(baked[own["texel"]] - own["position"], axis=1)[both]
    texel = np.ptp(read.corners.reshape(-1, 3), axis=0).max() / 24
    assert np.median(distance) < texel / 100
    assert distance.max() < texel, "on a border the bake takes a point inside the face"


# ---------------------------------------------------------------- cameras and renders


@pytest.mark.parametrize("seed", range(5))
def test_cameras_see_all_of_it_and_as_large_as_asked(view_cameras: ModuleType, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(60, 3)).astype(np.float32) * (1, 3, 0.4) + 5
    poses = view_cameras.poses_around(points, 9, FIELD_OF_VIEW, filled=0.8)
    for pose in poses:
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) > 0
        assert pose[2, 1] > 0, "up is up"
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        share = np.abs(local[:, :2] / local[:, 2:]).max() / math.tan(FIELD_OF_VIEW / 2)
        assert (local[:, 2] < 0).all()
        assert share == pytest.approx(0.8, rel=1e-5)
    back = poses[:, :3, 2]
    apart = np.degrees(np.arccos((back @ back.T - 2 * np.eye(9)).clip(-1, 1).max(axis=1)))
    assert apart.min() > 25, "no two look from the same side"


@pytest.mark.parametrize("seed", range(5))
def test_cameras_at_given_places_see_all_of_it(view_cameras: ModuleType, seed: int) -> None:
    """The nearest as large as asked; one in its middle, one too near and one behind a wall of it
    are left out, and one right above it is not.
    """
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (60, 3)).astype(np.float32) * (1, 3, 0.4) + 5
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    directions = rng.normal(size=(6, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    far = centre + directions * rng.uniform(8, 30, (6, 1))
    above = centre + np.array([0, 0, 9])
    bad = centre + np.array([[0, 0, 0], [0.1, 2.0, 0.1], [0, 0, 0.6]])
    poses, field_of_view = view_cameras.poses_towards(np.array([*bad, *far, above]), points, 0.8)
    np.testing.assert_allclose(poses[:, :3, 3], [*far, above])
    shares = []
    for pose in poses:
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) > 0
        assert pose[2, 1] > -1e-9, "up is up"
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        assert (local[:, 2] < 0).all()
        shares.append(np.abs(local[:, :2] / local[:, 2:]).max() / math.tan(field_of_view / 2))
    assert max(shares) == pytest.approx(0.8, rel=1e-5)
    assert len(view_cameras.poses_towards(np.array(bad), points)[0]) == 0


def test_unlit_views_show_the_textures_own_colours(
    view_cameras: ModuleType, mesh_texture: ModuleType, thing: bpy.types.Object
) -> None:
    flat = np.full((48, 64, 4), (30, 140, 220, 255), np.uint8)
    image = bpy.data.images["paint"]
    image.pixels.foreach_set((flat[::-1].astype(np.float32) / 255).ravel())
    corners = mesh_texture.read_mesh_texture(bpy.context, thing).corners.reshape(-1, 3)
    poses = view_cameras.poses_around(corners, 3, FIELD_OF_VIEW)
    views = view_cameras.render_around(
        bpy.context.scene, thing, image, poses, 64, FIELD_OF_VIEW, lit=False
    )
    assert views.images.shape == (3, 64, 64, 3)
    assert views.images.dtype == np.uint8
    fx, fy, cx, cy = views.intrinsics
    for picture, pose in zip(views.images, views.camera_to_world, strict=True):
        local = (corners - pose[:3, 3]) @ pose[:3, :3]
        x = local[:, 0] / -local[:, 2] * fx + cx
        y = local[:, 1] / local[:, 2] * fy + cy
        shown = np.abs(picture.astype(int) - (30, 140, 220)).max(axis=2) <= 1
        assert shown[int(y.mean()), int(x.mean())]
        rows, columns = np.nonzero(np.abs(picture.astype(int) - picture[0, 0]).max(axis=2) > 8)
        box = (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
        assert np.abs(np.array(box) - (x.min(), x.max(), y.min(), y.max())).max() < 1.5


def test_the_backend_sees_in_a_view_what_blender_rendered(
    mesh_texture: ModuleType,
    view_cameras: ModuleType,
    thing: bpy.types.Object,
    in_backend: Callable[[Any, Any], dict[str, np.ndarray]],
) -> None:
    ramp = np.full((48, 64, 4), 255, np.uint8)
    ramp[..., 0] = np.linspace(40, 220, 64)
    ramp[..., 1] = np.linspace(220, 40, 48)[:, None]
    image = bpy.data.images["paint"]
    image.pixels.foreach_set((ramp[::-1].astype(np.float32) / 255).ravel())
    read = mesh_texture.read_mesh_texture(bpy.context, thing)
    poses = view_cameras.poses_around(read.corners.reshape(-1, 3), 4, FIELD_OF_VIEW)
    views = view_cameras.render_around(
        bpy.context.scene, thing, image, poses, 64, FIELD_OF_VIEW, lit=False
    )
    own = in_backend(read, views)
    inside = own["coverage"] == 1
    assert inside.sum() > 1000
    difference = np.abs(own["renders"] - views.images)[inside]
    assert difference.mean() < 2.5
    turned = np.abs(own["renders"][:, :, ::-1] - views.images)[inside]
    assert turned.mean() > 5 * difference.mean()


def test_intrinsics_and_poses_are_those_that_blender_projects_with(
    view_cameras: ModuleType, thing: bpy.types.Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    points = [Vector(p) for p in np.random.default_rng(0).normal(size=(20, 3)) * 0.5 + (3, -2, 1)]

    def project(scene: bpy.types.Scene, size: int, *given: object) -> object:
        bpy.context.view_layer.update()
        there = [world_to_camera_view(scene, scene.camera, point) for point in points]
        seen.append(np.array([(p.x * size, (1 - p.y) * size, p.z) for p in there]))
        return original(scene, size, *given)

    original = view_cameras.rendering_seen
    monkeypatch.setattr(view_cameras, "rendering_seen", project)
    poses = view_cameras.poses_around(np.array(points, np.float32), 4, FIELD_OF_VIEW)
    image = bpy.data.images["paint"]
    views = view_cameras.render_around(
        bpy.context.scene, thing, image, poses, 32, FIELD_OF_VIEW, lit=False
    )
    fx, fy, cx, cy = views.intrinsics
    for pose, blenders in zip(views.camera_to_world, seen, strict=True):
        local = (np.array(points) - pose[:3, 3]) @ pose[:3, :3]
        own = np.stack(
            [
                local[:, 0] / -local[:, 2] * fx + cx,
                local[:, 1] / local[:, 2] * fy + cy,
                -local[:, 2],
            ],
            axis=1,
        )
        np.testing.assert_allclose(own, blenders, atol=1e-3)


@pytest.mark.parametrize("lit", [True, False])
def test_only_the_object_is_shown_and_the_scene_is_as_before(
    view_cameras: ModuleType, thing: bpy.types.Object, lit: bool
) -> None:
    scene = bpy.context.scene
    scene.view_settings.view_transform = "AgX"
    scene.render.resolution_x, scene.render.resolution_percentage = 321, 50
    scene.world = bpy.data.worlds.new("sky")
    thing.hide_render = True
    before = state(scene)
    corners = np.array([thing.matrix_world @ Vector(c) for c in thing.bound_box], np.float32)
    poses = view_cameras.poses_around(corners, 2, FIELD_OF_VIEW)
    image = bpy.data.images["paint"]
    views = view_cameras.render_around(scene, thing, image, poses, 48, FIELD_OF_VIEW, lit)
    assert state(scene) == before
    for picture in views.images:
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert np.ptp(border, axis=0).max() <= 2, "the floor is not to be seen"
    stopped = view_cameras.rendering_from(
        scene, thing, image, poses[0], 48, FIELD_OF_VIEW, lit, as_captured=False
    )
    next(stopped)
    assert state(scene) != before
    stopped.close()  # as Esc does
    assert state(scene) == before
    parts = view_cameras.rendering_from(
        scene, thing, image, poses[0], 48, FIELD_OF_VIEW, lit, as_captured=False
    )
    copy = next(parts)
    bpy.ops.render.render(write_still=True, scene=copy.name)
    decoding = next(parts)
    assert state(scene) == before, "while a thread reads what was rendered"
    decoding.run()


def test_colours_are_standards_or_as_captured(
    view_cameras: ModuleType, thing: bpy.types.Object
) -> None:
    """The scene's exposure and view transform show in views as captured, and in no others."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples = "CYCLES", 4
    scene.world = bpy.data.worlds.new("sky")  # so that it is not dark
    scene.world.color = (0.5, 0.5, 0.5)
    corners = np.array([thing.matrix_world @ Vector(c) for c in thing.bound_box], np.float32)
    poses = view_cameras.poses_around(corners, 1, FIELD_OF_VIEW)
    image, settings = bpy.data.images["paint"], scene.view_settings

    def seen(transform: str, exposure: float, as_captured: bool) -> float:
        settings.view_transform, settings.exposure = transform, exposure
        views = view_cameras.render_around(
            scene, thing, image, poses, 32, FIELD_OF_VIEW, True, as_captured=as_captured
        )
        assert (settings.view_transform, settings.exposure) == (transform, pytest.approx(exposure))
        return float(views.images.astype(float).mean())

    plain = seen("Standard", 0.0, True)
    assert plain > 20
    assert seen("AgX", 0.0, False) == pytest.approx(plain, abs=1)
    assert abs(seen("AgX", 0.0, True) - plain) > 3
    assert seen("Standard", -3.0, True) < 0.6 * plain


# ---------------------------------------------------------------- far from the origin

FAR = np.array([512345.0, 5412345.0, -120.0])
"""Where a map's coordinates (UTM) put a mesh: float32 is half a metre there."""


def moved_far(scene: bpy.types.Scene) -> None:
    """Everything that hangs on nothing else; where float32 can say it exactly."""
    for one in scene.objects:
        if one.parent is None:
            one.location = np.round(np.array(one.location) * 2) / 2 + FAR
    bpy.context.view_layer.update()


@pytest.mark.parametrize("lit", [False, True])
def test_far_from_the_origin_views_and_corners_are_as_at_the_origin(
    mesh_texture: ModuleType, view_cameras: ModuleType, thing: bpy.types.Object, lit: bool
) -> None:
    """With a lamp that hangs on the thing, and one that follows it."""
    scene = bpy.context.scene
    for number in range(2):
        lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
        lamp.data.energy = 200
        scene.collection.objects.link(lamp)
        if number:
            lamp.parent, lamp.location = thing, (0, -2, 1)
        else:
            lamp.location = (6, -2, 3)
            lamp.constraints.new("TRACK_TO").target = thing
    scene.cycles.samples, scene.cycles.seed = 8, 1
    found = []
    for _ in range(2):
        read = mesh_texture.read_mesh_texture(bpy.context, thing)
        poses = view_cameras.poses_around(read.corners.reshape(-1, 3), 2, FIELD_OF_VIEW)
        before = [tuple(one.location) + tuple(one.delta_location) for one in scene.objects]
        image = bpy.data.images["paint"]
        views = view_cameras.render_around(scene, thing, image, poses, 48, FIELD_OF_VIEW, lit)
        after = [tuple(one.location) + tuple(one.delta_location) for one in scene.objects]
        assert before == after
        assert np.array_equal(views.camera_to_world, poses)
        found.append((read.corners, poses, views.images))
        moved_far(scene)
    near, far = found
    np.testing.assert_allclose(far[0] - FAR, near[0], atol=1e-5)
    np.testing.assert_allclose(far[1][:, :3, 3] - FAR, near[1][:, :3, 3], atol=1e-4)
    assert near[2].std() > 10
    assert np.abs(far[2].astype(int) - near[2]).mean() < 1


def test_what_is_held_far_from_the_origin_is_refused(
    addon: SimpleNamespace, view_cameras: ModuleType, thing: bpy.types.Object
) -> None:
    """A constraint holds it where it is, so that it cannot be brought to the origin."""
    held = thing.constraints.new("LIMIT_LOCATION")
    for axis in "xyz":
        setattr(held, f"use_min_{axis}", True)
        setattr(held, f"min_{axis}", 5e6)
    bpy.context.view_layer.update()
    poses = view_cameras.poses_around(np.full((1, 3), 5e6) + np.eye(3), 1, FIELD_OF_VIEW)
    image = bpy.data.images["paint"]
    with pytest.raises(addon.scene_error.SceneError, match="a constraint or its animation"):
        view_cameras.render_around(
            bpy.context.scene, thing, image, poses, 16, FIELD_OF_VIEW, lit=False
        )


def test_what_animation_holds_far_from_the_origin_is_refused(
    addon: SimpleNamespace, mesh_texture: ModuleType, thing: bpy.types.Object
) -> None:
    """Renders put it back where its animation has it; what the artist has moved since stays."""
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    bpy.context.scene.collection.objects.link(lamp)
    lamp.keyframe_insert("location", frame=1)
    thing.keyframe_insert("delta_location", frame=1)
    moved_far(bpy.context.scene)
    with pytest.raises(addon.scene_error.SceneError, match="its animation holds it"):
        mesh_texture.read_mesh_texture(bpy.context, thing)
    assert np.array_equal(lamp.location, FAR)
    assert tuple(thing.delta_location) == (0, 0, 0)


def test_far_from_the_origin_a_mesh_on_a_parent_is_where_it_is_rendered(
    mesh_texture: ModuleType, view_cameras: ModuleType, thing: bpy.types.Object
) -> None:
    """As files of maps have it: the parent is far away, and its child's offset less than float32
    can tell there.
    """
    scene, place = bpy.context.scene, (0.11, 0.31, 0.23)
    bpy.context.view_layer.update()
    near = mesh_texture.read_mesh_texture(bpy.context, thing).corners - np.array(thing.location)
    parent = bpy.data.objects.new("map", None)
    scene.collection.objects.link(parent)
    parent.location, thing.location, thing.parent = FAR, place, parent
    bpy.context.view_layer.update()
    far = mesh_texture.read_mesh_texture(bpy.context, thing).corners
    np.testing.assert_allclose(far - FAR - place, near, atol=1e-5)
