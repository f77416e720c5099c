"""The scene as it was where something was painted on a picture of it: looked at once more at that
frame, by the camera that took the picture, wherever that has gone since.
"""

from contextlib import AbstractContextManager

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data import picture_source
from ..data.scene_error import SceneError
from ..data.taken_pictures import Place
from ..link.aside import aside
from ..protocol.corrections import Painted
from .camera_render import Rendering, viewpoint
from .carried_paint import PaintedScene
from .own_settings import own_settings
from .painted_views import NUMBERS, is_same
from .seen import Eye, ThingsUnknown
from .stand_in import stand_in
from .things import look_at

ROUNDED = 2.0
"""Pixels by which a side may differ from what the frame's shape says."""
ON_IMAGE = (
    "This was painted on an image, which has no place in the scene: choose Stay in the Picture, or "
    "paint on a render."
)
UNKNOWN = (
    "It is not known by which camera and when this was painted: choose Stay in the Picture, or "
    "paint on a new preview."
)
PANORAMIC = (
    "A panoramic camera took what this was painted on, so that it follows nothing: choose Stay in "
    "the Picture."
)
GONE = (
    'The camera "{}" that this was painted through is not there any more: choose Stay in the '
    "Picture, or paint on a new preview."
)
NO_CAMERA = (
    "There is no active camera at frame {}, where this was painted: choose Stay in the Picture, or "
    "paint on a new preview."
)
CROPPED = (
    "This was painted on a part of what the camera sees: choose Stay in the Picture, or paint on a "
    "new preview."
)
FOLLOWS_NOTHING = (
    "So what is painted at that frame follows nothing: choose Stay in the Picture, or paint on a "
    "new preview."
)


class NotFollowed(SceneError):
    """What was painted cannot be carried to any frame; the text says why, and what to do."""


def why_not(place: Place | None, shape: tuple[int, int], pixel: float) -> str:
    """Why what was painted there cannot follow the scene, as a sentence; "" where it can.

    Args:
        place: where it was painted; None where that is not known.
        shape: height and width of the picture that it was painted on.
        pixel: width of a pixel by its height.
    """
    if place is not None and place.source.kind == picture_source.IMAGE:
        return ON_IMAGE
    if place is None or len(place.viewpoint) != NUMBERS or not place.camera:
        return UNKNOWN
    _, right_top, _, left_bottom, left_top = np.array(place.viewpoint).reshape(5, 3)
    sides = np.linalg.norm([left_top - left_bottom, right_top - left_top], axis=1) / (1, pixel)
    rounded = np.array(shape) / sides
    if rounded.max() - rounded.min() > ROUNDED * rounded.max() / min(shape):
        return CROPPED
    camera = bpy.data.objects.get(place.camera)
    if camera is None or camera.type != "CAMERA":  # the scene may have it under another name
        return ""
    if camera.data.type not in ("PERSP", "ORTHO"):
        return PANORAMIC
    return ""


def looking(
    scene: bpy.types.Scene,
    moment: AbstractContextManager[None],
    painted: Painted,
    place: Place,
) -> Rendering[PaintedScene]:
    """The scene as it was painted on.

    Args:
        scene: whose next picture is not to be taken from an image.
        moment: how the scene is at the frame at which it was painted.
        painted: (H, W).
        place: of which `why_not` says nothing.

    Raises:
        NotFollowed: it cannot be looked at.
    """
    settings, (height, width) = scene.watch_your_steps, painted.shape
    own = own_settings(settings, picture_source.chosen(settings))
    with moment:
        if scene.camera is None:
            raise NotFollowed(NO_CAMERA.format(place.frame))
        eye = None if is_same(viewpoint(scene), place.viewpoint) else _eye_of(place)
        try:
            with stand_in(scene) as copy:
                own.apply(copy)
                seen = look_at(copy, width, height, "OBJECTS", traced=True, eye=eye)
        except ThingsUnknown as error:
            raise NotFollowed(f"{error} {FOLLOWS_NOTHING}") from error

    def remember() -> PaintedScene:
        seen.draw()
        return PaintedScene(seen, painted)

    try:
        return (yield from aside(remember))
    except ThingsUnknown as error:
        raise NotFollowed(f"{error} {FOLLOWS_NOTHING}") from error


def _eye_of(place: Place) -> Eye:
    """The camera as it was."""
    camera = bpy.data.objects.get(place.camera)
    if camera is None or camera.type != "CAMERA":
        raise NotFollowed(GONE.format(place.camera))
    lens = camera.data
    return eye_of(place.viewpoint, lens.type == "ORTHO", (lens.clip_start, lens.clip_end))


def eye_of(viewpoint: tuple[float, ...], flat: bool, clip: tuple[float, float]) -> Eye:
    """A camera by where it stood.

    Args:
        viewpoint: as of `camera_render.viewpoint`: its place and its frame's corners (right top,
            right bottom, left bottom, left top).
        flat: whether it is an orthographic one.
        clip: how near and how far it sees.
    """
    position, *corners = np.array(viewpoint, np.float64).reshape(5, 3)
    right_top, _, left_bottom, left_top = (corner - position for corner in corners)
    width, height = np.linalg.norm(right_top - left_top), np.linalg.norm(left_top - left_bottom)
    right, up = (right_top - left_top) / width, (left_top - left_bottom) / height
    pose = np.eye(4)
    pose[:3] = np.stack([right, up, np.cross(right, up), position], axis=1)
    left, bottom, ahead = left_bottom @ pose[:3, :3]
    near, far = clip
    sides = np.array([left, left + width, bottom, bottom + height])
    return Eye(
        _flat(sides, near, far) if flat else _perspective(sides / -ahead, near, far),
        np.linalg.inv(pose),
    )


def _flat(sides: NDArray[np.float64], near: float, far: float) -> NDArray[np.float64]:
    left, right, bottom, top = sides
    projection = np.diag([2 / (right - left), 2 / (top - bottom), -2 / (far - near), 1.0])
    projection[:3, 3] = (
        -(right + left) / (right - left),
        -(top + bottom) / (top - bottom),
        -(far + near) / (far - near),
    )
    return projection


def _perspective(sides: NDArray[np.float64], near: float, far: float) -> NDArray[np.float64]:
    """`sides` are those at a distance of 1."""
    left, right, bottom, top = sides
    return np.array(
        [
            [2 / (right - left), 0, (right + left) / (right - left), 0],
            [0, 2 / (top - bottom), (top + bottom) / (top - bottom), 0],
            [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
            [0, 0, -1, 0],
        ]
    )
