"""Preview, edit, cancel and everything that goes wrong, through the operators, against a scripted
server over a real encrypted socket.
"""

import importlib
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, preview, start_manual
from fake_server import FakeServer, edited, relevance_of


def submits(server: FakeServer) -> list:
    return [m for m in server.received if isinstance(m, server.messages.Submit)]


# ---------------------------------------------------------------- what works


def test_preview_threshold_edit(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    settings, pictures = scene.watch_your_steps, connected.pictures
    preview(connected, scene)
    render = pictures.read_rgb(settings.render_image)
    relevance = relevance_of(render)
    assert np.array_equal(pictures.read_gray(settings.relevance_image), relevance)
    assert settings.view == "RELEVANCE"
    assert connected.session.message_of(scene) == ""

    count = len(server.received)
    settings.threshold = 0.3
    mask = relevance >= np.float32(0.3)
    assert 0 < mask.sum() < mask.size
    assert np.array_equal(pictures.read_gray(settings.mask_image) > 0.5, mask)
    connected.session.drain()
    assert len(server.received) == count, "the threshold asks nobody"

    settings.seed, settings.steps, settings.relevance_seeds = 7, 20, 3
    bpy.ops.watch_your_steps.edit()
    connected.session.wait_for_job(scene, SECONDS)
    request = submits(server)[-1].request
    assert np.array_equal(request.image, render)
    assert (request.settings.seed, request.settings.steps) == (7, 20)
    assert request.maps.relevance_seeds == (0, 1, 2)
    assert np.float32(request.threshold) == np.float32(0.3)
    edit = pictures.read_rgb(settings.edit_image)
    assert np.array_equal(edit, edited(render, mask))
    assert np.array_equal(edit[~mask], render[~mask])
    assert settings.view == "EDIT"
    assert "20 steps" in connected.session.state.last_edit
    for image in (settings.render_image, settings.relevance_image, settings.edit_image):
        assert image.packed_file is not None
    assert settings.pending_image is None
    assert settings.job == ""


def test_the_models_own_guidance_unless_another_is_set(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    settings = scene.watch_your_steps
    asked = []
    for own in (True, False):
        settings.own_guidance = own
        settings.text_guidance, settings.image_guidance = 4.0, 1.25
        bpy.ops.watch_your_steps.edit()
        connected.session.wait_for_job(scene, SECONDS)
        request = submits(server)[-1].request
        guidance = request.settings.guidance
        asked.append((guidance.text_guidance, guidance.image_guidance))
    assert asked == [(None, None), (4.0, 1.25)]


def test_the_sent_image_is_the_packed_one(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    sent = submits(server)[0].request.image
    connected.pictures.forget_all()  # decode what is packed
    packed = connected.pictures.read_rgb(scene.watch_your_steps.render_image)
    assert np.array_equal(packed, sent)


def test_edit_without_preview_renders_first(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    bpy.ops.watch_your_steps.edit()
    connected.session.wait_for_job(scene, SECONDS)
    settings = scene.watch_your_steps
    assert all((settings.render_image, settings.relevance_image, settings.mask_image))
    assert settings.edit_image is not None


def test_edit_works_on_the_previewed_picture_until_the_next_preview(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    scene.camera.location.x += 2
    bpy.ops.watch_your_steps.edit()
    connected.session.wait_for_job(scene, SECONDS)
    first, second = (submit.request.image for submit in submits(server))
    assert np.array_equal(first, second)
    preview(connected, scene)
    assert not np.array_equal(submits(server)[-1].request.image, first)
    assert scene.watch_your_steps.edit_image == bpy.data.images["Scene edit"], "it still is shown"


def test_the_panel_knows_that_the_camera_has_moved(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    has_moved = connected.panel.has_moved
    assert not has_moved(scene)
    preview(connected, scene)
    assert not has_moved(scene)
    changes = [(scene.camera.data, "lens", 35), (scene.camera.data, "shift_x", 0.1)]
    changes += [(scene.render, "resolution_x", 99), (scene.camera, "location", (1, -8, 3))]
    for owner, name, value in changes:
        before = getattr(owner, name)
        before = before.copy() if name == "location" else before
        setattr(owner, name, value)
        bpy.context.view_layer.update()
        assert has_moved(scene), name
        setattr(owner, name, before)
        bpy.context.view_layer.update()
        assert not has_moved(scene), name


def test_progress_and_its_preview(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    job_id = start_manual(connected, scene, server)
    small = np.full((6, 8, 3), 99, np.uint8)
    server.progress(job_id, "denoising, step 3 of 10", 0.3, small)
    job = connected.session.job_of(scene)
    connected.session.wait(lambda: job.fraction == 0.3, SECONDS)
    assert job.stage == "denoising, step 3 of 10"
    assert np.array_equal(job.preview, small)
    server.finish(job_id)
    connected.session.wait_for_job(scene, SECONDS)
    assert scene.watch_your_steps.relevance_image is not None


def test_the_old_result_stays_until_the_new_one_is_there(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    settings = scene.watch_your_steps
    before = (settings.render_image, settings.relevance_image, settings.picture)
    scene.camera.location.x += 2
    job = start_manual(connected, scene, server)
    assert settings.pending_image is not None
    server.fail(job, "out_of_memory", "The device's memory did not suffice.")
    with pytest.raises(connected.session.SessionError, match="memory did not suffice"):
        connected.session.wait_for_job(scene, SECONDS)
    assert (settings.render_image, settings.relevance_image, settings.picture) == before
    assert settings.pending_image is None
    assert len(bpy.data.images) == 3, "render, relevance, mask"


def test_cancel(connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer) -> None:
    job = start_manual(connected, scene, server)
    bpy.ops.watch_your_steps.cancel()
    assert connected.session.job_of(scene).stage == "cancelling"
    with pytest.raises(connected.session.SessionError, match="Preview was cancelled"):
        connected.session.wait_for_job(scene, SECONDS)
    assert any(isinstance(m, server.messages.Cancel) and m.job == job for m in server.received)
    assert scene.watch_your_steps.relevance_image is None
    server.manual = False
    preview(connected, scene)
    assert scene.watch_your_steps.relevance_image is not None


def test_one_job_of_a_scene_at_a_time_but_scenes_are_apart(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    first = start_manual(connected, scene, server)
    assert not bpy.ops.watch_your_steps.preview_relevance.poll()
    other = bpy.data.scenes.new("other")
    other.camera = scene.camera
    other.collection.objects.link(scene.camera)
    other.render.engine = "BLENDER_WORKBENCH"
    other.render.resolution_x, other.render.resolution_y = 32, 16
    other.watch_your_steps.instruction = "make it red"
    bpy.context.window.scene = other
    bpy.ops.watch_your_steps.preview_relevance()
    bpy.context.window.scene = scene
    second = connected.session.job_of(other).id
    assert second != first
    connected.session.wait(lambda: second in server.jobs, SECONDS)
    server.finish(second)
    connected.session.wait_for_job(other, SECONDS)
    assert tuple(other.watch_your_steps.relevance_image.size) == (32, 16)
    assert scene.watch_your_steps.relevance_image is None
    scene.name = "renamed meanwhile"
    server.finish(first)
    connected.session.wait_for_job(scene, SECONDS)
    assert tuple(scene.watch_your_steps.relevance_image.size) == (64, 48)


def test_model_that_is_still_loading(
    addon: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    server.model_state = "loading"
    addon.preferences.connection_file = str(server.file)
    bpy.ops.watch_your_steps.connect()
    session = addon.session
    session.wait(lambda: session.state.status.welcome is not None, SECONDS)
    assert addon.words.status(session.state.status) == "Connected; loading the demo model..."
    server.load("ready")
    session.wait_for_connection(SECONDS)
    assert addon.words.status(session.state.status) == "Ready: the demo model on cpu"


# ---------------------------------------------------------------- what does not


def refusal(operator: str) -> str:
    """The sentence with which an operator refuses."""
    with pytest.raises(RuntimeError) as error:
        getattr(bpy.ops.watch_your_steps, operator)()
    return str(error.value).strip().removeprefix("Error: ")


def why_not(addon: SimpleNamespace) -> str:
    """The sentence with which the connection has failed."""
    session, failed = addon.session, addon.worker_thread.LinkState.FAILED
    session.wait(lambda: session.state.status.state is failed, SECONDS)
    text: str = session.state.status.text
    return text


def test_a_picture_that_cannot_be_sent(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    bpy.ops.watch_your_steps.preview_relevance()
    image = scene.watch_your_steps.pending_image
    image.unpack(method="REMOVE")
    image.filepath = "//nowhere.png"
    image.reload()
    with pytest.raises(connected.session.SessionError, match="has no pixels"):
        connected.session.wait_for_job(scene, SECONDS)
    assert submits(server) == []
    preview(connected, scene)


def test_a_defect_is_said_and_the_timer_goes_on(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handlers = importlib.import_module(f"{installed}.ui.handlers")

    def broken() -> None:
        raise ZeroDivisionError("as a test")

    with monkeypatch.context() as patch:
        patch.setattr(connected.session, "drain", broken)
        assert handlers._tick() > 0
    assert "defect" in connected.session.message_of(scene)
    assert "as a test" in connected.session.message_of(scene)
    assert handlers._tick() > 0


@pytest.mark.parametrize("operator", ["preview_relevance", "edit"])
def test_no_camera(connected: SimpleNamespace, scene: bpy.types.Scene, operator: str) -> None:
    scene.camera = None
    sentence = refusal(operator)
    assert "no active camera" in sentence
    assert connected.session.message_of(scene) == sentence


def test_no_instruction(connected: SimpleNamespace, scene: bpy.types.Scene) -> None:
    scene.watch_your_steps.instruction = "  "
    assert "instruction is empty" in refusal("preview_relevance")


def test_not_connected(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    sentence = refusal("preview_relevance")
    assert "no connection" in sentence
    assert addon.session.message_of(scene) == sentence
    bpy.ops.watch_your_steps.dismiss()
    assert addon.session.message_of(scene) == ""


def test_empty_mask(connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer) -> None:
    preview(connected, scene)
    scene.watch_your_steps.threshold = 1.0
    assert "lower the threshold" in refusal("edit")
    assert len(submits(server)) == 1


def test_no_server_then_one_comes(
    addon: SimpleNamespace, scene: bpy.types.Scene, protocol: ModuleType, connection_file: Path
) -> None:
    addon.preferences.connection_file = str(connection_file)
    bpy.ops.watch_your_steps.connect()
    session = addon.session
    session.wait(lambda: session.state.status.text != "", SECONDS)
    assert "start the backend" in session.state.status.text
    assert str(connection_file) in session.state.status.text
    assert refusal("preview_relevance") == session.state.status.text
    with FakeServer(protocol, connection_file):
        session.wait_for_connection(SECONDS)
        preview(addon, scene)


def test_nobody_answers(
    addon: SimpleNamespace, scene: bpy.types.Scene, protocol: ModuleType, connection_file: Path
) -> None:
    keys = protocol.connection.new_server_keys()
    protocol.connection.write_connection(connection_file, keys.connection("tcp://127.0.0.1:9"))
    addon.preferences.connection_file = str(connection_file)
    bpy.ops.watch_your_steps.connect()
    with pytest.raises(
        addon.session.SessionError, match=r"Nothing answers at tcp://127\.0\.0\.1:9 "
    ):
        addon.session.wait_for_connection(5)


def test_not_a_connection_file(addon: SimpleNamespace, connection_file: Path) -> None:
    connection_file.write_text("hello")
    addon.preferences.connection_file = str(connection_file)
    bpy.ops.watch_your_steps.connect()
    assert "is not a connection file" in why_not(addon)


def test_wrong_key_is_said_within_three_seconds(
    addon: SimpleNamespace, server: FakeServer, tmp_path: Path
) -> None:
    connection = server.connection
    endpoint = connection.read_connection(server.file).endpoint
    wrong = tmp_path / "wrong.json"
    stranger = connection.new_server_keys()
    connection.write_connection(
        wrong,
        connection.Connection(
            endpoint=endpoint,
            server_public_key=server.keys.server_public_key,
            client_public_key=stranger.client_public_key,
            client_secret_key=stranger.client_secret_key,
        ),
    )
    addon.preferences.connection_file = str(wrong)
    bpy.ops.watch_your_steps.connect()
    session = addon.session
    session.wait(lambda: "refuses this key" in session.state.status.text, 3.0)
    connect(addon, server.file)


def test_another_protocol_version(
    addon: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    server.refusal = ("protocol_version", "this speaks protocol 7, the client protocol 1")
    addon.preferences.connection_file = str(server.file)
    bpy.ops.watch_your_steps.connect()
    assert "protocol 7" in why_not(addon)


def test_another_machine_needs_online_access(
    addon: SimpleNamespace, protocol: ModuleType, connection_file: Path
) -> None:
    assert not bpy.app.online_access
    keys = protocol.connection.new_server_keys()
    protocol.connection.write_connection(connection_file, keys.connection("tcp://192.0.2.1:4000"))
    addon.preferences.connection_file = str(connection_file)
    bpy.ops.watch_your_steps.connect()
    assert "Allow Online Access" in why_not(addon)
    with pytest.raises(addon.session.SessionError, match="Allow Online Access"):
        addon.session.wait_for_connection(0.1)


@pytest.mark.parametrize("forgotten", [False, True])
def test_server_dies_and_comes_back_elsewhere(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, forgotten: bool
) -> None:
    """On another port; the job goes on, also where the new server has never heard of it: its
    picture is sent again only to that one.
    """
    session = connected.session
    job = start_manual(connected, scene, server)
    server.stop()
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    assert session.job_of(scene).id == job, "the job is not given up"
    if forgotten:
        server.forget()
    server.start()
    session.wait_for_connection(SECONDS)
    follow = server.messages.Follow
    session.wait(lambda: any(isinstance(one, follow) for one in server.received), SECONDS)
    session.wait(lambda: len(submits(server)) == 1 + forgotten, SECONDS)
    server.finish(job)
    session.wait_for_job(scene, SECONDS)
    assert len(submits(server)) == 1 + forgotten
    assert scene.watch_your_steps.relevance_image is not None


def test_cancel_while_the_server_is_away(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    session = connected.session
    job = start_manual(connected, scene, server)
    server.stop()
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    bpy.ops.watch_your_steps.cancel()
    with pytest.raises(session.SessionError, match="was cancelled"):
        session.wait_for_job(scene, SECONDS)
    server.start()
    session.wait_for_connection(SECONDS)
    cancel = server.messages.Cancel
    session.wait(
        lambda: any(isinstance(m, cancel) and m.job == job for m in server.received), SECONDS
    )


def test_garbage_from_the_server(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    session = connected.session
    job = start_manual(connected, scene, server)
    server.send_garbage(job)
    session.wait(lambda: "not understood" in session.state.status.text, SECONDS)
    session.wait_for_connection(SECONDS)
    server.finish(job)
    session.wait_for_job(scene, SECONDS)


def test_disconnect_and_connect_again_keeps_the_job(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    job = start_manual(connected, scene, server)
    bpy.ops.watch_your_steps.disconnect()
    server.finish(job)
    connected.session.drain()
    assert connected.session.job_of(scene).id == job
    connect(connected, server.file)
    connected.session.wait_for_job(scene, SECONDS)
    assert scene.watch_your_steps.relevance_image is not None


def test_stopping_is_quick(connected: SimpleNamespace, scene: bpy.types.Scene) -> None:
    """At most a few polls, against the seconds that a handshake may take."""
    start = time.perf_counter()
    bpy.ops.watch_your_steps.disconnect()
    assert time.perf_counter() - start < connected.worker_thread.ANSWER_SECONDS / 3


def test_the_same_picture_again_after_its_render_was_deleted(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    bpy.data.images.remove(scene.watch_your_steps.render_image)
    preview(connected, scene)
    assert scene.watch_your_steps.render_image is not None
    bpy.ops.watch_your_steps.edit()
    connected.session.wait_for_job(scene, SECONDS)
    assert len(scene.watch_your_steps.edits) == 1


def test_pictures_that_were_scaled_in_the_image_editor_are_not_taken_for_what_they_were(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    bpy.ops.watch_your_steps.edit()
    connected.session.wait_for_job(scene, SECONDS)
    settings = scene.watch_your_steps
    for image in (settings.relevance_image, settings.edits[0].render):
        image.scale(8, 8)
    assert connected.pictures.read_gray(settings.relevance_image).shape == (8, 8)
    assert "The mask of this edit has another size" in refusal("edit_again")
    preview(connected, scene)
    bpy.ops.watch_your_steps.edit()
    connected.session.wait_for_job(scene, SECONDS)
    assert connected.pictures.read_rgb(settings.edit_image).shape == (48, 64, 3)
