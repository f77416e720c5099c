"""Sources, masks, variants, layers and waiting edits, each of which has tests of its own, used
together: nothing is wrong without a word.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, edit, here, preview, run
from fake_server import FakeServer
from test_image_source import choose, colours

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def strokes(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.strokes")


@pytest.fixture
def corrections(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.protocol.corrections")


def new_image(name: str, array: np.ndarray) -> bpy.types.Image:
    """A packed image of uint8 (H, W, 3)."""
    height, width = array.shape[:2]
    image = bpy.data.images.new(name, width, height)
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = array[::-1] / np.float32(255)
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
    return image


def begin(addon: SimpleNamespace, server: FakeServer, operator: str = "edit") -> str:
    """Start a job whose end the test decides; its id once the server has it."""
    server.manual = True
    getattr(OPS, operator)()
    job = str(addon.session.job_of(bpy.context.scene).id)
    addon.session.wait(lambda: job in server.jobs, SECONDS)
    return job


def finish(addon: SimpleNamespace, server: FakeServer, job: str) -> None:
    """End it, and all that follow."""
    server.manual = False
    server.finish(job)
    addon.session.wait_for_all_jobs(bpy.context.scene, SECONDS)


def kept_mask(addon: SimpleNamespace, entry: bpy.types.PropertyGroup) -> np.ndarray:
    """The mask of an edit, bool (H, W): its edit has every byte of its base outside, and what the
    scripted server makes of it inside.
    """
    mask = addon.pictures.read_gray(entry.mask) > 0.5
    base, made = (addon.pictures.read_rgb(one) for one in (entry.render, entry.image))
    assert np.array_equal(made, np.where(mask[..., None], 255 - base, base))
    return mask


def test_an_image_that_is_renamed_while_it_is_edited_is_still_known(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    image = new_image("photo", colours((48, 64)))
    choose(image)
    job = begin(connected, server)
    image.name = "renamed"
    new_image("photo", 255 - colours((48, 64)))
    finish(connected, server, job)
    assert here().edits[0].source_image == image
    assert here().source.taken == image
    assert 'image "renamed"' in connected.edit_words.describe(here().edits[0])


def test_an_edit_that_waits_knows_its_renamed_image(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    job = begin(connected, server)
    image = new_image("photo", colours((48, 64)))
    choose(image)
    OPS.edit()
    image.name = "renamed"
    finish(connected, server, job)
    assert [one.source_image for one in here().edits] == [image, None]
    kept_mask(connected, here().edits[0])


def test_what_was_picked_in_another_picture_is_not_said_of_an_edit(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    preview(connected, scene)
    here().picks = "+1"
    edit(connected)
    assert here().edits[0].picks == "+1"
    choose(new_image("photo", colours((48, 64))))
    edit(connected)
    assert here().edits[0].picks == ""
    mask = kept_mask(connected, here().edits[0])
    OPS.restore_edit()
    assert np.array_equal(connected.results.mask(scene), mask)


def test_no_variant_goes_while_it_is_made_again(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    preview(connected, scene)
    here().variants = 3
    run(connected, "variants")
    here().edit_index = 1
    job = begin(connected, server, "edit_again")
    here().edit_index = 0
    assert not OPS.keep_variant.poll()
    here().edit_index = 1
    OPS.keep_variant()  # itself may stay
    finish(connected, server, job)
    assert [one.seed for one in here().edits] == [3, 1]
    assert not here().edits[0].variants


def test_a_result_that_comes_during_a_stroke_does_not_move_what_is_painted(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    strokes: ModuleType,
    corrections: ModuleType,
) -> None:
    preview(connected, scene)
    scene.camera.location.x += 1
    job = begin(connected, server, "preview_relevance")
    stroke = strokes.Stroke(scene, corrections.ADDED, 4)
    stroke.to(scene, 5, 5)
    finish(connected, server, job)
    stroke.end(scene)
    assert connected.results.is_painted_elsewhere(here())
    OPS.invert_mask()
    assert connected.results.is_painted_elsewhere(here()), "nothing was painted on this view"
    strokes.paint(scene, corrections.ADDED, 4, [(9, 9)])
    assert not connected.results.is_painted_elsewhere(here())


def test_a_stroke_counts_once_it_has_ended(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    installed: str,
    strokes: ModuleType,
    corrections: ModuleType,
) -> None:
    region = importlib.import_module(f"{installed}.data.region")
    preview(connected, scene)
    before = connected.results.mask(scene).copy()
    stroke = strokes.Stroke(scene, corrections.TAKEN, 4)
    stroke.to(scene, 5, 5)
    assert before[5, 5]
    assert not region.seen(here()).mask[5, 5]
    edit(connected)
    assert np.array_equal(kept_mask(connected, here().edits[0]), before)
    assert here().edits[0].painted is None
    region.show_live(scene, None)  # it is given up
    shown = connected.pictures.read_gray(here().mask_image) > 0.5
    assert np.array_equal(shown, before)


def test_undo_into_another_edits_time_does_not_change_what_an_edit_is_of(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    image = new_image("photo", colours((48, 64)))
    bpy.ops.ed.undo_push(message="before")
    job = begin(connected, server)
    bpy.ops.ed.undo_push(message="beside the first edit")
    finish(connected, server, job)
    choose(image)
    bpy.ops.ed.undo_push(message="another picture")
    job = begin(connected, server)
    bpy.ops.ed.undo()  # the choice
    bpy.ops.ed.undo()  # the first edit
    finish(connected, server, job)
    assert len(here().edits) == 1
    kept_mask(connected, here().edits[0])
    assert here().edits[0].source_image.name == "photo"


def test_a_mask_of_another_size_is_not_taken_for_an_edit(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    scene.render.resolution_x, scene.render.resolution_y = 128, 96
    here().max_side = 64
    preview(connected, scene)
    edit(connected)
    run(connected, "edit_full_size")
    here().base = "EDIT"
    edit(connected, seed=5)  # of the one at full size; the map is that of the small picture
    assert tuple(here().edits[0].render.size) == (128, 96)
    kept_mask(connected, here().edits[0])
    OPS.restore_edit()
    shown = connected.results.mask(bpy.context.scene)
    assert np.array_equal(shown, kept_mask(connected, here().edits[0]))


@pytest.mark.parametrize("threshold", [0.2, 0.4, 0.6])
def test_the_mask_of_an_edit_on_top_is_snapped_to_the_picture_of_its_map(
    connected: SimpleNamespace, scene: bpy.types.Scene, threshold: float, tmp_path: Path
) -> None:
    y, x = np.mgrid[0:48, 0:64]
    waves = [np.sin(x / 7), np.sin((x + y) / 9), np.cos(y / 5)]
    choose(new_image("photo", (128 + 100 * np.stack(waves, axis=2)).astype(np.uint8)))
    here().snap = "edges"
    preview(connected, scene)
    edit(connected, threshold=threshold + 0.1)
    here().base, here().threshold = "EDIT", threshold
    before = connected.results.mask(scene).copy()

    def same() -> None:
        scene = bpy.context.scene
        assert np.array_equal(kept_mask(connected, here().edits[0]), before)
        assert np.array_equal(connected.results.mask(scene), before)
        assert np.array_equal(connected.pictures.read_gray(here().mask_image) > 0.5, before)

    edit(connected, seed=2)
    same()
    edit(connected, seed=3)
    same()
    here().edit_index = 1
    OPS.restore_edit()
    same()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "kept.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "kept.blend"))
    OPS.restore_edit()
    same()
    preview(connected, bpy.context.scene)  # a map of the edit itself
    assert not np.array_equal(connected.results.mask(bpy.context.scene), before)
