"""What the panel says: all of it to be seen, once, as long as it is true, and the most important
first; and what greyed buttons say.
"""

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import blf
import bpy
import numpy as np
import pytest
from driving import SECONDS, preview, run, start_manual
from fake_server import FakeServer
from test_flows import refusal
from test_texture_edit import thing as box  # noqa: F401  # a fixture
from test_threshold import Written, drawn

OPS = bpy.ops.watch_your_steps
LONG = (
    "Edit failed: the file /home/somebody/a/very/long/path/without/any/spaces/in_it/render.png "
    "cannot be read: choose another one, or make it anew with fewer pixels than 8192 a side."
)
UNCHANGED = "Unchanged: nothing reaches the threshold."


# ---------------------------------------------------------------- as long as it is true


def no_instruction(scene: bpy.types.Scene) -> None:
    scene.watch_your_steps.instruction = " "


def no_camera(scene: bpy.types.Scene) -> None:
    scene.camera = None


def an_instruction(scene: bpy.types.Scene) -> None:
    scene.watch_your_steps.instruction = "t"


def a_camera(scene: bpy.types.Scene) -> None:
    scene.camera = bpy.data.objects["camera"]


@pytest.mark.parametrize(
    ("spoil", "mend", "operator"),
    [
        (no_instruction, an_instruction, "preview_relevance"),
        (no_instruction, an_instruction, "edit"),
        (no_instruction, an_instruction, "all_in_3d"),
        (no_camera, a_camera, "preview_relevance"),
    ],
)
def test_a_refusal_goes_once_its_reason_is_gone(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    spoil: Callable[[bpy.types.Scene], None],
    mend: Callable[[bpy.types.Scene], None],
    operator: str,
) -> None:
    spoil(scene)
    sentence = refusal(operator)
    assert connected.session.message_of(scene) == sentence
    connected.session.drain()
    assert connected.session.message_of(scene) == sentence, "nothing has changed"
    mend(scene)
    assert connected.session.message_of(scene) == ""


def test_an_empty_masks_refusal_goes_when_the_slider_moves(
    connected: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    preview(connected, scene)
    scene.watch_your_steps.threshold = 1.0
    refusal("edit")
    assert "mask is empty" in connected.session.message_of(scene)
    scene.watch_your_steps.threshold = 0.5
    assert connected.session.message_of(scene) == ""


def test_a_missing_connections_refusal_goes_with_the_connection(
    addon: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    refusal("preview_relevance")
    assert "press Connect" in addon.session.message_of(scene)
    addon.preferences.connection_file = str(server.file)
    OPS.connect()
    addon.session.wait_for_connection(SECONDS)
    assert addon.session.message_of(scene) == ""


def test_a_jobs_failure_stays_until_it_is_dismissed(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    job = start_manual(connected, scene, server)
    server.fail(job, "out_of_memory", "The device's memory did not suffice.")
    connected.session.wait(lambda: connected.session.job_of(scene) is None, SECONDS)
    an_instruction(scene)
    assert "did not suffice" in connected.session.message_of(scene)
    OPS.dismiss()
    assert connected.session.message_of(scene) == ""


@pytest.mark.parametrize("gone", ["killed", "disconnected"])
def test_a_server_that_is_gone_does_not_go_on_denoising(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    gone: str,
) -> None:
    session = connected.session
    number = start_manual(connected, scene, server)
    server.progress(number, "denoising, step 24 of 100", 0.24)
    job = session.job_of(scene)
    session.wait(lambda: job.fraction == 0.24, SECONDS)
    assert "24%" in drawn(connected, installed, monkeypatch).texts
    if gone == "killed":
        server.stop()
        session.wait(lambda: session.state.status.welcome is None, SECONDS)
    else:
        OPS.disconnect()
    texts = drawn(connected, installed, monkeypatch).texts
    assert "Waiting for the backend" in texts
    assert not any("enoising" in text or "24" in text for text in texts)
    if gone == "killed":
        server.start()
    else:
        OPS.connect()
    session.wait(lambda: job.stage != "waiting for the backend", SECONDS)
    server.finish(number)
    session.wait_for_job(scene, SECONDS)


# ---------------------------------------------------------------- once


@pytest.mark.parametrize("place", ["the panel", "a shortcut", "a script"])
def test_a_refusal_is_said_in_one_place(
    addon: SimpleNamespace, scene: bpy.types.Scene, installed: str, place: str
) -> None:
    operators = importlib.import_module(f"{installed}.ui.operators")
    reported: list[str] = []
    operator = SimpleNamespace(report=lambda _, text: reported.append(text))
    region = {"the panel": SimpleNamespace(type="UI"), "a shortcut": SimpleNamespace(type="WINDOW")}
    context = SimpleNamespace(scene=scene, region=region.get(place))
    outcome = operators.refuse(operator, context, addon.session.SessionError("Not so."))
    assert outcome == {"CANCELLED"}
    assert addon.session.message_of(scene) == "Not so."
    assert reported == ([] if place == "the panel" else ["Not so."])


def test_a_failed_connection_is_said_once(
    addon: SimpleNamespace,
    scene: bpy.types.Scene,
    installed: str,
    connection_file,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    addon.preferences.connection_file = str(connection_file)
    OPS.connect()
    session = addon.session
    session.wait(lambda: session.state.status.text != "", SECONDS)
    refusal("preview_relevance")
    texts = drawn(addon, installed, monkeypatch).texts
    assert sum("start the backend" in text for text in texts) == 1


# ---------------------------------------------------------------- first


@pytest.mark.parametrize("unseen", ["", "The model does not see where this applies."])
def test_an_edit_that_changed_nothing_is_said_first(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
    unseen: str,
) -> None:
    server.notes, server.unseen = (UNCHANGED,), unseen
    run(connected, "edit")
    layout = drawn(connected, installed, monkeypatch)
    assert layout.texts[0] == UNCHANGED
    assert layout.texts.count(UNCHANGED) == 1
    assert layout.alerts == ([unseen] if unseen else []), "said in its own place only"
    assert scene.watch_your_steps.edits[0].notes.startswith(UNCHANGED)
    server.notes, server.unseen = (), ""
    run(connected, "edit")
    assert drawn(connected, installed, monkeypatch).texts[0].startswith("Ready")


def test_a_texture_edit_that_changed_nothing_is_no_failure(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,  # noqa: F811  # the fixture
    server: FakeServer,
) -> None:
    scene.watch_your_steps.texture.use_threshold = True
    scene.watch_your_steps.texture.threshold = 1.0
    image = box.active_material.node_tree.nodes["Image Texture"].image
    image.pixels.foreach_set(np.full(24 * 32 * 4, 0.5, np.float32))
    server.notes = (UNCHANGED,)
    run(connected, "edit_texture")
    assert connected.session.message_of(scene) == UNCHANGED
    assert not any("edited" in image.name for image in bpy.data.images)


# ---------------------------------------------------------------- all of it


@pytest.mark.parametrize("ui_scale", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("zoom", [0.8, 1.0, 1.4])
@pytest.mark.parametrize(("width", "inset"), [(280, 0), (280, 42), (420, 16)])
def test_lines_are_as_wide_as_the_sidebar_leaves_room(
    addon: SimpleNamespace, ui_scale: float, zoom: float, width: int, inset: int
) -> None:
    words = addon.words
    layout = Written()
    region = SimpleNamespace(
        width=width * ui_scale,
        view2d=SimpleNamespace(region_to_view=lambda x, y: (x / zoom + 5, y / zoom)),
    )
    style = bpy.context.preferences.ui_styles[0]
    preferences = SimpleNamespace(system=SimpleNamespace(ui_scale=ui_scale), ui_styles=[style])
    context = SimpleNamespace(preferences=preferences, region=region)
    words.paragraph(layout, context, LONG, icon="ERROR", inset=inset)
    assert "".join(layout.texts).replace(" ", "") == LONG.replace(" ", "")
    room = width * ui_scale / zoom - (words.MARGINS + words.ICON + inset) * ui_scale
    blf.size(0, style.widget.points * ui_scale)
    widest = max(blf.dimensions(0, text)[0] for text in layout.texts)
    assert 0.6 * room < widest <= room


def test_every_change_is_drawn_twice(addon: SimpleNamespace, installed: str) -> None:
    """Panels below one whose height has changed are in their places only at the second time."""
    handlers = importlib.import_module(f"{installed}.ui.handlers")
    tagged = []
    area = SimpleNamespace(type="VIEW_3D", tag_redraw=lambda: tagged.append(None))
    window = SimpleNamespace(screen=SimpleNamespace(areas=[area]))
    for _ in range(3):  # whatever other tests have left
        handlers._tick()
    handlers.bpy = SimpleNamespace(
        context=SimpleNamespace(window_manager=SimpleNamespace(windows=[window]))
    )
    try:
        addon.session.state.changed = True
        for _ in range(4):
            handlers._tick()
    finally:
        handlers.bpy = bpy
    assert len(tagged) == 2


# ---------------------------------------------------------------- pictures whose files are gone


def lose(image: bpy.types.Image) -> None:
    """As if it was unpacked, and the file deleted."""
    image.unpack(method="REMOVE")


def test_pictures_whose_files_are_missing_are_named_and_not_drawn(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    installed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the panel nor the overlay, which are drawn all the time, may fail over them."""
    overlay = importlib.import_module(f"{installed}.ui.overlay")
    run(connected, "edit")
    lose(scene.watch_your_steps.relevance_image)
    lose(scene.watch_your_steps.edit_image)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    connected.session.drain()
    settings = bpy.context.scene.watch_your_steps
    for view, name in {
        "RENDER": "",
        "RELEVANCE": "relevance_image",
        "MASK": "relevance_image",
        "EDIT": "edit_image",
        "COMPARE": "edit_image",
    }.items():
        settings.view = view
        reason = overlay.lost_picture(settings, view)
        lost = f'The image "{getattr(settings, name).name}" has no pixels' if name else ""
        assert reason.startswith(lost)
        assert bool(reason) == bool(lost)
        assert (f"{reason}." in drawn(connected, installed, monkeypatch).texts) == bool(lost)
        assert lost in why_greyed("show_picture", "view", view)
    settings.threshold = 0.2  # there is no mask to be written
    preview(connected, bpy.context.scene)
    assert overlay.lost_picture(settings, "MASK") == ""


# ---------------------------------------------------------------- greyed buttons


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("disconnect", "There is no connection"),
        ("cancel", "No job of this scene runs"),
        ("use_suggestion", "press Preview Relevance first"),
        ("edit_texture", "There is no active object"),
        ("show_texture", "no edited texture"),
        ("revert_texture", "no edited texture"),
        ("resume_capture", "No capture of this scene was interrupted"),
        ("train_scene", "press Capture first"),
        ("edit_scene", "press Capture first"),
        ("bring_mesh", "press Capture first"),
        ("drop_capture", "press Capture first"),
        ("bring_texture", "press Edit in 3D first"),
        ("render_view", "press Train first"),
        ("render_frames", "press Train first"),
        ("restore_edit", "There is no edit in the list"),
        ("delete_edit", "There is no edit in the list"),
        ("edit_again", "There is no edit in the list"),
        ("add_layer", "There is no edit in the list"),
        ("remove_layer", "There is no layer in the list"),
        ("clear_layers", "There is no layer in the list"),
        ("move_layer", "There is no layer in the list"),
        ("keep_layers", "There are no layers yet"),
        ("look_through_camera", "This is not a 3D view"),
    ],
)
def test_a_greyed_button_says_why(
    addon: SimpleNamespace, scene: bpy.types.Scene, operator: str, reason: str
) -> None:
    bpy.context.view_layer.objects.active = None
    assert not getattr(OPS, operator).poll()
    assert reason in refusal(operator)


def test_buttons_beside_a_running_job_say_so(
    connected: SimpleNamespace, scene: bpy.types.Scene, server: FakeServer
) -> None:
    start_manual(connected, scene, server)
    for operator in ("preview_relevance", "capture_scene", "all_in_3d"):
        assert "A job of this scene runs" in refusal(operator)


def test_every_operator_that_can_be_greyed_says_why(installed: str) -> None:
    for name in (
        "operators",
        "operators_3d",
        "operators_texture",
        "operators_edits",
        "operators_layers",
        "operators_variants",
        "operators_sheet",
        "operators_frames",
        "operators_waiting",
    ):
        module = importlib.import_module(f"{installed}.ui.{name}")
        for cls in module.CLASSES:
            if "poll" in dir(cls) and cls.poll is not None:
                source = inspect.getsource(cls.poll)
                assert "poll_message_set" in source, cls.bl_idname


def cell(operator: str, name: str, value: str) -> bpy.types.EnumPropertyItem:
    """What a button of a switch has in its context."""
    return getattr(OPS, operator).get_rna_type().properties[name].enum_items[value]


def why_greyed(operator: str, name: str, value: str) -> str:
    """What the tooltip of a switch's button says; "" where it is not greyed."""
    chosen = {name: value}
    with bpy.context.temp_override(watch_your_steps_cell=cell(operator, name, value)):
        if getattr(OPS, operator).poll():
            return ""
        with pytest.raises(RuntimeError) as caught:
            getattr(OPS, operator)(**chosen)
    return str(caught.value)


def test_pictures_that_are_not_there_yet_say_what_makes_them(
    connected: SimpleNamespace, scene: bpy.types.Scene, in_3d: bpy.types.PropertyGroup
) -> None:
    def reasons() -> dict[str, str]:
        views = scene.watch_your_steps.bl_rna.properties["view"].enum_items.keys()
        return {view: why_greyed("show_picture", "view", view) for view in views}

    def missing() -> set[str]:
        return {view for view, reason in reasons().items() if reason}

    first = reasons()
    assert set(first) == missing(), "all are greyed at first"
    for view in ("RENDER", "RELEVANCE", "MASK", "EDIT", "COMPARE"):
        assert "press Preview Relevance first" in first[view]
    assert "press Render View, below Scene in 3D, first" in first["IN_3D"]
    preview(connected, scene)
    assert missing() == {"EDIT", "COMPARE", "VARIANTS", "IN_3D", "LAYERS"}
    assert "There is no edit yet: press Edit first" in reasons()["COMPARE"]
    assert "press Make Variants first" in reasons()["VARIANTS"]
    run(connected, "edit")
    assert "There are no layers yet" in reasons()["LAYERS"]
    OPS.add_layer()
    assert missing() == {"VARIANTS", "IN_3D"}
    scene.watch_your_steps.variants = 2
    OPS.variants()
    connected.session.wait_for_all_jobs(scene, SECONDS)
    assert missing() == {"IN_3D"}
    for operator in ("capture_scene", "train_scene", "render_view"):
        run(connected, operator)
    assert missing() == set()
    for view in first:
        OPS.show_picture(view=view)
        assert scene.watch_your_steps.view == view


def test_a_picture_that_is_not_there_is_refused_without_a_button_too(
    addon: SimpleNamespace, scene: bpy.types.Scene
) -> None:
    scene.watch_your_steps.view = "RENDER"
    with pytest.raises(RuntimeError, match="There is no view of a 3D edit yet"):
        OPS.show_picture(view="IN_3D")
    assert scene.watch_your_steps.view == "RENDER"


@pytest.mark.skipif(
    bpy.app.version[:2] == (5, 0),
    reason="Blender 5.0 itself goes on pointing from one image to another that was removed",
)
def test_an_edited_texture_without_a_relevance_says_so(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    box: bpy.types.Object,  # noqa: F811  # the fixture
) -> None:
    run(connected, "edit_texture")
    for what in ("ORIGINAL", "EDITED", "RELEVANCE"):
        assert why_greyed("show_texture", "what", what) == ""
    edited = next(image for image in bpy.data.images if "edited" in image.name)
    bpy.data.images.remove(edited.watch_your_steps.relevance)
    assert why_greyed("show_texture", "what", "EDITED") == ""
    reason = why_greyed("show_texture", "what", "RELEVANCE")
    assert "This edit has no relevance map" in reason


def test_nothing_is_greyed_but_by_a_poll_that_says_why(installed: str) -> None:
    lists = ("panel_edits", "panel_layers", "panel_waiting", "panel_frames")
    for name in ("panel", "panel_3d", *lists, "words", "switches"):
        source = inspect.getsource(importlib.import_module(f"{installed}.ui.{name}"))
        for greys in (".enabled = ", ".active = ", "active_default"):
            assert greys not in source, name


# ---------------------------------------------------------------- defaults


def test_the_panels_defaults_are_the_protocols(
    addon: SimpleNamespace, protocol: SimpleNamespace
) -> None:
    """A setting and the request that it is sent in; so the tooltips that name a default are right,
    too.
    """
    known = protocol.settings
    settings = bpy.context.scene.watch_your_steps

    def default(group: bpy.types.PropertyGroup, name: str) -> object:
        return group.bl_rna.properties[name].default

    here = [(settings, known.PictureMapSettings()), (settings, known.EditSettings())]
    for group, wanted in (*here, (settings.texture, known.TextureSettings())):
        for one in protocol.known_settings.all_settings(type(wanted)):
            if one.name not in group.bl_rna.properties:
                assert one.name in settings.bl_rna.properties
                continue
            value = getattr(wanted, one.name)
            if value is None:
                assert default(settings, "own_guidance") is True
                value = getattr(known.INSTRUCT_PIX2PIX, one.name)
            elif one.kind is tuple:
                value = len(value)
            shown = default(group, one.name)
            assert shown == (np.float32(value) if one.kind is float else value), one.name
    for name in ("steps", "preset"):
        kind = known.UpdateSettings if name == "steps" else known.FieldSettings
        assert default(settings.in_3d, name) == getattr(kind(), name)
    for name, word in (("steps", "100 as in the paper"), ("noise_level", "0.8 as in the paper")):
        assert word in settings.bl_rna.properties[name].description
        assert default(settings, name) == np.float32(word.split()[0])


def test_a_property_has_the_range_the_name_and_the_words_of_its_setting(
    addon: SimpleNamespace, protocol: SimpleNamespace
) -> None:
    known = protocol.settings
    settings = bpy.context.scene.watch_your_steps
    for kind in (known.PictureMapSettings, known.EditSettings):
        for one in protocol.known_settings.all_settings(kind):
            shown = settings.bl_rna.properties[one.name]
            assert (shown.name, shown.description) == (one.title, one.description)
            if one.kind is str:
                words = {item.identifier: item.description for item in shown.enum_items}
                assert words == one.extra["words"]
                assert words.keys() == set(one.choices)
                continue
            if one.kind is bool:
                continue
            least, most = shown.hard_min, shown.hard_max
            assert most == min(one.most, 2**31 - 1)
            assert (least > one.least) if one.above else (least == one.least)
    faces = settings.in_3d.bl_rna.properties["faces"]
    assert faces.description.endswith("; 0: all that the field gives")
