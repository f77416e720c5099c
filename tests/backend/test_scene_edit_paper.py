"""The preset "paper": a scene edited wholly as in the paper, on tiny models and fields."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from backend.__main__ import main
from backend.captures.lens import Intrinsics
from backend.editing import Editor
from backend.errors import BadInput
from backend.fields.colour_loss import ColourLoss, ssim
from backend.fields.config import EDIT_PRESETS, ColourLossConfig, FieldConfig, RelevanceConfig
from backend.fields.rays import Squares, ViewRays
from backend.fields.relevance_field import RelevanceTraining
from backend.scenes import Scene
from backend.scenes.edit_run import with_settings
from backend.scenes.outcome import compare, outcome_notes
from backend.scenes.view_maps import map_file, read_map
from backend.worker.perform_scene import _edit_config
from protocol.requests import EditSceneRequest
from protocol.settings import SceneRegionSettings, SceneUpdateSettings
from protocol.values import Detail
from tests.protocol.flat import flat

from .quick_edit import INSTRUCTION
from .test_scene_edit import Stop, assert_same
from .tiny_capture import orbit_capture
from .tiny_field import TINY

PAPER = EDIT_PRESETS["paper"]
SMALL = RelevanceConfig(
    iterations=4000, rays=64, levels=3, log2_table_size=10, final_learning_rate=1e-2
)
TINY_PAPER = dataclasses.replace(
    PAPER, iterations=30, edit_every=3, steps=2, relevance_field=SMALL, views=0
)
"""Nothing else is changed: 10 edits of 6 views."""


def normalised(raw: np.ndarray) -> np.ndarray:
    """Eq. 3 of one map by itself, outliers clamped from above alone as the authors' code does."""
    first, third = np.percentile(raw.astype(np.float64), [25, 75])
    clamped = np.minimum(raw.astype(np.float64), third + 1.5 * (third - first))
    return (clamped - clamped.min()) / (clamped.max() - clamped.min())


def test_the_preset_has_the_papers_numbers() -> None:
    nerfacto, field = FieldConfig(), PAPER.relevance_field
    for name in ("levels", "log2_table_size", "lowest_resolution", "highest_resolution", "hidden"):
        assert getattr(field, name) == getattr(nerfacto, name), name
    assert (field.rays, field.learning_rate) == (nerfacto.rays, nerfacto.learning_rate)
    assert field.final_learning_rate == field.learning_rate
    assert (PAPER.noise_level, PAPER.normalisation, PAPER.relevance_seeds) == (0.8, "paper", (0,))
    assert (PAPER.iterations, PAPER.edit_every, PAPER.steps) == (4000, 10, 20)
    assert (PAPER.noise_range, PAPER.first_level) == ((0.02, 0.98), None)
    assert (PAPER.rounds, PAPER.settling, PAPER.stop_patience) == (0, 0.0, 0)
    assert (PAPER.fitted, PAPER.refit_every, PAPER.keep_region) == ("while", 1, False)
    assert (PAPER.snap, PAPER.detail) == ("nothing", "whole")
    assert PAPER.colour_loss == ColourLossConfig(absolute=True, patch=16, structure=0.2)
    assert (PAPER.learning_rate, PAPER.final_learning_rate) == (1e-2, 1e-2)


def test_maps_are_found_as_views_are_drawn_and_each_is_normalised_by_itself(
    scene: Scene, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[tuple[int, np.ndarray]] = []
    steps: list[int] = []
    learn, advance = RelevanceTraining.learn, RelevanceTraining.advance

    def note(training: RelevanceTraining, view: int, values: np.ndarray) -> None:
        learnt.append((view, values))
        learn(training, view, values)

    def count(training: RelevanceTraining, step: int) -> float:
        steps.append(len(learnt))
        return advance(training, step)

    monkeypatch.setattr(RelevanceTraining, "learn", note)
    monkeypatch.setattr(RelevanceTraining, "advance", count)
    edit = scene.edit(INSTRUCTION, editor, config=dataclasses.replace(TINY_PAPER, rounds=1))
    names = scene.field.names
    assert sorted(view for view, _ in learnt) == list(range(len(names)))
    # an edit's steps before the first, then one a step of the scene; each on the maps so far
    expected = [1] * 3 + [min(1 + step // 3, len(names)) for step in range(30)]
    assert steps == expected
    for view, values in learnt:
        found = read_map(map_file(edit.folder / "maps", view))
        reference = dataclasses.replace(found, values=normalised(found.raw).astype(np.float32))
        np.testing.assert_allclose(values, reference.at(24, 24), atol=1e-6)
        assert values.min() >= 0
        assert normalised(found.raw).max() == 1
    assert edit.applies is None  # one seed does not tell
    assert [one.raw.tolist() for one in edit.maps()] == [
        read_map(map_file(edit.folder / "maps", view)).raw.tolist() for view in range(len(names))
    ]


def test_a_view_that_was_never_drawn_has_no_map(scene: Scene, editor: Editor) -> None:
    drawn: list[str] = []

    def stop(words: str, share: float, picture: object) -> None:
        drawn.append(words)
        if words.startswith("Training, step 7 "):
            raise Stop

    with pytest.raises(Stop):
        scene.edit(INSTRUCTION, editor, config=TINY_PAPER, name="red", on_progress=stop)
    assert len(list((scene.edited("red").folder / "maps").glob("*.npz"))) == 3  # of 6 views
    assert sum(words.startswith("Relevance of a view, 100%") for words in drawn) == 3
    assert not any(words.startswith("Relevance field") for words in drawn)


@pytest.mark.parametrize("views_at_once", [1, 4])
@pytest.mark.parametrize("moment", ["Relevance of a view", "Editing ", "Training, step 11 "])
def test_a_stopped_edit_as_in_the_paper_goes_on_bit_for_bit(
    scene: Scene, editor: Editor, moment: str, views_at_once: int
) -> None:
    config = dataclasses.replace(TINY_PAPER, views_at_once=views_at_once)
    left = 3

    def stop(words: str, share: float, picture: object) -> None:
        nonlocal left
        if left and words.startswith(moment):
            left -= 1
            raise Stop

    for _ in range(3):
        try:
            stopped = scene.edit(
                INSTRUCTION, editor, config=config, name="stopped", on_progress=stop
            )
        except Stop:
            continue
    stopped = scene.edit(INSTRUCTION, editor, config=config, name="stopped")
    whole = scene.edit(INSTRUCTION, editor, config=config, name="whole")
    assert_same(stopped, whole)
    assert stopped.relevance is not None
    assert whole.relevance is not None
    other = whole.relevance.field.state_dict()
    for name, value in stopped.relevance.field.state_dict().items():
        assert torch.equal(value, other[name]), name


def test_views_are_edited_where_the_relevance_is_rendered_above_the_threshold(
    scene: Scene, editor: Editor
) -> None:
    edit = scene.edit(INSTRUCTION, editor, 0.4, config=TINY_PAPER)
    assert edit.threshold == 0.4
    assert edit.snap is not None
    assert edit.snap.took == "nothing"
    relevance = edit.relevance
    assert relevance is not None
    camera = scene.camera(scene.field.names[0])
    seen = edit.field.render(
        scene._to_box(camera.pose), camera.intrinsics, relevance.field.composite
    )
    shown = edit.render(camera).relevance
    assert shown is not None
    np.testing.assert_allclose(shown, seen.relevance, atol=1e-6)  # nothing is calibrated
    levels = [view.noise_level for view in edit.views]
    assert all(0.02 <= level <= 0.98 for level in levels)
    assert len(set(levels)) == len(levels)
    assert any(view.mask.any() and not view.mask.all() for view in edit.views)
    for view in edit.views:
        photo = scene.capture.read(scene.capture.names.index(view.name)).image
        np.testing.assert_array_equal(view.after[~view.mask], photo[~view.mask])
    # and what comes back of it is as of any other edit
    compared = compare(scene, edit)
    assert compared[0].relevance is not None
    outcome_notes(edit, compared)
    again = scene.edit(INSTRUCTION, editor, config=TINY_PAPER, name="on-top", base=edit.name)
    assert again.finished


def test_the_relevance_field_is_fitted_though_no_view_has_a_region_yet(
    scene: Scene, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    advance = RelevanceTraining.advance

    def count(training: RelevanceTraining, step: int) -> float:
        steps.append(step)
        return advance(training, step)

    monkeypatch.setattr(RelevanceTraining, "advance", count)
    edit = scene.edit(INSTRUCTION, editor, 1.0, config=TINY_PAPER)
    assert not edit.views
    assert len(steps) == 3 + 30
    for name, value in scene.field.model.state_dict().items():
        assert torch.equal(value, edit.field.model.state_dict()[name]), name
    assert outcome_notes(edit, ()) == (
        "Unchanged: nothing in any view reaches the threshold of 1.00. Lower it.",
    )


def test_what_does_not_go_with_the_preset_is_refused_and_defaults_are_its_own(
    scene: Scene, editor: Editor
) -> None:
    asked = with_settings(PAPER, SceneUpdateSettings(text_guidance=9.0, image_guidance=1.2), 50)
    assert (asked.snap, asked.detail) == ("nothing", "whole")
    assert (asked.text_guidance, asked.image_guidance, asked.iterations) == (9.0, 1.2, 50)
    for detail in get_args(Detail):  # also what is the default with other presets
        assert with_settings(PAPER, SceneUpdateSettings(detail=detail)).detail == detail
    for snap in ("edges", "things"):
        kept = with_settings(PAPER, SceneUpdateSettings(), region=SceneRegionSettings(snap=snap))
        with pytest.raises(BadInput, match=re.escape("snap it to nothing, or take another preset")):
            scene.edit(INSTRUCTION, editor, config=kept)
    with pytest.raises(BadInput, match="refit_every to 1 or more"):
        scene.edit(INSTRUCTION, editor, config=dataclasses.replace(PAPER, refit_every=0))


def test_the_ablations_go_with_the_preset(scene: Scene, editor: Editor) -> None:
    short = dataclasses.replace(TINY_PAPER, iterations=6)
    alone = scene.edit(
        INSTRUCTION, editor, config=dataclasses.replace(short, relevance=False), name="alone"
    )
    assert (alone.relevance, alone.threshold) == (None, None)
    assert len(alone.maps()) == len(scene.field.names)
    whole = scene.edit(
        INSTRUCTION, editor, config=dataclasses.replace(short, everything=True), name="everything"
    )
    assert whole.maps() == []


def test_the_preset_is_asked_for_by_command_and_by_request(
    scene: Scene, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EDIT_PRESETS, "paper", TINY_PAPER)
    place = ["--work", str(scene.work), "--device", "cpu", "--model", str(tiny_model)]
    command = ["scene", "edit", str(scene.capture.folder), INSTRUCTION, *place, "--name", "red"]
    given = ["--preset", "paper", "--iterations", "6", "--text-guidance", "9"]
    assert main([*command, *given, "--image-guidance", "1.2"]) == 0
    edit = scene.edited("red")
    expected = dataclasses.replace(
        TINY_PAPER, iterations=6, views=0, text_guidance=9.0, image_guidance=1.2
    )
    assert edit.asked.config == expected
    assert edit.finished
    request = flat(
        EditSceneRequest, capture="0" * 32, name="red", instruction=INSTRUCTION, preset="paper"
    )
    assert _edit_config(request) == TINY_PAPER
    sharp = flat(
        EditSceneRequest,
        capture="0" * 32,
        name="red",
        instruction=INSTRUCTION,
        preset="paper",
        detail="sharp",
        snap="things",
    )
    found = _edit_config(sharp)
    assert (found.detail, found.snap) == ("sharp", "things")


def test_what_the_preset_does_not_do_is_refused_though_it_is_the_default_of_others(
    scene: Scene, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(EDIT_PRESETS, "paper", TINY_PAPER)
    place = ["--work", str(scene.work), "--device", "cpu", "--model", str(tiny_model)]
    command = ["scene", "edit", str(scene.capture.folder), INSTRUCTION, *place, "--name", "red"]
    command += ["--preset", "paper", "--iterations", "6"]
    assert main([*command, "--snap", "things"]) == 1
    assert "snap it to nothing, or take another preset" in capsys.readouterr().err
    assert main([*command, "--detail", "sharp", "--snap", "nothing"]) == 0
    assert scene.edited("red").asked.config.detail == "sharp"


# how colours are fitted


def test_colours_are_fitted_by_their_absolute_differences() -> None:
    true, shown = torch.rand(50, 3), torch.rand(50, 3)
    loss = ColourLoss(ColourLossConfig(absolute=True), 0)(true, shown)
    assert float(loss) == pytest.approx(float((true - shown).abs().mean()))
    squared = ColourLoss(ColourLossConfig(), 0)(true, shown)
    assert torch.equal(squared, torch.nn.functional.mse_loss(true, shown))


def test_a_paper_edit_is_trained_by_absolute_differences_with_still_cameras(
    tmp_path: Path, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the field's own training corrects them."""
    capture, _ = orbit_capture(tmp_path / "capture", 6, 16)
    scene = Scene.open(capture.folder, device="cpu")
    scene.train(config=dataclasses.replace(TINY, optimise_cameras=True))
    used: list[ColourLossConfig] = []
    forward = ColourLoss.forward

    def note(loss: ColourLoss, true: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        used.append(loss._config)
        return forward(loss, true, shown)

    monkeypatch.setattr(ColourLoss, "forward", note)
    still = dataclasses.replace(TINY_PAPER, iterations=6, everything=True)
    edit = scene.edit(INSTRUCTION, editor, config=still)
    assert used
    assert all(one.absolute for one in used)
    name = scene.field.names[0]
    np.testing.assert_array_equal(edit.camera(name).pose, scene.camera(name).pose)
    moving = dataclasses.replace(still, move_cameras=True)
    moved = scene.edit(INSTRUCTION, editor, config=moving, name="moved")
    assert (moved.camera(name).pose != scene.camera(name).pose).any()


def test_structure_is_1_for_the_same_squares_and_less_for_others() -> None:
    squares = torch.rand(2, 3, 16, 16)
    assert float(ssim(squares, squares)) == pytest.approx(1)
    assert float(ssim(squares, 1 - squares)) < 0
    brighter = ssim(0.5 * squares, 0.5 * squares + 0.1)
    assert 0.8 < float(brighter) < 1
    config = ColourLossConfig(absolute=True, structure=0.5)
    flat = squares.permute(0, 2, 3, 1).reshape(-1, 3)
    loss = ColourLoss(config, 16)
    assert float(loss(flat, flat)) == pytest.approx(0, abs=1e-6)
    other = (1 - flat).requires_grad_()
    loss(flat, other).backward()
    assert torch.isfinite(other.grad).all()  # type: ignore[arg-type]


def test_squares_lie_in_one_view_and_where_no_mask_hides_anything(tmp_path: Path) -> None:
    capture, _ = orbit_capture(tmp_path, 4, 16)
    rays = ViewRays(capture.camera_to_box, capture.intrinsics)
    squares = Squares(rays, 5)
    pixels = squares.draw(60).view(-1, 5, 5)
    assert len(pixels) == 2
    view, place = pixels // 256, pixels % 256
    assert (view == view[:, :1, :1]).all()
    rows, columns = place // 16, place % 16
    assert (rows == rows[:, :1, :1] + torch.arange(5)[:, None]).all()
    assert (columns == columns[:, :1, :1] + torch.arange(5)).all()
    assert len(squares.draw(3)) == 25  # one at least
    assert Squares(rays, 99).side == 16  # as large as the views
    hidden = torch.zeros(4, 16, 16, dtype=torch.bool)
    hidden[:, 8, :] = True
    hidden[0] = True
    seen = torch.nonzero(~hidden.flatten())[:, 0]
    drawn = Squares(rays, 5, seen).draw(25 * 400)
    assert not hidden.flatten()[drawn].any()
    assert {int(one) for one in drawn // 256} == {1, 2, 3}
    many = ViewRays(np.tile(np.eye(4), (60, 1, 1)), [Intrinsics(9, 9, 9, 9, 480, 270)] * 60)
    began = time.monotonic()
    whole = Squares(many, 16, torch.arange(many.total))
    assert len(whole._corners) == 60 * (480 - 15) * (270 - 15)
    assert time.monotonic() - began < 20  # not minutes
    with pytest.raises(BadInput, match="leave no square of 9 pixels that is seen whole"):
        Squares(rays, 9, seen)
