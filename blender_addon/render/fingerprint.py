"""What a render depends on, as short texts that two moments can be compared by.

They are kept with a render's image, so that a file that is opened again knows them too. Objects,
materials and so on are read by Blender's own description of their properties; what only the
interface knows (a selection, where a node lies) is left out.
"""

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import bpy
import numpy as np

from ..data.edit_group import is_edit_group
from .camera_render import viewpoint
from .compositor_edit import only_passes_on, without_edits
from .stand_in import compositor_of

DEEPEST = 6
"""Structures within structures that are looked into."""
LONGEST = 5000
"""Of a longer list, such as a particle system's, only the length counts."""
INTERFACE = {
    *("rna_type", "original", "users", "select", "session_uid", "name_full", "tag", "preview"),
    *(
        "animation_data",
        "asset_data",
        "library",
        "library_weak_reference",
        "is_evaluated",
        "is_library_indirect",
    ),
    *("show_expanded", "show_in_editmode", "show_on_cage", "show_viewport", "show_preview"),
    *("is_active", "execution_time", "active_item", "active_index", "debug_options"),
    *("is_open", "show_group_selector", "show_manage_panel", "open_output_attributes_panel"),
    *("open_manage_panel", "open_bake_panel", "open_named_attributes_panel"),
    *("open_warnings_panel", "open_bake_data_blocks_panel"),
    *("texture_paint_images", "texture_paint_slots", "paint_active_slot", "paint_clone_slot"),
}
"""Names of properties that say nothing of the picture. A material's slots for Texture Paint also
point on to images that were deleted: Blender crashes when they are read.
"""
NODE_INTERFACE = {
    *("location", "location_absolute", "width", "height", "dimensions", "label", "color", "hide"),
    *("use_custom_color", "parent", "internal_links", "show_options", "show_texture", "outputs"),
    *("inputs", "warning_propagation"),
}
"""The same for nodes, whose sockets are read by themselves."""
OUTPUT = (
    *("filepath", "file_", "stamp_", "use_stamp", "threads", "image_settings", "ffmpeg", "views"),
    *("use_overwrite", "use_placeholder", "use_file_extension", "use_render_cache", "bake"),
    *("use_bake", "use_lock_interface", "use_persistent_data", "preview_", "stereo_views"),
    *("metadata_", "is_movie_format", "has_", "use_compositing", "use_sequencer", "use_multiview"),
    *("use_border", "border_", "use_crop_to_border"),
)
"""How the names of render settings begin that are about files and memory, or left out of renders of
our own; what the compositor does is read by itself.
"""
SIZES = {"FLOAT": 1, "INT": 1, "INT8": 1, "BOOLEAN": 1, "FLOAT_VECTOR": 3, "FLOAT2": 2,
         "INT16_2D": 2, "INT32_2D": 2, "FLOAT_COLOR": 4, "BYTE_COLOR": 4, "QUATERNION": 4,
         "FLOAT4X4": 16}  # fmt: skip
"""Numbers in an element of an attribute, by its data type."""
FIELDS = {"FLOAT_VECTOR": "vector", "FLOAT2": "vector", "FLOAT_COLOR": "color",
          "BYTE_COLOR": "color"}  # fmt: skip
WHOLE = {"INT", "INT8", "BOOLEAN", "INT16_2D", "INT32_2D"}
PATHS = {"FILE_PATH", "DIR_PATH"}
_meshes: dict[int, list[Any]] = {}
"""What is known of meshes, by ID.session_uid: a scan's takes too long to be read for each change of
something else.
"""


def forget_meshes(changed: Iterable[int] | None = None) -> None:
    """Read these meshes (ID.session_uid) anew when they are asked for next, or all."""
    if changed is None:
        _meshes.clear()
        return
    for uid in changed:
        _meshes.pop(uid, None)


AT_ANY_SIZE = "render settings at any size"
"""What `fingerprint` calls the render settings without what is only of a small render."""


def fingerprint(scene: bpy.types.Scene, max_side: int, own: Iterable[Any] = ()) -> dict[str, str]:
    """What the scene's render depends on: a text for each of "camera", "frame", "objects",
    "materials and lights" and "render settings", which differs where these do; and the last one
    again AT_ANY_SIZE.

    Args:
        scene: as it is evaluated now; with a camera.
        max_side: the size limit of the render.
        own: what the render has of its own, where that differs from the scene.
    """
    read = _Reader()
    read.scene(scene)
    render = [*_values(scene.render, OUTPUT), *_values(scene.view_settings)]
    render += [*_values(scene.display_settings), *_engine(scene)]
    tree = compositor_of(scene)
    if tree is not None and not only_passes_on(tree, scene):
        render += _values(tree)
    for layer in scene.view_layers:
        render += [layer.name, layer.use, layer.samples, layer.use_pass_z]
        render += _pointed(layer.material_override, 0)
    places = np.round(viewpoint(scene), 4) + 0.0
    return {
        "camera": _digest([*places.tolist(), *read.lens(scene.camera)]),
        "frame": _digest([scene.frame_current, round(scene.frame_subframe, 4)]),
        "objects": _digest(read.things),
        "materials and lights": _digest(read.looks),
        "render settings": _digest([max_side, *own, *render]),
        AT_ANY_SIZE: _digest(render),
    }


def looks_of(thing: bpy.types.Object) -> str:
    """What an object's materials are, whatever they are called, as a text that differs where one
    of them does.
    """
    slots = (slot.material for slot in thing.material_slots)
    return _digest([None if one is None else _values(one, ("name",)) for one in slots])


def _digest(values: list[Any]) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _engine(scene: bpy.types.Scene) -> list[Any]:
    """The settings of the scene's render engine."""
    name = {"CYCLES": "cycles", "BLENDER_EEVEE": "eevee", "BLENDER_EEVEE_NEXT": "eevee"}
    if scene.render.engine == "BLENDER_WORKBENCH":
        return _values(scene.display.shading)
    settings = getattr(scene, name.get(scene.render.engine, ""), None)
    return _values(settings) if settings is not None else []


class _Reader:
    """What a scene's objects look like, and what they are made of."""

    def __init__(self) -> None:
        self.things: list[Any] = []
        self.looks: list[Any] = []
        self._seen: set[int] = set()

    def scene(self, scene: bpy.types.Scene) -> None:
        """All that the scene renders."""
        if scene.world is not None:
            self._look(scene.world)
        for layer in scene.view_layers:
            self._collections(layer.layer_collection)
            if layer.material_override is not None:
                self._look(layer.material_override)
        behind: bpy.types.Scene | None = scene  # then the scenes that are seen behind it
        while behind is not None:
            for thing in behind.objects:
                if not thing.hide_render:
                    self._thing(thing)
            behind = behind.background_set

    def lens(self, camera: bpy.types.Object) -> list[Any]:
        """Of the camera what its frame does not tell, such as the depth of field."""
        return _values(camera.data) if camera.type == "CAMERA" else []

    def _collections(self, layer: bpy.types.LayerCollection) -> None:
        flags = (layer.exclude, layer.holdout, layer.indirect_only, layer.collection.hide_render)
        self.things.append((layer.name, *flags))
        for child in layer.children:
            self._collections(child)

    def _thing(self, thing: bpy.types.Object) -> None:
        if thing.session_uid in self._seen:
            return
        self._seen.add(thing.session_uid)
        if thing.type == "CAMERA":
            return
        place = (np.round(np.array(thing.matrix_world), 5) + 0.0).ravel().tolist()
        seen = [bool(getattr(thing, name)) for name in _visibilities()]
        self.things.append((thing.name, thing.type, place, tuple(thing.color), seen))
        self.things.append((thing.is_holdout, thing.is_shadow_catcher, thing.pass_index))
        self.things += [*_values(thing.modifiers), *_own_properties(thing)]
        for modifier in thing.modifiers:
            if modifier.type == "NODES":
                self.things += _given(modifier)
        if thing.pose is not None:
            bones = [np.round(np.array(bone.matrix_basis), 5) + 0.0 for bone in thing.pose.bones]
            self.things.append(np.array(bones).tobytes())
        for slot in thing.material_slots:
            self.things.append(slot.material.name if slot.material is not None else None)
            if slot.material is not None:
                self._look(slot.material)
        for system in thing.particle_systems:
            self.things += [*_values(system), *_values(system.settings)]
        if thing.instance_collection is not None:
            for inner in thing.instance_collection.all_objects:
                self._thing(inner)
        if thing.data is not None and thing.data.session_uid not in self._seen:
            self._seen.add(thing.data.session_uid)
            if thing.type == "LIGHT":
                self.looks += _values(thing.data)
            elif thing.type == "MESH":
                uid = thing.data.session_uid
                if uid not in _meshes:
                    _meshes[uid] = _mesh(thing.data)
                self.things += [thing.data.name, *_meshes[uid]]
            else:
                self.things += _values(thing.data)

    def _look(self, block: bpy.types.ID) -> None:
        if block.session_uid not in self._seen:
            self._seen.add(block.session_uid)
            self.looks += [block.name, *_values(block)]


@cache
def _visibilities() -> list[str]:
    """The names of an object's properties that say which rays see it."""
    names = [described.identifier for described in bpy.types.Object.bl_rna.properties]
    return [name for name in names if name.startswith("visible_") and name[8:].isalpha()]


def _mesh(mesh: bpy.types.Mesh) -> list[Any]:
    found: list[Any] = []
    for attribute in mesh.attributes:
        size = SIZES.get(attribute.data_type)
        if attribute.name.startswith(".select") or size is None or attribute.is_internal:
            continue
        kind = np.int32 if attribute.data_type in WHOLE else np.float32
        values = np.empty(size * len(attribute.data), kind)
        attribute.data.foreach_get(FIELDS.get(attribute.data_type, "value"), values)
        found.append((attribute.name, len(values), zlib.crc32(values.data)))
    found.sort()  # edit mode changes their order
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    found.append((len(corners), zlib.crc32(corners.data)))
    found += [layer.name for layer in mesh.uv_layers if layer.active_render]
    found.append(mesh.color_attributes.render_color_index)
    if mesh.shape_keys is not None:
        found += [(key.name, key.value, key.mute) for key in mesh.shape_keys.key_blocks]
    return found


def _own_properties(struct: Any) -> list[Any]:
    """The custom properties of an object, which shaders may read."""
    found = []
    for name, value in struct.items():
        if isinstance(value, bpy.types.ID):
            found.append((name, value.name))
        elif not hasattr(value, "items"):  # groups are add-ons'
            found.append((name, _plain(value)))
    return found


def _given(modifier: bpy.types.Modifier) -> list[Any]:
    """What geometry nodes are given by their modifier."""
    if not hasattr(modifier, "properties"):  # before Blender 5.2
        return _own_properties(modifier)
    found: list[Any] = []
    for described in modifier.properties.inputs.bl_rna.properties:
        if described.type == "POINTER" and described.is_runtime:
            entry = getattr(modifier.properties.inputs, described.identifier)
            for name in ("type", "value", "attribute_name"):
                value = getattr(entry, name, None)
                found.append(value.name if isinstance(value, bpy.types.ID) else _plain(value))
    return found


def _values(struct: Any, without: tuple[str, ...] = (), depth: int = 0) -> list[Any]:
    """All values of a structure of Blender's and of those within it."""
    return list(_each(struct, without, depth))


def _each(struct: Any, without: tuple[str, ...], depth: int) -> Iterator[Any]:
    if isinstance(struct, bpy.types.bpy_prop_collection):
        yield len(struct)
        if depth < DEEPEST and len(struct) <= LONGEST:
            for item in struct:
                yield from _each(item, (), depth + 1)
        return
    if isinstance(struct, bpy.types.NodeTree):
        yield from _tree(struct, depth)
        return
    node = isinstance(struct, bpy.types.Node)
    for described in struct.bl_rna.properties:
        name = described.identifier
        left_out = name in INTERFACE or (node and name in NODE_INTERFACE)
        left_out |= getattr(described, "is_deprecated", False)  # Blender 5 warns of their reading
        if described.type == "POINTER" and described.is_runtime:  # an add-on's
            # To read it may make it. What was made in a scene's shading (Cycles' settings of the
            # viewport) is shared by New Scene > Copy Settings: both free it, and Blender crashes.
            left_out = name != "cycles" or not isinstance(struct, bpy.types.ID)
        if not left_out and not (without and name.startswith(without)):
            value = getattr(struct, name, None)
            if described.type == "COLLECTION":
                yield from _each(value, (), depth + 1)
            elif described.type == "POINTER":
                yield from _pointed(value, depth)
            elif getattr(described, "subtype", "") in PATHS:
                yield (name, _whole(value or "", struct.id_data))
            else:
                yield (name, _plain(value))


def _whole(path: str, block: bpy.types.ID) -> str:
    """A path of a data-block, however it is written: where a file is saved, Blender writes it
    anew.
    """
    return os.path.normpath(bpy.path.abspath(path, library=block.library)) if path else ""


def _tree(tree: bpy.types.NodeTree, depth: int) -> Iterator[Any]:
    """As it is without the edits that the add-on has put there, which it leaves out of renders."""
    for node in tree.nodes:
        if _is_edit(node):
            continue
        yield node.bl_idname
        yield from _each(node, (), depth + 1)
        for socket in (*node.inputs, *node.outputs):
            value = getattr(socket, "default_value", None)
            yield value.name if isinstance(value, bpy.types.ID) else _plain(value)
    links = []
    for link in tree.links:
        if not _is_edit(link.to_node):
            source = without_edits(link.from_socket)
            ends = (source.node.name, source.identifier)
            links.append((*ends, link.to_node.name, link.to_socket.identifier, link.is_muted))
    if tree.bl_idname == "CompositorNodeTree":
        links.sort()  # an edit that is put there changes their order
    yield from links


def _is_edit(node: bpy.types.Node) -> bool:
    return is_edit_group(getattr(node, "node_tree", None))


def _pointed(value: Any, depth: int) -> Iterator[Any]:
    if isinstance(value, bpy.types.Image):
        path = _whole(value.filepath, value)
        yield (value.name, path, tuple(value.size), value.colorspace_settings.name)
    elif isinstance(value, bpy.types.ID) and not isinstance(value, bpy.types.NodeTree):
        yield value.name
    elif value is not None and depth < DEEPEST:
        yield from _each(value, (), depth + 1)


def _plain(value: Any) -> Any:
    """A number, a text, or lists of those."""
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, str) or not hasattr(value, "__len__"):
        return value
    return [_plain(part) for part in value]
