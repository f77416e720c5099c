"""What the server's own process imports: models and fields are its worker's business."""

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from backend.fields.config import SceneEditConfig
from backend.scenes.edit_records import Asked
from backend.scenes.work_folder import WORK_FOLDER
from protocol import files
from protocol.client import Client
from protocol.connection import read_connection
from protocol.values import new_capture_id
from tests.backend.test_capture_server import COUNT, put

ROOT = Path(__file__).parents[2]
WORKERS = {"torch", "nerfstudio", "diffusers", "transformers", "safetensors", "sklearn", "skimage"}
"""Packages that cost seconds and hundreds of megabytes."""
SERVER = """
import pathlib, signal, sys

def tell(*_):
    new = pathlib.Path(sys.argv[1] + ".new")
    new.write_text("\\n".join(sys.modules))
    new.replace(sys.argv[1])

signal.signal(signal.SIGUSR1, tell)
from backend.server import main
sys.exit(main(sys.argv[2:]))
"""
"""The server, which writes what it has imported to a file when it gets a signal."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")


def packages_of(process: subprocess.Popen, said: Path) -> set[str]:
    """The top-level packages that a process has imported so far."""
    said.unlink(missing_ok=True)
    process.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 60
    while not said.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return {name.partition(".")[0] for name in said.read_text("utf-8").split("\n")}


@contextlib.contextmanager
def telling_server(model: Path, folder: Path):
    """A server process that says what it has imported: (process, connection, where it says so)."""
    said, path = folder / "modules.txt", folder / "connection.json"
    options = ["--model", str(model), "--device", "cpu", "--connection-file", str(path)]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(said), *options, "--data-root", str(folder / "data")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 180
        while not path.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        yield process, read_connection(path), said
    finally:
        process.terminate()
        process.wait(60)


def test_the_server_imports_no_models_and_no_fields(tiny_model, tmp_path):
    """Neither when it starts, nor when it takes a capture and tells what has become of it: of a
    trained field and an edit, and of one that is undone.
    """
    with (
        telling_server(tiny_model, tmp_path) as (process, connection, said),
        Client(connection) as client,
    ):
        client.connect(60)
        assert "backend" in packages_of(process, said)
        assert WORKERS.isdisjoint(packages_of(process, said))
        capture = new_capture_id()
        client.send_capture(capture, COUNT, lambda index: put(capture, index))
        work = tmp_path / "data" / "captures" / capture / WORK_FOLDER
        facts = {"format": 1, "step": 9, "iterations": 9, "finished": True, "scores": [[9, 28.5]]}
        files.make_folder(work / "edits" / "red")
        files.write_json(work / "radiance.json", facts)
        asked = Asked("make it red", None, 0.5, "demo", SceneEditConfig())
        files.write_json(work / "edits" / "red" / "edit.json", msgspec.to_builtins(asked))
        state = client.scene(capture)
        assert state.field is not None
        assert state.field.held_out_psnr == 28.5
        assert [(edit.name, edit.finished) for edit in state.edits] == [("red", False)]
        assert client.undo_scene_edit(capture, "red").edits == ()
        assert WORKERS.isdisjoint(packages_of(process, said))
