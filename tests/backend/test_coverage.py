"""Where rays begin: what enough training views see."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.captures.capture import Capture
from backend.fields.coverage import CELLS, Coverage
from backend.fields.nerfstudio_compat import RayBundle
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import load, train
from backend.fields.rays import ViewRays

from .tiny_capture import Truth, orbit_capture
from .tiny_field import TINY

CELL = 2 / CELLS


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 16, 24)


@pytest.fixture(scope="module")
def coverage(scene: tuple[Capture, Truth]) -> Coverage:
    found = Coverage(0.05, 5.0)
    found.cover(scene[0].camera_to_box, scene[0].intrinsics, 0.25)
    return found


def seen_by(capture: Capture, points: np.ndarray) -> np.ndarray:
    """How many views have points (n, 3) of the box in their picture, by the camera's own words."""
    count = np.zeros(len(points), int)
    for pose, camera in zip(capture.camera_to_box, capture.intrinsics, strict=True):
        homogeneous = np.c_[points, np.ones(len(points))] @ np.linalg.inv(pose).T
        x, y, z = homogeneous[:, :3].T
        with np.errstate(divide="ignore", invalid="ignore"):
            u, v = camera.fx * x / -z + camera.cx, camera.fy * -y / -z + camera.cy
        count += (z < 0) & (u > 0) & (u < camera.width) & (v > 0) & (v < camera.height)
    return count


def test_covered_is_what_enough_views_see(scene: tuple[Capture, Truth], coverage: Coverage) -> None:
    rng = np.random.default_rng(0)
    cells = rng.integers(CELLS, size=(2000, 3))
    middles = (cells + 0.5) * CELL - 1
    expected = seen_by(scene[0], middles) >= 4
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(coverage.covered.numpy()[tuple(cells.T)], expected)
    np.testing.assert_array_equal(coverage.at(torch.tensor(middles)).numpy(), expected)
    outside = torch.tensor([[1.5, 0, 0], [0, -1e3, 0], [-1.0, 1.0, 1.0]])
    assert coverage.at(outside).all()


def test_two_views_at_least_must_see_a_place(scene: tuple[Capture, Truth]) -> None:
    few = Coverage(0.05, 5.0)
    few.cover(scene[0].camera_to_box[:4], scene[0].intrinsics[:4], 0.01)
    cells = np.random.default_rng(1).integers(CELLS, size=(2000, 3))
    expected = seen_by(scene[0].subset(range(4)), (cells + 0.5) * CELL - 1) >= 2
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(few.covered.numpy()[tuple(cells.T)], expected)


def test_rays_begin_at_the_first_covered_cell(
    scene: tuple[Capture, Truth], coverage: Coverage
) -> None:
    rays = ViewRays(scene[0].camera_to_box, scene[0].intrinsics)
    bundle = coverage(rays.bundle(torch.arange(0, rays.total, 7)))
    assert bundle.nears.shape == bundle.fars.shape == (len(bundle), 1)
    assert (bundle.fars == 5.0).all()
    begins = bundle.origins + bundle.nears * bundle.directions
    inside = begins.abs().amax(-1) < 1
    assert coverage.at(begins).all()
    assert inside.float().mean() > 0.5
    before = torch.arange(0.05, 4.0, CELL)[:, None]
    for ray in range(0, len(bundle), 50):
        earlier = before[before[:, 0] < bundle.nears[ray] - 1e-5]
        passed = bundle.origins[ray] + earlier * bundle.directions[ray]
        assert not (coverage.at(passed) & (passed.abs().amax(-1) < 1)).any()
    # the spheres are in sight of many views: nobody is blind to them
    distance = torch.tensor(scene[1].distances.reshape(-1)[::7] * scene[0].box_scale)
    on_sphere = torch.tensor(scene[1].masks.reshape(-1)[::7])
    assert (bundle.nears[on_sphere, 0] < distance[on_sphere]).all()
    assert bundle.nears[on_sphere].median() > 0.2


def test_rays_from_and_past_the_outside(coverage: Coverage) -> None:
    """From far away: into the box up to a covered cell; past the box, or out of it at once: the
    near plane.
    """
    bundle = coverage(
        _bundle([[1.5, 0, 0], [1.5, 0, 0], [0.999, 0, 0]], [[-1.0, 0, 0], [0, 1.0, 0], [1.0, 0, 0]])
    )
    begins = bundle.origins + bundle.nears * bundle.directions
    assert begins[0].abs().amax() < 1
    assert coverage.at(begins[:1]).all()
    np.testing.assert_allclose(bundle.nears[1:, 0], 0.05)
    everywhere = Coverage(0.05, 5.0)
    np.testing.assert_allclose(everywhere(_bundle([[0, 0, 0.9]], [[0, 0, -1.0]])).nears, 0.05)


def _bundle(origins: list[list[float]], directions: list[list[float]]) -> RayBundle:
    return RayBundle(
        origins=torch.tensor(origins),
        directions=torch.tensor(directions),
        pixel_area=torch.ones(len(origins), 1),
    )


def test_a_field_is_empty_where_it_is_not_covered_and_keeps_that(
    tmp_path: Path, scene: tuple[Capture, Truth]
) -> None:
    config = dataclasses.replace(TINY, covered_by=0.25, hold_out_every=0, iterations=2)
    field, _ = train(scene[0], config, tmp_path)
    positions = torch.rand(500, 3) * 3 - 1.5
    expected = Coverage(config.near, config.far)
    expected.cover(scene[0].camera_to_box, scene[0].intrinsics, 0.25)
    covered = expected.at(positions)
    assert 0 < covered.float().mean() < 1
    for one in (field, load(tmp_path)):
        assert ((one.density(positions) > 0) == covered).all()
    without = RadianceField(dataclasses.replace(config, covered_by=0.0), field.names)
    assert (without.density(positions) > 0).all()
