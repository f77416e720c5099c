"""The add-on as an artist gets it: the built zip, installed into the bpy module.

Needs WATCH_YOUR_STEPS_ZIP (this platform's zip) and, for the tests with a real server,
WATCH_YOUR_STEPS_BACKEND_PYTHON; `python install.py test` sets both.
"""

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

RESOURCES = tempfile.TemporaryDirectory(prefix="wys-blender-")
os.environ["BLENDER_USER_RESOURCES"] = RESOURCES.name  # before bpy is imported

import bpy  # noqa: E402

OUTCOME = pytest.StashKey[int]()
MODULE = "bl_ext.user_default.watch_your_steps"


def install() -> None:
    """Install and enable the built zip; from then on its wheels can be imported."""
    zip_file = os.environ.get("WATCH_YOUR_STEPS_ZIP")
    if not zip_file:
        pytest.exit("Set WATCH_YOUR_STEPS_ZIP to the built extension (python install.py addon).")
    outcome = bpy.ops.extensions.package_install_files(
        filepath=zip_file, repo="user_default", enable_on_install=True, overwrite=True
    )
    if outcome != {"FINISHED"} or MODULE not in bpy.context.preferences.addons:
        pytest.exit(f"{zip_file} cannot be installed: see Blender's output above.")


install()  # before the test modules are imported, as those need pyzmq

from driving import SIZE, VIEWS, connect, make_scene  # noqa: E402
from fake_server import FakeServer  # noqa: E402


@pytest.fixture
def installed() -> str:
    """The enabled extension's module name."""
    return MODULE


@pytest.fixture
def addon(installed: str) -> Iterator[SimpleNamespace]:
    """The extension's modules by name, in an empty file, without a connection."""
    bpy.ops.wm.read_homefile(use_empty=True)
    names = (
        "jobs.session",
        "ui.panel",
        "ui.overlay",
        "data.results",
        "data.taken_pictures",
        "data.copies",
        "data.edits",
        "data.edit_words",
        "data.meshes.brought_mesh",
        "data.pictures",
        "data.scene_error",
        "render.camera_render",
        "ui.frame",
        "link.encode",
        "link.decode",
        "ui.words",
        "link.arrived",
        "link.worker_thread",
        "data.meshes.mesh_reading",
        "ui.thumbnails",
        "render.freshness",
    )
    modules = {
        name.rpartition(".")[2]: importlib.import_module(f"{installed}.{name}") for name in names
    }
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.connection_file = ""
    yield SimpleNamespace(preferences=preferences, **modules)
    session = modules["session"]
    session.disconnect()
    session.start_anew()


@pytest.fixture
def protocol(installed: str) -> ModuleType:
    """The protocol package of the installed extension."""
    for name in (
        "values",
        "requests",
        "messages",
        "codec",
        "connection",
        "client",
        "region",
        "known_settings",
    ):
        importlib.import_module(f"{installed}.protocol.{name}")
    return importlib.import_module(f"{installed}.protocol")


@pytest.fixture
def scene(addon: SimpleNamespace) -> bpy.types.Scene:
    """A red ball on a green ground in Workbench's flat colours, seen by a camera; 64x48 pixels."""
    return make_scene()


@pytest.fixture
def in_3d(scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    """The scene's settings in 3D, with few and small views."""
    in_3d = scene.watch_your_steps.in_3d
    in_3d.views, in_3d.size = VIEWS, SIZE
    return in_3d


@pytest.fixture
def connection_file(tmp_path: Path) -> Path:
    """Where a server of this test writes its connection file."""
    return tmp_path / "connection.json"


@pytest.fixture
def server(protocol: ModuleType, connection_file: Path) -> Iterator[FakeServer]:
    """A scripted server that runs."""
    with FakeServer(protocol, connection_file) as server:
        yield server


@pytest.fixture
def connected(
    addon: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> SimpleNamespace:
    """The add-on, connected to `server`."""
    connect(addon, server.file)
    return addon


@pytest.fixture
def backend(
    addon: SimpleNamespace, installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """The module of the backend that Blender starts, with a data folder of this test's own."""
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "data"))
    module = importlib.import_module(f"{installed}.jobs.own_backend")
    yield module
    children = [one for one in (module.own.server, module.own.installation) if one]
    module.stop()
    for child in children:
        child.process.wait(30)
    module.own.server = module.own.installation = None
    module.own.trouble = module.own.said = ""
    module.own.reached = False
    addon.preferences.program_folder = ""


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep how it went for the very end."""
    session.config.stash[OUTCOME] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the process without taking Blender 4.5 apart: as a module it waits for ever for a thread
    of its own where a test still refers to it by then.
    """
    if OUTCOME in config.stash:
        RESOURCES.cleanup()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[OUTCOME])
