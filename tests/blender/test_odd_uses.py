"""What nobody does on purpose: names that look like sentences or are as long as Blender lets them
be, saving as another file in the middle, scenes that ask for the same, and a library's scene.
"""

import importlib
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, here, preview, reopen
from fake_server import FakeServer
from test_image_source import choose
from test_texture_edit import node, texture_edit, thing  # noqa: F401  # fixtures
from test_threshold import drawn
from test_together import new_image
from test_variants import finish_all, finish_one, requests, running, seeds

OPS = bpy.ops.watch_your_steps
LONG = "a name that is as long as Blender lets any name of a block be ok"[:63]
NAMES = pytest.mark.parametrize("name", ["box. A", "Is it? No", '"quoted"', LONG, "ä€😀"])


@NAMES
def test_textures_and_meshes_of_any_name(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    name: str,
    tmp_path: Path,
) -> None:
    image = node(thing).image
    thing.name = thing.data.name = thing.active_material.name = image.name = name
    scene.name = scene.camera.name = name
    OPS.preview_texture()
    connected.session.wait_for_job(scene, SECONDS)
    OPS.edit_texture()
    connected.session.wait_for_job(scene, SECONDS)
    first = node(thing).image
    assert first.watch_your_steps.original == image
    assert OPS.texture_again() == {"FINISHED"}
    finish_all(connected)
    second = node(thing).image
    assert second.watch_your_steps.original == image
    assert len({image.name, first.name, second.name}) == 3
    server.manual = True
    OPS.edit_texture()
    job = running(connected, server)
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    server.finish(job)
    finish_all(connected)
    assert connected.session.message_of(bpy.context.scene) == ""
    assert len([one for one in bpy.data.images if one.watch_your_steps.instruction]) >= 3


@NAMES
def test_pictures_and_edits_of_any_name(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    name: str,
    tmp_path: Path,
) -> None:
    scene.name = scene.camera.name = name
    image = new_image(name, np.full((48, 64, 3), (30, 200, 30), np.uint8))
    choose(image)
    OPS.edit()
    finish_all(connected)
    here().edits[0].title = name
    here().source.kind = "RENDER"
    preview(connected, scene)
    server.manual = True
    OPS.variants()
    finish_one(connected, server)
    running(connected, server)
    reopen(connected, tmp_path / "a.blend")
    server.forget()
    server.manual = False
    connect(connected, server.file)
    finish_all(connected)
    OPS.go_on()
    finish_all(connected)
    assert seeds() == [0, 0, 1, 2, 3]
    here().edit_index = 4
    OPS.restore_edit()
    assert here().source.image == here().edits[4].source_image is not None
    OPS.save_result(filepath=str(tmp_path / "made.png"))
    assert (tmp_path / "made.png").exists()


def test_another_language_while_a_job_runs(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    view = bpy.context.preferences.view
    before = view.language
    preview(connected, scene)
    server.manual = True
    OPS.variants()
    running(connected, server)
    try:
        if "de_DE" in view.bl_rna.properties["language"].enum_items:
            view.language = "de_DE"
        drawn(connected, installed, monkeypatch)
        finish_one(connected, server)
        running(connected, server)
        reopen(connected, tmp_path / "a.blend")
        assert len(here().waiting) == 3
        assert here().waiting[0].title == "Variant 2 of 4, seed 1", "files are in English"
    finally:
        view.language = before


def test_saved_as_another_file_twice_while_edits_wait(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    tmp_path: Path,
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "first.blend"))
    preview(connected, scene)
    server.manual = True
    OPS.variants()
    finish_one(connected, server)
    running(connected, server)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "second.blend"))
    finish_one(connected, server)
    running(connected, server)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "copy.blend"), copy=True)
    finish_one(connected, server)
    finish_one(connected, server)
    finish_all(connected)
    assert seeds() == [0, 1, 2, 3]
    bpy.ops.wm.save_mainfile()
    saved = importlib.import_module(f"{installed}.jobs.saved_waiting")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "copy.blend"))
    finish_all(connected)
    assert seeds() == [0, 1, 2], "what ran then is had from the backend again"
    assert [one.title[-6:] for one in saved.offered(bpy.context.scene)] == ["seed 3"]
    server.manual = False
    OPS.go_on()
    finish_all(connected)
    assert seeds() == [0, 1, 2, 3]
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "first.blend"))
    connected.session.drain()
    assert not here().edits
    assert not saved.offered(bpy.context.scene)


def test_two_scenes_ask_for_the_same(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, scene)
    bpy.ops.scene.new(type="LINK_COPY")
    other = bpy.context.scene
    server.manual = True
    for one in (scene, other):
        bpy.context.window.scene = one
        here().variants = 2
        OPS.variants()
    for one in (scene, other):
        bpy.context.window.scene = one
        finish_one(connected, server)
        running(connected, server)
    reopen(connected, tmp_path / "a.blend")
    server.forget()
    connect(connected, server.file)
    server.manual = False
    names = [one.name for one in bpy.data.scenes]
    assert len(names) == 2
    for name in names:
        bpy.context.window.scene = bpy.data.scenes[name]
        finish_all(connected)
        assert len(here().waiting) == 1
        OPS.go_on()
        finish_all(connected)
        assert seeds() == [0, 1], name
        assert here().sheet_image is not None
    assert len(requests(server)) == 6


def test_a_linked_scene_is_offered_nothing_and_changes_nothing(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    scene.name = "Library"
    server.manual = True
    OPS.variants()
    running(connected, server)
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (_, into):
        into.scenes = ["Library"]
    linked = bpy.data.scenes["Library"]
    assert linked.library is not None
    bpy.context.window.scene = linked
    connected.session.drain()
    for operator in ("go_on", "drop_saved", "edit", "variants", "edit_again", "remove_all_waiting"):
        assert not getattr(OPS, operator).poll(), operator
    drawn(connected, installed, monkeypatch)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert linked.library is not None
