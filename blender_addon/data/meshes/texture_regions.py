"""The region of a texture: one of its maps at the threshold, with what was painted."""

import hashlib
import json

import bpy
import msgspec
import numpy as np
from numpy.typing import NDArray

from ...protocol.known_settings import all_settings
from ...protocol.region import NO_WHOLE_THINGS
from ...protocol.settings import MapSettings
from .. import pictures, tiles
from ..properties_settings import asked
from ..scene_error import SceneError
from .mesh_reading import MeshTexture

MAPS = ("relevance", "edges", "things")
KEPT = (
    *MAPS,
    "grown",
    "grow",
    "instruction",
    "maps",
    "surface",
    "kind",
    "of_things",
    "seen_share",
    "suggested_threshold",
    "snap",
    "invert",
    "threshold",
)
"""What a copy of a region has: not its nodes, and a painted correction of its own."""
OTHER_SIZE = (
    "The painted correction is of another size than the texture: clear it, and paint again."
)
PAINTED = 0.5
"""Of a painted texel's alpha, from which it counts, and of its brightness, from which it adds."""


def found_map(region: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The map that snapping chooses, as it was found; None where there is none."""
    order = {"things": MAPS[::-1], "edges": MAPS[1::-1], "nothing": MAPS[:1]}[region.snap]
    found = (getattr(region, name) for name in order)
    return next((image for image in found if image is not None), None)


def chosen_map(region: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The map that is thresholded: that one, grown or shrunk; None where there is none."""
    found = found_map(region)
    return found if found is None or region.grown is None else region.grown


def why_not_grown(region: bpy.types.PropertyGroup) -> str:
    """Why the region is not grown as it is set; "" where it is."""
    if not region.grow or region.grown is not None or found_map(region) is None:
        return ""
    return (
        "The region is not grown, as its mesh is not active or has changed: click on the mesh and "
        "set Grow again, or press Preview on Mesh again."
    )


def took(region: bpy.types.PropertyGroup) -> str:
    """What the region keeps to, in words for people; "" where to nothing."""
    image = found_map(region)
    if image is None or image == region.relevance:
        return ""
    return (region.of_things or "things") if image == region.things else "edges"


def why_so(region: bpy.types.PropertyGroup) -> str:
    """Why the region does not keep to what was asked for; "" where it does."""
    return NO_WHOLE_THINGS if region.snap == "things" and region.things is None else ""


def mask(region: bpy.types.PropertyGroup, threshold: float | None = None) -> NDArray[np.bool_]:
    """The region, bool (T, S), row 0 at the top.

    Args:
        region: of a texture.
        threshold: in place of its own.

    Raises:
        SceneError: its map is not in the file any more, or the correction is of another size.
    """
    image = chosen_map(region)
    if image is None:
        raise SceneError("The texture's relevance is not in the file any more: preview it again.")
    threshold = region.threshold if threshold is None else threshold
    found = (pictures.read_gray(image) >= np.float32(threshold)) != region.invert
    if region.paint is None:
        return found
    added, removed = painted(region.paint)
    if added.shape != found.shape:
        raise SceneError(OTHER_SIZE)
    return (found | added) & ~removed


def painted(image: bpy.types.Image) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The texels that a correction adds and those that it takes away, both bool (T, S).

    Raises:
        SceneError: it has no pixels.
    """
    values = pictures.channels(image)
    counts, white = values[..., 3] > PAINTED, values[..., 0] > PAINTED
    return counts & white, counts & ~white


def surface_of(read: MeshTexture) -> str:
    """What a region belongs to: another one where UVs or the texture's size have changed."""
    kept = hashlib.sha256(np.ascontiguousarray(read.uvs).tobytes())
    kept.update(repr(read.texture.shape).encode())
    return kept.hexdigest()


def written(settings: bpy.types.PropertyGroup) -> str:
    """The scene's settings of maps, as a region keeps them."""
    return msgspec.json.encode(asked(MapSettings, settings)).decode()


def changed(
    region: bpy.types.PropertyGroup, instruction: str, maps: MapSettings, things: str
) -> str:
    """What a preview depends on that is asked for otherwise, in words such as "instruction"; ""
    where all is as it was.

    Args:
        region: the preview.
        instruction: what is asked for.
        maps: how it is to be found.
        things: one of `mesh_reading.THINGS`.
    """
    if region.instruction != instruction:
        return "instruction"
    made, now = json.loads(region.maps or "{}"), json.loads(msgspec.json.encode(maps))
    for one in all_settings(MapSettings):
        if one.name in made and made[one.name] != now[one.name]:
            return f'setting "{one.title}"'
    return "kind of things" if region.snap == "things" and region.kind != things else ""


def changed_since(region: bpy.types.PropertyGroup, settings: bpy.types.PropertyGroup) -> str:
    """The same, where the scene sets it otherwise now."""
    maps, things = asked(MapSettings, settings), settings.texture.things
    return changed(region, settings.instruction.strip(), maps, things)


def previewed() -> list[tuple[float, str, bool, int]]:
    """Threshold, snapping, inversion and growth of the file's previews."""
    regions = (image.watch_your_steps.preview for image in bpy.data.images)
    return [
        (one.threshold, one.snap, one.invert, one.grow)
        for one in regions
        if chosen_map(one) is not None
    ]


def follow_suggestion(region: bpy.types.PropertyGroup) -> None:
    """Set the threshold to the maps' own suggestion; later maps set it to theirs."""
    region.threshold = region.suggested_threshold
    region.threshold_of = ""


def copy(source: bpy.types.PropertyGroup, target: bpy.types.PropertyGroup) -> None:
    """Keep what a region is now in another one, with a correction of its own."""
    for name in KEPT:
        setattr(target, name, getattr(source, name))
    target.threshold_of = source.threshold_of
    target.paint = copy_of_paint(source)


def copy_of_paint(region: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """A region's correction as it is now; None where nothing was painted."""
    if region.paint is None:
        return None
    if region.paint.is_dirty:
        tiles.pack(region.paint)  # only what is packed is copied
    copied = region.paint.copy()
    if tiles.is_tiled(copied):
        tiles.call_files(copied)
    return copied


def keep_of_edit(
    edited: bpy.types.Image,
    threshold: float | None,
    paint: bpy.types.Image | None = None,
    invert: bool = False,
    grow: int = 0,
) -> None:
    """Let the threshold of a finished edit be moved: its region is its own relevance.

    Args:
        edited: with its `relevance`, or without one.
        threshold: that it was made at.
        paint: the correction that it was made with, which is the edit's from now on.
        invert: whether it was made where the relevance does not reach the threshold.
        grow: pixels that its relevance was grown by.
    """
    mine = edited.watch_your_steps
    region = mine.region
    if mine.relevance is None or threshold is None:
        return
    region.relevance, region.snap, region.paint = mine.relevance, "nothing", paint
    region.invert, region.grow = invert, grow
    region.instruction, region.threshold = mine.instruction, threshold
    region.made_at = region.threshold  # as Blender keeps it


def clear(region: bpy.types.PropertyGroup) -> None:
    """Forget a region, and take what only it has used out of the file."""
    images = [getattr(region, name) for name in (*MAPS, "grown", "paint")]
    group = region.group
    for name in region.bl_rna.properties.keys():  # noqa: SIM118  # a bpy collection
        if name not in ("rna_type", "name"):
            region.property_unset(name)
    if group is not None and group.users == 0:
        bpy.data.node_groups.remove(group)
    for image in dict.fromkeys(images):
        if image is not None and image.users == 0:
            bpy.data.images.remove(image)
