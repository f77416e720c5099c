"""A ball on top of what masks of a capture show: where it stands, what views show, and figures."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from backend.__main__ import main
from backend.captures.capture import Capture
from backend.evaluation.scenes import put_on_top
from backend.evaluation.scenes.capture_figures import COLOURS, Photo
from backend.evaluation.scenes.put_on_top import Ball, ball_on, put
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.scenes.camera import Camera, View

from .quick_edit import LEAST
from .test_evaluation_capture import write_masks
from .tiny_capture import SPHERES, Truth, orbit_capture
from .tiny_field import TINY

SIDE, VIEWS = 48, 8


class Exact:
    """A scene whose field shows a capture's surfaces as they are."""

    def __init__(self, capture: Capture, truth: Truth) -> None:
        self.capture, self.truth = capture, truth

    def camera(self, name: str) -> Camera:
        index = self.capture.names.index(name)
        return Camera(self.capture.camera_to_world[index], self.capture.intrinsics[index])

    def render(self, camera: Camera) -> View:
        poses = self.capture.camera_to_world
        (index,) = (k for k in range(len(poses)) if np.array_equal(poses[k], camera.pose))
        rgb = self.truth.images[index] / np.float32(255)
        depth = np.minimum(self.truth.distances[index], 50).astype(np.float32)
        return View(rgb, depth, None, np.ones_like(depth))


def photos_of(scene: Exact) -> list[Photo]:
    """Of all views, with the first sphere masked."""
    return [
        Photo(name, image, np.ones_like(mask), mask.astype(np.float32), np.zeros((24, 24)))
        for name, image, mask in zip(
            scene.capture.names, scene.truth.images, scene.truth.masks, strict=True
        )
    ]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Exact:
    return Exact(*orbit_capture(tmp_path_factory.mktemp("capture"), VIEWS, SIDE))


def standing(scene: Exact) -> Ball:
    ball = ball_on(scene, photos_of(scene))  # type: ignore[arg-type]
    assert ball is not None
    return ball


def test_the_ball_stands_on_the_top_of_what_is_masked_as_large_as_it_is_to_be_seen(
    scene: Exact,
) -> None:
    ball = standing(scene)
    middle, radius, _ = SPHERES[0]
    top = middle[2] + radius
    # cameras are 4 units from the scene, and a picture shows 1/1.3 of its distance there
    assert ball.radius == pytest.approx(4 / 1.3 * put_on_top.DIAMETER / 2, rel=0.2)
    np.testing.assert_allclose(ball.centre[:2], middle[:2], atol=0.15)
    assert 0.4 * ball.radius < ball.centre[2] - top < 0.8 * ball.radius
    assert ball.light[2] > 0.5  # from above
    assert ball.colour != "red"  # as the sphere is


def test_views_show_the_ball_where_it_is_and_their_photo_elsewhere(scene: Exact) -> None:
    ball = standing(scene)
    for photo in photos_of(scene):
        camera = scene.camera(photo.name)
        view = put(scene, ball, photo)  # type: ignore[arg-type]
        local = (ball.centre - camera.pose[:3, 3]) @ camera.pose[:3, :3]
        expected = camera.intrinsics.cx + camera.intrinsics.fx * local[0] / -local[2]
        columns = view.share.sum(0) @ (np.arange(SIDE) + 0.5) / view.share.sum()
        assert columns == pytest.approx(expected, abs=0.3)
        size = camera.intrinsics.fx * ball.radius / -local[2]
        assert 0.7 * np.pi * size**2 < view.share.sum() < 1.1 * np.pi * size**2  # it is sunk in
        np.testing.assert_array_equal(
            view.truth.edited[view.share == 0], photo.image[view.share == 0]
        )
        whole = view.truth.edited[view.share == 1] / 255
        hue = whole / whole.sum(-1, keepdims=True)
        asked = np.array(COLOURS[ball.colour])
        np.testing.assert_allclose(hue, np.broadcast_to(asked / asked.sum(), hue.shape), atol=0.05)
        assert view.truth.relevance.shape == photo.cells.shape
        assert view.truth.relevance.mean() == pytest.approx(view.share.mean(), abs=1e-3)


def test_the_ball_is_hidden_by_what_is_before_it(scene: Exact) -> None:
    ball, photo = standing(scene), photos_of(scene)[0]
    all_of_it = put(scene, ball, photo).share  # type: ignore[arg-type]
    half = int((all_of_it.sum(0) @ np.arange(SIDE)) / all_of_it.sum())
    truth = dataclasses.replace(scene.truth, distances=scene.truth.distances.copy())
    truth.distances[0, :, :half] = 0.5
    view = put(Exact(scene.capture, truth), ball, photo)  # type: ignore[arg-type]
    assert view.share[:, :half].max() == 0
    np.testing.assert_array_equal(view.share[:, half:], all_of_it[:, half:])
    np.testing.assert_array_equal(view.truth.edited[:, :half], photo.image[:, :half])


def test_no_ball_stands_where_most_photos_end(scene: Exact) -> None:
    """What reaches the upper edge of most photos has no top that they show."""
    photos = [
        Photo(one.name, one.image, one.opaque, np.ones_like(one.share), one.cells)
        for one in photos_of(scene)
    ]
    near = np.full_like(scene.truth.distances, 0.2)  # all of it right before the cameras
    high = Exact(scene.capture, dataclasses.replace(scene.truth, distances=near))
    assert ball_on(high, photos) is None  # type: ignore[arg-type]


def test_figures_are_of_the_balls_pixels_and_of_all_others(scene: Exact) -> None:
    ball, photos = standing(scene), photos_of(scene)[:2]
    before = [scene.render(scene.camera(photo.name)) for photo in photos]
    views = [put(scene, ball, photo) for photo in photos]  # type: ignore[arg-type]
    depth = before[0].depth
    true = [view.truth.edited / np.float32(255) for view in views]
    done = put_on_top.added([View(one, depth, None, depth) for one in true], views, before)
    assert done["put on top"] == done["put on top, worst view"] == 1
    assert done["put on top, PSNR inside"] == np.inf
    assert done["put on top, PSNR outside"] == 99
    nothing = put_on_top.added(before, views, before)
    assert nothing["put on top"] == 0
    spilled = before[1].rgb.copy()
    outside = views[1].share == 0
    spilled[outside] += 0.1
    half = put_on_top.added(
        [View(true[0], depth, None, depth), View(spilled, depth, None, depth)], views, before
    )
    assert half["put on top, worst view"] == 0
    counts = [int(view.inside.sum()) for view in views]
    assert half["put on top"] == pytest.approx(counts[0] / sum(counts))
    assert half["put on top, PSNR outside"] == pytest.approx((99 + 20) / 2, abs=0.01)


def command_of(tmp_path: Path) -> list[str]:
    """The command for a capture of six views, with masks of the first sphere."""
    _, truth = orbit_capture(tmp_path / "scene", 6, 24)
    masks = write_masks(tmp_path / "sphere", truth.masks)
    command = ["evaluate", "capture", str(tmp_path / "scene"), "--device", "cpu", "--cells", "12"]
    return [*command, "--out", str(tmp_path / "out"), "--put-on-top", "--masks", str(masks)]


def test_command_puts_a_ball_on_top_of_each_region(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    solid = dataclasses.replace(TINY, iterations=200)
    monkeypatch.setitem(PRESETS, "preview", solid)
    monkeypatch.setitem(EDIT_PRESETS, "preview", LEAST)
    command = command_of(tmp_path)
    assert main(command[:-2]) == 1
    assert "--put-on-top needs what the ball is to stand on" in capsys.readouterr().err
    assert main([*command, "--fields-only"]) == 1
    assert "leave out --fields-only" in capsys.readouterr().err
    assert not (tmp_path / "out" / "fields").exists()
    assert main(command) == 0, capsys.readouterr().err
    assert "(put on top 0." in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]["Regions"]
    figures = found["sphere"]
    assert 0 <= figures["put on top, worst view"] <= figures["put on top"] <= 1
    assert figures["put on top, PSNR inside"] > 3
    assert figures["put on top, PSNR outside"] > 3
    edits = tmp_path / "out" / "fields" / "edits"
    assert sorted(one.name[-5:] for one in edits.iterdir() if one.is_dir())[0] == "-ball"
    assert main(command) == 0  # takes what is there
    again = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]["Regions"]
    assert again == found


def test_command_says_where_no_ball_can_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", LEAST)
    monkeypatch.setattr(put_on_top, "ball_on", lambda scene, trained: None)
    assert main(command_of(tmp_path)) == 0, capsys.readouterr().err
    said = "Nothing was put on top of sphere: most photos end below it."
    assert f"note: {said}" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert said in report["notes"]
    assert "put on top" not in report["figures"]["Regions"]["sphere"]
