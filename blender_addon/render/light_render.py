"""An edit at the render's size as scene linear light: around it is all that the render holds, also
what is brighter than white.
"""

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data import full_results, pictures, render_size, view_colours
from ..data.scene_error import SceneError
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


def resulting_light(scene: bpy.types.Scene, uid: str) -> Rendering[tuple[Light, str]]:
    """The edit of a uid at the render's size as light; and why there is no more in it than in the
    picture as it is seen, as a sentence, "" where all of the render is.

    Raises:
        SceneError: as for `full_render.resulting`, or the scene's view has no way back to light.
    """
    back, scene_uid = view_colours.way_back(scene), scene.session_uid
    entry = entry_of(scene, uid)
    full_results.check_sent(entry)  # what is missing is said before a long render
    found, lost = _origin(scene, entry)
    if found is None:
        image = yield from resulting(scene, uid)
        png: bytes = image.packed_file.data
        return view_colours.scene_linear(pictures.decode_png(png), back), lost
    own = yield from _own_light(scene, entry, found)
    scene = scene_of(scene_uid)
    layer = yield from full_results.layer_of(scene.watch_your_steps, entry_of(scene, uid))
    _lay_over(own, layer.base, layer.edit, layer.held(), back)
    return own, ""


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
    return light_in((yield from rendering_light(scene, width, height, alpha, found)), alpha)


def _lay_over(
    own: Light,
    base: NDArray[np.uint8],
    edit: NDArray[np.uint8],
    held: render_size.Floats,
    back: view_colours.WayBack,
) -> None:
    """Lay an edit over light, in place; the rest is as in `render_size.laid_over`. Where the edit
    is not, every number stays.
    """
    for rows, columns, colours, share in render_size.enlarged(base, edit, own.shape[:2], held):
        part = own[rows, columns]
        light = view_colours.light_of(render_size.srgb(colours), back)
        covered = light * part[..., 3:] if part.shape[2] == 4 else light
        mixed = part[..., :3] * (1 - share) + covered * share
        part[..., :3] = np.where(share > render_size.LEAST, mixed, part[..., :3])
