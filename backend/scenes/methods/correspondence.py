"""Which pixels of posed views show the same point, by a depth for every pixel, and what these
pixels have in common.

    X = o_i + s_i(p) d_i(p)                        the point that pixel p of view i shows
    Y = R_j^T (X - o_j)                            in camera j: x right, y up, -z forward
    q = (c_x + f_x Y_x / -Y_z, c_y - f_y Y_y / -Y_z)
    view j sees X where s_j(q) = |Y|, to a tolerance

with o the camera's position, d a ray of unit length, s the distance along it to the surface.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.captures.lens import Intrinsics
from backend.fields.rays import ViewRays

TOLERANCE = 0.03
"""Share of its distance by which a point may lie off the surface that a pixel shows."""
PLACES = 2**22
"""Numbers that are put in order at once."""


@dataclass(frozen=True)
class PosedView:
    """A view: what it shows, and how far away that is.

    Attributes:
        pose: float64 (4, 4), camera (OpenGL) to the coordinates of the distances.
        camera: the pinhole camera.
        colours: float32 (H, W, 3).
        inside: bool (H, W), the pixels that count.
        distances: float32 (H, W), along the rays to the surfaces.
    """

    pose: NDArray[np.float64]
    camera: Intrinsics
    colours: Tensor
    inside: Tensor
    distances: Tensor

    def points(self) -> Tensor:
        """float32 (m, 3): what the m pixels that count show, row by row."""
        rays = ViewRays(self.pose[None], [self.camera], self.colours.device)
        bundle = rays.bundle(torch.nonzero(self.inside.reshape(-1))[:, 0])
        return bundle.origins + self.distances[self.inside][:, None] * bundle.directions

    def project(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where points (m, 3) are seen: image coordinates (m, 2) from the top left corner, the
        distance to each (m), and bool (m) whether it lies before the camera.
        """
        pose = torch.from_numpy(self.pose).to(points)
        offset = points - pose[:3, 3]
        x, y, z = (offset @ pose[:3, :3]).unbind(-1)
        depth, camera = (-z).clamp(min=1e-6), self.camera
        at = [camera.cx + camera.fx * x / depth, camera.cy - camera.fy * y / depth]
        return torch.stack(at, -1), offset.norm(dim=-1), z < 0

    def shown(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The colours (m, 3) that points (m, 3) have here, bilinear between the pixels that count
        and show them; and bool (m) whether these make up half of the weight.
        """
        at, distance, ahead = self.project(points)
        height, width = self.inside.shape
        low = (at - 0.5).floor()
        share = at - 0.5 - low
        colour, weight = torch.zeros_like(points), torch.zeros_like(distance)
        for right in (0, 1):
            for down in (0, 1):
                column, row = low[:, 0] + right, low[:, 1] + down
                within = ahead & (column >= 0) & (column < width) & (row >= 0) & (row < height)
                c = torch.where(within, column, 0).long()
                r = torch.where(within, row, 0).long()
                near = (self.distances[r, c] - distance).abs() <= TOLERANCE * distance
                part = (share[:, 0] if right else 1 - share[:, 0]) * (
                    share[:, 1] if down else 1 - share[:, 1]
                )
                part = part * (within & near & self.inside[r, c])
                colour += part[:, None] * self.colours[r, c]
                weight += part
        return colour / weight.clamp(min=1e-6)[:, None], weight >= 0.5


@torch.no_grad()
def together(views: Sequence[PosedView], index: int) -> Tensor:
    """float32 (m, 3): for the m pixels of a view that count, row by row, the median of each channel
    over all views that see the same point, itself among them.
    """
    own = views[index]
    every = max(1, PLACES // (3 * len(views)))
    parts = zip(own.points().split(every), own.colours[own.inside].split(every), strict=True)
    others = [view for number, view in enumerate(views) if number != index]
    found = []
    for points, colours in parts:
        seen = [(colours, torch.ones_like(colours[:, 0], dtype=torch.bool))]
        seen += [view.shown(points) for view in others]
        found.append(_median(torch.stack([c for c, _ in seen]), torch.stack([s for _, s in seen])))
    return torch.cat(found)


def _median(values: Tensor, counts: Tensor) -> Tensor:
    """(m, 3) of (n, m, 3) over the n that count, bool (n, m), at least one: of an even number the
    mean of the two in the middle.
    """
    ordered = torch.where(counts[..., None], values, torch.inf).sort(dim=0).values
    number = counts.sum(dim=0)
    middle = [((number - 1) // 2), number // 2]
    low, high = (ordered.gather(0, at[None, :, None].expand(1, -1, 3))[0] for at in middle)
    return (low + high) / 2


@torch.no_grad()
def apart(views: Sequence[PosedView]) -> float | None:
    """The mean absolute difference between the colours of pixels and what other views show of the
    same points, over all pairs of views; None where no two views share a point.
    """
    total, count = 0.0, 0
    for own in views:
        points, colours = own.points(), own.colours[own.inside]
        for other in views:
            if other is not own:
                there, seen = other.shown(points)
                total += float((there - colours)[seen].abs().mean(dim=-1).sum())
                count += int(seen.sum())
    return total / count if count else None
