"""The mask that is corrected by hand: painted, clicked, grown, inverted; who wins, what is edited,
and what becomes of it with new maps, undo, saving and copies.
"""

import importlib
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from driving import SECONDS, preview, reopen
from fake_server import FakeServer, edited
from numpy.typing import NDArray
from test_flows import refusal
from test_threshold import Written

OPS = bpy.ops.watch_your_steps
SIDE = 2048
TICK = 0.020
NOTHING, ADDED, TAKEN = range(3)


class Modules(SimpleNamespace):
    """The extension's modules that are about the mask."""

    def shown(self) -> NDArray[np.bool_]:
        """The mask as it is written into its image, which is the very one that is edited."""
        image = self.pictures.read_gray(here().mask_image) > 0.5
        assert np.array_equal(image, self.results.mask(bpy.context.scene))
        return image

    def paint(self, what: int, *places: tuple[float, float], radius: float = 5) -> None:
        """A stroke, in pixels from the upper left corner."""
        self.strokes.paint(bpy.context.scene, what, radius, list(places))


@pytest.fixture
def mask(addon: SimpleNamespace, installed: str) -> Modules:
    names = ("painting", "strokes", "region", "mask_tools", "thing_labels", "taken_pictures")
    found = {name: importlib.import_module(f"{installed}.data.{name}") for name in names}
    return Modules(pictures=addon.pictures, results=addon.results, **found)


@pytest.fixture
def settings(connected: SimpleNamespace, scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    """A scene's settings with a map, 48 rows of 64 pixels; the mask is a part of it."""
    settings = scene.watch_your_steps
    settings.threshold = 0.4
    preview(connected, scene)
    assert tuple(settings.relevance_image.size) == (64, 48)
    return settings


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


def disk(x: float, y: float, radius: float, shape: tuple[int, int] = (48, 64)) -> NDArray[np.bool_]:
    """The pixels whose middle is at most a radius from a place."""
    rows, columns = np.indices(shape) + 0.5
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def last_request(server: FakeServer) -> Any:
    return [m for m in server.received if isinstance(m, server.messages.Submit)][-1].request


def edit(addon: SimpleNamespace) -> NDArray[np.uint8]:
    OPS.edit()
    addon.session.wait_for_all_jobs(bpy.context.scene, SECONDS)
    return addon.pictures.read_rgb(here().edit_image)


# ---------------------------------------------------------------- strokes


def test_a_stroke_adds_takes_away_and_gives_back(
    settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    before = mask.shown()
    assert 0 < before.sum() < before.size
    left, right = disk(10, 30, 6), disk(50, 30, 6)
    mask.paint(ADDED, (10, 30), radius=6)
    mask.paint(TAKEN, (50, 30), radius=6)
    assert np.array_equal(mask.shown(), (before | left) & ~right)
    assert before[right].any()
    mask.paint(NOTHING, (50, 30), radius=6)
    assert np.array_equal(mask.shown(), before | left)
    mask.paint(NOTHING, (10, 30), (12, 30), radius=9)
    assert np.array_equal(mask.shown(), before)
    assert here().painted_image is None, "nothing is painted any more"


def test_a_stroke_covers_all_that_the_brush_passes_over(
    settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    settings.threshold = 1.0
    mask.paint(ADDED, (-20.0, 10.0), (70.0, 40.0), (30.0, 44.0), radius=3.5)
    rows, columns = np.indices((48, 64)) + 0.5
    near = np.zeros((48, 64), bool)
    for (ax, ay), (bx, by) in (((-20, 10), (70, 40)), ((70, 40), (30, 44))):
        for share in np.linspace(0, 1, 4000):
            x, y = ax + share * (bx - ax), ay + share * (by - ay)
            near |= (columns - x) ** 2 + (rows - y) ** 2 <= 3.5**2
    assert (mask.shown() != near).sum() <= 2, "but for the step of the check"
    assert mask.shown().any(axis=0).all(), "the whole width, in one pull"


def test_a_long_stroke_is_the_same_as_its_pieces(
    settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    settings.threshold = 1.0
    mask.paint(ADDED, (0, 0), (640, 480), radius=2)
    whole = mask.shown()
    OPS.clear_painting()
    mask.paint(ADDED, *[(x, 0.75 * x) for x in range(0, 641, 5)], radius=2)
    assert np.array_equal(mask.shown(), whole)


def test_beside_the_picture_nothing_is_painted(
    settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    before = mask.shown()
    mask.paint(ADDED, (-30, -30), (-20, 80), radius=8)
    assert np.array_equal(mask.shown(), before)
    assert here().painted_image is None


def test_the_painting_can_be_looked_at(settings: bpy.types.PropertyGroup, mask: Modules) -> None:
    mask.paint(ADDED, (10, 30), radius=4)
    mask.paint(TAKEN, (50, 30), radius=4)
    image = here().painted_image
    rgb = mask.pictures.read_rgb(image)
    assert image.packed_file is not None
    assert set(np.unique(rgb)) == {0, 128, 255}
    assert np.array_equal(rgb[..., 0] == 255, disk(10, 30, 4))
    assert np.array_equal(rgb[..., 0] == 0, disk(50, 30, 4))


# ---------------------------------------------------------------- who wins


def test_what_is_painted_wins_over_slider_snap_and_new_maps(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
) -> None:
    left, right = disk(10, 30, 6), disk(50, 30, 6)
    mask.paint(ADDED, (10, 30), radius=6)
    mask.paint(TAKEN, (50, 30), radius=6)

    def as_painted() -> bool:
        shown = mask.shown()
        return bool(shown[left].all() and not shown[right].any())

    for threshold in (0.0, 0.2, 0.6, 1.0):
        settings.threshold = threshold
        assert as_painted()
        plain = mask.region.by_slider(settings)
        assert np.array_equal(mask.shown(), (plain | left) & ~right)
    settings.threshold = 0.3
    for snap in ("things", "edges", "nothing"):
        settings.snap = snap
        assert as_painted()
    settings.instruction = "turn the ground red"
    preview(connected, bpy.context.scene)
    assert as_painted()
    server.suggestion = 0.7
    bpy.context.scene.camera.location.x += 1
    preview(connected, bpy.context.scene)
    assert as_painted()
    assert mask.results.is_painted_elsewhere(settings)


def test_the_last_of_clicking_and_painting_wins(
    settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    things = mask.region.things_of(settings)
    ball = list(mask.thing_labels.names(settings.render_image)).index("ball")
    row, column = (int(np.median(one)) for one in np.nonzero(things == ball))
    settings.threshold = 1.0
    OPS.pick_thing(label=ball, mode="ADD")
    assert np.array_equal(mask.shown(), things == ball)
    hole = disk(column, row, 3)
    mask.paint(TAKEN, (column, row), radius=3)
    assert np.array_equal(mask.shown(), (things == ball) & ~hole)
    mask.paint(ADDED, (1, 1), radius=2)
    OPS.pick_thing(label=ball, mode="ADD")
    assert np.array_equal(mask.shown(), (things == ball) | disk(1, 1, 2)), "no hole, the rest stays"
    mask.paint(ADDED, (column, row), radius=3)
    OPS.pick_thing(label=ball)
    assert np.array_equal(mask.shown(), disk(1, 1, 2)), "a click takes the thing away"


# ---------------------------------------------------------------- grown, shrunk, inverted


def test_growing_and_shrinking_are_live_and_leave_the_painting(
    settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    settings.threshold = 0.5
    ball = list(mask.thing_labels.names(settings.render_image)).index("ball")
    OPS.pick_thing(label=ball, mode="ADD")
    before = mask.shown()
    settings.grow = 2
    grown = mask.shown()
    assert before[grown].sum() == before.sum() < grown.sum()
    settings.grow = -2
    shrunk = mask.shown()
    assert 0 < shrunk.sum() < before.sum()
    assert before[shrunk].all()
    mask.paint(ADDED, (5, 5), radius=2)
    assert np.array_equal(mask.shown(), shrunk | disk(5, 5, 2))
    settings.grow = 0
    assert np.array_equal(mask.shown(), before | disk(5, 5, 2))


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.4, 1.0])
def test_inverting_makes_it_the_very_other_one(
    settings: bpy.types.PropertyGroup, mask: Modules, threshold: float
) -> None:
    settings.threshold = threshold
    OPS.pick_thing(label=1)
    settings.grow = 3
    mask.paint(ADDED, (10, 30), radius=6)
    mask.paint(TAKEN, (50, 30), radius=6)
    before = mask.shown()
    OPS.invert_mask()
    assert np.array_equal(mask.shown(), ~before)
    mask.paint(ADDED, (50, 10), radius=6)
    assert mask.shown()[disk(50, 10, 6)].all(), "what is painted later wins"
    mask.paint(NOTHING, (50, 10), radius=6)
    mask.paint(TAKEN, (10, 30), radius=6)
    assert np.array_equal(mask.shown(), ~before)
    OPS.invert_mask()
    assert np.array_equal(mask.shown(), before)


def test_the_slider_goes_on_moving_an_inverted_mask(
    settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    OPS.invert_mask()
    relevance = mask.pictures.read_gray(settings.relevance_image)
    for threshold in (*np.unique(relevance)[:5], 0.2, 0.5, 1.0):
        settings.threshold = float(threshold)
        assert np.array_equal(mask.shown(), relevance < np.float32(settings.threshold))


# ---------------------------------------------------------------- what is edited


def test_the_very_painted_mask_is_edited_and_the_rest_keeps_its_bytes(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
) -> None:
    mask.paint(ADDED, (10, 10), radius=4)
    mask.paint(TAKEN, (40, 30), (60, 40), radius=4)
    shown = mask.shown()
    render = connected.pictures.read_rgb(settings.render_image)
    image = edit(connected)
    assert np.array_equal(last_request(server).mask, shown)
    assert np.array_equal(image, edited(render, shown))
    assert np.array_equal(image[~shown], render[~shown])


@pytest.mark.parametrize("correct", ["paint", "grow", "invert", "all"])
def test_an_edit_without_a_map_edits_the_corrected_mask(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
    correct: str,
) -> None:
    if correct in ("paint", "all"):
        mask.paint(ADDED, (10, 10), radius=4)
        mask.paint(TAKEN, (50, 30), radius=6)
    if correct in ("grow", "all"):
        settings.grow = 2
    if correct in ("invert", "all"):
        OPS.invert_mask()
    settings.instruction = "turn the ground red"  # its map is not there
    settings.snap = "edges"
    image = edit(connected)
    shown = mask.shown()
    assert last_request(server).mask is None, "the backend finds the map"
    render = connected.pictures.read_rgb(settings.render_image)
    assert np.array_equal(image, edited(render, shown))
    entry = settings.edits[0]
    assert entry.instruction == "turn the ground red"
    assert np.array_equal(connected.pictures.read_gray(entry.mask) > 0.5, shown)
    assert (entry.painted, entry.grow, entry.invert) == (
        settings.painted_image,
        settings.grow,
        settings.invert,
    )
    settings.threshold = 0.35
    edit(connected)  # now with the map
    assert np.array_equal(last_request(server).mask, mask.shown())


def test_an_edit_of_a_render_of_another_size_scales_the_painting(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
) -> None:
    mask.paint(ADDED, (20, 20), radius=10)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 128, 96
    bpy.data.images.remove(settings.render_image)
    image = edit(connected)  # renders, and has no map
    assert image.shape == (96, 128, 3)
    shown = mask.shown()
    assert shown[disk(20, 20, 10).repeat(2, axis=0).repeat(2, axis=1)].all()
    assert np.array_equal(image, edited(connected.pictures.read_rgb(settings.render_image), shown))


def test_an_empty_mask_is_refused_in_a_sentence_that_goes_when_it_is_painted(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    settings.threshold = 1.0
    assert not mask.shown().any()
    assert "The mask is empty at this threshold" in refusal("edit")
    assert "lower the threshold" in connected.session.message_of(bpy.context.scene)
    mask.paint(ADDED, (10, 10), radius=4)
    assert connected.session.message_of(bpy.context.scene) == ""
    edit(connected)
    mask.paint(TAKEN, (10, 10), radius=9)
    assert "paint what is to be edited" in refusal("edit")
    OPS.clear_painting()
    settings.threshold = 0.0
    OPS.invert_mask()
    assert "raise the threshold" in refusal("edit")


# ---------------------------------------------------------------- what stays


def test_an_edit_keeps_its_painted_mask_and_gives_it_back(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    mask: Modules,
    tmp_path: Path,
) -> None:
    mask.paint(ADDED, (10, 10), radius=4)
    settings.grow = 2
    OPS.invert_mask()
    first = mask.shown()
    server.manual = True
    OPS.edit()
    job = connected.session.job_of(bpy.context.scene)
    connected.session.wait(lambda: job.id in server.jobs, SECONDS)
    mask.paint(ADDED, (30, 40), radius=9)  # while it runs
    settings.grow = 0
    second = mask.shown()
    server.manual = False
    server.finish(job.id)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert np.array_equal(mask.shown(), second), "the result leaves what was painted since"
    text = connected.edit_words.describe(settings.edits[0])
    assert "painted by hand" in text
    assert "mask shrunk by 2" in text
    assert "mask inverted" in text
    edit(connected)
    OPS.clear_painting()
    reopen(connected, tmp_path / "a.blend")
    for index, wanted in ((1, first), (0, second), (1, first)):
        here().edit_index = index
        OPS.restore_edit()
        assert np.array_equal(mask.shown(), wanted)
    mask.paint(TAKEN, (32, 24), radius=40)
    here().edit_index = 0
    OPS.restore_edit()
    assert np.array_equal(mask.shown(), second), "what is kept is not painted over"
    OPS.delete_edit()
    OPS.delete_edit()
    assert np.array_equal(mask.shown(), second), "what is shown stays"


def test_an_edit_that_was_not_painted_takes_the_painting_away(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    before = mask.shown()
    edit(connected)
    mask.paint(ADDED, (10, 10), radius=4)
    OPS.restore_edit()
    assert here().painted_image is None
    assert np.array_equal(mask.shown(), before)


def test_a_stroke_is_one_step_of_undo(settings: bpy.types.PropertyGroup, mask: Modules) -> None:
    bpy.ops.ed.undo_push(message="before")
    states = [mask.shown()]
    for what, x in ((ADDED, 10), (TAKEN, 50), (ADDED, 30)):
        mask.paint(what, (x, 30), radius=6)
        bpy.ops.ed.undo_push(message="Paint Mask")
        states.append(mask.shown())
    for wanted in states[-2::-1]:
        bpy.ops.ed.undo()
        assert np.array_equal(mask.shown(), wanted)
    assert here().painted_image is None
    for wanted in states[1:]:
        bpy.ops.ed.redo()
        assert np.array_equal(mask.shown(), wanted)


def test_painting_is_saved_and_copied_with_the_scene(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, mask: Modules, tmp_path: Path
) -> None:
    mask.paint(ADDED, (10, 10), radius=4)
    mask.paint(TAKEN, (50, 30), radius=6)
    settings.grow = -1
    shown = mask.shown()
    reopen(connected, tmp_path / "a.blend")
    assert np.array_equal(mask.shown(), shown)
    copy = bpy.context.scene.copy()
    connected.copies.settle_all()
    assert copy.watch_your_steps.painted_image != here().painted_image
    assert np.array_equal(mask.results.mask(copy), shown)
    mask.strokes.paint(copy, ADDED, 30, [(32, 24)])
    assert np.array_equal(mask.shown(), shown)
    assert not np.array_equal(mask.results.mask(copy), shown)
    bpy.data.scenes.remove(copy)
    assert np.array_equal(mask.shown(), shown)


def test_a_render_of_another_size_scales_the_painting(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, mask: Modules
) -> None:
    settings.threshold = 1.0
    scene = bpy.context.scene
    mask.paint(ADDED, (20, 20), radius=10)
    scene.render.resolution_x, scene.render.resolution_y = 128, 96
    preview(connected, scene)
    assert np.array_equal(mask.shown(), disk(20, 20, 10).repeat(2, axis=0).repeat(2, axis=1))
    assert not mask.results.is_painted_elsewhere(settings)
    mask.paint(ADDED, (100, 80), radius=5)
    assert mask.shown()[disk(100, 80, 5, (96, 128))].all()
    scene.render.resolution_x, scene.render.resolution_y = 31, 47
    preview(connected, scene)
    assert mask.shown().shape == (47, 31)
    assert mask.shown().any()


def test_a_painting_that_was_deleted_or_lost_is_said_and_can_be_cleared(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    mask: Modules,
    tmp_path: Path,
) -> None:
    before = mask.shown()
    mask.paint(ADDED, (10, 10), radius=4)
    bpy.data.images.remove(here().painted_image)
    here().threshold = here().threshold
    assert np.array_equal(mask.shown(), before)
    mask.paint(ADDED, (10, 10), radius=4)
    here().painted_image.unpack(method="REMOVE")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    connected.session.drain()
    assert "its file is missing" in refusal("edit")
    assert "its file is missing" in refusal("invert_mask")
    assert not OPS.paint_mask.poll()
    OPS.clear_painting()
    assert np.array_equal(mask.shown(), before)
    edit(connected)


def test_how_large_the_mask_is_in_words(
    settings: bpy.types.PropertyGroup, mask: Modules, installed: str
) -> None:
    how_large = importlib.import_module(f"{installed}.ui.panel_mask").how_large
    settings.threshold = 1.0
    assert how_large(settings) == "The mask is empty."
    mask.paint(ADDED, (10.5, 10.5), radius=0.5)
    assert how_large(settings) == "1 pixel, less than 0.1 % of the picture."
    mask.paint(ADDED, (10, 10), radius=10)
    pixels = int(mask.shown().sum())
    assert how_large(settings) == f"{pixels} pixels, {100 * pixels / 3072:.1f} % of the picture."
    settings.threshold = 0.0
    assert how_large(settings) == "The mask is all of the picture."


def test_what_the_panel_says_of_what_is_painted(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    mask: Modules,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    panel = importlib.import_module(f"{installed}.ui.panel_mask")

    def drawn() -> Written:
        layout = Written()
        with monkeypatch.context() as patch:
            patch.setattr(panel.words, "paragraph", lambda part, _, text, **__: part.label(text))
            for one in (panel.WYS_PT_mask, panel.WYS_PT_mask_in_image):
                one.draw(SimpleNamespace(layout=layout), bpy.context)
        layout.texts = [text for text in layout.texts if text != "Snap"]
        return layout

    layout = drawn()
    assert {"brush", "grow", "rim"} <= set(layout.names)
    assert "watch_your_steps.clear_painting" not in layout.names
    assert layout.texts == [panel.how_large(settings)] * 2
    mask.paint(ADDED, (10, 10), radius=400)
    assert "watch_your_steps.clear_painting" in drawn().names
    assert any("the slider moves nothing" in text for text in drawn().texts)
    mask.paint(NOTHING, (10, 10), radius=4)
    assert len(drawn().texts) == 2
    bpy.context.scene.camera.location.x += 1
    preview(connected, bpy.context.scene)
    assert any("painted on another view" in text for text in drawn().texts)


@pytest.mark.one_blender
def test_painting_takes_less_than_a_frame_at_2048(
    connected: SimpleNamespace, scene: bpy.types.Scene, mask: Modules
) -> None:
    settings = scene.watch_your_steps
    scene.render.resolution_x = scene.render.resolution_y = settings.max_side = SIDE
    preview(connected, scene)
    assert tuple(settings.relevance_image.size) == (SIDE, SIDE)
    stroke = mask.strokes.Stroke(scene, ADDED, 100)
    taken = []
    for x in range(100, 1900, 60):
        began = time.thread_time()
        stroke.to(scene, x, 1000 + 0.3 * x)
        mask.region.found(settings)
        taken.append(time.thread_time() - began)
    stroke.end(scene)
    assert max(taken) < TICK


# ---------------------------------------------------------------- the brush in the window


class Window:
    """As much of Blender's window as the brush asks for: an Image Editor that shows the mask, 640 x
    480 pixels of the window from (100, 50) on, ten times the picture's size.
    """

    def __init__(self, installed: str) -> None:
        self.brush = importlib.import_module(f"{installed}.ui.operators_paint").Brush()
        self.area = SimpleNamespace(type="IMAGE_EDITOR", tag_redraw=lambda: None)
        view = SimpleNamespace(region_to_view=lambda x, y: (x / 640, y / 480))
        part = SimpleNamespace(type="WINDOW", x=100, y=50, width=640, height=480, view2d=view)
        part.as_pointer = lambda: 1
        self.area.regions = [part]
        self.area.spaces = SimpleNamespace(active=SimpleNamespace(type="IMAGE_EDITOR"))

    def send(self, type_: str, value: str, x: float, y: float, **keys: bool) -> set[str]:
        """An event at a place of the picture, in its pixels from the upper left corner."""
        self.area.spaces.active.image = here().mask_image
        screen = SimpleNamespace(areas=[self.area])
        context = SimpleNamespace(
            scene=bpy.context.scene, screen=screen, window=SimpleNamespace(screen=screen)
        )
        event = SimpleNamespace(type=type_, value=value, shift=False, ctrl=False)
        event.mouse_x, event.mouse_y = round(100 + 10 * x - 0.5), round(50 + 480 - 10 * y - 0.5)
        event.__dict__.update(keys)
        found: set[str] = self.brush.take(context, event)
        return found

    def drag(self, *places: tuple[float, float], **keys: bool) -> None:
        """A stroke with the left button."""
        assert self.send("LEFTMOUSE", "PRESS", *places[0], **keys) == {"RUNNING_MODAL"}
        for place in places[1:]:
            assert self.send("MOUSEMOVE", "NOTHING", *place) == {"RUNNING_MODAL"}
        assert self.send("LEFTMOUSE", "RELEASE", *places[-1]) == {"RUNNING_MODAL"}


@pytest.fixture
def window(settings: bpy.types.PropertyGroup, installed: str) -> Window:
    settings.brush = 4
    return Window(installed)


def test_drags_paint_by_the_keys_that_are_held_and_are_steps_of_undo(
    settings: bpy.types.PropertyGroup, mask: Modules, window: Window
) -> None:
    bpy.ops.ed.undo_push(message="before")
    before = mask.shown()
    window.drag((10, 30))
    assert np.array_equal(mask.shown(), before | disk(10, 30, 4))
    window.drag((50, 30), ctrl=True)
    taken = mask.shown()
    assert np.array_equal(taken, (before | disk(10, 30, 4)) & ~disk(50, 30, 4))
    window.drag((10, 30), shift=True)
    assert np.array_equal(mask.shown(), before & ~disk(50, 30, 4))
    bpy.ops.ed.undo()
    assert np.array_equal(mask.shown(), taken)
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    assert np.array_equal(mask.shown(), before)


def test_a_drag_is_seen_while_it_goes_on_and_escape_gives_it_up(
    settings: bpy.types.PropertyGroup, mask: Modules, window: Window
) -> None:
    before = mask.shown()
    window.send("LEFTMOUSE", "PRESS", 10, 30)
    window.send("MOUSEMOVE", "NOTHING", 20, 30)
    live = mask.region.seen(settings).mask
    assert live[disk(10, 30, 4) | disk(20, 30, 4)].all()
    assert live.sum() > before.sum()
    assert here().painted_image is None, "it is written at the end"
    assert window.send("ESC", "PRESS", 20, 30) == {"RUNNING_MODAL"}
    assert np.array_equal(mask.shown(), before)
    assert window.send("MOUSEMOVE", "NOTHING", 30, 30) == {"PASS_THROUGH"}
    assert np.array_equal(mask.shown(), before)
    assert window.send("ESC", "PRESS", 20, 30) == {"FINISHED"}


def test_an_editor_that_closes_in_the_middle_of_a_drag_gives_it_up(
    settings: bpy.types.PropertyGroup, mask: Modules, window: Window
) -> None:
    before = mask.shown()
    window.send("LEFTMOUSE", "PRESS", 10, 30)
    window.send("MOUSEMOVE", "NOTHING", 20, 30)
    window.area.regions = []
    assert window.send("MOUSEMOVE", "NOTHING", 30, 30) == {"RUNNING_MODAL"}
    assert np.array_equal(mask.shown(), before)
    assert window.send("MOUSEMOVE", "NOTHING", 30, 30) == {"PASS_THROUGH"}


def test_a_drag_goes_on_beyond_the_editor(
    settings: bpy.types.PropertyGroup, mask: Modules, window: Window
) -> None:
    settings.threshold = 1.0
    window.drag((60, 10), (90, 10), (90, 40), (60, 40))
    shown = mask.shown()
    assert shown[disk(60, 10, 4) | disk(60, 40, 4)].all()
    assert not shown[20:30].any()


def test_what_is_not_for_the_brush_goes_on_to_blender(
    settings: bpy.types.PropertyGroup, mask: Modules, window: Window
) -> None:
    before = mask.shown()
    for type_, value, x, y in (
        ("LEFTMOUSE", "PRESS", -20, 10),
        ("RIGHTMOUSE", "PRESS", -20, 10),
        ("MIDDLEMOUSE", "PRESS", 10, 10),
        ("WHEELUPMOUSE", "PRESS", 10, 10),
        ("Z", "PRESS", 10, 10),
    ):
        assert window.send(type_, value, x, y) == {"PASS_THROUGH"}
    assert settings.brush == 4
    assert np.array_equal(mask.shown(), before)
    assert window.send("RIGHTMOUSE", "PRESS", 10, 10) == {"FINISHED"}


def test_keys_and_the_wheel_change_the_brush(
    settings: bpy.types.PropertyGroup, window: Window
) -> None:
    sizes = []
    for type_, ctrl in (
        ("RIGHT_BRACKET", False),
        ("WHEELUPMOUSE", True),
        ("LEFT_BRACKET", False),
        ("WHEELDOWNMOUSE", True),
    ):
        assert window.send(type_, "PRESS", 10, 10, ctrl=ctrl) == {"RUNNING_MODAL"}
        sizes.append(settings.brush)
    assert sizes == [5, 6, 5, 4]
    for _ in range(9):
        window.send("LEFT_BRACKET", "PRESS", 10, 10)
    assert settings.brush == 1
    for _ in range(40):
        window.send("RIGHT_BRACKET", "PRESS", 10, 10)
    assert settings.brush == 1024


def test_the_brush_ends_with_its_map(settings: bpy.types.PropertyGroup, window: Window) -> None:
    window.send("LEFTMOUSE", "PRESS", 10, 30)
    bpy.data.images.remove(settings.relevance_image)
    assert window.send("MOUSEMOVE", "NOTHING", 20, 30) == {"FINISHED"}


def test_a_new_map_and_another_file_in_the_middle_of_a_stroke(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, mask: Modules, window: Window
) -> None:
    window.send("LEFTMOUSE", "PRESS", 10, 30)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 32, 24
    preview(connected, scene)  # a new map of another size comes
    window.send("MOUSEMOVE", "NOTHING", 20, 30)
    window.send("LEFTMOUSE", "RELEASE", 20, 30)
    assert mask.shown().shape == (24, 32)
    bpy.ops.wm.read_homefile(use_empty=True)
    connected.session.drain()
    assert window.send("MOUSEMOVE", "NOTHING", 20, 30) == {"FINISHED"}


def test_of_the_tools_that_wait_the_last_one_stays(installed: str) -> None:
    tools = importlib.import_module(f"{installed}.ui.waiting_tools")
    job = importlib.import_module(f"{installed}.jobs.job")
    running = [SimpleNamespace(bl_idname=job.PICKING)]
    context = SimpleNamespace(
        window=SimpleNamespace(modal_operators=running),
        screen=SimpleNamespace(areas=()),
        workspace=SimpleNamespace(status_text_set=lambda _: None),
    )
    assert tools.may_begin(context, job.PAINTING)
    assert tools.is_ending(job.PICKING)
    assert not tools.is_ending(job.PAINTING)
    tools.ended(context, job.PICKING)
    running[:] = [SimpleNamespace(bl_idname=job.PAINTING)]
    assert not tools.may_begin(context, job.PAINTING), "its own button ends it"
    assert tools.is_ending(job.PAINTING)
    tools.ended(context, job.PAINTING)
    running.clear()
    assert tools.may_begin(context, job.PAINTING)
    assert not tools.is_ending(job.PAINTING)


def test_the_brush_wants_a_map_and_a_view_of_it(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    assert "press Preview Relevance first" in refusal("paint_mask")
    assert "press Preview Relevance first" in refusal("invert_mask")
    assert "Nothing is painted" in refusal("clear_painting")
    preview(connected, scene)
    assert "Look through the camera first" in refusal("paint_mask")
