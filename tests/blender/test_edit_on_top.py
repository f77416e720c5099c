"""Edits on top of edits: what each is made of is kept, whatever becomes of those below it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, edit, here, preview, reopen
from fake_server import FakeServer, edited, relevance_of
from test_flows import refusal

OPS = bpy.ops.watch_your_steps


def last(server: FakeServer) -> Any:
    return [m for m in server.received if isinstance(m, server.messages.Submit)][-1].request


def titles() -> list[str]:
    return [entry.title for entry in here().edits]


@pytest.fixture
def chain(connected: SimpleNamespace, scene: bpy.types.Scene) -> list[np.ndarray]:
    """The render, an edit of it, one on top of that and one on top of both; their pictures."""
    preview(connected, scene)
    render = connected.pictures.read_rgb(here().render_image).copy()
    first = edit(connected, threshold=0.3)
    here().base = "EDIT"
    preview(connected, scene)
    here().threshold = 0.5
    second = edit(connected)
    third = edit(connected, instruction="make it shine")
    for entry, title in zip(here().edits, ("third", "second", "first"), strict=True):
        entry.title = title
    return [render, first, second, third]


def test_each_edit_is_made_of_the_one_below(
    connected: SimpleNamespace, chain: list[np.ndarray], server: FakeServer
) -> None:
    render, first, second, third = chain
    read = connected.pictures.read_rgb
    assert [
        np.array_equal(read(one.render), base)
        for one, base in zip(here().edits, (second, first, render), strict=True)
    ] == [True] * 3
    assert np.array_equal(second, edited(first, relevance_of(first) >= np.float32(0.5)))
    outside = relevance_of(first) < np.float32(0.5)
    assert 0 < outside.sum() < outside.size
    assert np.array_equal(second[outside], first[outside]), "the base's bytes stay"
    mask = relevance_of(second) >= np.float32(here().edits[0].threshold)
    assert np.array_equal(third, edited(second, mask))
    assert np.array_equal(last(server).image, second)
    assert last(server).things is not None, "the same things are seen in the render below"
    roots = [one.root for one in here().edits]
    assert roots[0] == roots[1] == here().edits[2].render
    assert roots[2] is None
    assert [connected.edits.depth(here(), one) for one in here().edits] == [2, 1, 0]
    assert np.array_equal(read(connected.edits.beside(here())), second), "compared with its base"


def test_a_preview_of_the_shown_edit_renders_nothing(
    connected: SimpleNamespace, scene: bpy.types.Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    preview(connected, scene)
    first = edit(connected)
    here().base = "EDIT"
    scene.camera.location.x += 3  # is not looked at
    preview(connected, scene)
    read = connected.pictures
    assert np.array_equal(read.read_rgb(here().render_image), first)
    assert np.array_equal(read.read_gray(here().relevance_image), relevance_of(first))
    assert connected.panel.has_moved(scene)


def test_the_mask_of_the_render_is_used_on_top_of_its_edit(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    here().threshold = 0.3
    mask = connected.results.mask(scene).copy()
    first = edit(connected)
    here().base = "EDIT"
    edit(connected, seed=4)
    assert np.array_equal(last(server).mask, mask), "the very mask that is shown"
    assert np.array_equal(last(server).image, first)


def test_a_map_of_another_view_is_not_used(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    first = edit(connected)
    scene.camera.location.x += 2
    scene.render.resolution_x = 32
    preview(connected, scene)
    assert here().render_image.size[0] == 32
    here().base = "EDIT"
    second = edit(connected)
    assert last(server).mask is None
    assert np.array_equal(last(server).image, first)
    assert second.shape == first.shape
    assert here().relevance_image.size[0] == 64, "the map that was found belongs to the base"


def test_back_to_the_render(
    connected: SimpleNamespace, chain: list[np.ndarray], server: FakeServer
) -> None:
    here().base = "RENDER"
    again = edit(connected, instruction="turn the ball blue", threshold=0.3)
    assert np.array_equal(last(server).image, chain[0])
    assert here().root_image is None
    assert here().edits[0].root is None
    assert again.shape == chain[0].shape


def test_an_older_edit_can_be_gone_on_from(
    connected: SimpleNamespace, chain: list[np.ndarray], server: FakeServer
) -> None:
    here().edit_index = 2
    assert connected.edits.below_next(here()).title == "first"
    edit(connected)
    assert np.array_equal(last(server).image, chain[1])
    assert here().edits[0].parent == here().edits[3].uid


def test_the_whole_chain_comes_back(
    connected: SimpleNamespace, chain: list[np.ndarray], server: FakeServer, tmp_path: Path
) -> None:
    render, first, second, _ = chain
    here().base = "RENDER"
    bpy.context.scene.camera.location.x += 2
    preview(connected, bpy.context.scene)
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    here().edit_index = 1
    OPS.restore_edit()
    read = connected.pictures
    assert np.array_equal(read.read_rgb(here().render_image), first)
    assert np.array_equal(read.read_rgb(here().root_image), render)
    assert np.array_equal(read.read_rgb(here().edit_image), second)
    assert (here().base, here().threshold) == ("EDIT", 0.5)
    assert connected.edits.below_next(here()).title == "first"
    assert np.array_equal(edit(connected), second), "it is made of the same again"
    assert here().edits[0].parent == here().edits[3].uid
    here().edit_index = 3
    OPS.restore_edit()
    assert (here().base, here().root_image) == ("RENDER", None)
    assert np.array_equal(read.read_rgb(here().render_image), render)


@pytest.mark.parametrize("saved", [True, False])
def test_an_edit_in_the_middle_can_be_deleted(
    connected: SimpleNamespace,
    chain: list[np.ndarray],
    server: FakeServer,
    tmp_path: Path,
    saved: bool,
) -> None:
    render, _, second, third = chain
    here().edit_index = 1
    OPS.delete_edit()
    if saved:
        reopen(connected, tmp_path / "a.blend")
        bpy.ops.outliner.orphans_purge(do_recursive=True)
        connect(connected, server.file)
    assert titles() == ["third", "first"]
    connected.pictures.forget_all()
    top, read = here().edits[0], connected.pictures.read_rgb
    assert np.array_equal(read(top.image), third)
    assert np.array_equal(read(top.render), second)
    assert np.array_equal(read(top.root), render)
    assert connected.edits.depth(here(), top) == 0
    here().edit_index = 0
    OPS.restore_edit()
    assert np.array_equal(edit(connected), third)
    assert here().edits[0].root == here().edits[1].root


def test_all_below_can_be_deleted(connected: SimpleNamespace, chain: list[np.ndarray]) -> None:
    for _ in range(2):
        here().edit_index = len(here().edits) - 1
        OPS.delete_edit()
    assert titles() == ["third"]
    assert np.array_equal(connected.pictures.read_rgb(here().edits[0].root), chain[0])
    OPS.delete_edit()
    assert here().base_image is None
    assert "no edit to go on from" in refusal("edit")
    assert "no edit to go on from" in refusal("preview_relevance")
    here().base = "RENDER"
    edit(connected)
    assert np.array_equal(connected.pictures.read_rgb(here().edits[0].render), chain[0])


def test_the_edit_below_is_deleted_while_the_job_runs(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    render = connected.pictures.read_rgb(here().render_image).copy()
    first = edit(connected)
    here().base, server.manual = "EDIT", True
    OPS.edit()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    OPS.delete_edit()
    server.finish(job)
    connected.session.wait_for_job(scene, SECONDS)
    (entry,) = here().edits
    assert np.array_equal(connected.pictures.read_rgb(entry.render), first)
    assert np.array_equal(connected.pictures.read_rgb(entry.root), render)


def test_blender_is_closed_while_an_edit_on_top_runs(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, scene)
    first = edit(connected)
    here().base, server.manual = "EDIT", True
    OPS.edit()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    reopen(connected, tmp_path / "a.blend")
    server.finish(job)
    connect(connected, server.file)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    top, below = here().edits
    assert top.parent == below.uid
    assert np.array_equal(connected.pictures.read_rgb(top.render), first)
    assert top.root == below.render


def test_undo_and_redo_of_a_chain(connected: SimpleNamespace, scene: bpy.types.Scene) -> None:
    preview(connected, scene)
    edit(connected)
    here().base = "EDIT"
    bpy.ops.ed.undo_push(message="on top")
    made = edit(connected)
    bpy.ops.ed.undo()
    assert len(here().edits) == 1
    assert here().root_image is None
    bpy.ops.ed.redo()
    assert np.array_equal(connected.pictures.read_rgb(here().edit_image), made)
    assert here().root_image == here().edits[1].render


def test_an_image_that_the_artist_deleted_or_unpacked_is_refused(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    preview(connected, scene)
    edit(connected)
    here().base = "EDIT"
    bpy.data.images.remove(here().edits[0].render)
    assert "render that the shown edit was made of was deleted" in refusal("edit")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    here().base_image.unpack(method="WRITE_LOCAL")
    assert "is no longer packed" in refusal("edit")
    bpy.data.images.remove(here().edits[0].image)
    assert "no edit to go on from" in refusal("edit")


def test_a_copy_of_the_scene_goes_on_by_itself(
    connected: SimpleNamespace, scene: bpy.types.Scene, chain: list[np.ndarray]
) -> None:
    made = scene.copy()
    bpy.context.window.scene = made
    edit(connected)
    preview(connected, made)
    assert len(here().edits) == 4
    bpy.context.window.scene = scene
    assert titles() == ["third", "second", "first"]
    read = connected.pictures.read_rgb
    assert np.array_equal(read(here().root_image), chain[0])
    assert np.array_equal(read(here().render_image), chain[2])
    assert np.array_equal(read(here().edit_image), chain[3])
