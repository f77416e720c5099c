"""The map of a texture's region, grown or shrunk over the mesh's surface: regions of the grown map
are the grown regions of the map, so that its threshold can be moved as before.
"""

from collections import OrderedDict

import bpy

from ..data import pictures
from ..data.meshes import live_textures, texture_regions
from ..data.meshes.edited_textures import to_paint
from ..data.meshes.mesh_reading import read_mesh_texture
from ..data.scene_error import SceneError
from .surface_texels import SurfaceTexels, surface_texels

KEPT = 2
_surfaces: OrderedDict[str, SurfaceTexels] = OrderedDict()
"""By what `texture_regions.surface_of` says of the mesh: to find one out takes a second."""


def refresh(region: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """Show a region as it is now: the map of a preview grown as it says. Where its mesh is not at
    hand it stays ungrown, of which `texture_regions.why_not_grown` tells. Regions of edits are kept
    with maps that are grown already.

    Args:
        region: whose map, growth or inversion has changed.
        context: its active object is the mesh, unless that was not changed since.
    """
    if region != region.id_data.watch_your_steps.preview:
        live_textures.refresh(region)
        return
    old, region.grown = region.grown, None
    chosen = texture_regions.chosen_map(region)
    surface = _surface(region, context) if region.grow and chosen is not None else None
    if surface is not None:
        texels = -region.grow if region.invert else region.grow
        values = surface.grown(pictures.read_gray(chosen), texels)
        region.grown = pictures.new_like(chosen, f"{region.id_data.name} relevance grown", values)
    live_textures.refresh(region)
    if old is not None and old.users == 0:
        bpy.data.images.remove(old)


def _surface(region: bpy.types.PropertyGroup, context: bpy.types.Context) -> SurfaceTexels | None:
    if region.surface not in _surfaces:
        thing, engine = context.active_object, context.scene.render.engine
        if thing is None or thing.type != "MESH":
            return None
        try:
            read = read_mesh_texture(context, thing, to_paint(thing, region.id_data, engine)[1])
        except SceneError:
            return None
        if texture_regions.surface_of(read) != region.surface:
            return None
        found = surface_texels(read.corners, read.uvs, read.texture.shape[:2])
        _surfaces[region.surface] = found
        while len(_surfaces) > KEPT:
            _surfaces.popitem(last=False)
    return _surfaces[region.surface]
