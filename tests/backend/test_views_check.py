"""The prompt check of several views of one scene: pooled, kept, calibrated, and measured."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from backend.__main__ import main
from backend.editing import Editor, RelevanceMap
from backend.editing.models.registry import DEMO_WEIGHTS, load_model
from backend.editing.prompt_check import (
    CALIBRATION_FILE,
    FAINT,
    VIEWS_LIMIT,
    Agreement,
    pooled_evidence,
    read_evidence_limits,
    write_evidence_limit,
)
from backend.errors import BadInput
from backend.evaluation.scenes.views_check import ANY, POOLED, SINGLE, Checked, tables_of
from backend.meshes.texture_edit import MeshEditConfig, edit_mesh
from backend.scenes.scene import Scene
from backend.scenes.view_maps import read_map, write_map
from backend.world import world

from .quick_edit import INSTRUCTION, QUICK, scene_of
from .test_mesh_edit import around, ball_mesh, two_halves, unlit_views


def test_views_count_as_much_as_the_instruction_would_change_in_them() -> None:
    strong, faint = Agreement(0.045, 0.05), Agreement(0.0, 1e-5)
    lucky = Agreement(0.0004, 0.0005)
    # a thing that is seen in one view of eight: the others have little to say
    seen_once = pooled_evidence([strong] + [faint] * 7)
    assert seen_once is not None
    assert seen_once > 0.8
    # one view that passes by chance beside others that would change much and differently each time
    noisy = pooled_evidence([lucky] + [Agreement(0.002, 0.05)] * 7)
    assert noisy is not None
    assert lucky.evidence > 0.378 > noisy
    # the mean, weighted with the differences' strength
    two = pooled_evidence([Agreement(0.0, 0.04), Agreement(0.01 + FAINT, 0.01)])
    assert two == pytest.approx(0.1 / (0.1 + 0.2))
    assert pooled_evidence([strong]) == strong.evidence
    assert pooled_evidence([Agreement(0.0, 0.0)] * 3) == 0.0
    assert pooled_evidence([]) is None
    assert pooled_evidence([strong, None]) is None


def fixed(editor: Editor, agreements: list[Agreement | None]) -> object:
    """The editor, but with these agreements of the views' maps, in their order."""

    class Fixed:
        def __getattr__(self, name: str) -> object:
            return getattr(editor, name)

        def relevance_of_images(self, *arguments: object, **options: object) -> object:
            for number, one in editor.relevance_of_images(*arguments, **options):  # type: ignore[arg-type]
                own = agreements[number % len(agreements)]
                yield number, dataclasses.replace(one, agreement=own)

    return Fixed()


ONE_PASSES = [Agreement(0.0004, 0.0005)] + [Agreement(0.002, 0.05)] * 5
SEEN_ONCE = [Agreement(0.045, 0.05)] + [Agreement(0.0, 1e-5)] * 5


@pytest.mark.parametrize(
    ("agreements", "applies"), [(ONE_PASSES, False), (SEEN_ONCE, True), ([None], None)]
)
def test_a_scene_edit_asks_all_views_together(
    trained: Path,
    editor: Editor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    agreements: list[Agreement | None],
    applies: bool | None,
) -> None:
    monkeypatch.setattr(
        editor.model, "card", dataclasses.replace(editor.card, views_evidence_limit=0.3)
    )
    scene = scene_of(trained, tmp_path / "work")
    config = dataclasses.replace(QUICK, iterations=1, relevance=False, rounds=1)
    edit = scene.edit(INSTRUCTION, fixed(editor, agreements), config=config)  # type: ignore[arg-type]
    assert edit.applies is applies
    again = Scene.open(trained, work=scene.work, device="cpu").edited(edit.name)
    assert again.applies is applies
    assert [one.agreement for one in again.maps()] == (agreements * 6)[:6]
    (edit.folder / "prompt_check.json").write_text("{", "utf-8")
    with pytest.raises(BadInput, match=r"prompt_check.json is damaged: delete it"):
        _ = again.applies
    (edit.folder / "prompt_check.json").unlink()  # as in edits of earlier versions
    assert again.applies is None


@pytest.mark.parametrize(("agreements", "applies"), [(ONE_PASSES, False), (SEEN_ONCE, True)])
def test_a_texture_edit_asks_all_views_together(
    editor: Editor,
    monkeypatch: pytest.MonkeyPatch,
    agreements: list[Agreement | None],
    applies: bool,
) -> None:
    monkeypatch.setattr(
        editor.model, "card", dataclasses.replace(editor.card, views_evidence_limit=0.3)
    )
    mesh = ball_mesh(two_halves(32))
    config = MeshEditConfig(lit=False, threshold=1.0, relevance_seeds=(0, 1), steps=1, rounds=1)
    views = unlit_views(mesh, around(3))
    made = edit_mesh(mesh, views, INSTRUCTION, fixed(editor, agreements[:3]), config)  # type: ignore[arg-type]
    assert made.applies is applies


def test_maps_of_earlier_versions_are_read_without_their_agreement(tmp_path: Path) -> None:
    ones = np.ones((2, 2), np.float32)
    one = RelevanceMap(ones, ones, ones, (2.0, 2.0), 0.5, 0.4, True, Agreement(0.1, 0.2))
    write_map(tmp_path / "new.npz", one)
    assert read_map(tmp_path / "new.npz").agreement == Agreement(0.1, 0.2)
    with np.load(tmp_path / "new.npz") as file:
        np.savez(tmp_path / "old.npz", **{k: v for k, v in file.items() if k != "agreement"})
    old = read_map(tmp_path / "old.npz")
    assert (old.agreement, old.evidence, old.applies) == (None, 0.4, True)


def test_a_model_has_a_limit_for_one_image_and_one_for_views(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    assert read_evidence_limits(folder) == (0.1, 0.1)
    write_evidence_limit(folder, 0.4)
    assert read_evidence_limits(folder) == (0.4, 0.4)  # no calibration of its own
    write_evidence_limit(folder, 0.3, VIEWS_LIMIT)
    write_evidence_limit(folder, 0.5)
    assert read_evidence_limits(folder) == (0.5, 0.3)
    card = load_model(str(folder), "cpu").card
    assert (card.evidence_limit, card.views_evidence_limit) == (0.5, 0.3)
    (folder / CALIBRATION_FILE).write_text("[1]", "utf-8")
    with pytest.raises(BadInput, match="no calibration of the prompt check"):
        read_evidence_limits(folder)


def test_the_embedded_models_check_of_views_is_calibrated() -> None:
    """By `evaluate check --calibrate`."""
    kept = json.loads((DEMO_WEIGHTS / CALIBRATION_FILE).read_text("utf-8"))
    assert 0.1 < kept[VIEWS_LIMIT] < 1


def test_figures_of_the_check_by_views() -> None:
    def checked(there: bool, *views: Agreement) -> Checked:
        edit = world.Edit("recolour", 0 if there else None, "red", "make it red", "")
        return Checked(0, edit, views, np.array([True, False])[: len(views)])

    strong, faint = Agreement(0.04, 0.05), Agreement(0.0, 1e-5)
    lucky, noisy = Agreement(0.0045, 0.005), Agreement(0.001, 0.05)
    some = [
        checked(True, strong, faint),
        checked(True, strong, faint),
        checked(False, noisy, lucky),
        checked(False, noisy, faint),
    ]
    table = tables_of(some, 0.378, 0.3)["Prompt check"]
    assert table[POOLED]["AUROC"] == 1.0
    assert table[POOLED]["present that apply"] == table[POOLED]["absent that do not"] == 1.0
    assert table[ANY]["AUROC"] == 0.5  # the lucky view is above both
    assert table[ANY]["absent that do not"] == 0.5
    assert table[SINGLE]["n"] == table[SINGLE]["n absent"] == 2  # of the views that show it
    assert table[SINGLE]["AUROC"] == 1.0


def test_the_command_measures_and_calibrates_the_check_of_views(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model, out = tmp_path / "model", tmp_path / "out"
    shutil.copytree(tiny_model, model)
    command = ["evaluate", "check", "--model", str(model), "--out", str(out), "--device", "cpu"]
    command += ["--scenes", "2", "--views", "2", "--side", "64", "--edits", "1", "--calibrate"]
    assert main(command) == 1
    assert "--seeds validation" in capsys.readouterr().err
    assert main([*command, "--seeds", "validation"]) == 0
    figures = json.loads((out / "report.json").read_text("utf-8"))["figures"]
    table = figures["Prompt check"]
    assert table[POOLED]["n"] == table[POOLED]["n absent"] == len(figures["instructions"]) / 2
    assert read_evidence_limits(model)[1] == table[POOLED]["best limit"]
    for one in figures["instructions"]:
        views = [Agreement(*pair) for pair in zip(one["shared"], one["own"], strict=True)]
        assert one["pooled evidence"] == [pytest.approx(pooled_evidence(views), abs=2e-3)]
    assert "| all views, pooled |" in (out / "figures.md").read_text("utf-8")
