"""Captures that come view by view: whole or resumable, whatever happens in between."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backend.captures.error import CaptureError
from backend.captures.store import CaptureStore, UnknownCapture
from backend.captures.transforms import open_capture
from tests.backend.capture_worlds import look_at, orbit, views_of_noise

ID = "0123456789abcdef" * 2
COUNT = 5


@pytest.fixture
def store(tmp_path):
    return CaptureStore(tmp_path)


def views(count=COUNT, **extra):
    return list(views_of_noise(orbit(count), **extra))


def upload(store, some, capture=ID):
    store.open(capture, len(some))
    for index, view in enumerate(some):
        store.put(capture, index, f"Camera.{index:03}", view)


def files(store):
    return {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_a_sealed_upload_is_a_capture_with_the_very_views(store):
    depth = np.random.default_rng(2).uniform(0, 9, (16, 24)).astype(np.float32)
    sent = views(alpha=np.full((16, 24), 77, np.uint8), depth=depth)
    upload(store, sent)
    assert store.seal(ID).sealed
    capture = open_capture(store.folder(ID))
    assert capture.names[3] == "images/0003_Camera.003.png"
    for index, view in enumerate(sent):
        pixels = capture.read(index)
        assert (pixels.image == view.pixels.image).all()
        assert (pixels.alpha == 77).all()
        assert (pixels.depth == depth).all()
        assert capture.intrinsics[index] == view.intrinsics
        assert (capture.camera_to_world[index] == view.camera_to_world).all()


def test_what_is_left_out_of_a_capture_is_told_when_it_is_sealed_and_ever_after(store, tmp_path):
    """Not only when a job opens it."""
    poses = orbit(12)
    poses[5] = poses[5] @ np.diag([1.0, -1.0, -1.0, 1.0])  # looks away
    upload(store, list(views_of_noise(poses)))
    assert store.open(ID, 12).notes == ()
    state = store.seal(ID)
    (note,) = state.notes
    assert note.startswith("1 of 12 views is left out: Nothing that images/0005_Camera.005.png can")
    assert note == open_capture(store.folder(ID), axes="opengl").notes[0]
    for again in (store.seal(ID), store.open(ID, 12), CaptureStore(tmp_path).state(ID)):
        assert again == state


def test_uploads_of_earlier_versions_have_no_notes(store):
    upload(store, views())
    store.seal(ID)
    (store.place(ID) / "upload.json").write_text('{"views":5}', "utf-8")
    assert store.state(ID).notes == ()


def test_views_come_in_any_order_and_the_missing_ones_are_told(store, tmp_path):
    sent = views()
    assert store.open(ID, COUNT).missing == (0, 1, 2, 3, 4)
    assert store.put(ID, 3, "d", sent[3]).missing == (0, 1, 2, 4)
    with pytest.raises(CaptureError, match="lacks 4 of its 5 views, such as those of index 0, 1"):
        store.seal(ID)
    with pytest.raises(UnknownCapture):
        store.folder(ID)
    again = CaptureStore(tmp_path)  # the server was started anew
    assert again.open(ID, COUNT).missing == (0, 1, 2, 4)
    for index in (4, 0, 2, 1):
        state = again.put(ID, index, "x", sent[index])
    assert state.missing == ()
    assert not state.sealed
    assert again.seal(ID).sealed
    assert again.open(ID, COUNT).sealed


def test_everything_can_be_said_twice(store):
    sent = views()
    upload(store, sent)
    upload(store, sent)
    store.seal(ID)
    before = files(store)
    assert store.seal(ID) == store.open(ID, COUNT) == store.state(ID)
    with pytest.raises(CaptureError, match="is sealed"):
        store.put(ID, 0, "late", sent[1])
    assert files(store) == before


def test_a_view_that_is_sent_again_replaces_the_first(store):
    sent = views(seed=1)
    with_depth = views(seed=2, depth=np.ones((16, 24), np.float32))
    upload(store, with_depth)
    store.put(ID, 2, "Other name", sent[2])
    store.seal(ID)
    capture = open_capture(store.folder(ID))
    assert capture.names[2] == "images/0002_Other_name.png"
    assert (capture.read(2).image == sent[2].pixels.image).all()
    assert capture.read(2).depth is None
    assert len(list((store.folder(ID) / "images").iterdir())) == COUNT
    assert len(list((store.folder(ID) / "depth").iterdir())) == COUNT - 1


def test_what_cannot_be_a_capture_stays_open_and_can_be_mended(store):
    sent = views()
    upload(store, sent)
    away = look_at(sent[1].camera_to_world[:3, 3], 2 * sent[1].camera_to_world[:3, 3])
    turned = type(sent[1])("", sent[1].pixels, sent[1].intrinsics, away)
    store.put(ID, 1, "Camera.001", turned)
    with pytest.raises(CaptureError, match=r"images/0001_Camera\.001\.png can see") as caught:
        store.seal(ID)
    assert str(store.root) not in str(caught.value)
    assert not store.state(ID).sealed
    store.put(ID, 1, "Camera.001", sent[1])
    assert store.seal(ID).sealed


def test_views_that_make_no_sense_are_refused_one_by_one(store):
    store.open(ID, COUNT)
    view = views()[0]
    bent = view.camera_to_world * np.array([2.0, 2, 2, 1])
    bad = type(view)("", view.pixels, view.intrinsics, bent)
    with pytest.raises(CaptureError, match="camera pose of the view Top has a scale"):
        store.put(ID, 0, "Top", bad)
    for index in (-1, COUNT):
        with pytest.raises(CaptureError, match=f"has the index {index} in a capture of 5 views"):
            store.put(ID, index, "Top", view)
    assert store.state(ID).missing == (0, 1, 2, 3, 4)
    with pytest.raises(CaptureError, match="has 5 views already, not 6"):
        store.open(ID, 6)
    for count in (0, 2, 2001):
        with pytest.raises(CaptureError, match="it needs 3 to 2000"):
            store.open("f" * 32, count)


@pytest.mark.parametrize("bad", ["", "..", "../" * 10 + "ab", "G" * 32, "a" * 33, "/" * 32])
def test_ids_that_are_none_reach_no_file(store, tmp_path, bad):
    for method in (store.state, store.seal, store.folder, store.drop):
        with pytest.raises(UnknownCapture):
            method(bad)
    with pytest.raises(UnknownCapture):
        store.open(bad, 3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", ["../../x", "a/b\\c", "", "é" * 300, ".", "CON"])
def test_labels_never_choose_a_folder(store, label):
    store.open(ID, COUNT)
    store.put(ID, 0, label, views()[0])
    images = list((store.root / f"{ID}.unfinished" / "images").iterdir())
    assert len(images) == 1
    assert images[0].name.startswith("0000_")
    assert len(images[0].name) < 60


def test_a_dropped_capture_is_gone_and_can_be_sent_again(store):
    upload(store, views())
    store.drop(ID)
    with pytest.raises(UnknownCapture):
        store.state(ID)
    upload(store, views())
    store.seal(ID)
    store.drop(ID)
    store.drop(ID)
    assert list(store.root.iterdir()) == []


UPLOADER = """
import sys
from pathlib import Path
from backend.captures.store import CaptureStore
from tests.backend.test_capture_uploads import ID, views
store, sent = CaptureStore(Path(sys.argv[1])), views()
print("ready", flush=True)
while True:
    store.drop(ID)
    store.open(ID, len(sent))
    for index, view in enumerate(sent):
        store.put(ID, index, "Camera", view)
    store.seal(ID)
"""


def test_an_upload_that_is_killed_at_any_moment_goes_on(tmp_path):
    process = None
    rng = np.random.default_rng(0)
    for kill in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", UPLOADER, str(tmp_path)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.0, 0.1))
        os.kill(process.pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        process.wait()
        process.stdout.close()
        store = CaptureStore(tmp_path)
        sent = views()
        state = store.open(ID, COUNT)
        for index in state.missing:
            store.put(ID, index, "Camera", sent[index])
        store.seal(ID)
        capture = open_capture(store.folder(ID))
        for index, view in enumerate(sent):
            assert (capture.read(index).image == view.pixels.image).all(), kill
