"""In a window the views of captures and textures are Blender's own render jobs, each beside the
window, and Esc stops all of them. Without a window the jobs are played (test_render_jobs).
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, SIZE, VIEWS
from fake_server import FakeServer
from test_edit_frames import in_window  # noqa: F401  # a fixture
from test_mesh_views import thing  # noqa: F401  # a fixture
from test_own_renders import compositor
from test_render_jobs import Jobs, jobs  # noqa: F401  # a fixture

OPS = bpy.ops.watch_your_steps


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


@pytest.fixture
def windowed(jobs: Jobs, in_window: None) -> Jobs:  # noqa: F811
    return jobs


@pytest.fixture
def in_3d(scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    found = scene.watch_your_steps.in_3d
    found.cameras, found.views, found.size = "AROUND", VIEWS, SIZE
    return found


@pytest.fixture
def cone(scene: bpy.types.Scene, thing: bpy.types.Object) -> bpy.types.Object:  # noqa: F811
    texture = scene.watch_your_steps.texture
    texture.views, texture.size, texture.hidden_parts, texture.lit = 3, 24, False, True
    return thing


def of_scene() -> list[object]:
    """What a view's render changes for as long as it lasts."""
    scene = bpy.context.scene
    render, shading = scene.render, scene.display.shading
    return [
        (scene.camera, scene.world, scene.frame_current, len(scene.collection.all_objects)),
        (render.resolution_x, render.resolution_y, render.use_motion_blur, render.engine),
        (render.use_lock_interface, render.filepath, render.image_settings.file_format),
        (scene.view_settings.view_transform, shading.light, shading.color_type),
        [(one.hide_render, one.visible_camera) for one in scene.objects],
        [len(getattr(bpy.data, name)) for name in ("scenes", "cameras", "objects", "worlds")],
    ]


def next_render(addon: SimpleNamespace, playing: Jobs) -> None:
    addon.session.wait(lambda: looked(playing), SECONDS)
    assert playing.locked, "nothing can be changed beside it"


def looked(playing: Jobs) -> bool:
    """Whether a render has begun; what the timer does for what goes on in threads."""
    playing.module.look()
    return playing.copy is not None


def end_all(addon: SimpleNamespace, playing: Jobs) -> int:
    """End the renders of the scene's job; how many there were."""
    count = 0
    while True:
        addon.session.wait(
            lambda: looked(playing) or addon.session.job_of(bpy.context.scene) is None,
            SECONDS,
        )
        if playing.copy is None:
            return count
        playing.end()
        count += 1


def test_a_capture_does_not_wait_for_its_renders(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,
    server: FakeServer,
    installed: str,
) -> None:
    views = importlib.import_module(f"{installed}.render.capture_views")
    before = of_scene()
    OPS.capture_scene()
    next_render(connected, windowed)
    assert windowed.copy.camera.name.startswith("watch your steps")
    connected.session.drain()
    assert server.scenes.put == [], "it still renders"
    windowed.end()
    assert of_scene() == before, "between two views the scene is the artist's"
    assert end_all(connected, windowed) == VIEWS - 1
    assert in_3d.sealed
    assert of_scene() == before
    assert windowed.left() == windowed.handlers
    plan = views.Plan.from_json(in_3d.plan)
    for index, view in server.scenes.captures[in_3d.capture].views.items():
        again = views.take_view(scene, plan, index, in_3d.capture)
        for name in ("image", "depth", "things"):
            assert np.array_equal(getattr(view, name), getattr(again, name)), (index, name)


def test_esc_stops_a_capture_which_goes_on_later(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,
    server: FakeServer,
) -> None:
    before = of_scene()
    OPS.all_in_3d()
    for _ in range(2):
        next_render(connected, windowed)
        windowed.end()
    connected.session.wait(lambda: len(server.scenes.put) == 2, SECONDS)
    next_render(connected, windowed)
    windowed.end("render_cancel")
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert connected.session.message_of(scene) == "Capture was cancelled."
    assert windowed.copy is None, "nothing follows"
    assert of_scene() == before
    assert windowed.left() == windowed.handlers
    assert (in_3d.sealed, len(server.scenes.put)) == (False, 2)
    OPS.resume_capture()
    assert end_all(connected, windowed) == VIEWS - 2, "what was sent is not rendered again"
    assert in_3d.sealed


@pytest.mark.parametrize("lost", ["renders", "is rendered"])
def test_a_view_that_is_rendered_while_the_connection_is_lost_is_sent_later(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,
    server: FakeServer,
    lost: str,
) -> None:
    session = connected.session
    OPS.capture_scene()
    next_render(connected, windowed)
    if lost == "is rendered":
        windowed.end()
    server.stop()
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    if windowed.copy is not None:
        windowed.end()
    server.start()
    rendered = end_all(connected, windowed)
    assert in_3d.sealed
    assert rendered <= VIEWS
    assert sorted(set(server.scenes.put)) == list(range(VIEWS))


def test_what_was_rendered_is_out_of_the_way_when_the_file_is_saved(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,
    tmp_path: Path,
) -> None:
    """Between a render's end, which unlocks the interface, and the timer's next call."""
    camera, path = scene.camera.name, tmp_path / "middle.blend"
    OPS.capture_scene()
    next_render(connected, windowed)
    assert scene.camera.name != camera
    copy, windowed.copy = windowed.copy, None
    windowed.render_still(copy)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    assert scene.camera.name == camera
    with bpy.data.libraries.load(str(path)) as (saved, _):
        names = set(saved.scenes), set(saved.cameras)
    assert names == ({scene.name}, {camera})
    end_all(connected, windowed)
    assert in_3d.sealed


def of_file(path: Path) -> list[object]:
    """What a file has of all that renders of views change."""
    bpy.ops.wm.open_mainfile(filepath=str(path))
    return [
        *of_scene()[1:5],
        bpy.context.scene.camera.name,
        bpy.context.scene.world and bpy.context.scene.world.name,
        bpy.context.scene.frame_current,
        [tuple(one.delta_location) for one in bpy.context.scene.objects],
        [one.name for one in bpy.data.cameras],
        ([one.name for one in bpy.data.scenes], [one.name for one in bpy.data.node_groups]),
    ]


@pytest.mark.parametrize("kind", ["AROUND", "FRAMES", "far", "composited", "lit", "bare"])
def test_a_file_that_a_script_saves_while_a_view_is_rendered_has_the_scene_as_it_was(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    cone: bpy.types.Object,
    windowed: Jobs,
    kind: str,
    tmp_path: Path,
) -> None:
    """The interface is locked, but scripts and other add-ons save, too: such files had the
    camera of the view, and for textures all else hidden.
    """
    before, path = tmp_path / "before.blend", tmp_path / "middle.blend"
    if kind == "far":
        for thing in scene.objects:
            thing.location.x += 1e6
    if kind == "composited":  # whose nodes point to the scene that is rendered
        group = bpy.data.node_groups.new("group", "CompositorNodeTree")
        compositor(scene).nodes.new("CompositorNodeGroup").node_tree = group
    scene.frame_start, scene.frame_end = 3, 14
    in_3d.cameras = "FRAMES" if kind == "FRAMES" else "AROUND"
    scene.watch_your_steps.texture.lit = kind == "lit"
    bpy.ops.wm.save_as_mainfile(filepath=str(before), copy=True)
    OPS.edit_texture() if kind in ("lit", "bare") else OPS.capture_scene()
    next_render(connected, windowed)
    rendered = of_scene()
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    assert of_scene() == rendered
    end_all(connected, windowed)
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert of_file(path) == of_file(before)


@pytest.mark.parametrize("gone", ["", "thing", "collection"])
def test_a_mesh_that_no_layer_renders_is_not_moved_in_a_file_that_a_script_saves(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    cone: bpy.types.Object,
    windowed: Jobs,
    gone: str,
    tmp_path: Path,
) -> None:
    """It lay in the scene's own collection, too, from then on, where it renders."""
    path = tmp_path / "middle.blend"
    hidden = bpy.data.collections.new("hidden")
    scene.collection.children.link(hidden)
    hidden.objects.link(cone)
    scene.collection.objects.unlink(cone)
    hidden.hide_render, name = True, cone.name
    bpy.context.view_layer.objects.active = cone
    OPS.edit_texture()
    next_render(connected, windowed)
    assert name in scene.collection.objects
    if gone == "thing":
        bpy.data.objects.remove(cone)
    elif gone == "collection":
        bpy.data.collections.remove(hidden)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    assert (name in scene.collection.objects) == (gone != "thing")
    end_all(connected, windowed)
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert name not in scene.collection.objects
    bpy.ops.wm.open_mainfile(filepath=str(path))
    saved = bpy.context.scene
    assert name not in saved.collection.objects
    assert (name in saved.objects) == (gone == "")


@pytest.mark.parametrize("gone", ["thing", "camera"])
def test_what_a_script_removes_while_a_view_is_rendered_is_not_missed_when_it_saves(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    cone: bpy.types.Object,
    windowed: Jobs,
    gone: str,
    tmp_path: Path,
) -> None:
    """Nothing else was put back then, and nothing packed: the file had the view's camera."""
    camera, path = scene.camera, tmp_path / "middle.blend"
    others = [one.name for one in scene.objects if one not in (cone, camera)]
    assert others
    OPS.edit_texture()
    next_render(connected, windowed)
    views = scene.camera
    assert views != camera
    bpy.data.objects.remove(scene.objects[others.pop()] if gone == "thing" else camera)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    assert scene.camera == views
    end_all(connected, windowed)
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert (scene.camera is None) == (gone == "camera")
    bpy.ops.wm.open_mainfile(filepath=str(path))
    saved = bpy.context.scene
    assert (saved.camera is None) == (gone == "camera")
    assert views_camera_is_gone(saved)
    assert not any(saved.objects[name].hide_render for name in others)


def views_camera_is_gone(scene: bpy.types.Scene) -> bool:
    """Whether no camera is left of those that views are rendered by."""
    return len(bpy.data.cameras) <= 1 and len([o for o in scene.objects if o.type == "CAMERA"]) <= 1


def test_an_undo_between_a_render_and_the_timer_loses_nothing(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,
) -> None:
    before = of_scene()[1:5]
    bpy.ops.ed.undo_push(message="one")
    bpy.data.objects["ball"].location.x += 0.01
    bpy.ops.ed.undo_push(message="moved")
    OPS.capture_scene()
    next_render(connected, windowed)
    copy, windowed.copy = windowed.copy, None
    windowed.render_still(copy)
    bpy.ops.ed.undo()
    assert [one.name for one in bpy.data.scenes] == ["Scene"]
    assert of_scene()[1:5] == before
    assert bpy.context.scene.camera.name == "camera"
    end_all(connected, windowed)
    assert here().in_3d.sealed


@pytest.mark.parametrize("kind", ["upload", "texture_views"])
def test_views_say_that_they_wait_for_the_artist(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    cone: bpy.types.Object,
    windowed: Jobs,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """Such as for a file browser that is open: they stood still without a word."""
    module = importlib.import_module(f"{installed}.jobs.{kind}")
    monkeypatch.setattr(module, "artist_is_busy", lambda: True)
    OPS.capture_scene() if kind == "upload" else OPS.edit_texture()
    job = connected.session.job_of(scene)
    connected.session.wait(lambda: job.stage == module.WAITS, SECONDS)
    monkeypatch.setattr(module, "artist_is_busy", lambda: False)
    next_render(connected, windowed)
    assert job.stage.startswith("rendering view 1")
    end_all(connected, windowed)


def test_nothing_is_drawn_anew_while_a_view_is_rendered(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,
) -> None:
    """A large scene's viewport takes longer to draw than the timer waits between two calls."""
    OPS.capture_scene()
    next_render(connected, windowed)
    connected.session.state.changed = False
    for _ in range(5):
        connected.session.drain()
    assert not connected.session.state.changed
    windowed.end()
    next_render(connected, windowed)
    assert connected.session.state.changed, "another view is rendered"
    end_all(connected, windowed)


def test_a_textures_views_do_not_wait_for_their_renders(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    cone: bpy.types.Object,
    windowed: Jobs,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cone.hide_render = True
    before = of_scene()
    OPS.edit_texture()
    assert end_all(connected, windowed) == 3
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert of_scene() == before
    by_jobs = server.received[-1].request.views
    assert bpy.data.images.get("paint (edited)") is not None
    OPS.show_texture(what="ORIGINAL")
    monkeypatch.undo()
    OPS.edit_texture()
    connected.session.wait_for_job(scene, SECONDS)
    assert np.array_equal(server.received[-1].request.views, by_jobs)


def test_esc_stops_a_textures_views(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    cone: bpy.types.Object,
    windowed: Jobs,
    server: FakeServer,
) -> None:
    before = [*of_scene(), len(bpy.data.images)]
    OPS.edit_texture()
    next_render(connected, windowed)
    windowed.end()
    next_render(connected, windowed)
    windowed.end("render_cancel")
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert connected.session.message_of(scene) == "Texture edit was cancelled."
    assert [*of_scene(), len(bpy.data.images)] == before
    assert not [m for m in server.received if isinstance(m, server.messages.Submit)]


# ---------------------------------------------------------------- Esc beside a render


@pytest.fixture
def press_esc(connected: SimpleNamespace, installed: str) -> Callable[[str], set[str]]:
    """The tool that waits for the key, which tells what becomes of an event."""
    esc: ModuleType = importlib.import_module(f"{installed}.ui.esc")

    def pressed(key: str = "ESC") -> set[str]:
        event = SimpleNamespace(type=key, value="PRESS")
        found: set[str] = esc.WYS_OT_wait_for_esc.modal(SimpleNamespace(), bpy.context, event)
        return found

    return pressed


def test_esc_between_two_views_stops_them_too(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    windowed: Jobs,
    press_esc: Callable[[str], set[str]],
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert press_esc("ESC") == {"FINISHED", "PASS_THROUGH"}, "there is nothing to stop"
    OPS.capture_scene()
    next_render(connected, windowed)
    windowed.end()
    assert press_esc("A") == {"PASS_THROUGH"}
    with monkeypatch.context() as patch:
        esc = importlib.import_module(f"{installed}.ui.esc")
        patch.setattr(esc, "running_tools", lambda: ["WATCH_YOUR_STEPS_OT_pick_things"])
        assert press_esc("ESC") == {"PASS_THROUGH"}, "it ends that tool"
    assert connected.session.job_of(scene) is not None
    assert press_esc("ESC") == {"RUNNING_MODAL"}
    connected.session.drain()
    assert connected.session.job_of(scene) is None
    assert connected.session.message_of(scene) == "Capture was cancelled."
    assert press_esc("ESC") == {"FINISHED", "PASS_THROUGH"}


def test_esc_does_not_stop_what_the_backend_does(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    press_esc: Callable[[str], set[str]],
) -> None:
    server.manual = True
    OPS.edit()
    job = connected.session.job_of(scene)
    connected.session.wait(lambda: job.id in server.jobs, SECONDS)
    assert press_esc("ESC") == {"FINISHED", "PASS_THROUGH"}
    server.finish(job.id)
    connected.session.wait_for_job(scene, SECONDS)


def test_esc_stops_make_texture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    installed: str,
    press_esc: Callable[[str], set[str]],
) -> None:
    making = importlib.import_module(f"{installed}.jobs.texture_making")
    ball = bpy.data.objects["ball"]
    bpy.context.view_layer.objects.active = ball
    OPS.make_texture()
    child, folder = making.makings.now.child, making.makings.now.folder
    assert press_esc("A") == {"PASS_THROUGH"}
    assert press_esc("ESC") == {"RUNNING_MODAL"}
    assert making.makings.now is None
    connected.session.wait(lambda: child.exit_code is not None, SECONDS)
    assert not folder.exists()
    assert not ball.material_slots
    assert not ball.data.uv_layers or ball.data.uv_layers[0].name == "UVMap"
    assert press_esc("ESC") == {"FINISHED", "PASS_THROUGH"}
