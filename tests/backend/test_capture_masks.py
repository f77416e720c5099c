"""Masks of what is not trained on: which belong to which view, and what becomes of odd ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.captures.error import CaptureError
from backend.captures.transforms import open_capture, readable
from backend.fields.learnt import psnr_of_blur
from backend.fields.views import Views, psnr

from .tiny_capture import orbit_capture

SIDE = 24


def mask_of(column: int) -> Image.Image:
    """White but for one column."""
    mask = np.full((SIDE, SIDE), 255, np.uint8)
    mask[:, column] = 0
    return Image.fromarray(mask)


def move_images(folder: Path, places: list[str]) -> list[str]:
    """The images of a capture moved to other places in it, which are returned."""
    file = folder / "transforms.json"
    content = json.loads(file.read_text())
    for frame, place in zip(content["frames"], places, strict=True):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / frame["file_path"]).rename(folder / place)
        frame["file_path"] = place
    file.write_text(json.dumps(content))
    return places


@pytest.mark.parametrize("inside", ["masks", "masks/images", "Masks", "mask"])
@pytest.mark.parametrize("ending", [".png", ".png.png", ".PNG"])
def test_masks_of_photos_in_folders_lie_in_folders_of_the_same_names(
    tmp_path: Path, inside: str, ending: str
) -> None:
    orbit_capture(tmp_path, 6, SIDE)
    cameras = [f"cam{k % 2}/{k // 2:03d}" for k in range(6)]
    move_images(tmp_path, [f"images/{name}.png" for name in cameras])
    for column, name in enumerate(cameras):
        file = tmp_path / inside / f"{name}{ending}"
        file.parent.mkdir(parents=True, exist_ok=True)
        mask_of(column).save(file, "PNG")
    capture = readable(open_capture(tmp_path))
    for column in range(6):
        seen = capture.read(column).seen
        assert seen is not None
        np.testing.assert_array_equal(np.flatnonzero(~seen.any(axis=0)), [column])


def test_a_mask_that_several_views_could_have_is_taken_for_none_and_named(tmp_path: Path) -> None:
    orbit_capture(tmp_path, 6, SIDE)
    move_images(tmp_path, [f"{('train', 'test')[k % 2]}/r_{k // 2}.png" for k in range(6)])
    (tmp_path / "masks").mkdir()
    mask_of(0).save(tmp_path / "masks" / "r_0.png")
    capture = open_capture(tmp_path)
    assert all(view.mask is None for view in capture.views)
    (note,) = (note for note in capture.notes if "mask" in note)
    assert note.startswith(
        "No mask is used: none of the files in masks, such as r_0.png, is called"
    )
    (tmp_path / "masks" / "test").mkdir()
    mask_of(0).save(tmp_path / "masks" / "test" / "r_0.png")
    masked = {view.name for view in open_capture(tmp_path).views if view.mask is not None}
    assert masked == {"test/r_0.png"}


@pytest.mark.parametrize("name", ["000_mask.png", "mask_000.png", "000.npy", "000.gif"])
def test_masks_of_other_names_are_not_left_out_without_a_word(tmp_path: Path, name: str) -> None:
    orbit_capture(tmp_path, 4, SIDE)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / ".DS_Store").write_bytes(b"")
    assert not any("mask" in note for note in open_capture(tmp_path).notes)
    (tmp_path / "masks" / name).write_bytes(b"whatever")
    (note,) = (note for note in open_capture(tmp_path).notes if "mask" in note)
    assert f"such as {name}" in note
    assert "like 000.png for images/000.png" in note


def test_a_view_whose_mask_hides_all_of_it_is_left_out_with_a_note(tmp_path: Path) -> None:
    """Also where it would be the one that is held out."""
    orbit_capture(tmp_path, 6, SIDE)
    (tmp_path / "masks").mkdir()
    for number in (1, 3):
        Image.new("L", (SIDE, SIDE)).save(tmp_path / "masks" / f"{number:03d}.png")
    capture = readable(open_capture(tmp_path))
    assert len(capture) == 4
    assert "2 of 6 images are left out: The mask" in capture.notes[-1]
    assert "001.png hides all of images/001.png" in capture.notes[-1]
    for number in range(6):
        Image.new("L", (SIDE, SIDE)).save(tmp_path / "masks" / f"{number:03d}.png")
    with pytest.raises(CaptureError, match=r"has 0 images that can be trained on.*hides all of"):
        readable(open_capture(tmp_path))


def test_the_noise_of_a_black_mask_hides_all_of_its_view(tmp_path: Path) -> None:
    orbit_capture(tmp_path, 6, SIDE)
    (tmp_path / "masks").mkdir()
    noise = np.random.default_rng(0).integers(0, 5, (SIDE, SIDE)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "masks/002.jpg", quality=95)
    ones = np.zeros((SIDE, SIDE), np.uint8)
    ones[4:9] = 1  # as programs write that know no white
    Image.fromarray(ones).save(tmp_path / "masks/003.png")
    capture = readable(open_capture(tmp_path))
    assert capture.names == tuple(f"images/{number:03d}.png" for number in (0, 1, 3, 4, 5))
    assert "002.jpg hides all of images/002.png" in capture.notes[-1]
    seen = capture.views[2].read_mask(SIDE, SIDE)
    assert seen is not None
    assert (seen == (ones == 1)).all()


def test_what_masks_hide_does_not_count_for_what_a_blur_would_show(tmp_path: Path) -> None:
    capture, truth = orbit_capture(tmp_path, 4, SIDE)
    (tmp_path / "masks").mkdir()
    for view in range(4):
        mask = np.full((SIDE, SIDE), 255, np.uint8)
        mask[:6] = 0
        Image.fromarray(mask).save(tmp_path / "masks" / f"{view:03d}.png")
    patches = truth.images.reshape(4, 4, 6, 4, 6, 3).mean((2, 4)).repeat(6, 1).repeat(6, 2)
    whole, below = (
        psnr(torch.tensor(patches[:, rows:] / 255), torch.tensor(truth.images[:, rows:] / 255))
        for rows in (0, 6)
    )
    assert psnr_of_blur(Views(capture)) == pytest.approx(whole, abs=1e-3)
    assert psnr_of_blur(Views(open_capture(tmp_path))) == pytest.approx(below, abs=1e-3)
