"""A capture: images of one scene and the cameras that took them.

Two frames. *Capture coordinates* are those of the folder's transforms.json (or of the Blender
scene, or of COLMAP's reconstruction); whatever leaves leaves in them. *Box coordinates* are a
shifted and scaled copy in which all cameras lie inside [-1, 1]^3: a field is trained in them.
Cameras follow OpenGL: x right, y up, looking along -z.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics
from backend.captures.views import Pixels, StoredView

__all__ = ["Capture", "CaptureError", "Intrinsics", "Pixels", "StoredView"]


@dataclass(frozen=True, eq=False)
class Capture:
    """Views of one scene. Pixels are read when they are asked for, and not kept.

    Attributes:
        folder: where its description lies.
        views: the n views' files.
        intrinsics: the n pinhole cameras of the images that `read` returns, after undistortion
            and downscaling.
        camera_to_world: float64 (n, 4, 4), camera frame to capture coordinates; rigid.
        to_box: float64 (4, 4), capture to box coordinates: a uniform scale and a shift.
        notes: sentences that the person should read.
        held_out: names of the views that its description keeps for measuring; None where it leaves
            the choice.
        turned_by: how nerfstudio turns the scene, where its description says so.
    """

    folder: Path
    views: tuple[StoredView, ...]
    intrinsics: tuple[Intrinsics, ...]
    camera_to_world: NDArray[np.float64]
    to_box: NDArray[np.float64]
    notes: tuple[str, ...] = ()
    held_out: frozenset[str] | None = None
    turned_by: str | None = None

    def __len__(self) -> int:
        return len(self.views)

    @property
    def names(self) -> tuple[str, ...]:
        """What the description calls the images; no two are the same."""
        return tuple(view.name for view in self.views)

    @cached_property
    def from_box(self) -> NDArray[np.float64]:
        """float64 (4, 4): box to capture coordinates."""
        return np.linalg.inv(self.to_box).astype(np.float64)

    @property
    def box_scale(self) -> float:
        """Box units in one capture unit; depths times this are in box units."""
        return float(self.to_box[0, 0])

    @cached_property
    def camera_to_box(self) -> NDArray[np.float64]:
        """float64 (n, 4, 4): camera frame to box coordinates. Rigid: rotations are those of
        `camera_to_world`, only the positions are shifted and scaled.
        """
        poses = self.camera_to_world.copy()
        poses[:, :3, 3] = poses[:, :3, 3] * self.box_scale + self.to_box[:3, 3]
        return poses

    def in_box(self, place: NDArray[np.float64]) -> NDArray[np.float64]:
        """A place (3,) in capture coordinates in those of the box."""
        found: NDArray[np.float64] = place * self.box_scale + self.to_box[:3, 3]
        return found

    def read(self, index: int) -> Pixels:
        """The pixels of one view, undistorted and at the size of `intrinsics[index]`.

        Raises:
            CaptureError: a file is missing, damaged or of the wrong size.
        """
        camera = self.intrinsics[index]
        return self.views[index].read(camera.width, camera.height)

    def things(self, index: int) -> NDArray[np.uint16] | None:
        """The labels of one view's pixels, uint16 (H, W), at the size of `intrinsics[index]`; None
        where the view has none.

        Raises:
            CaptureError: the label image is missing, damaged or of the wrong size.
        """
        camera = self.intrinsics[index]
        return self.views[index].read_things(camera.width, camera.height)

    def subset(self, indices: Sequence[int]) -> "Capture":
        """The capture with some of its views, in the same box."""
        return replace(
            self,
            views=tuple(self.views[i] for i in indices),
            intrinsics=tuple(self.intrinsics[i] for i in indices),
            camera_to_world=self.camera_to_world[list(indices)],
        )
