"""The backend that Blender itself starts: a real server with the demo model, its end, and what the
panel says; and other ways to a connection.
"""

import importlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import pytest
from fake_server import FakeServer
from own_backends import SECONDS, drained, program

OPS = bpy.ops.watch_your_steps

pytestmark = pytest.mark.one_blender


def test_starts_connects_and_stops(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path
) -> None:
    addon.preferences.program_folder = str(program(tmp_path, environment=True))
    assert OPS.start_backend(model="demo") == {"FINISHED"}
    assert not OPS.start_backend.poll()
    child = backend.own.server
    addon.session.wait_for_connection(SECONDS)
    backend.look()
    welcome = addon.session.state.status.welcome
    assert welcome.model == "demo"
    assert backend.stage(None) is backend.Stage.RUNNING
    assert "ready: model demo" in backend.own.said
    assert "ready: model demo" in backend.log_file().read_text()
    OPS.stop_backend()
    drained(backend, addon, lambda: backend.own.server is None)
    assert child.process.returncode == 0
    assert backend.own.trouble == ""
    assert not addon.session.connection_file(None).exists()


def test_what_ends_while_it_starts_says_why(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path
) -> None:
    addon.preferences.program_folder = str(program(tmp_path, environment=True))
    OPS.start_backend(model=str(tmp_path / "no such model"))
    drained(backend, addon, lambda: backend.own.server is None)
    assert "no such model" in backend.own.trouble
    assert addon.session.state.link is None
    assert OPS.start_backend.poll()


def test_the_server_ends_with_the_process_that_started_it(
    backend: ModuleType, tmp_path: Path
) -> None:
    """That process is killed, as by a crash: it can tidy nothing up."""
    folder = program(tmp_path, environment=True)
    starter = (
        "import subprocess, sys, time\n"
        "subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\n"
        "time.sleep(600)"
    )
    command = [str(backend.backend_python(folder)), "-m", "backend.server", "--stop-with-input"]
    command += ["--model", "demo"]
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", starter, *command],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as parent,
    ):
        assert parent.stdout is not None
        while b"listening" not in parent.stdout.readline():
            pass
        parent.kill()
        said = parent.stdout.read()  # until the server has closed it, too
    assert b"stopped" in said


def test_each_stage_offers_what_comes_next(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path
) -> None:
    assert backend.program_folder("") is None
    assert backend.stage(None) is backend.Stage.NO_PROGRAM
    assert not OPS.install_backend.poll()
    assert not OPS.start_backend.poll()
    folder = program(tmp_path, environment=False)
    note = importlib.import_module(backend.program_note.__module__).program_note()
    note.parent.mkdir(parents=True)
    note.write_text(f"{folder}\n")
    assert backend.program_folder("") == folder
    assert OPS.install_backend.poll()
    assert not OPS.start_backend.poll()


def test_an_installation_that_fails_says_why(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path
) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    text = "import sys; print('Making it'); sys.exit('install.py: The disk is full.')"
    (folder / "install.py").write_text(text)
    backend.install(folder)
    assert backend.stage(folder) is backend.Stage.INSTALLING
    drained(backend, addon, lambda: backend.own.installation is None)
    assert backend.own.trouble == "The installation has ended. The disk is full."
    assert backend.stage(folder) is backend.Stage.NOT_INSTALLED


def test_an_installation_can_be_stopped(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path
) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    (folder / "install.py").write_text("import time; print('Making it'); time.sleep(600)")
    backend.install(folder)
    drained(backend, addon, lambda: backend.own.said == "Making it")
    OPS.stop_backend()
    drained(backend, addon, lambda: backend.own.installation is None)
    assert backend.own.trouble == ""


def test_a_progress_bar_counts_as_its_last_state(installed: str, tmp_path: Path) -> None:
    module = importlib.import_module(f"{installed}.link.child_process")
    text = "print('one'); print('\\r10%\\r55%', end='')"
    child = module.start([sys.executable, "-c", text], tmp_path, tmp_path / "log")
    child.process.wait(30)
    assert child.last_line() == "55%"
    child = module.start([sys.executable, "-c", ""], tmp_path, tmp_path / "log")
    child.process.wait(30)
    assert child.last_line() == ""  # what the one before has said is not its own


def test_connects_with_a_pasted_text(
    addon: SimpleNamespace, server: FakeServer, scene: bpy.types.Scene
) -> None:
    text = " ".join(server.file.read_text().split())
    assert OPS.paste_connection(text=text) == {"FINISHED"}
    addon.session.wait_for_connection(10)
    kept = Path(addon.preferences.connection_file)
    assert json.loads(kept.read_text()) == json.loads(text)
    if os.name != "nt":
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "hello", '{"protocol": 99999}'])
def test_a_wrong_text_is_refused_and_nothing_is_changed(
    addon: SimpleNamespace, scene: bpy.types.Scene, text: str
) -> None:
    with pytest.raises(RuntimeError, match="The pasted text is"):
        OPS.paste_connection(text=text)
    assert addon.preferences.connection_file == ""
    assert addon.session.state.link is None


def test_connects_with_a_chosen_file(
    addon: SimpleNamespace, server: FakeServer, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="cannot be read"):
        OPS.choose_connection(filepath=str(tmp_path / "none.json"))
    assert OPS.choose_connection(filepath=str(server.file)) == {"FINISHED"}
    addon.session.wait_for_connection(10)
