"""Edits whose views are made consistent before the field learns from them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from backend.editing import Editor
from backend.scenes import Scene, SceneEdit
from backend.scenes.camera import View
from backend.scenes.methods import correspondence
from backend.scenes.methods.dataset_update import EditedView

from .quick_edit import INSTRUCTION, QUICK

CONSISTENT = dataclasses.replace(QUICK, method="consistent_views", relevance=False)
EVERYTHING = dataclasses.replace(QUICK, method="consistent_views", everything=True)
VIEWS, SIZE = 6, 24  # 2 of the 8 are held out
ROUGHLY = 0.5
"""Of the distance: a field that is trained for a moment only does not know its depth."""


class Stop(Exception):
    """What a person's Cancel raises."""


def pictures(edit: SceneEdit) -> np.ndarray:
    """uint8 (n, H, W, 3): what the field was trained on at the end."""
    return edit.checkpoint()[1]["pixels"].numpy().reshape(VIEWS, SIZE, SIZE, 3)


def assert_same(one: SceneEdit, other: SceneEdit) -> None:
    theirs = other.field.model.state_dict()
    for name, value in one.field.model.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    np.testing.assert_array_equal(pictures(one), pictures(other))
    assert [dataclasses.replace(view, folder=other.folder) for view in one.views] == [
        dataclasses.replace(view, folder=other.folder) for view in other.views
    ]


def median_of(
    scene: Scene,
    kept: dict[str, EditedView],
    seen: dict[str, View],
    name: str,
    row: int,
    column: int,
) -> np.ndarray:
    """What all edited views show of the point that a pixel shows, in plain numpy, float64 (3,)."""
    camera = scene.camera(name)
    lens = camera.intrinsics
    ray = camera.pose[:3, :3] @ np.array(
        [(column + 0.5 - lens.cx) / lens.fx, -(row + 0.5 - lens.cy) / lens.fy, -1]
    )
    distance = seen[name].depth[row, column]
    point = camera.pose[:3, 3] + distance * ray / np.linalg.norm(ray)
    votes = [kept[name].after[row, column].astype(np.float64)]
    for other, view in kept.items():
        if other == name:
            continue
        pose = scene.camera(other).pose
        local = pose[:3, :3].T @ (point - pose[:3, 3])
        if local[2] >= 0:
            continue
        u = lens.cx + lens.fx * local[0] / -local[2] - 0.5
        v = lens.cy - lens.fy * local[1] / -local[2] - 0.5
        length, total, weight = np.linalg.norm(local), np.zeros(3), 0.0
        for r in (int(np.floor(v)), int(np.floor(v)) + 1):
            for c in (int(np.floor(u)), int(np.floor(u)) + 1):
                if not (0 <= r < SIZE and 0 <= c < SIZE) or not view.mask[r, c]:
                    continue
                if abs(seen[other].depth[r, c] - length) <= ROUGHLY * length:
                    share = (1 - abs(u - c)) * (1 - abs(v - r))
                    total += share * view.after[r, c]
                    weight += share
        if weight >= 0.5:
            votes.append(total / weight)
    return np.median(votes, axis=0)


def test_pixels_have_what_all_views_show_of_the_same_point(
    scene: Scene, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correspondence, "TOLERANCE", ROUGHLY)
    config = dataclasses.replace(EVERYTHING, iterations=12, steps=1)
    edit = scene.edit(INSTRUCTION, editor, config=config)
    names = scene.field.names
    kept = {view.name: view for view in edit.views}
    seen = {name: scene.render(scene.camera(name)) for name in names}
    assert [view.count for view in edit.views] == list(range(VIEWS))  # each once
    assert [view.step for view in edit.views] == list(range(VIEWS))
    assert {view.noise_level for view in edit.views} == {QUICK.first_level}
    shown = pictures(edit)
    rng = np.random.default_rng(0)
    brought, off = 0, []
    for view in edit.views:
        index = names.index(view.name)
        # the field has not learnt before all views are there
        np.testing.assert_array_equal(view.before, seen[view.name].image)
        places = np.argwhere(view.mask)
        for row, column in places[rng.integers(len(places), size=8)]:
            expected = median_of(scene, kept, seen, view.name, row, column)
            off.append(np.abs(shown[index, row, column] - expected).max())
            brought += (shown[index, row, column] != view.after[row, column]).any()
    assert brought > 10  # not as they were edited
    assert np.mean(np.array(off) <= 1) > 0.95  # but for points at the very edge of what is seen
    theirs = scene.field.model.state_dict()
    changed = [not torch.equal(v, theirs[n]) for n, v in edit.field.model.state_dict().items()]
    assert any(changed)


def test_a_level_that_is_not_given_is_the_highest_and_the_rest_stays_the_photos(
    scene: Scene, editor: Editor
) -> None:
    config = dataclasses.replace(
        CONSISTENT, first_level=None, noise_range=(0.3, 0.7), iterations=6, steps=1
    )
    edit = scene.edit(INSTRUCTION, editor, config=config)
    assert {view.noise_level for view in edit.views} == {0.7}
    # half of the steps are left to the field, however few there are
    assert [view.step for view in edit.views] == [0, 0, 1, 1, 2, 2]
    for view in edit.views:  # outside the region every byte is the photo's
        shown = pictures(edit)[scene.field.names.index(view.name)]
        photo = scene.capture.read(scene.capture.names.index(view.name)).image
        np.testing.assert_array_equal(shown[~view.mask], photo[~view.mask])
        assert not view.mask.all()


MOMENTS = ("Editing 2 views, edit 3", "Depth of view 2", "Bringing view 3", "Training, step 9 ")


def test_an_edit_that_is_stopped_at_every_part_goes_on_bit_for_bit(
    scene: Scene, editor: Editor
) -> None:
    config = dataclasses.replace(EVERYTHING, iterations=10, steps=1, views_at_once=2)
    left, shares = set(MOMENTS), []

    def stop(words: str, share: float, picture: object) -> None:
        shares.append(share)
        for moment in MOMENTS:
            if moment in words and moment in left:
                left.remove(moment)
                raise Stop

    for _ in MOMENTS:
        with pytest.raises(Stop):
            scene.edit(INSTRUCTION, editor, config=config, name="stopped", on_progress=stop)
    stopped = scene.edit(INSTRUCTION, editor, config=config, name="stopped", on_progress=stop)
    assert not left
    assert max(shares) == pytest.approx(1)
    assert_same(stopped, scene.edit(INSTRUCTION, editor, config=config, name="whole"))
