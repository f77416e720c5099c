"""Views and their rays: pixels, depths, what is held out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.captures.capture import Capture
from backend.captures.lens import Intrinsics
from backend.captures.transforms import NewView, open_capture, write_capture
from backend.captures.views import Pixels
from backend.fields import checkpoint
from backend.fields.nerfstudio_compat import Cameras
from backend.fields.rays import ViewRays
from backend.fields.views import Views, held_out

from .tiny_capture import Truth, orbit_capture


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 16, 24)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    """The same with a depth of every other view."""
    return orbit_capture(tmp_path_factory.mktemp("deep"), 16, 24, depth_every=2)


def test_rays_are_those_of_nerfstudios_cameras(scene: tuple[Capture, Truth]) -> None:
    poses = scene[0].camera_to_box[:3]
    cameras = [
        Intrinsics(30.0, 28.0, 11.5, 9.0, 24, 16),
        Intrinsics(20.0, 20.0, 4.0, 6.5, 9, 13),
        Intrinsics(50.0, 51.0, 12.0, 12.0, 20, 5),
    ]
    rays = ViewRays(poses, cameras)
    assert rays.total == 24 * 16 + 9 * 13 + 20 * 5
    for view, camera in enumerate(cameras):
        theirs = Cameras(
            torch.tensor(poses[view : view + 1, :3], dtype=torch.float32),
            *(torch.tensor([v]) for v in (camera.fx, camera.fy, camera.cx, camera.cy)),
            camera.width,
            camera.height,
        ).generate_rays(camera_indices=0)
        mine = rays.bundle(rays.of_view(view))
        shape = (camera.height, camera.width, 3)
        assert rays.shape(view) == shape[:2]
        torch.testing.assert_close(mine.origins.view(shape), theirs.origins)
        torch.testing.assert_close(mine.directions.view(shape), theirs.directions)
        assert (mine.camera_indices == view).all()


def test_pixels_are_the_views_own(scene: tuple[Capture, Truth]) -> None:
    capture, truth = scene
    views = Views(capture)
    assert not views.alpha
    for view in (0, 7, 15):
        seen = views.colours(views.rays.of_view(view)).view(24, 24, 3)
        np.testing.assert_allclose(seen.numpy() * 255, truth.images[view], atol=1e-4)
    views.replace(7, truth.images[0])
    assert torch.equal(views.pixels[views.rays.of_view(7)], views.pixels[views.rays.of_view(0)])
    assert not torch.equal(views.pixels[views.rays.of_view(8)], views.pixels[views.rays.of_view(0)])


def test_rays_through_a_point_meet_there(scene: tuple[Capture, Truth]) -> None:
    """Origin + distance * direction lies on the floor or on a sphere, in capture coordinates."""
    capture, truth = scene
    rays = ViewRays(capture.camera_to_box, capture.intrinsics)
    for view in (0, 5):
        bundle = rays.bundle(rays.of_view(view))
        distance = truth.distances[view].reshape(-1, 1)
        box = bundle.origins + bundle.directions * torch.tensor(distance * capture.box_scale)
        points = (box.double().numpy() - capture.to_box[:3, 3]) / capture.box_scale
        mask = truth.masks[view].ravel()
        off = np.linalg.norm(points[mask] - (0, 0, 0.6), axis=1) - 0.6
        assert np.abs(off).max() < 1e-5


def test_depths_become_distances_along_the_rays(
    scene: tuple[Capture, Truth], deep: tuple[Capture, Truth]
) -> None:
    capture, truth = deep
    views = Views(capture)
    assert views.distances is not None
    for view in (0, 6):
        found = views.distances[views.rays.of_view(view)].view(24, 24).numpy()
        known = np.isfinite(truth.distances[view])
        assert 0 < known.mean() < 1
        expected = truth.distances[view][known] * capture.box_scale
        np.testing.assert_allclose(found[known], expected, rtol=1e-6)
        assert (found[~known] == 0).all()
    assert (views.distances[views.rays.of_view(7)] == 0).all(), "it has none"
    assert Views(scene[0]).distances is None


def test_depth_counts_only_where_the_surface_covers_the_pixel(
    tmp_path: Path, deep: tuple[Capture, Truth]
) -> None:
    capture, truth = deep
    alpha = np.full((24, 24), 255, np.uint8)
    alpha[:, :8], alpha[:, 8:16] = 0, 254
    views = []
    for k in range(0, 16, 2):
        read = capture.read(k)
        pixels = Pixels(read.image, alpha, read.depth)
        views.append(NewView(f"{k}", pixels, capture.intrinsics[k], capture.camera_to_world[k]))
    write_capture(tmp_path, views)
    distances = Views(open_capture(tmp_path)).distances
    assert distances is not None
    first = distances[: 24 * 24].view(24, 24).numpy()
    assert (first[:, :16] == 0).all()
    assert ((first[:, 16:] > 0) == np.isfinite(truth.distances[0][:, 16:])).all()


def test_a_fingerprint_holds_the_depths_where_there_are_any(
    scene: tuple[Capture, Truth], deep: tuple[Capture, Truth]
) -> None:
    plain, views = Views(scene[0]), Views(deep[0])
    cameras = np.array([dataclasses.astuple(camera) for camera in plain.intrinsics])
    as_ever = checkpoint.fingerprint(plain.pixels.numpy(), plain.poses, cameras)
    assert plain.fingerprint() == as_ever, "of fields that were trained before depths were read"
    with_depth = views.fingerprint()
    assert with_depth != as_ever
    assert views.distances is not None
    views.distances[np.flatnonzero(views.distances.numpy())[3]] *= 1.001
    assert views.fingerprint() != with_depth


@pytest.mark.parametrize(
    ("count", "every", "expected"),
    [
        (24, 8, [4, 12, 20]),
        (16, 8, [4, 12]),
        (12, 8, [4]),
        (5, 8, [2]),
        (3, 8, [1]),
        (4, 2, [1, 3]),
        (24, 0, []),
    ],
)
def test_held_out_views(count: int, every: int, expected: list[int]) -> None:
    assert held_out(count, every) == expected
