"""Which views a capture consists of, and that taking them leaves the scene as it was."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from driving import SECONDS
from mathutils import Vector
from test_flows import refusal
from test_mesh_views import state
from test_own_renders import flipped

CAPTURE = "0" * 32


@pytest.fixture
def scene_capture(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.capture_views")


def around(scene_capture: ModuleType, count: int = 24, size: int = 32):
    return scene_capture.plan_around(bpy.context.scene, bpy.context.view_layer, count, size)


def poses_of(plan) -> np.ndarray:
    return np.array([shot.pose for shot in plan.shots]).reshape(-1, 4, 4)


# ---------------------------------------------------------------- around the objects


@pytest.mark.parametrize("count", [3, 7, 17, 24, 50])
def test_rings_show_all_of_it_from_all_sides(scene_capture: ModuleType, count: int) -> None:
    points = np.random.default_rng(count).normal(size=(40, 3)) * (1, 3, 0.5) + (4, 0, 1)
    poses = scene_capture.poses_on_rings(points, count)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    away = poses[:, :3, 3] - centre
    distance = np.linalg.norm(away, axis=1)
    assert np.allclose(distance, distance[0])
    elevation = np.degrees(np.arcsin(away[:, 2] / distance))
    rings = sorted(set(elevation.round(3)))
    assert rings == ([15, 32.5, 50] if count >= 18 else [15, 50])
    azimuth = np.sort(np.degrees(np.arctan2(away[:, 1], away[:, 0])))
    assert np.allclose(np.diff(azimuth), 360 / count)
    shares = []
    for pose in poses:
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3))
        assert np.linalg.det(pose[:3, :3]) > 0
        assert pose[2, 1] > 0, "up is up"
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        assert np.allclose((centre - pose[:3, 3]) @ pose[:3, :2], 0), "it looks at the middle"
        tangent = np.tan(scene_capture.FIELD_OF_VIEW / 2)
        shares.append(np.abs(local[:, :2] / local[:, 2:]).max() / tangent)
    assert max(shares) == pytest.approx(scene_capture.FILLED)


def test_the_ground_is_no_subject_and_a_selection_is_the_only_one(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    bpy.ops.mesh.primitive_plane_add(size=200)
    bpy.ops.mesh.primitive_cube_add(size=1, location=(3, 0, 0))
    bpy.context.object.name = "small"
    bpy.ops.mesh.primitive_cube_add(size=1, location=(50, 0, 0))
    bpy.context.object.hide_render = True
    bpy.ops.object.select_all(action="DESELECT")

    def named() -> set[str]:
        layer = bpy.context.view_layer
        layer.update()
        return {thing.name for thing in scene_capture.subjects(bpy.context.scene, layer)}

    bpy.data.objects.remove(bpy.data.objects["ground"])  # here a large cube below everything
    assert named() == {"ball", "small"}
    bpy.ops.mesh.primitive_uv_sphere_add(radius=90)
    bpy.context.object.name = "dome"
    bpy.ops.object.select_all(action="DESELECT")
    assert named() == {"ball", "small"}
    bpy.data.objects["Plane"].select_set(True)
    bpy.data.objects["dome"].select_set(True)
    assert named() == {"ball", "small"}, "they happen to be selected"
    bpy.data.objects["small"].select_set(True)
    bpy.data.objects["camera"].select_set(True)
    assert named() == {"small"}


def test_only_ground_is_better_than_nothing(
    scene_capture: ModuleType, addon: SimpleNamespace
) -> None:
    with pytest.raises(addon.scene_error.SceneError, match="nothing to capture"):
        around(scene_capture)
    bpy.ops.mesh.primitive_plane_add(size=2)
    assert len(around(scene_capture).shots) == 24


# ---------------------------------------------------------------- the scene's cameras, the frames


def test_all_cameras_of_the_scene(
    scene_capture: ModuleType, scene: bpy.types.Scene, addon: SimpleNamespace
) -> None:
    with pytest.raises(addon.scene_error.SceneError, match="would have 1: add cameras"):
        scene_capture.plan_cameras(scene, 32)
    for number in range(3):
        camera = bpy.data.objects.new(f"camera {number}", bpy.data.cameras.new("lens"))
        scene.collection.objects.link(camera)
        camera.location, camera.rotation_euler = (number - 1, -8, 3), (1.25, 0, 0)
        camera.data.lens = 30 + 10 * number
    plan = scene_capture.plan_cameras(scene, 24)
    assert [shot.camera for shot in plan.shots] == ["camera", "camera 0", "camera 1", "camera 2"]
    taken = scene_capture.take_view(scene, plan, 3, CAPTURE)
    assert taken.image.shape == (24, 32, 3), "the shorter side has the size, the aspect is kept"
    assert taken.fx == taken.fy == pytest.approx(50 / 36 * 32)
    assert taken.camera_to_world[3::4] == pytest.approx((1, -8, 3, 1))
    bpy.data.objects.remove(bpy.data.objects["camera 2"])
    with pytest.raises(addon.scene_error.SceneError, match='"camera 2" is not there any more'):
        scene_capture.take_view(scene, plan, 3, CAPTURE)
    bpy.data.objects["camera 1"].data.type = "ORTHO"
    with pytest.raises(addon.scene_error.SceneError, match='"camera 1" is not a perspective'):
        scene_capture.plan_cameras(scene, 24)


def test_the_active_camera_over_the_frames(
    scene_capture: ModuleType, scene: bpy.types.Scene, addon: SimpleNamespace
) -> None:
    """Also where it is animated by a parent, and markers switch cameras."""
    track = bpy.data.objects.new("track", None)
    scene.collection.objects.link(track)
    scene.camera.parent = track
    for frame, x in ((1, 0.0), (21, 10.0)):
        track.location.x = x
        track.keyframe_insert("location", frame=frame)
    other = bpy.data.objects.new("other", bpy.data.cameras.new("other"))
    scene.collection.objects.link(other)
    other.location = (0, -9, 1)
    scene.timeline_markers.new("a", frame=1).camera = scene.camera
    scene.timeline_markers.new("b", frame=15).camera = other
    scene.frame_start, scene.frame_end, scene.frame_step = 1, 21, 5
    scene.frame_set(1)
    plan = scene_capture.plan_frames(scene, 16)
    assert [shot.frame for shot in plan.shots] == [1, 6, 11, 16, 21]
    views = [scene_capture.take_view(scene, plan, index, CAPTURE) for index in range(5)]
    places = np.array([view.camera_to_world for view in views]).reshape(-1, 4, 4)[:, :3, 3]
    assert places[0, 0] < places[1, 0] < places[2, 0]
    assert np.allclose(places[3:], (0, -9, 1))
    assert scene.frame_current == 1
    assert scene.camera.name == "camera"
    scene.frame_end = 6
    with pytest.raises(addon.scene_error.SceneError, match="frame range"):
        scene_capture.plan_frames(scene, 16)


def test_a_marker_does_not_put_another_camera_in_the_way(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    bpy.context.view_layer.objects.active = None
    plan = around(scene_capture, 3)
    plain = scene_capture.take_view(scene, plan, 0, CAPTURE)
    scene.timeline_markers.new("a", frame=scene.frame_current).camera = scene.camera
    assert np.array_equal(scene_capture.take_view(scene, plan, 0, CAPTURE).image, plain.image)
    assert scene.timeline_markers["a"].camera == scene.camera


# ---------------------------------------------------------------- what is taken


def test_taking_changes_nothing(scene_capture: ModuleType, scene: bpy.types.Scene) -> None:
    scene.render.use_motion_blur = True
    scene.render.pixel_aspect_x = 1.5
    scene.camera.data.dof.use_dof = True
    scene.camera.location.x = 0.7  # not keyed
    scene.camera.keyframe_insert("location", index=2)
    plan = around(scene_capture)
    own = scene_capture.Plan(size=32, shots=(scene_capture.Shot(name="own"),) * 3)
    file = scene.render.image_settings
    file.file_format, file.color_depth, file.exr_codec = "OPEN_EXR", "16", "B44"
    before = state(scene)
    views = [scene_capture.take_view(scene, plan, index, CAPTURE) for index in (0, 5)]
    views.append(scene_capture.take_view(scene, own, 0, CAPTURE))
    assert state(scene) == before
    assert scene.camera.data.dof.use_dof
    assert scene.camera.location.x == pytest.approx(0.7)
    for view in views:
        assert np.ptp(view.image) > 50
        assert view.alpha is None
    assert views[0].image.shape == (32, 32, 3)
    assert views[0].fx == views[0].fy
    assert not np.array_equal(views[0].image, views[1].image)


def test_the_views_show_the_object_where_they_say(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    """The red block's corners lie around what is red in every view."""
    bpy.data.objects.remove(bpy.data.objects["ground"])
    plan = around(scene_capture, 6, 64)
    block = bpy.data.objects["ball"]
    corners = np.array([block.matrix_world @ Vector(corner) for corner in block.bound_box])
    scene.display.shading.light = "FLAT"
    for index in range(6):
        view = scene_capture.take_view(scene, plan, index, CAPTURE)
        pose = np.reshape(view.camera_to_world, (4, 4))
        local = (corners - pose[:3, 3]) @ pose[:3, :3]
        x = view.cx + view.fx * local[:, 0] / -local[:, 2]
        y = view.cy - view.fy * local[:, 1] / -local[:, 2]
        rows, columns = np.nonzero(view.image[..., 0] > 100)
        seen = (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
        assert np.abs(np.subtract(seen, (x.min(), x.max(), y.min(), y.max()))).max() < 1


def test_alpha_and_straight_colours_where_the_film_is_transparent(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    bpy.data.objects.remove(bpy.data.objects["ground"])
    scene.render.film_transparent = True
    scene.display.shading.light = "FLAT"
    view = scene_capture.take_view(scene, around(scene_capture, 3, 64), 0, CAPTURE)
    assert view.alpha.shape == (64, 64)
    assert view.alpha.dtype == np.uint8
    edge = (view.alpha > 20) & (view.alpha < 235)
    assert edge.any()
    assert (view.alpha[0] == 0).all()
    inner = np.median(view.image[view.alpha > 250], axis=0)
    assert np.abs(view.image[edge] - inner).max() < 25, "not darkened by what is not there"


def seen_from_above(scene: bpy.types.Scene, engine: str) -> bpy.types.Object:
    """A camera 7 above a plane on the left and a cube of height 1 on it, with nothing else."""
    for thing in ("ball", "ground"):
        bpy.data.objects.remove(bpy.data.objects[thing])
    bpy.ops.mesh.primitive_plane_add(size=8, location=(-4, 0, 0))
    bpy.ops.mesh.primitive_cube_add(size=1, location=(-1, 0, 0.5))
    scene.camera.location, scene.camera.rotation_euler = (0, 0, 7), (0, 0, 0)
    scene.render.engine = engine
    if engine == "CYCLES":
        scene.cycles.samples, scene.cycles.use_denoising = 4, False
    return scene.camera


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("engine", ["CYCLES", "BLENDER_WORKBENCH"])
def test_depth_is_that_along_the_axis(
    scene_capture: ModuleType, scene: bpy.types.Scene, engine: str, transparent: bool
) -> None:
    seen_from_above(scene, engine)
    scene.render.film_transparent = transparent
    scene.camera.data.clip_end = 50
    plan = scene_capture.Plan(size=48, shots=(scene_capture.Shot(name="own"),) * 3)
    before = state(scene)
    view = scene_capture.take_view(scene, plan, 0, CAPTURE)
    assert state(scene) == before
    assert view.depth.shape == (48, 64)
    assert view.depth.dtype == np.float32
    columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
    across, down = (columns - view.cx) / view.fx, (rows - view.cy) / view.fy
    on_top = (np.abs(6 * across + 1) < 0.5) & (np.abs(6 * down) < 0.5)
    # beside the cube's top its right side is seen, whose depth the pixel's centre has too
    beside = ~on_top & (np.abs(7 * down) < 0.5) & (7 * across < -0.4) & (6 * across > -0.6)
    true = np.where(on_top, 6, np.where(7 * across < 0, 7, 0)).astype(np.float32)
    sure = ~beside & (np.abs(np.abs(6 * down) - 0.5) > 0.2)
    assert np.abs(view.depth - true)[sure].max() < 1e-4
    assert view.depth[0, 0] == pytest.approx(7, abs=1e-4), "in the corner too, where rays are long"
    side = view.depth[23, 25]
    assert side == pytest.approx(-0.5 / across[23, 25], abs=2e-3), "in the pixel's centre"


def test_what_is_beyond_the_clip_end_has_no_depth(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    seen_from_above(scene, "CYCLES").data.clip_end = 6.5
    plan = scene_capture.Plan(size=48, shots=(scene_capture.Shot(name="own"),) * 3)
    depth = scene_capture.take_view(scene, plan, 0, CAPTURE).depth
    assert set(np.unique(depth.round(2))) <= {0, *np.unique(depth[(depth > 5.9) & (depth < 6.5)])}
    assert (depth > 0).any()


def test_what_is_cut_out_of_the_film_has_no_depth(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    seen_from_above(scene, "CYCLES")
    scene.render.film_transparent = True
    bpy.data.objects["Plane"].is_holdout = True
    plan = scene_capture.Plan(size=48, shots=(scene_capture.Shot(name="own"),) * 3)
    view = scene_capture.take_view(scene, plan, 0, CAPTURE)
    assert (view.depth[view.alpha == 0] == 0).all()
    assert view.depth.max() < 7
    assert (view.depth > 0).any()


def test_depth_costs_the_picture_nothing(
    scene_capture: ModuleType, scene: bpy.types.Scene, addon: SimpleNamespace
) -> None:
    seen_from_above(scene, "CYCLES")
    plan = scene_capture.Plan(size=48, shots=(scene_capture.Shot(name="own"),) * 3)
    with_it = scene_capture.take_view(scene, plan, 0, CAPTURE).image
    without = addon.pictures.decode_png(addon.camera_render.render_png(scene, 64, 48))
    assert np.array_equal(with_it, without)


def test_what_the_compositor_moves_is_not_what_a_camera_sees(
    connected: SimpleNamespace, scene: bpy.types.Scene, in_3d: bpy.types.PropertyGroup
) -> None:
    """Fields were trained on views that were turned, moved or bent, with the depth of others."""
    node = flipped(scene)
    scene.view_layers[0].use = False
    assert "No view layer" in refusal("capture_scene")
    scene.view_layers[0].use = True
    said = refusal("capture_scene")
    assert '"Flip" moves the picture' in said
    assert "mute that node" in said
    node.mute = True
    bpy.ops.watch_your_steps.capture_scene()
    node.mute = False  # while views are rendered
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert "moves the picture" in connected.session.message_of(scene)
    scene.render.use_compositing = False
    bpy.ops.watch_your_steps.resume_capture()
    connected.session.wait_for_all_jobs(scene, SECONDS)
    assert in_3d.sealed


def test_cameras_of_markers_stay_and_the_active_one(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    active = scene.camera
    others = [active.copy() for _ in range(2)]
    for frame, other in zip((1, 9), others, strict=True):
        scene.collection.objects.link(other)
        scene.timeline_markers.new("cut", frame=frame).camera = other
    scene.camera = active
    plan = around(scene_capture, 3)
    scene_capture.take_view(scene, plan, 0, CAPTURE)
    assert scene.camera == active
    assert [one.camera for one in scene.timeline_markers] == others


def test_what_lies_nowhere_is_said(scene_capture: ModuleType, scene: bpy.types.Scene) -> None:
    bpy.data.objects.remove(bpy.data.objects["ground"])
    bpy.data.objects["ball"].location.x = float("nan")
    bpy.context.view_layer.update()
    with pytest.raises(scene_capture.SceneError, match='"ball" lies nowhere'):
        around(scene_capture)


def test_the_depth_of_several_view_layers_is_nobodys(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    layer = scene.view_layers.new("other")
    plan = scene_capture.Plan(size=48, shots=(scene_capture.Shot(name="own"),) * 3)
    assert scene_capture.take_view(scene, plan, 0, CAPTURE).depth is None
    layer.use = False
    assert scene_capture.take_view(scene, plan, 0, CAPTURE).depth is not None
    assert not layer.use_pass_z


def test_a_full_disk_is_said_when_the_depth_is_written(
    addon: SimpleNamespace,
    scene: bpy.types.Scene,
    tmp_path: Path,
) -> None:
    capture = addon.camera_render
    (tmp_path / "no folder").touch()
    taking = capture.rendering_with_depth(scene, 64, 48, False, tmp_path / "no folder")
    with pytest.raises(capture.SceneError, match="A temporary file could not be written to"):
        capture.at_once(taking)
    assert scene.render.image_settings.file_format == "PNG"


def test_a_view_leaves_no_file_however_it_ends(
    addon: SimpleNamespace, scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    plan = around(scene_capture)
    scene_capture.take_view(scene, plan, 0, CAPTURE)
    assert not list(Path(bpy.app.tempdir).glob("watch-your-steps-*"))

    taking = scene_capture.taking_view(scene, plan, 1, CAPTURE)
    addon.camera_render.render_still(next(taking))
    call = next(taking)  # which reads the files
    assert list(Path(bpy.app.tempdir).glob("watch-your-steps-*"))
    taking.close()  # a job was cancelled
    assert not list(Path(bpy.app.tempdir).glob("watch-your-steps-*"))
    call.run()  # a thread that had begun raises where nobody waits


def test_a_plan_is_the_same_after_saving(scene_capture: ModuleType, scene: bpy.types.Scene) -> None:
    plan = around(scene_capture)
    assert scene_capture.Plan.from_json(plan.to_json()) == plan
    with pytest.raises(scene_capture.SceneError, match="start the capture anew"):
        scene_capture.Plan.from_json("{}")


def test_another_scene_is_captured_too(scene_capture: ModuleType, scene: bpy.types.Scene) -> None:
    other = bpy.data.scenes.new("other")
    other.render.engine = "BLENDER_WORKBENCH"
    camera = bpy.data.objects.new("far", bpy.data.cameras.new("far"))
    other.collection.objects.link(camera)
    other.collection.objects.link(bpy.data.objects["ball"])
    other.camera = camera
    camera.location = (0, 0, 7)
    other.render.resolution_x = other.render.resolution_y = 20
    plan = scene_capture.Plan(size=20, shots=(scene_capture.Shot(name="own"),) * 3)
    view = scene_capture.take_view(other, plan, 1, CAPTURE)
    assert view.camera_to_world[11] == pytest.approx(7)
    assert np.ptp(view.image) > 20
    seen = world_to_camera_view(other, camera, Vector((1, 0, 0)))
    assert view.cx + view.fx / 7 == pytest.approx(seen.x * 20, abs=1e-3)


def test_far_from_the_origin_views_are_as_at_the_origin(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    """At the coordinates of maps (UTM), where float32 is half a metre."""
    far = np.array([512345.0, 5412345.0, -120.0])
    scene.camera.location = (0, 0, 5)
    found = []
    for place in (np.zeros(3), far):
        for thing in scene.objects:
            if thing.parent is None:
                thing.location = np.array(thing.location) + place
        bpy.context.view_layer.update()
        before = state(scene)
        plan = around(scene_capture, 3)
        views = [scene_capture.take_view(scene, plan, index, CAPTURE) for index in range(3)]
        assert state(scene) == before
        found.append((poses_of(plan), views))
    (poses, near), (far_poses, moved) = found
    np.testing.assert_allclose(far_poses[:, :3, 3] - far, poses[:, :3, 3], atol=1e-3)
    for one, other in zip(near, moved, strict=True):
        assert one.image.std() > 5
        assert np.abs(one.image.astype(int) - other.image).mean() < 1
        pose = np.reshape(other.camera_to_world, (4, 4))
        np.testing.assert_allclose(
            pose[:3, 3] - far, np.reshape(one.camera_to_world, (4, 4))[:3, 3], atol=1e-3
        )


# ---------------------------------------------------------------- things


@pytest.mark.parametrize("engine", ["CYCLES", "BLENDER_WORKBENCH"])
def test_the_same_object_has_the_same_label_in_all_views_and_after_a_restart(
    scene_capture: ModuleType, scene: bpy.types.Scene, engine: str
) -> None:
    scene.render.engine = engine
    scene.cycles.samples = 1
    plan = around(scene_capture, 4, 48)
    names = sorted(thing.name for thing in scene.objects if thing.type == "MESH")
    assert plan.things == {name: number for number, name in enumerate(names, start=1)}
    ball = plan.things["ball"]
    views = [scene_capture.take_view(scene, plan, index, CAPTURE) for index in range(3)]
    again = scene_capture.Plan.from_json(plan.to_json())
    views.append(scene_capture.take_view(scene, again, 3, CAPTURE))
    for view in views:
        assert view.things is not None
        assert view.things.dtype == np.uint16
        assert view.things.shape == view.image.shape[:2]
        assert ball in view.things
        red = view.image[..., 0] > view.image[..., 1].astype(int) + 60
        assert ((view.things == ball) == red).mean() > 0.95


def test_instances_get_labels_that_the_plan_keeps(
    scene_capture: ModuleType, scene: bpy.types.Scene
) -> None:
    things = bpy.data.collections.new("cones")
    bpy.ops.mesh.primitive_cone_add(radius1=0.6)
    cone = bpy.context.object
    scene.collection.objects.unlink(cone)
    things.objects.link(cone)
    for x in (-2, 2):
        empty = bpy.data.objects.new(f"place {x}", None)
        empty.instance_type, empty.instance_collection = "COLLECTION", things
        empty.location = (x, 0, 1.5)
        scene.collection.objects.link(empty)
    plan = around(scene_capture, 3, 64)
    seen = [scene_capture.take_view(scene, plan, index, CAPTURE).things for index in range(3)]
    new = {name: label for name, label in plan.things.items() if " of place " in name}
    assert len(new) == 2
    assert set(new.values()) <= set(np.unique(np.stack(seen)))
    assert scene_capture.Plan.from_json(plan.to_json()) == plan


def test_a_view_whose_things_cannot_be_told_apart_is_taken_without(
    scene_capture: ModuleType, scene: bpy.types.Scene, installed: str, monkeypatch
) -> None:
    things = importlib.import_module(f"{installed}.render.seen")
    monkeypatch.setattr(things, "MOST_TRIANGLES", 1)
    view = scene_capture.take_view(scene, around(scene_capture), 0, CAPTURE)
    assert view.things is None
    assert np.ptp(view.image) > 50


def test_plans_of_earlier_versions_go_on(scene_capture: ModuleType, scene: bpy.types.Scene) -> None:
    text = around(scene_capture, 3, 32).to_json()
    old = text[: text.index(',"things"')] + "}"
    plan = scene_capture.Plan.from_json(old)
    assert plan.things == {}
    assert scene_capture.take_view(scene, plan, 1, CAPTURE).things is not None
    assert "ball" in plan.things
