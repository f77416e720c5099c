"""The real server process over real sockets: jobs, cancel, refusals, crashes, clean stops."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from backend.editing import Editor
from backend.work_lock import lock
from protocol import codec
from protocol.client import Client, JobCancelled
from protocol.connection import (
    ALREADY_RUNS,
    Connection,
    default_connection_file,
    new_server_keys,
    read_connection,
)
from protocol.line import ConnectionFailed, KeyRefused, ServerError
from protocol.messages import (
    Cancelled,
    Done,
    Error,
    Failed,
    Hello,
    JobEvent,
    Progress,
    Queued,
    Welcome,
)
from protocol.region import snapped
from protocol.requests import EditRequest, RelevanceRequest
from protocol.settings import INSTRUCT_PIX2PIX
from protocol.values import MAX_WIRE_BYTES, PROTOCOL_VERSION, new_job_id
from tests.protocol.flat import changed, flat

ROOT = Path(__file__).parents[2]
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 72, 3), dtype=np.uint8)
EDIT = flat(EditRequest, image=IMAGE, instruction="make the sphere red", steps=3, threshold=0.3)
LONG_EDIT = changed(EDIT, image=np.tile(IMAGE, (4, 4, 1)), steps=1000)
PATIENCE = 60.0
"""Seconds for what takes less than one where the machine has nothing else to do."""


@contextlib.contextmanager
def running_server(model, folder, *arguments, umask=-1, on_hang_up=signal.SIG_DFL):
    """A server process and its connection, once it is listening; -1 keeps the tests' umask.
    `on_hang_up` is what it is started with, in place of the tests' own, who may run under nohup.
    """
    path = folder / "connection.json"
    command = [sys.executable, "-m", "backend.server", "--model", str(model), "--device", "cpu"]
    process = subprocess.Popen(
        [*command, "--connection-file", str(path), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=umask,
        preexec_fn=None
        if sys.platform == "win32"
        else lambda: signal.signal(signal.SIGHUP, on_hang_up),
    )
    process.lines = []  # type: ignore[attr-defined]
    reader = threading.Thread(target=lambda: process.lines.extend(process.stdout), daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + 180
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.exists(), process.lines
        yield process, read_connection(path)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        reader.join(5)


@pytest.fixture(scope="module")
def server(tiny_model, tmp_path_factory):
    """A server that has loaded its model, and what a client was told of that meanwhile."""
    with running_server(tiny_model, tmp_path_factory.mktemp("server")) as (process, connection):
        with Client(connection) as client:
            process.states = [client.connect(PATIENCE).model_state]
            deadline = time.monotonic() + 180
            while process.states[-1] != "ready" and time.monotonic() < deadline:
                heard = client.poll(1)
                process.states += [m.model_state for m in heard if isinstance(m, Welcome)]
        yield process, connection


@pytest.fixture
def client(server):
    with Client(server[1], "the tests") as connected:
        connected.connect(PATIENCE)
        yield connected


# ------------------------------------------------------------------ jobs


def test_first_lines_tell_where_it_listens_and_what_it_runs(server, tiny_model):
    process, connection = server
    text = "".join(process.lines)
    assert f"listening on {connection.endpoint}" in text
    assert "connection.json" in text
    assert f"ready: model {tiny_model} on cpu in float32" in text


def test_welcome_names_model_device_and_capabilities(server, tiny_model):
    with Client(server[1]) as client:
        welcome = client.connect(PATIENCE)
    assert (welcome.model, welcome.device) == (str(tiny_model), "cpu")
    assert welcome.model_state == "ready"
    assert welcome.native_size == 64
    assert welcome.guidance == INSTRUCT_PIX2PIX  # its folder says nothing
    assert set(welcome.capabilities) == {
        "relevance_request",
        "edit_request",
        "texture_request",
        "texture_relevance_request",
        "train_scene_request",
        "edit_scene_request",
        "scene_mesh_request",
        "scene_texture_request",
        "scene_render_request",
        "captures",
        "scenes",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="is not known there")
def test_the_memory_that_is_taken_is_told_and_grows_with_the_work(server):
    with Client(server[1]) as client:
        before = client.connect(PATIENCE).memory
        assert 50e6 < before.peak_bytes < before.total_bytes
        client.run(RelevanceRequest(image=np.tile(IMAGE, (12, 12, 1)), instruction="make it red"))
        deadline = time.monotonic() + 10
        while client.welcome.memory == before and time.monotonic() < deadline:
            client.poll(0.5)
        after = client.welcome.memory
    assert after.peak_bytes > before.peak_bytes
    assert after.total_bytes == before.total_bytes


def test_server_returns_what_the_editor_makes(client, tiny_model):
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    editor.set_image(IMAGE)
    expected = editor.edit(EDIT.instruction, threshold=EDIT.threshold, settings=EDIT.settings)
    events = []
    result = client.run(EDIT, events.append)
    assert expected.relevance is not None
    assert (result.image == expected.image).all()
    assert (result.mask == expected.mask).all()
    assert (result.relevance == expected.relevance.at(64, 72)).all()
    assert (result.image[~result.mask] == IMAGE[~result.mask]).all()
    relevance = client.run(RelevanceRequest(image=IMAGE, instruction=EDIT.instruction))
    assert (relevance.relevance == result.relevance).all()
    region = snapped(
        relevance.relevance, IMAGE, EDIT.region.snap, None, relevance.suggested_threshold
    )
    assert region.took == result.took
    assert ((region.values >= EDIT.threshold) == result.mask).all()


def test_every_step_is_reported_with_a_preview(client):
    events = []
    client.run(EDIT, events.append)
    assert isinstance(events[0], Queued)
    assert isinstance(events[-1], Done)
    steps = [event for event in events if isinstance(event, Progress) and event.preview is not None]
    assert len(steps) == EDIT.settings.steps
    assert steps[0].preview.shape == (8, 9, 3)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)


def test_cancel_stops_long_before_the_end(client):
    job = client.submit(LONG_EDIT)
    cancelled = False
    seen = []
    for event in client.events(job):
        seen.append(event)
        if isinstance(event, Progress) and event.fraction > 0.01 and not cancelled:
            client.cancel(job)
            cancelled = True
    assert isinstance(seen[-1], Cancelled)
    # Steps of this model take milliseconds, and some are on the wire when the cancel is sent.
    fractions = [event.fraction for event in seen if isinstance(event, Progress)]
    assert fractions[-1] < 0.9
    assert client.run(EDIT).image.shape == IMAGE.shape


def test_waiting_jobs_know_their_position_and_can_be_cancelled(client):
    first = client.submit(LONG_EDIT)
    second = client.submit(EDIT)
    third = client.submit(EDIT)
    client.cancel(second)
    latest = {}
    deadline = time.monotonic() + PATIENCE
    moved_up = Queued(job=third, position=1)
    # What the cancel changes comes as two messages, and a poll may return between them.
    while latest.get(third) != moved_up and time.monotonic() < deadline:
        for event in client.poll(0.2):
            latest[event.job] = event
    assert isinstance(latest[second], Cancelled)
    assert latest[third] == moved_up
    client.cancel(first)
    assert isinstance(list(client.events(third))[-1], Done)


def test_submitting_twice_starts_one_job(client):
    job = new_job_id()
    client.submit(EDIT, job)
    client.submit(EDIT, job)
    events = list(client.events(job))
    client.submit(EDIT, job)
    again = list(client.events(job))
    assert [type(event) for event in again] == [Done]
    assert sum(isinstance(event, Done) for event in events) == 1


def test_job_survives_its_client_and_is_followed_by_another(server):
    with Client(server[1]) as first:
        first.connect(PATIENCE)
        job = first.submit(changed(EDIT, steps=40))
        assert first.poll(PATIENCE)  # it has arrived
    with Client(server[1]) as second:
        second.connect(PATIENCE)
        second.follow(job)
        *_, last = second.events(job)
    assert isinstance(last, Done)
    assert last.result.image.shape == IMAGE.shape


def test_unknown_jobs_are_named(client):
    for send in (client.follow, client.cancel):
        job = new_job_id()
        send(job)
        with pytest.raises(ServerError, match="does not know this job") as refused:
            list(client.events(job))
        assert refused.value.code == "unknown_job"


def test_run_raises_what_became_of_the_job(client):
    def cancel_at_once(event):
        client.cancel(event.job)

    with pytest.raises(JobCancelled):
        client.run(LONG_EDIT, cancel_at_once)


def test_notes_reach_the_client(client):
    long = EDIT.instruction + " the" * 12 + " panda"
    result = client.run(msgspec.structs.replace(EDIT, instruction=long))
    assert any("panda" in note for note in result.notes)
    result = client.run(msgspec.structs.replace(EDIT, instruction="把球变成红色"))
    assert any("English" in note for note in result.notes)
    result = client.run(msgspec.structs.replace(EDIT, mask=np.zeros(IMAGE.shape[:2], bool)))
    assert result.notes[0] == "Unchanged: the mask marks no pixel."
    assert (result.image == IMAGE).all()


# ------------------------------------------------------------------ refusals


def test_wrong_keys_are_refused_in_words_before_the_timeout(server):
    connection = server[1]
    strange = new_server_keys()
    wrong = [
        msgspec.structs.replace(
            connection,
            client_public_key=strange.client_public_key,
            client_secret_key=strange.client_secret_key,
        ),
        msgspec.structs.replace(connection, server_public_key=strange.server_public_key),
        msgspec.structs.replace(connection, client_secret_key=strange.client_secret_key),
    ]
    for each in wrong:
        with Client(each) as client, pytest.raises(KeyRefused, match="copy its connection file"):
            client.connect(PATIENCE)
    with Client(connection) as client:
        assert client.connect(PATIENCE).model_state == "ready"


def test_client_without_keys_gets_nothing(server):
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.connect(server[1].endpoint)
    socket.send_multipart(codec.encode(Hello(client="no keys")))
    assert socket.poll(1000) == 0
    context.destroy(linger=0)


def test_nobody_there_is_said_within_the_timeout(server):
    nobody = msgspec.structs.replace(server[1], endpoint="tcp://127.0.0.1:9")
    with Client(nobody) as client, pytest.raises(ConnectionFailed, match="Nothing answers"):
        client.connect(timeout=0.5)


def test_other_protocol_version_is_told_both(client):
    frames = codec.encode(Hello(client="from the future"))
    client._socket.send_multipart([b"wys/99", *frames[1:]])
    (answer,) = client.poll(PATIENCE)
    assert answer.code == "protocol_version"
    assert f"protocol {PROTOCOL_VERSION}" in answer.message
    assert "protocol 99" in answer.message


def test_garbage_is_answered_and_the_server_goes_on(client):
    rng = np.random.default_rng(0)
    good = [bytes(frame) for frame in codec.encode(Hello(client="x"))]
    garbage = [
        [b""],
        [codec.VERSION_FRAME],
        [codec.VERSION_FRAME, b""],
        [codec.VERSION_FRAME, rng.bytes(1000)],
        [rng.bytes(20) for _ in range(30)],
        [*good, b"an array that nothing refers to"],
        [good[0], good[1][:-3]],
        [codec.VERSION_FRAME, bytes(100_000)],
    ]
    for frames in garbage:
        client._socket.send_multipart(frames)
        (answer,) = client.poll(PATIENCE)
        assert isinstance(answer, Error)
        assert answer.code == "bad_message"
    assert client.run(EDIT).image.shape == IMAGE.shape


def test_message_over_the_limit_is_dropped_and_the_server_goes_on(server):
    with Client(server[1]) as client:
        client.connect(PATIENCE)
        huge = np.zeros(MAX_WIRE_BYTES + 1, np.uint8)
        client._socket.send_multipart([codec.VERSION_FRAME, b"x", huge], copy=False)
        assert not any(isinstance(message, Error) for message in client.poll(3))
    with Client(server[1]) as client:
        client.connect(PATIENCE)
        assert client.run(EDIT).image.shape == IMAGE.shape


# ------------------------------------------------------------------ the process


def test_clients_are_told_when_the_model_is_ready(server):
    assert server[0].states == ["loading", "ready"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker in /proc")
def test_worker_that_dies_fails_its_job_and_is_replaced(server, client):
    job = client.submit(LONG_EDIT)
    waiting = client.submit(EDIT)
    killed = False
    for event in client.events(job):
        if isinstance(event, Progress) and not killed:
            os.kill(_child_of(server[0].pid), signal.SIGKILL)
            killed = True
    assert isinstance(event, Failed)
    assert event.code == "worker_died"
    assert "smaller image" in event.message
    client.follow(waiting)
    assert isinstance(list(client.events(waiting))[-1], Done)


STOPS = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""The last one comes where a terminal, or the SSH session that the server was started in, ends."""


@dataclass
class Life:
    """What a server that was stopped while it worked leaves behind."""

    connection: Connection
    status: int
    last: JobEvent | None
    file_is_left: bool
    worker: int
    log: str


@pytest.fixture(scope="module")
def lives(tiny_model, tmp_path_factory):
    """Servers, one after the other, in one folder; the last one is killed."""
    folder = tmp_path_factory.mktemp("lives")
    ended = {}
    kindly = [(name, []) for name in STOPS]
    for name, arguments in (*kindly, ("SIGKILL", ["--new-keys"])):
        with (
            running_server(tiny_model, folder, *arguments) as (process, connection),
            Client(connection) as client,
        ):
            client.connect(PATIENCE)
            job = client.submit(LONG_EDIT)
            for event in client.events(job):
                if isinstance(event, Progress):
                    worker = _child_of(process.pid) if sys.platform == "linux" else 0
                    process.send_signal(getattr(signal, name))
                    break
            status = process.wait(PATIENCE)
            last = None if name == "SIGKILL" else list(client.events(job))[-1]
            is_left = (folder / "connection.json").exists()
            log = "".join(process.lines)
            ended[name] = Life(connection, status, last, is_left, worker, log)
    return ended


@pytest.mark.parametrize("name", STOPS)
def test_stop_signal_ends_it_cleanly_and_tells_its_clients(lives, name):
    life = lives[name]
    assert life.status == 0
    assert isinstance(life.last, Failed)
    assert life.last.code == "server_stopped"
    assert life.last.message.endswith("start the backend again, and then this job.")
    assert not life.file_is_left
    assert "Traceback" not in life.log


@pytest.mark.skipif(sys.platform == "win32", reason="other signals there")
def test_a_server_under_nohup_goes_on_where_its_terminal_ends(tiny_model, tmp_path):
    with (
        running_server(tiny_model, tmp_path, on_hang_up=signal.SIG_IGN) as (process, connection),
        Client(connection) as client,
    ):
        client.connect(PATIENCE)
        process.send_signal(signal.SIGHUP)
        client.run(RelevanceRequest(image=IMAGE, instruction=EDIT.instruction))
        assert process.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker in /proc")
def test_worker_ends_when_the_server_is_killed(lives):
    place = Path(f"/proc/{lives['SIGKILL'].worker}")
    deadline = time.monotonic() + PATIENCE
    while place.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not place.exists()


def test_keys_stay_the_same_over_restarts_until_new_ones_are_asked_for(lives):
    *kept, renewed = (life.connection.client_secret_key for life in lives.values())
    assert len(set(kept)) == 1
    assert renewed not in kept


def refuse_to_start(folder, *arguments, umask=-1, status=1):
    """What a server that cannot start says, with its connection file below `folder`."""
    result = subprocess.run(
        [sys.executable, "-m", "backend.server", *arguments],
        env=os.environ | {"XDG_DATA_HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        umask=umask,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == status
    assert "Traceback" not in result.stderr
    return result.stderr


def test_missing_model_ends_the_server_with_one_sentence(tmp_path):
    said = refuse_to_start(tmp_path, "--model", "./nowhere", "--device", "cpu")
    assert "There is no folder ./nowhere" in said
    assert not (tmp_path / "watch-your-steps" / "connection.json").exists()


def test_another_server_with_the_same_file_is_told_by_a_status_of_its_own(tmp_path):
    folder = tmp_path / "watch-your-steps"
    folder.mkdir()
    held = lock(folder / ".connection.json.lock")
    assert "Another server runs" in refuse_to_start(tmp_path, status=ALREADY_RUNS)
    os.close(held)


def test_occupied_endpoint_is_said_in_words(server, tmp_path):
    assert "--bind" in refuse_to_start(tmp_path, "--bind", server[1].endpoint, umask=0o777)
    if sys.platform != "win32":  # its keys are its owner's to read, whatever the umask says
        (keys,) = tmp_path.rglob("*-keys.json")
        assert [one.stat().st_mode & 0o777 for one in (keys.parent, keys)] == [0o700, 0o600]


def test_default_connection_file_lies_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_connection_file() == tmp_path / "watch-your-steps" / "connection.json"


def _child_of(pid: int) -> int:
    """The process id of the server's worker."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_bytes().rsplit(b")", 1)[1].split()
                command = (entry / "cmdline").read_bytes()
                if int(fields[1]) == pid and b"backend.worker.process" in command:
                    return int(entry.name)
    raise AssertionError("the server has no worker")
