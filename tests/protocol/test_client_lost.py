"""A client whose server is gone: it notices, says so, attaches again, and gives up in the end."""

import contextlib
import socket
import threading
import time

import msgspec
import numpy as np
import pytest
import zmq

from protocol import client as client_module
from protocol import line as line_module
from protocol.client import Client
from protocol.connection import BadConnectionFile, new_server_keys
from protocol.line import ConnectionFailed, KeyRefused, ServerError
from protocol.messages import (
    Cancel,
    Cancelled,
    CaptureState,
    Done,
    Follow,
    GetScene,
    Progress,
    PutView,
    Queued,
    SceneState,
    Submit,
)
from protocol.requests import RelevanceRequest, RelevanceResult
from protocol.values import MAX_FRAME_BYTES
from tests.protocol.small_server import Line, SmallServer, unknown

REQUEST = RelevanceRequest(image=np.zeros((2, 2, 3), np.uint8), instruction="x")
RESULT = RelevanceResult(
    relevance=np.zeros((2, 2), np.float32),
    spread=0.0,
    magnitude=1.0,
    suggested_threshold=0.5,
    evidence=1.0,
    applies=True,
)


def waits(message):
    """A job that never ends."""
    return [Queued(job=message.job, position=0)]


def ends(message):
    """A job that ends at once; an unknown one is not there."""
    return (
        [Done(job=message.job, result=RESULT)]
        if isinstance(message, Submit)
        else [unknown(message)]
    )


def test_a_line_that_is_cut_is_noticed_within_ten_seconds_and_attached_to_again():
    said = []
    with (
        SmallServer(waits) as server,
        Line(server.connection) as line,
        Client(line.connection, say=said.append) as client,
    ):
        client.connect()
        job = client.submit(REQUEST)
        events = client.events(job, REQUEST)
        next(events)
        line.cut()
        began = time.monotonic()
        server._answer = ends

        def mend(words):
            said.append(words)
            line.mend()

        client._say = mend
        (done,) = events
        assert isinstance(done, Done)
        assert [message.job for message in server.received] == [job, job]
    assert "was lost" in said[0]
    assert said[-1] == "The backend is there again."
    assert time.monotonic() - began < 20
    assert (
        line_module.HEARTBEAT_INTERVAL_MS + line_module.HEARTBEAT_TIMEOUT_MS <= 8000
    )  # leaves two seconds for a busy machine


def test_the_last_words_of_a_server_that_is_gone_are_heard():
    with SmallServer(ends) as server, Client(server.connection) as client:
        client.connect()
        client.poll(1)  # the second connection is felt
        job = client.submit(REQUEST)
        time.sleep(0.5)
        server.stop()
        time.sleep(0.5)
        assert [type(event) for event in client.events(job)] == [Done]


def test_a_server_that_stays_away_ends_the_waiting(monkeypatch):
    monkeypatch.setattr(client_module, "RETURN_SECONDS", 2)
    said = []
    with SmallServer(waits) as server, Client(server.connection, say=said.append) as client:
        client.connect()
        events = client.events(client.submit(REQUEST))
        next(events)
        server.stop()
        began = time.monotonic()
        with pytest.raises(ConnectionFailed, match="has not come back within 2 seconds"):
            next(events)
        assert 1.5 < time.monotonic() - began < 10
        assert ["was lost" in words for words in said] == [True]


def test_a_server_that_moved_is_found_and_given_the_job_again(monkeypatch):
    said = []
    monkeypatch.setattr(client_module, "LOOK_SECONDS", 0.1)
    with SmallServer(waits) as first, SmallServer(ends) as second:
        places = [BadConnectionFile("not yet"), first.connection, second.connection]

        def find():
            place = places.pop(0) if len(places) > 1 else places[0]
            if isinstance(place, Exception):
                raise place
            return place

        with Client(first.connection, find=find, say=said.append) as client:
            client.connect()

            def stop(event):
                if isinstance(event, Queued):
                    first.stop()

            assert client.run(REQUEST, stop).magnitude == 1.0
            assert client.connection == second.connection
    assert len(said) == 2


def test_without_the_request_an_unknown_job_is_said(monkeypatch):
    with SmallServer(waits) as first, Client(first.connection, say=lambda _: None) as client:
        client.connect()
        events = client.events(client.submit(REQUEST))
        next(events)
        first.stop()
        with (
            SmallServer(ends, first.keys, first.connection.endpoint) as second,
            pytest.raises(ServerError, match="does not know it"),
        ):
            next(events)
        assert isinstance(second.received[0], Follow)


def test_other_keys_are_said_at_once_where_nothing_else_is_known():
    with SmallServer(waits) as first, Client(first.connection, say=lambda _: None) as client:
        client.connect()
        events = client.events(client.submit(REQUEST))
        next(events)
        first.stop()
        with (
            SmallServer(ends, bind=first.connection.endpoint),
            pytest.raises(KeyRefused, match="copy its connection file again"),
        ):
            next(events)


@pytest.mark.parametrize("killed", [False, True])
def test_a_server_that_was_stopped_or_killed_while_it_was_greeted_does_not_refuse_the_key(killed):
    """Its machine takes connections all the same, and hangs up on them when the process is gone."""
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        connection = new_server_keys().connection(f"tcp://127.0.0.1:{stopped.getsockname()[1]}")
        with Client(connection) as client:
            client._socket.setsockopt(zmq.HANDSHAKE_IVL, 300)
            client.open()
            greeted = [stopped.accept()[0] for _ in range(2)]  # both sockets of a line
            for one in greeted if killed else []:
                one.recv(1, socket.MSG_PEEK)  # what was said to it is not read any more
                one.close()
            assert client.poll(1) == []
            assert not client.connected
            for one in greeted:
                one.close()


def test_a_tunnel_to_a_machine_where_no_backend_runs_does_not_refuse_the_key():
    """As that of SSH: its near end takes a connection, and hangs up once the far end cannot."""

    def hang_up(tunnel):
        with contextlib.suppress(OSError):
            while True:
                near, _ = tunnel.accept()
                near.settimeout(0.3)
                with near, contextlib.suppress(TimeoutError):
                    near.recv(64)

    with socket.create_server(("127.0.0.1", 0)) as tunnel:
        threading.Thread(target=hang_up, args=[tunnel], daemon=True).start()
        connection = new_server_keys().connection(f"tcp://127.0.0.1:{tunnel.getsockname()[1]}")
        with Client(connection) as client, pytest.raises(ConnectionFailed) as failed:
            client.connect(2.0)
        tunnel.shutdown(socket.SHUT_RDWR)
    assert "Nothing answers" in str(failed.value)
    assert not isinstance(failed.value, KeyRefused)


def test_a_server_far_away_is_connected_to():
    """Every journey there and back takes 0.8 seconds, as over a satellite."""
    with (
        SmallServer(ends) as server,
        Line(server.connection, delay=0.4) as line,
        Client(line.connection) as client,
    ):
        client.connect()


def test_a_line_that_breaks_whenever_the_job_is_sent_is_given_up(monkeypatch):
    """As where a message is over a limit of the other side: it must not be sent for ever."""
    monkeypatch.setattr(client_module, "RETURN_SECONDS", 3)
    monkeypatch.setattr("tests.protocol.small_server.MAX_WIRE_BYTES", 10_000)
    large = RelevanceRequest(image=np.zeros((100, 100, 3), np.uint8), instruction="x")
    with SmallServer(ends) as server, Client(server.connection, say=lambda _: None) as client:
        client.connect()
        began = time.monotonic()
        with pytest.raises(ConnectionFailed, match="has not come back"):
            client.run(large)
        assert time.monotonic() - began < 15
        assert server.received == []


def test_questions_about_captures_are_asked_again(monkeypatch):
    capture = "f" * 32
    state = SceneState(capture=capture, views=3, sealed=True, field=None, edits=(), jobs=())
    monkeypatch.setattr(client_module, "ANSWER_TIMEOUT", 20)
    with (
        SmallServer(lambda _: [state]) as server,
        Line(server.connection) as line,
        Client(line.connection, say=lambda _: line.mend()) as client,
    ):
        client.connect()
        line.cut()
        assert client.scene(capture) == state
        assert [type(message) for message in server.received] == [GetScene]


def test_a_large_view_on_a_slow_line_is_waited_for(monkeypatch):
    capture = "f" * 32
    state = CaptureState(capture=capture, views=3, missing=(), sealed=False)
    view = PutView(
        capture=capture,
        index=0,
        name="large",
        image=np.zeros((512, 512, 3), np.uint8),
        fx=1.0,
        fy=1.0,
        cx=1.0,
        cy=1.0,
        camera_to_world=tuple(np.eye(4).reshape(-1).tolist()),
    )
    monkeypatch.setattr(client_module, "ANSWER_TIMEOUT", 0.5)
    with (
        SmallServer(lambda _: [state]) as server,
        Line(server.connection, rate=1e6) as line,
        Client(line.connection) as client,
    ):
        client.connect()
        assert client._ask(view, CaptureState) == state


def test_progress_of_an_attached_job_goes_on(monkeypatch):
    def answer(message):
        return [
            Progress(job=message.job, stage="s", fraction=0.5),
            Done(job=message.job, result=RESULT),
        ]

    with SmallServer(answer) as server, Client(server.connection) as client:
        client.connect()
        assert [type(event) for event in client.events(client.submit(REQUEST))] == [Progress, Done]


def test_a_job_that_nobody_waits_for_any_more_is_cancelled():
    """Others wait for their turn behind it."""

    def interrupt(event):
        raise KeyboardInterrupt

    def answer(message):
        if isinstance(message, Cancel):
            return [Cancelled(job=message.job)]
        return waits(message)

    with SmallServer(answer) as server:
        with Client(server.connection) as client:
            client.connect()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                client.run(REQUEST, interrupt)
            assert time.monotonic() - began < client_module.GIVE_UP_SECONDS
        submitted, cancelled = server.received
    assert isinstance(cancelled, Cancel)
    assert cancelled.job == submitted.job


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_large_frame_on_a_slow_line_arrives_once(way, monkeypatch):
    """Heartbeats must not wait behind it: it takes longer than they may."""
    monkeypatch.setattr(line_module, "HEARTBEAT_INTERVAL_MS", 300)
    monkeypatch.setattr(line_module, "HEARTBEAT_TIMEOUT_MS", 900)
    large = np.zeros((1024, 1024), np.float32)
    small = np.zeros((2, 2), np.float32)
    found = msgspec.structs.replace(RESULT, relevance=large if way == "down" else small)
    image = np.zeros((2, 2, 3) if way == "down" else (1024, 1365, 3), np.uint8)
    said = []
    with (
        SmallServer(lambda message: [Done(job=message.job, result=found)]) as server,
        Line(server.connection, rate=1.5e6) as line,
        Client(line.connection, say=said.append) as client,
    ):
        client.connect()
        result = client.run(RelevanceRequest(image=image, instruction="x"))
        assert result.relevance.shape == found.relevance.shape
        assert len(server.received) == 1
    assert said == []


@pytest.mark.slow
def test_the_largest_arrays_of_the_documentation_arrive():
    """A map of 8192x8192 has exactly the 256 MiB that an array may have; CURVE's bytes are more."""
    found = msgspec.structs.replace(RESULT, relevance=np.zeros((8192, 8192), np.float32))
    assert found.relevance.nbytes == MAX_FRAME_BYTES
    image = np.zeros((8192, 8192, 3), np.uint8)
    with (
        SmallServer(lambda message: [Done(job=message.job, result=found)]) as server,
        Client(server.connection) as client,
    ):
        client.connect()
        result = client.run(RelevanceRequest(image=image, instruction="x"))
        assert result.relevance.shape == (8192, 8192)
        assert len(server.received) == 1
