"""Label images: read exactly, whatever the file, and refused where it cannot be."""

import numpy as np
import pytest
from PIL import Image

from backend.pictures import PictureError, read_labels

LABELS = np.array([[0, 1, 1, 2], [0, 7, 250, 255], [3, 3, 3, 0]], np.uint16)


def same_things(found, expected):
    """Whether the numbers part the pixels in the same way."""
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def grey(path, bits):
    if bits == 16:
        Image.fromarray(LABELS * 257).save(path)
        return LABELS * 257
    Image.fromarray(LABELS.astype(np.uint8)).save(path)
    return LABELS


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_grey_images_are_read_as_they_are(tmp_path, name, bits):
    expected = grey(tmp_path / name, bits)
    found = read_labels(tmp_path / name, LABELS.shape)
    assert found.dtype == np.uint16
    assert (found == expected).all()


def test_whole_numbers_of_32_bits_are_read_and_must_be_labels(tmp_path):
    """As segmenters and scikit-image write them."""
    path = tmp_path / "a.tif"
    Image.fromarray(LABELS.astype(np.int32) * 257).save(path)
    assert (read_labels(path, LABELS.shape) == LABELS * 257).all()
    for wrong in (LABELS.astype(np.int32) - 1, LABELS.astype(np.int32) * 1000):
        Image.fromarray(wrong).save(path)
        with pytest.raises(PictureError, match=r"a\.tif: The numbers of things must be 0 to 65535"):
            read_labels(path, LABELS.shape)


def test_what_cannot_be_read_is_not_asked_for_in_a_form_that_is_refused(tmp_path):
    """A JPEG may not keep labels."""
    Image.fromarray(LABELS.astype(np.float32)).save(tmp_path / "a.tif")
    (tmp_path / "a.txt").write_text("no labels")
    for name in ("a.tif", "a.txt"):
        with pytest.raises(PictureError, match="save it as a grey PNG of up to 16 bits"):
            read_labels(tmp_path / name, LABELS.shape)


@pytest.mark.parametrize(("bits", "most"), [(1, 1), (2, 3), (4, 15), (8, 255)])
def test_palettes_are_read_by_their_indices(tmp_path, bits, most):
    """Two indices may have one colour."""
    labels = (LABELS % (most + 1)).astype(np.uint8)
    image = Image.fromarray(labels, "P")
    image.putpalette([10, 20, 30] * (most + 1))
    image.save(tmp_path / "a.png", bits=bits)
    assert (read_labels(tmp_path / "a.png", LABELS.shape) == labels).all()


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm"])
def test_colours_are_labels(tmp_path, name):
    """Colours that grey would not tell apart are parted, too."""
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    Image.fromarray(colours[LABELS]).save(tmp_path / name)
    found = read_labels(tmp_path / name, LABELS.shape)
    assert same_things(found, LABELS)


def test_what_is_transparent_is_one_thing(tmp_path):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0] = [[9, 9, 9, 0], [7, 7, 7, 0], [0, 0, 0, 255]]
    pixels[1] = [[5, 0, 0, 255], [5, 0, 0, 255], [0, 5, 0, 255]]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_labels(tmp_path / "a.png", (2, 3))
    assert same_things(found, np.array([[0, 0, 1], [2, 2, 3]]))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.uint64])
def test_arrays_of_whole_numbers(tmp_path, dtype):
    labels = (LABELS % 2 if dtype is bool else LABELS).astype(dtype)
    np.save(tmp_path / "a.npy", labels)
    assert (read_labels(tmp_path / "a.npy", LABELS.shape) == labels).all()


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4)), "whole numbers"),
        (np.zeros((3, 4, 1), int), "rows and columns"),
        (np.full((3, 4), -1), "0 to 65535"),
        (np.full((3, 4), 70000), "0 to 65535"),
        (np.zeros((4, 3), int), "upright"),
        (np.array({}), "cannot be read"),
    ],
)
def test_arrays_that_are_no_labels_are_refused(tmp_path, array, words):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(PictureError, match=words):
        read_labels(tmp_path / "a.npy", (3, 4))


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_formats_that_lose_something_are_refused(tmp_path, name):
    Image.fromarray(LABELS.astype(np.uint8)).convert("RGB").save(tmp_path / name)
    with pytest.raises(PictureError, match="save them as a PNG"):
        read_labels(tmp_path / name, LABELS.shape)


def test_a_photo_and_missing_and_broken_files_are_refused(tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    with pytest.raises(PictureError, match="as a photo has"):
        read_labels(tmp_path / "photo.png", (300, 300))
    np.save(tmp_path / "grey.npy", photo[..., 0])
    with pytest.raises(PictureError, match="neighbouring pixels mostly differ"):
        read_labels(tmp_path / "grey.npy", (300, 300))
    for name in ("none.png", "none.npy"):
        with pytest.raises(PictureError, match="does not exist"):
            read_labels(tmp_path / name, (3, 4))
    for name in ("text.png", "text.npy"):
        (tmp_path / name).write_text("no labels")
        with pytest.raises(PictureError, match=r"text\.(png|npy)"):
            read_labels(tmp_path / name, (3, 4))
    Image.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(PictureError, match="4x3, unlike the image, which is 8x6"):
        read_labels(tmp_path / "small.png", (6, 8))
