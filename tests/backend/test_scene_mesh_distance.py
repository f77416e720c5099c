"""The distance of a mesh from the demo world's surfaces, against rays and formulas."""

import dataclasses

import numpy as np
import pytest

from backend.evaluation.scenes.mesh_distance import on_surface, surface_distance, true_distances
from backend.meshes.extraction import TriangleMesh
from backend.world import sampling
from backend.world.render import render
from backend.world.world import Ground, Scene, Thing

UPRIGHT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def drawn(seed: int) -> tuple[Scene, object]:
    return sampling.sample_scene(np.random.default_rng(seed), things=3)


@pytest.mark.parametrize("seed", [3, 11, 12])
def test_what_rays_hit_lies_on_the_surfaces(seed: int) -> None:
    scene, camera = drawn(seed)
    picture = render(scene, camera, 64, 64, 1)  # type: ignore[arg-type]
    ids = picture.ids.ravel()
    origin, rays = picture._hits.origin, picture._hits.rays
    places = (origin[:, None] + picture._hits.depth * rays).T.astype(float)
    things, _ = true_distances(scene, places[ids > 1])
    assert (ids > 1).sum() > 20
    assert np.quantile(things, 0.95) < 0.01
    on_ground = ids == 1
    if on_ground.any():
        assert np.quantile(true_distances(scene, places[on_ground])[1], 0.95) < 0.01


def ball_and_ground() -> Scene:
    """A sphere of radius 0.5 whose middle is 1 above a square ground of 4 x 4, turned by 0.3."""
    scene, _ = drawn(0)
    surface = scene.things[0].surface
    ball = Thing("sphere", surface, (0.0, 0.0, 1.0), 0.5, 1.0, UPRIGHT)
    return dataclasses.replace(scene, things=(ball,), ground=Ground(surface, 2.0, 0.3))


def test_distances_by_hand() -> None:
    scene = ball_and_ground()
    turned = np.array([np.cos(0.3) * 5, np.sin(0.3) * 5, 4.0])
    places = np.array([[0.0, 0, 1], [0, 0, 2], [1, 0, 0.2], turned])
    things, ground = true_distances(scene, places)
    expected = np.linalg.norm(places - (0, 0, 1), axis=1) - 0.5
    np.testing.assert_allclose(things, np.abs(expected), atol=1e-5)
    np.testing.assert_allclose(ground, [1, 2, 0.2, 5])
    above = dataclasses.replace(scene, ground=None)
    assert np.isinf(true_distances(above, places)[1]).all()


def test_a_mesh_that_is_off_by_a_known_amount() -> None:
    """Half of a square lies 0.02 above the ground, half 0.1 below; seen by area, not by faces."""
    scene = ball_and_ground()
    vertices = np.array([[-1.0, -1], [1, -1], [1, 0], [-1, 0], [1, 1], [-1, 1], [0, 0]])
    low = np.array([[0, 1, 2], [0, 2, 3]])
    high = np.array([[3, 6, 5], [6, 4, 5], [6, 2, 4]])
    mesh = TriangleMesh(
        np.concatenate([np.c_[vertices, np.full(7, -0.1)], np.c_[vertices, np.full(7, 0.02)]]),
        np.concatenate([low, high + 7]),
    )
    places = on_surface(mesh, 4000, 0)
    assert (places[:, 2] < 0).mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(places[:, :2]).max() <= 1
    found = surface_distance(mesh, scene, samples=4000)
    assert found.size == pytest.approx(1.0)
    assert found.ninth_decile == pytest.approx(0.1)
    assert found.things_median is None
    assert found.things_share == 0
    shifted = TriangleMesh(mesh.vertices + np.array([0, 0, 0.5]), mesh.faces)
    near_ball = surface_distance(shifted, scene, samples=4000)
    assert near_ball.things_share == pytest.approx(0.05, abs=0.02)
    assert near_ball.things_median is not None
    assert near_ball.median_share == near_ball.median / near_ball.size


def test_a_sky_far_from_the_things_is_not_near_them() -> None:
    """A square 10 above the ball is nearer to it than to the ground."""
    scene = dataclasses.replace(ball_and_ground(), ground=None)
    corners = np.array([[-1.0, -1, 1.6], [1, -1, 1.6], [0, 1, 1.6]])
    mesh = TriangleMesh(
        np.concatenate([0.1 * corners + np.array([0, 0, 1.4]), corners + np.array([0, 0, 10])]),
        np.array([[0, 1, 2], [3, 4, 5]]),
    )
    found = surface_distance(mesh, scene, samples=4000)
    assert found.median == pytest.approx(10.1, abs=0.1)
    assert found.things_share == pytest.approx(0.01, abs=0.005)
    assert found.things_median == pytest.approx(0.06, abs=0.02)
