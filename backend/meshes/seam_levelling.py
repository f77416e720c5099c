"""What is added to an edited texture so that no UV seam shows more than it did before the edit.

Views that see one side of a seam better than the other, and texels of another size on either side,
leave the two sides of an edit apart. As in "seam levelling" (Lempitsky and Ivanov, 2007; Waechter,
Moehrle and Goesele, "Let There Be Color!", 2014) what is added is as smooth as it can be while
the sides agree; here it is found for the texels themselves, in the reading of a renderer, so that
also islands of other scales and turns meet: the minimum over d of

    sum over points at seams |S d - wanted|^2  +  STIFFNESS * sum over neighbours |d_i - d_j|^2

where S d is how far apart d makes what is read on both sides of a point.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix, csr_matrix, diags_array
from scipy.sparse.linalg import splu

from backend.meshes.connectivity import SeamPoints
from backend.meshes.textured_mesh import in_tile, linear_weights, uv_to_image

Floats = NDArray[np.float32]

REACH = 24
"""Texels from what is read at a seam up to which texels are changed."""
STIFFNESS = 0.03
"""What a difference between neighbours counts against one across a seam."""
WEIGHT = 1e-3
"""What a change itself counts against one between neighbours: texels without any stay put."""
TURNS, ENOUGH = 4, 0.05 / 255
"""Solutions at most, and the mean excess, 0..1, up to which none is looked for any more: where
black and white end one side's way, the other has to follow."""
SOLVED, STEPS = 3e-3, 300
"""Remainder at which solutions are good enough, as a share of the right side, and steps towards it
at most. Sides meet sooner than what is added spreads into the islands."""
BLOCK = 16
"""Texels along the sides of the blocks whose solution prepares that of all texels."""


def levelled(
    before: Floats,
    after: Floats,
    free: NDArray[np.bool_],
    island: NDArray[np.int32],
    points: SeamPoints,
) -> tuple[NDArray[np.int64], Floats]:
    """Level the seams of an edited texture.

    Args:
        before: float32 (T, S, 3), 0..1, the texture before the edit.
        after: the same after it.
        free: bool (T, S), the texels that may be changed.
        island: int32 (T, S), which UV island each of these belongs to.
        points: at the seams whose two sides shall be no farther apart than before.

    Returns:
        The texels to change, int64 (N,), row * S + column in rising order, and what is to be added
        to them, float32 (N, 3); the sums lie in 0..1.
    """
    reading = _across(points, free.shape)
    near = _near(reading, free)
    texels = np.flatnonzero(near)
    read = csr_matrix(reading[:, texels])
    start = after.reshape(-1, 3)[texels]
    most = np.abs(reading @ before.reshape(-1, 3))
    others = reading @ after.reshape(-1, 3) - read @ start
    ties = _ties(near, free, island)
    ties *= STIFFNESS  # in place: of a large texture it has half a gigabyte
    solver = _Solver(csr_matrix(read.T @ read + ties), _blocks(near, island))
    del ties
    now, enough = start.copy(), np.zeros(3)
    for _ in range(TURNS):
        apart = others + read @ now
        wanted = apart.clip(-most, most) - apart
        if not wanted.size or np.abs(wanted).mean() <= ENOUGH:
            break
        for channel in range(3):
            pull = read.T @ wanted[:, channel]
            # what is left for later turns is small, and need not be solved as finely
            enough[channel] = max(enough[channel] / 4, SOLVED * np.linalg.norm(pull))
            now[:, channel] += solver.solved(pull, enough[channel])
        now = now.clip(0, 1)
    return texels, now - start


def _across(points: SeamPoints, size: tuple[int, int]) -> csr_matrix:
    """What a renderer reads on the second side of points less what it reads on the first, as a
    matrix (P, T S) over the texels of a texture of a size (T, S).
    """
    rows, columns = size
    count = len(points.seam)
    found = csr_matrix((count, rows * columns), dtype=np.float32)
    for side, sign in ((0, -1), (1, 1)):
        places = uv_to_image(in_tile(points.uvs[:, side]).astype(np.float32), rows, columns)
        for texel, weight in linear_weights(places, rows, columns, wrap=True):
            part = (sign * weight, (np.arange(count), texel))
            found = found + coo_matrix(part, shape=found.shape).tocsr()
    return csr_matrix(found)


def _near(reading: csr_matrix, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool (T, S): the free texels in reach of those that are read at seams."""
    read = np.zeros(free.size, np.bool_)
    read[np.unique(reading.indices)] = True
    read &= free.reshape(-1)
    if not read.any():
        return read.reshape(free.shape)
    distance = ndimage.distance_transform_edt(~read.reshape(free.shape))
    near: NDArray[np.bool_] = free & (distance < REACH)
    return near


def _ties(
    near: NDArray[np.bool_], free: NDArray[np.bool_], island: NDArray[np.int32]
) -> csr_matrix:
    """The matrix (N, N) of the sum over pairs of neighbours of the squares of their differences,
    for the N texels that are near; what is free and not near is not changed.
    """
    count = int(near.sum())
    number = np.full(near.shape, -1, np.int32)
    number[near] = np.arange(count, dtype=np.int32)
    own = np.full(count, WEIGHT, np.float32)
    pairs = []
    for first, second in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        tied = free[first] & free[second] & (island[first] == island[second])
        i, j = number[first][tied], number[second][tied]
        for one in (i, j):
            own += np.bincount(one[one >= 0], minlength=count).astype(np.float32)
        both = (i >= 0) & (j >= 0)
        pairs.append(np.stack([i[both], j[both]]))
    rows, columns = np.concatenate(pairs, axis=1)
    values = np.full(len(rows), -1, np.float32)
    above = coo_matrix((values, (rows, columns)), shape=(count, count)).tocsr()
    return csr_matrix(above + above.T.tocsr() + diags_array(own, format="csr"))


def _blocks(near: NDArray[np.bool_], island: NDArray[np.int32]) -> NDArray[np.int64]:
    """(N,) of the near texels: the number of the block that each lies in, from 0 on; no block is of
    two islands.
    """
    rows, columns = np.nonzero(near)
    down, across = near.shape[0] // BLOCK + 1, near.shape[1] // BLOCK + 1
    place = (rows // BLOCK) * across + columns // BLOCK
    place += island[near].astype(np.int64) * (down * across)
    return np.unique(place, return_inverse=True)[1].ravel()


class _Solver:
    """Solves equations of one symmetric, positive matrix (N, N) by conjugate gradients. Each step
    is prepared by the exact solution for blocks of unknowns: what is smooth, which steps from
    neighbour to neighbour take hundreds for, is there after a few.
    """

    def __init__(self, matrix: csr_matrix, block: NDArray[np.int64]) -> None:
        """Args:
        matrix: of the equations.
        block: (N,), the number of each unknown's block, from 0 on.
        """
        self._matrix, self._block = matrix, block
        self._inverse = (1 / matrix.diagonal()).astype(np.float32)
        count = len(block)
        self._count = int(block.max(initial=-1)) + 1
        ones = np.ones(count, np.float32)
        spread = csr_matrix((ones, block, np.arange(count + 1)), shape=(count, self._count))
        self._coarse = splu(
            (spread.T @ matrix @ spread).astype(np.float64).tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            options={"SymmetricMode": True},
        )

    def solved(self, right: Floats, enough: float) -> Floats:
        """float32 (N,) of a right side (N,), up to a remainder whose norm is `enough`."""
        found, rest = np.zeros_like(right), right.copy()
        direction, power = np.zeros_like(right), 1.0
        for _ in range(STEPS):
            if np.linalg.norm(rest) <= enough:
                break
            coarse = self._coarse.solve(np.bincount(self._block, rest, self._count))
            prepared = self._inverse * rest + coarse.astype(np.float32)[self._block]
            before, power = power, float(rest @ prepared)
            direction = prepared + np.float32(power / before) * direction
            moved = self._matrix @ direction
            step = np.float32(power / float(direction @ moved))
            found += step * direction
            rest -= step * moved
        return found
