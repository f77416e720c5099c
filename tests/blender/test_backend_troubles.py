"""What can go wrong between the first step and a backend that is ready, and the way out of it."""

import hashlib
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import pytest
from fake_server import FakeServer
from own_backends import SECONDS, drained, program

OPS = bpy.ops.watch_your_steps

pytestmark = pytest.mark.one_blender


def fake_program(tmp_path: Path, install: str = "") -> Path:
    """A program's folder whose install.py is the given text."""
    folder = tmp_path / "Größe, mit Leerzeichen"
    folder.mkdir()
    (folder / "install.py").write_text(install, encoding="utf-8")
    return folder


def make_environment(backend: ModuleType, folder: Path, **state: object) -> Path:
    """An environment in that folder, as far as the add-on looks at it. Returns its state file."""
    requirements = folder / "backend" / "requirements.txt"
    requirements.parent.mkdir()
    requirements.write_text("numpy")
    python = backend.backend_python(folder)
    python.parent.mkdir(parents=True)
    python.touch()
    (folder / ".venv-backend" / "pyvenv.cfg").write_text(
        f"home = {python.parent}\nversion = 3.11\n"
    )
    sha256 = hashlib.sha256(requirements.read_bytes()).hexdigest()
    whole = {"complete": True, "files": {"backend/requirements.txt": sha256}}
    path = folder / ".venv-backend" / "install_state.json"
    path.write_text(json.dumps(whole | state))
    return path


def buttons(backend: ModuleType, folder: Path) -> tuple[object, bool, bool]:
    """The stage, and whether Install and Start can be pressed."""
    return backend.stage(folder), OPS.install_backend.poll(), OPS.start_backend.poll()


def test_only_a_whole_environment_can_be_started(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path
) -> None:
    folder, stages = fake_program(tmp_path), backend.Stage
    addon.preferences.program_folder = str(folder)
    state = make_environment(backend, folder)
    whole = state.read_text()
    assert buttons(backend, folder) == (stages.STOPPED, False, True)
    for half in ('{"complete": false}', '{"complete": true}', "", "[]", '{"files": {}}'):
        state.write_text(half)
        assert buttons(backend, folder) == (stages.NOT_INSTALLED, True, False)
    state.write_text(whole)
    requirements = folder / "backend" / "requirements.txt"
    requirements.write_text("numpy and more")
    os.utime(requirements, (1, 1))
    assert buttons(backend, folder) == (stages.OUTDATED, True, False)
    requirements.unlink()
    assert buttons(backend, folder) == (stages.OUTDATED, True, False)
    state.write_text(whole)
    requirements.write_text("numpy")
    assert buttons(backend, folder) == (stages.STOPPED, False, True)
    config = folder / ".venv-backend" / "pyvenv.cfg"
    config.write_text(f"home = {tmp_path / 'of an older Blender'}\n")
    assert buttons(backend, folder) == (stages.NOT_INSTALLED, True, False)
    config.write_text(f"home = {tmp_path}\n")
    backend.backend_python(folder).unlink()
    assert buttons(backend, folder) == (stages.NOT_INSTALLED, True, False)
    folder.rename(tmp_path / "elsewhere")
    assert not OPS.install_backend.poll()
    assert not OPS.start_backend.poll()


@pytest.mark.parametrize("chosen", ["~nobody-of-this-name/x", "/root/\udcff", "/etc/passwd"])
def test_a_program_folder_that_cannot_be_is_none(backend: ModuleType, chosen: str) -> None:
    assert backend.program_folder(chosen) is None


def test_a_killed_installation_can_be_started_again(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path
) -> None:
    """It leaves what the real one leaves: the folder, and a state that is not complete."""
    text = (
        "import json, pathlib, time\n"
        "folder = pathlib.Path('.venv-backend')\n"
        "folder.mkdir(exist_ok=True)\n"
        "(folder / 'install_state.json').write_text(json.dumps({'complete': False}))\n"
        "print('  (72 s) 31/84 torch 812.3 MB (45%)', flush=True)\n"
        "time.sleep(600)\n"
    )
    folder = fake_program(tmp_path, text)
    addon.preferences.program_folder = str(folder)
    backend.install(folder)
    drained(backend, addon, lambda: "31/84" in backend.own.said)
    assert backend.own.said == "31/84 torch 812.3 MB (45%)"
    assert backend.own.fraction == 0.45
    os.kill(backend.own.installation.process.pid, signal.SIGTERM)
    drained(backend, addon, lambda: backend.own.installation is None)
    assert "The installation has ended. " in backend.own.trouble
    if os.name != "nt":
        assert "signal 15" in backend.own.trouble
    assert buttons(backend, folder) == (backend.Stage.NOT_INSTALLED, True, False)
    backend.install(folder)
    assert backend.own.trouble == ""


def test_what_a_program_said_last_is_told_without_the_time(
    backend: ModuleType, tmp_path: Path
) -> None:
    line = "2026-11-29 09:37:09+0000 worker: warning: no such thing"
    folder = fake_program(tmp_path, f"print({line!r})\nraise SystemExit(7)")
    backend.install(folder)
    backend.own.installation.process.wait(30)
    backend.look()
    assert backend.own.trouble == (
        "The installation has ended. Its exit code is 7. It said last: no such thing"
    )


def test_a_log_that_cannot_be_written_is_named(
    backend: ModuleType,
    addon: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = fake_program(tmp_path)
    backend.log_file().parent.parent.mkdir(parents=True)
    backend.log_file().parent.write_text("a file where the folder should be")
    addon.preferences.program_folder = str(folder)
    monkeypatch.setattr(bpy.context.preferences.system, "use_online_access", True)
    with pytest.raises(RuntimeError, match=r"It cannot be started \(.*watch-your-steps: "):
        OPS.install_backend()
    assert backend.own.installation is None


@pytest.fixture
def running(backend: ModuleType, addon: SimpleNamespace, tmp_path: Path) -> ModuleType:
    """A real server that was started here and is ready."""
    addon.preferences.program_folder = str(program(tmp_path, environment=True))
    assert OPS.start_backend(model="demo") == {"FINISHED"}
    addon.session.wait_for_connection(SECONDS)
    backend.look()
    return backend


def test_a_backend_that_was_killed_says_so_and_can_be_started_again(
    running: ModuleType, addon: SimpleNamespace
) -> None:
    running.own.server.process.kill()
    drained(running, addon, lambda: running.own.server is None)
    assert running.own.trouble.startswith("The backend has ended. ")
    assert "ready: model" not in running.own.trouble
    if os.name != "nt":
        assert "signal 9" in running.own.trouble
    assert addon.session.state.link is None  # it would ask a dead address for ever
    assert OPS.start_backend.poll()
    OPS.start_backend(model="demo")  # its stale connection file is in the way of nothing
    addon.session.wait_for_connection(SECONDS)
    assert running.own.trouble == ""


def test_it_outlives_the_file_and_ends_with_the_add_on(
    running: ModuleType, addon: SimpleNamespace, installed: str
) -> None:
    child = running.own.server
    bpy.ops.wm.read_homefile(use_empty=True)
    running.look()
    assert running.is_linked()
    assert running.own.server is child
    assert addon.session.state.status.state is addon.worker_thread.LinkState.CONNECTED
    handlers = importlib.import_module(f"{installed}.ui.handlers")
    handlers.unregister()  # as where the add-on is switched off, and where Blender ends
    handlers.register()
    assert child.process.wait(30) == 0
    drained(running, addon, lambda: running.own.server is None)
    assert running.own.trouble == ""
    assert OPS.start_backend.poll()


def test_a_second_blender_takes_the_backend_that_runs(
    running: ModuleType, addon: SimpleNamespace
) -> None:
    first, running.own.server = running.own.server, None  # this Blender is now the second one
    running.own.reached = False
    try:
        OPS.start_backend(model="demo")
        drained(running, addon, lambda: running.own.server is None)
        assert running.own.trouble == ""
        addon.session.wait_for_connection(SECONDS)
        assert addon.session.state.status.welcome.model == "demo"
        assert not running.is_linked()  # so that the panel offers to leave it, not to stop it
    finally:
        running.own.server = first


def test_another_connection_outlives_the_end_of_this_backend(
    running: ModuleType, addon: SimpleNamespace, server: FakeServer
) -> None:
    assert running.is_linked()
    OPS.choose_connection(filepath=str(server.file))
    addon.session.wait_for_connection(10)
    assert not running.is_linked()
    OPS.stop_backend()
    drained(running, addon, lambda: running.own.server is None)
    assert addon.session.state.status.state is addon.worker_thread.LinkState.CONNECTED


def test_a_lost_connection_to_a_backend_that_runs_is_told(
    running: ModuleType, addon: SimpleNamespace, installed: str
) -> None:
    """Its file was deleted while it was connected, and then the line broke."""
    session = addon.session
    session.connection_file(None).unlink()
    session.connect(session.connection_file(None))  # as after a break
    drained(running, addon, lambda: session.state.status.text)
    assert session.state.status.text == addon.worker_thread.NO_BACKEND
    folder = Path(addon.preferences.program_folder)
    assert running.stage(folder) is running.Stage.RUNNING  # not "Starting..." for ever
    assert OPS.stop_backend.poll()


def test_no_backend_in_the_usual_place_is_no_path(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path
) -> None:
    def said() -> str:
        drained(backend, addon, lambda: addon.session.state.status.text)
        return str(addon.session.state.status.text)

    addon.session.connect(addon.session.connection_file(None))
    assert said() == addon.worker_thread.NO_BACKEND
    addon.session.connect(tmp_path / "chosen.json")
    assert "chosen.json" in said()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "tcp://127.0.0.1:99999"),
        ("server_public_key", "#" * 40),
        ("client_secret_key", "~" * 40),
    ],
)
def test_keys_and_addresses_that_cannot_be_are_no_defect_of_the_add_on(
    addon: SimpleNamespace, server: FakeServer, scene: bpy.types.Scene, field: str, value: str
) -> None:
    text = json.dumps(json.loads(server.file.read_text()) | {field: value})
    with pytest.raises(RuntimeError, match=f"not a usable connection file: {field}"):
        OPS.paste_connection(text=text)
    assert addon.preferences.connection_file == ""


def test_a_connection_file_beside_the_blend_stays_chosen_from_everywhere(
    addon: SimpleNamespace, server: FakeServer, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(server.file.with_name("a.blend")))
    OPS.choose_connection(filepath=f"//{server.file.name}")
    assert addon.preferences.connection_file == str(server.file)
    addon.session.wait_for_connection(10)


def test_keys_of_another_backend_are_refused_in_words(
    addon: SimpleNamespace, server: FakeServer, scene: bpy.types.Scene, protocol: ModuleType
) -> None:
    keys = protocol.connection.new_server_keys()
    wrong = {
        "client_public_key": keys.client_public_key,
        "client_secret_key": keys.client_secret_key,
    }
    OPS.paste_connection(text=json.dumps(json.loads(server.file.read_text()) | wrong))
    addon.session.wait(lambda: addon.session.state.status.text, 10)
    assert "refuses this key: copy its connection file again" in addon.session.state.status.text


def test_the_log_leaves_nothing_in_the_file(
    backend: ModuleType,
    addon: SimpleNamespace,
    installed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not OPS.show_backend_log.poll()
    folder = fake_program(tmp_path, "print('Making it')")
    backend.install(folder)
    drained(backend, addon, lambda: backend.own.installation is None)
    opened = tmp_path / "opened"
    opener = tmp_path / "xdg-open"  # what Blender asks on Linux to open a file
    opener.write_text(f'#!/bin/sh\necho "$1" > "{opened}"\n')
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    OPS.show_backend_log()
    assert list(bpy.data.texts) == []
    if sys.platform == "linux":
        addon.session.wait(opened.is_file, 10)
        assert opened.read_text().strip() == str(backend.log_file())
    module = importlib.import_module(f"{installed}.link.child_process")
    assert module.last_lines(backend.log_file()) == ["Making it"]


def test_connecting_at_the_start_waits_for_the_file_that_is_opened_then(
    addon: SimpleNamespace, installed: str
) -> None:
    """Blender opens the file of its command line after its add-ons: a timer must outlive that."""
    handlers = importlib.import_module(f"{installed}.ui.handlers")
    handlers.start_connecting()
    bpy.ops.wm.read_homefile(use_empty=True)
    assert bpy.app.timers.is_registered(handlers._connect_at_start)
    bpy.app.timers.unregister(handlers._connect_at_start)


def test_a_download_is_asked_for_before_the_backend_starts(
    installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = importlib.import_module(f"{installed}.jobs.hub_models")
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert "timbrooks/instruct-pix2pix is downloaded once, about 5 GB" in models.question("auto")
    assert "some/model is downloaded once, several GB" in models.question("some/model")
    for no_download in ("demo", "/some/model", "~/model", str(tmp_path), "a/b/c", "name"):
        assert models.question(no_download) == ""
    folder = tmp_path / "hub" / "models--timbrooks--instruct-pix2pix"
    (folder / "snapshots" / "0123").mkdir(parents=True)
    (folder / "snapshots" / "0123" / "model_index.json").touch()
    assert models.question("auto") == ""
    (folder / "blobs").mkdir()
    (folder / "blobs" / "0123.incomplete").touch()  # of a download that was stopped
    assert models.question("auto") != ""


def test_offline_nothing_is_downloaded(
    backend: ModuleType, addon: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = fake_program(tmp_path)
    python = backend.backend_python(folder)
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "offline: $HF_HUB_OFFLINE"\n')
    python.chmod(0o755)
    with pytest.raises(addon.session.SessionError, match="online access is off"):
        backend.start_server(folder, "some/model", False)
    assert backend.own.server is None
    if os.name != "nt":
        for online, said in ((False, "offline: 1"), (True, "offline: ")):
            monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
            backend.start_server(folder, "auto", online)
            child = backend.own.server
            drained(backend, addon, lambda: backend.own.server is None)
            assert child.last_line() == said.strip()
