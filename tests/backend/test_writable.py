"""Folders that cannot be written are refused before the work whose results they are for."""

import errno
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.__main__ import main
from backend.captures import photos
from backend.captures.transforms import write_capture
from backend.editing import Editor
from backend.errors import BadInput, words_of
from backend.evaluation.scenes import capture as capture_command
from backend.output.writable import check_writable
from backend.scenes import Scene

from .capture_worlds import orbit, views_of_noise


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder can be written, as those of a read-only disk: root may write all others."""

    def refuse(dir: Path) -> None:  # noqa: A002
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("backend.output.writable.tempfile", SimpleNamespace(TemporaryFile=refuse))


def test_a_folder_is_tried_where_it_is_or_would_be_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b", "x")
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file is a file, not a folder: name another"):
        check_writable(tmp_path / "file" / "b", "name another")


@pytest.mark.usefixtures("read_only")
def test_photos_in_a_read_only_folder_are_not_placed_for_hours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_capture(tmp_path, views_of_noise(orbit(4)))
    (tmp_path / "transforms.json").unlink()
    monkeypatch.setattr(photos, "import_photos", None)  # the work would end in a TypeError
    assert main(["scene", "import", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"Nothing can be written into {tmp_path} (Permission denied)" in said
    assert "with --out" in said


@pytest.mark.usefixtures("read_only")
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["scene", "train", "CAPTURE"], "name another folder with --work"),
        (["scene", "edit", "CAPTURE", "make it red"], "name a copy of it with --work"),
        (["evaluate", "capture", "CAPTURE", "--out", "CAPTURE"], "name another with --out"),
        (["bench", "capture", "CAPTURE", "--out", "CAPTURE"], "name another with --out"),
    ],
)
def test_commands_say_where_else_to_write(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    words: str,
) -> None:
    write_capture(tmp_path, views_of_noise(orbit(4)))
    monkeypatch.setattr(Scene, "train", None)  # the work would end in a TypeError
    monkeypatch.setattr(Editor, "from_pretrained", None)
    monkeypatch.setattr(capture_command, "run", None)
    assert main([str(tmp_path) if word == "CAPTURE" else word for word in command]) == 1
    said = capsys.readouterr().err
    assert "Nothing can be written into" in said
    assert words in said
    assert said.count("\n") == 1


def test_nothing_is_left_of_the_trial() -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_writable(Path(folder), "x")
        assert not any(Path(folder).iterdir())


def test_a_full_disk_is_told_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was "[Errno 28] No space left on device"."""
    write_capture(tmp_path, views_of_noise(orbit(4)))

    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Scene, "train", full)
    told = "error: The disk is full: make room on it, and give the same command again.\n"
    for command in (["scene", "train"], ["evaluate", "capture", "--out", str(tmp_path / "out")]):
        assert main([*command, str(tmp_path), "--device", "cpu"]) == 1
        assert capsys.readouterr().err.endswith(told)
    named = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b")
    assert words_of(named).startswith("The disk, which a/b is on, is full: make room")
    assert words_of(OSError(errno.EACCES, "no", "a/b")) == "[Errno 13] no: 'a/b'"
