"""The geometry of what a render shows, read from Blender as arrays."""

import zlib
from dataclasses import dataclass
from typing import TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.meshes.islands import connected, uv_corners, welded

Number = TypeVar("Number", np.float32, np.int32)


@dataclass
class Geometry:
    """Of an evaluated mesh, of curves or a point cloud."""

    vertices: NDArray[np.float32]
    corners: NDArray[np.int32]
    """(T, 3) of triangles, (N, 2) of lines."""
    slots: NDArray[np.int32]
    """Of each triangle, its material's."""
    parts: NDArray[np.int32] | None = None
    """Of each triangle, its island or connected part, where those are asked for."""
    joins: int = 0
    """A number of how the vertices hang together, where surfaces are traced."""


def geometry_of(data: bpy.types.ID, kind: str, traced: bool) -> Geometry | None:
    """What there is to draw of a mesh, curves or a point cloud, as Blender has evaluated it; None
    of nothing.

    Args:
        data: of an object that the dependency graph gives.
        kind: what things are told apart, one of `things.KINDS`.
        traced: whether a place of it is to be found again at other frames.
    """
    if isinstance(data, bpy.types.Mesh):
        return _of_mesh(data, kind, traced) if len(data.loop_triangles) else None
    places = data.attributes["position"].data
    if not len(places):
        return None
    vertices = _read(places, "vector", np.float32, 3)
    ends = np.arange(len(vertices), dtype=np.int32)
    lines = np.stack([ends, ends], axis=1)
    if isinstance(data, bpy.types.Curves):
        lines[:-1, 1] += 1
        starts = _read(data.curve_offset_data, "value", np.int32, 1).ravel()
        lines[starts[1:] - 1, 1] = starts[1:] - 1  # a curve's last point begins no line
    return Geometry(vertices, lines, np.zeros(0, np.int32), joins=zlib.crc32(lines.data))


def _of_mesh(mesh: bpy.types.Mesh, kind: str, traced: bool) -> Geometry:
    triangles = mesh.loop_triangles
    vertices = _read(mesh.vertices, "co", np.float32, 3)
    corners = _read(triangles, "vertices", np.int32, 3)
    slots = _read(triangles, "material_index", np.int32, 1).ravel()
    parts = None
    if kind in ("FACES", "ISLANDS"):
        placed = welded(vertices)[corners]
    if kind == "FACES":
        parts = connected(placed)
    elif kind == "ISLANDS":
        layer = next((one for one in mesh.uv_layers if one.active_render), None)
        if layer is not None:
            uvs = _read(layer.uv, "vector", np.float32, 2)
            loops = _read(triangles, "loops", np.int32, 3)
            parts = connected(uv_corners(placed, uvs[loops]))
    joins = _joins(mesh) if traced else 0
    return Geometry(vertices, corners, slots, parts, joins)


def _joins(mesh: bpy.types.Mesh) -> int:
    """A number of a mesh's faces by their vertices: triangles would not do, as a face that bends is
    cut into others.
    """
    starts = _read(mesh.polygons, "loop_start", np.int32, 1)
    return zlib.crc32(_read(mesh.loops, "vertex_index", np.int32, 1).data, zlib.crc32(starts.data))


def _read(
    collection: bpy.types.bpy_prop_collection, name: str, kind: type[Number], size: int
) -> NDArray[Number]:
    """A property of all items of a collection, (N, size)."""
    values = np.empty(len(collection) * size, kind)
    collection.foreach_get(name, values)
    return values.reshape(-1, size)
