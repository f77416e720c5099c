"""An edit that is made again of the full-size render: with the same seed, inside the same mask."""

from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, preview, reopen
from fake_server import FakeServer, edited
from test_edit_again import sent
from test_edit_pixels import bytes_of, loaded
from test_flows import refusal
from test_result_size import (
    TIMES,
    at_size,
    edit,
    far_from,
    here,
    large,  # noqa: F401  # a fixture
    own_render,
)

OPS = bpy.ops.watch_your_steps


def at_full_size(addon: SimpleNamespace) -> None:
    assert OPS.edit_full_size() == {"FINISHED"}
    addon.session.wait_for_job(bpy.context.scene, SECONDS)


def test_the_model_sees_the_full_size_render_inside_the_same_mask(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    server: FakeServer,
) -> None:
    mask = large.results.mask(scene).copy()
    own = own_render(large, scene)
    shown = {name: getattr(here(), name) for name in ("render_image", "relevance_image", "picture")}
    here().edits[0].rim, here().edits[0].detail, here().edits[0].seed = 3.0, "whole", 7
    here().seed, here().instruction = 2, "something else"
    at_full_size(large)
    request = sent(server)[-1]
    assert np.array_equal(request.image, own)
    assert request.mask.shape == own.shape[:2]
    away, deep = far_from(at_size(mask), 2), far_from(at_size(~mask), 2)
    assert not request.mask[away].any()
    assert request.mask[deep].all()
    steps = np.diff(np.flatnonzero(request.mask.any(axis=1)))
    assert (steps == 1).all()
    settings = request.settings
    assert (settings.seed, settings.rim, settings.detail) == (7, 3.0 * TIMES, "sharp")
    assert request.instruction == "turn the ball blue"
    new, old = here().edits
    assert np.array_equal(bytes_of(new.image)[..., :3], edited(own, request.mask))
    assert new.render == old.full_render
    assert (new.seed, new.rim, new.detail) == (7, 3.0 * TIMES, "sharp")
    assert old.rim == 3.0
    assert new.uid != old.uid
    assert here().edit_image == new.image
    assert shown == {name: getattr(here(), name) for name in shown}, "the panel's own stays"
    assert large.edits.beside(here()) == old.full_render


def test_its_result_is_itself_and_needs_no_render(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    at_full_size(large)
    picture = bytes_of(here().edits[0].image)[..., :3]
    assert "full size already" in refusal("edit_full_size")
    reopen(large, tmp_path / "a.blend")
    bpy.context.scene.camera.location.x += 3
    OPS.save_result(filepath=str(tmp_path / "made.png"))
    assert np.array_equal(loaded(tmp_path / "made.png")[..., :3], picture)
    connect(large, server.file)
    bpy.context.scene.camera.location.x -= 3
    here().base, here().edit_index = "EDIT", 0
    preview(large, bpy.context.scene)
    edit(large, threshold=0.3)
    assert np.array_equal(sent(server)[-1].image, picture), "it can be gone on from"
    here().edit_index = 1
    OPS.edit_again()
    large.session.wait_for_job(bpy.context.scene, SECONDS)
    assert np.array_equal(sent(server)[-1].mask, sent(server)[0].mask) is False
    assert sent(server)[-1].mask.shape == picture.shape[:2]


def test_restore_goes_back_to_the_edit_that_it_was_made_of(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
) -> None:
    small = here().edits[0]
    small_uid, small.rim, small.detail = small.uid, 3.0, "whole"
    render, relevance, threshold = small.render, small.relevance, small.threshold
    at_full_size(large)
    OPS.edit_again()
    large.session.wait_for_job(scene, SECONDS)
    again, full = here().edits[0], here().edits[1]
    assert (full.made_of, again.made_of, full.relevance) == (small_uid, small_uid, None)
    here().instruction, here().threshold, here().rim, here().seed = "else", 0.9, 8.0, 99
    preview(large, scene)
    assert OPS.restore_edit() == {"FINISHED"}
    assert large.session.message_of(scene) == ""
    assert (here().instruction, here().threshold) == ("turn the ball blue", threshold)
    assert (here().rim, here().detail) == (3.0, "whole"), "for the picture that is worked on"
    assert here().seed == again.seed != full.seed
    assert np.array_equal(
        large.pictures.read_rgb(here().render_image), large.pictures.read_rgb(render)
    )
    assert np.array_equal(
        large.pictures.read_gray(here().relevance_image), large.pictures.read_gray(relevance)
    )
    assert here().edit_image == again.image
    mask = large.pictures.read_gray(here().mask_image) > 0.5
    assert np.array_equal(mask, large.results.mask(scene))
    here().edit_index = 2
    OPS.delete_edit()
    here().edit_index = 0
    OPS.restore_edit()
    assert "made of at full size was deleted" in large.session.message_of(scene)


def test_of_an_edit_on_top_it_is_made_of_what_is_below_at_full_size(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    OPS.save_result(filepath=str(tmp_path / "below.png"))
    below = loaded(tmp_path / "below.png")[..., :3]
    here().base = "EDIT"
    preview(large, scene)
    relevance = large.pictures.read_gray(here().relevance_image)
    edit(large, threshold=float(np.median(relevance)))
    images = len(bpy.data.images)
    at_full_size(large)
    assert np.array_equal(sent(server)[-1].image, below)
    new, old = here().edits[:2]
    assert np.array_equal(bytes_of(new.render)[..., :3], below)
    assert new.root == old.full_render
    assert new.parent == old.parent
    assert len(bpy.data.images) == images + 3, "base, edit and mask"
    OPS.composite_result()
    layers = [one for one in bpy.data.images if one.name.endswith("layer")]
    assert len(layers) == 1


def test_a_transparent_film(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    scene.render.film_transparent = True
    bpy.data.objects.remove(bpy.data.objects["ground"])
    scene.render.resolution_x, scene.render.resolution_y = 64 * TIMES, 48 * TIMES
    here().max_side = 64
    preview(connected, scene)
    edit(connected, threshold=0.02)
    own = own_render(connected, scene)
    at_full_size(connected)
    made = connected.pictures.decode_png(here().edits[0].image.packed_file.data)
    assert np.array_equal(made[..., 3], own[..., 3])
    outside = ~sent(server)[-1].mask
    assert np.array_equal(made[outside], own[outside])


def test_what_has_changed_or_is_gone_is_refused(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    server: FakeServer,
) -> None:
    count = len(sent(server))
    scene.camera.location.x += 3
    bpy.context.view_layer.update()
    assert "camera has changed" in refusal("edit_full_size")
    scene.camera.location.x -= 3
    bpy.context.view_layer.update()
    large.session.disconnect()
    assert "no connection" in refusal("edit_full_size")
    assert here().edits[0].full_render is None, "nothing is rendered for nothing"
    bpy.data.images.remove(here().edits[0].render)
    assert "was deleted" in refusal("edit_full_size")
    assert len(sent(server)) == count
    assert len(here().edits) == 1


@pytest.mark.parametrize("what", ["undone", "lost its render", "unpacked"])
def test_what_becomes_of_a_job_whose_edit_was(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    server: FakeServer,
    what: str,
) -> None:
    server.manual = True
    OPS.edit_full_size()
    job = large.session.job_of(scene).id
    large.session.wait(lambda: job in server.jobs, SECONDS)
    assert "being made again" in refusal("delete_edit")
    if what == "undone":
        here().edits.clear()
        here().edit_image = None
    elif what == "unpacked":
        here().edits[0].full_render.unpack(method="REMOVE")
    else:
        bpy.data.images.remove(here().edits[0].full_render)
    server.finish(job)
    large.session.wait(lambda: large.session.job_of(scene) is None, SECONDS)
    said = large.session.message_of(scene)
    (only,) = here().edits
    if what == "undone":
        assert said == ""
        assert tuple(only.image.size) == (64 * TIMES, 48 * TIMES)
    elif what == "unpacked":
        assert "is no longer packed: pack it" in said
    else:
        assert "not in the file" in said


def test_blender_is_closed_while_it_runs(
    large: SimpleNamespace,  # noqa: F811
    scene: bpy.types.Scene,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    server.manual = True
    OPS.edit_full_size()
    job = large.session.job_of(scene).id
    large.session.wait(lambda: job in server.jobs, SECONDS)
    reopen(large, tmp_path / "a.blend")
    server.finish(job)
    connect(large, server.file)
    large.session.wait_for_job(bpy.context.scene, SECONDS)
    new, old = here().edits
    assert new.render == old.full_render
    assert tuple(new.image.size) == (64 * TIMES, 48 * TIMES)
