"""Importing .obj files whose coordinates are those of maps, millions of metres from the origin.

Blender keeps vertices in 32 bits, which leaves out half a metre there. The file's numbers have more
digits: it is imported from a copy that is moved to the origin, and the objects are moved back.
"""

import os
import tempfile
from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray

FAR = 1000.0
"""Distance from the origin, in sizes of what is in a file, from which on it is moved."""


def import_obj(scene: bpy.types.Scene, path: Path, up_axis: str, forward_axis: str) -> None:
    """Import a file into the scene, which is the active one; axes as Blender's importer names them.

    Raises:
        RuntimeError: Blender cannot read it.
        OSError: it cannot be read.
    """
    lines = path.read_bytes().splitlines()
    middle = _far_middle(lines)
    if middle is None:
        bpy.ops.wm.obj_import(filepath=str(path), up_axis=up_axis, forward_axis=forward_axis)
        return
    before, images = set(scene.objects), set(bpy.data.images)
    with tempfile.TemporaryDirectory(prefix="watch-your-steps-") as folder:
        moved = Path(folder).resolve() / path.name
        moved.write_bytes(b"\n".join(_moved(lines, middle, path.resolve(), moved.parent)))
        bpy.ops.wm.obj_import(filepath=str(moved), up_axis=up_axis, forward_axis=forward_axis)
        for image in set(bpy.data.images) - images:  # their paths lead through the copy's folder
            image.filepath = os.path.normpath(bpy.path.abspath(image.filepath))
    for thing in set(scene.objects) - before:
        axes = np.rint(np.array(thing.matrix_world, np.float64)[:3, :3])  # exactly, at such lengths
        thing.location = axes @ middle + np.array(thing.location)


def _far_middle(lines: list[bytes]) -> NDArray[np.float64] | None:
    """The middle (3,) of a file's vertices, where they lie far from the origin."""
    places = [line.split()[1:4] for line in lines if line.lstrip().startswith((b"v ", b"v\t"))]
    try:
        corners = np.array(places, np.float64)
    except ValueError:  # not numbers: Blender says what it makes of them
        return None
    if corners.shape[1:] != (3,) or not np.isfinite(corners).all():
        return None
    low, high = corners.min(axis=0), corners.max(axis=0)
    middle: NDArray[np.float64] = (low + high) / 2
    return middle if np.abs(middle).max() > FAR * (high - low).max() else None


def _moved(
    lines: list[bytes], middle: NDArray[np.float64], path: Path, folder: Path
) -> list[bytes]:
    """The lines of a copy in another folder."""
    found = []
    libraries = [path.with_suffix(".mtl").name]  # which Blender takes where none is named
    for line in lines:
        words = line.split()
        if words[:1] == [b"v"]:
            place = np.array(words[1:4], np.float64) - middle
            line = b" ".join([b"v", *(b"%.12g" % value for value in place), *words[4:]])
        elif words[:1] == [b"mtllib"]:
            name = line.strip()[len(b"mtllib") :].strip().strip(b'"')
            libraries.append(name.decode("utf-8", "replace"))
            continue
        found.append(line)
    there = [path.parent / name for name in dict.fromkeys(libraries)]
    named = [os.path.relpath(one, folder) for one in there if one.is_file()]
    return [*(b"mtllib " + name.encode() for name in named), *found]
