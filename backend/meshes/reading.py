"""Reading a textured mesh from a file of another program: binary glTF 2.0, Wavefront OBJ, or PLY.

trimesh parses them. What it would leave out or misread without a word is refused here.
"""

import json
import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from backend.meshes.textured_mesh import MeshError
from backend.meshes.writing import FileMesh
from backend.pictures.reading import DAMAGED

ENDINGS = (".glb", ".obj", ".ply")
UP: dict[str, Literal["y", "z"]] = {".glb": "y", ".obj": "y", ".ply": "z"}
"""Which axis points up by each format's convention, or in the lack of one as Blender takes it."""
UNDERSTOOD = {"KHR_materials_unlit", "KHR_materials_specular", "KHR_materials_ior"}
"""Extensions of glTF without which a mesh's places and its texture are as they are with them."""
OPTIONS = {
    **{"-blendu": 1, "-blendv": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1},
    **{"-mm": 2, "-texres": 1},
}
"""Of a texture in a .mtl file, and how many words follow them: they move no texel."""
IDENTITIES = {("-o", "0", "0", "0"), ("-s", "1", "1", "1"), ("-t", "0", "0", "0")}
HEADER = 65_536
"""Bytes in which a .ply file's header ends."""
FLOAT, TRIANGLES, TRIANGLE_FAN = 5126, 4, 6
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
"""Pillow's kinds of image that are sRGB of 8 bits a channel."""

logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # what it warns about is refused here


def read_mesh(path: Path, up: Literal["y", "z"] | None = None) -> FileMesh:
    """Read a mesh with one texture, such as `backend.meshes.writing` writes.

    Corners at the very same place become one vertex, as the formats double vertices at seams;
    polygons become triangles. Colour profiles in the texture are passed over, as glTF asks.

    Args:
        path: of a .glb, .obj or .ply file; the texture of the latter two lies beside them.
        up: which axis of the file points up; None for what its format has as its convention: y, or
            z in .ply. In what is returned z does.

    Raises:
        MeshError: it is missing, no such file, damaged, or has no faces, no texture coordinates or
            not exactly one texture; one sentence that names it.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise MeshError(f"{path} is no {', '.join(ENDINGS)} file: export the mesh as one of these.")
    if not path.is_file():
        raise MeshError(f"There is no file {path}.")
    if ending == ".glb":
        _check_glb(path)
    if ending == ".ply":
        _check_ply(path)
    parts, missing = _parsed(path)
    if not parts:
        raise MeshError(f"{path} holds no faces: export a mesh.")
    texture = _only_texture(path, parts, missing)
    corners = np.concatenate([part.places[part.faces] for part in parts])
    uvs = np.concatenate([_uvs(path, part)[part.faces] for part in parts])
    places, index = _welded(corners.reshape(-1, 3))
    if (up or UP[ending]) == "y":
        places = places[:, [0, 2, 1]] * (1.0, -1.0, 1.0)
    return FileMesh(places, index.reshape(-1, 3), uvs, texture, _name(path, parts))


@dataclass(frozen=True, eq=False)
class _Part:
    """A mesh in a file.

    Attributes:
        name: its own, or the file's.
        places: float64 (V, 3), its vertices in the file's coordinates.
        faces: int64 (F, 3), counterclockwise from outside.
        visual: trimesh's, of the vertices.
    """

    name: str
    places: NDArray[np.float64]
    faces: NDArray[np.int64]
    visual: Any


def _parsed(path: Path) -> tuple[list[_Part], list[str]]:
    """The meshes in a file that have faces, and the names of files that it asks for in vain."""
    import trimesh  # only now: it takes half a second
    from trimesh.resolvers import FilePathResolver

    missing: list[str] = []

    class Beside(FilePathResolver):
        """Finds what a file names, in its folder if need be, and keeps what is not there."""

        def get(self, name: str) -> bytes:
            named = _without_options(name).replace("\\", "/")  # as Windows writes it
            for place in (path.parent / named, path.parent / Path(named).name):
                if (found := _in_any_case(place)) is not None:
                    return found.read_bytes()
            missing.append(name.strip())
            raise FileNotFoundError(name)

    try:
        scene = trimesh.load_scene(
            path,
            file_type=path.suffix[1:].lower(),
            resolver=Beside(str(path)),
            process=False,
        )
        parts = []
        for node in scene.graph.nodes_geometry:
            turn, name = scene.graph[node]
            mesh = scene.geometry[name]
            if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
                continue
            faces = np.asarray(mesh.faces, np.int64)
            if faces.min() < 0 or faces.max() >= len(mesh.vertices):
                raise IndexError("a face has a corner that is no vertex")
            place = np.asarray(mesh.vertices, np.float64) @ turn[:3, :3].T + turn[:3, 3]
            if not np.isfinite(place[faces]).all():
                raise ValueError("a vertex lies where no number is")
            if np.linalg.det(turn[:3, :3]) < 0:  # mirrored: the other way round is outside
                faces = faces[:, ::-1]
            parts.append(_Part(str(name), place, faces, mesh.visual))
    except Exception as error:  # trimesh raises whatever its parsing meets
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise MeshError(
            f"{path} is damaged and cannot be read as a mesh ({reason}): export it again."
        ) from error
    return parts, missing


def _without_options(named: str) -> str:
    """The file's name in what a .mtl says of a texture, without what changes nothing of it."""
    words = named.split(" ")
    while words[0] in OPTIONS or tuple(words[:4]) in IDENTITIES:
        words = words[1 + OPTIONS.get(words[0], 3) :]
    return " ".join(words).strip()


def _in_any_case(place: Path) -> Path | None:
    """The file of a name, or of one that Windows takes for the same."""
    if place.is_file():
        return place
    beside = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
    same = [one for one in beside if one.name.lower() == place.name.lower() and one.is_file()]
    return same[0] if same else None


def _check_ply(path: Path) -> None:
    """Refuses several textures, of which trimesh takes the last for all faces.

    Raises:
        MeshError: there are several.
    """
    with path.open("rb") as file:
        header = file.read(HEADER).partition(b"end_header")[0]
    textures = {
        line.strip() for line in header.splitlines() if b"texturefile" in line.lower().split()
    }
    if len(textures) > 1:
        raise MeshError(f"{path} has several textures: bake them into one, and export it again.")


def _check_glb(path: Path) -> None:
    """Refuses what trimesh does not read, or reads as if it were something else.

    Raises:
        MeshError: there is something of the kind.
    """
    content = path.read_bytes()
    try:
        magic, version, total, length = struct.unpack_from("<4sIII", content)
        header = json.loads(content[20 : 20 + length])
        if magic != b"glTF" or version != 2:
            raise ValueError("it is no binary glTF 2.0")
        if total > len(content):
            raise ValueError("its end is missing")
        trouble = _not_understood(header)
    except (struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise MeshError(
            f"{path} is damaged and cannot be read as a mesh ({error}): export it again."
        ) from error
    if trouble:
        raise MeshError(f"{path} has {trouble}, which cannot be read: export it again without.")


def _not_understood(header: dict[str, Any]) -> str | None:
    """What a glTF header holds that cannot be read; None for nothing of the kind."""
    if unknown := set(header.get("extensionsRequired", ())) - UNDERSTOOD:
        return f"the extension {min(unknown)}"
    accessors = header.get("accessors", ())
    if any("sparse" in accessor for accessor in accessors):
        return "sparse accessors"
    for mesh in header.get("meshes", ()):
        for primitive in mesh["primitives"]:
            index = primitive["attributes"].get("TEXCOORD_0")
            if index is not None and accessors[index]["componentType"] != FLOAT:
                return "texture coordinates that are whole numbers"
            if primitive.get("mode", TRIANGLES) == TRIANGLE_FAN:
                return "fans of triangles"
    for material in header.get("materials", ()):
        rough = material.get("pbrMetallicRoughness", {})
        texture = rough.get("baseColorTexture", {})
        moved = texture.get("extensions", {}).get("KHR_texture_transform", {})
        if moved.get("texCoord", texture.get("texCoord", 0)):
            return "a texture on a second set of texture coordinates"
        if moved.keys() - {"texCoord"}:
            return "the extension KHR_texture_transform"
        if any(part != 1 for part in rough.get("baseColorFactor", (1, 1, 1))[:3]) and texture:
            return "a colour that tints its texture"
    return None


def _only_texture(path: Path, parts: list[_Part], missing: list[str]) -> NDArray[np.uint8]:
    """uint8 (T, S, 3 or 4), which all parts have."""
    images: list[Image.Image | None] = []
    for part in parts:
        material = getattr(part.visual, "material", None)
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        if not isinstance(image, ImageFile.ImageFile):
            image = None  # trimesh paints what has no texture with one of its own
        if not any(image is known for known in images):
            images.append(image)
    textures = [_pixels(path, image) for image in images if image is not None]
    if not textures and missing:
        raise MeshError(f"{path} names {missing[0]}, which is not there: put it beside the mesh.")
    if not textures:
        raise MeshError(
            f"{path} has no texture, or one that cannot be read: give the mesh an 8-bit PNG or "
            "JPEG as its colour, and export it again."
        )
    if any(not np.array_equal(textures[0], other) for other in textures[1:]):
        raise MeshError(f"{path} has several textures: bake them into one, and export it again.")
    if len(textures) < len(images):
        raise MeshError(
            f"{path} has faces without its texture: give all of them the same material, and "
            "export it again."
        )
    return textures[0]


def _uvs(path: Path, part: _Part) -> NDArray[np.float32]:
    """float32 (V, 2), the texture coordinates of a mesh's vertices."""
    uvs = getattr(part.visual, "uv", None)
    if uvs is None or len(uvs) != len(part.places):
        raise MeshError(f"{path} has no texture coordinates: unwrap the mesh, and export it again.")
    uvs = np.asarray(uvs, np.float32)[:, :2]
    if not np.isfinite(uvs[part.faces]).all():
        raise MeshError(
            f"{path} has texture coordinates that are no numbers: unwrap the mesh again."
        )
    return uvs


def _welded(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Places (n, 3) without repetition, in the order of their first appearance (m, 3), and which of
    them each is (n,).
    """
    _, first, index = np.unique(corners + 0.0, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return corners[first[order]], rank[index.ravel()]


def _pixels(path: Path, image: Image.Image) -> NDArray[np.uint8]:
    """uint8 (T, S, 3 or 4)."""
    if image.mode not in EIGHT_BITS:
        raise MeshError(
            f"The texture of {path} is of the kind {image.mode}: save it as an 8-bit PNG or JPEG, "
            "and export the mesh again."
        )
    try:
        return np.array(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    except DAMAGED as error:
        raise MeshError(
            f"The texture of {path} is damaged ({error}): save it again, and export the mesh again."
        ) from error


def _name(path: Path, parts: list[_Part]) -> str:
    """The mesh's own where the file has one mesh with a name, or the file's."""
    name = parts[0].name if len(parts) == 1 else path.name
    return "_".join((path.stem if name == path.name else name).split())
