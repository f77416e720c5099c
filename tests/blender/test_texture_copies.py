"""Edits of a texture that several objects show, such as duplicates: what is done to one object
leaves the others alone, and no edit is lost.
"""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, reopen
from fake_server import FakeServer
from test_texture_edit import node, texture_edit, thing  # noqa: F401  # fixtures

OPS = bpy.ops.watch_your_steps


def duplicate(original: bpy.types.Object, *, linked: bool = False) -> bpy.types.Object:
    """As Shift+D, and a material of its own where `linked` does not say otherwise."""
    made = original.copy()
    made.data = original.data.copy()
    bpy.context.scene.collection.objects.link(made)
    made.location.x += 3
    if not linked:
        made.data.materials[0] = made.data.materials[0].copy()
    return made


def edit(addon: SimpleNamespace, one: bpy.types.Object, seed: int) -> bpy.types.Image:
    bpy.context.view_layer.objects.active = one
    scene = bpy.context.scene
    scene.watch_your_steps.seed = seed
    OPS.edit_texture()
    addon.session.wait_for_job(scene, SECONDS)
    return node(one).image


def press(operator: str, one: bpy.types.Object, **given: str) -> None:
    bpy.context.view_layer.objects.active = one
    getattr(OPS, operator)(**given)


def test_revert_of_a_duplicate_leaves_the_other_edited(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    original = node(thing).image
    made = edit(connected, thing, 0)
    other = duplicate(thing)
    press("revert_texture", other)
    assert node(other).image == original
    assert node(thing).image == made
    press("show_texture", thing, what="ORIGINAL")
    press("show_texture", thing, what="EDITED")
    assert node(thing).image == made
    press("revert_texture", thing)
    assert node(thing).image == original
    assert "paint (edited)" not in bpy.data.images, "nobody shows it any more"


def test_objects_of_one_material_are_reverted_together(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    original = node(thing).image
    edit(connected, thing, 0)
    other = duplicate(thing, linked=True)
    press("revert_texture", other)
    assert node(thing).image == node(other).image == original
    assert "paint (edited)" not in bpy.data.images


def test_each_duplicate_goes_back_to_its_own_edit(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    tmp_path: Path,
) -> None:
    other = duplicate(thing)
    first, second = edit(connected, thing, 1), edit(connected, other, 2)
    assert first != second
    for one in (thing, other):
        press("show_texture", one, what="ORIGINAL")
    names = (first.name, second.name, thing.name, other.name)
    reopen(connected, tmp_path / "a.blend")
    first, second = (bpy.data.images[name] for name in names[:2])
    thing_now, other_now = (bpy.data.objects[name] for name in names[2:])
    press("show_texture", thing_now, what="EDITED")
    press("show_texture", other_now, what="EDITED")
    assert (node(thing_now).image, node(other_now).image) == (first, second)


def test_every_edit_of_a_texture_stays_with_its_settings(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    texture_edit: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    original = node(thing).image
    scene = bpy.context.scene
    scene.watch_your_steps.texture.steps = 7
    first = edit(connected, thing, 11)
    press("show_texture", thing, what="ORIGINAL")
    scene.watch_your_steps.instruction = "turn the ball red"
    second = edit(connected, thing, 12)
    assert texture_edit.edits_of(original)[::-1] in ([first, second], [second, first])
    names = (first.name, second.name, thing.name)
    for number in range(2):
        reopen(connected, tmp_path / f"{number}.blend")
        bpy.ops.outliner.orphans_purge(do_recursive=True)
    first, second = (bpy.data.images[name] for name in names[:2])
    box = bpy.data.objects[names[2]]
    edits = importlib.import_module(texture_edit.__name__).edits_of(second)
    assert set(edits) == {first, second}
    mine = first.watch_your_steps
    assert mine.instruction == "turn the ball blue"
    for part in ("demo", "seed 11", "7 steps", "3 views", "threshold 0.400"):
        assert part in mine.made_with
    press("show_texture", box, what="EDITED", edit=first.name_full)
    assert node(box).image == first
    assert np.ptp(connected.mesh_reading.read_texture(first)) > 0
    press("show_texture", box, what="EDITED", edit=second.name_full)
    assert node(box).image == second


@pytest.mark.parametrize("shown", ["EDITED", "ORIGINAL"])
def test_an_edit_in_an_appended_or_copied_scene_is_reverted_alone(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    shown: str,
) -> None:
    original, made = node(thing).image, edit(connected, thing, 0)
    press("show_texture", thing, what=shown)
    bpy.ops.scene.new(type="FULL_COPY")
    copy = bpy.context.window.scene
    there = next(one for one in copy.objects if one.name.startswith("box"))
    assert there != thing
    if there.active_material == thing.active_material:
        there.data.materials[0] = there.active_material.copy()
    copy.view_layers[0].objects.active = there
    OPS.show_texture(what="EDITED")
    OPS.revert_texture()
    assert node(there).image == original
    bpy.context.window.scene = scene
    assert node(thing).image == (made if shown == "EDITED" else original)
    OPS.show_texture(what="EDITED")
    assert node(thing).image == made


@pytest.mark.parametrize("saved", [False, True])
def test_materials_may_be_renamed_after_their_edits(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    tmp_path: Path,
    saved: bool,
) -> None:
    """Even to each other's names, and to that of a material that was copied since."""
    other = duplicate(thing)
    first, second = edit(connected, thing, 1), edit(connected, other, 2)
    for one in (thing, other):
        press("show_texture", one, what="ORIGINAL")
    third = duplicate(thing)
    materials = [one.active_material for one in (thing, other, third)]
    names = [one.name for one in materials]
    for one in materials:
        one.name = "free"
    for one, name in zip(materials, [names[1], "oak", names[0]], strict=True):
        one.name = name
    assert [one.name for one in materials] == [names[1], "oak", names[0]]
    if saved:
        found = [one.name for one in (thing, other, third, first, second)]
        reopen(connected, tmp_path / "a.blend")
        thing, other, third = (bpy.data.objects[one] for one in found[:3])
        first, second = (bpy.data.images[one] for one in found[3:])
        materials = [one.active_material for one in (thing, other, third)]
    press("show_texture", thing, what="EDITED")
    press("show_texture", other, what="EDITED")
    assert (node(thing).image, node(other).image) == (first, second)
    press("revert_texture", third)
    assert (node(thing).image, node(other).image) == (first, second), "they were not made for it"
    press("show_texture", thing, what="ORIGINAL")
    press("revert_texture", third)
    assert first.name in bpy.data.images, "the renamed one goes back to it"


def test_an_edit_of_a_version_that_knew_names_only_is_found_by_them(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    tmp_path: Path,
) -> None:
    other = duplicate(thing)
    first, second = edit(connected, thing, 1), edit(connected, other, 2)
    for one in (thing, other):
        press("show_texture", one, what="ORIGINAL")
        material = one.active_material.watch_your_steps
        material.mark = material.mark_of = ""
    for one in (first, second):
        one.watch_your_steps.made_for_marks = ""
    names = [one.name for one in (thing, other, first, second)]
    reopen(connected, tmp_path / "a.blend")
    thing, other = (bpy.data.objects[one] for one in names[:2])
    press("show_texture", thing, what="EDITED")
    press("show_texture", other, what="EDITED")
    assert [node(one).image.name for one in (thing, other)] == names[2:]


def test_a_file_that_was_saved_without_the_add_on_has_each_mark_once(
    connected: SimpleNamespace,
    thing: bpy.types.Object,  # noqa: F811
    installed: str,
) -> None:
    marks = importlib.import_module(f"{installed}.data.meshes.material_marks")
    made = edit(connected, thing, 1)
    copy = thing.active_material.copy()
    assert copy.watch_your_steps.mark == thing.active_material.watch_your_steps.mark
    assert not marks.is_made_for(made, copy)
    marks.claim_all()
    assert marks.is_made_for(made, thing.active_material)
    assert not marks.is_made_for(made, copy)
    assert copy.watch_your_steps.mark == ""
