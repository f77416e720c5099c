"""Mesh files of this and of other programs, read back."""

import contextlib
import dataclasses
import json
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.meshes.reading import read_mesh
from backend.meshes.textured_mesh import MeshError
from backend.meshes.writing import WRITERS, FileMesh

from .test_mesh_files import square

QUAD = """
mtllib my materials.mtl
o a board
v 0 0 0
v 2 0 0
v 2 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl paint
f 1/1 2/2 3/3 4/4
"""
PAINT = "newmtl paint\nKd 0.4 0.4 0.4\nmap_Kd picture.png\n"


def picture(path: Path, mode: str = "RGB") -> np.ndarray:
    """uint8 (3, 4, 3), what lies at `path` after this."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return pixels


def board(folder: Path, obj: str = QUAD, mtl: str = PAINT) -> Path:
    """An OBJ file and its materials, without the picture."""
    (folder / "my materials.mtl").write_text(mtl, "utf-8")
    (folder / "board.obj").write_text(obj)
    return folder / "board.obj"


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A .glb file with its header changed."""
    content = path.read_bytes()
    length = struct.unpack_from("<I", content, 12)[0]
    header = json.loads(content[20 : 20 + length])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + length :]
    total = 20 + len(text) + len(rest)
    path.write_bytes(content[:8] + struct.pack("<III", total, len(text), 0x4E4F534A) + text + rest)
    return path


def same(found: FileMesh, mesh: FileMesh, places: float = 1e-6) -> None:
    """Asserts that two meshes are the same, face by face."""
    np.testing.assert_allclose(
        found.vertices[found.faces], mesh.vertices[mesh.faces], atol=places, rtol=0
    )
    np.testing.assert_allclose(found.uvs, mesh.uvs, atol=1e-7, rtol=0)
    assert found.texture.dtype == np.uint8
    assert np.array_equal(found.texture, mesh.texture)
    assert len(found.vertices) == len(mesh.vertices)


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("kind", ["near", "far", "alpha", "one texel", "many faces", "repeats"])
def test_what_is_written_is_read_back(tmp_path: Path, ending: str, kind: str) -> None:
    mesh, rng = square(), np.random.default_rng(3)
    if kind == "far":
        vertices = rng.normal(size=(4, 3)) + np.array([512345.25, 5412345.5, -120.75])
        mesh = dataclasses.replace(mesh, vertices=vertices)
    if kind == "alpha":
        texture = rng.integers(0, 256, (5, 3, 4), np.uint8)
        mesh = dataclasses.replace(mesh, texture=texture)
    if kind == "one texel":
        mesh = dataclasses.replace(mesh, texture=np.full((1, 1, 3), 7, np.uint8))
    if kind == "many faces":  # more vertices than 16 bits number
        faces = np.arange(3 * 22_000).reshape(-1, 3)
        vertices, uvs = rng.normal(size=(faces.size, 3)), rng.random((len(faces), 3, 2), np.float32)
        mesh = FileMesh(vertices, faces, uvs, mesh.texture, "square")
    if kind == "repeats":
        mesh = dataclasses.replace(mesh, uvs=mesh.uvs * 3 - 1)
    path = tmp_path / f"square.{ending.upper()}"
    WRITERS[ending](path, mesh)
    found = read_mesh(path)
    same(found, mesh)
    assert found.name == "square"


def test_an_obj_of_another_program_is_read(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "picture.png")
    found = read_mesh(board(tmp_path))
    assert found.faces.shape == (2, 3)
    assert len(found.vertices) == 4
    corners = found.vertices[found.faces].reshape(-1, 3)
    np.testing.assert_allclose(corners[:, 1], 0)  # upright: z points up
    np.testing.assert_allclose(corners[:, [0, 2]], found.uvs.reshape(-1, 2) * (2, 1))
    assert np.array_equal(found.texture, pixels)
    assert found.name == "a_board"
    flat = read_mesh(tmp_path / "board.obj", up="z")
    np.testing.assert_allclose(flat.vertices[flat.faces].reshape(-1, 3)[:, 2], 0)


@pytest.mark.parametrize(
    "named",
    [
        "picture.png",
        "textures/a picture.png",
        "textures\\a picture.png",
        "../elsewhere/picture.png",
        "C:\\Users\\me\\picture.png",
        "/home/me/textures/picture.png",
        "Tür.png",
        "-clamp on -s 1 1 1 -o 0 0 0 a picture.png",
        "-bm 1 -s 1.000 1.000 -t 0 0 0 picture.png",
    ],
)
def test_a_texture_is_found_as_it_is_named_or_beside_the_mesh(tmp_path: Path, named: str) -> None:
    folder = tmp_path / "mesh"
    folder.mkdir()
    absolute = named.startswith(("C:", "/"))
    name = (
        "picture.png"
        if absolute or "-bm" in named
        else named.rpartition(" 0 ")[2].replace("\\", "/")
    )
    place = folder / name
    pixels = picture(place)
    found = read_mesh(board(folder, mtl=PAINT.replace("picture.png", named)))
    assert np.array_equal(found.texture, pixels)


def test_a_texture_is_found_whatever_its_case(tmp_path: Path) -> None:
    """As on the Windows or macOS where the mesh was made."""
    pixels = picture(tmp_path / "Picture.PNG")
    assert np.array_equal(read_mesh(board(tmp_path)).texture, pixels)


@pytest.mark.parametrize(
    "kind", ["mac", "mark", "windows", "tabs", "indents", "composed", "libraries", "quotes", "long"]
)
def test_an_obj_is_read_however_its_text_is_written(tmp_path: Path, kind: str) -> None:
    obj, mtl, coded, name = QUAD.strip() + "\n", PAINT, "utf-8", "picture.png"
    if kind == "mac":
        obj, mtl = obj.replace("\n", "\r"), mtl.replace("\n", "\r")
    if kind == "mark":
        coded = "utf-8-sig"
    if kind in ("windows", "composed"):
        name = "Größe.png"
        mtl = mtl.replace("paint", "Würfel").replace("picture.png", name)
        obj, coded = obj.replace("paint", "Würfel"), "cp1252" if kind == "windows" else "utf-8"
    if kind == "composed":  # as macOS names files
        name = unicodedata.normalize("NFD", name)
    if kind == "tabs":
        obj, mtl = obj.replace(" ", "\t"), mtl.replace(" ", "\t")
        obj = obj.replace("my\tmaterials", "my materials")
    if kind == "indents":
        obj, mtl = obj.replace("\n", "\n\t"), mtl.replace("\n", "\n  ")
    if kind == "libraries":
        obj = "# mtllib none.mtl\nmtllib other.mtl my materials.mtl\n" + obj.partition("\n")[2]
    if kind == "quotes":
        mtl = mtl.replace("picture.png", '"picture.png"')
    if kind == "long":
        obj = obj.replace("2/2 3/3", "2/2\\\n3/3")
    pixels = picture(tmp_path / name)
    (tmp_path / "other.mtl").write_text("newmtl other\nKd 1 0 0\n")
    (tmp_path / "my materials.mtl").write_bytes(mtl.encode(coded))
    (tmp_path / "board.obj").write_bytes(obj.encode(coded))
    found = read_mesh(tmp_path / "board.obj")
    corners = found.vertices[found.faces].reshape(-1, 3)
    assert corners.shape == (6, 3)
    np.testing.assert_allclose(corners[:, [0, 2]], found.uvs.reshape(-1, 2) * (2, 1))
    assert np.array_equal(found.texture, pixels)


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "LA"])
def test_a_texture_of_any_8_bit_kind_is_read(tmp_path: Path, mode: str) -> None:
    picture(tmp_path / "picture.png", mode)
    with Image.open(tmp_path / "picture.png") as file:
        wanted = np.asarray(file.convert("RGBA" if mode in ("RGBA", "LA") else "RGB"))
    assert np.array_equal(read_mesh(board(tmp_path)).texture, wanted)


@pytest.mark.parametrize("kind", ["vertices", "faces", "big endian"])
def test_a_ply_of_another_program_is_read(tmp_path: Path, kind: str) -> None:
    """MeshLab keeps texture coordinates with the faces, Blender with the vertices."""
    pixels = picture(tmp_path / "picture.png")
    places = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], float)
    uvs = places[:, :2] / (2, 1)
    coded = "binary_big_endian" if kind == "big endian" else "ascii"
    lines = ["ply", f"format {coded} 1.0", "comment TextureFile picture.png", "element vertex 4"]
    lines += [f"property double {name}" for name in "xyz"]
    if kind != "faces":
        lines += ["property float s", "property float t"]
    lines += ["element face 2", "property list uchar int vertex_indices"]
    faces = [[0, 1, 2], [0, 2, 3]]
    if kind == "faces":
        lines += ["property list uchar float texcoord"]
    head = "\n".join([*lines, "end_header", ""]).encode()
    rows = []
    for place, uv in zip(places, uvs, strict=True):
        if kind == "big endian":
            rows.append(struct.pack(">3d2f", *place, *uv))
        else:
            numbers = place if kind == "faces" else [*place, *uv]
            rows.append((" ".join(map(str, numbers)) + "\n").encode())
    for face in faces:
        if kind == "big endian":
            rows.append(struct.pack(">B3i", 3, *face))
        else:
            wedge = f" 6 {' '.join(map(str, uvs[face].ravel()))}" if kind == "faces" else ""
            rows.append(f"3 {' '.join(map(str, face))}{wedge}\n".encode())
    (tmp_path / "board.ply").write_bytes(head + b"".join(rows))
    found = read_mesh(tmp_path / "board.ply")
    np.testing.assert_allclose(found.vertices[found.faces], places[faces])
    np.testing.assert_allclose(found.uvs, uvs[faces])
    assert np.array_equal(found.texture, pixels)
    assert found.name == "board"


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_binary_ply_with_triangles_and_quads_is_read(tmp_path: Path, order: str) -> None:
    """As Blender writes a cube beside a sphere."""
    pixels = picture(tmp_path / "a picture.png")
    places = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0], [1, 0.1, 0]])
    coded = "little" if order == "<" else "big"
    lines = ["ply", f"format binary_{coded}_endian 1.0", "comment TextureFile a picture.png"]
    lines += ["element vertex 5", *(f"property float {name}" for name in "xyzst")]
    lines += ["element face 3", "property list uchar uint vertex_indices", "property short group"]
    content = "\n".join([*lines, "end_header", ""]).encode()
    for x, y, z in places:
        content += struct.pack(f"{order}5f", x, y, z, x / 2, y)
    faces = [[0, 1, 2, 3], [0, 1, 4], [4, 1, 2]]
    for face in faces:
        content += struct.pack(f"{order}B{len(face)}Ih", len(face), *face, 7)
    path = tmp_path / "board.ply"
    path.write_bytes(content)
    found = read_mesh(path)
    corners = found.vertices[found.faces]
    triangles = places[[[0, 1, 2], [0, 2, 3], *faces[1:]]]
    same = [sorted(map(sorted, each.round(6).tolist())) for each in (corners, triangles)]
    assert same[0] == same[1]
    np.testing.assert_allclose(corners[..., :2], found.uvs * (2, 1), rtol=1e-6)
    assert np.array_equal(found.texture, pixels)
    for cut in (1, 3, 20):
        path.write_bytes(content[:-cut])
        refused(path, "damaged")


@pytest.mark.parametrize(
    ("extension", "where"),
    [
        ("EXT_texture_webp", None),
        ("KHR_materials_clearcoat", None),
        ("KHR_lights_punctual", None),
        ("KHR_texture_transform", {"offset": [0, 0], "scale": [1, 1], "rotation": 0.0}),
    ],
)
def test_extensions_that_change_neither_shape_nor_texture_are_read(
    tmp_path: Path, extension: str, where: dict[str, Any] | None
) -> None:
    WRITERS["glb"](tmp_path / "a.glb", square())

    def change(header: dict[str, Any]) -> None:
        header["extensionsRequired"] = header["extensionsUsed"] = [extension]
        if where is not None:
            rough = header["materials"][0]["pbrMetallicRoughness"]
            rough["baseColorTexture"]["extensions"] = {extension: where}
        if extension == "EXT_texture_webp":
            source = {"source": header["textures"][0].pop("source")}
            header["textures"][0]["extensions"] = {extension: source}

    same(read_mesh(changed(tmp_path / "a.glb", change)), square())


@pytest.mark.parametrize("tint", [1.0, 0.5])
def test_colours_of_vertices_tint_a_glb_s_texture(tmp_path: Path, tint: float) -> None:
    """Places stand in for colours: only white ones leave a texture as it is."""
    vertices = (1 + np.random.default_rng(1).random((4, 3))) * (1, -1, 1)  # y up: (x, z, -y)
    vertices[0, 0] = tint
    mesh = dataclasses.replace(square(), vertices=vertices)
    WRITERS["glb"](tmp_path / "a.glb", mesh)

    def change(header: dict[str, Any]) -> None:
        attributes = header["meshes"][0]["primitives"][0]["attributes"]
        attributes["COLOR_0"] = attributes["POSITION"]
        header["accessors"][attributes["POSITION"]].pop("min", None)

    path = changed(tmp_path / "a.glb", change)
    if tint == 1:
        assert len(read_mesh(path).faces) == len(mesh.faces)
    else:
        refused(path, "colours of vertices")


def test_a_texture_that_does_not_repeat_needs_a_mesh_within_it(tmp_path: Path) -> None:
    mesh = dataclasses.replace(square(), uvs=square().uvs * 2)
    WRITERS["glb"](tmp_path / "a.glb", mesh)
    for way in (33071, 33648):
        refused(changed(tmp_path / "a.glb", set_at("samplers", 0, "wrapT", to=way)), "not repeat")
    picture(tmp_path / "picture.png")
    clamped = PAINT.replace("picture", "-clamp on picture")
    refused(board(tmp_path, QUAD.replace("vt 1 1", "vt 1 3"), clamped), "not repeat")


def test_a_picture_of_a_glb_is_found_by_its_uri(tmp_path: Path) -> None:
    mesh = square()
    WRITERS["glb"](tmp_path / "a.glb", mesh)
    Image.fromarray(mesh.texture).save(tmp_path / "my picture ü.png")
    named = {"uri": "my%20picture%20%C3%BC.png"}
    same(read_mesh(changed(tmp_path / "a.glb", set_at("images", 0, to=named))), mesh)


def test_things_in_a_glb_lie_where_their_nodes_are(tmp_path: Path) -> None:
    """One twice, and once mirrored: there the corners turn the other way round."""
    mesh = square()
    WRITERS["glb"](tmp_path / "a.glb", mesh)

    def place(header: dict[str, Any]) -> None:
        header["nodes"] = [
            {"children": [1, 2], "translation": [0, 10, 0]},
            {"mesh": 0, "scale": [2, 2, 2]},
            {"mesh": 0, "scale": [-1, 1, 1]},
        ]

    found = read_mesh(changed(tmp_path / "a.glb", place))
    corners = mesh.vertices[mesh.faces]
    twice = corners * 2 + (0, 0, 10), mesh.uvs
    mirrored = (corners * (-1, 1, 1) + (0, 0, 10))[:, ::-1], mesh.uvs[:, ::-1]
    halves = [(found.vertices[found.faces][half], found.uvs[half]) for half in ([0, 1], [2, 3])]
    halves.sort(key=lambda half: float(half[0].min()))
    for (places, uvs), wanted in zip(halves, (mirrored, twice), strict=True):
        np.testing.assert_allclose(places, wanted[0], rtol=1e-6)
        np.testing.assert_allclose(uvs, wanted[1], atol=1e-7)


def test_materials_that_share_a_texture_are_one_mesh(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "picture.png")
    again = QUAD + "usemtl other\nf 1/1 2/2 3/3\n"
    found = read_mesh(board(tmp_path, again, PAINT + PAINT.replace("paint", "other")))
    assert len(found.faces) == 3
    assert len(found.vertices) == 4
    assert np.array_equal(found.texture, pixels)


def set_at(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    """A change of a header: one value of it."""

    def change(header: Any) -> None:
        for key in path[:-1]:
            header = header[key]
        header[path[-1]] = to

    return change


ROUGH = ("materials", 0, "pbrMetallicRoughness")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_at("extensionsRequired", to=["KHR_draco_mesh_compression"]), "KHR_draco"),
        (set_at("extensionsRequired", to=["KHR_texture_basisu"]), "KHR_texture_basisu"),
        (set_at("accessors", 0, "sparse", to={}), "sparse accessors"),
        (set_at(*ROUGH, "baseColorTexture", "texCoord", to=1), "second set of texture coordinates"),
        (
            set_at(
                *ROUGH,
                "baseColorTexture",
                "extensions",
                to={"KHR_texture_transform": {"scale": [2, 2]}},
            ),
            "KHR_texture_transform",
        ),
        (set_at(*ROUGH, "baseColorFactor", to=[1, 0.5, 1, 1]), "a colour that tints its texture"),
        (set_at(*ROUGH, "baseColorTexture", to={"index": 7}), "no texture"),
        (set_at("images", 0, "mimeType", to="image/ktx2"), "no texture"),
        (set_at("materials", 0, to={}), "no texture"),
        (set_at("nodes", to=[{}]), "holds no faces"),
        (set_at("meshes", 0, "primitives", 0, "mode", to=6), "fans of triangles"),
        (set_at("meshes", 0, "primitives", 0, "mode", to=1), "holds no faces"),
        (
            set_at(
                "meshes", 0, "primitives", 0, "extensions", to={"KHR_draco_mesh_compression": {}}
            ),
            "KHR_draco_mesh_compression",
        ),
        (set_at("nodes", 0, "extensions", to={"EXT_mesh_gpu_instancing": {}}), "gpu_instancing"),
        (set_at("nodes", 0, "skin", to=0), "a skeleton"),
        (set_at("nodes", 0, "weights", to=[0, 0.5]), "shape keys"),
        (set_at("accessors", to=[{"componentType": 5126}] * 4), "places are left out"),
        (set_at("accessors", 0, "count", to=60), "damaged"),
        (set_at("bufferViews", 0, "byteLength", to=10**9), "damaged"),
        (set_at("meshes", to=[7]), "damaged"),
    ],
)
def test_what_a_glb_holds_beyond_a_mesh_with_a_texture_is_one_sentence(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    path = tmp_path / "a.glb"
    WRITERS["glb"](path, square())
    refused(changed(path, change), words)


def refused(path: Path, *words: str) -> None:
    with pytest.raises(MeshError) as error:
        read_mesh(path)
    sentence = str(error.value)
    for word in (path.name, *words):
        assert word in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("obj", "mtl", "words"),
    [
        (QUAD, PAINT.replace("picture", "other"), "names other.png, which is not there"),
        (QUAD.replace("my materials.mtl", "no.mtl"), PAINT, "names no.mtl, which is not there"),
        (QUAD, PAINT.replace("picture", "-s 2 2 1 picture"), "moves its texture (-s 2 2 1)"),
        (QUAD, "newmtl paint\nKd 1 0 0\n", "no texture"),
        (QUAD.replace("mtllib my materials.mtl", ""), PAINT, "no texture"),
        (QUAD, PAINT.replace("picture.png", "broken.png"), "no texture, or one that cannot"),
        (QUAD, PAINT.replace("picture.png", "deep.png"), "of the kind I;16"),
        (QUAD.replace("/1 2/2 3/3 4/4", " 2 3 4"), PAINT, "no texture coordinates"),
        (QUAD[: QUAD.index("f 1")], PAINT, "holds no faces"),
        ("", PAINT, ""),
        (QUAD.replace("4/4", "9/4"), PAINT, "damaged"),
        (QUAD.replace("4/4", "4/9"), PAINT, ""),
        (QUAD.replace("v 2 1 0", "v nan 1 0"), PAINT, "no number is"),
        (
            QUAD + "usemtl other\nf 1/1 2/2 3/3\n",
            PAINT + "newmtl other\nmap_Kd second.png\n",
            "has several textures",
        ),
        (
            QUAD + "usemtl other\nf 1/1 2/2 3/3\n",
            PAINT + "newmtl other\nmap_Kd third.png\n",
            "names third.png, which is not there",
        ),
        (QUAD + "usemtl plain\nf 1/1 2/2 3/3\n", PAINT + "newmtl plain\n", "without its texture"),
    ],
)
def test_an_obj_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, obj: str, mtl: str, words: str
) -> None:
    pixels = picture(tmp_path / "picture.png")
    Image.fromarray(255 - pixels).save(tmp_path / "second.png")
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    refused(board(tmp_path, obj, mtl), words)


def test_other_files_are_one_sentence(tmp_path: Path) -> None:
    refused(tmp_path / "a.glb", "no file")
    refused(tmp_path, "is no .glb, .obj, .ply file")
    for name in ("a.fbx", "a.blend", "a.gltf", "a"):
        (tmp_path / name).write_bytes(b"1")
        refused(tmp_path / name, "export the mesh as one of these")
    for ending in ("glb", "obj", "ply"):
        for content in (b"", b"\0" * 64, b"ply\nformat ascii 1.0\nelement vertex 3\n", b"glTF"):
            (tmp_path / f"b.{ending}").write_bytes(content)
            refused(tmp_path / f"b.{ending}")


def test_a_ply_with_several_textures_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    WRITERS["ply"](path, square())
    second = b"comment TextureFile a.png\ncomment TextureFile b.png\n"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"comment TextureFile a.png\n", second))
    refused(path, "has several textures")


def test_a_ply_without_the_name_of_its_texture_says_where_it_goes(tmp_path: Path) -> None:
    """As Blender exports all."""
    path = tmp_path / "a.ply"
    WRITERS["ply"](path, square())
    path.write_bytes(path.read_bytes().replace(b"comment TextureFile a.png\n", b""))
    refused(path, '"comment TextureFile NAME"')


@pytest.mark.parametrize("ending", ["glb", "ply"])
def test_a_file_that_ends_early_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    WRITERS[ending](path, square())
    whole = path.read_bytes()
    for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(path)


@pytest.mark.parametrize("ending", WRITERS)
def test_damage_never_costs_more_than_a_sentence(tmp_path: Path, ending: str) -> None:
    path, rng = tmp_path / f"a.{ending}", np.random.default_rng(5)
    WRITERS[ending](path, square())
    whole = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(MeshError):
            found = read_mesh(path)
            assert np.isfinite(found.vertices).all()
            assert found.faces.max() < len(found.vertices)
