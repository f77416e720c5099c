"""Where something may appear in a scene that shows nothing there yet: the visual hull of the views'
relevance maps (Laurentini, "The visual hull concept", 1994), carved where views see that nothing
is asked for (Kutulakos and Seitz, "A theory of shape by space carving", 2000).

What is to be put on top of a thing is marked in every map, but on what lies behind it, which is
another place for every view. Where it will be is what all these marks have in common: a place in
the free space before the surfaces at which every view looks through its own mark.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.captures.lens import Intrinsics
from backend.fields.facts import CheckpointError
from backend.fields.nerfstudio_compat import RaySamples
from backend.fields.rays import ViewRays
from protocol import files

CELLS = 64
"""Of the grid along a side, both when the box is searched and when what was found is looked at."""
AGREED = (0.9, 0.8, 0.7, 0.6)
"""Shares of the views that see a place which may be asked to mark it: with maps that have holes,
fewer do."""
LIKELY = 0.5
"""The same while the box is searched, whose cells are larger than what may lie in them."""
FEWEST, FEWEST_SHARE = 3, 0.25
"""Views, and share of all, that must see a place of which they are to say something."""
BEFORE = 0.97
"""Share of the distance to a surface up to which a place lies before it."""
STEPS = 128
"""Samples of a ray within the hull's box."""
PIECES = 4
"""Of what lies between two samples of a ray, at whose middles the hull is asked."""
SLAB = 2**18
"""Places that are looked up at once."""


@dataclass(frozen=True)
class MarkedView:
    """What a view says of the places that it sees.

    Attributes:
        pose: (4, 4), camera (OpenGL) to box coordinates.
        camera: the pinhole camera.
        marked: bool (h, w), where something is asked for, over the whole picture at any resolution.
        distances: float32 (h, w), along the rays to the surfaces, in box units.
    """

    pose: NDArray[np.float64]
    camera: Intrinsics
    marked: NDArray[np.bool_]
    distances: NDArray[np.float32]


class Hull:
    """Places of a scene where something may appear.

    Attributes:
        inside: float32 (n, n, n), 1 there and 0 elsewhere, by x, y, z.
        low, high: float32 (3), the centres of the first and the last cell, in box coordinates.
    """

    def __init__(
        self,
        inside: NDArray[np.float32],
        low: NDArray[np.float32],
        high: NDArray[np.float32],
        device: torch.device | str = "cpu",
    ) -> None:
        """Args:
        inside, low, high: see above.
        device: where it is asked about.
        """
        self.inside, self.low, self.high = inside, low, high
        self._grid = torch.from_numpy(inside.transpose(2, 1, 0).copy())[None, None].to(device)
        self._low, self._high = (torch.from_numpy(end).to(device) for end in (low, high))

    def at(self, positions: Tensor) -> Tensor:
        """How far places lie inside, 0..1, between cells trilinear: float32 (..., 1) at positions
        float32 (..., 3) in box coordinates. The outline is at 0.5.
        """
        scaled = 2 * (positions - self._low) / (self._high - self._low) - 1
        found = nn.functional.grid_sample(
            self._grid, scaled.reshape(1, -1, 1, 1, 3), align_corners=True, padding_mode="zeros"
        )
        return found.reshape(*positions.shape[:-1], 1)

    def save(self, path: Path) -> None:
        """Writes it.

        Raises:
            OSError: the file cannot be written.
        """
        with files.replacing(path) as file:
            np.savez_compressed(file, inside=self.inside > 0, low=self.low, high=self.high)

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> Self:
        """What `save` wrote.

        Args:
            path: of the file.
            device: where it is asked about.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["inside"].astype(np.float32), file["low"], file["high"], device)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{path} is missing or damaged: undo the edit and make it anew."
            ) from error

    def without(self, views: Sequence[MarkedView]) -> "Hull":
        """The places that are not both within a view's marks and before what it shows there."""
        axes = [
            np.linspace(first, last, count)
            for first, last, count in zip(self.low, self.high, self.inside.shape, strict=True)
        ]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        places = torch.from_numpy(grid).float()
        kept = torch.ones(len(places), dtype=torch.bool)
        for view in views:
            _, free, marked = _looked_up(view, places)
            kept &= ~(free & marked)
        left = self.inside * kept.numpy().reshape(self.inside.shape)
        return Hull(left.astype(np.float32), self.low, self.high, self._grid.device)

    def seen_from(
        self, pose: NDArray[np.float64], camera: Intrinsics, distances: NDArray[np.float32]
    ) -> NDArray[np.bool_]:
        """Where a view looks through it before it meets a surface, bool (H, W).

        Args:
            pose: (4, 4), camera (OpenGL) to box coordinates.
            camera: the pinhole camera, with as many pixels as `distances`.
            distances: float32 (H, W), along the rays to the surfaces, in box units.
        """
        found: NDArray[np.bool_] = self.entered_from(pose, camera) < distances * BEFORE
        return found

    def entered_from(self, pose: NDArray[np.float64], camera: Intrinsics) -> NDArray[np.float32]:
        """How far along its rays a view looks into it, float32 (H, W), in box units; inf where it
        does not.

        Args:
            pose, camera: as in `seen_from`.
        """
        rays = ViewRays(pose[None], [camera], self._grid.device)
        bundle = rays.bundle(rays.of_view(0))
        found: NDArray[np.float32] = self._entered(bundle.origins, bundle.directions).cpu().numpy()
        return found.reshape(camera.height, camera.width)

    @torch.no_grad()
    def share_of(self, samples: RaySamples) -> Tensor:
        """How much of the way through each sample (m, s) of rays lies inside, float32 (m, s, 1)."""
        frustums = samples.frustums
        origins, directions = frustums.origins[:, 0], frustums.directions[:, 0]
        share = torch.zeros_like(frustums.starts)
        enter, leave = self._crossed(origins, directions)
        crossed = torch.nonzero(leave > enter)[:, 0]
        pieces = (torch.arange(PIECES, device=share.device) + 0.5) / PIECES
        slab = max(1, SLAB // (PIECES * share.shape[1]))
        for part in crossed.split(slab):
            start, end = frustums.starts[part], frustums.ends[part]
            along = start + pieces * (end - start)
            places = origins[part, None, None] + along[..., None] * directions[part, None, None]
            inside = (self.at(places)[..., 0] >= 0.5).to(share)
            share[part] = inside.mean(-1, keepdim=True)
        return share

    def _crossed(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """How far along rays (m, 3) of unit length its box begins and ends, (m) each; a ray that
        misses it has the end before the beginning.
        """
        safe = torch.where(directions.abs() < 1e-9, 1e-9, directions)
        ends = torch.stack([(self._low - origins) / safe, (self._high - origins) / safe])
        return ends.amin(0).amax(-1).clamp(min=0), ends.amax(0).amin(-1)

    @torch.no_grad()
    def _entered(self, origins: Tensor, directions: Tensor) -> Tensor:
        """How far along rays (m, 3) of unit length its first place lies, (m), inf for none."""
        enter, leave = self._crossed(origins, directions)
        entered = torch.full_like(enter, torch.inf)
        crossed = torch.nonzero(leave > enter)[:, 0]
        shares = (torch.arange(STEPS, device=origins.device) + 0.5) / STEPS
        for part in crossed.split(SLAB // STEPS):
            start, length = enter[part], leave[part] - enter[part]
            along = start[:, None] + shares * length[:, None]
            places = origins[part, None] + along[..., None] * directions[part, None]
            inside = self.at(places)[..., 0] >= 0.5
            entered[part] = torch.where(inside, along, torch.inf).amin(-1)
        return entered


@torch.no_grad()
def carve(views: Sequence[MarkedView], device: torch.device | str = "cpu") -> list[Hull]:
    """The places of the box [-1, 1]^3 that the views agree on: a hull for each of AGREED, without
    those that are empty.

    Where enough views see a place, they decide. Where none can look, within things, it is inside if
    every view would see it through its mark: what takes a thing's place may be smaller than that.
    """
    low, high = np.full(3, -1.0), np.full(3, 1.0)
    agreed, step = _agreed(views, low, high, device), 2 / (CELLS - 1)
    for share in (LIKELY, min(AGREED)):  # nearer to what was found
        cells = np.argwhere(agreed >= share)
        if not len(cells):
            return []
        low, high = low + (cells.min(0) - 1.5) * step, low + (cells.max(0) + 1.5) * step
        agreed, step = _agreed(views, low, high, device), (high - low) / (CELLS - 1)
    ends = low.astype(np.float32), high.astype(np.float32)
    found = [(agreed >= share).astype(np.float32) for share in AGREED]
    return [Hull(inside, *ends, device) for inside in found if inside.any()]


def _agreed(
    views: Sequence[MarkedView],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    device: torch.device | str,
) -> NDArray[np.float32]:
    """The share of the views that mark a place, float32 (n, n, n), on a grid between corners."""
    axes = [np.linspace(first, last, CELLS) for first, last in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    fewest = max(FEWEST, FEWEST_SHARE * len(views))
    parts = []
    for places in torch.from_numpy(grid).float().to(device).split(SLAB):
        seen, marked, looked, through = torch.zeros(4, len(places), device=device)
        for view in views:
            inside, free, mark = _looked_up(view, places)
            seen += free
            marked += free & mark
            looked += inside
            through += inside & mark
        in_air = torch.where(seen >= fewest, marked / seen.clamp(min=1), 0)
        hidden = (seen == 0) & (looked >= fewest) & (through >= looked)
        parts.append(torch.where(hidden, 1, in_air))
    found: NDArray[np.float32] = torch.cat(parts).cpu().numpy()
    return found.reshape(CELLS, CELLS, CELLS)


def _looked_up(view: MarkedView, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Whether places (m, 3) lie in a view's picture, before what it shows, and within its marks:
    bool (m) each.
    """
    device = places.device
    pose = torch.from_numpy(view.pose).float().to(device)
    offset = places - pose[:3, 3]
    x, y, z = (offset @ pose[:3, :3]).unbind(-1)
    depth = (-z).clamp(min=1e-6)
    camera = view.camera
    u = (camera.fx * x / depth + camera.cx) / camera.width
    v = (camera.cy - camera.fy * y / depth) / camera.height
    inside = (z < 0) & (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
    height, width = view.marked.shape
    row = (v * height).long().clamp(0, height - 1)
    column = (u * width).long().clamp(0, width - 1)
    marked = torch.from_numpy(view.marked).to(device)[row, column]
    surface = torch.from_numpy(view.distances).to(device)[row, column]
    free = inside & (offset.norm(dim=-1) < surface * BEFORE)
    return inside, free, marked
