"""Commands that meet each other in a work folder, and commands that are ended from outside."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.captures.transforms import write_capture
from backend.editing.relevance import perfect_map
from backend.evaluation.scenes.true_editor import TrueEditor, Truth
from backend.fields.config import RelevanceConfig
from backend.fields.training import Progress
from backend.output.new_folder import appearing
from backend.scenes import Scene
from backend.work_lock import InUse, alone, alone_in
from tests.backend.capture_worlds import orbit, views_of_noise
from tests.backend.tiny_field import TINY

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


@contextlib.contextmanager
def held(lock: str) -> Iterator[None]:
    """Another process that holds a lock."""
    program = HOLD.format(lock=lock)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        yield
        holder.communicate()


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
    name, *more = command
    if name == "import":
        more = ["--out", str(capture / "anew.json")]
    with held(lock.format(f"Path({str(capture)!r})")):
        for place in (capture, capture / "transforms.json")[: 1 if name == "import" else 2]:
            assert main(["scene", name, str(place), *more]) == 1
            assert "works in" in capsys.readouterr().err
    assert not (capture / ".wys").exists()


@pytest.mark.parametrize("lock", ["alone({0})", "alone_in({0} / '.wys')"])
def test_programs_refuse_each_other_in_a_work_folder_as_commands_do(capture, lock):
    scene = Scene.open(capture, device="cpu")
    scene.train(config=TINY)
    before = {path: path.read_bytes() for path in scene.work.rglob("*") if path.is_file()}
    nothing = np.zeros((6, 6), np.float32)
    maps = [perfect_map(nothing) for _ in scene.field.names]
    regions = {name: np.ones((16, 24), np.bool_) for name in scene.field.names}
    black = np.zeros((16, 24, 3), np.uint8)
    editor = TrueEditor([Truth(black, black, nothing)], 4)
    with held(lock.format(f"Path({str(capture)!r})")):
        for work in (
            lambda: scene.train(config=TINY),
            lambda: scene.edit("make it red", editor),
            lambda: scene.train_relevance("red", maps),
            lambda: scene.train_region("red", regions, 0.5, RelevanceConfig()),
            lambda: scene.undo("red"),
        ):
            with pytest.raises(InUse, match="works in"):
                work()
    assert before == {path: path.read_bytes() for path in scene.work.rglob("*") if path.is_file()}


def test_a_program_that_trains_keeps_commands_and_other_threads_out(capture):
    scene = Scene.open(capture, device="cpu")
    refused: list[str] = []

    def others(progress: Progress) -> None:
        if progress.step > 1:
            return
        command = [sys.executable, "-m", "backend", "scene", "undo", str(capture), "red"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1
        refused.append(done.stderr)

        def work() -> None:
            with pytest.raises(InUse) as told:
                Scene.open(capture, device="cpu").train(config=TINY)
            refused.append(str(told.value))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    with alone_in(scene.work):  # as a command holds it
        assert scene.train(config=TINY, on_step=others).step == TINY.iterations
        with pytest.raises(InUse), alone(capture):
            pass
    assert len(refused) == 2
    assert all("works in" in words for words in refused)
    with alone(capture):  # as the server holds it
        scene.train(config=TINY)


@pytest.mark.parametrize("place", ["edits", "scenes", "fields"])
def test_the_evaluation_of_methods_keeps_out_of_what_others_work_in(
    capture, tmp_path, place, capsys
):
    """It held its own edits alone, and took the scene and the field of another command for its."""
    command = ["evaluate", "methods", "--out", str(tmp_path / "out")]
    if place == "fields":
        (tmp_path / "masks").mkdir()
        command += [
            str(capture),
            "--masks",
            str(tmp_path / "masks"),
            "--instruction",
            "make it red",
        ]
    (tmp_path / "out").mkdir()
    with held(f"alone_in(Path({str(tmp_path / 'out' / place)!r}))"):
        assert main(command) == 1
    assert "works in" in capsys.readouterr().err
    assert not (tmp_path / "out" / place).exists()


@pytest.mark.parametrize("kind", ["capture", "scene", "truth"])
def test_evaluations_refuse_each_other_in_one_folder(capture, tmp_path, kind, capsys):
    out = tmp_path / "out"
    command = ["evaluate", kind, "--scenes", "1", "--out", str(out)]
    place = out / "scenes"
    if kind == "truth":
        command[1:2] = ["scene", "--editor", "truth"]
    if kind == "capture":
        (tmp_path / "masks").mkdir()
        for index in range(6):
            mask = Image.fromarray(np.repeat(np.uint8([[0, 255]]), 12, 1).repeat(16, 0))
            mask.save(tmp_path / "masks" / f"{index:04d}.png")
        command = ["evaluate", "capture", str(capture), "--masks", str(tmp_path / "masks")]
        command += ["--out", str(out)]
        place = out / "fields"
    with held(f"alone_in(Path({str(place)!r}))"):
        assert main(command) == 1
    assert "works in" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == [f"{place.name}.lock"]


def test_two_commands_that_make_one_folder_refuse_each_other(tmp_path):
    """The second used to delete what the first had made so far."""
    out = tmp_path / "mesh"
    with appearing(out) as unfinished:
        (unfinished / "a").write_text("first")
        program = "from pathlib import Path; from backend.output.new_folder import appearing\n"
        program += f"with appearing(Path({str(out)!r})): pass"
        other = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
        assert f"Another command on this machine makes {out}: wait".encode() in other.stderr
    assert [path.name for path in out.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["mesh"]


def test_what_a_killed_command_left_of_a_folder_is_in_nobodys_way(tmp_path):
    left = tmp_path / ".mesh.unfinished"
    left.mkdir()
    (left / "old").write_text("")
    with appearing(tmp_path / "mesh") as unfinished:
        (unfinished / "new").write_text("")
    assert [path.name for path in (tmp_path / "mesh").iterdir()] == ["new"]
    assert not left.exists()


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
        # under nohup, which asks to go on, these tests are to pass as well
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
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
