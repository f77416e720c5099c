"""Pictures that are worked on as overlapping tiles of the size that the model was trained at."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.editing import Editor, crop
from backend.editing.guided_edit import guided_edit
from backend.editing.models.denoiser import Encoding, Prediction
from backend.editing.models.guidance import DEFAULT_GUIDANCE
from backend.editing.tiles import Tiled, tiles_of
from protocol.settings import EditSettings
from tests.backend.test_crop import card, region
from tests.backend.tiny_editor import INSTRUCTION, Spy, random_image


class Plain:
    """A model that sees every cell by itself, so that tiles make no difference to it."""

    card = card(native=32, multiple=8)

    def encode(self, image):
        cells = torch.from_numpy(image[::8, ::8].copy()).permute(2, 0, 1)[None].float()
        return Encoding(cells / 255, cells)

    def decode(self, latents):
        image = (latents[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        return image.repeat(8, axis=0).repeat(8, axis=1)

    def conditions(self, encoding, instruction):
        return encoding.condition

    def levels(self, steps, strength):
        return np.linspace(strength, 0, steps, endpoint=False).tolist()

    def noised(self, clean, noise, level):
        level = torch.as_tensor(level, dtype=torch.float32).view(-1, 1, 1, 1)
        return (1 - level) * clean + level * noise

    def difference(self, noisy, level, conditions):
        return torch.cat(conditions) * level + noisy

    def predict(self, noisy, level, conditions, guidance):
        level = torch.as_tensor(level, dtype=torch.float32).view(-1, 1, 1, 1)
        clean = 1 - torch.cat(conditions) / 255
        return Prediction(clean, (noisy - (1 - level) * clean) / level)


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_tiles_cover_the_picture_overlap_and_are_of_one_size(cells):
    shape = (cells[0] * 8, cells[1] * 8)
    tiles = tiles_of(shape, Plain.card)
    if max(shape) <= 32:
        assert tiles == ()
        return
    seen = np.zeros(shape, int)
    for tile in tiles:
        seen[tile.slices] += 1
        assert tile.shape == tuple(min(side, 32) for side in shape)
        assert not any(first % 8 for first in (tile.top, tile.left))
        assert tile.top + tile.height <= shape[0]
        assert tile.left + tile.width <= shape[1]
    assert seen.min() >= 1
    for axis, firsts in enumerate(zip(*[(tile.top, tile.left) for tile in tiles], strict=True)):
        steps = np.diff(sorted(set(firsts)))
        assert all(step <= 24 for step in steps), f"no overlap along axis {axis}"


def test_a_model_that_sees_single_cells_gives_the_same_in_tiles_as_at_once():
    model, image = Plain(), random_image(72, 104)
    tiles = tiles_of((72, 104), model.card)
    tiled = Tiled(model, tiles, (72, 104))
    whole, parts = model.encode(image), tiled.encode(image)
    torch.testing.assert_close(parts.latents, whole.latents)
    assert (tiled.decode(whole.latents) == model.decode(whole.latents)).all()
    told = [model.conditions(whole, ""), model.conditions(whole, "") * 0.5]
    in_tiles = tiled.conditions(parts, "")
    halves = [in_tiles, [one * 0.5 for one in in_tiles]]
    noisy, level = torch.randn(2, 3, 9, 13), torch.tensor([0.5, 0.8], dtype=torch.float64)
    one = model.predict(noisy, level, told, DEFAULT_GUIDANCE)
    other = tiled.predict(noisy, level, halves, DEFAULT_GUIDANCE)
    torch.testing.assert_close(other.clean, one.clean)
    torch.testing.assert_close(other.noise, one.noise)
    torch.testing.assert_close(tiled.noised(other.clean, other.noise, level), noisy)
    torch.testing.assert_close(
        tiled.difference(noisy, 0.5, halves), model.difference(noisy, 0.5, told)
    )


def test_what_tiles_say_is_averaged_where_they_overlap():
    """One tile says 0, its neighbour 1: between them it rises evenly, and never jumps."""

    class Numbered(Plain):
        def predict(self, noisy, level, conditions, guidance):
            clean = torch.stack([torch.full_like(noisy[0], one) for one in conditions])
            return Prediction(clean, noisy - clean)

    tiles = tiles_of((32, 56), Plain.card)
    assert [tile.left for tile in tiles] == [0, 24]
    tiled = Tiled(Numbered(), tiles, (32, 56))
    level = torch.tensor([1.0])
    found = tiled.predict(torch.zeros(1, 3, 4, 7), level, [[0.0, 1.0]], DEFAULT_GUIDANCE)
    row = found.clean[0, 0, 2]
    assert row[:3].tolist() == [0, 0, 0]
    assert row[3] == pytest.approx(0.5)
    assert row[4:].tolist() == [1, 1, 1]


def test_only_tiles_of_the_region_are_worked_on():
    model = Plain()
    tiles = tiles_of((32, 512), model.card)
    touched = np.zeros((4, 64), bool)
    touched[:, 30] = True
    tiled = Tiled(model, tiles, (32, 512), touched)
    predict, decode = Spy(model.predict), Spy(model.decode)
    model.predict, model.decode = predict, decode
    image = random_image(32, 512)
    encoded = tiled.encode(image)
    noise = torch.randn(encoded.latents.shape)
    mask = torch.from_numpy(touched)[None, None]
    told = [tiled.conditions(encoded, "")]
    latents = guided_edit(
        tiled, encoded.latents, told, mask, noise, guidance=DEFAULT_GUIDANCE, steps=1, strengths=[1]
    )
    needed = [tile for tile in tiles if tile.left <= 240 < tile.left + 32]
    assert 0 < len(needed) <= 2
    assert sum(len(call[0]) for call in predict.calls) == len(needed)
    torch.testing.assert_close(latents[..., 30], 1 - encoded.latents[..., 30])
    assert (latents[..., :30] == encoded.latents[..., :30]).all()
    tiled.decode(latents)
    assert len(decode.calls) == len(needed)


def test_a_large_region_is_edited_in_all_its_pixels(tiny_model):
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    image, mask = random_image(150, 230), region((150, 230), 30, 20, 70, 90)
    editor.set_image(image)
    shown = []
    edit = editor.edit(
        INSTRUCTION,
        mask=mask,
        steps=1,
        detail="tiles",
        on_step=lambda step: shown.append(editor.preview(step)),
    )
    assert edit.windows[0].shape == edit.windows[0].box.shape
    assert len(edit.windows[0].tiles) > 1
    assert f"in {len(edit.windows[0].tiles)} tiles" in crop.words(edit.windows, image.shape)
    assert (edit.image[~mask] == image[~mask]).all()
    assert (edit.image[mask] != image[mask]).any()
    assert len(shown) == 1
    (together,) = editor.edit_images(
        INSTRUCTION, [image], [mask], [image], [1.0], [0], EditSettings(steps=1, detail="tiles")
    )
    assert np.abs(together.astype(int) - edit.image).max() <= 1
