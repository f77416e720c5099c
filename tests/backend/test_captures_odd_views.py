"""Captures with a few views that are unlike the others (entry 10 of what broke at the borders):
each is named, and left out where it cannot be used, while enough remain.
"""

import numpy as np
import pytest
from PIL import ExifTags, Image

from backend.captures.conventions.axes import turned_round
from backend.captures.error import CaptureError
from backend.captures.transforms import open_capture, readable
from tests.backend.capture_worlds import look_at, orbit
from tests.backend.test_captures_from_elsewhere import (
    COUNT,
    ROW,
    Y_AND_Z,
    capture_folder,
    rewrite,
    spiral,
)

DEPTH = np.full((16, 24), 4.0, np.float32)


def with_turned(folder, turned):
    """A capture some of whose cameras have their y and z axes flipped; the names of these."""
    content = capture_folder(folder)
    for index in turned:
        frame = content["frames"][index]
        frame["transform_matrix"] = (np.array(frame["transform_matrix"]) @ Y_AND_Z).tolist()
    rewrite(folder, content)
    return [content["frames"][index]["file_path"] for index in turned]


@pytest.mark.parametrize("turned", [[2, 3], [0, 1, 2, 3, 4], [7, 8, 9]])
def test_cameras_that_look_away_from_the_others_are_named(tmp_path, turned):
    names = with_turned(tmp_path, turned)
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT
    (note,) = capture.notes
    assert note.startswith(f"{len(turned)} of {COUNT} cameras look away from what the others")
    assert f": {', '.join(names)};" in note


@pytest.mark.parametrize("turned", [[5], [2, 6]])
def test_a_few_views_that_share_nothing_with_the_others_are_left_out(tmp_path, turned):
    names = with_turned(tmp_path, turned)
    capture = open_capture(tmp_path)
    assert len(capture) == len(capture.intrinsics) == len(capture.views) == COUNT - len(turned)
    assert not set(names) & set(capture.names)
    kept = np.delete(orbit(COUNT), turned, axis=0)
    np.testing.assert_allclose(capture.camera_to_world, kept, atol=1e-12)
    (note,) = capture.notes
    assert f"{len(turned)} of {COUNT} views" in note
    assert all(f"Nothing that {name} can see is in any other view." in note for name in names)


@pytest.mark.parametrize("unknown", [[5], [0, 2, 4, 6, 8]])
@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "is not known"), (np.inf, "holds values that are not finite numbers")],
)
def test_views_whose_poses_are_not_known_are_left_out(tmp_path, unknown, value, words):
    content = capture_folder(tmp_path)
    for index in unknown:
        content["frames"][index]["transform_matrix"] = np.full((4, 4), value).tolist()
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    np.testing.assert_allclose(capture.camera_to_world, np.delete(orbit(COUNT), unknown, axis=0))
    (note,) = capture.notes
    assert note.startswith(f"{len(unknown)} of {COUNT} views")
    for index in unknown:
        assert f"images/{index:04}.png {words}." in note


@pytest.mark.parametrize("given", [None, "none", [], [[None] * 4] * 4])
def test_views_whose_poses_are_not_given_are_left_out(tmp_path, given):
    content = capture_folder(tmp_path)
    for index in (1, 4):
        content["frames"][index]["transform_matrix"] = given
        if given == "none":
            del content["frames"][index]["transform_matrix"]
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    np.testing.assert_allclose(capture.camera_to_world, np.delete(orbit(COUNT), [1, 4], axis=0))
    (note,) = capture.notes
    for index in (1, 4):
        assert f"The camera pose of images/{index:04}.png is not known." in note
    for frame in content["frames"]:
        frame["transform_matrix"] = None
    rewrite(tmp_path, content)
    with pytest.raises(CaptureError, match=r"gives no camera poses \(transform_matrix\)"):
        open_capture(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (np.diag([1.0, 1, -1, 1]), "is mirrored"),
        (np.diag([2.0, 2, 2, 1]), "has a scale"),
    ],
)
def test_a_few_poses_that_are_no_poses_are_left_out_and_many_refused(tmp_path, change, words):
    content = capture_folder(tmp_path)
    frames = content["frames"]
    for index in (3, 7):
        frames[index]["transform_matrix"] = (orbit(COUNT)[index] @ change).tolist()
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT - 2
    assert capture.notes[0].count(words) == 2
    frames[0]["transform_matrix"] = (orbit(COUNT)[0] @ change).tolist()
    rewrite(tmp_path, content)
    with pytest.raises(CaptureError, match=rf"the camera pose of images/0000.png {words}"):
        open_capture(tmp_path)


def test_cameras_whose_place_nobody_gave_are_named(tmp_path):
    content = capture_folder(tmp_path)
    for index in (2, 9):
        content["frames"][index]["transform_matrix"] = np.eye(4).tolist()
    rewrite(tmp_path, content)
    assert any(
        note.startswith(f"2 of {COUNT} cameras stand at the world's origin")
        and "images/0002.png, images/0009.png" in note
        for note in open_capture(tmp_path).notes
    )


def test_cameras_that_stand_where_others_do_are_named(tmp_path):
    """A burst: the held-out one of it came out at 43 dB, and the scene from elsewhere at 22."""
    content = capture_folder(tmp_path)
    frames = content["frames"]
    frames[4]["transform_matrix"] = frames[3]["transform_matrix"]
    frames[5]["transform_matrix"] = np.array(frames[3]["transform_matrix"]).round(7).tolist()
    rewrite(tmp_path, content)
    three, four = (frames[index]["file_path"] for index in (3, 4))
    assert open_capture(tmp_path).notes == (
        f"2 of {COUNT} cameras are those of others, such as that of {four} that of {three}: they "
        "show nothing new, and a held-out one does not tell how new places look.",
    )
    moved = np.array(frames[3]["transform_matrix"])
    moved[:3, 3] += 1e-3
    frames[5]["transform_matrix"] = moved.tolist()
    rewrite(tmp_path, content)
    (note,) = open_capture(tmp_path).notes
    assert note.startswith(f"The camera of {four} is that of {three}: it shows nothing new, and")


def test_many_views_that_share_nothing_speak_against_all_poses(tmp_path):
    with_turned(tmp_path, [1, 5, 9])
    with pytest.raises(CaptureError, match=r"images/0001.png can see .*: correct its pose, or"):
        open_capture(tmp_path)


def test_sound_captures_have_no_camera_that_looks_away():
    outwards = np.array([look_at(p[:3, 3], 2 * p[:3, 3]) for p in orbit(COUNT)])
    for poses in (orbit(3), orbit(COUNT), spiral(20), ROW, outwards):
        assert not turned_round(poses).any()


# ---------------------------------------------------------------- depth


@pytest.mark.parametrize("index", range(3))
def test_a_depth_image_that_is_damaged_inside_is_left_out_when_it_is_read(tmp_path, index):
    content = capture_folder(tmp_path, depth=DEPTH)
    noise = np.random.default_rng(0).integers(3000, 5000, (160, 240)).astype(np.uint16)
    Image.fromarray(noise).save(tmp_path / "d.png")
    whole = (tmp_path / "d.png").read_bytes()
    (tmp_path / "d.png").write_bytes(whole[: len(whole) // 2])
    content["frames"][index]["depth_file_path"] = "d.png"
    rewrite(tmp_path, content)
    capture = readable(open_capture(tmp_path))
    assert [view.depth is None for view in capture.views] == [k == index for k in range(COUNT)]
    (note,) = capture.notes
    assert note.startswith("1 of 12 depth images is left out: ")
    assert "d.png cannot be read as a depth image: image file is truncated" in note
    assert readable(capture).notes == capture.notes


@pytest.mark.parametrize(("times", "words"), [(1000, "1000 times too large"), (1e-3, "too small")])
@pytest.mark.parametrize("poses", [orbit(COUNT), ROW])
def test_one_depth_image_in_another_unit_than_the_others_is_left_out(tmp_path, poses, times, words):
    content = capture_folder(tmp_path, poses, depth=DEPTH)
    np.save(tmp_path / content["frames"][4]["depth_file_path"], DEPTH * np.float32(times))
    capture = readable(open_capture(tmp_path))
    assert [view.depth is None for view in capture.views] == [k == 4 for k in range(len(poses))]
    assert capture.notes[0].startswith(f"1 of {len(poses)} depth images is left out: ")
    assert "images/0004.png" in capture.notes[0]
    assert words in capture.notes[0]


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "written",
    [
        r"D:\work\shots\{}",
        r"D:\{}",
        r"D:images\{}",
        r"\Users\me\images\{}",
        r"\\?\C:\Users\me\data\images\{}",
        "file:///C:/Users/me/data/images/{}",
        "/home/somebody/shots/{}",
        r"..\scan\images\{}",
        "../scan/images/{}",
        "data/scan/images/{}",
    ],
)
def test_capture_names_of_other_folders_are_found(tmp_path, written):
    content = capture_folder(tmp_path / "here", depth=DEPTH)
    for index, frame in enumerate(content["frames"]):
        frame["file_path"] = written.format(f"{index:04}.png")
        frame["depth_file_path"] = written.format(f"{index:04}.npy").replace("images", "depth")
    rewrite(tmp_path / "here", content)
    capture = open_capture(tmp_path / "here")
    assert [view.image.name for view in capture.views] == [f"{k:04}.png" for k in range(COUNT)]
    assert [view.depth.name for view in capture.views] == [f"{k:04}.npy" for k in range(COUNT)]
    (note,) = capture.notes
    assert "by paths that do not exist here" in note


@pytest.mark.parametrize(
    "written", ["images/{}", r"C:\data\images\{}", "/", "\\", "..", ".", "C:", "C:/"]
)
def test_a_file_of_the_same_name_in_another_folder_is_not_the_missing_one(tmp_path, written):
    content = capture_folder(tmp_path)
    (tmp_path / "depth").mkdir()
    (tmp_path / "images/0003.png").rename(tmp_path / "depth/0003.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/0003.png").write_bytes((tmp_path / "images/0004.png").read_bytes())
    content["frames"][3]["file_path"] = written.format("0003.png")
    rewrite(tmp_path, content)
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT - 1
    assert capture.notes[0].startswith("1 of 12 images is left out: ")


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_photos_on_their_side_are_turned_to_suit_cameras_of_upright_ones(tmp_path, orientation):
    """As where a program turned what it had read, and the photos stayed as they were."""
    content = capture_folder(tmp_path)
    before = open_capture(tmp_path)
    images = [before.read(index).image for index in range(COUNT)]
    lying = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90}
    lying |= {7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    (tmp_path / "masks").mkdir()
    for frame in content["frames"]:
        file = tmp_path / frame["file_path"]
        Image.open(file).transpose(lying[orientation]).save(file, exif=exif)
    Image.new("L", (24, 16), 255).save(tmp_path / "masks/0000.png")
    np.save(tmp_path / "0000.npy", np.full((16, 24), 4.0, np.float32))
    content["frames"][0]["depth_file_path"] = "0000.npy"
    rewrite(tmp_path, content)
    capture = readable(open_capture(tmp_path))
    for index in range(COUNT):
        pixels = capture.read(index)
        np.testing.assert_array_equal(pixels.image, images[index])
    assert capture.intrinsics == before.intrinsics
    assert capture.read(0).depth is not None
    assert f"{COUNT} of {COUNT} photos, such as" in capture.notes[0]
    assert "are turned upright" in capture.notes[0]
    Image.new("RGB", (16, 25)).save(tmp_path / content["frames"][0]["file_path"], exif=exif)
    with pytest.raises(CaptureError, match="is 24x16, but it is 16x25"):
        open_capture(tmp_path)
