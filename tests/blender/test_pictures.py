"""Picture files made here, read by Blender itself."""

from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from image_files import png

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


@pytest.mark.parametrize("size", SIZES)
def test_exr_is_read_as_it_was_written(addon: SimpleNamespace, size: tuple[int, int]) -> None:
    values = np.random.default_rng(sum(size)).normal(size=size).astype(np.float32)
    file = addon.encode.encode_exr(values)
    channels = addon.decode.decode_exr(file)
    assert list(channels) == ["Y"]
    assert np.array_equal(channels["Y"], values)
    for part in (0, 3, 60, len(file) // 2, len(file) - 1):
        with pytest.raises(ValueError, match=r"EXR|buffer"):
            addon.decode.decode_exr(file[:part])


@pytest.mark.parametrize("depth", ["16", "32"])
def test_exr_of_blender_is_read_channel_by_channel(
    addon: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path, depth: str
) -> None:
    """The same pixels that Blender reads from its file itself."""
    values = np.random.default_rng(3).normal(size=(5, 7, 4)).astype(np.float32)
    values[..., 3] = 1
    image = bpy.data.images.new("p", 7, 5, alpha=True, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    image.pixels.foreach_set(values[::-1].ravel())
    file = scene.render.image_settings
    file.file_format, file.color_mode, file.color_depth = "OPEN_EXR", "RGBA", depth
    for codec in ("NONE", "ZIP"):
        file.exr_codec = codec
        image.save_render(str(tmp_path / codec), scene=scene)
    channels = addon.decode.decode_exr((tmp_path / "NONE").read_bytes())
    assert sorted(channels) == ["A", "B", "G", "R"]
    again = bpy.data.images.load(str(tmp_path / "NONE"))
    again.colorspace_settings.name = "Non-Color"
    seen = np.stack([channels[name] for name in "RGBA"], axis=2)
    assert seen.dtype == (np.float16 if depth == "16" else np.float32)
    assert np.array_equal(seen.astype(np.float32), pixels_of(again))
    with pytest.raises(ValueError, match="compressed"):
        addon.decode.decode_exr((tmp_path / "ZIP").read_bytes())


def test_exr_may_be_read_only_memory(addon: SimpleNamespace) -> None:
    values = np.frombuffer(np.float32([0.25, 0.75]).tobytes(), np.float32).reshape(1, 2)
    image = addon.pictures.new_packed_image("p", addon.encode.encode_exr(values), values)
    addon.pictures.forget_all()
    assert np.array_equal(addon.pictures.read_gray(image), values)


def test_an_image_without_pixels_says_so(addon: SimpleNamespace) -> None:
    image = bpy.data.images.new("lost", 4, 4)
    image.source = "FILE"
    image.filepath = "//nowhere.png"
    with pytest.raises(addon.scene_error.SceneError, match='"lost" has no pixels'):
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


# ---------------------------------------------------------------- read without Blender


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_png_is_read_as_it_was_written(
    addon: SimpleNamespace, size: tuple[int, int], channels: int
) -> None:
    pixels = np.random.default_rng(sum(size)).integers(0, 256, (*size, channels), np.uint8)
    file = addon.encode.encode_png(pixels)
    assert np.array_equal(addon.decode.decode_png(file), pixels)
    assert np.array_equal(addon.pictures.decode_png(file), pixels)
    for part in (0, 8, 20, 40, len(file) - 20):
        assert addon.decode.decode_png(file[:part]) is None


@pytest.mark.parametrize(
    "pixels",
    [
        np.arange(12, dtype=np.uint8).reshape(3, 4),
        np.arange(36, dtype=np.uint16).reshape(3, 4, 3),
    ],
)
def test_png_of_another_kind_is_left_to_blender(addon: SimpleNamespace, pixels: np.ndarray) -> None:
    assert addon.decode.decode_png(png(pixels)) is None


def test_png_with_filtered_rows_is_read_by_blender(addon: SimpleNamespace) -> None:
    """Such as Blender writes: in a file of an earlier version renders are kept so."""
    values = np.linspace(0, 1, 64 * 64 * 4, dtype=np.float32)
    image = bpy.data.images.new("p", 64, 64, alpha=True)
    image.pixels.foreach_set(values)
    image.pack()
    file = image.packed_file.data
    assert addon.decode.decode_png(file) is None
    wanted = np.rint(values * 255).astype(np.uint8).reshape(64, 64, 4)[::-1]
    assert np.array_equal(addon.pictures.decode_png(file), wanted)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_targa_is_read_as_blender_reads_its_png(
    addon: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path, mode: str
) -> None:
    image = bpy.data.images.new("p", 7, 5, alpha=True)
    image.alpha_mode = "CHANNEL_PACKED"
    values = np.random.default_rng(3).random((5, 7, 4), np.float32)
    image.pixels.foreach_set(values.ravel())
    file = scene.render.image_settings
    for kind in ("PNG", "TARGA_RAW"):
        file.file_format, file.color_mode = kind, mode
        image.save_render(str(tmp_path / kind), scene=scene)
    found = addon.decode.decode_targa((tmp_path / "TARGA_RAW").read_bytes())
    assert found.shape == (5, 7, len(mode))
    assert np.array_equal(found, addon.pictures.decode_png((tmp_path / "PNG").read_bytes()))


def test_what_is_seen_of_pixels_is_what_is_read_of_their_image(addon: SimpleNamespace) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (64, 48, 4), np.uint8)
    pixels[:3, :, 3], pixels[3:6, :, 3] = 0, 255
    image = addon.pictures.new_packed_image("p", addon.encode.encode_png(pixels))
    assert np.array_equal(addon.pictures.as_seen(pixels), addon.pictures.read_rgb(image))


def test_an_image_is_decoded_beside_blender_before_it_is_read(addon: SimpleNamespace) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (64, 48, 3), np.uint8)
    image = addon.pictures.new_packed_image("p", addon.encode.encode_png(pixels))
    for call in addon.pictures.loading(image):
        call.run()
    assert np.array_equal(addon.pictures.read_rgb(image), pixels)
    assert not image.has_data, "Blender has not decoded it"
