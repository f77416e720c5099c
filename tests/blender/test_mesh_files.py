"""Mesh files of the backend, opened by Blender's own importers with their defaults: places, faces,
texture coordinates and the texture come back as the capture has them.
"""

import os
import subprocess
from pathlib import Path

import bpy
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
import numpy as np
from backend.meshes.writing import WRITERS, FileMesh
given, path = np.load(sys.argv[1]), Path(sys.argv[2])
arrays = [given[name] for name in ("vertices", "faces", "uvs", "texture")]
WRITERS[path.suffix[1:]](path, FileMesh(*arrays, "edited"))
"""


def house() -> dict[str, np.ndarray]:
    """An open tetrahedron that no turn or mirroring maps onto itself, its faces looking outwards,
    with seams between all faces but two, and a texture with another colour in every texel.
    """
    vertices = np.array([[1.0, 2, 3], [5, 2, 3], [1, 4, 3], [1.5, 2.5, 11]])
    faces = np.array([[0, 1, 3], [1, 2, 3], [2, 0, 3]])
    uvs = np.zeros((3, 3, 2), np.float32)
    uvs[0] = [[0.1, 0.05], [0.4, 0.1], [0.2, 0.45]]
    uvs[1] = [[0.4, 0.1], [0.8, 0.3], [0.2, 0.45]]  # goes on where the first one ends
    uvs[2] = [[0.6, 0.6], [0.9, 0.7], [0.7, 0.95]]
    texture = np.zeros((16, 8, 3), np.uint8)
    texture[..., 0], texture[..., 1] = np.arange(16)[:, None] * 16, np.arange(8) * 32
    return {"vertices": vertices, "faces": faces, "uvs": uvs, "texture": texture}


def written(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """The file, as the backend's own Python writes it."""
    given = path.with_suffix(".npz")
    np.savez(given, **arrays)
    python = os.environ["WATCH_YOUR_STEPS_BACKEND_PYTHON"]
    subprocess.run([python, "-c", WRITER, str(given), str(path)], cwd=ROOT, check=True)
    return path


@pytest.mark.parametrize("ending", ["glb", "obj", "ply"])
def test_blender_opens_it_where_the_capture_is(tmp_path: Path, ending: str) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    arrays = house()
    path = written(tmp_path / f"house.{ending}", arrays)
    if ending == "glb":
        assert bpy.ops.import_scene.gltf(filepath=str(path)) == {"FINISHED"}
    elif ending == "obj":
        assert bpy.ops.wm.obj_import(filepath=str(path)) == {"FINISHED"}
    else:
        assert bpy.ops.wm.ply_import(filepath=str(path)) == {"FINISHED"}
    (thing,) = [o for o in bpy.context.scene.objects if o.type == "MESH"]
    if ending != "ply":
        assert thing.name == "edited"
        assert len(bpy.context.scene.objects) == 1
    mesh = thing.data
    assert len(mesh.polygons) == 3
    place = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", place)
    turn = np.array(thing.matrix_world)
    place = place.reshape(-1, 3) @ turn[:3, :3].T + turn[:3, 3]
    index = np.empty(9, np.int32)
    mesh.loops.foreach_get("vertex_index", index)
    corners = place[index].reshape(3, 3, 3)
    uvs = np.empty(18, np.float32)
    mesh.uv_layers.active.data.foreach_get("uv", uvs)
    uvs = uvs.reshape(3, 3, 2)
    wanted = arrays["vertices"][arrays["faces"]]
    for face in range(3):
        # Faces keep their order; which corner comes first may be another one.
        first = np.abs(corners[face] - wanted[face, 0]).sum(axis=1).argmin()
        order = (first + np.arange(3)) % 3
        np.testing.assert_allclose(corners[face][order], wanted[face], atol=1e-5)
        np.testing.assert_allclose(uvs[face][order], arrays["uvs"][face], atol=1e-5)
    if ending == "ply":  # whose texture Blender leaves to the person
        assert path.with_suffix(".png").exists()
        return
    material = thing.active_material
    (image_node,) = [n for n in material.node_tree.nodes if n.type == "TEX_IMAGE"]
    (link,) = image_node.outputs["Color"].links
    assert link.to_socket.name == "Base Color"
    image = image_node.image
    pixels = np.empty(16 * 8 * 4, np.float32)
    image.pixels.foreach_get(pixels)
    shown = np.rint(pixels.reshape(16, 8, 4)[::-1, :, :3] * 255).astype(np.uint8)
    assert np.array_equal(shown, arrays["texture"])
    assert image.colorspace_settings.name == "sRGB"


READER = """
import sys
from pathlib import Path
import numpy as np
from backend.meshes.reading import read_mesh
mesh = read_mesh(Path(sys.argv[1]))
np.savez(sys.argv[2], places=mesh.vertices[mesh.faces], uvs=mesh.uvs, texture=mesh.texture)
"""


@pytest.mark.parametrize("ending", ["glb", "obj"])
def test_the_backend_reads_what_blender_writes(tmp_path: Path, ending: str) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)
    arrays = house()
    bpy.ops.wm.obj_import(filepath=str(written(tmp_path / "house.obj", arrays)))
    path = tmp_path / "by blender" / f"house.{ending}"
    path.parent.mkdir()
    if ending == "glb":
        bpy.ops.export_scene.gltf(filepath=str(path))
    else:
        bpy.ops.wm.obj_export(filepath=str(path), path_mode="COPY")
    python = os.environ["WATCH_YOUR_STEPS_BACKEND_PYTHON"]
    back = tmp_path / "back.npz"
    subprocess.run([python, "-c", READER, str(path), str(back)], cwd=ROOT, check=True)
    with np.load(back) as found:
        places, uvs, texture = found["places"], found["uvs"], found["texture"]
    assert np.array_equal(texture[..., :3], arrays["texture"])
    wanted = arrays["vertices"][arrays["faces"]]
    for face in range(3):
        first = np.abs(places[face] - wanted[face, 0]).sum(axis=1).argmin()
        order = (first + np.arange(3)) % 3
        np.testing.assert_allclose(places[face][order], wanted[face], atol=1e-5)
        np.testing.assert_allclose(uvs[face][order], arrays["uvs"][face], atol=1e-5)
