"""What an artist does while the views of a mesh are rendered: the views, the mesh and the texture
that are sent belong together, or nothing is sent.
"""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS
from fake_server import FakeServer
from test_flows import submits
from test_mesh_views import noise
from test_texture_copies import duplicate
from test_texture_edit import node, pixels, thing  # noqa: F401  # a fixture
from test_texture_preview import flat_uvs, live, preview  # noqa: F401  # a fixture

OPS = bpy.ops.watch_your_steps


def light(scene: bpy.types.Scene) -> None:
    """Views in the scene's light."""
    scene.watch_your_steps.texture.lit = True
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.world = bpy.data.worlds.new("bright")
    scene.world.color = (1, 1, 1)


def begin(addon: SimpleNamespace) -> None:
    """An edit of which the first view is rendered."""
    OPS.edit_texture()
    addon.session.drain()
    job = addon.session.job_of(bpy.context.scene)
    assert len(job.preparation._taken) == 1


def move(thing: bpy.types.Object) -> None:  # noqa: F811
    thing.location.x += 0.3
    bpy.context.view_layer.update()


def deform(thing: bpy.types.Object) -> None:  # noqa: F811
    thing.data.vertices[0].co.x += 0.3
    thing.data.update()


def unwrap(thing: bpy.types.Object) -> None:  # noqa: F811
    thing.data.uv_layers[0].uv[0].vector.x += 0.1


def paint(thing: bpy.types.Object) -> None:  # noqa: F811
    image = node(thing).image
    values = np.array(image.pixels[:], np.float32)
    values[:40] = 0.5
    image.pixels.foreach_set(values)
    image.update()


def subdivide(thing: bpy.types.Object) -> None:  # noqa: F811
    thing.modifiers.new("subdivision", "SUBSURF").render_levels = 1


def show_another(thing: bpy.types.Object) -> None:  # noqa: F811
    node(thing).image = bpy.data.images.new("another", 8, 8)


@pytest.mark.parametrize("change", [move, deform, unwrap, paint, subdivide, show_another])
def test_what_does_not_fit_together_any_more_is_not_sent(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    change: Callable[[bpy.types.Object], None],
) -> None:
    begin(connected)
    change(thing)
    with pytest.raises(connected.session.SessionError, match="has changed while its views"):
        connected.session.wait_for_job(scene, SECONDS)
    assert submits(server) == []


def test_what_is_renamed_meanwhile_is_still_found(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    begin(connected)
    thing.name, node(thing).image.name = "another", "another paint"
    thing.active_material.name, thing.data.name = "another", "another"
    connected.session.wait_for_job(scene, SECONDS)
    assert node(thing).image.name == "another paint (edited)"


def test_another_scene_that_is_open_then_changes_nothing(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    thing.modifiers.new("subdivision", "SUBSURF").render_levels = 1
    begin(connected)
    bpy.context.window.scene = bpy.data.scenes.new("other")
    connected.session.wait_for_job(scene, SECONDS)
    assert len(submits(server)[-1].request.corners) == 48


def test_a_preview_that_an_undo_brings_back_is_not_in_the_views(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
    live: ModuleType,  # noqa: F811
) -> None:
    light(scene)
    bpy.ops.ed.undo_push(message="before")
    preview(connected, scene)
    connected.session.drain()
    plain = submits(server)[-1].request.views
    assert np.ptp(plain) > 50, "there is something to be seen in them"
    bpy.ops.ed.undo_push(message="seen")
    begin(connected)
    bpy.ops.ed.undo()
    scene, box = bpy.context.scene, bpy.data.objects["box"]
    assert live.is_previewed(box)
    connected.session.wait_for_job(scene, SECONDS)
    assert np.array_equal(submits(server)[-1].request.views, plain)


def test_an_undo_to_an_older_job_does_not_give_the_result_to_its_mesh(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    server: FakeServer,
) -> None:
    other = duplicate(thing)
    other.name, server.manual = "other", True
    bpy.ops.ed.undo_push(message="both")

    def start(name: str) -> str:
        bpy.context.view_layer.objects.active = bpy.data.objects[name]
        OPS.edit_texture()
        job: str = connected.session.job_of(bpy.context.scene).id
        connected.session.wait(lambda: job in server.jobs, SECONDS)
        return job

    first = start("box")
    bpy.ops.ed.undo_push(message="while the first one runs")
    bpy.ops.ed.undo_push(message="and later")
    server.finish(first)
    connected.session.wait_for_job(scene, SECONDS)
    second = start("other")
    while bpy.context.scene.watch_your_steps.job_object != bpy.data.objects["box"]:
        assert bpy.ops.ed.undo() == {"FINISHED"}
        if bpy.context.scene.watch_your_steps.job_object is None:
            break
    server.finish(second)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    assert node(bpy.data.objects["other"]).image.name == "paint (edited)"
    assert node(bpy.data.objects["box"]).image.name == "paint"


def test_painting_does_not_begin_while_views_are_rendered(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
) -> None:
    """It would show the region on the mesh."""
    flat_uvs(thing)
    preview(connected, scene)
    begin(connected)
    assert not OPS.paint_texture_region.poll()
    connected.session.wait_for_job(scene, SECONDS)
    OPS.show_texture(what="ORIGINAL")
    assert OPS.paint_texture_region.poll()
    OPS.paint_texture_region(brush="ADD")
    begin(connected)
    assert OPS.paint_texture_region.poll(), "what is being painted goes on"
    connected.session.wait_for_job(scene, SECONDS)
    assert np.array_equal(pixels(connected.mesh_reading, bpy.data.images["paint"]), noise(24, 32))
