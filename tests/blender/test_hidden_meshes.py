"""Views of a mesh show it, wherever the artist has hidden or covered it in the scene."""

import importlib
import math
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest


@pytest.fixture
def parts(addon: SimpleNamespace, installed: str) -> list[ModuleType]:
    return [
        importlib.import_module(f"{installed}.{name}")
        for name in ("data.meshes.mesh_reading", "render.object_views")
    ]


@pytest.fixture
def thing(addon: SimpleNamespace) -> bpy.types.Object:
    """A red cube in a collection of its own."""
    bpy.ops.mesh.primitive_cube_add(size=1)
    made, scene = bpy.context.object, bpy.context.scene
    inside = bpy.data.collections.new("inside")
    scene.collection.children.link(inside)
    for one in made.users_collection:
        one.objects.unlink(made)
    inside.objects.link(made)
    image = bpy.data.images.new("red", 8, 8)
    image.pixels.foreach_set(np.tile(np.array([1, 0, 0, 1], np.float32), 64))
    material = bpy.data.materials.new("m")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    node, light = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeEmission")
    node.image = image
    links.new(node.outputs[0], light.inputs[0])
    links.new(light.outputs[0], nodes["Material Output"].inputs["Surface"])
    made.data.materials.append(material)
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    return made


def part() -> bpy.types.LayerCollection:
    return bpy.context.view_layer.layer_collection.children["inside"]


def another_camera(thing: bpy.types.Object) -> None:
    camera = bpy.data.objects.new("other", bpy.data.cameras.new("other"))
    bpy.context.scene.collection.objects.link(camera)
    camera.location.z = 50
    bpy.context.scene.timeline_markers.new("cut", frame=1).camera = camera


def clay(thing: bpy.types.Object) -> None:
    bpy.context.view_layer.material_override = bpy.data.materials.new("clay")


WAYS: dict[str, Callable[[bpy.types.Object], None]] = {
    "object": lambda thing: setattr(thing, "hide_render", True),
    "camera rays": lambda thing: setattr(thing, "visible_camera", False),
    "holdout": lambda thing: setattr(thing, "is_holdout", True),
    "shadow catcher": lambda thing: setattr(thing, "is_shadow_catcher", True),
    "collection": lambda thing: setattr(thing.users_collection[0], "hide_render", True),
    "excluded": lambda thing: setattr(part(), "exclude", True),
    "collection's holdout": lambda thing: setattr(part(), "holdout", True),
    "indirect only": lambda thing: setattr(part(), "indirect_only", True),
    "material override": clay,
    "marker's camera": another_camera,
}


def state(thing: bpy.types.Object) -> list[object]:
    scene, inside = bpy.context.scene, part()
    return [
        (thing.hide_render, thing.visible_camera, thing.is_holdout, thing.is_shadow_catcher),
        (inside.exclude, inside.holdout, inside.indirect_only, inside.collection.hide_render),
        [one.name for one in thing.users_collection],
        bpy.context.view_layer.material_override,
        [marker.camera for marker in scene.timeline_markers],
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_hidden_mesh_is_seen_in_its_views(
    parts: list[ModuleType], thing: bpy.types.Object, way: str
) -> None:
    scene = bpy.context.scene
    WAYS[way](thing)
    bpy.context.view_layer.update()
    before = state(thing)
    read = parts[0].read_mesh_texture(bpy.context, thing)
    poses = parts[1].poses_around(read.corners.reshape(-1, 3), 1, math.radians(40))
    image = bpy.data.images["red"]
    views = parts[1].render_around(scene, thing, image, poses, 16, math.radians(40), lit=True)
    assert np.abs(views.images[0, 6:10, 6:10].astype(int) - (255, 0, 0)).max() <= 12
    assert state(thing) == before


def test_a_simplified_mesh_is_read_as_it_renders(
    parts: list[ModuleType], thing: bpy.types.Object
) -> None:
    render = bpy.context.scene.render
    thing.modifiers.new("smooth", "SUBSURF").render_levels = 3
    render.use_simplify, render.simplify_subdivision_render = True, 1
    render.simplify_subdivision = 2
    assert len(parts[0].read_mesh_texture(bpy.context, thing).corners) == 6 * 4 * 2
    assert render.simplify_subdivision == 2
