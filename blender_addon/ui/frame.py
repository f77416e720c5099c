"""Where the camera's frame lies in a region of the 3D view that looks through the camera."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Frame:
    """A rectangle in pixels of a region, origin at the region's lower left corner."""

    left: float
    bottom: float
    right: float
    top: float


def camera_frame(
    corners: Iterable[Sequence[float]], window_matrix: ArrayLike, width: int, height: int
) -> Frame:
    """The camera's frame in a region of `width` x `height` pixels.

    Args:
        corners: the frame's four corners (x, y, z) in camera space, any order, as
            `Camera.view_frame(scene=scene)` returns them (with lens shift and pixel aspect).
        window_matrix: (4, 4), camera space to clip space, as `RegionView3D.window_matrix` is while
            the view looks through the camera (with the view's own zoom and offset).
        width: of the region.
        height: of the region.
    """
    points = np.ones((4, 4))
    points[:, :3] = [tuple(corner) for corner in corners]
    clip = points @ np.asarray(window_matrix, dtype=np.float64).T
    x, y = ((clip[:, :2] / clip[:, 3:] + 1.0) / 2.0 * (width, height)).T
    return Frame(x.min(), y.min(), x.max(), y.max())
