"""A camera in a scene, and what it sees."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.captures.lens import Intrinsics


@dataclass(frozen=True)
class Camera:
    """A camera in a scene.

    Attributes:
        pose: float64 (4, 4), camera (OpenGL: x right, y up, -z forward) to capture coordinates.
        intrinsics: the pinhole camera.
    """

    pose: NDArray[np.float64]
    intrinsics: Intrinsics

    def at_most(self, side: int) -> "Camera":
        """The same with at most so many pixels a side."""
        size = self.intrinsics.width, self.intrinsics.height
        factor = min(1.0, side / max(size))
        width, height = (max(1, round(pixels * factor)) for pixels in size)
        return Camera(self.pose, self.intrinsics.resized(width, height))


@dataclass(frozen=True)
class View:
    """What a camera sees of a scene's fields. Unpacks as `rgb, depth, relevance`.

    Attributes:
        rgb: float32 (H, W, 3), sRGB 0..1.
        depth: float32 (H, W), along the rays, in capture units.
        relevance: float32 (H, W) on the scale of the threshold that a person sets, 0..1; None
            where no relevance field is chosen.
        accumulation: float32 (H, W), 0..1, how much of a ray's light comes from the field.
    """

    rgb: NDArray[np.float32]
    depth: NDArray[np.float32]
    relevance: NDArray[np.float32] | None
    accumulation: NDArray[np.float32]

    @property
    def image(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3), sRGB."""
        return (self.rgb * 255 + 0.5).astype(np.uint8)

    def __iter__(self) -> Iterator[NDArray[np.float32] | None]:
        return iter((self.rgb, self.depth, self.relevance))
