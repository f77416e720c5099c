"""The region that the panel shows: snapped to things or edges, with and without picked things, and
the very one that is edited.
"""

import importlib
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS, as_before_versions, connect, preview, reopen
from fake_server import FakeServer, edited, relevance_of
from numpy.typing import NDArray

OPS = bpy.ops.watch_your_steps
SIDE = 1024
STEP = 0.016


@pytest.fixture
def region(addon: SimpleNamespace, installed: str) -> ModuleType:
    """What finds the region of a scene."""
    return importlib.import_module(f"{installed}.data.region")


@pytest.fixture
def settings(scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    """A scene's settings as they are in a new file."""
    settings = scene.watch_your_steps
    for name in ("snap", "threshold", "threshold_of"):
        settings.property_unset(name)
    return settings


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


def labels(addon: SimpleNamespace, *names: str) -> list[int]:
    known = list(
        importlib.import_module(f"{addon.results.__package__}.thing_labels").names(
            here().render_image
        )
    )
    return [known.index(name) for name in names]


def edit(addon: SimpleNamespace) -> NDArray[np.uint8]:
    """Edit; the picture."""
    OPS.edit()
    addon.session.wait_for_job(bpy.context.scene, SECONDS)
    assert here().edit_image is not None, addon.session.message_of(bpy.context.scene)
    return addon.pictures.read_rgb(here().edit_image)


def mask_image(addon: SimpleNamespace) -> NDArray[np.bool_]:
    return addon.pictures.read_gray(here().mask_image) > 0.5


def last_request(server: FakeServer) -> Any:
    return [m for m in server.received if isinstance(m, server.messages.Submit)][-1].request


def backends(
    addon: SimpleNamespace, protocol: ModuleType, region: ModuleType, snap: str
) -> NDArray[np.bool_]:
    """The mask that the backend makes of the shown map, by the rule that both have."""
    render = addon.pictures.read_rgb(here().render_image)
    relevance = addon.pictures.read_gray(here().relevance_image)
    things = region.things_of(here())
    suggested = here().suggested_threshold
    found = protocol.region.snapped(relevance, render, snap, things, suggested)
    return found.values >= np.float32(here().threshold)


@pytest.mark.parametrize("snap", ["things", "edges", "nothing"])
def test_the_shown_region_is_the_backends_and_the_one_that_is_edited(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    protocol: ModuleType,
    region: ModuleType,
    snap: str,
) -> None:
    assert settings.snap == server.settings.RegionSettings().snap == "things"
    settings.snap = snap
    first = edit(connected)  # without a preview: the backend finds map, region and threshold
    request = last_request(server)
    assert (request.mask, request.region.snap) == (None, snap)
    assert np.array_equal(request.things, region.things_of(settings))
    render = connected.pictures.read_rgb(settings.render_image)
    shown = connected.results.mask(settings.id_data)
    assert np.array_equal(first, edited(render, shown))

    for threshold in (0.2, 0.35, 0.5):
        settings.threshold = threshold
        shown = connected.results.mask(settings.id_data)
        assert np.array_equal(shown, backends(connected, protocol, region, snap))
        assert np.array_equal(mask_image(connected), shown)
    assert region.snapped_map(settings).took == snap
    settings.threshold = 0.35
    shown = connected.results.mask(settings.id_data)
    assert 0 < shown.sum() < shown.size
    assert np.array_equal(edit(connected), edited(render, shown))
    request = last_request(server)
    assert np.array_equal(request.mask, shown), "the region is sent, no map is found again"
    assert request.things is None
    assert np.float32(settings.edits[0].threshold) == np.float32(0.35)


def test_whole_things_switch_on_and_off_as_the_slider_moves(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, region: ModuleType
) -> None:
    preview(connected, settings.id_data)
    things = region.things_of(settings)
    assert {"Background", "ball", "ground"} == set(
        importlib.import_module(f"{region.__package__}.thing_labels").names(settings.render_image)
    )
    for threshold in np.linspace(0, 1, 21):
        settings.threshold = threshold
        mask = mask_image(connected)
        for label in np.unique(things):
            assert len(np.unique(mask[things == label])) == 1
    assert not mask.any()


def test_the_choice_moves_a_threshold_that_follows_the_suggestion(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    region: ModuleType,
) -> None:
    preview(connected, settings.id_data)
    for snap in ("edges", "things", "nothing"):
        settings.snap = snap
        assert settings.threshold == np.float32(region.suggestion(settings))
        assert not OPS.use_suggestion.poll()
    settings.threshold = 0.3
    settings.snap = "edges"
    assert settings.threshold == np.float32(0.3), "moved by hand"
    assert np.array_equal(mask_image(connected), connected.results.mask(settings.id_data))


def test_a_click_adds_a_thing_and_another_removes_it(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    protocol: ModuleType,
    region: ModuleType,
) -> None:
    scene = settings.id_data
    preview(connected, scene)
    settings.threshold = 1.0
    ball, ground = labels(connected, "ball", "ground")
    things = region.things_of(settings)
    OPS.pick_thing(label=ball)
    assert np.array_equal(mask_image(connected), things == ball)
    OPS.pick_thing(label=ground, mode="ADD")
    for threshold in (0.0, 0.3, 0.6, 1.0):  # picks survive the slider
        settings.threshold = threshold
        plain = region.snapped_map(settings).values >= np.float32(threshold)
        wanted = protocol.region.with_clicks(plain, things, {ball, ground}, set())
        assert np.array_equal(mask_image(connected), wanted)
    OPS.pick_thing(label=ball)
    OPS.pick_thing(label=ball, mode="REMOVE")
    OPS.pick_thing(label=0, mode="REMOVE")
    settings.threshold = 0.0
    wanted = protocol.region.with_clicks(things >= 0, things, {ground}, {ball, 0})
    assert np.array_equal(mask_image(connected), wanted)
    assert np.array_equal(mask_image(connected), things == ground)
    render = connected.pictures.read_rgb(settings.render_image)
    assert np.array_equal(edit(connected), edited(render, things == ground))
    OPS.pick_thing(label=ball)
    assert str(ball) not in settings.picks, "the threshold has it inside as well"
    assert mask_image(connected)[things == ball].all()
    assert OPS.clear_picks() == {"FINISHED"}
    assert mask_image(connected).all()
    assert not OPS.clear_picks.poll()


@pytest.mark.parametrize("snap", ["edges", "nothing"])
def test_things_can_be_picked_whatever_the_outline_keeps_to(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, region: ModuleType, snap: str
) -> None:
    settings.snap = snap
    preview(connected, settings.id_data)
    (ball,) = labels(connected, "ball")
    before = mask_image(connected)
    inside = region.things_of(settings) == ball
    assert not before[inside].all()
    OPS.pick_thing(label=ball)
    assert np.array_equal(mask_image(connected), before | inside)


def test_picks_go_with_another_map_and_stay_with_the_same(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup
) -> None:
    scene = settings.id_data
    preview(connected, scene)
    OPS.pick_thing(label=1)
    preview(connected, scene)  # the very same picture
    assert settings.picks
    settings.instruction = "turn the ground red"
    preview(connected, scene)
    assert settings.picks == ""
    OPS.pick_thing(label=1)
    scene.camera.location.x += 1
    preview(connected, scene)
    assert settings.picks == ""


def test_an_edit_is_kept_with_its_snap_and_its_picks(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, tmp_path: Path
) -> None:
    scene = settings.id_data
    preview(connected, scene)
    (ball,) = labels(connected, "ball")
    settings.threshold = 0.9
    OPS.pick_thing(label=ball)
    picks, mask = settings.picks, mask_image(connected)
    made = edit(connected)
    text = connected.edit_words.describe(settings.edits[0])
    assert "snapped to things, things picked by hand" in text
    settings.snap = "edges"
    OPS.clear_picks()
    scene.camera.location.x += 1
    preview(connected, scene)
    settings.threshold = 0.3
    edit(connected)
    reopen(connected, tmp_path / "a.blend")
    settings = here()
    assert [entry.snap for entry in settings.edits] == ["edges", "things"]
    settings.edit_index = 1
    OPS.restore_edit()
    assert (settings.snap, settings.picks) == ("things", picks)
    assert np.float32(settings.threshold) == np.float32(0.9)
    assert np.array_equal(mask_image(connected), mask)
    assert np.array_equal(connected.results.mask(bpy.context.scene), mask)
    assert np.array_equal(connected.pictures.read_rgb(settings.edit_image), made)


def test_things_and_picks_are_saved_and_copied_with_the_scene(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    region: ModuleType,
    tmp_path: Path,
) -> None:
    preview(connected, settings.id_data)
    OPS.pick_thing(label=1)
    things, mask = region.things_of(settings).copy(), mask_image(connected)
    reopen(connected, tmp_path / "a.blend")
    assert np.array_equal(region.things_of(here()), things)
    assert np.array_equal(connected.results.mask(bpy.context.scene), mask)
    copy = bpy.context.scene.copy()
    connected.copies.settle_all()
    assert copy.watch_your_steps.render_image != here().render_image
    copy.watch_your_steps.picks = ""
    assert np.array_equal(region.things_of(copy.watch_your_steps), things)
    assert np.array_equal(connected.results.mask(bpy.context.scene), mask)
    assert not np.array_equal(connected.results.mask(copy), mask)


def test_a_pick_is_one_step_of_undo(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup
) -> None:
    preview(connected, settings.id_data)
    settings.threshold = 1.0
    bpy.ops.ed.undo_push(message="before")
    OPS.pick_thing(label=1)
    bpy.ops.ed.undo_push(message="Pick")
    picked = connected.results.mask(bpy.context.scene).copy()
    bpy.ops.ed.undo()
    assert here().picks == ""
    assert not connected.results.mask(bpy.context.scene).any()
    bpy.ops.ed.redo()
    assert np.array_equal(connected.results.mask(bpy.context.scene), picked)


def test_a_map_from_before_snapping_keeps_its_region(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    preview(connected, settings.id_data)
    settings.property_unset("snap")
    for name in [key for key in settings.render_image.keys() if "things" in key]:  # noqa: SIM118
        del settings.render_image[name]
    relevance = connected.pictures.read_gray(settings.relevance_image).copy()
    with as_before_versions():
        reopen(connected, tmp_path / "a.blend")
    assert here().snap == "nothing"
    threshold = np.float32(here().threshold)
    assert np.array_equal(connected.results.mask(bpy.context.scene), relevance >= threshold)
    assert not OPS.pick_thing.poll()
    connect(connected, server.file)
    preview(connected, bpy.context.scene)
    assert OPS.pick_thing.poll()


def test_an_edit_from_before_there_was_a_choice_was_made_as_all_were(
    settings: bpy.types.PropertyGroup,
) -> None:
    entry = settings.edits.add()
    assert (entry.snap, entry.detail, entry.rim, entry.closer) == ("nothing", "whole", 0, False)
    assert (settings.snap, settings.detail, settings.closer) == ("things", "sharp", True)


def test_what_is_not_known_is_said(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, region: ModuleType
) -> None:
    why_so = connected.panel.why_so
    settings.id_data.camera.data.type = "PANO"
    preview(connected, settings.id_data)
    found = region.snapped_map(settings)
    assert found.took == "edges"
    assert "panoramic" in why_so(settings, found)
    assert found.why in why_so(settings, found)
    assert not OPS.pick_thing.poll()
    settings.id_data.camera.data.type = "PERSP"
    preview(connected, settings.id_data)
    assert why_so(settings, region.snapped_map(settings)) == ""
    settings.things = "FACES"
    assert "preview again" in why_so(settings, region.snapped_map(settings))
    preview(connected, settings.id_data)
    assert why_so(settings, region.snapped_map(settings)) == ""


def test_the_thing_at_a_place_of_the_frame(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    region: ModuleType,
    installed: str,
) -> None:
    thing_at = importlib.import_module(f"{installed}.ui.operators_picks").thing_at
    preview(connected, settings.id_data)
    things = region.things_of(settings)
    height, width = things.shape
    for row, column in ((0, 0), (height - 1, width - 1), (height // 2, width // 2), (20, 40)):
        found = thing_at(settings, (column + 0.5) / width, 1 - (row + 0.5) / height)
        assert found.label == things[row, column]
        assert labels(connected, found.name) == [found.label]
    for x, y in ((-0.01, 0.5), (0.5, 1.01), (1.0, 0.5)):
        assert thing_at(settings, x, y) is None


@pytest.mark.one_blender
def test_a_step_of_the_slider_takes_less_than_a_frame_at_1024(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup
) -> None:
    scene = settings.id_data
    scene.render.resolution_x = scene.render.resolution_y = settings.max_side = SIDE
    preview(connected, scene)
    assert tuple(settings.relevance_image.size) == (SIDE, SIDE)
    OPS.pick_thing(label=1)
    for snap in ("things", "edges", "nothing"):
        settings.snap = snap
        taken = []
        for threshold in np.linspace(0.1, 0.9, 15):
            began = time.thread_time()  # other programs have no part in it
            settings.threshold = threshold
            taken.append(time.thread_time() - began)
        assert np.median(taken) < STEP


def test_the_fake_map_is_the_green_channel(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup
) -> None:
    preview(connected, settings.id_data)
    render = connected.pictures.read_rgb(settings.render_image)
    relevance = connected.pictures.read_gray(settings.relevance_image)
    assert np.array_equal(relevance, relevance_of(render))
