"""Ways of editing pictures, against diffusers' pipelines and the published rules."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.editing.methods import diffedit, seed_choice
from backend.editing.methods.method import Models, Request
from backend.editing.methods.picture import Picture
from backend.editing.methods.registry import METHODS
from backend.editing.methods.soft_mask import softly_denoised
from backend.editing.relevance import normalise
from backend.errors import BadInput
from protocol.settings import RegionSettings
from tests.backend.tiny_editor import INSTRUCTION, random_image, reference_pipeline
from tests.backend.tiny_text_to_image import diffedit_pipeline, scheduler, tiny_text_to_image

CAPTIONS = ("a bear", "a red panda")
STEPS = 4


@pytest.fixture(scope="module")
def models(editor, tmp_path_factory):
    return Models(editor, tiny_text_to_image(tmp_path_factory.mktemp("text-to-image")))


@pytest.fixture
def request_(models):
    image = random_image(64, 64)
    mask = np.zeros((64, 64), np.bool_)
    mask[16:40, 24:56] = True
    return Request(image=image, instruction=INSTRUCTION, captions=CAPTIONS, mask=mask, steps=STEPS)


def differ(one, other):
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_edits_alike_with_one_seed_and_keeps_what_it_says(name, models, request_):
    knob = 2.0 if name == "seed-choice" else None  # as much time as all others together
    edited = METHODS[name].edit(models, replace(request_, knob=knob))
    again = METHODS[name].edit(models, replace(request_, knob=knob))
    other = METHODS[name].edit(models, replace(request_, knob=knob, seed=9))
    assert edited.image.shape == (64, 64, 3)
    assert (edited.image == again.image).all()
    assert (edited.image != other.image).any()
    if edited.mask is None:
        return
    outside = ~edited.mask
    if name.startswith("diffedit"):  # latents alone are kept, which the VAE's reach blurs
        assert edited.mask.shape == outside.shape
    else:
        assert (edited.image[outside] == request_.image[outside]).all()


@pytest.mark.parametrize("name", METHODS)
def test_a_curve_moves_with_its_knob(name, models, request_):
    method = METHODS[name]
    assert all(method.knob.low <= value <= method.knob.high for value in method.knob.values)
    if name == "seed-choice":
        return
    first, last = (
        method.edit(models, replace(request_, knob=value)).image
        for value in (method.knob.values[0], method.knob.values[-1])
    )
    assert (first != last).any()
    with pytest.raises(BadInput, match=r"must be from .* not -5"):
        method.edit(models, replace(request_, knob=-5.0))


def test_what_is_missing_is_said_in_one_sentence(models, request_):
    bare = replace(request_, captions=None, mask=None)
    for name, words in {
        "sdedit-caption": "needs a caption of the edited picture",
        "diffedit-captions": "needs captions of the picture before and after",
        "given-mask": "needs a mask of where to edit",
    }.items():
        with pytest.raises(BadInput, match=words):
            METHODS[name].edit(models, bare)
    with pytest.raises(BadInput, match="needs a text-to-image model"):
        METHODS["sdedit-instruction"].edit(Models(models.editor), request_)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": 2**70}, {"steps": 0}, {"steps": 1001}])
def test_every_method_refuses_the_settings_that_the_program_does(name, wrong, models, request_):
    (setting,) = wrong
    with pytest.raises(BadInput, match=f"The {setting} must be"):
        METHODS[name].edit(models, replace(request_, **wrong))


def test_plain_from_pure_noise_is_diffusers_own_pipeline(models, request_, tiny_model):
    picture = Picture(models.editor.model, request_.image)
    (first, *_) = picture.levels(STEPS, 1.0)
    noise = picture.noise(0)
    pure = picture.model.noised(torch.zeros_like(noise), noise, first)
    guidance = models.editor.card.guidance
    with torch.inference_mode():
        expected = reference_pipeline(tiny_model)(
            INSTRUCTION,
            image=Image.fromarray(request_.image),
            num_inference_steps=STEPS,
            guidance_scale=guidance.text,
            image_guidance_scale=1.2,
            latents=pure,
            output_type="np",
        ).images[0]
    edited = METHODS["ip2p-pure-noise"].edit(models, replace(request_, knob=1.2))
    assert differ(edited.image, np.round(expected * 255)) <= 1


def test_plain_from_the_noised_picture_is_the_guided_edit_of_everything(models, request_):
    edited = METHODS["ip2p-noised-picture"].edit(models, request_).image
    models.editor.set_image(request_.image)
    everywhere = np.ones((64, 64), np.bool_)
    expected = models.editor.edit(INSTRUCTION, mask=everywhere, steps=STEPS, detail="whole")
    assert differ(edited, expected.image) <= 1


def test_the_papers_settings_take_the_map_of_one_noise_as_it_is(models, request_):
    edited = METHODS["ours-paper"].edit(models, replace(request_, knob=0.4))
    models.editor.set_image(request_.image)
    found = models.editor.relevance(INSTRUCTION, seeds=(0,))
    region = replace(found, values=normalise(found.raw, "paper"), closer=None).at(64, 64) >= 0.4
    assert (edited.mask == region).all()
    snapless = models.editor.edit(
        INSTRUCTION, mask=region, steps=STEPS, detail="whole", region=RegionSettings(snap="nothing")
    )
    assert (edited.image == snapless.image).all()


def test_sdedit_is_ddim_from_the_noised_picture(models, request_):
    model = models.text_to_image
    edited = METHODS["sdedit-caption"].edit(models, replace(request_, knob=0.5)).image
    picture, ddim = Picture(model, request_.image), scheduler()
    ddim.set_timesteps(2 * STEPS)
    times = ddim.timesteps[STEPS:]  # diffusers' own way to a strength of a half
    latents = ddim.add_noise(picture.clean, picture.noise(0), times[:1])
    text, nothing = (model.embed_text(words).tokens for words in (CAPTIONS[1], ""))
    with torch.inference_mode():
        for time in times:
            both = model.unet(latents.repeat(2, 1, 1, 1), time, torch.cat([nothing, text])).sample
            guided = both[:1] + model.card.guidance.text * (both[1:] - both[:1])
            latents = ddim.step(guided, time, latents).prev_sample
    assert differ(edited, picture.decoded(latents)) <= 1


def test_diffedits_mask_is_diffusers_own(models, request_):
    model = models.text_to_image
    picture, pipeline = Picture(model, request_.image), diffedit_pipeline(model)
    noises = torch.randn((10, 4, 8, 8), generator=torch.Generator().manual_seed(3))
    expected = pipeline.generate_mask(
        image=picture.clean,
        target_prompt=CAPTIONS[1],
        source_prompt=CAPTIONS[0],
        num_inference_steps=10,
        generator=torch.Generator().manual_seed(3),
        output_type="np",
    )
    before, after = (picture.told(caption) for caption in CAPTIONS)
    cells = diffedit.text_mask(model, picture.clean, after, before, noises)
    assert 0 < cells.sum() < cells.numel()
    assert (cells[0, 0].numpy() == expected[0].astype(bool)).all()
    assert not diffedit.text_mask(model, picture.clean, after, after, noises).any()


def test_diffedits_inversion_and_decoding_are_diffusers_own(models, request_):
    model = models.text_to_image
    picture, pipeline = Picture(model, request_.image), diffedit_pipeline(model)
    levels = picture.levels(STEPS, 0.5)
    found = diffedit.inversion(model, picture.clean, levels, picture.told(""))
    inverted = pipeline.invert(
        prompt="",
        image=picture.clean,
        num_inference_steps=2 * STEPS,
        inpaint_strength=0.5,
        guidance_scale=1.0,
    ).latents
    assert len(found) == STEPS + 1
    assert torch.equal(found[-1], picture.clean)
    torch.testing.assert_close(torch.stack(found[:-1], 1), inverted, atol=2e-4, rtol=2e-4)
    with torch.inference_mode():
        expected = pipeline(
            prompt=CAPTIONS[1],
            mask_image=torch.ones(1, 1, 8, 8),
            image_latents=inverted,
            num_inference_steps=2 * STEPS,
            inpaint_strength=0.5,
            guidance_scale=model.card.guidance.text,
            output_type="np",
        ).images[0]
    told, guidance = picture.told(CAPTIONS[1]), model.card.guidance
    edited = diffedit.denoised(model, found[0], levels, told, guidance)
    assert differ(picture.decoded(edited), np.round(expected * 255)) <= 1


def test_diffedit_keeps_the_latents_outside_its_mask(models, request_, monkeypatch):
    cells = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    cells[..., 2:5, 2:5] = True
    kept = []
    monkeypatch.setattr(diffedit, "text_mask", lambda *_: cells)
    monkeypatch.setattr(Picture, "decoded", lambda self, latents: kept.append(latents))
    edited = METHODS["diffedit-caption"].edit(models, request_)
    clean = Picture(models.text_to_image, request_.image).clean
    assert torch.equal(torch.where(cells, 0, kept[0]), torch.where(cells, 0, clean))
    assert (torch.where(cells, kept[0] - clean, 1) != 0).all()
    assert (edited.mask == np.kron(cells[0, 0].numpy(), np.ones((8, 8), bool))).all()


def test_diffedits_mask_is_of_the_cells_that_pixels_lie_in(models, request_, monkeypatch):
    """Of a picture whose last cells are not full, too."""
    cells = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    cells[..., 2:5, 5:7] = True
    monkeypatch.setattr(diffedit, "text_mask", lambda *_: cells)
    edited = METHODS["diffedit-caption"].edit(models, replace(request_, image=random_image(60, 57)))
    of_pixels = np.kron(cells[0, 0].numpy(), np.ones((8, 8), bool))
    assert (edited.mask == of_pixels[:60, :57]).all()


def test_a_soft_mask_of_two_values_is_the_guided_edit(models, request_):
    picture = Picture(models.editor.model, request_.image)
    levels, told = picture.levels(STEPS, 1.0), picture.told(INSTRUCTION)
    change = picture.cells(request_.mask)[0, 0].float()
    guidance, noise = models.editor.card.guidance, picture.noise(0)
    found = softly_denoised(picture, change, noise, levels, told, guidance)
    models.editor.set_image(request_.image)
    expected = models.editor.edit(INSTRUCTION, mask=request_.mask, steps=STEPS, detail="whole")
    assert (picture.pasted(found, request_.mask) == expected.image).all()


def test_a_soft_mask_of_one_value_begins_at_its_level(models, request_):
    picture = Picture(models.editor.model, request_.image)
    levels, told = picture.levels(STEPS, 1.0), picture.told(INSTRUCTION)
    guidance, noise = models.editor.card.guidance, picture.noise(0)
    half = torch.full((8, 8), 0.5)
    found = softly_denoised(picture, half, noise, levels, told, guidance)
    later = [level for level in levels if level <= 0.5]
    begun = picture.model.noised(picture.clean, noise, later[0])
    expected = diffedit.denoised(picture.model, begun, later, told, guidance)
    torch.testing.assert_close(found, expected)
    nowhere = softly_denoised(picture, torch.zeros(8, 8), noise, levels, told, guidance)
    assert torch.equal(nowhere, picture.clean)


def test_the_seed_is_kept_that_wants_to_change_least_outside(models, request_):
    one = {
        seed: METHODS["seed-choice"].edit(models, replace(request_, knob=1, seed=seed))
        for seed in (0, 1, 2)
    }
    picture = Picture(models.editor.model, request_.image)
    cells = picture.cells(one[0].mask)
    wanted = {seed: seed_choice.one_try(picture, request_, cells, seed)[0] for seed in one}
    best = METHODS["seed-choice"].edit(models, replace(request_, knob=3))
    assert len(set(wanted.values())) == 3
    assert (best.image == one[min(wanted, key=wanted.get)].image).all()


def test_score_distillation_follows_its_gradient(models, request_):
    """One update, written plainly."""
    knob = 0.3
    found = METHODS["score-distillation"].edit(models, replace(request_, knob=knob, steps=1))
    model, picture = models.editor.model, Picture(models.editor.model, request_.image)
    cells, told = picture.cells(found.mask), picture.told(INSTRUCTION)
    rng, latents = np.random.default_rng(0), picture.clean
    alphas = model.schedule.alphas_cumprod
    for _ in range(3):
        level = rng.uniform(0.02, 0.98)
        noise = torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
        kept = alphas[round(level * len(alphas))].float()
        noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
        predicted = model.predict(noisy, level, [told], model.card.guidance).noise
        latents = latents - knob * (1 - kept) * (predicted - noise) * cells
    assert (found.image == picture.pasted(latents, found.mask)).mean() > 0.99
