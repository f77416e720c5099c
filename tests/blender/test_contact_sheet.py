"""The contact sheet of variants: what is where in it, picking one, and keeping only that."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, preview, reopen
from fake_server import FakeServer
from test_flows import refusal

OPS = bpy.ops.watch_your_steps
COLOURS = np.array([[200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 200, 0], [0, 200, 200]], np.uint8)


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


@pytest.fixture
def contact_sheet(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.contact_sheet")


def make(addon: SimpleNamespace, count: int, seed: int = 0) -> None:
    """Make variants, and wait until all are here."""
    here().variants, here().seed = count, seed
    OPS.variants()
    addon.session.wait_for_all_jobs(bpy.context.scene, SECONDS)
    addon.session.drain()


@pytest.fixture
def four(connected: SimpleNamespace, scene: bpy.types.Scene) -> SimpleNamespace:
    """An edit of its own, and four variants with the seeds 10 to 13."""
    preview(connected, scene)
    OPS.edit()
    connected.session.wait_for_job(scene, SECONDS)
    make(connected, 4, seed=10)
    return connected


def seeds() -> list[int]:
    return [entry.seed for entry in here().edits]


@pytest.mark.parametrize("height", [12, 48, 301, 700])
@pytest.mark.parametrize("count", [2, 4, 5])
def test_a_sheet_has_the_pictures_shape_and_each_where_it_is_said_to_be(
    addon: SimpleNamespace, contact_sheet: ModuleType, count: int, height: int
) -> None:
    pictures = [np.broadcast_to(colour, (height, height * 4 // 3, 3)) for colour in COLOURS[:count]]
    sheet = contact_sheet.compose(pictures, list(range(count)))
    rows, columns = sheet.shape[:2]
    across = contact_sheet.columns(count)
    assert across == (2 if count <= 4 else 3)
    assert abs(columns / rows - 4 / 3) < 0.1
    assert max(rows, columns) <= contact_sheet.SIDE + across
    image = addon.pictures.new_packed_image("sheet", addon.encode.encode_png(sheet), sheet)
    image[contact_sheet.CELLS] = "\n".join(f"edit {number}" for number in range(count))
    for number in range(across * across):
        row, column = divmod(number, across)
        x, y = (column + 0.6) / across, 1 - (row + 0.4) / across
        found = contact_sheet.uid_at(image, x, y)
        assert found == (f"edit {number}" if number < count else "")
        pixel = sheet[int((1 - y) * rows), int(x * columns)]
        wanted = COLOURS[number] if number < count else [contact_sheet.BACKGROUND] * 3
        assert np.array_equal(pixel, wanted)
    for x, y in ((-0.1, 0.5), (1.0, 0.5), (0.5, 0.0), (0.5, 1.1)):
        assert contact_sheet.uid_at(image, x, y) == "", "beside it"


def test_large_pictures_are_averaged_and_seeds_can_be_read(
    addon: SimpleNamespace, contact_sheet: ModuleType
) -> None:
    checked = np.indices((1600, 1600)).sum(0) % 2 * 200
    picture = np.repeat(checked[..., None], 3, 2).astype(np.uint8)
    sheet = contact_sheet.compose([picture, picture], [8, 1])
    assert sheet.shape == (1024, 1024, 3)
    inside = sheet[100:300, 100:300].astype(int)
    assert abs(inside.mean() - 100) < 1
    assert inside.std() < 30, "no pattern of the sampling's own"

    def ink(seed: int) -> str:
        dark = np.zeros((80, 160, 3), np.uint8)
        cell = contact_sheet.compose([dark, dark], [seed, 0])[1:79, 1:159]
        rows = cell[-6:-1, 1:12, 0] == contact_sheet.INK
        return "\n".join("".join("#" if one else "." for one in row) for row in rows)

    assert ink(170) == "\n".join(
        (
            ".#..###.###",
            "##....#.#.#",
            ".#....#.#.#",
            ".#....#.#.#",
            "###...#.###",
        )
    )


def test_the_sheet_is_shown_when_the_last_one_is_here(
    four: SimpleNamespace, contact_sheet: ModuleType, tmp_path: Path
) -> None:
    assert here().view == "VARIANTS"
    sheet = four.pictures.read_rgb(here().sheet_image)
    render = four.pictures.read_rgb(here().edits[0].image)
    assert sheet.shape == (2 * render.shape[0], 2 * render.shape[1], 3)
    uids = [here().edits[place].uid for place in (3, 2, 1, 0)]
    assert here().sheet_image[contact_sheet.CELLS] == "\n".join(uids)
    assert contact_sheet.uid_at(here().sheet_image, 0.7, 0.2) == here().edits[0].uid
    reopen(four, tmp_path / "a.blend")
    assert np.array_equal(four.pictures.read_rgb(here().sheet_image), sheet)
    assert contact_sheet.uid_at(here().sheet_image, 0.2, 0.7) == here().edits[3].uid


def test_one_is_picked_in_the_sheet_or_in_the_list(four: SimpleNamespace) -> None:
    entry = here().edits[2]
    OPS.pick_variant(edit=entry.uid)
    assert (here().edit_index, here().view) == (2, "EDIT")
    assert here().edit_image == entry.image
    OPS.contact_sheet()
    assert here().view == "VARIANTS"
    gone = here().edits[1].uid
    here().edit_index = 1
    OPS.delete_edit()
    with pytest.raises(RuntimeError, match="This variant was deleted"):
        OPS.pick_variant(edit=gone)
    before = here().sheet_image.name_full
    OPS.contact_sheet()
    assert len(here().sheet_image["watch_your_steps_cells"].split("\n")) == 3, before


def test_only_the_picked_one_is_kept_and_one_undo_brings_all_back(four: SimpleNamespace) -> None:
    images = {entry.image.name for entry in here().edits}
    assert seeds() == [13, 12, 11, 10, 0]
    alone = here().edits[4].uid
    here().edits[0].favourite = True
    here().edit_index = 2
    bpy.ops.ed.undo_push(message="picked")
    kept = four.pictures.read_rgb(here().edits[2].image).copy()
    OPS.keep_variant()
    bpy.ops.ed.undo_push(message="keep")  # as Blender does after a pressed button
    assert seeds() == [13, 11, 0], "the star's, the picked one, and what is no variant of these"
    assert here().edits[2].uid == alone
    assert here().edit_index == 1
    assert here().view == "EDIT"
    assert here().edit_image == here().edits[1].image
    assert here().sheet_image is None
    assert not any("variants" in image.name for image in bpy.data.images)
    assert np.array_equal(four.pictures.read_rgb(here().edit_image), kept)
    assert len(images & set(bpy.data.images.keys())) == 3
    bpy.ops.ed.undo()
    assert seeds() == [13, 12, 11, 10, 0]
    assert here().sheet_image is not None
    four.pictures.forget_all()
    for entry in here().edits:
        assert four.pictures.read_rgb(entry.image).any()
    bpy.ops.ed.redo()
    assert seeds() == [13, 11, 0]


def test_a_variant_that_is_a_layer_stays(four: SimpleNamespace) -> None:
    here().edit_index = 2
    OPS.add_layer()
    here().edit_index = 1
    OPS.keep_variant()
    assert seeds() == [12, 11, 0]
    assert here().layers[0].edit == here().edits[1].uid
    assert "are layers" in refusal("keep_variant")


def test_what_is_no_variant_has_no_sheet(four: SimpleNamespace) -> None:
    here().edit_index = 4
    for operator in ("contact_sheet", "keep_variant"):
        assert "no other variants" in refusal(operator)
    here().edit_index = 0
    for entry in here().edits:
        entry.favourite = True
    assert "have a star" in refusal("keep_variant")
    here().edits.clear()
    for operator in ("contact_sheet", "keep_variant", "pick_variant"):
        assert not getattr(OPS, operator).poll()


def test_a_sheet_of_lost_pictures_is_refused(four: SimpleNamespace) -> None:
    for entry in list(here().edits)[:3]:
        bpy.data.images.remove(entry.image)
    with pytest.raises(RuntimeError, match="were deleted from the file"):
        OPS.contact_sheet()
    OPS.keep_variant()
    assert seeds() == [13, 0]


def test_a_cancelled_group_shows_what_is_done(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    session = connected.session
    preview(connected, scene)
    server.manual = True
    OPS.variants()
    for _ in range(2):
        job = session.job_of(scene).id
        session.wait(lambda one=job: one in server.jobs, SECONDS)
        server.finish(job)
        session.wait(lambda one=job: one not in session.state.jobs, SECONDS)
    assert here().sheet_image is None
    OPS.cancel()
    session.wait(lambda: session.job_of(scene) is None, SECONDS)
    assert here().view == "VARIANTS"
    assert len(here().sheet_image["watch_your_steps_cells"].split("\n")) == 2


def test_copies_of_a_scene_pick_for_themselves(four: SimpleNamespace) -> None:
    scene = bpy.context.scene
    bpy.ops.scene.new(type="FULL_COPY")
    copy = bpy.context.scene
    four.session.drain()
    here().edit_index = 0
    OPS.keep_variant()
    assert seeds() == [13, 0]
    assert copy.watch_your_steps.sheet_image is None
    bpy.context.window.scene = scene
    assert seeds() == [13, 12, 11, 10, 0]
    for entry in here().edits:
        assert four.pictures.read_rgb(entry.image).any()
    assert scene.watch_your_steps.sheet_image is not None
    OPS.contact_sheet()
    assert len(here().sheet_image["watch_your_steps_cells"].split("\n")) == 4


@pytest.fixture
def pointing(installed: str, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The tool that waits for a click, over an Image Editor of 100 x 100 pixels at (10, 20), with
    the sheet at half its region's size in the lower left corner; and a function that sends events.
    """
    tool = importlib.import_module(f"{installed}.ui.operators_sheet")
    view = SimpleNamespace(region_to_view=lambda x, y: (x / 50, y / 50))
    part = SimpleNamespace(x=10, y=20, view2d=view)
    space = SimpleNamespace(type="IMAGE_EDITOR", image=here().sheet_image)
    monkeypatch.setattr(tool, "canvas_at", lambda *_: SimpleNamespace(space=space, part=part))
    said: list[object] = []
    context = SimpleNamespace(
        scene=bpy.context.scene,
        window=SimpleNamespace(screen=None),
        screen=SimpleNamespace(areas=()),
        workspace=SimpleNamespace(status_text_set=said.append),
    )
    waiting = SimpleNamespace(_end=lambda one: tool.WYS_OT_contact_sheet._end(None, one))

    def send(kind: str, x: float, y: float, value: str = "PRESS") -> set[str]:
        """An event at a place of the sheet."""
        where = {"mouse_x": 10 + x * 50, "mouse_y": 20 + y * 50}
        event = SimpleNamespace(type=kind, value=value, **where)
        return tool.WYS_OT_contact_sheet.modal(waiting, context, event)  # type: ignore[no-any-return]

    return SimpleNamespace(send=send, said=said, space=space)


def test_a_click_in_an_image_editor_picks(four: SimpleNamespace, pointing: SimpleNamespace) -> None:
    assert pointing.send("MOUSEMOVE", 0.7, 0.2) == {"PASS_THROUGH"}
    assert str(pointing.said[-1]).startswith("Seed 13 ")
    assert pointing.send("LEFTMOUSE", 1.5, 0.5) == {"PASS_THROUGH"}, "beside the sheet"
    assert pointing.send("RIGHTMOUSE", 1.5, 0.5) == {"PASS_THROUGH"}, "a menu of something else"
    assert pointing.send("LEFTMOUSE", 0.2, 0.2, "RELEASE") == {"RUNNING_MODAL"}
    assert here().view == "VARIANTS"
    assert pointing.send("LEFTMOUSE", 0.2, 0.2) == {"FINISHED"}
    assert here().edits[here().edit_index].seed == 12
    assert here().view == "EDIT"
    assert pointing.said[-1] is None


def test_the_tool_ends_without_a_pick(four: SimpleNamespace, pointing: SimpleNamespace) -> None:
    index = here().edit_index
    for key in ("ESC", "RET", "RIGHTMOUSE"):
        assert pointing.send(key, 0.2, 0.2) == {"FINISHED"}
    pointing.space.image = None
    assert pointing.send("LEFTMOUSE", 0.2, 0.2) == {"PASS_THROUGH"}, "it shows another image"
    pointing.space.image = here().sheet_image
    uid = here().edits[0].uid
    here().edits.remove(0)
    assert uid not in [entry.uid for entry in here().edits]
    assert pointing.send("LEFTMOUSE", 0.7, 0.2) == {"RUNNING_MODAL"}, "this one was deleted"
    here().edit_index = index
    OPS.keep_variant()
    assert pointing.send("MOUSEMOVE", 0.2, 0.2) == {"FINISHED"}, "there is no sheet any more"
