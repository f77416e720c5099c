"""A real server and its disk: what is in the way, who may read it, and who waits for it."""

import subprocess
import sys
import threading
import time

import msgspec
import numpy as np
import pytest
import zmq

from protocol import codec
from protocol.client import Client
from protocol.connection import ALREADY_RUNS
from protocol.messages import CaptureState, Done, Error, Follow, Hello, OpenCapture
from protocol.requests import TrainSceneRequest
from protocol.values import new_capture_id
from tests.backend.test_capture_server import COUNT, ask, put
from tests.backend.test_server import EDIT, ROOT, running_server
from tests.protocol.flat import changed, flat


@pytest.fixture(scope="module")
def server(tiny_model, tmp_path_factory):
    """A server whose data root is a file, started by somebody who lets everybody read."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "data").write_text("in the way")
    root = folder / "data"
    with running_server(tiny_model, folder, "--data-root", str(root), umask=0) as running:
        yield folder, *running


@pytest.fixture
def client(server):
    with Client(server[2], "the tests") as connected:
        connected.connect(timeout=30)
        yield connected


def test_a_file_as_data_root_costs_captures_only_and_can_be_moved_away(client, server):
    folder, process, _ = server
    for _ in range(2):
        refused = ask(client, OpenCapture(capture=new_capture_id(), views=COUNT))
        assert (refused.code, "--data-root" in refused.message) == ("storage", True)
    assert client.run(EDIT).image.shape == EDIT.image.shape
    assert "is a file, so no captures can be kept" in "".join(process.lines)
    (folder / "data").unlink()
    capture = new_capture_id()
    assert client.send_capture(capture, COUNT, lambda index: put(capture, index)).sealed
    client.run(flat(TrainSceneRequest, capture=capture, iterations=2))
    found = [folder / "data", *(folder / "data").rglob("*")]
    assert any(path.suffix == ".pt" for path in found)
    if sys.platform != "win32":
        for path in found:
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_client_that_did_not_read_gets_the_end_of_its_job(client, server):
    connection = server[2]
    finished = client.submit(EDIT)
    assert isinstance(list(client.events(finished))[-1], Done)
    context = zmq.Context()
    slow = context.socket(zmq.DEALER)
    slow.linger, slow.rcvhwm, slow.rcvbuf = 0, 1, 4096
    slow.curve_serverkey = connection.server_public_key.encode()
    slow.curve_publickey = connection.client_public_key.encode()
    slow.curve_secretkey = connection.client_secret_key.encode()
    slow.connect(connection.endpoint)
    slow.send_multipart(codec.encode(Hello(client="a slow\nreader")))
    job = client.submit(changed(EDIT, steps=60))
    slow.send_multipart(codec.encode(Follow(job=job)))
    for _ in range(1500):  # answers of 30 kB that nobody reads
        slow.send_multipart(codec.encode(Follow(job=finished)))
    assert isinstance(list(client.events(job))[-1], Done)
    time.sleep(0.5)
    ends = set()
    while job not in ends and slow.poll(20_000):
        message = codec.decode_server_message(slow.recv_multipart())
        if isinstance(message, Done):
            ends.add(message.job)
    context.destroy(linger=0)
    assert ends == {finished, job}
    assert "a slow reader connected" in "".join(server[1].lines)


def test_others_are_answered_while_large_views_go_to_the_disk(client, server):
    if (server[0] / "data").is_file():
        (server[0] / "data").unlink()
    capture, views, answers, ended = new_capture_id(), 4, 0, threading.Event()
    large = msgspec.structs.replace(
        put(capture, 0),
        image=np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8),
        alpha=np.zeros((2000, 3000), np.uint8),
        depth=np.ones((2000, 3000), np.float32),
        cx=1500.0,
        cy=1000.0,
    )
    errors = []

    def upload():
        with Client(server[2], "another") as other:
            other.connect(timeout=30)
            ask(other, OpenCapture(capture=capture, views=views))
            for index in range(views):
                other.send(msgspec.structs.replace(large, index=index))
            came = 0
            while came < views:
                for message in other.poll(60):
                    came += isinstance(message, CaptureState)
                    errors.extend([message] if isinstance(message, Error) else [])
        ended.set()

    sender = threading.Thread(target=upload)
    sender.start()
    mine = new_capture_id()
    while not ended.is_set():
        assert isinstance(ask(client, OpenCapture(capture=mine, views=5)), CaptureState)
        answers += 1
        time.sleep(0.005)
    sender.join()
    assert errors == []
    assert answers > 4 * views  # it was once for each view that was written


def test_a_second_server_on_the_connection_file_refuses_in_one_sentence(server, tiny_model):
    path = server[0] / "connection.json"
    before = path.read_bytes()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "backend.server", "--model", str(tiny_model)),
            *("--device", "cpu", "--connection-file", str(path), "--new-keys"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == ALREADY_RUNS
    assert done.stderr.count("\n") == 1
    assert "Another server runs with the connection file" in done.stderr
    assert path.read_bytes() == before
    with Client(server[2]) as client:
        client.connect(timeout=30)
