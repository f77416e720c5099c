"""What a binary glTF file may hold that trimesh does not read, or reads as if it were something
else. It is documented in Khronos' "glTF 2.0 Specification" (2021) and its registry of extensions.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backend.meshes.textured_mesh import MeshError

UNDERSTOOD = {"KHR_texture_transform", "KHR_lights_punctual", "KHR_xmp_json_ld", "EXT_texture_webp"}
"""Extensions of glTF without which a mesh's places and its texture are as they are with them, or
that are looked at where they stand; so are most that begin with..."""
OF_MATERIALS, NOT_UNDERSTOOD = "KHR_materials_", {"KHR_materials_pbrSpecularGlossiness"}
DRACO, COPIES = "KHR_draco_mesh_compression", "EXT_mesh_gpu_instancing"
UNMOVED = {"offset": [0, 0], "rotation": 0, "scale": [1, 1]}
"""What KHR_texture_transform takes where nothing is given."""
FLOAT, TRIANGLES, TRIANGLE_FAN, REPEAT = 5126, 4, 6, 10497


def check_glb(path: Path) -> bool:
    """Refuse a file that would be read wrongly.

    Returns:
        Whether all textures that colour a mesh repeat beyond their edges.

    Raises:
        MeshError: it is damaged, or holds something of the kind.
    """
    content = path.read_bytes()
    try:
        magic, version, total, length = struct.unpack_from("<4sIII", content)
        header = json.loads(content[20 : 20 + length])
        if magic != b"glTF" or version != 2:
            raise ValueError("it is no binary glTF 2.0")
        if total > len(content):
            raise ValueError("its end is missing")
        trouble = next(_not_understood(header), None)
        repeats = all(_wraps(header))
    except (struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise MeshError(
            f"{path} is damaged and cannot be read as a mesh ({error}): export it again."
        ) from error
    if trouble:
        raise MeshError(f"{path} has {trouble}, which cannot be read: export it again without.")
    return repeats


def _not_understood(header: dict[str, Any]) -> Iterator[str]:
    """What a header holds that cannot be read."""
    for extension in sorted(header.get("extensionsRequired", ())):
        known = extension in UNDERSTOOD or extension.startswith(OF_MATERIALS)
        if not known or extension in NOT_UNDERSTOOD:
            yield f"the extension {extension}"
    accessors = header.get("accessors", ())
    if any("sparse" in accessor for accessor in accessors):
        yield "sparse accessors"
    meshes = header.get("meshes", ())
    for mesh in meshes:
        for primitive in mesh["primitives"]:
            if DRACO in primitive.get("extensions", {}):
                yield f"the extension {DRACO}"
            attributes = primitive["attributes"]
            index = attributes.get("TEXCOORD_0")
            if index is not None and accessors[index]["componentType"] != FLOAT:
                yield "texture coordinates that are whole numbers"
            if "bufferView" not in accessors[attributes["POSITION"]]:
                yield "vertices whose places are left out"
            if primitive.get("mode", TRIANGLES) == TRIANGLE_FAN:
                yield "fans of triangles"
    for node in header.get("nodes", ()):
        if COPIES in node.get("extensions", {}):
            yield f"the extension {COPIES}"
        if "mesh" not in node:
            continue
        if "skin" in node:
            yield "a skeleton that bends it"
        if any(node.get("weights", meshes[node["mesh"]].get("weights", ()))):
            yield "shape keys that move it"
    for material in header.get("materials", ()):
        rough = material.get("pbrMetallicRoughness", {})
        texture = rough.get("baseColorTexture", {})
        moved = texture.get("extensions", {}).get("KHR_texture_transform", {})
        if moved.get("texCoord", texture.get("texCoord", 0)):
            yield "a texture on a second set of texture coordinates"
        if any(moved.get(key, still) != still for key, still in UNMOVED.items()):
            yield "the extension KHR_texture_transform"
        if any(part != 1 for part in rough.get("baseColorFactor", (1, 1, 1))[:3]) and texture:
            yield "a colour that tints its texture"


def _wraps(header: dict[str, Any]) -> Iterator[bool]:
    """Of each texture that colours a mesh, whether it repeats beyond its edges."""
    textures, samplers = header.get("textures", ()), header.get("samplers", ())
    for material in header.get("materials", ()):
        named = material.get("pbrMetallicRoughness", {}).get("baseColorTexture", {}).get("index")
        if named is None or named >= len(textures):
            continue
        index = textures[named].get("sampler")
        sampler = {} if index is None else samplers[index]
        yield all(sampler.get(side, REPEAT) == REPEAT for side in ("wrapS", "wrapT"))
