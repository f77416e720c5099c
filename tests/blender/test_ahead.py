"""In a window threads snap maps and put contact sheets together before the results are brought into
the scene: what comes of it is what the main thread would have made.
"""

import importlib
import threading
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, edit, here, preview, start_manual
from fake_server import FakeServer
from test_edit_frames import in_window  # noqa: F401  # a fixture
from test_render_jobs import Jobs, jobs  # noqa: F401  # a fixture
from test_result_jobs import press as press_result

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def module(installed: str) -> SimpleNamespace:
    def of(name: str) -> object:
        return importlib.import_module(f"{installed}.{name}")

    return SimpleNamespace(
        region=of("data.region"), snapping=of("data.snapping"), sheet=of("data.contact_sheet")
    )


class Threads:
    """Counts who calls a function; its first call by a thread waits until it is let go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        inner = getattr(owner, name)
        self.main = self.others = 0
        self.go_on = threading.Event()

        def call(*given: object, **named: object) -> object:
            if threading.current_thread() is threading.main_thread():
                self.main += 1
            else:
                self.others += 1
                self.go_on.wait(SECONDS)
            return inner(*given, **named)

        monkeypatch.setattr(owner, name, call)


def variants(addon: SimpleNamespace, count: int) -> None:
    here().variants = count
    OPS.variants()
    addon.session.wait(
        lambda: addon.session.job_of(bpy.context.scene) is None and not here().queue, SECONDS
    )


@pytest.mark.parametrize("snap", ["nothing", "edges", "things"])
def test_a_map_is_snapped_by_a_thread(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    module: SimpleNamespace,
    in_window: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    snap: str,
) -> None:
    here().snap = snap
    asked = Threads(monkeypatch, module.snapping.Snapping, "find")
    asked.go_on.set()
    preview(connected, scene)
    assert (asked.main, asked.others) == (0, 1)
    found = module.region.snapped_map(here())
    mask = connected.results.mask(scene)
    module.region.forget_all()
    again = module.region.snapped_map(here())
    assert asked.main == 1
    assert np.array_equal(found.values, again.values)
    assert (found.took, found.why) == (again.took, again.why)
    assert found.suggested_threshold == again.suggested_threshold
    assert np.array_equal(connected.results.mask(scene), mask)


@pytest.mark.parametrize("meanwhile", ["snap", "undone", "closed", "deleted"])
def test_what_the_artist_does_beside_the_thread_counts(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    module: SimpleNamespace,
    in_window: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: str,
) -> None:
    session = connected.session
    here().snap = "edges"
    for step in ("before", "moved"):
        scene.camera.location.x += 0.01
        bpy.ops.ed.undo_push(message=step)
    job = start_manual(connected, scene, server)
    asked = Threads(monkeypatch, module.snapping.Snapping, "find")
    server.finish(job)
    session.wait(lambda: asked.others == 1, SECONDS)
    session.drain()
    assert here().relevance_image is None, "it is not there yet"
    assert session.job_of(scene) is not None
    if meanwhile == "snap":
        here().snap = "nothing"
    elif meanwhile == "undone":
        bpy.ops.ed.undo()
    elif meanwhile == "deleted":
        bpy.data.images.remove(here().pending_image)
    else:
        bpy.ops.wm.read_homefile(use_empty=True)
    asked.go_on.set()
    if meanwhile == "closed":
        session.wait(lambda: bool(session.waiting_elsewhere()), SECONDS)
        session.drain()
        assert bpy.context.scene.watch_your_steps.relevance_image is None
        return
    session.wait_for_job(bpy.context.scene, SECONDS)
    assert here().relevance_image is not None
    found = module.region.snapped_map(here())
    module.region.forget_all()
    assert np.array_equal(found.values, module.region.snapped_map(here()).values)
    assert found.took == ("nothing" if meanwhile == "snap" else "edges")


def test_a_contact_sheet_is_put_together_by_a_thread(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    module: SimpleNamespace,
    in_window: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preview(connected, scene)
    composed = Threads(monkeypatch, module.sheet, "compose")
    composed.go_on.set()
    variants(connected, 3)
    assert (composed.main, composed.others) == (0, 1)
    sheet = here().sheet_image
    pixels = connected.pictures.read_rgb(sheet).copy()
    assert here().view == "VARIANTS"
    assert sheet[module.sheet.CELLS].split() == [one.uid for one in reversed(here().edits)]
    module.sheet.forget_all()
    module.sheet.forget(scene)
    assert module.sheet.make(scene, here().edits[0].variants)
    assert composed.main == 1
    assert np.array_equal(connected.pictures.read_rgb(here().sheet_image), pixels)


def test_a_variant_that_is_deleted_beside_the_thread_is_not_on_the_sheet(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    module: SimpleNamespace,
    in_window: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preview(connected, scene)
    composed = Threads(monkeypatch, module.sheet, "compose")
    here().variants = 3
    OPS.variants()
    connected.session.wait(lambda: composed.others == 1, SECONDS)
    assert len(here().edits) == 2
    here().edit_index = 0
    gone = here().edits[0].uid
    OPS.delete_edit()
    composed.go_on.set()
    connected.session.wait_for_job(scene, SECONDS)
    assert composed.main == 1
    uids = here().sheet_image[module.sheet.CELLS].split()
    assert uids == [one.uid for one in reversed(here().edits)]
    assert gone not in uids


def test_a_defect_of_the_thread_is_told_and_the_result_comes(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    module: SimpleNamespace,
    in_window: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = module.snapping.Snapping.find

    def spoiled(asked: object) -> object:
        if threading.current_thread() is threading.main_thread():
            return find(asked)
        raise ZeroDivisionError("a defect")

    job = start_manual(connected, scene, server)
    monkeypatch.setattr(module.snapping.Snapping, "find", spoiled)
    server.finish(job)
    with pytest.raises(ZeroDivisionError):
        connected.session.wait(lambda: False, SECONDS)
    connected.session.wait_for_job(scene, SECONDS)
    assert here().relevance_image is not None


def test_the_compositors_layer_is_made_beside_the_window(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    jobs: Jobs,  # noqa: F811
    installed: str,
) -> None:
    edit(connected)
    OPS.composite_result()
    made = next(one for one in bpy.data.images if one.name.endswith(" layer"))
    by_script = bytes(made.packed_file.data)
    seen = {one.name for one in bpy.data.images}
    bpy.ops.ed.undo_push(message="before")
    assert press_result(installed, "WYS_OT_composite_result") == {"CANCELLED"}, "no undo step yet"
    assert "is being made" in connected.session.message_of(scene)
    while jobs.module.is_running():
        jobs.module.look()
    assert "lays the edit over" in connected.session.message_of(scene)
    new = [one for one in bpy.data.images if one.name not in seen or one.name.endswith(" layer")]
    assert bytes(new[-1].packed_file.data) == by_script
    assert connected.session.state.undo_steps == ["Watch Your Steps: Compositor"]


@pytest.mark.parametrize("meanwhile", ["undone", "closed"])
def test_a_sheet_whose_scene_is_read_anew_is_made_by_the_main_thread(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    module: SimpleNamespace,
    in_window: None,  # noqa: F811
    meanwhile: str,
    installed: str,
) -> None:
    """Between two of its pictures."""
    ahead = importlib.import_module(f"{installed}.jobs.ahead")
    preview(connected, scene)
    variants(connected, 3)
    group, uids = here().edits[0].variants, [one.uid for one in here().edits]
    last = connected.pictures.read_rgb(here().edits[0].image)
    for step in ("before", "moved"):
        scene.camera.location.x += 0.01
        bpy.ops.ed.undo_push(message=step)
    work = ahead.Ahead(module.sheet.composing(scene, group, last, 1))
    assert not work.is_done()
    if meanwhile == "undone":
        bpy.ops.ed.undo()
        assert [one.uid for one in here().edits] == uids
    else:
        bpy.ops.wm.read_homefile(use_empty=True)
    connected.session.wait(work.is_done, SECONDS)
