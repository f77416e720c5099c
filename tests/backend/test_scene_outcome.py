"""What an edit of a scene or a texture has changed; where nothing can be seen, that comes first."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.__main__ import main
from backend.captures.checks import some_of
from backend.editing import Editor, RelevanceMap
from backend.editing.models.instruct_pix2pix import InstructPix2Pix
from backend.editing.relevance import normalise
from backend.fields.calibration import Calibration
from backend.fields.config import EDIT_PRESETS
from backend.meshes.texture_edit import edit_mesh, outcome_note
from backend.pictures.changes import NOWHERE
from backend.pictures.visible_change import changed_share
from backend.scenes import Scene
from backend.scenes.outcome import Compared, changed, compare, outcome_notes
from backend.worker.perform_scene import _edit
from backend.worker.perform_texture import texture_result
from protocol.requests import EditSceneRequest, TextureResult
from tests.protocol.flat import flat

from .quick_edit import INSTRUCTION, QUICK
from .test_mesh_edit import CONFIG, Painter, around, ball_mesh, two_halves, unlit_views


class Idle:
    """An editor that leaves every image as it is."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor

    def __getattr__(self, name: str) -> object:
        return getattr(self._editor, name)

    def edit_images(self, instruction: str, images: list[np.ndarray], **_: object) -> object:
        return [image.copy() for image in images]


class Blind(Idle):
    """An editor to whom every view is the same everywhere: by so much as `levels` says in turn."""

    def __init__(self, editor: Editor, levels: tuple[float, ...]) -> None:
        super().__init__(editor)
        self._levels = levels

    def relevance_of_images(self, *arguments: object, **options: object) -> Iterator[object]:
        for number, one in self._editor.relevance_of_images(*arguments, **options):  # type: ignore[arg-type]
            raw = np.full_like(one.raw, self._levels[number % len(self._levels)])
            flat = normalise(raw, "paper")
            yield number, dataclasses.replace(one, raw=raw, values=flat, suggested_threshold=0.5)


class BlindToOdd(Idle):
    """An editor that sees nothing in every other view, and paints the rest black."""

    def relevance_of_images(self, *arguments: object, **options: object) -> Iterator[object]:
        for number, one in self._editor.relevance_of_images(*arguments, **options):  # type: ignore[arg-type]
            yield number, dataclasses.replace(one, values=one.values * (number % 2 == 0))

    def edit_images(self, instruction: str, images: list[np.ndarray], **given: object) -> object:
        masks: list[np.ndarray] = given["masks"]  # type: ignore[assignment]
        return [np.where(m[..., None], 0, i) for i, m in zip(images, masks, strict=True)]


# ---------------------------------------------------------------- the measure


def test_the_share_that_can_be_seen_to_have_changed() -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(60, 190, (40, 50, 3), np.uint8)
    region = np.zeros((40, 50), bool)
    region[5:35, 10:40] = True

    def share(change: np.ndarray | int, unseen: float = 3) -> float:
        after = (before.astype(int) + change).clip(0, 255).astype(np.uint8)
        return changed_share(before, after, region, unseen)

    assert share(0) == 0
    assert share(3) == 0
    assert share(4) == 1
    assert share(-4) == 1
    assert share(4, unseen=8) == 0
    assert share(np.array([0, 0, 5])) == 1  # one channel is enough
    assert share(np.where(region, 0, 100)[..., None]) == 0  # only the region counts
    assert share(rng.integers(-6, 7, (40, 50, 3))) < 0.02  # noise
    stripes = 30 * (-1) ** np.arange(50)[None, :, None]  # whose mean is nothing
    assert share(stripes) == 1
    part = np.zeros((40, 50, 1), int)
    part[10:16, 15:21] = 60  # 36 of 900 pixels, and what is around them
    assert 0.04 <= share(part) < 0.12
    assert changed_share(before, before + 50, np.zeros_like(region), 3) == 0


# ---------------------------------------------------------------- scenes


def weights(edit: object) -> dict[str, torch.Tensor]:
    return edit.field.model.state_dict()  # type: ignore[attr-defined]


@pytest.mark.parametrize("relevance", [True, False])
def test_an_edit_of_a_scene_whose_region_is_empty_says_unchanged_first(
    scene: Scene,
    editor: Editor,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    relevance: bool,
) -> None:
    # what a field renders, and what a map says at a pixel, is held below
    of, at = Calibration.of, RelevanceMap.at
    monkeypatch.setattr(Calibration, "of", lambda *given: np.minimum(of(*given), 0.9))
    monkeypatch.setattr(RelevanceMap, "at", lambda *given: np.minimum(at(*given), 0.9))
    monkeypatch.setitem(EDIT_PRESETS, "preview", dataclasses.replace(QUICK, rounds=1))
    command = ["scene", "edit", str(scene.capture.folder), INSTRUCTION, "--threshold", "1"]
    command += ["--work", str(scene.work), "--device", "cpu", "--model", str(tiny_model)]
    command += ["--name", "red", "--preset", "preview"]
    command += [] if relevance else ["--relevance", "off"]
    assert main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Unchanged: nothing in any view reaches the threshold of 1.00. Lower it."
    edit = scene.edited("red")
    report = json.loads((edit.folder / "report.json").read_text("utf-8"))
    assert report["notes"] == [said[0]]
    assert report["figures"]["left_out"] == list(scene.field.names)
    assert report["figures"]["changed_share_of_region"] == 0
    # and it is true: the field is the one before, to the last bit
    before = scene.field.model.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in weights(edit).items())


@pytest.mark.parametrize("levels", [(0.0,), (0.25,), (0.1, 0.3)])
@pytest.mark.parametrize("relevance", [True, False])
def test_an_instruction_whose_maps_are_constant_in_every_view_says_unchanged_first(
    scene: Scene, editor: Editor, levels: tuple[float, ...], relevance: bool
) -> None:
    """It was refused; or, where views differ from each other, whole views were edited."""
    blind = Blind(editor, levels)
    request = flat(
        EditSceneRequest,
        capture="0" * 32,
        name="deaf",
        instruction=INSTRUCTION,
        steps=2,
        iterations=12,
        relevance=relevance,
    )
    result = _edit(blind, scene, request, lambda *_: None)  # type: ignore[arg-type]
    assert result.notes[0] == NOWHERE
    assert (result.edited_views, result.pictures, result.edited_share) == (0, (), None)
    edit = scene.edited("deaf")
    assert edit.finished
    before = scene.field.model.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in weights(edit).items())
    camera = scene.camera(scene.field.names[0])
    seen = edit.render(camera)
    if relevance:
        assert seen.relevance is not None
        assert not seen.relevance.any()
    # it can be stacked on, and undone, as every edit
    again = scene.edit(INSTRUCTION, blind, config=QUICK, name="on-it", base="deaf")  # type: ignore[arg-type]
    assert outcome_notes(again, compare(scene, again)) == (NOWHERE,)
    scene.undo("on-it")
    scene.undo("deaf")
    assert scene.edits() == ()


def test_the_command_says_unchanged_first_of_an_instruction_that_the_model_does_not_hear(
    scene: Scene,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setitem(EDIT_PRESETS, "preview", dataclasses.replace(QUICK, rounds=3))
    embed = InstructPix2Pix.embed_text
    monkeypatch.setattr(InstructPix2Pix, "embed_text", lambda self, _: embed(self, ""))
    command = ["scene", "edit", str(scene.capture.folder), INSTRUCTION, "--name", "deaf"]
    command += ["--work", str(scene.work), "--device", "cpu", "--model", str(tiny_model)]
    assert main([*command, "--preset", "preview"]) == 0
    said = capsys.readouterr().out.splitlines()
    edit = scene.edited("deaf")
    report = json.loads((edit.folder / "report.json").read_text("utf-8"))
    assert said[0] == report["notes"][0] == NOWHERE
    assert "prompt check: does not apply, as far as the model sees" in said
    assert report["figures"]["edits_of_views"] == 0
    assert edit.checkpoint()[0]["edits"] == len(scene.field.names)  # one round tells


def test_a_scene_edit_says_what_the_model_does_not_read_of_its_instruction(
    scene: Scene,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    config = dataclasses.replace(QUICK, iterations=4, rounds=1)
    monkeypatch.setitem(EDIT_PRESETS, "preview", config)
    command = ["scene", "edit", str(scene.capture.folder), f"{INSTRUCTION} {'très ' * 90}"]
    command += ["--work", str(scene.work), "--device", "cpu", "--model", str(tiny_model)]
    assert main([*command, "--name", "red", "--preset", "preview", "--relevance", "off"]) == 0
    said = capsys.readouterr().out.splitlines()
    report = json.loads((scene.edited("red").folder / "report.json").read_text("utf-8"))
    assert report["notes"][-2].startswith("The instruction is too long for the model")
    assert report["notes"][-1].startswith("The model was trained on English instructions")
    assert f"note: {report['notes'][-1]}" in said


def test_everything_of_a_scene_is_edited_from_the_command_line(
    scene: Scene,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setitem(EDIT_PRESETS, "preview", dataclasses.replace(QUICK, rounds=1))
    command = ["scene", "edit", str(scene.capture.folder), INSTRUCTION, "--everything"]
    command += ["--work", str(scene.work), "--device", "cpu", "--model", str(tiny_model)]
    assert main([*command, "--name", "all", "--preset", "preview"]) == 0
    edit = scene.edited("all")
    assert all(view.mask.all() for view in edit.views)
    report = json.loads((edit.folder / "report.json").read_text("utf-8"))
    assert report["settings"]["config"]["everything"]
    assert report["figures"]["edits_of_views"] == len(scene.field.names)
    assert "prompt check" not in capsys.readouterr().out
    assert main([*command, "--name", "other", "--threshold", "0.5"]) == 1
    assert "leave it out" in capsys.readouterr().err


def test_a_scene_that_the_model_leaves_as_it_is_says_unchanged_first(
    scene: Scene, editor: Editor
) -> None:
    """Though the field goes on learning its photos, and looks different after it."""
    request = flat(
        EditSceneRequest,
        capture="0" * 32,
        name="idle",
        instruction=INSTRUCTION,
        steps=2,
        iterations=12,
    )
    said: list[str] = []
    result = _edit(Idle(editor), scene, request, lambda words, *_: said.append(words))  # type: ignore[arg-type]
    assert result.notes[0].startswith("Unchanged: the model changed no view by more than 3 of 255")
    assert result.edited_views > 0
    assert all(view.changed == 0 for view in scene.edited("idle").views)
    assert len(result.pictures) == 4
    assert "Rendering before and after" in said


def test_a_scene_that_has_changed_does_not_say_so_and_names_the_views_left_out(
    scene: Scene, editor: Editor
) -> None:
    config = dataclasses.replace(QUICK, iterations=60, relevance=False, rounds=1)
    blind = BlindToOdd(editor)
    edit = scene.edit(INSTRUCTION, blind, 0.5, config)  # type: ignore[arg-type]
    names = scene.field.names
    assert edit.unedited == names[1::2]
    compared = compare(scene, edit)
    assert [one.view for one in compared] == list(names[::2])
    latest = {view.name: view for view in edit.views}
    for one in compared:
        np.testing.assert_array_equal(one.region, latest[one.view].mask)
        assert latest[one.view].changed == 1
    assert changed(compared) > 0.5
    assert outcome_notes(edit, compared) == (
        "3 of 6 views stayed as they were, as nothing in them is relevant enough: "
        f"{', '.join(names[1::2])}.",
    )
    # where the field does not take over what the model has changed in the views
    same = tuple(dataclasses.replace(one, after=one.before) for one in compared)
    assert outcome_notes(edit, same)[0].startswith("Unchanged: the scene shows no difference of")


def test_a_result_names_the_views_left_out(scene: Scene, editor: Editor) -> None:
    request = flat(
        EditSceneRequest,
        capture="0" * 32,
        name="half",
        instruction=INSTRUCTION,
        threshold=0.5,
        steps=2,
        iterations=12,
        relevance=False,
    )
    result = _edit(BlindToOdd(editor), scene, request, lambda *_: None)  # type: ignore[arg-type]
    assert (result.left_out_count, result.left_out) == (3, scene.field.names[1::2])
    assert all(name in " ".join(result.notes) for name in result.left_out)


def test_of_many_names_a_sentence_says_how_many_more_there_are() -> None:
    names = tuple(f"{number:04}.png" for number in range(84))
    assert some_of(names[:2]) == "0000.png, 0001.png"
    assert some_of(names) == "0000.png, 0001.png, 0002.png, 0003.png, 0004.png and 79 more"


def test_edits_of_views_from_earlier_versions_are_read_without_their_change(
    scene: Scene, editor: Editor
) -> None:
    config = dataclasses.replace(QUICK, iterations=4, relevance=False, rounds=1)
    edit = scene.edit(INSTRUCTION, editor, config=config)
    for path in (edit.folder / "views").glob("*.json"):
        record = json.loads(path.read_text("utf-8"))
        assert 0 <= record.pop("changed") <= 1
        path.write_text(json.dumps(record), "utf-8")
    assert {view.changed for view in edit.views} == {None}
    assert outcome_notes(edit, compare(scene, edit))[:1] != ("",)


def test_what_is_compared_weighs_its_pixels() -> None:
    grey, black = np.full((8, 8, 3), 128, np.uint8), np.zeros((8, 8, 3), np.uint8)
    small, large = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    small[:4, :4] = True
    one = Compared("a", grey, black, None, small)
    other = Compared("b", grey, grey, None, large)
    assert changed((one, other)) == pytest.approx(16 / (16 + 64))
    assert changed(()) == 0


# ---------------------------------------------------------------- textures


class IdlePainter(Painter):
    """Leaves every view as it is but for a level here and there."""

    def edit(self, instruction: str, **settings: object) -> object:
        edit = super().edit(instruction, **settings)
        noise = np.random.default_rng(0).integers(-1, 2, self.image.shape)
        image = (self.image.astype(int) + noise).clip(0, 255).astype(np.uint8)
        return dataclasses.replace(edit, image=np.where(edit.mask[..., None], image, self.image))


class Faint(Painter):
    """Sees more red to the right of each view, and the most where no texel has it for its own."""

    def redness(self) -> np.ndarray:
        return super().redness() * np.linspace(0, 1, self.image.shape[1])


class Grey(Painter):
    """Sees no red anywhere."""

    def redness(self) -> np.ndarray:
        return super().redness() * 0


@pytest.mark.parametrize(
    ("painter", "threshold", "said"),
    [
        (Grey(), 0.5, NOWHERE),
        (Grey(), None, NOWHERE),
        (Faint(), 1.0, "Unchanged: no texel reaches the threshold of 1.00. Lower it."),
        (IdlePainter(), 0.5, "Unchanged: the texture shows no difference of more than 3 of 255"),
        (Painter(), 0.5, None),
    ],
)
def test_a_texture_that_has_not_changed_says_so_first(
    painter: Painter, threshold: float | None, said: str | None
) -> None:
    mesh = ball_mesh(two_halves())
    config = dataclasses.replace(CONFIG, threshold=threshold)
    edit = edit_mesh(mesh, unlit_views(mesh, around(3)), "make the red half blue", painter, config)  # type: ignore[arg-type]
    result = texture_result(TextureResult, mesh, edit, ("another note",))
    if said is None:
        assert outcome_note(mesh, edit) is None
        assert result.notes == ("another note",)
    else:
        assert result.notes[0].startswith(said)
        assert result.notes[1:] == ("another note",)
