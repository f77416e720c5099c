"""An edit at the render's size as scene linear light: around it is all that the render holds, also
what is brighter than white.
"""

import time
from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data import full_results, pictures, render_size, view_colours
from ..data.scene_error import SceneError
from ..link.aside import aside
from ..link.encode import encode_exr
from .camera_render import Rendering, rendering_light
from .full_render import (
    Shown,
    check_no_render,
    entry_of,
    full_size,
    origin,
    resulting,
    scene_of,
)
from .image_pixels import by_the_scenes_view
from .own_settings import OwnSettings
from .written_image import light_in, written_light

Light = NDArray[np.float32]
"""(H, W, 3), or (H, W, 4) with alpha and colours times it; scene linear, row 0 at the top."""
Origin = Shown | OwnSettings
Piece = tuple[slice, slice, Light, Light]
"""Rows and columns, and there the edit's colours as they are seen, (h, w, 3) in 0..1, and its share
of each pixel, (h, w, 1) in 0..1."""
STRIP, PAUSE = 32, 0.015
"""Rows that are taken back to light at once, and seconds that Blender waits for that at least."""


@dataclass(frozen=True)
class Saved:
    """An edit at the render's size as light."""

    exr: bytes
    """The OpenEXR file, 32 bits a channel; of a transparent film colours times alpha."""
    size: full_results.Size
    lost: str
    """Why there is no more in it than in the picture as it is seen, as a sentence; "" where all of
    the render is."""


def resulting_light(scene: bpy.types.Scene, uid: str) -> Rendering[Saved]:
    """The edit of a uid at the render's size as light.

    Raises:
        SceneError: as for `full_render.resulting`, or the scene's view has no way back to light.
    """
    back, scene_uid = view_colours.way_back(scene), scene.session_uid
    space = view_colours.working_space()
    entry = entry_of(scene, uid)
    full_results.check_sent(entry)  # what is missing is said before a long render
    found, lost = _origin(scene, entry)
    if found is None:
        image = yield from resulting(scene, uid)
        png: bytes = image.packed_file.data
        return _saved(view_colours.scene_linear(pictures.decode_png(png), back), lost, space)
    own = yield from _own_light(scene, entry, found)
    scene = scene_of(scene_uid)
    layer = yield from full_results.layer_of(scene.watch_your_steps, entry_of(scene, uid))
    began = time.monotonic()
    for rows, columns, seen, share in (yield from aside(lambda: _pieces(layer, own.shape[:2]))):
        _lay_over(own[rows, columns], view_colours.light_of(seen, back), share)
        if time.monotonic() - began > PAUSE:  # let the window go on
            yield from aside(lambda: None)
            began = time.monotonic()
    return (yield from aside(lambda: _saved(own, "", space)))


def _saved(light: Light, lost: str, space: str) -> Saved:
    height, width = light.shape[:2]
    return Saved(encode_exr(light, space), (height, width), lost)


def _origin(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup) -> tuple[Origin | None, str]:
    """Where the light around an edit can be had from. None where there is none: an image may be
    kept as it is seen, or, in words, it cannot be had any more.
    """
    try:
        found = origin(scene, entry, full_results.render_below(entry))
    except SceneError as error:
        return None, str(error)
    if isinstance(found, Shown) and found.pixels is None and not by_the_scenes_view(found.image):
        return None, ""
    return found, ""


def _own_light(
    scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, found: Origin
) -> Rendering[Light]:
    """The light of what an edit is of."""
    alpha = full_results.has_alpha(full_results.render_below(entry))
    if isinstance(found, Shown):
        return written_light(found.image, scene, alpha)
    check_no_render()
    height, width = full_size(scene)
    exr = yield from rendering_light(scene, width, height, alpha, found)
    return (yield from aside(lambda: light_in(exr, alpha)))


def _pieces(layer: full_results.Layer, size: full_results.Size) -> list[Piece]:
    strips = render_size.enlarged(layer.base, layer.edit, size, layer.held(), STRIP)
    return [
        (rows, columns, render_size.srgb(colours), share)
        for rows, columns, colours, share in strips
    ]


def _lay_over(part: Light, light: Light, share: Light) -> None:
    """Lay an edit's light over a part of the render's, in place. Where the edit is not, every
    number stays.
    """
    covered = light * part[..., 3:] if part.shape[2] == 4 else light
    mixed = part[..., :3] * (1 - share) + covered * share
    part[..., :3] = np.where(share > render_size.LEAST, mixed, part[..., :3])
