"""Variants go on whatever becomes of their file, their pictures and the add-on in the middle."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import addon_utils
import bpy
import pytest
from driving import SECONDS, preview
from fake_server import FakeServer
from test_variants import finish_all, finish_one, running, seeds
from test_variants import waiting as waiting  # a fixture

OPS = bpy.ops.watch_your_steps


def settings_here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


@pytest.fixture
def begun(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> SimpleNamespace:
    """Four variants in a saved file, the first of which runs."""
    preview(connected, scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    server.manual = True
    OPS.variants()
    running(connected, server)
    return connected


def finish_many(addon: SimpleNamespace, server: FakeServer, count: int) -> None:
    for _ in range(count):
        finish_one(addon, server)


def test_a_file_that_is_reverted(begun: SimpleNamespace, server: FakeServer) -> None:
    finish_one(begun, server)
    running(begun, server)
    bpy.ops.wm.revert_mainfile()
    finish_many(begun, server, 3)
    assert seeds() == [1, 2, 3], "the first one was thrown away with what was not saved"
    assert settings_here().view == "VARIANTS"


def test_a_scene_that_is_renamed_and_saved_as_another_file(
    begun: SimpleNamespace, server: FakeServer, waiting: ModuleType, tmp_path: Path
) -> None:
    bpy.context.scene.name = "another"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "b.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    begun.session.drain()
    assert waiting.waiting(bpy.context.scene) == ()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "b.blend"))
    finish_many(begun, server, 4)
    assert seeds() == [0, 1, 2, 3]


def test_pictures_and_the_camera_are_deleted(begun: SimpleNamespace, server: FakeServer) -> None:
    finish_one(begun, server)
    running(begun, server)
    for name in ("render_image", "relevance_image", "mask_image"):
        bpy.data.images.remove(getattr(settings_here(), name))
    bpy.data.objects.remove(bpy.context.scene.camera)
    finish_many(begun, server, 3)
    assert seeds() == [0, 1, 2, 3]
    for entry in list(settings_here().edits)[:3]:
        assert entry.render is not None
        assert entry.relevance is not None


def test_one_is_kept_before_the_last_one_is_here(
    begun: SimpleNamespace, server: FakeServer
) -> None:
    finish_many(begun, server, 2)
    settings_here().edit_index = 1
    OPS.keep_variant()
    finish_many(begun, server, 2)
    assert seeds() == [0, 2, 3]


def test_the_add_on_is_switched_off_and_on(
    begun: SimpleNamespace, server: FakeServer, installed: str
) -> None:
    job = running(begun, server)
    addon_utils.disable(installed)
    server.finish(job)
    addon_utils.enable(installed)
    session = importlib.import_module(f"{installed}.jobs.session")
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.connection_file = str(server.file)
    session.drain()
    OPS.connect()
    session.wait_for_connection(SECONDS)
    session.wait(lambda: job not in session.state.jobs, SECONDS)
    now = SimpleNamespace(session=session)
    finish_many(now, server, 3)
    finish_all(now)
    assert seeds() == [0, 1, 2, 3]
    session.disconnect()
