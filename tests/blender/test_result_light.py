"""Results as OpenEXR files: around the edit they hold what the render holds."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import preview
from test_edit_pixels import bytes_of, loaded
from test_image_source import choose
from test_result_size import TIMES, at_size, edit, far_from, here

OPS = bpy.ops.watch_your_steps
BRIGHT = 20.0


@pytest.fixture
def light(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.written_image")


def exr(addon: SimpleNamespace, path: Path) -> np.ndarray:
    """Its channels, float32 (H, W, 3 or 4)."""
    channels = addon.decode.decode_exr(path.read_bytes())
    assert {one.dtype for one in channels.values()} == {np.dtype(np.float32)}
    return np.stack([channels[name] for name in "RGBA" if name in channels], axis=2)


def save(path: Path) -> None:
    assert OPS.save_result(filepath=str(path)) == {"FINISHED"}


@pytest.fixture
def hdr(connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path) -> np.ndarray:
    """An edit of a small render of a scene with a lamp in the view; the own light, (H, W, 3)."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 2, False
    scene.world = bpy.data.worlds.new("bright")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (1, 0.8, 0.5, 1)
    scene.world.node_tree.nodes["Background"].inputs["Strength"].default_value = BRIGHT
    scene.render.resolution_x, scene.render.resolution_y = 64 * TIMES, 48 * TIMES
    here().max_side = 64
    preview(connected, scene)
    edit_left(connected)
    return own_light(connected, scene)


def edit_left(addon: SimpleNamespace, **settings: object) -> None:
    """Edit the left third of the picture, whatever the map says."""
    data = addon.pictures.__package__
    results = importlib.import_module(f"{data}.results")
    place_of = importlib.import_module(f"{data}.taken_pictures").place_of
    width, height = here().render_image.size
    painted = np.full((height, width), 2, np.uint8)
    painted[:, : width // 3] = 1
    scene = bpy.context.scene
    results.install_painting(scene, painted, place_of(here().render_image))
    edit(addon, **settings)


def own_light(addon: SimpleNamespace, scene: bpy.types.Scene) -> np.ndarray:
    """What Blender itself writes of the scene."""
    module = addon.camera_render
    own = importlib.import_module(f"{module.__package__}.own_settings").AS_THE_SCENE
    size = (scene.render.resolution_x, scene.render.resolution_y)
    parts = module.rendering_light(scene, *size, scene.render.film_transparent, own)
    channels = addon.decode.decode_exr(module.at_once(parts))
    return np.stack([channels[name] for name in "RGBA" if name in channels], axis=2)


def test_around_the_edit_is_the_renders_own_light(
    connected: SimpleNamespace, scene: bpy.types.Scene, hdr: np.ndarray, tmp_path: Path
) -> None:
    mask = connected.pictures.read_gray(here().edits[0].mask) > 0.5
    save(tmp_path / "a.exr")
    made = exr(connected, tmp_path / "a.exr")
    assert made.shape == hdr.shape
    away, deep = far_from(at_size(mask), TIMES), far_from(at_size(~mask), 2 * TIMES)
    assert away.sum() > 1000
    assert deep.sum() > 500
    assert np.array_equal(made[away], hdr[away]), "bit for bit"
    assert made[away].max() > 10, "also what is brighter than white"
    assert np.abs(made[deep] - hdr[deep]).mean() > 0.1
    save(tmp_path / "a.png")
    viewed = as_seen(connected, scene, tmp_path / "a.exr")
    picture = as_bytes(connected, tmp_path / "a.png")
    wrong = np.abs(viewed.astype(int) - picture)
    assert wrong[deep].mean() < 1.5, "inside it looks as the picture does"
    assert wrong[away].mean() < 1.5
    scene.frame_set(scene.frame_current)


def as_bytes(addon: SimpleNamespace, path: Path) -> np.ndarray:
    return addon.pictures.decode_png(path.read_bytes())[..., :3].astype(int)


def as_seen(addon: SimpleNamespace, scene: bpy.types.Scene, path: Path) -> np.ndarray:
    """What the scene's view makes of a file."""
    module = importlib.import_module("bl_ext.user_default.watch_your_steps.render.written_image")
    image = bpy.data.images.load(str(path))
    found: np.ndarray = module.written(image, scene)[..., :3]
    bpy.data.images.remove(image)
    return found


def test_an_edit_of_the_whole_render_keeps_its_light_too(
    connected: SimpleNamespace, scene: bpy.types.Scene, hdr: np.ndarray, tmp_path: Path
) -> None:
    here().max_side = 64 * TIMES
    preview(connected, scene)
    edit_left(connected, rim=0.0)
    entry = here().edits[0]
    assert entry.render.size[0] == 64 * TIMES
    save(tmp_path / "a.exr")
    made = exr(connected, tmp_path / "a.exr")
    base, edited = (connected.pictures.read_rgb(one) for one in (entry.render, entry.image))
    changed = (base != edited).any(axis=2)
    inside = np.pad(changed, 1)
    around = inside[:-2, 1:-1] | inside[2:, 1:-1] | inside[1:-1, :-2] | inside[1:-1, 2:]
    still = ~(changed | around)
    assert np.array_equal(made[still], hdr[still])
    assert not np.allclose(made[changed], hdr[changed])


def test_a_transparent_film_keeps_its_alpha(
    connected: SimpleNamespace, scene: bpy.types.Scene, hdr: np.ndarray, tmp_path: Path
) -> None:
    scene.render.film_transparent = True
    preview(connected, scene)
    edit(connected)
    save(tmp_path / "a.exr")
    made, own = exr(connected, tmp_path / "a.exr"), own_light(connected, scene)
    assert made.shape[2] == 4
    assert np.array_equal(made[..., 3], own[..., 3])
    assert (made[own[..., 3] == 0][:, :3] == 0).all()


def test_of_a_light_image_it_is_that_images_own(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    values = (rng.random((96, 128, 3)) ** 4 * 30).astype(np.float32)
    (tmp_path / "own.exr").write_bytes(connected.encode.encode_exr(values))
    choose(bpy.data.images.load(str(tmp_path / "own.exr")))
    here().max_side = 64
    preview(connected, scene)
    edit_left(connected)
    mask = connected.pictures.read_gray(here().edits[0].mask) > 0.5
    save(tmp_path / "a.exr")
    made = exr(connected, tmp_path / "a.exr")
    away = far_from(np.kron(mask, np.ones((2, 2), bool)), 2)
    assert away.any()
    assert np.array_equal(made[away], values[away])


def test_what_cannot_be_rendered_any_more_is_of_eight_bits_and_said(
    connected: SimpleNamespace, scene: bpy.types.Scene, hdr: np.ndarray, tmp_path: Path
) -> None:
    save(tmp_path / "a.png")
    scene.camera.location.x += 1
    save(tmp_path / "a.exr")
    said = connected.session.message_of(scene)
    assert "8 bits a channel" in said
    assert "camera has changed" in said
    made = exr(connected, tmp_path / "a.exr")
    picture = as_bytes(connected, tmp_path / "a.png")
    wrong = np.abs(as_seen(connected, scene, tmp_path / "a.exr").astype(int) - picture)
    assert wrong.mean() < 1
    assert made.max() < BRIGHT
    OPS.delete_edit()
    edit(connected)  # of the old render
    full = here().edits[0].full_render
    assert full is None
    with pytest.raises(RuntimeError, match="camera has changed"):
        save(tmp_path / "b.exr")
    assert not (tmp_path / "b.exr").exists()


@pytest.mark.skipif(bpy.app.version < (5, 0), reason="it knows one space only")
@pytest.mark.parametrize("space", ["Linear Rec.2020", "ACEScg"])
def test_the_file_says_in_which_colour_space_blender_works(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path, space: str
) -> None:
    bpy.ops.wm.set_working_color_space(working_space=space, convert_colors=True)
    preview(connected, scene)
    edit_left(connected)
    seen = bytes_of(here().edit_image)[..., :3].astype(int)
    save(tmp_path / "made.exr")
    image = bpy.data.images.load(str(tmp_path / "made.exr"))
    assert image.colorspace_settings.name == space
    scene.render.image_settings.file_format = "PNG"
    image.save_render(str(tmp_path / "viewed.png"), scene=scene)
    assert np.abs(loaded(tmp_path / "viewed.png")[..., :3] - seen).max() <= 1
