"""Reading a textured mesh from a file of another program: binary glTF 2.0, Wavefront OBJ, or PLY.

trimesh parses them. What it would leave out or misread without a word is refused here.
"""

import io
import logging
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from backend.captures.formats.refused import is_splat
from backend.meshes.glb_check import check_glb
from backend.meshes.obj_text import plain_text, texture_file, with_one_library
from backend.meshes.ply_lists import with_even_lists
from backend.meshes.textured_mesh import MeshError
from backend.meshes.writing import FileMesh
from backend.pictures.reading import DAMAGED

ENDINGS = (".glb", ".obj", ".ply")
UP: dict[str, Literal["y", "z"]] = {".glb": "y", ".obj": "y", ".ply": "z"}
"""Which axis points up by each format's convention, or in the lack of one as Blender takes it."""
HEADER = 65_536
"""Bytes in which a .ply file's header ends."""
LIBRARY = "all of the .mtl files"
MISSING = "names {}, which is not there: put it beside the mesh"
BEYOND = 1e-4
"""How far texture coordinates may be beyond 0..1 where a texture does not repeat."""
WHITE = 0.999
"""From here on a colour of vertices tints no texture."""
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
    repeats = check_glb(path) if ending == ".glb" else True
    if ending == ".ply":
        _check_ply(path)
    found = _parsed(path)
    parts = found.parts
    if not parts:
        raise MeshError(f"{path} holds no faces: export a mesh.")
    texture = _only_texture(path, found)
    corners = np.concatenate([part.places[part.faces] for part in parts])
    uvs = np.concatenate([_uvs(path, part)[part.faces] for part in parts])
    if not (repeats and found.repeats) and (np.abs(uvs - 0.5) > 0.5 + BEYOND).any():
        raise MeshError(
            f"{path} has texture coordinates beyond a texture that does not repeat there: let it "
            "repeat, or unwrap the mesh within it, and export it again."
        )
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


@dataclass(frozen=True, eq=False)
class _Found:
    """What is in a file.

    Attributes:
        parts: its meshes that have faces.
        trouble: what is wrong with files that it names: what follows its own name in a sentence.
        repeats: whether its textures repeat beyond their edges, as far as the parsing tells.
    """

    parts: list[_Part]
    trouble: list[str]
    repeats: bool


def _parsed(path: Path) -> _Found:
    import trimesh  # only now: it takes half a second
    from trimesh.resolvers import FilePathResolver

    trouble: list[str] = []
    clamped: list[str] = []
    libraries = ""
    ending = path.suffix.lower()

    def find(name: str) -> bytes | None:
        named = name.replace("\\", "/")  # as Windows writes it
        for way in (named, unquote(named)):  # glTF's names are URIs
            for place in (path.parent / way, path.parent / Path(way).name):
                if (found := _in_any_form(place)) is not None:
                    return found.read_bytes()
        return None

    class Beside(FilePathResolver):
        """Finds what a file names, in its folder if need be, and keeps what is not there."""

        def get(self, name: str) -> bytes:
            if name == LIBRARY:
                return libraries.encode()
            moved = None
            if ending == ".obj":
                name, moved, repeats = texture_file(name)
                if not repeats:
                    clamped.append(name)
            found = find(name)
            if found is None:
                trouble.append(MISSING.format(name or '""'))
            elif moved is not None:
                trouble.append(
                    f"moves its texture ({moved}), which cannot be read: move the texture "
                    "coordinates in its place, and export it again"
                )
            else:
                return found
            raise FileNotFoundError(name)

    try:
        content = path.read_bytes()
        if ending == ".obj":
            text, libraries, missing = with_one_library(plain_text(content), LIBRARY, find)
            trouble += map(MISSING.format, missing)
            content = text.encode()
        elif ending == ".ply":
            content = with_even_lists(content)
        scene = trimesh.load_scene(
            io.BytesIO(content),
            file_type=ending[1:],
            resolver=Beside(str(path)),
            process=False,
        )
        parts = list(_parts(path, scene))
    except MeshError:
        raise
    except Exception as error:  # trimesh raises whatever its parsing meets
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise MeshError(
            f"{path} is damaged and cannot be read as a mesh ({reason}): export it again."
        ) from error
    return _Found(parts, trouble, not clamped)


def _parts(path: Path, scene: Any) -> Iterator[_Part]:
    """The meshes with faces in what trimesh has read."""
    import trimesh

    for node in scene.graph.nodes_geometry:
        turn, name = scene.graph[node]
        mesh = scene.geometry[name]
        if not isinstance(mesh, trimesh.Trimesh) or not len(mesh.faces):
            continue
        faces = np.asarray(mesh.faces, np.int64)
        if faces.min() < 0 or faces.max() >= len(mesh.vertices):
            raise IndexError("a face has a corner that is no vertex")
        if _is_tinted(mesh.visual, faces):
            raise MeshError(
                f"{path} has colours of vertices that tint its texture, which cannot be read: "
                "export it again without."
            )
        place = np.asarray(mesh.vertices, np.float64) @ turn[:3, :3].T + turn[:3, 3]
        if not np.isfinite(place[faces]).all():
            raise ValueError("a vertex lies where no number is")
        if np.linalg.det(turn[:3, :3]) < 0:  # mirrored: the other way round is outside
            faces = faces[:, ::-1]
        yield _Part(str(name), place, faces, mesh.visual)


def _is_tinted(visual: Any, faces: NDArray[np.int64]) -> bool:
    """Whether vertices of faces have colours other than white beside their texture, as in glTF."""
    colours = getattr(visual, "vertex_attributes", {}).get("color")
    if colours is None:
        return False
    values = np.asarray(colours)
    most = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1.0
    return bool((values[faces.ravel(), :3] < WHITE * most).any())


def _in_any_form(place: Path) -> Path | None:
    """The file of a name, or of one that Windows or macOS takes for the same."""
    if place.is_file():
        return place
    beside = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
    key = _key(place.name)
    same = [one for one in beside if _key(one.name) == key and one.is_file()]
    return same[0] if same else None


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_ply(path: Path) -> None:
    """Refuses splats, and several textures, of which trimesh takes the last for all faces.

    Raises:
        MeshError: it is one, or there are several.
    """
    with path.open("rb") as file:
        header = file.read(HEADER).partition(b"end_header")[0]
    textures = {
        line.strip() for line in header.splitlines() if b"texturefile" in line.lower().split()
    }
    if is_splat(path):
        raise MeshError(
            f"{path} is a Gaussian splat, which has no faces: give a mesh, or train the capture "
            "that it was made from."
        )
    if len(textures) > 1:
        raise MeshError(f"{path} has several textures: bake them into one, and export it again.")


def _only_texture(path: Path, found: _Found) -> NDArray[np.uint8]:
    """uint8 (T, S, 3 or 4), which all parts have."""
    images: list[Image.Image | None] = []
    for part in found.parts:
        material = getattr(part.visual, "material", None)
        image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
        if not isinstance(image, ImageFile.ImageFile):
            image = None  # trimesh paints what has no texture with one of its own
        if not any(image is known for known in images):
            images.append(image)
    textures = [_pixels(path, image) for image in images if image is not None]
    if len(textures) < len(images) and found.trouble:
        raise MeshError(f"{path} {found.trouble[0]}.")
    if not textures:
        named = ""
        if path.suffix.lower() == ".ply":  # whose exporters, Blender's too, often name none
            named = ', name it in a line "comment TextureFile NAME" of the header'
        raise MeshError(
            f"{path} has no texture, or one that cannot be read: give the mesh an 8-bit PNG or "
            f"JPEG as its colour{named}, and export it again."
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
    named = len(parts) == 1 and path.suffix.lower() != ".ply"
    name = parts[0].name if named else path.name
    return "_".join((path.stem if name == path.name else name).split())
