"""Pixels that show the same point in several views, against plain numpy and the true surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.captures.capture import Capture
from backend.scenes.methods.correspondence import PosedView, apart, together

from .tiny_capture import SPHERES, Truth, orbit_capture

SIZE, COUNT = 40, 8


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("orbit"), COUNT, SIZE)


def rays_of(capture: Capture, index: int) -> np.ndarray:
    """float64 (H, W, 3): unit rays through a view's pixels, by the pinhole equations alone."""
    camera, pose = capture.intrinsics[index], capture.camera_to_world[index]
    found = np.zeros((SIZE, SIZE, 3))
    for row in range(SIZE):
        for column in range(SIZE):
            x = (column + 0.5 - camera.cx) / camera.fx
            y = (row + 0.5 - camera.cy) / camera.fy
            ray = pose[:3, :3] @ np.array([x, -y, -1.0])
            found[row, column] = ray / np.linalg.norm(ray)
    return found


def surfaces(capture: Capture, truth: Truth, index: int) -> np.ndarray:
    """float64 (H, W, 3): the true points that a view's pixels show; NaN for the sky."""
    distance = np.where(np.isfinite(truth.distances[index]), truth.distances[index], np.nan)
    return capture.camera_to_world[index][:3, 3] + distance[..., None] * rays_of(capture, index)


def views_of(
    capture: Capture, truth: Truth, colours: list[np.ndarray], inside: list[np.ndarray]
) -> list[PosedView]:
    return [
        PosedView(
            capture.camera_to_world[i],
            capture.intrinsics[i],
            torch.from_numpy(colours[i]).float(),
            torch.from_numpy(inside[i]),
            torch.from_numpy(truth.distances[i]).float(),
        )
        for i in range(COUNT)
    ]


def hidden(origin: np.ndarray, point: np.ndarray) -> bool:
    """Whether a sphere lies between a camera and a point, by geometry alone."""
    way = point - origin
    length = np.linalg.norm(way)
    for centre, radius, _ in SPHERES:
        along = np.clip((np.array(centre) - origin) @ way / length, 0, length)
        foot = origin + along * way / length
        off = np.linalg.norm(np.array(centre) - foot)
        # well before the point, and not grazing
        if off < 0.9 * radius and along < length - 1.1 * radius:
            return True
    return False


def test_points_are_seen_where_they_are_and_not_through_things(
    captured: tuple[Capture, Truth],
) -> None:
    """With places for colours: what is found must be the place itself."""
    capture, truth = captured
    places = [surfaces(capture, truth, i) for i in range(COUNT)]
    surface = [np.isfinite(place[..., 0]) for place in places]
    views = views_of(capture, truth, [np.nan_to_num(p) for p in places], surface)
    points = torch.from_numpy(places[0][surface[0]]).float()
    torch.testing.assert_close(views[0].points(), points, atol=1e-5, rtol=0)
    shown, seen = views[3].shown(points)
    assert 0.2 < seen.float().mean() < 0.95
    # a pixel is 0.08 wide there, and rays to the floor are slanted
    errors = (shown - points)[seen].norm(dim=-1)
    assert errors.max() < 0.15
    assert errors.median() < 0.02
    eye = capture.camera_to_world[3][:3, 3]
    behind = torch.tensor([hidden(eye, point) for point in points.double().numpy()])
    assert behind.sum() > 20
    assert not seen[behind].any()


def test_the_projection_is_a_pinholes(captured: tuple[Capture, Truth]) -> None:
    capture, truth = captured
    empty = [np.zeros((SIZE, SIZE, 3))] * COUNT
    view = views_of(capture, truth, empty, [np.ones((SIZE, SIZE), bool)] * COUNT)[2]
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, SIZE, (2, 50))
    lengths = rng.uniform(0.5, 6, 50)
    points = view.pose[:3, 3] + lengths[:, None] * rays_of(capture, 2)[rows, columns]
    at, distance, ahead = view.project(torch.from_numpy(points))
    np.testing.assert_allclose(at, np.stack([columns, rows], -1) + 0.5, atol=1e-9)
    np.testing.assert_allclose(distance, lengths, atol=1e-9)
    assert ahead.all()
    mirrored = 2 * view.pose[:3, 3] - points
    assert not view.project(torch.from_numpy(mirrored))[2].any()


def test_colours_are_bilinear_between_the_pixels_that_count(
    captured: tuple[Capture, Truth],
) -> None:
    """Against the four nearest pixels, weighed one by one in plain numpy."""
    capture, truth = captured
    rng = np.random.default_rng(1)
    colours = [rng.uniform(0, 255, (SIZE, SIZE, 3)) for _ in range(COUNT)]
    inside = [rng.random((SIZE, SIZE)) < 0.8 for _ in range(COUNT)]
    finite = [i & np.isfinite(truth.distances[k]) for k, i in enumerate(inside)]
    views = views_of(capture, truth, colours, finite)
    points = surfaces(capture, truth, 0)[finite[0]][::7]
    shown, seen = views[1].shown(torch.from_numpy(points).float())
    pose, camera = capture.camera_to_world[1], capture.intrinsics[1]
    wrong = 0
    for point, colour, counted in zip(points, shown.numpy(), seen.numpy(), strict=True):
        local = pose[:3, :3].T @ (point - pose[:3, 3])
        u = camera.cx + camera.fx * local[0] / -local[2] - 0.5
        v = camera.cy - camera.fy * local[1] / -local[2] - 0.5
        total, weight = np.zeros(3), 0.0
        for row in (int(np.floor(v)), int(np.floor(v)) + 1):
            for column in (int(np.floor(u)), int(np.floor(u)) + 1):
                if not (0 <= row < SIZE and 0 <= column < SIZE) or not finite[1][row, column]:
                    continue
                length = np.linalg.norm(local)
                if abs(truth.distances[1][row, column] - length) <= 0.03 * length:
                    part = (1 - abs(u - column)) * (1 - abs(v - row))
                    total += part * colours[1][row, column]
                    weight += part
        wrong += counted != (weight >= 0.5)
        if counted and weight >= 0.5:
            np.testing.assert_allclose(colour, total / weight, atol=0.05)
    assert wrong <= 1  # float32 against float64
    assert seen.any()


def test_one_view_that_differs_from_all_others_is_outvoted(
    captured: tuple[Capture, Truth],
) -> None:
    capture, truth = captured
    on_sphere = [np.asarray(mask) for mask in truth.masks]
    colours = [np.where(m[..., None], (10.0, 200, 30), 0) for m in on_sphere]
    colours[2] = np.where(on_sphere[2][..., None], (250.0, 0, 250), 0)
    views = views_of(capture, truth, colours, on_sphere)
    before = apart(views)
    assert before is not None
    found = [together(views, index) for index in range(COUNT)]
    agreed = []
    for view, own in zip(views, found, strict=True):
        assert own.shape == (int(view.inside.sum()), 3)
        image = view.colours.clone()
        image[view.inside] = own
        agreed.append(PosedView(view.pose, view.camera, image, view.inside, view.distances))
    after = apart(agreed)
    assert after is not None
    assert after < 0.1 * before
    assert (found[2] - torch.tensor([10.0, 200, 30])).abs().max(dim=-1).values.median() < 1e-3


def test_of_two_views_the_median_is_the_mean_and_alone_a_view_stays(
    captured: tuple[Capture, Truth],
) -> None:
    capture, truth = captured
    on_sphere = [np.asarray(mask) for mask in truth.masks]
    colours = [np.full((SIZE, SIZE, 3), value) for value in np.linspace(0, 70, COUNT)]
    views = views_of(capture, truth, colours, on_sphere)
    pair = together(views[:2], 0)
    _, seen = views[1].shown(views[0].points())
    torch.testing.assert_close(pair[seen], torch.full_like(pair[seen], 5.0))
    torch.testing.assert_close(pair[~seen], torch.zeros_like(pair[~seen]))
    assert seen.any()
    assert not seen.all()
    assert (together(views[4:5], 0) == 40).all()
    assert apart(views[:1]) is None
