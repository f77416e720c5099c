"""Editing a scene: what each view's edit is made of, what is kept, and going on after any stop."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.captures.lens import Intrinsics
from backend.captures.transforms import NewView, write_capture
from backend.captures.views import Pixels
from backend.editing import Editor
from backend.editing.relevance import normalise_together
from backend.fields.views import Views
from backend.scenes import Scene, SceneEdit
from backend.scenes.edit_records import EditError
from backend.scenes.methods.dataset_update import DatasetUpdate, EditedView
from backend.scenes.methods.scene_method import METHODS
from backend.scenes.outcome import compare, outcome_notes

from .quick_edit import INSTRUCTION, QUICK, VIEWS
from .tiny_capture import orbit_capture, orbit_pose, trace
from .tiny_field import TINY


class Stop(Exception):
    """What a person's Cancel raises."""


def parameters(edit: SceneEdit) -> dict[str, torch.Tensor]:
    return edit.field.model.state_dict()


def assert_same(one: SceneEdit, other: SceneEdit) -> None:
    assert parameters(one).keys() == parameters(other).keys()
    for name, value in parameters(one).items():
        assert torch.equal(value, parameters(other)[name]), name
    assert len(one.views) == len(other.views)
    for mine, theirs in zip(one.views, other.views, strict=True):
        assert dataclasses.replace(mine, folder=theirs.folder) == theirs
        np.testing.assert_array_equal(mine.after, theirs.after)


def photo_of(scene: Scene, view: EditedView) -> np.ndarray:
    return scene.capture.read(scene.capture.names.index(view.name)).image


def edited_alone(editor: Editor, photo: np.ndarray, view: EditedView) -> np.ndarray:
    """What the editor makes of a photo with everything that was kept of its view's edit."""
    editor.set_image(photo)
    return editor.edit(
        INSTRUCTION,
        steps=2,
        strength=view.noise_level,
        seed=view.seed,
        mask=view.mask,
        start=view.before,
    ).image


def test_a_view_is_edited_from_its_render_conditioned_on_its_photo(
    scene: Scene, editor: Editor
) -> None:
    edit = scene.edit(INSTRUCTION, editor, config=dataclasses.replace(QUICK, iterations=4))
    assert edit.finished
    first = edit.views[0]
    camera = scene.camera(first.name)
    # the first edit is made before any step: the field is still the scene's
    seen = scene.render(camera, edit.relevance)
    before = (seen.rgb * 255 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(first.before, before)
    assert seen.relevance is not None
    np.testing.assert_array_equal(first.mask, seen.relevance >= 0.5)
    photo = photo_of(scene, first)
    np.testing.assert_array_equal(first.after, edited_alone(editor, photo, first))
    np.testing.assert_array_equal(first.after[~first.mask], photo[~first.mask])
    assert first.mask.any()
    assert not first.mask.all()


def test_every_view_has_its_turn_in_every_round(
    scene: Scene, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps_in_batches_of(3, monkeypatch)
    said: list[tuple[str, float]] = []
    edit = scene.edit(
        INSTRUCTION,
        editor,
        config=dataclasses.replace(QUICK, iterations=30),
        on_progress=lambda words, share, _: said.append((words, share)),
    )
    names = scene.field.names  # 6 of 8 views: two are held out
    turns = [view.count for view in edit.views]
    assert turns == sorted(set(turns))
    rounds = [[v.name for v in edit.views if v.count // len(names) == k] for k in range(2)]
    assert all(len(set(r)) == len(r) and set(r) <= set(names) for r in rounds)
    assert rounds[0] != rounds[1]
    # 14 edits are due in 30 steps of which the last 3 settle; views without a region are left out
    assert max(turns) <= 13
    assert all(v.step == 2 * v.count for v in edit.views)
    first = [v for v in edit.views if v.count < len(names)]
    assert {v.noise_level for v in first} == {0.9}
    later = [v.noise_level for v in edit.views if v.count >= len(names)]
    assert all(0.02 <= level <= 0.98 for level in later)
    assert len(set(later)) == len(later)
    shares = [share for _, share in said]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    maps = [words for words, _ in said if words.startswith("Relevance of")]
    assert maps == [f"Relevance of view {number} of 6" for number in (1, 3, 6)]
    assert any("Relevance field" in words for words, _ in said)
    assert any("Editing view" in words for words, _ in said)


def test_views_are_edited_together_as_alone_but_from_one_moments_renders(
    scene: Scene, editor: Editor
) -> None:
    """Four at once: as many edits with the same views, seeds and levels, none made later."""
    config = dataclasses.replace(QUICK, iterations=30, relevance=False)
    alone = scene.edit(INSTRUCTION, editor, config=config, name="alone")
    config = dataclasses.replace(config, views_at_once=4)
    calls: list[int] = []

    class Counting:
        """The editor, which notes how many images it edits together."""

        def __getattr__(self, name: str) -> object:
            return getattr(editor, name)

        def edit_images(self, *arguments: object, **options: object) -> object:
            calls.append(len(options["images"]))  # type: ignore[arg-type]
            return editor.edit_images(*arguments, **options)  # type: ignore[arg-type]

    together = scene.edit(INSTRUCTION, Counting(), config=config, name="together")  # type: ignore[arg-type]
    assert calls == [4, 2, 4, 2, 2]  # 6 views a round, 14 edits before the settling
    assert [view.step for view in alone.views] == [2 * count for count in range(14)]
    steps = [0] * 4 + [8] * 2 + [12] * 4 + [20] * 2 + [24] * 2
    assert [view.step for view in together.views] == steps
    for one, other in zip(alone.views, together.views, strict=True):
        assert dataclasses.replace(one, step=0, folder=other.folder) == dataclasses.replace(
            other, step=0
        )
        np.testing.assert_array_equal(one.mask, other.mask)  # the views' own maps
    for view in together.views[:4]:  # all from the field as it was
        before = scene.render(scene.camera(view.name), field=together.original_field)
        np.testing.assert_array_equal(view.before, (before.rgb * 255 + 0.5).astype(np.uint8))
        expected = edited_alone(editor, photo_of(scene, view), view)
        assert np.abs(view.after.astype(int) - expected).max() <= 1


def test_views_of_two_sizes_are_edited_and_mapped_in_batches_of_their_own(
    editor: Editor, tmp_path: Path
) -> None:
    views = []
    for number in range(VIEWS):
        size = (24, 32)[number % 3 > 0]
        camera = Intrinsics(1.3 * size, 1.3 * size, size / 2, size / 2, size, size)
        pose = orbit_pose(2 * np.pi * number / VIEWS, 0.5)
        views.append(NewView(f"{number:03d}", Pixels(trace(pose, camera)[0]), camera, pose))
    write_capture(tmp_path, views)
    scene = Scene.open(tmp_path, device="cpu")
    scene.train(config=TINY)
    config = dataclasses.replace(QUICK, iterations=10, views_at_once=8, relevance=False)
    said: list[str] = []

    def stop(words: str, share: float, picture: object) -> None:
        said.append(words)
        batches = {words.split(",")[0] for words in said if words.startswith("Editing ")}
        if len(batches) == 2:  # of the first batch nothing may count yet
            raise Stop

    with pytest.raises(Stop):
        scene.edit(INSTRUCTION, editor, config=config, name="stopped", on_progress=stop)
    assert not scene.edited("stopped").views
    stopped = scene.edit(INSTRUCTION, editor, config=config, name="stopped")
    # all at once, before the first step
    assert [view.step for view in stopped.views] == [0] * len(scene.field.names)
    assert {view.after.shape for view in stopped.views} == {(24, 24, 3), (32, 32, 3)}
    assert {one.values.shape for one in stopped.maps()} == {(3, 3), (4, 4)}
    assert_same(stopped, scene.edit(INSTRUCTION, editor, config=config, name="whole"))


def test_the_papers_levels_are_drawn_from_all_of_the_range(scene: Scene, editor: Editor) -> None:
    config = dataclasses.replace(QUICK, first_level=None, iterations=50, relevance=False)
    levels = [view.noise_level for view in scene.edit(INSTRUCTION, editor, config=config).views]
    assert len(levels) == 23  # due every 2 of 50 steps, the last tenth left out
    assert 0.02 <= min(levels) < 0.3
    assert 0.7 < max(levels) <= 0.98


def test_the_scene_trains_on_edited_views_and_the_capture_stays(
    scene: Scene, editor: Editor
) -> None:
    before = {p: p.read_bytes() for p in scene.capture.folder.rglob("*") if p.is_file()}
    field = {n: v.clone() for n, v in scene.field.model.state_dict().items()}
    edit = scene.edit(INSTRUCTION, editor, config=QUICK)
    assert {p: p.read_bytes() for p in scene.capture.folder.rglob("*") if p.is_file()} == before
    assert all(torch.equal(v, field[n]) for n, v in scene.field.model.state_dict().items())
    assert edit.original_field is scene.field
    assert any(not torch.equal(v, field[n]) for n, v in parameters(edit).items())
    _, tensors = edit.checkpoint()
    sizes = [24 * 24] * len(scene.field.names)
    images = np.split(tensors["pixels"].numpy(), np.cumsum(sizes)[:-1])
    latest = {view.name: view.after for view in edit.views}
    for name, pixels in zip(scene.field.names, images, strict=True):
        expected = latest.get(name)
        if expected is None:
            expected = scene.capture.read(scene.capture.names.index(name)).image
        np.testing.assert_array_equal(pixels.reshape(24, 24, 3), expected)
    seen = edit.render(scene.camera(scene.capture.names[0]))
    assert seen.relevance is not None
    assert not np.array_equal(seen.rgb, scene.render(scene.camera(scene.capture.names[0])).rgb)


def maps_in_batches_of(views: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the maps of so many views, of 3 x 3 cells and with QUICK's seeds, be made at once."""
    cells = views * len(QUICK.relevance_seeds) * 3 * 3
    monkeypatch.setattr("backend.editing.relevance.CELLS_AT_ONCE", cells)


STOPS = {"Relevance of view 4": 3, "field, step 5 ": 1, "Editing ": 3, "Training, step 11 ": 1}
"""Moments, and how often an edit passes them that is stopped at each, three times at most."""


@pytest.mark.parametrize("views_at_once", [1, 4])
@pytest.mark.parametrize("moment", STOPS)
def test_a_stopped_edit_goes_on_bit_for_bit(
    scene: Scene,
    editor: Editor,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    views_at_once: int,
) -> None:
    maps_in_batches_of(2, monkeypatch)
    config = dataclasses.replace(QUICK, noise_range=(0.3, 0.9), views_at_once=views_at_once)
    stops = 0

    def stop(words: str, share: float, picture: object) -> None:
        nonlocal stops
        if moment in words and stops < 3:
            stops += 1
            raise Stop

    while not (scene.edits() and scene.edited("stopped").finished):
        with contextlib.suppress(Stop):
            scene.edit(INSTRUCTION, editor, config=config, name="stopped", on_progress=stop)
    assert stops == STOPS[moment]
    stopped = scene.edited("stopped")
    assert_same(stopped, scene.edit(INSTRUCTION, editor, config=config, name="whole"))


def test_depth_is_forgotten_inside_what_was_edited(editor: Editor, tmp_path: Path) -> None:
    """As an edit may change the shape: also after a stop, and under an edit on top."""
    capture, _ = orbit_capture(tmp_path / "capture", VIEWS, 24, depth_every=2)
    scene = Scene.open(capture.folder, device="cpu")
    scene.train(config=dataclasses.replace(TINY, hold_out_every=4))
    original = Views(capture.subset([capture.names.index(n) for n in scene.field.names])).distances
    assert original is not None

    def stop(words: str, share: float, picture: object) -> None:
        if "Training, step 11 " in words:
            raise Stop

    with pytest.raises(Stop):
        scene.edit(INSTRUCTION, editor, config=QUICK, name="low", on_progress=stop)
    low = scene.edit(INSTRUCTION, editor, config=QUICK, name="low")
    assert_same(low, scene.edit(INSTRUCTION, editor, config=QUICK, name="whole"))
    known = low.checkpoint()[1]["distances"]
    inside = np.zeros(len(known), bool)
    for view in {view.name: view for view in low.views}.values():
        at = scene.field.names.index(view.name) * 24 * 24
        inside[at : at + 24 * 24] = view.mask.ravel()
    assert (original[inside] > 0).any()
    np.testing.assert_array_equal(known, np.where(inside, 0, original))
    high = scene.edit("make the bear blue", editor, config=QUICK, name="high", base="low")
    assert (high.checkpoint()[1]["distances"][inside] == 0).all()


def test_a_finished_edit_is_there_at_once(scene: Scene, editor: Editor) -> None:
    edit = scene.edit(INSTRUCTION, editor, config=QUICK)

    def never(words: str, share: float, picture: object) -> None:
        raise AssertionError(words)

    assert_same(edit, scene.edit(INSTRUCTION, editor, config=QUICK, on_progress=never))
    again = Scene.open(scene.capture.folder, work=scene.work, device="cpu").edited(edit.name)
    assert again.name == "make-the-sphere-red"
    assert (again.instruction, again.base, again.threshold) == (INSTRUCTION, None, 0.5)
    assert again.applies == edit.applies
    assert again.asked.config == QUICK
    assert_same(edit, again)


def test_edits_are_stacked_and_undone(scene: Scene, editor: Editor) -> None:
    low = scene.edit(INSTRUCTION, editor, config=QUICK, name="low")
    high = scene.edit("make the bear blue", editor, config=QUICK, name="high", base="low")
    assert scene.edits() == ("low", "high")
    assert high.base == "low"
    # it begins where the other one ended, and its photos are the other one's edited views
    first = high.views[0]
    seen = low.render(scene.camera(first.name))
    np.testing.assert_array_equal(first.before, (seen.rgb * 255 + 0.5).astype(np.uint8))
    photo = {view.name: view.after for view in low.views}.get(first.name)
    if photo is None:
        photo = scene.capture.read(scene.capture.names.index(first.name)).image
    np.testing.assert_array_equal(first.after[~first.mask], photo[~first.mask])
    assert_same_parameters(high.original_field, low.field)
    with pytest.raises(EditError, match="high is stacked on low: undo that one first"):
        scene.undo("low")
    scene.undo("high")
    assert scene.edits() == ("low",)
    scene.undo("low")
    assert scene.edits() == ()
    with pytest.raises(EditError, match="no edit low: it has none"):
        scene.edited("low")


def assert_same_parameters(one: object, other: object) -> None:
    theirs = other.model.state_dict()  # type: ignore[attr-defined]
    for name, value in one.model.state_dict().items():  # type: ignore[attr-defined]
        assert torch.equal(value, theirs[name])


def test_without_the_field_each_views_own_map_counts(scene: Scene, editor: Editor) -> None:
    edit = scene.edit(INSTRUCTION, editor, config=dataclasses.replace(QUICK, relevance=False))
    assert edit.relevance is None
    assert edit.threshold is None  # each map had its own
    assert not (edit.folder / "relevance.json").exists()
    maps = dict(zip(scene.field.names, edit.maps(), strict=True))
    for view in edit.views:
        own = maps[view.name]
        np.testing.assert_array_equal(view.mask, own.at(24, 24) >= own.suggested_threshold)


def test_everything_is_edited_where_that_is_asked_for(
    scene: Scene, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Instruct-NeRF2NeRF does: without maps, field or prompt check."""
    monkeypatch.setattr(editor, "relevance_of_images", None)  # would end in a TypeError
    config = dataclasses.replace(QUICK, iterations=8, everything=True)
    edit = scene.edit(INSTRUCTION, editor, config=config)
    assert edit.finished
    assert (edit.threshold, edit.relevance, edit.applies, edit.maps()) == (None, None, None, [])
    assert edit.views
    assert all(view.mask.all() for view in edit.views)
    assert (edit.views[0].after != photo_of(scene, edit.views[0])).mean() > 0.9
    assert not any("relevant enough" in note for note in outcome_notes(edit, compare(scene, edit)))
    with pytest.raises(ValueError, match="leave it out"):
        scene.edit(INSTRUCTION, editor, 0.5, config, "other")
    both = dataclasses.replace(config, relevance=False)
    with pytest.raises(ValueError, match="ask for one alone"):
        scene.edit(INSTRUCTION, editor, config=both, name="other")


def test_a_method_of_ones_own_edits_a_scene(
    scene: Scene, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that edits no view, and only trains on: it needs a place in METHODS alone."""
    steps: list[int] = []

    class Waits(DatasetUpdate):
        def between_steps(self, step: int) -> None:
            steps.append(step)

    monkeypatch.setitem(METHODS, "waits", Waits)
    config = dataclasses.replace(QUICK, iterations=4, method="waits", everything=True)
    edit = scene.edit(INSTRUCTION, editor, config=config)
    assert edit.finished
    assert edit.views == ()
    assert max(steps) in (3, 4)
    with pytest.raises(ValueError, match=r"no method 'other': use dataset_update, .*waits"):
        scene.edit(INSTRUCTION, editor, config=dataclasses.replace(config, method="other"))


def test_maps_are_kept_raw_and_normalised_together(scene: Scene, editor: Editor) -> None:
    edit = scene.edit(INSTRUCTION, editor, config=QUICK)
    maps = edit.maps()
    for name, one in zip(scene.field.names, maps, strict=True):
        editor.set_image(scene.capture.read(scene.capture.names.index(name)).image)
        fresh = editor.relevance(INSTRUCTION, seeds=(0, 1))
        # those were made in one batch
        for key in ("raw", "values", "spread"):
            np.testing.assert_allclose(getattr(one, key), getattr(fresh, key), rtol=1e-3, atol=1e-5)
        assert (one.extent, one.applies) == (fresh.extent, fresh.applies)
        assert one.evidence == pytest.approx(fresh.evidence, abs=1e-4)
    together = normalise_together([one.raw for one in maps])
    assert min(values.min() for values in together) == 0
    assert max(values.max() for values in together) == 1
    assert sum(values.max() == 1 for values in together) == 1


def test_views_with_alpha_are_edited_where_they_show_something(
    scene: Scene, editor: Editor, tmp_path: Path
) -> None:
    folder = tmp_path / "alpha"
    capture, truth = orbit_capture(folder, VIEWS, 24)
    for stored, distance in zip(capture.views, truth.distances, strict=True):
        with Image.open(stored.image) as file:
            image = np.asarray(file)
        alpha = np.where(np.isfinite(distance), 255, 0).astype(np.uint8)
        Image.fromarray(np.dstack([image, alpha])).save(stored.image)
    clear = Scene.open(folder, device="cpu")
    clear.train(config=TINY)
    edit = clear.edit(INSTRUCTION, editor, config=QUICK)
    assert edit.views
    for view in edit.views:
        pixels = clear.capture.read(clear.capture.names.index(view.name))
        assert pixels.alpha is not None
        assert not view.mask[pixels.alpha == 0].any()
        assert not view.after[pixels.alpha == 0].any()
    _, tensors = edit.checkpoint()
    alphas = tensors["pixels"][:, 3]
    assert set(alphas.unique().tolist()) == {0, 255}


def test_rounds_limit_the_edits_and_training_goes_on(scene: Scene, editor: Editor) -> None:
    config = dataclasses.replace(QUICK, iterations=40, relevance=False)
    for rounds in (1, 2):
        edit = scene.edit(
            INSTRUCTION,
            editor,
            config=dataclasses.replace(config, rounds=rounds),
            name=f"rounds-{rounds}",
        )
        names = [view.name for view in edit.views]
        assert sorted(names) == sorted(scene.field.names * rounds)
        assert edit.checkpoint()[0]["step"] == 40
