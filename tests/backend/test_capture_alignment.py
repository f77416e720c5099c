"""Similarity alignment and pose errors against what is known and against COLMAP's own."""

import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from backend.captures.alignment import Similarity, fit_similarity, pose_errors
from tests.backend.capture_worlds import orbit

seeds = st.integers(0, 2**32 - 1)


def random_similarity(rng):
    return Similarity(
        float(np.exp(rng.uniform(-5, 5))),
        Rotation.random(random_state=int(rng.integers(2**31))).as_matrix(),
        rng.normal(size=3) * 100,
    )


@given(seeds, st.integers(3, 40))
def test_a_similarity_is_found_again(seed, count):
    rng = np.random.default_rng(seed)
    known = random_similarity(rng)
    points = rng.normal(size=(count, 3))
    found = fit_similarity(points, known.apply(points))
    assert found.scale == pytest.approx(known.scale, rel=1e-6)
    np.testing.assert_allclose(found.rotation, known.rotation, atol=1e-6)
    np.testing.assert_allclose(found.apply(points), known.apply(points), atol=known.scale * 1e-6)


@given(seeds)
def test_points_in_a_plane_are_turned_and_never_mirrored(seed):
    rng = np.random.default_rng(seed)
    known = random_similarity(rng)
    points = rng.normal(size=(10, 3)) * (1, 1, 0)
    found = fit_similarity(points, known.apply(points))
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    np.testing.assert_allclose(found.rotation, known.rotation, atol=1e-6)


@given(seeds)
def test_noisy_points_align_as_colmap_aligns_them(seed):
    rng = np.random.default_rng(seed)
    known = random_similarity(rng)
    points = rng.normal(size=(12, 3))
    noisy = known.apply(points) + rng.normal(size=(12, 3)) * 0.1 * known.scale
    theirs = pycolmap.estimate_sim3d(points, noisy)
    ours = fit_similarity(points, noisy)
    assert ours.scale == pytest.approx(theirs.scale, rel=1e-6)
    np.testing.assert_allclose(ours.rotation, theirs.rotation.matrix(), atol=1e-6)


@given(seeds)
def test_no_other_similarity_comes_nearer(seed):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, 9, 3))
    best = fit_similarity(source, target)
    error = ((best.apply(source) - target) ** 2).sum()
    for _ in range(20):
        turn = Rotation.from_rotvec(rng.normal(size=3) * 0.03).as_matrix()
        other = Similarity(
            best.scale * float(np.exp(rng.normal() * 0.03)),
            turn @ best.rotation,
            best.shift + rng.normal(size=3) * 0.03,
        )
        assert ((other.apply(source) - target) ** 2).sum() >= error - 1e-9


@given(seeds)
def test_poses_in_other_coordinates_have_no_error(seed):
    rng = np.random.default_rng(seed)
    poses = orbit(7, height=2.0) + 0.0
    poses[:, :3, 3] += rng.normal(size=(7, 3)) * 0.1
    errors = pose_errors(random_similarity(rng).apply_to_poses(poses), poses)
    assert errors.rotation.max() < 1e-4
    assert errors.position.max() < 1e-8


@given(st.floats(1e-4, 179.9), st.integers(0, 7))
def test_a_turned_camera_is_told_by_its_angle(degrees, camera):
    poses = orbit(8)
    turned = poses.copy()
    turned[camera, :3, :3] @= Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    errors = pose_errors(turned, poses)
    assert errors.rotation[camera] == pytest.approx(degrees, rel=1e-4)
    assert np.delete(errors.rotation, camera).max() < 1e-6


def test_position_errors_are_shares_of_the_largest_distance():
    poses = orbit(100, radius=3.0)
    moved = poses.copy()
    moved[10, :3, 3] += (0, 0, 0.06)  # of a diameter of 6, and one of 100 hardly moves the fit
    errors = pose_errors(moved, poses)
    assert errors.extent == pytest.approx(6.0)
    assert errors.position[10] == pytest.approx(0.01, rel=0.05)
    assert np.median(errors.position) < 5e-4


def test_points_on_a_line_and_too_few_points_are_refused():
    line = np.outer(np.arange(5.0), (1, 2, 3))
    with pytest.raises(ValueError, match="on one line"):
        fit_similarity(line, np.random.default_rng(0).normal(size=(5, 3)))
    with pytest.raises(ValueError, match="at least 3"):
        fit_similarity(line[:2], line[:2])
    with pytest.raises(ValueError, match=r"\(5, 3\)"):
        fit_similarity(line, line[:4])
