"""The map of a texture's region, grown or shrunk over the mesh's surface: regions of the grown map
are the grown regions of the map, so that its threshold can be moved as before.
"""

from collections import OrderedDict

import bpy

from ..data import pictures
from ..data.blocks import in_scene
from ..data.meshes import live_textures, texture_regions
from ..data.meshes.edited_textures import to_paint
from ..data.meshes.mesh_reading import read_mesh_texture
from ..data.scene_error import SceneError
from .surface_texels import SurfaceTexels, surface_texels

KEPT = 2
_surfaces: OrderedDict[tuple[str, int], SurfaceTexels] = OrderedDict()
"""Of textures that were previewed, by what `texture_regions.surface_of` says and the session uid:
to find one out takes a second."""


def refresh(
    region: bpy.types.PropertyGroup,
    scene: bpy.types.Scene,
    thing: bpy.types.Object | None,
    anew: bool = False,
) -> None:
    """Show a region as it is now: the map of a preview grown as it says. Where its mesh is not at
    hand it stays ungrown, of which `texture_regions.why_not_grown` tells. Regions of edits are kept
    with maps that are grown already.

    Args:
        region: whose map, growth or inversion has changed.
        scene: the object's.
        thing: the mesh, unless that is known since the preview.
        anew: whether it was previewed just now, so that the mesh may be another one.
    """
    image = region.id_data
    if region != image.watch_your_steps.preview:
        live_textures.refresh(region)
        return
    if anew:
        _surfaces.pop((region.surface, image.session_uid), None)
    old, region.grown = region.grown, None
    chosen = texture_regions.chosen_map(region)
    surface = _surface(region, scene, thing) if region.grow and chosen is not None else None
    if surface is not None:
        texels = -region.grow if region.invert else region.grow
        values = surface.grown(pictures.read_gray(chosen), texels)
        region.grown = pictures.new_like(chosen, f"{image.name} relevance grown", values)
    live_textures.refresh(region)
    if old is not None and old.users == 0:
        bpy.data.images.remove(old)


def _surface(
    region: bpy.types.PropertyGroup, scene: bpy.types.Scene, thing: bpy.types.Object | None
) -> SurfaceTexels | None:
    image, engine = region.id_data, scene.render.engine
    key = region.surface, image.session_uid
    if key not in _surfaces:
        if thing is None or thing.type != "MESH":
            return None
        try:
            with in_scene(scene, thing):
                read = read_mesh_texture(bpy.context, thing, to_paint(thing, image, engine)[1])
        except SceneError:
            return None
        if texture_regions.surface_of(read) != region.surface:
            return None
        _surfaces[key] = surface_texels(read.corners, read.uvs, read.texture.shape[:2])
        while len(_surfaces) > KEPT:
            _surfaces.popitem(last=False)
    return _surfaces[key]
