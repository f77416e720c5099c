"""Captures in the folders in which people and programs keep them, whole and in parts."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.captures import photos as photos_module
from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics, Lens
from backend.captures.transforms import open_capture, readable
from backend.captures.views import StoredView
from tests.backend.test_capture_apps import COUNT as LLFF_COUNT
from tests.backend.test_capture_apps import llff
from tests.backend.test_capture_formats import COUNT, PARAMETERS, noise, reconstruction, write


def colmap(folder, model="sparse/0", photos="images", count=COUNT):
    made = reconstruction("OPENCV", PARAMETERS["OPENCV"], count)
    write(made, folder / model, text=False)
    for image in made.images.values() if photos else ():
        noise(folder / photos / image.name)
    return folder


# ---------------------------------------------------------------- COLMAP


@pytest.mark.parametrize(
    ("model", "photos"),
    [
        ("sparse/0", "input"),  # of Gaussian splatting's own converter
        ("distorted/sparse/0", "input"),
        ("sparse", "photos"),
        ("sparse/0", "images_3"),
        ("dense/0/sparse", "dense/0/images"),  # of COLMAP's automatic reconstruction
        ("dense/sparse", "dense/images"),
    ],
)
def test_colmap_photos_are_found_where_programs_put_them(tmp_path, model, photos):
    capture = readable(open_capture(colmap(tmp_path, model, photos)))
    assert len(capture) == COUNT
    assert capture.notes == ()


def test_colmap_photos_of_the_model_s_own_names_are_taken(tmp_path):
    """Not the undistorted ones of another model, nor smaller ones under other names."""
    colmap(tmp_path, "distorted/sparse/0", "input")
    for index in range(COUNT):
        noise(tmp_path / "images" / f"undistorted_{index}.png")
    capture = open_capture(tmp_path)
    assert capture.names[0] == "input/IMG_00.png"
    assert len(capture) == COUNT


def test_of_colmaps_models_the_one_whose_photos_are_there_is_read(tmp_path):
    colmap(tmp_path, "sparse/0", "")
    with pytest.raises(CaptureError, match="of which 0 can be used"):
        open_capture(tmp_path)
    colmap(tmp_path, "dense/0/sparse", "dense/0/images", 5)
    assert len(open_capture(tmp_path)) == 5


def test_a_colmap_model_that_is_named_is_read_and_not_called_the_largest(tmp_path):
    colmap(tmp_path, "sparse/0")
    colmap(tmp_path, "sparse/1", "", 4)
    for place in (tmp_path / "sparse/1", tmp_path / "sparse/1/images.bin"):
        capture = open_capture(place)
        assert len(capture) == 4
        assert not any("largest" in note for note in capture.notes)
    assert any("largest is read (0)" in note for note in open_capture(tmp_path).notes)


@pytest.mark.parametrize("model", ["sparse/0", "sparse"])
@pytest.mark.parametrize("lost", ["cameras.bin", "images.bin"])
def test_a_part_of_a_colmap_model_is_not_searched_anew_unasked(tmp_path, capsys, model, lost):
    colmap(tmp_path, model)
    (tmp_path / model / lost).unlink()
    for command in ("import", "train"):
        assert main(["scene", command, str(tmp_path)]) == 1
        told = capsys.readouterr().err
        assert "a part of a model of COLMAP's that lacks its cameras or its images" in told
        assert f"--out {tmp_path / 'transforms.json'}" in told
    assert not (tmp_path / "transforms.json").exists()


@pytest.mark.parametrize("photos", ["images", "input"])
def test_the_photos_of_a_capture_are_not_searched_anew_unasked(tmp_path, capsys, photos):
    colmap(tmp_path, photos=photos)
    assert main(["scene", "import", str(tmp_path / photos)]) == 1
    told = capsys.readouterr().err
    where = f"COLMAP: {Path('sparse/0')}"
    assert f"known ({where}): name {tmp_path} in place of {tmp_path / photos}, or" in told
    assert f"--out {tmp_path / photos / 'transforms.json'}" in told


# ---------------------------------------------------------------- LLFF


@pytest.mark.parametrize("images", ["images_3", "images_32x24", "images_16"])
def test_llff_with_photos_of_any_smaller_size_alone(tmp_path, images):
    llff(tmp_path, images, (16, 12))
    assert open_capture(tmp_path).intrinsics[0] == Intrinsics(15.0, 15.0, 8.0, 6.0, 16, 12)


def test_llff_takes_the_largest_photos(tmp_path):
    for images, size in (("images_16", (4, 3)), ("images_8", (8, 6)), ("images_4", (16, 12))):
        llff(tmp_path, images, size)
    assert open_capture(tmp_path).names[0] == "images_4/IMG_0000.JPG"


def test_llff_is_read_where_the_photos_have_other_names_than_colmaps(tmp_path):
    """As in the paper's own data without its folder of the largest photos."""
    colmap(tmp_path, "sparse/0", "")
    llff(tmp_path, "images_8", (8, 6))
    capture = readable(open_capture(tmp_path))
    assert len(capture) == LLFF_COUNT
    assert capture.notes == (
        "None of the pictures that sparse/0 names is there: the cameras are read from "
        "poses_bounds.npy (LLFF) instead.",
    )


# ---------------------------------------------------------------- photos and films


def test_a_lens_that_cannot_be_right_is_not_written_down(tmp_path, monkeypatch):
    """Else the photos would be stuck with a capture that is refused."""
    for index in range(3):
        noise(tmp_path / f"{index}.png")

    class Reconstruction:
        def __init__(self, *ignored):
            self.add_photos = self.match = self.place = lambda *ignored: None

    camera = Intrinsics(60.0, 60.0, 32.0, 24.0, 64, 48)
    view = StoredView("0.png", tmp_path / "0.png", None, camera, Lens(k1=-1.5))
    monkeypatch.setattr(photos_module, "_Reconstruction", Reconstruction)
    monkeypatch.setattr(photos_module, "_views_and_poses", lambda *ignored: [(view, np.eye(4))])
    with pytest.raises(CaptureError, match=r"lens that was found.*cannot be right.*take more"):
        photos_module.import_photos(tmp_path)
    assert not (tmp_path / "transforms.json").exists()


def test_films_where_a_capture_is_wanted_are_told_how_to_become_one(tmp_path, capsys):
    for name in ("a.mp4", "b.MOV"):
        (tmp_path / name).write_bytes(b"film")
    words = f'{tmp_path / "a.mp4"} is a film: let `python -m backend scene import "{tmp_path}'
    for place in (tmp_path, tmp_path / "a.mp4"):
        with pytest.raises(CaptureError) as caught:
            open_capture(place)
        assert words in str(caught.value)
    assert main(["scene", "import", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err
    Image.new("RGB", (8, 8)).save(tmp_path / "thumbnail.png")
    assert main(["scene", "import", str(tmp_path)]) == 1
    assert "to take those of a.mp4, name that file" in capsys.readouterr().err


def test_photos_in_folders_of_their_own_are_pointed_to(tmp_path):
    for name in ("100APPLE", "101APPLE"):
        for index in range(3):
            noise(tmp_path / name / f"{index}.jpg")
        with pytest.raises(CaptureError) as caught:
            photos_module.find_photos(tmp_path)
        one = name == "100APPLE"
        words = (
            "folder 100APPLE holds some: name that." if one else "100APPLE and 101APPLE hold some"
        )
        assert words in str(caught.value)
    assert photos_module.find_photos(tmp_path / "101APPLE")[0] == tmp_path / "101APPLE"


@pytest.mark.parametrize("end", ["", ".5 a b.png"])
def test_a_list_of_colmap_s_images_without_lines_of_points_is_not_read_by_halves(tmp_path, end):
    """As scripts write it that know poses only: every other line is one of points."""
    made = reconstruction("PINHOLE", PARAMETERS["PINHOLE"])
    write(made, tmp_path / "sparse/0", text=True)
    for image in made.images.values():
        noise(tmp_path / "images" / image.name)
    listed = tmp_path / "sparse/0/images.txt"
    lines = [line for line in listed.read_text().splitlines() if line.endswith(".png")]
    listed.write_text("\n\n".join(lines))
    assert len(open_capture(tmp_path)) == COUNT
    listed.write_text("\n".join(line + end for line in lines))
    with pytest.raises(
        CaptureError, match=r"the line after that of IMG_.* does not hold its points"
    ):
        open_capture(tmp_path)


def test_colmap_s_texts_may_be_of_windows(tmp_path):
    made = reconstruction("PINHOLE", PARAMETERS["PINHOLE"])
    write(made, tmp_path / "sparse/0", text=True)
    for image in made.images.values():
        noise(tmp_path / "images" / image.name)
    for name in ("cameras.txt", "images.txt"):
        file = tmp_path / "sparse/0" / name
        file.write_text(file.read_text(), "utf-8-sig", newline="\r\n")
    assert len(open_capture(tmp_path)) == COUNT
