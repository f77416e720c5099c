"""Commands that meet each other in a work folder, and commands that are ended from outside."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.captures.transforms import write_capture
from backend.work_lock import alone, alone_in
from tests.backend.capture_worlds import orbit, views_of_noise

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from backend.work_lock import alone, alone_in
with {lock}:
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    write_capture(tmp_path / "capture", views_of_noise(orbit(6)))
    return tmp_path / "capture"


@pytest.mark.parametrize("lock", ["alone({0})", "alone_in({0} / '.wys')"])
@pytest.mark.parametrize(
    "command",
    [
        ["train", "--iterations", "1"],
        ["edit", "make it red"],
        ["undo", "red"],
        ["mesh", "--out", "m"],
        ["render", "--out", "r"],
        ["import", "--out", "transforms.json"],
    ],
)
def test_two_commands_in_one_work_folder_refuse_each_other(capture, lock, command, capsys):
    """And a command and a server, which locks the capture that it works on."""
    program = HOLD.format(lock=lock.format(f"Path({str(capture)!r})"))
    name, *more = command
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        if name == "import":
            more = ["--out", str(capture / "anew.json")]
        for place in (capture, capture / "transforms.json")[: 1 if name == "import" else 2]:
            assert main(["scene", name, str(place), *more]) == 1
            assert "works in" in capsys.readouterr().err
        holder.communicate()
    assert not (capture / ".wys").exists()


def test_other_work_folders_of_a_capture_are_free(capture, tmp_path):
    with alone(capture), alone_in(tmp_path / "new" / "other"):
        assert not (tmp_path / "new" / "other").exists()
    with alone_in(capture / ".wys"):
        pass


def test_a_folder_that_cannot_be_written_needs_no_lock(capture, monkeypatch):
    """As on a disk that is mounted to be read."""
    monkeypatch.setattr(os, "access", lambda place, how: False)
    with alone_in(capture / ".wys"):
        pass
    assert sorted(file.name for file in capture.iterdir()) == ["images", "transforms.json"]


def photos(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(24):
        pixels = np.kron(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8), np.ones((8, 8, 1)))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:02}.png")


@pytest.mark.skipif(sys.platform == "win32", reason="other signals there")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_ended_leaves_no_scratch_folder_and_prints_no_stack(tmp_path, number):
    photos(tmp_path / "photos")
    (tmp_path / "scratch").mkdir()
    command = [sys.executable, "-m", "backend", "scene", "import", str(tmp_path / "photos")]
    environment = os.environ | {"TMPDIR": str(tmp_path / "scratch")}
    with subprocess.Popen(
        [*command, "--threads", "1"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        end = time.monotonic() + 60
        while not list((tmp_path / "scratch").glob("*/database.db")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert list((tmp_path / "scratch").iterdir()) == []
    assert "cancelled" in told
    assert "***" not in told
    assert "Traceback" not in told
    assert not (tmp_path / "photos" / "transforms.json").exists()
