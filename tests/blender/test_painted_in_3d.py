"""What is painted on pictures of a scene is what its edits in 3D keep to: with the cameras that
took them, from one view and several, saved, copied, and left out where it has no place.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import make_scene, preview, reopen, run
from fake_server import FakeServer
from test_flows import refusal, submits
from test_own_renders import flipped
from test_painted_mask import ADDED, TAKEN, Modules, disk, mask

__all__ = ["mask"]  # a fixture

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def painted_views(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.painted_views")


@pytest.fixture
def pinhole(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.pinhole")


@pytest.fixture
def in_3d(
    connected: SimpleNamespace, scene: bpy.types.Scene, in_3d: bpy.types.PropertyGroup
) -> bpy.types.PropertyGroup:
    """Of a scene that is captured, with a map of 48 rows of 64 pixels."""
    preview(connected, scene)
    run(connected, "capture_scene")
    return in_3d


def sent(addon: SimpleNamespace, server: FakeServer) -> Any:
    """What an edit in 3D asks for."""
    run(addon, "edit_scene")
    request = submits(server)[-1].request
    assert isinstance(request, server.requests.EditSceneRequest)
    return request


def assert_same_camera(view: Any, found: Any) -> None:
    pose = np.reshape(view.camera_to_world, (4, 4))
    np.testing.assert_allclose(pose, found.camera_to_world, atol=2e-5)
    numbers = [(one.fx, one.fy, one.cx, one.cy) for one in (view, found)]
    np.testing.assert_allclose(*numbers, rtol=1e-4, atol=5e-3)


@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize(
    ("lens", "shift", "size", "aspect", "scale"),
    [
        (50, (0, 0), (64, 48), (1, 1), 1),
        (21, (0.3, -0.2), (48, 80), (1, 1), 2.5),
        (85, (-0.1, 0.4), (70, 40), (1.5, 1), 0.2),
        (18, (0, 0), (40, 40), (1, 2), 1),
    ],
)
def test_a_viewpoint_is_the_camera_that_renders(
    addon: SimpleNamespace,
    painted_views: ModuleType,
    pinhole: ModuleType,
    fit: str,
    lens: float,
    shift: tuple[float, float],
    size: tuple[int, int],
    aspect: tuple[float, float],
    scale: float,
) -> None:
    scene = make_scene()
    camera, render = scene.camera, scene.render
    camera.data.lens, camera.data.sensor_fit = lens, fit
    camera.data.shift_x, camera.data.shift_y = shift
    camera.location, camera.rotation_euler = (3, -5, 2), (1.1, 0.3, 0.6)
    camera.scale = (scale, scale, scale)
    render.resolution_x, render.resolution_y = size
    render.pixel_aspect_x, render.pixel_aspect_y = aspect
    bpy.context.view_layer.update()
    width, height = size
    painted = np.zeros((height, width), np.uint8)
    view = painted_views.view_of(addon.camera_render.viewpoint(scene), painted)
    assert_same_camera(view, pinhole.pinhole_of(scene, camera, width, height))


def test_an_edit_in_3d_is_sent_what_is_painted_with_its_camera(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
    pinhole: ModuleType,
) -> None:
    plain = sent(connected, server)
    assert plain.painted == ()
    mask.paint(ADDED, (10, 30), radius=6)
    mask.paint(TAKEN, (50, 30), radius=6)
    found = pinhole.pinhole_of(scene, scene.camera, 64, 48)
    scene.camera.location.x += 3  # where it has gone since does not count
    request = sent(connected, server)
    (view,) = request.painted
    assert np.array_equal(view.painted == ADDED, disk(10, 30, 6))
    assert np.array_equal(view.painted == TAKEN, disk(50, 30, 6))
    assert_same_camera(view, found)
    assert request.name != plain.name
    assert sent(connected, server).name == request.name, "which goes on"
    mask.paint(TAKEN, (12, 30), radius=2)
    assert sent(connected, server).name != request.name
    in_3d.use_painting = False
    assert sent(connected, server).painted == ()
    in_3d.use_painting, in_3d.as_in_paper = True, True
    assert sent(connected, server).painted == ()


def test_what_was_clicked_counts_and_painting_wins_over_it(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
) -> None:
    settings = scene.watch_your_steps
    things = mask.region.things_of(settings)
    names = list(mask.thing_labels.names(settings.render_image))
    ball, ground = names.index("ball"), names.index("ground")
    row, column = (int(np.median(one)) for one in np.nonzero(things == ball))
    OPS.pick_thing(label=ball, mode="ADD")
    OPS.pick_thing(label=ground, mode="REMOVE")
    mask.paint(TAKEN, (column, row), radius=3)
    (view,) = sent(connected, server).painted
    hole = disk(column, row, 3)
    assert np.array_equal(view.painted == ADDED, (things == ball) & ~hole)
    assert np.array_equal(view.painted == TAKEN, (things == ground) | hole)


def test_several_views_can_be_painted(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
    pinhole: ModuleType,
    tmp_path: Path,
) -> None:
    assert "Nothing is painted" in refusal("keep_painted_view")
    mask.paint(ADDED, (10, 30), radius=6)
    first = pinhole.pinhole_of(scene, scene.camera, 64, 48)
    OPS.keep_painted_view()
    mask.paint(TAKEN, (30, 30), radius=2)
    OPS.keep_painted_view()
    assert len(in_3d.painted) == 1, "the same view"
    assert len(sent(connected, server).painted) == 1
    scene.camera.location = (5, -6, 3)
    scene.camera.rotation_euler = (1.25, 0, 0.7)
    preview(connected, scene)
    assert "painted on another view" in refusal("keep_painted_view")
    (view,) = sent(connected, server).painted
    assert_same_camera(view, first)
    OPS.clear_painting()
    mask.paint(TAKEN, (20, 20), radius=4)
    second = pinhole.pinhole_of(scene, scene.camera, 64, 48)
    views = sent(connected, server).painted
    assert len(views) == 2
    for one, camera in zip(views, (first, second), strict=True):
        assert_same_camera(one, camera)
    assert np.array_equal(views[0].painted == TAKEN, disk(30, 30, 2))
    assert np.array_equal(views[1].painted == TAKEN, disk(20, 20, 4))
    in_3d = reopen(connected, tmp_path / "painted.blend")
    (kept,) = in_3d.painted
    assert len(kept.painted) > 10
    np.testing.assert_allclose(kept.viewpoint[:3], (0, -8, 3), atol=1e-5)
    assert (kept.name, kept.frame) == ("camera", bpy.context.scene.frame_current)
    OPS.remove_painted_view(index=0)
    assert len(in_3d.painted) == 0
    assert "No painted view is kept" in refusal("remove_painted_view")


def test_a_copy_of_a_scene_has_painted_views_of_its_own(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    mask: Modules,
) -> None:
    mask.paint(ADDED, (10, 30), radius=6)
    OPS.keep_painted_view()
    copy = scene.copy()
    assert len(copy.watch_your_steps.in_3d.painted) == 1
    OPS.remove_painted_view(index=0)
    assert len(copy.watch_your_steps.in_3d.painted) == 1


def test_no_more_views_are_kept_than_a_message_holds(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
) -> None:
    mask.paint(ADDED, (10, 30), radius=6)
    OPS.keep_painted_view()
    own = in_3d.painted[0]
    for number in range(1, 11):
        entry = in_3d.painted.add()
        entry.name, entry.painted = own.name, own.painted
        entry.viewpoint = [one + number for one in own.viewpoint]
    OPS.keep_painted_view()
    in_3d.painted.remove(0)
    entry = in_3d.painted.add()
    entry.viewpoint, entry.painted = [9.0] * 15, in_3d.painted[0].painted
    assert "11 views are kept already: remove one" in refusal("keep_painted_view")


@pytest.mark.parametrize(
    ("kind", "why"), [("IMAGE", "NO_CAMERA"), ("ORTHO", "FLAT"), ("MOVED", "ELSEWHERE_IN_SCENE")]
)
def test_what_has_no_place_in_the_scene_is_said_and_left_out(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
    painted_views: ModuleType,
    kind: str,
    why: str,
) -> None:
    settings = scene.watch_your_steps
    if kind == "IMAGE":
        image = bpy.data.images.new("photo", 64, 48)
        image.pack()
        settings.source.kind, settings.source.image = "IMAGE", image
    elif kind == "MOVED":
        flipped(scene)
    else:
        scene.camera.data.type = "ORTHO"
    preview(connected, scene)
    mask.paint(ADDED, (10, 30), radius=6)
    said = painted_views.why_not(scene)
    assert said == getattr(painted_views, why)
    assert said in refusal("keep_painted_view")
    assert sent(connected, server).painted == ()


def test_a_deleted_camera_is_said(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    mask: Modules,
    painted_views: ModuleType,
) -> None:
    mask.paint(ADDED, (10, 30), radius=6)
    assert painted_views.why_not(scene) == ""
    bpy.data.objects.remove(scene.camera)
    assert painted_views.why_not(scene) == painted_views.UNKNOWN
    assert painted_views.all_of(scene) == ()


# ---------------------------------------------------------------- grown, shrunk, inverted


@pytest.fixture
def both(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    mask: Modules,
) -> bpy.types.PropertyGroup:
    """A view that is kept, and another one that is shown; both are painted on."""
    mask.paint(ADDED, (20, 24), radius=6)
    mask.paint(TAKEN, (44, 24), radius=8)
    OPS.keep_painted_view()
    OPS.clear_painting()
    scene.camera.location = (5, -6, 3)
    scene.camera.rotation_euler = (1.25, 0, 0.7)
    preview(connected, scene)
    mask.paint(ADDED, (30, 20), radius=7)
    bpy.ops.ed.undo_push(message="painted")
    return in_3d


def reach(painted: np.ndarray, what: int) -> tuple[int, int]:
    """How many rows and columns something covers."""
    rows, columns = np.nonzero(painted == what)
    return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def test_all_painted_views_are_grown_and_shrunk(
    connected: SimpleNamespace, both: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    OPS.grow_painted_views(pixels=3)
    kept, shown = (view.painted for view in sent(connected, server).painted)
    assert (reach(kept, ADDED), reach(kept, TAKEN)) == ((18, 18), (10, 10))
    assert reach(shown, ADDED) == (20, 20)
    OPS.shrink_painted_views(pixels=5)
    kept, shown = (view.painted for view in sent(connected, server).painted)
    assert (reach(kept, ADDED), reach(kept, TAKEN)) == ((8, 8), (20, 20))
    assert reach(shown, ADDED) == (10, 10)


def test_inverted_views_add_what_was_taken_away(
    connected: SimpleNamespace, both: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    before = [view.painted for view in sent(connected, server).painted]
    OPS.invert_painted_views()
    for old, new in zip(before, sent(connected, server).painted, strict=True):
        assert np.array_equal(new.painted == ADDED, old == TAKEN)
        assert np.array_equal(new.painted == TAKEN, old == ADDED)
    OPS.invert_painted_views()
    for old, new in zip(before, sent(connected, server).painted, strict=True):
        assert np.array_equal(new.painted, old)


@pytest.mark.parametrize("change", ["grow", "shrink", "invert"])
def test_each_change_of_all_painted_views_is_one_step_of_undo(
    both: bpy.types.PropertyGroup, mask: Modules, painted_views: ModuleType, change: str
) -> None:
    def now() -> list[Any]:
        return [view.painted.copy() for view in painted_views.all_of(bpy.context.scene)]

    before = now()
    # as an operator of a button's, Blender pushes its step; one that a script calls has none
    getattr(OPS, f"{change}_painted_views")("EXEC_DEFAULT", True)
    after = now()
    assert not np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])
    bpy.ops.ed.undo()
    assert all(np.array_equal(*two) for two in zip(now(), before, strict=True))
    bpy.ops.ed.redo()
    assert all(np.array_equal(*two) for two in zip(now(), after, strict=True))


def test_a_view_on_which_nothing_is_left_is_not_kept(
    both: bpy.types.PropertyGroup, painted_views: ModuleType
) -> None:
    dot = np.zeros((48, 64), np.uint8)
    dot[20:23, 20:23] = ADDED
    both.painted[0].painted = painted_views.painting.written(dot)
    OPS.shrink_painted_views(pixels=20)
    assert len(both.painted) == 0
    assert bpy.context.scene.watch_your_steps.painted_image is None
    assert "Nothing is painted" in refusal("grow_painted_views")


def test_what_was_clicked_counts_as_painted_from_then_on(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    mask: Modules,
    painted_views: ModuleType,
) -> None:
    settings = scene.watch_your_steps
    things = mask.region.things_of(settings)
    ball = list(mask.thing_labels.names(settings.render_image)).index("ball")
    OPS.pick_thing(label=ball, mode="ADD")
    OPS.shrink_painted_views(pixels=1)
    (view,) = painted_views.all_of(scene)
    added = view.painted == ADDED
    assert 0 < added.sum() < (things == ball).sum()
    assert (things[added] == ball).all()
    assert settings.picks == ""


def test_a_painting_that_does_not_count_in_3d_stays_as_it_is(
    connected: SimpleNamespace,
    both: bpy.types.PropertyGroup,
    scene: bpy.types.Scene,
    mask: Modules,
) -> None:
    before = mask.region.painted(scene.watch_your_steps).copy()
    scene.camera.location = (-5, -6, 3)
    preview(connected, scene)
    kept = both.painted[0].painted
    OPS.invert_painted_views()
    assert both.painted[0].painted != kept
    assert np.array_equal(mask.region.painted(scene.watch_your_steps), before)
