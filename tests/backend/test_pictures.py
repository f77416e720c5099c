"""Image files as people bring them: one reader, and edits written back as the files were."""

import io
import os
import random
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from backend.pictures import (
    PictureError,
    asks_for_turning,
    read_picture,
    size_of,
    write_png,
)
from tests.backend.colour_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    cmyk_profile,
    grey_profile,
    rgb_profile,
)
from tests.backend.image_files import COLOURS, png, saved

pytestmark = pytest.mark.filterwarnings("ignore::Warning:PIL")  # as our own filter, of pytest

GREY_16 = np.linspace(0, 65535, 12 * 16).round().astype(np.uint16).reshape(12, 16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def refusal(path, longest=8192):
    """The one sentence that a file is refused with."""
    with pytest.raises(PictureError) as refused:
        read_picture(path, longest)
    sentence = str(refused.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


# ---------------------------------------------------------------- turns


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_exif_turns_are_shown_upright(tmp_path, orientation, name):
    """The stored pixels are the upright ones turned back, so that all come out alike."""
    shown = Image.new("RGB", (32, 16), (0, 0, 255))
    shown.paste((255, 0, 0), (0, 0, 8, 8))  # at the top left
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = shown.transpose(back[orientation]) if orientation > 1 else shown
    exif = Image.Exif()
    exif[274] = orientation
    picture = read_picture(saved(tmp_path, stored, name, exif=exif))
    assert picture.own.shape == (16, 32, 3)
    assert np.abs(picture.own.astype(int) - np.asarray(shown)).mean() < 8


def test_exif_that_makes_no_sense_is_no_turn(tmp_path):
    exif = Image.Exif()
    exif[274] = 99
    assert (read_picture(saved(tmp_path, COLOURS, exif=exif)).own == COLOURS).all()
    broken = saved(tmp_path, COLOURS, "broken.png", exif=b"Exif\0\0II*\0nothing of the sort")
    assert (read_picture(broken).own == COLOURS).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_captures_take_pixels_as_they_are_stored(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = saved(tmp_path, COLOURS, name, exif=exif)
    assert (read_picture(path, upright=False).own == COLOURS).all()
    assert size_of(path) == (16, 12)
    assert asks_for_turning(path) == (orientation != 1)


# ---------------------------------------------------------------- kinds of pixels


@pytest.mark.parametrize("name", ["a.png", "a.tif", "big_endian.tif", "a.pgm"])
def test_sixteen_bit_grey_is_scaled(tmp_path, name):
    image = Image.fromarray(GREY_16)
    if name == "big_endian.tif":
        image = Image.fromarray(GREY_16.astype(">u2"))
    picture = read_picture(saved(tmp_path, image, name))
    assert (picture.own == np.rint(GREY_16 / 257).astype(np.uint8)[..., None]).all()
    assert "16 bits a channel" in picture.notes[0]


def test_sixteen_bit_colours_and_alpha_are_scaled(tmp_path):
    wide = COLOURS.astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    picture = read_picture(png(tmp_path, 16, 12, 16, 2, rows))
    assert (picture.own == COLOURS).all()
    assert "16 bits a channel" in picture.notes[0]
    alpha = np.full((12, 16, 1), 128 * 257, ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in np.concatenate([wide, alpha], axis=2))
    picture = read_picture(png(tmp_path, 16, 12, 16, 6, rows))
    assert (picture.own == COLOURS).all()
    assert (picture.alpha == 128).all()


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_wide_values_are_refused_in_words(tmp_path, dtype):
    path = saved(tmp_path, np.ones((4, 4), dtype), "a.tif")
    assert "32-bit or floating-point values" in refusal(path)
    assert "8-bit PNG" in refusal(path)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_opaque_modes_keep_their_colours(tmp_path, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    name = "a.tif" if mode in ("CMYK", "YCbCr") else "a.png"
    picture = read_picture(saved(tmp_path, image, name))
    assert picture.alpha is None
    assert (picture.own == np.asarray(image.convert("RGB"))).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_kept_and_seen_over_grey(tmp_path, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    alpha = np.tile(np.arange(16, dtype=np.uint8) * 17, (12, 1))
    image.putalpha(Image.fromarray(alpha))
    picture = read_picture(saved(tmp_path, image))
    assert (picture.alpha == alpha).all()
    straight = np.asarray(image.convert("RGBA"))[..., :3]
    assert (picture.own == straight).all()
    share = alpha[..., None] / 255
    assert np.abs(picture.seen() - (straight * share + 128 * (1 - share))).max() <= 1


def test_transparency_of_palettes_and_keys_is_alpha(tmp_path):
    indexed = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2), "P")
    indexed.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    for given, expected in (
        (b"\0\x80\xff\xff", [[0, 128], [255, 255]]),  # of each entry
        (2, [[255, 255], [0, 255]]),  # of one entry
    ):
        picture = read_picture(saved(tmp_path, indexed, transparency=given))
        assert picture.alpha.tolist() == expected
        assert picture.own[0, 1].tolist() == [0, 255, 0]
    colours = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    picture = read_picture(saved(tmp_path, colours, transparency=(4, 5, 6)))
    assert picture.alpha.tolist() == [[255, 0]]
    animation = saved(tmp_path, indexed, "a.gif", transparency=1)
    assert read_picture(animation).alpha.tolist() == [[255, 0], [255, 255]]


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_alpha_at_every_depth(tmp_path, depth):
    """A PNG says its transparent grey with its own number of bits."""
    largest = 2**depth - 1
    values = [0, largest] if depth < 16 else [255, 256]  # alike in their upper byte, or nearly
    bits = "".join(f"{value:0{depth}b}" for value in values)
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    path = png(tmp_path, 2, 1, depth, 0, b"\0" + row, (b"tRNS", struct.pack(">H", values[1])))
    assert read_picture(path).alpha.tolist() == [[255, 0]]


def test_the_first_frame_is_taken_with_a_note(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
        picture = read_picture(path)
        assert picture.own[4, 4].argmax() == 0
        assert picture.own[4, 4].max() > 240
        assert picture.notes == (f"{path} has several frames or pages: the first one is taken.",)
    assert read_picture(saved(tmp_path, frames[0], "one.gif")).notes == ()


# ---------------------------------------------------------------- what cannot be used


def test_what_is_no_image_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "empty.png").touch()
    assert "empty file" in refusal(tmp_path / "empty.png")
    (tmp_path / "text.jpg").write_text("no image")
    assert "not an image" in refusal(tmp_path / "text.jpg")
    assert "a folder" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "nowhere.png")
    assert "does not exist" in refusal(tmp_path / "text.jpg/inside.png")
    (tmp_path / "broken link.png").symlink_to("nowhere.png")
    assert "does not exist" in refusal(tmp_path / "broken link.png")
    (tmp_path / "circle.png").symlink_to("circle.png")
    refusal(tmp_path / "circle.png")
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for ever
    assert "no file" in refusal(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(saved(tmp_path, COLOURS))
    assert (read_picture(tmp_path / "link.png").own == COLOURS).all()


FORMATS = ["png", "jpg", "webp", "tif", "bmp", "gif", "ppm", "tga", "jp2", "avif"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_and_damaged_files_are_refused_or_read(tmp_path, suffix, capfd):
    """Nothing but a picture or a sentence, and no word on the terminal."""
    smooth = Image.fromarray(COLOURS).resize((64, 48))
    whole = saved(tmp_path, smooth, f"a.{suffix}").read_bytes()
    assert read_picture(tmp_path / f"a.{suffix}").own.shape == (48, 64, 3)
    path = tmp_path / f"damaged.{suffix}"
    rng = random.Random(suffix)
    path.write_bytes(whole[: len(whole) // 2])
    refusal(path)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 3, 20])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged[: rng.choice([len(damaged), rng.randrange(len(damaged))])])
        try:
            read_picture(path, 8192).seen()
        except PictureError as error:
            assert str(error).count("\n") == 0  # noqa: PT017
    assert capfd.readouterr() == ("", "")


def test_a_damaged_chunk_is_refused(tmp_path):
    data = bytearray(saved(tmp_path, COLOURS).read_bytes())
    data[data.index(b"IDAT") + 20] ^= 255
    (tmp_path / "picture.png").write_bytes(data)
    assert "is damaged" in refusal(tmp_path / "picture.png")


READ_ALONE = """
import resource, sys
from pathlib import Path
from backend.pictures import read_picture
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    read_picture(Path(sys.argv[1]), 8192)
except ValueError as error:
    print(error)
"""


def read_alone(path):
    """The sentence that a process of its own, with less than a gigabyte, refuses a file with; it
    says nothing else.
    """
    command = [sys.executable, "-c", READ_ALONE, str(path)]
    alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    assert done.stderr == ""
    (sentence,) = done.stdout.splitlines()
    return sentence


@pytest.mark.parametrize("size", [(20000, 12000), (16000, 10000), (8193, 1), (1, 200_000_000)])
def test_images_with_too_many_pixels_are_refused_by_their_header(tmp_path, size):
    sentence = read_alone(png(tmp_path, *size, 8, 2, b""))
    assert "at most 8192 pixels a side" in sentence


def test_what_libraries_say_about_a_damaged_file_is_not_shown(tmp_path):
    packed = bytearray(saved(tmp_path, COLOURS, "packed.tif", compression="tiff_lzw").read_bytes())
    packed[8:60] = b"\xff" * 52  # libtiff writes to the terminal by itself
    (tmp_path / "packed.tif").write_bytes(packed)
    assert "is damaged" in read_alone(tmp_path / "packed.tif")
    path = saved(tmp_path, COLOURS, "a.tif")
    samples = struct.pack("<HHI", 277, 3, 1)
    path.write_bytes(path.read_bytes().replace(samples + b"\3\0", samples + b"\3\xc9"))
    assert str(path) in read_alone(path)


def test_a_camera_raw_file_is_not_taken_for_its_preview(tmp_path):
    path = saved(tmp_path, COLOURS, "photo.dng", format="TIFF", tiffinfo={254: 1})
    assert "raw file" in refusal(path)


def test_texts_of_megabytes_do_not_keep_a_png_from_being_read(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("workflow", "x" * 80_000_000, zip=True)
    info.add_itxt("prompt", "y" * 5_000_000, zip=True)
    path = saved(tmp_path, COLOURS, pnginfo=info)
    assert (read_picture(path).own == COLOURS).all()
    after = path.read_bytes().replace(b"IEND", b"zTXt")  # behind the pixels, cut off, bad checksum
    path.write_bytes(after + b"workflow\0\0" + zlib.compress(bytes(5_000_000)))
    assert (read_picture(path).own == COLOURS).all()


# ---------------------------------------------------------------- colour profiles


def as_seen(path):
    """What a viewer with colour management shows of a file: float (H, W, 3) in sRGB."""
    with Image.open(path) as file:
        image = file.convert("RGB") if file.mode in ("RGBA", "P") else file.copy()
        profile = file.info.get("icc_profile")
    if profile is None:
        return np.asarray(image.convert("RGB")).astype(float)
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(image, opened, SRGB, outputMode="RGB")).astype(
        float
    )


@pytest.mark.parametrize("profile", [ADOBE_RGB, DISPLAY_P3, SRGB.tobytes()])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_a_profile_is_converted_for_the_model_and_written_back(tmp_path, profile, name):
    path = saved(tmp_path, COLOURS, name, icc_profile=profile)
    picture = read_picture(path)
    with Image.open(path) as file:
        stored = np.asarray(file.convert("RGB"))
    seen = picture.seen()
    assert np.abs(seen - as_seen(path)).max() <= 1
    edit = seen.copy()
    edit[:4] = (200, 40, 60)  # within all of these
    write_png(tmp_path / "edit.png", picture.edited(seen, edit))
    with Image.open(tmp_path / "edit.png") as file:
        assert file.info["icc_profile"] == profile
        assert (np.asarray(file)[4:] == stored[4:]).all()
    result = as_seen(tmp_path / "edit.png")
    assert np.abs(result[:4] - (200, 40, 60)).max() <= 2
    assert np.abs(result[4:] - as_seen(path)[4:]).max() == 0


def gamma(value):
    return (b"gAMA", struct.pack(">I", round(value * 100_000)))


def primaries(*points):
    return (b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in np.ravel(points))))


D65 = (0.3127, 0.3290)
ADOBE_POINTS = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
SRGB_POINTS = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3_POINTS = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))


@pytest.mark.parametrize(
    ("chunks", "profile"),
    [
        ([gamma(1 / 2.19921875), primaries(D65, *ADOBE_POINTS)], ADOBE_RGB),
        ([gamma(1.0)], rgb_profile(1.0, *SRGB_POINTS)),
        ([gamma(1 / 1.8)], rgb_profile(1.8, *SRGB_POINTS)),
        ([(b"cICP", bytes([12, 4, 0, 1]))], DISPLAY_P3),
        ([(b"cICP", bytes([1, 8, 0, 1])), (b"sRGB", b"\0"), gamma(0.45455)], "linear"),
        ([gamma(0.45455), primaries(D65, *SRGB_POINTS)], None),
        ([(b"sRGB", b"\0"), gamma(1.0), primaries(D65, *P3_POINTS)], None),
        ([(b"cICP", bytes([1, 13, 0, 1])), gamma(1.0)], None),
        ([(b"cICP", bytes([1, 1, 0, 1]))], None),  # as ffmpeg writes frames of a film
    ],
)
def test_colours_that_a_png_tells_without_a_profile(tmp_path, chunks, profile):
    """The result has a profile that says the same, and so looks the same outside of the edit."""
    rows = b"".join(b"\0" + row.tobytes() for row in COLOURS)
    path = png(tmp_path, 16, 12, 8, 2, rows, *chunks)
    picture = read_picture(path)
    assert (picture.own == COLOURS).all()
    assert picture.notes == ()
    if profile is None:
        assert picture.profile is None
        assert (picture.seen() == COLOURS).all()
        return
    profile = rgb_profile(1.0, *SRGB_POINTS) if profile == "linear" else profile
    known = saved(tmp_path, COLOURS, "known.png", icc_profile=profile)
    assert np.abs(picture.seen() - as_seen(known)).max() <= 1
    write_png(tmp_path / "edit.png", picture.edited(picture.seen(), picture.seen()))
    assert np.abs(as_seen(tmp_path / "edit.png") - as_seen(known)).max() <= 1


@pytest.mark.parametrize(
    "chunk",
    [
        gamma(0.0),
        gamma(20000.0),
        primaries(*[(0.3, 0.0)] * 4),
        primaries(*[(0.3, 0.3)] * 4),
        (b"cHRM", b"short"),
        (b"cICP", bytes([9, 16, 0, 1])),  # HDR
        (b"cICP", bytes([1, 13, 0, 0])),
    ],
)
def test_colours_that_a_png_tells_wrongly_are_named(tmp_path, chunk):
    rows = b"".join(b"\0" + row.tobytes() for row in COLOURS)
    picture = read_picture(png(tmp_path, 16, 12, 8, 2, rows, chunk))
    assert (picture.seen() == COLOURS).all()
    assert "cannot be used: its colours are taken as sRGB" in picture.notes[0]


def test_grey_with_a_profile_and_lab_become_srgb_and_look_the_same(tmp_path):
    ramp = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (12, 1))
    grey = saved(tmp_path, ramp, icc_profile=grey_profile(1.0))  # linear: far from sRGB
    picture = read_picture(grey)
    assert np.abs(picture.seen() - as_seen(grey)).max() <= 1
    assert np.abs(picture.seen()[0, 4].astype(int) - 137).max() <= 2  # 64/255, linear, as sRGB
    assert "sRGB" in picture.notes[0]
    write_png(tmp_path / "edit.png", picture.edited(picture.seen(), picture.seen()))
    assert np.abs(as_seen(tmp_path / "edit.png") - as_seen(grey)).max() <= 1
    lab = ImageCms.profileToProfile(
        Image.fromarray(COLOURS), SRGB, ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    found = read_picture(saved(tmp_path, lab, "lab.tif"))
    assert np.abs(found.seen().astype(int) - COLOURS).mean() < 4  # 8 bits of L, a and b are few


def test_grey_with_a_profile_for_colours_is_read_by_it(tmp_path):
    ramp = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (12, 1))
    path = saved(tmp_path, ramp, icc_profile=rgb_profile(1.0, *_primaries_of_srgb()))
    assert np.abs(read_picture(path).seen()[0, 4].astype(int) - 137).max() <= 2


def _primaries_of_srgb():
    return (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)


def test_cmyk_becomes_srgb_by_its_profile(tmp_path):
    inks = Image.fromarray(COLOURS).convert("CMYK")
    path = saved(tmp_path, inks, "a.jpg", icc_profile=cmyk_profile(), quality=95)
    picture = read_picture(path)
    seen = as_seen(path)
    assert np.abs(picture.seen() - seen).max() <= 1
    assert np.abs(picture.seen() - np.asarray(inks.convert("RGB")).astype(int)).mean() > 10
    assert "CMYK" in picture.notes[0]
    write_png(tmp_path / "edit.png", picture.edited(picture.seen(), picture.seen()))
    assert np.abs(as_seen(tmp_path / "edit.png") - seen).max() <= 1
    plain = saved(tmp_path, inks, "plain.tif")
    assert (read_picture(plain).own == np.asarray(inks.convert("RGB"))).all()


@pytest.mark.parametrize(
    "broken",
    [
        b"no profile at all",
        ADOBE_RGB[:200],
        grey_profile(2.2),
        cmyk_profile(),
        ADOBE_RGB[:16] + b"\xff\xfe\xfd " + ADOBE_RGB[20:],  # colours of no known kind
    ],
)
def test_a_profile_that_cannot_be_used_is_named_and_left_out(tmp_path, broken):
    path = saved(tmp_path, COLOURS, icc_profile=broken)
    picture = read_picture(path)
    assert (picture.own == COLOURS).all()
    assert (picture.seen() == COLOURS).all()
    assert picture.profile is None
    assert picture.notes == (
        f"The colour profile of {path} cannot be used: its colours are taken as sRGB.",
    )


def test_a_packed_profile_that_is_broken_or_a_bomb_is_left_out(tmp_path):
    rows = b"".join(b"\0" + row.tobytes() for row in COLOURS)
    for packed in (b"nonsense", zlib.compress(bytes(60_000_000)), zlib.compress(ADOBE_RGB)[:-20]):
        path = png(tmp_path, 16, 12, 8, 2, rows, (b"iCCP", b"name\0\0" + packed))
        picture = read_picture(path)
        assert (picture.own == COLOURS).all()
        assert "colour profile" in picture.notes[0]


def test_alpha_and_profile_together_keep_every_byte_that_is_not_edited(tmp_path):
    alpha = np.tile(np.arange(16, dtype=np.uint8) * 17, (12, 1))
    path = saved(tmp_path, np.dstack([COLOURS, alpha]), icc_profile=DISPLAY_P3)
    picture = read_picture(path)
    seen = picture.seen()
    edit = seen.copy()
    edit[6:] = (120, 140, 110)
    edited = picture.edited(seen, edit)
    write_png(tmp_path / "edit.png", edited)
    with Image.open(tmp_path / "edit.png") as file:
        written = np.asarray(file)
        assert file.info["icc_profile"] == DISPLAY_P3
    assert (written[..., 3] == alpha).all()
    assert (written[:6, :, :3] == COLOURS[:6]).all()
    assert (written[:, 0, :3] == COLOURS[:, 0]).all()  # cannot be seen
    opaque = edited.seen()[6:, 4:]
    assert np.abs(opaque.astype(int) - (120, 140, 110)).max() <= 3
