"""A mesh that the backend has made of a scene, as an object with its textures."""

import bpy
import numpy as np
from numpy.typing import NDArray

from ...protocol.requests import SceneMeshResult
from .. import pictures
from ..places import FAR
from . import texture_regions
from .edited_textures import install_edited

COLLECTION = "Watch Your Steps"
MARK = "watch_your_steps"
"""Custom property of the collection that results in 3D are put in."""


def collection_of(scene: bpy.types.Scene) -> bpy.types.Collection | None:
    """The collection that the scene's results in 3D are in, whatever its name is by now. One that a
    copy of a scene shares with its original is the original's.
    """
    borrowed = scene.watch_your_steps.in_3d.borrowed_collection
    found = (one for one in scene.collection.children if MARK in one and one != borrowed)
    return next(found, None)


def install_mesh(
    scene: bpy.types.Scene, result: SceneMeshResult, files: dict[str, bytes], instruction: str
) -> bpy.types.Object:
    """Put a mesh into the scene: in the capture's coordinates, which are the scene's, with its
    texture and, where it was edited, the edited one shown in its place.

    Args:
        scene: the scene that was captured.
        result: what the backend has made.
        files: the textures' file bytes by the names of the result's fields.
        instruction: what was asked for, or "" for the unedited scene; it names the object.
    """
    name = instruction or f"{scene.name} in 3D"
    vertices = result.vertices
    # Blender's numbers have 32 bits: the shape is kept exactly wherever the mesh lies.
    origin = ((vertices.min(axis=0) + vertices.max(axis=0)) / 2).astype(np.float32)
    if np.abs(origin).max() <= FAR * np.ptp(vertices, axis=0).max():
        origin[:] = 0
    mesh = _mesh(name, result, origin.astype(np.float64))
    image = pictures.new_packed_image(f"{name} texture", files["texture"])
    pictures.tag_as_seen(scene, image)
    shown = image
    if result.edited_texture is not None:
        names = {"edited_texture": "texture", "relevance_texture": "relevance"}
        encoded = {names[one]: file for one, file in files.items() if one in names}
        shown = install_edited(
            image, result.edited_texture, result.relevance_texture, instruction, files=encoded
        )
        texture_regions.keep_of_edit(shown, result.threshold)
    mesh.materials.append(_material(name, shown, scene.view_settings.exposure))
    thing = bpy.data.objects.new(name, mesh)
    thing.location = origin
    collection = collection_of(scene)
    if collection is None:
        collection = bpy.data.collections.new(COLLECTION)
        collection[MARK] = True
        scene.collection.children.link(collection)
    collection.objects.link(thing)
    return thing


def _mesh(name: str, result: SceneMeshResult, origin: NDArray[np.float64]) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    count = len(result.faces)
    mesh.vertices.add(len(result.vertices))
    mesh.vertices.foreach_set("co", (result.vertices - origin).astype(np.float32).ravel())
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", result.faces.ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    layer = mesh.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", result.uvs.ravel())
    mesh.update(calc_edges=True)
    return mesh


def _material(name: str, image: bpy.types.Image, exposure: float) -> bpy.types.Material:
    """A material that shows the texture as it is, whose light is in it already, and lights nothing
    else.
    """
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()
    texture, ray = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeLightPath")
    strength, light = nodes.new("ShaderNodeMath"), nodes.new("ShaderNodeEmission")
    output = nodes.new("ShaderNodeOutputMaterial")
    for number, node in enumerate((ray, strength, texture, light, output)):
        node.location = (250 * number - 750, 0)
    texture.image = image
    strength.operation = "MULTIPLY"
    strength.inputs[1].default_value = 2.0**-exposure
    links.new(ray.outputs["Is Camera Ray"], strength.inputs[0])
    links.new(strength.outputs["Value"], light.inputs["Strength"])
    links.new(texture.outputs["Color"], light.inputs["Color"])
    links.new(light.outputs["Emission"], output.inputs["Surface"])
    return material
