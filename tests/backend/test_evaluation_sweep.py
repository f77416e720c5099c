"""`evaluate sweep`: pairs and maps against what the editor makes of them, and going on."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio
from sklearn.metrics import roc_auc_score

from backend.__main__ import main
from backend.editing import Editor
from backend.evaluation.samples import SEEDS, draw_present
from backend.evaluation.sweep.plot import HeatMap, heat_maps
from protocol.settings import RegionSettings


def words(tiny_model, out, *more):
    shared = ["--model", str(tiny_model), "--device", "cpu", "--seeds", "validation"]
    small = ["--samples", "1", "--steps", "1", "--processes", "1", "--out", str(out)]
    swept = ["--thresholds", "0", "0.5", "--image-guidances", "1", "2", "--noises", "1", "2"]
    return ["evaluate", "sweep", *shared, *small, *swept, "--noise-levels", "0.5", "0.8", *more]


def test_figures_are_those_of_the_editors_own_edits_and_maps(tiny_model, tmp_path, monkeypatch):
    assert main(words(tiny_model, tmp_path)) == 0
    figures = json.loads((tmp_path / "report.json").read_text())["figures"]
    (sample,) = draw_present(SEEDS["validation"], 1, 64)
    editor = Editor.from_pretrained(str(tiny_model), "cpu")
    editor.set_image(sample.image)
    assert len(figures["Edits"]) == 4
    for name, row in figures["Edits"].items():
        threshold, guidance = (float(part.split()[-1]) for part in name.split(","))
        edit = editor.edit(
            sample.edit.instruction,
            threshold=threshold,
            image_guidance=guidance,
            steps=1,
            detail="whole",
            relevance=editor.relevance(sample.edit.instruction, closer=False),
            region=RegionSettings(snap="nothing"),
        )
        assert row["share edited"] == pytest.approx(edit.mask.mean(), abs=1e-3)
        expected = peak_signal_noise_ratio(sample.image, edit.image)
        assert row["edit PSNR"] == pytest.approx(expected, abs=1e-3)
    values = editor.relevance(
        sample.edit.instruction, noise_level=0.5, seeds=(0,), closer=False
    ).values
    cell = sample.mask.shape[0] // len(values)
    shares = sample.mask.reshape(len(values), cell, -1, cell).mean((1, 3))
    auroc = roc_auc_score(shares.ravel() > 0.5, values.ravel())
    assert figures["Maps"]["noise level 0.5, 1 noise"]["AUROC"] == pytest.approx(auroc, abs=1e-3)
    assert list(figures["Maps"]) == [
        f"noise level {one}" for one in ("0.5, 1 noise", "0.8, 1 noise", "0.8, 2 noises")
    ]
    for name in ("heat_maps.png", "curves.png", "maps.png", "contact_sheet.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100
    # the same command only reads what is there
    monkeypatch.setattr(Editor, "edit", None)
    assert main(words(tiny_model, tmp_path)) == 0
    assert json.loads((tmp_path / "report.json").read_text())["figures"] == figures


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--thresholds", "0.5", "0.5"], "--thresholds must name one value at least, and none"),
        (["--noise-levels", "1.5"], "--noise-levels must be from 0 to 1, not 1.5"),
        (["--noises", "0"], "--noises must be from 1 to 64, not 0"),
    ],
)
def test_values_that_cannot_be_swept_over_are_refused(tiny_model, tmp_path, capsys, more, said):
    assert main(words(tiny_model, tmp_path, *more)) == 1
    assert said in capsys.readouterr().err


def test_heat_maps_are_drawn_with_pairs_missing():
    one = HeatMap("success", {(0.0, 1.0): 0.5, (0.5, 1.0): 0.25}, 2)
    assert heat_maps([one], (0.0, 0.5), (1.0, 2.0))[:4] == b"\x89PNG"
    assert np.isfinite(list(one.values.values())).all()
