"""What makes edits faster at some cost: that each option computes what it says."""

import itertools

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from PIL import Image

from backend.editing import Editor, denoising
from backend.editing.deep_features import DeepFeatures
from backend.editing.guided_edit import guided_edit
from backend.editing.models.denoiser import draw_noise
from backend.editing.models.guidance import Guidance
from backend.errors import BadInput
from protocol.settings import EditSettings, SpeedSettings

from .tiny_editor import INSTRUCTION, Spy, random_image, reference_pipeline

GUIDANCE = Guidance(7.5, 1.5)


@pytest.fixture(scope="module")
def editor(tiny_model):
    return Editor.from_pretrained(str(tiny_model), "cpu", "float32")


@pytest.fixture(scope="module")
def seen(editor):
    """Latents of a picture, what the model is told, and noise."""
    model = editor.model
    with torch.inference_mode():
        encoding = model.encode(random_image(64, 64))
        told = model.conditions(encoding, INSTRUCTION)
    return encoding.latents, told, draw_noise(3, encoding.latents)


def run(editor, seen, steps, mask=None, **given):
    clean, told, noise = seen
    everywhere = torch.ones_like(clean[:, :1], dtype=torch.bool)
    return guided_edit(
        editor.model,
        clean,
        [told],
        everywhere if mask is None else mask,
        noise,
        guidance=GUIDANCE,
        steps=steps,
        strengths=[1.0],
        **given,
    )


# ------------------------------------------------------------------ the solver


@pytest.mark.parametrize("steps", [2, 6, 9])
def test_dpm_equals_diffusers_scheduler(editor, seen, tiny_model, steps):
    pipeline = reference_pipeline(tiny_model)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config,
        algorithm_type="dpmsolver++",
        solver_order=2,
        timestep_spacing="trailing",
        final_sigmas_type="sigma_min",  # the last step ends at the schedule's first, not at 0
        euler_at_final=True,
    )
    clean, _, noise = seen
    alpha = pipeline.scheduler.alphas_cumprod[999]
    expected = pipeline(
        INSTRUCTION,
        image=Image.fromarray(random_image(64, 64)),
        latents=alpha.sqrt() * clean + (1 - alpha).sqrt() * noise,
        num_inference_steps=steps,
        guidance_scale=GUIDANCE.text,
        image_guidance_scale=GUIDANCE.image,
        output_type="latent",
    ).images
    found = run(editor, seen, steps, speed=SpeedSettings(solver="dpm++"))
    assert (found - expected).abs().max() / expected.abs().max() < 1e-4
    first_order = run(editor, seen, steps)
    if steps > 2:  # of two steps the last is of first order, and the first has no history
        assert (found - first_order).abs().max() / expected.abs().max() > 1e-3


def test_dpm_keeps_what_is_outside_the_mask(editor, seen):
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., 2:6, 3:7] = True
    found = run(editor, seen, 5, mask, speed=SpeedSettings(solver="dpm++"))
    assert torch.equal(found[~mask.expand_as(found)], seen[0][~mask.expand_as(found)])
    assert not torch.equal(found, seen[0])


def test_dpm_takes_more_steps_than_the_schedule_has_levels(editor, seen):
    clean, told, noise = seen
    found = guided_edit(
        editor.model,
        clean,
        [told],
        torch.ones_like(clean[:, :1], dtype=torch.bool),
        noise,
        guidance=GUIDANCE,
        steps=6,
        strengths=[0.003],
        speed=SpeedSettings(solver="dpm++"),
    )
    assert found.isfinite().all()


# ------------------------------------------------------------------ guidance in an interval


@torch.inference_mode()
def test_steps_outside_the_interval_are_of_one_branch(editor, seen, monkeypatch):
    """DDIM and Eq. 1 written out, with guidance at the levels 0.799 and 0.599 of five alone."""
    model, (clean, told, noise) = editor.model, seen
    alphas = model.schedule.alphas_cumprod.float()

    def eps(z, level, text, image):
        return model.network(z, level, text, image)

    levels, z = [0.999, 0.799, 0.599, 0.399, 0.199, 0.0], None
    for level, following in itertools.pairwise(levels):
        a, b = (alphas[round(1000 * one)] for one in (level, following))
        z = a.sqrt() * clean + (1 - a).sqrt() * noise if z is None else z
        with_both = eps(z, level, told.text, told.image)
        found = with_both
        if 0.5 <= level <= 0.8:
            nothing = eps(z, level, told.no_text, torch.zeros_like(told.image))
            image = eps(z, level, told.no_text, told.image)
            found = nothing + 1.5 * (image - nothing) + 7.5 * (with_both - image)
        z = b.sqrt() * (z - (1 - a).sqrt() * found) / a.sqrt() + (1 - b).sqrt() * found
    predict = Spy(model.network)
    monkeypatch.setattr(model, "network", predict)
    edited = run(editor, seen, 5, speed=SpeedSettings(guidance_low=0.5, guidance_high=0.8))
    assert [len(call[0]) for call in predict.calls] == [1, 3, 3, 1, 1]
    torch.testing.assert_close(edited, z, rtol=1e-4, atol=1e-4)


def test_images_of_several_strengths_are_guided_each_in_its_own_steps(editor):
    images = [random_image(64, 64, one) for one in (1, 2)]
    masks = [np.ones((64, 64), bool)] * 2
    speed = SpeedSettings(guidance_low=0.3, guidance_high=0.7, solver="dpm++")
    settings = EditSettings(steps=4)
    together = editor.edit_images(
        INSTRUCTION, images, masks, images, (1.0, 0.5), (0, 1), settings, speed=speed
    )
    for image, mask, strength, seed, one in zip(
        images, masks, (1.0, 0.5), (0, 1), together, strict=True
    ):
        (alone,) = editor.edit_images(
            INSTRUCTION, [image], [mask], [image], [strength], [seed], settings, speed=speed
        )
        assert np.abs(one.astype(int) - alone).max() <= 1
        (guided,) = editor.edit_images(
            INSTRUCTION, [image], [mask], [image], [strength], [seed], settings
        )
        assert (guided != alone).any()


def test_an_interval_from_above_to_below_is_refused(editor):
    editor.set_image(random_image(64, 64))
    with pytest.raises(BadInput, match=r"--guidance-low 0\.8 is above --guidance-high 0\.2"):
        editor.edit(
            INSTRUCTION,
            mask=np.ones((64, 64), bool),
            steps=1,
            speed=SpeedSettings(guidance_low=0.8, guidance_high=0.2),
        )
    with pytest.raises(BadInput, match="deep every must be 1 or more, not 0"):
        editor.edit(INSTRUCTION, steps=1, speed=SpeedSettings(deep_every=0))


# ------------------------------------------------------------------ deep features


def test_deep_blocks_in_every_step_are_as_without(editor, seen):
    deep = DeepFeatures(editor.model, 1)
    with deep.reused():
        found = run(editor, seen, 3, deep=deep)
    assert torch.equal(found, run(editor, seen, 3))


@torch.inference_mode()
def test_the_last_block_is_given_what_was_computed_before(editor, seen):
    """The whole network is run, and a hook gives its last block the old features."""
    model, unet, (clean, told, noise) = editor.model, editor.model.unet, seen
    kept = []

    def keep(block, given, made):
        kept.append(made)

    def give_old(block, given, named):
        return given, named | {"hidden_states": kept[0]}

    first, second = model.noised(clean, noise, 0.9), model.noised(clean, noise, 0.7)
    with_hook = unet.up_blocks[-2].register_forward_hook(keep)
    expected = [model.predict(first, 0.9, [told], GUIDANCE).noise]
    with_hook.remove()
    with_hook = unet.up_blocks[-1].register_forward_pre_hook(give_old, with_kwargs=True)
    expected.append(model.predict(second, 0.7, [told], GUIDANCE).noise)
    with_hook.remove()
    deep, middles = DeepFeatures(model, 2), []
    counted = unet.mid_block.resnets[0].register_forward_hook(lambda *_: middles.append(1))
    found = []
    with deep.reused():
        for number, (noisy, level) in enumerate([(first, 0.9), (second, 0.7), (second, 0.7)]):
            deep.next_step(anew=number == 0)
            found.append(model.predict(noisy, level, [told], GUIDANCE).noise)
    counted.remove()
    assert len(middles) == 2, "in the first and the third step"
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    usual = model.predict(second, 0.7, [told], GUIDANCE).noise
    assert torch.equal(found[2], usual)
    assert not torch.equal(found[1], usual)
    assert all("forward" not in vars(block) for block in unet.modules())


def test_deep_features_are_each_calls_own(editor):
    """A step in tiles runs the network once for each: what is kept of one is not the other's."""
    unet, told = editor.model.unet, []
    given = [torch.full((1, 16, 2, 2), float(number)) for number in range(2)]
    last = unet.up_blocks[-2]
    deep = DeepFeatures(editor.model, 3)
    before = last.forward
    try:
        last.forward = lambda number: given[number]  # as a hook of another library
        with deep.reused():
            for step in range(4):
                deep.next_step(anew=step == 0)
                told.append([float(last.forward(number)[0, 0, 0, 0]) for number in (0, 1)])
                given = [one + 10 for one in given]
        assert last.forward(0) is given[0], "what was there is put back"
    finally:
        del last.forward
    assert last.forward == before
    assert told == [[0, 1], [0, 1], [0, 1], [30, 31]]


def test_deep_features_are_computed_anew_where_guidance_begins_and_ends(editor):
    computed = []
    counted = editor.model.unet.mid_block.resnets[0].register_forward_hook(
        lambda block, given, made: computed.append(len(made))
    )
    editor.set_image(random_image(64, 64))
    speed = SpeedSettings(deep_every=4, guidance_low=0.3, guidance_high=0.8)
    settings = EditSettings(steps=6)  # at 1, 0.83; 0.67, 0.5, 0.33; 0.17
    mask = np.ones((64, 64), bool)
    editor.edit(INSTRUCTION, mask=mask, settings=settings, speed=speed)
    counted.remove()
    assert computed == [1, 3, 1], "once for each of the three parts"


def test_a_model_without_deep_blocks_is_refused_in_words():
    with pytest.raises(BadInput, match="no deep blocks to reuse"):
        DeepFeatures(object(), 2)
    DeepFeatures(object(), 1).next_step(anew=True)


# ------------------------------------------------------------------ several seeds


def test_seeds_in_one_batch_give_what_each_gives_alone(editor, monkeypatch):
    image, mask = random_image(80, 64), np.zeros((80, 64), bool)
    mask[10:50, 20:60] = True
    editor.set_image(image)
    settings = EditSettings(steps=3)
    guided = Spy(denoising.guided_edit)
    monkeypatch.setattr(denoising, "guided_edit", guided)
    together = editor.edit_seeds(INSTRUCTION, (0, 5, 9), mask=mask, settings=settings)
    assert len(guided.calls) == 1
    for seed, one in zip((0, 5, 9), together, strict=True):
        alone = editor.edit(INSTRUCTION, mask=mask, settings=EditSettings(steps=3, seed=seed))
        assert np.abs(one.image.astype(int) - alone.image).max() <= 1
        assert (one.image[~mask] == image[~mask]).all()
        assert (one.mask == alone.mask).all()
    torch.testing.assert_close(
        guided.results[0], torch.cat(guided.results[1:]), rtol=1e-4, atol=1e-4
    )
    assert (together[0].image != together[1].image).any()
    with pytest.raises(BadInput, match="one seed at least"):
        editor.edit_seeds(INSTRUCTION, ())
