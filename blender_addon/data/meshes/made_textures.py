"""A texture that was made of the base colour of a mesh's materials: put onto the mesh, and taken
off again.

The materials are kept as they are: the object gets copies of them, in which the shaders that give
the base colour have it from the image, and everything else is as before. A copy knows what it was
made of, which also keeps that in the file.
"""

import hashlib
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from .. import pictures
from ..scene_error import SceneError
from .material_images import GROUP_TYPES, tree_of
from .painted_shaders import give_image, make_groups_own, painted_shaders, surface, used_nodes

UV_MAP = "Watch Your Steps"
"""Name of the UV map that is made where the mesh has none that can hold a texture."""
NO_ROOM = '"{mesh}" has eight UV maps, which is all it can have: remove one.'
EMPTY_SLOT, NO_SLOT = "EMPTY", "NONE"
"""What a material was made for, where that was no material."""


@dataclass(frozen=True, eq=False)
class Made:
    """A texture as it was baked.

    Attributes:
        png: the image's file.
        layer: the UV map that lays it on.
        uvs: float32 (loops, 2) of that map where it is new; None where the mesh has it.
    """

    png: bytes
    layer: str
    uvs: NDArray[np.float32] | None


def why_not_made(thing: bpy.types.Object | None) -> str:
    """Why no texture can be made for an object, without a full stop; "" where one can."""
    if thing is None:
        return "There is no active object: click on the mesh that you want a texture for"
    if thing.type != "MESH":
        return f'"{thing.name}" is not a mesh: convert it first (Object > Convert > Mesh)'
    if thing.library or thing.data.library or thing.override_library:
        return (
            f'"{thing.name}" is linked from another file: make it local first (Object > Relations '
            "> Make Local > Selected Objects and Data)"
        )
    if mode := modelling_mode(thing):
        return f"Leave {mode} first"
    if not thing.data.polygons:
        return f'"{thing.name}" has no faces'
    if made_slots(thing):
        return f'"{thing.name}" has a texture that was made already: Revert to Materials first'
    return ""


def modelling_mode(thing: bpy.types.Object) -> str:
    """The mode at whose end Blender writes a mesh anew, also where it is that of another object
    that uses the mesh; "" for none.
    """
    if thing.data.is_editmode:
        return "Edit Mode"
    return "Sculpt Mode" if thing.use_dynamic_topology_sculpting else ""


def made_slots(thing: bpy.types.Object) -> list[bpy.types.MaterialSlot]:
    """The slots of an object whose material was made with a texture."""
    return [one for one in thing.material_slots if one.material and _of(one.material).layer]


def mesh_mark(mesh: bpy.types.Mesh) -> str:
    """Of how a mesh's faces hang together, and of its UV maps: what was made fits while this
    stays.
    """
    vertices = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", vertices)
    mark = hashlib.sha256(vertices.tobytes())
    uvs = np.empty(len(mesh.loops) * 2, np.float32)
    for layer in mesh.uv_layers:
        layer.uv.foreach_get("vector", uvs)
        mark.update(uvs.tobytes())
    return mark.hexdigest()


def install_made(thing: bpy.types.Object, made: Made, engine: str) -> bpy.types.Image:
    """Put a texture onto a mesh; its image.

    Args:
        thing: not in Edit Mode; its mesh is as it was when the texture was baked.
        made: what was baked.
        engine: the scene's.

    Raises:
        SceneError: the mesh has no room for the UV map, or has lost it.
    """
    layer = made.layer
    if made.uvs is not None:
        layer = _add_uvs(thing.data, made.uvs)
    elif layer not in thing.data.uv_layers:
        raise SceneError(f'The UV map "{layer}" of "{thing.name}" is gone: make the texture anew.')
    image = pictures.new_packed_image(f"{thing.name} color", made.png)
    shared = thing.data.users > 1
    no_slot = not thing.material_slots
    if no_slot:
        thing.data.materials.append(None)
    known: dict[tuple[bpy.types.Material | None, str], bpy.types.Material | None] = {}
    for slot in thing.material_slots:
        was, link = slot.material, slot.link
        if (was, link) not in known:
            known[was, link] = _material(was, image, layer, engine)
        material = known[was, link]
        if material is None:
            continue
        mine = _of(material)
        mine.layer, mine.new_map = layer, made.uvs is not None
        mine.image, mine.original = image, was
        mine.was_empty = NO_SLOT if no_slot else EMPTY_SLOT if was is None else ""
        if shared and link == "DATA":
            mine.was_of_mesh = True
            slot.link = "OBJECT"  # other objects that use the mesh keep its own materials
        slot.material = material
    return image


def take_off(thing: bpy.types.Object) -> None:
    """Give an object back the materials that it had before a texture was made for it. The image
    stays in the file while it has edits.
    """
    mesh, images, layers, gone = thing.data, set(), set(), []
    for number, slot in reversed(list(enumerate(thing.material_slots))):
        material = slot.material
        if material is None or not _of(material).layer:
            continue
        mine = _of(material)
        if mine.new_map:
            layers.add(mine.layer)
        images.add(mine.image)
        gone.append(material)
        slot.material = None
        if mine.was_of_mesh:
            slot.link = "DATA"
        else:
            slot.material = mine.original
        if mine.was_empty == NO_SLOT and not _anybody_uses(mesh, number):
            mesh.materials.pop(index=number)
    for material in dict.fromkeys(gone):
        _remove_unused(material)
    for image in images - {None}:
        if not image.users:
            bpy.data.images.remove(image)
    for layer in layers - _layers_in_use(mesh):
        if layer in mesh.uv_layers:
            mesh.uv_layers.remove(mesh.uv_layers[layer])


def _of(material: bpy.types.Material) -> bpy.types.PropertyGroup:
    return material.watch_your_steps


def _add_uvs(mesh: bpy.types.Mesh, uvs: NDArray[np.float32]) -> str:
    """A new UV map, beside those that the mesh shows and renders with; its name."""
    active = mesh.uv_layers.active_index
    rendered = next((one.name for one in mesh.uv_layers if one.active_render), "")
    layer = mesh.uv_layers.new(name=UV_MAP, do_init=False)
    if layer is None:
        raise SceneError(NO_ROOM.format(mesh=mesh.name))
    layer.uv.foreach_set("vector", uvs.ravel())
    name: str = layer.name
    if rendered:
        mesh.uv_layers.active_index = active
        mesh.uv_layers[rendered].active_render = True
    return name


def _material(
    was: bpy.types.Material | None, image: bpy.types.Image, layer: str, engine: str
) -> bpy.types.Material | None:
    """A copy of a material that is coloured by an image; None where nothing of it has a colour."""
    if was is not None and tree_of(was) is not None:
        if not painted_shaders(surface(was, engine)):
            return None
        material = was.copy()
        make_groups_own(material.node_tree)
    else:
        material = bpy.data.materials.new("Material" if was is None else was.name)
        if bpy.app.version < (5, 0):
            material.use_nodes = True
        shader = material.node_tree.nodes["Principled BSDF"]
        if was is None and bpy.app.version < (5, 0):  # what is without a material is dull there
            dull = material.node_tree.nodes.new("ShaderNodeBsdfDiffuse")
            dull.location = shader.location
            material.node_tree.links.new(dull.outputs[0], surface(material, engine))
            material.node_tree.nodes.remove(shader)
        elif was is not None:
            for name, value in (("Metallic", was.metallic), ("Roughness", was.roughness)):
                shader.inputs[name].default_value = value
    for node in painted_shaders(surface(material, engine)):
        before = used_nodes(node.id_data)
        give_image(node, image, layer)
        for unused in before - used_nodes(node.id_data):  # the original has them
            node.id_data.nodes.remove(unused)
    return material


def _anybody_uses(mesh: bpy.types.Mesh, number: int) -> bool:
    """Whether some object has a material in a slot of a mesh."""
    users = [one for one in bpy.data.objects if one.data == mesh]
    return any(
        number < len(one.material_slots) and one.material_slots[number].material for one in users
    )


def _layers_in_use(mesh: bpy.types.Mesh) -> set[str]:
    """UV maps of a mesh that made materials of its objects lay their texture on with."""
    users = [one for one in bpy.data.objects if one.data == mesh]
    return {_of(slot.material).layer for one in users for slot in made_slots(one)}


def _remove_unused(material: bpy.types.Material) -> None:
    """Take a material out of the file, with its own groups, if nothing uses it."""
    if material.users:
        return
    groups = _groups(material.node_tree)
    bpy.data.materials.remove(material)
    for group in groups:
        if not group.users:
            bpy.data.node_groups.remove(group)


def _groups(tree: bpy.types.NodeTree) -> list[bpy.types.NodeTree]:
    """The groups in a tree, the outer ones first."""
    inner = [one.node_tree for one in tree.nodes if one.type in GROUP_TYPES and one.node_tree]
    return list(dict.fromkeys([*inner, *(deeper for one in inner for deeper in _groups(one))]))
