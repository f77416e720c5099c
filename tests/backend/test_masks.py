"""Masks from image files, and telling edits that did nothing."""

import numpy as np
import pytest
from PIL import Image

from backend.pictures import PictureError, read_mask, unchanged
from tests.backend.image_files import COLOURS, png, saved

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")  # as our own filter, of pytest


def test_a_mask_is_brightness_times_alpha(tmp_path):
    white = np.full((12, 16, 4), 255, np.uint8)
    white[:, :8, 3] = 0
    mask, notes = read_mask(saved(tmp_path, white), (12, 16))
    assert mask[:, 8:].all()
    assert not mask[:, :8].any()
    assert notes == ()
    dim = np.full((12, 16, 4), 180, np.uint8)
    dim[..., 3] = 180  # together 127
    mask, notes = read_mask(saved(tmp_path, dim), (12, 16))
    assert not mask.any()
    assert "marks nothing: its brightest pixel has 127 of 255" in notes[0]


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "P", "RGB", "LA", "RGBA"])
def test_masks_of_every_kind(tmp_path, mode):
    expected = np.zeros((12, 16), bool)
    expected[3:7, 5:11] = True
    drawn = Image.fromarray(expected.astype(np.uint8) * 255)
    if mode == "I;16":
        drawn = Image.fromarray(expected.astype(np.uint16) * 65535)
    else:
        drawn = drawn.convert(mode)
    mask, _ = read_mask(saved(tmp_path, drawn), (12, 16))
    assert (mask == expected).all()


def test_masks_of_everything_turned_and_of_another_size(tmp_path):
    mask, notes = read_mask(saved(tmp_path, Image.new("L", (16, 12), 255)), (12, 16))
    assert mask.all()
    assert "marks everything" in notes[0]
    exif = Image.Exif()
    exif[274] = 6
    half = np.zeros((16, 12), np.uint8)
    half[:8] = 255  # the upper half as it is stored: shown, the right one
    mask, _ = read_mask(saved(tmp_path, half, exif=exif), (12, 16))
    assert mask[:, 8:].all()
    assert not mask[:, :8].any()
    with pytest.raises(PictureError, match="is 16x12, unlike the image, which is 12x16: save it"):
        read_mask(saved(tmp_path, Image.new("L", (16, 12))), (16, 12))
    with pytest.raises(PictureError, match="is 8x6, unlike"):
        read_mask(saved(tmp_path, Image.new("L", (8, 6))), (12, 16))
    with pytest.raises(PictureError, match="at most 8192 pixels a side"):
        read_mask(png(tmp_path, 12000, 10000, 8, 0, b""), (12, 16))


def test_a_photo_that_is_given_as_a_mask_is_told(tmp_path):
    photo = np.linspace(0, 255, 12 * 16).reshape(12, 16).astype(np.uint8)
    mask, (note,) = read_mask(saved(tmp_path, photo), (12, 16))
    assert mask.any()
    assert "has all shades of grey, as a photo" in note
    soft = np.clip((np.linspace(-8, 8, 16) + 1) * 120, 0, 255) * np.ones((12, 1))
    _, notes = read_mask(saved(tmp_path, soft.astype(np.uint8)), (12, 16))
    assert notes == ()


# ---------------------------------------------------------------- edits that did nothing


def test_unchanged_is_said_where_nothing_can_be_seen():
    region = np.ones((12, 16), bool)
    assert unchanged(COLOURS, COLOURS, ~region, 0.9).startswith("Unchanged: no pixel reaches")
    flat, other = np.zeros((3, 4), np.float32), np.full((3, 4), 0.5, np.float32)
    assert unchanged(COLOURS, COLOURS, ~region, 0.9, flat).startswith("Unchanged: to the model, ")
    assert unchanged(COLOURS, COLOURS, ~region, 0.9, other).startswith("Unchanged: no pixel reach")
    assert unchanged(COLOURS, COLOURS, ~region, None).startswith("Unchanged: the mask marks no")
    assert unchanged(COLOURS, COLOURS ^ 1, region, None).startswith("Unchanged: no pixel of the")
    other = COLOURS.copy()
    other[5, 5, 1] ^= 128
    assert unchanged(COLOURS, other, region, None) is None
    assert unchanged(other, COLOURS, region, None) is None
