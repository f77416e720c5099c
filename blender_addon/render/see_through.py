"""What lets more than half of the light straight through, so that what lies behind it is seen.

That may be all of a material, or the parts that an image cuts out of it: leaves, hair cards, fences
on planes. Glass bends the light, and is seen itself. What an opacity is made of that is not known
here, such as a noise, lets nothing through.
"""

from collections.abc import Callable, Sequence
from functools import cache

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.meshes.material_images import Groups, constant, origin, tree_of

HALF = 0.5
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""What a colour is as a number, in linear light."""

Floats = NDArray[np.float32]
Uvs = dict[str, NDArray[np.float64]]
"""(N, 2) by the names of UV maps, "" for the one that renders use."""
Varying = Callable[[Uvs], Floats]
Value = float | Varying
"""0..1, the same everywhere or by place."""

MATH: dict[str, Callable[..., Floats]] = {
    "ADD": np.add,
    "SUBTRACT": np.subtract,
    "MULTIPLY": np.multiply,
    "GREATER_THAN": np.greater,
    "LESS_THAN": np.less,
    "ROUND": lambda one, _: np.floor(one + HALF),
    "POWER": lambda one, other: np.power(np.maximum(one, 0), other),
}


class Opacity:
    """Share of the light from behind that does not come through a material.

    Attributes:
        everywhere: 0..1, None where it differs by place.
        maps: names of the UV maps that it is read by, "" for the one that renders use.
    """

    def __init__(self, material: bpy.types.Material | None, engine: str) -> None:
        """Read a material, None being a surface without one. Images are read once they are seen."""
        self.maps: set[str] = set()
        found = self._of(material, engine)
        self.everywhere = found if isinstance(found, float) else None
        self._varying = None if isinstance(found, float) else found

    def at(self, uvs: Uvs) -> Floats:
        """(N,), 0..1, where it differs by place."""
        assert self._varying is not None
        return self._varying(uvs)

    def _of(self, material: bpy.types.Material | None, engine: str) -> Value:
        tree = tree_of(material)
        end = None
        if tree is not None:
            end = tree.get_output_node("CYCLES" if engine == "CYCLES" else "EEVEE")
        if end is None:
            return 1.0
        if not end.inputs["Surface"].is_linked:
            return float(end.inputs["Volume"].is_linked is False)  # without a surface
        return self._shader(end.inputs["Surface"], ())

    def _shader(self, entry: bpy.types.NodeSocket, groups: Groups) -> Value:
        """Of what a shader's input is."""
        found = origin(entry, groups)
        if found is None or not found[0].is_output:
            return 1.0
        node, groups = found[0].node, found[1]
        if node.type == "BSDF_TRANSPARENT":
            clear = self._number(node.inputs["Color"], groups)
            return 1.0 if clear is None else _made(lambda one: 1 - one, clear)
        if node.type == "BSDF_PRINCIPLED":
            alpha = self._number(node.inputs["Alpha"], groups)
            return 1.0 if alpha is None else alpha
        if node.type != "MIX_SHADER":
            return 1.0
        first, second = (self._shader(one, groups) for one in node.inputs[1:3])
        share = self._number(node.inputs[0], groups)
        if share is None:
            return _made(np.maximum, first, second)
        return _made(lambda a, b, s: a + (b - a) * np.clip(s, 0, 1), first, second, share)

    def _number(self, entry: bpy.types.NodeSocket, groups: Groups) -> Value | None:
        """Of an input, None where it is not known here."""
        value = constant(entry, groups)
        if isinstance(value, (int, float)):
            return float(value)
        if value is not None and not isinstance(value, str):
            return float(LUMINANCE @ np.array(value[:3], np.float32))
        found = origin(entry, groups)
        if found is None or not found[0].is_output:
            return None
        output, groups = found
        node = output.node
        if node.type == "TEX_IMAGE":
            return self._image(node, output.identifier == "Alpha", groups)
        if node.type == "INVERT" and constant(node.inputs[0], groups) == 1:
            one = self._number(node.inputs[1], groups)
            return None if one is None else _made(lambda number: 1 - number, one)
        if node.type == "MATH" and node.operation in MATH:
            values = [self._number(one, groups) for one in node.inputs[:2]]
            known = [one for one in values if one is not None]
            if len(known) == len(values):
                made = _made(MATH[node.operation], *known)
                return _made(lambda one: np.clip(one, 0, 1), made) if node.use_clamp else made
        return None

    def _image(
        self, node: bpy.types.ShaderNodeTexImage, alpha: bool, groups: Groups
    ) -> Varying | None:
        """The alpha or the colour of an image by a UV map."""
        name, image = _uv_map(node.inputs["Vector"], groups), node.image
        flat = node.projection == "FLAT" and image is not None and image.source != "TILED"
        if name is None or not flat or not all(image.size):
            return None
        extension = node.extension
        self.maps.add(name)

        @cache  # a large image takes most of a second: read where something is seen of it
        def pixels() -> Floats:
            return _read(image, alpha)

        def read(uvs: Uvs) -> Floats:
            return _sampled(pixels(), uvs[name], extension)

        return read


def is_seen_through(
    opacity: Opacity,
    material: bpy.types.Material | None,
    thing: bpy.types.Object,
    engine: str,
    shading: bpy.types.View3DShading,
) -> bool:
    """Whether more is seen of what lies behind a surface than of itself, wherever one looks.

    Args:
        opacity: of its material, for engines other than Workbench.
        material: of the surface, None where it has none.
        thing: the object that it belongs to.
        engine: Blender's name of what renders.
        shading: how Workbench shows the scene.
    """
    if engine == "BLENDER_WORKBENCH":
        if shading.color_type == "OBJECT":
            return bool(thing.color[3] < HALF)
        if material is None or shading.color_type != "MATERIAL":
            return False
        return bool(material.diffuse_color[3] < HALF)
    return opacity.everywhere is not None and opacity.everywhere < HALF


def _made(function: Callable[..., Floats], *values: Value) -> Value:
    """A function of values."""
    if all(isinstance(one, float) for one in values):
        return float(function(*values))

    def found(uvs: Uvs) -> Floats:
        return function(*(one(uvs) if callable(one) else one for one in values)).astype(np.float32)

    return found


def _uv_map(entry: bpy.types.NodeSocket, groups: Groups) -> str | None:
    """The name of the UV map that a vector is, "" for the one that renders use; None where it is
    something else.
    """
    found = origin(entry, groups)
    if found is None or not found[0].is_output:
        return ""
    output = found[0]
    if output.node.type == "UVMAP":
        return str(output.node.uv_map)
    return "" if output.node.type == "TEX_COORD" and output.name == "UV" else None


def _read(image: bpy.types.Image, alpha: bool) -> Floats:
    """(H, W), 0..1, row 0 at the bottom: its alpha, or its colour as a number."""
    width, height = image.size
    flat = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(flat)
    pixels = flat.reshape(height, width, image.channels)
    if alpha:
        opaque = image.channels < 4 or image.alpha_mode == "NONE"
        return np.ones((height, width), np.float32) if opaque else pixels[..., 3].copy()
    colours = pixels[..., :3]
    if not image.is_float and image.colorspace_settings.name == "sRGB":
        low = colours <= 0.04045
        colours = np.where(low, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    if colours.shape[2] < 3:
        return colours[..., 0].copy()
    return colours @ LUMINANCE


def _sampled(pixels: Floats, uvs: NDArray[np.float64], extension: str) -> Floats:
    """(N,): the pixels nearest to places (N, 2)."""
    height, width = pixels.shape
    outside = ((uvs < 0) | (uvs >= 1)).any(axis=1)
    if extension == "REPEAT":
        uvs = uvs - np.floor(uvs)
    elif extension == "MIRROR":
        uvs = 1 - np.abs(uvs % 2 - 1)
    x, y = (np.clip(uvs, 0, 1) * (width, height)).astype(np.int64).T
    found: Floats = pixels[np.minimum(y, height - 1), np.minimum(x, width - 1)]
    return np.where(outside, np.float32(0), found) if extension == "CLIP" else found


class Cut:
    """Which places of a mesh's triangles are not cut out."""

    def __init__(self, opacities: Sequence[Opacity], slots: NDArray[np.integer], uvs: Uvs) -> None:
        """Args:
        opacities: of the materials.
        slots: (T,), which of them each triangle has.
        uvs: (T, 3, 2) by the names of the UV maps that they are read by.
        """
        self._opacities, self._slots, self._uvs = opacities, slots, uvs

    def __call__(
        self, triangles: NDArray[np.integer], shares: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """(N,): whether triangles are seen where their corners have these shares (N, 3)."""
        seen = np.ones(len(triangles), bool)
        slots = self._slots[triangles]
        for slot in np.unique(slots):
            opacity, mine = self._opacities[slot], slots == slot
            if opacity.everywhere is None:
                there, own = triangles[mine], shares[mine]
                uvs = {
                    name: np.einsum("nc,nck->nk", own, self._uvs[name][there])
                    for name in opacity.maps
                }
                seen[mine] = opacity.at(uvs) >= HALF
        return seen


def cut_of(
    mesh: bpy.types.Mesh,
    opacities: Sequence[Opacity],
    slots: NDArray[np.integer],
    chosen: NDArray[np.bool_],
) -> Cut | None:
    """What is cut out of the chosen triangles of a mesh, None where nothing is.

    Args:
        mesh: with its triangles.
        opacities: of its materials.
        slots: (T,), which of them each triangle has.
        chosen: (T,).
    """
    used = [opacities[slot] for slot in np.unique(slots[chosen])]
    maps = {name for one in used if one.everywhere is None for name in one.maps}
    if not maps:
        return None
    loops = np.empty(len(chosen) * 3, np.int32)
    mesh.loop_triangles.foreach_get("loops", loops)
    loops = loops.reshape(-1, 3)[chosen]
    return Cut(opacities, slots[chosen], {name: _uvs(mesh, name)[loops] for name in maps})


def _uvs(mesh: bpy.types.Mesh, name: str) -> NDArray[np.float64]:
    """(loops, 2); as for Blender, all 0 where there is no such map."""
    chosen = (one for one in mesh.uv_layers if one.name == name or (not name and one.active_render))
    layer, flat = next(chosen, None), np.zeros(len(mesh.loops) * 2, np.float32)
    if layer is not None:
        layer.uv.foreach_get("vector", flat)
    return flat.reshape(-1, 2).astype(np.float64)
