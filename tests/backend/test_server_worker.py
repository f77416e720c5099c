"""What the server does about a worker that dies, hangs, or makes what cannot be sent."""

import contextlib
import errno
import logging
import os
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import torch
import zmq

from backend.jobs import refusals, supervision
from backend.jobs.supervision import Supervisor, Worker
from backend.jobs.worker_messages import LOST_GPU, Loaded, decode_worker_message
from backend.server import CannotStart, Server
from backend.worker import process
from backend.worker.process import frames_of_end
from protocol import codec
from protocol.client import Client
from protocol.connection import new_server_keys
from protocol.line import ServerError
from protocol.messages import Cancel, Cancelled, Done, Failed, Progress, Submit, Welcome
from protocol.requests import EditRequest, RelevanceResult, SceneMeshRequest, TrainSceneRequest
from protocol.settings import GuidanceSettings
from protocol.values import new_capture_id
from tests.backend.test_capture_server import COUNT, put
from tests.backend.test_server import PATIENCE
from tests.protocol.bench_mutated_messages import send_many
from tests.protocol.flat import changed, flat

JOB = "0123456789abcdef" * 2
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 72, 3), dtype=np.uint8)
EDIT = flat(EditRequest, image=IMAGE, instruction="make the sphere red", steps=2, threshold=0.3)
LONG_EDIT = changed(EDIT, steps=1000)


# ------------------------------------------------------------------ what the worker sends


def relevance_result(**changes):
    values = {
        "relevance": np.zeros((2, 2), np.float32),
        "spread": 0.0,
        "magnitude": 1.0,
        "suggested_threshold": 0.5,
        "evidence": None,
        "applies": None,
    }
    return RelevanceResult(**values | changes)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (relevance_result(relevance=np.full((2, 2), np.nan, np.float32)), "--dtype float32"),
        (relevance_result(relevance=np.full((2, 2), np.inf, np.float32)), "--dtype float32"),
        (relevance_result(magnitude=float("nan")), "cannot be sent"),
        (relevance_result(suggested_threshold=2.0), "cannot be sent"),
        (relevance_result(notes=("x" * 1000,) * 1000), "ask for a smaller one"),
        (relevance_result(notes=("\ud800",)), "not Unicode"),
    ],
)
def test_a_result_that_cannot_be_sent_becomes_a_failure_in_words(result, words):
    said = decode_worker_message(frames_of_end(Done(job=JOB, result=result)))
    assert isinstance(said, Failed)
    assert (said.job, said.code) == (JOB, "bad_result")
    assert words in said.message


def test_other_ends_are_sent_as_they_are():
    done = Done(job=JOB, result=relevance_result())
    assert decode_worker_message(frames_of_end(done)).result.magnitude == 1.0
    cancelled = Cancelled(job=JOB, message="kept")
    assert decode_worker_message(frames_of_end(cancelled)) == cancelled


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError("Unable to allocate 732. MiB for an array"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_a_job_that_needs_too_much_memory_says_what_to_do(error, monkeypatch):
    """Whosever memory it is, and however it is told."""

    def perform(*_):
        raise error

    monkeypatch.setattr(process, "perform", perform)
    end = process._do(None, None, None, JOB, EDIT)
    assert (end.code, end.message) == (
        "out_of_memory",
        "The device ran out of memory on a 72x64 image: send a smaller one.",
    )


def test_a_model_that_needs_too_much_memory_says_what_to_do(monkeypatch):
    sent = []

    class Line:
        def __init__(self, *_):
            self.send, self.close = sent.append, lambda: None

    def load(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 ...")

    monkeypatch.setattr(process, "_Line", Line)
    monkeypatch.setattr(process, "_end_with_parent", lambda: None)
    monkeypatch.setattr(process.signal, "signal", lambda *_: None)
    monkeypatch.setattr(process.Editor, "from_pretrained", load)
    monkeypatch.setenv(process.KEYS_VARIABLE, "a b c")
    with pytest.raises(SystemExit):
        process.main("tcp://127.0.0.1:9", "demo", "cpu", "auto", "/nowhere", "120")
    (said,) = sent
    assert said.message.startswith("The model does not fit into the memory that is free: end ")


def test_whatever_an_error_says_can_be_sent():
    for words in ("\ud800", "x" * 10**6, "a\x00b\n"):
        said = decode_worker_message(frames_of_end(Failed(job=JOB, code="x", message=words)))
        assert said.message.isprintable()
        assert len(said.message) <= 1000


def test_whoever_lost_a_job_is_told_what_would_help():
    capture = "f" * 32
    train, mesh = TrainSceneRequest(capture=capture), SceneMeshRequest(capture=capture)
    help_with = refusals.what_may_help
    assert help_with(train) == "send it again, and it goes on from its last checkpoint"
    assert help_with(mesh) == "try fewer faces, or a smaller texture"
    assert help_with(EDIT) == "try a smaller image"


def test_a_client_with_a_wrong_key_does_not_fill_the_log(monkeypatch, caplog):
    """It tries again every second, for as long as its laptop is on."""
    now = 0.0
    monkeypatch.setattr(supervision.time, "monotonic", lambda: now)
    allowed = supervision.AllowedKey("right")
    for _ in range(1200):
        assert not allowed.callback("clients", b"wrong")
        now += 0.1
    assert allowed.callback("clients", b"right")
    said = [record.message for record in caplog.records]
    assert said == [
        "refused a client with a wrong key",
        "refused a client with a wrong key, 600 times since",
    ]


# ------------------------------------------------------------------ the supervisor


class Fake:
    """A worker in name only."""

    def __init__(self):
        self.is_steady = False
        self.process = subprocess.Popen([sys.executable, "-c", ""])
        self.words = None

    def trouble(self):
        return self.words

    def kill(self):
        self.process.kill()


@pytest.mark.parametrize("fault", [OSError("no more processes"), zmq.ZMQError(errno.EMFILE)])
def test_workers_that_do_not_come_to_work_are_started_after_longer_and_longer_pauses(
    monkeypatch, fault
):
    now = 1000.0
    monkeypatch.setattr(supervision.time, "monotonic", lambda: now)
    started = []

    def start():
        if len(started) == 3:
            started.append(None)
            raise fault
        started.append(Fake())
        return started[-1]

    workers = Supervisor(start)
    pauses = []
    for _ in range(10):
        if workers.worker is not None:
            assert workers.tend() is None
            workers.worker.words = "ended (exit code 1)"
        assert workers.tend() is not None
        pauses.append(workers.pause)
        now += workers.pause / 2
        count = len(started)
        if workers.pause:
            assert workers.tend() is None  # not yet
            assert len(started) == count
        now += workers.pause
        if len(started) != 3:
            assert workers.tend() is None
            assert workers.worker is started[-1]
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    workers.worker.is_steady = True
    workers.worker.words = "ended (exit code -9)"
    workers.tend()
    assert workers.pause == 0


class Idle:
    """A process that runs."""

    def poll(self):
        return None


@pytest.fixture
def worker():
    """A worker without a process, and a client of its socket; `now` sets its clock."""
    with zmq.Context() as context:
        made = object.__new__(Worker)
        made.process, made.socket = Idle(), context.socket(zmq.DEALER)
        made._ready_since = made._lost_since = made._last_word = made._cancelled = None
        made._connected, made._started, made._unreachable = False, 0.0, False
        made.socket.sndtimeo = 5000
        made.other = context.socket(zmq.DEALER)
        made.other.connect(f"tcp://127.0.0.1:{made.socket.bind_to_random_port('tcp://127.0.0.1')}")

        def now(seconds):
            made._clock = lambda: seconds

        made.now = now
        now(0.0)
        yield made
        made.other.close(linger=0)
        made.socket.close(linger=0)


def test_a_job_without_a_word_for_long_and_one_that_does_not_stop_are_given_up(worker):
    assert worker.socket.poll(5000, zmq.POLLOUT)
    worker.now(supervision.CONNECT_SECONDS + 9)  # loading may take as long as it likes
    assert worker.trouble() is None
    worker.send(Submit(job=JOB, request=EDIT))
    worker.now(supervision.CONNECT_SECONDS + 1000)
    worker.other.send_multipart(codec.encode(Progress(job=JOB, stage="s", fraction=0.5)))
    assert worker.socket.poll(5000)
    worker.receive()
    worker.now(supervision.CONNECT_SECONDS + 999 + supervision.WORDLESS_SECONDS)
    assert worker.trouble() is None
    worker.now(supervision.CONNECT_SECONDS + 1001 + supervision.WORDLESS_SECONDS)
    assert "has not got on with its job for 30 minutes" in worker.trouble()
    worker.other.send_multipart(codec.encode(Cancelled(job=JOB)))
    assert worker.socket.poll(5000)
    worker.receive()
    worker.now(10**6)
    assert worker.trouble() is None  # it waits for a job
    worker.send(Submit(job=JOB, request=EDIT))
    worker.send(Cancel(job=JOB))
    worker.now(10**6 + supervision.CANCEL_SECONDS - 1)
    assert worker.trouble() is None
    worker.now(10**6 + supervision.CANCEL_SECONDS + 1)
    assert "has not stopped" in worker.trouble()


def test_what_has_not_come_is_not_waited_for(worker):
    assert worker.receive() is None


def test_a_worker_is_steady_some_time_after_it_was_ready(worker):
    assert not worker.is_steady
    loaded = Loaded(
        model="demo", device="cpu", dtype="float32", native_size=256, guidance=GuidanceSettings()
    )
    worker.other.send_multipart(codec.encode(loaded))
    assert worker.socket.poll(5000)
    worker.receive()
    worker.now(supervision.STEADY_SECONDS - 1)
    assert not worker.is_steady
    worker.now(supervision.STEADY_SECONDS + 1)
    assert worker.is_steady


def test_what_passes_while_the_server_itself_is_stopped_is_not_the_workers_silence(
    worker, monkeypatch
):
    now = 50.0
    monkeypatch.setattr(supervision.time, "monotonic", lambda: now)
    worker._clock = supervision.Awake()
    assert worker.socket.poll(5000, zmq.POLLOUT)
    worker.send(Submit(job=JOB, request=EDIT))
    for _ in range(3):
        now += 10 * supervision.WORDLESS_SECONDS  # a laptop that sleeps, or Ctrl-Z
        assert worker.trouble() is None
    worker.send(Cancel(job=JOB))
    now += 10 * supervision.WORDLESS_SECONDS
    assert worker.trouble() is None
    for _ in range(round(supervision.CANCEL_SECONDS)):
        now += 1.0
        trouble = worker.trouble()
    assert "has not stopped" in trouble


def test_a_worker_that_has_hung_up_does_not_hold_up_the_server(worker):
    assert worker.socket.poll(5000, zmq.POLLOUT)
    assert worker.is_there
    worker.other.close(linger=0)
    deadline = time.perf_counter() + 5
    while worker.is_there and time.perf_counter() < deadline:
        time.sleep(0.01)
    worker.send(Submit(job=JOB, request=EDIT))  # does not wait for somebody to send it to
    assert "cannot be reached" in worker.trouble()


def test_a_process_that_does_not_come_to_life_or_hangs_up_is_given_up(worker):
    worker.other.close(linger=0)
    deadline = time.perf_counter() + 5
    while worker.socket.poll(0, zmq.POLLOUT) and time.perf_counter() < deadline:
        time.sleep(0.01)
    worker.now(supervision.CONNECT_SECONDS + 1)
    assert "has not come to life" in worker.trouble()
    worker._connected = True
    assert worker.trouble() is None  # it may just be ending
    worker.now(supervision.CONNECT_SECONDS + 3)
    assert "has not answered" in worker.trouble()


def test_a_worker_whose_gpu_is_lost_to_a_fault_is_replaced(worker, monkeypatch, caplog):
    def fault(device):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert not process.is_lost(gpu)
    monkeypatch.setattr(torch.cuda, "synchronize", fault)
    assert process.is_lost(gpu)
    assert "an illegal memory access" in caplog.text
    assert not process.is_lost(torch.device("cpu"))
    worker.process.poll = lambda: LOST_GPU
    assert "lost its GPU" in worker.trouble()


def test_a_job_is_still_cancelled_where_the_next_one_has_come_already():
    """As where a word about the first could not be read, so that the server gave it up."""
    other = "f" * 32
    before = process.signal.getsignal(process.signal.SIGTERM)
    keys = new_server_keys()
    with zmq.Context() as context, context.socket(zmq.DEALER) as server:
        server.curve_server, server.curve_secretkey = True, keys.server_secret_key.encode()
        secrets = (keys.server_public_key, keys.client_public_key, keys.client_secret_key)
        port = server.bind_to_random_port("tcp://127.0.0.1")
        line = process._Line(f"tcp://127.0.0.1:{port}", " ".join(secrets))
        process.signal.signal(process.signal.SIGTERM, before)
        for message in (
            Submit(job=JOB, request=EDIT),
            Cancel(job=JOB),
            Submit(job=other, request=EDIT),
        ):
            server.send_multipart(codec.encode(message))
        assert line.next_job().job == JOB
        assert line._socket.poll(5000)
        while not line._submitted:
            cancelled = line.is_cancelled(JOB)
        assert cancelled
        assert line.next_job().job == other
        assert not line.is_cancelled(other)
        assert not line.is_cancelled(JOB)
        line.close()


# ------------------------------------------------------------------ a real one


def test_a_server_whose_worker_cannot_be_started_leaves_nothing_that_says_where_it_is(
    tmp_path, monkeypatch
):
    def refuse(*args, **kwargs):
        raise OSError(errno.EAGAIN, "no more processes")

    file = tmp_path / "connection.json"
    for _ in range(2):  # nor what keeps another server out
        with monkeypatch.context() as patched:
            patched.setattr(supervision.subprocess, "Popen", refuse)
            with pytest.raises(CannotStart, match=r"worker.*cannot be started.*no more processes"):
                Server("tcp://127.0.0.1:*", file, "demo", "cpu", data_root=tmp_path / "data")
        assert not file.exists()


@pytest.fixture
def server(tiny_model, tmp_path, monkeypatch):
    """A server in this process, with a real worker that counts as silent after two seconds."""
    monkeypatch.setattr(supervision, "HEARTBEAT_MS", 500)
    monkeypatch.setattr(supervision, "SILENCE_MS", 2000)
    with running(tiny_model, tmp_path) as made:
        yield made


@contextlib.contextmanager
def running(model, folder):
    server = Server(
        "tcp://127.0.0.1:*",
        folder / "connection.json",
        f"{model}",
        "cpu",
        data_root=folder / "data",
    )
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop,))
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def the_worker(server):
    """The process that works at present, once there is one."""
    deadline = time.monotonic() + 60
    while server._workers.worker is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return psutil.Process(server._workers.worker.process.pid)


def welcome_with(client, wanted):
    """The latest Welcome or the next ones, the first that `wanted` is true of."""
    if wanted(client.welcome):  # it may have come together with the end of a job
        return client.welcome
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for message in client.poll(1):
            if isinstance(message, Welcome) and wanted(message):
                return message
    raise AssertionError("no such Welcome came")


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")
def test_silent_workers_and_those_that_die_while_loading_anew_are_replaced(server, caplog):
    with Client(server.connection) as client:
        client.connect(PATIENCE)
        client.run(EDIT)
        job = client.submit(LONG_EDIT)
        stopped = None
        for event in client.events(job):
            if isinstance(event, Progress) and stopped is None:
                stopped = the_worker(server)
                stopped.suspend()
        assert isinstance(event, Failed)
        assert event.code == "worker_died"
        assert "has not answered" in event.message
        said = welcome_with(client, lambda welcome: welcome.notice)
        assert said.model_state == "loading"
        assert psutil.wait_procs([stopped], timeout=30)[0] == [stopped]
        waiting = client.submit(EDIT)  # meanwhile others die while they load
        for pause in (1, 2):
            died = the_worker(server)
            died.kill()
            words = f"ended (exit code -9); another is started in {pause} s"
            welcome_with(client, lambda welcome, words=words: words in welcome.notice)
        loading = the_worker(server)
        while loading.pid == died.pid:
            time.sleep(0.05)
            loading = the_worker(server)
        assert isinstance(list(client.events(waiting))[-1], Done)
        assert client.welcome.model_state == "ready"
        assert client.welcome.notice == ""
        assert "The worker process ended (exit code -9)" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="makes a FIFO")
def test_a_worker_that_hangs_while_it_answers_heartbeats_is_replaced(
    tiny_model, tmp_path, monkeypatch, capfd
):
    monkeypatch.setattr(supervision, "STILL_SECONDS", 4.0)
    capture = new_capture_id()
    with running(tiny_model, tmp_path) as server, Client(server.connection) as client:
        client.connect(PATIENCE)
        client.send_capture(capture, COUNT, lambda index: put(capture, index))
        file = tmp_path / "data" / "captures" / capture / "transforms.json"
        kept = file.read_bytes()
        file.unlink()
        os.mkfifo(file)  # whoever opens it waits in the system, as in a driver that hangs
        hung = the_worker(server)
        began = time.monotonic()
        with pytest.raises(ServerError, match="process hung, as a driver can make it") as failed:
            client.run(flat(TrainSceneRequest, capture=capture, iterations=2))
        assert failed.value.code == "worker_died"
        assert time.monotonic() - began < supervision.WORDLESS_SECONDS / 10
        assert the_worker(server).pid != hung.pid
        file.unlink()
        file.write_bytes(kept)
        assert client.run(flat(TrainSceneRequest, capture=capture, iterations=2)).steps == 2
    assert "transforms.py" in capfd.readouterr().err  # where it hung


def test_a_message_that_breaks_something_costs_nobody_else_anything(server, monkeypatch, caplog):
    receive = Worker.receive

    def broken(worker):
        monkeypatch.setattr(Worker, "receive", receive)
        worker.socket.recv_multipart()
        raise codec.BadMessage("the header holds nonsense")

    with Client(server.connection) as client, caplog.at_level(logging.ERROR):
        client.connect(PATIENCE)
        client.run(EDIT)
        monkeypatch.setattr(Worker, "receive", broken)
        with pytest.raises(ServerError, match="cannot be read: the header holds nonsense"):
            client.run(LONG_EDIT)
        monkeypatch.setattr(server.queue, "submit", lambda *_: 1 / 0)
        with pytest.raises(ServerError, match="ZeroDivisionError") as refused:
            client.run(EDIT)
        assert refused.value.code == "internal"
        monkeypatch.undo()
        figures = send_many(client, os.getpid(), 400)
        assert figures["errors"] > 200
        assert figures["MB at most"] - figures["MB before"] < 100
        assert client.run(EDIT).image.shape == IMAGE.shape
        assert "ZeroDivisionError" in caplog.text
