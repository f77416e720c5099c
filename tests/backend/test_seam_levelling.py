"""Seams of an edited texture: no farther apart than before the edit, and nothing else touched."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import spsolve

from backend.meshes.connectivity import (
    at_seams,
    islands,
    seam_points,
    seams_changed,
    seams_of,
)
from backend.meshes.seam_levelling import REACH, SOLVED, _blocks, _Solver, _ties, levelled
from backend.meshes.textured_mesh import TexturedMesh
from tests.backend.test_mesh_connectivity import NONE, RED, cube
from tests.backend.test_mesh_edit import around
from tests.backend.test_texture_region import TwoMinds, edit

SIDE = 96


def two_patches() -> TexturedMesh:
    """Two squares with an edge in common; one has half as many texels, and is turned in the UVs."""
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    order = [[0, 1, 2], [0, 2, 3]]
    left = np.concatenate([uv, np.zeros((4, 1))], axis=1)
    right = left + np.array([1, 0, 0])
    flat = 0.05 + 0.5 * uv
    turned = np.stack([0.95 - 0.25 * uv[:, 1], 0.1 + 0.25 * uv[:, 0]], axis=1)
    corners = np.concatenate([left[order], right[order]])
    uvs = np.concatenate([flat[order], turned[order]])
    return TexturedMesh(corners, uvs, np.full((SIDE, SIDE, 3), 128, np.uint8), NONE)


def islands_of_texels(mesh: TexturedMesh) -> np.ndarray:
    """int32 (T, S): 0 and 1 on the two patches with some margin, -1 elsewhere."""
    found = np.full(mesh.size, -1, np.int32)
    rows, columns = np.indices(mesh.size)
    for number, chart in enumerate((mesh.uvs[:2], mesh.uvs[2:])):
        low, high = chart.reshape(-1, 2).min(axis=0), chart.reshape(-1, 2).max(axis=0)
        across = (columns >= low[0] * SIDE - 4) & (columns <= high[0] * SIDE + 3)
        down = (rows >= (1 - high[1]) * SIDE - 4) & (rows <= (1 - low[1]) * SIDE + 3)
        found[across & down] = number
    assert islands(mesh).max() == 1
    return found


def level(
    mesh: TexturedMesh, after: np.ndarray, free: np.ndarray, before: np.ndarray | None = None
) -> np.ndarray:
    """The levelled texture."""
    before = np.full((SIDE, SIDE, 3), 0.5, np.float32) if before is None else before
    points = seam_points(mesh, seams_of(mesh))
    texels, added = levelled(before, after, free, islands_of_texels(mesh), points)
    assert free.reshape(-1)[texels].all()
    assert (np.diff(texels) > 0).all()
    found = after.copy()
    found.reshape(-1, 3)[texels] += added
    assert 0 <= found.min() <= found.max() <= 1
    return found


def apart(mesh: TexturedMesh, texture: np.ndarray) -> np.ndarray:
    """(P, 3): colours on the second side of the seam less those on the first."""
    sides = at_seams(seam_points(mesh, seams_of(mesh)), texture)
    return sides[:, 1] - sides[:, 0]


@pytest.fixture
def mesh() -> TexturedMesh:
    return two_patches()


@pytest.fixture
def painted(mesh: TexturedMesh) -> np.ndarray:
    """Each patch in a colour of its own, with grain."""
    island = islands_of_texels(mesh)
    colours = np.array([[0.5, 0.5, 0.5], [0.3, 0.6, 0.4], [0.4, 0.5, 0.6]])
    grain = np.random.default_rng(0).normal(0, 0.02, (SIDE, SIDE, 3))
    return (colours[island + 1] + grain).clip(0, 1).astype(np.float32)


def test_patches_of_other_scales_and_turns_meet_at_their_seam(
    mesh: TexturedMesh, painted: np.ndarray
) -> None:
    island = islands_of_texels(mesh)
    assert np.abs(apart(mesh, painted)).mean() > 0.1
    found = level(mesh, painted, island >= 0)
    assert np.abs(apart(mesh, found)).mean() < 0.1 / 255
    moved = np.abs(found - painted).max(axis=2)
    assert moved[island < 0].max() == 0
    assert np.percentile(moved[moved > 0], 99) < 0.2, "no side goes farther than to the other"
    # along the row through the seam's middle it falls off without a step
    edge = round(0.55 * SIDE)
    row = moved[round(0.7 * SIDE), :edge]
    assert row[-1] > 0.03
    assert row[edge - 6] > 0.4 * row[-1]
    assert row[: edge - 1 - REACH].max() == 0
    detail = np.diff(found[10:40, 10:edge], axis=1) - np.diff(painted[10:40, 10:edge], axis=1)
    assert np.abs(detail).mean() < 0.01, "the grain stays"


def test_only_free_texels_move_and_the_other_side_comes_all_the_way(
    mesh: TexturedMesh, painted: np.ndarray
) -> None:
    found = level(mesh, painted, islands_of_texels(mesh) == 0)
    assert np.abs(apart(mesh, found)).mean() < 0.2 / 255
    none = level(mesh, painted, np.zeros(mesh.size, bool))
    assert np.array_equal(none, painted)


def test_a_side_that_has_no_room_left_lets_the_other_follow(
    mesh: TexturedMesh, painted: np.ndarray
) -> None:
    island = islands_of_texels(mesh)
    painted[island == 0], painted[island == 1] = 1.0, 0.9
    before = np.full_like(painted, 0.5)
    before[island == 0] = 0.52  # the second side may be darker by 0.02
    found = level(mesh, painted, island >= 0, before)
    assert np.abs(apart(mesh, found)).mean() < 0.021


def test_seams_that_are_no_farther_apart_than_before_are_left_alone(
    mesh: TexturedMesh, painted: np.ndarray
) -> None:
    island = islands_of_texels(mesh)
    assert np.array_equal(level(mesh, painted, island >= 0, before=painted), painted)


def test_an_edit_leaves_the_seams_of_a_plain_texture_as_they_were_up_to_rounding() -> None:
    mesh = cube([RED] * 6, cell=64)
    made = edit(mesh, painter=TwoMinds(), poses=[*around(4), *around(4, height=-1.0)])
    found = seams_changed(mesh, made.texture, made.region)
    assert found["before"] == pytest.approx(0, abs=1e-6)
    assert found["ratio"] is not None
    assert found["ratio"] < 1.2
    assert np.array_equal(made.texture[~made.region], mesh.texture[~made.region])


@pytest.mark.parametrize(("step", "ratio"), [(0, 1.0), (1, 2.0), (4, 8.0)])
def test_the_ratio_of_seams_takes_differences_that_rounding_makes_for_none(
    step: int, ratio: float
) -> None:
    mesh = cube([RED] * 6)
    edited = mesh.texture.copy()
    edited[:, np.isin(np.arange(6).repeat(16), (2, 3))] += np.uint8(step)  # two opposite sides
    found = seams_changed(mesh, edited, np.ones(mesh.size, bool))
    # eight of the twelve edges lie between these and others; before, each counts half a step
    assert found["ratio"] == pytest.approx((8 * ratio + 4) / 12, rel=0.02)


def test_wide_bands_take_few_steps_and_are_solved_as_exactly_as_narrow_ones() -> None:
    """From neighbour to neighbour what is smooth takes hundreds of steps, 4096 texels minutes."""
    side = 160
    near = np.ones((side, side), bool)
    near[40:50, :100] = False
    island = (np.indices(near.shape)[1] >= 70).astype(np.int32)
    matrix = csr_matrix(0.03 * _ties(near, near, island))
    solver = _Solver(matrix, _blocks(near, island))
    steps = 0

    class Counted:
        def __matmul__(self, vector: np.ndarray) -> np.ndarray:
            nonlocal steps
            steps += 1
            return matrix @ vector

    solver._matrix = Counted()
    right = np.zeros(near.shape, np.float32)
    right[:, 69], right[:, 70] = 0.1, -0.1
    right = right[near]
    enough = SOLVED * float(np.linalg.norm(right))
    found = solver.solved(right, enough)
    assert np.linalg.norm(matrix @ found - right) < 1.5 * enough
    exact = spsolve(matrix.astype(np.float64).tocsc(), right)
    assert np.abs(found - exact).max() < 0.02 * np.abs(exact).max()
    assert steps < 60
    assert (solver.solved(np.zeros_like(right), 0.0) == 0).all()
