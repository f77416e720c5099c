"""The rays through the pixels of several views, drawn at random or view by view."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.captures.lens import Intrinsics
from backend.fields.nerfstudio_compat import RayBundle


class ViewRays:
    """All pixels of n views in one row: view by view, row by row, from the top left.

    Attributes:
        total: number of pixels.
        starts: int64 (n + 1), where each view begins, and `total`.
    """

    def __init__(
        self,
        poses: NDArray[np.float64],
        intrinsics: Sequence[Intrinsics],
        device: torch.device | str = "cpu",
    ) -> None:
        """Args:
        poses: (n, 4, 4), camera (OpenGL: x right, y up, -z forward) to box coordinates.
        intrinsics: the n pinhole cameras.
        """
        pixels = [camera.width * camera.height for camera in intrinsics]
        self.starts = torch.tensor([0, *np.cumsum(pixels)], device=device)
        self.total = sum(pixels)
        self._shapes = [(camera.height, camera.width) for camera in intrinsics]
        self._widths = torch.tensor([camera.width for camera in intrinsics], device=device)
        self._centres = torch.tensor([(c.cx, c.cy) for c in intrinsics], device=device)
        self._focals = torch.tensor([(c.fx, -c.fy) for c in intrinsics], device=device)
        self._poses = torch.tensor(poses[:, :3], dtype=torch.float32, device=device)

    def shape(self, view: int) -> tuple[int, int]:
        """Height and width of a view in pixels."""
        return self._shapes[view]

    def of_view(self, view: int) -> Tensor:
        """int64 (H * W): the pixels of one view, row by row."""
        first, last = self.starts[view : view + 2].tolist()
        return torch.arange(first, last, device=self.starts.device)

    def draw(self, count: int) -> Tensor:
        """int64 (count): pixels at random, by torch's own generator."""
        return torch.randint(self.total, (count,), device=self.starts.device)

    def bundle(self, pixels: Tensor) -> RayBundle:
        """nerfstudio's rays through the centres of pixels int64 (m), of unit length."""
        view = torch.searchsorted(self.starts, pixels.contiguous(), right=True) - 1
        local, width = pixels - self.starts[view], self._widths[view]
        at = torch.stack([local % width, local // width], -1) + 0.5
        plane = (at - self._centres[view]) / self._focals[view]  # (m, 2)
        directions = torch.cat([plane, -torch.ones_like(plane[:, :1])], -1)
        poses = self._poses[view]
        directions = (poses[:, :, :3] @ directions[:, :, None])[:, :, 0]
        directions = torch.nn.functional.normalize(directions, dim=-1)
        return RayBundle(
            origins=poses[:, :, 3],
            directions=directions,
            pixel_area=torch.ones_like(directions[:, :1]),  # nerfacto samples points, not cones
            camera_indices=view[:, None],
        )
