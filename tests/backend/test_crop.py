"""Which part of a picture an edit works on, and that the rest of the picture stays."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.commands.image import _box
from backend.editing import Editor, crop, denoising
from backend.editing.encoded_image import resize
from backend.editing.models.denoiser import ModelCard
from backend.editing.work import places
from backend.errors import BadInput
from backend.pictures import blend, boxes
from backend.worker.perform_image import perform_image
from protocol.requests import EditRequest
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


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 2]),
    st.integers(1, 40),
)
def test_parts_that_lie_apart_hold_all_of_a_mask_and_keep_their_distance(
    height, width, seed, sides, least
):
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    for _ in range(rng.integers(1, 30)):
        top, left = rng.integers(height), rng.integers(width)
        mask[top : top + rng.integers(1, 9), left : left + rng.integers(1, 9)] = True
    parts = boxes.apart(mask, sides, least)
    rest = mask.copy()
    for part in parts:
        assert boxes.bounds(mask[part.slices]) == Box(0, 0, *part.shape), "no larger than needed"
        rest[part.slices] = False
    assert not rest.any()
    for number, one in enumerate(parts):
        for other in parts[:number]:
            gaps = [
                max(a - (b + size_b), b - (a + size_a))
                for a, size_a, b, size_b in (
                    (one.top, one.height, other.top, other.height),
                    (one.left, one.width, other.left, other.width),
                )
            ]
            assert max(gaps) >= max(least, sides * max(*one.shape, *other.shape))


def test_noise_all_over_a_large_picture_is_one_part_at_once():
    mask = np.random.default_rng(0).random((4096, 4096)) < 0.2
    begun = time.perf_counter()
    assert boxes.apart(mask, 1.0, 3) == [boxes.bounds(mask)]
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize(
    ("parts", "detail", "count"),
    [
        ([(10, 10, 60, 60), (430, 430, 60, 60)], "sharp", 2),
        ([(10, 10, 60, 60), (430, 430, 60, 60)], "fast", 2),
        ([(10, 10, 60, 60), (430, 430, 60, 60)], "tiles", 2),
        ([(10, 10, 60, 60), (430, 430, 60, 60)], "whole", 1),
        ([(10, 10, 200, 200), (300, 300, 200, 200)], "sharp", 1),
        ([(10 + 120 * k, 10 + 120 * k, 20, 20) for k in range(4)], "sharp", 4),
        ([(10 + 90 * k, 10 + 90 * k, 20, 20) for k in range(5)], "sharp", 1),
    ],
    ids=["sharp", "fast", "tiles", "whole", "near each other", "four", "too many"],
)
def test_parts_far_apart_get_crops_of_their_own(parts, detail, count):
    mask = np.zeros((512, 512), bool)
    for part in parts:
        mask |= region((512, 512), *part)
    found = places(mask, card(), 64, EditSettings(detail=detail))
    assert len(found) == count
    assert (np.sum([place.mask for place in found], axis=0) == mask).all(), "each pixel once"
    windows = [place.window for place in found]
    together = crop.around(boxes.bounds(mask), mask.shape, card(), 64, detail)
    if count == 1:
        assert windows == [together]
        return
    for place in found:
        assert max(place.window.box.shape) <= 128
        assert not (place.mask & ~_inside(place.window.box, mask.shape)).any()
    if detail != "sharp":
        cells = sum(math.prod(window.shape) for window in windows)
        assert cells <= crop.WORTH * math.prod(together.shape)


def _inside(box, shape):
    return region(shape, box.top, box.left, *box.shape)


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
    assert edit.windows
    words = crop.words(edit.windows, image.shape)
    assert words.startswith(("A part of ", "The whole picture was worked on at "))


def test_a_crop_is_edited_as_the_same_picture_alone(editor):
    """A crop is the picture, to the model: the same as cutting it out by hand."""
    image, mask = random_image(200, 300), region((200, 300), 90, 120, 40, 50)
    editor.set_image(image)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=3, seed=4)
    box = edit.windows[0].box
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
    assert edit.windows[0].box == box
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
    assert editor.edit(INSTRUCTION, mask=mask, steps=1, noise=drawn).windows[0].shape == (64, 64)
    whole = np.zeros((4, 8, 12), np.float32)
    with pytest.raises(ValueError, match=r"shape \(4, 8, 8\), that of the latents of what is work"):
        editor.edit(INSTRUCTION, mask=mask, steps=1, noise=whole)
    editor.edit(INSTRUCTION, mask=mask, steps=1, noise=whole, detail="whole")
    encode = Spy(editor.model.encode)
    monkeypatch.setattr(editor.model, "encode", encode)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=1, start=start)
    (seen,) = (call[0] for call in encode.calls)
    cut = start[edit.windows[0].box.slices]
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
    guided = Spy(denoising.guided_edit)
    monkeypatch.setattr(denoising, "guided_edit", guided)
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
    box = edit.windows[0].box
    outside = np.ones((height, width), bool)
    top, left = math.floor(box.top * scale), math.floor(box.left * scale)
    bottom = math.ceil((box.top + box.height) * scale)
    right = math.ceil((box.left + box.width) * scale)
    outside[top:bottom, left:right] = False
    small = resize(image, height, width)
    assert (shown[-1][outside] == small[outside]).all()
    assert (shown[-1][~outside] != small[~outside]).any()


# ------------------------------------------------------------------ several parts


CORNERS = ((256, 384), [(8, 10, 40, 30), (206, 330, 30, 36)])
"""A picture and two regions far apart in it."""


def two_corners():
    shape, places = CORNERS
    return random_image(*shape), region(shape, *places[0]) | region(shape, *places[1])


@pytest.mark.parametrize("rim", [0, 7])
@pytest.mark.parametrize("detail", ["sharp", "fast", "tiles"])
def test_each_part_is_edited_as_the_same_part_alone_and_all_else_stays(editor, detail, rim):
    image, mask = two_corners()
    parts = [region(CORNERS[0], *place) for place in CORNERS[1]]
    editor.set_image(image)
    settings = EditSettings(steps=2, detail=detail, rim=rim, seed=3)
    edit = editor.edit(INSTRUCTION, mask=mask, settings=settings)
    assert len(edit.windows) == 2
    assert (edit.mask == mask).all()
    reached = blend.weights(mask, rim) > 0
    assert (edit.image[~reached] == image[~reached]).all()
    words = crop.words(edit.windows, image.shape)
    assert words.startswith("2 parts were worked on by themselves: ")
    for window, part in zip(edit.windows, parts, strict=True):
        assert f"{window.box}, at {window.shape[1]}x{window.shape[0]} pixels" in words
        alone = editor.edit(INSTRUCTION, mask=part, settings=settings)
        assert alone.windows == (window,)
        own = blend.weights(part, rim) > 0
        assert np.abs(edit.image.astype(int) - alone.image)[own].max() <= 1
        assert (alone.image[own] != image[own]).any()
    again = editor.edit(INSTRUCTION, mask=mask, settings=settings)
    assert (again.image == edit.image).all()


@pytest.mark.parametrize(("detail", "batches"), [("sharp", 2), ("fast", 1)])
def test_parts_take_no_more_memory_at_once_than_the_whole_picture(
    editor, monkeypatch, detail, batches
):
    """Small ones are worked on together, which costs little more than one."""
    image, mask = two_corners()
    editor.set_image(image)
    guided = Spy(denoising.guided_edit)
    monkeypatch.setattr(denoising, "guided_edit", guided)
    steps, shown = [], []

    def on_step(step):
        steps.append((step.index, step.count))
        shown.append(editor.preview(step))

    editor.edit(INSTRUCTION, mask=mask, steps=3, detail=detail, on_step=on_step)
    assert len(guided.calls) == batches
    assert steps == [(index, 3 * batches) for index in range(3 * batches)]
    for call in guided.calls:
        assert call[1].shape[0] * math.prod(call[1].shape[2:]) <= 8 * 12
    # all that is edited by the end is seen in the last preview, in its place
    last = shown[-1]
    changed = np.abs(last - resize(image, *last.shape[:2]).astype(int)).max(axis=2) > 8
    rows, columns = last.shape[0] / 256, last.shape[1] / 384
    for top, left, height, width in CORNERS[1]:
        first = int(top * rows), int(left * columns)
        end = math.ceil((top + height) * rows), math.ceil((left + width) * columns)
        assert changed[first[0] : end[0], first[1] : end[1]].any()
    assert not changed[:, round(160 * columns) : round(240 * columns)].any()


def test_an_edit_that_is_cancelled_between_its_parts_changes_nothing(editor):
    image, mask = two_corners()
    editor.set_image(image)

    def on_step(step):
        if step.index == 2:  # the first of the second part
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        editor.edit(INSTRUCTION, mask=mask, steps=2, on_step=on_step)
    calm = editor.edit(INSTRUCTION, mask=mask, steps=2)
    assert (calm.image[~mask] == image[~mask]).all()


def test_a_noise_that_is_handed_in_is_that_of_one_crop(editor):
    image, mask = two_corners()
    editor.set_image(image)
    noise = np.zeros((4, 8, 12), np.float32)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=1, noise=noise)
    assert len(edit.windows) == 1


def test_views_edited_together_have_parts_of_their_own_as_well(editor):
    image, mask = two_corners()
    other = random_image(256, 384, 5)
    starts, seeds, strengths = [image[::-1].copy(), other], (4, 9), (0.9, 0.5)
    masks = [mask, region(CORNERS[0], 100, 100, 20, 20)]
    settings = EditSettings(steps=2)
    steps = []
    together = editor.edit_images(
        INSTRUCTION, [image, other], masks, starts, strengths, seeds, settings, steps.append
    )
    assert [step.count for step in steps] == [len(steps)] * len(steps)
    for number, alone in enumerate((image, other)):
        editor.set_image(alone)
        edit = editor.edit(
            INSTRUCTION,
            mask=masks[number],
            start=starts[number],
            strength=strengths[number],
            seed=seeds[number],
            steps=2,
        )
        assert len(edit.windows) == 2 - number
        assert np.abs(together[number].astype(int) - edit.image).max() <= 1
        assert (together[number][~masks[number]] == alone[~masks[number]]).all()


def test_progress_of_a_job_with_several_parts_only_ever_grows(editor):
    image, mask = two_corners()
    told = []
    request = EditRequest(
        image=image, instruction=INSTRUCTION, mask=mask, settings=EditSettings(steps=2)
    )
    result = perform_image(editor, request, lambda *event: told.append(event))
    assert len(result.crops) == len(result.worked_at) == 2
    assert result.work.startswith("2 parts were worked on by themselves: ")
    assert [words for words, *_ in told[1:]] == [
        f"Denoising, step {number} of 4" for number in (1, 2, 3, 4)
    ]
    fractions = [fraction for _, fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(4 / 5)
