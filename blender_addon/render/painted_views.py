"""What is painted and clicked on pictures of a scene, with the cameras that took them: what an edit
in 3D keeps to.
"""

from collections.abc import Callable

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data import painting, picture_source, region, results, taken_pictures, thing_labels
from ..data.region import Picks
from ..data.scene_error import SceneError
from ..protocol.corrections import ADDED, NOTHING, TAKEN, Painted, PaintedView
from ..protocol.values import MAX_PAINTED_VIEWS
from .moved_pixels import is_moved

NOTHING_PAINTED = "Nothing is painted on the mask"
ELSEWHERE = "This was painted on another view or picture: show that one again"
NO_CAMERA = (
    "What is painted on an image has no place in the scene: paint on a render, or the viewport"
)
UNKNOWN = "It is not known from where this picture was taken: preview it anew, and paint on that"
FLAT = "This picture was not taken by a perspective camera: edits in 3D need one"
ELSEWHERE_IN_SCENE = (
    "The compositor moves the picture, so that what is painted on it lies elsewhere in the scene: "
    "mute the node that does, and preview anew"
)
MOST = MAX_PAINTED_VIEWS - 1
"""Views that are kept: the shown one comes to them."""
FULL = f"{MOST} views are kept already: remove one"
ALIKE = 1e-4
"""By how much the numbers of two viewpoints may differ that are the same."""
NUMBERS = 15
"""Of a viewpoint (camera_render.viewpoint)."""


def why_not(scene: bpy.types.Scene) -> str:
    """Why nothing that is painted now counts in 3D, in a sentence without its stop; "" where
    something does.
    """
    settings = scene.watch_your_steps
    if settings.painted_image is None and Picks.read(settings.picks) == Picks():
        return NOTHING_PAINTED
    if results.is_painted_elsewhere(settings):
        return ELSEWHERE
    render = settings.render_image
    place = taken_pictures.place_of(render)
    if place is None:
        return UNKNOWN
    if place.source.kind == picture_source.IMAGE:
        return NO_CAMERA
    known = thing_labels.of(render)
    if known is not None and is_moved(known.unknown):
        return ELSEWHERE_IN_SCENE
    camera = bpy.data.objects.get(place.camera)
    if len(place.viewpoint) != NUMBERS or camera is None:
        return UNKNOWN
    if camera.type != "CAMERA" or camera.data.type != "PERSP":
        return FLAT
    return ""


def keep(scene: bpy.types.Scene) -> None:
    """Keep what is painted now, so that another view can be painted, too; in place of what was kept
    of the same view. `why_not` and `why_full` must say nothing.

    Raises:
        SceneError: what was clicked is not seen there, or the painting has lost its file.
    """
    settings = scene.watch_your_steps
    painted, viewpoint = _painted(settings), _viewpoint(settings)
    if painted is None:
        raise SceneError(f"{NOTHING_PAINTED}.")
    kept = settings.in_3d.painted
    same = next((one for one in kept if is_same(one.viewpoint, viewpoint)), None)
    entry = kept.add() if same is None else same
    entry.name, entry.frame = taken_pictures.taken_by(settings.render_image)
    entry.viewpoint, entry.painted = viewpoint, painting.written(painted)


def why_full(scene: bpy.types.Scene) -> str:
    """Why no more views can be kept, as `why_not`."""
    settings = scene.watch_your_steps
    kept, viewpoint = settings.in_3d.painted, _viewpoint(settings)
    if any(is_same(one.viewpoint, viewpoint) for one in kept):
        return ""
    return FULL if len(kept) >= MOST else ""


def why_none(scene: bpy.types.Scene) -> str:
    """Why an edit in 3D has nothing painted to keep to, as `why_not`."""
    return "" if scene.watch_your_steps.in_3d.painted else why_not(scene)


def change(scene: bpy.types.Scene, how: Callable[[Painted], Painted]) -> None:
    """Change what is painted on all views that an edit in 3D keeps to, those that are kept and the
    shown one, where what was clicked counts as painted from then on. A view on which nothing is
    left is not kept any more. `why_none` must say nothing.

    Raises:
        SceneError: what was clicked is not seen there, or the painting has lost its file.
    """
    settings = scene.watch_your_steps
    now = None
    if not why_not(scene):
        now = _painted(settings)
        if now is None:
            raise SceneError(f"{NOTHING_PAINTED}.")
    kept = settings.in_3d.painted
    for index in reversed(range(len(kept))):
        painted = painting.parse(kept[index].painted)
        made = None if painted is None else how(painted)
        if made is None or not made.any():
            kept.remove(index)
        else:
            kept[index].painted = painting.written(made)
    if now is not None:
        if settings.picks:  # to set it makes the mask anew
            settings.picks = ""
        results.install_painting(scene, how(now), taken_pictures.place_of(settings.render_image))


def all_of(scene: bpy.types.Scene) -> tuple[PaintedView, ...]:
    """What an edit in 3D is to keep to: all that is kept, and what is painted now, which wins."""
    settings = scene.watch_your_steps
    kept = [
        (tuple(one.viewpoint), painted)
        for one in settings.in_3d.painted
        if (painted := painting.parse(one.painted)) is not None
    ]
    now = None if why_not(scene) else _painted(settings)
    if now is not None:
        viewpoint = _viewpoint(settings)
        kept = [one for one in kept if not is_same(one[0], viewpoint)]
        kept.append((viewpoint, now))
    return tuple(view_of(viewpoint, painted) for viewpoint, painted in kept)


def view_of(viewpoint: tuple[float, ...], painted: Painted) -> PaintedView:
    """What was painted through a perspective camera.

    Args:
        viewpoint: as of `camera_render.viewpoint`: its place and its frame's corners (right top,
            right bottom, left bottom, left top).
        painted: uint8 (H, W), over all of the frame.
    """
    place, *corners = np.array(viewpoint, np.float64).reshape(5, 3)
    right_top, _, left_bottom, left_top = (corner - place for corner in corners)
    right, up = _unit(right_top - left_top), _unit(left_top - left_bottom)
    pose = np.eye(4)
    pose[:3] = np.stack([right, up, np.cross(right, up), place], axis=1)
    left, bottom, ahead = left_bottom @ pose[:3, :3]
    width, height = np.linalg.norm(right_top - left_top), np.linalg.norm(left_top - left_bottom)
    rows, columns = painted.shape
    fx, fy = -ahead * columns / width, -ahead * rows / height
    return PaintedView(
        painted=painted,
        fx=float(fx),
        fy=float(fy),
        cx=float(-left / width * columns),
        cy=float((bottom + height) / height * rows),
        camera_to_world=tuple(pose.ravel().tolist()),
    )


def _painted(settings: bpy.types.PropertyGroup) -> Painted | None:
    """What is clicked and painted on the shown picture; painting wins, as it does in a picture."""
    image = settings.painted_image
    painted = None if image is None else painting.read(image)
    things, picks = region.things_of(settings), Picks.read(settings.picks)
    if things is not None and picks != Picks():
        clicked = np.full(things.shape, NOTHING, np.uint8)
        clicked[np.isin(things, list(picks.added))] = ADDED
        clicked[np.isin(things, list(picks.removed))] = TAKEN
        if painted is not None:
            over = painting.scaled(painted, things.shape)
            clicked = np.where(over == NOTHING, clicked, over)
        painted = clicked
    return painted if painted is not None and painted.any() else None


def _viewpoint(settings: bpy.types.PropertyGroup) -> tuple[float, ...]:
    place = taken_pictures.place_of(settings.render_image)
    return () if place is None else place.viewpoint


def is_same(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two viewpoints are the same."""
    return len(one) == len(other) and np.allclose(one, other, atol=ALIKE)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)
