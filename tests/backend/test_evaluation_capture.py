"""Whether a capture is good enough, by masks of its views: figures, words and the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from backend.__main__ import main
from backend.captures.transforms import open_capture
from backend.captures.view_masks import read_view_masks, without_training_masks
from backend.editing.relevance import perfect_map
from backend.errors import BadInput
from backend.evaluation import relevance as relevance_command
from backend.evaluation.scenes import capture as capture_command
from backend.evaluation.scenes import capture_figures, capture_instruction
from backend.evaluation.scenes import scene as scene_command
from backend.evaluation.scenes.capture_figures import Photo, paint_for, painted, photos_of, truth_of
from backend.evaluation.scenes.true_editor import TrueEditor, Truth, spoiled
from backend.evaluation.scenes.verdict import OVERALL, WITHOUT_REGIONS, verdict
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.scenes.camera import View

from .quick_edit import LEAST
from .random_lpips import save_weights
from .tiny_capture import orbit_capture
from .tiny_field import TINY
from .tiny_model import save_tiny_model


def write_masks(folder: Path, masks: np.ndarray, ending: str = ".png") -> Path:
    folder.mkdir()
    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{number:03d}{ending}")
    return folder


def photo(side: int = 32, colour: tuple[int, int, int] = (200, 40, 30)) -> Photo:
    image = np.full((side, side, 3), 120, np.uint8)
    share = np.zeros((side, side), np.float32)
    share[8:20, 8:20] = 1
    image[share > 0] = colour
    return Photo("a", image, np.ones((side, side), bool), share, share[::2, ::2])


# the true editor


def test_true_editor_moves_the_start_to_the_truth_by_the_noise_level_inside_the_mask() -> None:
    rng = np.random.default_rng(0)
    image, edited, start = rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    editor = TrueEditor([Truth(image, edited, np.eye(4, dtype=np.float32))], 2)
    mask = np.zeros((8, 8), bool)
    mask[2:5] = True
    (half,) = editor.edit_images("x", [image], [mask], [start], [0.5], [0])
    np.testing.assert_array_equal(half[~mask], image[~mask])
    mean = (start[mask].astype(float) + edited[mask]) / 2
    assert np.abs(half[mask] - mean).max() <= 0.5
    (whole,) = editor.edit_images("x", [image], [mask], [start], [1.0], [0])
    np.testing.assert_array_equal(whole, np.where(mask[..., None], edited, image))
    editor.set_image(image)
    assert editor.relevance("x").values.tolist() == np.eye(4).tolist()
    ((number, found),) = editor.relevance_of_images("x", [start, image], wanted=[1])
    assert number == 1
    assert found.raw.tolist() == np.eye(4).tolist()
    alone = editor.edit("x", 0.5)
    np.testing.assert_array_equal(alone.image, np.where(alone.mask[..., None], edited, image))
    editor.set_image(start)
    with pytest.raises(ValueError, match="does not know"):
        editor.relevance("x")


def test_true_editor_refuses_views_that_nothing_tells_apart() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    map_ = np.zeros((2, 2), np.float32)
    with pytest.raises(BadInput, match="same pixels and different truths"):
        TrueEditor([Truth(image, image, map_), Truth(image, image + 9, map_)], 2)


def test_spoiled_maps_have_holes_and_noise() -> None:
    found = spoiled(np.ones((64, 64), np.float32), np.random.default_rng(1))
    holes = (found < 0.5).mean()
    assert 0.25 < holes < 0.4
    assert found.min() >= 0
    assert found.max() <= 1
    assert 0.1 < found[found >= 0.5].std() + found[found < 0.5].std() < 0.4


# figures


def test_painted_regions_take_a_colour_that_they_did_not_have() -> None:
    red, blue = photo(), photo(colour=(30, 40, 210))
    assert paint_for([red]) != "red"
    assert paint_for([blue]) != "blue"
    truth = truth_of(red, "blue")
    shown = truth.edited[red.inside].astype(int)
    assert (shown[:, 2] > 4 * shown[:, 0]).all()
    np.testing.assert_array_equal(truth.edited[~red.inside], red.image[~red.inside])


def test_reconstruction_is_of_opaque_pixels() -> None:
    one = photo()
    opaque = one.opaque.copy()
    opaque[:, :16] = False
    one = dataclasses.replace(one, opaque=opaque)
    shown = one.image / np.float32(255) + np.float32(0.1)
    shown[:, :16] = 0
    solid = np.where(opaque, 0.75, 0).astype(np.float32)
    seen = View(shown, solid, None, solid)
    figures = capture_figures.reconstruction([seen], [one])
    assert figures["accumulation"] == pytest.approx(0.75)
    assert figures["accumulation, see-through pixels"] == 1
    assert figures["PSNR"] == pytest.approx(20, abs=1e-3)


def test_views_that_show_nothing_are_not_measured() -> None:
    """Frames of a turntable that the thing has left: their PSNR was no number, nor was the mean."""
    one, grey = photo(), np.full((32, 32), 0.5, np.float32)
    empty = dataclasses.replace(one, opaque=np.zeros((32, 32), bool))
    seen = View(np.full((32, 32, 3), 0.5, np.float32), grey, None, grey)
    figures = capture_figures.reconstruction([seen, seen], [one, empty])
    assert figures == capture_figures.reconstruction([seen], [one])
    with pytest.raises(BadInput, match="held out of training shows anything"):
        capture_figures.reconstruction([seen], [empty])


class Stub:
    """A scene and an edit of it, that show what they are told."""

    views = ()

    def __init__(self, shown: np.ndarray, relevance: np.ndarray | None = None) -> None:
        self.shown, self.relevance_shown = shown.astype(np.float32), relevance

    def camera(self, name: str) -> None:
        return None

    def render(self, camera: object, relevance: object = None) -> View:
        return View(self.shown, self.shown[..., 0], self.relevance_shown, self.shown[..., 0])


def test_located_counts_pixels_of_all_views_and_of_what_is_behind() -> None:
    one = photo()
    half = np.where(np.arange(32)[:, None] < 14, one.share, 0).astype(np.float32)
    figures, worst = capture_figures.located(Stub(one.image, half), None, [one])  # type: ignore[arg-type]
    assert worst == one.name
    assert figures["IoU"] == pytest.approx(0.5)
    stub = Stub(one.image, 1 - one.share)
    behind, _ = capture_figures.located(stub, None, [one], behind=True)  # type: ignore[arg-type]
    assert behind["IoU"] == 1


def test_an_edit_is_judged_inside_and_outside_the_mask() -> None:
    one = photo()
    colour = "blue"
    before = one.image / np.float32(255)
    after = painted(one, colour)
    left = np.zeros_like(one.inside)
    left[:, :14] = True
    after[~left & one.inside] = before[~left & one.inside]  # half of it is reached
    after[0] += 0.1
    seen = View(before.astype(np.float32), one.share, None, one.share)
    shown = View(after.astype(np.float32), one.share, None, one.share)
    figures = capture_figures.edited([shown], colour, [one], [seen])
    assert figures["colour reached"] == pytest.approx(0.5)
    share = one.outside[0].sum() / one.outside.sum()
    assert figures["PSNR outside"] == pytest.approx(20 - 10 * np.log10(share), abs=1e-3)
    assert figures["of the unedited field"] == np.inf


def test_verdict_says_what_is_good_and_what_to_do() -> None:
    good = {
        "IoU": 0.95,
        "IoU, noise and holes": 0.9,
        "IoU, everything else": 0.95,
        "colour reached": 0.98,
        "PSNR outside": 40.0,
        "agreement between views": 30.0,
    }
    said = verdict({"accumulation": 0.99, "PSNR": 30.0}, {"face": good})
    assert said[-1] == OVERALL[0]
    assert not any("would be good" in line for line in said)
    bad = verdict({"accumulation": 0.4, "PSNR": 22.0}, {"wall": good | {"IoU": 0.75}})
    assert bad[-1] == OVERALL[2]
    assert any(
        line.startswith("  NOT GOOD: Surfaces are solid (accumulation 0.40)") for line in bad
    )
    assert any(
        line.startswith("  fair: The field shows places between the photos (PSNR 22.0 dB); 25.0 dB")
        for line in bad
    )
    fair = verdict({"accumulation": 0.99, "PSNR": 22.0}, {"face": good})
    assert fair[-1] == OVERALL[1]
    # the field alone can be too bad, and not good enough for all
    assert verdict({"accumulation": 0.99, "PSNR": 26.0}, {})[-1] == WITHOUT_REGIONS
    assert not set(verdict({"accumulation": 0.99, "PSNR": 26.0}, {})) & set(OVERALL)
    assert verdict({"accumulation": 0.2}, {})[-2:] == [OVERALL[2], WITHOUT_REGIONS]


# masks


def test_masks_are_found_by_stem_or_whole_name_and_missing_ones_named(tmp_path: Path) -> None:
    capture, truth = orbit_capture(tmp_path / "scene", 4, 24)
    first = write_masks(tmp_path / "a", truth.masks)
    found = read_view_masks(first, capture)
    for name, mask in zip(capture.names, truth.masks, strict=True):
        np.testing.assert_array_equal(found[name].at(24, 24) > 0.5, mask)
    cells = found[capture.names[0]].at(6, 6)
    assert cells.mean() == pytest.approx(truth.masks[0].mean(), abs=1e-6)
    stored = Path(capture.names[0]).suffix
    second = write_masks(tmp_path / "b", truth.masks, f"{stored}.png")
    assert read_view_masks(second, capture)[capture.names[1]].stored.any()
    (first / "002.png").unlink()
    with pytest.raises(BadInput, match=r"has no mask of 1 of 4 views, such as 002\.png for"):
        read_view_masks(first, capture)
    Image.new("L", (24, 24)).save(first / "002.png")
    Image.new("L", (24, 24)).save(first / "002.webp")
    with pytest.raises(BadInput, match="has 2 masks for the view"):
        read_view_masks(first, capture)
    with pytest.raises(BadInput, match="There is no folder"):
        read_view_masks(tmp_path / "c", capture)


def test_masks_lose_the_lens_as_the_photos_do(tmp_path: Path) -> None:
    _, truth = orbit_capture(tmp_path / "scene", 3, 64)
    path = tmp_path / "scene" / "transforms.json"
    stored = json.loads(path.read_text())
    masks = write_masks(tmp_path / "masks", truth.masks)
    lens = {"camera_model": "OPENCV", "k1": 0.15}
    path.write_text(json.dumps(stored | lens))
    for place in (tmp_path / "scene").rglob("000.*"):
        if place.suffix != ".json" and "depth" not in str(place):
            Image.fromarray(truth.masks[0].astype(np.uint8) * 255).convert("RGB").save(place)
    bent = open_capture(tmp_path / "scene")
    assert not bent.views[0].lens.is_pinhole
    shown = bent.read(0).image[..., 0] > 127
    mask = read_view_masks(masks, bent)[bent.names[0]].at(*shown.shape) > 0.5
    np.testing.assert_array_equal(mask, shown)
    assert (mask != truth.masks[0]).any()


def test_masks_lie_in_folders_as_their_photos_do(tmp_path: Path) -> None:
    _, truth = orbit_capture(tmp_path / "scene", 4, 24)
    path = tmp_path / "scene" / "transforms.json"
    stored = json.loads(path.read_text())
    for number, frame in enumerate(stored["frames"]):
        place = f"images/cam{number % 2}/{number // 2}.png"
        for folder in ("scene", "masks"):
            (tmp_path / folder / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scene" / frame["file_path"]).rename(tmp_path / "scene" / place)
        Image.fromarray(truth.masks[number]).save(tmp_path / "masks" / place)
        frame["file_path"] = place
    path.write_text(json.dumps(stored))
    capture = open_capture(tmp_path / "scene")
    for folder in (tmp_path / "masks", tmp_path / "masks" / "images"):
        found = read_view_masks(folder, capture)
        for name, mask in zip(capture.names, truth.masks, strict=True):
            np.testing.assert_array_equal(found[name].at(24, 24) > 0.5, mask)


def test_masks_of_ones_dark_colours_and_other_sizes_are_read(tmp_path: Path) -> None:
    capture, truth = orbit_capture(tmp_path / "scene", 4, 24)
    truth.masks[1] = False  # no noise of this view is taken for the region
    dark = np.where(truth.masks[..., None], (128, 0, 0), 0).astype(np.uint8)
    large = truth.masks.repeat(2, 1).repeat(2, 2).astype(np.uint8) * 255
    for number, pixels in enumerate((truth.masks.astype(np.uint8), dark, large)):
        folder = tmp_path / str(number)
        folder.mkdir()
        for view, mask in enumerate(pixels):
            Image.fromarray(mask).save(folder / f"{view:03d}.png")
        found = read_view_masks(folder, capture)
        for name, mask in zip(capture.names, truth.masks, strict=True):
            np.testing.assert_array_equal(found[name].at(24, 24) > 0.5, mask)


def test_masks_that_mark_nothing_or_everything_are_refused_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, truth = orbit_capture(tmp_path / "scene", 4, 24)
    command = ["evaluate", "capture", str(tmp_path / "scene"), "--out", str(tmp_path / "out")]
    for what, masks in (("nothing", truth.masks & False), ("everything", truth.masks | True)):
        folder = write_masks(tmp_path / what, masks)
        assert main([*command, "--masks", str(folder)]) == 1
        assert f"{what} mark {what} in all views: they must be white" in capsys.readouterr().err
    folder = write_masks(tmp_path / "most", truth.masks)
    Image.new("L", (24, 12)).save(folder / "001.png")
    assert main([*command, "--masks", str(folder)]) == 1
    assert "of another shape than its image" in capsys.readouterr().err
    assert not (tmp_path / "out" / "fields" / "radiance.json").exists()


def test_photos_in_place_of_masks_are_refused(tmp_path: Path) -> None:
    capture, truth = orbit_capture(tmp_path / "scene", 4, 24)
    shades = np.linspace(40, 250, 24).astype(np.uint8) * np.ones((4, 24, 1), np.uint8)
    with pytest.raises(BadInput, match=r"such as 000\.png, are no masks"):
        read_view_masks(_written(tmp_path / "photos", shades), capture)
    soft = np.where(truth.masks, 255, shades // 8).astype(np.uint8)
    assert read_view_masks(_written(tmp_path / "soft", soft), capture)


def test_labels_of_several_things_in_place_of_masks_are_refused(tmp_path: Path) -> None:
    """Of those the brightest alone was taken for the region, and the others left out."""
    capture, truth = orbit_capture(tmp_path / "scene", 4, 24)
    numbers = truth.masks.astype(np.uint8)
    numbers[:, 16:, 16:] = 2
    colours = np.array([(0, 0, 0), (128, 0, 0), (128, 128, 0)], np.uint8)[numbers]  # DAVIS's
    for name, pixels in (("numbers", numbers), ("colours", colours), ("grey", numbers * 120)):
        with pytest.raises(BadInput, match=r"such as 000\.png, have flat areas of several shades"):
            read_view_masks(_written(tmp_path / name, pixels), capture)
    rims = truth.masks.repeat(4, 1).repeat(4, 2).astype(np.float32)
    rims = ndimage.uniform_filter(rims, (0, 3, 3)) * 255  # soft, and grey all along
    found = read_view_masks(_written(tmp_path / "rims", rims.astype(np.uint8)), capture)
    assert all(found[name].stored.any() for name in capture.names)


def _written(folder: Path, pictures: np.ndarray) -> Path:
    folder.mkdir()
    for view, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{view:03d}.png")
    return folder


def test_masks_of_the_region_in_the_capture_s_own_folder_hide_nothing_from_training(
    tmp_path: Path,
) -> None:
    _, truth = orbit_capture(tmp_path / "scene", 4, 24)
    folder = write_masks(tmp_path / "scene" / "masks", truth.masks)
    hidden = open_capture(tmp_path / "scene")
    assert all(view.mask is not None for view in hidden.views)
    capture = without_training_masks(hidden, [tmp_path / "scene" / ".." / "scene" / "masks"])
    assert all(view.mask is None for view in capture.views)
    assert capture.notes == ()
    assert read_view_masks(folder, capture)[capture.names[0]].stored.any()
    other = without_training_masks(hidden, [tmp_path / "elsewhere"])
    assert other.views == hidden.views
    assert other.notes == hidden.notes


def test_what_a_mask_keeps_from_training_is_not_measured(tmp_path: Path) -> None:
    _, truth = orbit_capture(tmp_path / "scene", 4, 24)
    regions = write_masks(tmp_path / "region", truth.masks)
    seen = np.ones((4, 24, 24), bool)
    seen[:, :5] = False
    write_masks(tmp_path / "scene" / "masks", seen)
    capture = open_capture(tmp_path / "scene")
    scene = SimpleNamespace(capture=capture)
    masks = read_view_masks(regions, capture)
    for one in photos_of(scene, capture.names, masks, 12):  # type: ignore[arg-type]
        np.testing.assert_array_equal(one.opaque, seen[0])


def test_the_sheet_has_the_view_in_which_a_region_is_found_worst() -> None:
    """The verdict says to look at it there, where it was one of four by chance."""
    names = [f"{index}.png" for index in range(9)]
    for index, name in enumerate(names):
        chosen = capture_command._chosen(names, name)
        assert index in chosen
        assert len(chosen) == len(set(chosen)) == capture_command.SHEET_VIEWS
        assert chosen == sorted(chosen)
    assert capture_command._chosen(names, None) == [0, 3, 5, 8]
    assert capture_command._chosen(names[:2], names[1]) == [0, 1]


# the command


def test_command_says_whether_a_capture_is_good_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", LEAST)
    _, truth = orbit_capture(tmp_path / "scene", 6, 24)
    masks = write_masks(tmp_path / "ball", truth.masks)
    others = write_masks(tmp_path / "rest", ~truth.masks)
    command = ["evaluate", "capture", str(tmp_path / "scene"), "--device", "cpu"]
    command += ["--out", str(tmp_path / "out"), "--cells", "12"]
    with pytest.raises(SystemExit):
        main([*command, "--masks"])
    assert "--masks" in capsys.readouterr().err
    assert main(command) == 0  # without masks, of the field alone
    alone = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    assert capsys.readouterr().out.splitlines()[-2] == WITHOUT_REGIONS
    assert (tmp_path / "out" / "contact_sheet.png").stat().st_size > 1000
    assert main([*command, "--masks", str(masks), "--masks", str(others)]) == 0
    shown = capsys.readouterr().out
    assert "The region ball:" in shown
    assert "The region rest:" in shown
    assert any(words in shown for words in OVERALL)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["held_out"] == [f"images/{3:03d}.png"]
    assert alone == {"Field": report["figures"]["Field"]}
    field, regions = report["figures"]["Field"]["scene"], report["figures"]["Regions"]
    assert 0 < field["accumulation"] <= 1
    for name in ("ball", "rest"):
        assert 0 <= regions[name]["IoU"] <= 1
        assert 0 <= regions[name]["colour reached"] <= 1
    assert (tmp_path / "out" / "contact_sheet.png").stat().st_size > 1000
    # nothing is left in the capture itself, and the same command takes what is there
    assert not (tmp_path / "scene" / ".wys").exists()
    assert main([*command, "--masks", str(masks), "--masks", str(others)]) == 0
    again = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    assert again == report["figures"]
    Image.new("L", (24, 24)).save(masks / "003.png")
    capsys.readouterr()
    assert main([*command, "--masks", str(masks)]) == 1
    assert "mark nothing in any held-out view" in capsys.readouterr().err


def test_command_measures_what_a_models_edit_does_to_a_capture(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", LEAST)
    _, truth = orbit_capture(tmp_path / "scene", 6, 24)
    masks = write_masks(tmp_path / "ball", truth.masks)
    command = ["evaluate", "capture", str(tmp_path / "scene"), "--device", "cpu", "--cells", "12"]
    command += ["--out", str(tmp_path / "out"), "--masks", str(masks), "--fields-only"]
    told = [*command, "--instruction", "make the ball blue", "--colour", "blue"]
    model = save_tiny_model(tmp_path / "model")
    told += ["--model", str(model)]
    assert main(told) == 0, capsys.readouterr().err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    found = report["figures"]['"make the ball blue", towards blue']["ball"]
    for part in ("inside", "outside"):
        assert 0 <= found[f"nearer, {part}, worst view"] <= found[f"nearer, {part}"] <= 1
        assert found[f"PSNR {part}"] > 5
    assert found["IoU"] + found["IoU, everything else"] <= 1
    assert main(told) == 0  # goes on with what is there
    again = json.loads((tmp_path / "out" / "report.json").read_text())
    assert again["figures"] == report["figures"]
    assert main([*told, "--dtype", "bfloat16"]) == 0  # another edit
    other = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["settings"]["dtype"], other["settings"]["dtype"]) == ("float32", "bfloat16")
    assert other["figures"]["Field"] == report["figures"]["Field"]
    assert other["figures"] != report["figures"]
    clip = ["--clip", "demo", "--captions", "a red ball", "a blue ball"]
    save_weights(tmp_path / "lpips", "vgg")
    assert main([*told, *clip, "--lpips", str(tmp_path / "lpips")]) == 0
    with_clip = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    along = with_clip['"make the ball blue", along an orbit, by world CLIP']
    names = {f"{name} similarity" for name in ("image", "frame", "edit", "text-image")}
    own = {"direction similarity", "edit PSNR", "LPIPS, VGG16"}
    assert along["correct"].keys() == names | own
    assert along["correct"]["LPIPS, VGG16"] > 0
    assert along["authors'"].keys() == names | {"edit PSNR"}
    assert all(-1 <= along[mode][name] <= 1 for mode in along for name in names)
    capsys.readouterr()
    assert main([*command, "--instruction", " "]) == 1  # the demo model needs words
    assert "instruction" in capsys.readouterr().err
    without = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    assert without == {name: again["figures"][name] for name in ("Field", "Regions")}
    save_tiny_model(model, seed=1)  # it was trained on
    assert main(told) == 1
    assert "were made with model contents" in capsys.readouterr().err


def test_a_command_without_a_downscale_goes_on_with_that_of_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence asked for leaving out an option that was not given."""
    monkeypatch.setitem(PRESETS, "preview", TINY)
    orbit_capture(tmp_path / "scene", 6, 24)
    command = ["evaluate", "capture", str(tmp_path / "scene"), "--device", "cpu"]
    command += ["--out", str(tmp_path / "out")]
    assert main([*command, "--downscale", "2"]) == 0
    first = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "times smaller" not in capsys.readouterr().out
    assert main(command) == 0
    assert "note: Images are read 2 times smaller, as for what is in" in capsys.readouterr().out
    again = json.loads((tmp_path / "out" / "report.json").read_text())
    assert again["settings"]["downscale"] == first["settings"]["downscale"] == 2
    assert again["figures"] == first["figures"]
    assert main([*command, "--downscale", "3"]) == 1
    assert "was trained with --downscale 2: leave the option out" in capsys.readouterr().err


def test_other_cells_of_the_maps_make_fields_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "preview", TINY)
    monkeypatch.setitem(EDIT_PRESETS, "preview", LEAST)
    _, truth = orbit_capture(tmp_path / "scene", 6, 24)
    masks = write_masks(tmp_path / "ball", truth.masks)
    command = ["evaluate", "capture", str(tmp_path / "scene"), "--device", "cpu"]
    command += ["--masks", str(masks), "--out", str(tmp_path / "out")]
    for cells in (["--cells", "12"], [], ["--cells", "8"]):
        assert main([*command, *cells]) == 0
    assert len([*(tmp_path / "out" / "fields" / "edits").glob("*/edit.json")]) == 3


def test_a_model_that_is_not_there_is_told_before_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, truth = orbit_capture(tmp_path / "scene", 6, 24)
    masks = write_masks(tmp_path / "ball", truth.masks)
    command = ["evaluate", "capture", str(tmp_path / "scene"), "--masks", str(masks)]
    command += ["--out", str(tmp_path / "out"), "--instruction", "make it red"]
    assert main([*command, "--model", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "out" / "fields" / "radiance.json").exists()


def test_figures_of_a_models_edit_on_renders_that_are_known() -> None:
    one = photo()
    grey = View(*(np.full((32, 32, *more), 0.5, np.float32) for more in ((3,), (), (), ())))
    half = grey.rgb.copy()
    half[8:20, :14] = (0.7, 0.4, 0.4)  # nearer to red, in half of the thing and beside it
    half[25:] += 0.01  # less than counts
    region = np.where(one.share > 0, 0.9, 0.1).astype(np.float32)
    after = dataclasses.replace(grey, rgb=half, relevance=region)
    found = capture_instruction.figures_of([grey], [after], [one], "red")
    assert found["nearer, inside"] == pytest.approx(one.core[:, :14].sum() / one.core.sum())
    assert found["nearer, outside"] == pytest.approx(
        one.outside[8:20, :14].sum() / one.outside.sum()
    )
    squares = np.square(half - 0.5)
    for words, where in (("inside", one.core), ("outside", one.outside)):
        assert found[f"PSNR {words}"] == pytest.approx(-10 * np.log10(squares[where].mean()), 1e-4)
    assert (found["IoU"], found["IoU, everything else"]) == (1, 0)
    uncoloured = capture_instruction.figures_of([grey], [after], [one], None)
    assert uncoloured == {name: v for name, v in found.items() if not name.startswith("nearer")}
    assert one.core.sum() == 10 * 10


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--instruction", "make it red"], "give them with --masks"),
        (["--colour", "blue"], "--colour says nothing without --instruction"),
        (["--model", "other"], "--model says nothing without --instruction"),
        (["--clip", "demo"], "--clip says nothing without --instruction"),
        (["--captions", "a ball", "a cube"], "--captions say nothing without --clip"),
        (["--lpips", "alex"], "--lpips says nothing without --clip"),
    ],
)
def test_options_of_an_instruction_belong_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], words: str
) -> None:
    out = tmp_path / "out"
    assert main(["evaluate", "capture", str(tmp_path), "--out", str(out), *given]) == 1
    assert words in capsys.readouterr().err
    assert not out.exists()


def test_a_stopped_evaluation_says_that_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for module in (capture_command, scene_command, relevance_command):
        monkeypatch.setattr(module, "run", interrupted)
    for words, said in (
        (["capture", str(tmp_path)], "stopped: the same command goes on"),
        (["scene"], "stopped: the same command goes on"),
        (["relevance"], "cancelled"),
    ):
        assert main(["evaluate", *words, "--out", str(tmp_path / "out")]) == 130
        assert capsys.readouterr().err.startswith(said)


def test_a_map_of_shares_is_its_own_truth() -> None:
    raw = np.zeros((4, 4), np.float32)
    raw[1, 1] = 0.5
    assert perfect_map(raw).values[1, 1] == 1
    assert perfect_map(raw).raw[1, 1] == 0.5
