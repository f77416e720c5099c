"""The result at full size of what was taken from the Render Result, an image or the viewport."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import bpy
import image_files
import numpy as np
import pytest
from driving import preview
from test_edit_pixels import loaded
from test_image_source import choose, colours
from test_render_sources import as_saved
from test_result_size import TIMES, at_size, edit, far_from, here, own_render, refusal_of, words_of

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def wide(connected: SimpleNamespace, scene: bpy.types.Scene) -> bpy.types.Scene:
    """Renders 256x192 pixels, and sends 64x48."""
    scene.render.resolution_x, scene.render.resolution_y = 64 * TIMES, 48 * TIMES
    here().max_side = 64
    return scene


def away_from_edit(addon: SimpleNamespace) -> np.ndarray:
    entry = here().edits[0]
    read = addon.pictures.read_rgb
    changed = (read(entry.image) != read(entry.render)).any(axis=2)
    assert changed.any()
    away = far_from(at_size(changed), TIMES)
    assert away.sum() > 500
    return away


def saved(folder: Path) -> np.ndarray:
    assert OPS.save_result(filepath=str(folder / "made.png")) == {"FINISHED"}
    return loaded(folder / "made.png")[..., :3]


def test_the_render_result_itself_lies_below_its_edit(
    connected: SimpleNamespace, wide: bpy.types.Scene, tmp_path: Path
) -> None:
    here().source.kind = "RESULT"
    bpy.ops.render.render()
    own = as_saved(tmp_path)[..., :3]
    preview(connected, wide)
    edit(connected, threshold=0.3)
    bpy.data.objects["ball"].color = (0, 0, 1, 1)  # nothing is rendered
    assert "Render Result" in words_of(connected)
    made, away = saved(tmp_path), away_from_edit(connected)
    assert np.array_equal(made[away], own[away])
    assert (made != own).any()


def test_without_it_the_scene_is_rendered_where_that_is_as_it_was(
    connected: SimpleNamespace, wide: bpy.types.Scene, tmp_path: Path
) -> None:
    here().source.kind = "RESULT"
    bpy.ops.render.render()
    own = as_saved(tmp_path)[..., :3]
    preview(connected, wide)
    edit(connected, threshold=0.3)
    colour = tuple(bpy.data.objects["ball"].color)
    bpy.data.objects["ball"].color = (0, 0, 1, 1)
    bpy.ops.render.render()
    assert "objects have changed" in refusal_of("save_result", filepath=str(tmp_path / "a.png"))
    bpy.data.objects["ball"].color = colour
    made, away = saved(tmp_path), away_from_edit(connected)
    assert np.abs(made[away].astype(int) - own[away]).max() <= 1, "of what is nearly opaque"


def test_a_render_result_that_nobody_saw_begin_has_no_second_one(
    connected: SimpleNamespace, wide: bpy.types.Scene, tmp_path: Path, installed: str
) -> None:
    here().source.kind = "RESULT"
    bpy.ops.render.render()
    importlib.import_module(f"{installed}.render.render_notes").forget_all()
    preview(connected, wide)
    edit(connected, threshold=0.3)
    bpy.data.objects["ball"].color = (0, 0, 1, 1)
    bpy.ops.render.render()
    assert "not there any more" in refusal_of("save_result", filepath=str(tmp_path / "a.png"))


def test_an_images_own_pixels_lie_around_its_edit(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    scene.camera = None
    (tmp_path / "photo.png").write_bytes(image_files.png(colours((192, 256))))
    image = bpy.data.images.load(str(tmp_path / "photo.png"))
    choose(image)
    here().max_side = 64
    preview(connected, scene)
    edit(connected, threshold=0.7)
    assert words_of(connected) == "256 x 192, as the image."
    image.name = "renamed"
    made, away = saved(tmp_path), away_from_edit(connected)
    assert np.array_equal(made[away], colours((192, 256))[away])
    assert (made[0, 0] != colours((192, 256))[0, 0]).any()
    assert "of an image" in refusal_of("composite_result")


def test_an_image_that_has_changed_or_is_gone_is_refused(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(image_files.png(colours((192, 256))))
    image = bpy.data.images.load(str(tmp_path / "photo.png"))
    choose(image)
    here().max_side = 64
    preview(connected, scene)
    edit(connected, threshold=0.7)
    image.pixels[0] = 0.5
    assert "has changed since" in refusal_of("save_result", filepath=str(tmp_path / "a.png"))
    bpy.data.images.remove(image)
    assert "not in the file" in refusal_of("save_result", filepath=str(tmp_path / "a.png"))
    assert "not in the file" in words_of(connected)
    assert here().edits[0].full is None


def test_the_viewports_picture_is_rendered_by_its_own_engine(
    connected: SimpleNamespace, wide: bpy.types.Scene, tmp_path: Path
) -> None:
    own = own_render(connected, wide)
    wide.render.engine = "CYCLES"
    here().source.kind, here().source.engine = "VIEWPORT", "WORKBENCH"
    preview(connected, wide)
    edit(connected, threshold=0.3)
    made, away = saved(tmp_path), away_from_edit(connected)
    assert np.array_equal(made[away], own[away])


def test_a_limit_of_samples_is_of_the_small_render_alone(
    connected: SimpleNamespace, wide: bpy.types.Scene, tmp_path: Path
) -> None:
    wide.render.engine = "CYCLES"
    wide.cycles.samples, wide.cycles.use_denoising = 8, False
    here().source.limit_samples, here().source.samples = True, 1
    light = bpy.data.objects.new("light", bpy.data.lights.new("light", "SUN"))
    wide.collection.objects.link(light)
    preview(connected, wide)
    relevance = connected.pictures.read_gray(here().relevance_image)
    edit(connected, threshold=(relevance.min() + relevance.max()) / 2)
    here().source.samples, here().source.limit_samples = 3, False
    own = own_render(connected, wide)
    made, away = saved(tmp_path), away_from_edit(connected)
    assert np.array_equal(made[away], own[away])
    here().edits[0].full = here().edits[0].full_render = None
    wide.cycles.samples = 9
    assert "render settings have" in refusal_of("save_result", filepath=str(tmp_path / "a.png"))
