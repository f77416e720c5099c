"""Lens distortion against COLMAP's camera models, and its removal against known images."""

from types import SimpleNamespace

import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.captures.lens import Intrinsics, Lens, undistorted, undistortion_map
from backend.captures.painted_files import read_painted
from backend.captures.views import Pixels, StoredView
from protocol.corrections import ADDED, TAKEN
from tests.backend.capture_worlds import pixel_directions

CAMERA = Intrinsics(90.0, 100.0, 63.0, 41.0, 120, 80)
FOX = Lens(k1=0.0578421, k2=-0.0805099, p1=-0.000980296, p2=0.00015575)
small = st.floats(-0.05, 0.05)
tiny = st.floats(-0.005, 0.005)


@given(small, small, tiny, tiny)
def test_perspective_distortion_is_opencvs(k1, k2, p1, p2):
    lens = Lens(k1=k1, k2=k2, p1=p1, p2=p2)
    check_against_colmap(lens, "OPENCV", [k1, k2, p1, p2])


@given(small, small, tiny, tiny, tiny)
def test_the_third_radial_term_is_full_opencvs(k1, k2, k3, p1, p2):
    lens = Lens(k1=k1, k2=k2, k3=k3, p1=p1, p2=p2)
    check_against_colmap(lens, "FULL_OPENCV", [k1, k2, p1, p2, k3, 0, 0, 0])


@given(small, small, tiny, tiny)
def test_fisheye_distortion_is_opencvs(k1, k2, k3, k4):
    lens = Lens(k1, k2, k3, k4, fisheye=True)
    check_against_colmap(lens, "OPENCV_FISHEYE", [k1, k2, k3, k4])


def check_against_colmap(lens, model, parameters):
    points = np.random.default_rng(0).uniform(-0.8, 0.8, (50, 2))
    camera = pycolmap.Camera(
        model=model,
        width=CAMERA.width,
        height=CAMERA.height,
        params=[CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy, *parameters],
    )
    theirs = camera.img_from_cam(np.column_stack([points, np.ones(50)]))
    ours = lens.distort(points) * (CAMERA.fx, CAMERA.fy) + (CAMERA.cx, CAMERA.cy)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@given(small, small, tiny, tiny, st.booleans())
def test_undistorting_undoes_distorting(k1, k2, p1, p2, fisheye):
    lens = Lens(k1=k1, k2=k2, p1=0 if fisheye else p1, p2=0 if fisheye else p2, fisheye=fisheye)
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (50, 2))
    np.testing.assert_allclose(lens.undistort(lens.distort(points)), points, atol=1e-9)


@pytest.mark.parametrize(
    "lens", [FOX, Lens(k1=-0.2, k2=0.05), Lens(0.1, -0.05, fisheye=True)], ids=str
)
def test_the_undistorted_image_is_the_largest_without_gaps(lens):
    rows, columns = np.moveaxis(undistortion_map(CAMERA, lens), -1, 0)
    # Pixel centres lie half a pixel inside the image's border, and none lies outside of it.
    assert -0.5 <= rows.min() < 0.5
    assert -0.5 <= columns.min() < 0.5
    assert CAMERA.height - 1.5 < rows.max() <= CAMERA.height - 0.5
    assert CAMERA.width - 1.5 < columns.max() <= CAMERA.width - 0.5


def test_a_pinhole_stays_as_it_is():
    assert undistorted(CAMERA, Lens()) == CAMERA


def test_a_lens_that_folds_the_image_is_refused():
    for lens in (Lens(k1=-2.0), Lens(k1=0.2, k2=-3.0), Lens(k4=-50.0), Lens(k1=-3, fisheye=True)):
        with pytest.raises(ValueError, match="cannot be undone over the whole image"):
            undistorted(CAMERA, lens)


def colours(directions):
    """Smooth known colours of directions (..., 3): uint8 (..., 3)."""
    x, y = directions[..., 0] / directions[..., 2], directions[..., 1] / directions[..., 2]
    waves = np.stack([np.sin(7 * x + y), np.sin(5 * y - 2 * x), np.cos(4 * (x + y))], axis=-1)
    return np.round(127.5 + 100 * waves).astype(np.uint8)


@pytest.mark.parametrize("lens", [Lens(), FOX, Lens(0.1, -0.05, fisheye=True)], ids=str)
@pytest.mark.parametrize("downscale", [1, 2, 3])
def test_what_is_read_is_what_a_pinhole_camera_sees(tmp_path, lens, downscale):
    path = tmp_path / "photo.png"
    Image.fromarray(colours(pixel_directions(CAMERA, lens))).save(path)
    view = StoredView(path.name, path, None, CAMERA, lens)
    pinhole = undistorted(CAMERA, lens).resized(120 // downscale, 80 // downscale)
    seen = view.read(pinhole.width, pinhole.height).image
    expected = colours(pixel_directions(pinhole))
    error = np.abs(seen.astype(int) - expected)
    assert seen.shape == (80 // downscale, 120 // downscale, 3)
    assert error.mean() < 0.7
    assert error.max() <= 3 * downscale**2


def test_alpha_weights_colours_and_depth_is_never_mixed(tmp_path):
    image = np.zeros((4, 4, 4), np.uint8)
    image[:, :, :] = (0, 0, 0, 0)  # black where nothing was rendered
    image[:, 1:, :] = (200, 100, 50, 255)
    depth = np.where(np.arange(4) < 1, 9.0, 2.0).astype(np.float32) * np.ones((4, 1), np.float32)
    path, depth_path = tmp_path / "a.png", tmp_path / "a.npy"
    Image.fromarray(image).save(path)
    np.save(depth_path, depth)
    view = StoredView("a.png", path, depth_path, Intrinsics(4, 4, 2, 2, 4, 4), Lens())
    whole = view.read(4, 4)
    assert isinstance(whole, Pixels)
    assert (whole.image == image[..., :3]).all()
    assert (whole.alpha == image[..., 3]).all()
    assert (whole.depth == depth).all()
    half = view.read(2, 2)
    # the black under alpha 0 does not bleed in
    assert np.abs(half.image.astype(int) - (200, 100, 50)).max() <= 1
    assert half.alpha[:, 0].tolist() == [128, 128]
    assert half.alpha[:, 1].tolist() == [255, 255]
    assert set(np.unique(half.depth)) <= {2.0, 9.0}


@pytest.mark.parametrize("across", [100, 140, 180, 200, 220])
@pytest.mark.parametrize("lens", [Lens(fisheye=True), Lens(-0.03, 0.004, -0.001, fisheye=True)])
def test_fisheyes_of_any_width_are_where_colmap_has_them(across, lens):
    """And as wide as they are, but for what lies beyond 75 degrees of the axis."""
    corner = np.radians(across / 2)
    focal = 50 / (corner * (1 + lens.k1 * corner**2 + lens.k2 * corner**4 + lens.k3 * corner**6))
    camera = Intrinsics(focal, focal, 41.0, 29.0, 80, 60)
    straight = undistorted(camera, lens)
    rows, columns = np.mgrid[:60, :80] + 0.5
    points = straight.normalise(np.stack([columns, rows], axis=-1)).reshape(-1, 2)
    theirs = pycolmap.Camera(
        model="OPENCV_FISHEYE",
        width=80,
        height=60,
        params=[focal, focal, 41, 29, lens.k1, lens.k2, lens.k3, lens.k4],
    ).img_from_cam(np.column_stack([points, np.ones(len(points))]))
    found = undistortion_map(camera, lens).reshape(-1, 2)[:, ::-1] + 0.5
    np.testing.assert_allclose(found, theirs, atol=1e-3)
    assert (found > 0).all()
    assert (found < (80, 60)).all()
    widest = np.degrees(np.arctan(np.linalg.norm(points, axis=1).max()))
    assert min(0.85 * across / 2, 70) < widest < 75


@pytest.mark.parametrize(
    "lens", [Lens(0.2, -0.05, p1=0.01), Lens(-0.03, 0.004, -0.001, fisheye=True)]
)
def test_what_was_painted_on_a_photo_is_undistorted_with_it(tmp_path, lens):
    """White squares and black ones, on both the photo and the painting."""
    rows, columns = np.mgrid[:60, :80] // 10 % 2
    levels = np.where(rows == columns, 255, 0).astype(np.uint8)
    (tmp_path / "painted").mkdir()
    for place in (tmp_path / "a.png", tmp_path / "painted" / "a.png"):
        Image.fromarray(np.repeat(levels[..., None], 3, axis=2)).save(place)
    view = StoredView("a.png", tmp_path / "a.png", None, Intrinsics(60, 60, 41, 29, 80, 60), lens)
    painted = read_painted(tmp_path / "painted", SimpleNamespace(views=(view,), names=("a.png",)))[
        "a.png"
    ]
    seen = view.read(80, 60).image[..., 0]
    assert (painted[seen > 250] == ADDED).all()
    assert (painted[seen < 5] == TAKEN).all()
    assert ((levels > 128) != (painted == ADDED)).any()
