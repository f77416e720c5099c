"""`evaluate grid`: one picture at many thresholds and guidances."""

import json

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.editing import Editor

from .tiny_editor import INSTRUCTION, random_image


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(random_image(48, 64)).save(path)
    return path


def command(picture, model, out, *options):
    return [
        "evaluate", "grid", str(picture), INSTRUCTION, "--out", str(out),
        "--model", str(model), "--device", "cpu", "--steps", "2", *options,
    ]  # fmt: skip


def test_every_pair_is_the_edit_that_it_says(picture, tiny_model, tmp_path):
    out = tmp_path / "out"
    options = ["--thresholds", "0", "0.5", "--image-guidances", "1", "1.5", "2", "--seed", "3"]
    assert main(command(picture, tiny_model, out, *options)) == 0
    editor = Editor.from_pretrained(str(tiny_model), "cpu")
    editor.set_image(random_image(48, 64))
    relevance = editor.relevance(INSTRUCTION)
    figures = json.loads((out / "report.json").read_text())["figures"]
    for threshold in (0, 0.5):
        shares = set()
        for guidance in (1, 1.5, 2):
            name = f"threshold {threshold:g}, image guidance {guidance:g}"
            shown = np.asarray(Image.open(out / "edits" / f"{name}.png"))
            expected = editor.edit(
                INSTRUCTION, threshold, image_guidance=guidance, steps=2, seed=3, detail="whole",
                relevance=relevance,
            )  # fmt: skip
            mask = relevance.at(48, 64) >= threshold
            assert (shown[~mask] == random_image(48, 64)[~mask]).all()
            if threshold == 0:  # where nothing is snapped to, the default region is the same
                assert (shown == expected.image).all()
            shares.add(figures[name]["share of the picture edited"])
            assert figures[name]["share of the picture edited"] == round(float(mask.mean()), 4)
        assert len(shares) == 1
    sheet = Image.open(out / "grid.png")
    assert sheet.width > 4 * 256
    assert sheet.height > 3 * 256


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--thresholds", "1.5"], "not 1.5"),
        (["--image-guidances", "-1"], "--image-guidances must be from 0 to 100, not -1"),
        (
            ["--thresholds", "0.5", "0.5"],
            "must name one value at least, and none twice",
        ),
        (  # whose edits would be of one name
            ["--thresholds", "0.12345671", "0.12345672"],
            "and none twice, to six digits",
        ),
        (["--steps", "0"], "--steps must be 1 or more, not 0"),
    ],
)
def test_what_no_grid_can_be_made_of_is_refused(
    picture, tiny_model, tmp_path, capsys, options, words
):
    assert main(command(picture, tiny_model, tmp_path / "out", *options)) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_over(picture, tiny_model, tmp_path, capsys):
    assert main(command(picture, tiny_model, tmp_path)) == 1
    assert "is not empty: name a new folder with --out" in capsys.readouterr().err
