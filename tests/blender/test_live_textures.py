"""Previews and mixes of textures beside each other: what is done to one leaves the others alone,
none is left behind, and no button says what another one contradicts.
"""

from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, reopen
from fake_server import FakeServer
from test_flows import refusal
from test_make_texture import make, making  # noqa: F401  # a fixture
from test_mesh_views import noise, painted
from test_texture_copies import duplicate, press
from test_texture_edit import edit, linked, node, texture_edit, thing  # noqa: F401  # fixtures
from test_texture_preview import (  # noqa: F401  # fixtures
    baked,
    flat_uvs,
    keeps_no_pointers,
    live,
    preview,
    regions,
)

OPS = bpy.ops.watch_your_steps


def second_texture(thing: bpy.types.Object) -> bpy.types.ShaderNode:  # noqa: F811
    """The node of another one, on half of the faces."""
    painted(thing, noise(24, 32, 5), "second").pack()
    for face in thing.data.polygons:
        face.material_index = face.index % 2
    tree = thing.material_slots[1].material.node_tree
    return next(one for one in tree.nodes if one.type == "TEX_IMAGE")


@pytest.mark.parametrize("what", ["ORIGINAL", "EDITED", "revert"])
def test_the_moved_threshold_of_another_texture_stays(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,  # noqa: F811
    texture_edit: ModuleType,  # noqa: F811
    what: str,
) -> None:
    beside = second_texture(thing)
    OPS.choose_texture(image="paint")
    edit(connected, scene)
    first = node(thing).image
    OPS.choose_texture(image="second")
    edit(connected, scene)
    second = beside.image
    first.watch_your_steps.region.threshold = 0.8
    assert texture_edit.shown(thing, second, "CYCLES") == "EDITED"
    if what == "revert":
        OPS.revert_texture()
    else:
        OPS.show_texture(what=what)
    assert live.mixed(thing) == [first]
    assert beside.image == (second if what == "EDITED" else bpy.data.images["second"])


def test_a_threshold_that_is_moved_back_shows_the_edit_itself(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,  # noqa: F811
) -> None:
    """The next edit on top would keep another one of the very same pixels."""
    edit(connected, scene)
    first, count = node(thing).image, len(thing.active_material.node_tree.nodes)
    other = duplicate(thing)
    first.watch_your_steps.region.threshold = 0.8
    assert live.mixed(thing) == live.mixed(other) == [first]
    OPS.reset_texture_threshold()
    for one in (thing, other):
        assert live.mixed(one) == []
        assert node(one).image == first
        assert len(one.active_material.node_tree.nodes) == count
    scene.watch_your_steps.texture.base = "EDIT"
    edit(connected, scene)
    assert node(thing).image.watch_your_steps.original == first


def test_another_edit_that_is_deleted_leaves_one_that_is_shown_mixed(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,  # noqa: F811
) -> None:
    edit(connected, scene)
    first = node(thing).image
    edit(connected, scene)
    second = node(thing).image
    OPS.show_texture(what="EDITED", edit=first.name_full)
    first.watch_your_steps.region.threshold = 0.8
    OPS.delete_texture_edit(edit=second.name_full)
    assert live.mixed(thing) == [first]
    OPS.revert_texture()
    assert (live.mixed(thing), node(thing).image.name) == ([], "paint")


@keeps_no_pointers
def test_an_edit_whose_relevance_was_deleted_is_shown_by_itself(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,  # noqa: F811
) -> None:
    edit(connected, scene)
    first = node(thing).image
    first.watch_your_steps.region.threshold = 0.8
    bpy.data.images.remove(first.watch_your_steps.relevance)
    OPS.show_texture(what="EDITED")
    assert (live.mixed(thing), node(thing).image) == ([], first)
    edit(connected, scene)


# ---------------------------------------------------------------- nothing is left behind


def test_a_cleared_preview_is_shown_by_no_duplicate(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,  # noqa: F811
) -> None:
    preview(connected, scene)
    other = duplicate(thing)
    assert live.is_previewed(other)
    OPS.clear_texture_preview()
    assert not live.is_previewed(other)
    assert not bpy.data.node_groups


@keeps_no_pointers
def test_a_preview_whose_maps_were_deleted_can_be_switched_off(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,  # noqa: F811
) -> None:
    region = preview(connected, scene)
    for name in ("relevance", "edges", "things"):
        bpy.data.images.remove(getattr(region, name))
    assert not OPS.make_texture.poll(), "it says: switch Show on Mesh off first"
    OPS.show_texture_preview()
    assert not live.is_previewed(thing)
    assert OPS.make_texture.poll()
    assert not OPS.show_texture_preview.poll()


def test_a_preview_that_a_linked_image_forgets_can_be_switched_off(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    linked(thing, tmp_path, "image")
    preview(connected, scene)
    reopen(connected, tmp_path / "a.blend")
    box = bpy.context.view_layer.objects.active = bpy.data.objects["box"]
    assert live.is_previewed(box)
    OPS.show_texture_preview()
    assert not live.is_previewed(box)


# ---------------------------------------------------------------- copies of images


def single_user(thing: bpy.types.Object) -> bpy.types.Image:  # noqa: F811
    """Give an object's texture node a copy of its image, as Blender's button does."""
    node(thing).image = node(thing).image.copy()
    copy: bpy.types.Image = node(thing).image
    return copy


def test_the_copy_of_an_image_has_a_preview_of_its_own(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    regions: ModuleType,  # noqa: F811
    live: ModuleType,  # noqa: F811
) -> None:
    flat_uvs(thing)
    scene.watch_your_steps.texture.snap = "nothing"
    region = preview(connected, scene)
    other = duplicate(thing)
    copy = single_user(other)
    before = baked(scene, thing)
    copy.watch_your_steps.preview.threshold = 0.9
    assert np.array_equal(baked(scene, thing), before)
    assert not np.allclose(baked(scene, other), before)
    scene.watch_your_steps.instruction = "turn the ball red"
    preview(connected, scene)
    copy.watch_your_steps.preview.threshold = 0.2
    assert np.array_equal(baked(scene, thing), before)
    region.threshold = 0.7
    there = baked(scene, other)
    region.threshold = 0.4
    assert np.array_equal(baked(scene, other), there)
    OPS.clear_texture_preview()
    assert not live.is_previewed(other)
    assert regions.chosen_map(region) is not None
    assert np.array_equal(baked(scene, thing), before)


def test_the_copy_of_an_edit_has_a_threshold_of_its_own(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    live: ModuleType,  # noqa: F811
) -> None:
    flat_uvs(thing)
    edit(connected, scene)
    first = node(thing).image
    first.watch_your_steps.region.threshold = 0.8
    other = duplicate(thing)
    copy = first.copy()
    other.active_material.node_tree.nodes.remove(
        next(one for one in other.active_material.node_tree.nodes if one.type == "GROUP")
    )
    node(other).image = copy
    tree = other.active_material.node_tree
    tree.links.new(node(other).outputs[0], tree.nodes["Principled BSDF"].inputs["Base Color"])
    before = baked(scene, thing)
    copy.watch_your_steps.region.threshold = 0.95
    assert (live.mixed(thing), live.mixed(other)) == ([first], [copy])
    assert np.array_equal(baked(scene, thing), before)
    press("revert_texture", other)
    assert np.array_equal(baked(scene, thing), before)
    assert live.mixed(thing) == [first]


def test_the_copy_of_an_original_has_no_edits(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    texture_edit: ModuleType,  # noqa: F811
) -> None:
    """They would be reverted where they are not seen."""
    edit(connected, scene)
    OPS.show_texture(what="ORIGINAL")
    other = duplicate(thing)
    single_user(other)
    assert texture_edit.texture_of(other) is None
    assert texture_edit.texture_of(thing) is not None


# ---------------------------------------------------------------- two at once


def test_a_texture_is_edited_in_one_scene_at_a_time(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    """The second would take the region of the first."""
    region = preview(connected, scene)
    region.snap, region.threshold = "nothing", 0.6
    other = bpy.data.scenes.new("other")
    other.collection.objects.link(thing)
    texture = other.watch_your_steps.texture
    texture.views, texture.size, texture.lit = 3, 24, False
    other.watch_your_steps.instruction = "turn the ball red"
    server.manual = True
    OPS.edit_texture()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    bpy.context.window.scene = other
    other.view_layers[0].objects.active = thing
    assert 'is being edited in the scene "Scene"' in refusal("edit_texture")
    server.finish(job)
    connected.session.wait_for_job(scene, SECONDS)
    assert node(thing).image.watch_your_steps.region.made_at == pytest.approx(0.6)
    server.manual = False
    edit(connected, other)


@pytest.mark.parametrize("moved", [False, True])
def test_a_texture_that_is_made_of_an_edit_is_a_texture_of_its_own(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    making: ModuleType,  # noqa: F811
    texture_edit: ModuleType,  # noqa: F811
    live: ModuleType,  # noqa: F811
    moved: bool,
) -> None:
    edit(connected, scene)
    first = node(thing).image
    if moved:
        first.watch_your_steps.region.threshold = 0.8
    scene.watch_your_steps.texture.make_size = "512"
    image = make(connected, making)
    assert live.mixed(thing) == []
    assert texture_edit.texture_of(thing, image) is None, "the edit is not seen any more"
    edit(connected, scene)
    assert node(thing).image.watch_your_steps.original == image
    OPS.revert_texture()
    OPS.revert_making()
    assert live.mixed(thing) == ([first] if moved else [])
    assert texture_edit.shown(thing, first, "CYCLES") == "EDITED"
