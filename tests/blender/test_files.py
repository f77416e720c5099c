"""Results find their scene again: after undo, in reopened files, after Blender was closed."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import addon_utils
import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, make_scene, preview, start_manual
from fake_server import FakeServer, relevance_of


def save(path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(path))


def open_file(path: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(path))


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


def assert_result_is_here(addon: SimpleNamespace, server: FakeServer, job: str) -> None:
    image = server.jobs[job].image
    assert np.array_equal(addon.pictures.read_rgb(here().render_image), image)
    assert np.array_equal(addon.pictures.read_gray(here().relevance_image), relevance_of(image))
    assert here().pending_image is None
    assert here().job == ""


@pytest.mark.parametrize("saved_after", [True, False])
def test_file_closed_in_the_middle_of_a_job(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    tmp_path: Path,
    saved_after: bool,
) -> None:
    """The result is kept until that file is open again, whether or not it knew of the job."""
    session = connected.session
    save(tmp_path / "a.blend")
    job = start_manual(connected, scene, server)
    if saved_after:
        save(tmp_path / "a.blend")
    bpy.ops.wm.read_homefile(use_empty=True)
    make_scene()
    server.finish(job)
    session.wait(lambda: bool(session.waiting_elsewhere()), SECONDS)
    session.drain()
    assert here().relevance_image is None, "another file gets nothing"
    assert session.job_of(bpy.context.scene) is None
    assert bpy.ops.watch_your_steps.preview_relevance.poll()
    save(tmp_path / "b.blend")
    session.drain()
    assert here().relevance_image is None

    open_file(tmp_path / "a.blend")
    session.drain()
    assert_result_is_here(connected, server, job)
    assert session.waiting_elsewhere() == []


def test_a_result_of_a_deleted_scene_says_what_brings_it_back(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    job = start_manual(connected, scene, server)
    bpy.context.window.scene = bpy.data.scenes.new("other")
    save(tmp_path / "a.blend")
    name = scene.name
    bpy.data.scenes.remove(scene)
    server.finish(job)
    session = connected.session
    session.wait(lambda: bool(session.waiting_elsewhere()), SECONDS)
    (waiting,) = session.waiting_elsewhere()
    assert "is not in this file any more: undo" in connected.panel._where_it_waits(waiting)
    bpy.ops.wm.revert_mainfile()
    bpy.context.window.scene = bpy.data.scenes[name]
    session.drain()
    assert_result_is_here(connected, server, job)


def test_file_reopened_while_the_job_runs(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    save(tmp_path / "a.blend")
    job = start_manual(connected, scene, server)
    bpy.ops.wm.read_homefile(use_empty=True)
    open_file(tmp_path / "a.blend")
    assert connected.session.job_of(bpy.context.scene).id == job
    server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert_result_is_here(connected, server, job)


def test_file_saved_under_another_name(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    job = start_manual(connected, scene, server)
    save(tmp_path / "only later named.blend")
    bpy.ops.wm.read_homefile(use_empty=True)
    server.finish(job)
    connected.session.wait(lambda: bool(connected.session.waiting_elsewhere()), SECONDS)
    open_file(tmp_path / "only later named.blend")
    connected.session.drain()
    assert_result_is_here(connected, server, job)


@pytest.mark.parametrize("kind", ["preview_relevance", "edit"])
def test_blender_closed_in_the_middle_of_a_job(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    tmp_path: Path,
    kind: str,
) -> None:
    """Saved, the extension's memory gone, reopened: it follows the job that the file names."""
    preview(connected, scene)
    scene.camera.location.x += 1
    server.manual = True
    getattr(bpy.ops.watch_your_steps, kind)()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    save(tmp_path / "a.blend")
    bpy.ops.wm.read_homefile(use_empty=True)
    connected.session.disconnect()
    connected.session.start_anew(loaded=True)
    server.finish(job)

    open_file(tmp_path / "a.blend")
    running = connected.session.job_of(bpy.context.scene)
    assert running.id == job
    assert running.stage == "waiting for a connection"
    connect(connected, server.file)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert_result_is_here(connected, server, job)
    assert (here().edit_image is not None) == (kind == "edit")
    assert any(isinstance(m, server.messages.Follow) and m.job == job for m in server.received)


def test_the_backend_has_forgotten_the_job(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    start_manual(connected, scene, server)
    save(tmp_path / "a.blend")
    bpy.ops.wm.read_homefile(use_empty=True)
    connected.session.disconnect()
    connected.session.start_anew(loaded=True)
    server.forget()
    open_file(tmp_path / "a.blend")
    connect(connected, server.file)
    connected.session.wait(
        lambda: "try again" in connected.session.message_of(bpy.context.scene), SECONDS
    )
    assert here().job == ""
    server.manual = False
    preview(connected, bpy.context.scene)


def test_extension_switched_off_and_on_in_the_middle_of_a_job(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, installed: str
) -> None:
    job = start_manual(connected, scene, server)
    addon_utils.disable(installed)
    server.finish(job)
    addon_utils.enable(installed)
    session = importlib.import_module(f"{installed}.jobs.session")
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.connection_file = str(server.file)
    session.drain()
    assert session.job_of(bpy.context.scene).id == job
    bpy.ops.watch_your_steps.connect()
    session.wait_for_job(bpy.context.scene, SECONDS)
    assert here().relevance_image is not None
    session.disconnect()


def test_undo_takes_one_result_back_at_a_time(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    bpy.ops.ed.undo_push(message="before")
    preview(connected, scene)
    first = connected.pictures.read_rgb(here().render_image).copy()
    bpy.data.objects["ball"].location.x = 1.5
    bpy.ops.ed.undo_push(message="move")
    preview(connected, bpy.context.scene)
    second = connected.pictures.read_rgb(here().render_image).copy()
    assert not np.array_equal(first, second)

    def check(picture: np.ndarray) -> None:
        connected.pictures.forget_all()
        assert np.array_equal(connected.pictures.read_rgb(here().render_image), picture)
        relevance = connected.pictures.read_gray(here().relevance_image)
        assert np.array_equal(relevance, relevance_of(picture))
        mask = connected.pictures.read_gray(here().mask_image) > 0.5
        assert np.array_equal(mask, relevance >= np.float32(here().threshold))

    bpy.ops.ed.undo()
    check(first)
    assert bpy.data.objects["ball"].location.x == 1.5
    bpy.ops.ed.undo()
    check(first)
    assert bpy.data.objects["ball"].location.x == 0
    bpy.ops.ed.undo()
    assert here().render_image is None
    for picture in (first, first, second):
        bpy.ops.ed.redo()
        check(picture)


def test_undo_does_not_lose_a_running_job(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    bpy.ops.ed.undo_push(message="before")
    bpy.data.objects["ball"].location.x = 1.5
    bpy.ops.ed.undo_push(message="move")
    job = start_manual(connected, scene, server)
    bpy.ops.ed.undo()
    assert connected.session.job_of(bpy.context.scene).id == job
    assert here().job == job, "so that the saved file can attach to it"
    server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert_result_is_here(connected, server, job)


def test_undo_does_not_bring_a_finished_job_back(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    job = start_manual(connected, scene, server)
    bpy.ops.ed.undo_push(message="something while it runs")
    server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    bpy.ops.ed.undo()
    assert connected.session.job_of(bpy.context.scene) is None
    assert here().job == ""
    assert bpy.ops.watch_your_steps.preview_relevance.poll()


def test_no_undo_step_in_edit_mode(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    """It waits for object mode; the result itself does not."""
    bpy.context.view_layer.objects.active = bpy.data.objects["ball"]
    bpy.ops.object.mode_set(mode="EDIT")
    preview(connected, scene)
    assert here().relevance_image is not None
    assert connected.session.state.undo_steps == ["Watch Your Steps: Preview"]
    bpy.ops.object.mode_set(mode="OBJECT")
    connected.session.drain()
    assert connected.session.state.undo_steps == []
