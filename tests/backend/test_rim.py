"""The soft edge of a region: how wide, where, and mixed as light is."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from backend.editing import Editor
from backend.editing.encoded_image import EncodedImage
from backend.pictures import blend
from tests.backend.tiny_editor import INSTRUCTION, random_image


def linear(levels):
    level = np.asarray(levels, np.float64) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def test_a_rim_lies_on_the_edge_half_on_each_side():
    mask = np.zeros((3, 20), bool)
    mask[:, 10:] = True
    share = blend.weights(mask, 4)[1]
    expected = [0] * 8 + [0.125, 0.375, 0.625, 0.875] + [1] * 8
    assert share.tolist() == pytest.approx(expected)
    assert blend.weights(mask, 1)[1].tolist() == mask[1].tolist()
    assert (blend.weights(mask, 0) == mask).all()


def test_a_mask_of_everything_or_nothing_has_no_edge():
    for mask in (np.ones((5, 6), bool), np.zeros((5, 6), bool)):
        assert (blend.weights(mask, 50) == mask).all()


def test_light_is_mixed_not_its_numbers():
    """Half of black and half of white is a grey of 188, not 128."""
    before, after = np.zeros((1, 3, 3), np.uint8), np.full((1, 3, 3), 255, np.uint8)
    share = np.array([[0, 0.5, 1]], np.float32)
    assert blend.blended(before, after, share)[0, :, 0].tolist() == [0, 188, 255]


def test_every_byte_survives_being_mixed_with_itself():
    levels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    for part in (0.001, 0.3, 0.999):
        share = np.full((1, 256), part, np.float32)
        assert (blend.blended(levels, levels, share) == levels).all()


def test_mixed_light_is_right_to_half_a_level():
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    share = rng.uniform(0.01, 0.99, (40, 50)).astype(np.float32)
    light = (1 - share[..., None]) * linear(before) + share[..., None] * linear(after)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(blend.blended(before, after, share) - encoded).max() <= 0.501


@pytest.fixture(scope="module")
def editor(tiny_model):
    return Editor.from_pretrained(str(tiny_model), device="cpu")


@pytest.mark.parametrize("detail", ["sharp", "whole"])
@pytest.mark.parametrize("rim", [1.0, 6.0, 200.0])
@pytest.mark.parametrize("place", [(80, 120, 40, 50), (0, 0, 30, 30), (60, 70, 1, 1)])
def test_outside_the_rim_every_byte_is_the_inputs_and_inside_it_the_edits(
    editor, detail, rim, place
):
    top, left, height, width = place
    image, mask = random_image(150, 220), np.zeros((150, 220), bool)
    mask[top : top + height, left : left + width] = True
    editor.set_image(image)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=2, rim=rim, detail=detail)
    beyond = distance_transform_edt(~mask) - 0.5 >= rim / 2
    assert (edit.image[beyond] == image[beyond]).all()
    assert (edit.mask == mask).all()
    if detail == "whole":
        hard = editor.edit(INSTRUCTION, mask=np.ones_like(mask), steps=2, detail=detail)
        sharp = editor.edit(INSTRUCTION, mask=mask, steps=2, detail=detail)
        assert hard.image.shape == sharp.image.shape
    changed = (edit.image != image).any(axis=2)
    assert changed.any()
    if rim == 6.0 and height > 1:
        soft = ~beyond & ~mask
        assert changed[soft].any(), "half of the rim is outside the region"


def test_inside_the_rim_is_exactly_the_edit(editor, monkeypatch):
    after = random_image(64, 64, 9)
    monkeypatch.setattr(EncodedImage, "decoded", lambda self, model, latents: after)
    image, mask = random_image(64, 64), np.zeros((64, 64), bool)
    mask[10:50, 20:] = True
    editor.set_image(image)
    edit = editor.edit(INSTRUCTION, mask=mask, steps=1, rim=8, detail="whole")
    core = distance_transform_edt(mask) - 0.5 >= 4
    assert (edit.image[core] == after[core]).all()
    assert core[30, 63], "the picture's border is no edge"
    edge = edit.image[30, 20].astype(int)  # half a pixel inside: a share of 9/16
    light = linear(image[30, 20]) * 7 / 16 + linear(after[30, 20]) * 9 / 16
    assert np.abs(linear(edge) - light).max() < 0.01
