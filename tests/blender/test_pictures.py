"""Picture files made here, read by Blender itself."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest

SIZES = [(1, 1), (1, 7), (5, 1), (37, 61), (64, 48)]


def pixels_of(image: bpy.types.Image) -> np.ndarray:
    """What Blender has decoded: float32 (H, W, 4), row 0 at the top."""
    width, height = image.size
    values = np.array(image.pixels[:], np.float32)
    return values.reshape(height, width, -1)[::-1]


@pytest.mark.parametrize("size", SIZES)
def test_png_comes_back_byte_for_byte(addon: SimpleNamespace, size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(sum(size)).integers(0, 256, (*size, 3), np.uint8)
    image = addon.pictures.new_packed_image("p", addon.encode.encode_png(rgb))
    decoded = pixels_of(image)
    assert np.array_equal(np.rint(decoded[..., :3] * 255), rgb)
    assert (decoded[..., 3] == 1).all()
    assert np.array_equal(addon.pictures.read_rgb(image), rgb)
    assert image.colorspace_settings.name == "sRGB"


@pytest.mark.parametrize("size", SIZES)
def test_exr_keeps_every_float(addon: SimpleNamespace, size: tuple[int, int]) -> None:
    values = np.random.default_rng(sum(size)).random(size, np.float32)
    values.flat[0] = np.float32(1) / 3
    image = addon.pictures.new_packed_image("p", addon.encode.encode_exr(values))
    assert np.array_equal(pixels_of(image)[..., 0], values)
    assert np.array_equal(addon.pictures.read_gray(image), values)
    assert image.colorspace_settings.name == "Non-Color"


def test_exr_may_be_read_only_memory(addon: SimpleNamespace) -> None:
    values = np.frombuffer(np.float32([0.25, 0.75]).tobytes(), np.float32).reshape(1, 2)
    image = addon.pictures.new_packed_image("p", addon.encode.encode_exr(values), values)
    addon.pictures.forget_all()
    assert np.array_equal(addon.pictures.read_gray(image), values)


def test_an_image_without_pixels_says_so(addon: SimpleNamespace) -> None:
    image = bpy.data.images.new("lost", 4, 4)
    image.source = "FILE"
    image.filepath = "//nowhere.png"
    with pytest.raises(ValueError, match='"lost" has no pixels'):
        addon.pictures.read_rgb(image)


@pytest.mark.parametrize("size", SIZES)
def test_mask_is_written_as_black_and_white(addon: SimpleNamespace, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(size))
    image = bpy.data.images.new("m", size[1], size[0])
    for _ in range(2):  # the second time into the kept memory
        mask = rng.random(size) > 0.5
        addon.pictures.write_mask(image, mask)
        plain = np.ones((*size, 4), np.float32)
        plain[..., :3] = mask[..., None]
        assert np.array_equal(pixels_of(image), plain)
