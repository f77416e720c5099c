"""Writing a textured mesh as a file that other programs open: binary glTF 2.0, Wavefront OBJ, PLY.

The first two are y up by convention, and a Blender that imports them turns them: (x, y, z) of the
file becomes (x, -z, y). Meshes are written turned the other way round, so that in Blender they lie
where the capture's cameras are. What is in the files is documented in Khronos' "glTF 2.0
Specification" (2021), in Wavefront's "Object Files (.obj)" and in Turk's "The PLY Polygon File
Format" (1994).
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FAR = 1000.0
"""Distance from the origin, in sizes of a mesh, from which on float32 is too coarse for it."""
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE, REPEAT = 9729, 9987, 33071, 10497


@dataclass(frozen=True, eq=False)
class FileMesh:
    """A mesh with one texture, as files hold it.

    Attributes:
        vertices: float64 (V, 3), in capture coordinates.
        faces: int64 (F, 3), counterclockwise from outside.
        uvs: float32 (F, 3, 2), texture coordinates of the faces' corners; v = 1 is the texture's
            row 0. Beyond 0..1 the texture repeats.
        texture: uint8 (T, S, 3), or (T, S, 4) with alpha, sRGB.
        name: of the object and its material, without spaces.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uvs: NDArray[np.float32]
    texture: NDArray[np.uint8]
    name: str


def write_glb(path: Path, mesh: FileMesh) -> None:
    """Write one .glb file with the texture inside. Its numbers have 32 bits: far from the origin
    they are relative to the mesh's middle, where its node lies.

    Raises:
        OSError: it cannot be written.
    """
    import trimesh  # only now: it takes half a second, and most commands write no mesh
    from trimesh.exchange.gltf import export_glb
    from trimesh.visual.material import PBRMaterial

    vertex, faces, uvs = _split_at_seams(mesh)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    middle = (low + high) / 2 if _is_far(low, high) else np.zeros(3)
    material = PBRMaterial(
        name=mesh.name,
        baseColorTexture=Image.fromarray(mesh.texture),
        metallicFactor=0.0,
        roughnessFactor=1.0,
        doubleSided=True,  # it need not be closed
    )
    body = trimesh.Trimesh(
        y_up(mesh.vertices - middle)[vertex],
        faces,
        vertex_normals=y_up(vertex_normals(mesh.vertices, mesh.faces))[vertex],
        visual=trimesh.visual.TextureVisuals(uvs, material),
        process=False,
    )
    # Within the texture it ends at its edges: so its last texels do not mix with those across.
    wrap = CLAMP_TO_EDGE if (np.abs(mesh.uvs - 0.5) <= 0.5).all() else REPEAT
    placed = {"translation": y_up(middle[None])[0].tolist()} if middle.any() else {}

    def finish(content: dict[str, Any]) -> None:
        content["asset"]["generator"] = "Watch Your Steps"
        content["scenes"] = [{"nodes": [0]}]  # trimesh hangs the mesh below a node "world"
        content["nodes"] = [{"mesh": 0, "name": mesh.name, **placed}]
        content["images"][0]["name"] = mesh.name
        content["textures"][0]["sampler"] = 0
        content["samplers"] = [
            {
                "magFilter": LINEAR,
                "minFilter": LINEAR_MIPMAP_LINEAR,
                "wrapS": wrap,
                "wrapT": wrap,
            }
        ]

    scene = trimesh.Scene()
    scene.add_geometry(body, geom_name=mesh.name)
    path.write_bytes(export_glb(scene, include_normals=True, tree_postprocessor=finish))


def write_obj(path: Path, mesh: FileMesh) -> None:
    """Write an .obj file, and a .mtl and a .png of the same name beside it. Faces share vertices
    across seams, as places and texture coordinates have indices of their own.

    (trimesh's writer cuts the mesh along its seams, and leaves out what fails without a word.)

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
        np.savetxt(file, uvs, "vt %.9g %.9g")
        np.savetxt(file, y_up(vertex_normals(mesh.vertices, mesh.faces)), "vn %.5f %.5f %.5f")
        file.write(f"usemtl {mesh.name}\ns 1\n")
        np.savetxt(file, corners.reshape(-1, 9), "f %d/%d/%d %d/%d/%d %d/%d/%d")
    material.write_text(
        f"newmtl {mesh.name}\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {texture.name}\n", "utf-8"
    )
    texture.write_bytes(_png(mesh.texture))


def write_ply(path: Path, mesh: FileMesh) -> None:
    """Write a binary .ply file and a .png of the same name beside it. The format has no convention
    of which way is up: z is, as in the capture. Seams double their vertices, as Blender takes
    texture coordinates of vertices only.

    (trimesh's writer rounds places to 32 bits wherever they lie, and does not name the texture.)

    Raises:
        OSError: one of them cannot be written.
    """
    vertex, faces, uvs = _split_at_seams(mesh)
    texture = path.with_suffix(".png")
    far = _is_far(mesh.vertices.min(axis=0), mesh.vertices.max(axis=0))
    columns = {
        **dict(zip("xyz", mesh.vertices[vertex].T, strict=True)),
        **dict(
            zip(
                ("nx", "ny", "nz"), vertex_normals(mesh.vertices, mesh.faces)[vertex].T, strict=True
            )
        ),
        **dict(zip("st", uvs.T, strict=True)),
    }
    types = {name: "<f8" if far and name in "xyz" else "<f4" for name in columns}
    rows = np.empty(len(vertex), list(types.items()))
    for name, values in columns.items():
        rows[name] = values
    corners = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    corners["count"], corners["corners"] = 3, faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment TextureFile {texture.name}",
        f"element vertex {len(rows)}",
        *(f"property {'double' if types[name] == '<f8' else 'float'} {name}" for name in columns),
        f"element face {len(corners)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    with path.open("wb") as file:
        file.write("\n".join(header).encode())
        file.write(rows.tobytes())
        file.write(corners.tobytes())
    texture.write_bytes(_png(mesh.texture))


WRITERS: dict[str, Callable[[Path, FileMesh], None]] = {
    "glb": write_glb,
    "obj": write_obj,
    "ply": write_ply,
}
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


def _uv_numbers(mesh: FileMesh) -> NDArray[np.int64]:
    """int64 (3 F): the same number for corners with the same texture coordinates."""
    _, number = np.unique(mesh.uvs.reshape(-1, 2), axis=0, return_inverse=True)
    return number.ravel().astype(np.int64)


def _split_at_seams(
    mesh: FileMesh,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The mesh with one index for place and texture coordinate alike: seams double their vertices.

    Returns:
        int64 (W,), which of the mesh's vertices each is; int64 (F, 3), the faces; float32 (W, 2),
        the texture coordinates.
    """
    pairs, corner = np.unique(
        np.stack([mesh.faces.ravel(), _uv_numbers(mesh)], axis=1), axis=0, return_inverse=True
    )
    uvs = np.empty((len(pairs), 2), np.float32)
    uvs[corner.ravel()] = mesh.uvs.reshape(-1, 2)
    return pairs[:, 0], corner.reshape(-1, 3), uvs


def _png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
