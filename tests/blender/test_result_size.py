"""An edit at the render's size: the artist's own pixels around it, and the files it goes to."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, connect, preview, reopen
from fake_server import FakeServer
from test_edit_pixels import bytes_of, loaded
from test_flows import refusal

OPS = bpy.ops.watch_your_steps
TIMES = 4
"""How much larger the scene's own renders are than what is sent."""


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


def own_render(addon: SimpleNamespace, scene: bpy.types.Scene) -> np.ndarray:
    """The scene's render at its own size, as it is seen."""
    render = scene.render
    png = addon.camera_render.render_png(
        scene, render.resolution_x, render.resolution_y, render.film_transparent
    )
    return addon.pictures.decode_png(png)


def edit(addon: SimpleNamespace, **settings: object) -> None:
    for name, value in settings.items():
        setattr(here(), name, value)
    OPS.edit()
    addon.session.wait_for_job(bpy.context.scene, SECONDS)


def far_from(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Where no pixel of a mask is as near as that, along rows and columns."""
    grown = mask.copy()
    for y in range(-pixels, pixels + 1):
        for x in range(-pixels, pixels + 1):
            padded = np.pad(mask, pixels)
            grown |= padded[
                pixels + y : pixels + y + len(mask), pixels + x : pixels + x + mask.shape[1]
            ]
    return ~grown


def held(sizes: ModuleType, base: np.ndarray, edited: np.ndarray, rim: float = 0) -> np.ndarray:
    found: np.ndarray = sizes.shares(sizes.changes(base, edited), float(rim))
    return found


def at_size(mask: np.ndarray) -> np.ndarray:
    return np.kron(mask, np.ones((TIMES, TIMES), bool))


@pytest.fixture
def sizes(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.data.render_size")


@pytest.fixture
def large(connected: SimpleNamespace, scene: bpy.types.Scene) -> SimpleNamespace:
    """An edit of a render of 64x48 pixels, in a scene of 256x192."""
    scene.render.resolution_x, scene.render.resolution_y = 64 * TIMES, 48 * TIMES
    here().max_side = 64
    preview(connected, scene)
    assert tuple(here().render_image.size) == (64, 48)
    edit(connected, threshold=0.3)
    return connected


# ---------------------------------------------------------------- the numbers


def test_an_edge_has_no_halo(sizes: ModuleType) -> None:
    rng = np.random.default_rng(0)
    full = rng.integers(0, 256, (192, 256, 3)).astype(np.uint8)
    base = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
    edited, mask = base.copy(), np.zeros((48, 64), bool)
    mask[10:30, 20:40] = True
    edited[mask] = (255, 128, 0)
    made = sizes.laid_over(full, base, edited, held(sizes, base, edited))
    away = far_from(at_size(mask), TIMES)
    assert np.array_equal(made[away], full[away])
    deep = far_from(at_size(~mask), TIMES)
    assert (made[deep] == (255, 128, 0)).all()
    layer = sizes.layer(base, edited, full.shape[:2], held(sizes, base, edited))
    assert (layer[layer[..., 3] > 0][:, :3] == (255, 128, 0)).all(), "nothing of the base is in it"
    assert (layer[..., 3][deep] == 255).all()
    assert (layer[..., 3][away] == 0).all()


def test_a_smooth_picture_is_enlarged_smoothly(sizes: ModuleType) -> None:
    y, x = np.mgrid[0:48, 0:64]
    edited = np.stack([x * 3, y * 4, x + y], axis=2).astype(np.uint8)
    base = np.full((48, 64, 3), 201, np.uint8)
    full = np.zeros((192, 256, 3), np.uint8)
    made = sizes.laid_over(full, base, edited, held(sizes, base, edited))
    y, x = np.mgrid[0:192, 0:256]
    place = np.stack([(x + 0.5) / 4 - 0.5, (y + 0.5) / 4 - 0.5], axis=2)
    wanted = np.stack([place[..., 0] * 3, place[..., 1] * 4, place.sum(axis=2)], axis=2)
    wrong = np.abs(made - wanted)[8:-8, 8:-8]
    assert wrong.max() < 2, "steps would be wrong by half a pixel's slope"


def test_a_soft_rim_shows_the_own_pixels_through_it(sizes: ModuleType) -> None:
    stripes = np.zeros((192, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    grey = np.full((48, 64, 3), int(sizes.srgb_bytes(np.array([0.5], np.float32))[0]), np.uint8)
    rim = 8
    share = np.clip((np.arange(64) - 30) / rim + 0.5, 0, 1)[None, :, None]
    light = sizes.LIGHT[grey] * (1 - share) + share * sizes.LIGHT[np.array([255, 0, 0])]
    edited = sizes.srgb_bytes(np.broadcast_to(light, (48, 64, 3)).astype(np.float32))
    made = sizes.laid_over(stripes, grey, edited, held(sizes, grey, edited, rim))
    contrast = np.abs(np.diff(made[96, :, 1].astype(int)))
    assert contrast[:80].min() == 255, "untouched"
    assert (contrast[26 * 4 + 8 : 33 * 4] > 20).all(), "the stripes are seen through the rim"
    assert contrast[36 * 4 :].max() == 0, "but not in the edit"
    assert (np.diff(sizes.shares(np.arange(64)[None] > 26, 8.0)[0]) >= 0).all()


def test_the_size_of_the_picture_gives_the_edit_itself(sizes: ModuleType) -> None:
    rng = np.random.default_rng(0)
    full = rng.integers(0, 256, (40, 30, 4)).astype(np.uint8)
    edited = full.copy()
    edited[3:9, 3:9, :3] = rng.integers(0, 256, (6, 6, 3))
    assert np.array_equal(sizes.laid_over(full, full, edited, held(sizes, full, edited, 4)), edited)
    assert np.array_equal(sizes.laid_over(full, full, full, held(sizes, full, full)), full), (
        "nothing was edited"
    )
    assert not sizes.layer(full, full, (80, 60), held(sizes, full, full)).any()


# ---------------------------------------------------------------- in Blender


def test_pixels_outside_are_the_full_renders_own(
    large: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    mask = large.results.mask(scene)
    small = bytes_of(here().edit_image)
    own = own_render(large, scene)
    assert OPS.save_result(filepath=str(tmp_path / "made.png")) == {"FINISHED"}
    made = loaded(tmp_path / "made.png")[..., :3]
    assert made.shape == (48 * TIMES, 64 * TIMES, 3)
    away, deep = far_from(at_size(mask), TIMES), far_from(at_size(~mask), 2 * TIMES)
    assert away.sum() > 1000
    assert deep.sum() > 1000
    assert np.array_equal(made[away], own[away])
    wanted = np.kron(small, np.ones((TIMES, TIMES, 1), np.uint8))[..., :3]
    assert np.abs(made[deep].astype(int) - wanted[deep]).mean() < 3
    assert np.abs(made[deep].astype(int) - own[deep]).mean() > 50
    assert "made.png was saved, 256 x 192" in large.session.message_of(scene)
    assert large.session.says_done(scene)


def test_the_result_is_kept_in_the_file_and_renders_once(
    large: SimpleNamespace, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "rendered once" in words_of(large)
    OPS.show_result()
    made = bytes_of(here().edits[0].full)
    reopen(large, tmp_path / "a.blend")
    bpy.ops.outliner.orphans_purge(do_recursive=True)
    bpy.context.scene.camera.location.x += 3  # no more render is needed
    assert "kept in the file" in words_of(large)
    OPS.save_result(filepath=str(tmp_path / "again.png"))
    assert np.array_equal(loaded(tmp_path / "again.png")[..., :3], made[..., :3])
    connect(large, server.file)
    bpy.context.scene.camera.location.x -= 3
    edit(large, seed=4, threshold=0.05)
    bpy.context.scene.camera.location.x += 3
    assert "No other render" in words_of(large), "the other edit's serves this one, too"
    OPS.save_result(filepath=str(tmp_path / "second.png"))
    assert not np.array_equal(loaded(tmp_path / "second.png")[..., :3], made[..., :3])
    first = [one.full for one in here().edits]
    shared = here().edits[0].full_render
    assert here().edits[1].full_render == shared
    names = [one.name for one in first]
    OPS.delete_edit()
    assert names[0] not in bpy.data.images
    assert shared.name in bpy.data.images
    OPS.delete_edit()
    assert names[1] not in bpy.data.images


def words_of(addon: SimpleNamespace) -> str:
    panel = importlib.import_module("bl_ext.user_default.watch_your_steps.ui.panel_output")
    scene = bpy.context.scene
    text: str = panel.about(scene, addon.edits.chosen(scene))
    return text


def test_what_was_sent_whole_is_not_rendered_again(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    preview(connected, scene)
    edit(connected)
    small = bytes_of(here().edit_image)
    scene.camera.location.x += 3
    OPS.save_result(filepath=str(tmp_path / "made.png"))
    assert here().edits[0].full_render is None
    assert np.array_equal(loaded(tmp_path / "made.png")[..., :3], small[..., :3])


def test_an_edit_on_top_holds_those_below(
    large: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    own = own_render(large, scene)
    below = large.results.mask(scene).copy()
    here().base = "EDIT"
    preview(large, scene)
    relevance = large.pictures.read_gray(here().relevance_image)
    here().threshold = float(np.median(relevance[below]))  # half of what was edited, and the sky
    above = large.results.mask(scene).copy()
    assert (above != below).any()
    edit(large)
    here().edit_index = 1
    OPS.delete_edit()
    assert [one.parent != "" for one in here().edits] == [True]
    OPS.save_result(filepath=str(tmp_path / "made.png"))
    made, small = loaded(tmp_path / "made.png")[..., :3], bytes_of(here().edits[0].image)
    changed = (small[..., :3] != bytes_of(here().edits[0].root)[..., :3]).any(axis=2)
    away, deep = far_from(at_size(changed), TIMES), far_from(at_size(~changed), 2 * TIMES)
    assert np.array_equal(made[away], own[away])
    wanted = np.kron(small, np.ones((TIMES, TIMES, 1), np.uint8))[..., :3]
    assert deep.any()
    assert np.abs(made[deep].astype(int) - wanted[deep]).mean() < 4


def test_an_edit_that_is_made_again_has_a_result_of_its_own(
    large: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    OPS.show_result()
    first = bytes_of(here().edits[0].full)
    monkeypatch.setattr(  # another seed gives another picture
        "fake_server.edited", lambda image, mask: np.where(mask[..., None], 255 - image // 2, image)
    )
    OPS.edit_again()
    large.session.wait_for_job(scene, SECONDS)
    assert here().edits[0].full is None
    scene.camera.location.x += 3
    OPS.save_result(filepath=str(tmp_path / "second.png"))
    second = loaded(tmp_path / "second.png")[..., :3]
    assert np.abs(second.astype(int) - first[..., :3]).mean() > 5
    assert here().edits[0].full_render == here().edits[1].full_render


def test_the_render_is_seen_sharp_through_layers_that_are_half_seen(
    large: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    own = own_render(large, scene)
    edit(large, threshold=0.0)  # all of it
    OPS.add_layer()
    here().layers[0].opacity = 0.25
    OPS.keep_layers()
    assert here().edits[0].layers
    OPS.save_result(filepath=str(tmp_path / "seen.png"))
    seen = loaded(tmp_path / "seen.png")[..., :3]
    steps, own_steps = (np.abs(np.diff(one[..., 1].astype(int), axis=1)) for one in (seen, own))
    edges = own_steps > 20
    assert edges.sum() > 50, "the render has sharp edges there"
    assert steps[edges].mean() > 0.45 * own_steps[edges].mean()


def test_alpha_is_the_full_renders_own(
    connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    scene.render.film_transparent = True
    bpy.data.objects.remove(bpy.data.objects["ground"])
    scene.render.resolution_x, scene.render.resolution_y = 64 * TIMES, 48 * TIMES
    here().max_side = 64
    preview(connected, scene)
    edit(connected, threshold=0.02)
    own = own_render(connected, scene)
    assert OPS.save_result(filepath=str(tmp_path / "made.png")) == {"FINISHED"}
    made = connected.pictures.decode_png((tmp_path / "made.png").read_bytes())
    assert ((own[..., 3] > 0) & (own[..., 3] < 255)).any()
    assert np.array_equal(made[..., 3], own[..., 3])
    assert np.array_equal(made[own[..., 3] == 0], own[own[..., 3] == 0])
    seen = own[..., 3] > 250
    assert np.abs(made[seen].astype(int) - own[seen])[:, :3].mean() > 30
    outline = (own[..., 3] > 60) & (own[..., 3] < 200)
    colours = {tuple(one) for one in made[seen][:, :3] // 32}
    near = [tuple(one) in colours for one in made[outline][:, :3] // 32]
    assert np.mean(near) > 0.9, "no dark or grey fringe"
    for name in ("made.tif", "made.exr", "made.jpg"):
        assert OPS.save_result(filepath=str(tmp_path / name)) == {"FINISHED"}
    tiff = read_file(tmp_path / "made.tif")
    assert np.array_equal(np.rint(tiff * 255).astype(np.uint8), made)
    light = read_file(tmp_path / "made.exr")
    assert np.allclose(light[..., 3], own[..., 3] / 255, atol=1 / 500)
    assert light[own[..., 3] == 0][:, 3].max() < 1 / 500, "less than a level"
    jpeg = read_file(tmp_path / "made.jpg") * 255
    assert (jpeg[own[..., 3] == 0][:, :3] < 40).all(), "over black"


def read_file(path: Path) -> np.ndarray:
    """The pixels as they are in a file, row 0 at the top, times alpha where the format says so."""
    image = bpy.data.images.load(str(path))
    image.alpha_mode = "CHANNEL_PACKED"
    width, height = image.size
    values = np.array(image.pixels[:], np.float32).reshape(height, width, -1)[::-1]
    bpy.data.images.remove(image)
    return values


@pytest.mark.parametrize(
    ("view_transform", "exposure", "gamma"),
    [("Standard", 0.0, 1.0), ("AgX", 0.5, 1.0), ("Filmic", -0.5, 1.3)],
)
def test_every_kind_of_file_looks_the_same(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    tmp_path: Path,
    view_transform: str,
    exposure: float,
    gamma: float,
) -> None:
    view = scene.view_settings
    view.view_transform, view.exposure, view.gamma = view_transform, exposure, gamma
    preview(connected, scene)
    edit(connected)
    seen = bytes_of(here().edit_image)[..., :3].astype(int)
    for name in ("a.png", "a.JPG", "a.jpeg", "a.tif", "a.tiff", "a.exr", "b"):
        assert OPS.save_result(filepath=str(tmp_path / name)) == {"FINISHED"}
    for name in ("a.png", "a.tif", "a.tiff", "b.png"):
        assert np.array_equal(loaded(tmp_path / name)[..., :3], seen), name
    assert (tmp_path / "a.tif").read_bytes()[:2] in (b"II", b"MM")
    for name in ("a.JPG", "a.jpeg"):
        assert (tmp_path / name).read_bytes()[:2] == b"\xff\xd8"
        assert np.abs(loaded(tmp_path / name)[..., :3] - seen).mean() < 4
    image = bpy.data.images.load(str(tmp_path / "a.exr"))
    assert image.is_float
    scene.render.image_settings.file_format = "PNG"
    image.save_render(str(tmp_path / "viewed.png"), scene=scene)
    viewed = loaded(tmp_path / "viewed.png")[..., :3]
    assert np.abs(viewed - seen).mean() < 0.6, "as the scene's view shows it"
    assert np.median(np.abs(viewed - seen)) <= 1


def test_what_has_no_way_back_to_light_is_refused_before_a_render(
    large: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path
) -> None:
    view = scene.view_settings
    for name, value, words in (
        ("view_transform", "False Color", 'view transform "False Color"'),
        ("look", "AgX - Punchy", 'look "AgX - Punchy"'),
        ("use_curve_mapping", True, "curves"),
    ):
        before = getattr(view, name)
        setattr(view, name, value)
        assert words in refusal_of("save_result", filepath=str(tmp_path / "a.exr"))
        assert words in refusal_of("composite_result")
        setattr(view, name, before)
    assert here().edits[0].full is None
    assert not (tmp_path / "a.exr").exists()
    assert not (tmp_path / "a.png").exists()


def refusal_of(operator: str, **given: object) -> str:
    """What an operator says that refuses."""
    with pytest.raises(RuntimeError) as caught:
        getattr(OPS, operator)(**given)
    return str(caught.value)


def test_what_cannot_be_written_is_refused_before_a_render(
    large: SimpleNamespace, tmp_path: Path
) -> None:
    for path, words in (
        (tmp_path / "none" / "a.png", "no such folder"),
        (tmp_path, "has no name"),
        (tmp_path / "a.webp", "no kind of file"),
        (tmp_path / ("long" * 99 + ".png"), "choose another place"),
        ("", "has no name"),
    ):
        assert words in refusal_of("save_result", filepath=str(path))
    assert here().edits[0].full is None
    (tmp_path / "taken.png").mkdir()
    assert "has no name" in refusal_of("save_result", filepath=str(tmp_path / "taken.png"))
    files = importlib.import_module("bl_ext.user_default.watch_your_steps.data.picture_files")
    with pytest.raises(large.scene_error.SceneError, match="save the file first"):
        files.path_of("//a.png")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    assert files.path_of("//a.JPG") == tmp_path / "a.JPG"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda scene: setattr(scene.camera.location, "x", 4), "The camera has changed"),
        (lambda scene: setattr(scene, "camera", None), "no active camera"),
        (lambda scene: scene.frame_set(7), "is of frame 1"),
        (lambda scene: setattr(bpy.data.objects["ball"].location, "x", 4), "The objects have"),
        (lambda scene: setattr(scene.render, "resolution_x", 300), "The camera and the render"),
        (lambda scene: bpy.data.images.remove(here().edits[0].render), "render that this edit"),
        (lambda scene: bpy.data.images.remove(here().edits[0].image), "was deleted"),
    ],
)
def test_a_scene_that_has_changed_is_not_rendered(
    large: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path, change, words: str
) -> None:
    change(scene)
    bpy.context.view_layer.update()
    assert words in refusal_of("save_result", filepath=str(tmp_path / "a.png"))
    assert not (tmp_path / "a.exr").exists()
    assert not (tmp_path / "a.png").exists()
    assert len(here().edits) == 1


def test_another_size_limit_is_no_change(large: SimpleNamespace, tmp_path: Path) -> None:
    here().max_side = 128
    assert OPS.save_result(filepath=str(tmp_path / "a.png")) == {"FINISHED"}


def test_an_edit_that_was_unpacked_says_so(large: SimpleNamespace, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    here().edits[0].image.unpack(method="WRITE_LOCAL")
    assert "no longer packed" in refusal_of("save_result", filepath=str(tmp_path / "a.png"))


def test_the_result_shows_in_an_image_editor_as_it_is_seen(
    large: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    assert OPS.show_result() == {"FINISHED"}
    made = here().edits[0].full
    assert made.colorspace_settings.name == "sRGB", "an Image Editor shows its very bytes"
    assert "open an Image Editor" in large.session.message_of(scene)
    area = bpy.context.screen.areas[0]
    before, area.ui_type = area.ui_type, "IMAGE_EDITOR"
    try:
        assert OPS.show_result() == {"FINISHED"}
        assert area.spaces.active.image == made
        assert large.session.message_of(scene) == ""
    finally:
        area.ui_type = before


def test_undo_takes_the_result_back_and_the_edit_stays(
    large: SimpleNamespace, tmp_path: Path
) -> None:
    bpy.ops.ed.undo_push(message="before")
    OPS.show_result()
    bpy.ops.ed.undo_push(message="shown")
    made = bytes_of(here().edits[0].full)
    bpy.ops.ed.undo()
    assert here().edits[0].full is None
    assert here().edits[0].image is not None
    bpy.ops.ed.redo()
    assert np.array_equal(bytes_of(here().edits[0].full), made)


def test_the_artists_render_stays(large: SimpleNamespace, scene: bpy.types.Scene) -> None:
    scene.render.resolution_percentage = 25
    bpy.ops.render.render()
    scene.render.resolution_percentage = 100
    before = {(one.name, one.type) for one in bpy.data.images}
    OPS.show_result()
    after = {(one.name, one.type) for one in bpy.data.images}
    assert {name for name, _ in after - before} == {
        f"{here().edits[0].title} full size",
        f"{here().edits[0].title} full render",
    }
    assert len(bpy.data.scenes) == 1


def test_a_copy_of_the_scene_has_the_result_and_can_lose_it(
    large: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    OPS.show_result()
    made = bytes_of(here().edits[0].full)
    copy = scene.copy()
    bpy.context.window.scene = copy
    OPS.delete_edit()
    bpy.context.window.scene = scene
    assert np.array_equal(bytes_of(here().edits[0].full), made)


def test_without_an_edit_the_buttons_say_so(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    for name in ("save_result", "show_result", "composite_result"):
        assert not getattr(OPS, name).poll()
        assert "Choose an edit in the list first" in refusal(name)
