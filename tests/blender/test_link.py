"""What cannot be sent or read fails in words, once, and nothing is tried for ever."""

import importlib
import time
from pathlib import Path
from types import SimpleNamespace

import bpy
import pytest
from driving import SECONDS, connect, run, start_manual
from fake_server import FakeServer


def test_a_result_that_cannot_be_read_fails_its_job_alone(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    session = connected.session
    job = start_manual(connected, scene, server)
    server.send_unreadable(job)
    with pytest.raises(session.SessionError, match="What the backend made cannot be read"):
        session.wait_for_job(scene, SECONDS)
    assert session.state.status.state is connected.worker_thread.LinkState.CONNECTED
    server.manual = False
    run(connected, "preview_relevance")
    assert scene.watch_your_steps.relevance_image is not None


def test_a_result_that_cannot_be_prepared_fails_in_words(
    connected: SimpleNamespace, scene: bpy.types.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(connected.arrived, "encode_exr", broken)
    bpy.ops.watch_your_steps.preview_relevance()
    with pytest.raises(connected.session.SessionError, match="MemoryError"):
        connected.session.wait_for_job(scene, SECONDS)
    assert connected.session.state.status.state is connected.worker_thread.LinkState.CONNECTED


def test_a_job_that_breaks_the_line_whenever_it_is_sent_fails_once(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connected.worker_thread, "RETRY_SECONDS", 0.1)
    session = connected.session
    server.stop()
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    server.largest_frame = 2000
    server.start()
    session.wait_for_connection(SECONDS)
    before = len(server.received)
    bpy.ops.watch_your_steps.preview_relevance()
    with pytest.raises(session.SessionError, match="The connection broke 3 times"):
        session.wait_for_job(scene, SECONDS)
    session.wait_for_connection(SECONDS)
    sent = [one for one in server.received[before:] if type(one).__name__ == "Submit"]
    assert sent == []


def test_a_capture_whose_views_break_the_line_fails_once(
    installed: str, connected: SimpleNamespace
) -> None:
    upload = importlib.import_module(f"{installed}.jobs.upload")
    messages = importlib.import_module(f"{installed}.protocol.messages")
    capture = "f" * 32
    sending = upload.Upload(capture, SimpleNamespace(shots=range(3)))
    job = SimpleNamespace(id=capture, outcome=None, stage="", fraction=0.0)
    nothing = messages.CaptureState(capture=capture, views=3, missing=(0, 1, 2), sealed=False)
    one = messages.CaptureState(capture=capture, views=3, missing=(1, 2), sealed=False)
    for state in (nothing, nothing, one, one, one):
        sending.answered(state)
        sending._under_way.add(1)
        sending.lost()
        sending.lost()  # as the link says so twice, at the loss and when it connects again
        sending.step(None, job, SimpleNamespace(tell=lambda _: None))
    assert job.outcome.code == "not_delivered"
    sending = upload.Upload(capture, SimpleNamespace(shots=range(3)))
    job.outcome = None
    for missing in ((0, 1, 2), (1, 2), (2,), ()):  # slow, but it gets on
        sending.answered(
            messages.CaptureState(capture=capture, views=3, missing=missing, sealed=False)
        )
        sending._under_way.add(2)
        sending.lost()
        sending.step(None, job, SimpleNamespace(tell=lambda _: None))
    assert job.outcome is None


def received(server: FakeServer, kind: str) -> int:
    """How many messages of a kind have come."""
    return [type(one).__name__ for one in server.received].count(kind)


def cancel_in_vain(session: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer) -> None:
    """Cancel a scene's job, of which the server's machine hears and the server does not."""
    take = server._take
    server._take = lambda *_: None
    session.cancel(scene)
    session.wait(lambda: received(server, "Cancel") == 1, SECONDS)
    time.sleep(0.1)  # it is handed to `_take` right after
    server._take = take


@pytest.mark.parametrize("forgets", [False, True])
def test_a_cancel_that_was_lost_with_the_line_is_no_less_one(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, forgets: bool
) -> None:
    session = connected.session
    job = start_manual(connected, scene, server)
    cancel_in_vain(session, scene, server)
    server.stop()
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    if forgets:
        server.forget()
    server.start()
    session.wait_for_connection(SECONDS)
    session.wait(lambda: session.job_of(scene) is None, SECONDS)
    assert "was cancelled" in session.message_of(scene)
    assert received(server, "Submit") == 1
    assert forgets or type(server._final[job]).__name__ == "Cancelled"


def test_a_cancel_holds_over_a_new_connection(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    """Which artists make where nothing seems to happen."""
    session = connected.session
    job = start_manual(connected, scene, server)
    cancel_in_vain(session, scene, server)
    connect(connected, server.file)
    session.wait(lambda: session.job_of(scene) is None, SECONDS)
    assert "was cancelled" in session.message_of(scene)
    session.wait(lambda: type(server._final.get(job)).__name__ == "Cancelled", SECONDS)


def test_a_job_that_is_still_being_sent_is_cancelled_at_once(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    """Over a slow line that takes minutes, and Cancel goes behind it."""
    session = connected.session
    take, waiting = server._take, []
    server._take = lambda *what: waiting.append(what)
    bpy.ops.watch_your_steps.preview_relevance()
    job = session.job_of(scene).id
    session.wait(lambda: received(server, "Submit") == 1, SECONDS)
    session.cancel(scene)
    with pytest.raises(session.SessionError, match="was cancelled"):
        session.wait_for_job(scene, SECONDS)
    session.wait(lambda: received(server, "Cancel") == 1, SECONDS)
    time.sleep(0.1)  # it is handed to `_take` right after
    server.manual, server._take = True, take
    for peer, message in waiting:
        server._calls.put(lambda peer=peer, message=message: take(peer, message))
    session.wait(lambda: type(server._final.get(job)).__name__ == "Cancelled", SECONDS)
    session.drain()
    assert "was cancelled" in session.message_of(scene)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_job_outlives_a_server_that_is_stopped_in_order(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, cancelled: bool
) -> None:
    """As it outlives one that is killed: others may stop it, to start a newer one."""
    session = connected.session
    job = start_manual(connected, scene, server)
    if cancelled:
        cancel_in_vain(session, scene, server)
    server.fail(job, "server_stopped", "It was stopped.")
    time.sleep(0.3)
    server.stop()
    session.wait(lambda: "was lost" in session.state.status.text, SECONDS)
    if cancelled:
        assert session.job_of(scene) is None
        assert "was cancelled" in session.message_of(scene)
        return
    assert session.job_of(scene).stage == "waiting for the backend"
    server.forget()
    server.start()
    session.wait_for_connection(SECONDS)
    session.wait(lambda: received(server, "Submit") == 2, SECONDS)
    server.finish(job)
    session.wait_for_job(scene, SECONDS)
    assert scene.watch_your_steps.relevance_image is not None


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_job_waits_for_room_in_a_full_queue(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    cancelled: bool,
) -> None:
    """Else all that were asked for together would fail, one right after the other."""
    monkeypatch.setattr(connected.worker_thread, "BUSY_SECONDS", 0.3)
    session, take, m = connected.session, server._take, server.messages

    def full(peer: bytes, message: object) -> None:
        if not isinstance(message, m.Submit):
            take(peer, message)
            return
        error = m.Error(code="busy", message="It is full.", job=message.job)
        server._socket.send_multipart([peer, *server.codec.encode(error)])

    server._take = full
    bpy.ops.watch_your_steps.preview_relevance()
    session.wait(lambda: received(server, "Submit") == 2, SECONDS)
    assert session.job_of(scene).stage == "waiting for room in the backend's queue"
    if cancelled:
        session.cancel(scene)
        with pytest.raises(session.SessionError, match="was cancelled"):
            session.wait_for_job(scene, SECONDS)
        time.sleep(0.6)
        assert received(server, "Submit") <= 3
        return
    server._take = take
    session.wait_for_job(scene, SECONDS)
    assert scene.watch_your_steps.relevance_image is not None


def test_a_server_that_answers_late_is_connected_to(
    addon: SimpleNamespace,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one far away, or on a machine that has much to do."""
    monkeypatch.setattr(addon.worker_thread, "ANSWER_SECONDS", 0.2)
    take, told = server._take, []

    def late(*what: object) -> None:
        time.sleep(1.0)
        take(*what)

    server._take = late
    session = addon.session
    session.connect(Path(server.file))
    session.wait(lambda: told.append(session.state.status.text) or "Nothing answers" in told[-1], 5)
    session.wait_for_connection(SECONDS)
    assert received(server, "Hello") == 1


def test_a_server_that_does_not_answer_is_left_for_the_one_that_the_file_names(
    addon: SimpleNamespace,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addon.worker_thread, "ANSWER_SECONDS", 0.2)
    right = server.file.read_bytes()
    keys = server.connection.new_server_keys()
    server.connection.write_connection(server.file, keys.connection("tcp://127.0.0.1:9"))
    session = addon.session
    session.connect(Path(server.file))
    session.wait(lambda: "Nothing answers" in session.state.status.text, SECONDS)
    assert "If it runs on another machine, start it there with --bind" in session.state.status.text
    server.file.write_bytes(right)
    session.wait_for_connection(SECONDS)


@pytest.mark.parametrize("text", ["", " ", "\u3000", "\u200b", "x" * 1001])
def test_wrong_instructions_are_refused_by_one_check(installed: str, text: str) -> None:
    jobs = importlib.import_module(f"{installed}.jobs.job")
    with pytest.raises(jobs.SessionError, match="The instruction"):
        jobs.check_instruction(text)
