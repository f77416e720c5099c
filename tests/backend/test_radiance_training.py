"""Training a radiance field: what it learns, what it says, what it refuses."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.captures.capture import Capture
from backend.captures.transforms import NewView, open_capture, write_capture
from backend.captures.views import Pixels
from backend.fields import learnt
from backend.fields.config import PRESETS
from backend.fields.facts import RADIANCE, load_facts
from backend.fields.learnt import (
    UnlearntError,
    note_on_new_places,
    note_on_unfit,
    psnr_of_blur,
)
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import Decay, prepare, train
from backend.fields.training import Progress
from backend.fields.views import Views, held_out, psnr, psnr_of_each, psnr_of_views
from backend.scenes import Scene

from .tiny_capture import Truth, orbit_capture
from .tiny_field import TINY


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 16, 24)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    """The same with a depth of every other view."""
    return orbit_capture(tmp_path_factory.mktemp("deep"), 16, 24, depth_every=2)


@pytest.mark.slow
def test_it_learns_the_scene(scene: tuple[Capture, Truth]) -> None:
    """Better than the best single colour by far on views that it has not seen."""
    config = dataclasses.replace(
        PRESETS["preview"], iterations=300, rays=384, decay_iterations=300, evaluate_every=100
    )
    field, course = train(scene[0], config)
    images = scene[1].images / 255
    flat = psnr(torch.tensor(images.mean((0, 1, 2))).expand(images.shape), torch.tensor(images))
    assert course.scores[-1][1] > flat + 3.5
    assert course.scores[-1][1] > course.scores[0][1]
    rendering = field.render(scene[0].camera_to_box[4], scene[0].intrinsics[4])
    assert rendering.rgb.shape == (24, 24, 3)
    assert rendering.rgb.dtype == np.float32
    shown = torch.tensor(rendering.rgb)
    assert psnr(shown, torch.tensor(images[4], dtype=torch.float32)) > flat + 3
    mask = scene[1].masks[4]
    found = rendering.depth[mask] / scene[0].box_scale
    off = np.abs(found - scene[1].distances[4][mask])
    assert np.median(off) < 0.6  # of 4: it is the sphere that is red, not what is behind it


@pytest.mark.slow
def test_depth_puts_the_surfaces_where_they_are(deep: tuple[Capture, Truth]) -> None:
    """Sooner than without: in a view without a depth of its own that is not trained on."""
    capture, truth = deep
    view = held_out(16, 5)[1]
    assert view % 2 == 1
    known = np.isfinite(truth.distances[view])
    errors, scores = [], []
    for weight in (0.0, PRESETS["preview"].depth):
        config = dataclasses.replace(
            PRESETS["preview"], iterations=120, rays=384, hold_out_every=5, depth=weight
        )
        field, course = train(capture, config)
        rendering = field.render(capture.camera_to_box[view], capture.intrinsics[view])
        off = np.abs(rendering.depth / capture.box_scale - truth.distances[view])[known]
        errors.append(np.median(off))
        scores.append(course.scores[-1][1])
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.2  # of 4
    assert scores[1] > scores[0]


def test_progress_scores_and_previews(scene: tuple[Capture, Truth]) -> None:
    seen: list[Progress] = []
    _, course = train(scene[0], TINY, on_step=seen.append)
    assert [p.step for p in seen] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in course.scores] == [4, 6]
    assert seen[2].score is None
    assert seen[3].score == course.scores[0][1]
    assert seen[-1].remaining == 0
    assert seen[-1].preview is not None
    assert seen[-1].preview.shape == (24, 24, 3)
    assert seen[-1].preview.dtype == np.uint8
    assert all(p.remaining is None or p.remaining > 0 for p in seen[:-1])


def test_views_with_alpha(tmp_path: Path, scene: tuple[Capture, Truth]) -> None:
    capture, truth = scene
    views = [
        NewView(
            f"{k}",
            Pixels(truth.images[k], truth.masks[k].astype(np.uint8) * 255),
            capture.intrinsics[k],
            capture.camera_to_world[k],
        )
        for k in range(0, 16, 2)
    ]
    write_capture(tmp_path, views)
    field, course = train(open_capture(tmp_path), dataclasses.replace(TINY, hold_out_every=4))
    assert field.alpha
    assert {step for step, _ in course.scores} == {4, 6}


@pytest.mark.parametrize("alpha", [255, 251])
def test_an_opaque_alpha_is_no_alpha(
    tmp_path: Path, scene: tuple[Capture, Truth], alpha: int
) -> None:
    capture, truth = scene
    full = np.full((24, 24), alpha, np.uint8)
    views = [
        NewView(
            f"{k}", Pixels(truth.images[k], full), capture.intrinsics[k], capture.camera_to_world[k]
        )
        for k in range(4)
    ]
    write_capture(tmp_path, views)
    read = Views(open_capture(tmp_path))
    assert not read.alpha
    assert torch.equal(read.pixels, Views(capture.subset(range(4))).pixels)


def test_a_training_that_learns_nothing_is_no_success(
    tmp_path: Path, scene: tuple[Capture, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so in one sentence, again each time, and what was trained is kept."""
    capture, truth = scene
    patches = truth.images.reshape(16, 4, 6, 4, 6, 3).mean((2, 4)).repeat(6, 1).repeat(6, 2)
    blurred = psnr(torch.tensor(patches / 255), torch.tensor(truth.images / 255))
    assert psnr_of_blur(Views(capture)) == pytest.approx(blurred, abs=1e-3)
    monkeypatch.setattr(learnt, "JUDGED_FROM", 6)
    config = dataclasses.replace(TINY, learning_rate=1e-9, final_learning_rate=1e-9)
    for _ in range(2):
        with pytest.raises(UnlearntError, match="learnt nothing of the photos"):
            train(capture, config, tmp_path)
        facts = load_facts(tmp_path, RADIANCE)
        assert facts is not None
        assert facts["finished"]
    for shown, blur in ((blurred - 1, blurred), (31.0, 60.0)):  # of flat photos a blur is good
        monkeypatch.setattr(learnt, "psnr_of_views", lambda field, views, s=shown: s)
        monkeypatch.setattr(learnt, "psnr_of_blur", lambda views, b=blur: b)
        train(capture, config, tmp_path)


def test_each_view_is_measured_by_the_pixels_that_no_mask_hides(
    scene: tuple[Capture, Truth],
) -> None:
    views = Views(scene[0].subset([0, 1, 2]))
    field = RadianceField(TINY, views.names)
    whole = psnr_of_each(field, views)
    assert list(whole) == list(views.names)
    mean = sum(10 ** (-score / 10) for score in whole.values()) / 3
    assert -10 * math.log10(mean) == pytest.approx(psnr_of_views(field, views), abs=1e-3)
    views.seen = views.rays.of_view(1)[100:200]
    alone = psnr_of_each(field, views)
    assert list(alone) == [views.names[1]]
    assert alone[views.names[1]] == pytest.approx(psnr_of_views(field, views), abs=1e-3)
    views.seen = torch.cat([views.rays.of_view(0)[5:9], views.rays.of_view(2)[:1]])
    parts = [views.seen_of(view) for view in range(3)]
    assert [len(part) for part in parts] == [4, 0, 1]
    assert torch.equal(torch.cat(parts), views.seen)


def test_a_field_that_has_learnt_its_views_by_heart_gets_a_note(
    scene: tuple[Capture, Truth],
) -> None:
    """As wrong poses make it: held-out views alone show it."""
    held_out = Views(scene[0].subset([3, 11]))
    blurred = psnr_of_blur(held_out)
    (note,) = note_on_new_places(blurred - 2.5, held_out)
    assert f"{blurred - 2.5:.1f} dB, worse than a blur" in note
    assert f"at {blurred:.1f}: it does not know the scene from new places" in note
    assert note_on_new_places(blurred - 1, held_out) == ()


def test_views_far_below_the_others_get_a_note() -> None:
    fits = {f"{k}.jpg": 30.0 + k / 10 for k in range(6)}
    assert note_on_unfit(fits | {"wrong.jpg": 24.4}) == ()  # of 30.2
    (note,) = note_on_unfit(fits | {"wrong.jpg": 24.1})
    assert note.startswith(
        "1 view does not fit the others: the field shows wrong.jpg at 24.1 dB, and the middle one "
        "of 7 at 30.2."
    )
    (note,) = note_on_unfit(fits | {"b.jpg": 20.0, "a.jpg": 14.0})
    assert "2 views do not fit the others: the field shows a.jpg, b.jpg at 14.0 to 20.0 dB" in note
    assert note_on_unfit({"0.jpg": 30.0, "1.jpg": 30.1, "wrong.jpg": 14.0}) == ()


def test_a_training_is_judged_once_it_could_have_learnt(
    scene: tuple[Capture, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained and held-out views each among themselves."""
    assert train(scene[0], TINY)[1].notes == ()
    monkeypatch.setattr(learnt, "JUDGED_FROM", TINY.iterations)
    monkeypatch.setattr(learnt, "psnr_of_blur", lambda views: 0.0)
    fits = {f"{k}.jpg": 30.0 for k in range(6)}
    scores = iter([fits | {"a.jpg": 14.0}, fits | {"b.jpg": 12.0}])
    monkeypatch.setattr(learnt, "psnr_of_each", lambda field, views: next(scores))
    _, course = train(scene[0], TINY)
    assert course.unfit == ("a.jpg", "b.jpg")
    assert ["shows a.jpg" in course.notes[0], "shows b.jpg" in course.notes[1]] == [True, True]


@pytest.mark.slow
def test_a_view_with_the_pose_of_another_is_named(tmp_path: Path) -> None:
    """A field of the capture as it was names none."""
    orbit_capture(tmp_path, 16, 24)
    path = tmp_path / "transforms.json"
    description = json.loads(path.read_text())
    config = dataclasses.replace(
        PRESETS["preview"], iterations=300, rays=384, decay_iterations=300, evaluate_every=100
    )
    for wrong in (False, True):
        if wrong:
            frames = description["frames"]
            frames[5]["transform_matrix"] = frames[13]["transform_matrix"]
            path.write_text(json.dumps(description))
        scene = Scene.open(tmp_path, work=tmp_path / f"work-{wrong}")
        course = scene.train(config=config)
        assert len(course.notes) == wrong
    assert course.unfit[0] == "images/005.png"
    assert "not fit the others: the field shows images/005.png" in course.notes[0]


def test_too_few_views_are_refused(scene: tuple[Capture, Truth]) -> None:
    with pytest.raises(ValueError, match="has 2 views: a field needs 3"):
        train(scene[0].subset([0, 1]), TINY)


def test_a_diverging_training_says_so(scene: tuple[Capture, Truth]) -> None:
    with pytest.raises(FloatingPointError, match="diverged at step"):
        train(scene[0], dataclasses.replace(TINY, learning_rate=float("inf")))


def test_a_learning_rate_grows_before_it_falls() -> None:
    decay = Decay(1.0, 0.01, 100, start=10, warm_up=20)
    plain = dataclasses.replace(decay, warm_up=0)
    assert decay.at(10) == pytest.approx(1 / 20)
    assert decay.at(19) == pytest.approx(0.5 * plain.at(19))
    assert [decay.at(step) for step in (29, 60, 500)] == [plain.at(s) for s in (29, 60, 500)]
    assert [plain.at(step) for step in (0, 10, 60, 500)] == pytest.approx([1, 1, 0.1, 0.01])


def test_a_fields_first_steps_are_small_where_its_config_warms_up(
    scene: tuple[Capture, Truth],
) -> None:
    """Adam's first step moves each parameter by the learning rate."""
    far = []
    for warm_up in (0, 50):
        training, _ = prepare(scene[0], dataclasses.replace(TINY, warm_up=warm_up))
        moving = [p for p in training.field.model.parameters() if p.numel() > 0]
        before = [parameter.detach().clone() for parameter in moving]
        training.advance(0)
        steps = [(p.detach() - old).abs().max() for p, old in zip(moving, before, strict=True)]
        far.append(float(max(steps)))
    assert far[1] == pytest.approx(far[0] / 50, rel=0.01)


def test_a_thing_before_white_paper_is_learnt(tmp_path: Path) -> None:
    """White is most of such photos, and a field that begins almost empty learns that alone."""
    capture, truth = orbit_capture(tmp_path, 12, 48)
    for name, image, mask in zip(capture.names, truth.images, truth.masks, strict=True):
        shown = np.where(mask[..., None], image[..., :3], 255).astype(np.uint8)
        Image.fromarray(shown).save(tmp_path / name)
    config = dataclasses.replace(PRESETS["preview"], rays=256)
    training, _ = prepare(open_capture(tmp_path), config)
    torch.manual_seed(0)
    for step in range(80):
        training.advance(step)
    found = training.measure()
    assert found is not None
    assert found > 20
