"""Scenes edited by a gradient: score distillation against its formula, what moves and what stays,
and going on after a stop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.editing import Editor
from backend.editing.models.denoiser import Encoding, Level, ModelCard, Prediction
from backend.editing.models.guidance import Guidance
from backend.errors import BadInput
from backend.evaluation.scenes.true_editor import TrueEditor, Truth
from backend.fields import radiance_field
from backend.fields.colour_loss import ColourLoss
from backend.fields.config import EDIT_PRESETS, ColourLossConfig, DistillationConfig
from backend.fields.radiance_field import RadianceField
from backend.fields.rays import ViewRays
from backend.scenes import Scene, SceneEdit
from backend.scenes.methods.dataset_update import EditedView
from backend.scenes.methods.guided_training import Shot
from backend.scenes.methods.score_distillation import ScoreDistillation
from backend.scenes.outcome import compare, outcome_notes

from .quick_edit import INSTRUCTION, QUICK
from .tiny_editor import random_image

DISTIL = dataclasses.replace(
    QUICK, method="score_distillation", iterations=12, relevance=False, learning_rate=2e-2
)


class Stop(Exception):
    """What a person's Cancel raises."""


class Bluer:
    """A model whose latents are the pixels in -1..1 and which knows what the instruction makes of
    the picture: red and blue swapped. Its noise is what is then left of what it is shown.
    """

    card = ModelCard(
        name="bluer",
        device=torch.device("cpu"),
        dtype=torch.float32,
        native_size=64,
        multiple=1,
        cell=1,
        guidance=Guidance(1, 1),
    )

    def encode(self, image: np.ndarray) -> Encoding:
        return Encoding(torch.tensor(image).permute(2, 0, 1)[None] / 127.5 - 1)

    def latents(self, pixels: Tensor) -> Tensor:
        return pixels * 2 - 1

    def conditions(self, encoding: Encoding, instruction: str) -> Tensor:
        return encoding.latents[:, [2, 1, 0]]

    def noised(self, clean: Tensor, noise: Tensor, level: Level) -> Tensor:
        return (1 - level) * clean + level * noise

    def difference(self, noisy: Tensor, level: float, conditions: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(conditions))[:, [2, 1, 0]] - torch.cat(list(conditions))

    def predict(
        self, noisy: Tensor, level: Level, conditions: Sequence[Tensor], guidance: Guidance
    ) -> Prediction:
        clean = torch.cat(list(conditions))
        return Prediction(clean, (noisy - (1 - level) * clean) / level)


@pytest.fixture
def bluer() -> Editor:
    return Editor(Bluer())  # type: ignore[arg-type]


def shot_of(picture: Tensor, photo: np.ndarray, mask: np.ndarray) -> Shot:
    return Shot(0, 5, picture.requires_grad_(), photo, photo, mask)


def test_the_gradient_at_the_pixels_is_that_of_the_formula(editor: Editor) -> None:
    """DreamFusion's, written plainly on the networks themselves."""
    photo = random_image(32, 40)
    mask = np.zeros((32, 40), np.bool_)
    mask[8:16, 8:32] = True
    config = dataclasses.replace(DISTIL, seed=3, text_guidance=7.5, image_guidance=1.5)
    config = dataclasses.replace(config, distillation=DistillationConfig(weight=2.0))
    guide = ScoreDistillation(editor.model, INSTRUCTION, config)
    picture = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    (found,) = torch.autograd.grad(guide(shot_of(picture, photo, mask)), picture)

    model = editor.model
    x = picture.detach().clone().requires_grad_()
    latents = model.vae.encode(2 * x - 1).latent_dist.mode() * model.vae.config.scaling_factor
    rng = np.random.default_rng([3, 5, 1])
    level = rng.uniform(*config.noise_range)
    noise = torch.from_numpy(rng.standard_normal((1, 4, 4, 5), np.float32))
    alphas = model.schedule.alphas_cumprod
    step = round(level * len(alphas))
    kept = alphas[step].float()
    with torch.no_grad():
        noisy = kept.sqrt() * latents + (1 - kept).sqrt() * noise
        told = torch.tensor(photo).permute(2, 0, 1)[None] / 127.5 - 1
        image = model.vae.encode(told).latent_dist.mode()
        texts = [model.embed_text(text).tokens for text in (INSTRUCTION, "", "")]
        images = [image, image, torch.zeros_like(image)]
        full, seen, blind = (
            model.unet(torch.cat([noisy, i], 1), step, encoder_hidden_states=t).sample
            for t, i in zip(texts, images, strict=True)
        )
        guided = blind + 1.5 * (seen - blind) + 7.5 * (full - seen)
        cells = torch.zeros(4, 5)
        cells[1, 1:4] = 1
        direction = cells * (1 - kept) * (guided - noise)
    (expected,) = torch.autograd.grad(latents, x, 2.0 * direction / latents.numel())
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-4 * float(expected.abs().max()))


def test_smaller_pictures_are_shown_at_the_size_of_the_photo(bluer: Editor) -> None:
    """With a model that knows what to make of the photo, against this the loss falls to nothing."""
    photo, mask = random_image(24, 20), np.ones((24, 20), np.bool_)
    guide = ScoreDistillation(bluer.model, INSTRUCTION, DISTIL)
    wanted = torch.tensor(photo[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    assert float(guide(shot_of(wanted, photo, mask)).detach()) == pytest.approx(0, abs=1e-9)
    small = torch.rand(1, 3, 12, 10)
    loss = guide(shot_of(small, photo, mask))
    (gradient,) = torch.autograd.grad(loss, small)
    assert gradient.shape == small.shape
    assert float(guide(shot_of((small - gradient).detach(), photo, mask)).detach()) < float(
        loss.detach()
    )


@pytest.mark.parametrize("chunk", [4096, 100])
def test_a_gradient_is_carried_on_as_if_the_whole_picture_were_differentiated(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Though it is rendered without one first, and only where the gradient says something again."""
    field = scene.field
    camera, pose = scene.capture.intrinsics[0], scene.capture.camera_to_box[0]
    rays = ViewRays(pose[None], [camera])
    bundle = rays.bundle(rays.of_view(0))
    counts = torch.arange(len(bundle))[:, None] % 3 == 0
    learnt = [p for p in field.model.field.parameters() if p.requires_grad]

    field.model.zero_grad()
    ((field.march(bundle).rgb * counts) ** 2).sum().backward()
    expected = [p.grad.clone() for p in learnt]

    monkeypatch.setattr(radiance_field, "CHUNK", chunk)
    field.model.zero_grad()
    field.model.train()
    since = field.model.proposal_sampler._steps_since_update
    marched, march = [], field.march
    monkeypatch.setattr(field, "march", lambda b: marched.append(len(b)) or march(b))
    field.pull(bundle, 2 * field.shade(bundle)[:, :3] * counts)
    assert field.model.training
    assert field.model.proposal_sampler._steps_since_update == since
    assert sum(marched) == len(bundle) + int(counts.sum())
    assert all(p.grad is None for p in field.model.proposal_networks.parameters())
    for one, other in zip(learnt, expected, strict=True):
        torch.testing.assert_close(
            one.grad, other, rtol=1e-4, atol=1e-5 * float(other.abs().max() + 1)
        )


def test_colours_that_do_not_count_move_nothing() -> None:
    loss = ColourLoss(ColourLossConfig(), 0)
    true, shown = torch.rand(6, 3), torch.rand(6, 3).requires_grad_()
    loss.counted = torch.tensor([True, False, True, True, False, True])
    loss(true, shown).backward()
    expected = 2 * (shown - true) * loss.counted[:, None] / 18
    torch.testing.assert_close(shown.grad, expected.detach())


def swapped(scene: Scene, view: EditedView) -> np.ndarray:
    """A view's photo with red and blue swapped."""
    return scene.capture.read(scene.capture.names.index(view.name)).image[..., ::-1] / 255


def off(scene: Scene, edit: SceneEdit, field: RadianceField, inside: bool = True) -> float:
    """How far what a field shows is from these photos, inside the views' regions or from the photos
    as they are outside of them.
    """
    errors = []
    for view in edit.views:
        wanted = swapped(scene, view)[..., :: 1 if inside else -1]
        shown = scene.render(scene.camera(view.name), field=field).rgb
        errors.append(np.abs(shown - wanted)[view.mask == inside])
    return float(np.concatenate(errors).mean())


@pytest.fixture(scope="module")
def masks(trained: Path) -> dict[str, np.ndarray]:
    """The upper half of every view, in which the red sphere is."""
    half = np.arange(24)[:, None].repeat(24, axis=1) < 12
    return dict.fromkeys(Scene.open(trained, device="cpu").capture.names, half)


def test_a_scene_goes_where_the_model_says_inside_its_regions(
    scene: Scene, bluer: Editor, masks: dict[str, np.ndarray]
) -> None:
    """Each view to its photo with red and blue swapped. What is kept of it is as of other edits,
    and the views show it from now on.
    """
    config = dataclasses.replace(DISTIL, iterations=60)
    edit = scene.edit(INSTRUCTION, bluer, config=config, masks=masks)
    assert {view.name for view in edit.views} == set(scene.field.names)
    assert off(scene, edit, edit.field) < 0.85 * off(scene, edit, scene.field)
    assert off(scene, edit, edit.field, False) < 1.1 * off(scene, edit, scene.field, False)
    for view in edit.views:
        photo = scene.capture.read(scene.capture.names.index(view.name)).image
        np.testing.assert_array_equal(view.mask, masks[view.name])
        np.testing.assert_array_equal(view.after[~view.mask], photo[~view.mask])
        shown = scene.render(scene.camera(view.name), field=edit.field).image
        after = view.after[view.mask].astype(float)
        np.testing.assert_allclose(after, shown[view.mask], atol=3, err_msg="a step before")
    assert edit.unedited == ()
    assert not [note for note in outcome_notes(edit, compare(scene, edit)) if "Unchanged" in note]
    pixels = edit.checkpoint()[1]["pixels"].numpy().reshape(-1, 24, 24, 3)
    for view, seen in zip(edit.views, pixels, strict=True):
        np.testing.assert_array_equal(seen, view.after)


def test_without_a_region_the_photos_say_nothing(scene: Scene, bluer: Editor) -> None:
    """The published baseline: the model alone."""
    config = dataclasses.replace(DISTIL, everything=True, relevance=True, iterations=50)
    edit = scene.edit(INSTRUCTION, bluer, config=config)
    assert all(view.mask.all() for view in edit.views)
    assert off(scene, edit, edit.field) < 0.9 * off(scene, edit, scene.field)


def test_an_edit_that_was_stopped_goes_on_as_if_it_had_not_been(
    scene: Scene, editor: Editor
) -> None:
    config = dataclasses.replace(DISTIL, relevance=True, refit_every=2, iterations=6)
    whole = scene.edit(INSTRUCTION, editor, config=config, name="whole")
    steps = 0

    def stop(words: str, share: float, picture: object) -> None:
        nonlocal steps
        steps += words.startswith("Training")
        if steps == 3:
            raise Stop

    with pytest.raises(Stop):
        scene.edit(INSTRUCTION, editor, config=config, name="stopped", on_progress=stop)
    stopped = scene.edit(INSTRUCTION, editor, config=config, name="stopped")
    assert whole.views
    for one, other in zip(whole.views, stopped.views, strict=True):
        assert dataclasses.replace(one, folder=other.folder) == other
        np.testing.assert_array_equal(one.before, other.before)
        np.testing.assert_array_equal(one.mask, other.mask)
        np.testing.assert_array_equal(one.after, other.after)
    mine, theirs = whole.field.model.state_dict(), stopped.field.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    before = scene.field.model.state_dict()
    assert not all(torch.equal(mine[name], before[name]) for name in mine)


def test_an_edit_that_is_stopped_while_views_are_kept_loses_no_step(
    scene: Scene, editor: Editor
) -> None:
    config = dataclasses.replace(DISTIL, iterations=4)
    told: list[str] = []

    def stop(words: str, share: float, picture: object) -> None:
        told.append(words)
        if len(told) < 1000 and words.startswith("Rendering view"):
            raise Stop

    with pytest.raises(Stop):
        scene.edit(INSTRUCTION, editor, config=config, on_progress=stop)
    steps = [words for words in told if words.startswith("Training, step")]
    told = ["" for _ in range(1000)]
    edit = scene.edit(INSTRUCTION, editor, config=config, on_progress=stop)
    again = [words for words in told if words.startswith("Training, step")]
    assert len(edit.views) == len(scene.field.names)
    assert len(steps) + len(again) == 4, (steps, again)


def test_what_has_no_gradient_is_refused_before_anything_is_made(
    scene: Scene, editor: Editor
) -> None:
    image = scene.capture.read(0).image
    truth = Truth(image, image, np.ones((3, 3), np.float32))
    with pytest.raises(BadInput, match="truth has no model whose gradient could be followed"):
        scene.edit(INSTRUCTION, TrueEditor([truth], 8), config=DISTIL)
    paper = dataclasses.replace(EDIT_PRESETS["paper"], method="score_distillation")
    with pytest.raises(BadInput, match="inside a region that is known before: take another preset"):
        scene.edit(INSTRUCTION, editor, config=paper)
    none = dataclasses.replace(DISTIL, distillation=DistillationConfig(side=0))
    with pytest.raises(BadInput, match="side must be 1 or more"):
        scene.edit(INSTRUCTION, editor, config=none)
    assert scene.edits() == ()
