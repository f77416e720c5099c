"""What was painted on a picture of the scene, carried to a picture of another frame.

Paint belongs to the surfaces that were seen where it was painted. So each pixel of the other
picture asks which place of which surface it shows (drawn.py), where that place was when it was
painted, and what was painted on the pixel that showed it then. Nothing is splatted, so that there
are no holes; and where nothing has moved, each pixel finds itself again.

A place of a mesh is found again by the vertices around it, however they have moved; where a mesh
has got others, or they hang together otherwise, by its object. The sky is endlessly far away: paint
on it turns with the camera.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..protocol.corrections import NOTHING, Painted
from .drawn import Key, Part, Surface, shares
from .raster import Canvas
from .seen import Seen

AT_ONCE = 200_000
"""Pixels that are carried at once."""
NEAR = 2e-3
"""Share of its depth by which a place may be off the surface that was painted: two meshes lie in
each other, or numbers are rounded."""
SKY = -1
NEIGHBOURS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""Where the painted pixel of a place is looked for: at an outline the pixel that it falls on may
show something else at its centre."""

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Then:
    """An instance as it was when it was painted on."""

    number: int
    """In `PaintedScene.index`."""
    vertices: NDArray[np.float32]
    joins: int
    """Of its surface."""
    matrix: Floats
    """To the space of the camera that it was painted through."""


class PaintedScene:
    """A scene as it was where something was painted on a picture of it."""

    def __init__(self, seen: Seen, painted: Painted) -> None:
        """Keep what of it is painted. Any thread may do this.

        Args:
            seen: what the picture shows, drawn and traced.
            painted: on it, of its size.
        """
        assert seen.canvas is not None
        self.painted, self.canvas = painted, seen.canvas
        self.world_to_camera = np.linalg.inv(seen.camera_to_world)
        self.index = np.full(painted.shape, SKY, np.int32)
        """Which instance each pixel shows."""
        self.instances: dict[Key, _Then] = {}
        """Those with paint on them."""
        flat = self.index.reshape(-1)
        for number, part in enumerate(seen.drawn.parts(seen.canvas.labels.ravel())):
            flat[part.which] = number
            if painted.ravel()[part.which].any():
                key, surface, matrix = _placed(part)
                if key not in self.instances:
                    self.instances[key] = _Then(number, surface.vertices, surface.joins, matrix)
        self.depth = seen.canvas.depth
        self.slack = NEAR * np.abs(self.depth) + _slopes(self.depth, self.index)
        """By how much the depth of a place that a pixel shows may differ from its own."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.painted.shape
        return height, width


def carried(then: PaintedScene, seen: Seen) -> Painted:
    """What was painted as it lies on another picture, (H, W) of that one's size. Any thread may do
    this.

    Args:
        then: where it was painted.
        seen: what the other picture shows, drawn and traced.
    """
    assert seen.canvas is not None
    canvas = seen.canvas
    found = np.full(canvas.labels.shape, NOTHING, np.uint8)
    flat = found.reshape(-1)
    for part in seen.drawn.parts(canvas.labels.ravel()):
        key, surface, _ = _placed(part)
        before = then.instances.get(key)
        if before is None:
            continue
        for start in range(0, len(part.which), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            which, triangles = part.which[some], part.triangles[some]
            centres = _centres(which, canvas)
            share = shares(canvas, surface, part.instance, triangles, centres)
            same = before.joins == surface.joins and before.vertices.shape == surface.vertices.shape
            vertices = before.vertices if same else surface.vertices
            around = vertices[surface.corners[triangles]].astype(np.float64)
            places = np.einsum("ni,nik->nk", share, around)
            places = places @ before.matrix[:3, :3].T + before.matrix[:3, 3]
            pixels, ahead = _pixels(then.canvas, places)
            flat[which] = _looked_up(then, before.number, pixels, ahead, -places[:, 2])
    if (then.painted[then.index == SKY] != NOTHING).any():
        _carry_sky(then, seen, flat)
    return found


def _placed(part: Part) -> tuple[Key, Surface, Floats]:
    """The instance that a part shows."""
    surface = part.surface
    assert surface is not None  # surfaces are traced
    return surface.keys[part.instance], surface, surface.matrices[part.instance]


def _carry_sky(then: PaintedScene, seen: Seen, flat: NDArray[np.uint8]) -> None:
    """Carry what is painted where nothing is seen, by the directions that pixels look into; to and
    from cameras that look into one alone, by their places in the picture.
    """
    canvas = seen.canvas
    assert canvas is not None
    sky = np.flatnonzero(canvas.labels == 0)
    for start in range(0, len(sky), AT_ONCE):
        which = sky[start : start + AT_ONCE]
        centres = _centres(which, canvas)
        if canvas.is_flat or then.canvas.is_flat:
            scale = np.array(then.shape[::-1]) / canvas.labels.shape[::-1]
            pixels, ahead = centres * scale, np.ones(len(which), bool)
        else:
            turn = then.world_to_camera[:3, :3] @ seen.camera_to_world[:3, :3]
            pixels, ahead = _pixels(then.canvas, canvas.directions(centres) @ turn.T, far=True)
        flat[which] = _looked_up(then, SKY, pixels, ahead, None)


def _centres(which: Numbers, canvas: Canvas) -> Floats:
    """x and y of the centres of pixels."""
    row, column = np.divmod(which, canvas.labels.shape[1])
    return np.stack([column, row], axis=1) + 0.5


def _pixels(canvas: Canvas, places: Floats, far: bool = False) -> tuple[Floats, NDArray[np.bool_]]:
    """Where places in the camera's space, or directions `far` away, lie in its picture, and whether
    they are ahead of it.
    """
    x, y, w = (canvas.in_pixels(places) - (canvas.in_pixels(np.zeros(3)) if far else 0)).T
    ahead = w > 0
    w = np.where(ahead, w, 1)
    return np.stack([x / w, y / w], axis=1), ahead


def _looked_up(
    then: PaintedScene,
    number: int,
    pixels: Floats,
    ahead: NDArray[np.bool_],
    depth: Floats | None,
) -> Painted:
    """What was painted on places (N,) of an instance, or on the sky.

    Args:
        then: where it was painted.
        number: of the instance there.
        pixels: (N, 2), where the places lie in its picture.
        ahead: whether they lie there at all.
        depth: of the places; None for the sky.
    """
    height, width = then.shape
    found = np.full(len(pixels), NOTHING, np.uint8)
    column, row = np.floor(pixels.clip(-2, (width + 1, height + 1))).astype(np.int64).T
    left = np.flatnonzero(ahead)
    for down, right in NEIGHBOURS:
        y, x = row[left] + down, column[left] + right
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        if (down, right) == (0, 0):  # what falls beside the picture was not seen
            left, y, x = left[inside], y[inside], x[inside]
            inside = np.ones(len(left), bool)
        y, x = np.where(inside, y, 0), np.where(inside, x, 0)
        shows = inside & (then.index[y, x] == number)
        if depth is not None:
            shows &= np.abs(then.depth[y, x] - depth[left]) <= then.slack[y, x]
        found[left[shows]] = then.painted[y[shows], x[shows]]
        left = left[~shows]
    return found


def _slopes(depth: Floats, index: NDArray[np.int32]) -> Floats:
    """By how much the depth of each pixel differs at most from those beside it that show the same
    instance.
    """
    most = np.zeros_like(depth)
    for one, other in _beside(depth.shape):
        same = (index[one] == index[other]) & (index[one] != SKY)
        change = np.abs(np.where(same, depth[one], 0) - np.where(same, depth[other], 0))
        np.maximum(most[one], change, out=most[one])
        np.maximum(most[other], change, out=most[other])
    return most


def _beside(shape: tuple[int, ...]) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """All pairs of pixels that touch each other."""
    height, width = shape
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows = slice(0, height - down), slice(down, height)
        left, cut = max(-right, 0), max(right, 0)
        columns = slice(left, width - cut), slice(cut, width - left)
        yield (rows[0], columns[0]), (rows[1], columns[1])
