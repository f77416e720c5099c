"""Edits of regions that a person has corrected: just the corrected mask, bit for bit."""

import numpy as np
import pytest

from backend.editing import Editor
from backend.errors import BadInput
from backend.worker.perform_image import perform_image
from protocol.corrections import ADDED, TAKEN, Correction
from protocol.region import snapped
from protocol.requests import EditRequest
from protocol.settings import EditSettings, RegionSettings
from tests.backend.tiny_editor import INSTRUCTION, random_image

HEIGHT, WIDTH = 60, 72
SETTINGS = EditSettings(steps=2)


@pytest.fixture(scope="module")
def editor(tiny_model):
    return Editor.from_pretrained(str(tiny_model), device="cpu")


@pytest.fixture(scope="module")
def painted():
    painted = np.zeros((HEIGHT, WIDTH), np.uint8)
    painted[5:20, 3:25] = ADDED
    painted[30:50, 30:60] = TAKEN
    painted[33, 33] = ADDED
    return painted


@pytest.mark.parametrize("snap", ["nothing", "edges"])
@pytest.mark.parametrize(("invert", "grow"), [(False, 0), (False, 3), (True, -2)])
def test_just_the_corrected_region_is_edited(editor, painted, snap, invert, grow):
    image = random_image(HEIGHT, WIDTH)
    correction = Correction(invert=invert, grow=grow, painted=painted)
    request = EditRequest(
        image=image,
        instruction=INSTRUCTION,
        settings=SETTINGS,
        region=RegionSettings(snap=snap),
        correction=correction,
    )
    result = perform_image(editor, request, lambda *_: None)
    values = snapped(result.relevance, image, snap, None, result.suggested_threshold)
    wanted = correction.mask(values.values, result.threshold)
    assert 0 < wanted.sum() < wanted.size
    assert (result.mask == wanted).all()
    assert result.mask[painted == ADDED].all()
    assert not result.mask[painted == TAKEN].any()
    assert (result.image[~wanted] == image[~wanted]).all()
    assert (result.image[wanted] != image[wanted]).any(axis=1).mean() > 0.9
    given = EditRequest(image=image, instruction=INSTRUCTION, settings=SETTINGS, mask=wanted)
    assert (perform_image(editor, given, lambda *_: None).image == result.image).all()


def test_a_mask_that_is_given_is_corrected_already(editor, painted):
    editor.set_image(random_image(HEIGHT, WIDTH))
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[30:40, 30:40] = True
    edit = editor.edit(
        INSTRUCTION, mask=mask, settings=SETTINGS, correction=Correction(painted=painted)
    )
    assert (edit.mask == mask).all()


def test_a_region_that_was_painted_away_is_said_in_other_words_than_a_threshold(editor):
    image = random_image(HEIGHT, WIDTH)
    editor.set_image(image)
    away = Correction(painted=np.full((HEIGHT, WIDTH), TAKEN, np.uint8))
    edit = editor.edit(INSTRUCTION, threshold=0.0, settings=SETTINGS, correction=away)
    assert not edit.mask.any()
    assert edit.unchanged == "Unchanged: the mask marks no pixel."
    assert (edit.image == image).all()


def test_a_painting_of_another_size_is_refused(editor):
    editor.set_image(random_image(HEIGHT, WIDTH))
    wrong = Correction(painted=np.zeros((HEIGHT, WIDTH - 1), np.uint8))
    with pytest.raises(BadInput, match="painting belongs to an image of another size"):
        editor.edit(INSTRUCTION, settings=SETTINGS, correction=wrong)
