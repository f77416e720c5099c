"""Captures: both dialects of transforms.json, writing and reading again, boxes."""

import importlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.captures.box import box_around, focus_point
from backend.captures.capture import Intrinsics
from backend.captures.lens import Lens
from backend.captures.transforms import open_capture, readable, write_capture
from backend.fields import nerfstudio_compat
from tests.backend.capture_worlds import look_at, orbit, views_of_noise


def write_photos(folder, names, width=24, height=16):
    """Files of random colours."""
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / name)


def write_json(folder, content):
    (folder / "transforms.json").write_text(json.dumps(content))


def frames(poses, names, **fields):
    return [
        {"file_path": name, "transform_matrix": pose.tolist(), **fields}
        for name, pose in zip(names, poses, strict=True)
    ]


# ------------------------------------------------------------------ reading


def test_nerfstudios_dialect(tmp_path):
    names = [f"images/frame_{i:05}.jpg" for i in range(4)]
    poses = orbit(4)
    write_photos(tmp_path, names)
    camera = {"w": 24, "h": 16, "fl_x": 30.5, "fl_y": 31.5, "cx": 11.0, "cy": 8.5}
    lens = {"k1": 0.01, "k2": -0.002, "p1": 1e-4, "p2": -2e-4, "camera_model": "OPENCV"}
    extra = {"ply_file_path": "sparse_pc.ply", "applied_transform": np.eye(4)[:3].tolist()}
    write_json(tmp_path, camera | lens | extra | {"frames": frames(poses, names, colmap_im_id=3)})
    capture = open_capture(tmp_path)
    assert capture.names == tuple(names)
    assert (capture.camera_to_world == poses).all()
    for view, seen in zip(capture.views, capture.intrinsics, strict=True):
        assert view.intrinsics == Intrinsics(30.5, 31.5, 11.0, 8.5, 24, 16)
        assert view.lens == Lens(k1=0.01, k2=-0.002, p1=1e-4, p2=-2e-4)
        assert (seen.width, seen.height) == (24, 16)
    assert capture.notes == ()


def test_instant_ngps_dialect(tmp_path):
    written = ["./images/0001", "images\\0002", "images/0003.v2", "images/0004.JPG"]
    files = [
        "images/0001.png",
        "images/0002.jpg",
        "images/0003.v2.png",
        "images/0004.JPG",
        "images/0001.jpg",
    ]
    write_photos(tmp_path, files)
    angles = {"camera_angle_x": 0.9, "camera_angle_y": 0.6}
    top = angles | {"w": 24.0, "h": 16.0, "aabb_scale": 16, "is_fisheye": False}
    write_json(tmp_path, top | {"frames": frames(orbit(4), written, sharpness=20.0)})
    capture = open_capture(tmp_path / "transforms.json")
    assert capture.names == tuple(files[:4])
    camera = capture.intrinsics[0]
    assert 2 * np.arctan(12 / camera.fx) == pytest.approx(0.9)
    assert 2 * np.arctan(8 / camera.fy) == pytest.approx(0.6)
    assert (camera.cx, camera.cy) == (12, 8)


def test_blenders_synthetic_scenes_say_one_angle_only(tmp_path):
    write_photos(tmp_path, [f"train/r_{i}.png" for i in range(3)])
    content = {"camera_angle_x": 0.69, "frames": frames(orbit(3), [f"train/r_{i}" for i in "012"])}
    write_json(tmp_path, content)
    camera = open_capture(tmp_path).intrinsics[0]
    assert camera.fx == camera.fy == pytest.approx(12 / np.tan(0.345))


def test_a_frame_may_have_its_own_camera_and_three_rows(tmp_path):
    names = ["a.png", "b.png", "c.png"]
    write_photos(tmp_path, names[:2])
    write_photos(tmp_path, names[2:], 30, 40)
    three = frames(orbit(3), names)
    three[2] |= {"w": 30, "h": 40, "fl_x": 99, "transform_matrix": orbit(3)[2][:3].tolist()}
    write_json(tmp_path, {"x_fov": 50, "k1": 0.0, "frames": three})
    capture = open_capture(tmp_path)
    sizes = [(camera.width, camera.height) for camera in capture.intrinsics]
    assert sizes == [(24, 16), (24, 16), (30, 40)]
    assert (capture.intrinsics[2].fx, capture.intrinsics[2].fy) == (99, 99)
    assert (capture.camera_to_world == orbit(3)).all()


def test_nerfstudio_reads_what_is_written_here(tmp_path):
    with nerfstudio_compat.absent_packages():
        dataparser = importlib.import_module("nerfstudio.data.dataparsers.nerfstudio_dataparser")
    capture = open_capture(write_capture(tmp_path, views_of_noise(orbit(5))))
    config = dataparser.NerfstudioDataParserConfig(
        data=tmp_path,
        orientation_method="none",
        center_method="none",
        auto_scale_poses=False,
        eval_mode="all",
        load_3D_points=False,
    )
    parsed = config.setup().get_dataparser_outputs("train")
    assert [file.name for file in parsed.image_filenames] == [v.image.name for v in capture.views]
    np.testing.assert_allclose(
        parsed.cameras.camera_to_worlds, capture.camera_to_world[:, :3], atol=1e-6
    )
    np.testing.assert_allclose(parsed.cameras.fx[:, 0], [c.fx for c in capture.intrinsics])
    np.testing.assert_allclose(parsed.cameras.cy[:, 0], [c.cy for c in capture.intrinsics])


# ------------------------------------------------------------------ writing


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("depth", [False, True])
def test_what_is_written_is_read_again_bit_for_bit(tmp_path, alpha, depth):
    rng = np.random.default_rng(1)
    extra = {"alpha": rng.integers(0, 256, (16, 24), np.uint8)} if alpha else {}
    if depth:
        extra["depth"] = rng.uniform(0, 5, (16, 24)).astype(np.float32)
    written = list(views_of_noise(orbit(5, height=0.3), **extra))
    path = write_capture(tmp_path, written)
    capture = open_capture(path)
    done: list[int] = []
    assert readable(capture, done.append) is capture
    assert done == [1, 2, 3, 4, 5]
    for index, view in enumerate(written):
        assert (capture.camera_to_world[index] == view.camera_to_world).all()
        assert capture.intrinsics[index] == view.intrinsics
        pixels = capture.read(index)
        assert (pixels.image == view.pixels.image).all()
        for name in ("alpha", "depth"):
            ours, theirs = getattr(pixels, name), getattr(view.pixels, name)
            assert (ours is None) == (theirs is None)
            assert theirs is None or (ours.dtype == theirs.dtype and (ours == theirs).all())
    assert not list(tmp_path.rglob("*.unfinished"))


def test_cameras_that_differ_are_written_each(tmp_path):
    views = [
        view
        for size, fx in (((24, 16), 30.0), ((12, 8), 9.0))
        for view in views_of_noise(orbit(3), *size, fx=fx)
    ]
    renamed = [
        type(v)(f"v{i}", v.pixels, v.intrinsics, v.camera_to_world) for i, v in enumerate(views)
    ]
    capture = open_capture(write_capture(tmp_path, renamed))
    assert capture.intrinsics == tuple(view.intrinsics for view in views)


def test_sixteen_bit_depth_is_in_thousandths(tmp_path):
    write_capture(tmp_path, views_of_noise(orbit(3)))
    depth = np.arange(24 * 16, dtype=np.uint16).reshape(16, 24) * 10
    Image.fromarray(depth).save(tmp_path / "d.png")
    content = json.loads((tmp_path / "transforms.json").read_text())
    content["frames"][1]["depth_file_path"] = "d.png"
    write_json(tmp_path, content)
    capture = open_capture(tmp_path)
    np.testing.assert_allclose(capture.read(1).depth, depth / 1000, rtol=1e-6)
    assert capture.read(0).depth is None


@pytest.mark.parametrize("downscale", [1, 1.5, 2, 7])
def test_scaling_down_keeps_the_field_of_view(tmp_path, downscale):
    write_capture(tmp_path, views_of_noise(orbit(3), 25, 17))
    whole, small = open_capture(tmp_path), open_capture(tmp_path, downscale)
    for before, after in zip(whole.intrinsics, small.intrinsics, strict=True):
        assert (after.width, after.height) == (int(25 / downscale), int(17 / downscale))
        corners = np.array([[0.0, 0.0], [1.0, 1.0]])
        np.testing.assert_allclose(
            after.directions(corners * (after.width, after.height)),
            before.directions(corners * (25, 17)),
        )
    assert small.read(0).image.shape == (int(17 / downscale), int(25 / downscale), 3)


def test_a_subset_stays_in_the_same_box(tmp_path):
    capture = open_capture(write_capture(tmp_path, views_of_noise(orbit(6, height=0.2))))
    some = capture.subset([4, 1])
    assert some.names == (capture.names[4], capture.names[1])
    assert (some.camera_to_box == capture.camera_to_box[[4, 1]]).all()
    assert (some.read(0).image == capture.read(4).image).all()


# ------------------------------------------------------------------ the box


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_the_box_holds_the_cameras_and_leads_back(seed, size):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=3) * 10 * size
    poses = orbit(8, radius=4 * size, height=size, target=target)
    to_box = box_around(poses)
    np.testing.assert_allclose(focus_point(poses), target, atol=1e-6 * size)
    np.testing.assert_allclose(to_box[:3, :3] @ target + to_box[:3, 3], 0, atol=1e-6)
    places = poses[:, :3, 3] @ to_box[:3, :3].T + to_box[:3, 3]
    assert np.abs(places).max() == pytest.approx(1)


def test_camera_to_box_is_rigid_and_box_depths_are_scaled(tmp_path):
    capture = open_capture(write_capture(tmp_path, views_of_noise(orbit(4, target=(9, 8, 7)))))
    np.testing.assert_allclose(capture.from_box @ capture.to_box, np.eye(4), atol=1e-12)
    point = np.array([9.3, 8.1, 6.5])
    in_box = (capture.to_box @ [*point, 1])[:3]
    for world, box in zip(capture.camera_to_world, capture.camera_to_box, strict=True):
        np.testing.assert_allclose(box[:3, :3].T @ box[:3, :3], np.eye(3), atol=1e-12)
        seen = np.linalg.inv(world) @ [*point, 1]
        np.testing.assert_allclose(
            np.linalg.inv(box) @ [*in_box, 1],
            [*(seen[:3] * capture.box_scale), 1],
            atol=1e-12,
        )


def test_cameras_that_look_outwards_or_all_one_way_have_no_focus():
    outwards = np.array([look_at(place, 2 * place) for place in orbit(8)[:, :3, 3]])
    assert focus_point(outwards) is None
    row = np.array([look_at((x, 0, 0), (x, 5, 0)) for x in range(4)])
    assert focus_point(row) is None
    to_box = box_around(row)
    np.testing.assert_allclose(to_box[:3, 3], [-1, 0, 0])
    assert to_box[0, 0] == pytest.approx(2 / 3)
