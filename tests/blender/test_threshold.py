"""The threshold's suggestion, the prompt check and the choice of normalisation, against a scripted
server over a real socket.
"""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import bpy
import numpy as np
import pytest
from driving import SECONDS, preview
from fake_server import FakeServer, edited, relevance_of

UNSEEN = 'The model does not see where this applies: "turn the ball blue".'


@pytest.fixture
def settings(scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    """A scene's settings as they are before anybody has touched the threshold."""
    settings = scene.watch_your_steps
    settings.property_unset("threshold")
    settings.threshold_of = ""
    return settings


def edit(addon: SimpleNamespace, scene: bpy.types.Scene) -> None:
    bpy.ops.watch_your_steps.edit()
    addon.session.wait_for_job(scene, SECONDS)


def last_request(server: FakeServer) -> Any:
    return [m for m in server.received if isinstance(m, server.messages.Submit)][-1].request


def test_a_new_map_moves_the_slider_to_its_suggestion(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    scene = settings.id_data
    for suggestion in (0.4, 0.45):
        server.suggestion = suggestion
        preview(connected, scene)
        assert settings.threshold == np.float32(suggestion)
        shown = connected.pictures.read_gray(settings.mask_image) > 0.5
        relevance = connected.pictures.read_gray(settings.relevance_image)
        assert np.array_equal(shown, relevance >= np.float32(suggestion))
        assert 0 < shown.sum() < shown.size
    assert not bpy.ops.watch_your_steps.use_suggestion.poll(), "it is there already"


def test_a_slider_that_was_moved_stays_until_the_instruction_changes(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    scene = settings.id_data
    preview(connected, scene)
    settings.threshold = 0.3
    scene.camera.location.x += 1
    preview(connected, scene)
    assert settings.threshold == np.float32(0.3)
    assert settings.suggested_threshold == np.float32(0.4), "the suggestion is shown all the same"
    settings.instruction = "turn the ground red"
    preview(connected, scene)
    assert settings.threshold == np.float32(0.4)


def test_the_button_takes_the_suggestion_and_follows_again(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    scene = settings.id_data
    assert not bpy.ops.watch_your_steps.use_suggestion.poll(), "there is no map"
    preview(connected, scene)
    settings.threshold = 0.1
    bpy.ops.watch_your_steps.use_suggestion()
    assert settings.threshold == np.float32(0.4)
    relevance = connected.pictures.read_gray(settings.relevance_image)
    shown = connected.pictures.read_gray(settings.mask_image) > 0.5
    assert np.array_equal(shown, relevance >= np.float32(0.4))
    server.suggestion = 0.5
    preview(connected, scene)
    assert settings.threshold == np.float32(0.5)


def test_a_threshold_that_is_set_before_the_first_map_is_kept(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup
) -> None:
    settings.threshold = 0.2
    preview(connected, settings.id_data)
    assert settings.threshold == np.float32(0.2)


def test_edit_sends_the_slider_only_where_it_belongs_to_the_instruction(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    scene = settings.id_data
    edit(connected, scene)  # without a preview: nobody has seen a map yet
    assert last_request(server).threshold is None
    assert settings.threshold == np.float32(0.4)
    render = connected.pictures.read_rgb(settings.render_image)
    mask = relevance_of(render) >= np.float32(0.4)
    assert np.array_equal(connected.pictures.read_rgb(settings.edit_image), edited(render, mask))
    assert np.array_equal(connected.pictures.read_gray(settings.mask_image) > 0.5, mask)

    edit(connected, scene)  # what is shown is what is sent
    assert np.float32(last_request(server).threshold) == np.float32(0.4)
    settings.threshold = 0.3
    edit(connected, scene)
    assert np.float32(last_request(server).threshold) == np.float32(0.3)
    settings.instruction = "turn the ground red"
    edit(connected, scene)
    assert last_request(server).threshold is None
    assert settings.threshold == np.float32(0.4)


def test_normalisation_is_sent_and_its_change_asks_for_a_new_threshold(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    scene = settings.id_data
    default = server.settings.MapSettings.normalisation
    preview(connected, scene)
    assert last_request(server).maps.normalisation == settings.normalisation == default
    settings.threshold = 0.3
    assert connected.results.is_current(scene)
    settings.normalisation = "paper"
    assert not connected.results.is_current(scene)
    edit(connected, scene)
    request = last_request(server)
    assert (request.maps.normalisation, request.threshold) == ("paper", None)
    assert connected.results.is_current(scene)


@pytest.mark.parametrize(
    ("name", "value", "title"),
    [
        ("closer", False, "Look Closer"),
        ("noise_level", 0.6, "Noise Level"),
        ("relevance_seeds", 7, "Relevance Seeds"),
        ("normalisation", "paper", "Normalisation"),
    ],
)
def test_a_map_is_old_once_it_would_be_found_otherwise(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    name: str,
    value: object,
    title: str,
) -> None:
    """Edit used the shown map's region as if nothing had changed."""
    scene, before = settings.id_data, getattr(settings, name)
    preview(connected, scene)
    setattr(settings, name, value)
    assert not connected.results.is_current(scene)
    assert connected.results.changed_since_map(scene) == f'setting "{title}"'
    setattr(settings, name, before)
    assert connected.results.is_current(scene), "the shown map is what is asked for again"
    setattr(settings, name, value)
    edit(connected, scene)
    assert last_request(server).mask is None, "the region of the old map"
    assert connected.results.is_current(scene)
    settings.relevance_maps = ""  # as in a file from before it was kept
    assert connected.results.is_current(scene)


def test_the_panel_offers_the_protocols_normalisations_and_defaults(
    connected: SimpleNamespace, settings: bpy.types.PropertyGroup, server: FakeServer
) -> None:
    names = settings.bl_rna.properties["normalisation"].enum_items.keys()
    assert set(names) == set(get_args(server.values.Normalisation))
    preview(connected, settings.id_data)
    assert last_request(server).maps == server.settings.PictureMapSettings()


def test_the_prompt_check_stays_with_its_map(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    scene = settings.id_data
    server.unseen = UNSEEN
    preview(connected, scene)
    assert settings.prompt_check == UNSEEN
    assert connected.session.message_of(scene) == UNSEEN
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    scene = bpy.context.scene
    assert scene.watch_your_steps.prompt_check == UNSEEN
    server.unseen = ""
    preview(connected, scene)
    assert scene.watch_your_steps.prompt_check == ""
    assert connected.session.message_of(scene) == ""


class Written:
    """Stands in for a panel's layout: keeps the labels' texts, the properties and operators."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.alerts: list[str] = []
        self.names: list[str] = []
        self.alert = False

    def label(self, text: str = "", icon: str = "NONE", **_how: object) -> None:
        (self.alerts if self.alert else self.texts).append(text)

    def prop(self, _: object, name: str, **_options: object) -> None:
        self.names.append(name)

    def template_ID(self, _: object, name: str, **_options: object) -> None:  # noqa: N802
        self.names.append(name)

    def operator(self, name: str, **_options: object) -> SimpleNamespace:
        self.names.append(name)
        return SimpleNamespace()

    def progress(self, text: str = "", **_options: object) -> None:
        self.texts.append(text)

    def column(self, **_options: object) -> "Written":
        part = Written()
        part.texts, part.alerts, part.names = self.texts, self.alerts, self.names
        part.alert = self.alert
        return part

    row = box = column


def drawn(addon: SimpleNamespace, installed: str, monkeypatch: pytest.MonkeyPatch) -> Written:
    """What the panel shows of the open scene; there is no window to wrap its lines in."""
    words = importlib.import_module(f"{installed}.ui.words")
    layout = Written()

    def unwrapped(part: Written, _: object, text: str, *_how: object, **_options: object) -> None:
        part.label(text=text)

    with monkeypatch.context() as patch:
        patch.setattr(words, "paragraph", unwrapped)
        panel = SimpleNamespace(layout=layout)
        addon.panel.WYS_PT_main.draw(panel, bpy.context)
    return layout


def test_what_the_panel_says(
    connected: SimpleNamespace,
    settings: bpy.types.PropertyGroup,
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def show() -> Written:
        return drawn(connected, installed, monkeypatch)

    assert "watch_your_steps.use_suggestion" not in show().names
    preview(connected, settings.id_data)
    layout = show()
    assert "Suggested: 0.400" in layout.texts
    assert "watch_your_steps.use_suggestion" in layout.names
    assert layout.alerts == []

    server.unseen = UNSEEN
    preview(connected, settings.id_data)
    layout = show()
    assert layout.alerts == [UNSEEN]
    assert connected.panel.PROMPT_ADVICE in layout.texts
    assert UNSEEN not in layout.texts, "not twice"
    settings.instruction = "turn the ground red"
    layout = show()
    assert layout.alerts == [], "this says nothing about another instruction"
    assert any("instruction has changed" in text for text in layout.texts)
