"""How an image texture node lays its image onto a mesh: by which UV map, moved in which way."""

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector
from numpy.typing import NDArray

from ..scene_error import SceneError
from .material_images import ColourNode, Groups, constant, origin

SLACK = 1e-3
"""Of the texture's side, by which UVs may lie outside of it and still be said to lie inside."""
LARGEST = 1e6
"""Coordinate up to which 32 bits tell neighbouring parts of a texture from each other."""
NO_MAP_LEFT = (
    'The modifiers of "{}" make a mesh that has no UV map: apply them (Object > Apply > Visual '
    "Geometry to Mesh)."
)


@dataclass(frozen=True)
class Laying:
    """How an image lies on a mesh.

    Attributes:
        layer: name of the UV map; "" for the one that renders use.
        moved: 4x4, what Mapping nodes do to its coordinates.
        repeats: whether the image is repeated where coordinates lie outside of 0..1.
    """

    layer: str
    moved: Matrix
    repeats: bool


def laying_of(colour: ColourNode) -> Laying:
    """How a node lays its image on.

    Raises:
        SceneError: not by a UV map; the text says what to do.
    """
    node, name = colour.node, colour.image.name
    if node.projection != "FLAT":
        raise SceneError(
            f'The texture "{name}" is laid on by {node.projection.capitalize()} projection, and '
            "only Flat can be painted: press Make Texture, which bakes it into one."
        )
    if not _untouched(node.texture_mapping):
        raise SceneError(
            f'The texture "{name}" is moved by settings of its node that are not shown: replace '
            "the node by a new one, with a Mapping node before it, or press Make Texture."
        )
    entry, groups, moved = node.inputs["Vector"], colour.groups, Matrix.Identity(4)
    own = entry
    while True:
        found = origin(entry, groups)
        if found is None:
            raise _not_by_uvs(name)
        socket, groups = found
        source = socket.node
        if socket == own:
            return Laying("", moved, node.extension == "REPEAT")
        if not socket.is_output or getattr(source, "from_instancer", False):
            raise _not_by_uvs(name)
        if source.type == "MAPPING":
            moved = moved @ _mapping(source, groups, name)
            entry = source.inputs["Vector"]
            continue
        if source.type == "UVMAP":
            layer = source.uv_map
        elif source.type == "TEX_COORD" and socket.name == "UV":
            layer = ""
        elif (
            source.type == "ATTRIBUTE"
            and source.attribute_type == "GEOMETRY"
            and socket.name in ("Vector", "Color")
            and source.attribute_name
        ):
            layer = source.attribute_name
        else:
            raise _not_by_uvs(name)
        return Laying(layer, moved, node.extension == "REPEAT")


def read_uvs(
    thing: bpy.types.Object, mesh: bpy.types.Mesh, laying: Laying, image: bpy.types.Image
) -> NDArray[np.float64]:
    """Coordinates in the image, (loops, 2), of each loop of the mesh that an object's modifiers
    make.

    Raises:
        SceneError: the mesh has no such UV map.
    """
    name = laying.layer or next((one.name for one in mesh.uv_layers if one.active_render), "")
    if not name and thing.data.uv_layers:
        raise SceneError(NO_MAP_LEFT.format(thing.name))
    if not name:
        raise SceneError("The mesh has no UV map: unwrap it (U in Edit Mode).")
    if name not in mesh.uv_layers:
        raise SceneError(
            f'The mesh has no UV map "{name}", which "{image.name}" is laid on with: choose '
            "another one in the material."
        )
    flat = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers[name].uv.foreach_get("vector", flat)
    matrix = np.array(laying.moved, np.float64)
    if np.array_equal(matrix, np.eye(4)):
        return flat.reshape(-1, 2).astype(np.float64)
    moved: NDArray[np.float64] = flat.reshape(-1, 2) @ matrix[:2, :2].T + matrix[:2, 3]
    return moved


def check_numbers(uvs: NDArray[np.float64], image: bpy.types.Image) -> None:
    """Refuse coordinates (..., 2) that are no numbers or beyond all measure, as broken files have
    them.

    Raises:
        SceneError: some are.
    """
    if not (np.abs(uvs) <= LARGEST).all():  # which NaN is not
        raise SceneError(
            f'UVs of "{image.name}" are broken: some corners of faces lie nowhere. Unwrap the mesh '
            "anew (U in Edit Mode), or press Make Texture."
        )


def check_inside(uvs: NDArray[np.float64], laying: Laying, image: bpy.types.Image) -> None:
    """Refuse coordinates (..., 2) outside of an image that is not repeated there.

    Raises:
        SceneError: they are.
    """
    if not laying.repeats and (uvs.min() < -SLACK or uvs.max() > 1 + SLACK):
        raise SceneError(
            f'UVs of "{image.name}" lie outside of the image, where its node does not repeat it: '
            "set the node to Repeat, or press Make Texture."
        )


def _not_by_uvs(name: str) -> SceneError:
    return SceneError(
        f'The texture "{name}" is not laid on by a UV map alone: connect a UV Map node to its '
        "Vector, or press Make Texture."
    )


def _untouched(mapping: bpy.types.TexMapping) -> bool:
    """Whether the mapping that old files have inside of a texture node does nothing."""
    return (
        mapping.vector_type in ("POINT", "TEXTURE")
        and not mapping.use_min
        and not mapping.use_max
        and (mapping.mapping_x, mapping.mapping_y) == ("X", "Y")
        and mapping.translation.length == 0
        and Vector(mapping.rotation).length == 0
        and (mapping.scale - Vector((1, 1, 1))).length == 0
    )


def _mapping(node: bpy.types.ShaderNodeMapping, groups: Groups, name: str) -> Matrix:
    """What a Mapping node does to coordinates.

    Raises:
        SceneError: that differs from place to place, or leaves no area.
    """
    values: dict[str, Sequence[float]] = {}
    for entry in node.inputs:
        if entry.enabled and entry.name != "Vector":
            value = constant(entry, groups)
            if value is None or isinstance(value, str):
                raise _not_by_uvs(name)
            values[entry.name] = [value] * 3 if isinstance(value, (int, float)) else value[:3]
    move = Matrix.Translation(values.get("Location", (0, 0, 0)))
    turn = Euler(values["Rotation"], "XYZ").to_matrix().to_4x4()
    matrix = move @ turn @ Matrix.Diagonal((*values["Scale"], 1))
    if node.vector_type == "TEXTURE":
        matrix = matrix.inverted_safe()
    area = matrix[0][0] * matrix[1][1] - matrix[0][1] * matrix[1][0]
    if node.vector_type == "NORMAL" or abs(area) < 1e-9:
        raise SceneError(
            f'The Mapping node of "{name}" leaves nothing of it on the mesh: give it a scale.'
        )
    return matrix
