"""The second look at a part around the region, which the networks see larger."""

import dataclasses

import numpy as np
import pytest

import backend.editing.editor as editor_module
from backend.editing import Editor
from backend.editing.relevance import CloserLook
from tests.backend.tiny_editor import INSTRUCTION, Spy


@pytest.fixture
def editor(tiny_model, monkeypatch):
    """Whose maps find the thing that is bright."""
    found = editor_module.relevance_maps

    def bright(model, clean, conditions, noises, level, normalisation, extent, on_draw):
        (one,) = found(model, clean, conditions, noises, level, normalisation, extent, on_draw)
        image = next(image for image in seen if image.shape[:2] == sizes[clean.shape[2:]])
        rows, columns = one.values.shape
        cells = image[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8, 3)
        values = cells.mean(axis=(1, 3, 4), dtype=np.float32) / 255
        return [dataclasses.replace(one, values=values, suggested_threshold=0.5)]

    seen, sizes = [], {}
    loaded = Editor.from_pretrained(str(tiny_model), device="cpu")
    encode = loaded.model.encode

    def remember(image):
        encoding = encode(image)
        seen.append(image)
        sizes[encoding.latents.shape[2:]] = image.shape[:2]
        return encoding

    monkeypatch.setattr(loaded.model, "encode", remember)
    monkeypatch.setattr(editor_module, "relevance_maps", bright)
    return loaded


def picture(height, width, box):
    image = np.zeros((height, width, 3), np.uint8)
    top, left, bottom, right = box
    image[top:bottom, left:right] = 255
    return image


def test_a_small_thing_in_a_large_picture_is_found_again_in_finer_cells(editor):
    image = picture(256, 512, (100, 300, 141, 347))
    editor.set_image(image)
    told = []
    both = editor.relevance(INSTRUCTION, seeds=(0, 1), on_draw=lambda *draw: told.append(draw))
    once = editor.relevance(INSTRUCTION, seeds=(0, 1), closer=False)
    assert told[-1] == (3, 4)
    assert once.closer is None
    assert np.array_equal(both.values, once.values)
    look = both.closer
    rows = slice(round(look.top * 256), round(look.bottom * 256))
    columns = slice(round(look.left * 512), round(look.right * 512))
    assert rows.start < 100
    assert rows.stop > 141
    assert look.relevance.values.shape == (8, 8)
    assert rows.stop - rows.start < 256, "each of its cells is fewer pixels"
    first, joined = once.at(256, 512), both.at(256, 512)
    part = look.relevance.at(rows.stop - rows.start, columns.stop - columns.start)
    assert np.allclose(joined[rows, columns], (first[rows, columns] + part) / 2, atol=1e-6)
    joined[rows, columns] = first[rows, columns]
    assert np.array_equal(joined, first), "nothing else has changed"
    assert both.at(64, 128).shape == (64, 128)


@pytest.mark.parametrize("why", ["small", "empty", "noise", "most"])
def test_there_is_no_second_look_where_there_is_nothing_more_to_see(editor, monkeypatch, why):
    looks = Spy(editor_module.relevance_maps)
    monkeypatch.setattr(editor_module, "relevance_maps", looks)
    image = picture(256, 256, (100, 100, 150, 150))
    given = {"seeds": (0, 1)}
    if why == "small":
        image = picture(60, 64, (10, 10, 20, 20))
    elif why == "empty":
        image = np.zeros((256, 256, 3), np.uint8)
    elif why == "most":
        image = picture(256, 256, (5, 5, 250, 250))
    else:
        given = {"noise": np.zeros((4, 8, 8), np.float32)}
    editor.set_image(image)
    assert editor.relevance(INSTRUCTION, **given).closer is None
    assert len(looks.calls) == 1


def test_an_edit_takes_the_joined_map_and_can_do_without(editor):
    image = picture(256, 512, (100, 300, 141, 347))
    editor.set_image(image)
    both = editor.relevance(INSTRUCTION)
    edit = editor.edit(INSTRUCTION, relevance=both, threshold=0.5, steps=1)
    assert np.array_equal(edit.snapped.values.shape, (256, 512))
    none = dataclasses.replace(both, closer=None)
    assert not np.array_equal(none.at(256, 512), both.at(256, 512))


def test_a_part_of_less_than_a_pixel_is_left_out():
    values = np.full((4, 4), 0.25, np.float32)
    from backend.editing import RelevanceMap

    small = RelevanceMap(values, values, values, (4, 4), 0.5, None, None)
    look = CloserLook(0.5, 0.5, 0.51, 0.51, dataclasses.replace(small, values=values * 4))
    joined = dataclasses.replace(small, closer=look)
    assert (joined.at(8, 8) == 0.25).all()
    assert joined.at(400, 400).max() == pytest.approx(0.625)
