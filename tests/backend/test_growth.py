"""Edits that put something where nothing is: the hull of the maps, and whether it is used."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from backend.captures.lens import Intrinsics
from backend.editing.relevance import perfect_map
from backend.evaluation.scenes.scene_figures import iou
from backend.evaluation.scenes.scene_world import draw
from backend.evaluation.scenes.true_editor import TrueEditor, spoiled
from backend.evaluation.scenes.true_edits import truths_of
from backend.fields.calibration import Calibration
from backend.fields.config import RelevanceConfig, SceneEditConfig
from backend.fields.facts import CheckpointError
from backend.fields.radiance_field import RadianceField, Rendering
from backend.fields.relevance_field import Relevance, RelevanceField
from backend.scenes import edit_region
from backend.scenes.edit_records import MIDDLE
from backend.scenes.methods import growth
from backend.scenes.methods.growth import Growth, growth_of
from backend.scenes.methods.hull import Hull, MarkedView, carve
from backend.scenes.outcome import compare
from backend.scenes.scene import Scene
from backend.world import world

from .tiny_capture import orbit_pose, trace
from .tiny_field import TINY

SIDE = 32
CAMERA = Intrinsics(40.0, 40.0, SIDE / 2, SIDE / 2, SIDE, SIDE)
SCALE = 0.2
"""Box units in a unit of the tiny capture, whose cameras then lie in the box."""
BALL = (0.0, 0.0, 1.5), 0.3
"""Centre and radius of what is to be put on top of the red sphere: it floats."""


@dataclasses.dataclass(frozen=True)
class Seen:
    """A view of the two spheres: where it would show the ball, and where it shows the red one."""

    pose: NDArray[np.float64]
    distances: NDArray[np.float32]
    ball: NDArray[np.bool_]
    sphere: NDArray[np.bool_]

    def marked(self, marks: NDArray[np.bool_]) -> MarkedView:
        return MarkedView(self.pose, CAMERA, marks, self.distances)


def _seen(azimuth: float, elevation: float) -> Seen:
    pose = orbit_pose(azimuth, elevation)
    _, sphere, distance = trace(pose, CAMERA)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    rays = CAMERA.directions(np.stack([columns, rows], -1)) @ pose[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    offset = pose[:3, 3] - BALL[0]
    ball = (rays @ offset) ** 2 - offset @ offset + BALL[1] ** 2 > 0
    pose[:3, 3] *= SCALE
    far = np.where(np.isfinite(distance), distance, 1e3) * SCALE
    return Seen(pose, far.astype(np.float32), ball, sphere)


VIEWS = [_seen(2 * np.pi * k / 16, (0.3, 0.7)[k % 2]) for k in range(16)]
HELD_OUT = [_seen(2 * np.pi * (k + 0.5) / 8, 0.5) for k in range(8)]


def _carved(marks: list[NDArray[np.bool_]]) -> Hull:
    """The hull that fits its own marks best."""
    views = [view.marked(one) for view, one in zip(VIEWS, marks, strict=True)]
    fits = [
        (np.mean([iou(_in_air(hull, v), m) for v, m in zip(VIEWS, marks, strict=True)]), hull)
        for hull in carve(views)
    ]
    return max(fits, key=lambda one: one[0])[1]


def _in_air(hull: Hull, view: Seen) -> NDArray[np.bool_]:
    return hull.seen_from(view.pose, CAMERA, view.distances)


def test_maps_of_a_floating_ball_agree_on_the_ball() -> None:
    hull = _carved([view.ball for view in VIEWS])
    found = [iou(_in_air(hull, view), view.ball) for view in HELD_OUT]
    assert np.mean(found) > 0.85
    assert min(found) > 0.75
    middle = torch.tensor([BALL[0]]) * SCALE
    assert float(hull.at(middle.float())) == pytest.approx(1)
    assert float(hull.at(torch.tensor([[0.0, 0.0, 0.0]]))) == 0


def test_maps_with_noise_and_holes_agree_on_most_of_the_ball() -> None:
    rng = np.random.default_rng(0)
    noisy = [spoiled(view.ball.astype(np.float32), rng) >= 0.5 for view in VIEWS]
    hull = _carved(noisy)
    assert np.mean([iou(_in_air(hull, view), view.ball) for view in HELD_OUT]) > 0.4


def test_maps_of_what_is_there_agree_on_hardly_any_air() -> None:
    for hull in carve([view.marked(view.sphere) for view in VIEWS]):
        air = sum(int(_in_air(hull, view).sum()) for view in HELD_OUT)
        assert air < 0.1 * sum(int(view.sphere.sum()) for view in HELD_OUT)


def test_a_mark_of_few_views_is_no_place() -> None:
    nothing = np.zeros((SIDE, SIDE), bool)
    views = [view.marked(view.ball if k < 2 else nothing) for k, view in enumerate(VIEWS)]
    assert carve(views) == []


def test_a_hull_is_kept_and_its_damage_named(tmp_path: Path) -> None:
    hull = _carved([view.ball for view in VIEWS])
    hull.save(tmp_path / "hull.npz")
    again = Hull.load(tmp_path / "hull.npz")
    np.testing.assert_array_equal(again.inside, hull.inside)
    np.testing.assert_array_equal([again.low, again.high], [hull.low, hull.high])
    (tmp_path / "hull.npz").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"hull\.npz is missing or damaged: undo the edit"):
        Hull.load(tmp_path / "hull.npz")


def test_what_has_grown_is_relevant_by_the_fields_own_scale() -> None:
    field = RelevanceField(RelevanceConfig(levels=2, log2_table_size=8))
    known = Calibration(0.1, 0.6, 0.9)
    relevance = Relevance(field, known, lambda at: (at[..., :1] > 0).float())
    places = torch.tensor([[[-0.5, 0.0, 0.0]], [[0.5, 0.0, 0.0]]])
    weights = torch.ones(2, 1, 1)
    with torch.no_grad():
        found = relevance.composite(places, weights)
        assert float(found[0]) == float(field.composite(places, weights)[0])
    assert known.of(found[1].numpy()) == pytest.approx(1)
    # where the middle is the highest, too: the outline, and rays that are not quite opaque
    highest = relevance.grown(lambda at: torch.full_like(at[..., :1], 0.9), 1.0)
    with torch.no_grad():
        assert (
            highest.calibration.of(highest.composite(places, 0.7 * weights).numpy()) > 0.5
        ).all()
    assert highest.calibration.middle == known.high


# whether it is used


class Shown:
    """What `growth_of` asks of a radiance field and its views, which show the two spheres."""

    device = torch.device("cpu")

    def __init__(self, alpha: bool) -> None:
        self.alpha = alpha
        self.names = [str(k) for k in range(len(VIEWS))]
        self.poses = [view.pose for view in VIEWS]
        self.intrinsics = [CAMERA] * len(VIEWS)
        self.rays = self

    def shape(self, view: int) -> tuple[int, int]:
        return SIDE, SIDE

    def corrected(self, pose: NDArray[np.float64], name: str) -> NDArray[np.float64]:
        return pose


def _grown(
    monkeypatch: pytest.MonkeyPatch,
    marks: list[NDArray[np.bool_]],
    surfaces: Sequence[NDArray[Any]],
    things: Sequence[NDArray[np.uint16]] | None = None,
    alpha: bool = False,
) -> Growth | None:
    """What is decided for maps of marks whose field finds surfaces."""

    def shaded(*asked: object) -> Iterator[NDArray[np.float32]]:
        for view, found in zip(VIEWS, surfaces, strict=True):
            seen = np.zeros((SIDE * SIDE, 6), np.float32)
            seen[:, 3], seen[:, 5] = view.distances.ravel(), found.ravel()
            yield seen

    monkeypatch.setattr(growth, "shaded", shaded)
    field = RelevanceField(RelevanceConfig(levels=2, log2_table_size=8))
    relevance = Relevance(field, Calibration(0.0, 0.5, 1.0))
    maps = [perfect_map(one.astype(np.float32)) for one in marks]
    shown = Shown(alpha)
    labels = [None] * len(VIEWS) if things is None else things
    return growth_of(relevance, 0.5, maps, "full", shown, shown, labels, lambda *at: None)  # type: ignore


def test_a_scene_grows_where_surfaces_do_not_explain_the_maps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    balls = [view.ball for view in VIEWS]
    nothing = [np.zeros_like(ball) for ball in balls]
    found = _grown(monkeypatch, balls, nothing)
    assert found is not None
    assert np.mean([iou(_in_air(found.hull, view), view.ball) for view in HELD_OUT]) > 0.85
    assert found.middle == 0.5
    assert found.why.startswith("The scene may grow where nothing is yet")
    assert found.why.endswith("than with surfaces alone (0.00).")
    clear = _grown(monkeypatch, balls, nothing, alpha=True)
    assert clear is not None
    assert clear.why.endswith("it can appear only before what they show.")
    # a field whose middle is too low marks the floor behind the ball all around
    wrong = [np.float32(0.55) * (view.distances < 100) for view in VIEWS]
    found = _grown(monkeypatch, balls, wrong)
    assert found is not None
    assert found.middle >= 0.6


def test_a_scene_does_not_grow_where_surfaces_explain_the_maps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spheres = [view.sphere for view in VIEWS]
    assert _grown(monkeypatch, spheres, spheres) is None
    assert _grown(monkeypatch, [np.zeros_like(one) for one in spheres], spheres) is None


def test_whole_things_explain_maps_before_places_in_the_air_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A field that finds a thing's lower part only, of which most views' marks show the rest."""
    balls = [view.ball for view in VIEWS]
    lower = [ball & (np.cumsum(ball, axis=0) > 2) for ball in balls]
    assert _grown(monkeypatch, balls, lower) is not None
    labels = [ball.astype(np.uint16) for ball in balls]
    assert _grown(monkeypatch, balls, lower, labels) is None


QUICK = SceneEditConfig(
    iterations=6,
    edit_every=1,
    rounds=1,
    relevance_field=RelevanceConfig(iterations=4, rays=64, levels=2, log2_table_size=8),
)


def _edited(folder: Path) -> tuple[Scene, TrueEditor, Hull]:
    """A scene that is trained a little, who edits it, and a cube that all cameras look through."""
    drawn = draw(world.VALIDATION_SEEDS[0], views=6, side=SIDE)
    assert drawn is not None
    drawn.write(folder / "scene")
    scene = Scene.open(folder / "scene", device="cpu")
    scene.train(config=TINY)
    cube = Hull(np.ones((4, 4, 4), np.float32), *np.float32([[-0.2] * 3, [0.2] * 3]))
    return scene, TrueEditor(truths_of(drawn), 1), cube


def test_an_edit_keeps_its_growth_and_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, editor, cube = _edited(tmp_path)
    asked, looked = [], []

    def found(*given: object) -> Growth:
        asked.append(given)
        return Growth(cube, 0.8, "It grows.")

    monkeypatch.setattr(edit_region, "growth_of", found)
    config = dataclasses.replace(QUICK, iterations=12)

    class Stopped(Exception):
        pass

    def stop(words: str, share: float, picture: object) -> None:
        if words.startswith("Looking where the scene may grow"):
            looked.append(words)
        if words.startswith("Training, step 5"):
            raise Stopped

    with pytest.raises(Stopped):
        scene.edit("x", editor, config=config, name="grown", on_progress=stop)
    views = len(scene.field.names)
    assert [words.split(", ")[1] for words in looked] == [
        f"view {number + 1} of {views}" for number in range(views)
    ]
    with monkeypatch.context() as kept:
        kept.setattr(Hull, "entered_from", None)  # it takes seconds for a large view
        grown = scene.edit("x", editor, config=config, name="grown")
    assert len(asked) == 1
    assert grown.snap is not None
    assert (grown.snap.grows, grown.snap.took, grown.snap.why) == (True, "edges", "It grows.")
    assert grown.snap.middle == 0.8
    assert grown.relevance is not None
    assert grown.relevance.growth is not None
    for one in grown.views:
        index = scene.capture.names.index(one.name)
        pose = scene.field.corrected(scene.capture.camera_to_box[index], one.name)
        near = np.full((SIDE, SIDE), 0.5, np.float32)  # no surface is before that
        assert one.mask[cube.seen_from(pose, scene.capture.intrinsics[index], near)].all()
    for shown in compare(scene, grown):  # what is told of the region is of all of it
        assert shown.relevance is not None
        np.testing.assert_array_equal(shown.relevance >= MIDDLE, shown.region)
    at_once = scene.edit("x", editor, config=config, name="at-once")
    for name, value in grown.field.model.state_dict().items():
        np.testing.assert_array_equal(value, at_once.field.model.state_dict()[name])

    scene.edit("x", editor, config=dataclasses.replace(config, grow=False), name="not-grown")
    assert len(asked) == 2


def test_what_appears_leaves_the_region_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Specks right before the cameras hide nothing of the places where the scene may grow."""
    scene, editor, cube = _edited(tmp_path)
    monkeypatch.setattr(edit_region, "growth_of", lambda *given: Growth(cube, 0.8, "It grows."))
    render = RadianceField.render

    def hidden(self: RadianceField, *given: Any) -> Rendering:
        found = render(self, *given)
        nothing = np.zeros_like(found.depth)
        relevance = None if found.relevance is None else nothing
        return dataclasses.replace(found, depth=nothing, relevance=relevance)

    expected = {}
    for index, name in enumerate(scene.capture.names):
        pose = scene.field.corrected(scene.capture.camera_to_box[index], name)
        camera = scene.capture.intrinsics[index]
        expected[name] = cube.seen_from(pose, camera, scene.field.render(pose, camera).depth)
    monkeypatch.setattr(RadianceField, "render", hidden)
    edit = scene.edit("x", editor, config=QUICK, name="grown")
    assert edit.views
    for one in edit.views:
        assert one.mask.any()
        np.testing.assert_array_equal(one.mask, expected[one.name])
