"""Edits by an editor that knows the truth: the demo world's true views, figures, the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from backend.__main__ import main
from backend.evaluation.edits import SAME
from backend.evaluation.scenes import true_figures
from backend.evaluation.scenes.scene_world import SMALLEST_CHANGE, WorldScene, draw
from backend.evaluation.scenes.true_editor import TrueEditor
from backend.evaluation.scenes.true_edits import config_of, truths_of
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import RadianceTraining
from backend.fields.views import Views
from backend.scenes.camera import Camera, View
from backend.scenes.methods.dataset_update import DatasetUpdate, edited_views
from backend.scenes.methods.regions import Region
from backend.scenes.scene import Scene
from backend.world import world

from .quick_edit import LEAST
from .tiny_field import TINY

SIDE = 32


@pytest.fixture(scope="module")
def drawn() -> WorldScene:
    found = draw(world.VALIDATION_SEEDS[0], views=6, side=SIDE)
    assert found is not None
    return found


class Shown:
    """A scene or an edit that renders the true view before or after the edit."""

    views = ()

    def __init__(self, drawn: WorldScene, after: bool, off: float = 0.0) -> None:
        self.drawn, self.after, self.off = drawn, after, off

    def render(self, camera: Camera) -> View:
        view = next(v for v in self.drawn.held_out if v.camera is camera)
        edited, share = self.drawn.true_change(view)
        shown = (edited if self.after else view.image).astype(np.float32) / 255
        found = (share > 0.5).astype(np.float32)
        return View(shown + np.float32(self.off), share, found if self.after else None, share)


@pytest.mark.parametrize("kind", ["recolour", "replace", "put on top", "remove"])
def test_true_edits_of_every_kind_are_seen_from_all_sides(drawn: WorldScene, kind: str) -> None:
    asked = drawn if kind == "recolour" else drawn.with_edit(kind)
    assert asked is not None
    assert asked.edit.kind == kind
    assert asked.edit.target == drawn.target
    for view in asked.held_out:
        edited, share = asked.true_change(view)
        assert share.mean() >= SMALLEST_CHANGE
        assert (edited != view.image).any(axis=2)[share > 0.5].any()
    scene = Shown(asked, False)
    done = true_figures.true_edit(scene, asked, Shown(asked, True))  # type: ignore[arg-type]
    assert done["IoU"] == pytest.approx(1)
    assert done["reached"] == done["nearer"] == 1
    assert done["IoU of the region"] == 1
    nothing = true_figures.true_edit(scene, asked, Shown(asked, False))  # type: ignore[arg-type]
    assert nothing["IoU"] == nothing["reached"] == nothing["nearer"] == 0
    # no edit makes a mean over scenes endless
    assert done["PSNR inside"] == nothing["PSNR outside"] == SAME
    spilt = true_figures.true_edit(scene, asked, Shown(asked, False, 0.1))  # type: ignore[arg-type]
    assert spilt["PSNR outside"] == spilt["photos outside"] == pytest.approx(20, abs=1e-3)
    grey = Shown(asked, False, 0.1)
    mended = true_figures.true_edit(grey, asked, scene)  # type: ignore[arg-type]
    assert mended["... of the unedited field"] == pytest.approx(20, abs=1e-3)
    assert mended["photos outside"] > 90


def test_ways_of_editing_are_regions_and_rounds() -> None:
    config = EDIT_PRESETS["preview"]
    assert config_of(config, "field").region == "field"
    assert config_of(config, "masks").region == "maps"
    assert config_of(config, "everything").region == "everything"
    assert config_of(config, "surfaces") == dataclasses.replace(config, grow=False)
    recurrent = config_of(config, "recurrent")
    assert (recurrent.rounds, recurrent.first_level, recurrent.region) == (0, None, "field")


QUICK = dataclasses.replace(LEAST, iterations=8, refit_every=0)


def test_command_measures_edits_by_the_truth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", QUICK)
    command = ["evaluate", "scene", "--editor", "truth", "--device", "cpu", "--scenes", "1"]
    command += ["--views", "6", "--side", "32", "--seeds", "validation", "--snap", "nothing"]
    command += ["--kinds", "recolour", "remove", "--ways", "field", "masks", "everything"]
    command += ["--out", str(tmp_path / "out")]
    assert main(command) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    means, each = report["figures"]["Edits by the truth"], report["figures"]["Each"]
    assert len(each) == len(means) == 6
    assert all(0 <= row["IoU"] <= 1 for row in each.values())
    assert means["remove, masks (1)"]["IoU of the views' masks"] > 0.5
    assert "IoU of the region" not in means["remove, everything (1)"]
    assert report["settings"]["model"] == "truth"
    assert (tmp_path / "out" / "contact_sheet.png").stat().st_size > 1000
    assert main(command) == 0
    again = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    assert again == report["figures"]


def test_scenes_are_drawn_until_there_are_as_many_of_each_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every scene has something to put on top of a thing."""
    whole = WorldScene.with_edit

    def some(drawn: WorldScene, kind: str) -> WorldScene | None:
        return None if drawn.seed == world.VALIDATION_SEEDS[0] else whole(drawn, kind)

    monkeypatch.setattr(WorldScene, "with_edit", some)
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", QUICK)
    command = ["evaluate", "scene", "--editor", "truth", "--device", "cpu", "--scenes", "1"]
    command += ["--views", "4", "--side", "32", "--seeds", "validation", "--ways", "field"]
    command += ["--kinds", "recolour", "remove", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    figures = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    assert figures["Edits by the truth"].keys() == {"recolour, field (1)", "remove, field (1)"}
    first, second = (int(row.split(":")[0]) for row in figures["Each"])
    assert first == world.VALIDATION_SEEDS[0] < second


def test_scenes_are_named_by_their_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", QUICK)
    drawn = iter(seed for seed in world.VALIDATION_SEEDS if draw(seed, 4, 32) is not None)
    _, second, third = (next(drawn) for _ in range(3))
    command = ["evaluate", "scene", "--editor", "truth", "--device", "cpu", "--views", "4"]
    command += ["--side", "32", "--ways", "field", "--kinds", "recolour"]
    command += ["--out", str(tmp_path / "out"), "--scene"]
    assert main([*command, str(third), str(second)]) == 0
    figures = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    assert [int(row.split(":")[0]) for row in figures["Each"]] == [third, second]
    unfit = next(seed for seed in world.VALIDATION_SEEDS if draw(seed, 4, 32) is None)
    capsys.readouterr()
    assert main([*command, str(unfit)]) == 1
    assert "none of these scenes offers such an edit" in capsys.readouterr().err


def test_an_edit_is_of_another_thing_where_the_scenes_own_offers_none(drawn: WorldScene) -> None:
    """Nothing can be put on top of a ball that is only half there, but on another thing."""
    kinds = ["replace", "put on top", "remove"]
    for target in range(len(drawn.scene.things)):
        edit = dataclasses.replace(drawn.edit, target=target)
        asked = [dataclasses.replace(drawn, edit=edit).with_edit(kind) for kind in kinds]
        assert all(one is not None for one in asked)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("--editor", "truth", "--ablation"), "--ablation says nothing to --editor truth"),
        (("--editor", "truth", "--edits", "3"), "--edits says nothing to --editor truth"),
        (("--editor", "truth", "--text-guidance", "9"), "--text-guidance says nothing to"),
        (("--editor", "truth", "--model", "x"), "--model says nothing to --editor truth"),
        (("--ways", "field"), "--ways says nothing to --editor model: leave it out"),
        (("--scene", "11000000"), "--scene says nothing to --editor model: leave it out"),
        (("--kinds", "remove"), "--kinds says nothing to --editor model: leave it out"),
    ],
)
def test_options_that_say_nothing_to_the_editor_are_refused(
    given: tuple[str, ...], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "scene", *given, "--out", str(tmp_path / "out")]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_command_measures_the_papers_edits_by_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A perfect map is relevance already, which Eq. 3 would clamp to nothing."""
    paper = dataclasses.replace(
        EDIT_PRESETS["paper"], iterations=60, relevance_field=QUICK.relevance_field
    )
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "paper", paper)
    command = ["evaluate", "scene", "--editor", "truth", "--device", "cpu", "--scenes", "1"]
    command += ["--views", "6", "--side", "32", "--seeds", "validation", "--edit-preset", "paper"]
    command += ["--kinds", "recolour", "--ways", "field", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    used = report["settings"]["edit"]
    assert (used["fitted"], used["snap"], used["normalisation"]) == ("while", "nothing", "full")
    (row,) = report["figures"]["Each"].values()
    assert 0 <= row["IoU"] <= 1
    assert list((tmp_path / "out").rglob("edits/recolour-field/maps/*.npz"))


def test_a_relevance_field_is_fitted_on_while_the_scene_changes_and_goes_on_exactly(
    tmp_path: Path, drawn: WorldScene
) -> None:
    drawn.write(tmp_path / "scene")
    scene = Scene.open(tmp_path / "scene", device="cpu")
    scene.train(config=TINY)
    editor = TrueEditor(truths_of(drawn), 1)
    frozen = scene.edit("x", editor, config=QUICK, name="frozen")
    config = dataclasses.replace(QUICK, refit_every=2, keep_region=True)
    refitted = scene.edit("x", editor, config=config, name="refitted")

    def values(edit: object) -> dict[str, np.ndarray]:
        field = edit.relevance.field  # type: ignore[attr-defined]
        return {name: one.numpy() for name, one in field.state_dict().items()}

    before, after = values(frozen), values(refitted)
    assert any((before[name] != after[name]).any() for name in before)

    class Stopped(Exception):
        pass

    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith("Training, step 5"):
            raise Stopped

    with pytest.raises(Stopped):
        scene.edit("x", editor, config=config, name="again", on_progress=stop)
    again = scene.edit("x", editor, config=config, name="again")
    for name, one in values(again).items():
        np.testing.assert_array_equal(one, after[name])
    for name, one in again.field.model.state_dict().items():
        np.testing.assert_array_equal(one.numpy(), refitted.field.model.state_dict()[name].numpy())


def test_a_kept_region_never_shrinks(tmp_path: Path, drawn: WorldScene) -> None:

    drawn.write(tmp_path / "scene")
    scene = Scene.open(tmp_path / "scene", device="cpu")
    views = Views(scene.capture)
    training = RadianceTraining(RadianceField(TINY, views.names), views, None)
    turns = iter(range(100))

    def mask(view: int, seen: object) -> np.ndarray:
        found = np.zeros((SIDE, SIDE), bool)
        found[next(turns) % SIDE] = True
        return found

    config = dataclasses.replace(QUICK, keep_region=True, iterations=12)
    update = DatasetUpdate(
        training,
        TrueEditor(truths_of(drawn), 1),
        "x",
        Region(mask),
        config,
        tmp_path / "views",
        0,
        lambda words, share: None,
    )
    update.between_steps(12)
    made = edited_views(tmp_path / "views", update.count)
    latest = {one.name: one for one in made}
    assert {int(one.mask.any(axis=1).sum()) for one in latest.values()} == {2}
    assert update.count == 12
