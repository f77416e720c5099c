"""Text-to-image models against diffusers' own pipeline, and where they are refused."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, StableDiffusionPipeline

from backend.editing import Editor, ModelNotFound
from backend.editing.guided_edit import guided_edit
from backend.editing.models import registry
from backend.editing.models.denoiser import draw_noise
from backend.editing.models.guidance import Guidance
from backend.editing.models.registry import load_text_to_image
from backend.editing.models.stable_diffusion import StableDiffusion
from backend.errors import BadInput
from tests.backend.tiny_editor import random_image
from tests.backend.tiny_model import save_tiny_model, save_tiny_text_to_image_model

CAPTION = "a red sphere"


def ddim(**settings):
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        **settings,
    )


SCHEDULERS = {
    "noise": ddim(),
    "v": ddim(prediction_type="v_prediction"),
    "v to the end": ddim(prediction_type="v_prediction", rescale_betas_zero_snr=True),
}


@pytest.fixture(scope="module", params=SCHEDULERS)
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("text-to-image") / "model"
    return save_tiny_text_to_image_model(path, SCHEDULERS[request.param])


@pytest.fixture(scope="module")
def model(folder):
    return load_text_to_image(str(folder), "cpu")


@pytest.fixture(scope="module")
def pipeline(folder):
    found = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    found.set_progress_bar_config(disable=True)
    return found


def apart(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("guidance", [7.5, 1.0])
def test_denoising_everything_equals_diffusers_pipeline(model, pipeline, guidance):
    """The same starting latents, steps and guidance, everywhere in the picture."""
    with torch.inference_mode():
        encoding = model.encode(random_image(64, 80))
        clean = encoding.latents
        conditions = [model.conditions(encoding, CAPTION)]
        noise = draw_noise(3, clean)
        start = model.noised(clean, noise, model.levels(4, 1.0)[0])
        found = guided_edit(
            model,
            clean,
            conditions,
            torch.ones_like(clean[:, :1], dtype=torch.bool),
            noise,
            guidance=Guidance(guidance, 1.0),
            steps=4,
            strengths=[1.0],
        )
    settings = {"height": 64, "width": 80, "latents": start, "num_inference_steps": 4}
    theirs = [
        pipeline(CAPTION, guidance_scale=guidance, output_type=kind, **settings).images
        for kind in ("latent", "np")
    ]
    assert apart(found, theirs[0]) < 1e-4
    with torch.inference_mode():
        picture = model.decode(found)
    assert np.abs(picture - theirs[1][0] * 255.0).max() <= 1


def test_the_difference_is_that_of_two_predictions_of_noise(model):
    with torch.inference_mode():
        encoding = model.encode(random_image(64, 64))
        told = [model.conditions(encoding, CAPTION)]
        noisy = model.noised(encoding.latents, draw_noise(0, encoding.latents), 0.8)
        with_caption = model.predict(noisy, 0.8, told, Guidance(1.0, 1.0)).noise
        without = model.predict(noisy, 0.8, told, Guidance(0.0, 1.0)).noise
        difference = model.difference(noisy, 0.8, told)
    assert difference.abs().max() > 1e-3
    assert apart(difference, with_caption - without) < 1e-4


def test_the_picture_and_image_guidance_mean_nothing_to_it(model):
    with torch.inference_mode():
        one, other = (model.encode(random_image(64, 64, seed)) for seed in (0, 1))
        noisy = draw_noise(0, one.latents)
        first, second = (
            model.predict(noisy, 0.9, [model.conditions(seen, CAPTION)], Guidance(7.5, image)).noise
            for seen, image in ((one, 1.0), (other, 3.0))
        )
    assert torch.equal(first, second)
    assert model.card.guidance.text == 7.5


def test_models_are_taken_only_for_the_texts_that_they_read(folder, tmp_path):
    with pytest.raises(ModelNotFound, match="reads captions, not instructions"):
        Editor.from_pretrained(str(folder), device="cpu")
    instructed = save_tiny_model(tmp_path / "instructed")
    with pytest.raises(ModelNotFound, match=r"reads instructions .*, not captions"):
        load_text_to_image(str(instructed), device="cpu")


def test_one_that_predicts_a_flow_is_refused(pipeline, folder):
    parts = pipeline.components | {"scheduler": FlowMatchEulerDiscreteScheduler()}
    with pytest.raises(BadInput, match="neither noise nor v"):
        StableDiffusion(parts, "a flow", torch.device("cpu"), torch.float32)


def test_without_the_hub_the_embedded_one_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "hub_has", lambda model: False)
    monkeypatch.setattr(registry, "DEMO_TEXT_TO_IMAGE", tmp_path / "none")
    with pytest.raises(ModelNotFound, match="no text-to-image companion"):
        load_text_to_image("auto", "cpu")
