"""The capture of a scene through the panel's operators, against a scripted server over a real
socket.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, SIZE, VIEWS, connect, reopen, run
from fake_server import FakeServer
from test_flows import refusal

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def scene_capture(addon: SimpleNamespace, installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.capture_views")


def test_a_capture_arrives_view_by_view(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    scene_capture: ModuleType,
) -> None:
    server.scenes.notes = ("1 of 12 views is left out.",)
    OPS.capture_scene()
    job = connected.session.job_of(scene)
    seen = []

    def ended() -> bool:
        seen.append((job.stage, round(job.fraction, 2)))
        return connected.session.job_of(scene) is None

    connected.session.wait(ended, SECONDS)
    stages = list(dict.fromkeys(stage.partition(",")[0] for stage, _ in seen))
    rendered = [stage for stage in stages if "rendering" in stage]
    assert rendered == [f"rendering view {number} of {VIEWS}" for number in range(1, VIEWS + 1)]
    assert [share for _, share in seen] == sorted(share for _, share in seen)
    kept = server.scenes.captures[in_3d.capture]
    assert kept.sealed
    assert in_3d.sealed
    assert connected.session.message_of(scene) == "1 of 12 views is left out."
    assert in_3d.views_sent == in_3d.views_planned == VIEWS
    plan = scene_capture.Plan.from_json(in_3d.plan)
    for index in range(VIEWS):
        view, again = kept.views[index], scene_capture.take_view(scene, plan, index, in_3d.capture)
        assert np.array_equal(view.image, again.image)
        assert view.camera_to_world == again.camera_to_world
        assert view.image.shape == (SIZE, SIZE, 3)
        assert view.alpha is None
    assert sorted(server.scenes.put) == list(range(VIEWS))


def test_the_models_size_is_the_default(
    connected: SimpleNamespace, in_3d: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    in_3d.property_unset("size")
    run(connected, "capture_scene")
    assert server.scenes.captures[in_3d.capture].views[0].image.shape == (64, 64, 3)
    server.load("loading")
    session = connected.session
    session.wait(lambda: session.state.status.welcome.model_state == "loading", SECONDS)
    assert "still loading" in refusal("capture_scene")


def test_only_few_views_are_under_way_at_a_time(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the backend takes its time."""
    upload = importlib.import_module(f"{installed}.jobs.upload")
    taken = []
    original = upload.taking_view
    monkeypatch.setattr(upload, "taking_view", lambda *given: taken.append(1) or original(*given))
    told = []
    monkeypatch.setattr(connected.session.state.link, "tell", told.append)
    OPS.capture_scene()
    connected.session.drain()
    job = connected.session.job_of(scene)
    job.preparation.answered(
        upload.CaptureState(capture=job.id, views=VIEWS, missing=tuple(range(VIEWS)), sealed=False)
    )
    for _ in range(10):
        connected.session.drain()
    assert len(taken) == upload.AHEAD
    assert len(told) == 1 + upload.AHEAD
    OPS.cancel()


def test_a_lost_connection_does_not_lose_a_capture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    OPS.capture_scene()
    session = connected.session
    session.wait(lambda: len(server.scenes.put) >= 2, SECONDS)
    server.stop()
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    before = len(server.scenes.put)
    server.start()
    session.wait_for_job(scene, SECONDS)
    assert in_3d.sealed
    assert before < VIEWS
    assert len(server.scenes.put) <= VIEWS + 2, "only what was under way is sent again"
    opened = [m for m in server.received if isinstance(m, server.messages.OpenCapture)]
    assert len({m.capture for m in opened}) == 1
    assert len(opened) == 2


def test_cancelled_and_gone_on_with(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    OPS.capture_scene()
    session = connected.session
    session.wait(lambda: len(server.scenes.put) >= 2, SECONDS)
    OPS.cancel()
    with pytest.raises(session.SessionError, match="Capture was cancelled"):
        session.wait_for_job(scene, SECONDS)
    capture = in_3d.capture
    assert not in_3d.sealed
    assert "not captured yet" in refusal("train_scene")
    sent = len(server.scenes.put)
    run(connected, "resume_capture")
    assert in_3d.capture == capture
    assert in_3d.sealed
    assert len(server.scenes.put) <= VIEWS + 1
    assert sent < VIEWS
    assert not OPS.resume_capture.poll()


def test_blender_closed_in_the_middle_of_a_capture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    """Nothing is rendered without being asked for; the same cameras go on."""
    OPS.capture_scene()
    session = connected.session
    session.wait(lambda: len(server.scenes.put) >= 2, SECONDS)
    capture, plan = in_3d.capture, in_3d.plan
    in_3d = reopen(connected, tmp_path / "a.blend")
    assert session.job_of(bpy.context.scene) is None
    assert "press Go On with Capture" in session.message_of(bpy.context.scene)
    assert (in_3d.capture, in_3d.plan) == (capture, plan)
    connect(connected, server.file)
    run(connected, "resume_capture")
    assert in_3d.sealed
    assert len(server.scenes.put) <= VIEWS + 2


def test_the_backend_refuses_a_view(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    OPS.capture_scene()
    connected.session.wait(lambda: len(server.scenes.put) >= 1, SECONDS)
    server.scenes.refusal = ("bad_capture", "View 3 sees nothing.")
    with pytest.raises(connected.session.SessionError, match="Capture failed: View 3 sees nothing"):
        connected.session.wait_for_job(scene, SECONDS)


def test_a_camera_that_is_no_pinhole_is_refused_before_anything_is_sent(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    in_3d.cameras = "FRAMES"
    scene.camera.data.type = "ORTHO"
    assert "not a perspective camera" in refusal("capture_scene")
    assert in_3d.capture == ""
    assert not server.scenes.captures


def test_a_capture_is_deleted(
    connected: SimpleNamespace, in_3d: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    assert not OPS.drop_capture.poll()
    run(connected, "capture_scene")
    server.stop()
    session = connected.session
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    assert "was lost" in refusal("drop_capture")
    server.start()
    session.wait_for_connection(SECONDS)
    OPS.drop_capture()
    session.wait(lambda: in_3d.capture == "", SECONDS)
    assert not in_3d.sealed
    assert not server.scenes.captures


def test_what_was_brought_is_not_captured_again(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    in_3d: bpy.types.PropertyGroup,
    server: FakeServer,
) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    run(connected, "all_in_3d")
    first = server.scenes.captures[in_3d.capture]
    bpy.data.objects["turn the ball blue"].location.z = 2  # above everything
    run(connected, "capture_scene")
    second = server.scenes.captures[in_3d.capture]
    assert first is not second
    for index in range(VIEWS):
        assert second.views[index].camera_to_world == first.views[index].camera_to_world
        assert np.array_equal(second.views[index].image, first.views[index].image)
    assert not bpy.data.collections["Watch Your Steps"].hide_render
