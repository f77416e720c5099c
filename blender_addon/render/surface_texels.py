"""The texels of a mesh as they hang together on its surface: beside each other in the texture, and
over the seams of its UV map.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.meshes.islands import connected, uv_corners, welded
from .raster import Canvas

Values = NDArray[np.float32]
Index = NDArray[np.int64]
MOST_TEXELS = 2**20
"""Of a larger texture, distances are measured on so many."""
MARGIN = 16
"""Texels around UV islands that continue them, as in the maps."""
SQUARE_SHARE = 2**0.5 - 1
"""Of the steps, those to all eight neighbours: with steps to four as the others they go as far in
all directions, nearly."""
GOLDEN = (5**0.5 - 1) / 2
"""Spreads them so evenly that they are as many among any steps that come at a pace."""
FINE_SHARE = 0.1
"""Of the surface, whose finer texels are crossed as slowly as these: poles of a sphere would need
many times more steps."""
ALIKE = 1.15
"""Ratio of texels' sides up to which they count as equal."""
CLASSES = 16
"""Sides of texels that are told apart."""
FINEST, COARSEST = 1 / 3, 8
"""Of a usual texel's side: others count as these."""
LARGEST = 2.0
"""Of an average texel's side: usual ones. Otherwise a large ground within a single texel, as with
palettes, would make all that grows go on without end."""
TRIED = (0.5, 1.0, 1.5)
"""How far within a seam its texels are looked for, in texels."""
TINY = 1e-30
SAME_PLACE = 1e-5
"""Between UVs of one place."""


@dataclass(frozen=True, eq=False)
class SurfaceTexels:
    """How far a region on a mesh reaches when it grows.

    The texels here are (T, S), those of the texture, or where those are stretched on the mesh so
    many more that they are not, on the average; of a large texture fewer.

    Attributes:
        covered: bool (T, S), the texels that a face covers.
        side: of an average texel of the texture on the surface, in world units.
        step: how far a step goes, in world units.
        classes: uint8 (T, S), which of `pace` a texel has; None where all are alike.
        pace: float64 (C,), steps in which a texel is crossed.
        level, upright: which texels, (N,), have neighbours of another island in their row, or in
            their column, and their own neighbours, (N, 2), or themselves in place of those.
        seams: texels, (M,), and what lies beside each over a seam, (M,).
        beside: texels without a face next to one with a face.
        margin: texels around the islands, (K,), and the one that each continues, (K,).
    """

    covered: NDArray[np.bool_]
    side: float
    step: float
    classes: NDArray[np.uint8] | None
    pace: NDArray[np.float64]
    level: tuple[Index, Index]
    upright: tuple[Index, Index]
    seams: tuple[Index, Index]
    beside: Index
    margin: tuple[Index, Index]

    def grown(self, values: Values, texels: int) -> Values:
        """Values whose regions reach further over the surface.

        Args:
            values: float32 (H, W) of the texture, such as a map: its regions are where it reaches
                a threshold.
            texels: how far, in the texture's average texels; less than 0 shrinks.

        Returns:
            float32 (H, W): where no face is, and beyond the margin, as they were.
        """
        if texels == 0:
            return values
        given = _scaled(values, self.covered.shape)
        made = np.where(self.covered, given if texels >= 0 else -given, np.float32(-np.inf))
        count = max(1, round(abs(texels) * self.side / self.step))
        crossed = np.floor(np.arange(count + 1)[:, None] / self.pace + 0.5)
        for number, turns in enumerate(np.diff(crossed, axis=0) > 0):
            square = (number + 1) * GOLDEN % 1 < SQUARE_SHARE
            made = self._one_step(made, turns, square)
        made = np.where(self.covered, made if texels >= 0 else -made, given)
        to, of = self.margin
        made.reshape(-1)[to] = made.reshape(-1)[of]
        return _scaled(made, values.shape)

    def _one_step(self, values: Values, turns: NDArray[np.bool_], square: bool) -> Values:
        """Each texel takes what its neighbours have, those at its corners too where it is a
        `square` step, if it is the turn of its class.
        """
        wide = _higher(values, values, self.level, 1)
        source = values
        if square:
            source = wide.copy()
            source.reshape(-1)[self.beside] = -np.inf
        made = _higher(wide, source, self.upright, 0)
        here, there = self.seams
        np.maximum.at(made.reshape(-1), here, values.reshape(-1)[there])
        if self.classes is not None and not turns.all():
            np.copyto(made, values, where=np.take(~turns, self.classes))
        made.reshape(-1)[self.beside] = -np.inf
        return made


def _scaled(values: Values, shape: tuple[int, ...]) -> Values:
    """Values (H, W) at another size, each the nearest one's."""
    if values.shape == shape:
        return values
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.int64)
        for new, old in zip(shape, values.shape, strict=True)
    )
    return values[rows][:, columns]


def _higher(values: Values, source: Values, mixed: tuple[Index, Index], axis: int) -> Values:
    """The highest of each value and its two neighbours in `source` along an axis; of the texels in
    `mixed`, only of their own ones.
    """
    made, inner = np.empty_like(values), slice(1, -1)
    if axis == 0:
        np.maximum(source[:-2], source[2:], out=made[inner])
        made[0], made[-1] = source[min(1, len(source) - 1)], source[-min(2, len(source))]
    else:
        np.maximum(source[:, :-2], source[:, 2:], out=made[:, inner])
        width = source.shape[1]
        made[:, 0], made[:, -1] = source[:, min(1, width - 1)], source[:, -min(2, width)]
    np.maximum(made, values, out=made)
    at, own = mixed
    found = source.reshape(-1)[own].max(axis=1)
    made.reshape(-1)[at] = np.maximum(values.reshape(-1)[at], found)
    return made


def surface_texels(
    corners: NDArray[np.float64], uvs: NDArray[np.floating], shape: tuple[int, int]
) -> SurfaceTexels:
    """How the texels of a mesh hang together.

    Args:
        corners: (F, 3, 3), its triangles, at least one, in world space.
        uvs: (F, 3, 2), where they lie on the texture, which is repeated beyond 0..1.
        shape: rows and columns of the texture.
    """
    places = uvs.astype(np.float64) * (1, -1) + (0, 1)
    places -= np.floor(places.mean(axis=1, keepdims=True))
    sides = _sides(corners, places * shape[::-1])
    side = _average(sides.prod(axis=1), places) ** 0.5
    height, width = _square(sides, places, shape)
    places *= (width, height)
    numbers = welded(corners.reshape(-1, 3)).reshape(-1, 3)
    island = connected(uv_corners(numbers, uvs))
    face = _faces(places, (height, width))
    covered = face >= 0
    label = np.where(covered, island[face], -1)
    own = np.sqrt(_sides(corners, places).prod(axis=1))
    step, classes, pace = _paces(own, face, covered)
    usual = max(float(np.median(own[face[covered]])), TINY) if covered.any() else step
    side = min(side, LARGEST * usual * (height * width / (shape[0] * shape[1])) ** 0.5)
    return SurfaceTexels(
        covered=covered,
        side=side,
        step=step,
        classes=classes,
        pace=pace,
        level=_own_neighbours(label, 1),
        upright=_own_neighbours(label, 0),
        seams=_seams(places, numbers, island, label),
        beside=_rim(covered),
        margin=_margin(covered),
    )


def _faces(places: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Which face lies on the middle of each texel, (T, S); -1 for none. Faces lie at `places`
    (F, 3, 2), columns and rows from the top left corner.
    """
    height, width = shape
    projection = np.array(
        [[2 / width, 0, 0, -1], [0, -2 / height, 0, 1], [0, 0, -1, 0], [0, 0, 0, 1]]
    )
    canvas = Canvas(projection, width, height)
    flat = np.concatenate([places.reshape(-1, 2), np.zeros((places.size // 2, 1))], axis=1)
    count = len(places)
    numbers = np.arange(3 * count).reshape(count, 3)
    canvas.draw(flat, numbers, np.eye(4)[None], np.arange(1, count + 1))
    return canvas.labels - 1


def _sides(corners: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """How wide and how high a texel of each face is on the surface, (F, 2)."""
    edges, flat = corners[:, 1:] - corners[:, :1], places[:, 1:] - places[:, :1]
    area = flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] * flat[:, 1, 0]
    area = np.where(np.abs(area) > 1e-9, area, np.inf)[:, None]
    right = (edges[:, 0] * flat[:, 1, 1:] - edges[:, 1] * flat[:, 0, 1:]) / area
    low = (edges[:, 1] * flat[:, 0, :1] - edges[:, 0] * flat[:, 1, :1]) / area
    return np.stack([np.linalg.norm(right, axis=1), np.linalg.norm(low, axis=1)], axis=1)


def _average(values: NDArray[np.float64], places: NDArray[np.float64]) -> float:
    """Of values of faces, (F,), over the texels that they have."""
    flat = places[:, 1:] - places[:, :1]
    area = np.abs(flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] * flat[:, 1, 0])
    return float((values * area).sum() / max(area.sum(), TINY)) or TINY


def _square(
    sides: NDArray[np.float64], places: NDArray[np.float64], shape: tuple[int, int]
) -> tuple[int, int]:
    """Rows and columns of so many texels, at least those of `shape` where that is not too large,
    that they are square on the surface, on the average.
    """
    height, width = map(float, shape)
    ratio = _average(np.log((sides[:, 0] + TINY) / (sides[:, 1] + TINY)), places)
    stretched = float(np.exp(np.clip(ratio, -np.log(COARSEST), np.log(COARSEST))))
    if not 1 / ALIKE < stretched < ALIKE:
        height, width = height * max(1, 1 / stretched), width * max(1, stretched)
    scale = min(1.0, (MOST_TEXELS / (height * width)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _paces(
    sides: NDArray[np.float64], face: NDArray[np.int64], covered: NDArray[np.bool_]
) -> tuple[float, NDArray[np.uint8] | None, NDArray[np.float64]]:
    """The step, the class of each texel, and in how many steps each class is crossed; `sides` are
    those of the texels of each face, (F,), on the surface.
    """
    own = face[covered]
    if not len(own):
        return 1.0, None, np.ones(1)
    middle = max(float(np.median(sides[own])), TINY)
    ratio = (sides / middle).clip(FINEST, COARSEST)
    found = np.sort(ratio[own])
    finer = np.cumsum(found**2)
    low = float(found[np.searchsorted(finer, FINE_SHARE * finer[-1])])
    high = max(low, float(found[-len(found) // 50]))
    if high <= ALIKE * low:
        return middle, None, np.ones(1)
    share = np.log((ratio / low).clip(1, high / low)) / np.log(high / low)
    classes = np.rint(share * (CLASSES - 1)).astype(np.uint8)
    pace = (high / low) ** (np.arange(CLASSES) / (CLASSES - 1))
    return low * middle, classes[face], pace


def _own_neighbours(label: NDArray[np.integer], axis: int) -> tuple[Index, Index]:
    """The texels that have one of another island beside them along an axis, (N,), and their two
    neighbours, (N, 2): themselves where that is another island's.
    """
    before, after = (label[:-1], label[1:]) if axis == 0 else (label[:, :-1], label[:, 1:])
    mixed = np.zeros(label.shape, np.bool_)
    first, second = (mixed[:-1], mixed[1:]) if axis == 0 else (mixed[:, :-1], mixed[:, 1:])
    border = (before != after) & (before >= 0) & (after >= 0)
    first |= border
    second |= border
    at = np.flatnonzero(mixed)
    place, step = (at // label.shape[1], label.shape[1]) if axis == 0 else (at % label.shape[1], 1)
    own = np.stack(
        [
            np.where(place > 0, at - step, at),
            np.where(place < label.shape[axis] - 1, at + step, at),
        ],
        axis=1,
    )
    here, there = label.reshape(-1)[at][:, None], label.reshape(-1)[own]
    return at, np.where(there == here, own, at[:, None])


def _seams(
    places: NDArray[np.float64],
    numbers: NDArray[np.int64],
    island: NDArray[np.int32],
    label: NDArray[np.integer],
) -> tuple[Index, Index]:
    """The texels on both sides of the seams: (M,) and, beside each over a seam, (M,)."""
    count = len(places)
    face = np.repeat(np.arange(count), 3)
    ends = numbers[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    flat = places[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2, 2)
    third = places[:, [2, 0, 1]].reshape(-1, 2)
    turned = ends[:, 0] > ends[:, 1]
    ends[turned], flat[turned] = ends[turned, ::-1], flat[turned, ::-1]
    order = np.lexsort(ends.T)
    same = (ends[order[1:]] == ends[order[:-1]]).all(axis=1)
    one, other = order[:-1][same], order[1:][same]
    apart = np.abs(flat[one] - flat[other]).max(axis=(1, 2), initial=0) > SAME_PLACE * max(
        label.shape
    )
    apart |= island[face[one]] != island[face[other]]
    one, other = one[apart], other[apart]
    length = np.linalg.norm(flat[:, 1] - flat[:, 0], axis=1)
    samples = np.ceil(1.5 * np.maximum(length[one], length[other])).astype(np.int64) + 1
    which = np.repeat(np.arange(len(one)), samples)
    place = np.arange(len(which)) - np.repeat(np.cumsum(samples) - samples, samples)
    share = ((place + 0.5) / samples[which])[:, None]
    found = []
    for edge in (one[which], other[which]):
        on_edge = flat[edge, 0] * (1 - share) + flat[edge, 1] * share
        found.append(_within(on_edge, flat[edge], third[edge], island[face[edge]], label))
    there = (found[0] >= 0) & (found[1] >= 0)
    pairs = np.concatenate([np.stack(found, axis=1)[there], np.stack(found[::-1], axis=1)[there]])
    pairs = np.unique(pairs, axis=0)
    return pairs[:, 0], pairs[:, 1]


def _within(
    on_edge: NDArray[np.float64],
    edge: NDArray[np.float64],
    third: NDArray[np.float64],
    island: NDArray[np.int32],
    label: NDArray[np.integer],
) -> Index:
    """The texel of an island, (N,), that lies just within its edge at places on it, (N, 2); -1
    where there is none. Of each edge, (N, 2, 2), `third` is the face's other corner, (N, 2).
    """
    height, width = label.shape
    along = edge[:, 1] - edge[:, 0]
    inward = np.stack([-along[:, 1], along[:, 0]], axis=1)
    length = np.linalg.norm(inward, axis=1, keepdims=True)
    inward /= np.where(length > 0, length, 1)
    inward *= np.sign(np.einsum("nd,nd->n", third - edge[:, 0], inward))[:, None]
    made = np.full(len(on_edge), -1, np.int64)
    for far in TRIED:
        column, row = np.floor(on_edge + far * inward).astype(np.int64).T
        texel = (row % height) * width + column % width
        good = (made < 0) & (label.reshape(-1)[texel] == island)
        made[good] = texel[good]
    return made


def _beside(
    made: NDArray[Any], source: NDArray[Any], axis: int
) -> tuple[tuple[NDArray[Any], NDArray[Any]], ...]:
    """Views of `made`, and of what lies before and after each of them along an axis in `source`."""
    if axis == 0:
        return (made[1:], source[:-1]), (made[:-1], source[1:])
    return (made[:, 1:], source[:, :-1]), (made[:, :-1], source[:, 1:])


def _rim(covered: NDArray[np.bool_]) -> Index:
    """The texels without a face beside one with a face, also across corners."""
    found = covered.copy()
    for axis in (0, 1):
        for target, there in _beside(found, found.copy(), axis):
            target |= there
    return np.flatnonzero(found & ~covered)


def _margin(covered: NDArray[np.bool_]) -> tuple[Index, Index]:
    """The texels around the islands, and the texel of an island that each continues."""
    source = np.where(covered, np.arange(covered.size, dtype=np.int32).reshape(covered.shape), -1)
    for number in range(MARGIN):
        before = source.copy()
        for axis in (0, 1):
            for target, there in _beside(source, before, axis):
                np.copyto(target, there, where=target < 0)
            if number % 2:  # round, nearly
                before = source.copy()
    around = np.flatnonzero((source >= 0) & ~covered)
    return around, source.reshape(-1)[around].astype(np.int64)
