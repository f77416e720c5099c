"""A mesh as the backend paints on it: triangles in the world, UVs, and the texture's pixels.

Nothing of the scene is changed.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from .capture import CaptureError, changed


@dataclass(frozen=True, eq=False)
class MeshTexture:
    """What is painted, and on what.

    Attributes:
        corners: float32 (F, 3, 3), corners of the triangles with this texture, in world space and
            as they render: with modifiers.
        uvs: float32 (F, 3, 2), their texture coordinates.
        occluders: float32 (G, 3, 3), the object's other triangles.
        texture: uint8 (T, S, 4), sRGB and alpha, row 0 at the top.
        image: name of the texture's Image data-block.
    """

    corners: NDArray[np.float32]
    uvs: NDArray[np.float32]
    occluders: NDArray[np.float32]
    texture: NDArray[np.uint8]
    image: str


def read_mesh_texture(
    context: bpy.types.Context, thing: bpy.types.Object, image: bpy.types.Image | None = None
) -> MeshTexture:
    """Read an object's triangles and the texture that colours them.

    Args:
        context: its scene is the one that the object is in.
        thing: a mesh object.
        image: which texture, where the object has several; by default that on most faces.

    Raises:
        CaptureError: the object has no texture that can be painted; the text says what to do.
    """
    if thing.type != "MESH":
        raise CaptureError(f'"{thing.name}" is not a mesh: convert it (Object > Convert > Mesh).')
    with _as_rendered(context, thing) as (mesh, to_world):
        mesh.calc_loop_triangles()
        triangles = mesh.loop_triangles
        count = len(triangles)
        vertex, loop = np.empty(count * 3, np.int32), np.empty(count * 3, np.int32)
        slot = np.empty(count, np.int32)
        triangles.foreach_get("vertices", vertex)
        triangles.foreach_get("loops", loop)
        triangles.foreach_get("material_index", slot)
        places = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", places)
        places = places.reshape(-1, 3) @ to_world[:3, :3].T + to_world[:3, 3]
        corners = places[vertex].reshape(-1, 3, 3).astype(np.float32)
        materials = list(mesh.materials)
        slot = slot.clip(0, max(0, len(materials) - 1))  # as Blender draws them
        found = {
            number: node
            for number, material in enumerate(materials)
            if (node := colour_texture(material)) is not None
        }
        if image is None:
            faces: dict[bpy.types.Image, int] = {}
            for number, node in found.items():
                faces[node.image] = faces.get(node.image, 0) + int((slot == number).sum())
            image = max(faces, key=lambda one: faces[one], default=None)
        wanted = [number for number, node in found.items() if node.image == image]
        painted = np.isin(slot, wanted)
        if image is None or not painted.any():
            raise CaptureError(
                f'"{thing.name}" has no faces with an image texture as their base color: give its '
                "material one, and unwrap the mesh (U in Edit Mode)."
            )
        layers = {_uv_map(mesh, found[number], thing) for number in wanted}
        if len(layers) > 1:
            raise CaptureError(
                f'"{thing.name}" lays "{image.name}" on with several UV maps: use one of them.'
            )
        coordinates = np.empty(len(mesh.loops) * 2, np.float32)
        mesh.uv_layers[layers.pop()].uv.foreach_get("vector", coordinates)
        uvs = coordinates.reshape(-1, 2)[loop].reshape(-1, 3, 2)
    return MeshTexture(
        corners[painted], uvs[painted], corners[~painted], read_texture(image), image.name
    )


def colour_texture(material: bpy.types.Material | None) -> bpy.types.ShaderNodeTexImage | None:
    """The image texture node behind a material's base color, or its only image texture node."""
    if material is None or material.node_tree is None:
        return None
    nodes = material.node_tree.nodes
    images = [node for node in nodes if node.type == "TEX_IMAGE" and node.image is not None]
    for node in nodes:
        for name in ("Base Color", "Color"):
            entry = node.inputs.get(name)
            if entry is not None and entry.is_linked and entry.links[0].from_node in images:
                return entry.links[0].from_node
    return images[0] if len(images) == 1 else None


def read_texture(image: bpy.types.Image) -> NDArray[np.uint8]:
    """An image's pixels: uint8 (T, S, 4), row 0 at the top, the very bytes of an 8-bit image.

    Raises:
        CaptureError: it has more than 8 bits a channel, is tiled, or its file is missing.
    """
    if image.source == "TILED":
        raise CaptureError(f'"{image.name}" has UDIM tiles, which cannot be painted yet.')
    width, height = image.size
    if width == 0 or height == 0:
        raise CaptureError(f'The texture "{image.name}" has no pixels: its file is missing.')
    if image.is_float:
        raise CaptureError(
            f'The texture "{image.name}" has more than 8 bits a channel: save a copy as an 8-bit '
            "PNG and use that."
        )
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    pixels = np.rint(values * 255).astype(np.uint8).reshape(height, width, -1)[::-1]
    if pixels.shape[2] < 3:  # gray, with or without alpha
        pixels = np.concatenate([pixels[..., :1].repeat(3, axis=2), pixels[..., 1:]], axis=2)
    if pixels.shape[2] == 3:
        pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2)
    return np.ascontiguousarray(pixels)


def _uv_map(
    mesh: bpy.types.Mesh, node: bpy.types.ShaderNodeTexImage, thing: bpy.types.Object
) -> str:
    """Name of the UV map that a texture is laid on with."""
    usual = next((layer.name for layer in mesh.uv_layers if layer.active_render), "")
    entry = node.inputs["Vector"]
    source = entry.links[0].from_node if entry.is_linked else None
    name = usual
    if source is not None and source.type == "UVMAP":
        name = source.uv_map or usual
    elif source is not None and not (
        source.type == "TEX_COORD" and entry.links[0].from_socket.name == "UV"
    ):
        raise CaptureError(
            f'The texture "{node.image.name}" is not laid on by a UV map alone: connect a UV Map '
            "node to its Vector, or nothing."
        )
    if name not in mesh.uv_layers:
        raise CaptureError(f'"{thing.name}" has no UV map: unwrap the mesh (U in Edit Mode).')
    return name


@contextmanager
def _as_rendered(
    context: bpy.types.Context, thing: bpy.types.Object
) -> Iterator[tuple[bpy.types.Mesh, NDArray[np.float32]]]:
    """The object's mesh with the modifiers of a render, and its object-to-world matrix (4, 4)."""
    with ExitStack() as stack:
        for modifier in thing.modifiers:
            values = {"show_viewport": modifier.show_render}
            if modifier.type in ("SUBSURF", "MULTIRES"):
                values["levels"] = modifier.render_levels
            stack.enter_context(changed(modifier, **values))
        evaluated = thing.evaluated_get(context.evaluated_depsgraph_get())
        try:
            yield evaluated.to_mesh(), np.array(evaluated.matrix_world, np.float32)
        finally:
            evaluated.to_mesh_clear()
