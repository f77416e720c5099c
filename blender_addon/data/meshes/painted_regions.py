"""The artist's own corrections of a texture's region, painted on the mesh by Blender's Texture
Paint: white adds, black takes away, and what is transparent is left to the threshold.
"""

import json

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .. import pictures, tiles
from ..scene_error import SceneError
from . import live_textures, texture_bases, texture_regions
from .edited_textures import original_of
from .material_images import colour_nodes
from .mesh_reading import with_full_name
from .texture_uvs import laying_of

BRUSHES = {"ADD": (1.0, "MIX"), "REMOVE": (0.0, "MIX"), "ERASE": (0.0, "ERASE_ALPHA")}
"""Brightness and blending of the brush that adds, takes away, or leaves to the threshold."""
PAINT_MODE = "TEXTURE_PAINT"


def being_painted(context: bpy.types.Context) -> bpy.types.PropertyGroup | None:
    """The region whose correction Blender's painting works on until `end`, whatever is active and
    shown by then; None for none.
    """
    canvas = context.scene.tool_settings.image_paint.canvas
    regions = (one.watch_your_steps.preview for one in bpy.data.images if canvas is not None)
    return next((one for one in regions if one.paint == canvas), None)


def is_painting(context: bpy.types.Context, region: bpy.types.PropertyGroup) -> bool:
    """Whether a region's correction is what is painted on the active object now."""
    thing = context.active_object
    there = thing is not None and thing.mode == PAINT_MODE
    return there and being_painted(context) == region


def brush_of(context: bpy.types.Context) -> str:
    """Which of BRUSHES the brush in the hand is; "" for another one."""
    painting = context.scene.tool_settings.image_paint
    if painting.brush is None:
        return ""
    now = (tuple(_color(context)), painting.brush.blend)
    own = ((name, (value,) * 3, blend) for name, (value, blend) in BRUSHES.items())
    return next((name for name, color, blend in own if now == (color, blend)), "")


def begin(context: bpy.types.Context, image: bpy.types.Image) -> None:
    """Let the artist paint a correction of a texture's preview on the active object.

    Raises:
        SceneError: it cannot be painted in the texture's own UVs, or Blender refuses.
    """
    thing, region = context.active_object, image.watch_your_steps.preview
    layer = _layer_of(thing, image, context.scene.render.engine)
    if (other := being_painted(context)) is not None:  # it was left by Blender's own ways
        end(context, other)
    if thing.mode != PAINT_MODE:
        bpy.ops.object.mode_set(mode=PAINT_MODE)
    painting = context.scene.tool_settings.image_paint
    if painting.brush is None:
        bpy.ops.object.mode_set(mode="OBJECT")
        raise SceneError("Blender has no brush for Texture Paint: choose one there first.")
    before = {
        "object": thing.name_full,
        "canvas": painting.canvas.name_full if painting.canvas is not None else "",
        "mode": painting.mode,
        "layer": thing.data.uv_layers.active.name,
        "color": list(_color(context)),
        "blend": painting.brush.blend,
    }
    if region.paint is None:
        nothing = np.zeros((*pictures.size_of(image), 4), np.uint8)
        region.paint = pictures.new_like(image, f"{image.name} correction", nothing)
    elif any(
        one != image and one.watch_your_steps.preview.paint == region.paint
        for one in bpy.data.images
    ):  # a copy of the image has it, too
        region.paint = texture_regions.copy_of_paint(region)
    region.before = json.dumps(before)
    painting.mode, painting.canvas = "IMAGE", region.paint
    thing.data.uv_layers.active = thing.data.uv_layers[layer]
    texture_bases.put_preview(thing, image, context.scene.render.engine)


def take_brush(context: bpy.types.Context, name: str) -> None:
    """Give the artist one of BRUSHES."""
    value, blend = BRUSHES[name]
    _set_color(context, (value,) * 3)
    context.scene.tool_settings.image_paint.brush.blend = blend


def end(context: bpy.types.Context, region: bpy.types.PropertyGroup) -> None:
    """Go back to Object Mode, and give Blender's painting back what it worked on. A correction that
    says nothing is not kept.

    Raises:
        SceneError: what was painted is lost.
    """
    before = json.loads(region.before or "{}")
    painting, active = context.scene.tool_settings.image_paint, context.active_object
    painting.canvas = with_full_name(bpy.data.images, before.get("canvas", ""))
    if before:
        _set_color(context, before["color"])
        if painting.brush is not None:
            painting.brush.blend = before["blend"]
        painting.mode = before["mode"]
        thing = with_full_name(bpy.data.objects, before.get("object", "")) or active
        mesh = thing.data if thing is not None and thing.type == "MESH" else None
        if mesh is not None and before["layer"] in mesh.uv_layers:
            mesh.uv_layers.active = mesh.uv_layers[before["layer"]]
    region.before = ""
    if active is not None and active.mode == PAINT_MODE:
        bpy.ops.object.mode_set(mode="OBJECT")
    added, removed = texture_regions.painted(region.paint)
    if (added | removed).any():
        tiles.pack(region.paint)
    else:
        clear(region)


def bring_in(image: bpy.types.Image, inside: NDArray[np.bool_], how: str) -> None:
    """Correct the region of a texture's preview by a mask, as if that was painted.

    Args:
        image: the texture.
        inside: bool (T, S), row 0 at the top.
        how: one of `mask_tools.HOW`.

    Raises:
        SceneError: what was painted is of another size, or has no pixels.
    """
    region, old = image.watch_your_steps.preview, image.watch_your_steps.preview.paint
    added, removed = inside, ~inside
    if how != "REPLACE":
        added, removed = np.zeros((2, *inside.shape), np.bool_)
        if old is not None:
            added, removed = texture_regions.painted(old)
            if added.shape != inside.shape:
                raise SceneError(texture_regions.OTHER_SIZE)
        added = added | inside if how == "ADD" else added & ~inside
        removed = removed | inside if how == "TAKE" else removed & ~inside
    pixels = np.zeros((*inside.shape, 4), np.uint8)
    pixels[added, :3], pixels[added | removed, 3] = 255, 255
    region.paint = pictures.new_like(image, f"{image.name} correction", pixels)
    live_textures.rebuild(region)
    if old is not None and old.users == 0:
        bpy.data.images.remove(old)


def clear(region: bpy.types.PropertyGroup) -> None:
    """Throw a correction away."""
    paint = region.paint
    region.paint = None
    live_textures.rebuild(region)
    if paint is not None and paint.users == 0:
        bpy.data.images.remove(paint)


def pack_all() -> None:
    """Put what was painted into the file that is about to be saved."""
    for image in bpy.data.images:
        mine = image.watch_your_steps
        for paint in (mine.preview.paint, mine.region.paint):
            if paint is not None and paint.is_dirty:
                tiles.pack(paint)


def _layer_of(thing: bpy.types.Object, image: bpy.types.Image, engine: str) -> str:
    """The UV map by which a texture lies on an object.

    Raises:
        SceneError: Texture Paint would paint in another place than where the texture is seen.
    """
    nodes = [one for slot in thing.material_slots for one in colour_nodes(slot.material, engine)]
    root = original_of(image)  # all its versions lie on the same nodes
    layings = [laying_of(one) for one in nodes if original_of(one.image) == root]
    usual = next((one.name for one in thing.data.uv_layers if one.active_render), "")
    names = {one.layer or usual for one in layings}
    if len(names) != 1 or not names <= set(thing.data.uv_layers.keys()):
        raise SceneError(
            f'"{image.name}" is laid on by several UV maps, or by one that only modifiers make, '
            "where Blender cannot paint: use one UV map of the mesh."
        )
    if any(one.moved != Matrix.Identity(4) for one in layings):
        raise SceneError(
            f'A Mapping node moves "{image.name}", and Blender paints as if there were none: move '
            "the UVs instead."
        )
    return names.pop()


def _unified(context: bpy.types.Context) -> bpy.types.UnifiedPaintSettings:
    """What brushes share; Blender 5.0 has it with each kind of painting."""
    tools = context.scene.tool_settings
    shared: bpy.types.UnifiedPaintSettings = (
        tools.unified_paint_settings
        if bpy.app.version < (5, 0)
        else tools.image_paint.unified_paint_settings
    )
    return shared


def _color(context: bpy.types.Context) -> tuple[float, ...]:
    unified, painting = _unified(context), context.scene.tool_settings.image_paint
    holder = unified if unified.use_unified_color or painting.brush is None else painting.brush
    return tuple(holder.color)


def _set_color(context: bpy.types.Context, color: tuple[float, ...]) -> None:
    painting = context.scene.tool_settings.image_paint
    _unified(context).color = color
    if painting.brush is not None:
        painting.brush.color = color
