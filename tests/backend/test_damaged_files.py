"""Files of the data root that are damaged in whatever way cost their capture, in words, and nothing
else.
"""

import json
import os
import shutil
import sys

import pytest

from backend.captures.store import CaptureStore, answer
from backend.captures.transforms import open_capture
from backend.fields import checkpoint
from backend.fields.facts import CheckpointError
from backend.jobs.scene_state import answer_scene
from backend.work_lock import alone
from protocol.messages import (
    CaptureState,
    DropCapture,
    Error,
    GetScene,
    OpenCapture,
    SceneState,
    SealCapture,
    UndoSceneEdit,
)
from tests.backend.test_capture_server import put

COUNT = 4

ID = "0123456789abcdef" * 2
OTHER = "f" * 32
FACTS = {
    "format": 1,
    "tensors": "radiance-000007.pt",
    "step": 7,
    "iterations": 9,
    "finished": False,
    "seconds": 1.5,
    "scores": [[7, 21.5]],
}
ASKED = {
    "instruction": "make it red",
    "base": None,
    "threshold": None,
    "model": "tiny",
    "config": {},
}
DAMAGES = {
    "empty": b"",
    "cut off": b'{"views": 6, "step',
    "zeros": bytes(4096),
    "no fields": b"{}",
    "a list": b"[1, 2]",
    "null": b"null",
    "texts for numbers": b'{"views": "6", "format": 1, "step": "7", "base": 3, "image": 1}',
    "a number beyond all bounds": b'{"views": 1e999, "step": 1e999}',
    "negative": b'{"views": -6, "format": 1, "step": -1}',
    "not UTF-8": b'{"views": "\xff\xfe", "tensors": "\xff", "instruction": "\xff"}',
    "UTF-16": '{"views": 6}'.encode("utf-16"),
    "nested deep": b'{"a":' + b"[" * 200_000,
    "a folder": None,
}


@pytest.fixture
def store(tmp_path):
    return CaptureStore(tmp_path / "data")


def upload(store, capture, views=COUNT):
    answer(store, OpenCapture(capture=capture, views=COUNT))
    for index in range(views):
        state = answer(store, put(capture, index))
        assert isinstance(state, CaptureState), state


def damage(path, content):
    if path.exists():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)


def refused(given, code="bad_capture"):
    assert isinstance(given, Error), given
    assert (given.code, given.job) == (code, ID)
    assert "data" not in given.message.split("/")  # no path of the server's disk
    return given.message


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("sealed", [False, True])
def test_damaged_upload_is_told_by_every_answer_and_can_be_deleted(store, content, sealed):
    upload(store, ID)
    upload(store, OTHER)
    if sealed:
        answer(store, SealCapture(capture=ID))
    folder = store.root / (ID if sealed else f"{ID}.unfinished")
    damage(folder / "upload.json", content)
    for message in (OpenCapture(capture=ID, views=COUNT), put(ID, 1), SealCapture(capture=ID)):
        assert "damaged: delete the capture" in refused(answer(store, message))
    assert "damaged: delete the capture" in refused(answer_scene(store, GetScene(capture=ID), ()))
    assert answer(store, SealCapture(capture=OTHER)).sealed
    assert answer(store, DropCapture(capture=ID)).views == 0
    upload(store, ID)
    assert answer(store, SealCapture(capture=ID)).sealed


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_damaged_view_is_told_and_sent_again(store, content):
    upload(store, ID)
    damage(store.root / f"{ID}.unfinished" / "views" / "0001.json", content)
    assert answer(store, OpenCapture(capture=ID, views=COUNT)).views == COUNT
    told = refused(answer(store, SealCapture(capture=ID)))
    assert "such as those of index 1: send them again" in told
    assert answer(store, OpenCapture(capture=ID, views=COUNT)).missing == (1,)
    assert answer(store, put(ID, 1)).missing == ()
    assert answer(store, SealCapture(capture=ID)).sealed
    assert (open_capture(store.folder(ID)).read(1).image == put(ID, 1).image).all()


@pytest.mark.parametrize("kind", ["images", "depth"])
@pytest.mark.parametrize("content", [b"", None, "gone"])
def test_damaged_pictures_of_an_upload_are_sent_again(store, kind, content):
    upload(store, ID)
    (path,) = (store.root / f"{ID}.unfinished" / kind).glob("0003_*")
    if content == "gone":
        path.unlink()
    else:
        damage(path, content)
    assert "those of index 3" in refused(answer(store, SealCapture(capture=ID)))
    assert answer(store, put(ID, 3)).missing == ()
    assert answer(store, SealCapture(capture=ID)).sealed
    read = open_capture(store.folder(ID)).read(3)
    assert (read.image == put(ID, 3).image).all()
    assert (read.depth == put(ID, 3).depth).all()


def sealed(store):
    """The work folder of a sealed capture with a field and an edit, which have facts alone."""
    upload(store, ID)
    assert answer(store, SealCapture(capture=ID)).sealed
    work = store.folder(ID) / ".wys"
    (work / "edits" / "red").mkdir(parents=True)
    (work / "radiance.json").write_text(json.dumps(FACTS))
    (work / "edits" / "red" / "edit.json").write_text(json.dumps(ASKED))
    return work


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", ["radiance.json", "edits/red/edit.json", "edits/red/edited.json"])
def test_damaged_work_is_told_by_its_name(store, name, content):
    work = sealed(store)
    state = answer_scene(store, GetScene(capture=ID), ())
    assert isinstance(state, SceneState)
    assert (state.field.steps, state.field.held_out_psnr, state.field.finished) == (7, 21.5, False)
    assert [edit.instruction for edit in state.edits] == ["make it red"]
    damage(work / name, content)
    assert f"{name} is damaged" in refused(answer_scene(store, GetScene(capture=ID), ()))
    if "edits" in name:  # the artist can still do away with it
        state = answer_scene(store, UndoSceneEdit(capture=ID, edit="red"), ())
        assert state.edits == ()


@pytest.mark.parametrize("fact", [fact for fact in FACTS if fact != "tensors"])
def test_field_without_one_of_its_facts_is_told(store, fact):
    work = sealed(store)
    kept = {key: value for key, value in FACTS.items() if key != fact}
    (work / "radiance.json").write_text(json.dumps(kept))
    given = answer_scene(store, GetScene(capture=ID), ())
    if fact == "seconds":  # nobody asks for it here
        assert isinstance(given, SceneState)
    else:
        assert "radiance.json is damaged" in refused(given)


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": "7"},
        {"step": -7},
        {"iterations": None},
        {"finished": 1},
        {"scores": "7"},
        {"scores": [7]},
        {"scores": [[7]]},
        {"tensors": 3},
        {"names": 3},
        {"config": []},
    ],
)
def test_field_with_facts_of_other_types_is_told(store, wrong):
    work = sealed(store)
    (work / "radiance.json").write_text(json.dumps(FACTS | wrong))
    assert "radiance.json is damaged" in refused(answer_scene(store, GetScene(capture=ID), ()))


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"PK\x03\x04", bytes(100), None, "gone"])
def test_damaged_tensors_are_told(tmp_path, content):
    import torch

    checkpoint.save(tmp_path, "radiance", FACTS, {"x": torch.zeros(3)})
    path = tmp_path / "radiance-000007.pt"
    path.unlink()
    if content != "gone":
        damage(path, content)
    with pytest.raises(CheckpointError, match=r"radiance-000007\.pt is missing or dam"):
        checkpoint.load(tmp_path, "radiance")


def test_what_is_left_of_an_interrupted_undo_is_no_edit(store):
    work = sealed(store)
    shutil.copytree(work / "edits" / "red", work / "edits" / ".red.deleted")
    shutil.copytree(work / "edits" / "red", work / "edits" / "Copy of red")
    assert [e.name for e in answer_scene(store, GetScene(capture=ID), ()).edits] == ["red"]


@pytest.mark.parametrize("place", ["data", "data/captures", f"data/captures/{ID}"])
def test_file_in_the_place_of_a_folder_is_told(store, tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    for message in (OpenCapture(capture=ID, views=COUNT), put(ID, 0), SealCapture(capture=ID)):
        assert "--data-root" in refused(answer(store, message), "storage")
    assert "--data-root" in refused(answer_scene(store, GetScene(capture=ID), ()), "storage")
    assert path.read_text() == "in the way"


def test_file_in_the_place_of_a_capture_can_be_deleted(store):
    store.root.mkdir(parents=True)
    store.place(ID).write_text("in the way")
    assert answer(store, DropCapture(capture=ID)).views == 0
    upload(store, ID)
    assert answer(store, SealCapture(capture=ID)).sealed


# ------------------------------------------------------------------ other servers, other people


def test_another_server_that_works_on_a_capture_is_respected(store):
    work = sealed(store)
    with alone(store.folder(ID)):
        for given in (
            answer(store, DropCapture(capture=ID)),
            answer_scene(store, UndoSceneEdit(capture=ID, edit="red"), ()),
        ):
            assert "Another backend on this machine" in refused(given, "in_use")
        assert (work / "edits" / "red" / "edit.json").exists()
        assert isinstance(answer_scene(store, GetScene(capture=ID), ()), SceneState)
    assert answer_scene(store, UndoSceneEdit(capture=ID, edit="red"), ()).edits == ()
    assert answer(store, DropCapture(capture=ID)).views == 0
    assert list(store.root.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_captures_are_shut_to_other_people_whatever_the_umask(store, tmp_path, umask):
    (tmp_path / "data").mkdir(0o755)  # of an earlier version
    before = os.umask(umask)
    try:
        upload(store, ID)
        answer(store, SealCapture(capture=ID))
        checkpoint.save(store.folder(ID) / ".wys" / "edits" / "red", "edited", FACTS, {})
    finally:
        os.umask(before)
    everything = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert len(everything) > 3 * COUNT
    for path in everything:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_folder_with_other_things_stays_open_but_its_captures_do_not(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "holiday.jpg").write_text("x")
    store = CaptureStore(tmp_path)
    upload(store, ID)
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert store.root.stat().st_mode & 0o777 == 0o700
