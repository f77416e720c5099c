"""What every reader makes of a description: pictures by name, each with a camera and a pose."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.captures.depth_images import INTEGER_UNIT
from backend.captures.error import WrongSize
from backend.captures.lens import Intrinsics, Lens

CameraOf = Callable[[str, tuple[int, int]], tuple[Intrinsics, Lens]]
"""The camera of a picture, by its name, for sentences, and its stored width and height; it may
raise CaptureError."""
SAME_SHAPE = 0.02
"""By how much the sides of a scaled picture may differ, besides the rounding of a pixel."""
UNKNOWN = np.full((4, 4), np.nan)
"""The pose of a picture whose place is not known."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture and its camera, as a description has them. Names are relative to the capture's
    folder, or as another disk had them.

    Attributes:
        file: the description.
        image: the picture's name.
        camera: of the picture.
        pose: float64 (4, 4), in the convention of the description; `UNKNOWN` where it has none.
        depth, things, mask: names of further images, or None.
        held_out: whether it is kept to measure with, and not trained on.
    """

    file: Path
    image: str
    camera: CameraOf
    pose: NDArray[np.float64]
    depth: str | None = None
    things: str | None = None
    mask: str | None = None
    held_out: bool = False


@dataclass(frozen=True, eq=False)
class Described:
    """A capture as its description has it; nothing of its pictures has been looked at.

    Attributes:
        file: the description, which sentences name.
        folder: the capture's.
        frames: all of them.
        opengl: whether the poses surely are OpenGL's camera-to-world.
        depth_unit: capture units of one step of a depth in whole numbers.
        box: middle, float64 (3,), and half side of the cube that the file says the scene lies in,
            in capture coordinates; or None.
        notes: sentences that the person should read.
        turned_by: how nerfstudio turns the scene, where the file says so (orientation_override).
    """

    file: Path
    folder: Path
    frames: list[Frame]
    opengl: bool = False
    depth_unit: float = INTEGER_UNIT
    box: tuple[NDArray[np.float64], float] | None = None
    notes: list[str] = field(default_factory=list)
    turned_by: str | None = None

    @property
    def label(self) -> str:
        """The description, by its name in the capture's folder, for notes."""
        inside = self.file.is_relative_to(self.folder) and self.file != self.folder
        return self.file.relative_to(self.folder).as_posix() if inside else self.file.name


def camera_of_size(file: Path, camera: Intrinsics, lens: Lens) -> CameraOf:
    """A camera that is known for pictures of one size, for those that are stored at another size
    of the same shape.

    Args:
        file: the description, for sentences.
        camera: at the size that the description says.
        lens: its distortion.
    """

    def camera_of(name: str, size: tuple[int, int]) -> tuple[Intrinsics, Lens]:
        width, height = size
        slack = SAME_SHAPE * camera.height * width + max(camera.width, camera.height)
        if abs(camera.height * width - camera.width * height) > slack:
            lying = size == (camera.height, camera.width)
            raise WrongSize(
                f"{file} says that {name} is {camera.width}x{camera.height}, but it is "
                f"{width}x{height}{' (lying on its side: save it upright)' if lying else ''}."
            )
        return (camera if size == (camera.width, camera.height) else camera.resized(*size)), lens

    return camera_of


def from_opencv(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """A camera-to-world pose (4, 4) of an OpenCV camera (y down, looking along z) as OpenGL's."""
    turned: NDArray[np.float64] = pose @ np.diag([1.0, -1.0, -1.0, 1.0])
    return turned
