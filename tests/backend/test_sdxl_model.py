"""InstructPix2Pix on Stable Diffusion XL and CosXL-edit against diffusers' own pipeline."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    StableDiffusionXLInstructPix2PixPipeline,
)
from hypothesis import given
from hypothesis import strategies as st

from backend.editing import Editor, denoising
from backend.editing.models.denoiser import draw_noise
from backend.editing.models.stable_diffusion_xl_instruct_pix2pix import (
    Edm,
    StableDiffusionXLInstructPix2Pix,
)
from backend.errors import BadInput
from protocol.settings import EditSettings
from tests.backend.tiny_editor import INSTRUCTION, Spy, random_image
from tests.backend.tiny_model import save_tiny_xl_model

COSXL = {"sigma_min": 0.002, "sigma_max": 120.0, "sigma_data": 1.0}


def ddim(**settings):
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        **settings,
    )


def cosxl(**settings):
    return EDMEulerScheduler(
        **COSXL, prediction_type="v_prediction", **{"sigma_schedule": "exponential"} | settings
    )


SCHEDULERS = {
    "noise": ddim(),
    "v": ddim(prediction_type="v_prediction"),
    "v to the end": ddim(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    "CosXL": cosxl(),
    "EDM": EDMEulerScheduler(),
    "EDM to the least sigma": cosxl(final_sigmas_type="sigma_min", sigma_schedule="karras"),
}


@pytest.fixture(scope="module", params=SCHEDULERS)
def editor(request, tmp_path_factory):
    folder = save_tiny_xl_model(tmp_path_factory.mktemp("xl"), SCHEDULERS[request.param])
    return Editor.from_pretrained(str(folder), "cpu")


@pytest.fixture(scope="module")
def cosxl_editor(tmp_path_factory):
    folder = save_tiny_xl_model(tmp_path_factory.mktemp("cosxl"), cosxl())
    return Editor.from_pretrained(str(folder), "cpu")


def theirs(model, image, start, steps, image_guidance):
    """What diffusers' own pipeline makes of an image's and of noised latents (1, c, h, w)."""
    pipeline = StableDiffusionXLInstructPix2PixPipeline.from_pretrained(
        model, add_watermarker=False, dtype=torch.float32
    )
    # a saved CosXL-edit does not say so, and comes without it
    pipeline.is_cosxl_edit = "sigma_data" in pipeline.scheduler.config
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        INSTRUCTION,
        image=image,
        height=image.shape[2] * 8,
        width=image.shape[3] * 8,
        latents=start / pipeline.scheduler.init_noise_sigma,
        num_inference_steps=steps,
        guidance_scale=5.0,
        image_guidance_scale=image_guidance,
        output_type="latent",
    ).images


def assert_like_theirs(editor, monkeypatch, steps=2, image_guidance=1.5):
    """The editor's edit at threshold 0 against `theirs`. In few steps, as random networks blow up
    what is rounded otherwise; in some that divide DDPM's: where they do not, diffusers' DDIM steps
    to a level beside the one that it goes on from.
    """
    image, model = random_image(64, 80), editor.model
    guided = Spy(denoising.guided_edit)
    monkeypatch.setattr(denoising, "guided_edit", guided)
    editor.set_image(image)
    editor.edit(INSTRUCTION, threshold=0.0, steps=steps, image_guidance=image_guidance, seed=3)
    clean = editor._set().encoded().encoding.latents
    start = model.noised(clean, draw_noise(3, clean), model.levels(steps, 1.0)[0])
    with torch.no_grad():
        pixels = torch.tensor(image).permute(2, 0, 1)[None].float() / 127.5 - 1
        seen = model.vae.encode(pixels).latent_dist.mode()
    expected = theirs(editor.card.name, seen, start, steps, image_guidance)
    apart = float((guided.results[0] - expected).abs().max() / expected.abs().max())
    assert apart < 3e-4


@pytest.mark.parametrize("image_guidance", [1.5, 1.0])
def test_sdxl_at_threshold_zero_equals_diffusers_pipeline(editor, monkeypatch, image_guidance):
    assert_like_theirs(editor, monkeypatch, image_guidance=image_guidance)


def test_sdxl_with_one_text_encoder_and_a_vaes_statistics_equals_diffusers(tmp_path, monkeypatch):
    one = save_tiny_xl_model(tmp_path / "one", ddim(), one_encoder=True)
    assert_like_theirs(Editor.from_pretrained(str(one), "cpu"), monkeypatch)
    mean, deviation = [0.3, -0.2, 0.1, 0.0], [0.5, 2.0, 1.0, 1.5]
    folder = save_tiny_xl_model(tmp_path / "xl", ddim(), latents_mean=mean, latents_std=deviation)
    editor = Editor.from_pretrained(str(folder), "cpu")
    assert_like_theirs(editor, monkeypatch)
    with torch.inference_mode():
        encoding = editor.model.encode(random_image(64, 64))
        decoded = editor.model.decode(encoding.latents)
        straight = editor.model.vae.decode(encoding.condition).sample[0]
    expected = ((straight / 2 + 0.5).clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
    assert np.abs(decoded.astype(int) - expected).max() <= 1
    np.testing.assert_allclose(
        encoding.latents[0].mean((1, 2)) * torch.tensor(deviation) / 0.13025 + torch.tensor(mean),
        encoding.condition[0].mean((1, 2)),
        rtol=1e-4,
    )


def test_sdxl_is_chosen_by_its_index_and_known_by_its_card(cosxl_editor):
    card = cosxl_editor.card
    index = json.loads((Path(card.name) / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionXLInstructPix2PixPipeline"
    assert isinstance(cosxl_editor.model, StableDiffusionXLInstructPix2Pix)
    assert (card.native_size, card.cell, card.guidance.text) == (64, 8, 5.0)
    assert "panda" in card.unread(INSTRUCTION + " the" * 8 + " panda")


def test_sdxl_maps_are_eq_2_of_predicted_noise(editor):
    """The predictions with and without the instruction, one at a time, in units of noise."""
    image = random_image(64, 80)
    editor.set_image(image)
    found = editor.relevance(INSTRUCTION, seeds=(2,), noise_level=0.6)
    model = editor.model
    with torch.inference_mode():
        encoding = model.encode(image)
        noisy = model.noised(encoding.latents, draw_noise(2, encoding.latents), 0.6)
        with_text, without = (
            model.schedule.prediction(
                noisy, 0.6, model.network(noisy, 0.6, model.embed_text(text), encoding.condition)
            ).noise
            for text in (INSTRUCTION, "")
        )
    expected = (with_text - without).abs().sum(1)[0].numpy()
    assert expected.max() > 1e-3
    np.testing.assert_allclose(found.raw, expected, rtol=1e-2, atol=1e-3 * expected.max())


def test_sdxl_edits_keep_the_bytes_outside_their_mask(editor):
    image = random_image(75, 62)
    mask = np.zeros((75, 62), bool)
    mask[20:50, 10:40] = True
    editor.set_image(image)
    for strength in (1.0, 0.5, 0.02):
        edit = editor.edit(INSTRUCTION, mask=mask, steps=3, strength=strength)
        assert (edit.image[~mask] == image[~mask]).all()
        assert (edit.image[mask] != image[mask]).any()
    together = editor.edit_images(
        INSTRUCTION,
        [image] * 2,
        [mask] * 2,
        [image] * 2,
        (0.02, 0.7),
        (0, 0),
        EditSettings(steps=3),
    )
    assert np.abs(together[0].astype(int) - edit.image).max() <= 1


# ------------------------------------------------------------------ levels of a sigma


@pytest.mark.parametrize("steps", [2, 7, 20, 100])
@pytest.mark.parametrize("schedule", ["exponential", "karras"])
def test_cosxl_levels_at_full_strength_are_diffusers_sigmas(steps, schedule):
    scheduler = cosxl(sigma_schedule=schedule)
    edm = Edm(scheduler, torch.device("cpu"))
    levels = torch.tensor(edm.levels(steps, 1.0), dtype=torch.float64)
    scheduler.set_timesteps(steps)
    np.testing.assert_allclose(edm.sigma(levels), scheduler.sigmas[:-1], rtol=1e-5)
    assert edm.sigma(0.0) == scheduler.sigmas[-1] == 0


@given(steps=st.integers(1, 200), strength=st.floats(1e-6, 1.0))
def test_cosxl_levels_are_as_many_as_asked_and_fall(steps, strength):
    edm = Edm(cosxl(), torch.device("cpu"))
    levels = edm.levels(steps, strength)
    assert len(levels) == steps
    assert all(0 < after <= before + 1e-12 for before, after in itertools.pairwise(levels))
    least, most = (math.atan(COSXL[f"sigma_{end}"]) * 2 / math.pi for end in ("min", "max"))
    assert levels[0] == pytest.approx(min(max(strength, least), most))


def test_cosxl_noise_is_that_of_its_level(cosxl_editor):
    """Level 0 is the picture itself, level 1 noise; in between the cosine's shares."""
    model = cosxl_editor.model
    clean, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    assert (model.noised(clean, noise, 0.0) == clean).all()
    torch.testing.assert_close(model.noised(clean, noise, 1.0), clean + 120 * noise)
    torch.testing.assert_close(model.noised(clean, noise, 0.5), clean + noise)
    each = model.noised(clean, noise, torch.tensor([0.0, 0.5], dtype=torch.float64))
    torch.testing.assert_close(each, torch.stack([clean[0], clean[1] + noise[1]]))
    cosxl_editor.set_image(random_image(64, 64))
    for level in (0.0, 0.02, 1.0):  # the ends of what may be asked for
        assert np.isfinite(cosxl_editor.relevance(INSTRUCTION, level).values).all()


def test_cosxl_is_told_of_scaled_image_latents_and_sdxl_of_unscaled(cosxl_editor, tmp_path):
    other = Editor.from_pretrained(str(save_tiny_xl_model(tmp_path / "xl", ddim())), "cpu")
    with torch.inference_mode():
        scaled, unscaled = (
            editor.model.encode(random_image(64, 64)) for editor in (cosxl_editor, other)
        )
    assert (scaled.condition == scaled.latents).all()
    torch.testing.assert_close(unscaled.condition * 0.13025, unscaled.latents)


@pytest.mark.parametrize(
    "scheduler",
    [
        FlowMatchEulerDiscreteScheduler(),
        ddim(prediction_type="sample"),
        EDMDPMSolverMultistepScheduler(prediction_type="sample"),
    ],
    ids=["a flow", "DDPM's picture", "EDM's picture"],
)
def test_sdxl_that_predicts_something_else_is_refused(scheduler, tmp_path):
    folder = save_tiny_xl_model(tmp_path, scheduler)
    with pytest.raises(BadInput, match="needs a model that predicts noise or v"):
        Editor.from_pretrained(str(folder), "cpu")


def test_cosxl_runs_in_half_precision(cosxl_editor):
    """Its sigmas reach 120: what the network is given of them is scaled first."""
    half = Editor.from_pretrained(cosxl_editor.card.name, "cpu", "bfloat16")
    maps = []
    for editor in (half, cosxl_editor):
        editor.set_image(random_image(64, 64))
        maps.append(editor.relevance(INSTRUCTION, seeds=(0,)).raw)
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.9
    mask = np.ones((64, 64), bool)
    assert (half.edit(INSTRUCTION, mask=mask, steps=2).image != random_image(64, 64)).any()
