"""The artist's own Render Result as the picture to edit, and what a new render has of its own."""

import importlib
from collections.abc import Callable
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
BALL, GROUND = (24, 32), (45, 32)
"""Rows and columns where these are to be seen."""


def here() -> bpy.types.PropertyGroup:
    return bpy.context.scene.watch_your_steps


def sent(server: FakeServer) -> Any:
    return [m for m in server.received if isinstance(m, server.messages.Submit)][-1].request


def edit(addon: SimpleNamespace) -> np.ndarray:
    OPS.edit()
    addon.session.wait_for_job(bpy.context.scene, SECONDS)
    return addon.pictures.read_rgb(here().edit_image).copy()


def slots() -> bpy.types.bpy_prop_collection:
    return next(one for one in bpy.data.images if one.type == "RENDER_RESULT").render_slots


def as_saved(folder: Path) -> np.ndarray:
    """What the artist gets who saves the Render Result as a PNG: uint8 (H, W, 3 or 4)."""
    scene = bpy.context.scene
    file = scene.render.image_settings
    if "media_type" in file.bl_rna.properties:
        file.media_type = "IMAGE"
    file.file_format, file.color_mode, file.color_depth = "PNG", "RGBA", "8"
    result = next(one for one in bpy.data.images if one.type == "RENDER_RESULT")
    result.save_render(str(folder / "saved.png"), scene=scene)
    image = bpy.data.images.load(str(folder / "saved.png"))
    image.alpha_mode = "CHANNEL_PACKED"
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    width, height = image.size
    bpy.data.images.remove(image)
    return np.rint(values.reshape(height, width, 4)[::-1] * 255).astype(np.uint8)


@pytest.fixture
def take_picture(installed: str) -> ModuleType:
    return importlib.import_module(f"{installed}.render.take_picture")


@pytest.fixture
def result(connected: SimpleNamespace, scene: bpy.types.Scene) -> bpy.types.Scene:
    """The artist has rendered, and chosen that as the picture."""
    scene.view_settings.view_transform = "AgX"
    here().source.kind = "RESULT"
    bpy.ops.render.render()
    return scene


# ---------------------------------------------------------------- the Render Result


def test_the_render_result_is_sent_as_it_is_saved(
    connected: SimpleNamespace,
    result: bpy.types.Scene,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    wanted = as_saved(tmp_path)[..., :3]
    assert wanted[BALL][0] > wanted[BALL][1]
    bpy.data.objects["ball"].color = (0, 0, 1, 1)  # is not rendered anew
    preview(connected, result)
    assert np.array_equal(sent(server).image, wanted)
    here().threshold = 0.3
    made = edit(connected)
    assert np.array_equal(made, edited(wanted, relevance_of(wanted) >= np.float32(0.3)))
    assert "of the Render Result" in connected.edit_words.describe(here().edits[0])
    assert np.array_equal(as_saved(tmp_path)[..., :3], wanted), "it is as it was"


def test_how_the_scene_writes_its_files_stays(
    connected: SimpleNamespace, result: bpy.types.Scene
) -> None:
    file = result.render.image_settings
    if "media_type" in file.bl_rna.properties:
        file.media_type = "MULTI_LAYER_IMAGE"
    file.file_format, file.color_depth, file.exr_codec = "OPEN_EXR_MULTILAYER", "16", "DWAA"
    result.render.use_stamp = True
    before = {name: getattr(file, name) for name in file.bl_rna.properties.keys()}  # noqa: SIM118
    preview(connected, result)
    assert before == {name: getattr(file, name) for name in file.bl_rna.properties.keys()}  # noqa: SIM118
    assert result.render.use_stamp


def look_of(file: bpy.types.ImageFormatSettings) -> dict[str, object]:
    """What an artist has set of the look that files have."""
    view = file.view_settings
    names = "view_transform look exposure gamma use_curve_mapping use_white_balance"
    values: dict[str, object] = {name: getattr(view, name) for name in names.split()}
    values["device"] = file.display_settings.display_device
    values["temperature"] = view.white_balance_temperature
    if view.use_curve_mapping:
        mapping = view.curve_mapping
        values["levels"] = tuple(mapping.black_level), tuple(mapping.white_level), mapping.tone
        values["curves"] = [
            [(tuple(point.location), point.handle_type) for point in curve.points]
            for curve in mapping.curves
        ]
    return values


@pytest.mark.parametrize("curves", [False, True])
def test_a_look_of_its_own_that_the_scene_gives_its_files_stays(
    connected: SimpleNamespace, result: bpy.types.Scene, curves: bool
) -> None:
    """Blender takes the scene's where a file's own look is chosen anew."""
    file = result.render.image_settings
    file.color_management = "OVERRIDE"
    view = file.view_settings
    view.view_transform, view.exposure, view.gamma = "Filmic", 1.5, 0.75
    view.look = "High Contrast"
    view.use_white_balance, view.white_balance_temperature = True, 4200
    view.use_curve_mapping = curves
    if curves:
        mapping = view.curve_mapping
        mapping.black_level, mapping.tone = (0.1, 0.0, 0.0), "FILMLIKE"
        mapping.curves[3].points.new(0.25, 0.5)
        mapping.curves[0].points[0].location = (0.125, 0.0)
        mapping.update()
    before = look_of(file)
    preview(connected, result)
    assert file.color_management == "OVERRIDE"
    assert look_of(file) == before
    assert look_of(file)["exposure"] == 1.5


def test_the_slot_that_is_shown_is_sent(
    connected: SimpleNamespace, result: bpy.types.Scene, server: FakeServer
) -> None:
    slots().active_index = 1
    bpy.data.objects["ball"].color = (0, 0, 1, 1)
    bpy.ops.render.render()
    for slot, channel in ((0, 0), (1, 2), (0, 0)):
        slots().active_index = slot
        preview(connected, result)
        assert np.argmax(sent(server).image[BALL]) == channel
        assert slots().active_index == slot
    slots().active_index = 3
    assert "There is no Render Result of this scene in the slot" in refusal("preview_relevance")


def test_without_a_render_result_it_is_refused(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    here().source.kind = "RESULT"
    for operator in ("preview_relevance", "edit"):
        assert "render first (F12)" in refusal(operator)
    assert not [m for m in server.received if isinstance(m, server.messages.Submit)]


def test_a_result_of_another_scene_is_not_taken_for_this_ones(
    connected: SimpleNamespace, result: bpy.types.Scene
) -> None:
    other = result.copy()
    bpy.context.window.scene = other
    assert "no Render Result of this scene" in refusal("preview_relevance")


def test_an_own_render_is_no_render_result(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    preview(connected, scene)
    here().source.kind = "RESULT"
    assert "render first (F12)" in refusal("preview_relevance")


def test_it_is_made_smaller_and_keeps_its_alpha(
    connected: SimpleNamespace, result: bpy.types.Scene, server: FakeServer
) -> None:
    result.render.film_transparent = True
    bpy.data.objects["ground"].hide_render = True
    bpy.ops.render.render()
    here().max_side = 32
    preview(connected, result)
    assert sent(server).image.shape == (24, 32, 3)
    assert np.abs(sent(server).image[0, 0].astype(int) - 128).max() <= 1, "over grey"
    here().threshold = 0.0
    edit(connected)
    alpha = connected.pictures.decode_png(here().edit_image.packed_file.data)[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[12, 16] >= 254


@pytest.mark.parametrize("crop", [True, False])
def test_a_border_is_sent_as_it_was_rendered(
    connected: SimpleNamespace,
    result: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    tmp_path: Path,
    crop: bool,
) -> None:
    places = importlib.import_module(f"{installed}.ui.picture_places")
    render = result.render
    render.use_border, render.use_crop_to_border = True, crop
    render.border_min_x, render.border_max_x = 0.25, 0.75
    render.border_min_y, render.border_max_y = 0.5, 0.75
    bpy.ops.render.render()
    preview(connected, result)
    width, height = here().render_image.size
    assert (width, height) == ((32, 12) if crop else (64, 48))
    assert places.fits_camera(result) != crop
    known = connected.taken_pictures.picture_of(here().render_image, "").things
    assert known.unknown == ("This is not all that the camera sees." if crop else "")


# ---------------------------------------------------------------- what it was made of


def of_strip(folder: Path) -> None:
    scene = bpy.context.scene
    (folder / "strip.png").write_bytes(image_files.png(np.full((48, 64, 3), 90, np.uint8)))
    strips = scene.sequence_editor_create().strips
    strips.new_image("strip", str(folder / "strip.png"), 1, 1)


def of_part(_: Path) -> None:
    """Of the frame's own shape, so that nothing tells it from the whole."""
    render = bpy.context.scene.render
    render.use_border = render.use_crop_to_border = True
    render.border_min_x = render.border_min_y = 0.25
    render.border_max_x = render.border_max_y = 0.75


def of_two_eyes(_: Path) -> None:
    bpy.context.scene.render.use_multiview = True


def of_a_marker(_: Path) -> None:
    scene = bpy.context.scene
    active, other = scene.camera, scene.camera.copy()
    scene.collection.objects.link(other)
    scene.timeline_markers.new("cut", frame=1).camera = other
    scene.camera = active


@pytest.mark.parametrize(
    ("how", "said", "size"),
    [
        (of_a_marker, "that a marker is bound to", (48, 64)),
        (of_strip, "Video Sequencer", (48, 64)),
        (of_part, "not all that the camera sees", (24, 32)),
        (of_two_eyes, "left eye", (48, 64)),
    ],
)
def test_what_no_camera_sees_so_is_of_no_camera(
    connected: SimpleNamespace,
    result: bpy.types.Scene,
    server: FakeServer,
    take_picture: ModuleType,
    installed: str,
    how: Callable[[Path], None],
    said: str,
    size: tuple[int, int],
    tmp_path: Path,
) -> None:
    """Things were told apart in a strip's picture, a part of a render lay over the whole view with
    what was painted on it, and once the result had gone, all of the camera's view was rendered in
    its place.
    """
    how(tmp_path)
    here().threshold, here().max_side = 0.0, min(size)
    bpy.ops.render.render()
    taken = take_picture.take_picture(result)
    assert said in taken.things.unknown
    assert (taken.viewpoint, taken.camera) == ((), "")
    preview(connected, result)
    places = importlib.import_module(f"{installed}.ui.picture_places")
    assert places.fits_camera(result) == (how is not of_part)
    edit(connected)
    OPS.save_result(filepath=str(tmp_path / "saved.png"))
    image = bpy.data.images.load(str(tmp_path / "saved.png"))
    assert tuple(image.size)[::-1] == size, "it is laid over the result itself"
    views = importlib.import_module(f"{installed}.render.painted_views")
    here().picks, here().threshold = "", 0.3
    importlib.import_module(f"{installed}.data.strokes").paint(result, 1, 3, [(8.0, 8.0)])
    assert "not known from where" in views.why_not(result)
    here().edits[0].full.user_clear()
    here().edits[0].full = here().edits[0].full_render = None
    slots().active_index = 3
    with pytest.raises(RuntimeError, match="how it was rendered is not known"):
        OPS.save_result(filepath=str(tmp_path / "again.png"))


def test_a_new_render_is_by_the_camera_that_a_marker_is_bound_to(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    """As F12 is, and at every frame that is gone to, where the active one may be another."""
    preview(connected, scene)
    active = sent(server).image
    of_a_marker(tmp_path)
    other = scene.timeline_markers[0].camera
    other.location.x = 2
    preview(connected, scene)
    assert connected.taken_pictures.taken_by(here().render_image) == (other.name, 1)
    assert scene.camera == other
    marked = sent(server).image
    assert not np.array_equal(marked, active)
    scene.timeline_markers.clear()
    preview(connected, scene)
    assert np.array_equal(sent(server).image, marked)


def test_a_result_with_oblong_pixels_lies_over_the_camera(
    connected: SimpleNamespace, result: bpy.types.Scene, installed: str
) -> None:
    """It was said not to fit, and shown nowhere in the 3D view."""
    places = importlib.import_module(f"{installed}.ui.picture_places")
    result.render.pixel_aspect_x = 2.0
    bpy.ops.render.render()
    preview(connected, result)
    assert places.fits_camera(result)


@pytest.mark.parametrize("how", ["muted", "sound", "off"])
def test_a_sequencer_that_renders_nothing_changes_nothing(
    connected: SimpleNamespace,
    result: bpy.types.Scene,
    take_picture: ModuleType,
    how: str,
    tmp_path: Path,
) -> None:
    of_strip(tmp_path)
    if how == "muted":
        result.sequence_editor.strips[0].mute = True
    elif how == "off":
        result.render.use_sequencer = False
    else:
        strips = result.sequence_editor.strips
        strips.remove(strips[0])
        strips.new_sound("sound", str(tmp_path / "none.wav"), 1, 1)
    bpy.ops.render.render()
    taken = take_picture.take_picture(result)
    assert taken.things.unknown == ""
    assert taken.camera == "camera"


def test_things_are_known_while_the_scene_is_as_it_was_rendered(
    connected: SimpleNamespace, result: bpy.types.Scene, installed: str, monkeypatch
) -> None:
    here().snap = "things"
    preview(connected, result)
    known = connected.taken_pictures.picture_of(here().render_image, "")
    assert known.things.names == ("Background", "ball", "ground")
    assert known.camera == "camera"
    things = importlib.import_module(f"{installed}.data.thing_labels").labels(here().render_image)
    assert known.things.names[things[BALL]] == "ball"
    assert connected.panel.changed_since(result) == []
    bpy.data.objects["ball"].location.x += 1
    bpy.context.view_layer.update()
    connected.freshness.forget_all()
    assert connected.panel.changed_since(result) == ["objects"]
    texts = drawn(connected, installed, monkeypatch).texts
    words = "The objects have changed since this render: render (F12) and preview again."
    assert words in texts
    preview(connected, result)
    assert "The scene has changed since this was rendered." in " ".join(
        drawn(connected, installed, monkeypatch).texts
    )
    bpy.ops.render.render()
    preview(connected, result)
    connected.freshness.forget_all()
    assert connected.panel.changed_since(result) == []
    assert here().render_image.get("watch_your_steps_things")


def test_the_size_limit_changes_nothing_of_a_render_result(
    connected: SimpleNamespace, result: bpy.types.Scene
) -> None:
    preview(connected, result)
    here().max_side = 100
    connected.freshness.forget_all()
    assert connected.panel.changed_since(result) == []


def test_nothing_is_known_of_a_result_that_nobody_saw_begin(
    connected: SimpleNamespace, result: bpy.types.Scene, installed: str, monkeypatch
) -> None:
    importlib.import_module(f"{installed}.render.render_notes").forget_all()
    here().snap = "things"
    preview(connected, result)
    texts = " ".join(drawn(connected, installed, monkeypatch).texts)
    assert "How this was rendered is not known." in texts
    bpy.data.objects["ball"].location.x += 1
    result.camera.location.x += 1
    connected.freshness.forget_all()
    assert connected.panel.changed_since(result) == []
    assert not connected.panel.has_moved(result)


def test_a_frame_of_a_film_is_not_taken_for_the_present_one(
    connected: SimpleNamespace, result: bpy.types.Scene, tmp_path: Path
) -> None:
    result.frame_start, result.frame_end = 1, 3
    result.render.filepath = str(tmp_path / "film")
    bpy.ops.render.render(animation=True)
    preview(connected, result)
    known = connected.taken_pictures.picture_of(here().render_image, "")
    assert (known.camera, known.viewpoint) == ("", ())
    assert known.things.unknown == "How this was rendered is not known."


def test_a_render_in_its_own_thread_is_noted_by_the_timer(
    connected: SimpleNamespace, result: bpy.types.Scene, installed: str, monkeypatch
) -> None:
    notes = importlib.import_module(f"{installed}.render.render_notes")
    notes.forget_all()
    elsewhere = SimpleNamespace(current_thread=lambda: 1, main_thread=lambda: 2)
    with monkeypatch.context() as patch:
        patch.setattr(notes, "threading", elsewhere)
        patch.setattr(notes.freshness, "state_of", lambda *_: pytest.fail("read in a thread"))
        bpy.ops.render.render()
    note = notes.note_of(result, 0)
    assert note.camera == "camera"
    assert connected.freshness.changes(result, note.state, notes.Source("RESULT")) == []


def test_previews_do_not_count_as_renders_of_the_artists(
    connected: SimpleNamespace, result: bpy.types.Scene, installed: str
) -> None:
    notes = importlib.import_module(f"{installed}.render.render_notes")
    note = notes.note_of(result, 0)
    bpy.data.objects["ball"].location.x += 1
    here().source.kind = "RENDER"
    preview(connected, result)
    assert notes.note_of(result, 0) == note


def test_an_edit_of_a_render_result_is_gone_back_to(
    connected: SimpleNamespace, result: bpy.types.Scene, server: FakeServer, tmp_path: Path
) -> None:
    preview(connected, result)
    made = edit(connected)
    here().source.kind = "RENDER"
    preview(connected, result)
    reopen(connected, tmp_path / "a.blend")
    connect(connected, server.file)
    OPS.restore_edit()
    assert here().source.kind == "RESULT"
    assert np.array_equal(edit(connected), made), "the picture itself is in the file"
    assert "render first (F12)" in refusal("preview_relevance")


# ---------------------------------------------------------------- a new render's own settings


@pytest.fixture
def rendered(installed: str, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each render of a stand-in was made with, in place of the slow render."""
    module = importlib.import_module(f"{installed}.render.camera_render")
    found: list[dict[str, Any]] = []
    real = module.render_still

    def render(copy: bpy.types.Scene) -> None:
        found.append(
            {
                "engine": copy.render.engine,
                "cycles": copy.cycles.samples,
                "eevee": copy.eevee.taa_render_samples,
                "layers": [layer.samples for layer in copy.view_layers],
            }
        )
        copy.render.engine = "BLENDER_WORKBENCH"
        real(copy)
        copy.render.engine = found[-1]["engine"]

    monkeypatch.setattr(module, "render_still", render)
    return found


EEVEE = "BLENDER_EEVEE" if bpy.app.version >= (5, 0) else "BLENDER_EEVEE_NEXT"


@pytest.mark.parametrize("engine", ["CYCLES", EEVEE])
@pytest.mark.parametrize("limit", [True, False])
def test_samples_are_limited_and_the_scenes_own_stay(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    rendered: list[dict[str, Any]],
    engine: str,
    limit: bool,
) -> None:
    scene.render.engine = engine
    scene.cycles.samples = scene.eevee.taa_render_samples = 500
    scene.view_layers[0].samples = 400
    here().source.limit_samples = limit
    preview(connected, scene)
    name = "cycles" if engine == "CYCLES" else "eevee"
    assert rendered[0][name] == (32 if limit else 500)
    if engine == "CYCLES":
        assert rendered[0]["layers"] == [32 if limit else 400]
    assert scene.cycles.samples == scene.eevee.taa_render_samples == 500
    assert scene.view_layers[0].samples == 400
    connected.freshness.forget_all()
    assert connected.panel.changed_since(scene) == []
    here().source.limit_samples = not limit
    connected.freshness.forget_all()
    assert connected.panel.changed_since(scene) == ["render settings"]


def test_fewer_samples_than_the_limit_stay(
    connected: SimpleNamespace, scene: bpy.types.Scene, rendered: list[dict[str, Any]]
) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 7
    preview(connected, scene)
    assert rendered[0]["cycles"] == 7
    assert rendered[0]["layers"] == [0], "as the scene"
    here().source.limit_samples = False
    connected.freshness.forget_all()
    assert connected.panel.changed_since(scene) == [], "the limit makes no difference"


def test_a_failed_render_changes_no_samples(
    connected: SimpleNamespace, scene: bpy.types.Scene, installed: str, monkeypatch
) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 500
    module = importlib.import_module(f"{installed}.render.camera_render")

    def fail(_: bpy.types.Scene) -> None:
        raise connected.scene_error.SceneError("It does not work.")

    monkeypatch.setattr(module, "render_still", fail)
    assert refusal("preview_relevance") == "It does not work."
    assert scene.cycles.samples == 500
    assert len(bpy.data.scenes) == 1


def test_really_fewer_samples_are_taken(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    """A rough light on the ground is noisier with fewer of them."""
    scene.render.engine, scene.cycles.use_denoising = "CYCLES", False
    scene.cycles.samples, scene.cycles.use_adaptive_sampling = 256, False
    scene.world = bpy.data.worlds.new("sky")
    scene.world.color = (0.5, 0.5, 0.5)
    noise = []
    for samples in (1, 256):
        here().source.samples = samples
        preview(connected, scene)
        ground = sent(server).image[36:].astype(float)
        noise.append(np.abs(np.diff(ground, axis=1)).mean())
    assert noise[0] > 3 * noise[1]


# ---------------------------------------------------------------- the viewport


@pytest.mark.parametrize(
    ("chosen", "engine"), [("WORKBENCH", "BLENDER_WORKBENCH"), ("EEVEE", EEVEE)]
)
def test_the_viewports_picture_is_rendered_by_its_engine(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    rendered: list[dict[str, Any]],
    installed: str,
    chosen: str,
    engine: str,
) -> None:
    panel = importlib.import_module(f"{installed}.ui.panel_source")
    scene.render.engine = "CYCLES"
    scene.eevee.taa_render_samples, scene.eevee.taa_samples = 64, 5
    here().source.kind, here().source.engine = "VIEWPORT", chosen
    preview(connected, scene)
    assert rendered[0]["engine"] == engine
    assert rendered[0]["eevee"] == 5
    assert (scene.render.engine, scene.eevee.taa_render_samples) == ("CYCLES", 64)
    assert chosen in panel.how(scene).upper()
    names = connected.taken_pictures.picture_of(here().render_image, "").things.names
    assert names == ("Background", "ball", "ground")
    connected.freshness.forget_all()
    assert connected.panel.changed_since(scene) == []


def test_another_engine_of_the_viewport_is_another_source(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    here().source.kind, here().source.engine = "VIEWPORT", "WORKBENCH"
    preview(connected, scene)
    edit(connected)
    assert "of the Workbench viewport" in connected.edit_words.describe(here().edits[0])
    here().source.kind = "RENDER"
    here().source.engine = "EEVEE"
    OPS.restore_edit()
    assert (here().source.kind, here().source.engine) == ("VIEWPORT", "WORKBENCH")


@pytest.mark.parametrize("kind", ["RENDER", "RESULT", "VIEWPORT"])
def test_nothing_is_rendered_beside_a_render_of_the_artists(
    connected: SimpleNamespace,
    result: bpy.types.Scene,
    take_picture: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    here().source.kind = kind
    busy = SimpleNamespace(is_job_running=lambda name: name == "RENDER", version=bpy.app.version)
    with monkeypatch.context() as patch:
        patch.setattr(take_picture, "bpy", SimpleNamespace(app=busy, types=bpy.types))
        assert "Blender renders just now" in refusal("preview_relevance")
    preview(connected, result)
