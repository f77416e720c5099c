"""When views are edited: every one has its turn before the end, whatever their number."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from backend.__main__ import main
from backend.editing import Editor
from backend.fields.config import EDIT_PRESETS, PRESETS, FieldConfig, SceneEditConfig
from backend.fields.radiance_training import RadianceTraining
from backend.fields.views import held_out
from backend.scenes import Scene
from backend.scenes.edit_run import rays_of, with_settings
from backend.scenes.methods.update_plan import UpdatePlan
from protocol.settings import SceneUpdateSettings

from .quick_edit import INSTRUCTION, QUICK, train_a_little
from .tiny_capture import orbit_capture
from .tiny_field import TINY

ALONE = SceneUpdateSettings(steps=QUICK.steps, relevance=False)
CAPTURES = (3, 4, 24, 84, 185, 500)


class Stop(Exception):
    """What a person's Cancel raises."""


@pytest.fixture(scope="module")
def editor(tiny_model: Path) -> Editor:
    return Editor.from_pretrained(str(tiny_model), "cpu", "float32")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of 48 views, 12 of them held out, with a trained field."""
    return train_a_little(tmp_path_factory.mktemp("many"), 48)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of 8 views, 2 of them held out, with a trained field."""
    return train_a_little(tmp_path_factory.mktemp("few"), 8)


def trained_views(preset: str, captured: int) -> int:
    return captured - len(held_out(captured, PRESETS.get(preset, FieldConfig()).hold_out_every))


def edits_of(plan: UpdatePlan, at_once: int = 1) -> list[tuple[int, int]]:
    """(steps done, count) of every edit, as the training comes to them."""
    made, count = [], 0
    for step in range(plan.steps + 1):
        while count < plan.edits and plan.due(count) <= step:
            counts = plan.together(count, at_once)
            made += [(step, number) for number in counts]
            count = counts.stop
    return made


@pytest.mark.parametrize("captured", CAPTURES)
@pytest.mark.parametrize("preset", EDIT_PRESETS)
def test_every_view_of_any_capture_has_its_turn_before_the_settling(
    preset: str, captured: int
) -> None:
    views = trained_views(preset, captured)
    config = EDIT_PRESETS[preset].for_views(views)
    plan = UpdatePlan.of(config, views)
    made = edits_of(plan)
    assert [count for _, count in made] == list(range(plan.edits))
    assert plan.edits >= views
    assert made[-1][0] < config.iterations * (1 - config.settling)
    assert plan.every == config.edit_every  # as there are steps enough, at the config's interval
    # what is left to train in after the last edit grows with the views, too
    left = config.iterations - made[-1][0]
    assert left >= config.settling * EDIT_PRESETS[preset].iterations * config.growth(views)


def test_steps_edits_and_rays_grow_with_the_number_of_views() -> None:
    preview = EDIT_PRESETS["preview"]
    views = [trained_views("preview", captured) for captured in CAPTURES]
    configs = [preview.for_views(count) for count in views]
    # up to 24 views all is as it was: the demo has 21 views to train on
    assert configs[:3] == [preview] * 3
    assert [preview.growth(count) for count in views[:3]] == [1.0] * 3
    assert [config.iterations for config in configs[3:]] == [
        math.ceil(600 * count / 24) for count in views[3:]
    ]
    assert [UpdatePlan.of(c, n).edits for c, n in zip(configs, views, strict=True)] == views
    rays = [config.relevance_field.rays for config in configs]
    assert rays[:3] == [preview.relevance_field.rays] * 3
    assert rays[2] < rays[3] < rays[4] < rays[5]
    full = EDIT_PRESETS["full"]  # the paper's, for as many views as the paper's captures have
    assert full.for_views(100) == full
    assert full.for_views(438).iterations == 17_520


@pytest.mark.parametrize("iterations", [1, 6, 30, 100, 600])
@pytest.mark.parametrize("views", [2, 21, 84, 438])
@pytest.mark.parametrize("at_once", [1, 4])
def test_every_view_has_its_turn_in_as_few_steps_as_a_person_allows(
    iterations: int, views: int, at_once: int
) -> None:
    config = with_settings(EDIT_PRESETS["preview"], SceneUpdateSettings(seed=3), iterations)
    assert (config.iterations, config.seed) == (iterations, 3)
    assert config.for_views(views) == config  # what was asked for is not grown
    plan = UpdatePlan.of(config, views)
    made = edits_of(plan, at_once)
    assert [count for _, count in made] == list(range(views))
    assert made[-1][0] < max(1, iterations)
    assert 1 <= plan.round_steps <= max(1, plan.steps, views * config.edit_every)


def assert_trained_on_edits(scene: Scene, name: str) -> None:
    """At the end no view has its photo's pixels where its region is, and all are edited."""
    edit = scene.edited(name)
    latest = {view.name: view for view in edit.views}
    _, tensors = edit.checkpoint()
    images = tensors["pixels"].numpy().reshape(len(edit.field.names), 24, 24, 3)
    for view, image in zip(edit.field.names, images, strict=True):
        np.testing.assert_array_equal(image, latest[view].after)
        photo = scene.capture.read(scene.capture.names.index(view)).image
        assert latest[view].mask.any()
        assert (image != photo)[latest[view].mask].any()


def test_no_view_keeps_its_photo_in_the_training(
    many: Path, editor: Editor, tmp_path: Path
) -> None:
    """36 views in 20 steps, several of them edited in one step; also after a stop between these."""
    scene = Scene.open(many, device="cpu")
    config = with_settings(dataclasses.replace(QUICK, rounds=1), ALONE, 20)
    whole = scene.edit(INSTRUCTION, editor, config=config, name="whole")
    assert whole.checkpoint()[0]["step"] == 20
    assert len(whole.views) == len(whole.field.names) == 36
    assert whole.views[-1].step < 18  # the last tenth settles
    assert_trained_on_edits(scene, "whole")

    stops = iter((5, 25))
    wanted = next(stops)

    def stop(words: str, share: float, picture: object) -> None:
        nonlocal wanted
        done = len(list((scene.edit_folder("stopped") / "views").glob("*.json")))
        if words.startswith("Editing view") and done == wanted:
            wanted = next(stops, -1)
            raise Stop

    for _ in range(2):
        with pytest.raises(Stop):
            scene.edit(INSTRUCTION, editor, config=config, name="stopped", on_progress=stop)
    stopped = scene.edit(INSTRUCTION, editor, config=config, name="stopped")
    assert_trained_on_edits(scene, "stopped")
    for one, other in zip(whole.views, stopped.views, strict=True):
        assert dataclasses.replace(one, folder=other.folder) == other
        np.testing.assert_array_equal(one.after, other.after)


def test_more_views_are_trained_on_with_more_rays_and_steps(
    many: Path, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene.open(many, device="cpu")
    rays = set()
    advance = RadianceTraining.advance

    def noting(training: RadianceTraining, step: int) -> float:
        rays.add(training.rays)
        return advance(training, step)

    monkeypatch.setattr(RadianceTraining, "advance", noting)
    config = dataclasses.replace(QUICK, iterations=10, views=9, relevance=False, rounds=1)
    edit = scene.edit(INSTRUCTION, editor, config=config, name="grown")
    assert edit.checkpoint()[0]["step"] == 40  # 36 views are 4 times 9
    assert rays == {2 * scene.field.config.rays}
    assert len(edit.views) == 36
    assert_trained_on_edits(scene, "grown")


def test_an_edit_goes_on_with_the_rays_and_the_rate_that_its_fields_training_has_come_to(
    editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have grown with the capture's pixels."""
    orbit_capture(tmp_path, 6, 24)
    scene = Scene.open(tmp_path, device="cpu")
    scene.train(config=dataclasses.replace(TINY, pixels=5 * 24**2 // 12, decay_iterations=10))
    grown = scene.trained_with()
    assert (grown.rays, grown.decay_iterations) == (2 * scene.field.config.rays, 30)
    seen: dict[int, tuple[int, float]] = {}
    advance = RadianceTraining.advance

    def noting(training: RadianceTraining, step: int) -> float:
        loss = advance(training, step)
        rates = {group["name"]: group["lr"] for group in training.optimizer.param_groups}
        seen[step] = training.rays, rates["fields"]
        return loss

    monkeypatch.setattr(RadianceTraining, "advance", noting)
    config = dataclasses.replace(
        QUICK, iterations=6, views=0, everything=True, learning_rate=None, edit_every=1
    )
    edit = scene.edit(INSTRUCTION, editor, config=config, name="on")
    first = edit.checkpoint()[0]["first_step"]
    assert first == 18  # before the rate has come to its end
    fall = grown.final_learning_rate / grown.learning_rate
    for step in range(first, first + 6):
        rays, rate = seen[step]
        assert rays == grown.rays
        assert rate == pytest.approx(grown.learning_rate * fall ** (step / 30))
    slower = dataclasses.replace(config, views=1)  # the rays of 5 views are more than those
    assert rays_of(scene, scene.field, slower) == round(5**0.5 * scene.field.config.rays)


@pytest.mark.parametrize("rounds", [0, 2])
def test_an_early_stop_comes_after_whole_rounds_and_trains_on_every_edit(
    few: Path, editor: Editor, rounds: int
) -> None:
    scene = Scene.open(few, device="cpu")
    config = dataclasses.replace(
        QUICK,
        iterations=1000,
        views=0,
        edit_every=1,
        rounds=rounds,
        relevance=False,
        stop_gain=1e3,
        stop_patience=1,
    )
    edit = scene.edit(INSTRUCTION, editor, config=config, name=f"early-{rounds}")
    facts, _ = edit.checkpoint()
    assert (facts["step"], facts["edits"]) == (12, 12)  # two rounds of 6 views
    assert [view.count for view in edit.views] == list(range(12))
    assert max(view.step for view in edit.views) < facts["step"]
    assert sorted(view.name for view in edit.views) == sorted(2 * scene.field.names)
    assert edit.unedited == ()
    assert_trained_on_edits(scene, edit.name)


def test_a_cancel_in_the_last_step_leaves_no_view_out(few: Path, editor: Editor) -> None:
    scene = Scene.open(few, device="cpu")
    config = with_settings(dataclasses.replace(QUICK, rounds=1, settling=0.0), ALONE, 4)

    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith("Training, step 4 of 4"):
            raise Stop

    with pytest.raises(Stop):
        scene.edit(INSTRUCTION, editor, config=config, name="cancelled", on_progress=stop)
    edit = scene.edit(INSTRUCTION, editor, config=config, name="cancelled")
    assert edit.finished
    assert len(edit.views) == 6
    assert_trained_on_edits(scene, "cancelled")


def test_the_report_says_the_steps_and_rays_that_ran(
    many: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(QUICK, iterations=10, views=9, relevance=False, rounds=1)
    monkeypatch.setitem(EDIT_PRESETS, "preview", config)
    command = ["scene", "edit", str(many), INSTRUCTION, "--name", "reported", "--device", "cpu"]
    assert main([*command, "--model", str(tiny_model), "--preset", "preview"]) == 0
    scene = Scene.open(many, device="cpu")
    report = json.loads((scene.edit_folder("reported") / "report.json").read_text("utf-8"))
    settings, figures = report["settings"], report["figures"]
    assert settings["config"]["iterations"] == figures["steps"] == 40
    assert settings["rays"] == 2 * scene.field.config.rays
    assert settings["config"]["relevance_field"]["rays"] == 2 * config.relevance_field.rays


def test_a_config_without_a_number_of_views_never_grows() -> None:
    config = SceneEditConfig(views=0)
    assert config.for_views(10_000) == config
