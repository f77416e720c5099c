"""The rays through the pixels of several views, drawn at random or view by view."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.captures.lens import Intrinsics
from backend.errors import BadInput
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

    def widths(self, pixels: Tensor) -> Tensor:
        """int64 (m): the width in pixels of the view that each of pixels int64 (m) is of."""
        return self._widths[torch.searchsorted(self.starts, pixels, right=True) - 1]

    def of_view(self, view: int) -> Tensor:
        """int64 (H * W): the pixels of one view, row by row."""
        first, last = self.starts[view : view + 2].tolist()
        return torch.arange(first, last, device=self.starts.device)

    def draw(self, count: int) -> Tensor:
        """int64 (count): pixels at random, by torch's own generator."""
        return torch.randint(self.total, (count,), device=self.starts.device)

    def draw_of(self, views: Tensor, count: int) -> Tensor:
        """int64 (count): pixels at random of some views int64 (n), of each view as many."""
        device = self.starts.device
        view = views[torch.randint(len(views), (count,), device=device)]
        first, after = self.starts[view], self.starts[view + 1]
        return first + torch.randint(2**62, (count,), device=device) % (after - first)

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


class Squares:
    """Squares of pixels in the views, drawn at random where no mask hides any of their pixels.

    Attributes:
        side: pixels along it.
    """

    def __init__(self, rays: ViewRays, side: int, seen: Tensor | None = None) -> None:
        """Args:
        rays: of the views.
        side: of a square; where a view is smaller, squares are as large as that.
        seen: int64, the pixels that no mask hides; None for all.

        Raises:
            BadInput: masks leave no such square.
        """
        views = range(len(rays.starts) - 1)
        self.side = min(side, *(length for view in views for length in rays.shape(view)))
        device = rays.starts.device
        shown = torch.full((rays.total,), seen is None, device=device)
        if seen is not None:
            shown[seen] = True
        # whether each pixel is the top left one of a square
        first = torch.zeros(rays.total, dtype=torch.bool, device=device)
        for view in views:
            height, width = rays.shape(view)
            place = slice(*rays.starts[view : view + 2].tolist())
            # how many pixels of a square are seen, by the sums of all that lie above and left
            sums = torch.nn.functional.pad(shown[place].view(height, width).long(), (1, 0, 1, 0))
            sums = sums.cumsum(0).cumsum(1)
            s = self.side
            count = sums[s:, s:] - sums[:-s, s:] - sums[s:, :-s] + sums[:-s, :-s]
            corner = first[place].view(height, width)[: height - s + 1, : width - s + 1]
            corner.copy_(count == s * s)
        kind = torch.int32 if rays.total < 2**31 else torch.int64
        self._rays, self._corners = rays, torch.nonzero(first)[:, 0].to(kind)
        if len(self._corners) == 0:
            raise BadInput(
                f"The masks of the capture leave no square of {self.side} pixels that is seen "
                "whole: take a preset that fits views pixel by pixel."
            )

    def draw(self, count: int) -> Tensor:
        """int64 (n * side * side): about `count` pixels, of one square at least; square by square,
        row by row.
        """
        squares = max(1, count // self.side**2)
        device = self._corners.device
        drawn = self._corners[torch.randint(len(self._corners), (squares,), device=device)].long()
        along = torch.arange(self.side, device=device)
        rows = drawn[:, None] + along * self._rays.widths(drawn)[:, None]  # (n, side)
        return (rows[:, :, None] + along).reshape(-1)
