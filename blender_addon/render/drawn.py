"""What was drawn on a canvas, found again by numbers: each triangle of each instance has one of its
own, so that a pixel tells which thing it shows, and which place of which surface.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .raster import Canvas

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Key = tuple[object, ...]
"""Of an instance, the same at every frame."""


@dataclass(frozen=True, eq=False)
class Surface:
    """A surface that was drawn, once or at several places.

    Attributes:
        vertices: (V, 3), in its own space.
        corners: (T, 3), vertices of its triangles; (T, 2) of lines.
        joins: a number of how its vertices hang together: the same at every frame at which a vertex
            is the same place of it.
        keys: of its instances.
        matrices: (K, 4, 4), of each instance, to the camera's space.
    """

    vertices: NDArray[np.float32]
    corners: NDArray[np.int32]
    joins: int
    keys: list[Key]
    matrices: Floats


@dataclass(frozen=True, eq=False)
class Part:
    """The pixels, of some that were asked for, that show one instance.

    Attributes:
        which: (N,), their places among those.
        triangles: (N,), what they show of the surface.
        surface, instance: the instance; None where nobody traces surfaces.
    """

    which: Numbers
    triangles: Numbers
    surface: Surface | None
    instance: int


class Drawn:
    """All that was drawn."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._labels: list[NDArray[np.integer]] = []
        self._surfaces: list[Surface | None] = []
        self._next = 1

    def add(
        self, labels: NDArray[np.integer], instances: int, surface: Surface | None
    ) -> NDArray[np.int64]:
        """Numbers for what is about to be drawn: those of the first instance, (T,); each further
        one's are T higher.

        Args:
            labels: (T,), what its triangles are.
            instances: how often it is drawn.
            surface: of it, where it is to be traced.
        """
        first, count = self._next, len(labels)
        self._firsts.append(first)
        self._labels.append(labels)
        self._surfaces.append(surface)
        self._next += instances * count
        return np.arange(first, first + count)

    def labels(self, numbers: Numbers) -> Numbers:
        """What triangles are, (N,), by their numbers, ascending and 1 or more."""
        found = np.zeros(len(numbers), np.int64)
        for record, some in self._records(numbers):
            labels = self._labels[record]
            found[some] = labels[(numbers[some] - self._firsts[record]) % len(labels)]
        return found

    def parts(self, numbers: Numbers) -> Iterator[Part]:
        """The instances that pixels show, by their numbers (N,); 0 is nothing."""
        order = np.argsort(numbers, kind="stable")
        order = order[np.searchsorted(numbers[order], 1) :]
        ordered = numbers[order]
        for record, some in self._records(ordered):
            count = len(self._labels[record])
            places = ordered[some] - self._firsts[record]
            instances, starts = np.unique(places // count, return_index=True)
            ends = [*starts, len(places)][1:]
            for instance, start, end in zip(instances.tolist(), starts, ends, strict=True):
                triangles = places[start:end] % count
                which = order[some][start:end]
                yield Part(which, triangles, self._surfaces[record], instance)

    def _records(self, ascending: Numbers) -> Iterator[tuple[int, slice]]:
        """Which of all that was drawn some numbers belong to, and which numbers those are."""
        of = np.searchsorted(self._firsts, ascending, side="right") - 1
        records, starts = np.unique(of, return_index=True)
        ends = [*starts, len(of)][1:]
        for record, start, end in zip(records.tolist(), starts, ends, strict=True):
            yield record, slice(start, end)


def shares(
    canvas: Canvas, surface: Surface, instance: int, triangles: Numbers, pixels: Floats
) -> Floats:
    """Where on triangles (N,) of an instance the centres of the pixels lie that show them, as
    shares (N, 3) of their corners, or (N, 2) on lines.

    Args:
        canvas: that it was drawn on.
        pixels: (N, 2), x and y of the centres.
    """
    matrix, corners = surface.matrices[instance], surface.corners[triangles]
    places = surface.vertices[corners].astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    points = canvas.in_pixels(places)
    if corners.shape[1] == 2:
        return _along(points, pixels)
    ends = np.concatenate([pixels, np.ones((len(pixels), 1))], axis=1)
    edges = np.cross(points[:, [1, 2, 0]], points[:, [2, 0, 1]])
    found = np.einsum("nik,nk->ni", edges, ends)
    whole = found.sum(axis=1, keepdims=True)
    thin = np.full_like(found, 1 / 3)  # seen from its edge: each place of it is as good
    return np.divide(found, whole, out=thin, where=whole != 0)


def _along(points: Floats, pixels: Floats) -> Floats:
    """The same of lines, whose ends are `points` (N, 2, 3), all ahead of the camera."""
    begin, end = np.moveaxis(points[..., :2] / points[..., 2:], 1, 0)
    way = end - begin
    length = np.einsum("nk,nk->n", way, way)
    along = np.einsum("nk,nk->n", pixels - begin, way)
    share = np.divide(along, length, out=np.zeros_like(length), where=length > 0).clip(0, 1)
    return np.stack([1 - share, share], axis=1)
