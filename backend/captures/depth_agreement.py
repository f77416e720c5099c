"""What depths are, found by whether those of several views meet in the same surfaces.

A depth in another unit is plausible beside the cameras' distances up to a factor of thirty, and
distances along the rays or inverse depths look like depths, too. But only in what they are do they
put what two views see into the same place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.captures.lens import Intrinsics

ALONG_AXIS, ALONG_RAY, INVERSE = "along the axis", "along the ray", "inverse"
KINDS = (ALONG_AXIS, ALONG_RAY, INVERSE)
SIDE = 64
"""Pixels of the longer side at which depths are compared."""
EVERY = 2
"""Of the rows and columns of a view, which are looked for in others."""
VIEWS, NEIGHBOURS = 12, 3
SAME_SIDE = np.cos(np.radians(50))
"""Of the angle between two views' axes. From further round a thing they see other sides of it,
which meet nowhere as they are, and by chance otherwise."""
SCALES = 1.04 ** np.arange(-146, 147)
"""From 1/300 to 300."""
NEAR = np.array([0.02, 0.06])
"""By how much two depths of a surface may differ, as a share: the first tells distances along rays
from those along the axis, the second suits sensors with noise."""
RIGHT = 1.1
"""Up to so large a factor a scale is what noise and rounding make."""
FLAT = 1.05
"""A view whose far depths are not even so many times its near ones has too little to say."""
ABOUT = 0.98
"""Scales with so much of the best one's share are as good: the middle one is told."""
LOOKED_UP = 0.5
"""Share of the pixels that must lie in another view, lest few of them say all."""
SPEAKS, CLEARLY = 0.5, 1.3
"""Depths are something else where this share of the pixels agrees then, and so many times as many
as do as they are: noise, windows and hidden places make no more than a difference in degree."""


@dataclass(frozen=True, eq=False)
class SeenDepth:
    """A view's depth, made smaller.

    Attributes:
        camera: of the same size as
        depth: float64 (h, w) as it is stored, 0 where it is not known.
    """

    camera: Intrinsics
    depth: NDArray[np.float64]

    @classmethod
    def of(cls, camera: Intrinsics, depth: NDArray[np.float32]) -> "SeenDepth":
        """Args:
        camera: of the view.
        depth: float32 (H, W) of the same size.
        """
        rows, columns = depth.shape
        share = min(1.0, SIDE / max(rows, columns))
        height, width = max(1, round(rows * share)), max(1, round(columns * share))
        at = np.ix_(
            (2 * np.arange(height) + 1) * rows // (2 * height),
            (2 * np.arange(width) + 1) * columns // (2 * width),
        )
        return cls(camera.resized(width, height), depth[at].astype(np.float64))

    def has_relief(self) -> bool:
        """Whether some of what is seen lies further away than other parts."""
        known = self.depth[self.depth > 0]
        near, far = np.quantile(known, [0.05, 0.95]) if len(known) else (1.0, 1.0)
        return bool(far > FLAT * near)


@dataclass(frozen=True)
class Finding:
    """What depths are.

    Attributes:
        kind: one of KINDS.
        times: how many times larger they are than the cameras' unit.
    """

    kind: str
    times: float


def found_in(seen: Sequence[SeenDepth], camera_to_world: NDArray[np.float64]) -> Finding | None:
    """What the depths of views are, where that is not what they should be; None where nothing
    speaks clearly against that.

    Args:
        seen: of n views.
        camera_to_world: float64 (n, 4, 4).
    """
    if not seen:
        return None
    evenly: list[int] = np.unique(np.linspace(0, len(seen) - 1, VIEWS).astype(int)).tolist()
    positions = camera_to_world[:, :3, 3]
    pairs = []
    chosen = [index for index in evenly if seen[index].has_relief()]
    for index in chosen:
        alike = camera_to_world[:, :3, 2] @ camera_to_world[index, :3, 2]
        others = [other for other in chosen if other != index and alike[other] > SAME_SIDE]
        others.sort(key=lambda other: float(np.linalg.norm(positions[other] - positions[index])))
        pairs += [(index, other) for other in others[:NEIGHBOURS]]
    if not pairs:
        return None
    best, right = np.zeros(len(NEAR)), np.zeros(len(NEAR))
    findings: list[Finding | None] = [None] * len(NEAR)
    for kind in KINDS:
        looked_up, asked = np.zeros(len(SCALES)), 0
        agreeing = np.zeros((len(NEAR), len(SCALES)))
        for index, other in pairs:
            to_other = np.linalg.inv(camera_to_world[other]) @ camera_to_world[index]
            inside, agrees, count = _meeting(seen[index], seen[other], to_other, kind)
            looked_up, agreeing, asked = looked_up + inside, agreeing + agrees, asked + count
        enough = looked_up > LOOKED_UP * asked
        shares = np.where(enough, agreeing / np.maximum(looked_up, 1), 0.0)
        if kind == ALONG_AXIS:
            right = shares[:, np.abs(np.log(SCALES)) <= np.log(RIGHT)].max(axis=1)
        for near, share in enumerate(shares):
            if share.max() > best[near]:
                best[near] = share.max()
                top = np.median(np.log(SCALES)[share >= ABOUT * share.max()])
                findings[near] = Finding(kind, float(np.exp(-top)))
    clear = best >= np.maximum(SPEAKS, CLEARLY * right)
    return next((found for found, so in zip(findings, clear, strict=True) if so), None)


def _meeting(
    one: SeenDepth, other: SeenDepth, to_other: NDArray[np.float64], kind: str
) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """How many of one view's pixels lie in the other view's picture, and how many of these are as
    far away as that says, up to each of NEAR, for each of SCALES; and how many there are.
    """
    rows, columns = one.depth.shape
    row, column = np.mgrid[0:rows:EVERY, 0:columns:EVERY].reshape(2, -1)
    known = one.depth[row, column] > 0
    row, column = row[known], column[known]
    rays = one.camera.directions(np.stack([column, row], axis=-1) + 0.5)
    depth = _along_axis(kind, one.depth[row, column], rays)
    points = SCALES[:, None, None] * (depth[:, None] * (rays @ to_other[:3, :3].T))
    points = points + to_other[:3, 3]
    far = -points[..., 2]
    height, width = other.depth.shape
    ahead = far > 0
    seen = points / np.where(ahead, far, 1)[..., None]  # at distance 1
    camera = other.camera
    at_column = np.floor(seen[..., 0] * camera.fx + camera.cx)
    at_row = np.floor(-seen[..., 1] * camera.fy + camera.cy)
    inside = ahead & (at_column >= 0) & (at_column < width) & (at_row >= 0) & (at_row < height)
    there = other.depth[
        np.where(inside, at_row, 0).astype(int), np.where(inside, at_column, 0).astype(int)
    ]
    inside &= there > 0
    said = SCALES[:, None] * _along_axis(kind, np.where(inside, there, 1), seen)
    off = np.abs(far - said)
    agrees = np.stack([(inside & (off < near * far)).sum(axis=1) for near in NEAR])
    return inside.sum(axis=1), agrees, len(row)


def _along_axis(
    kind: str, stored: NDArray[np.float64], rays: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distances along the axis of what is stored as a kind, above 0, on rays (..., 3) of length 1
    along the axis.
    """
    if kind == INVERSE:
        return 1 / stored
    return stored / np.linalg.norm(rays, axis=-1) if kind == ALONG_RAY else stored
