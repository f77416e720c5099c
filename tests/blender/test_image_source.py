"""Editing an image: what is sent is what the artist sees of it, and it is never changed."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import image_files
import numpy as np
import pytest
from driving import SECONDS, connect, preview, reopen
from fake_server import FakeServer, edited, relevance_of
from test_flows import refusal
from test_threshold import drawn

OPS = bpy.ops.watch_your_steps
SIZE = (40, 60)


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


def colours(size: tuple[int, int] = SIZE) -> np.ndarray:
    """A uint8 (H, W, 3) image in which no two places look the same."""
    height, width = size
    found = np.zeros((height, width, 3), np.uint8)
    found[..., 0] = np.linspace(0, 255, width)
    found[..., 1] = np.linspace(255, 0, height)[:, None]
    found[..., 2] = 77
    return found


def load(path: Path, file: bytes) -> bpy.types.Image:
    path.write_bytes(file)
    return bpy.data.images.load(str(path))


def as_jpeg(folder: Path, pixels: np.ndarray) -> bytes:
    image = load(folder / "plain.png", image_files.png(pixels))
    assert len(image.pixels)  # reads it
    image.file_format, image.filepath_raw = "JPEG", str(folder / "plain.jpg")
    image.save(quality=100)
    return (folder / "plain.jpg").read_bytes()


def choose(image: bpy.types.Image | None) -> None:
    here().source.kind, here().source.image = "IMAGE", image


def sent(server: FakeServer) -> Any:
    return [m for m in server.received if isinstance(m, server.messages.Submit)][-1].request.image


def submissions(server: FakeServer) -> int:
    return sum(isinstance(m, server.messages.Submit) for m in server.received)


def edit(addon: SimpleNamespace) -> np.ndarray:
    OPS.edit()
    addon.session.wait_for_job(bpy.context.scene, SECONDS)
    return addon.pictures.read_rgb(here().edit_image).copy()


@pytest.fixture
def image(connected: SimpleNamespace, scene: bpy.types.Scene, tmp_path: Path) -> bpy.types.Image:
    """Chosen as the picture; there is no camera."""
    scene.camera = None
    made = load(tmp_path / "photo.png", image_files.png(colours()))
    choose(made)
    return made


@pytest.fixture
def image_pixels(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.image_pixels")


# ---------------------------------------------------------------- what is sent


def test_an_image_is_previewed_and_edited_without_a_camera(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer
) -> None:
    preview(connected, bpy.context.scene)
    assert np.array_equal(sent(server), colours())
    read = connected.pictures
    assert np.array_equal(read.read_gray(here().relevance_image), relevance_of(colours()))
    here().threshold = 0.6
    made = edit(connected)
    assert np.array_equal(made, edited(colours(), relevance_of(colours()) >= np.float32(0.6)))
    assert here().edits[0].camera == ""
    assert 'of the image "photo.png"' in connected.edit_words.describe(here().edits[0])
    assert not image.is_dirty
    assert np.array_equal(read.read_rgb(image), colours())
    for one in (here().render_image, here().edit_image):
        assert one.colorspace_settings.name == "sRGB", "it is no render, and looks as its image"


def test_a_large_image_is_made_smaller_by_the_light_of_its_pixels(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    board = np.zeros((64, 96, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    board[:, 48:] = (200, 100, 50)
    choose(load(tmp_path / "board.png", image_files.png(board)))
    here().max_side = 48
    preview(connected, scene)
    found = sent(server)
    assert found.shape == (32, 48, 3)
    assert np.abs(found[:, :24].astype(int) - 188).max() <= 1, "half of the light"
    assert np.abs(found[:, 24:].astype(int) - (200, 100, 50)).max() <= 1
    here().max_side = 31  # not a whole part
    preview(connected, scene)
    assert sent(server).shape == (21, 31, 3)
    assert np.abs(sent(server)[:, 16:].astype(int) - (200, 100, 50)).max() <= 1


@pytest.mark.parametrize("space", ["sRGB", "Non-Color"])
@pytest.mark.parametrize("view", ["AgX", "Standard", "Filmic"])
def test_colours_are_what_the_image_editor_shows(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer, space: str, view: str
) -> None:
    scene = bpy.context.scene
    scene.view_settings.view_transform = view
    scene.view_settings.exposure = 2
    image.colorspace_settings.name = space
    preview(connected, scene)
    assert np.array_equal(sent(server), colours())
    assert scene.view_settings.view_transform == view


def test_other_colour_spaces_are_shown_in_srgb(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer
) -> None:
    image.colorspace_settings.name = "Linear Rec.709"
    preview(connected, bpy.context.scene)
    light = colours() / 255
    wanted = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(sent(server) - wanted).max() <= 1


def test_16_bits_of_grey_are_scaled(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer, tmp_path: Path
) -> None:
    grey = np.linspace(0, 65535, 24 * 32).reshape(24, 32).astype(np.uint16)
    choose(load(tmp_path / "grey.png", image_files.png(grey)))
    preview(connected, bpy.context.scene)
    assert np.abs(sent(server) - (grey / 257)[..., None]).max() <= 1


@pytest.mark.parametrize("by_scene", [True, False])
def test_light_is_seen_through_the_scenes_view_transform(
    connected: SimpleNamespace,
    image: bpy.types.Image,
    server: FakeServer,
    tmp_path: Path,
    by_scene: bool,
) -> None:
    scene = bpy.context.scene
    made = bpy.data.images.new("light", 8, 4, float_buffer=True)
    made.pixels.foreach_set(np.tile(np.float32([0.18, 0.18, 0.18, 1]), 32))
    made.file_format, made.filepath_raw = "OPEN_EXR", str(tmp_path / "light.exr")
    if by_scene:
        made.save()
        made = bpy.data.images.load(made.filepath_raw)
        made.colorspace_settings.name = "Linear Rec.709"
    choose(made)
    light = 2 * made.pixels[0]  # Blender 5 writes another one than it has
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.exposure = 1
    preview(connected, scene)
    bright = 255 * (1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(sent(server) - bright).max() <= 1
    assert connected.panel.changed_since(scene) == []
    scene.view_settings.exposure = 0
    connected.freshness.forget_all()
    assert connected.panel.changed_since(scene) == ["image"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_turned_photo_is_sent_upright(
    connected: SimpleNamespace,
    image: bpy.types.Image,
    server: FakeServer,
    tmp_path: Path,
    orientation: int,
    kind: str,
) -> None:
    stored = np.full((16, 32, 3), 255, np.uint8)
    stored[:8, :8] = (255, 0, 0)
    stored[8:, :8] = (0, 0, 255)
    if kind == "png":
        segment = image_files.chunk(b"eXIf", image_files.exif(orientation))
        file = image_files.png(stored, segment)
    else:
        data = b"Exif\0\0" + image_files.exif(orientation)
        file = image_files.with_segment(as_jpeg(tmp_path, stored), 0xE1, data)
    choose(load(tmp_path / f"turned.{kind}", file))
    preview(connected, bpy.context.scene)
    turned = {  # where the stored first corner and the one below it are to be seen
        1: ((0, 0), (-1, 0)),
        2: ((0, -1), (-1, -1)),
        3: ((-1, -1), (0, -1)),
        4: ((-1, 0), (0, 0)),
        5: ((0, 0), (0, -1)),
        6: ((0, -1), (0, 0)),
        7: ((-1, -1), (-1, 0)),
        8: ((-1, 0), (-1, -1)),
    }[orientation]
    found = sent(server).astype(int)
    assert found.shape == ((16, 32, 3) if orientation < 5 else (32, 16, 3))
    for place, colour in zip(turned, ((255, 0, 0), (0, 0, 255)), strict=True):
        assert np.abs(found[place] - colour).max() <= 40, (orientation, place)


@pytest.mark.parametrize("mode", ["STRAIGHT", "CHANNEL_PACKED", "NONE"])
def test_what_is_transparent_is_sent_over_grey_and_comes_back_transparent(
    connected: SimpleNamespace,
    image: bpy.types.Image,
    server: FakeServer,
    tmp_path: Path,
    mode: str,
) -> None:
    cut = np.zeros((16, 16, 4), np.uint8)
    cut[...] = (200, 40, 90, 255)
    cut[:, 8:] = (255, 0, 255, 0)
    choose(load(tmp_path / "cut.png", image_files.png(cut)))
    here().source.image.alpha_mode = mode
    preview(connected, bpy.context.scene)
    assert np.array_equal(sent(server)[:, :8], cut[:, :8, :3])
    here().threshold = 0.0
    edit(connected)
    result = connected.pictures.decode_png(here().edit_image.packed_file.data)
    if mode == "STRAIGHT":
        assert np.abs(sent(server)[:, 8:].astype(int) - 128).max() <= 1
        assert np.array_equal(result[..., 3], cut[..., 3])
        here().max_side = 16
    else:
        assert np.array_equal(sent(server)[:, 8:], cut[:, 8:, :3])
        assert result.shape[2] == 3


def test_a_smaller_picture_takes_no_colour_of_what_is_not_seen(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer, tmp_path: Path
) -> None:
    cut = np.zeros((32, 64, 4), np.uint8)
    cut[...] = (200, 40, 90, 255)
    cut[:, 33:] = (0, 255, 0, 0)
    choose(load(tmp_path / "cut.png", image_files.png(cut)))
    here().max_side = 32
    preview(connected, bpy.context.scene)
    half = connected.pictures.decode_png(here().render_image.packed_file.data)[:, 16]
    assert np.abs(half.astype(int) - (200, 40, 90, 128)).max() <= 1


@pytest.mark.parametrize("kind", ["generated", "packed", "painted"])
def test_what_is_only_in_the_file_is_sent(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer, kind: str
) -> None:
    wanted = colours()
    if kind == "generated":
        choose(bpy.data.images.new("new", 8, 4))
        here().source.image.generated_color = (1, 0, 0, 1)
        wanted = np.full((4, 8, 3), (255, 0, 0), np.uint8)
    elif kind == "packed":
        image.pack()
        Path(image.filepath_raw).unlink()
    else:
        values = np.tile(np.float32([0, 1, 0, 1]), image.size[0] * image.size[1])
        image.pixels.foreach_set(values)
        image.update()
        wanted = np.full((*SIZE, 3), (0, 255, 0), np.uint8)
    preview(connected, bpy.context.scene)
    assert np.array_equal(sent(server), wanted)


# ---------------------------------------------------------------- refusals


def test_without_an_image_both_buttons_say_so(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer
) -> None:
    bpy.data.images.remove(image)
    for operator in ("preview_relevance", "edit"):
        assert "No image is chosen" in refusal(operator)
    here().source.kind = "RENDER"
    assert connected.session.message_of(bpy.context.scene) == "", "said as long as it is true"
    assert submissions(server) == 0


def spoil(file: bytes) -> bytes:
    at = file.index(b"IDAT") + 8
    return file[:at] + bytes(len(file) - at)


@pytest.mark.parametrize("how", ["missing", "damaged", "no image"])
def test_a_file_that_cannot_be_read_is_refused(
    connected: SimpleNamespace,
    image: bpy.types.Image,
    server: FakeServer,
    tmp_path: Path,
    how: str,
) -> None:
    good = image_files.png(colours())
    file = {"missing": good, "damaged": spoil(good), "no image": b"no image"}[how]
    choose(load(tmp_path / "bad.png", file))
    if how == "missing":
        (tmp_path / "bad.png").unlink()
    sentence = 'The image "bad.png" cannot be read: its file is missing or damaged.'
    assert refusal("preview_relevance") == sentence
    assert here().render_image is None
    assert submissions(server) == 0


def test_an_image_that_is_too_large_is_refused_before_it_is_decoded(
    connected: SimpleNamespace,
    image: bpy.types.Image,
    tmp_path: Path,
) -> None:
    huge = image_files.png(np.zeros((2, 2), np.uint8))
    header = image_files.struct.pack(">IIBBBBB", 20000, 12000, 8, 0, 0, 0, 0)
    file = image_files.PNG + image_files.chunk(b"IHDR", header) + huge[8 + 25 :]
    choose(load(tmp_path / "huge.png", file))
    assert "20000 x 12000 pixels, more than 150 million" in refusal("preview_relevance")
    assert not here().source.image.has_data


@pytest.mark.parametrize(
    ("source", "words"), [("SEQUENCE", "is a film"), ("MOVIE", "is a film"), ("TILED", "UDIM")]
)
def test_what_is_more_than_one_image_is_refused(
    connected: SimpleNamespace, image: bpy.types.Image, source: str, words: str
) -> None:
    image.source = source
    assert words in refusal("preview_relevance")


def test_a_file_of_several_layers_is_said_to_be_one(
    connected: SimpleNamespace, image: bpy.types.Image, tmp_path: Path
) -> None:
    scene, path = bpy.context.scene, tmp_path / "layers.exr"
    scene.camera = bpy.data.objects["camera"]
    bpy.ops.render.render()
    file = scene.render.image_settings
    if "media_type" in file.bl_rna.properties:
        file.media_type = "MULTI_LAYER_IMAGE"
    file.file_format = "OPEN_EXR_MULTILAYER"
    result = next(one for one in bpy.data.images if one.type == "RENDER_RESULT")
    result.save_render(str(path), scene=scene)
    choose(bpy.data.images.load(str(path)))
    assert "has several layers" in refusal("preview_relevance")


def test_renders_cannot_be_chosen_as_images(
    connected: SimpleNamespace, image: bpy.types.Image
) -> None:
    bpy.context.scene.camera = bpy.data.objects["camera"]
    bpy.ops.render.render()
    result = next(one for one in bpy.data.images if one.type == "RENDER_RESULT")
    here().source.image = result
    assert "choose Render Result" in refusal("preview_relevance")


def test_no_scene_is_left_behind(connected: SimpleNamespace, image: bpy.types.Image) -> None:
    preview(connected, bpy.context.scene)
    bpy.data.images.remove(image)
    refusal("preview_relevance")
    assert len(bpy.data.scenes) == 1


# ---------------------------------------------------------------- afterwards


def test_another_source_is_not_edited_in_its_place(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, scene)
    render = connected.pictures.read_rgb(here().render_image).copy()
    choose(load(tmp_path / "photo.png", image_files.png(colours())))
    edit(connected)
    assert np.array_equal(sent(server), colours())
    choose(load(tmp_path / "other.png", image_files.png(colours()[::-1])))
    edit(connected)
    assert np.array_equal(sent(server), colours()[::-1])
    here().source.kind = "RENDER"
    edit(connected)
    assert np.array_equal(sent(server), render)


def test_the_panel_says_that_the_shown_picture_is_another_ones(
    connected: SimpleNamespace,
    image: bpy.types.Image,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = importlib.import_module(f"{installed}.ui.panel_source").OTHER
    preview(connected, bpy.context.scene)
    assert words not in drawn(connected, installed, monkeypatch).texts
    here().source.kind = "RENDER"
    assert words in drawn(connected, installed, monkeypatch).texts


def test_an_image_that_was_painted_on_is_not_what_was_taken(
    connected: SimpleNamespace, image: bpy.types.Image, installed: str, monkeypatch
) -> None:
    preview(connected, bpy.context.scene)
    assert connected.panel.changed_since(bpy.context.scene) == []
    image.pixels[0] = 0.5
    image.update()
    connected.freshness.forget_all()
    assert connected.panel.changed_since(bpy.context.scene) == ["image"]
    texts = drawn(connected, installed, monkeypatch).texts
    assert "The image has changed since it was taken: preview again." in texts
    preview(connected, bpy.context.scene)
    assert connected.panel.changed_since(bpy.context.scene) == []


def test_moving_a_camera_changes_nothing_of_an_image(
    connected: SimpleNamespace, image: bpy.types.Image
) -> None:
    preview(connected, bpy.context.scene)
    scene = bpy.context.scene
    scene.camera = bpy.data.objects["camera"]
    scene.camera.location.x += 3
    scene.frame_set(5)
    connected.freshness.forget_all()
    assert connected.panel.changed_since(scene) == []
    assert not connected.panel.has_moved(scene)


def test_snap_follows_the_edges_and_says_why(
    connected: SimpleNamespace,
    image: bpy.types.Image,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here().snap = "things"
    preview(connected, bpy.context.scene)
    texts = drawn(connected, installed, monkeypatch).texts
    assert any(text.startswith("An image has no things. ") for text in texts)


def test_an_edit_goes_back_to_the_image_that_it_is_of(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, bpy.context.scene)
    here().threshold = 0.6
    made = edit(connected)
    bpy.context.scene.camera = bpy.data.objects["camera"]
    here().source.kind = "RENDER"
    here().source.image = None
    image.name = "renamed.png"
    preview(connected, bpy.context.scene)
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    here().edit_index = 0
    OPS.restore_edit()
    assert here().source.kind == "IMAGE"
    assert here().source.image == bpy.data.images["renamed.png"]
    preview(connected, bpy.context.scene)
    assert np.array_equal(sent(server), colours())
    assert np.array_equal(edit(connected), made)


def test_an_edit_whose_image_was_deleted_can_still_be_gone_back_to(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer
) -> None:
    preview(connected, bpy.context.scene)
    made = edit(connected)
    bpy.data.images.remove(image)
    OPS.restore_edit()
    assert here().source.kind == "IMAGE"
    assert "No image is chosen" in refusal("preview_relevance")
    assert np.array_equal(connected.pictures.read_rgb(here().render_image), colours())
    assert np.array_equal(connected.pictures.read_rgb(here().edit_image), made)
    edit(connected)
    assert np.array_equal(sent(server), colours()), "the picture itself is in the file"


def test_a_renamed_image_is_still_the_same(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer
) -> None:
    preview(connected, bpy.context.scene)
    here().threshold = 0.6
    mask = connected.results.mask(bpy.context.scene).copy()
    image.name = "renamed.png"
    edit(connected)
    assert np.array_equal(server.received[-1].request.mask, mask), "its map is not found again"
    here().base = "EDIT"
    edit(connected)
    assert [one.source_image for one in here().edits] == [image, image]
    image.pixels[0] = 0.5
    image.update()
    connected.freshness.forget_all()
    assert connected.panel.changed_since(bpy.context.scene) == ["image"]


def test_the_same_pixels_from_elsewhere_are_another_picture(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, bpy.context.scene)
    twin = load(tmp_path / "twin.png", image_files.png(colours()))
    choose(twin)
    edit(connected)
    assert here().edits[0].source_image == twin
    sends = submissions(server)
    edit(connected)
    assert submissions(server) == sends + 1, "it is there now"


def test_an_edit_on_top_of_an_images_edit(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer
) -> None:
    preview(connected, bpy.context.scene)
    first = edit(connected)
    here().base = "EDIT"
    edit(connected)
    assert np.array_equal(sent(server), first)
    here().base = "RENDER"
    edit(connected)
    assert np.array_equal(sent(server), colours())


def test_undo_and_redo_of_an_images_edit(
    connected: SimpleNamespace, image: bpy.types.Image
) -> None:
    bpy.ops.ed.undo_push(message="image")
    preview(connected, bpy.context.scene)
    made = edit(connected)
    bpy.ops.ed.undo()
    assert len(here().edits) == 0
    assert here().source.kind == "IMAGE"
    bpy.ops.ed.redo()
    assert np.array_equal(connected.pictures.read_rgb(here().edit_image), made)


def test_copies_of_a_scene_choose_for_themselves(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer
) -> None:
    scene = bpy.context.scene
    preview(connected, scene)
    copy = scene.copy()
    bpy.context.window.scene = copy
    other = bpy.data.images.new("new", 8, 4)
    choose(other)
    preview(connected, copy)
    assert sent(server).shape == (4, 8, 3)
    bpy.context.window.scene = scene
    assert here().source.image == image
    assert tuple(here().render_image.size) == SIZE[::-1]
    bpy.data.scenes.remove(copy)


def test_blender_is_closed_while_an_image_is_edited(
    connected: SimpleNamespace, image: bpy.types.Image, server: FakeServer, tmp_path: Path
) -> None:
    server.manual = True
    OPS.edit()
    job = connected.session.job_of(bpy.context.scene).id
    connected.session.wait(lambda: job in server.jobs, SECONDS)
    reopen(connected, tmp_path / "a.blend")
    server.finish(job)
    connect(connected, server.file)
    connected.session.wait_for_job(bpy.context.scene, SECONDS)
    entry = here().edits[0]
    assert entry.source_image == bpy.data.images["photo.png"]
    assert np.array_equal(connected.pictures.read_rgb(entry.render), colours())


# ---------------------------------------------------------------- where it is shown


def test_an_image_lies_over_the_camera_only_where_it_fits(
    connected: SimpleNamespace, image: bpy.types.Image, installed: str
) -> None:
    places = importlib.import_module(f"{installed}.ui.picture_places")
    scene = bpy.context.scene
    preview(connected, scene)
    assert not places.fits_camera(scene)
    scene.render.resolution_x, scene.render.resolution_y = 600, 400
    assert places.fits_camera(scene)
    scene.render.pixel_aspect_x = 2
    assert not places.fits_camera(scene)


@pytest.mark.parametrize("shown", ["picture", "image", "another"])
def test_the_image_editor_shows_the_relevance_over_the_picture(
    connected: SimpleNamespace, image: bpy.types.Image, installed: str, shown: str
) -> None:
    places = importlib.import_module(f"{installed}.ui.picture_places")
    preview(connected, bpy.context.scene)
    another = bpy.data.images.new("another", 60, 40)
    seen = {"picture": here().render_image, "image": image, "another": another}[shown]
    space = SimpleNamespace(image=seen, mode="VIEW")
    view = SimpleNamespace(region_to_view=lambda x, y: ((x - 10.5) / 300, (y - 20) / 200))
    part = SimpleNamespace(view2d=view, width=400, height=300)
    frame = places.frame_in_image_editor(here(), space, part)
    if shown == "another":
        assert frame is None
    else:
        edges = (frame.left, frame.bottom, frame.right, frame.top)
        assert edges == pytest.approx((10.5, 20, 310.5, 220))
    for view in ("VARIANTS", "IN_3D"):
        here().view = view
        assert places.frame_in_image_editor(here(), space, part) is None
    here().view = "MASK"
    space.mode = "PAINT"  # the artist is at it
    assert places.frame_in_image_editor(here(), space, part) is None


# ---------------------------------------------------------------- colour profiles


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_colour_profile_that_blender_does_not_use_is_named(
    connected: SimpleNamespace,
    image: bpy.types.Image,
    image_pixels: ModuleType,
    tmp_path: Path,
    kind: str,
) -> None:
    profile = image_files.icc("Adobe RGB (1998)")
    if kind == "png":
        data = b"some name\0\0" + image_files.zlib.compress(profile)
        file = image_files.png(colours(), image_files.chunk(b"iCCP", data))
    else:
        data = b"ICC_PROFILE\0\1\1" + profile
        file = image_files.with_segment(as_jpeg(tmp_path, colours()), 0xE2, data)
    found = load(tmp_path / f"profile.{kind}", file)
    assert image_pixels.header_of(found).profile == "Adobe RGB (1998)"
    assert image_pixels.header_of(found).size == SIZE[::-1]
    found.pack()
    assert image_pixels.header_of(found).profile == "Adobe RGB (1998)"


def test_a_file_that_ends_in_the_middle_says_what_it_can(
    connected: SimpleNamespace, image: bpy.types.Image, image_pixels: ModuleType, tmp_path: Path
) -> None:
    file = image_files.png(colours(), image_files.chunk(b"eXIf", image_files.exif(6)))
    for length in range(len(file)):
        found = image_pixels.read_header(file[:length])
        assert found.size == (SIZE[::-1] if length >= 24 else None)


# ---------------------------------------------------------------- from an Image Editor


@pytest.fixture
def editor(image: bpy.types.Image) -> Iterator[bpy.types.Area]:
    """An Image Editor in the window."""
    area = bpy.context.window.screen.areas[0]
    before = area.ui_type
    area.ui_type = "IMAGE_EDITOR"
    yield area
    area.ui_type = before


def test_the_image_that_an_editor_shows_can_be_chosen(
    connected: SimpleNamespace, image: bpy.types.Image, editor: bpy.types.Area
) -> None:
    choose(None)
    assert "No Image Editor shows an image" in refusal("use_shown_image")
    editor.spaces.active.image = image
    bpy.ops.ed.undo_push(message="before")
    OPS.use_shown_image()
    assert (here().source.kind, here().source.image) == ("IMAGE", image)
    other = bpy.data.images.new("other", 4, 4)
    editor.spaces.active.image = other
    with bpy.context.temp_override(area=editor):
        OPS.use_shown_image()
    assert here().source.image == other


def test_an_editor_that_shows_the_render_result_chooses_that(
    connected: SimpleNamespace, image: bpy.types.Image, editor: bpy.types.Area
) -> None:
    bpy.context.scene.camera = bpy.data.objects["camera"]
    bpy.ops.render.render()
    shown = next(one for one in bpy.data.images if one.type == "RENDER_RESULT")
    editor.spaces.active.image = shown
    OPS.use_shown_image()
    assert here().source.kind == "RESULT"


def test_the_picture_is_shown_in_an_image_editor(
    connected: SimpleNamespace, image: bpy.types.Image, editor: bpy.types.Area
) -> None:
    assert "There is no render yet" in refusal("show_in_image_editor")
    preview(connected, bpy.context.scene)
    OPS.show_in_image_editor()
    assert editor.spaces.active.image == here().render_image
    preview(connected, bpy.context.scene)
    image.pixels[0] = 0.5
    preview(connected, bpy.context.scene)
    assert editor.spaces.active.image == here().render_image, "also the next one"


def test_without_an_image_editor_and_a_window_the_picture_is_said_to_be_in_the_file(
    connected: SimpleNamespace, image: bpy.types.Image
) -> None:
    preview(connected, bpy.context.scene)
    assert "is in the file: open an Image Editor" in refusal("show_in_image_editor")


def test_a_path_that_the_system_tells_nothing_of_has_no_file(
    connected: SimpleNamespace, image: bpy.types.Image
) -> None:
    image.filepath_raw = f"/{'x' * 400}.png"
    assert "its file is missing" in refusal("preview_relevance")


def test_an_image_has_no_things_to_pick(connected: SimpleNamespace, image: bpy.types.Image) -> None:
    preview(connected, bpy.context.scene)
    assert "An image has no things" in refusal("pick_things")
