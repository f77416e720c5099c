"""Captures that other programs made, or that lost something on the way (entry 10 of what broke at
the borders): what is wrong in part is left out or understood, with a note; nothing without a word.
"""

import json
import shutil
import unicodedata

import numpy as np
import pytest
from PIL import ExifTags, Image

from backend.captures.box import box_around, standing
from backend.captures.conventions.axes import AXES, Suspicion, suspected, to_opengl
from backend.captures.depth_images import read_depth
from backend.captures.error import CaptureError
from backend.captures.transforms import open_capture, readable, write_capture
from tests.backend.capture_worlds import as_other_programs_write, look_at, orbit, views_of_noise

COUNT = 12
ROW = np.array([look_at((x, 0, 0), (x, 5, 0)) for x in range(6)])
Y_AND_Z = np.diag([1.0, -1.0, -1.0, 1.0])


def capture_folder(folder, poses=None, **extra):
    """A capture of noise; its description, which `rewrite` writes back."""
    poses = orbit(COUNT) if poses is None else poses
    write_capture(folder, views_of_noise(poses, **extra))
    return json.loads((folder / "transforms.json").read_text("utf-8"))


def rewrite(folder, content, name="transforms.json"):
    (folder / name).write_text(json.dumps(content), "utf-8")


# ---------------------------------------------------------------- cameras far out


@pytest.mark.parametrize("times", [15, 1e3, 1e7])
@pytest.mark.parametrize(
    ("count", "strays"), [(12, [5]), (12, [0, 4, 7]), (24, [3, 9, 11, 20]), (5, [1]), (4, [3])]
)
def test_capture_outlier_is_named_left_out_and_moves_nothing(tmp_path, count, strays, times):
    poses = orbit(count, target=(7, -3, 2))
    sound = np.delete(poses, strays, axis=0)
    rng = np.random.default_rng(count)
    for index in strays:
        aside = rng.normal(size=3)
        poses[index][:3, 3] += 4 * times * aside / np.abs(aside).max()
    content = capture_folder(tmp_path, poses)
    capture = open_capture(tmp_path)
    kept = [index for index in range(count) if index not in strays]
    names = [frame["file_path"] for frame in content["frames"]]
    assert capture.names == tuple(names[index] for index in kept)
    np.testing.assert_allclose(capture.to_box, box_around(sound))
    (note,) = capture.notes
    assert "as far out as most" in note
    assert "left out" in note
    assert all(names[index] in note for index in strays)


@pytest.mark.parametrize("times", [100, 1e3, 1e7])
@pytest.mark.parametrize("how", ["everywhere", "one side", "another unit"])
@pytest.mark.parametrize("count", [6, 12, 13])
def test_half_of_the_cameras_far_out_are_left_out_and_do_not_scale_the_box(
    tmp_path, count, how, times
):
    poses = orbit(count, target=(7, -3, 2))
    strays = np.arange(count) % 2 == 1
    sound = poses[~strays]
    rng = np.random.default_rng(count)
    if how == "another unit":
        poses[strays, :3, 3] *= times
    else:
        aside = rng.normal(size=(strays.sum(), 3))
        aside /= np.linalg.norm(aside, axis=1, keepdims=True)
        aside = aside if how == "everywhere" else 0.01 * aside + (1, 0, 0)
        poses[strays, :3, 3] += 4 * times * aside
    content = capture_folder(tmp_path, poses)
    capture = open_capture(tmp_path)
    names = np.array([frame["file_path"] for frame in content["frames"]])
    assert capture.names == tuple(names[~strays])
    np.testing.assert_allclose(capture.to_box, box_around(sound))
    assert f"{strays.sum()} of {count} cameras stand" in capture.notes[0]
    assert "are left out, as their poses can hardly be right" in capture.notes[0]


def test_near_and_far_cameras_without_a_wide_gap_all_stay():
    near_and_far = orbit(12)
    near_and_far[::2, :3, 3] *= 12
    zooming_in = orbit(14)
    zooming_in[:, :3, 3] *= np.geomspace(0.01, 10, 14)[:, None]
    jitter = np.random.default_rng(0).normal(size=(2, 20, 3)) * 1e-4
    stood = np.array([look_at(p, np.add(q, (0, 4, 0))) for p, q in zip(*jitter, strict=True)])
    turns = [(np.cos(a), np.sin(a), 0.1) for a in np.linspace(0, 6, 20)]
    panned = np.array([look_at(p, 4 * np.array(t)) for p, t in zip(jitter[0], turns, strict=True)])
    walk = np.array([look_at((x, 0, 0), (x, 4, 0)) for x in np.linspace(0.1, 5, 20)])
    films = (np.concatenate([still, walk]) for still in (stood, panned))
    for poses in (near_and_far, zooming_in, *films):
        assert not standing(poses).stray.any()


def test_a_camera_somewhat_far_out_stays_and_does_not_scale_the_box(tmp_path):
    poses = orbit(COUNT)
    poses[3] = look_at(6 * poses[3][:3, 3], (0, 0, 0))
    capture_folder(tmp_path, poses)
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT
    np.testing.assert_allclose(capture.to_box, box_around(np.delete(poses, 3, axis=0)))
    assert "The camera of images/0003.png stands 6.9 times as far out" in capture.notes[0]
    assert "does not count for the size of the box" in capture.notes[0]


def test_with_three_views_a_far_one_cannot_be_left_out_and_is_named(tmp_path):
    poses = orbit(3, turn=np.pi)
    poses[2][:3, 3] *= 1000
    capture_folder(tmp_path, poses)
    capture = open_capture(tmp_path)
    assert len(capture) == 3
    assert "images/0002.png stands" in capture.notes[0]
    assert capture.box_scale > 0.1


def test_cameras_of_walks_films_and_rows_stand_where_they_should():
    row = np.array([look_at((x, 0, 0), (x, 5, 0)) for x in range(20)])
    paused = np.concatenate([np.repeat(row[:1], 80, axis=0), row])
    near_and_far = orbit(30)
    near_and_far[::3, :3, 3] *= 0.2
    flight = np.array([look_at((0.1 + x, 0.1 * x, 1), (0, 0, 0)) for x in np.linspace(1, 8, 15)])
    for poses in (orbit(3), row, paused, near_and_far, flight):
        assert not standing(poses).stray.any()


# ---------------------------------------------------------------- conventions


def spiral(count, target=(0.5, 2, 1), seed=3):
    """Cameras at different heights around a target, each turned a little about its axis."""
    rng = np.random.default_rng(seed)
    poses = []
    for angle, height in zip(np.linspace(0, 5, count), rng.uniform(0.5, 3, count), strict=True):
        place = np.add(target, (4 * np.cos(angle), 4 * np.sin(angle), height))
        poses.append(look_at(place, np.add(target, rng.normal(size=3) * 0.2)))
    return np.array(poses)


Z_UP = tuple(axes for axes in AXES if axes != "unity" and not axes.endswith("transposed"))
"""Rotations that are transposed alone are told by the pictures: see test_capture_conventions.py."""


@pytest.mark.parametrize("axes", Z_UP)
@pytest.mark.parametrize("poses", [orbit(8), orbit(3), spiral(20), spiral(5, (9, -4, 2))])
def test_capture_opencv_convention_is_recognised_named_and_taken(axes, poses):
    written = as_other_programs_write(poses, axes)
    assert suspected(written) == (None if axes == "opengl" else Suspicion((axes,)))
    np.testing.assert_allclose(to_opengl(written, axes), poses, atol=1e-12)


@pytest.mark.parametrize("axes", Z_UP[1:])
def test_the_note_on_axes_says_what_to_give(tmp_path, axes):
    content = capture_folder(tmp_path, poses := spiral(COUNT))
    for frame, matrix in zip(content["frames"], as_other_programs_write(poses, axes), strict=True):
        frame["transform_matrix"] = matrix.tolist()
    rewrite(tmp_path, content)
    try:
        words = " ".join(open_capture(tmp_path).notes)
        assert axes != "opencv" or "The cameras look away from each other" in words
    except CaptureError as error:  # such cameras may see nothing together
        words = str(error)
    assert f"give --axes {axes}." in words
    taken = open_capture(tmp_path, axes=axes)
    assert taken.notes == ()
    np.testing.assert_allclose(taken.camera_to_world, poses, atol=1e-12)


def test_world_to_camera_matrices_of_an_orbit_are_refused_with_what_they_are(tmp_path):
    content = capture_folder(tmp_path, poses := orbit(8))
    for frame, pose in zip(content["frames"], np.linalg.inv(poses @ Y_AND_Z), strict=True):
        frame["transform_matrix"] = pose.tolist()
    rewrite(tmp_path, content)
    with pytest.raises(CaptureError, match=r"in one place.*give --axes opencv-w2c"):
        open_capture(tmp_path)


def test_a_row_of_cameras_gets_no_note_on_axes():
    assert suspected(ROW) is None


# ---------------------------------------------------------------- depth

TRUTH = np.linspace(2, 6, 16 * 24).reshape(16, 24)
UNKNOWN = np.where(np.arange(24) < 3, 0, TRUTH).astype(np.float32)


def holes(value):
    return np.where(np.arange(24) < 3, value, TRUTH)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (TRUTH, TRUTH),
        (TRUTH.astype(">f4"), TRUTH),
        (TRUTH[..., None], TRUTH),
        (TRUTH[None], TRUTH),
        (TRUTH[None, ..., None].astype(np.float32), TRUTH),
        (np.asfortranarray(TRUTH), TRUTH),
        (holes(np.nan), UNKNOWN),
        (holes(np.inf), UNKNOWN),
        (holes(-np.inf).astype(np.float32), UNKNOWN),
        (holes(-1.0), UNKNOWN),
        (holes(1e10).astype(np.float32), UNKNOWN),
        (holes(np.nan).astype(np.float16), UNKNOWN),
        *((np.rint(TRUTH * 1000).astype(t), TRUTH) for t in ["u2", "i2", "i4", "u4", "i8", ">u2"]),
    ],
)
def test_capture_depth_dtypes(tmp_path, stored, expected):
    np.save(tmp_path / "d.npy", stored)
    depth = read_depth(tmp_path / "d.npy", 24, 16)
    assert depth.dtype == np.float32
    precision = 2e-3 if stored.dtype.kind in "iu" or stored.dtype.itemsize == 2 else 1e-6
    np.testing.assert_allclose(depth, expected, atol=precision)
    assert ((depth == 0) == (expected == 0)).all()


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("d.png", np.rint(TRUTH * 1000).astype(np.uint16)),
        ("d.tiff", np.rint(TRUTH * 1000).astype(np.uint16)),
        ("d.TIFF", TRUTH.astype(np.float32)),
    ],
)
def test_capture_depth_images_of_several_kinds(tmp_path, name, stored):
    Image.fromarray(stored).save(tmp_path / name)
    np.testing.assert_allclose(read_depth(tmp_path / name, 24, 16), TRUTH, atol=1e-3)


@pytest.mark.parametrize(("width", "height"), [(8, 5), (12, 8), (72, 48), (73, 49), (23, 15)])
def test_capture_depth_small_or_large_takes_the_nearest_pixel(tmp_path, width, height):
    near = np.arange(width) < width // 3
    stored = np.where(near, 2, 6).astype(np.float32) * np.ones((height, 1), np.float32)
    np.save(tmp_path / "d.npy", stored)
    depth = read_depth(tmp_path / "d.npy", 24, 16)
    assert depth.shape == (16, 24)
    assert set(np.unique(depth)) == {2, 6}  # no mean of near and far
    assert abs((depth == 2).mean() - near.mean()) < 0.05


def test_depth_in_a_view_is_read_with_the_files_own_unit_and_instant_ngps_name(tmp_path):
    content = capture_folder(tmp_path)
    Image.fromarray(np.full((8, 12), 16000, np.uint16)).save(tmp_path / "d.png")
    content["integer_depth_scale"] = 1 / 4000
    content["frames"][2]["depth_path"] = "D"
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    np.testing.assert_allclose(capture.read(2).depth, np.full((16, 24), 4.0))
    assert capture.notes == ()


@pytest.mark.parametrize(("times", "words"), [(1000, "times too large"), (1e-3, "times too small")])
@pytest.mark.parametrize("poses", [orbit(6), ROW])
def test_depth_in_another_unit_than_the_cameras_gets_a_note(tmp_path, times, words, poses):
    depth = np.full((16, 24), 4.0, np.float32)
    depth[:4] = 0
    capture_folder(tmp_path / "right", poses, depth=depth)
    right = open_capture(tmp_path / "right")
    assert right.notes == ()
    assert right.read(0).depth is not None
    capture_folder(tmp_path / "wrong", poses, depth=depth * np.float32(times))
    wrong = open_capture(tmp_path / "wrong")
    (note,) = wrong.notes
    assert words in note
    assert "not used" in note
    assert wrong.read(0).depth is None


def test_a_missing_depth_image_is_named_and_its_view_goes_without(tmp_path):
    capture_folder(tmp_path, depth=np.full((16, 24), 4.0, np.float32))
    (tmp_path / "depth/0003.npy").unlink()
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT
    assert "1 of 12 depth images is left out: There is no depth image" in capture.notes[0]
    assert "0003.npy" in capture.notes[0]
    assert capture.read(3).depth is None
    assert capture.read(2).depth is not None


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (np.zeros((3, 3), np.float32), "is 3x3, of another shape than its image, which is 24x16"),
        (np.zeros((24, 16), np.float32), "is 16x24, of another shape"),
        (np.zeros((2, 16, 24), np.float32), "has the shape (2, 16, 24), not (height, width)"),
        (np.zeros((16, 24), np.complex64), "holds complex64, not numbers"),
        (np.zeros((16, 24), bool), "holds bool, not numbers"),
        (np.array([{}]), "cannot be read"),
    ],
)
def test_depths_that_make_no_sense_are_left_out(tmp_path, depth, words):
    content = capture_folder(tmp_path, depth=np.full((16, 24), 4.0, np.float32))
    np.save(tmp_path / content["frames"][1]["depth_file_path"], depth, allow_pickle=True)
    capture = open_capture(tmp_path)
    (note,) = capture.notes
    assert note.startswith("1 of 12 depth images is left out: ")
    assert "0001.npy" in note
    assert words in note
    assert [view.depth is None for view in capture.views] == [k == 1 for k in range(COUNT)]


def test_depth_images_that_end_early_or_are_colours_are_left_out(tmp_path):
    content = capture_folder(tmp_path, depth=np.full((16, 24), 4.0, np.float32))
    depths = [tmp_path / frame["depth_file_path"] for frame in content["frames"]]
    depths[0].write_bytes(depths[0].read_bytes()[:-8])
    depths[1].write_bytes(b"")
    Image.new("RGB", (24, 16)).save(tmp_path / "d.png")
    content["frames"][2]["depth_file_path"] = "d.png"
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    assert [view.depth is None for view in capture.views] == [k < 3 for k in range(COUNT)]
    assert capture.notes[0].startswith("3 of 12 depth images are left out: ")
    assert "d.png cannot be read as a depth image: it has colours, or" in capture.notes[0]


# ---------------------------------------------------------------- missing and damaged images


def test_capture_missing_frame_is_left_out_with_a_note(tmp_path):
    capture_folder(tmp_path)
    (tmp_path / "images/0004.png").unlink()
    (tmp_path / "images/0007.png").write_bytes(b"")
    (tmp_path / "images/0008.png").write_text("<html>404</html>")
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT - 3
    assert capture.notes[0].startswith("3 of 12 images are left out: ")
    assert all(f"images/{index}.png" in capture.notes[0] for index in ("0004", "0007", "0008"))
    np.testing.assert_array_equal(capture.camera_to_world[4], orbit(COUNT)[5])


def test_a_capture_whose_images_all_are_elsewhere_is_refused(tmp_path):
    capture_folder(tmp_path)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(CaptureError, match=r"of which 0 can be used.*0000.png, which does not"):
        open_capture(tmp_path)


def test_an_image_that_is_damaged_inside_is_left_out_when_it_is_read(tmp_path):
    capture_folder(tmp_path)
    image = tmp_path / "images/0002.png"
    broken = bytearray(image.read_bytes())
    broken[len(broken) // 2] ^= 255
    image.write_bytes(broken)
    opened = open_capture(tmp_path)
    whole = readable(opened)
    assert "images/0002.png" not in whole.names
    assert len(whole) == COUNT - 1
    assert "0002.png" in whole.notes[-1]
    assert (whole.to_box == opened.to_box).all()


# ---------------------------------------------------------------- names

ACCENTED = "été ñ"


@pytest.mark.parametrize(
    "written",
    [
        lambda name: name.upper(),
        lambda name: name.replace("images", "Images").replace(".png", ".PNG"),
        lambda name: unicodedata.normalize("NFD", name),
        lambda name: unicodedata.normalize("NFD", name).upper(),
        lambda name: name.removesuffix(".png"),
        lambda name: "./" + name,
        lambda name: name.replace("/", "\\"),
        lambda name: ".\\" + name.replace("/", "\\").upper(),
    ],
)
def test_capture_names_are_found_in_another_spelling(tmp_path, written):
    content = capture_folder(tmp_path)
    for index, frame in enumerate(content["frames"]):
        name = unicodedata.normalize("NFC", f"images/{ACCENTED}{index}.png")
        (tmp_path / frame["file_path"]).rename(tmp_path / name)
        frame["file_path"] = written(name)
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT
    assert capture.notes == ()
    assert [view.image.name for view in capture.views] == [
        unicodedata.normalize("NFC", f"{ACCENTED}{index}.png") for index in range(COUNT)
    ]


@pytest.mark.parametrize(
    "written",
    [
        r"C:\Users\me\data\images\{}",
        "C:/Users/me/data/images/{}",
        r"\\server\share\data\Images\{}",
        "/home/somebody/data/images/{}",
    ],
)
def test_capture_names_that_are_absolute_elsewhere_are_found_by_their_end(tmp_path, written):
    content = capture_folder(tmp_path, depth=np.full((16, 24), 4.0, np.float32))
    for index, frame in enumerate(content["frames"]):
        frame["file_path"] = written.format(f"{index:04}.png")
        frame["depth_file_path"] = f"depth/{index:04}"
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    assert [view.image.name for view in capture.views] == [f"{k:04}.png" for k in range(COUNT)]
    assert all(view.depth is not None for view in capture.views)
    assert "by paths that do not exist here" in capture.notes[0]
    assert written.format("0000.png") in capture.notes[0]


@pytest.mark.parametrize(
    ("there", "written"),
    [
        ("my shot {}.png", "images/my%20shot%20{}.png"),
        ("Tür #{}.png", "./images/T%C3%BCr%20%23{}"),
        ("my shot {}.png", r"C:\Users\me\images\my%20shot%20{}.png"),
        ("my shot {}.png", "file:///home/me/my%20scene/images/my%20shot%20{}.png"),
        ("100%25 {}.png", "images/100%25 {}.png"),
        ("{}.png", " images/{}.png \n"),
    ],
)
def test_capture_names_of_web_addresses_and_with_blanks_around_them(tmp_path, there, written):
    content = capture_folder(tmp_path)
    for index, frame in enumerate(content["frames"]):
        name = there.format(f"{index:04}")
        (tmp_path / frame["file_path"]).rename(tmp_path / "images" / name)
        frame["file_path"] = written.format(f"{index:04}")
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    expected = [f"images/{there.format(f'{index:04}')}" for index in range(COUNT)]
    assert capture.names == tuple(expected)


def test_a_name_that_two_files_could_have_is_taken_for_neither(tmp_path):
    content = capture_folder(tmp_path)
    shutil.copy(tmp_path / "images/0001.png", tmp_path / "images/aB.png")
    (tmp_path / "images/0001.png").rename(tmp_path / "images/Ab.png")
    content["frames"][1]["file_path"] = "images/ab.png"
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT - 1
    assert "images/ab.png, which does not exist" in capture.notes[0]


# ---------------------------------------------------------------- split captures


@pytest.mark.parametrize("blender_nerf", [True, False])
def test_capture_nerf_synthetic_opens_by_its_training_views(tmp_path, blender_nerf):
    content = capture_folder(tmp_path)
    (tmp_path / "images").rename(tmp_path / "train")
    (tmp_path / "transforms.json").unlink()
    suffix = ".png" if blender_nerf else ""
    for index, frame in enumerate(content["frames"]):
        frame["file_path"] = f"./train/{index:04}{suffix}"
    split = {"camera_angle_x": 0.69, "frames": content["frames"]}
    rewrite(
        tmp_path, content | {"aabb_scale": 4} if blender_nerf else split, "transforms_train.json"
    )
    rewrite(tmp_path, split, "transforms_test.json")
    capture = open_capture(tmp_path)
    assert capture.names == tuple(f"train/{index:04}.png" for index in range(COUNT))
    assert capture.folder == tmp_path
    assert capture.held_out is None
    assert f"{COUNT} of {COUNT} views of transforms_test.json are those" in capture.notes[0]
    capture = open_capture(tmp_path / "transforms_train.json")
    assert "not those of transforms_test.json" in capture.notes[0]
    assert "Only the views of transforms_train.json" in capture.notes[0]
    (tmp_path / "transforms_train.json").rename(tmp_path / "transforms_val.json")
    with pytest.raises(CaptureError, match=r"but transforms_test.json, transforms_val.json: name"):
        open_capture(tmp_path)
    assert len(open_capture(tmp_path / "transforms_val.json")) == COUNT
    if not blender_nerf:
        assert capture.intrinsics[0].fx == pytest.approx(12 / np.tan(0.345))


# ---------------------------------------------------------------- what the file says


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"camera_angle_x": 51.28}, "the camera_angle_x 51.28.*looks like degrees.*0.895"),
        ({"camera_angle_y": 40.0}, "the camera_angle_y 40.*looks like degrees"),
        ({"camera_angle_x": -1.0}, "the camera_angle_x -1, which is no angle of view"),
        ({"camera_angle_x": 0.0}, "the camera_angle_x 0, which is no angle of view"),
        ({"camera_angle_x": 400.0}, "the camera_angle_x 400, which is no angle of view"),
        ({"x_fov": 0.895}, "the x_fov 0.895, which looks like radians: write 51.2797, as x_fov is"),
        ({"y_fov": 3.1}, "the y_fov 3.1, which looks like radians.*or camera_angle_y.* give fl_y"),
        ({"fl_x": 1.1}, "the fl_x 1.1, which is no focal length in pixels of an image of 24"),
        ({"fl_x": 2.1}, "the fl_x 2.1, which is no focal length in pixels of an image of 24"),
        ({"fl_x": 20.0, "cx": 0.5, "cy": 0.5}, "cx 0.5 and the cy 0.5, which is no centre in pix"),
        ({"fl_x": 40.0, "cx": 24.0, "cy": 16.0}, "but it is 24x16: they look like .* of 48x32; wr"),
        ({"fl_x": 40.0, "cx": 99.0, "cy": 66.0}, "but it is 24x16: they look like .* of 198x132"),
        ({"fl_x": 20.0, "cx": 6.0, "cy": 4.0}, "but it is 24x16: they look like .* of 12x8; write"),
        ({"fl_x": 20.0, "cx": 99.0, "cy": 8.0}, "cx 99 and the cy 8, .* not inside it: correct"),
        ({"fl_x": 20.0, "cx": 0.0, "cy": 0.0}, "cx 0 and the cy 0, .* not inside it: correct them"),
        ({"fl_x": 20.0, "cx": -3.0}, "the cx -3 and the cy 8, but it is 24x16, and they are not"),
        ({"x_fov": 190.0}, "the x_fov 190, which is no angle of view"),
        ({"fl_x": 0.0}, "the fl_x 0, which is no focal length"),
        ({"fl_y": float("nan")}, "the fl_y nan, which is no focal length"),
        ({}, "does not say the focal length"),
    ],
)
def test_capture_fov_degrees_names_the_field_that_the_file_has(tmp_path, fields, words):
    content = capture_folder(tmp_path)
    rewrite(tmp_path, fields | {"frames": content["frames"]})
    with pytest.raises(CaptureError, match=words) as caught:
        open_capture(tmp_path)
    assert ("like degrees" in str(caught.value)) == ("like degrees" in words)


@pytest.mark.parametrize("seen", [0, 2, 3])
def test_images_that_are_transparent_everywhere_are_refused_where_too_few_others_are(
    tmp_path, seen
):
    capture_folder(tmp_path, alpha=np.zeros((16, 24), np.uint8))
    for index in range(seen):
        Image.new("RGB", (24, 16)).save(tmp_path / f"images/{index:04}.png")
    capture = open_capture(tmp_path)
    if seen == 3:
        assert len(readable(capture)) == COUNT
        return
    words = f"{COUNT - seen} images that are transparent everywhere, such as images/000{seen}.png"
    with pytest.raises(CaptureError, match=words):
        readable(capture)


@pytest.mark.parametrize(("cx", "cy"), [(12.0, 8.0), (9.5, 9.0), (15.0, 10.0), (16.0, 6.0)])
def test_centres_of_shifted_lenses_and_crops_are_taken(tmp_path, cx, cy):
    content = capture_folder(tmp_path)
    rewrite(tmp_path, {"fl_x": 30.0, "cx": cx, "cy": cy, "frames": content["frames"]})
    camera = open_capture(tmp_path).intrinsics[0]
    assert (camera.cx, camera.cy) == (cx, cy)


def test_frames_that_stand_in_the_file_twice_count_once(tmp_path):
    content = capture_folder(tmp_path)
    rewrite(tmp_path, content | {"frames": [*content["frames"], *content["frames"][3:5]]})
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT
    (note,) = capture.notes
    assert note.startswith("2 of 14 images are named again (images/0003.png, images/0004.png)")


@pytest.mark.parametrize("side", [16, 24])
def test_capture_exif_square_gets_the_note_on_turned_photos(tmp_path, side):
    content = capture_folder(tmp_path)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for frame in content["frames"][:3]:
        image = Image.open(tmp_path / frame["file_path"]).copy()
        frame["file_path"] = frame["file_path"].replace(".png", ".jpg")
        image.save(tmp_path / frame["file_path"], exif=exif)
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    assert "3 photos, such as 0000.jpg, are only marked to be shown turned" in capture.notes[0]
