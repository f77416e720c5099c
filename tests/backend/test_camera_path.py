"""Camera paths, and `python -m backend scene render`."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import ExifTags, Image
from scipy.spatial.transform import Rotation

from backend.captures.box import focus_point
from backend.captures.capture import Capture, CaptureError
from backend.captures.transforms import open_capture
from backend.captures.up import up_of, upward
from backend.commands import render as render_command
from backend.commands.render import Render
from backend.pictures.reading import turned_pixels
from backend.scenes.camera_path import (
    arc_note,
    orbit,
    read_path,
    smooth,
    thinned,
    through,
    unseen_note,
)
from backend.work_lock import LOCK_FILE

from .capture_worlds import look_at
from .solid_scene import make_solid
from .test_capture_commands import scene
from .tiny_capture import orbit_capture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene") / "capture"
    orbit_capture(folder, 9, 24)
    return folder


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 9, 24)[0]


def turned(capture: Capture, turn: np.ndarray, shift: np.ndarray) -> Capture:
    """The capture in other coordinates."""
    there = np.eye(4)
    there[:3, :3], there[:3, 3] = turn, shift
    return replace(capture, camera_to_world=there @ capture.camera_to_world)


# paths


def test_an_orbit_goes_once_round_what_is_looked_at(capture: Capture) -> None:
    turn = Rotation.from_rotvec([0.4, -1.0, 0.3]).as_matrix()
    shift = np.array([30.0, -4, 7])
    target = turn @ (0.3, 0.15, 0.4) + shift
    cameras = orbit(turned(capture, turn, shift), 8)
    places = np.array([camera.pose[:3, 3] for camera in cameras]) - target
    up = turn @ (0.0, 0.0, 1.0)
    height, radius = places @ up, np.linalg.norm(np.cross(places, up), axis=1)
    np.testing.assert_allclose(height, 4 * math.sin(0.55), atol=0.05)
    np.testing.assert_allclose(radius, 4 * math.cos(0.55), atol=0.05)
    for camera, place in zip(cameras, places, strict=True):
        pose = camera.pose[:3, :3]
        np.testing.assert_allclose(pose.T @ pose, np.eye(3), atol=1e-9)
        np.testing.assert_allclose(pose[:, 2], place / np.linalg.norm(place), atol=1e-3)
        assert pose[:, 1] @ up > 0.7
        assert (camera.intrinsics.cx, camera.intrinsics.width) == (12.0, 24)
    steps = np.linalg.norm(np.diff(places, axis=0, append=places[:1]), axis=1)
    np.testing.assert_allclose(steps, steps[0])


@pytest.mark.parametrize(("first", "extent"), [(0, 60), (150, 100), (300, 200)])
@pytest.mark.parametrize("count", [8, 40])
def test_an_orbit_stays_where_cameras_were_and_says_so(capture, first, extent, count) -> None:
    """A face photographed from the front: from behind nothing is known."""
    angles = np.radians(first + np.linspace(0, extent, count))
    places = [(4 * np.cos(a), 4 * np.sin(a), 1 + 0.2 * np.sin(9 * a)) for a in angles]
    indices = [index % len(capture) for index in range(count)]
    poses = np.array([look_at(place, (0, 0, 0)) for place in places])
    part = replace(capture.subset(indices), camera_to_world=poses)
    cameras = orbit(part, 24)
    # seen along the mean of the cameras' own ups, which lean a little in the middle of the arc
    found = np.unwrap([math.atan2(camera.pose[1, 3], camera.pose[0, 3]) for camera in cameras])
    begin, end = np.radians([first, first + extent])
    found += 2 * math.pi * round((begin - found[0]) / (2 * math.pi))
    assert found.min() > begin - 0.15
    assert found.max() < end + 0.15
    assert found.max() - found.min() > 0.8 * (end - begin)
    assert abs(found[-1] - found[0]) < 0.1  # it ends where it begins
    (note,) = arc_note(part)
    said = float(note.partition(" degrees")[0].rpartition(" ")[2])
    assert said == pytest.approx(extent, abs=12)
    assert arc_note(capture) == []


@pytest.mark.parametrize("orientation", [6, 8, None])
def test_an_orbit_of_photos_that_lie_on_their_side_goes_round_what_stands(
    tmp_path: Path, orientation: int | None
) -> None:
    """Portraits as phones store them; of all cameras' own ups, which go round, nothing is left."""
    capture, _ = orbit_capture(tmp_path, 9, 24)
    expected = orbit(capture, 1)[0].pose
    roll = np.eye(4)
    roll[:3, :3] = Rotation.from_euler(
        "z", -90 if orientation == 6 else 90, degrees=True
    ).as_matrix()
    lying = replace(capture, camera_to_world=capture.camera_to_world @ roll)
    for view in capture.views if orientation else ():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        Image.open(view.image).save(view.image, exif=exif)
    assert arc_note(lying) == []
    for seen in orbit(lying, 6):
        np.testing.assert_allclose(seen.pose[2], expected[2], atol=1e-6)  # height, and what is up
        radius = np.linalg.norm(seen.pose[:2, 3] - (0.3, 0.15))
        assert radius == pytest.approx(4 * math.cos(0.55), abs=0.05)
    np.testing.assert_allclose(up_of(lying), (0, 0, 1), atol=1e-6)
    if orientation is not None:  # else nothing says how each of them lies
        for along, pose in zip(through(lying, 9), capture.camera_to_world, strict=True):
            np.testing.assert_allclose(along.pose[2, :3], pose[2, :3], atol=0.02)
        wide = replace(lying, intrinsics=tuple(one.resized(24, 16) for one in lying.intrinsics))
        for path in (orbit(wide, 2), through(wide, 2)):
            assert (path[0].intrinsics.width, path[0].intrinsics.height) == (16, 24)


@pytest.mark.parametrize("extent", [40, 180, 360])
@pytest.mark.parametrize("height", [-2.0, 0.0, 2.0, 12.0])
def test_upright_photos_from_anywhere_are_not_taken_for_lying_ones(
    extent: int, height: float
) -> None:
    angles = np.radians(np.linspace(0, extent, 12, endpoint=False))
    places = [(4 * np.cos(a), 4 * np.sin(a), height + np.sin(5 * a)) for a in angles]
    upright = np.array([look_at(place, (0, 0, 0)) for place in places])
    found = upward(upright, [1] * 12)
    mean = upright[:, :3, 1].mean(axis=0)
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean), atol=1e-9)
    roll = np.eye(4)
    roll[:2, :2] = [[0, 1], [-1, 0]]
    if extent >= 180 and height == 2:  # where that shows
        lying = upward(upright @ roll, [1] * 12)
        np.testing.assert_allclose(lying, found, atol=1e-9)


def test_photos_of_every_way_up_have_no_orbit(capture: Capture) -> None:
    poses = capture.camera_to_world[:8].copy()
    for index in range(8):  # looking down, from one place to another, and turned
        poses[index] = look_at((math.cos(index), math.sin(index), 9), (0, 0, 0), (0, 1, 0))
    poses[4:] = poses[:4] @ np.diag([-1.0, -1, 1, 1])
    part = replace(capture.subset(range(8)), camera_to_world=poses)
    with pytest.raises(CaptureError, match="taken every way up"):
        orbit(part, 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_up_in_a_picture_is_what_is_shown_above(orientation: int) -> None:
    found = upward(np.eye(4)[None], [orientation])
    assert found is not None
    right, up, back = found.astype(int)
    assert [right, up, back] == found.tolist()
    stored = np.zeros((3, 3), np.uint8)
    stored[1 - up, 1 + right] = 1
    shown = stored if orientation == 1 else turned_pixels(stored, orientation)
    assert shown.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert back == 0


def test_a_path_where_no_photo_was_taken_says_so(capture: Capture) -> None:
    half = [index for index in range(9) if capture.camera_to_world[index, 0, 3] > 0]
    assert unseen_note(capture, orbit(capture, 12)) == []
    (note,) = unseen_note(capture.subset(half), orbit(capture, 12))
    assert "of 12 cameras of the path stand more than 45 degrees aside" in note
    middle = focus_point(capture.camera_to_world)
    for place in ((-4, 0, 2), middle):  # behind, and inside of what they show
        pose = look_at(place, (0, 0, 0.1))
        alone = [replace(orbit(capture, 1)[0], pose=pose)]
        (note,) = unseen_note(capture.subset(half), alone)
        assert note.startswith("The camera stands more than 45 degrees aside of every photo")


@pytest.mark.parametrize("apart", [False, True])
def test_a_path_from_one_side_to_another_says_where_no_photo_was_taken(capture, apart) -> None:
    """The way between two sides goes past places that no photo shows."""
    angles = np.radians([0, 20, 40, 200, 220, 240] if apart else [0, 20, 40, 60, 80, 100])
    poses = [look_at((4 * np.cos(a), 4 * np.sin(a), 1 + 0.2 * a), (0, 0, 0)) for a in angles]
    part = replace(capture.subset(range(6)), camera_to_world=np.array(poses))
    notes = Render(folder=Path(), out=Path(), path="through")._notes(
        SimpleNamespace(capture=part),  # type: ignore[arg-type]
        through(part, 48),
    )
    assert len(notes) == apart


def test_cameras_that_look_outwards_have_no_orbit(capture: Capture) -> None:
    poses = np.array([look_at((0.1 * x, 0, 0), (0.1 * x, 5, 0)) for x in range(9)])
    with pytest.raises(CaptureError, match="do not look at one place"):
        orbit(replace(capture, camera_to_world=poses), 4)


def test_a_path_through_the_cameras_meets_them_and_is_smooth(capture: Capture) -> None:
    frames = 400
    cameras = through(capture, frames)
    places = np.array([camera.pose[:3, 3] for camera in cameras])
    for pose in capture.camera_to_world:
        nearest = np.linalg.norm(places - pose[:3, 3], axis=1).argmin()
        np.testing.assert_allclose(cameras[nearest].pose, pose, atol=0.06)
    np.testing.assert_allclose(cameras[0].pose, capture.camera_to_world[0], atol=1e-6)
    np.testing.assert_allclose(cameras[-1].pose, capture.camera_to_world[-1], atol=1e-6)
    steps = np.diff(places, axis=0)
    bends = np.linalg.norm(np.diff(steps, axis=0), axis=1)
    assert bends.max() < 0.1 * np.linalg.norm(steps, axis=1).max(), "no corners"
    turns = Rotation.from_matrix([camera.pose[:3, :3] for camera in cameras])
    speed = (turns[:-1].inv() * turns[1:]).magnitude()
    assert np.abs(np.diff(speed)).max() < 0.1 * speed.max()


def test_cameras_on_one_spot_are_passed(capture: Capture) -> None:
    twice = capture.camera_to_world[[0, 0, 1, 1, 2]]
    found = smooth(twice, 30)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.linalg.det(found[:, :3, :3]), 1, atol=1e-9)


def nerfstudio_frame(capture: Capture) -> np.ndarray:
    """Capture to nerfstudio's coordinates, by the words of its documentation."""
    poses = capture.camera_to_world
    up = poses[:, :3, 1].mean(axis=0)
    up /= np.linalg.norm(up)
    axis = np.cross(up, (0.0, 0.0, 1.0))
    angle = math.atan2(np.linalg.norm(axis), up[2])
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()
    places = (poses[:, :3, 3] - poses[:, :3, 3].mean(axis=0)) @ turn.T
    there = np.eye(4)
    there[:3, :3] = turn
    there[:3, 3] = -turn @ poses[:, :3, 3].mean(axis=0)
    there[:3] /= np.abs(places).max()
    return there


def write_path(file: Path, poses: list[np.ndarray], **other: object) -> Path:
    """A camera path as nerfstudio's viewer writes it."""
    content = {
        "camera_type": "perspective",
        "render_height": 12.0,
        "render_width": 20.0,
        "fps": 30.0,
        "seconds": 1.0,
        "keyframes": [],
        "camera_path": [
            {"camera_to_world": pose.ravel().tolist(), "fov": 50.0, "aspect": 1.0} for pose in poses
        ],
    }
    file.write_text(json.dumps(content | other))
    return file


def in_nerfstudio(capture: Capture, index: int) -> np.ndarray:
    pose = nerfstudio_frame(capture) @ capture.camera_to_world[index]
    pose[:3, :3] /= np.cbrt(np.linalg.det(pose[:3, :3]))
    return pose


def test_a_path_of_nerfstudios_viewer_is_in_the_captures_coordinates(
    capture: Capture, tmp_path: Path
) -> None:
    moved = turned(capture, Rotation.from_rotvec([0.2, 1.4, 0.3]).as_matrix(), np.array([5, 6, 70]))
    file = write_path(tmp_path / "path.json", [in_nerfstudio(moved, k) for k in (0, 4, 7)])
    cameras, fps = read_path(file, moved)
    assert fps == 30
    for camera, index in zip(cameras, (0, 4, 7), strict=True):
        np.testing.assert_allclose(camera.pose, moved.camera_to_world[index], atol=1e-4)
        lens = camera.intrinsics
        assert (lens.width, lens.height, lens.cx, lens.cy) == (20, 12, 10.0, 6.0)
        assert 2 * math.degrees(math.atan(6 / lens.fy)) == pytest.approx(50)
        assert lens.fx == lens.fy


def test_a_path_is_turned_as_the_captures_description_says(folder: Path, tmp_path: Path) -> None:
    """As nerfstudio does of captures that it has taken over from Polycam and RealityCapture."""
    content = json.loads((folder / "transforms.json").read_text("utf-8"))
    shutil.copytree(folder, tmp_path / "capture")
    said = tmp_path / "capture" / "transforms.json"
    said.write_text(json.dumps(content | {"orientation_override": "none"}), "utf-8")
    capture = open_capture(tmp_path / "capture")
    places = capture.camera_to_world[:, :3, 3] - capture.camera_to_world[:, :3, 3].mean(axis=0)
    pose = capture.camera_to_world[4].copy()
    pose[:3, 3] = places[4] / np.abs(places).max()
    file = write_path(tmp_path / "path.json", [pose])
    np.testing.assert_allclose(
        read_path(file, capture)[0][0].pose, capture.camera_to_world[4], atol=1e-4
    )
    said.write_text(json.dumps(content | {"orientation_override": "sideways"}), "utf-8")
    with pytest.raises(CaptureError, match=r"turns it by sideways .* up, pca, vertical, none"):
        read_path(file, open_capture(tmp_path / "capture"))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"camera_type": "equirectangular"}, "equirectangular pictures"),
        ({"camera_path": []}, "no camera path"),
        ({"camera_path": [{"camera_to_world": [1.0] * 12, "fov": 50}]}, "camera 0 .* no 4x4"),
        ({"render_width": -3}, "no camera path"),
    ],
)
def test_other_files_are_refused_by_name(
    capture: Capture, tmp_path: Path, other: dict[str, object], words: str
) -> None:
    file = write_path(tmp_path / "path.json", [np.eye(4)], **other)
    with pytest.raises(CaptureError, match=rf"path\.json.*{words}"):
        read_path(file, capture)


def test_thinned_keeps_the_ends(capture: Capture) -> None:
    cameras = orbit(capture, 10)
    kept = thinned(cameras, 4)
    assert [id(camera) for camera in kept] == [id(cameras[k]) for k in (0, 3, 6, 9)]
    assert len(thinned(cameras, 50)) == 10


# the command


@pytest.fixture
def _solid(monkeypatch: pytest.MonkeyPatch) -> None:
    make_solid(monkeypatch)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


@pytest.mark.usefixtures("_solid")
@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_frames_and_an_animation_of_before_and_after(
    folder: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, before = tmp_path / "film", sorted({*folder.rglob("*")} - {folder / LOCK_FILE})
    asked = ("--edit", "blue", "--frames", 5, "--width", 48, "--fps", 10, "--format", ending)
    status, told = scene("render", folder, "--out", out, *asked)
    assert status == 0, capsys.readouterr().err
    assert told == [*(f"Frame {k} of 5" for k in range(1, 6)), "Written"]
    assert sorted({*folder.rglob("*")} - {folder / LOCK_FILE}) == before
    frames = sorted((out / "frames").iterdir())
    assert [path.name for path in frames] == [f"{k:04d}.png" for k in range(5)]
    for path in frames:
        shown = pixels(path).astype(int)
        assert shown.shape == (48, 96, 3)
        left, right = shown[:, :48], shown[:, 48:]
        blue = (right[..., 2] > right[..., 0] + 90) & (right[..., 2] > 150)
        assert blue.mean() > 0.02, "the edited scene is on the right"
        assert np.abs(right - left)[blue].mean() > 40
    with Image.open(out / f"render.{ending}") as film:
        assert film.n_frames == 5
        assert film.info["loop"] == 0
        for k in range(5):
            film.seek(k)
            film.load()
            assert film.info["duration"] == 100
            shown = np.asarray(film.convert("RGB")).astype(int)
            assert np.abs(shown - pixels(frames[k])).mean() < 8
    report = json.loads((out / "report.json").read_text())
    assert report["settings"]["path"] == "orbit"
    assert report["settings"]["frames"] == 5
    assert report["figures"]["width"] == 48


@pytest.mark.usefixtures("_solid")
@pytest.mark.parametrize("path", ["orbit", "through"])
def test_a_film_of_large_photos_is_smaller_where_no_width_is_asked_for(
    folder: Path, capture: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A phone's have 4,000 pixels, of which a film is rendered for hours."""
    own = capture.intrinsics[0].width
    ask = ("render", folder, "--path", path, "--frames", 2)
    for most, width in ((own, own), (own // 2, own // 2)):
        monkeypatch.setattr(render_command, "USUAL_WIDTH", most)
        out = tmp_path / f"film-{most}"
        assert scene(*ask, "--out", out)[0] == 0
        assert pixels(out / "frames/0000.png").shape[1] == width
    assert scene(*ask, "--out", tmp_path / "asked", "--width", own)[0] == 0
    assert pixels(tmp_path / "asked/frames/0000.png").shape[1] == own


@pytest.mark.usefixtures("_solid")
def test_a_file_says_size_and_speed(folder: Path, capture: Capture, tmp_path: Path) -> None:
    file = write_path(tmp_path / "path.json", [in_nerfstudio(capture, k) for k in (0, 1, 2, 3)])
    out = tmp_path / "film"
    assert scene("render", folder, "--out", out, "--path", file, "--frames", 2)[0] == 0
    frames = sorted((out / "frames").iterdir())
    assert len(frames) == 2
    assert pixels(frames[0]).shape == (12, 20, 3)
    with Image.open(out / "render.gif") as film:
        assert film.info["duration"] == 30  # a hundredth of a second is a GIF's finest step


@pytest.mark.usefixtures("_solid")
@pytest.mark.parametrize("moment", ["rendering", "animation"])
def test_an_interrupt_leaves_nothing(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    moment: str,
) -> None:
    def interrupted(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    name = "_frames" if moment == "rendering" else "write_animation"
    monkeypatch.setattr(render_command, name, interrupted)
    assert scene("render", folder, "--out", tmp_path / "film", "--frames", 2)[0] == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_solid")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--path", "spiral"], "There is no file spiral"),
        (["--frames", "1"], "--frames must be 2"),
        (["--fps", "0"], "--fps must be"),
        (["--width", "0"], "--width must be"),
        (["--edit", "red"], "no edit red"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert scene("render", folder, "--out", tmp_path / "film", *arguments)[0] == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
