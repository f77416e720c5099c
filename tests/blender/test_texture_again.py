"""An edit of a texture that is made again with another seed: all else is as it was."""

from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, reopen
from fake_server import FakeServer
from test_flows import refusal, submits
from test_mesh_views import noise
from test_texture_edit import edit, node, pixels, texture_edit, thing  # noqa: F401  # fixtures
from test_texture_on_top import asked, chain  # noqa: F401  # a fixture
from test_texture_preview import (  # noqa: F401
    GREEN,
    flat_uvs,
    keeps_no_pointers,
    live,
    preview,
    refusal_of,
)

OPS = bpy.ops.watch_your_steps


def again(addon: SimpleNamespace, scene: bpy.types.Scene) -> bpy.types.Image:
    assert OPS.texture_again() == {"FINISHED"}
    addon.session.wait_for_job(scene, SECONDS)
    return node(bpy.context.active_object).image


def change_all(scene: bpy.types.Scene) -> None:
    """Other settings than those that the edit was made with."""
    settings = scene.watch_your_steps
    settings.instruction, settings.seed, settings.own_guidance = "turn it red", 99, False
    settings.noise_level = 0.3
    texture = settings.texture
    texture.views, texture.size, texture.steps, texture.rim = 5, 16, 3, 9
    texture.base, texture.rounds, texture.use_threshold = "EDIT", 7, True


def same_but_seed(one: object, other: object) -> None:
    for name in ("instruction", "lit", "maps", "camera_to_world", "intrinsics"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("detail", "rim", "steps", "rounds", "text_guidance", "image_guidance"):
        assert getattr(one.settings, name) == getattr(other.settings, name), name


@pytest.mark.parametrize("previewed", [False, True])
def test_all_but_the_seed_is_as_it_was(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    texture_edit: ModuleType,  # noqa: F811
    previewed: bool,
    tmp_path: Path,
) -> None:
    original = node(thing).image
    scene.watch_your_steps.texture.hidden_parts = True
    scene.watch_your_steps.seed = 4
    threshold = np.float32(0.4)
    if previewed:
        region = preview(connected, scene)
        region.snap, region.threshold, region.invert = "nothing", 0.6, True
        threshold = np.float32(region.threshold)
    edit(connected, scene)
    first, made = node(thing).image, submits(server)[-1].request
    name = first.name
    first.watch_your_steps.region.threshold = 0.2 if previewed else 0.9
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    scene = bpy.context.scene
    bpy.context.view_layer.objects.active = bpy.data.objects["box"]
    change_all(scene)
    second = again(connected, scene)
    request = submits(server)[-1].request
    same_but_seed(request, made)
    now = request.texture  # the fixture's image loses its alpha when it is saved
    assert np.array_equal(now[..., :3], noise(24, 32)[..., :3])
    inside = threshold <= GREEN
    assert np.array_equal(request.mask, ~inside if previewed else inside), "as it was made"
    assert (made.settings.seed, request.settings.seed) == (4, 5)
    original, first = bpy.data.images["paint"], bpy.data.images[name]
    mine = second.watch_your_steps
    assert mine.original == original
    assert mine.instruction == "turn the ball blue"
    assert "seed 5" in mine.made_with
    assert mine.region.made_at == threshold
    assert np.array_equal(pixels(connected.mesh_reading, original), now)
    outside = ~request.mask
    assert outside.any()
    after = pixels(connected.mesh_reading, second)
    assert np.array_equal(after[outside], now[outside]), "bit for bit"
    OPS.show_texture(what="EDITED", edit=first.name_full)
    again(connected, scene)
    assert submits(server)[-1].request.settings.seed == 6, "5 was made already"
    assert len(texture_edit.edits_of(original)) == 3
    OPS.revert_texture()
    assert len(texture_edit.edits_of(original)) == 2


def test_an_edit_on_top_is_made_again_of_what_is_below(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],  # noqa: F811
    server: FakeServer,
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    original, first, second = chain
    made = submits(server)[-1].request
    first.watch_your_steps.region.threshold = 0.9  # below another one it is what it was
    OPS.delete_texture_edit(edit=first.name_full)
    bpy.ops.ed.undo_push(message="before")
    third = again(connected, scene)
    request = submits(server)[-1].request
    same_but_seed(request, made)
    assert np.array_equal(request.texture, made.texture)
    assert np.array_equal(request.views, made.views)
    assert third.watch_your_steps.original == first
    assert texture_edit.edits_of(original) == [third, second]
    bpy.ops.ed.undo()
    box = bpy.data.objects["box"]
    assert node(box).image.watch_your_steps.instruction == "add stripes"
    assert len(texture_edit.edits_of(node(box).image)) == 1


def test_what_cannot_be_made_again_says_so_and_nothing_is_changed(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    assert "no edited texture" in refusal_of(OPS.texture_again)
    edit(connected, scene)
    shown = node(thing).image
    layer = thing.data.uv_layers[0].uv
    was = layer[0].vector.copy()
    layer[0].vector.x = was.x + 0.1
    assert "have changed since this edit" in refusal("texture_again")
    layer[0].vector = was
    assert node(thing).image == shown
    kept = shown.watch_your_steps.asked
    for unknown in ("", "{}"):
        shown.watch_your_steps.asked = unknown
        assert "is not known" in refusal_of(OPS.texture_again)
    shown.watch_your_steps.asked = kept
    OPS.disconnect()
    assert "no connection" in refusal("texture_again").lower()
    assert node(thing).image == shown


@keeps_no_pointers
def test_an_edit_whose_base_was_deleted_is_not_made_again(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    chain: list[bpy.types.Image],  # noqa: F811
) -> None:
    bpy.data.images.remove(chain[1])
    assert "was deleted from the file" in refusal_of(OPS.texture_again)
    assert node(thing).image == chain[2]


def test_what_was_applied_at_another_threshold_is_made_again_there(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    edit(connected, scene)
    node(thing).image.watch_your_steps.region.threshold = 0.8
    OPS.apply_texture_threshold()
    again(connected, scene)
    assert np.array_equal(submits(server)[-1].request.mask, np.float32(0.8) <= GREEN)


def test_what_a_cancelled_edit_was_sent_is_not_taken_for_the_next_ones(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    region = preview(connected, scene)
    region.invert = True
    OPS.edit_texture()
    OPS.cancel()
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    assert node(thing).image.watch_your_steps.sent.relevance is None
    scene.watch_your_steps.instruction = "turn it red"
    edit(connected, scene)
    assert "inverted" not in node(thing).image.watch_your_steps.made_with


def wait_for_all(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    """Until nothing runs and nothing waits."""
    session = addon.session
    session.wait(
        lambda: session.job_of(scene) is None and not scene.watch_your_steps.queue, SECONDS
    )


def test_it_waits_behind_a_job_and_reads_the_mesh_when_its_turn_has_come(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    original = node(thing).image
    edit(connected, scene)
    server.manual = True
    OPS.preview_relevance()
    running = connected.session.job_of(scene)
    connected.session.wait(lambda: running.id in server.jobs, SECONDS)
    shown = node(thing).image
    assert OPS.texture_again() == {"FINISHED"}
    assert OPS.texture_again() == {"FINISHED"}
    assert node(thing).image == shown, "until its turn has come"
    thing.location.x += 0.5
    thing.name, original.name = "renamed", "other paint"
    OPS.preview_relevance.poll()
    bpy.ops.object.select_all(action="DESELECT")
    bpy.context.view_layer.objects.active = None
    server.manual = False
    server.finish(running.id)
    wait_for_all(connected, scene)
    first, second = (one.request for one in submits(server)[-2:])
    assert [one.settings.seed for one in (first, second)] == [1, 2]
    assert np.allclose(first.corners[..., 0].mean(), thing.location.x, atol=1e-4)
    assert len(texture_edit.edits_of(original)) == 3
    assert node(thing).image.watch_your_steps.original == original


def test_it_waits_until_edit_mode_is_left(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    edit(connected, scene)
    OPS.texture_again()
    bpy.ops.object.mode_set(mode="EDIT")
    job = connected.session.job_of(scene)
    connected.session.wait(lambda: "until you leave Edit Mode" in job.stage, SECONDS)
    bpy.ops.object.mode_set(mode="OBJECT")
    connected.session.wait_for_job(scene, SECONDS)
    assert submits(server)[-1].request.settings.seed == 1


def test_what_it_waited_for_may_be_gone(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    edit(connected, scene)
    server.manual = True
    OPS.preview_relevance()
    running = connected.session.job_of(scene)
    OPS.texture_again()
    OPS.revert_texture()
    shown = node(thing).image
    server.manual = False
    connected.session.wait(lambda: running.id in server.jobs, SECONDS)
    server.finish(running.id)
    wait_for_all(connected, scene)
    assert "was to be made again is not there any more" in connected.session.message_of(scene)
    assert node(thing).image == shown


def test_it_goes_on_after_a_restart(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    tmp_path: Path,
) -> None:
    edit(connected, scene)
    server.manual = True
    OPS.preview_relevance()
    running = connected.session.job_of(scene)
    connected.session.wait(lambda: running.id in server.jobs, SECONDS)
    OPS.texture_again()
    reopen(connected, tmp_path / "a.blend")
    server.manual = False
    connect(connected, server.file)
    server.finish(running.id)
    scene = bpy.context.scene
    wait_for_all(connected, scene)
    assert OPS.go_on() == {"FINISHED"}
    wait_for_all(connected, scene)
    assert connected.session.message_of(scene) == ""
    assert submits(server)[-1].request.settings.seed == 1
    assert "seed 1" in node(bpy.data.objects["box"]).image.watch_your_steps.made_with
