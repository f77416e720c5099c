"""What had not ended when Blender was closed: it is offered when its file is opened again, and goes
on, when the artist says so, with all as it was.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS, as_before_versions, connect, here, preview, reopen
from fake_server import FakeServer
from test_edit_frames import files, film  # noqa: F401  # a fixture
from test_flows import submits
from test_image_source import choose
from test_result_size import large  # noqa: F401  # a fixture
from test_several_textures import another, select
from test_texture_edit import node as texture_node
from test_texture_edit import thing  # noqa: F401  # a fixture
from test_threshold import drawn
from test_together import new_image
from test_variants import ask, finish_all, finish_one, requests, running, seeds

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def saved(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.jobs.saved_waiting")


def restart(addon: SimpleNamespace, server: FakeServer, path: Path) -> None:
    """Close Blender and the backend that it had started, and open the file again with another."""
    reopen(addon, path)
    server.forget()
    connect(addon, server.file)
    addon.session.wait(lambda: addon.session.job_of(bpy.context.scene) is None, SECONDS)


def go_on(addon: SimpleNamespace, server: FakeServer) -> None:
    server.manual = False
    assert OPS.go_on() == {"FINISHED"}
    finish_all(addon)


def offered(saved: ModuleType) -> list[str]:
    """Titles of what is offered."""
    return [one.title for one in saved.offered(bpy.context.scene)]


def same(one: Any, other: Any) -> None:
    """Two requests ask for the same edit of the same picture."""
    for name in ("instruction", "threshold", "maps", "settings", "region"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("image", "mask", "things"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    corrected = one.correction, other.correction
    assert len({(each.invert, each.grow) for each in corrected}) == 1
    assert np.array_equal(corrected[0].painted, corrected[1].painted)


def own() -> set[str]:
    return {one.name for one in bpy.data.images}


def test_variants_go_on_with_all_as_it_was(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    server.manual = True
    here().rim, here().steps, here().seed = 5.0, 17, 40
    OPS.variants()
    finish_one(connected, server)
    running(connected, server)
    first = requests(server)[0]
    before = own()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert own() == before, "nothing of what was written is left in the scene"
    assert offered(saved) == [], "it goes on by itself"
    restart(connected, server, tmp_path / "a.blend")
    assert offered(saved) == [f"Variant {n} of 4, seed {n + 39}" for n in (2, 3, 4)]
    assert len(requests(server)) == 2, "not by itself"
    here().instruction, here().rim, here().seed, here().threshold = "burn it", 2.0, 7, 0.9
    here().grow = 3
    go_on(connected, server)
    sent = requests(server)[2:]
    for request, seed in zip(sent, (41, 42, 43), strict=True):
        assert request.settings.seed == seed
        assert (request.settings.rim, request.settings.steps) == (5.0, 17)
        assert request.instruction == "turn the ball blue"
        assert np.array_equal(request.mask, first.mask)
        assert np.array_equal(request.image, first.image)
    assert seeds() == [40, 41, 42, 43]
    assert len({one.variants for one in here().edits}) == 1
    assert here().sheet_image is not None, "beside each other in the end"
    entry = here().edits[0]
    assert (entry.threshold, entry.grow, entry.rim) == (np.float32(0.3), 0, 5.0)
    assert entry.known
    assert offered(saved) == []
    assert not [one for one in bpy.data.images if one.users == 0]


def test_a_region_that_was_not_found_yet_is_found_once_for_all_and_corrected(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    installed: str,
    tmp_path: Path,
) -> None:
    strokes = importlib.import_module(f"{installed}.data.strokes")
    preview(connected, scene)
    strokes.paint(scene, 1, 4, [(9, 9)])
    server.manual = True
    ask("another thing", seed=1, grow=2, invert=True, variants=2)
    OPS.variants()
    running(connected, server)
    first = requests(server)[0]
    assert first.mask is None
    assert first.correction.painted is not None
    restart(connected, server, tmp_path / "a.blend")
    assert len(offered(saved)) == 3
    here().grow, here().invert, here().instruction = 0, False, "else"
    here().painted_image = None
    go_on(connected, server)
    again = requests(server)[1:]
    same(again[0], first)
    assert again[1].mask is None
    assert again[2].mask is not None, "variants share what the first of them has found"
    assert here().relevance_of == "another thing"


def test_an_edit_that_is_made_again_goes_on(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    OPS.edit()
    finish_all(connected)
    server.manual = True
    OPS.edit_again()
    OPS.edit_again()
    running(connected, server)
    first = requests(server)[-1]
    restart(connected, server, tmp_path / "a.blend")
    assert offered(saved) == ["seed 1", "seed 2"]
    go_on(connected, server)
    same(requests(server)[-2], first)
    assert seeds() == [0, 1, 2]


@pytest.mark.parametrize("restarted", [True, False])
def test_an_edit_that_was_undone_is_made_again_after_a_restart(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
    restarted: bool,
) -> None:
    """Of the backend, too, or of Blender alone, to which the running job then comes back."""
    preview(connected, scene)
    bpy.ops.ed.undo_push(message="before")
    OPS.edit()
    finish_all(connected)
    server.manual = True
    OPS.edit_again()
    OPS.edit_again()
    running(connected, server)
    first, count = requests(server)[-1], len(requests(server))
    bpy.ops.ed.undo()
    assert len(here().edits) == 0
    if restarted:
        restart(connected, server, tmp_path / "a.blend")
        assert offered(saved) == ["seed 1", "seed 2"]
        go_on(connected, server)
        same(requests(server)[count], first)
    else:
        job = connected.session.job_of(bpy.context.scene).id
        reopen(connected, tmp_path / "a.blend")
        connect(connected, server.file)
        server.manual = False
        server.finish(job)
        finish_all(connected)
        go_on(connected, server)
    assert sorted(seeds()) == [1, 2]
    assert all(one.render is not None and one.mask is not None for one in here().edits)


def test_textures_of_selected_meshes_go_on(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    """The one that runs and those that wait, with what they were asked for with; what was deleted
    is told.
    """
    others = [another("second", 1), another("third", 2), another("gone", 3)]
    select(thing, *others)
    here().seed = 5
    server.manual = True
    OPS.edit_textures()
    running(connected, server)
    here().seed, here().instruction = 99, "else"
    others[0].name, texture_node(others[0]).image.name = "renamed", "renamed too"
    restart(connected, server, tmp_path / "a.blend")
    assert offered(saved) == ["box", "gone", "second", "third"]
    bpy.data.objects.remove(bpy.data.objects["gone"])
    server.manual = False
    OPS.go_on()
    said = connected.session.message_of(bpy.context.scene)
    assert (
        "(gone) cannot go on: The mesh whose texture was to be edited is not in the scene" in said
    )
    finish_all(connected)
    for name in ("box", "renamed", "third"):
        assert texture_node(bpy.data.objects[name]).image.name.endswith("(edited)")
    asked = [one.request for one in submits(server)[-3:]]
    assert [(one.instruction, one.settings.seed) for one in asked] == [
        ("turn the ball blue", 5)
    ] * 3
    assert offered(saved) == []


def test_an_edit_at_full_size_goes_on(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    server.manual = True
    OPS.edit_full_size()
    running(large, server)
    first = requests(server)[-1]
    restart(large, server, tmp_path / "a.blend")
    assert offered(saved) == ["at full size"]
    go_on(large, server)
    same(requests(server)[-1], first)
    assert large.pictures.size_of(here().edits[0].image) == first.image.shape[:2]


def test_frames_go_on(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    film: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    server.manual = True
    OPS.edit_frames()
    finish_one(connected, server)
    running(connected, server)
    restart(connected, server, tmp_path / "a.blend")
    assert offered(saved) == ["Frame 5 (2 of 3)", "Frame 7 (3 of 3)"]
    here().seed, here().instruction = 99, "else"
    go_on(connected, server)
    assert [one.stem[-4:] for one in files(film)] == ["0003", "0005", "0007"]
    assert {one.settings.seed for one in requests(server)} == {21}


def test_of_an_image_that_was_renamed_it_is_the_same_image(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    image = new_image("photo", rng.integers(0, 255, (48, 64, 3), np.uint8))
    choose(image)
    server.manual = True
    OPS.edit()
    running(connected, server)
    image.name = "renamed"
    new_image("photo", rng.integers(0, 255, (48, 64, 3), np.uint8))
    restart(connected, server, tmp_path / "a.blend")
    go_on(connected, server)
    assert here().edits[0].source_image == bpy.data.images["renamed"]


def test_what_is_gone_is_said_once_and_the_others_go_on(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    OPS.edit()
    finish_all(connected)
    server.manual = True
    OPS.edit_again()
    OPS.edit_again()
    OPS.edit_again()
    ask("burn it", seed=9)
    OPS.edit()
    running(connected, server)
    restart(connected, server, tmp_path / "a.blend")
    assert len(offered(saved)) == 5
    OPS.delete_edit()
    bpy.data.images.remove(saved.offered(bpy.context.scene)[3].picture)
    count = len(requests(server))
    server.manual = False
    OPS.go_on()
    said = connected.session.message_of(bpy.context.scene)
    finish_all(connected)
    assert said.startswith(
        '"turn the ball blue" (seed 1) and 2 more cannot go on: The edit that was made '
        "again is not in the list any more."
    )
    assert said.count("cannot go on") == 2
    assert "picture that it was to be made of is not in the file any more" in said
    assert len(requests(server)) == count, "both of its picture"
    assert offered(saved) == []


def test_it_stays_offered_until_it_goes_on_or_is_dropped(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    server.manual = True
    here().variants = 3
    OPS.variants()
    running(connected, server)
    reopen(connected, tmp_path / "a.blend")
    assert len(offered(saved)) == 2, "the first runs, as far as anybody knows"
    assert not OPS.go_on.poll(), "there is no connection"
    reopen(connected, tmp_path / "a.blend")
    restart(connected, server, tmp_path / "b.blend")
    assert len(offered(saved)) == 3
    ask("burn it", seed=9)
    running(connected, server)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "c.blend"))
    assert len(offered(saved)) == 3
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "c.blend"))
    assert len(offered(saved)) == 3, "what runs is in memory"
    finish_one(connected, server)
    bpy.ops.ed.undo_push(message="before")
    assert OPS.drop_saved() == {"FINISHED"}
    assert offered(saved) == []
    assert not OPS.drop_saved.poll()
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    connected.session.drain()
    assert offered(saved) == [], "an undo brings no work back"
    reopen(connected, tmp_path / "d.blend")
    assert offered(saved) == []


def test_a_running_job_that_the_backend_still_knows_is_not_made_twice(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    server.manual = True
    here().variants = 2
    OPS.variants()
    job = running(connected, server)
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    assert offered(saved) == ["Variant 2 of 2, seed 1"]
    server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert offered(saved) == ["Variant 2 of 2, seed 1"]
    go_on(connected, server)
    assert seeds() == [0, 1]


@pytest.mark.parametrize("gone", ["result_gone", "server_stopped"])
def test_a_job_whose_result_the_backend_has_not_any_more_is_offered(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
    gone: str,
) -> None:
    """As others have ended since, on a backend that many use, or as it was stopped."""
    preview(connected, scene)
    server.manual = True
    OPS.edit()
    running(connected, server)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    server.unknown = gone
    restart(connected, server, tmp_path / "a.blend")
    assert len(offered(saved)) == 1
    go_on(connected, server)
    assert len(here().edits) == 1
    assert offered(saved) == []


@pytest.mark.parametrize("kind", ["FULL_COPY", "LINK_COPY"])
def test_a_copy_of_the_scene_is_offered_nothing(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
    kind: str,
) -> None:
    preview(connected, scene)
    server.manual = True
    OPS.variants()
    running(connected, server)
    restart(connected, server, tmp_path / "a.blend")
    original = bpy.context.scene
    bpy.ops.scene.new(type=kind)
    assert bpy.context.scene != original
    connected.session.drain()
    assert offered(saved) == []
    assert len(saved.offered(original)) == 4


def test_the_panel_offers_it(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preview(connected, scene)
    show: Callable[[], Any] = lambda: drawn(connected, installed, monkeypatch)  # noqa: E731
    server.manual = True
    for number in range(7):
        ask("burn it", seed=number)
    running(connected, server)
    assert "watch_your_steps.go_on" not in show().names
    restart(connected, server, tmp_path / "a.blend")
    layout = show()
    assert connected.session.message_of(bpy.context.scene) == "", "it has not failed"
    assert "7 edits had not ended when this file was saved." in layout.texts
    assert 'Seed 4: "burn it"' in layout.texts
    assert 'Seed 5: "burn it"' not in layout.texts
    assert {"watch_your_steps.go_on", "watch_your_steps.drop_saved"} <= set(layout.names)
    OPS.go_on()
    assert "watch_your_steps.go_on" not in show().names


def test_a_file_that_blender_has_saved_by_itself_says_what_was_not_begun(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    saved: ModuleType,
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    server.manual = True
    OPS.variants()
    finish_one(connected, server)
    running(connected, server)
    with as_before_versions():  # as autosaving does, handlers are not called
        reopen(connected, tmp_path / "a.blend")
    assert offered(saved) == []
    said = connected.session.message_of(bpy.context.scene)
    assert said == (
        'Not begun when the file was closed: "turn the ball blue" (Variant 3 of 4, seed 2), '
        '"turn the ball blue" (Variant 4 of 4, seed 3). Ask for it again.'
    )
