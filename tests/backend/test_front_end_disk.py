"""The front end never waits for the disk, and reads no more ahead than it can keep; clients that do
not read for a while miss nothing that counts.
"""

import io
import os
import threading
import time

import msgspec
import numpy as np
import pytest
import zmq
from PIL import Image

from backend.captures.store import CaptureStore
from backend.captures.transforms import open_capture
from backend.jobs import errands, under_way
from backend.jobs.capture_desk import CaptureDesk
from backend.jobs.errands import Errands
from backend.jobs.outbox import MAX_ANSWERS, Outbox
from backend.jobs.queue import JobQueue
from backend.jobs.under_way import UnderWay
from backend.pictures.fast_png import write_fast_png
from backend.server import CannotStart, Server
from backend.work_lock import lock
from protocol.messages import (
    Cancel,
    CaptureState,
    Done,
    DropCapture,
    Error,
    Follow,
    GetScene,
    OpenCapture,
    Progress,
    SceneState,
    SealCapture,
    Submit,
)
from protocol.requests import TrainSceneRequest
from tests.backend.test_capture_server import put

A, B = "a" * 32, "b" * 32
JOB, OTHER_JOB = "1" * 32, "2" * 32


@pytest.fixture
def store():
    made = Errands(4, "captures")
    yield made
    made.close()


def deliver(store, until, seconds=20.0):
    """What the front end does, until something has been told."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        store.deliver()
        time.sleep(0.005)


# ------------------------------------------------------------------ errands


def test_one_captures_errands_keep_their_order_and_others_do_not_wait(store):
    slow, told = threading.Event(), []
    store.ask(A, 10, lambda: slow.wait(20) and "first", told.append)
    store.ask(A, 20, lambda: "second", told.append)
    store.ask(B, 30, lambda: "elsewhere", told.append)
    deliver(store, lambda: told)
    assert told == ["elsewhere"]
    slow.set()
    deliver(store, lambda: len(told) == 3)
    assert told == ["elsewhere", "first", "second"]


def test_no_more_is_read_while_too_much_waits_until_the_disk_seems_to_hang(store, monkeypatch):
    monkeypatch.setattr(errands, "READ_AHEAD_BYTES", 100)
    monkeypatch.setattr(errands, "PATIENCE", 0.2)
    slow, told = threading.Event(), []
    store.ask(A, 60, lambda: slow.wait(20), told.append)
    assert not store.is_full
    store.ask(A, 60, lambda: None, told.append)
    assert store.is_full
    assert not store.hangs
    time.sleep(0.3)
    assert store.hangs
    slow.set()
    deliver(store, lambda: len(told) == 2)
    assert not store.is_full
    assert not store.hangs


def test_what_memory_has_no_room_for_waits_elsewhere_in_its_order(store, monkeypatch):
    monkeypatch.setattr(errands, "READ_AHEAD_BYTES", 100)
    slow, told = threading.Event(), []
    store.ask(A, 60, lambda: slow.wait(20) and "first", told.append, lambda: 1 / 0)
    for name in ("second", "third"):
        store.ask(A, 60, lambda: "kept in memory", told.append, lambda n=name: lambda: n)
        deliver(store, lambda: not store.is_full)
    store.ask(A, 60, lambda: "no room on the disk", told.append, no_room)
    store.ask(A, 60, lambda: "fifth", told.append)
    assert store.is_full
    assert told == []
    slow.set()
    deliver(store, lambda: len(told) == 5)
    assert told == ["first", "second", "third", "no room on the disk", "fifth"]
    assert store.waiting_bytes == 0


def no_room():
    raise OSError(28, "No space left on device")


def test_a_defect_in_an_errand_is_told_and_the_next_is_done(store):
    told = []

    def tell(outcome):
        if outcome == "cannot be told":
            raise FloatingPointError
        told.append(outcome)

    store.ask(A, 1, lambda: 1 / 0, tell)
    store.ask(A, 1, lambda: "cannot be told", tell)
    store.ask(A, 1, lambda: "nor can the defect", lambda outcome: 1 / 0)
    store.ask(A, 1, lambda: "well", tell)
    deliver(store, lambda: len(told) == 3)
    assert [type(one) for one in told[:2]] == [ZeroDivisionError, FloatingPointError]
    assert told[2] == "well"


# ------------------------------------------------------------------ captures and their jobs


class SlowStore(CaptureStore):
    """Its disk does nothing before it is let go."""

    def __init__(self, root):
        super().__init__(root)
        self.let_go = threading.Event()

    def put(self, *arguments):
        assert self.let_go.wait(20)
        return super().put(*arguments)


@pytest.fixture
def desk(tmp_path):
    sent, jobs = [], []
    captures = SlowStore(tmp_path)
    queue = JobQueue()
    made = CaptureDesk(
        captures,
        queue,
        lambda client, message: sent.append((client, message)),
        lambda client, message: jobs.append((client, message)),
    )
    made.sent, made.jobs, made.captures, made.queue = sent, jobs, captures, queue
    yield made
    captures.let_go.set()
    made.storekeeper.close()


def test_others_are_answered_while_a_view_goes_to_the_disk(desk):
    before = time.monotonic()
    desk.hear(b"slow", OpenCapture(capture=A, views=4), 0)
    desk.hear(b"slow", put(A, 0), 1000)
    desk.hear(b"slow", SealCapture(capture=A), 0)
    desk.hear(b"other", OpenCapture(capture=B, views=4), 0)
    assert time.monotonic() - before < 1  # nothing of this waited
    deliver(desk.storekeeper, lambda: len(desk.sent) == 2)
    assert sorted(client for client, _ in desk.sent) == [b"other", b"slow"]
    desk.captures.let_go.set()
    deliver(desk.storekeeper, lambda: len(desk.sent) == 4)
    assert [message.missing for _, message in desk.sent[2:3]] == [(1, 2, 3)]
    assert "lacks 3 of its 4 views" in desk.sent[3][1].message


def test_views_above_what_memory_keeps_come_whole_to_the_disk(desk, monkeypatch):
    monkeypatch.setattr(errands, "READ_AHEAD_BYTES", 1500)
    desk.hear(b"a", OpenCapture(capture=A, views=4), 0)
    deliver(desk.storekeeper, lambda: desk.sent)
    views = [put(A, index) for index in range(4)]
    views[2] = msgspec.structs.replace(views[2], alpha=None)
    for view in views:
        desk.hear(b"a", view, 1000)
        deliver(desk.storekeeper, lambda: not desk.storekeeper.is_full)  # the disk does nothing yet
    assert len(desk.sent) == 1
    desk.captures.let_go.set()
    desk.hear(b"a", SealCapture(capture=A), 0)
    deliver(desk.storekeeper, lambda: len(desk.sent) == 6)
    assert desk.sent[-1][1].sealed
    read = open_capture(desk.captures.folder(A))
    for index, view in enumerate(views):
        pixels = read.read(index)
        assert (pixels.image == view.image).all()
        assert (pixels.depth == view.depth).all()
        assert (pixels.alpha is None) == (view.alpha is None)
    assert {one.name for one in desk.captures.root.iterdir()} == {A}


def test_a_job_on_a_capture_is_checked_behind_what_was_sent_before(desk):
    desk.captures.let_go.set()
    desk.hear(b"a", OpenCapture(capture=A, views=4), 0)
    for index in range(4):
        desk.hear(b"a", put(A, index), 1000)
    desk.hear(b"a", SealCapture(capture=A), 0)
    submit = Submit(job=JOB, request=TrainSceneRequest(capture=A))
    assert desk.takes(b"a", submit, 100)
    assert desk.takes(b"b", Follow(job=JOB), 0)
    assert desk.takes(b"b", Cancel(job=JOB), 0)
    assert not desk.takes(b"b", Follow(job=OTHER_JOB), 0)
    desk.hear(b"b", DropCapture(capture=A), 0)  # before the job has been checked
    assert desk.sent[-1][1].code == "in_use"
    desk.hear(b"b", GetScene(capture=A), 0)
    deliver(desk.storekeeper, lambda: len(desk.sent) == 8)
    assert desk.jobs == [(b"a", submit), (b"b", Follow(job=JOB)), (b"b", Cancel(job=JOB))]
    state = desk.sent[-1][1]
    assert isinstance(state, SceneState)
    assert state.jobs == (JOB,)


def test_a_job_on_a_capture_that_cannot_be_used_is_refused_at_once(desk):
    desk.hear(b"a", OpenCapture(capture=A, views=4), 0)
    deliver(desk.storekeeper, lambda: desk.sent)
    (desk.captures.root / f"{A}.unfinished" / "upload.json").write_text("{")
    for capture, code in ((A, "bad_capture"), (B, "unknown_capture")):
        desk.sent.clear()
        assert desk.takes(b"a", Submit(job=JOB, request=TrainSceneRequest(capture=capture)), 9)
        deliver(desk.storekeeper, lambda: desk.sent)
        assert [(m.code, m.job) for _, m in desk.sent] == [(code, JOB)]
    assert desk.jobs == []


def test_a_defect_in_an_answer_is_told_to_who_asked_at_once(desk):
    send = desk._send

    def broken(client, message):
        if not isinstance(message, Error):
            raise FloatingPointError("in the answer")
        send(client, message)

    desk._send = broken
    desk.hear(b"a", OpenCapture(capture=A, views=4), 0)
    deliver(desk.storekeeper, lambda: desk.sent)
    ((client, said),) = desk.sent
    assert (client, said.code, said.job) == (b"a", "internal", A)
    assert "FloatingPointError: in the answer" in said.message


def test_a_disk_that_hangs_refuses_what_would_wait_for_it(desk, monkeypatch):
    monkeypatch.setattr(errands, "MOST_BYTES", 100)
    desk.hear(b"a", OpenCapture(capture=A, views=4), 0)
    desk.hear(b"a", put(A, 0), 1000)
    desk.hear(b"b", put(B, 0), 1000)
    assert desk.takes(b"b", Submit(job=JOB, request=TrainSceneRequest(capture=A)), 9)
    assert [(m.code, m.job) for _, m in desk.sent] == [("storage", B), ("storage", JOB)]


# ------------------------------------------------------------------ slow readers


class Line:
    """Clients of which some do not read."""

    def __init__(self):
        self.deaf, self.told = set(), []

    def send(self, client, message):
        if client in self.deaf:
            return False
        self.told.append((client, message))
        return True


def test_a_slow_reader_gets_the_end_of_its_job_when_it_reads_again():
    line = Line()
    latest = Progress(job=JOB, stage="1", fraction=0.1)
    outbox = Outbox(line.send, lambda job: latest)
    outbox.send(b"a", latest)
    line.deaf.add(b"a")
    for step in range(1000):
        latest = Progress(job=JOB, stage="2", fraction=step / 1000)
        outbox.send(b"a", latest)
    outbox.send(b"a", CaptureState(capture=A, views=4, missing=(1,), sealed=False))
    outbox.send(b"a", CaptureState(capture=A, views=4, missing=(), sealed=False))
    outbox.send(b"a", Error(code="busy", message="full", job=OTHER_JOB))
    outbox.send(b"b", latest)
    latest = Done(job=JOB, result=None)
    outbox.send(b"a", latest)
    outbox.send_owed()
    assert len(line.told) == 2
    line.deaf.clear()
    outbox.send_owed()
    assert [message for client, message in line.told[2:]] == [
        latest,
        CaptureState(capture=A, views=4, missing=(), sealed=False),
        Error(code="busy", message="full", job=OTHER_JOB),
    ]
    outbox.send(b"a", latest)
    assert len(line.told) == 6


def test_what_waits_for_one_client_is_bounded_and_goes_with_it():
    line = Line()
    outbox = Outbox(line.send, lambda job: Error(code="unknown_job", message="?", job=job))
    line.deaf.add(b"a")
    for number in range(3 * MAX_ANSWERS):
        outbox.send(b"a", Error(code="x", message="y", job=f"{number:032}"))
    line.deaf.clear()
    outbox.send_owed()
    assert len(line.told) == MAX_ANSWERS
    assert line.told[-1][1].job == f"{3 * MAX_ANSWERS - 1:032}"
    line.deaf.add(b"a")
    outbox.send(b"a", Error(code="x", message="y", job=JOB))
    outbox.forget(b"a")
    line.deaf.clear()
    outbox.send_owed()
    assert len(line.told) == MAX_ANSWERS


def test_few_bytes_wait_for_one_that_does_not_read(monkeypatch):
    """However few the messages are: a laptop that sleeps has many large results to come."""
    monkeypatch.setattr(under_way, "MOST_BYTES", 10_000_000)
    large = np.zeros(4_000_000, np.uint8).data
    with zmq.Context() as context:
        router, deaf = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        deaf.rcvhwm, deaf.rcvbuf = 1, 4096
        router.sndbuf = 4096
        port = router.bind_to_random_port("tcp://127.0.0.1")
        deaf.connect(f"tcp://127.0.0.1:{port}")
        deaf.send(b"here")
        client, _ = router.recv_multipart()
        sent, count = UnderWay(), 0
        while sent.has_room(client) and count < 50:
            sent.send(router, client, [b"head", large])
            count += 1
            time.sleep(0.02)
        assert count < 10
        assert sent.has_room(b"another")
        for _ in range(count):
            assert list(map(len, deaf.recv_multipart())) == [4, len(large)]
        deadline = time.monotonic() + 10
        while not sent.has_room(client) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert sent.has_room(client)
        context.destroy(linger=0)


# ------------------------------------------------------------------ one server, one file


def test_second_server_on_a_connection_file_refuses_and_touches_nothing(tmp_path):
    path = tmp_path / "connection.json"
    held = lock(tmp_path / ".connection.json.lock")
    assert held is not None
    path.write_text("the first one's")
    for new_keys in (False, True):
        with pytest.raises(CannotStart, match="Another server runs with the connection file"):
            Server("tcp://127.0.0.1:*", path, new_keys=new_keys)
    assert path.read_text() == "the first one's"
    assert {one.name for one in tmp_path.iterdir()} == {path.name, ".connection.json.lock"}
    os.close(held)
    again = lock(tmp_path / ".connection.json.lock")
    assert again is not None
    os.close(again)


# ------------------------------------------------------------------ pictures


@pytest.mark.parametrize("shape", [(1, 1, 3), (300, 7, 3), (513, 20, 4), (256, 3, 4), (2, 900, 3)])
def test_fast_png_holds_the_very_pixels(shape):
    rng = np.random.default_rng(0)
    for image in (rng.integers(0, 256, shape, np.uint8), np.full(shape, 77, np.uint8)):
        file = io.BytesIO()
        write_fast_png(file, image)
        with Image.open(file) as read:
            read.load()
            assert read.mode == ("RGB" if shape[2] == 3 else "RGBA")
            assert (np.asarray(read) == image).all()
