"""Undo while jobs run and results wait: Blender keeps data-blocks that are the same in two undo
steps, with all that was set since, and frees what no step knows.
"""

import importlib
from collections.abc import Iterator
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, edit, here, preview, start_manual
from fake_server import FakeServer, relevance_of
from test_texture_edit import node, thing  # noqa: F401  # fixtures

OPS = bpy.ops.watch_your_steps


def move(steps: int) -> None:
    """Undo steps in all of which the scene is the same."""
    for number in range(steps):
        bpy.data.objects["ball"].location.x = number
        bpy.ops.ed.undo_push(message=f"move {number}")


def overwrite_freed_memory() -> None:
    """What is freed is soon something else."""
    for number in range(200):
        bpy.data.images.new(f"filler {number}", 4, 4)


def set_aside() -> list[str]:
    """What stays in the scene of what is only there while Blender undoes."""
    return [name for name, _ in bpy.context.scene.items() if name != "watch_your_steps"]


def test_the_picture_of_a_job_is_still_its_own_after_undo(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    """Blender crashed here, or took another image for the job's render."""
    move(4)
    job = start_manual(connected, scene, server)
    sent = server.jobs[job].image
    for _ in range(3):
        bpy.ops.ed.undo()
        overwrite_freed_memory()
        assert here().job == job
        assert np.array_equal(connected.pictures.read_rgb(here().pending_image), sent)
    for _ in range(2):
        bpy.ops.ed.redo()
        overwrite_freed_memory()
        assert np.array_equal(connected.pictures.read_rgb(here().pending_image), sent)
    server.finish(job)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert np.array_equal(connected.pictures.read_rgb(here().render_image), sent)
    assert np.array_equal(connected.pictures.read_gray(here().relevance_image), relevance_of(sent))


def test_what_is_kept_is_still_there_after_undo(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    preview(connected, scene)
    made = edit(connected).copy()
    move(3)
    names = ("render_image", "relevance_image", "mask_image", "edit_image")
    before = [getattr(here(), name).session_uid for name in names]
    for step in ("undo", "undo", "redo"):
        getattr(bpy.ops.ed, step)()
        assert [getattr(here(), name).session_uid for name in names] == before
        assert np.array_equal(connected.pictures.read_rgb(here().edits[0].image), made)
        assert set_aside() == []


@pytest.fixture
def in_edit_mode(scene: bpy.types.Scene) -> Iterator[None]:
    """The ball is edited, after some steps in which the scene is the same."""
    move(4)
    bpy.context.view_layer.objects.active = bpy.data.objects["ball"]
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.ed.undo_push(message="Edit Mode")
    bpy.ops.mesh.subdivide()
    bpy.ops.ed.undo_push(message="Subdivide")
    yield
    if bpy.context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")


@pytest.mark.usefixtures("in_edit_mode")
def test_undo_out_of_edit_mode_loses_no_result_that_came_there(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    """Blender crashed here: no undo step had its images."""
    preferences = bpy.context.preferences
    preferences.view.show_developer_ui = False
    preferences.is_dirty = False
    preview(connected, scene)
    made = edit(connected).copy()
    for mode in ("EDIT_MESH", "OBJECT", "OBJECT"):
        bpy.ops.ed.undo()
        assert bpy.context.mode == mode
        overwrite_freed_memory()
        assert [one.instruction for one in here().edits] == ["turn the ball blue"]
        assert np.array_equal(connected.pictures.read_rgb(here().edits[0].image), made)
        render = connected.pictures.read_rgb(here().render_image)
        shown = connected.pictures.read_gray(here().relevance_image)
        assert np.array_equal(shown, relevance_of(render))
    assert not preferences.is_dirty
    assert not preferences.view.show_developer_ui
    assert not preferences.experimental.use_undo_legacy
    connected.session.drain()
    assert connected.session.state.undo_steps == []
    bpy.ops.ed.undo()
    assert [*here().edits] == [], "an undo step of its own"
    bpy.ops.ed.redo()
    assert np.array_equal(connected.pictures.read_rgb(here().edits[0].image), made)


def test_undo_with_nothing_to_undo(connected: SimpleNamespace, scene: bpy.types.Scene) -> None:
    bpy.ops.ed.undo_push(message="first")
    preview(connected, scene)
    for _ in range(4):
        if bpy.ops.ed.undo.poll():
            bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    assert set_aside() == []


def test_all_that_scenes_point_to_can_be_found_again(installed: str) -> None:
    """A pointer to another kind of data-block needs a place in undoing.BLOCKS."""
    blocks = importlib.import_module(f"{installed}.data.undoing").BLOCKS
    names = {getattr(bpy.data, one).rna_type.identifier for one in blocks.values()}
    found: set[str] = set()

    def walk(struct: bpy.types.Struct) -> None:
        for prop in struct.properties:
            if prop.identifier == "rna_type" or prop.type not in ("POINTER", "COLLECTION"):
                continue
            kind = prop.fixed_type
            if kind.base is not None and kind.base.identifier == "PropertyGroup":
                walk(kind)
            else:
                found.add(kind.identifier)

    walk(bpy.types.Scene.bl_rna.properties["watch_your_steps"].fixed_type)
    assert found
    one = {"Collection": "COLLECTION", "Image": "IMAGE", "NodeTree": "NODETREE", "Object": "OBJECT"}
    assert {one[kind] for kind in found} <= blocks.keys(), names


@pytest.mark.parametrize("operator", ["preview_texture", "edit_texture"])
def test_undo_out_of_edit_mode_loses_no_texture_that_came_there(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    operator: str,
) -> None:
    """Materials and node groups pointed to what no undo step had, too."""
    move(4)
    server.manual = True
    getattr(OPS, operator)()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    bpy.context.view_layer.objects.active = bpy.data.objects["ball"]
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.ed.undo_push(message="Edit Mode")
    bpy.ops.mesh.subdivide()
    bpy.ops.ed.undo_push(message="Subdivide")
    server.finish(job)
    connected.session.wait_for_job(scene, SECONDS)

    def shown() -> list[tuple[str, tuple[float, ...]]]:
        image = node(bpy.data.objects["box"]).image
        own = image.watch_your_steps
        images = (image, own.preview.relevance, own.relevance, own.original)
        return [(one.name, tuple(one.pixels[:])) for one in images if one is not None]

    before = shown()
    assert len(before) > 1
    for mode in ("EDIT_MESH", "OBJECT", "OBJECT"):
        bpy.ops.ed.undo()
        assert bpy.context.mode == mode
        overwrite_freed_memory()
        assert shown() == before
    connected.session.drain()
    assert connected.session.state.unrecorded == []
    bpy.ops.ed.undo()
    assert node(bpy.data.objects["box"]).image.name == "paint"
    bpy.ops.ed.redo()
    assert shown() == before


def test_a_mesh_that_was_undone_is_not_painted(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    """The scene pointed to the object of its job, which no step had."""
    thing.users_collection[0].objects.unlink(thing)
    apart = bpy.data.collections.new("apart")
    scene.collection.children.link(apart)
    bpy.ops.ed.undo_push(message="a collection")
    apart.objects.link(thing)
    bpy.ops.ed.undo_push(message="a mesh in it")
    bpy.context.view_layer.objects.active = thing
    server.manual = True
    OPS.edit_texture()
    job = connected.session.job_of(scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    for _ in range(2):
        if bpy.ops.ed.undo.poll():
            bpy.ops.ed.undo()
        overwrite_freed_memory()
        assert here().job_object in (None, *bpy.data.objects)
    server.finish(job)
    connected.session.wait(lambda: not connected.session.state.jobs, SECONDS)
    assert "defect" not in connected.session.message_of(bpy.context.scene)
