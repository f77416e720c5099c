"""A scene from its folder: train, render, relevance, and what lies where; `scene train`."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.captures.capture import Capture, CaptureError
from backend.captures.views import Pixels
from backend.command_line import command_in
from backend.commands import COMMANDS
from backend.editing.relevance import RelevanceMap
from backend.errors import BadInput
from backend.fields import learnt
from backend.fields.config import PRESETS, RelevanceConfig
from backend.fields.facts import CheckpointError
from backend.fields.radiance_field import RadianceField
from backend.fields.views import Views, held_out
from backend.scenes import Camera, Scene

from .tiny_capture import Truth, orbit_capture
from .tiny_field import TINY

RELEVANCE = RelevanceConfig(iterations=3, rays=64, levels=2, log2_table_size=8, evaluate_every=3)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("capture")
    return folder, orbit_capture(folder, 16, 24)[1]


@pytest.fixture(scope="module")
def trained(
    capture: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Scene, dict[Path, bytes]]:
    """A scene trained a little, and the capture's files as they were before."""
    before = {path: path.read_bytes() for path in capture[0].rglob("*") if path.is_file()}
    scene = Scene.open(capture[0], work=tmp_path_factory.mktemp("work"), device="cpu")
    scene.train(config=TINY)
    return scene, before


def map_of(mask: np.ndarray) -> RelevanceMap:
    raw = mask.reshape(6, 4, 6, 4).mean((1, 3)).astype(np.float32)
    return RelevanceMap(raw, raw, raw * 0, (6, 6), 0.5, 1.0, True)


def test_depth_and_cameras_are_in_capture_coordinates(
    trained: tuple[Scene, dict[Path, bytes]],
) -> None:
    scene = trained[0]
    camera = scene.camera(scene.capture.names[3])
    np.testing.assert_allclose(camera.pose, scene.capture.camera_to_world[3], atol=1e-9)
    seen = scene.render(camera)
    rgb, depth, relevance = seen
    assert rgb is seen.rgb
    assert rgb.shape == (24, 24, 3)
    assert relevance is None
    in_box = scene.field.render(scene.capture.camera_to_box[3], camera.intrinsics)
    np.testing.assert_array_equal(rgb, in_box.rgb)
    assert depth is not None
    np.testing.assert_allclose(depth * scene.capture.box_scale, in_box.depth, rtol=1e-6)
    moved = camera.pose.copy()
    moved[:3, 3] += (0.5, -0.2, 0.1)
    other = scene.render(Camera(moved, camera.intrinsics.resized(12, 10)))
    assert other.rgb.shape == (10, 12, 3)


def test_a_scene_opened_again_has_its_field(trained: tuple[Scene, dict[Path, bytes]]) -> None:
    scene = trained[0]
    again = Scene.open(scene.capture.folder, work=scene.work, device="cpu")
    camera = scene.camera(scene.capture.names[0])
    np.testing.assert_array_equal(again.render(camera).rgb, scene.render(camera).rgb)


def test_relevance_is_kept_and_calibrated(
    trained: tuple[Scene, dict[Path, bytes]], capture: tuple[Path, Truth]
) -> None:
    scene, before = trained
    inside = [scene.capture.names.index(name) for name in scene.field.names]
    maps = [map_of(capture[1].masks[k]) for k in inside]
    found = scene.train_relevance("red-ball", maps, config=RELEVANCE)
    camera = scene.camera(scene.capture.names[0])
    seen = scene.render(camera, found)
    assert seen.relevance is not None
    assert seen.relevance.shape == (24, 24)
    assert 0 <= seen.relevance.min() <= seen.relevance.max() <= 1
    kept = scene.relevance("red-ball")
    assert kept.calibration == found.calibration
    again = scene.render(camera, kept).relevance
    assert again is not None
    np.testing.assert_array_equal(again, seen.relevance)
    # nothing of the capture has changed, and nothing was added
    assert before == {p: p.read_bytes() for p in capture[0].rglob("*") if p.is_file()}


def test_what_is_not_there_is_said(
    trained: tuple[Scene, dict[Path, bytes]], capture: tuple[Path, Truth], tmp_path: Path
) -> None:
    scene = trained[0]
    fresh = Scene.open(capture[0], work=tmp_path, device="cpu")
    with pytest.raises(CheckpointError, match="holds no trained field: train one first"):
        fresh.render(Camera(np.eye(4), scene.capture.intrinsics[0]))
    with pytest.raises(CaptureError, match="has no view nonsense"):
        scene.camera("nonsense")
    with pytest.raises(ValueError, match="no preset 'large': use preview"):
        fresh.train(config="large")
    with pytest.raises(CheckpointError, match="holds no relevance field"):
        scene.relevance("unknown")
    for name in ("", "../out", "A", "a/b"):
        with pytest.raises(ValueError, match="An edit's name"):
            scene.relevance(name)
    with pytest.raises(ValueError, match="1 maps for"):
        scene.train_relevance("x", [map_of(capture[1].masks[0])])


def test_the_work_folder_is_in_the_captures(capture: tuple[Path, Truth], tmp_path: Path) -> None:
    assert Scene.open(capture[0]).work == capture[0] / ".wys"
    assert Scene.open(f"{capture[0]}", work=f"{tmp_path}").work == tmp_path


def test_scene_train_writes_pictures_and_a_report(
    capture: tuple[Path, Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    arguments = ["train", str(capture[0]), "--work", str(tmp_path), "--device", "cpu"]
    train = command_in(COMMANDS, ["scene", *arguments, "--iterations", "5"], "x")
    said: list[tuple[str, float]] = []
    assert train.run(["x"], lambda words, share: said.append((words, share))) == 0
    assert said[0][0].startswith("Step 1 of 5")
    assert said[-1][1] == 1.0
    assert "dB" in said[-1][0]
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["figures"]["steps"] == 5
    assert report["settings"]["config"]["levels"] == TINY.levels
    assert len(report["figures"]["held_out_psnr"]) == 2
    opened = Scene.open(capture[0], work=tmp_path, device="cpu")
    errors = [
        np.mean((opened.render(opened.camera(name)).rgb - capture[1].images[k] / 255) ** 2)
        for k, name in enumerate(opened.capture.names)
        if name in opened.field.names
    ]
    assert report["figures"]["trained_psnr"] == pytest.approx(
        -10 * np.log10(np.mean(errors)), abs=0.02
    )
    with Image.open(tmp_path / "held_out.png") as sheet:
        assert sheet.size == (48, 48)
        left = np.asarray(sheet)[:24, :24]
    np.testing.assert_array_equal(left, capture[1].images[4])


def test_scene_train_reads_no_photo_a_third_time(
    capture: tuple[Path, Truth], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once to find damage, once to train: a phone's photos take seconds each. Held-out ones are
    read for their picture, too.
    """
    monkeypatch.setitem(PRESETS, "preview", TINY)
    read, files_read = Capture.read, Counter[str]()

    def counted(self: Capture, index: int) -> Pixels:
        files_read[self.names[index]] += 1
        return read(self, index)

    monkeypatch.setattr(Capture, "read", counted)
    arguments = ["train", str(capture[0]), "--work", str(tmp_path), "--device", "cpu"]
    train = command_in(COMMANDS, ["scene", *arguments, "--iterations", "5"], "x")
    assert train.run(["x"], lambda words, share: None) == 0
    figures = json.loads((tmp_path / "report.json").read_text("utf-8"))["figures"]
    for name, count in files_read.items():
        assert count <= (3 if name in figures["held_out_views"] else 2), name


def test_scene_train_shows_what_does_not_fit(
    capture: tuple[Path, Truth],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A picture that is no longer true goes."""
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setattr(learnt, "JUDGED_FROM", 1)
    monkeypatch.setattr(learnt, "psnr_of_blur", lambda views: 0.0)
    odd = Scene.open(capture[0]).capture.names[5]

    def scores(field: RadianceField, views: Views) -> dict[str, float]:
        return {name: 14.0 if name == odd else 30.0 for name in views.names}

    monkeypatch.setattr(learnt, "psnr_of_each", scores)
    arguments = ["train", str(capture[0]), "--work", str(tmp_path), "--device", "cpu"]
    for wrong in (True, False):
        odd = odd if wrong else ""
        train = command_in(COMMANDS, ["scene", *arguments, "--iterations", "5"], "x")
        assert train.run(["x"], lambda words, share: None) == 0
        report = json.loads((tmp_path / "report.json").read_text("utf-8"))
        assert report["figures"]["unfit_views"] == [odd] * wrong
        assert any("does not fit the others" in note for note in report["notes"]) == wrong
        assert (tmp_path / "unfit.png").exists() == wrong
        assert (f"{tmp_path / 'unfit.png'} shows them" in capsys.readouterr().out) == wrong
        if wrong:
            with Image.open(tmp_path / "unfit.png") as sheet:
                left = np.asarray(sheet)[:24, :24]
            np.testing.assert_array_equal(left, capture[1].images[5])


@pytest.mark.parametrize(
    ("more", "steps"), [([], 18), (["--iterations", "2"], 2)], ids=["grown", "asked for"]
)
def test_the_report_of_a_training_says_the_steps_and_rays_that_ran(
    capture: tuple[Path, Truth],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    steps: int,
) -> None:
    """The preset's grow with the capture: three times the steps, and as many rays as four pixels in
    place of one take.
    """
    pixels = (16 - len(held_out(16, TINY.hold_out_every))) * 24 * 24
    preset = dataclasses.replace(TINY, pixels=pixels // 12, stop_patience=0)
    monkeypatch.setitem(PRESETS, "preview", preset)
    arguments = ["train", str(capture[0]), "--work", str(tmp_path), "--device", "cpu", *more]
    train = command_in(COMMANDS, ["scene", *arguments], "x")
    assert train.run(["x"], lambda words, share: None) == 0
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    ran = report["settings"]["config"]
    assert ran["iterations"] == report["figures"]["steps"] == steps
    assert (ran["rays"], ran["evaluate_every"]) == (2 * TINY.rays, 3 * TINY.evaluate_every)


@pytest.mark.parametrize(("count", "words"), [(3, "the 2 that"), (9, "the 8 that")])
def test_scene_train_holds_out_one_of_few_views_and_says_their_psnr_first(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    count: int,
    words: str,
) -> None:
    orbit_capture(tmp_path / "capture", count, 24)
    monkeypatch.setitem(PRESETS, "preview", TINY)
    arguments = ["train", str(tmp_path / "capture"), "--work", str(tmp_path), "--device", "cpu"]
    train = command_in(COMMANDS, ["scene", *arguments, "--iterations", "3"], "x")
    assert train.run(["x"], lambda words, share: None) == 0
    figures = json.loads((tmp_path / "report.json").read_text("utf-8"))["figures"]
    assert next(iter(figures)) == "held_out_psnr"
    ((step, score),) = figures["held_out_psnr"]
    assert step == 3
    assert len(figures["held_out_views"]) == 1
    said = capsys.readouterr().out
    assert f"3 steps: {score:.1f} dB on 1 held-out view, " in said
    assert f"dB on {words} it was trained on" in said


def test_a_training_that_ends_early_says_so_and_so_does_one_that_is_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """More steps were asked for, none were taken, and nothing was said."""
    orbit_capture(tmp_path / "capture", 4, 24)
    preset = dataclasses.replace(TINY, evaluate_every=1, stop_patience=1, stop_gain=99)
    preset = dataclasses.replace(preset, solid_from=0, solid_after=1)
    monkeypatch.setitem(PRESETS, "preview", preset)
    arguments = ["train", str(tmp_path / "capture"), "--work", str(tmp_path), "--device", "cpu"]
    for more, words in (([], "2 steps of 6, as held-out"), (["--iterations", "9"], "2 steps of 9")):
        train = command_in(COMMANDS, ["scene", *arguments, *more], "x")
        assert train.run(["x"], lambda words, share: None) == 0
        said = capsys.readouterr().out
        assert words in said
        assert "held-out views show no progress any more: " in said


def test_a_scene_with_a_camera_far_out_trains_as_it_does_without_it(tmp_path: Path) -> None:
    """And so does one whose image is damaged; both say so."""
    orbit_capture(tmp_path / "sound", 13, 24)
    content = json.loads((tmp_path / "sound/transforms.json").read_text("utf-8"))
    shutil.copytree(tmp_path / "sound", tmp_path / "far")
    shutil.copytree(tmp_path / "sound", tmp_path / "damaged")
    for row, far in zip(content["frames"][6]["transform_matrix"], (4e3, 1e3, 0), strict=False):
        row[3] += far
    (tmp_path / "far/transforms.json").write_text(json.dumps(content), "utf-8")
    image = tmp_path / "damaged" / content["frames"][6]["file_path"]
    image.write_bytes(image.read_bytes()[:-40])
    del content["frames"][6]
    (tmp_path / "sound/transforms.json").write_text(json.dumps(content), "utf-8")
    courses = {}
    for name in ("sound", "far", "damaged"):
        scene = Scene.open(tmp_path / name, device="cpu")
        courses[name] = scene.train(config=TINY).scores
        assert len(scene.capture) == 12
        assert len(scene.capture.notes) == (name != "sound")
    assert courses["far"] == courses["sound"]
    assert courses["damaged"][-1][1] == pytest.approx(courses["sound"][-1][1], abs=0.5)


def test_capture_opencv_convention_that_is_trained_with_is_remembered(tmp_path: Path) -> None:
    orbit_capture(tmp_path, 12, 24)
    poses = Scene.open(tmp_path).capture.camera_to_world
    content = json.loads((tmp_path / "transforms.json").read_text("utf-8"))
    for frame in content["frames"]:
        frame["transform_matrix"] = (
            np.array(frame["transform_matrix"]) @ np.diag([1.0, -1, -1, 1])
        ).tolist()
    (tmp_path / "transforms.json").write_text(json.dumps(content), "utf-8")
    assert "give --axes opencv" in Scene.open(tmp_path).capture.notes[0]
    Scene.open(tmp_path, axes="opencv").train(config=TINY)
    again = Scene.open(tmp_path)
    np.testing.assert_allclose(again.capture.camera_to_world, poses)
    assert again.capture.notes == ()
    with pytest.raises(CaptureError, match="was trained with --axes opencv"):
        Scene.open(tmp_path, axes="opengl")
    assert len(Scene.open(tmp_path, axes="opengl", work=tmp_path / "other").capture.notes) == 0


def test_capture_that_loses_an_image_after_its_training_keeps_the_box_of_its_field(
    tmp_path: Path,
) -> None:
    orbit_capture(tmp_path, 8, 16)
    scene = Scene.open(tmp_path, device="cpu")
    scene.train(config=TINY)
    to_box, poses = scene.capture.to_box, scene.capture.camera_to_world
    farthest = int(np.abs(poses[:, :3, 3] * to_box[0, 0] + to_box[:3, 3]).max(axis=1).argmax())
    name = scene.capture.names[farthest]
    (tmp_path / name).unlink()
    stays = scene.capture.names[farthest - 1]
    shown = scene.render(scene.camera(stays))

    again = Scene.open(tmp_path, device="cpu")
    assert name in again.capture.notes[0]
    np.testing.assert_array_equal(again.capture.to_box, to_box)
    np.testing.assert_array_equal(again.render(again.camera(stays)).rgb, shown.rgb)
    np.testing.assert_array_equal(again.render(again.camera(stays)).depth, shown.depth)
    # a field that is trained anew gets the box of the cameras that there are
    (tmp_path / ".wys" / "radiance.json").unlink()
    anew = Scene.open(tmp_path, device="cpu")
    assert not np.array_equal(anew.capture.to_box, to_box)
    assert anew.train(config=TINY).step > 0
    np.testing.assert_array_equal(Scene.open(tmp_path).capture.to_box, anew.capture.to_box)


def test_work_folders_of_earlier_versions_open_without_a_box(
    trained: tuple[Scene, dict[Path, bytes]], tmp_path: Path
) -> None:
    scene = trained[0]
    work = tmp_path / "work"
    shutil.copytree(scene.work, work)
    kept = json.loads((work / "axes.json").read_text("utf-8"))
    assert set(kept) == {"axes", "box", "downscale"}
    (work / "axes.json").write_text(json.dumps({"axes": kept["axes"]}), "utf-8")
    old = Scene.open(scene.capture.folder, work=work, device="cpu")
    np.testing.assert_array_equal(old.capture.to_box, scene.capture.to_box)
    assert old.field.names == scene.field.names


def test_a_training_that_came_to_nothing_fixes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever noticed a wrong option at once could not give another: nothing was there, and it was
    said to be trained so.
    """
    orbit_capture(tmp_path / "capture", 4, 24)
    monkeypatch.setitem(PRESETS, "preview", TINY)
    train = ["scene", "train", str(tmp_path / "capture"), "--device", "cpu"]

    def stopped(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr("backend.fields.radiance_training.train", stopped)
        assert main([*train, "--downscale", "3"]) == 130
    assert main([*train, "--downscale", "2", "--iterations", "3"]) == 0
    scene = Scene.open(tmp_path / "capture", device="cpu")
    assert scene.downscale == 2


def test_what_a_capture_lacks_is_said_before_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That the axes look like others came after the hours that were trained with wrong ones."""
    orbit_capture(tmp_path / "capture", 6, 24)
    (tmp_path / "capture" / "images" / "002.png").unlink()
    image = tmp_path / "capture" / "images" / "004.png"
    image.write_bytes(image.read_bytes()[:-40])  # which is found when it is read
    said = []

    def stopped(*arguments: object, **named: object) -> None:
        said.append(capsys.readouterr().out)
        raise KeyboardInterrupt

    monkeypatch.setitem(PRESETS, "preview", TINY)
    train = ["scene", "train", str(tmp_path / "capture"), "--device", "cpu", "--iterations", "2"]
    with monkeypatch.context() as stopping:
        stopping.setattr("backend.fields.radiance_training.train", stopped)
        assert main(train) == 130
    assert "002.png, which does not exist" in said[0]
    assert main(train) == 0
    both = capsys.readouterr().out
    assert both.count("002.png, which does not exist") == both.count("004.png is damaged") == 1
    notes = json.loads((tmp_path / "capture" / ".wys" / "report.json").read_text())["notes"]
    assert [f"note: {note}" for note in notes] == both.splitlines()[:2]


def test_large_photos_are_told_and_not_rendered_whole_for_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Six photos of a phone were rendered for an hour after the training, without a word."""
    orbit_capture(tmp_path / "capture", 4, 24)
    preset = dataclasses.replace(TINY, pixels=24 * 24 // 12)  # 4 views, of which it learns one
    monkeypatch.setitem(PRESETS, "preview", preset)
    monkeypatch.setattr("backend.commands.train.SHEET_SIDE", 12)
    train = ["scene", "train", str(tmp_path / "capture"), "--device", "cpu", "--iterations"]
    assert main([*train, "2"]) == 0
    said = capsys.readouterr().out
    assert "and preview learns about 0 million: begin anew with --downscale 2 and" in said
    with Image.open(tmp_path / "capture" / ".wys" / "held_out.png") as sheet:
        assert sheet.size == (24, 12)
    notes = json.loads((tmp_path / "capture" / ".wys" / "report.json").read_text())["notes"]
    assert said.splitlines()[0] == f"note: {notes[0]}"
    assert main([*train, "3"]) == 0  # it is too late
    smaller = ["2", "--downscale", "2", "--work", str(tmp_path / "smaller")]
    assert main([*train, *smaller]) == 0
    assert "begin anew" not in capsys.readouterr().out
    evaluate = ["evaluate", "capture", str(tmp_path / "capture"), "--device", "cpu"]
    assert main([*evaluate, "--out", str(tmp_path / "out")]) == 0
    assert "--downscale 2 and another --out" in capsys.readouterr().out


@pytest.mark.parametrize("device", ["nix", "meta", "cuda:99", "mps" * 2, ""])
def test_a_device_that_is_not_there_is_one_sentence(tmp_path: Path, device: str) -> None:
    orbit_capture(tmp_path / "capture", 4, 24)
    with pytest.raises(BadInput, match=r"^There is no (CUDA )?device"):
        Scene.open(tmp_path / "capture", device=device)


def test_downscale_is_asked_once_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    orbit_capture(tmp_path / "capture", 4, 24)
    monkeypatch.setitem(PRESETS, "preview", TINY)
    where = [str(tmp_path / "capture"), "--device", "cpu"]

    def scene(name: str, *words: str) -> int:
        return main(["scene", name, *where, *words])

    assert scene("train", "--downscale", "2", "--iterations", "3") == 0
    assert "times smaller" not in capsys.readouterr().out
    assert Scene.open(tmp_path / "capture", device="cpu").capture.intrinsics[0].width == 12
    assert scene("train", "--iterations", "4") == 0
    said = capsys.readouterr().out
    assert said.startswith("note: Images are read 2 times smaller, as in training.\n")
    assert "4 steps" in said
    assert scene("train", "--downscale", "2.0", "--iterations", "4") == 0
    for name, words in (("train", ()), ("render", ("--out", str(tmp_path / "film")))):
        assert scene(name, "--downscale", "1", *words) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.endswith(
            "was trained with --downscale 2: leave the option out, name another folder with "
            "--work (of an evaluation, --out), or delete it to train anew."
        )
    other = tmp_path / "other"
    assert scene("train", "--downscale", "1", "--work", str(other), "--iterations", "3") == 0
    kept = json.loads((other / "axes.json").read_text("utf-8"))
    assert kept["downscale"] == 1
    del kept["downscale"]  # as earlier versions wrote it
    (other / "axes.json").write_text(json.dumps(kept))
    assert Scene.open(tmp_path / "capture", 3, other, "cpu").downscale == 3
    assert Scene.open(tmp_path / "capture", None, other, "cpu").downscale == 1
    assert scene("train", "--downscale", "2", "--work", str(other), "--iterations", "3") == 1
    assert "downscale" not in json.loads((other / "axes.json").read_text())  # a field of size 1
    assert scene("train", "--downscale", "1", "--work", str(other), "--iterations", "3") == 0
    assert json.loads((other / "axes.json").read_text())["downscale"] == 1
