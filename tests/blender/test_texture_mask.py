"""Masks that artists bring for a texture's region."""

from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
from driving import SECONDS, reopen
from fake_server import FakeServer, edited
from test_flows import refusal, submits
from test_imported_mask import said, write
from test_mesh_views import noise
from test_painted_regions import previewed, stroke  # noqa: F401  # a fixture
from test_texture_edit import edit, node, pixels, thing  # noqa: F401  # fixtures
from test_texture_preview import GREEN, baked, live, preview, refusal_of, regions  # noqa: F401

OPS = bpy.ops.watch_your_steps
MARKED = np.zeros((24, 32), np.bool_)
MARKED[3:11, 5:20] = True


def file(folder: Path, marked: np.ndarray = MARKED) -> str:
    return write(folder / "mask.png", marked * np.uint8(255))


def test_an_imported_mask_is_edited_to_the_texel_and_shown(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,  # noqa: F811
    server: FakeServer,
    regions: ModuleType,  # noqa: F811
    live: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    plain, by_map = baked_plain(scene, thing), np.float32(previewed.threshold) <= GREEN
    images = len(bpy.data.images)
    for how, wanted in (("ADD", by_map | MARKED), ("TAKE", by_map & ~MARKED), ("REPLACE", MARKED)):
        assert OPS.import_texture_mask(filepath=file(tmp_path), how=how) == {"FINISHED"}
        assert np.array_equal(regions.mask(previewed), wanted), how
        tinted = plain * 0.5 + np.array([1.0, 0.3, 0.02]) * 0.5
        is_tinted = np.abs(baked(scene, thing) - tinted).max(axis=-1) < 2e-3
        assert is_tinted[wanted].all()
        assert is_tinted[~wanted].mean() < 0.05
    assert len(bpy.data.images) == images + 1, "the correction, and nothing else"
    previewed.threshold = 0.9
    reopened = file(tmp_path)
    assert np.array_equal(regions.mask(previewed), MARKED), "whatever the slider says"
    assert Path(reopened).is_file()
    edit(connected, scene)
    assert np.array_equal(submits(server)[-1].request.mask, MARKED)
    wanted = noise(24, 32)
    wanted[..., :3] = edited(wanted[..., :3], MARKED)
    assert np.array_equal(pixels(connected.mesh_reading, node(thing).image), wanted)


def baked_plain(scene: bpy.types.Scene, thing: bpy.types.Object) -> np.ndarray:  # noqa: F811
    """Without the preview, which is put back."""
    OPS.show_texture_preview()
    values = baked(scene, thing)
    OPS.show_texture_preview()
    return values


def test_an_image_of_the_file_of_another_size_corrects_what_was_painted(
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,  # noqa: F811
    regions: ModuleType,  # noqa: F811
) -> None:
    OPS.paint_texture_region(brush="ADD")
    assert "Done Painting" in refusal_of(OPS.import_texture_mask_image)
    stroke(previewed.paint, slice(0, 6), 1.0)
    stroke(previewed.paint, slice(20, 24), 0.0)
    OPS.end_texture_painting()
    large = bpy.data.images.new("large", 64, 48)
    values = np.zeros((48, 64, 4), np.float32)
    values[..., 3] = 1
    values[..., :3] = np.kron(MARKED, np.ones((2, 2)))[..., None]
    large.pixels.foreach_set(values[::-1].ravel())
    wanted = np.float32(previewed.threshold) <= GREEN
    wanted[:6], wanted[20:] = True, False
    wanted[MARKED] = False
    assert OPS.import_texture_mask_image(image="large", how="TAKE") == {"FINISHED"}
    assert np.array_equal(regions.mask(previewed), wanted)
    assert OPS.import_texture_mask_image(image="large", how="ADD") == {"FINISHED"}
    wanted[MARKED] = True
    assert np.array_equal(regions.mask(previewed), wanted)


def test_it_is_one_step_back_and_saved(
    connected: SimpleNamespace,
    previewed: bpy.types.PropertyGroup,  # noqa: F811
    regions: ModuleType,  # noqa: F811
    tmp_path: Path,
) -> None:
    bpy.ops.ed.undo_push(message="before")
    OPS.import_texture_mask(filepath=file(tmp_path))
    bpy.ops.ed.undo_push(message="imported")
    bpy.ops.ed.undo()
    assert bpy.data.images["paint"].watch_your_steps.preview.paint is None
    bpy.ops.ed.redo()
    reopen(connected, tmp_path / "a.blend")
    kept = bpy.data.images["paint"].watch_your_steps.preview
    assert np.array_equal(regions.mask(kept), MARKED)


def test_what_cannot_be_imported_says_so_and_nothing_is_lost(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    thing: bpy.types.Object,  # noqa: F811
    previewed: bpy.types.PropertyGroup,  # noqa: F811
    tmp_path: Path,
) -> None:
    images = len(bpy.data.images)
    assert "No file is chosen" in refusal("import_texture_mask")
    assert "No image is chosen" in refusal("import_texture_mask_image")
    wide = file(tmp_path, np.ones((24, 64), np.bool_))
    assert "another shape" in said(OPS.import_texture_mask, filepath=wide)
    empty = file(tmp_path, np.zeros((24, 32), np.bool_))
    assert "marks nothing" in said(OPS.import_texture_mask, filepath=empty)
    assert previewed.paint is None
    assert len(bpy.data.images) == images
    OPS.edit_texture()
    assert "A job of this scene runs" in refusal_of(OPS.import_texture_mask)
    connected.session.wait_for_job(scene, SECONDS)
    bpy.context.view_layer.objects.active = None
    assert "no preview yet" in refusal_of(OPS.import_texture_mask)
