"""Writing a textured mesh as a file that other programs open: binary glTF 2.0, or Wavefront OBJ.

Both formats are y up by convention, and a Blender that imports them turns them: (x, y, z) of the
file becomes (x, -z, y). Meshes are written turned the other way round, so that in Blender they lie
where the capture's cameras are. What is in the file is documented in Khronos' "glTF 2.0
Specification" (2021) and in Wavefront's "Object Files (.obj)".
"""

import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GLB_MAGIC, GLB_VERSION, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 2, 0x4E4F534A, 0x004E4942
FLOAT, UNSIGNED_INT = 5126, 5125
VERTICES, INDICES = 34962, 34963
FAR = 1000.0
"""Distance from the origin, in sizes of a mesh, from which on float32 is too coarse for it."""
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071


@dataclass(frozen=True, eq=False)
class MeshToWrite:
    """A mesh with one texture.

    Attributes:
        vertices: float64 (V, 3), in capture coordinates.
        faces: int64 (F, 3), counterclockwise from outside.
        uvs: float32 (F, 3, 2), texture coordinates of the faces' corners; v = 1 is the texture's
            row 0.
        texture: uint8 (T, S, 3), sRGB.
        name: of the object and its material, without spaces.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uvs: NDArray[np.float32]
    texture: NDArray[np.uint8]
    name: str


def write_glb(path: Path, mesh: MeshToWrite) -> None:
    """Write one .glb file with the texture inside. Its numbers have 32 bits: far from the origin
    they are relative to the mesh's middle, where its node lies.

    Raises:
        OSError: it cannot be written.
    """
    # One index serves position and texture coordinate alike: seams double their vertices.
    pairs, corner = np.unique(
        np.concatenate([mesh.faces.reshape(-1, 1), _uv_numbers(mesh)[:, None]], axis=1),
        axis=0,
        return_inverse=True,
    )
    uvs = np.empty((len(pairs), 2), np.float32)
    uvs[corner.ravel()] = mesh.uvs.reshape(-1, 2)
    uvs[:, 1] = 1 - uvs[:, 1]  # glTF counts v from row 0
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    middle = (low + high) / 2 if _is_far(low, high) else np.zeros(3)
    positions = y_up(mesh.vertices - middle)[pairs[:, 0]].astype("<f4")
    normals = y_up(vertex_normals(mesh.vertices, mesh.faces))[pairs[:, 0]].astype("<f4")
    parts = [
        positions.tobytes(),
        normals.tobytes(),
        uvs.astype("<f4").tobytes(),
        corner.astype("<u4").tobytes(),
        _png(mesh.texture),
    ]
    padded = [part + bytes(-len(part) % 4) for part in parts]
    starts = np.cumsum([0, *(len(part) for part in padded)]).tolist()
    views: list[dict[str, Any]] = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(part)}
        for start, part in zip(starts[:-1], parts, strict=True)
    ]
    for view, target in zip(views, (VERTICES, VERTICES, VERTICES, INDICES), strict=False):
        view["target"] = target
    count = len(pairs)
    placed = {"translation": y_up(middle[None])[0].tolist()} if middle.any() else {}
    content = {
        "asset": {"version": "2.0", "generator": "Watch Your Steps"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": mesh.name, **placed}],
        "meshes": [
            {
                "name": mesh.name,
                "primitives": [
                    {
                        "attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2},
                        "indices": 3,
                        "material": 0,
                    }
                ],
            }
        ],
        "materials": [
            {
                "name": mesh.name,
                "doubleSided": True,  # it need not be closed
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0.0,
                    "roughnessFactor": 1.0,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "images": [{"name": mesh.name, "bufferView": 4, "mimeType": "image/png"}],
        "samplers": [
            {
                "magFilter": LINEAR,
                "minFilter": LINEAR_MIPMAP_LINEAR,
                "wrapS": CLAMP_TO_EDGE,
                "wrapT": CLAMP_TO_EDGE,
            }
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": FLOAT,
                "count": count,
                "type": "VEC3",
                "min": positions.min(axis=0).tolist(),
                "max": positions.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": FLOAT, "count": count, "type": "VEC3"},
            {"bufferView": 2, "componentType": FLOAT, "count": count, "type": "VEC2"},
            {
                "bufferView": 3,
                "componentType": UNSIGNED_INT,
                "count": mesh.faces.size,
                "type": "SCALAR",
            },
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": starts[-1]}],
    }
    text = json.dumps(content, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(padded)
    total = 12 + 8 + len(text) + 8 + len(binary)
    with path.open("wb") as file:
        file.write(struct.pack("<III", GLB_MAGIC, GLB_VERSION, total))
        file.write(struct.pack("<II", len(text), JSON_CHUNK) + text)
        file.write(struct.pack("<II", len(binary), BINARY_CHUNK) + binary)


def write_obj(path: Path, mesh: MeshToWrite) -> None:
    """Write an .obj file, and a .mtl and a .png of the same name beside it.

    Raises:
        OSError: one of them cannot be written.
    """
    material, texture = path.with_suffix(".mtl"), path.with_suffix(".png")
    uv_of_corner = _uv_numbers(mesh)
    uvs = np.empty((int(uv_of_corner.max(initial=-1)) + 1, 2), np.float32)
    uvs[uv_of_corner] = mesh.uvs.reshape(-1, 2)
    corners = np.stack([mesh.faces.ravel(), uv_of_corner, mesh.faces.ravel()], axis=1) + 1
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"# y up; Blender's importer turns it back\nmtllib {material.name}\n")
        file.write(f"o {mesh.name}\n")
        far = _is_far(mesh.vertices.min(axis=0), mesh.vertices.max(axis=0))
        digits = "%.15g" if far else "%.9g"
        np.savetxt(file, y_up(mesh.vertices), f"v {digits} {digits} {digits}")
        np.savetxt(file, uvs, "vt %.7g %.7g")
        np.savetxt(file, y_up(vertex_normals(mesh.vertices, mesh.faces)), "vn %.5f %.5f %.5f")
        file.write(f"usemtl {mesh.name}\ns 1\n")
        np.savetxt(file, corners.reshape(-1, 9), "f %d/%d/%d %d/%d/%d %d/%d/%d")
    material.write_text(
        f"newmtl {mesh.name}\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {texture.name}\n", "utf-8"
    )
    texture.write_bytes(_png(mesh.texture))


WRITERS: dict[str, Callable[[Path, MeshToWrite], None]] = {"glb": write_glb, "obj": write_obj}
"""By the file name's ending."""


def _is_far(low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    """Whether a box, from (3,) to (3,), lies so far from the origin that float32 shows in it."""
    return bool(np.abs(low + high).max() / 2 > FAR * (high - low).max())


def y_up(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors (n, 3) of z up coordinates in y up ones."""
    return vectors[:, [0, 2, 1]] * (1.0, 1.0, -1.0)


def vertex_normals(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64 (V, 3), of length 1: the mean of the faces around each vertex by their area; up where
    there is none.
    """
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    across = np.cross(b - a, c - a)
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], across)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.where(length > 0, length, 1.0), (0.0, 0.0, 1.0))


def _uv_numbers(mesh: MeshToWrite) -> NDArray[np.int64]:
    """int64 (3 F): the same number for corners with the same texture coordinates."""
    _, number = np.unique(mesh.uvs.reshape(-1, 2), axis=0, return_inverse=True)
    return number.ravel().astype(np.int64)


def _png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
