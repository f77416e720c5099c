"""The demo's second half: the scene is captured from all sides, edited in 3D by the add-on's own
buttons, and comes back into it as a mesh with the original and the edited texture.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import bpy
import images
import numpy as np
from edit_texture import edited_share, texture_node
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray
from scenes import OBJECT_INDEX, DemoScene
from truth import object_indices

SIDES = 3
PICTURE_SIZE = 256
TEXTURE_SIZE = 512
"""Of the mesh: more than its pictures show would take as long again to bake."""
MEASURED_PLACES = 20_000


@dataclass(frozen=True)
class Effort:
    """What the 3D half may cost.

    Attributes:
        views: cameras around the objects.
        train_iterations, edit_iterations: steps at most; 0: as many as the preset has.
        steps: denoising steps of one view's edit.
    """

    views: int
    train_iterations: int
    edit_iterations: int
    steps: int


def edit_in_3d(
    module: str,
    demo: DemoScene,
    effort: Effort,
    out: Path,
    stage: Callable[[str], AbstractContextManager[None]],
    wait: Callable[[bpy.types.Scene], None],
) -> dict[str, Any]:
    """Capture, train, edit, bring the mesh; measure it and take its pictures.

    Args:
        module: the installed extension's, whose operators are there.
        demo: the open scene.
        effort: what it may cost.
        out: a folder for the pictures.
        stage: times a block under a name.
        wait: waits until the scene's job has ended; raises where it did not end well.

    Returns:
        Figures by name, and the pictures' files under "pictures", by side and kind.
    """
    scene, settings = demo.scene, demo.scene.watch_your_steps
    in_3d, buttons = settings.in_3d, bpy.ops.watch_your_steps
    in_3d.views, in_3d.steps = effort.views, effort.steps
    in_3d.texture_size = str(TEXTURE_SIZE)
    in_3d.train_iterations = effort.train_iterations
    in_3d.edit_iterations = effort.edit_iterations
    changed = import_module(f"{module}.data.changing").changed
    things = [thing for thing in scene.objects if thing.type == "MESH" and thing.pass_index]
    for thing in scene.objects:
        thing.select_set(thing in things)  # what the cameras look at, without a table
    # without the sky: where it is seen no ray ends, and a field would paint the ground with it too
    with stage("Capturing the scene from all sides"), changed(scene.render, film_transparent=True):
        buttons.capture_scene()
        wait(scene)
    for name, button in (
        ("Training the radiance field", buttons.train_scene),
        ("Editing the scene in 3D", buttons.edit_scene),
        ("Making the mesh and its textures", buttons.bring_mesh),
    ):
        with stage(name):
            button()
            wait(scene)
    brought = import_module(f"{module}.data.meshes.brought_mesh").collection_of(scene)
    (mesh,) = brought.objects
    with stage("Measuring the mesh and rendering it"):
        figures = {
            "views": effort.views,
            "field": in_3d.field,
            "mesh": {
                "faces": len(mesh.data.polygons),
                "distance": mesh_distance(scene, mesh, things),
            },
            "edited_texels": edited_share(import_module(f"{module}.data.pictures"), mesh),
        }
        figures["pictures"] = _pictures(module, demo, mesh, out)
    mesh.hide_render = True  # the artist's own scene is what the file renders
    return figures


def mesh_distance(
    scene: bpy.types.Scene, mesh: bpy.types.Object, things: list[bpy.types.Object]
) -> dict[str, float]:
    """How far the mesh is from the true surface near the objects.

    Args:
        scene: with all objects, the ground too.
        mesh: what came back.
        things: the objects, without the ground; the box around them, a fifth larger, is measured.

    Returns:
        "median" and "95%": distances of the mesh's vertices, in percent of the box's diagonal;
        "vertices": how many were measured.
    """
    corners = np.array(
        [thing.matrix_world @ _vector(c) for thing in things for c in thing.bound_box]
    )
    low, high = corners.min(0), corners.max(0)
    size = float(np.linalg.norm(high - low))
    margin = 0.1 * (high - low)
    graph = bpy.context.evaluated_depsgraph_get()
    vertices, polygons = [], []
    for thing in scene.objects:
        if thing.type != "MESH" or thing == mesh:
            continue
        evaluated = thing.evaluated_get(graph)
        own = evaluated.to_mesh()
        start = len(vertices)
        vertices += [thing.matrix_world @ vertex.co for vertex in own.vertices]
        polygons += [[start + v for v in polygon.vertices] for polygon in own.polygons]
        evaluated.to_mesh_clear()
    surface = BVHTree.FromPolygons(vertices, polygons)
    places = np.empty(3 * len(mesh.data.vertices), np.float32)
    mesh.data.vertices.foreach_get("co", places)
    places = places.reshape(-1, 3)
    places = places[((places > low - margin) & (places < high + margin)).all(axis=1)]
    places = places[:: max(1, len(places) // MEASURED_PLACES)]
    if not len(places):
        raise RuntimeError("The mesh that came back has nothing where the objects are.")
    apart = np.array([surface.find_nearest(place.tolist())[3] for place in places]) / size * 100
    return {
        "median": round(float(np.median(apart)), 3),
        "95%": round(float(np.percentile(apart, 95)), 3),
        "vertices": len(apart),
    }


def _vector(corner: Any) -> Any:
    from mathutils import Vector

    return Vector(corner)


def _pictures(
    module: str, demo: DemoScene, mesh: bpy.types.Object, out: Path
) -> list[dict[str, str]]:
    """The scene as it was, and the mesh with its original and its edited texture, from sides that
    lie evenly around it: those where most of the named object is seen of each third.
    """
    capture = import_module(f"{module}.render.capture_views")
    changed = import_module(f"{module}.data.changing").changed
    scene, in_3d = demo.scene, demo.scene.watch_your_steps.in_3d
    plan = capture.Plan.from_json(in_3d.plan)
    large = capture.Plan(size=PICTURE_SIZE, shots=plan.shots)
    own = [thing for thing in scene.objects if thing.type == "MESH" and thing != mesh]
    node = texture_node(mesh)
    edited = node.image
    original = edited.watch_your_steps.original or edited
    found = []
    for number, index in enumerate(_sides(scene, capture, plan, mesh)):
        shown: dict[str, NDArray[np.uint8]] = {}
        shown["before"] = capture.take_view(scene, large, index, in_3d.capture).image
        for kind, texture in (("mesh", original), ("after", edited)):
            node.image = texture
            with ExitStack() as stack:
                for thing in own:
                    stack.enter_context(changed(thing, hide_render=True))
                # the collection is left out of captures: out of it for this picture
                scene.collection.objects.link(mesh)
                stack.callback(scene.collection.objects.unlink, mesh)
                shown[kind] = capture.take_view(scene, large, index, in_3d.capture).image
        files = {}
        for kind, picture in shown.items():
            path = out / f"side_{number}_{kind}.png"
            images.save_png(picture, path)
            files[kind] = str(path)
        found.append(files)
    node.image = edited
    return found


def _sides(scene: bpy.types.Scene, capture: Any, plan: Any, mesh: bpy.types.Object) -> list[int]:
    """Numbers of views: of each third of them, as they follow each other around the scene, the one
    that shows most of the named object.
    """
    seen = []
    mesh.hide_render = True
    for shot in plan.shots:
        with ExitStack() as stack:
            camera = capture.place_camera(stack, scene, shot.pose)
            before, scene.camera = scene.camera, camera
            seen.append(int((object_indices(scene, 64, 64) == OBJECT_INDEX).sum()))
            scene.camera = before
    mesh.hide_render = False
    thirds = np.array_split(np.arange(len(seen)), SIDES)
    return [int(third[np.argmax([seen[index] for index in third])]) for third in thirds]
