"""What hangs together on a mesh, and seams between UV islands, against what is known of them."""

import numpy as np
import pytest

from backend.meshes.connectivity import (
    at_seams,
    islands,
    pieces,
    seam_points,
    seams_changed,
    seams_of,
    surfaces,
)
from backend.meshes.textured_mesh import TexturedMesh
from tests.backend.test_mesh_edit import ball, square

NONE = np.zeros((0, 3, 3))
CELL = 16
"""Texels a side of a cube's island."""


def cube(colours: list[tuple[int, int, int]], gap: float = 0.0, cell: int = CELL) -> TexturedMesh:
    """A cube of side 2 whose sides are islands in a strip, each with its own colour; `gap` moves
    each side outwards by as much.
    """
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    corners, uvs = [], []
    texture = np.zeros((cell, 6 * cell, 3), np.uint8)
    for side, (axis, sign) in enumerate((a, s) for a in range(3) for s in (-1.0, 1.0)):
        place = np.insert(2 * uv - 1, axis, sign * (1 + gap), axis=1)
        flat = (uv * 0.75 + 0.125 + (side, 0)) / (6, 1)
        for triangle in ((0, 1, 2), (0, 2, 3)):
            corners.append(place[list(triangle)])
            uvs.append(flat[list(triangle)])
        texture[:, side * cell : (side + 1) * cell] = colours[side]
    return TexturedMesh(np.array(corners), np.array(uvs), texture, NONE)


RED, GREEN = (200, 40, 40), (40, 160, 60)


def side_by_side(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.concatenate([first, second])


def test_pieces_hang_together_by_places_also_where_files_split_vertices() -> None:
    corners, uvs = ball()
    two = side_by_side(corners, corners + np.array([3.0, 0, 0]))
    # as float32 and a transform leave them: the same place, but for the last digits
    two = two + np.random.default_rng(0).uniform(-1e-8, 1e-8, two.shape)
    mesh = TexturedMesh(two, side_by_side(uvs, uvs), np.zeros((8, 8, 3), np.uint8), NONE)
    assert np.array_equal(pieces(mesh), np.repeat([0, 1], len(corners)))
    assert pieces(cube([RED] * 6)).max() == 0, "one cube, though its islands share no UVs"
    assert np.array_equal(pieces(cube([RED] * 6, gap=0.01)), np.repeat(np.arange(6), 2))


def test_islands_are_parted_by_seams_and_by_places() -> None:
    assert np.array_equal(islands(cube([RED] * 6)), np.repeat(np.arange(6), 2))
    corners, uvs = ball()
    mesh = TexturedMesh(corners, uvs, np.zeros((8, 8, 3), np.uint8), NONE)
    assert islands(mesh).max() == 0, "the ball's seam parts nothing"
    mirrored = TexturedMesh(
        side_by_side(corners, corners + np.array([3.0, 0, 0])),
        side_by_side(uvs, uvs),
        np.zeros((8, 8, 3), np.uint8),
        NONE,
    )
    assert islands(mirrored).max() == 1, "two that share their texels are two"


def test_surfaces_end_where_the_texture_does_and_not_where_it_was_cut() -> None:
    assert surfaces(cube([RED] * 6)).max() == 0
    assert surfaces(cube([RED, GREEN] * 3)).max() == 1, "opposite sides join around the corners"
    found = surfaces(cube([RED, GREEN, RED, RED, RED, RED]))
    assert np.array_equal(
        found == found[2], np.repeat([False, True, False, False, False, False], 2)
    )


def test_seams_are_the_edges_where_uvs_jump() -> None:
    seams = seams_of(cube([RED] * 6))
    assert len(seams.faces) == 12, "of a cube, and not the diagonals of its sides"
    np.testing.assert_allclose(np.linalg.norm(np.diff(seams.places, axis=1), axis=2), 2)
    assert len(seams_of(TexturedMesh(*square(0.0), np.zeros((8, 8, 3), np.uint8), NONE)).faces) == 0
    corners, uvs = ball(rows=24)
    seams = seams_of(TexturedMesh(corners, uvs, np.zeros((8, 8, 3), np.uint8), NONE))
    # one line from pole to pole; and at the poles each triangle has its own u
    assert len(seams.faces) == 22 + 2 * 48


def test_colours_across_seams_are_those_of_both_sides() -> None:
    mesh = cube([RED, GREEN] * 3)
    seams = seams_of(mesh)
    for beside in (0.0, 1.5):
        points = seam_points(mesh, seams, beside)
        assert set(points.seam.tolist()) == set(range(12))
        colours = at_seams(points, mesh.texture.astype(np.float32))
        sides = seams.faces[points.seam] // 2 % 2  # even sides are red
        wanted = np.array([RED, GREEN], np.float32)[sides]
        np.testing.assert_allclose(colours, wanted, atol=1e-2)
        apart = np.linalg.norm(points.places[:, 0] - points.places[:, 1], axis=1)
        assert (apart < 1e-9).all() == (beside == 0)


def test_seams_tell_an_edit_that_agrees_on_both_sides_from_one_that_does_not() -> None:
    mesh = cube([RED] * 6)
    apart = float(np.abs(np.subtract(RED, GREEN)).mean()) / 255
    inside = np.zeros(mesh.size, np.bool_)
    inside[:, : 2 * CELL] = True  # two opposite sides: no seam lies within
    edited = np.where(inside[..., None], np.uint8(GREEN), mesh.texture)
    found = seams_changed(mesh, edited, inside)
    assert found["before"] is None
    assert (found["edge_before"], found["edge_after"]) == pytest.approx((0, apart), abs=1e-6)
    everywhere = np.ones(mesh.size, np.bool_)
    found = seams_changed(mesh, edited, everywhere)
    # of a cube's 12 edges, two opposite sides have 8
    assert (found["before"], found["after"]) == pytest.approx((0, apart * 8 / 12), abs=1e-6)
    assert found["edge_before"] is None
    plain = np.broadcast_to(np.uint8(GREEN), mesh.texture.shape)
    assert seams_changed(mesh, plain, everywhere)["after"] == pytest.approx(0, abs=1e-6)
