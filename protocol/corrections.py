"""What a person corrects of a region: inverted, clicked on, grown or shrunk, painted on.

A region is where values reach a threshold, so that a slider costs nothing. That holds for every
correction, too: a maximum over a neighbourhood reaches a threshold just where the region, grown by
that neighbourhood, is. Both sides of the protocol compute it, as they do `region.snapped`.
"""

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from .settings import Grow
from .values import check_array

Values = NDArray[np.float32]
Painted = NDArray[np.uint8]
"""(H, W) of NOTHING, ADDED and TAKEN, row 0 at the top."""

NOTHING, ADDED, TAKEN = 0, 1, 2
"""What was painted on a pixel."""

INSIDE, OUTSIDE = np.float32(2), np.float32(-2)
"""Values that reach every threshold, and none: those of maps are in 0..1, inverted in -1..0."""
DIAMOND = 2 - 2**0.5
"""How much of a regular octagon's radius its slanted sides take."""
ABOVE_NONE = np.float32(1e-6)
"""An inverted threshold of 0, which nothing may reach: the least that every GPU tells from 0."""


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """What is corrected, in this order: each wins over what comes before it."""

    invert: bool = False
    """Whether the region is where the map does not reach the threshold."""
    clicked: Painted | None = None
    """uint8 (H, W) of the picture: which pixels are of things that were added to it by a click
    (ADDED), and of things that were removed from it (TAKEN); None where nothing was clicked on."""
    grow: Grow = 0
    """Pixels by which it is grown, as `grown` says; less than 0 shrinks it."""
    painted: Painted | None = None
    """uint8 (H, W) of the picture: which pixels belong to it (ADDED) and which do not (TAKEN),
    whatever the map says; None where nothing is painted."""

    def __post_init__(self) -> None:
        for name in ("clicked", "painted"):
            if getattr(self, name) is not None:
                _check_painted(getattr(self, name), name)

    @property
    def is_none(self) -> bool:
        """Whether nothing is corrected."""
        unmarked = self.clicked is None and self.painted is None
        return unmarked and self.grow == 0 and not self.invert

    def mask(self, values: Values, threshold: float) -> NDArray[np.bool_]:
        """bool (H, W): the corrected region of values, float32 (H, W) in 0..1.

        Raises:
            ValueError: what was painted or clicked on is of another size.
        """
        for name, marked in (("clicked", self.clicked), ("painted", self.painted)):
            if marked is not None and marked.shape != values.shape:
                raise ValueError(f"{name} is {marked.shape} but the map is {values.shape}")
        made = -values if self.invert else values
        if self.clicked is not None:
            made = with_painting(made, self.clicked)
        made = grown(made, self.grow)
        if self.painted is not None:
            made = with_painting(made, self.painted)
        return np.asarray(made >= threshold_of(threshold, self.invert))


class PaintedView(msgspec.Struct, frozen=True, kw_only=True):
    """What was painted on a scene from a camera: it belongs to the places that are seen there."""

    painted: Painted
    """uint8 (H, W): which of the places seen belong to the region (ADDED) and which do not (TAKEN),
    whatever the relevance there."""
    fx: Annotated[float, Meta(gt=0.0)]
    """Focal lengths in pixels of `painted`, and so on as in PutView."""
    fy: Annotated[float, Meta(gt=0.0)]
    cx: float
    cy: float
    camera_to_world: Annotated[tuple[float, ...], Meta(min_length=16, max_length=16)]
    """As in PutView."""

    def __post_init__(self) -> None:
        _check_painted(self.painted, "painted")
        if not all(map(math.isfinite, (self.fx, self.fy, self.cx, self.cy, *self.camera_to_world))):
            raise ValueError("a camera must be finite numbers")


def _check_painted(painted: Painted, name: str) -> None:
    check_array(painted, name, "uint8", ())
    if painted.max() > TAKEN:
        raise ValueError(f"{name} must hold {NOTHING}, {ADDED} and {TAKEN} only")


def threshold_of(threshold: float, invert: bool) -> np.float32:
    """What values reach, negated where they are inverted."""
    return inverted_threshold(threshold) if invert else np.float32(threshold)


def with_painting(values: Values, painted: Painted) -> Values:
    """Values with what was painted on them; both (H, W)."""
    made = values.copy()
    made[painted == ADDED] = INSIDE
    made[painted == TAKEN] = OUTSIDE
    return made


def inverted_threshold(threshold: float) -> np.float32:
    """What negated values, -1..0, reach just where the values, 0..1, do not reach `threshold`."""
    if threshold == 0:
        return ABOVE_NONE
    return np.nextafter(np.float32(-threshold), np.float32(1))


def grown(values: Values, pixels: int) -> Values:
    """Values whose regions reach further.

    Args:
        values: float32 (H, W).
        pixels: how far in each direction, over an octagon; less than 0 shrinks. What lies beyond
            the picture neither grows into it nor shrinks it.
    """
    if pixels < 0:
        return -grown(-values, -pixels)
    if pixels == 0:
        return values
    slanted = round((DIAMOND * pixels - 1) / 2) * 2 + 1  # odd, so that it has a middle
    straight = pixels - slanted
    height, width = values.shape
    found = np.full((height + 2 * pixels, width + 2 * pixels), -np.inf, np.float32)
    found[pixels : pixels + height, pixels : pixels + width] = values
    for count, step in (
        (2 * straight + 1, (1, 0)),
        (2 * straight + 1, (0, 1)),
        (slanted, (1, 1)),
        (slanted, (1, -1)),
    ):
        found = _highest_ahead(found, count, step)
    # each window begins at its pixel: the picture has moved by half of them
    top, left = pixels - straight - (slanted - 1), pixels - straight
    cross = [
        found[top + down : top + down + height, left + right : left + right + width]
        for down, right in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    ]
    best = cross[0].copy()
    for one in cross[1:]:
        np.maximum(best, one, out=best)
    return best


def _highest_ahead(values: Values, count: int, step: tuple[int, int]) -> Values:
    """The highest of `count` values one `step` (rows down, columns to the right) after another."""
    reached = 1
    while reached < count:
        ahead = min(reached, count - reached)
        down, right = ahead * step[0], ahead * step[1]
        best = values.copy()
        height, width = values.shape
        here = best[: height - down, max(-right, 0) : width - max(right, 0)]
        there = values[down:, max(right, 0) : width - max(-right, 0)]
        np.maximum(here, there, out=here)
        values, reached = best, reached + ahead
    return values
