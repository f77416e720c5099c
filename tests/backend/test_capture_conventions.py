"""Poses that look sound in several conventions: where the cameras look does not tell, the pictures
do; and where these do not either, all that is possible is named.
"""

import json

import numpy as np
import pytest

from backend.captures.conventions.axes import AXES, Suspicion, suspected, to_opengl
from backend.captures.conventions.picture_evidence import PictureEvidence
from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics
from backend.captures.transforms import NewView, open_capture, write_capture
from backend.captures.views import Pixels
from tests.backend.capture_worlds import (
    TexturedRoom,
    as_other_programs_write,
    look_at,
    orbit,
    views_of_noise,
)

CAMERA = Intrinsics(50.0, 50.0, 24.0, 18.0, 48, 36)
COUNT = 8


def narrow_arc(seed=0):
    """Hand-held cameras, turned a little about their axes, over 35 degrees around a corner, from
    the first of which the world is measured, as phones do.
    """
    rng = np.random.default_rng(seed)
    poses = []
    for angle in np.linspace(0.5, 1.1, COUNT):
        place = (1 + 2.5 * np.cos(angle), 1 + 2.5 * np.sin(angle), rng.uniform(1.2, 2.2))
        up = rng.normal(size=3) * 0.05 + (0, 0, 1)
        poses.append(look_at(place, rng.normal(size=3) * 0.1 + (0.3, 0.3, 0.5), up))
    return np.array(poses)


def write(folder, views, matrices):
    """A capture whose description has matrices that may be of any convention."""
    path = write_capture(folder, views)
    content = json.loads(path.read_text("utf-8"))
    for frame, matrix in zip(content["frames"], matrices, strict=True):
        frame["transform_matrix"] = matrix.tolist()
    path.write_text(json.dumps(content), "utf-8")


def views_of_a_room(poses, alpha=None):
    room = TexturedRoom()
    for number, pose in enumerate(poses):
        yield NewView(f"{number:04}", Pixels(room.render(CAMERA, pose)[0], alpha), CAMERA, pose)


def words_on(folder):
    """The notes of a capture, or why it is refused, as such cameras may see nothing together."""
    try:
        return list(open_capture(folder).notes)
    except CaptureError as error:
        return [str(error)]


@pytest.mark.parametrize("alpha", [None, np.full((36, 48), 200, np.uint8)])
@pytest.mark.parametrize("axes", AXES)
def test_of_conventions_that_all_look_sound_the_pictures_tell(tmp_path, axes, alpha):
    """World-to-camera poses of a narrow arc, PyTorch3D's axes beside OpenCV's, Unity's world."""
    seen = narrow_arc()
    poses = np.linalg.inv(seen[0]) @ seen  # the world is that of the first camera
    write(tmp_path, views_of_a_room(seen, alpha), as_other_programs_write(poses, axes))
    words = words_on(tmp_path)
    if axes == "opengl":
        assert words == []
    else:
        assert words[0].endswith(f"if they should, give --axes {axes}.")
        assert "nor the pictures" not in words[0]
        taken = open_capture(tmp_path, axes=axes)
        assert taken.notes == ()
        np.testing.assert_allclose(taken.camera_to_world, poses, atol=1e-12)


@pytest.mark.parametrize("axes", AXES[1:])
@pytest.mark.parametrize("stray", [1, 3])
def test_a_camera_far_out_does_not_hide_the_convention(tmp_path, axes, stray):
    """Its picture agrees with none of the others', whichever of them it is compared with."""
    poses = narrow_arc()
    views = list(views_of_a_room(poses))
    poses[stray, :3, 3] *= 1000
    write(tmp_path, views, as_other_programs_write(poses, axes))
    assert words_on(tmp_path)[-1].endswith(f"if they should, give --axes {axes}.")


def test_inverted_poses_of_a_narrow_arc_look_as_sound_as_the_right_ones():
    """Why pictures are asked at all."""
    poses = np.linalg.inv(narrow_arc(2)[0]) @ narrow_arc(2)
    for matrices in (poses, np.linalg.inv(poses)):
        found = suspected(matrices, lambda _: 1.0)
        assert set(found.likely) == {"opengl", "opengl-w2c"}


@pytest.mark.parametrize("axes", ["opengl", "opengl-w2c"])
def test_where_pictures_do_not_tell_both_are_said_to_be_possible(tmp_path, axes):
    poses = np.linalg.inv(narrow_arc(2)[0]) @ narrow_arc(2)
    grey = [
        NewView(view.name, Pixels(np.full_like(view.pixels.image, 99)), view.intrinsics, pose)
        for view, pose in zip(views_of_noise(poses), poses, strict=True)
    ]
    write(tmp_path, grey, as_other_programs_write(poses, axes))
    (note,) = words_on(tmp_path)
    assert note.startswith("The poses look sound as they are, and as much so read as world-to-cam")
    assert "neither they nor the pictures tell apart" in note
    assert note.endswith("if the scene does not become sharp, give --axes opengl-w2c.")


def test_what_is_up_tells_opencv_from_pytorch3d_in_a_world_whose_z_is_up():
    upright = narrow_arc()
    for axes in ("opencv", "pytorch3d"):
        written = as_other_programs_write(upright, axes)
        assert suspected(written, lambda _: 1.0) == Suspicion((axes,))
    y_up = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]) @ upright
    found = suspected(as_other_programs_write(y_up, "pytorch3d"), lambda _: 1.0)
    assert set(found.likely) == {"opencv", "pytorch3d", "unity"}
    assert "give --axes " in str(found)
    assert all(axes in str(found) for axes in found.likely)


def test_photos_that_look_outwards_are_no_suspicion_where_their_pictures_agree(tmp_path):
    """The axes of cameras in the middle of a room meet behind all of them."""
    room = TexturedRoom()
    room.EXTENT = 1.7
    middle = np.array([1.5, 1.5, 1.5])
    poses = []
    for angle in np.radians(np.linspace(180, 270, 10)):
        ahead = np.array([np.cos(angle), np.sin(angle), -0.15])
        poses.append(look_at(middle + 0.4 * ahead, middle + 2 * ahead))
    views = [
        NewView(f"{number:04}", Pixels(room.render(CAMERA, pose)[0]), CAMERA, pose)
        for number, pose in enumerate(poses)
    ]
    assert suspected(np.array(poses)) is not None
    write(tmp_path, views, poses)
    assert words_on(tmp_path) == []


def test_unitys_world_comes_out_with_its_z_negated():
    poses = narrow_arc()
    written = as_other_programs_write(poses, "unity")
    assert np.allclose(np.linalg.det(written[:, :3, :3]), 1)
    np.testing.assert_allclose(written[:, :3, 3], poses[:, :3, 3] * (1, 1, -1))
    np.testing.assert_allclose(to_opengl(written, "unity"), poses, atol=1e-12)


def test_poses_with_opengls_axes_keep_their_bits():
    """A field is known again by the bits of its capture's poses, zeros with a sign among them."""
    poses = np.tile(np.eye(4), (2, 1, 1))
    poses[1, 2, 0] = -0.0
    assert to_opengl(poses, "opengl").tobytes() == poses.tobytes()


def test_damaged_and_tiny_pictures_are_no_evidence(tmp_path):
    poses = narrow_arc()
    path = write_capture(tmp_path, views_of_noise(poses, width=1, height=1))
    capture = open_capture(path)
    assert PictureEvidence(capture.views, poses).disagreement(poses) == 1.0
    for view in capture.views:
        view.image.write_bytes(view.image.read_bytes()[:40])
    assert PictureEvidence(capture.views, poses).disagreement(poses) == 1.0


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("opengl", "opencv"),
        ("opengl", "opencv-w2c"),
        ("opencv", "opencv-w2c"),
        ("opencv-w2c", "opengl-w2c"),
        ("opengl-transposed", "opengl-w2c"),
    ],
)
def test_a_wrong_convention_that_is_given_is_not_believed_without_a_word(tmp_path, written, said):
    poses = narrow_arc()
    write(tmp_path, views_of_a_room(poses), as_other_programs_write(poses, written))
    told = [
        note for note in open_or_refuse(tmp_path, said) if f"are read with --axes {said}" in note
    ]
    assert len(told) == 1
    instead = "leave it out" if written == "opengl" else f"give --axes {written}"
    assert instead in told[0]


def open_or_refuse(folder, axes):
    try:
        return list(open_capture(folder, axes=axes).notes)
    except CaptureError as error:
        return [str(error)]


@pytest.mark.parametrize(("count", "far"), [(12, 7), (12, 9), (25, 19)])
def test_more_than_half_of_the_cameras_far_out_get_a_note(tmp_path, count, far):
    """Which of them are right nobody can say."""
    poses = orbit(count, target=(1, 2, 0))
    poses[:far, :3, 3] *= 1000
    write(tmp_path, views_of_noise(poses), poses)
    (note,) = (note for note in words_on(tmp_path) if "more than 30 times" in note)
    assert note.startswith(f"{far} of {count} cameras")
    assert f"the other {count - far}," in note
    write(tmp_path / "sound", views_of_noise(orbit(count)), orbit(count))
    assert open_capture(tmp_path / "sound").notes == ()
