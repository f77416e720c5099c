"""The demo's second step: the texture of the named object is edited in its own UVs, which the scene
then shows from every side.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import bpy
from building import paint
from mathutils import Matrix, Vector
from scenes import OBJECT_INDEX, DemoScene

TURNS = tuple(math.radians(degrees) for degrees in (-50, 60, 165))
"""How far from the scene's own camera, around its objects, the three sides are."""
ASPECT = 3 / 4
"""Height by width of the sides' pictures."""
SAMPLES = 14
"""Cycles samples a pixel of theirs, which are shown smaller than the render."""
WIDER = 0.88
"""Of the camera's own lens, for the sides: what fits into the frame from one need not from all."""


def edit_texture(
    module: str,
    demo: DemoScene,
    width: int,
    out: Path,
    stage: Callable[[str], AbstractContextManager[None]],
    wait: Callable[[bpy.types.Scene], None],
) -> dict[str, Any]:
    """Paint the named object in its own colour, edit that texture, and render three sides.

    Args:
        module: the installed extension's, whose operators are there.
        demo: the open scene.
        width: of a side's picture in pixels.
        out: a folder for the pictures.
        stage: times a block under a name.
        wait: waits until the scene's job has ended; raises where it did not end well.

    Returns:
        "edited_texels", the share of the texture's texels that the edit has changed; "threshold";
        and the sides' files under "pictures".
    """
    changed = import_module(f"{module}.data.changing").changed
    render_png = import_module(f"{module}.render.camera_render").render_png
    scene = demo.scene
    thing = next(one for one in scene.objects if one.pass_index == OBJECT_INDEX)
    with stage("Editing the texture of the object"):
        paint(thing)
        bpy.ops.watch_your_steps.edit_texture()
        wait(scene)
    with stage("Rendering the edited scene from three sides"):
        files = [out / f"side_{number}.png" for number in range(len(TURNS))]
        for turn, file in zip(TURNS, files, strict=True):
            with _seen_from(scene, turn), changed(scene.cycles, samples=SAMPLES):
                file.write_bytes(render_png(scene, width, round(width * ASPECT)))
    return {
        "edited_texels": edited_share(import_module(f"{module}.data.pictures"), thing),
        "threshold": round(scene.watch_your_steps.texture.threshold, 4),
        "pictures": [str(file) for file in files],
    }


def edited_share(pictures: Any, thing: bpy.types.Object) -> float:
    """Share of the texels of an object's shown texture that its edit has changed."""
    shown = texture_node(thing).image
    original = shown.watch_your_steps.original or shown
    return round(float((pictures.read_rgb(shown) != pictures.read_rgb(original)).any(2).mean()), 4)


def texture_node(thing: bpy.types.Object) -> bpy.types.ShaderNodeTexImage:
    """Of the object's material, the node that shows its texture."""
    nodes = thing.active_material.node_tree.nodes
    return next(node for node in nodes if node.type == "TEX_IMAGE")


@contextmanager
def _seen_from(scene: bpy.types.Scene, turn: float) -> Iterator[None]:
    """For a while the scene's camera stands where its own would, gone around the objects by an
    angle in radians.
    """
    things = [one for one in scene.objects if one.type == "MESH" and one.pass_index]
    corners = [thing.matrix_world @ Vector(c) for thing in things for c in thing.bound_box]
    centre = sum(corners, Vector()) / len(corners)
    own = scene.camera
    camera, lens = own.copy(), own.data.copy()
    camera.data = lens
    lens.lens *= WIDER
    scene.collection.objects.link(camera)
    around = Matrix.Translation(centre) @ Matrix.Rotation(turn, 4, "Z")
    camera.matrix_world = around @ Matrix.Translation(-centre) @ own.matrix_world
    scene.camera = camera
    try:
        yield
    finally:
        scene.camera = own
        bpy.data.objects.remove(camera)
        bpy.data.cameras.remove(lens)
