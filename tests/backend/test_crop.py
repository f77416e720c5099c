"""Which part of a picture an edit works on, and that the rest of the picture stays."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import backend.editing.editor as editor_module
from backend.commands.image import _box
from backend.editing import Editor, crop
from backend.editing.encoded_image import resize
from backend.editing.models.denoiser import ModelCard
from backend.errors import BadInput
from protocol.settings import EditSettings
from protocol.values import Box
from tests.backend.tiny_editor import INSTRUCTION, Spy, random_image


def card(native=64, multiple=8):
    return ModelCard(
        name="a model",
        device=torch.device("cpu"),
        dtype=torch.float32,
        native_size=native,
        multiple=multiple,
        cell=multiple,
    )


@pytest.fixture(scope="module")
def editor(tiny_model):
    return Editor.from_pretrained(str(tiny_model), device="cpu")


def region(shape, top, left, height, width):
    mask = np.zeros(shape, bool)
    mask[top : top + height, left : left + width] = True
    return mask


# ------------------------------------------------------------------ which part


@given(
    picture=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    place=st.tuples(*[st.floats(0, 1)] * 4),
    size=st.sampled_from([32, 64, 512]),
    multiple=st.sampled_from([4, 8, 64]),
    detail=st.sampled_from(["sharp", "fast", "whole"]),
)
def test_a_crop_is_inside_holds_its_region_and_never_costs_more_than_the_whole_picture(
    picture, place, size, multiple, detail
):
    height, width = (max(1, round(s * part)) for s, part in zip(picture, place[:2], strict=True))
    top = round((picture[0] - height) * place[2])
    left = round((picture[1] - width) * place[3])
    box = Box(top, left, height, width)
    window = crop.around(box, picture, card(size, multiple), size, detail)
    inside = window.box
    assert 0 <= inside.top <= top
    assert 0 <= inside.left <= left
    assert top + height <= inside.top + inside.height <= picture[0]
    assert left + width <= inside.left + inside.width <= picture[1]
    whole = crop.whole(picture, size)
    # rounding to whole cells may add part of one on each side
    sides = [s + multiple for s in whole.shape]
    assert math.prod(window.shape) <= math.prod(sides)
    assert all(seen <= own for seen, own in zip(window.shape, inside.shape, strict=True))
    if detail == "whole" or box.shape == picture:
        assert window == whole


def test_the_whole_picture_is_taken_where_the_region_is_most_of_it_or_the_picture_is_small():
    for detail in ("sharp", "fast"):
        nearly = crop.around(Box(10, 10, 450, 450), (512, 512), card(), 64, detail)
        assert nearly == crop.whole((512, 512), 64)
    assert crop.around(Box(3, 3, 20, 20), (60, 60), card(), 64, "sharp").box.shape == (60, 60)


@pytest.mark.parametrize("detail", ["sharp", "fast"])
def test_sharp_shows_more_detail_and_fast_takes_fewer_cells(detail):
    window = crop.around(Box(200, 300, 100, 80), (512, 512), card(), 64, detail)
    scale = window.shape[0] / window.box.height
    if detail == "sharp":
        assert window.shape == (64, 64)
        assert scale > 3 / 8
    else:
        assert scale == pytest.approx(1 / 8)
        assert math.prod(window.shape) <= 0.4 * 64 * 64
    assert not any(side % 8 for side in window.shape), "padding would be worked on for nothing"


# ------------------------------------------------------------------ edits


@pytest.mark.parametrize("detail", ["sharp", "fast", "whole"])
@pytest.mark.parametrize(
    ("shape", "place"),
    [
        ((200, 300), (90, 120, 40, 50)),
        ((200, 300), (170, 260, 30, 40)),
        ((200, 300), (77, 33, 1, 1)),
        ((50, 40), (10, 10, 9, 9)),
        ((40, 700), (5, 600, 20, 30)),
        ((333, 127), (300, 2, 33, 90)),
    ],
)
def test_bytes_outside_the_region_of_a_crop_are_the_inputs(editor, detail, shape, place):
    image, mask = random_image(*shape), region(shape, *place)
    editor.set_image(image)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=2, detail=detail)
    assert edit.image.shape == image.shape
    assert (edit.image[~mask] == image[~mask]).all()
    assert (edit.image[mask] != image[mask]).any()
    assert edit.window is not None
    words = edit.window.words(image.shape)
    assert words.startswith(("A part of ", "The whole picture was worked on at "))


def test_a_crop_is_edited_as_the_same_picture_alone(editor):
    """A crop is the picture, to the model: the same as cutting it out by hand."""
    image, mask = random_image(200, 300), region((200, 300), 90, 120, 40, 50)
    editor.set_image(image)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=3, seed=4)
    box = edit.window.box
    assert box.height < 200
    editor.set_image(np.ascontiguousarray(image[box.slices]))
    alone = editor.edit(INSTRUCTION, mask=mask[box.slices], steps=3, seed=4, detail="whole")
    assert (edit.image[box.slices] == alone.image).all()


def test_only_what_is_needed_is_encoded_and_only_once(editor, monkeypatch):
    encode = Spy(editor.model.encode)
    monkeypatch.setattr(editor.model, "encode", encode)
    image, mask = random_image(200, 300), region((200, 300), 90, 120, 40, 50)
    editor.set_image(image)
    assert not encode.calls
    for seed in (1, 2):
        editor.edit(INSTRUCTION, mask=mask, steps=1, seed=seed)
    assert [call[0].shape for call in encode.calls] == [(64, 64, 3)], "the crop, once"
    relevance = editor.relevance(INSTRUCTION)
    assert [call[0].shape for call in encode.calls[1:]] == [(64, 96, 3)], "the whole picture"
    editor.edit(INSTRUCTION, relevance=relevance, threshold=0.0, steps=1)
    assert len(encode.calls) == 2


def test_a_crop_by_hand_is_worked_on_and_nothing_outside_it_changes(editor):
    image, mask = random_image(200, 300), region((200, 300), 90, 120, 40, 50)
    editor.set_image(image)
    box = Box(80, 130, 70, 60)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=2, crop=box, rim=8)
    assert edit.window.box == box
    outside = np.ones((200, 300), bool)
    outside[box.slices] = False
    assert (edit.image[outside] == image[outside]).all()
    assert not edit.mask[outside].any()
    assert (edit.mask[box.slices] == mask[box.slices]).all()
    for wrong, words in [
        (Box(150, 0, 60, 10), r"10x60 at column 0, row 150\) is not inside the picture of 300x200"),
        (Box(0, -1, 10, 10), "is not inside the picture"),
        (Box(0, 0, 10, 10), "holds nothing of the region: move or enlarge it"),
    ]:
        with pytest.raises(BadInput, match=words):
            editor.edit(INSTRUCTION, mask=mask, steps=2, crop=wrong)
    with pytest.raises(BadInput, match="at least one pixel of it, and none outside"):
        _box(0, 0, 0, 5, (200, 300, 3))


def test_noise_and_start_belong_to_what_is_denoised(editor, monkeypatch):
    image, mask = random_image(200, 300), region((200, 300), 90, 120, 40, 50)
    start = random_image(200, 300, 7)
    editor.set_image(image)
    drawn = np.random.default_rng(0).standard_normal((4, 8, 8)).astype(np.float32)
    assert editor.edit(INSTRUCTION, mask=mask, steps=1, noise=drawn).window.shape == (64, 64)
    whole = np.zeros((4, 8, 12), np.float32)
    with pytest.raises(ValueError, match=r"shape \(4, 8, 8\), that of the latents of what is work"):
        editor.edit(INSTRUCTION, mask=mask, steps=1, noise=whole)
    editor.edit(INSTRUCTION, mask=mask, steps=1, noise=whole, detail="whole")
    encode = Spy(editor.model.encode)
    monkeypatch.setattr(editor.model, "encode", encode)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=1, start=start)
    (seen,) = (call[0] for call in encode.calls)
    cut = start[edit.window.box.slices]
    assert np.abs(seen.mean(axis=(0, 1)) - cut.mean(axis=(0, 1))).max() < 2


@pytest.mark.parametrize("detail", ["sharp", "fast", "whole"])
def test_crops_edited_together_are_edited_as_alone(editor, monkeypatch, detail):
    shape = (200, 300)
    images = [random_image(*shape, seed) for seed in range(4)]
    starts = [random_image(*shape, seed + 10) for seed in range(4)]
    masks = [
        region(shape, 90, 120, 40, 50),
        region(shape, 5, 200, 20, 20),
        np.zeros(shape, bool),
        region(shape, 0, 0, 190, 290),
    ]
    strengths, seeds = (0.98, 0.4, 0.5, 0.7), (7, 1, 5, 2)
    settings = EditSettings(steps=2, detail=detail, rim=3)
    steps = []
    guided = Spy(editor_module.guided_edit)
    monkeypatch.setattr(editor_module, "guided_edit", guided)
    together = editor.edit_images(
        INSTRUCTION, images, masks, starts, strengths, seeds, settings, steps.append
    )
    batches = len(guided.calls)
    sizes = {tuple(call[1].shape) for call in guided.calls}
    assert batches == len(sizes) == {"sharp": 2, "fast": len(sizes), "whole": 1}[detail]
    assert [(step.index, step.count) for step in steps] == [
        (index, 2 * batches) for index in range(2 * batches)
    ]
    assert (together[2] == images[2]).all()
    for number in (0, 1, 3):
        editor.set_image(images[number])
        alone = editor.edit(
            INSTRUCTION,
            mask=masks[number],
            start=starts[number],
            strength=strengths[number],
            seed=seeds[number],
            steps=2,
            detail=detail,
            rim=3,
        ).image
        assert np.abs(together[number].astype(int) - alone).max() <= 1


def test_the_preview_lies_in_its_place_in_the_whole_picture(editor):
    """The add-on lays it over the camera's picture."""
    image = random_image(256, 512)
    mask = region((256, 512), 150, 400, 60, 60)
    editor.set_image(image)
    shown = []
    edit = editor.edit(
        INSTRUCTION, mask=mask, steps=2, on_step=lambda step: shown.append(editor.preview(step))
    )
    height, width = shown[-1].shape[:2]
    assert abs(width - 2 * height) <= 1
    scale = height / 256
    box = edit.window.box
    outside = np.ones((height, width), bool)
    top, left = math.floor(box.top * scale), math.floor(box.left * scale)
    bottom = math.ceil((box.top + box.height) * scale)
    right = math.ceil((box.left + box.width) * scale)
    outside[top:bottom, left:right] = False
    small = resize(image, height, width)
    assert (shown[-1][outside] == small[outside]).all()
    assert (shown[-1][~outside] != small[~outside]).any()
