"""`python -m backend scene import`: its words, its files and its exit status."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from backend.captures import photos
from backend.captures.transforms import open_capture, write_capture, write_transforms
from backend.command_line import command_in
from backend.commands import COMMANDS
from backend.errors import BadInput
from tests.backend.capture_worlds import TexturedRoom, look_at, orbit, views_of_noise
from tests.backend.test_capture_photos import CAMERA, room_poses


def scene(*arguments):
    """Run a scene command; the exit status and the progress that it told."""
    typed = ["scene", *map(str, arguments)]
    told = []
    try:
        command = command_in(COMMANDS, typed, "python -m backend")
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 1, told
    return command.run(typed, lambda words, share: told.append(words)), told


def test_a_capture_is_checked_whole_and_left_as_it_is(tmp_path, capsys):
    write_capture(tmp_path, views_of_noise(orbit(4)))
    before = sorted(tmp_path.rglob("*"))
    status, told = scene("import", tmp_path)
    assert status == 0
    assert told[-1] == "Checking view 4 of 4"
    assert "4 views can be used" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_image_is_left_out_and_two_of_four_are_told_in_one_line(tmp_path, capsys):
    write_capture(tmp_path, views_of_noise(orbit(4)))
    first, second = tmp_path / "images/0002.png", tmp_path / "images/0003.png"
    first.write_bytes(first.read_bytes()[:-60])
    status, _ = scene("import", tmp_path)
    said = capsys.readouterr().out
    assert status == 0
    assert f"note: 1 of 4 images is left out: {first} is damaged" in said
    assert "3 views can be used" in said
    second.write_bytes(first.read_bytes())
    status, _ = scene("import", tmp_path)
    error = capsys.readouterr().err
    assert status == 1
    assert "has 2 images that can be read" in error
    assert f"{first} is damaged" in error
    assert error.count("\n") == 1


def test_photos_become_a_capture_with_a_report(tmp_path, capsys):
    room = TexturedRoom()
    poses = room_poses()[::2]
    for index, pose in enumerate(poses):
        Image.fromarray(room.render(CAMERA, pose)[0]).save(tmp_path / f"{index}.png")
    status, told = scene("import", tmp_path, "--threads", 1)
    assert status == 0
    assert any("Placing" in words for words in told)
    assert f"wrote {tmp_path / 'transforms.json'} with 6 views" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["figures"]["registered"] == report["figures"]["photos"] == 6
    assert report["figures"]["unregistered"] == []
    assert report["settings"]["matching"] == "auto"
    assert set(report["seconds"]) == {"finding the cameras", "checking"}


def test_an_import_that_is_stopped_while_it_checks_says_that_the_cameras_are_kept(
    tmp_path, capsys, monkeypatch
):
    for index in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{index}.png")

    def found(folder, *_):
        path = write_capture(folder, views_of_noise(orbit(4)))
        return photos.ImportedPhotos(path, (), (), (), (), 0, 0.0)

    monkeypatch.setattr(photos, "import_photos", found)
    typed = ["scene", "import", str(tmp_path)]

    def stop(words, share):
        raise KeyboardInterrupt

    assert command_in(COMMANDS, typed, "python -m backend").run(typed, stop) == 130
    kept = f"{tmp_path / 'transforms.json'} is kept, but not checked to its end"
    assert kept in capsys.readouterr().err


def test_cameras_are_compared_with_others_by_name(tmp_path, capsys):
    poses = orbit(6, height=0.5)
    path = write_capture(tmp_path / "one", views_of_noise(poses))
    capture = open_capture(path)
    turned = poses.copy()
    turned[2] = look_at(poses[2][:3, 3], (0, 0, 0.5))
    other = tmp_path / "one" / "other.json"
    tripled = turned * 1.0
    tripled[:, :3, 3] *= 3
    write_transforms(other, capture.views[:5], tripled[:5])
    status, _ = scene("import", path, "--compare", other)
    out = capsys.readouterr().out
    assert status == 0
    assert "compared: 5" in out
    assert "of: 5" in out
    angle = np.degrees(np.arctan2(0.5, 4))  # looking level instead of down
    worst = next(line for line in out.splitlines() if line.startswith("rotation error degrees w"))
    assert float(worst.split(": ")[1]) == pytest.approx(angle, abs=0.01)
    assert "position error percent worst: 0.0" in out


def test_nothing_to_compare_is_said(tmp_path, capsys):
    one = write_capture(tmp_path / "one", views_of_noise(orbit(3)))
    capture = open_capture(one)
    two = tmp_path / "two"
    renamed = [
        type(view)(f"x{view.name}", view.pixels, view.intrinsics, view.camera_to_world)
        for view in views_of_noise(orbit(3))
    ]
    write_capture(two, renamed)
    assert len(capture) == 3
    status, _ = scene("import", one, "--compare", two)
    assert status == 1
    assert "cannot be compared: 0 points do not fix" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing"], "There is no folder"),
        (["missing/transforms.json"], "There is no folder"),
        (["."], "holds 0 photos"),
        ([".", "--out", "folder"], "is no .json file"),
    ],
)
def test_wrong_arguments_are_one_sentence(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, _ = scene("import", *arguments)
    captured = capsys.readouterr()
    assert status == 1
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
