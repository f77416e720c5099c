"""Where rays begin: at the first place that enough training views see.

What lies close before one camera is in no other's picture, so nothing but that camera's own pixels
says what is there: a field explains them most easily by a veil right before the lens, which every
other camera runs into ("floaters"). A near plane cuts it off, but none fits both photos taken close
by and a large orbit. Here each ray has its own: no place counts before the ray has come to one that
a share of all views have in their picture.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.captures.lens import Intrinsics
from backend.fields.nerfstudio_compat import RayBundle

CELLS = 32
"""Along each side of the grid over the box [-1, 1]^3."""


class Coverage(nn.Module):
    """Which cells of the box are covered; stands in the place of nerfstudio's collider.

    Attributes:
        covered: bool (CELLS, CELLS, CELLS), by x, y, z; all of them until `cover` is called. Part
            of the state dict.
    """

    covered: Tensor
    _steps: Tensor

    def __init__(self, near: float, far: float) -> None:
        """Args:
        near: where rays begin at the earliest, in box units.
        far: where they end.
        """
        super().__init__()
        self._near, self._far = near, far
        self.register_buffer("covered", torch.ones((CELLS,) * 3, dtype=torch.bool))
        longest = min(2 * math.sqrt(3), 0.9 * far)  # the box's diagonal
        self.register_buffer("_steps", torch.arange(near, longest, 2 / CELLS), persistent=False)

    def cover(
        self, poses: NDArray[np.float64], intrinsics: Sequence[Intrinsics], share: float
    ) -> None:
        """Marks the cells whose middle enough cameras have in their picture: that share of all,
        and two at least.

        Args:
            poses: (n, 4, 4), camera (OpenGL) to box coordinates.
            intrinsics: the n pinhole cameras.
            share: 0..1.
        """
        middles = (np.arange(CELLS) + 0.5) * 2 / CELLS - 1
        grid = np.stack(np.meshgrid(middles, middles, middles, indexing="ij"), -1)
        seen = np.zeros(grid.shape[:3], np.int64)
        for pose, camera in zip(poses, intrinsics, strict=True):
            x, y, z = np.moveaxis((grid - pose[:3, 3]) @ pose[:3, :3], -1, 0)
            ahead = np.maximum(-z, 1e-9)
            u, v = camera.cx + camera.fx * x / ahead, camera.cy - camera.fy * y / ahead
            seen += (z < 0) & (u > 0) & (u < camera.width) & (v > 0) & (v < camera.height)
        enough = max(2, math.ceil(share * len(poses)))
        self.covered.copy_(torch.from_numpy(seen >= enough))

    def at(self, positions: Tensor) -> Tensor:
        """Whether positions (..., 3) in box coordinates are covered, bool (...); all are that lie
        outside the box.
        """
        return ~_inside(positions) | self._cell(positions)

    def forward(self, bundle: RayBundle) -> RayBundle:
        """Gives rays their nears and fars (m, 1); those that have them keep them, as nerfstudio's
        own colliders do it.

        A ray begins at the first covered cell, or where it leaves the box; one that does not pass
        through the box, at the near plane.
        """
        if bundle.nears is not None and bundle.fars is not None:
            return bundle
        steps = self._steps[:, None]
        positions = bundle.origins[:, None] + steps * bundle.directions[:, None]  # (m, s, 3)
        inside = _inside(positions)
        entered = inside.cumsum(dim=-1) > 0
        begins = torch.where(inside, self._cell(positions), entered)
        first = torch.where(begins.any(dim=-1), begins.byte().argmax(dim=-1), 0)
        bundle.nears = self._steps[first][:, None]
        bundle.fars = torch.full_like(bundle.nears, self._far)
        return bundle

    def _cell(self, positions: Tensor) -> Tensor:
        x, y, z = ((positions + 1) * (CELLS / 2)).long().clamp(0, CELLS - 1).unbind(-1)
        return self.covered[x, y, z]


def _inside(positions: Tensor) -> Tensor:
    """Whether positions (..., 3) lie in the box, bool (...)."""
    return positions.abs().amax(dim=-1) < 1
