"""Captures over a real socket: a real server process, killed in the middle, and its disk."""

import numpy as np
import pytest

from backend.captures.lens import Intrinsics
from backend.captures.transforms import open_capture
from protocol.client import Client
from protocol.line import ServerError
from protocol.messages import CaptureState, DropCapture, Error, OpenCapture, PutView
from protocol.values import new_capture_id
from tests.backend.capture_worlds import look_at, orbit
from tests.backend.test_server import PATIENCE, running_server

COUNT = 5  # of which one alone is too large a share to leave out


def put(capture, index, pose=None):
    """A view as the add-on sends it."""
    rng = np.random.default_rng(index)
    pose = orbit(COUNT)[index] if pose is None else pose
    return PutView(
        capture=capture,
        index=index,
        name=f"Camera.{index:03}",
        image=rng.integers(0, 256, (32, 48, 3), np.uint8),
        alpha=rng.integers(0, 256, (32, 48), np.uint8),
        depth=rng.uniform(0, 7, (32, 48)).astype(np.float32),
        fx=50.0,
        fy=55.0,
        cx=25.5,
        cy=14.0,
        camera_to_world=tuple(pose.reshape(-1).tolist()),
    )


def check(folder, capture):
    """The folder of a sealed capture holds what was sent."""
    opened = open_capture(folder / "captures" / capture)
    assert len(opened) == COUNT
    for index in range(COUNT):
        sent, pixels = put(capture, index), opened.read(index)
        assert (pixels.image == sent.image).all()
        assert (pixels.alpha == sent.alpha).all()
        assert (pixels.depth == sent.depth).all()
        assert opened.intrinsics[index] == Intrinsics(50, 55, 25.5, 14, 48, 32)
        assert opened.camera_to_world[index].reshape(-1).tolist() == list(sent.camera_to_world)


def test_an_upload_outlives_the_server(tiny_model, tmp_path):
    capture = new_capture_id()
    root = tmp_path / "data"
    arguments = ("--data-root", str(root))
    asked = []

    def view(index):
        asked.append(index)
        if len(asked) == 3:
            raise KeyboardInterrupt  # the person stops, or Blender is closed
        return put(capture, index)

    with (
        running_server(tiny_model, tmp_path, *arguments) as (process, connection),
        Client(connection) as client,
    ):
        assert "captures" in client.connect(PATIENCE).capabilities
        with pytest.raises(KeyboardInterrupt):
            client.send_capture(capture, COUNT, view)
        process.kill()
        process.wait()
    (tmp_path / "connection.json").unlink()  # a server that is killed leaves it behind
    states = []
    with (
        running_server(tiny_model, tmp_path, *arguments) as (_, connection),
        Client(connection) as client,
    ):
        client.connect(PATIENCE)
        sealed = client.send_capture(capture, COUNT, view, states.append)
        assert client.send_capture(capture, COUNT, view) == sealed
    assert sealed.sealed
    assert sealed.missing == ()
    assert asked == [0, 1, 2, 2, 3, 4]  # only what was missing, and nothing when it was whole
    assert [len(state.missing) for state in states] == [2, 1, 0]
    check(root, capture)


@pytest.fixture(scope="module")
def server(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("captures")
    with running_server(tiny_model, folder, "--data-root", str(folder / "data")) as (_, connection):
        yield folder / "data", connection


@pytest.fixture
def client(server):
    with Client(server[1], "the tests") as connected:
        connected.connect(PATIENCE)
        yield connected


def ask(client, message):
    client.send(message)
    while True:
        for answer in client.poll(10):
            if isinstance(answer, CaptureState | Error):
                return answer


def test_what_cannot_be_used_is_refused_by_name_and_can_be_mended(client, server):
    capture = new_capture_id()
    skywards = look_at((0, 0, 10), (0, 0, 20), up=(0, 1, 0))

    def one_turned_away(index):
        return put(capture, index, skywards if index == 2 else None)

    with pytest.raises(ServerError, match=r"nothing that .*Camera\.002.* can see") as caught:
        client.send_capture(capture, COUNT, one_turned_away)
    assert caught.value.code == "bad_capture"
    assert str(server[0]) not in str(caught.value)
    assert ask(client, put(capture, 2)).missing == ()
    assert client.send_capture(capture, COUNT, one_turned_away).sealed
    check(server[0], capture)


def test_a_pose_with_a_scale_is_refused_at_once(client):
    capture = new_capture_id()
    scaled = orbit(COUNT)[0] @ np.diag([2.0, 2, 2, 1])
    with pytest.raises(ServerError, match=r"view Camera\.000 has a scale"):
        client.send_capture(capture, COUNT, lambda index: put(capture, index, scaled))


def test_unknown_and_deleted_captures(client, server):
    capture = new_capture_id()
    refused = ask(client, put(capture, 0))
    assert (refused.code, refused.job) == ("unknown_capture", capture)
    assert ask(client, OpenCapture(capture=capture, views=COUNT)).missing == tuple(range(COUNT))
    assert ask(client, put(capture, 0)).missing == tuple(range(1, COUNT))
    assert ask(client, DropCapture(capture=capture)).views == 0
    assert ask(client, put(capture, 0)).code == "unknown_capture"
    assert not (server[0] / "captures" / f"{capture}.unfinished").exists()


def test_a_disk_that_cannot_be_written_is_told_and_the_server_goes_on(client, server):
    capture = new_capture_id()
    captures = server[0] / "captures"
    captures.mkdir(parents=True, exist_ok=True)
    (captures / f"{capture}.unfinished").write_text("in the way of a folder")
    refused = ask(client, OpenCapture(capture=capture, views=COUNT))
    assert refused.code == "storage"
    assert "--data-root" in refused.message
    other = new_capture_id()
    assert client.send_capture(other, COUNT, lambda index: put(other, index)).sealed
