"""Pictures that Blender renders as jobs of its own, while its window goes on. Without a window the
job is played: its render is made when the test says so.
"""

import importlib
import threading
import time
from types import ModuleType, SimpleNamespace

import addon_utils
import bpy
import numpy as np
import pytest
from driving import SECONDS, preview
from fake_server import FakeServer

OPS = bpy.ops.watch_your_steps


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


class Jobs:
    """Blender's render jobs, of which at most one runs."""

    def __init__(self, module: ModuleType, render_still) -> None:
        self.module, self.render_still = module, render_still
        self.copy: bpy.types.Scene | None = None
        self.handlers = [list(getattr(bpy.app.handlers, name)) for name in module.ENDS]
        self.locked = False

    def begin(self, copy: bpy.types.Scene) -> None:
        self.copy, self.locked = copy, copy.render.use_lock_interface

    def end(self, how: str = "render_complete") -> None:
        copy, self.copy = self.copy, None
        if how == "render_complete":
            handlers = list(getattr(bpy.app.handlers, how))
            self.render_still(copy)  # calls them, too
            assert len(handlers) == 1, "no one else's"
        else:
            for handler in list(getattr(bpy.app.handlers, how)):
                handler(copy)
        self.module.look()
        while self.module.is_running() and self.copy is None:  # a thread works
            time.sleep(0.01)
            self.module.look()

    def left(self) -> list[list[object]]:
        return [list(getattr(bpy.app.handlers, name)) for name in self.module.ENDS]


@pytest.fixture
def jobs(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Jobs:
    module = importlib.import_module(f"{installed}.render.render_job")
    made = Jobs(module, connected.camera_render.render_still)
    monkeypatch.setattr(module, "_begin_job", made.begin)
    running = SimpleNamespace(
        is_job_running=lambda _: made.copy is not None,
        handlers=bpy.app.handlers,
        timers=bpy.app.timers,
    )
    monkeypatch.setattr(module, "bpy", SimpleNamespace(app=running, types=bpy.types))
    return made


def press(installed: str, name: str = "WYS_OT_preview_relevance") -> None:
    """What a button does in a window."""
    modules = ("operators", "operators_variants")
    found = (
        getattr(importlib.import_module(f"{installed}.ui.{one}"), name, None) for one in modules
    )
    start = next(one for one in found if one is not None).start
    start(SimpleNamespace(), bpy.context, in_window=True)


def test_a_button_does_not_wait_for_its_render(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    jobs: Jobs,
    server: FakeServer,
    installed: str,
) -> None:
    press(installed)
    assert jobs.locked, "nothing can be changed beside it"
    assert connected.session.job_of(scene) is None
    jobs.module.look()
    assert connected.session.job_of(scene) is None, "it still renders"
    jobs.end()
    connected.session.wait_for_job(scene, SECONDS)
    by_job = connected.pictures.read_rgb(here().render_image).copy()
    assert jobs.left() == jobs.handlers
    assert len(bpy.data.scenes) == 1
    assert not scene.render.use_lock_interface
    preview(connected, scene)
    assert np.array_equal(connected.pictures.read_rgb(here().render_image), by_job)
    assert connected.panel.changed_since(scene) == []


@pytest.mark.parametrize("name", ["WYS_OT_edit", "WYS_OT_variants"])
def test_edits_follow_their_render(
    connected: SimpleNamespace, scene: bpy.types.Scene, jobs: Jobs, installed: str, name: str
) -> None:
    here().variants = 2
    press(installed, name)
    jobs.end()
    connected.session.wait_for_all_jobs(scene, SECONDS)
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert len(here().edits) == (1 if name == "WYS_OT_edit" else 2)
    press(installed, "WYS_OT_edit")
    assert jobs.copy is None, "the shown picture needs no render"
    connected.session.wait_for_job(scene, SECONDS)


def test_esc_leaves_everything_as_it_was(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    jobs: Jobs,
    server: FakeServer,
    installed: str,
) -> None:
    press(installed)
    jobs.end("render_cancel")
    words = "The render was stopped before it was complete: start it again."
    assert connected.session.message_of(scene) == words
    assert jobs.left() == jobs.handlers
    assert len(bpy.data.scenes) == 1
    assert here().render_image is None
    assert not [m for m in server.received if isinstance(m, server.messages.Submit)]
    press(installed)
    assert connected.session.message_of(scene) == ""
    jobs.end()
    connected.session.wait_for_job(scene, SECONDS)


def test_a_stand_in_that_is_gone_is_said(
    connected: SimpleNamespace, scene: bpy.types.Scene, jobs: Jobs, installed: str
) -> None:
    press(installed)
    bpy.data.scenes.remove(jobs.copy)
    jobs.copy = None
    for handler in list(bpy.app.handlers.render_complete):
        handler(None)
    jobs.module.look()
    assert not jobs.module.is_running()
    assert "start it again" in connected.session.message_of(scene)
    assert jobs.left() == jobs.handlers
    preview(connected, scene)


def test_another_file_is_opened_while_it_renders(
    connected: SimpleNamespace, scene: bpy.types.Scene, jobs: Jobs, installed: str
) -> None:
    press(installed)
    bpy.ops.wm.read_homefile(use_empty=True)
    jobs.copy = None
    jobs.module.look()
    assert not jobs.module.is_running()
    assert connected.session.message_of(bpy.context.scene) == ""


@pytest.mark.parametrize("changed", ["moved", "undone", "closed"])
def test_things_are_told_apart_beside_the_artist(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    jobs: Jobs,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    changed: str,
) -> None:
    """Which takes nothing of the file: whatever happens to it meanwhile."""
    preview(connected, scene)
    picture = here().picture
    scene.camera.location.x += 0.1
    bpy.ops.ed.undo_push(message="moved")
    module = connected.camera_render
    tell_apart, go_on = module.tell_apart, threading.Event()

    def told_later(*given: object) -> np.ndarray:
        go_on.wait(SECONDS)
        return tell_apart(*given)

    monkeypatch.setattr(module, "tell_apart", told_later)
    press(installed)
    copy, jobs.copy = jobs.copy, None
    jobs.render_still(copy)
    jobs.module.look()
    assert jobs.module.is_running()
    assert len(bpy.data.scenes) == 1, "the stand-in has gone"
    if changed == "moved":
        scene.camera.location.x += 5
        bpy.context.view_layer.update()
    elif changed == "undone":
        bpy.ops.ed.undo()
    else:
        bpy.ops.wm.read_homefile(use_empty=True)
    go_on.set()
    while jobs.module.is_running():
        jobs.module.look()
        time.sleep(0.01)
    if changed == "closed":
        assert connected.session.message_of(bpy.context.scene) == ""
        assert connected.session.job_of(bpy.context.scene) is None
        return
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert here().picture != picture, "of where the camera was when it was rendered"
    assert connected.panel.changed_since(bpy.context.scene) == ["camera"]


def test_what_does_not_work_before_the_render_is_refused_at_once(
    connected: SimpleNamespace, scene: bpy.types.Scene, jobs: Jobs, installed: str
) -> None:
    scene.camera = None
    press(installed)
    assert "no active camera" in connected.session.message_of(scene)
    assert not jobs.module.is_running()


def test_a_second_one_is_refused(
    connected: SimpleNamespace, scene: bpy.types.Scene, jobs: Jobs, installed: str
) -> None:
    press(installed)
    with pytest.raises(connected.scene_error.SceneError, match="Blender renders just now"):
        press(installed)
    jobs.end()
    connected.session.wait_for_job(scene, SECONDS)


def test_a_script_waits_for_the_render(
    connected: SimpleNamespace, scene: bpy.types.Scene, jobs: Jobs
) -> None:
    OPS.preview_relevance()
    assert jobs.copy is None
    connected.session.wait_for_job(scene, SECONDS)


def test_a_defect_ends_it(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    jobs: Jobs,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taking = importlib.import_module(f"{installed}.render.take_picture")
    press(installed)
    with monkeypatch.context() as patch:
        patch.setattr(taking.freshness, "state_of", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            jobs.end()
    assert not jobs.module.is_running()
    assert len(bpy.data.scenes) == 1
    assert jobs.left() == jobs.handlers
    preview(connected, scene)


def listening(installed: str) -> list[str]:
    """What of this add-on Blender calls."""
    lists = (getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers))
    lists = [one for one in lists if isinstance(one, list)]
    return [one.__module__ for each in lists for one in each if installed in one.__module__]


@pytest.mark.parametrize("when", ["rendering", "aside"])
def test_the_add_on_is_switched_off_while_it_renders(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    jobs: Jobs,
    installed: str,
    when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = sorted(listening(installed))
    assert before
    release = threading.Event()
    if when == "aside":
        module = importlib.import_module(f"{installed}.render.camera_render")
        monkeypatch.setattr(module, "tell_apart", lambda *_: release.wait(SECONDS))
    press(installed)
    if when == "aside":
        copy, jobs.copy = jobs.copy, None
        jobs.render_still(copy)
        jobs.module.look()
        jobs.module.look()
        assert jobs.module.is_running()
    addon_utils.disable(installed)
    try:
        assert not connected.session.state.link, "it has left the backend"
        if when == "rendering":
            later = [one for one in (jobs.module._left,) if jobs.module.is_running()]
            assert later, "Blender is still at it"
            jobs.copy = None
            end = importlib.import_module(f"{installed}.ui.handlers")._remove_handlers
            assert jobs.module._left(end) is None
        release.set()
        assert not jobs.module.is_running()
        assert len(bpy.data.scenes) == 1, "the stand-in is gone"
        assert not scene.render.use_lock_interface
        assert listening(installed) == []
    finally:
        addon_utils.enable(installed)
    assert sorted(listening(installed)) == before
