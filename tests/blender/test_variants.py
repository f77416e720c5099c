"""Variants: edits with several seeds, one after the other, of the same picture inside the same
mask, whatever happens meanwhile; and edits that wait for their turn.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, preview
from fake_server import FakeServer, edited, relevance_of
from test_flows import refusal
from test_threshold import drawn

OPS = bpy.ops.watch_your_steps


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


@pytest.fixture
def waiting(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.jobs.waiting")


def requests(server: FakeServer) -> list[Any]:
    """What was asked of the server: all edits, in their order."""
    sent = [m.request for m in server.received if isinstance(m, server.messages.Submit)]
    return [one for one in sent if isinstance(one, server.requests.EditRequest)]


def finish_all(addon: SimpleNamespace) -> None:
    """Wait until nothing runs and nothing waits."""
    session = addon.session
    session.wait(lambda: session.job_of(bpy.context.scene) is None and not here().queue, SECONDS)


def running(addon: SimpleNamespace, server: FakeServer) -> str:
    """The job that runs, once the server has it."""
    session = addon.session
    session.wait(
        lambda: getattr(session.job_of(bpy.context.scene), "id", "") in server.jobs, SECONDS
    )
    return str(session.job_of(bpy.context.scene).id)


def finish_one(addon: SimpleNamespace, server: FakeServer) -> None:
    """End the job that runs, and wait until its result is here."""
    job = running(addon, server)
    server.finish(job)
    addon.session.wait(lambda: job not in addon.session.state.jobs, SECONDS)


def seeds() -> list[int]:
    """Of the edits in the list, the first one first."""
    return [entry.seed for entry in reversed(here().edits)]


def test_variants_differ_by_their_seeds_alone(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    here().threshold, here().seed, here().variants = 0.35, 11, 4
    mask = connected.results.mask(scene).copy()
    assert OPS.variants() == {"FINISHED"}
    finish_all(connected)
    sent = requests(server)
    assert [one.settings.seed for one in sent] == [11, 12, 13, 14]
    assert seeds() == [11, 12, 13, 14]
    assert here().seed == 11, "the artist's setting stays"
    render = connected.pictures.read_rgb(here().render_image)
    for one in sent:
        assert np.array_equal(one.mask, mask)
        assert np.array_equal(one.image, render)
    assert 0 < mask.sum() < mask.size
    for entry in here().edits:
        assert np.array_equal(connected.pictures.read_rgb(entry.image), edited(render, mask))
        assert np.float32(entry.threshold) == np.float32(0.35)
        assert (entry.render, entry.relevance) == (here().render_image, here().relevance_image)
    assert len({entry.variants for entry in here().edits}) == 1
    assert here().edits[0].variants


def test_the_render_and_the_map_are_made_once_where_there_are_none(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taking = importlib.import_module(f"{installed}.ui.taking")
    renders = []
    real = taking.taking_picture
    monkeypatch.setattr(taking, "taking_picture", lambda *given: renders.append(1) or real(*given))
    here().variants = 3
    OPS.variants()
    finish_all(connected)
    assert len(renders) == 1
    first, *others = requests(server)
    assert first.mask is None
    render = connected.pictures.read_rgb(here().render_image)
    mask = relevance_of(render) >= np.float32(here().edits[2].threshold)
    for one in others:
        assert np.array_equal(one.mask, mask)
        assert np.array_equal(one.image, render)
    assert len({entry.threshold for entry in here().edits}) == 1
    assert len({entry.relevance for entry in here().edits}) == 1
    assert np.array_equal(
        connected.pictures.read_gray(here().edits[0].relevance), relevance_of(render)
    )


def test_what_was_asked_for_is_frozen(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    here().threshold, here().variants, here().steps = 0.35, 3, 9
    mask = connected.results.mask(scene).copy()
    server.manual = True
    OPS.variants()
    finish_one(connected, server)
    here().threshold, here().steps, here().seed = 0.9, 20, 77
    here().instruction = "something else"
    scene.camera.location.x += 1
    finish_one(connected, server)
    finish_one(connected, server)
    for one in requests(server):
        assert np.array_equal(one.mask, mask)
        assert (one.settings.steps, one.instruction) == (9, "turn the ball blue")
    assert seeds() == [0, 1, 2]
    assert {entry.instruction for entry in here().edits} == {"turn the ball blue"}
    assert np.float32(here().threshold) == np.float32(0.9)
    assert (here().steps, here().seed, here().instruction) == (20, 77, "something else")


def test_cancel_ends_the_rest_and_keeps_what_is_done(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, waiting: ModuleType
) -> None:
    preview(connected, scene)
    server.manual = True
    OPS.variants()
    finish_one(connected, server)
    running(connected, server)
    job = connected.session.job_of(scene)
    assert job.title == "Variant 2 of 4, seed 1"
    here().seed = 50
    OPS.edit()  # asked for by itself: it is not one of them
    OPS.cancel()
    connected.session.wait(lambda: connected.session.job_of(scene) is not job, SECONDS)
    assert waiting.waiting(scene) == ()
    finish_one(connected, server)
    assert seeds() == [0, 50]
    finish_all(connected)
    assert not OPS.cancel.poll()


def test_one_that_fails_does_not_lose_the_others(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    server.manual = True
    OPS.variants()
    finish_one(connected, server)
    server.fail(running(connected, server), "out_of_memory", "The memory did not suffice.")
    failed = connected.session.job_of(scene)
    connected.session.wait(lambda: connected.session.job_of(scene) is not failed, SECONDS)
    said = "Variant 2 of 4, seed 1 failed: The memory did not suffice."
    assert connected.session.message_of(scene) == said, "while the others go on"
    finish_one(connected, server)
    server.notes = ("A note.",)
    finish_one(connected, server)
    assert seeds() == [0, 2, 3]
    noted = "Variant 4 of 4, seed 3 has a note: A note."
    assert connected.session.message_of(scene) == f"{said} {noted}"
    server.manual, server.notes = False, ()
    OPS.edit()
    finish_all(connected)
    assert connected.session.message_of(scene) == "", "it is over"


def test_the_first_fails_where_it_was_to_find_the_map(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    server.manual = True
    here().variants = 3
    OPS.variants()
    first = connected.session.job_of(scene)
    server.fail(running(connected, server), "internal", "It broke.")
    connected.session.wait(lambda: connected.session.job_of(scene) is not first, SECONDS)
    finish_one(connected, server)
    finish_one(connected, server)
    assert [one.mask is None for one in requests(server)] == [True, True, False]
    assert seeds() == [1, 2]
    assert here().edits[0].relevance == here().edits[1].relevance


def test_each_is_one_undo_step_and_undo_brings_no_work_back(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    bpy.ops.ed.undo_push(message="before")
    server.manual = True
    here().variants = 3
    OPS.variants()
    finish_one(connected, server)
    finish_one(connected, server)
    connected.session.drain()
    bpy.ops.ed.undo()
    assert seeds() == [0]
    assert here().queue == "", "the last one runs"
    finish_one(connected, server)
    assert seeds() == [0, 2]
    assert len(requests(server)) == 3
    bpy.ops.ed.undo()
    assert connected.session.job_of(bpy.context.scene) is None
    connected.session.drain()
    assert connected.session.job_of(bpy.context.scene) is None


def test_undo_in_the_middle_loses_none(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, waiting: ModuleType
) -> None:
    bpy.ops.ed.undo_push(message="before all")
    preview(connected, scene)
    server.manual = True
    here().variants = 3
    OPS.variants()
    running(connected, server)
    bpy.ops.ed.undo()
    assert here().relevance_image is None
    assert len(waiting.waiting(bpy.context.scene)) == 2
    assert here().queue
    finish_one(connected, server)
    bpy.ops.ed.undo()
    assert "Variant 3 of 3" in here().queue_words
    assert "Variant 2 of 3" not in here().queue_words, "it has begun"
    bpy.ops.ed.redo()
    for _ in range(2):
        finish_one(connected, server)
    assert seeds() == [0, 1, 2]
    values = connected.pictures.read_gray(here().edits[0].relevance)
    assert np.array_equal(values, relevance_of(connected.pictures.read_rgb(here().render_image)))
    assert len({entry.relevance for entry in here().edits}) == 1, "the map is there again, once"


def test_a_file_that_is_opened_again_goes_on(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, scene)
    server.manual = True
    here().variants = 3
    OPS.variants()
    finish_one(connected, server)
    running(connected, server)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    connected.session.drain()
    assert len(requests(server)) == 2, "the rest waits for its file"
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    finish_one(connected, server)
    finish_one(connected, server)
    finish_all(connected)
    assert seeds() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["FULL_COPY", "LINK_COPY"])
def test_a_copy_of_the_scene_takes_no_part(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    waiting: ModuleType,
    kind: str,
    tmp_path: Path,
) -> None:
    preview(connected, scene)
    scene.name = "z original"
    server.manual = True
    here().variants = 2
    OPS.variants()
    running(connected, server)
    bpy.ops.scene.new(type=kind)
    copy = bpy.context.scene
    assert copy != scene
    connected.session.drain()
    assert copy.watch_your_steps.queue == copy.watch_your_steps.queue_words == ""
    assert waiting.waiting(copy) == ()
    assert len(waiting.waiting(scene)) == 1
    bpy.context.window.scene = scene
    finish_one(connected, server)
    finish_one(connected, server)
    assert seeds() == [0, 1]
    assert len(copy.watch_your_steps.edits) == 0


def test_a_scene_that_is_deleted_in_mid_way(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    bpy.ops.scene.new(type="EMPTY")
    other = bpy.context.scene
    bpy.context.window.scene = scene
    server.manual = True
    here().variants = 3
    OPS.variants()
    job = running(connected, server)
    bpy.ops.ed.undo_push(message="started")
    bpy.data.scenes.remove(scene)
    bpy.ops.ed.undo_push(message="deleted")
    server.finish(job)
    connected.session.wait(lambda: connected.session.state.jobs[job].outcome is not None, SECONDS)
    connected.session.drain()
    assert bpy.context.scene == other
    assert len(requests(server)) == 1
    bpy.ops.ed.undo()
    for _ in range(2):
        finish_one(connected, server)
    finish_all(connected)
    assert seeds() == [0, 1, 2]


def test_without_a_connection_the_rest_waits(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, waiting: ModuleType
) -> None:
    preview(connected, scene)
    server.manual = True
    here().variants = 3
    OPS.variants()
    job = running(connected, server)
    OPS.disconnect()
    OPS.cancel()  # nobody to ask
    connected.session.drain()
    assert waiting.waiting(scene) == (), "all of them are cancelled"
    assert "press Connect" in refusal("variants")
    connect(connected, server.file)
    OPS.variants()
    assert running(connected, server) != job
    OPS.disconnect()
    connected.session.state.jobs.clear()  # as if the job had ended
    connected.session.drain()
    assert len(waiting.waiting(scene)) == 2
    connect(connected, server.file)
    finish_one(connected, server)
    finish_one(connected, server)
    assert seeds() == [1, 2]


@pytest.mark.parametrize("spoil", ["instruction", "mask"])
def test_what_cannot_be_edited_is_refused_and_begins_nothing(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, spoil: str
) -> None:
    preview(connected, scene)
    here().new_seed = True
    if spoil == "mask":
        here().threshold = 1.0
    else:
        here().instruction = " "
    assert ("mask is empty" if spoil == "mask" else "instruction") in refusal("variants").lower()
    assert requests(server) == []
    assert here().queue == ""
    assert here().seed == 0, "no seed is drawn for nothing"


def test_seeds_by_chance_are_written_down(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    OPS.random_seed()
    first = here().seed
    OPS.random_seed()
    assert first != here().seed, "one in two billion"
    drawn = here().seed
    OPS.edit()
    finish_all(connected)
    here().new_seed = True
    OPS.edit()
    finish_all(connected)
    assert here().seed != drawn
    assert seeds() == [drawn, here().seed]
    assert [one.settings.seed for one in requests(server)] == seeds()


def test_the_last_seed_is_followed_by_the_first(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    here().seed, here().variants = 2**31 - 1, 2
    OPS.variants()
    finish_all(connected)
    assert seeds() == [2**31 - 1, 0]


# ---------------------------------------------------------------- edits that wait


def ask(instruction: str, **settings: object) -> None:
    here().instruction = instruction
    for name, value in settings.items():
        setattr(here(), name, value)
    OPS.edit()


def test_edits_that_are_asked_for_meanwhile_wait_with_what_was_asked(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    server.manual = True
    ask("turn the ball blue", threshold=0.3, seed=1)
    running(connected, server)
    ask("turn the ball blue", threshold=0.2, seed=2)
    ask("burn it", seed=3)
    ask("turn the ball blue", seed=4)
    for _ in range(4):
        finish_one(connected, server)
    one, two, three, four = requests(server)
    assert [request.instruction for request in (one, two, three, four)] == [
        "turn the ball blue",
        "turn the ball blue",
        "burn it",
        "turn the ball blue",
    ]
    relevance = relevance_of(one.image)
    assert np.array_equal(one.mask, relevance >= np.float32(0.3))
    assert np.array_equal(two.mask, relevance >= np.float32(0.2))
    assert three.mask is None
    assert np.array_equal(four.mask, two.mask)
    for entry, request in zip(reversed(here().edits), (one, two, three, four), strict=True):
        values = connected.pictures.read_gray(entry.relevance)
        mask = values >= np.float32(entry.threshold)
        assert np.array_equal(connected.pictures.read_rgb(entry.image), edited(one.image, mask))
        assert (entry.instruction, entry.seed) == (request.instruction, request.settings.seed)


def test_a_map_of_another_instruction_comes_back_with_its_edit(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, waiting: ModuleType
) -> None:
    preview(connected, scene)
    server.manual = True
    here().threshold = 0.3
    ask("turn the ball blue", seed=1)
    running(connected, server)
    ask("turn the ball blue", seed=2)
    ask("burn it", seed=3)
    waiting.move(scene, 1, 0)
    finish_one(connected, server)
    finish_one(connected, server)
    assert here().relevance_of == "burn it"
    finish_one(connected, server)
    assert seeds() == [1, 3, 2]
    assert here().relevance_of == "turn the ball blue", "the map of the edit that is shown"
    assert np.float32(here().threshold) == np.float32(0.3)
    mask = connected.results.mask(scene)
    assert np.array_equal(requests(server)[2].mask, mask)


def test_an_edit_beside_a_preview_is_of_its_new_render(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    first = connected.pictures.read_rgb(here().render_image).copy()
    scene.camera.location.x += 2
    server.manual = True
    OPS.preview_relevance()
    running(connected, server)
    OPS.edit()
    finish_one(connected, server)
    finish_one(connected, server)
    (request,) = requests(server)
    assert not np.array_equal(request.image, first)
    assert np.array_equal(request.image, connected.pictures.read_rgb(here().render_image))
    assert here().edits[0].render == here().render_image


def test_an_edit_of_the_first_render_waits_beside_the_edit_that_rendered_it(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    server.manual = True
    OPS.edit()
    running(connected, server)
    ask("burn it")
    finish_one(connected, server)
    finish_one(connected, server)
    first, second = requests(server)
    assert np.array_equal(first.image, second.image)
    assert len(here().edits) == 2
    assert here().edits[0].render == here().edits[1].render


def test_edits_on_top_wait_with_the_edit_that_was_shown(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    OPS.edit()
    finish_all(connected)
    base = connected.pictures.read_rgb(here().edit_image).copy()
    here().base = "EDIT"
    here().variants = 2
    OPS.variants()
    finish_all(connected)
    for request in requests(server)[1:]:
        assert np.array_equal(request.image, base), "of the edit that was shown, not of each other"
    assert {entry.parent for entry in list(here().edits)[:2]} == {here().edits[2].uid}


def test_no_edit_without_a_picture_waits(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, in_3d: Any
) -> None:
    server.manual = True
    OPS.capture_scene()
    assert "no render yet" in refusal("edit")
    assert "no render yet" in refusal("variants")


def test_what_waits_can_be_put_in_order_and_taken_out(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, waiting: ModuleType
) -> None:
    preview(connected, scene)
    assert "Nothing waits" in refusal("remove_all_waiting")
    server.manual = True
    for number in range(5):
        ask("turn the ball blue", seed=number)

    def ids() -> list[str]:
        return [str(one.id) for one in waiting.waiting(scene)]

    one, two, three, four = ids()
    OPS.move_waiting(job=three, to="UP")
    assert ids() == [one, three, two, four]
    OPS.move_waiting(job=one, to="DOWN")
    assert ids() == [three, one, two, four]
    OPS.move_waiting(job=three, to="UP")
    OPS.move_waiting(job=four, to="DOWN")
    assert ids() == [three, one, two, four], "they are at the ends already"
    OPS.remove_waiting(job=one)
    assert ids() == [three, two, four]
    finish_one(connected, server)
    running(connected, server)
    for operator in (OPS.remove_waiting, OPS.move_waiting):
        with pytest.raises(RuntimeError, match="has begun, or was removed"):
            operator(job=three)
    finish_one(connected, server)
    running(connected, server)
    OPS.remove_all_waiting()
    assert ids() == []
    finish_one(connected, server)
    finish_all(connected)
    assert seeds() == [0, 3, 2]


def test_the_panel_lists_what_waits(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preview(connected, scene)
    assert not any("wait" in text for text in drawn(connected, installed, monkeypatch).texts)
    server.manual = True
    here().variants = 2
    OPS.variants()
    for number in range(6):
        ask("burn it", seed=number + 40)
    running(connected, server)
    connected.session.wait(lambda: connected.session.job_of(scene).stage == "starting", SECONDS)
    texts = drawn(connected, installed, monkeypatch).texts
    said = " ".join(texts)
    assert "Variant 1 of 2, seed 0: starting" in said
    assert "7 edits wait" in texts
    assert "Variant 2 of 2, seed 1" in said
    assert 'Seed 43: "burn it"' in said
    assert "Seed 44" not in said
    assert "and 2 more" in texts
