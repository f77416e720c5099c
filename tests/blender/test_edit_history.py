"""Every edit of a render is kept with what it was made of and with: through saving, opening again,
purging, undo and new previews, until it is deleted.
"""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, edit, here, preview, reopen
from fake_server import FakeServer, edited, relevance_of

OPS = bpy.ops.watch_your_steps


def three_edits(addon: SimpleNamespace, scene: bpy.types.Scene) -> list[np.ndarray]:
    """Two edits of one render and one of another; the pictures, the latest first."""
    preview(addon, scene)
    first = edit(addon, instruction="turn the ball blue", seed=3, threshold=0.3, steps=20)
    second = edit(addon, seed=5, threshold=0.2)
    scene.camera.location.x += 2
    scene.frame_set(7)
    preview(addon, scene)
    third = edit(addon, instruction="turn the ground red", seed=8, threshold=0.1, steps=11)
    assert not np.array_equal(first, second)
    return [third, second, first]


def pictures_of(addon: SimpleNamespace) -> list[np.ndarray]:
    """Of the entries, decoded from what the file holds."""
    addon.pictures.forget_all()
    return [addon.pictures.read_rgb(entry.image) for entry in here().edits]


def same(these: list[np.ndarray], those: list[np.ndarray]) -> bool:
    return len(these) == len(those) and all(map(np.array_equal, these, those))


@pytest.mark.parametrize("opened_again", [True, False])
def test_all_edits_survive_saving_opening_and_purging(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path, opened_again: bool
) -> None:
    made = three_edits(connected, scene)
    if opened_again:
        for number in range(2):  # an image that nothing uses would be gone after the second
            reopen(connected, tmp_path / f"{number}.blend")
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    assert same(pictures_of(connected), made)
    for entry in here().edits:
        assert entry.image.packed_file is not None
        render = connected.pictures.read_rgb(entry.render)
        relevance = connected.pictures.read_gray(entry.relevance)
        assert np.array_equal(relevance, relevance_of(render))
        mask = relevance >= np.float32(entry.threshold)
        assert np.array_equal(connected.pictures.read_rgb(entry.image), edited(render, mask))


def test_what_an_edit_was_made_with_is_kept(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    three_edits(connected, scene)
    edit(connected, own_guidance=False, text_guidance=4.0, image_guidance=1.25, strength=0.75)
    reopen(connected, tmp_path / "a.blend")
    own, third, second, first = here().edits
    assert [one.instruction for one in here().edits] == ["turn the ground red"] * 2 + [
        "turn the ball blue"
    ] * 2
    assert [one.seed for one in (third, second, first)] == [8, 5, 3]
    assert [one.steps for one in (third, second, first)] == [11, 20, 20]
    thresholds = np.array([one.threshold for one in (third, second, first)])
    assert np.array_equal(np.float32(thresholds), np.float32([0.4, 0.2, 0.3]))
    assert (first.camera, first.frame, third.frame) == ("camera", 1, 7)
    assert first.model == "demo"
    assert (first.own_guidance, first.text_guidance, first.image_guidance) == (True, 2.0, 1.0)
    assert (own.own_guidance, own.text_guidance, own.image_guidance) == (False, 4.0, 1.25)
    assert own.strength == 0.75
    assert (first.noise_level, first.relevance_seeds) == (np.float32(0.8), 4)
    assert first.normalisation == here().normalisation
    assert len(first.date) == len("2026-01-31 23:59")
    assert first.render == second.render != third.render
    assert first.relevance == second.relevance != third.relevance
    assert own.relevance == third.relevance, "the same map is kept once"
    text = connected.edit_words.describe(first)
    for part in ("seed 3", "threshold 0.300", "20 steps", "demo", 'camera "camera", frame 1'):
        assert part in text
    assert "guidance 2 and 1 (the model's own)" in text


def test_a_new_preview_does_not_clear_the_shown_edit(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    preview(connected, scene)
    made = edit(connected, threshold=0.3)
    render = connected.pictures.read_rgb(here().render_image).copy()
    scene.camera.location.x += 2
    preview(connected, scene)
    assert np.array_equal(connected.pictures.read_rgb(here().edit_image), made)
    assert here().edit_of == "turn the ball blue"
    assert not np.array_equal(connected.pictures.read_rgb(here().render_image), render)
    beside = connected.edits.render_of_shown(here())
    assert np.array_equal(connected.pictures.read_rgb(beside), render), "compared with its own"


def test_looking_at_an_earlier_edit(connected: SimpleNamespace, scene: bpy.types.Scene) -> None:
    made = three_edits(connected, scene)
    render = here().render_image
    for index, picture in enumerate(made):
        here().view = "RENDER"
        here().edit_index = index
        assert here().view == "EDIT"
        assert np.array_equal(connected.pictures.read_rgb(here().edit_image), picture)
    assert here().render_image == render, "looking changes nothing else"
    assert here().instruction == "turn the ground red"


def test_going_back_to_an_earlier_edit_and_making_it_again(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    made = three_edits(connected, scene)
    here().edit_index = 2
    assert OPS.restore_edit() == {"FINISHED"}
    settings, first = here(), here().edits[2]
    assert settings.instruction == "turn the ball blue"
    assert (settings.seed, settings.steps) == (3, 20)
    assert np.float32(settings.threshold) == np.float32(0.3)
    assert settings.render_image == first.render
    assert connected.results.is_current(scene)
    relevance = connected.pictures.read_gray(settings.relevance_image)
    mask = connected.pictures.read_gray(settings.mask_image) > 0.5
    assert np.array_equal(mask, relevance >= np.float32(0.3))
    again = edit(connected)
    assert np.array_equal(again, made[2])
    request = [m for m in server.received if isinstance(m, server.messages.Submit)][-1].request
    assert (request.settings.seed, request.settings.steps, request.instruction) == (
        3,
        20,
        "turn the ball blue",
    )
    assert same(pictures_of(connected)[1:], made), "the others are as they were"


def test_deleting_an_edit_leaves_the_others(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    third, _, first = three_edits(connected, scene)
    here().edit_index = 1
    gone = here().edits[1].image.name
    OPS.delete_edit()
    assert gone not in bpy.data.images
    assert same(pictures_of(connected), [third, first])
    assert here().edits[1].render is not None, "the other edit of that render still has it"
    assert np.array_equal(connected.pictures.read_rgb(here().edit_image), first)
    OPS.delete_edit()
    OPS.delete_edit()
    assert here().edit_image is None
    assert here().view == "RELEVANCE"
    names = {image.name for image in bpy.data.images if image.users}
    assert not any("edit" in name or "earlier" in name for name in names)
    assert not OPS.delete_edit.poll()
    assert not OPS.restore_edit.poll()
    reopen(connected, tmp_path / "a.blend")
    assert len(here().edits) == 0


def test_undo_and_redo_of_edits_and_deletions(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    bpy.ops.ed.undo_push(message="before")
    made = three_edits(connected, scene)
    here().edit_index = 1
    bpy.ops.ed.undo_push(message="choose")
    OPS.delete_edit()
    bpy.ops.ed.undo_push(message="delete")  # as Blender does after a pressed button
    assert same(pictures_of(connected), [made[0], made[2]])
    bpy.ops.ed.undo()
    assert same(pictures_of(connected), made)
    for count in (3, 2, 2, 1, 0):  # choose, edit, preview, edit, edit
        bpy.ops.ed.undo()
        assert same(pictures_of(connected), made[3 - count :]), count
    for _ in range(5):
        bpy.ops.ed.redo()
    assert same(pictures_of(connected), made)


def test_an_edit_whose_job_outlived_blender_is_kept_with_its_settings(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, scene)
    server.manual = True
    here().seed, here().steps = 77, 13
    OPS.edit()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    here().seed = 1  # for the next one
    reopen(connected, tmp_path / "a.blend")
    server.finish(job)
    connect(connected, server.file)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    (entry,) = here().edits
    assert (entry.seed, entry.steps, entry.model, entry.known) == (77, 13, "demo", True)


@pytest.mark.parametrize("asked", ["", "{}", "hello", json.dumps({"seed": "many"})])
def test_a_job_of_another_version_is_kept_with_what_is_known(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, asked: str
) -> None:
    preview(connected, scene)
    server.manual = True
    OPS.edit()
    job = connected.session.job_of(scene)
    job.asked = asked
    connected.session.wait(lambda: job.id in server.jobs, SECONDS)
    server.finish(job.id)
    connected.session.wait_for_job(scene, SECONDS)
    (entry,) = here().edits
    assert not entry.known
    assert entry.instruction == "turn the ball blue"
    assert "settings are not known" in connected.edit_words.describe(entry)
    here().seed = 9
    OPS.restore_edit()
    assert here().seed == 9, "what is not known stays as it is"


@pytest.mark.parametrize("first", ["a preview", "an edit"])
def test_an_edit_from_before_edits_were_kept_is_not_lost(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path, first: str
) -> None:
    preview(connected, scene)
    old = np.full((48, 64, 3), 123, np.uint8)
    image = connected.pictures.new_packed_image("old", connected.encode.encode_png(old))
    here().edit_image, here().edit_of = image, "turn the ball blue"
    render = connected.pictures.read_rgb(here().render_image).copy()
    made = []
    if first == "an edit":
        made.append(edit(connected))
    scene.camera.location.x += 2
    preview(connected, scene)
    reopen(connected, tmp_path / "a.blend")
    assert same(pictures_of(connected), [*made, old])
    entry = here().edits[-1]
    assert (entry.instruction, entry.known) == ("turn the ball blue", False)
    assert np.array_equal(connected.pictures.read_rgb(entry.render), render), "not the last one"
    here().edit_index = len(here().edits) - 1
    beside = connected.edits.render_of_shown(here())
    assert np.array_equal(connected.pictures.read_rgb(beside), render)
    OPS.restore_edit()
    assert here().render_image == entry.render
    assert here().relevance_image == entry.relevance
    assert np.float32(here().threshold) == np.float32(0.3)


def test_a_picture_that_the_artist_deleted(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    made = three_edits(connected, scene)
    bpy.data.images.remove(here().edits[1].image)
    bpy.data.images.remove(here().edits[2].render)
    here().edit_index = 1
    OPS.restore_edit()
    assert here().seed == 5
    here().edit_index = 2
    OPS.restore_edit()
    assert here().seed == 3
    assert np.array_equal(connected.pictures.read_rgb(here().edit_image), made[2])
    here().edit_index = 1
    OPS.delete_edit()
    assert same(pictures_of(connected), [made[0], made[2]])


def test_a_render_that_an_artist_uses_still_follows_the_previews(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    """As without edits: materials and editors show the last preview; only kept edits do not."""
    preview(connected, scene)
    texture = bpy.data.textures.new("uses it", "IMAGE")
    texture.image = here().render_image
    name = texture.image.name
    edit(connected)
    scene.camera.location.x += 2
    preview(connected, scene)
    assert texture.image == here().render_image
    assert here().render_image.name == name
    assert here().edits[0].render.name == f"{name} (earlier)"


def test_no_edit_is_put_back_while_a_job_runs(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, installed: str
) -> None:
    preview(connected, scene)
    edit(connected)
    server.manual = True
    OPS.preview_relevance()
    assert not OPS.restore_edit.poll()
    operators = importlib.import_module(f"{installed}.ui.operators_edits")
    why = operators.WYS_OT_restore_edit.why_not(bpy.context)
    assert why == "A job of this scene runs: wait for it, or cancel it"
    assert OPS.delete_edit.poll()
