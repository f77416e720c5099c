"""What a beginner sees: a short panel, whose sub-panels have a place each and begin closed."""

from types import SimpleNamespace

import bpy
import pytest
from driving import preview
from fake_server import FakeServer
from test_threshold import drawn


def sub_panels(addon: SimpleNamespace) -> list[type]:
    return [
        panel
        for panel in bpy.types.Panel.__subclasses__()
        if getattr(panel, "bl_parent_id", "") == addon.panel.WYS_PT_main.bl_idname
    ]


def test_every_sub_panel_has_a_place_of_its_own(addon: SimpleNamespace) -> None:
    found = sorted(sub_panels(addon), key=lambda panel: panel.bl_order)
    assert [panel.bl_label for panel in found] == list(addon.panel.SUB_PANELS)


def test_only_the_list_of_edits_begins_open(addon: SimpleNamespace) -> None:
    begin_open = [
        panel.bl_label
        for panel in sub_panels(addon)
        if "DEFAULT_CLOSED" not in getattr(panel, "bl_options", set())
    ]
    assert begin_open == ["Edits"]


def test_the_panel_begins_with_what_is_needed_first(
    connected: SimpleNamespace,
    scene: bpy.types.Scene,
    server: FakeServer,
    installed: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shown() -> list[str]:
        names = drawn(connected, installed, monkeypatch).names
        return [name for name in names[names.index("instruction") :] if name != "variants"]

    first = ["instruction", "watch_your_steps.preview_relevance", "threshold"]
    last = ["watch_your_steps.edit", "watch_your_steps.variants"]
    assert shown() == first + last
    preview(connected, scene)
    assert shown() == [*first, "watch_your_steps.use_suggestion", *last]
