"""Edits of a scene that take whole things, or keep to the pictures' edges, in all views."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from backend.captures.capture import Capture
from backend.editing import Editor
from backend.fields.calibration import Calibration, of_region
from backend.fields.radiance_field import RadianceField, Rendering
from backend.fields.radiance_training import RadianceTraining
from backend.fields.relevance_field import Relevance
from backend.fields.views import Views
from backend.scenes import Scene, things
from backend.scenes.edit_records import BEFORE, EditError, SnapRecord, read_asked
from backend.scenes.methods.dataset_update import DatasetUpdate, _Turn
from backend.scenes.methods.regions import everything, inside_field
from backend.scenes.outcome import compare, outcome_notes
from backend.scenes.things import ANOTHER_SHAPE, choose_snap, fingerprint_of, values_of_things
from protocol.region import NO_THINGS, NO_WHOLE_THINGS, edge_map

from .quick_edit import INSTRUCTION, QUICK, VIEWS, scene_of
from .tiny_capture import SPHERES, orbit_capture
from .tiny_field import TINY

PLAIN = Calibration(0.0, 0.5, 1.0)
SPHERE = 7
TAKING = dataclasses.replace(QUICK, snap="things")


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return orbit_capture(tmp_path_factory.mktemp("capture"), VIEWS, 32, things=True)[0]


@pytest.fixture(scope="module")
def views(capture: Capture) -> Views:
    return Views(capture)


@pytest.fixture(scope="module")
def labels(capture: Capture) -> list[np.ndarray | None]:
    return [capture.things(index) for index in range(len(capture))]


class BallField:
    """A field that shows one ball in box coordinates, exactly, and where rays hit it."""

    device = torch.device("cpu")

    def __init__(self, capture: Capture, radius: float = 1.0, colour: float = 0.5) -> None:
        centre, size, _ = SPHERES[0]
        self.centre = torch.tensor(capture.in_box(np.array(centre))).float()
        self.radius, self.colour = radius * size * capture.box_scale, colour

    def corrected(self, pose: np.ndarray, name: str) -> np.ndarray:
        return pose

    def shade(self, bundle: object, composite: object = None) -> torch.Tensor:
        offset = bundle.origins - self.centre  # type: ignore[attr-defined]
        along = (bundle.directions * offset).sum(1)  # type: ignore[attr-defined]
        inside = along**2 - (offset**2).sum(1) + self.radius**2
        hit = inside > 0
        depth = torch.where(hit, -along - inside.clamp(min=0).sqrt(), 50.0)
        colour = torch.where(hit, self.colour, 0.1)[:, None].expand(-1, 3)
        one = torch.ones_like(depth)[:, None]
        where = (bundle.origins + bundle.directions * depth[:, None])[:, None]  # type: ignore[attr-defined]
        found = [colour, depth[:, None], one]
        if composite is not None:
            found.append(composite(where, one[:, None]) * hit[:, None])  # type: ignore[operator]
        return torch.cat(found, 1)


class AboveRelevance:
    """Relevant is what lies above a height, in box coordinates."""

    def __init__(self, height: float = -9.0, value: float = 0.9) -> None:
        self.height, self.value = height, value

    def composite(self, positions: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return (positions[..., 2] > self.height).float() * self.value


def choice(
    capture: Capture,
    views: Views,
    labels: list[np.ndarray | None],
    height: float = -9.0,
    below: BallField | None = None,
) -> SnapRecord:
    """What an edit of a scene keeps to whose relevance lies above a height on the ball."""
    field, told = BallField(capture, colour=0.8), []
    record = choose_snap(
        "things",
        Relevance(AboveRelevance(height), PLAIN),  # type: ignore[arg-type]
        0.5,
        field,  # type: ignore[arg-type]
        views,
        labels,
        below,  # type: ignore[arg-type]
        lambda view, count: told.append((view, count)),
    )
    assert not told or told[-1][0] == told[-1][1] - 1
    return record


# ------------------------------------------------------------------ the choice


def test_a_thing_that_all_views_find_relevant_is_taken(
    capture: Capture, views: Views, labels: list[np.ndarray | None]
) -> None:
    record = choice(capture, views, labels)
    assert (record.took, record.why) == ("things", "")
    assert record.scores.keys() == {0, SPHERE}
    assert record.scores[SPHERE] > 0.8
    assert record.scores[0] < 0.1
    assert record.things == fingerprint_of(labels) != fingerprint_of(labels[::-1])


def test_some_views_suffice_to_know_things(
    capture: Capture, views: Views, labels: list[np.ndarray | None]
) -> None:
    some = [one if index % 3 else None for index, one in enumerate(labels)]
    assert choice(capture, views, some).took == "things"


def test_a_part_of_a_thing_is_no_whole_thing(
    capture: Capture, views: Views, labels: list[np.ndarray | None]
) -> None:
    top = float(BallField(capture).centre[2]) + 0.4 * BallField(capture).radius
    assert choice(capture, views, labels, top) == SnapRecord(took="edges", why=NO_WHOLE_THINGS)


def test_without_things_edges_are_taken(capture: Capture, views: Views) -> None:
    none = [None] * len(capture)
    assert choice(capture, views, none) == SnapRecord(took="edges", why=NO_THINGS)


@pytest.mark.parametrize(("radius", "took"), [(1.0, "things"), (0.6, "edges"), (1.5, "edges")])
def test_things_are_taken_on_top_of_an_edit_that_has_left_the_shape_alone(
    capture: Capture, views: Views, labels: list[np.ndarray | None], radius: float, took: str
) -> None:
    record = choice(capture, views, labels, below=BallField(capture, radius, colour=0.2))
    assert record.took == took
    assert record.why == ("" if took == "things" else ANOTHER_SHAPE)


# ------------------------------------------------------------------ the region


def rendering(relevance: np.ndarray) -> Rendering:
    empty = np.zeros_like(relevance)
    return Rendering(np.repeat(empty[..., None], 3, 2), empty, empty, relevance)


def test_whole_things_are_those_of_each_view_whatever_is_rendered_by_now() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)]
    known = rng.choice([0, 3, 65535], (20, 30)).astype(np.uint16)
    record = SnapRecord(took="things", scores={0: 0.1, 3: 0.5, 65535: 0.49})
    relevance = Relevance(SimpleNamespace(composite=None), PLAIN)  # type: ignore[arg-type]
    region = inside_field(relevance, 0.5, record, images, [known, None])
    seen = rendering(rng.random((20, 30), np.float32))
    np.testing.assert_array_equal(region.mask(0, seen), known == 3)
    # a view without things keeps to its picture's edges
    assert seen.relevance is not None
    np.testing.assert_array_equal(region.mask(1, seen), edge_map(seen.relevance, images[1]) >= 0.5)
    plain = inside_field(relevance, 0.5, SnapRecord(took="nothing"), images, [known, None])
    np.testing.assert_array_equal(plain.mask(0, seen), seen.relevance >= 0.5)


def test_a_thing_that_has_no_score_is_not_taken() -> None:
    seen = np.array([[0, 9], [2, 65535]], np.uint16)
    values = values_of_things(seen, {2: 0.75, 0: 0.25})
    np.testing.assert_array_equal(values, np.array([[0.25, 0], [0.75, 0]], np.float32))


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 1.0])
def test_the_outline_of_a_field_of_a_region_is_at_the_threshold_of_the_edit(
    threshold: float,
) -> None:
    known = of_region(threshold)
    found = known.of(np.array([0, 0.49, 0.5, 1], np.float32))
    assert found[0] == 0
    assert found[1] < threshold
    assert found[2] == pytest.approx(threshold)
    assert found[3] == 1


# ------------------------------------------------------------------ the edit


@pytest.fixture(scope="module")
def editor(tiny_model: Path) -> Editor:
    return Editor.from_pretrained(str(tiny_model), "cpu", "float32")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("things")
    orbit_capture(folder, VIEWS, 24, things=True)
    Scene.open(folder, device="cpu").train(config=dataclasses.replace(TINY, hold_out_every=4))
    return folder


def test_an_edit_of_whole_things_is_made_kept_and_shown(
    trained: Path, editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(things, "explained", lambda *_, **__: True)
    ball = np.array([0.1, *[0] * 6, 0.9], np.float32)
    monkeypatch.setattr(things, "thing_scores", lambda *_, **__: ball)
    scene = scene_of(trained, tmp_path / "work")

    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith("Editing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.edit(INSTRUCTION, editor, 0.6, TAKING, "ball", on_progress=stop)
    # what was decided stays, even where it would be decided otherwise by now
    monkeypatch.setattr(things, "explained", lambda *_, **__: False)
    edit = scene.edit(INSTRUCTION, editor, 0.6, TAKING, "ball")
    assert edit.snap is not None
    assert edit.snap.took == "things"
    assert len(edit.views) >= len(edit.field.names)
    for one in edit.views:
        known = scene.capture.things(scene.capture.names.index(one.name))
        np.testing.assert_array_equal(one.mask, known == SPHERE)
    assert edit.relevance is not None
    assert edit.relevance.calibration == of_region(0.6)
    assert (edit.folder / "region/relevance.json").exists()
    compared = compare(scene, edit)
    assert all(one.relevance is not None for one in compared)
    assert not any("edges" in note for note in outcome_notes(edit, compared))


@pytest.mark.parametrize("moment", ["Field of the region, step 5", "Editing "])
def test_another_threshold_before_the_first_edit_decides_the_region_anew(
    trained: Path,
    editor: Editor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    """And its field is trained anew."""
    monkeypatch.setattr(things, "explained", lambda *_, **__: True)
    scores = np.array([0.2, *[0] * 6, 0.9], np.float32)
    monkeypatch.setattr(things, "thing_scores", lambda *_, **__: scores)
    scene = scene_of(trained, tmp_path / "work")

    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith(moment):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.edit(INSTRUCTION, editor, 0.6, TAKING, "ball", on_progress=stop)
    edit = scene.edit(INSTRUCTION, editor, 0.1, TAKING, "ball")
    assert edit.relevance is not None
    assert edit.relevance.calibration == of_region(0.1)
    assert all(one.mask.all() for one in edit.views)
    whole = scene.edit(INSTRUCTION, editor, 0.1, TAKING, "whole")
    for name, value in edit.field.model.state_dict().items():
        assert torch.equal(value, whole.field.model.state_dict()[name]), name


def test_an_edit_that_falls_back_says_so_and_shows_what_was_edited(
    trained: Path, editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(things, "explained", lambda *_, **__: False)
    scene = scene_of(trained, tmp_path / "work")
    edit = scene.edit(INSTRUCTION, editor, 0.3, TAKING, "ball")
    assert edit.snap == SnapRecord(took="edges", why=NO_WHOLE_THINGS)
    compared = compare(scene, edit)
    assert NO_WHOLE_THINGS in outcome_notes(edit, compared)
    seen = scene.render(scene.camera(compared[0].view), edit.relevance)
    assert seen.relevance is not None
    np.testing.assert_allclose(compared[0].relevance, edge_map(seen.relevance, seen.image))


def test_other_things_than_those_that_an_edit_was_begun_with_are_refused(
    trained: Path, editor: Editor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scene_of(trained, tmp_path / "work")
    edit_folder = tmp_path / "work/edits/ball"
    monkeypatch.setattr(things, "explained", lambda *_, **__: True)

    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith("Editing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scene.edit(INSTRUCTION, editor, 0.1, TAKING, "ball", on_progress=stop)
    record = json.loads((edit_folder / "snap.json").read_text())
    (edit_folder / "snap.json").write_text(json.dumps(record | {"things": "other"}))
    with pytest.raises(EditError, match="things of the capture have changed since the edit ball"):
        scene.edit(INSTRUCTION, editor, 0.1, TAKING, "ball")


def test_a_capture_has_the_same_field_with_and_without_things(trained: Path) -> None:
    scene = Scene.open(trained, device="cpu")
    without = dataclasses.replace(
        scene.capture,
        views=tuple(dataclasses.replace(view, things=None) for view in scene.capture.views),
    )
    assert Views(scene.capture).fingerprint() == Views(without).fingerprint()


def test_an_edit_of_an_earlier_version_keeps_to_nothing_and_worked_on_whole_views(
    trained: Path, editor: Editor, tmp_path: Path
) -> None:
    scene = scene_of(trained, tmp_path / "work")
    quick = dataclasses.replace(
        QUICK,
        snap="nothing",
        detail="whole",
        iterations=2,
        rounds=1,
        inside_rays=0.0,
        air_samples=0.0,
    )
    made = scene.edit(INSTRUCTION, editor, 0.3, quick, "old")
    assert made.snap == SnapRecord(took="nothing")
    path = made.folder / "edit.json"
    record = json.loads(path.read_text())
    for key in (*BEFORE, "rim"):
        del record["config"][key]
    path.write_text(json.dumps(record))
    (made.folder / "snap.json").unlink()
    assert read_asked(scene.work, "old") == made.asked
    old = scene.edited("old")
    assert old.snap is None
    assert old.relevance is not None
    assert compare(scene, old) is not None


def test_each_views_own_map_is_snapped_too(trained: Path, editor: Editor, tmp_path: Path) -> None:
    scene = scene_of(trained, tmp_path / "work")
    alone = dataclasses.replace(TAKING, relevance=False, iterations=2, rounds=1)
    edit = scene.edit(INSTRUCTION, editor, 0.3, alone, "alone")
    assert edit.snap is not None
    assert edit.snap.took in ("things", "edges")
    maps = edit.maps()
    for one in edit.views:
        index = scene.capture.names.index(one.name)
        own = maps[edit.field.names.index(one.name)].at(24, 24)
        picture = scene.capture.read(index)
        found = edge_map(own, picture.image)
        assert picture.things is not None
        whole = [own[picture.things == label].mean() for label in (0, SPHERE)]
        by_thing = np.where(picture.things == SPHERE, whole[1], whole[0])
        assert any((one.mask == (values >= 0.3)).all() for values in (found, by_thing))


# ------------------------------------------------------------------ the rim


def test_a_soft_rim_outside_the_region_is_trained_on_too(tmp_path: Path) -> None:
    capture, _ = orbit_capture(tmp_path, VIEWS, 24)
    views = Views(capture)
    field = RadianceField(TINY, capture.names, seed=1)
    update = DatasetUpdate(
        RadianceTraining(field, views, None),
        None,  # type: ignore[arg-type]
        INSTRUCTION,
        everything(),
        QUICK,
        tmp_path / "views",
        0,
        lambda words, share: None,
    )
    original = capture.read(2).image
    mask = np.zeros((24, 24), np.bool_)
    mask[8:16, 8:16] = True
    edited = original.copy()
    edited[7:17, 7:17] = 255 - original[7:17, 7:17]
    update._take(_Turn(0, 2, 0, 0.9, original, original, mask), edited, 0)
    place = views.rays.of_view(2)
    np.testing.assert_array_equal(views.pixels[place].numpy().reshape(24, 24, 3), edited)
    inside = update._inside[place].numpy().reshape(24, 24)
    assert inside[7:17, 7:17].all()
    assert inside.sum() == 100
    with Image.open(tmp_path / "views/00000_mask.png") as file:
        np.testing.assert_array_equal(np.asarray(file), mask)
