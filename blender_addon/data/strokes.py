"""Strokes of a brush on a scene's mask.

Only the box around each new piece of a stroke is written, into arrays that are shown while it goes
on; the picture of what was painted, and the mask, are made when it ends.
"""

import itertools

import bpy
import numpy as np

from ..protocol.corrections import ADDED, INSIDE, NOTHING, OUTSIDE, TAKEN
from . import region, results, taken_pictures

PIECE = 64
"""Pixels of a long way that are painted at once: the box around all of it would be a large one."""


class Stroke:
    """A stroke that goes on."""

    def __init__(self, scene: bpy.types.Scene, what: int, radius: float) -> None:
        """`what` is painted: ADDED, TAKEN or NOTHING; the radius is in pixels of the
        picture. The scene's map must be there (region.found).
        """
        settings = scene.watch_your_steps
        shown, under = region.found(settings), region.unpainted(settings)
        assert shown is not None  # whoever paints has looked whether there is a map
        assert under is not None
        before = region.painted(settings)
        self._what, self._radius = what, max(radius, 0.5)
        self._under = under
        self._values = shown.values.copy()
        shape = self._values.shape
        self._painted = np.zeros(shape, np.uint8) if before is None else before.copy()
        self._last: tuple[float, float] | None = None
        self._on = taken_pictures.place_of(settings.render_image)
        """Another picture may come before the stroke ends."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture that is painted on."""
        height, width = self._painted.shape
        return height, width

    def to(self, scene: bpy.types.Scene, x: float, y: float) -> None:
        """Paint from the last place to this one, in pixels of the picture from its upper left
        corner; it may be beyond it.
        """
        begin = self._last or (x, y)
        self._last = (x, y)
        way = np.hypot(x - begin[0], y - begin[1])
        pieces = max(1, int(np.ceil(way / max(PIECE, 2 * self._radius))))
        places = np.linspace(begin, (x, y), pieces + 1)
        for one, other in itertools.pairwise(places):
            self._piece(one, other)
        region.show_live(scene, self._values[:])  # another array to whoever keeps the last one

    def _piece(self, begin: np.ndarray, end: np.ndarray) -> None:
        """All pixels whose middle is at most a radius from the line."""
        size = np.array(self._painted.shape[::-1])
        low = np.clip(np.floor(np.minimum(begin, end) - self._radius), 0, size).astype(int)
        high = np.clip(np.ceil(np.maximum(begin, end) + self._radius), 0, size).astype(int)
        if (low >= high).any():
            return
        box = (slice(low[1], high[1]), slice(low[0], high[0]))
        across = np.arange(low[0], high[0], dtype=np.float32) + 0.5 - begin[0]
        down = np.arange(low[1], high[1], dtype=np.float32)[:, None] + 0.5 - begin[1]
        right, below = end - begin
        length = right * right + below * below
        along = 0.0 if length == 0 else ((across * right + down * below) / length).clip(0, 1)
        near = (across - along * right) ** 2 + (down - along * below) ** 2 <= self._radius**2
        self._painted[box][near] = self._what
        new = {
            ADDED: INSIDE,
            TAKEN: OUTSIDE,
            NOTHING: self._under[box][near],
        }
        self._values[box][near] = new[self._what]

    def end(self, scene: bpy.types.Scene) -> None:
        """Keep what was painted."""
        region.show_live(scene, None)
        results.install_painting(scene, self._painted, self._on)


def paint(
    scene: bpy.types.Scene, what: int, radius: float, places: list[tuple[float, float]]
) -> None:
    """A whole stroke, by the places that it goes through; the rest is as in `Stroke`."""
    stroke = Stroke(scene, what, radius)
    for x, y in places:
        stroke.to(scene, x, y)
    stroke.end(scene)


def forget(scene: bpy.types.Scene, where: np.ndarray) -> None:
    """Take the painting off some pixels, bool (H, W) of the shown map's size."""
    settings = scene.watch_your_steps
    painted = region.painted(settings)
    if painted is not None and painted[where].any():
        left = np.where(where, np.uint8(NOTHING), painted)
        results.install_painting(scene, left, taken_pictures.place_of(settings.painted_image))
