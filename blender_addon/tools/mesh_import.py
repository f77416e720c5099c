"""Importing meshes of the formats that the scripts take."""

from pathlib import Path

import bpy
from far_obj import import_obj
from scripting import Refused


def import_mesh(scene: bpy.types.Scene, mesh: Path, up_axis: str) -> list[bpy.types.Object]:
    """Bring a file's objects into the scene, which is the active one; returns them. `up_axis` of an
    .obj is "Y" or "Z"; glTF always has Y.

    Raises:
        Refused: a file of another format, or without a mesh.
        RuntimeError: Blender cannot read it.
        OSError: it cannot be read.
    """
    before = set(scene.objects)
    if mesh.suffix.lower() == ".obj":
        forward = {"Y": "NEGATIVE_Z", "Z": "Y"}[up_axis]
        import_obj(scene, mesh, up_axis, forward)
    elif mesh.suffix.lower() in (".glb", ".gltf"):
        bpy.ops.import_scene.gltf(filepath=str(mesh))
    else:
        raise Refused(f"{mesh} is neither .obj nor .glb nor .gltf: convert it first.")
    added = [thing for thing in scene.objects if thing not in before]
    if not any(thing.type == "MESH" for thing in added):
        raise Refused(f"{mesh} holds no mesh.")
    return added
