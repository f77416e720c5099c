"""Edits of scenes by name: what is refused, what is damaged, and the commands."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.captures.error import CaptureError
from backend.editing import Editor
from backend.fields.config import EDIT_PRESETS, SceneEditConfig
from backend.fields.facts import CheckpointError
from backend.scenes import Scene
from backend.scenes.edit_records import EditError
from backend.scenes.edit_run import edit_name

from .quick_edit import INSTRUCTION, QUICK


class Stop(Exception):
    """What a person's Cancel raises."""


def test_what_cannot_be_edited_is_refused(scene: Scene, editor: Editor, tmp_path: Path) -> None:
    def refuse(match: str, instruction: str = INSTRUCTION, **extra: object) -> None:
        with pytest.raises(ValueError, match=match):
            scene.edit(instruction, editor, **{"config": QUICK, **extra})  # type: ignore[arg-type]
        assert scene.edits() == ()

    refuse("instruction is empty", " ")
    refuse("threshold must be above 0 and at most 1", threshold=0.0)
    refuse("threshold must be above 0 and at most 1", threshold=1.5)
    refuse("no preset 'huge': use preview, medium, full, paper", config="huge")
    refuse("noise range", config=dataclasses.replace(QUICK, noise_range=(0.5, 0.2)))
    refuse("rounds, views and refit_every must be", config=dataclasses.replace(QUICK, rounds=-1))
    refuse("first noise level", config=dataclasses.replace(QUICK, first_level=0.0))
    refuse("must be 1 or more", config=dataclasses.replace(QUICK, edit_every=0))
    refuse("must be 1 or more", config=dataclasses.replace(QUICK, views_at_once=0))
    refuse("text guidance must be 0 to 100", config=dataclasses.replace(QUICK, text_guidance=-1.0))
    refuse("An edit's name has letters", name="../away")
    refuse("no edit other: it has none", base="other")
    fresh = Scene.open(scene.capture.folder, work=tmp_path / "fresh", device="cpu")
    with pytest.raises(CheckpointError, match="holds no trained field: train one first"):
        fresh.edit(INSTRUCTION, editor, config=QUICK)
    with pytest.raises(CaptureError, match="trained with --downscale 1: leave the option out"):
        Scene.open(scene.capture.folder, 2, work=scene.work, device="cpu")
    copy = shutil.copytree(scene.capture.folder, tmp_path / "copy")
    with Image.open(copy / scene.capture.names[0]) as file:
        other = Image.fromarray(255 - np.asarray(file))
    other.save(copy / scene.capture.names[0])
    changed = Scene.open(copy, work=scene.work, device="cpu")
    with pytest.raises(EditError, match="capture has changed since its field was trained"):
        changed.edit(INSTRUCTION, editor, config=QUICK)


def test_an_edits_name_stands_for_one_edit(scene: Scene, editor: Editor) -> None:
    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith("Training, step 4"):
            raise Stop

    with pytest.raises(Stop):
        scene.edit(INSTRUCTION, editor, config=QUICK, name="one", on_progress=stop)
    with pytest.raises(EditError, match="is not finished: let it finish first"):
        scene.edit("make the bear blue", editor, config=QUICK, base="one", name="two")
    for instruction, threshold in (("make the bear blue", None), (INSTRUCTION, 0.6)):
        with pytest.raises(EditError, match="an edit one already, of another"):
            scene.edit(instruction, editor, threshold, config=QUICK, name="one")
    assert scene.edit(INSTRUCTION, editor, config=QUICK, name="one").finished


def test_names_are_made_from_instructions() -> None:
    assert edit_name("Turn the bear into a panda!") == "turn-the-bear-into-a-panda"
    assert edit_name("把熊变成熊猫") == "edit"
    assert len(edit_name("a " * 500)) <= 64


def test_presets_are_named_as_those_of_fields() -> None:
    assert EDIT_PRESETS["full"] == SceneEditConfig()
    assert EDIT_PRESETS["full"].first_level is None
    assert (EDIT_PRESETS["full"].noise_range, EDIT_PRESETS["full"].steps) == ((0.02, 0.98), 20)


def test_damage_is_named(scene: Scene, editor: Editor) -> None:
    edit = scene.edit(INSTRUCTION, editor, config=QUICK)
    picture = edit.folder / "views" / f"{edit.views[0].count:05d}_after.png"
    picture.write_bytes(picture.read_bytes()[:40])
    with pytest.raises(CheckpointError, match=r"_after.png is missing or damaged"):
        _ = edit.views[0].after
    (edit.folder / "maps" / "0000.npz").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"0000.npz is damaged: delete it"):
        edit.maps()
    (edit.folder / "edit.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"edit.json is damaged"):
        scene.edited(edit.name)


def test_the_commands_edit_and_undo(
    scene: Scene, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(EDIT_PRESETS, "preview", QUICK)
    place = ["--work", str(scene.work), "--device", "cpu"]
    folder = str(scene.capture.folder)
    command = ["scene", "edit", folder, INSTRUCTION, *place, "--model", str(tiny_model)]
    given = ["--steps", "1", "--iterations", "6", "--views-at-once", "2", "--snap", "edges"]
    assert main([*command, *given, "--rim", "2", "--detail", "fast", "--name", "red"]) == 0
    edit = scene.edited("red")
    assert (edit.asked.config.steps, edit.asked.config.iterations) == (1, 6)
    assert edit.asked.config.views_at_once == 2
    assert edit.asked.config.text_guidance == QUICK.text_guidance
    asked = edit.asked.config
    assert (asked.snap, asked.rim, asked.detail) == ("edges", 2, "fast")
    report = json.loads((edit.folder / "report.json").read_text("utf-8"))
    assert report["figures"]["edits_of_views"] == len(edit.views)
    assert report["figures"]["steps"] == 6
    assert report["figures"]["region"] == {"took": "edges", "why": ""}
    assert report["settings"]["config"]["relevance_field"]["iterations"] == 30
    with Image.open(edit.folder / "before_and_after.png") as sheet:
        assert sheet.width > 4 * 256
    said = capsys.readouterr().out
    assert "prompt check" in said
    assert "region: snapped to edges" in said
    assert main([*command, "--iterations", "7", "--name", "red"]) == 1
    assert "an edit red already, of another" in capsys.readouterr().err
    assert main(["scene", "undo", folder, "red", *place]) == 0
    assert "undone; the scene has no edits now" in capsys.readouterr().out
    assert scene.edits() == ()
    assert main(["scene", "undo", folder, "red", *place]) == 1
