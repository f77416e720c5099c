"""The list of edits: titles, stars, small pictures, and what an edit is compared with."""

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import bpy
import numpy as np
import pytest
from driving import SECONDS, here, preview, reopen
from fake_server import edited

OPS = bpy.ops.watch_your_steps


@pytest.fixture
def three(connected: SimpleNamespace, scene: bpy.types.Scene) -> SimpleNamespace:
    """Three edits of one render: two instructions, three thresholds."""
    for instruction, threshold in (("turn it blue", 0.3), ("turn it red", 0.2), ("burn it", 0.1)):
        here().instruction = instruction
        preview(connected, scene)
        here().threshold = threshold
        OPS.edit()
        connected.session.wait_for_job(scene, SECONDS)
    return connected


@pytest.fixture
def shown(three: SimpleNamespace, installed: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """A function that says which instructions the list shows for a searched text."""
    panel: ModuleType = importlib.import_module(f"{installed}.ui.panel_edits")

    def by_name(text: str, bit: int, items: object, field: str) -> list[int]:
        return [bit if text.lower() in getattr(one, field).lower() else 0 for one in items]

    monkeypatch.setattr(bpy.types.UI_UL_list, "filter_items_by_name", staticmethod(by_name))

    def look(text: str = "") -> list[str]:
        rows = SimpleNamespace(bitflag_filter_item=1 << 30, filter_name=text)
        flags, order = panel.WYS_UL_edits.filter_items(rows, None, here(), "edits")
        assert order == []
        return [one.instruction for one, flag in zip(here().edits, flags, strict=True) if flag]

    return look


def test_a_renamed_edit_is_found_by_both_names(shown, three, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    here().edits[1].title = "the good one"
    reopen(three, tmp_path / "a.blend")
    assert here().edits[1].title == "the good one"
    assert here().edits[1].instruction == "turn it red", "what was asked for stays what it was"
    assert shown("good") == ["turn it red"]
    assert shown("it red") == ["turn it red"]
    assert shown() == ["burn it", "turn it red", "turn it blue"]
    assert shown("nothing of the kind") == []


def test_an_empty_title_is_the_instruction(three: SimpleNamespace) -> None:
    here().edits[0].title = "  "
    assert here().edits[0].title == "burn it"


def test_only_favourites_are_listed_where_that_is_asked_for(shown, three, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    here().edits[2].favourite = here().edits[0].favourite = True
    here().only_favourites = True
    assert shown() == ["burn it", "turn it blue"]
    assert shown("blue") == ["turn it blue"]
    reopen(three, tmp_path / "a.blend")
    assert shown() == ["burn it", "turn it blue"]
    here().edit_index = 1
    OPS.delete_edit()
    here().only_favourites = False
    assert shown() == ["burn it", "turn it blue"], "a hidden edit was deleted because it was chosen"


def test_an_edit_is_compared_with_its_base_or_with_the_edit_before(three: SimpleNamespace) -> None:
    read = three.pictures.read_rgb
    render = read(here().edits[2].render)
    relevance = three.pictures.read_gray(here().edits[2].relevance)
    here().edit_index = 1
    assert np.array_equal(read(three.edits.beside(here())), render)
    here().compare_with = "BEFORE"
    first = edited(render, relevance >= np.float32(here().edits[2].threshold))
    assert np.array_equal(read(three.edits.beside(here())), first)
    here().edit_index = 2
    assert three.edits.before_shown(here()) is None
    assert np.array_equal(read(three.edits.beside(here())), render), "there is none before it"
    here().edit_index = 1
    bpy.data.images.remove(here().edits[2].image)
    assert np.array_equal(read(three.edits.beside(here())), render), "its picture is gone"


def test_small_pictures_of_edits_are_made_once(three: SimpleNamespace) -> None:
    thumbnails = three.thumbnails
    image = here().edits[0].image
    number = thumbnails.of_image(image)  # 0 without a window
    known = thumbnails._small[image.session_uid]
    assert thumbnails.of_image(image) == number
    assert thumbnails._small[image.session_uid] is known
    pixels = three.pictures.read_rgb(image)
    assert np.array_equal(known, pixels), "64 pixels wide: as it is"
    big = np.kron(pixels, np.ones((4, 4, 1), np.uint8))
    assert np.array_equal(thumbnails._smaller(big), pixels)
    odd = np.zeros((3, 500, 3), np.uint8)
    assert thumbnails._smaller(odd).shape == (1, 166, 3)
    for one in here().edits:
        thumbnails.of_image(one.image)
    icons = [thumbnails._icons[thumbnails._name_of(one.image.session_uid)] for one in here().edits]
    sums = {np.array(one.image_pixels_float).sum() for one in icons}
    assert len(sums) == 3, "each has its own"


def test_a_picture_whose_file_is_missing_has_no_small_picture(three: SimpleNamespace) -> None:
    image = bpy.data.images.new("lost", 4, 4)
    image.source, image.filepath = "FILE", "/nowhere/at/all.png"
    assert three.thumbnails.of_image(image) == 0
