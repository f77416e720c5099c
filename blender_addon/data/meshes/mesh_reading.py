"""A mesh as the backend paints on it: triangles in the world, UVs, and the texture's pixels.

The scene is as before afterwards.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from .. import tiles
from ..changing import changed
from ..places import bounds_of, check_is_somewhere, near_origin
from ..scene_error import SceneError
from .islands import connected, uv_corners
from .material_images import colour_nodes, holds_data, image_nodes, name_share, tree_of
from .texture_pixels import read_texture
from .texture_uvs import check_inside, check_numbers, laying_of, read_uvs

Block = TypeVar("Block", bound=bpy.types.ID)
THINGS = (
    (
        "AUTO",
        "Automatic",
        "The mesh's connected parts, or the surfaces on which the texture goes on without a break: "
        "whichever agrees better with what the model finds",
    ),
    ("MATERIALS", "Materials", "All faces that have one material are a thing"),
    ("ISLANDS", "UV Islands", "Each island of the texture's UV map is a thing"),
    ("FACES", "Connected Faces", "Each part of the mesh whose faces hang together is a thing"),
)
"""Kinds of things on a mesh, as Blender's enumerations are written."""


@dataclass(frozen=True, eq=False)
class MeshTexture:
    """What is painted, and on what.

    Attributes:
        corners: float64 (F, 3, 3), corners of the triangles with this texture, in world space and
            as they render: with modifiers. Far from the origin, float32 would not hold them.
        uvs: float32 (F, 3, 2), their coordinates in the texture; of UDIM tiles in their atlas.
        occluders: float64 (G, 3, 3), the object's other triangles.
        texture: uint8 (T, S, 4), sRGB and alpha, row 0 at the top; of UDIM tiles their atlas.
        image: full name of the texture's Image data-block: with the library's, where it is linked.
        materials: int32 (F,), the number of each triangle's material slot.
    """

    corners: NDArray[np.float64]
    uvs: NDArray[np.float32]
    occluders: NDArray[np.float64]
    texture: NDArray[np.uint8]
    image: str
    materials: NDArray[np.int32]


def colour_images(
    thing: bpy.types.Object, engine: str, mesh: bpy.types.Mesh | None = None
) -> list[bpy.types.Image]:
    """The images that colour an object and can be chosen to be painted, the one that colours most
    of it first.

    Args:
        thing: a mesh object.
        engine: the scene's.
        mesh: as it renders; by default as it was modelled.
    """
    mesh = mesh or thing.data
    materials = materials_of(thing, mesh)
    faces = np.zeros(len(mesh.polygons), np.int32)
    index = mesh.attributes.get("material_index")
    if len(materials) > 1 and index is not None and len(index.data) == len(faces):
        # panels ask at every redraw, and the polygons themselves take a thousand times as long
        index.data.foreach_get("value", faces)
    counts = np.bincount(faces.clip(0, max(0, len(materials) - 1)), minlength=len(materials))
    total: dict[bpy.types.Image, float] = {}
    for material, count in zip(materials, counts[: len(materials)], strict=True):
        for one, share in colour_nodes(material, engine).items() if count else ():
            if not holds_data(one.image):
                share *= name_share(one.image) * int(count)
                total[one.image] = total.get(one.image, 0.0) + share
    return sorted(total, key=lambda image: -total[image])


def with_full_name(blocks: Iterable[Block], name: str) -> Block | None:
    """The data-block with this full name: a linked one may be called as a local one is."""
    return next((block for block in blocks if block.name_full == name), None)


def left_alone(thing: bpy.types.Object, image: bpy.types.Image) -> list[bpy.types.Image]:
    """The other images that an object's materials have, by name, whatever they are for."""
    trees = [tree_of(slot.material) for slot in thing.material_slots]
    images = {node.image for tree in trees for node in image_nodes(tree)}
    return sorted(images - {image}, key=lambda one: one.name)


def materials_of(thing: bpy.types.Object, mesh: bpy.types.Mesh) -> list[bpy.types.Material | None]:
    """The material of each index of a mesh's faces: a slot's, where the object has its own."""
    materials = [None if one is None else one.original for one in mesh.materials]
    for number, slot in enumerate(thing.material_slots):
        if number >= len(materials):
            materials.append(slot.material)
        elif slot.link == "OBJECT":
            materials[number] = slot.material
    return materials


def read_mesh_texture(
    context: bpy.types.Context, thing: bpy.types.Object, image: bpy.types.Image | None = None
) -> MeshTexture:
    """Read an object's triangles and the texture that colours them.

    Args:
        context: its scene is the one that the object is in.
        thing: a mesh object.
        image: which texture, where the object has several; by default the first of
            `colour_images`.

    Raises:
        SceneError: the object has no texture that can be painted; the text says what to do.
    """
    if thing.type == "EMPTY" and thing.instance_collection is not None:
        raise SceneError(
            f'"{thing.name}" is an instance of a collection: make it real (Object > Apply > Make '
            "Instances Real), and edit its meshes."
        )
    if thing.type != "MESH":
        raise SceneError(f'"{thing.name}" is not a mesh: convert it (Object > Convert > Mesh).')
    engine = context.scene.render.engine
    with _as_rendered(context, thing) as (mesh, to_world):
        mesh.calc_loop_triangles()
        triangles = mesh.loop_triangles
        count = len(triangles)
        vertex, loop = np.empty(count * 3, np.int32), np.empty(count * 3, np.int32)
        slot = np.empty(count, np.int32)
        triangles.foreach_get("vertices", vertex)
        triangles.foreach_get("loops", loop)
        triangles.foreach_get("material_index", slot)
        own = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", own)
        places = own.reshape(-1, 3) @ to_world[:3, :3].T + to_world[:3, 3]
        corners = places[vertex].reshape(-1, 3, 3)
        check_is_somewhere(thing, corners)
        materials = materials_of(thing, mesh)
        slot = slot.clip(0, max(0, len(materials) - 1))  # as Blender draws them
        candidates = colour_images(thing, engine, mesh)
        if not candidates:
            raise _no_texture(thing, materials, engine)
        image = candidates[0] if image is None else image
        if image not in candidates:
            names = ", ".join(f'"{one.name}"' for one in candidates)
            raise SceneError(f'"{image.name}" does not color "{thing.name}": {names} can.')
        atlas = tiles.atlas_of(image) if tiles.is_tiled(image) else None
        uvs = np.zeros((count, 3, 2), np.float32)
        painted = np.zeros(count, np.bool_)
        for number, material in enumerate(materials):
            faces = np.flatnonzero(slot == number)
            nodes = [one for one in colour_nodes(material, engine) if one.image == image]
            if material is None or not len(faces) or not nodes:
                continue
            layings = [laying_of(one) for one in nodes]
            if any(one != layings[0] for one in layings):
                raise SceneError(
                    f'The material "{material.name}" lays "{image.name}" on in several ways: use '
                    "one of them, or press Make Texture."
                )
            there = read_uvs(thing, mesh, layings[0], image)[loop.reshape(-1, 3)[faces]]
            check_numbers(there, image)
            if atlas is not None:
                there = tiles.atlas_uvs(there, image, atlas)
            else:
                check_inside(there, layings[0], image)
            uvs[faces], painted[faces] = there, True
    texture = read_texture(image)
    return MeshTexture(
        corners[painted], uvs[painted], corners[~painted], texture, image.name_full, slot[painted]
    )


def things_of(read: MeshTexture, kind: str) -> NDArray[np.int32] | None:
    """A label of each triangle's thing, int32 (F,); None for the backend's own choice.

    Args:
        read: the mesh.
        kind: one of THINGS.
    """
    if kind == "AUTO":
        return None
    if kind == "MATERIALS":
        return read.materials.astype(np.int32)
    # by places: imported meshes have a vertex more on each side of a seam
    flat = read.corners.reshape(-1, 3)
    corners = np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1, 3)
    return connected(uv_corners(corners, read.uvs) if kind == "ISLANDS" else corners)


def _no_texture(
    thing: bpy.types.Object, materials: list[bpy.types.Material | None], engine: str
) -> SceneError:
    """What to say where nothing can be painted."""
    colours = {one.image for part in materials for one in colour_nodes(part, engine)}
    unseen = ", ".join(sorted(f'"{one.name}"' for one in colours if not holds_data(one)))
    if unseen:
        return SceneError(
            f'No face of "{thing.name}" has the material with {unseen}: assign it to some in Edit '
            "Mode."
        )
    data = ", ".join(sorted(f'"{image.name}"' for image in colours))
    if data:
        return SceneError(
            f'The color of "{thing.name}" comes from {data}, whose color space is for data: set it '
            "to sRGB in the image's settings, if it holds colors."
        )
    nodes = [node for one in materials for node in image_nodes(tree_of(one))]
    others = ", ".join(sorted({f'"{node.image.name}"' for node in nodes}))
    unused = f" ({others} would be something else than its color)" if others else ""
    return SceneError(
        f'"{thing.name}" has no faces with an image texture as their base color{unused}: press '
        "Make Texture, which bakes its colors into one."
    )


def _check_carries_none(thing: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> None:
    """Refuse a mesh that carries instances: they are seen in its views, but are no part of it, so
    that their colours would be painted on what is behind them.
    """
    for one in depsgraph.object_instances:
        if one.is_instance and one.parent is not None and one.parent.original == thing:
            raise SceneError(
                f'Instances on "{thing.name}", such as "{one.object.name}", would be painted onto '
                "it: switch off in renders the modifier or particle system that puts them there."
            )


@contextmanager
def _as_rendered(
    context: bpy.types.Context, thing: bpy.types.Object
) -> Iterator[tuple[bpy.types.Mesh, NDArray[np.float64]]]:
    """The object's mesh with the modifiers of a render, and its object-to-world matrix (4, 4): of
    a far object as it is near the origin, where its views are rendered, and moved back in 64 bits.
    """
    bounds = bounds_of(thing)
    with ExitStack() as stack:
        for modifier in thing.modifiers:
            values = {"show_viewport": modifier.show_render}
            if modifier.type in ("SUBSURF", "MULTIRES"):
                values["levels"] = modifier.render_levels
            stack.enter_context(changed(modifier, **values))
        _evaluate(stack, context, thing)
        render = context.scene.render
        simple = {"simplify_subdivision": render.simplify_subdivision_render}
        stack.enter_context(changed(render, **simple))
        low, high = bounds.min(axis=0), bounds.max(axis=0)
        origin = stack.enter_context(near_origin(context.scene, low, high, thing))
        depsgraph = context.evaluated_depsgraph_get()
        _check_carries_none(thing, depsgraph)
        evaluated = thing.evaluated_get(depsgraph)
        try:
            to_world = np.array(evaluated.matrix_world, np.float64)
            to_world[:3, 3] += origin
            yield evaluated.to_mesh(), to_world
        finally:
            evaluated.to_mesh_clear()


def _evaluate(stack: ExitStack, context: bpy.types.Context, thing: bpy.types.Object) -> None:
    """Let Blender evaluate an object that is disabled in viewports or excluded from the view layer:
    of these it knows no modifiers, with which the views show it.
    """
    if thing.visible_get(view_layer=context.view_layer):
        return
    known = context.evaluated_depsgraph_get().ids
    if any(one.original == thing for one in known):
        return  # it is hidden for now only
    stack.enter_context(changed(thing, hide_viewport=False))
    objects = context.scene.collection.objects
    if thing not in objects.values():
        objects.link(thing)
        stack.callback(objects.unlink, thing)
