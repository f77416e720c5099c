"""What clients send is taken without waiting, in order, and never more than memory has room for."""

import os
import socket
import struct
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import zmq

from backend.captures.store import CaptureStore
from backend.jobs import doorkeeper, errands, intake
from backend.jobs.errands import Errands
from backend.jobs.intake import Intake
from protocol import codec
from protocol.client import Client
from protocol.messages import CaptureState, GetScene, Hello, OpenCapture
from protocol.values import new_capture_id
from tests.backend.test_capture_server import COUNT, ask, put
from tests.backend.test_server_worker import EDIT, IMAGE, running

A = "a" * 32


class Sockets:
    """A ROUTER and two clients of it."""

    def __init__(self, context):
        self.router = context.socket(zmq.ROUTER)
        self.keeper = doorkeeper.Doorkeeper(self.router)
        port = self.router.bind_to_random_port("tcp://127.0.0.1")
        self.clients = [context.socket(zmq.DEALER) for _ in range(2)]
        for client in self.clients:
            client.connect(f"tcp://127.0.0.1:{port}")


@pytest.fixture
def sockets():
    with zmq.Context() as context:
        made = Sockets(context)
        yield made
        made.keeper.close()
        context.destroy(linger=0)


@pytest.fixture
def taken(sockets):
    """An intake, and the messages that it has served."""
    served = []
    disk = Errands(1, "disk")
    made = Intake(sockets.router, sockets.keeper, disk, lambda *what: served.append(what))
    made.served, made.disk = served, disk
    yield made
    for one in (made.errands, disk):
        one.close()


def take(taken, until):
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline
        if taken.may_take:
            taken.take()
        taken.errands.deliver()
        time.sleep(0.002)


def test_one_clients_messages_keep_their_order_and_large_ones_hold_up_nobody(
    sockets, taken, monkeypatch
):
    monkeypatch.setattr(intake, "LARGE_BYTES", 10_000)
    slow, decode = threading.Event(), codec.decode_client_message

    def decoded(parts):
        if sum(map(len, parts)) > 10_000:
            assert slow.wait(20)
        return decode(parts)

    monkeypatch.setattr(codec, "decode_client_message", decoded)
    one, other = sockets.clients
    one.send_multipart(codec.encode(put(A, 0)))
    one.send_multipart(codec.encode(GetScene(capture=A)))
    one.send_multipart([b"not a message"])
    take(taken, lambda: taken.errands.waiting_bytes)
    other.send_multipart(codec.encode(Hello(client="another")))
    take(taken, lambda: taken.served)
    assert [type(message) for _, _, message in taken.served] == [Hello]
    slow.set()
    take(taken, lambda: len(taken.served) == 4)
    kinds = [type(message).__name__ for _, _, message in taken.served[1:]]
    assert kinds == ["PutView", "GetScene", "BadMessage"]
    assert (taken.served[1][2].image == put(A, 0).image).all()
    assert taken.served[1][1] > 10_000


def test_a_full_disk_queue_slows_the_taking_and_an_over_full_one_stops_it(taken, monkeypatch):
    monkeypatch.setattr(errands, "READ_AHEAD_BYTES", 100)
    monkeypatch.setattr(errands, "MOST_BYTES", 200)
    monkeypatch.setattr(errands, "PATIENCE", 0.5)
    slow = threading.Event()
    taken.disk.ask("a", 150, lambda: slow.wait(20), lambda _: None)
    taken.take()
    assert not taken.may_take
    time.sleep(2 * intake.PACE_MS / 1000)
    assert taken.may_take
    taken.disk.ask("a", 100, lambda: None, lambda _: None)
    assert not taken.may_take
    time.sleep(0.6)
    assert taken.may_take  # the disk hangs: what comes is refused
    slow.set()


def test_others_are_heard_while_one_sends_more_than_the_disk_takes(
    tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(errands, "READ_AHEAD_BYTES", 1000)
    monkeypatch.setattr(errands, "PATIENCE", 600.0)
    let_go, keep = threading.Event(), CaptureStore.put

    def slowly(store, *arguments):
        assert let_go.wait(60)
        return keep(store, *arguments)

    monkeypatch.setattr(CaptureStore, "put", slowly)
    monkeypatch.setattr("backend.jobs.capture_desk.parked", lambda view, _: view)
    with running(tiny_model, tmp_path) as server:
        try:
            with Client(server.connection) as sender, Client(server.connection) as other:
                sender.connect(30)
                other.connect(30)
                ask(sender, OpenCapture(capture=A, views=COUNT))
                for index in range(20):
                    sender.send(put(A, index % COUNT))
                for _ in range(5):
                    mine = new_capture_id()
                    assert isinstance(ask(other, OpenCapture(capture=mine, views=5)), CaptureState)
                let_go.set()
                states = []
                while len(states) < 20:
                    states += sender.poll(60)
                assert states[-1].missing == ()
        finally:
            let_go.set()


# ------------------------------------------------------------------ messages without end


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell what has come")
def test_frames_without_end_cost_who_sends_them_the_line_and_nobody_else_anything(
    tiny_model, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(doorkeeper, "MOST_UNREAD_BYTES", 50 * 10**6)
    with running(tiny_model, tmp_path) as server, Client(server.connection) as other:
        other.connect(30)
        before = psutil.Process(os.getpid()).memory_info().rss
        with Client(server.connection) as sender:
            sender.connect(30)
            frame = np.zeros(10**6, np.uint8).data  # one buffer, sent again and again
            for _ in range(400):
                sender._socket.send(frame, zmq.SNDMORE, copy=False)
            sender._socket.send(b"the end")
            most = 0
            deadline = time.monotonic() + 60
            while "hung up on a client" not in caplog.text:
                assert time.monotonic() < deadline
                most = max(most, psutil.Process(os.getpid()).memory_info().rss - before)
                time.sleep(0.02)
        assert most < 300 * 10**6  # of 400
        assert other.run(EDIT).image.shape == IMAGE.shape


def test_long_lines_are_not_taken_for_messages_without_end(sockets, taken, monkeypatch):
    monkeypatch.setattr(doorkeeper, "MOST_UNREAD_BYTES", 3 * 10**6)
    monkeypatch.setattr(doorkeeper, "LOOK_SECONDS", 0.0)
    for number in range(1, 11):
        for client in sockets.clients:
            client.send_multipart([bytes(10**6)])
        take(taken, lambda number=number: len(taken.served) == 2 * number)
        sockets.keeper.look()


@pytest.fixture
def accepted():
    """Both ends of a TCP connection: the one that was accepted, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        made, _ = listening.accept()
    with made, client:
        yield made, client


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a connection brings")
def test_hanging_up_on_who_has_just_gone_breaks_nothing(accepted):
    made, client = accepted
    door = doorkeeper._Door(doorkeeper._number(made.fileno()))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()  # by a reset
    with pytest.raises(OSError, match="reset"):
        made.recv(1)
    doorkeeper._hang_up(made.fileno(), door)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a connection brings")
def test_a_file_that_has_got_a_connections_number_is_left_alone(accepted, tmp_path):
    made, _ = accepted
    number = made.fileno()
    door = doorkeeper._Door(doorkeeper._number(number))
    assert doorkeeper._received(number, door) == 0
    with (tmp_path / "file").open("wb") as file:
        os.dup2(file.fileno(), number)
    before = psutil.Process().num_fds()
    for _ in range(5):
        assert doorkeeper._received(number, door) is None
        doorkeeper._hang_up(number, door)
    assert psutil.Process().num_fds() == before
