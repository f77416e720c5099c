"""Guided edits against the papers' equations and diffusers' own pipeline."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backend.editing import Editor, Step, denoising
from backend.editing.encoded_image import EncodedImage
from backend.editing.models.ddpm import Ddpm
from backend.editing.models.denoiser import draw_noise
from backend.editing.models.guidance import Guidance
from backend.errors import BadInput
from protocol.region import snapped
from protocol.settings import EditSettings, MapSettings, RegionSettings
from tests.backend.tiny_editor import INSTRUCTION, Spy, random_image, reference_pipeline


@pytest.fixture(scope="module")
def editor(tiny_model):
    return Editor.from_pretrained(str(tiny_model), device="cpu")


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return reference_pipeline(tiny_model)


# ------------------------------------------------------------------ against diffusers


@pytest.mark.parametrize("image_guidance", [1.5, 1.0])
@pytest.mark.parametrize("steps", [4, 20])
def test_threshold_zero_equals_diffusers_pipeline(
    editor, pipeline, monkeypatch, image_guidance, steps
):
    image = random_image(64, 80)
    noise = np.random.default_rng(1).standard_normal((4, 8, 10)).astype(np.float32)
    guided = Spy(denoising.guided_edit)
    predict = Spy(editor.model.network)
    monkeypatch.setattr(denoising, "guided_edit", guided)
    editor.set_image(image)
    relevance = editor.relevance(INSTRUCTION)
    monkeypatch.setattr(editor.model, "network", predict)
    editor.edit(
        INSTRUCTION,
        threshold=0.0,
        steps=steps,
        image_guidance=image_guidance,
        noise=noise,
        relevance=relevance,
    )

    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        encoded = (
            pipeline.vae.encode(pixels).latent_dist.mode() * pipeline.vae.config.scaling_factor
        )
    alpha = pipeline.scheduler.alphas_cumprod[999]
    start = alpha.sqrt() * encoded + (1 - alpha).sqrt() * torch.from_numpy(noise)[None]
    expected = pipeline(
        INSTRUCTION,
        image=Image.fromarray(image),
        latents=start,
        num_inference_steps=steps,
        guidance_scale=7.5,
        image_guidance_scale=image_guidance,
        output_type="latent",
    ).images
    difference = (guided.results[0] - expected).abs().max() / expected.abs().max()
    assert difference < 1e-4
    branches = {call[2].tokens.shape[0] for call in predict.calls}
    assert branches == {2 if image_guidance == 1.0 else 3}


def test_image_guidance_below_one_guides(editor):
    image = random_image(64, 64)
    editor.set_image(image)
    below = editor.edit(INSTRUCTION, threshold=0.0, steps=3, image_guidance=0.8)
    one = editor.edit(INSTRUCTION, threshold=0.0, steps=3, image_guidance=1.0)
    assert (below.image != one.image).any()


def test_guidance_equals_equation_1_written_out(editor):
    """Eq. 1 as it stands in the paper, one branch at a time."""
    model = editor.model
    with torch.inference_mode():
        encoding = model.encode(random_image(64, 64))
        image_latents, told = encoding.condition, model.conditions(encoding, INSTRUCTION)
        text, empty = model.embed_text(INSTRUCTION), model.embed_text("")
        z, t = draw_noise(3, encoding.latents), torch.tensor([0.5], dtype=torch.float64)
        no_image = torch.zeros_like(image_latents)

        def eps(embedding, condition):
            return model.network(z, 0.5, embedding, condition)

        for s_text, s_image in [(7.5, 1.5), (7.5, 1.0), (3.0, 0.8), (1.5, 1.5), (0.0, 2.0)]:
            expected = (
                eps(empty, no_image)
                + s_image * (eps(empty, image_latents) - eps(empty, no_image))
                + s_text * (eps(text, image_latents) - eps(empty, image_latents))
            )
            ours = model.predict(z, t, [told], Guidance(s_text, s_image))
            torch.testing.assert_close(ours.noise, expected, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(model.noised(ours.clean, ours.noise, t), z)


SCHEDULE = Ddpm(DDIMScheduler(), torch.device("cpu"))


@given(steps=st.integers(1, 1000), strength=st.floats(0.01, 1.0))
def test_levels_are_as_many_as_asked_and_fall(steps, strength):
    levels = SCHEDULE.levels(steps, strength)
    assert len(levels) == steps
    assert SCHEDULE.timestep(levels[0]) == max(round(strength * 1000) - 1, 0)
    assert all(0 <= after <= before for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize("steps", [1, 7, 20, 30, 100, 999, 1000])
def test_levels_at_full_strength_are_diffusers_trailing_timesteps(steps):
    scheduler = DDIMScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    levels = torch.tensor(SCHEDULE.levels(steps, 1.0), dtype=torch.float64)
    assert SCHEDULE.timestep(levels).tolist() == scheduler.timesteps.tolist()


# ------------------------------------------------------------------ the mask


@pytest.mark.parametrize("case", range(20))
def test_bytes_outside_the_mask_are_the_inputs(editor, case):
    rng = np.random.default_rng(case)
    height, width = (
        [(37, 61), (61, 37), (1, 1), (3, 130)][case] if case < 4 else rng.integers(8, 200, 2)
    )
    image = random_image(height, width, case)
    mask = np.zeros((height, width), bool)
    top, left = rng.integers(0, height), rng.integers(0, width)
    mask[top : top + rng.integers(1, height + 1), left : left + rng.integers(1, width + 1)] = True
    settings = {"steps": 2, "seed": int(rng.integers(2**40))}
    editor.set_image(image)
    if case % 2:  # a mask from the map instead of a given one
        first = editor.edit(INSTRUCTION, threshold=float(rng.uniform(0.2, 0.8)), **settings)
        again = editor.edit(INSTRUCTION, threshold=1.0, **settings)
        assert (again.image[~again.mask] == image[~again.mask]).all()
    else:
        first = editor.edit(INSTRUCTION, mask=mask, **settings)
        again = editor.edit(INSTRUCTION, mask=mask, **settings)
        assert (first.mask == mask).all()
        assert (first.image == again.image).all()
        assert (first.image[mask] != image[mask]).any()
    assert first.image.shape == image.shape
    assert (first.image[~first.mask] == image[~first.mask]).all()


def test_empty_mask_returns_the_input(editor):
    image = random_image(37, 61)
    editor.set_image(image)
    edit = editor.edit(INSTRUCTION, mask=np.zeros((37, 61), bool))
    assert (edit.image == image).all()
    assert not edit.mask.any()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (37, 61), (200, 150)])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("snap", ["nothing", "edges"])
def test_a_thresholded_map_and_the_same_mask_given_make_the_same_edit(
    editor, monkeypatch, height, width, threshold, snap
):
    """One rule: the pixels decide; a cell is denoised where any of its pixels is in the mask."""
    image, region = random_image(height, width), RegionSettings(snap=snap)
    editor.set_image(image)
    guided = Spy(denoising.guided_edit)
    monkeypatch.setattr(denoising, "guided_edit", guided)
    relevance = editor.relevance(INSTRUCTION)
    found = snapped(relevance.at(height, width), image, snap, None, 0.5)
    mask = found.values >= threshold
    assert (mask == (relevance.at(height, width) >= threshold)).all() == (
        snap == "nothing" or threshold == 0
    )
    by_map = editor.edit(
        INSTRUCTION, threshold=threshold, relevance=relevance, steps=2, region=region
    )
    by_mask = editor.edit(INSTRUCTION, mask=mask, steps=2)
    assert (by_map.mask == mask).all()
    assert (by_map.image == by_mask.image).all()
    assert (guided.calls[0][3] == guided.calls[1][3]).all()
    assert by_map.threshold == threshold
    assert (by_mask.threshold, by_mask.relevance) == (None, None)


def test_an_edit_snaps_to_things_and_says_where_it_cannot(editor):
    """Each thing is in the region whole or not at all; without things the edges are taken."""
    image = random_image(64, 64)
    editor.set_image(image)
    relevance = editor.relevance(INSTRUCTION)
    high = relevance.at(64, 64) >= relevance.suggested_threshold
    things = np.where(high, 300, 0)
    things[high & (np.arange(64) % 9 == 0)] = 0  # so that the map is not quite that of things
    edit = editor.edit(INSTRUCTION, relevance=relevance, steps=1, things=things)
    assert edit.snapped.took == "things"
    assert edit.snapped.why == ""
    assert (edit.mask == (things == 300)).all()
    unknown = editor.edit(INSTRUCTION, relevance=relevance, steps=1)
    assert unknown.snapped.took == "edges"
    assert "No things are known" in unknown.snapped.why
    assert editor.edit(INSTRUCTION, mask=edit.mask, steps=1).snapped is None


@pytest.mark.parametrize(
    ("things", "sentence"),
    [
        (np.zeros((64, 63), int), "whole numbers of shape (64, 64)"),
        (np.zeros((64, 64)), "whole numbers"),
        (np.full((64, 64), -1), "0 to 65535, not -1"),
        (np.full((64, 64), 65536), "0 to 65535, not 65536"),
    ],
)
def test_things_that_cannot_be_used_are_refused(editor, things, sentence):
    editor.set_image(random_image(64, 64))
    with pytest.raises(BadInput) as refused:
        editor.edit(INSTRUCTION, steps=1, things=things)
    assert sentence in str(refused.value)


def test_an_edit_that_changes_nothing_says_so(editor, monkeypatch):
    image = random_image(37, 61)
    editor.set_image(image)
    none = editor.edit(INSTRUCTION, mask=np.zeros((37, 61), bool))
    assert none.unchanged == "Unchanged: the mask marks no pixel."
    assert editor.edit(INSTRUCTION, threshold=0.0, steps=1).unchanged is None
    flat = editor.relevance(INSTRUCTION)
    flat = dataclasses.replace(flat, values=0 * flat.values)
    assert editor.edit(INSTRUCTION, relevance=flat, steps=1).unchanged.startswith(
        "Unchanged: to the model, the instruction applies nowhere more than elsewhere."
    )
    monkeypatch.setattr(EncodedImage, "decoded", lambda self, model, latents: self.image ^ 1)
    same = editor.edit(INSTRUCTION, threshold=0.0, steps=1)
    assert same.unchanged.startswith("Unchanged: no pixel of the region differs by more than 3")


@pytest.mark.parametrize("bad", [math.inf, math.nan])
@pytest.mark.parametrize("place", ["unet", "vae"])
def test_values_that_are_no_numbers_are_refused_where_they_arise(editor, monkeypatch, bad, place):
    """As float16 overflows: never a map or a mask of NaN."""
    image, other = random_image(64, 64, 1), random_image(64, 64, 2)
    editor.set_image(image)
    network = getattr(editor.model, place)
    layer = network.conv_out if place == "unet" else network.quant_conv
    monkeypatch.setattr(layer.bias, "data", torch.full_like(layer.bias.data, bad))
    words = "no numbers in torch.float32: lower the guidance"
    if place == "vae":
        editor.set_image(other)
        with pytest.raises(FloatingPointError, match=words):
            editor.relevance(INSTRUCTION)
        return
    with pytest.raises(FloatingPointError, match=words):
        editor.relevance(INSTRUCTION)
    with pytest.raises(FloatingPointError, match=words):
        list(editor.relevance_of_images(INSTRUCTION, [image, other]))
    steps = []
    with pytest.raises(FloatingPointError, match=words):
        editor.edit(INSTRUCTION, mask=np.ones((64, 64), bool), steps=3, on_step=steps.append)
    assert not steps


def test_seed_fixes_the_bytes(editor, tiny_model):
    image = random_image(64, 64)
    other = Editor.from_pretrained(str(tiny_model), device="cpu")
    results = []
    for each in (editor, other):
        each.set_image(image)
        results += [each.edit(INSTRUCTION, threshold=0.3, steps=3, seed=seed) for seed in (5, 5, 6)]
    assert (results[0].image == results[1].image).all()
    assert (results[0].image == results[3].image).all()
    assert (results[0].image != results[2].image).any()


def test_latents_outside_the_mask_follow_the_noised_input(editor, monkeypatch):
    """Eq. 5 after every step: outside the mask the next step starts from E(x) at its own level."""
    image = random_image(64, 64)
    editor.set_image(image)
    model = editor.model
    predict = Spy(model.network)
    guided = Spy(denoising.guided_edit)
    monkeypatch.setattr(model, "network", predict)
    monkeypatch.setattr(denoising, "guided_edit", guided)
    mask = np.zeros((64, 64), bool)
    mask[:, 32:] = True
    editor.edit(INSTRUCTION, mask=mask, steps=5, seed=4)
    clean = editor._set().encoded().encoding.latents
    noise = draw_noise(4, clean)
    for latents, level, *_ in predict.calls:
        expected = model.noised(clean, noise, level)
        assert len(latents) == 3  # the branches of Eq. 1
        torch.testing.assert_close(latents[..., :4], expected[..., :4])
    assert [call[1].tolist() for call in predict.calls] == [
        3 * [level] for level in (0.999, 0.799, 0.599, 0.399, 0.199)
    ]
    assert (guided.results[0][..., :4] == clean[..., :4]).all()


def test_large_image_is_worked_on_at_native_size(editor):
    image = random_image(200, 300)
    editor.set_image(image)
    native = editor.card.native_size
    assert editor.relevance(INSTRUCTION).values.shape == (native // 8, native * 3 // 2 // 8)
    edit = editor.edit(INSTRUCTION, threshold=0.5, steps=2)
    assert edit.image.shape == image.shape
    assert (edit.image[~edit.mask] == image[~edit.mask]).all()
    editor.set_image(image, work_size=128)
    assert editor.relevance(INSTRUCTION).values.shape == (16, 24)


# ------------------------------------------------------------------ several images at once


@pytest.mark.parametrize("image_guidance", [1.5, 1.0])
def test_images_edited_together_are_edited_as_alone(editor, monkeypatch, image_guidance):
    """Each with its own mask, start, strength and seed: the same latents and nearly all bytes."""
    rng = np.random.default_rng(0)
    images = [random_image(60, 84, seed) for seed in range(3)]
    starts = [random_image(60, 84, seed + 10) for seed in range(3)]
    masks = [rng.random((60, 84)) < share for share in (0.001, 0.3, 1.0)]
    strengths, seeds = (0.98, 0.41, 0.07), (7, 1, 2**31 - 1)
    guided = Spy(denoising.guided_edit)
    predict = Spy(editor.model.network)
    monkeypatch.setattr(denoising, "guided_edit", guided)
    monkeypatch.setattr(editor.model, "network", predict)
    settings = {"image_guidance": image_guidance, "steps": 4}
    alone = []
    for image, mask, start, strength, seed in zip(
        images, masks, starts, strengths, seeds, strict=True
    ):
        editor.set_image(image)
        alone.append(
            editor.edit(
                INSTRUCTION, mask=mask, start=start, strength=strength, seed=seed, **settings
            ).image
        )
    assert len(predict.calls) == 12
    told = []
    together = editor.edit_images(
        INSTRUCTION, images, masks, starts, strengths, seeds, EditSettings(**settings), told.append
    )
    assert len(predict.calls) == 16
    assert [(step.index, step.count) for step in told] == [(k, 4) for k in range(4)]
    assert told[0].level.tolist() == [0.979, 0.409, 0.069]
    torch.testing.assert_close(
        guided.results[3], torch.cat(guided.results[:3]), rtol=1e-4, atol=1e-4
    )
    for image, mask, one, other in zip(images, masks, together, alone, strict=True):
        assert (one[~mask] == image[~mask]).all()
        assert np.abs(one.astype(int) - other).max() <= 1
        assert (one[mask] != image[mask]).any()
    with pytest.raises(ValueError, match="same size"):
        editor.edit_images(
            INSTRUCTION, [images[0], images[1][1:]], masks[:2], starts[:2], (1, 1), (0, 0)
        )
    with pytest.raises(ValueError, match="strength must be above 0"):
        editor.edit_images(INSTRUCTION, images, masks, starts, (1.0, 0.5, 0.0), seeds)
    with pytest.raises(ValueError, match="a seed of its own"):
        editor.edit_images(INSTRUCTION, images, masks, starts, strengths, seeds[:1])
    assert editor.edit_images(INSTRUCTION, [], [], [], [], []) == []


# ------------------------------------------------------------------ caching, callbacks, errors


def test_image_and_text_are_encoded_once(editor, monkeypatch):
    encode, embed = Spy(editor.model.encode), Spy(editor.model.embed_text)
    monkeypatch.setattr(editor.model, "encode", encode)
    monkeypatch.setattr(editor.model, "embed_text", embed)
    image = random_image(72, 64, 99)
    for _ in range(3):
        editor.set_image(image.copy())
        editor.relevance("turn the bear into a panda")
    assert len(encode.calls) == 1
    assert len(embed.calls) == 1
    editor.set_image(random_image(72, 64, 100))
    editor.relevance("turn the bear into a panda")
    assert len(encode.calls) == 2


def test_steps_are_reported_and_can_stop_the_edit(editor):
    class StopNow(Exception):
        pass

    seen: list[Step] = []

    def on_step(step):
        seen.append(step)
        assert editor.preview(step).shape == (8, 10, 3)
        if len(seen) == 3:
            raise StopNow

    editor.set_image(random_image(64, 80))
    with pytest.raises(StopNow):
        editor.edit(INSTRUCTION, threshold=0.0, steps=10, on_step=on_step)
    assert [(step.index, step.count) for step in seen] == [(0, 10), (1, 10), (2, 10)]


def test_settings_as_one_object_are_those_given_one_by_one(editor):
    editor.set_image(random_image(64, 64))
    maps = MapSettings(noise_level=0.5, relevance_seeds=(3,), normalisation="paper")
    one_by_one = editor.relevance(INSTRUCTION, noise_level=0.5, seeds=(3,), normalisation="paper")
    relevance = editor.relevance(INSTRUCTION, settings=maps)
    assert np.array_equal(relevance.values, one_by_one.values)
    settings = EditSettings(text_guidance=3.0, image_guidance=1.0, steps=2, strength=0.5, seed=9)
    given = {"threshold": 0.4, "relevance": relevance}
    edited = editor.edit(INSTRUCTION, settings=settings, **given)
    same = editor.edit(INSTRUCTION, **dataclasses.asdict(settings), **given)
    assert np.array_equal(edited.image, same.image)
    assert not np.array_equal(edited.image, editor.edit(INSTRUCTION, steps=2, **given).image)
    for call in (
        lambda: editor.relevance(INSTRUCTION, settings=maps, noise_level=0.5),
        lambda: editor.edit(INSTRUCTION, settings=settings, steps=2),
    ):
        with pytest.raises(ValueError, match="as one object or one by one, not both"):
            call()
    with pytest.raises(ValueError, match="The steps must be 1 to 1000, not 2000"):
        editor.edit(INSTRUCTION, settings=EditSettings(steps=2000))


def test_wrong_input_is_refused_in_words(editor):
    with pytest.raises(ValueError, match="uint8"):
        editor.set_image(np.zeros((8, 8, 3), np.float32))
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        editor.set_image(np.zeros((8, 8), np.uint8))
    with pytest.raises(BadInput, match="An image must be a numpy array, not Image"):
        editor.set_image(Image.new("RGB", (64, 64)))
    editor.set_image(random_image(64, 64))
    for wrong, words in [
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": "0.5"}, "The threshold must be a number, not 0.5"),
        ({"steps": 0}, "step"),
        ({"steps": 2.5}, "The steps must be a whole number, not 2.5"),
        ({"strength": None}, "The strength must be a number, not None"),
        ({"strength": 0.0}, "strength"),
        ({"image_guidance": -1.0}, "guidance"),
        ({"text_guidance": math.inf}, "guidance"),
        ({"mask": np.ones((3, 3), bool)}, "mask"),
        ({"mask": [[True] * 64] * 64}, "The mask must be a numpy array, not list"),
        ({"things": [[0] * 64] * 64}, "Things must be a numpy array, not list"),
        ({"mask": np.ones((64, 64), bool), "crop": (0, 0, 32, 32)}, r"must be a Box\(top, left"),
        ({"noise": np.zeros((4, 3, 3), np.float32)}, "noise"),
        ({"noise": np.full((4, 8, 8), np.nan, np.float32)}, "noise holds values that are no num"),
    ]:
        with pytest.raises(ValueError, match=words):
            editor.edit(INSTRUCTION, **wrong)
    with pytest.raises(ValueError, match="noise level"):
        editor.relevance(INSTRUCTION, noise_level=1.1)
    with pytest.raises(ValueError, match="seed"):
        editor.relevance(INSTRUCTION, seeds=())
    with pytest.raises(ValueError, match="Each of the relevance seeds must be 0 or more, not -1"):
        editor.relevance(INSTRUCTION, seeds=(0, -1))
    for size in (0, -1):
        with pytest.raises(ValueError, match="work_size must be 1 or more"):
            editor.set_image(random_image(64, 64), size)
    with pytest.raises(ValueError, match="must be paper or full, not other"):
        editor.relevance(INSTRUCTION, normalisation="other")


def test_edit_before_an_image_is_set_says_so(tiny_model):
    with pytest.raises(RuntimeError, match="set_image"):
        Editor.from_pretrained(str(tiny_model), device="cpu").edit(INSTRUCTION)


def test_long_and_foreign_instructions(editor):
    assert editor.card.unread(INSTRUCTION) == ""
    assert "panda" in editor.card.unread(INSTRUCTION + " the" * 8 + " panda")
    editor.set_image(random_image(64, 64))
    assert np.isfinite(editor.relevance("把球变成红色").values).all()
