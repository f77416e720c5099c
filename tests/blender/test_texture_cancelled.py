"""A texture's job that ends without a result leaves the mesh as it was, and nothing behind."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS
from fake_server import FakeServer
from test_texture_edit import edit, node, texture_edit, thing  # noqa: F401  # fixtures
from test_texture_preview import live, preview  # noqa: F401  # a fixture

OPS = bpy.ops.watch_your_steps


def blocks() -> dict[str, list[str]]:
    """Names of all that a job could leave behind."""
    kinds = ("images", "node_groups", "materials", "objects", "meshes")
    return {kind: sorted(one.name for one in getattr(bpy.data, kind)) for kind in kinds}


def cancelled(addon: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer) -> None:
    job = addon.session.job_of(scene)
    addon.session.wait(lambda: job.id in server.jobs, SECONDS)
    OPS.cancel()
    addon.session.wait(lambda: addon.session.job_of(scene) is None, SECONDS)


def failed(addon: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer) -> None:
    job = addon.session.job_of(scene)
    addon.session.wait(lambda: job.id in server.jobs, SECONDS)
    server.fail(job.id, "out_of_memory", "There is no memory left.")
    addon.session.wait(lambda: addon.session.job_of(scene) is None, SECONDS)


def cancelled_at_once(addon: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer) -> None:
    OPS.cancel()
    addon.session.wait(lambda: addon.session.job_of(scene) is None, SECONDS)


ENDS = pytest.mark.parametrize("end", [cancelled, failed, cancelled_at_once])
End = Callable[[SimpleNamespace, bpy.types.Scene, FakeServer], None]


@ENDS
@pytest.mark.parametrize("operator", ["edit_texture", "preview_texture"])
def test_a_preview_is_shown_again_with_its_correction(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,  # noqa: F811
    operator: str,
    end: End,
) -> None:
    region = preview(connected, scene)
    region.paint = bpy.data.images.new("correction", 32, 24, alpha=True)
    region.paint.pixels.foreach_set(np.zeros(32 * 24 * 4, np.float32))  # nothing yet
    region.paint.pack()
    region.threshold = 0.35
    live.refresh(region)
    before = blocks()
    server.manual = True
    getattr(OPS, operator)()
    end(connected, scene, server)
    assert blocks() == before
    assert live.is_previewed(thing)
    assert region.threshold == np.float32(0.35)
    assert region.paint == bpy.data.images["correction"]


@ENDS
@pytest.mark.parametrize("base", ["ORIGINAL", "EDIT"])
@pytest.mark.parametrize("moved", [False, True])
def test_an_edit_is_shown_again_at_its_threshold(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,  # noqa: F811
    base: str,
    moved: bool,
    end: End,
) -> None:
    edit(connected, scene)
    edited = node(thing).image
    if moved:
        edited.watch_your_steps.region.threshold = 0.8
        assert live.mixed(thing) == [edited]
    before = blocks()
    server.manual = True
    scene.watch_your_steps.texture.base = base
    OPS.edit_texture()
    end(connected, scene, server)
    assert blocks() == before
    assert live.mixed(thing) == ([edited] if moved else [])
    assert moved or node(thing).image == edited
    threshold = edited.watch_your_steps.region.threshold
    assert (threshold == np.float32(0.8)) == moved


@ENDS
def test_made_again_it_is_the_same(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    end: End,
) -> None:
    preview(connected, scene)
    edit(connected, scene)
    edited = node(thing).image
    before = blocks()
    server.manual = True
    OPS.texture_again()
    end(connected, scene, server)
    assert blocks() == before
    assert node(thing).image == edited


def test_what_the_artist_has_chosen_meanwhile_stays(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    edit(connected, scene)
    first = node(thing).image
    edit(connected, scene)
    second = node(thing).image
    assert first != second
    server.manual = True
    OPS.edit_texture()
    OPS.show_texture(what="EDITED", edit=first.name_full)
    cancelled_at_once(connected, scene, server)
    assert node(thing).image == first


def test_after_an_undo_all_is_well(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,  # noqa: F811
) -> None:
    preview(connected, scene)
    bpy.ops.ed.undo_push(message="before")
    server.manual = True
    OPS.edit_texture()
    bpy.ops.ed.undo_push(message="beside it")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    before = blocks()
    cancelled_at_once(connected, scene, server)
    assert live.is_previewed(bpy.data.objects["box"])
    assert blocks() == before
