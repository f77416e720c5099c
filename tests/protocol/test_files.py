"""Files and folders that appear in one step, reach the disk, and are no more open than their
folder.
"""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from protocol import files

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
SOURCES = [
    path
    for folder in ("protocol", "backend", "blender_addon")
    for path in (Path(__file__).parents[2] / folder).rglob("*.py")
]


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_a_file_is_replaced_in_one_step_and_is_all_there_is(tmp_path):
    path = tmp_path / ("é" * 100 + ".json")  # near the longest name that there can be
    for content in ({"a": 1}, {"a": "ä" * 5}):
        assert files.write_json(path, content) == path
    assert path.read_text("utf-8") == '{\n  "a": "äääää"\n}\n'
    assert files.write_bytes(tmp_path / "b", b"\r\n\x00").read_bytes() == b"\r\n\x00"
    assert {one.name for one in tmp_path.iterdir()} == {path.name, "b"}


def test_an_error_on_the_way_leaves_the_older_file_and_nothing_else(tmp_path):
    path = files.write_text(tmp_path / "kept", "older")

    def fail():
        with files.replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError):  # noqa: PT011, which one depends on the system
        files.write_text(tmp_path / "folder", "text")
    assert {one.name for one in tmp_path.iterdir()} == {"kept", "folder"}


def test_content_and_name_reach_the_disk_before_and_after_the_renaming(tmp_path, monkeypatch):
    done = []
    replace, fsync = Path.replace, os.fsync

    def seen_sync(descriptor):
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")  # noqa: PTH112
        done.append("folder" if is_folder else "file")
        fsync(descriptor)

    def seen_replace(path, target):
        done.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", seen_sync)
    monkeypatch.setattr(Path, "replace", seen_replace)
    files.write_text(tmp_path / "a", "text")
    expected = ["file", "rename"] if sys.platform == "win32" else ["file", "rename", "folder"]
    if Path("/proc/self/fd").exists():
        assert done == expected
    done.clear()
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "b").write_text("by a library")
    files.move_folder(tmp_path / "made", tmp_path / "result")
    if Path("/proc/self/fd").exists():
        assert done == ["file", "folder", "rename", "folder"]
    assert (tmp_path / "result" / "b").read_text() == "by a library"


@POSIX
def test_nothing_is_more_open_than_its_folder(tmp_path, umask):
    private = tmp_path / "private"
    private.mkdir(0o700)
    private.chmod(0o700)
    inner = files.make_folder(private / "a" / "b")
    assert mode(inner) == mode(private / "a") == 0o700
    assert mode(files.write_text(inner / "file", "x")) == 0o600
    tmp_path.chmod(0o755)
    assert mode(files.write_text(tmp_path / "file", "x")) == 0o644 & ~umask
    assert mode(files.make_folder(tmp_path / "open")) == 0o755 & ~umask
    assert mode(files.write_bytes(tmp_path / "secret", b"x", private=True)) == 0o600


def test_a_file_in_a_folders_place_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        files.make_folder(tmp_path / "file" / "a" / "b")


def test_a_deletion_that_was_interrupted_is_finished_by_the_next(tmp_path):
    for place in (".x.deleted", "x"):
        (tmp_path / place / "sub").mkdir(parents=True)
        (tmp_path / place / "sub" / "file").write_text("x")
    files.delete_folder(tmp_path / "x", ".x.deleted")
    assert list(tmp_path.iterdir()) == []


def test_there_is_one_place_that_renames_what_was_written():
    """Whatever must outlive a power cut goes through it."""
    own = re.compile(r"os\.(replace|rename|fsync)\(|\.rename\(|NamedTemp")
    found = {
        path.name
        for path in SOURCES
        for line in path.read_text("utf-8").splitlines()
        if own.search(line) or re.search(r"unfinished\.replace\(|beside\.replace\(", line)
    }
    assert found == {"files.py"}


def test_names_that_are_not_utf_8_come_back_from_json(tmp_path):
    content = {"name": "caf\udce9", "other": "caf\u00e9 \\ud800"}
    assert json.loads(files.write_json(tmp_path / "x.json", content).read_text("utf-8")) == content


def test_of_what_does_not_fit_on_the_disk_nothing_is_left(tmp_path):
    resource = pytest.importorskip("resource")
    (tmp_path / "a").write_text("older")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="large"):
            files.write_bytes(tmp_path / "a", b"x" * 3000)  # which is flushed as it is closed
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "older"
