"""Masks that artists bring, as files of all kinds and as images of the file."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import preview
from fake_server import edited
from image_files import PNG, exif, png
from numpy.typing import NDArray
from test_flows import refusal
from test_painted_mask import ADDED, TAKEN, Modules, disk, edit, here, mask, settings  # noqa: F401

OPS = bpy.ops.watch_your_steps
MARKED = disk(20, 30, 11)
"""Of 48 rows and 64 columns: what the files below mark."""


def said(operator: Callable[..., object], **values: object) -> str:
    """What an operator refuses with."""
    with pytest.raises(RuntimeError) as caught:
        operator(**values)
    return str(caught.value)


def write(path: Path, pixels: NDArray[np.generic], before: bytes = b"") -> str:
    path.write_bytes(png(pixels, before))
    return str(path)


def with_alpha(grey: object, alpha: object) -> NDArray[np.uint8]:
    """uint8 (48, 64, 4)."""
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., :3] = np.broadcast_to(grey, (48, 64))[..., None]
    pixels[..., 3] = alpha
    return pixels


KINDS: dict[str, NDArray[np.generic]] = {
    "grey": MARKED * np.uint8(255),
    "grey of 16 bits": MARKED * np.uint16(40000) + np.uint16(9000),
    "colour": np.repeat((MARKED * np.uint8(200) + np.uint8(20))[..., None], 3, axis=2),
    "white with the shape in alpha": with_alpha(255, MARKED * 255),
    "bright behind what is transparent": with_alpha(MARKED * 255, 255),
    "of twice the size": np.kron(MARKED, np.ones((2, 2))).astype(np.uint8) * np.uint8(255),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_bright_and_opaque_is_inside(
    settings: bpy.types.PropertyGroup,  # noqa: F811  # fixtures
    mask: Modules,  # noqa: F811
    tmp_path: Path,
    kind: str,
) -> None:
    before, images = mask.shown(), len(bpy.data.images)
    file = write(tmp_path / "mask.png", KINDS[kind])
    assert OPS.import_mask(filepath=file, how="ADD") == {"FINISHED"}
    assert np.array_equal(mask.shown(), before | MARKED)
    OPS.import_mask(filepath=file, how="TAKE")
    assert np.array_equal(mask.shown(), before & ~MARKED)
    OPS.import_mask(filepath=file)
    for threshold in (0.0, 0.4, 1.0):
        settings.threshold = threshold
        assert np.array_equal(mask.shown(), MARKED), "whatever the slider says"
    assert len(bpy.data.images) == images + 1, "the painting, but not the file"
    assert settings.view == "MASK"


def test_a_smaller_mask_is_scaled_by_the_nearest_pixel(
    settings: bpy.types.PropertyGroup,  # noqa: F811
    mask: Modules,  # noqa: F811
    tmp_path: Path,
) -> None:
    small = np.random.default_rng(0).random((12, 16)) < 0.4
    OPS.import_mask(filepath=write(tmp_path / "a.png", small * np.uint8(255)))
    assert np.array_equal(mask.shown(), small.repeat(4, axis=0).repeat(4, axis=1))
    OPS.import_mask(filepath=write(tmp_path / "b.png", np.full((3, 4), 255, np.uint8)))
    assert mask.shown().all()


def test_a_mask_of_a_camera_that_lies_on_its_side(
    settings: bpy.types.PropertyGroup,  # noqa: F811
    mask: Modules,  # noqa: F811
    tmp_path: Path,
) -> None:
    from image_files import chunk

    stored = np.rot90(MARKED) * np.uint8(255)  # 64 rows, to be turned to the right
    OPS.import_mask(filepath=write(tmp_path / "a.png", stored, chunk(b"eXIf", exif(6))))
    assert np.array_equal(mask.shown(), MARKED)


def test_what_can_be_no_mask_is_refused_and_nothing_is_lost(
    settings: bpy.types.PropertyGroup,  # noqa: F811
    mask: Modules,  # noqa: F811
    tmp_path: Path,
) -> None:
    mask.paint(ADDED, (10, 10), radius=4)
    before, images = mask.shown(), set(bpy.data.images.keys())
    good = png(MARKED * np.uint8(255))
    files = {
        "nothing.png": (png(np.zeros((48, 64), np.uint8)), "marks nothing"),
        "clear.png": (png(with_alpha(255, 0)), "marks nothing"),
        "wide.png": (png(np.full((48, 100), 255, np.uint8)), "of another shape"),
        "cut.png": (good[:60], "missing or damaged"),
        "text.png": (b"no picture", "missing or damaged"),
        "empty.png": (b"", "missing or damaged"),
        "head.png": (PNG, "missing or damaged"),
    }
    for name, (content, words) in files.items():
        (tmp_path / name).write_bytes(content)
        assert words in said(OPS.import_mask, filepath=str(tmp_path / name)), name
    assert "There is no file" in said(OPS.import_mask, filepath=str(tmp_path / "none.png"))
    assert "There is no file" in said(OPS.import_mask, filepath=str(tmp_path))
    long = str(tmp_path / f"{'x' * 400}.png")
    assert "There is no file" in said(OPS.import_mask, filepath=long)
    assert "No file is chosen" in said(OPS.import_mask)
    assert "No image is chosen" in said(OPS.import_mask_image)
    assert 'no image "none"' in said(OPS.import_mask_image, image="none")
    assert np.array_equal(mask.shown(), before)
    assert set(bpy.data.images.keys()) == images
    bpy.ops.render.render()
    result = next(one for one in bpy.data.images if one.type == "RENDER_RESULT")
    assert "save it, and import the file" in said(OPS.import_mask_image, image=result.name)


@pytest.mark.parametrize("is_float", [False, True])
def test_an_image_of_the_file(
    settings: bpy.types.PropertyGroup,  # noqa: F811
    mask: Modules,  # noqa: F811
    is_float: bool,
) -> None:
    image = bpy.data.images.new("mine", 64, 48, alpha=True, float_buffer=is_float)
    pixels = np.ones((48, 64, 4), np.float32)
    pixels[..., :3] = MARKED[..., None] * 0.9
    image.pixels.foreach_set(pixels[::-1].reshape(-1))
    OPS.import_mask_image(image="mine")
    assert np.array_equal(mask.shown(), MARKED)
    assert image.name == "mine"
    OPS.import_mask_image(image=settings.mask_image.name, how="TAKE")
    assert not mask.shown().any()


def test_an_imported_mask_is_edited_kept_and_undone(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,  # noqa: F811
    mask: Modules,  # noqa: F811
    tmp_path: Path,
) -> None:
    bpy.ops.ed.undo_push(message="before")
    before = mask.shown()
    file = write(tmp_path / "mask.png", MARKED * np.uint8(255))
    OPS.import_mask(filepath=file)
    bpy.ops.ed.undo_push(message="Import")
    bpy.ops.ed.undo()
    assert np.array_equal(mask.shown(), before)
    bpy.ops.ed.redo()
    assert np.array_equal(mask.shown(), MARKED)
    render = connected.pictures.read_rgb(here().render_image)
    assert np.array_equal(edit(connected), edited(render, MARKED))
    mask.paint(TAKEN, (20, 30), radius=4)
    assert np.array_equal(mask.shown(), MARKED & ~disk(20, 30, 4)), "it can be painted on"
    OPS.restore_edit()
    assert np.array_equal(mask.shown(), MARKED)


def test_importing_wants_a_map(connected: SimpleNamespace, scene: bpy.types.Scene) -> None:
    for operator in ("import_mask", "import_mask_image"):
        assert "press Preview Relevance first" in refusal(operator)
    preview(connected, scene)
    assert OPS.import_mask.poll()
