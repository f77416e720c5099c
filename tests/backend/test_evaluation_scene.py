"""Figures of fields and 3D edits: on answers whose figures are known, and the command."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from backend.__main__ import main
from backend.editing.encoders import normalised
from backend.errors import BadInput
from backend.evaluation.edits import SAME
from backend.evaluation.scenes import clip_figures, mesh_distance, scene_figures, scene_world
from backend.evaluation.scenes.scene import open_scene
from backend.evaluation.scenes.scene_world import HELD_OUT, WorldScene, ball_around, draw
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.scenes.camera import Camera, View
from backend.scenes.scene import Scene
from backend.world import render, world
from backend.world.cameras import project

from .quick_edit import LEAST
from .random_lpips import save_weights
from .tiny_field import TINY

SIDE = 48


@pytest.fixture(scope="module")
def drawn() -> WorldScene:
    found = draw(world.VALIDATION_SEEDS[5], views=8, side=SIDE)
    assert found is not None
    return found


class Oracle:
    """A scene, or an edit of it, that renders what the world truly shows, or a variant of it."""

    def __init__(self, drawn: WorldScene, colour: str | None = None, error: float = 0.0) -> None:
        self.drawn, self.colour, self.error = drawn, colour, error

    def render(self, camera: Camera, relevance: object = None) -> View:
        all_views = [*self.drawn.captured, *self.drawn.held_out, *self.drawn.elsewhere]
        picture = next(
            (v.rendering for v in all_views if np.array_equal(v.camera.pose, camera.pose)), None
        )
        empty = np.zeros((SIDE, SIDE), np.float32)
        if picture is None:  # on the flight
            return View(np.full((SIDE, SIDE, 3), 0.5, np.float32), empty, None, empty)
        target = self.drawn.target
        image = picture.image
        if self.colour is not None:
            surface = world.painted(world.surface_of(self.drawn.scene, target), self.colour)
            image = picture.recoloured(target, surface)
        truth = picture.coverage(target) > 0.5
        shown = image / np.float32(255) + np.float32(self.error)
        return View(shown.astype(np.float32), empty, truth.astype(np.float32), empty)


# the scenes


def test_a_scene_shows_what_it_says(drawn: WorldScene) -> None:
    assert len(drawn.scene.things) > 1
    assert len(drawn.captured) == 8
    assert drawn.edit.kind == "recolour"
    assert drawn.edit.colour != drawn.scene.things[drawn.target].surface.colour
    for view in drawn.held_out:
        assert view.shows(drawn.target).mean() > 0.01
    assert len(drawn.held_out) == len(drawn.elsewhere) == HELD_OUT
    for beside, view in zip(drawn.elsewhere, drawn.held_out, strict=True):
        assert not beside.rendering.coverage(drawn.target).any()
        np.testing.assert_allclose(beside.camera.pose[:3, 3], view.camera.pose[:3, 3])
    places = [v.camera.pose[:3, 3] for v in (*drawn.captured, *drawn.held_out)]
    apart = [np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[i + 1 :]]
    assert min(apart) > 0.3


def test_every_view_frames_all_things(drawn: WorldScene) -> None:
    for view in (*drawn.captured, *drawn.held_out):
        for thing in drawn.scene.things:
            (u, v), ahead = project(view.rendering.camera, np.array([thing.position]).T, SIDE, SIDE)
            assert ahead[0] > 0
            assert 0 < u[0] < SIDE
            assert 0 < v[0] < SIDE
    middle, radius = ball_around(drawn.scene.things)
    for thing in drawn.scene.things:
        assert np.linalg.norm(np.subtract(thing.position, middle)) + thing.size <= radius + 1e-9


def test_the_capture_is_what_was_drawn(drawn: WorldScene, tmp_path: Path) -> None:
    drawn.write(tmp_path)
    capture = Scene.open(tmp_path, device="cpu").capture
    assert len(capture) == 8
    for number, view in enumerate(drawn.captured):
        np.testing.assert_allclose(capture.camera_to_world[number], view.camera.pose)
        assert capture.intrinsics[number] == view.camera.intrinsics
        pixels = capture.read(number)
        np.testing.assert_array_equal(pixels.image, view.image)
        assert pixels.depth is None


def test_the_depth_is_that_of_the_surfaces(drawn: WorldScene, tmp_path: Path) -> None:
    """What a pixel's centre shows lies on a thing or on the ground, and the sky has none."""
    drawn.write(tmp_path, depth=True)
    capture = Scene.open(tmp_path, device="cpu").capture
    for number in (0, 3):
        depth = capture.read(number).depth
        assert depth is not None
        camera, shown = capture.intrinsics[number], drawn.captured[number]
        ids = render.render(drawn.scene, shown.rendering.camera, SIDE, SIDE, supersample=1).ids
        np.testing.assert_array_equal(depth > 0, ids != render.BACKGROUND)
        rows, columns = np.nonzero(depth)
        rays = camera.directions(np.stack([columns, rows], -1) + 0.5)
        local = rays * depth[rows, columns][:, None]
        pose = capture.camera_to_world[number]
        places = local @ pose[:3, :3].T + pose[:3, 3]
        things, ground = mesh_distance.true_distances(drawn.scene, places)
        assert np.quantile(np.minimum(things, ground), 0.99) < 0.01


def test_scenes_of_one_thing_are_none_and_seeds_fix_the_rest(drawn: WorldScene) -> None:
    single = next(
        seed
        for seed in world.VALIDATION_SEEDS
        if len(scene_world.sampling.sample_scene(np.random.default_rng(seed))[0].things) == 1
    )
    assert draw(single, views=8, side=SIDE) is None
    again = draw(drawn.seed, views=8, side=SIDE)
    assert again is not None
    assert (again.scene, again.edit) == (drawn.scene, drawn.edit)


# the figures


def test_a_perfect_field_has_perfect_figures(drawn: WorldScene) -> None:
    class Maps:
        suggested_threshold = 0.5

        def at(self, height: int, width: int) -> np.ndarray:
            return np.ones((height, width), np.float32)

    class Fields(Oracle):
        class field:  # noqa: N801  stands for an object
            names = ("images/00.png", "images/01.png")

        class capture:  # noqa: N801
            names = ("images/00.png", "images/01.png")

    located = scene_figures.Located(None, [Maps(), Maps()], [Maps()] * HELD_OUT)  # type: ignore[arg-type,list-item]
    figures = scene_figures.relevance(Fields(drawn), drawn, located)  # type: ignore[arg-type]
    assert figures["IoU"] == figures["IoU at the best threshold"] == 1
    assert figures["dark"] == figures["dark, worst view"] == 0
    share = np.mean([view.shows(drawn.target).mean() for view in drawn.held_out])
    assert figures["IoU of single maps"] == pytest.approx(share, abs=1e-3)
    assert figures["gain over single maps"] == pytest.approx(figures["IoU"] - share, abs=2e-3)


def test_psnr_in_floats(drawn: WorldScene) -> None:
    off = scene_figures.reconstruction(Oracle(drawn, error=0.01), drawn)  # type: ignore[arg-type]
    assert off["PSNR"] == pytest.approx(40, abs=1e-3)
    assert off["PSNR, worst view"] == pytest.approx(40, abs=1e-3)
    shown, true = np.zeros((2, 2, 3), np.float32), np.full((2, 2, 3), 0.001, np.float32)
    assert scene_figures.psnr(shown, true) == pytest.approx(60)
    where = np.array([[True, False], [False, False]])
    true[0, 0] = 0.1
    assert scene_figures.psnr(shown, true, where) == pytest.approx(20, abs=1e-5)


def test_the_true_edit_succeeds_and_none_does_not(drawn: WorldScene) -> None:
    scene = Oracle(drawn)
    right = scene_figures.edited(scene, drawn, Oracle(drawn, drawn.edit.colour))  # type: ignore[arg-type]
    assert right["colour"] == right["colour, to half a stop"] == 1
    assert right["direction similarity"] == pytest.approx(1, abs=1e-3)
    assert right["PSNR outside"] == right["PSNR inside"] == SAME
    assert right["PSNR outside, pooled"] == SAME
    assert right["IoU"] == 1
    none = scene_figures.edited(scene, drawn, Oracle(drawn))  # type: ignore[arg-type]
    assert none["colour"] == none["colour, to half a stop"] == none["direction similarity"] == 0
    spilt = scene_figures.edited(scene, drawn, Oracle(drawn, drawn.edit.colour, 0.1))  # type: ignore[arg-type]
    assert spilt["PSNR outside"] == pytest.approx(20, abs=1e-3)
    assert spilt["PSNR inside"] == pytest.approx(20, abs=1e-3)
    assert none["PSNR inside"] < spilt["PSNR inside"]
    assert spilt["PSNR outside, pooled"] == pytest.approx(20, abs=1e-3)
    assert 0 < spilt["direction similarity"] < 0.95


def test_single_edits_count_against_the_views_that_they_are_of(drawn: WorldScene) -> None:
    """Two of three are right, one of them of a view whose place in the capture is not its turn."""
    target, surface = drawn.target, world.surface_of(drawn.scene, drawn.target)
    asked = world.painted(surface, drawn.edit.colour)

    class Kept:
        def __init__(self, number: int, image: np.ndarray) -> None:
            self.name, self.after = names[number], image
            self.mask = pictures[number].coverage(target) > (0.5 if number else -1)

    names = [f"images/{number:02d}.png" for number in range(len(drawn.captured))]
    pictures = [view.rendering for view in drawn.captured]
    right = [Kept(number, pictures[number].recoloured(target, asked)) for number in (3, 0)]
    wrong = Kept(1, pictures[1].image)
    scene = types.SimpleNamespace(capture=types.SimpleNamespace(names=names))
    edit = types.SimpleNamespace(views=[*right, wrong])
    figures = scene_figures.edited_views(scene, drawn, edit)  # type: ignore[arg-type]
    assert figures["colour of the single edits"] == pytest.approx(2 / 3)
    inside = pictures[1].coverage(target) > 0.5
    off = pictures[1].recoloured(target, asked)[inside] - pictures[1].image[inside].astype(float)
    each = [SAME, SAME, 10 * np.log10(255**2 / (off**2).mean())]
    assert figures["PSNR inside of the single edits"] == pytest.approx(np.mean(each), abs=1e-3)
    shares = [1, (pictures[0].coverage(target) > 0.5).mean(), 1]
    assert figures["IoU of the single edits"] == pytest.approx(np.mean(shares))


def test_consistency_is_one_for_the_same_change_and_falls_with_flicker(drawn: WorldScene) -> None:
    rng = np.random.default_rng(0)
    base = rng.random((SIDE, SIDE, 3), np.float32)

    class Frames:
        def __init__(self, flicker: float, change: float) -> None:
            self.flicker, self.change = flicker, change

        def render(self, camera: Camera) -> View:
            noise = rng.standard_normal(base.shape).astype(np.float32)
            empty = np.zeros((SIDE, SIDE), np.float32)
            return View(base + self.change + self.flicker * noise, empty, None, empty)

    def figures(flicker: float) -> dict[str, float]:
        return scene_figures.consistency(Frames(0, 0), drawn, Frames(flicker, 0.2))  # type: ignore[arg-type]

    still = figures(0)
    assert still["frame consistency"] == pytest.approx(1)
    assert still["edit consistency"] == pytest.approx(1)
    slight, strong = figures(0.1), figures(0.4)
    for name in ("frame consistency", "edit consistency"):
        assert 1 > slight[name] > strong[name] > 0
    # a flicker of 0.1 on a change of 0.2: 4 parts of 5 are common
    assert slight["edit consistency"] == pytest.approx(0.8, abs=0.03)


def test_an_encoder_is_asked_for_the_captions_and_pictures_of_the_same_views(
    drawn: WorldScene,
) -> None:
    """One whose axes are shares of red, green, blue, to which a caption is its new colour."""

    class Colours:
        name = "colours"

        def images(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
            means = np.array([one.mean((0, 1)) for one in pictures], np.float32)
            return normalised(means)

        def texts(self, texts: Sequence[str]) -> np.ndarray:
            assert len(texts) == HELD_OUT
            asked.append(texts)
            return normalised(np.array([[len(text), 1, 2] for text in texts], np.float32))

    asked: list[Sequence[str]] = []
    scene, edit = Oracle(drawn), Oracle(drawn, drawn.edit.colour)
    found = clip_figures.edited(scene, drawn, edit, Colours())  # type: ignore[arg-type]
    before, after = asked
    things = len(drawn.scene.things)
    for number, view in enumerate(drawn.held_out):
        shares = [(view.rendering.ids == render.id_of(i)).mean() for i in range(things)]
        shown = [i for i, share in enumerate(shares) if share > 0.01]
        for thing in (drawn.scene.things[i].shape for i in shown):
            assert thing in before[number]
        assert drawn.edit.colour in after[number]
    old = np.array([view.image.mean((0, 1)) for view in drawn.held_out])
    new = np.array([np.round(255 * drawn.true_edit(view)).mean((0, 1)) for view in drawn.held_out])
    cosines = (old * new).sum(1) / np.linalg.norm(old, axis=1) / np.linalg.norm(new, axis=1)
    assert found["image similarity, colours"] == pytest.approx(cosines.mean(), abs=1e-5)
    assert found["frame similarity, colours"] > 0.9
    none = clip_figures.edited(scene, drawn, scene, Colours())  # type: ignore[arg-type]
    assert none["direction similarity, colours"] == none["edit similarity, colours"] == 0


def test_a_flight_is_smooth_and_looks_at_the_scene(drawn: WorldScene) -> None:
    cameras = scene_figures.flight(drawn)
    np.testing.assert_allclose(cameras[0].pose, drawn.held_out[0].camera.pose)
    middle = np.array(drawn.held_out[0].rendering.camera.target)
    places = np.array([camera.pose[:3, 3] for camera in cameras])
    reach = np.linalg.norm(places - middle, axis=1)
    np.testing.assert_allclose(reach, reach[0])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0])
    for camera, place in zip(cameras, places, strict=True):
        np.testing.assert_allclose(-camera.pose[:3, 2], (middle - place) / reach[0], atol=1e-9)


# the command


@pytest.mark.parametrize(
    ("views", "side", "said"),
    [
        (6, 32, "has 4 views of 32x32 pixels, not 6 views of 32x32 as asked for: name another"),
        (3, 32, "has 4 views of 32x32 pixels, not 3 views of 32x32 as asked for: name another"),
        (4, 48, "has 4 views of 32x32 pixels, not 4 views of 48x48 as asked for: name another"),
    ],
)
def test_a_capture_of_other_views_is_not_gone_on_with(
    views: int, side: int, said: str, tmp_path: Path
) -> None:
    """Its pictures would be taken for those of other cameras."""
    seed = world.VALIDATION_SEEDS[5]
    for asked in (draw(seed, 4, 32), draw(seed, 4, 32)):  # there is none yet, and there is one
        assert asked is not None
        assert len(open_scene(asked, tmp_path / "scene", False, "cpu").capture) == 4
    other = draw(seed, views, side)
    assert other is not None
    with pytest.raises(BadInput, match=said):
        open_scene(other, tmp_path / "scene", False, "cpu")


def test_a_capture_that_has_lost_a_view_is_not_gone_on_with(tmp_path: Path) -> None:
    """All views behind it would be taken for the ones before them."""
    asked = draw(world.VALIDATION_SEEDS[5], 5, 32)
    assert asked is not None
    open_scene(asked, tmp_path / "scene", False, "cpu")
    damaged = sorted((tmp_path / "scene" / "images").iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:-200])
    with pytest.raises(BadInput, match="has 4 views of 32x32 pixels, not 5 views of 32x32"):
        open_scene(asked, tmp_path / "scene", False, "cpu")


def test_command_measures_and_goes_on(
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    quick = dataclasses.replace(LEAST, edit_every=2, snap="things", relevance_seeds=(0, 1))
    monkeypatch.setitem(EDIT_PRESETS, "preview", quick)
    out = tmp_path / "out"
    command = ["evaluate", "scene", "--model", str(tiny_model), "--device", "cpu"]
    command += ["--out", str(out), "--scenes", "1", "--views", "6", "--side", "32"]
    save_weights(tmp_path / "lpips", "alex")
    command += ["--seeds", "validation", "--ablation", "--lpips", str(tmp_path / "lpips")]
    assert main(command) == 0
    report = json.loads((out / "report.json").read_text())
    fields, edits = report["figures"]["Fields"], report["figures"]["Edits"]
    (row,) = (name for name in fields if name != "mean")
    assert fields[row] == fields["mean"]
    assert fields[row]["steps"] == TINY.iterations
    assert 0 <= fields[row]["IoU"] <= 1
    assert fields[row]["gain over single maps"] == pytest.approx(
        fields[row]["IoU"] - fields[row]["IoU of single maps"], abs=2e-3
    )
    assert len(edits) == 2
    for name in ("colour", "colour of the single edits"):
        assert all(0 <= each[name] <= 1 for each in edits.values())
    for name in ("direction", "frame", "edit"):
        assert all(abs(each[f"{name} similarity, world CLIP"]) <= 1 for each in edits.values())
    assert all(each["LPIPS, AlexNet"] > 0 for each in edits.values())
    assert "| mean |" in (out / "figures.md").read_text()
    assert (out / "contact_sheet.png").stat().st_size > 1000
    assert report["settings"]["field"] == dataclasses.asdict(TINY) | {
        "proposals": [dataclasses.asdict(p) for p in TINY.proposals]
    }
    # again: nothing is trained anew, and the figures are the same
    assert main(command) == 0
    again = json.loads((out / "report.json").read_text())["figures"]
    assert again == report["figures"]
    capsys.readouterr()
    assert main([*command, "--depth"]) == 1
    assert "were made without --depth: name another --out" in capsys.readouterr().err
    assert main([*command, "--model", "./nowhere"]) == 1
    assert "There is no folder ./nowhere" in capsys.readouterr().err
