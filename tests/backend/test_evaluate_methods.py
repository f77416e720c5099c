"""`evaluate methods`: its rows, what each edits with, the table, and going on."""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.captures.lens import Intrinsics
from backend.editing import Editor
from backend.editing.methods.method import Models, Request
from backend.editing.methods.registry import METHODS as IMAGE_METHODS
from backend.errors import BadInput
from backend.evaluation.methods import command, table
from backend.evaluation.methods.frames import EditedFrames
from backend.evaluation.methods.rows import ROWS, usable
from backend.evaluation.methods.work import Plan
from backend.evaluation.scenes import scene_figures, scene_world
from backend.fields.config import EDIT_PRESETS, PRESETS, SceneEditConfig
from backend.scenes.camera import Camera, View
from backend.scenes.methods.scene_method import METHODS

from .capture_worlds import as_other_programs_write
from .quick_edit import INSTRUCTION, LEAST
from .random_lpips import save_weights
from .test_evaluation_capture import write_masks
from .tiny_capture import orbit_capture
from .tiny_editor import random_image
from .tiny_field import TINY
from .tiny_model import save_tiny_text_to_image_model
from .tiny_text_to_image import scheduler

SIDE = 32


class Pictures:
    """A scene that shows a camera at height z the z-th of some pictures."""

    def __init__(self, *pictures: np.ndarray) -> None:
        self.pictures = pictures

    def render(self, camera: Camera) -> View:
        picture = self.pictures[int(camera.pose[2, 3])]
        plain = np.zeros(picture.shape[:2], np.float32)
        return View((picture / np.float32(255)).astype(np.float32), plain, None, plain)


def camera(number: int) -> Camera:
    pose = np.eye(4)
    pose[2, 3] = number
    return Camera(pose, Intrinsics(SIDE, SIDE, SIDE / 2, SIDE / 2, SIDE, SIDE))


# the rows


def test_every_method_of_scenes_has_a_row_and_changes_nothing_but_the_method() -> None:
    """All have the same budget: steps of training, edits of views, denoising steps."""
    ours = SceneEditConfig()
    asked = {dataclasses.replace(ours, **one.changes).method for one in ROWS.values()}
    assert asked == set(METHODS)
    for one in ROWS.values():
        changed = dataclasses.replace(ours, **one.changes)
        for name in ("iterations", "edit_every", "rounds", "views", "steps", "seed"):
            assert getattr(changed, name) == getattr(ours, name)


def test_all_methods_draw_the_same_and_every_repeat_anew(editor: Editor, tmp_path: Path) -> None:
    config = dataclasses.replace(LEAST, seed=5, relevance_seeds=(0, 1))
    plan = Plan(tmp_path, SimpleNamespace(), editor, editor, config)  # type: ignore[arg-type]
    for name in ROWS:
        drawn = [plan.config_of(name, repeat) for repeat in range(2)]
        assert [one.seed for one in drawn] == [5, 6]
        assert [one.relevance_seeds for one in drawn] == [(0, 1), (2, 3)]
        guidance = editor.card.guidance
        assert (drawn[0].text_guidance, drawn[0].image_guidance) == (guidance.text, guidance.image)


def test_a_method_without_what_it_needs_is_left_out_with_a_sentence() -> None:
    chosen, left_out = usable(["ours", "per-frame"], {"masks"})
    assert chosen == ["ours"]
    (sentence,) = left_out
    assert "frame by frame asks the model about pictures that no truth is known of" in sentence
    (sentence,) = usable(None, {"masks", "model", "captions", "clip"})[1]
    assert sentence == (
        "Instruct-NeRF2NeRF with a text-to-image model needs a text-to-image model: see "
        "--text-to-image."
    )
    with pytest.raises(BadInput, match="no truth is known of"):
        usable(["per-frame"], set())
    with pytest.raises(BadInput, match="There is no method 'theirs': use ours, own-maps"):
        usable(["theirs"], set())


# frame by frame


def test_frames_are_what_instruct_pix2pix_makes_of_each_render(
    editor: Editor, tmp_path: Path
) -> None:
    pictures = [random_image(SIDE, SIDE, seed) for seed in range(2)]
    config = dataclasses.replace(LEAST, seed=3).resolved(editor.card.guidance.settings)

    def edited() -> EditedFrames:
        return EditedFrames(Pictures(*pictures), editor, INSTRUCTION, config, tmp_path / "frames")

    frames = edited()
    plain = IMAGE_METHODS["ip2p-noised-picture"]
    for number, picture in enumerate(pictures):
        asked = Request(image=picture, instruction=INSTRUCTION, steps=config.steps, seed=3)
        np.testing.assert_array_equal(
            frames.render(camera(number)).image, plain.edit(Models(editor), asked).image
        )
    assert frames.count == 2
    assert frames.seconds
    again = edited()  # from the disk, and nobody knows how long they took
    np.testing.assert_array_equal(again.render(camera(1)).image, frames.render(camera(1)).image)
    assert again.seconds is None


# the table


def test_spread_is_mean_and_sample_deviation() -> None:
    rows = [{"a": 1.0, "b": 2.0}, {"a": 2.0}, {"a": 4.0, "b": 2.0}]
    found = table.spread(rows)
    assert found["a"]["mean"] == pytest.approx(7 / 3, abs=1e-4)
    assert found["a"]["deviation"] == pytest.approx(statistics.stdev([1, 2, 4]), abs=1e-4)
    assert found["b"] == {"mean": 2.0, "deviation": 0.0}
    assert table.spread([{"a": 1.0}]) == {"a": {"mean": 1.0}}
    text = table.markdown("Title", {"one": found, "two": {}}, ["b", "c", "a"])
    assert text == (
        "### Title\n\n| | b | a |\n|---|---|---|\n| one | 2 | 2.333 ± 1.5 |\n| two |  |  |\n"
    )


def test_a_table_says_of_how_many_edits_it_is() -> None:
    assert table.title_of("make it red", 1) == '"make it red", one edit each'
    assert "3 edits each, mean ± standard" in table.title_of("make it red", 3)
    assert table.label_of("ours", [{}, {}, {}], 3) == "ours"
    assert table.label_of("ours", [{}, {}], 3) == "ours (2 of 3 edits)"


# the command


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", dataclasses.replace(LEAST, edit_every=2))
    monkeypatch.setattr(scene_world, "HELD_OUT", 2)
    monkeypatch.setattr(scene_figures, "PATH_FRAMES", 2)


def words(out: Path, *more: str) -> list[str]:
    asked = ["evaluate", "methods", "--device", "cpu", "--seeds", "validation", "--views", "4"]
    return [*asked, "--side", str(SIDE), "--out", str(out), "--repeats", "1", *more]


@pytest.mark.usefixtures("quick")
def test_command_goes_on_after_a_kill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_weights(tmp_path / "lpips", "alex")
    ask = words(tmp_path, "--editor", "truth", "--lpips", str(tmp_path / "lpips"))
    ask += ["--methods", "ours", "per-frame"]
    more = [*ask, "instruct-nerf2nerf"]
    make, made = Plan.make, []

    def killed(plan: Plan, name: str, repeat: int) -> Any:
        if name == "instruct-nerf2nerf":
            raise KeyboardInterrupt
        made.append(name)
        return make(plan, name, repeat)

    monkeypatch.setattr(Plan, "make", killed)
    assert main(more) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert made == ["ours"]
    kept = (tmp_path / "edits" / "ours" / "0.json").read_bytes()
    assert not (tmp_path / "report.json").exists()
    monkeypatch.setattr(Plan, "make", make)
    assert main(more) == 0
    said = capsys.readouterr().out
    assert "left out: InstructPix2Pix, frame by frame" in said
    assert "edit 1 of 1: Instruct-NeRF2NeRF, repeat 1" in said
    assert (tmp_path / "edits" / "ours" / "0.json").read_bytes() == kept
    report = json.loads((tmp_path / "report.json").read_text())
    methods = report["figures"]["methods"]
    assert list(methods) == ["ours", "Instruct-NeRF2NeRF"]
    for one in methods.values():
        (figures,) = one["each"]
        assert figures["steps"] == LEAST.iterations
        assert figures["seconds"] > 0
        assert figures["PSNR outside, pooled"] < 99  # the field is another
        assert figures["LPIPS, AlexNet"] > 0
    assert methods["ours"]["edits of views"] == methods["Instruct-NeRF2NeRF"]["edits of views"]
    assert report["figures"][command.UNEDITED]["edit PSNR"] == 99
    assert report["figures"][command.UNEDITED]["LPIPS, AlexNet"] == 0
    assert "| LPIPS, AlexNet |" in (tmp_path / "figures.md").read_text()
    assert "| Instruct-NeRF2NeRF |" in (tmp_path / "figures.md").read_text()
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        assert sheet.width > 5 * command.TILE
    assert main([*more, "--dtype", "float16"]) == 1
    assert "were made with dtype None, not 'float16'" in capsys.readouterr().err
    # a device counts by what it is here, whatever it is called by
    by_itself = [one for one in more if one not in ("--device", "cpu")]
    assert main(by_itself) == 0
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(command, "in_words", lambda device: f"another {device.type}")
        assert main(by_itself) == 1
    assert "were made with device 'cpu', not 'another cpu'" in capsys.readouterr().err

    def diverged(plan: Plan, name: str, repeat: int) -> Any:
        if (name, repeat) == ("instruct-nerf2nerf", 1):
            raise FloatingPointError("The edit came to no numbers.")
        return make(plan, name, repeat)

    monkeypatch.setattr(Plan, "make", diverged)
    assert main([*more, "--repeats", "2"]) == 1
    said = capsys.readouterr()
    assert "Instruct-NeRF2NeRF, repeat 2: The edit came to no numbers." in said.err
    text = (tmp_path / "figures.md").read_text()
    assert "| Instruct-NeRF2NeRF (1 of 2 edits) |" in text
    assert "\n| ours |" in text
    assert main([*more, "--side", "48"]) == 1
    assert "name another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--instruction", "make it red"], "--instruction says nothing to a scene of the demo"),
        (["CAPTURE"], "give --masks"),
        (["CAPTURE", "--masks", "m"], "A capture needs an --instruction"),
        (["CAPTURE", "--masks", "m", "--scene", "5"], "--scene says nothing to a capture"),
        (["CAPTURE", "--masks", "m", "--instruction", "x", "--editor", "truth"], "which paints"),
        (["CAPTURE", "--masks", "m", "--instruction", "x"], "There is no folder m"),
        (
            ["CAPTURE", "--masks", "m", "--instruction", "x", "--lpips", "alex"],
            "--lpips says nothing of a capture without --clip",
        ),
    ],
)
def test_options_that_say_nothing_are_refused(
    given: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "methods", "--out", str(tmp_path / "out"), *given]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("quick")
def test_a_capture_is_measured_by_its_masks(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, truth = orbit_capture(tmp_path / "scene", 4, 24)
    masks = write_masks(tmp_path / "masks", truth.masks)
    caption = save_tiny_text_to_image_model(tmp_path / "text-to-image", scheduler())
    ask = ["evaluate", "methods", str(tmp_path / "scene"), "--masks", str(masks), "--device", "cpu"]
    ask += ["--model", str(tiny_model), "--instruction", INSTRUCTION, "--repeats", "1"]
    ask += ["--out", str(tmp_path / "out")]
    assert main([*ask, "--methods", "given-masks", "instruct-nerf2nerf-text-to-image"]) == 0
    said = capsys.readouterr().out
    assert "left out: Instruct-NeRF2NeRF with a text-to-image model needs a text-to-image" in said
    with_caption = [*ask, "--captions", "a ball", "a red ball", "--text-to-image", str(caption)]
    assert main([*with_caption, "--methods", "instruct-nerf2nerf-text-to-image"]) == 1
    assert "were made with captions None, not ['a ball', 'a red ball']" in capsys.readouterr().err
    with_caption[with_caption.index("--out") + 1] = str(tmp_path / "other")
    assert main([*with_caption, "--methods", "instruct-nerf2nerf-text-to-image"]) == 0
    for out, label in (("out", "masks from outside"), ("other", "Instruct-NeRF2NeRF with a")):
        report = json.loads((tmp_path / out / "report.json").read_text())
        (name,) = report["figures"]["methods"]
        assert name.startswith(label)
        (figures,) = report["figures"]["methods"][name]["each"]
        assert figures["edits of views"] == 3
        assert 0 < figures["PSNR outside"] < 99
        assert "nearer, inside" not in figures  # no colour was named
        asked = json.loads(
            next((tmp_path / out / "fields" / "edits").glob("*/edit.json")).read_text()
        )
        assert (asked["masks"] == "") == (out == "other")


@pytest.mark.usefixtures("quick")
def test_a_capture_in_other_axes_has_the_figures_of_the_same_in_opengls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, truth = orbit_capture(tmp_path / "opengl", 4, 24)
    masks = write_masks(tmp_path / "masks", truth.masks)
    shutil.copytree(tmp_path / "opengl", tmp_path / "opencv")
    file = tmp_path / "opencv" / "transforms.json"
    content = json.loads(file.read_text())
    poses = np.array([frame["transform_matrix"] for frame in content["frames"]])
    for frame, pose in zip(
        content["frames"], as_other_programs_write(poses, "opencv"), strict=True
    ):
        frame["transform_matrix"] = pose.tolist()
    file.write_text(json.dumps(content))

    def ask(axes: str, *more: str) -> list[str]:
        asked = ["evaluate", "methods", str(tmp_path / axes), "--masks", str(masks)]
        asked += ["--editor", "truth", "--methods", "given-masks", "--repeats", "1"]
        return [*asked, "--device", "cpu", "--out", str(tmp_path / f"out-{axes}"), *more]

    assert main(ask("opengl")) == 0
    assert main(ask("opencv", "--axes", "opencv")) == 0
    figures = []
    for axes in ("opengl", "opencv"):
        report = json.loads((tmp_path / f"out-{axes}" / "report.json").read_text())
        (one,) = report["figures"]["methods"]["masks from outside"]["each"]
        assert 0 < one["PSNR outside"] < 99
        figures.append({name: value for name, value in one.items() if name != "seconds"})
    assert figures[0] == pytest.approx(figures[1], abs=0.02)
    # goes on as it was begun, and not as anything else
    assert main(ask("opencv")) == 0
    capsys.readouterr()
    assert main(ask("opencv", "--axes", "opengl")) == 1
    assert "was trained with --axes opencv" in capsys.readouterr().err
