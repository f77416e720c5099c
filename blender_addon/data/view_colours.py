"""The way back from a picture as it is seen, after a scene's view transform, to scene linear light,
which is what renders, the compositor and OpenEXR files hold.
"""

from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from ..link.encode import encode_exr
from . import pictures
from .scene_error import SceneError

STANDARD = "Standard"
ADVICE = "save a PNG, which needs no way back"


@dataclass(frozen=True)
class WayBack:
    """What undoes a scene's view, in this order: the gamma, the view transform, the exposure."""

    gamma: float
    space: str
    """The colour space whose values are those that the view transform gives."""
    exposure: float
    """In stops."""


def way_back(scene: bpy.types.Scene) -> WayBack:
    """What undoes the scene's view.

    Raises:
        SceneError: the view has none.
    """
    view, device = scene.view_settings, scene.display_settings.display_device
    transform = view.view_transform
    known = bpy.types.ColorManagedInputColorspaceSettings.bl_rna.properties["name"].enum_items
    space = "sRGB" if transform == STANDARD else pictures.COLOUR_SPACES.get(transform, "")
    if space not in known:
        raise SceneError(
            f'Nothing takes the view transform "{transform}" out of a picture again: choose AgX, '
            f"Filmic or Standard (Render › Color Management), or {ADVICE}."
        )
    if device != "sRGB":
        raise SceneError(f'The display device "{device}" is not sRGB: choose that, or {ADVICE}.')
    if view.look not in ("", "None"):
        raise SceneError(
            f'Nothing takes the look "{view.look}" out of a picture again: set Look to None '
            f"(Render › Color Management), or {ADVICE}."
        )
    for name, title in (
        ("use_curve_mapping", "color curves"),
        ("use_white_balance", "white balance"),
    ):
        if getattr(view, name, False):
            raise SceneError(
                f"Nothing takes the view's {title} out of a picture again: switch them off "
                f"(Render › Color Management), or {ADVICE}."
            )
    return WayBack(view.gamma, space, view.exposure)


def working_space() -> str:
    """The interop id of the file's scene linear colour space, which Blender 5 lets artists choose;
    "" where it is always the same.
    """
    settings = getattr(bpy.data, "colorspace", None)
    return "" if settings is None else str(settings.working_space_interop_id)


def scene_linear(picture: NDArray[np.uint8], back: WayBack) -> NDArray[np.float32]:
    """The light of a picture as it is seen, (H, W, 3) or with straight colours (H, W, 4): float32
    of the same shape in the scene's linear colour space, times alpha where there is one.
    """
    seen = picture.astype(np.float32) / np.float32(255)
    light = light_of(seen[..., :3], back)
    if picture.shape[2] == 3:
        return light
    return np.concatenate([light * seen[..., 3:], seen[..., 3:]], axis=2)


def light_of(seen: NDArray[np.float32], back: WayBack) -> NDArray[np.float32]:
    """The same of colours as they are seen, float32 (H, W, 3) in 0..1, without alpha."""
    if back.gamma != 1:
        seen = seen ** np.float32(back.gamma)
    image = pictures.new_packed_image("watch your steps", encode_exr(seen))
    try:
        image.colorspace_settings.name = back.space
        light: NDArray[np.float32] = pictures.channels(image)[..., :3]
        return light * np.float32(2**-back.exposure)
    finally:
        bpy.data.images.remove(image)
