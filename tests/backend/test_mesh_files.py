"""Mesh files, byte by byte; that other programs open them is shown in tests/blender."""

import dataclasses
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.meshes.writing import FileMesh, vertex_normals, write_glb, write_obj, write_ply, y_up


def square(rows: int = 5, columns: int = 3) -> FileMesh:
    """Two triangles with a seam along their shared edge."""
    rng = np.random.default_rng(0)
    vertices = np.array([[100.0, 20, 3], [102, 20, 3], [102, 22, 3], [100, 22, 3]])
    uvs = rng.random((2, 3, 2), np.float32)
    texture = rng.integers(0, 256, (rows, columns, 3), np.uint8)
    return FileMesh(vertices, np.array([[0, 1, 2], [0, 2, 3]]), uvs, texture, "square")


def glb(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    """A .glb's header, and the bytes of its views."""
    content = path.read_bytes()
    magic, version, total = struct.unpack_from("<4sII", content)
    assert (magic, version, total) == (b"glTF", 2, len(content))
    length, kind = struct.unpack_from("<I4s", content, 12)
    assert (kind, length % 4) == (b"JSON", 0)
    header = json.loads(content[20 : 20 + length])
    size, kind = struct.unpack_from("<I4s", content, 20 + length)
    assert (kind, size % 4) == (b"BIN\0", 0)
    binary = content[28 + length :]
    assert len(binary) == size == header["buffers"][0]["byteLength"]
    parts = []
    for view in header["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        parts.append(binary[view["byteOffset"] :][: view["byteLength"]])
    return header, parts


def accessor(header: dict[str, Any], parts: list[bytes], name: str) -> np.ndarray:
    """float32 (n, 2 or 3), an attribute of the only mesh; or uint32 (n,), its indices."""
    (primitive,) = header["meshes"][0]["primitives"]
    index = primitive["indices"] if name == "indices" else primitive["attributes"][name]
    found = header["accessors"][index]
    code, width = {5126: "<f4", 5125: "<u4"}, {"SCALAR": 1, "VEC2": 2, "VEC3": 3}
    values = np.frombuffer(parts[found["bufferView"]], code[found["componentType"]])
    assert found.get("byteOffset", 0) == 0
    assert len(values) == found["count"] * width[found["type"]]
    return values if name == "indices" else values.reshape(found["count"], -1)


def test_a_glb_holds_what_its_header_says(tmp_path: Path) -> None:
    mesh = square()
    write_glb(tmp_path / "square.glb", mesh)
    header, parts = glb(tmp_path / "square.glb")
    position, normal, uv, index = (
        accessor(header, parts, name) for name in ("POSITION", "NORMAL", "TEXCOORD_0", "indices")
    )
    np.testing.assert_allclose(position[index], y_up(mesh.vertices)[mesh.faces.ravel()])
    np.testing.assert_allclose(uv[index], mesh.uvs.reshape(-1, 2) * (1, -1) + (0, 1), atol=1e-6)
    np.testing.assert_allclose(normal, np.tile([0, 1, 0], (len(normal), 1)))
    (primitive,) = header["meshes"][0]["primitives"]
    assert primitive.get("mode", 4) == 4
    box = header["accessors"][primitive["attributes"]["POSITION"]]
    assert (box["min"], box["max"]) == (
        position.min(axis=0).tolist(),
        position.max(axis=0).tolist(),
    )


def test_a_glb_has_one_thing_with_one_matt_texture(tmp_path: Path) -> None:
    mesh = square()
    write_glb(tmp_path / "square.glb", mesh)
    header, parts = glb(tmp_path / "square.glb")
    assert header["scenes"][header["scene"]] == {"nodes": [0]}
    assert header["nodes"] == [{"mesh": 0, "name": "square"}]
    assert header["meshes"][0]["name"] == "square"
    assert header["materials"] == [
        {
            "name": "square",
            "doubleSided": True,
            "pbrMetallicRoughness": {
                "baseColorTexture": {"index": 0},
                "metallicFactor": 0.0,
                "roughnessFactor": 1.0,
            },
        }
    ]
    (image,) = header["images"]
    assert (image["name"], image["mimeType"]) == ("square", "image/png")
    assert header["textures"] == [{"source": 0, "sampler": 0}]
    assert header["samplers"][0]["wrapS"] == header["samplers"][0]["wrapT"] == 33071  # to the edge
    with Image.open(io.BytesIO(parts[image["bufferView"]])) as picture:
        assert np.array_equal(np.asarray(picture), mesh.texture)


def test_corners_with_the_same_coordinates_are_one_vertex(tmp_path: Path) -> None:
    mesh = square()
    mesh.uvs[1, :2] = mesh.uvs[0, [0, 2]]
    write_glb(tmp_path / "square.glb", mesh)
    assert len(accessor(*glb(tmp_path / "square.glb"), "POSITION")) == 4


def test_an_obj_names_its_material_and_texture(tmp_path: Path) -> None:
    mesh = square()
    write_obj(tmp_path / "square.obj", mesh)
    assert {path.name for path in tmp_path.iterdir()} == {"square.obj", "square.mtl", "square.png"}
    lines = (tmp_path / "square.obj").read_text().splitlines()
    assert "mtllib square.mtl" in lines
    assert "map_Kd square.png" in (tmp_path / "square.mtl").read_text()
    rows = {
        kind: np.array([line.split()[1:] for line in lines if line.startswith(kind + " ")], float)
        for kind in ("v", "vt")
    }
    np.testing.assert_allclose(rows["v"], y_up(mesh.vertices))
    corners = [line.split()[1:] for line in lines if line.startswith("f ")]
    numbers = np.array([[corner.split("/") for corner in face] for face in corners], int) - 1
    assert np.array_equal(numbers[..., 0], mesh.faces)
    np.testing.assert_allclose(rows["vt"][numbers[..., 1]], mesh.uvs, atol=1e-6)


def test_far_from_the_origin_a_mesh_keeps_its_shape(tmp_path: Path) -> None:
    """To the last digits, where float32 alone would leave half metres."""
    mesh = square()
    rng = np.random.default_rng(1)
    vertices = rng.normal(size=(4, 3)) + np.array([512345.25, 5412345.5, -120.75])
    mesh = dataclasses.replace(mesh, vertices=vertices)
    write_glb(tmp_path / "far.glb", mesh)
    header, parts = glb(tmp_path / "far.glb")
    position = accessor(header, parts, "POSITION") + header["nodes"][0]["translation"]
    apart = np.linalg.norm(position[:, None] - y_up(vertices), axis=-1).min(axis=1)
    assert apart.max() < 1e-6
    write_obj(tmp_path / "far.obj", mesh)
    lines = (tmp_path / "far.obj").read_text().splitlines()
    places = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    np.testing.assert_allclose(places, y_up(vertices), atol=1e-8, rtol=0)


@pytest.mark.parametrize("seed", range(3))
def test_normals_are_means_of_faces_by_area(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vertices, faces = rng.normal(size=(6, 3)), rng.permutation(6).reshape(2, 3)
    faces = np.concatenate([faces, [[faces[0, 0], faces[1, 1], faces[0, 2]]]])
    found = vertex_normals(vertices, faces)
    for vertex in range(6):
        total = np.zeros(3)
        for a, b, c in vertices[faces[(faces == vertex).any(axis=1)]]:
            total += np.cross(b - a, c - a)
        np.testing.assert_allclose(found[vertex], total / np.linalg.norm(total), atol=1e-9)
    unused = vertex_normals(np.zeros((1, 3)), np.zeros((0, 3), int))
    assert unused.tolist() == [[0, 0, 1]]


def test_a_ply_names_its_texture_and_keeps_far_places_whole(tmp_path: Path) -> None:
    mesh = square()
    write_ply(tmp_path / "square.ply", mesh)
    assert {path.name for path in tmp_path.iterdir()} == {"square.ply", "square.png"}
    head, body = (tmp_path / "square.ply").read_bytes().split(b"end_header\n")
    lines = head.decode().splitlines()
    assert lines[:3] == [
        "ply",
        "format binary_little_endian 1.0",
        "comment TextureFile square.png",
    ]
    assert [line for line in lines if line.startswith("property float")] == [
        f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz", "s", "t")
    ]
    vertices = np.frombuffer(body[: 6 * 8 * 4], "<f4").reshape(6, 8)
    faces = np.frombuffer(body[6 * 8 * 4 :], np.dtype([("n", "u1"), ("v", "<i4", 3)]))
    assert (faces["n"] == 3).all()
    found = vertices[faces["v"]]
    np.testing.assert_allclose(found[..., :3], mesh.vertices[mesh.faces])
    np.testing.assert_allclose(found[..., 3:6], np.broadcast_to([0, 0, 1], (2, 3, 3)))
    assert np.array_equal(found[..., 6:], mesh.uvs)
    with Image.open(tmp_path / "square.png") as picture:
        assert np.array_equal(np.asarray(picture), mesh.texture)
    far = dataclasses.replace(mesh, vertices=mesh.vertices + 5e6)
    write_ply(tmp_path / "far.ply", far)
    assert b"property double x\nproperty double y" in (tmp_path / "far.ply").read_bytes()
