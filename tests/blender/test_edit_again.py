"""An edit that is made again with another seed is made of the same picture, inside the same mask
and with the same settings, whatever the panel shows by then.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, preview, reopen
from fake_server import FakeServer, edited, relevance_of
from test_edit_history import edit, here, three_edits
from test_flows import refusal

OPS = bpy.ops.watch_your_steps


def sent(server: FakeServer) -> list[Any]:
    """All requests for edits, in order."""
    requests = [m.request for m in server.received if isinstance(m, server.messages.Submit)]
    return [one for one in requests if isinstance(one, server.requests.EditRequest)]


def again(addon: SimpleNamespace, index: int) -> None:
    here().edit_index = index
    OPS.edit_again()
    addon.session.wait_for_job(bpy.context.scene, SECONDS)


def panel_of(settings: bpy.types.PropertyGroup) -> dict[str, object]:
    """What must stay as it is."""
    names = ("render_image", "relevance_image", "root_image", "picture", "relevance_of")
    names += ("threshold", "threshold_of", "picks", "instruction", "seed", "steps", "base")
    return {name: getattr(settings, name) for name in names}


@pytest.mark.parametrize("opened_again", [True, False])
def test_everything_but_the_seed_is_as_it_was(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    tmp_path: Path,
    opened_again: bool,
) -> None:
    made = three_edits(connected, scene)
    if opened_again:
        reopen(connected, tmp_path / "a.blend")
        connect(connected, server.file)
    for name, value in {
        "seed": 77,
        "steps": 2,
        "strength": 0.25,
        "rim": 4,
        "snap": "edges",
    }.items():
        setattr(here(), name, value)
    here().instruction, here().threshold = "something else", 0.9
    before = panel_of(here())
    first = here().edits[2]
    assert first.seed == 3
    mask = relevance_of(connected.pictures.read_rgb(first.render)) >= np.float32(first.threshold)
    again(connected, 2)
    request = sent(server)[-1]
    assert request.instruction == "turn the ball blue"
    assert (request.settings.seed, request.settings.steps) == (4, 20)
    assert (request.settings.strength, request.settings.rim) == (1.0, 0.0)
    assert np.array_equal(request.mask, mask)
    assert np.array_equal(request.image, connected.pictures.read_rgb(here().edits[3].render))
    assert panel_of(here()) == before
    new, old = here().edits[0], here().edits[3]
    assert np.array_equal(connected.pictures.read_rgb(new.image), made[2])
    assert (new.seed, old.seed) == (4, 3)
    assert new.uid != old.uid
    assert new.image != old.image
    for name in ("render", "relevance", "root", "parent", "picture", "threshold", "steps", "snap"):
        assert getattr(new, name) == getattr(old, name), name
    assert here().edit_image == new.image, "it is shown"


def test_the_next_seed_is_one_that_was_not_used(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    three_edits(connected, scene)  # seeds 3 and 5 are of one picture and instruction
    again(connected, 2)
    again(connected, 3)
    again(connected, 4)
    assert [one.settings.seed for one in sent(server)[-3:]] == [4, 6, 7]
    assert [one.seed for one in here().edits] == [7, 6, 4, 8, 5, 3]


def test_an_edit_on_top_is_made_again_on_its_own_base(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    first = edit(connected)
    here().base = "EDIT"
    edit(connected, seed=9)
    here().base = "RENDER"
    scene.camera.location.x += 2
    preview(connected, scene)
    again(connected, 0)
    assert np.array_equal(sent(server)[-1].image, first)
    assert here().edits[0].parent == here().edits[2].uid
    assert here().edits[0].root == here().edits[1].root


def test_what_was_edited_with_picks_and_by_the_map_is_edited_again(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    """Also where the mask was not kept, as in files from before that."""
    here().snap = "things"
    preview(connected, scene)
    here().picks = "+1 -0"
    edit(connected)
    kept = sent(server)[-1].mask.copy()
    assert 0 < kept.sum() < kept.size
    for lost in (False, True):
        if lost:
            for entry in here().edits:
                entry.mask = None
        here().snap, here().picks = "nothing", ""
        again(connected, len(here().edits) - 1)
        assert np.array_equal(sent(server)[-1].mask, kept), lost
        assert here().edits[0].picks == "+1 -0"


def test_the_renamed_and_starred_stay_so_and_their_like_have_the_title(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    preview(connected, scene)
    edit(connected)
    here().edits[0].title, here().edits[0].favourite = "good", True
    here().edits[0].full = here().edits[0].image  # as if it was made at the render's size
    again(connected, 0)
    assert [(one.title, one.favourite) for one in here().edits] == [("good", False), ("good", True)]
    assert here().edits[0].full is None, "that is of the other one"


def test_what_is_lost_is_said(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    assert "There is no edit in the list" in refusal("edit_again")
    preview(connected, scene)
    edit(connected)
    here().edits[0].known = False
    assert "What this edit was made with is not known" in refusal("edit_again")
    here().edits[0].known = True
    server.stop()
    connected.session.disconnect()
    assert "There is no connection" in refusal("edit_again")
    bpy.data.images.remove(here().edits[0].mask)
    bpy.data.images.remove(here().edits[0].relevance)
    assert "has changed its render is not known" in refusal("edit_again")
    bpy.data.images.remove(here().edits[0].render)
    assert "was deleted from the file" in refusal("edit_again")
    assert len(here().edits) == 1


def test_the_edit_is_kept_while_it_is_made_again(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, scene)
    edit(connected)
    server.manual = True
    OPS.edit_again()
    job = connected.session.job_of(scene).id
    assert "This edit is being made again" in refusal("delete_edit")
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    reopen(connected, tmp_path / "a.blend")
    server.finish(job)
    connect(connected, server.file)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert [one.seed for one in here().edits] == [1, 0]
    assert OPS.delete_edit.poll()


def test_its_result_stays_where_the_pictures_were_deleted_meanwhile(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    edit(connected)
    server.manual = True
    OPS.edit_again()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    for image in list(bpy.data.images):
        bpy.data.images.remove(image)
    server.finish(job)
    connected.session.wait_for_job(scene, SECONDS)
    assert connected.session.message_of(scene) == ""
    made = connected.pictures.read_rgb(here().edits[0].image)
    request = sent(server)[-1]
    assert np.array_equal(made, edited(request.image, request.mask))


def test_it_waits_for_the_job_that_runs(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    edit(connected)
    for _ in range(3):
        OPS.edit_again()
    assert "This edit is being made again" in refusal("delete_edit")
    connected.session.wait_for_all_jobs(scene, SECONDS)
    connected.session.wait(lambda: len(here().edits) == 4, SECONDS)
    assert [one.seed for one in here().edits] == [3, 2, 1, 0]


def test_undo_and_redo(connected: SimpleNamespace, scene: bpy.types.Scene) -> None:
    preview(connected, scene)
    made = edit(connected)
    again(connected, 0)
    bpy.ops.ed.undo()
    assert [one.seed for one in here().edits] == [0]
    bpy.ops.ed.redo()
    assert [one.seed for one in here().edits] == [1, 0]
    assert np.array_equal(connected.pictures.read_rgb(here().edits[0].image), made)


def test_its_result_stays_where_the_edit_was_undone_meanwhile(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    """It was lost: "The edit that was made again is not in the list any more"."""
    here().grow = 1
    bpy.ops.ed.undo_push(message="before")
    made = edit(connected)
    old = here().edits[0]
    render = connected.pictures.read_rgb(old.render).copy()
    relevance = connected.pictures.read_gray(old.relevance).copy()
    tags = {
        name: old.render[name] for name in ("watch_your_steps_camera", "watch_your_steps_state")
    }
    values = (old.instruction, old.picture, old.threshold, old.grow, old.seed + 1)
    server.manual = True
    OPS.edit_again()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    bpy.ops.ed.undo()
    assert [*here().edits] == []
    assert here().render_image is None
    assert not [one for one in bpy.data.images if np.array_equal(one.size, render.shape[1::-1])]
    server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    (new,) = here().edits
    assert np.array_equal(connected.pictures.read_rgb(new.image), made)
    assert np.array_equal(connected.pictures.read_rgb(new.render), render)
    assert np.array_equal(connected.pictures.read_gray(new.relevance), relevance)
    assert {name: new.render[name] for name in tags} == tags
    assert (new.instruction, new.picture, new.threshold, new.grow, new.seed) == values
    assert here().edit_image == new.image
    assert OPS.restore_edit() == {"FINISHED"}
    assert np.array_equal(connected.pictures.read_rgb(here().render_image), render)
    bpy.ops.ed.undo()
    assert [*here().edits] == []
    bpy.ops.ed.redo()
    assert np.array_equal(connected.pictures.read_rgb(here().edits[0].image), made)


def test_a_transparent_renders_alpha_comes_again(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    scene.render.film_transparent = True
    bpy.data.objects.remove(bpy.data.objects["ground"])
    scene.view_settings.view_transform = "AgX"
    preview(connected, scene)
    edit(connected)
    scene.view_settings.view_transform = "Standard"
    again(connected, 0)
    new, old = (one.image for one in here().edits)
    assert np.array_equal(new.pixels[:], old.pixels[:])
    assert new.colorspace_settings.name == old.colorspace_settings.name


def test_the_kept_mask_is_the_mask(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, scene)
    edit(connected)
    request = sent(server)[-1]
    reopen(connected, tmp_path / "a.blend")
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    entry = here().edits[0]
    assert np.array_equal(connected.pictures.read_gray(entry.mask) > 0.5, request.mask)
    render = connected.pictures.read_rgb(entry.render)
    image = connected.pictures.read_rgb(entry.image)
    assert np.array_equal(image, edited(render, request.mask))
