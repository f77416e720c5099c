"""Which way is up in a capture, as far as its photos tell.

Photos are taken upright in the mean, and those that lie on their side, as a phone stores portraits,
are marked to be shown turned. Where the marks are lost, cameras all round show it: what goes up in
their pictures then goes all ways in the world, and what goes aside one way.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.captures.capture import Capture
from backend.captures.error import CaptureError
from backend.captures.views import StoredView
from backend.pictures.reading import PictureError, orientation_in

UPWARD = {
    1: (0, 1),
    2: (0, 1),
    3: (0, -1),
    4: (0, -1),
    5: (-1, 0),
    6: (-1, 0),
    7: (1, 0),
    8: (1, 0),
}
"""By EXIF orientation: what is up where the picture is shown as it asks for, to the right and up in
the pixels as they are stored."""
LYING = 0.7
"""Share of what its pictures agree on as aside that they must agree on as up, at least: those of a
capture with less lie on their side. Upright ones on a circle agree on up as much as on aside, at
least, wherever on it they are."""
LEAST = 1e-3
"""What they must agree on at least."""


def up_of(capture: Capture) -> NDArray[np.float64]:
    """float64 (3,): the unit vector in capture coordinates.

    Raises:
        CaptureError: the photos were taken every way up, or a photo is missing.
    """
    found = upward(capture.camera_to_world, orientations(capture.views))
    if found is None:
        raise CaptureError(
            f"The photos of {capture.folder} were taken every way up: nothing says which way is up."
        )
    return found


def orientations(views: Sequence[StoredView]) -> list[int]:
    """1 to 8, for each view: how its pixels, as they are read, ask for being shown.

    Raises:
        CaptureError: an image is missing or damaged.
    """
    try:
        return [1 if view.upright else orientation_in(view.image) for view in views]
    except PictureError as error:
        raise CaptureError(str(error)) from error


def shown_upright(capture: Capture) -> NDArray[np.float64]:
    """float64 (n, 4, 4): the cameras, camera to world, of the pictures as they ask for being
    shown.

    Raises:
        CaptureError: a photo is missing.
    """
    return _shown(capture.camera_to_world, orientations(capture.views))


def _shown(camera_to_world: NDArray[np.float64], asked: Sequence[int]) -> NDArray[np.float64]:
    """The same by poses and EXIF orientations."""
    aside, upwards = np.array([UPWARD[one] for one in asked], np.float64).T[..., None]
    right, up, back = (camera_to_world[:, :3, axis] for axis in range(3))
    poses = camera_to_world.copy()
    poses[:, :3, 1] = aside * right + upwards * up
    poses[:, :3, 0] = np.cross(poses[:, :3, 1], back)
    return poses


def upward(
    camera_to_world: NDArray[np.float64], asked: Sequence[int]
) -> NDArray[np.float64] | None:
    """float64 (3,), a unit vector; None where the cameras agree on nothing.

    Args:
        camera_to_world: float64 (n, 4, 4).
        asked: the EXIF orientations of their pictures.
    """
    across, found, back = _shown(camera_to_world, asked)[:, :3, :3].mean(axis=0).T
    if np.linalg.norm(found) < LYING * np.linalg.norm(across):
        # which of both sides: cameras look down at things more often than up
        found = across if across @ back >= 0 else -across
    length = np.linalg.norm(found)
    unit: NDArray[np.float64] = found / max(length, LEAST)
    return None if length < LEAST else unit


def upright(camera_to_world: NDArray[np.float64], asked: Sequence[int]) -> NDArray[np.float64]:
    """Turn the world so that what the pictures agree on as up points along +z.

    Args:
        camera_to_world: float64 (n, 4, 4).
        asked: the EXIF orientations of their pictures.

    Returns:
        float64 (n, 4, 4); unchanged where they agree on nothing.
    """
    up = upward(camera_to_world, asked)
    if up is None:
        return camera_to_world
    aside = np.eye(3)[np.abs(up).argmin()]
    x = np.cross(aside, up)
    x /= np.linalg.norm(x)
    turn = np.eye(4)
    turn[:3, :3] = [x, np.cross(up, x), up]
    return turn @ camera_to_world
