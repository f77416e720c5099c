"""Relevance maps and the prompt check against the papers' equations and by hand."""

import itertools
import math
import shutil
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backend.editing import Editor
from backend.editing.models.guidance import GUIDANCE_FILE, Guidance, write_guidance
from backend.editing.models.registry import load_model
from backend.editing.prompt_check import (
    CALIBRATION_FILE,
    DEFAULT_EVIDENCE_LIMIT,
    FAINT,
    agreement,
    write_evidence_limit,
)
from backend.editing.relevance import (
    RelevanceMap,
    normalise,
)
from backend.editing.threshold import suggest_threshold
from protocol.settings import EditSettings, MapSettings
from protocol.values import Normalisation
from tests.backend.tiny_editor import INSTRUCTION, Spy, random_image, reference_pipeline


@pytest.fixture(scope="module")
def editor(tiny_model):
    return Editor.from_pretrained(str(tiny_model), device="cpu")


@pytest.fixture(scope="module")
def pipeline(tiny_model):
    return reference_pipeline(tiny_model)


# ------------------------------------------------------------------ relevance


def test_relevance_equals_equations_2_and_3_written_out(editor, pipeline):
    image = random_image(64, 64)
    editor.set_image(image)
    paper = editor.relevance(INSTRUCTION, seeds=(0, 1, 2), normalisation="paper")
    full = editor.relevance(INSTRUCTION, seeds=(0, 1, 2), normalisation="full")

    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    differences = []
    with torch.no_grad():
        condition = pipeline.vae.encode(pixels).latent_dist.mode()
        latents = condition * pipeline.vae.config.scaling_factor
        embeddings = [
            pipeline.text_encoder(
                pipeline.tokenizer(
                    text, padding="max_length", max_length=12, return_tensors="pt"
                ).input_ids
            )[0]
            for text in (INSTRUCTION, "")
        ]
        for seed in (0, 1, 2):
            noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(seed))
            noised = pipeline.scheduler.add_noise(latents, noise, torch.tensor([800]))
            with_text, without = (
                pipeline.unet(
                    torch.cat([noised, condition], 1), 800, encoder_hidden_states=embedding
                ).sample
                for embedding in embeddings
            )
            differences.append((with_text - without).abs().sum(1)[0].numpy())
    raw = np.mean(differences, axis=0)
    for ours in (paper, full):
        np.testing.assert_allclose(ours.raw, raw, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(ours.spread, np.std(differences, axis=0), rtol=1e-3, atol=1e-6)
    quartiles = np.percentile(raw, [25, 75])
    clamped = np.minimum(raw, quartiles[1] + 1.5 * (quartiles[1] - quartiles[0]))
    expected = (clamped - clamped.min()) / (clamped.max() - clamped.min())
    np.testing.assert_allclose(paper.values, expected, rtol=1e-3, atol=1e-5)
    expected = (raw - raw.min()) / (raw.max() - raw.min())
    np.testing.assert_allclose(full.values, expected, rtol=1e-3, atol=1e-5)


def test_many_seeds_are_drawn_in_batches_and_reported(editor, monkeypatch):
    editor.set_image(random_image(64, 64))
    expected = np.mean([editor.relevance(INSTRUCTION, seeds=(s,)).raw for s in range(5)], axis=0)
    monkeypatch.setattr("backend.editing.relevance.CELLS_AT_ONCE", 2 * 8 * 8)
    predict = Spy(editor.model.network)
    monkeypatch.setattr(editor.model, "network", predict)
    told = []
    relevance = editor.relevance(INSTRUCTION, seeds=range(5), on_draw=lambda *n: told.append(n))
    assert [len(noises) for noises in predict.results] == [4, 4, 2]  # with and without text
    assert told == [(1, 5), (3, 5), (4, 5)]
    np.testing.assert_allclose(relevance.raw, expected, rtol=1e-4, atol=1e-6)


def test_maps_of_many_images_are_those_of_each_alone(editor, monkeypatch):
    """In batches of one size: the same maps from fewer calls, whichever of them are wanted."""
    sizes = [(64, 64)] * 5 + [(40, 72), (64, 64)]
    images = [random_image(*size, seed) for seed, size in enumerate(sizes)]
    seeds = (0, 3)
    settings = MapSettings(relevance_seeds=seeds)
    alone = []
    predict = Spy(editor.model.network)
    monkeypatch.setattr(editor.model, "network", predict)
    for image in images:
        editor.set_image(image)
        alone.append(editor.relevance(INSTRUCTION, seeds=seeds))
    assert len(predict.calls) == 7
    predict.results.clear()
    monkeypatch.setattr("backend.editing.relevance.CELLS_AT_ONCE", 4 * 8 * 8)
    told = []
    found = list(
        editor.relevance_of_images(
            INSTRUCTION, images, settings, on_draw=lambda *draws: told.append(draws)
        )
    )
    # two images with two noises each, with and without text; the last of the five has no neighbour
    assert [len(noises) for noises in predict.results] == [8, 8, 4, 4, 4]
    assert told == [(3, 14), (7, 14), (9, 14), (11, 14), (13, 14)]
    assert [number for number, _ in found] == list(range(7))
    for (_, ours), theirs in zip(found, alone, strict=True):
        for key in ("raw", "spread", "values"):
            np.testing.assert_allclose(
                getattr(ours, key), getattr(theirs, key), rtol=1e-3, atol=1e-5
            )
        assert (ours.extent, ours.applies) == (theirs.extent, theirs.applies)
        assert ours.evidence == pytest.approx(theirs.evidence, abs=1e-4)
    predict.results.clear()
    some = list(editor.relevance_of_images(INSTRUCTION, images, settings, wanted=(3, 5)))
    assert [len(noises) for noises in predict.results] == [8, 4]
    assert [number for number, _ in some] == [3, 5]
    for number, ours in some:
        np.testing.assert_array_equal(ours.raw, found[number][1].raw)


def test_seeds_of_an_image_that_fills_a_batch_are_split(editor, monkeypatch):
    images = [random_image(64, 64, seed) for seed in (1, 2)]
    settings = MapSettings(relevance_seeds=(0, 1))
    expected = [one.raw for _, one in editor.relevance_of_images(INSTRUCTION, images, settings)]
    monkeypatch.setattr("backend.editing.relevance.CELLS_AT_ONCE", 8 * 8)
    predict = Spy(editor.model.network)
    monkeypatch.setattr(editor.model, "network", predict)
    found = [one.raw for _, one in editor.relevance_of_images(INSTRUCTION, images, settings)]
    assert [len(noises) for noises in predict.results] == [2, 2, 2, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@given(
    st.lists(st.floats(0, 1e6, width=32), min_size=4, max_size=60),
    st.sampled_from(get_args(Normalisation)),
)
def test_normalised_maps_lie_in_0_to_1_and_keep_the_order(numbers, normalisation):
    raw = np.array(numbers, np.float32).reshape(1, -1)
    values = normalise(raw, normalisation)
    assert values.shape == raw.shape
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert values.max() <= 1
    order = np.argsort(raw[0], kind="stable")
    assert (np.diff(values[0][order]) >= 0).all()


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_constant_map_becomes_zeros(normalisation):
    assert (normalise(np.full((5, 6), 3.3, np.float32), normalisation) == 0).all()


def test_small_region_stands_out_only_without_the_papers_clamp():
    """Noise of 0 to 1 with a region of 4 % at 10: the clamp brings half the noise up to it."""
    raw = np.random.default_rng(0).random((20, 20)).astype(np.float32)
    raw[:4, :4] = 10
    truth = raw == 10
    assert ((normalise(raw, "full") >= 0.5) == truth).all()
    assert (normalise(raw, "paper") >= 0.3).sum() > 10 * truth.sum()


def test_the_papers_clamp_leaves_what_lies_far_below_a_large_target():
    """A target of 90 %: the rest is the outlier, and stays far below it."""
    raw = (5 + 0.2 * np.random.default_rng(0).random((20, 20))).astype(np.float32)
    raw[:2] = np.linspace(0, 1, 40, dtype=np.float32).reshape(2, 20)
    values = normalise(raw, "paper")
    assert (values[2:] >= 0.9).all()
    np.testing.assert_allclose(values[:2], raw[:2] / raw.max(), rtol=1e-5)


@given(st.lists(st.integers(0, 8), min_size=2, max_size=30))
def test_suggested_threshold_parts_the_map_best(numbers):
    """Otsu's threshold against all thresholds: the lowest variance inside the two parts."""
    values = np.array([numbers], np.float32) / 8
    threshold = suggest_threshold(values)

    def inside(at):
        parts = [values[values < at], values[values >= at]]
        return sum(float(((part - part.mean()) ** 2).sum()) for part in parts if part.size)

    assert 0 <= threshold <= 1
    if len(set(numbers)) == 1:
        assert threshold == 0.5
    else:
        best = min(inside(at) for at in np.unique(values))
        assert inside(threshold) == pytest.approx(best, abs=1e-6)


def test_edit_takes_the_suggested_threshold_where_none_is_given(editor):
    editor.set_image(random_image(64, 64))
    relevance = editor.relevance(INSTRUCTION)
    edit = editor.edit(INSTRUCTION, steps=1)
    assert edit.relevance.suggested_threshold == relevance.suggested_threshold
    assert edit.threshold == edit.snapped.suggested_threshold
    assert (edit.mask == (edit.snapped.values >= edit.threshold)).all()
    given = editor.edit(INSTRUCTION, threshold=0.25, steps=1)
    assert given.threshold == 0.25
    assert editor.edit(INSTRUCTION, mask=given.mask, steps=1).threshold is None


# ------------------------------------------------------------------ the prompt check


def evidence(differences):
    found = agreement(differences)
    return None if found is None else found.evidence


def test_evidence_tells_what_all_noises_have_in_common(editor):
    rng = np.random.default_rng(0)
    same, noise = rng.standard_normal((4, 20, 20)), rng.standard_normal((6, 4, 20, 20))
    for share in (0.0, 0.3, 0.9, 1.0):  # of the energy
        drawn = np.sqrt(share) * same + np.sqrt(1 - share) * noise
        assert evidence(drawn) == pytest.approx(share, abs=0.05)
        assert evidence(1000 * drawn) == pytest.approx(evidence(drawn), abs=1e-3)
        assert evidence(math.sqrt(FAINT) * drawn) == pytest.approx(share / 2, abs=0.05)
        assert evidence(0.01 * math.sqrt(FAINT) * drawn) < 2e-4
    pairs = [(a * b).mean() for a, b in itertools.permutations(drawn, 2)]
    assert evidence(drawn) == pytest.approx(np.mean(pairs) / (np.mean(drawn**2) + FAINT))
    assert evidence(np.zeros((2, 4, 3, 3))) == 0
    assert evidence(noise[:1]) is None
    editor.set_image(random_image(64, 64))
    relevance = editor.relevance(INSTRUCTION)
    assert 0 < relevance.evidence <= 1
    assert relevance.applies == (relevance.evidence >= editor.card.evidence_limit)
    one = editor.relevance(INSTRUCTION, seeds=(0,))
    assert (one.evidence, one.applies) == (None, None)


def test_models_own_limit_is_read_from_its_folder(tiny_model, tmp_path):
    folder = tmp_path / "calibrated"
    shutil.copytree(tiny_model, folder)
    assert load_model(str(folder), "cpu").card.evidence_limit == DEFAULT_EVIDENCE_LIMIT
    write_evidence_limit(folder, 2.0)
    editor = Editor.from_pretrained(str(folder), device="cpu")
    editor.set_image(random_image(64, 64))
    assert editor.relevance(INSTRUCTION).applies is False
    (folder / CALIBRATION_FILE).write_text("{}")
    with pytest.raises(ValueError, match="no calibration of the prompt check"):
        load_model(str(folder), "cpu")


def test_models_own_guidance_is_read_from_its_folder(tiny_model, tmp_path):
    folder = tmp_path / "guided"
    shutil.copytree(tiny_model, folder)
    assert load_model(str(folder), "cpu").card.guidance == Guidance(text=7.5, image=1.5)
    write_guidance(folder, Guidance(text=3.0, image=1.0))
    editor = Editor.from_pretrained(str(folder), device="cpu")
    editor.set_image(random_image(64, 64))

    def edit(**given):
        return editor.edit(INSTRUCTION, threshold=0.0, steps=2, **given).image

    own = edit()
    assert np.array_equal(own, edit(text_guidance=3.0, image_guidance=1.0))
    assert not np.array_equal(own, edit(text_guidance=7.5))
    assert np.array_equal(edit(text_guidance=7.5), edit(text_guidance=7.5, image_guidance=1.0))
    mask, image = np.ones((64, 64), np.bool_), random_image(64, 64)
    together = [
        editor.edit_images(
            INSTRUCTION, [image], [mask], [image], [1.0], [0], EditSettings(steps=2, **given)
        )
        for given in ({}, {"text_guidance": 3.0, "image_guidance": 1.0})
    ]
    assert np.array_equal(*together)
    for damaged in (
        "",
        "{}",
        *(f'{{"text": {bad}, "image": 1}}' for bad in ("-1", "NaN", "Infinity")),
    ):
        (folder / GUIDANCE_FILE).write_text(damaged)
        with pytest.raises(ValueError, match="does not say a model's guidance"):
            load_model(str(folder), "cpu")


def test_mask_needs_no_network(editor):
    editor.set_image(random_image(64, 64))
    relevance = editor.relevance(INSTRUCTION)
    assert (relevance.mask(0.4) == (relevance.values >= 0.4)).all()
    assert relevance.mask(0.0).all()


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    factor=st.sampled_from([4, 8]),
    seed=st.integers(0, 1000),
)
def test_enlarged_map_equals_sampling_by_hand(height, width, factor, seed):
    """`at` against a plain loop: bilinear between cell centres, cells `factor` pixels wide."""
    rows, columns = -(-height // factor), -(-width // factor)
    values = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    extent = (height / factor, width / factor)
    relevance = RelevanceMap(values, values, values * 0, extent, 0.5, 1.0, True)
    enlarged = relevance.at(height, width)
    for y in range(height):
        for x in range(width):
            v = min(max((y + 0.5) / factor - 0.5, 0), rows - 1)
            u = min(max((x + 0.5) / factor - 0.5, 0), columns - 1)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            fy, fx = v - top, u - left
            expected = (
                values[top, left] * (1 - fy) * (1 - fx)
                + values[top, right] * (1 - fy) * fx
                + values[bottom, left] * fy * (1 - fx)
                + values[bottom, right] * fy * fx
            )
            assert enlarged[y, x] == pytest.approx(expected, abs=1e-5)
