"""SDEdit by a caption as an editor of pictures: the method's own results, inside masks."""

import numpy as np
import pytest

from backend.editing import Editor
from backend.editing.guided_edit import Step
from backend.editing.methods.caption_editor import CaptionEditor
from backend.editing.methods.method import Models, Request
from backend.editing.methods.registry import METHODS
from backend.editing.models.stable_diffusion import StableDiffusion
from backend.errors import BadInput
from protocol.settings import EditSettings

from .tiny_editor import random_image
from .tiny_text_to_image import tiny_text_to_image

BEFORE, AFTER = "a bear", "a red panda"
STEPS = EditSettings(steps=3)
EVERYWHERE = np.ones((32, 40), bool)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StableDiffusion:
    return tiny_text_to_image(tmp_path_factory.mktemp("text-to-image"))


def sdedit(editor: Editor, model: StableDiffusion, image: np.ndarray, seed: int) -> np.ndarray:
    """What the method makes of a picture at strength 0.6."""
    asked = Request(
        image=image, instruction="-", captions=(BEFORE, AFTER), steps=3, seed=seed, knob=0.6
    )
    return METHODS["sdedit-caption"].edit(Models(editor, model), asked).image


def test_each_start_is_edited_by_the_caption_inside_its_mask(
    model: StableDiffusion, editor: Editor
) -> None:
    images = [random_image(32, 40, seed) for seed in (0, 1)]
    starts = [random_image(32, 40, seed) for seed in (2, 3)]
    left = np.zeros_like(EVERYWHERE)
    left[:, :13] = True
    seen: list[Step] = []
    edited = CaptionEditor(model, AFTER).edit_images(
        "make it a panda",
        images,
        [EVERYWHERE, left],
        starts,
        [0.6, 0.6],
        [4, 5],
        STEPS,
        seen.append,
    )
    first, second = (sdedit(editor, model, s, n) for s, n in zip(starts, (4, 5), strict=True))
    np.testing.assert_array_equal(edited[0], first)
    np.testing.assert_array_equal(edited[1][left], second[left])
    np.testing.assert_array_equal(edited[1][~left], images[1][~left])
    assert [(one.index, one.count) for one in seen] == [(0, 3), (1, 3), (2, 3)] * 2
    nothing = np.zeros_like(EVERYWHERE)
    (same,) = CaptionEditor(model, AFTER).edit_images(
        "-", images[:1], [nothing], starts[:1], [0.6], [4], STEPS
    )
    np.testing.assert_array_equal(same, images[0])


def test_one_picture_is_edited_as_several_are(model: StableDiffusion, editor: Editor) -> None:
    image = random_image(32, 40, 0)
    alone = CaptionEditor(model, AFTER)
    alone.set_image(image)
    made = alone.edit("-", mask=EVERYWHERE, settings=EditSettings(steps=3, strength=0.6, seed=4))
    np.testing.assert_array_equal(made.image, sdedit(editor, model, image, 4))
    assert made.mask.all()


def test_guidance_that_is_asked_for_is_used(model: StableDiffusion) -> None:
    image = random_image(32, 40, 0)

    def at(settings: EditSettings) -> np.ndarray:
        editor = CaptionEditor(model, AFTER)
        return editor.edit_images("-", [image], [EVERYWHERE], [image], [0.6], [4], settings)[0]

    own = at(EditSettings(steps=3, text_guidance=model.card.guidance.text))
    np.testing.assert_array_equal(own, at(STEPS))
    assert (own != at(EditSettings(steps=3, text_guidance=1.0))).any()


def test_it_does_not_say_where_an_instruction_applies(model: StableDiffusion) -> None:
    alone = CaptionEditor(model, AFTER)
    alone.set_image(random_image(32, 40, 0))
    for ask in (
        lambda: alone.relevance("-"),
        lambda: alone.relevance_of_images("-", []),
        lambda: alone.edit("-"),
    ):
        with pytest.raises(BadInput, match="edit everything, or give masks"):
            ask()
    with pytest.raises(BadInput):
        CaptionEditor(model, " ")
