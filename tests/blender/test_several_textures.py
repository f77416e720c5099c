"""The textures of several selected meshes, edited one after the other with one instruction."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, reopen
from fake_server import FakeServer, edited, relevance_of
from test_flows import refusal, submits
from test_mesh_views import noise, painted
from test_texture_again import wait_for_all
from test_texture_copies import duplicate
from test_texture_edit import edit, node, pixels, texture_edit, thing  # noqa: F401  # fixtures
from test_texture_preview import preview, refusal_of, regions  # noqa: F401

OPS = bpy.ops.watch_your_steps


def another(name: str, seed: int) -> bpy.types.Object:
    """A cube with a texture of its own."""
    bpy.ops.mesh.primitive_cube_add(size=1, location=(3 * seed, 0, 2))
    made = bpy.context.object
    made.name = name
    painted(made, noise(24, 32, seed), name).pack()
    return made


def select(*things: bpy.types.Object) -> None:
    """The first is active."""
    for one in bpy.context.view_layer.objects:
        one.select_set(one in things)
    bpy.context.view_layer.objects.active = things[0]


def wanted(seed: int, threshold: float = 0.4) -> np.ndarray:
    made = noise(24, 32, seed)
    made[..., :3] = edited(made[..., :3], relevance_of(made) >= np.float32(threshold))
    return made


def test_each_becomes_an_edit_of_its_own_as_it_was_asked_for(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    others = [another("second", 1), another("third", 2)]
    select(others[0], thing, others[1])
    assert OPS.edit_textures() == {"FINISHED"}
    scene.watch_your_steps.instruction = "something else"
    scene.watch_your_steps.seed = 99
    others[1].name = "renamed"
    wait_for_all(connected, scene)
    requests = [one.request for one in submits(server)]
    assert [one.instruction for one in requests] == ["turn the ball blue"] * 3
    assert [one.settings.seed for one in requests] == [0] * 3
    for seed, one in enumerate((thing, *others)):
        shown = node(one).image
        assert shown.name.endswith("(edited)")
        assert np.array_equal(pixels(connected.mesh_reading, shown), wanted(seed)), one.name
    sent = [one.texture for one in requests]
    assert np.array_equal(sent[0], noise(24, 32, 1)), "the active one first"
    bpy.context.view_layer.objects.active = thing
    OPS.revert_texture()
    assert node(thing).image.name == "paint"
    assert node(others[0]).image.name.endswith("(edited)"), "the others stay"


def test_undo_takes_them_back_one_by_one(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    other = another("second", 1)
    select(thing, other)
    bpy.ops.ed.undo_push(message="before")
    OPS.edit_textures()
    wait_for_all(connected, scene)
    for count in (1, 0):
        bpy.ops.ed.undo()
        shown = [node(bpy.data.objects[one]).image.name for one in ("box", "second")]
        assert sum("edited" in one for one in shown) == count
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    shown = [node(bpy.data.objects[one]).image.name for one in ("box", "second")]
    assert all("edited" in one for one in shown)


def test_a_preview_is_the_region_of_its_own_texture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    regions: ModuleType,  # noqa: F811
) -> None:
    other = another("second", 1)
    select(thing)
    scene.watch_your_steps.texture.snap = "nothing"
    region = preview(connected, scene)
    region.threshold = 0.7
    inside = regions.mask(region)
    select(other, thing)
    OPS.edit_textures()
    wait_for_all(connected, scene)
    masks = [one.request.mask for one in submits(server)[1:]]
    assert masks[0] is None
    assert np.array_equal(masks[1], inside)
    assert np.array_equal(pixels(connected.mesh_reading, node(thing).image), wanted(0, 0.7))


def test_one_that_does_not_work_leaves_the_others(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    gone, bad = another("gone", 1), another("bad", 2)
    bpy.ops.mesh.primitive_cube_add(size=1, location=(9, 0, 2))
    plain = bpy.context.object
    copy = duplicate(thing)
    lamp = scene.objects["camera"]
    select(bad, gone, thing, plain, copy, lamp)
    server.manual = True
    OPS.preview_relevance()
    running = connected.session.job_of(scene)
    connected.session.wait(lambda: running.id in server.jobs, SECONDS)
    assert OPS.edit_textures() == {"FINISHED"}
    bad.active_material.node_tree.nodes.clear()
    bpy.data.objects.remove(gone)
    server.manual = False
    server.finish(running.id)
    wait_for_all(connected, scene)
    said = connected.session.message_of(scene)
    assert 'Texture edit of "bad" failed: "bad" has no faces with an image texture' in said
    assert 'Texture edit of "gone" failed: the mesh is not in the scene any more.' in said
    assert np.array_equal(pixels(connected.mesh_reading, node(thing).image), wanted(0))
    textures = [one for one in submits(server) if hasattr(one.request, "texture")]
    assert len(textures) == 1, "the copy shows the same texture"


def test_what_is_said_names_the_mesh_that_it_is_about(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    select(thing, another("second", 1), another("third", 2))
    server.manual = True
    OPS.edit_textures()
    said = []
    for notes in (("One of its own.",), ("The same.", "And more."), ("The same.", "And more.")):
        running = connected.session.job_of(scene)
        connected.session.wait(lambda one=running: one.id in server.jobs, SECONDS)
        server.notes = notes
        server.finish(running.id)
        connected.session.wait(lambda one=running: one.id not in connected.session.state.jobs, 9)
        said.append(connected.session.message_of(scene))
    own = 'Texture edit of "box" has a note: One of its own.'
    assert said == [
        own,
        f'{own} Texture edit of "second" has a note: The same. And more.',
        f'{own} Texture edit of "second" and 1 more have a note: The same. And more.',
    ]
    assert not scene.watch_your_steps.queue
    kept = {name: node(bpy.data.objects[name]).image for name in ("box", "second", "third")}
    assert {name: one.watch_your_steps.notes for name, one in kept.items()} == {
        "box": "One of its own.",
        "second": "The same. And more.",
        "third": "The same. And more.",
    }


def test_an_edit_below_is_edited_further_where_that_is_asked_for(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    other = another("second", 1)
    select(thing)
    edit(connected, scene)
    first = node(thing).image
    scene.watch_your_steps.texture.base = "EDIT"
    select(other, thing)
    OPS.edit_textures()
    scene.watch_your_steps.texture.base = "ORIGINAL"
    wait_for_all(connected, scene)
    assert node(thing).image.watch_your_steps.original == first
    assert node(other).image.watch_your_steps.original.name == "second"


def test_it_needs_several_meshes_with_a_texture(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    select(thing)
    assert "Select two meshes" in refusal_of(OPS.edit_textures)
    plain = []
    for place in (5, 7):
        bpy.ops.mesh.primitive_cube_add(size=1, location=(place, 0, 2))
        plain.append(bpy.context.object)
    select(*plain)
    assert "None of the selected objects has an image texture" in refusal("edit_textures")
    select(thing, another("second", 1))
    scene.watch_your_steps.instruction = " "
    assert "instruction is empty" in refusal("edit_textures")
    assert submits(server) == []
    assert scene.watch_your_steps.queue == ""


def test_they_go_on_after_a_restart(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    tmp_path: Path,
) -> None:
    others = [another("second", 1), another("third", 2)]
    server.manual = True
    OPS.preview_relevance()
    running = connected.session.job_of(scene)
    connected.session.wait(lambda: running.id in server.jobs, SECONDS)
    select(thing, *others)
    OPS.edit_textures()
    scene.watch_your_steps.instruction = "something else"
    reopen(connected, tmp_path / "a.blend")
    bpy.data.objects.remove(bpy.data.objects["third"])
    server.manual = False
    connect(connected, server.file)
    server.finish(running.id)
    scene = bpy.context.scene
    wait_for_all(connected, scene)
    assert OPS.go_on() == {"FINISHED"}
    assert '"turn the ball blue" (third) cannot go on' in connected.session.message_of(scene)
    wait_for_all(connected, scene)
    for seed, name in enumerate(("box", "second")):
        shown = node(bpy.data.objects[name]).image
        found = pixels(connected.mesh_reading, shown)[..., :3]  # the file has no alpha
        assert np.array_equal(found, wanted(seed)[..., :3]), name
        assert shown.watch_your_steps.instruction == "turn the ball blue"


def wait_in_line(
    connected: SimpleNamespace, server: FakeServer, *things: bpy.types.Object
) -> Callable[[], None]:
    """Edit their textures, of which only the first is begun; what lets all go on."""
    select(*things)
    server.manual = True
    OPS.edit_textures()
    job = connected.session.job_of(bpy.context.scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)

    def go_on() -> None:
        server.manual = False
        server.finish(job)
        wait_for_all(connected, bpy.context.scene)

    return go_on


def test_the_texture_is_edited_that_was_chosen_when_it_was_asked_for(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    """Of an object that has two of them."""
    main, material = node(thing).image, thing.active_material.copy()
    second = next(one for one in material.node_tree.nodes if one.type == "TEX_IMAGE")
    second.image = main.copy()
    thing.data.materials.append(material)
    thing.data.polygons[0].material_index = 1
    scene.watch_your_steps.texture.image = second.image
    go_on = wait_in_line(connected, server, another("first", 1), thing)
    scene.watch_your_steps.texture.image = main
    go_on()
    assert second.image.name.endswith("(edited)")
    assert node(thing).image == main


def exclude(thing: bpy.types.Object) -> None:  # noqa: F811
    part = bpy.context.view_layer.layer_collection.children[thing.users_collection[0].name]
    part.exclude = True


@pytest.mark.parametrize(
    "hide",
    [
        exclude,
        lambda one: setattr(one, "hide_viewport", True),
        lambda one: setattr(one.users_collection[0], "hide_viewport", True),
        lambda one: one.hide_set(True),
    ],
)
def test_a_mesh_that_is_hidden_by_then_has_its_modifiers(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    hide: Callable[[bpy.types.Object], None],
) -> None:
    """As the views show it with them."""
    inside = bpy.data.collections.new("inside")
    scene.collection.children.link(inside)
    thing.users_collection[0].objects.unlink(thing)
    inside.objects.link(thing)
    thing.modifiers.new("Array", "ARRAY")
    go_on = wait_in_line(connected, server, another("first", 1), thing)
    hide(thing)
    hidden = (thing.hide_viewport, inside.hide_viewport, thing.visible_get())
    go_on()
    assert len(submits(server)[-1].request.corners) == 24
    assert node(thing).image.name.endswith("(edited)")
    assert (thing.hide_viewport, inside.hide_viewport, thing.visible_get()) == hidden
    assert [one.name for one in thing.users_collection] == ["inside"]
