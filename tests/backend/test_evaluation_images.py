"""`evaluate images`: its figures from samples whose truth is known, the files, and going on."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from backend.__main__ import main
from backend.editing.encoders import load_encoder
from backend.editing.methods.method import Edited, Knob
from backend.editing.methods.registry import METHODS
from backend.editing.models.guidance import GUIDANCE_FILE, Guidance, write_guidance
from backend.errors import BadInput
from backend.evaluation import metrics
from backend.evaluation.images.against import against
from backend.evaluation.images.panels import UP, Line, panels
from backend.evaluation.images.plot import Curve, Panel, plotted
from backend.evaluation.kept_settings import check_settings
from backend.evaluation.lpips import load_lpips
from backend.evaluation.samples import SEEDS, draw_present
from backend.evaluation.spread.edit_record import EditRecord, figures_of
from tests.backend.random_lpips import save_weights
from tests.backend.tiny_model import save_tiny_model


class Painter:
    """Paints the picture's true edit over its true mask, and a grey of the knob over the rest."""

    label, needs = "painter", ()
    knob = Knob("grey", (0.0, 8.0), 2.0, 0.0, 255.0)

    def __init__(self, samples):
        self.samples, self.made = samples, 0

    def edit(self, models, request):
        assert torch.get_num_threads() == 1
        (sample,) = (
            one
            for one in self.samples
            if one.edit.instruction == request.instruction
            and (one.image == request.image).all()
            and ((one.mask > 0.5) == request.mask).all()
        )
        self.made += 1
        shift = round(self.knob.at(request.knob))
        return Edited(self.painted(sample, shift), request.mask)

    def painted(self, sample, shift):
        kept = np.where(sample.image > 127, sample.image - shift, sample.image + shift)
        inside = (sample.mask >= 0.02)[..., None]
        return np.where(inside, sample.edited, kept).astype(np.uint8)


@pytest.fixture
def painter(monkeypatch):
    found = Painter(draw_present(SEEDS["validation"], 3, 64))
    monkeypatch.setitem(METHODS, "ours", found)
    return found


def means_of_painted(samples, encoder):
    """What the painter's edits at grey 0 have of similarities, formula by formula."""
    rows = []
    for sample in samples:
        after = np.where((sample.mask >= 0.02)[..., None], sample.edited, sample.image)
        old, new = (torch.from_numpy(encoder.images([one])[0]) for one in (sample.image, after))
        before, asked = (torch.from_numpy(encoder.texts([one])[0]) for one in sample.captions)
        cosine = torch.nn.functional.cosine_similarity
        rows.append(
            {
                "image similarity": cosine(old, new, 0),
                "direction similarity": cosine(new - old, asked - before, 0),
                "text-image similarity": cosine(new, asked, 0),
                "edit PSNR": peak_signal_noise_ratio(sample.image, after),
            }
        )
    return {name: np.mean([float(row[name]) for row in rows]) for name in rows[0]}


def words(tiny_model, out, *more):
    shared = ["--model", str(tiny_model), "--device", "cpu", "--seeds", "validation"]
    return ["evaluate", "images", *shared, "--steps", "1", "--out", str(out), *more]


def test_a_method_that_there_is_not_is_refused(tiny_model, tmp_path, capsys):
    assert main(words(tiny_model, tmp_path, "--methods", "theirs")) == 1
    assert "There is no method 'theirs': use ours, ours-paper" in capsys.readouterr().err


def test_figures_are_those_of_the_pictures(tiny_model, tmp_path, capsys, painter):
    ask = words(tiny_model, tmp_path, "--methods", "ours", "sdedit-instruction")
    assert main([*ask, "--samples", "3", "--processes", "1"]) == 0
    said = capsys.readouterr().out
    assert "left out: SDEdit, instruction needs a text-to-image model" in said
    points = json.loads((tmp_path / "report.json").read_text())["figures"]["points"]
    assert [point["stand"] for point in points] == [2.0, 0.0, 8.0]
    for point in points:
        assert point["n"] == 3
        assert point["success"] == 1.0
        expected = 99.0 if point["stand"] == 0 else 20 * math.log10(255 / point["stand"])
        assert abs(point["PSNR outside"] - expected) < 0.01
        assert abs(point["PSNR outside, pooled"] - expected) < 0.01
        assert point["PSNR inside"] == 99.0
    assert painter.made == 9
    for name, value in means_of_painted(painter.samples, load_encoder("demo", "cpu")).items():
        own = name if name == "edit PSNR" else f"{name}, world CLIP"
        assert points[1][own] == pytest.approx(value, abs=2e-3), name
    table = (tmp_path / "figures.md").read_text()
    assert "| painter: grey 8 | 3 |" in table
    assert "Ours against" not in table  # there are no others
    for name in ("curves.png", "contact_sheet.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 100


def test_lpips_is_measured_where_its_weights_are(tiny_model, tmp_path, capsys, painter):
    out, folder = tmp_path / "out", tmp_path / "weights"
    ask = words(tiny_model, out, "--methods", "ours", "--samples", "2", "--processes", "1")
    ask += ["--defaults", "--lpips", str(folder)]
    assert main(ask) == 1
    assert "LPIPS lacks the weights of AlexNet or VGG16: download" in capsys.readouterr().err
    assert painter.made == 0
    save_weights(folder, "alex")
    assert main(ask) == 0
    (point,) = json.loads((out / "report.json").read_text())["figures"]["points"]
    expected = [
        load_lpips(str(folder), "cpu").distances([sample.image], [made])[0]
        for sample in painter.samples[:2]
        for made in [painter.painted(sample, 2)]
    ]
    assert point["LPIPS, AlexNet"] == pytest.approx(np.mean(expected), abs=1e-3)
    assert "| LPIPS, AlexNet |" in (out / "figures.md").read_text()
    capsys.readouterr()
    assert main(ask[:-2]) == 1  # what is kept has one figure more
    assert "were made with lpips 'LPIPS, AlexNet', not None" in capsys.readouterr().err


def test_the_same_command_makes_only_what_is_missing(tiny_model, tmp_path, capsys, painter):
    ask = words(tiny_model, tmp_path, "--methods", "ours", "--processes", "1", "--defaults")
    assert main([*ask, "--samples", "2"]) == 0
    before = json.loads((tmp_path / "report.json").read_text())["figures"]
    assert painter.made == 2
    assert main([*ask, "--samples", "2"]) == 0
    assert painter.made == 2
    assert json.loads((tmp_path / "report.json").read_text())["figures"] == before
    assert main([*ask, "--samples", "3"]) == 0
    assert painter.made == 3
    (tmp_path / "edits" / "ours-default" / "00001.json").unlink()
    assert main([*ask, "--samples", "3"]) == 0
    assert painter.made == 4
    capsys.readouterr()
    assert main([*ask, "--samples", "3", "--seed", "5"]) == 1
    assert "were made with seed 0, not 5: name another --out" in capsys.readouterr().err
    (tmp_path / "edits" / "ours-default" / "00001.json").write_text("{")
    assert main([*ask, "--samples", "3"]) == 1
    assert "00001.json is damaged" in capsys.readouterr().err


def test_edits_of_a_model_are_not_those_of_the_same_after_more_training(tmp_path, capsys, painter):
    """A folder keeps its name whatever lies in it."""
    model, out = save_tiny_model(tmp_path / "model"), tmp_path / "out"
    ask = words(model, out, "--methods", "ours", "--processes", "1", "--defaults", "--samples", "1")
    assert main(ask) == 0
    settings = out / "edits" / "settings.json"
    kept = json.loads(settings.read_text())
    write_guidance(model, Guidance(5.0, 1.2))
    assert main(ask) == 1
    assert f"were made with model contents '{kept['model_contents']}', not" in (
        capsys.readouterr().err
    )
    (model / GUIDANCE_FILE).unlink()
    assert main(ask) == 0
    save_tiny_model(model, seed=1)
    assert main(ask) == 1
    assert "were made with model contents" in capsys.readouterr().err
    # an earlier version did not look at that
    del kept["model_contents"], kept["clip_contents"]
    settings.write_text(json.dumps(kept))
    assert main(ask) == 0
    assert json.loads(settings.read_text())["clip_contents"]
    assert painter.made == 1


def test_more_processes_make_the_same_figures(tiny_model, tmp_path):
    ask = ["--methods", "ours-paper", "--samples", "2", "--defaults"]
    for count in ("1", "2"):
        out = tmp_path / count
        assert main([*words(tiny_model, out, *ask), "--processes", count]) == 0
    one, two = (
        {name: value for name, value in point.items() if "seconds" not in name}
        for count in ("1", "2")
        for point in json.loads((tmp_path / count / "report.json").read_text())["figures"]["points"]
    )
    assert one == two
    made = [tmp_path / count / "edits/ours-paper-default/00001.png" for count in ("1", "2")]
    assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="kills as POSIX systems do")
def test_what_works_for_a_killed_process_ends_with_it():
    script = (
        "import multiprocessing, time\n"
        "from backend.evaluation.spread import with_parent\n"
        "start = multiprocessing.get_context('spawn').Process\n"
        "start(target=with_parent._wait).start()\n"
        "print('begun', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as killed:
        assert killed.stdout.readline() == b"begun\n"
        killed.kill()
        # its end comes once both have let go of it
        assert killed.communicate(timeout=60) == (b"", None)


def test_settings_may_gain_a_text_to_image_model_but_not_change_it(tmp_path):
    settings = {"model": "demo", "text_to_image": "", "steps": 20}
    later = ("text_to_image",)
    check_settings(tmp_path, settings, later)
    check_settings(tmp_path, settings | {"text_to_image": "one"}, later)
    check_settings(tmp_path, settings, later)
    with pytest.raises(BadInput, match="text to image 'one', not 'two'"):
        check_settings(tmp_path, settings | {"text_to_image": "two"}, later)
    check_settings(tmp_path / "other", settings | {"dtype": "float16"}, later)
    with pytest.raises(BadInput, match="dtype 'float16', not None"):
        check_settings(tmp_path / "other", settings, later)


def test_pooled_figures_are_of_the_mean_error():
    exact = EditRecord(True, 0.0, 1.0, {"edit PSNR": 20.0, "image similarity": 0.5}, 0.25, 1.0, 0.5)
    wrong = replace(exact, success=False, error_outside=100.0, seconds=3.0)
    unseen = replace(exact, success=None, error_outside=None, edited=0.75)
    other = replace(unseen, similarities={"edit PSNR": 26.0, "image similarity": 0.8})
    figures = figures_of([exact, wrong, other], "one")
    assert figures["edit PSNR"] == 22.0
    mean = 255**2 * (2 * 10**-2 + 10**-2.6) / 3
    assert figures["edit PSNR, pooled"] == round(metrics.decibels(mean), 3)
    assert figures["image similarity, one"] == 0.6
    assert figures["success"] == 0.5
    assert figures["PSNR outside"] == round((99 + metrics.decibels(100)) / 2, 3)
    assert figures["PSNR outside, pooled"] == round(metrics.decibels(50), 3)
    assert figures["share edited"] == round(1.25 / 3, 3)
    assert figures["seconds, median"] == 1.0


def test_curves_are_compared_where_both_are_known_at_their_best():
    bent = Curve("ours", [(0.2, 40.0), (0.8, 34.0), (0.4, 20.0)], None)
    flat = Curve("flat", [(0.5, 36.0), (1.0, 36.0)], None)
    point = Curve("point", [(0.8, 30.0)], None)
    far = Curve("far", [(0.9, 50.0), (1.0, 50.0)], None)
    found = against(Panel("success", "PSNR", [bent, flat, point, far]), "ours")
    # from 0.5 to 0.8 ours falls from 37 to 34, and is above 36 up to 0.6
    assert found["flat"] == {
        "from": 0.5, "to": 0.8, "worst": -2.0, "mean": -0.5,
        "share": pytest.approx(1 / 3, abs=0.01),
    }  # fmt: skip
    assert found["point"] == {"from": 0.8, "to": 0.8, "worst": 4.0, "mean": 4.0, "share": 1.0}
    assert found["far"] == {}


def test_a_point_that_nobody_knows_is_in_no_curve():
    similar = {f"{name} similarity, CLIP": 0.5 for name in ("direction", "image")}
    similar["edit PSNR, pooled"] = 30.0
    rows = [similar, {"success": 0.5, **similar}]
    whole = {"success": 0.5, UP: 34.0, **similar}
    lines = [Line("ours", [*rows, whole], whole), Line("unknown", rows, rows[0])]
    first, others = panels(lines, 30.0, "CLIP")
    assert [curve.points for curve in first.curves] == [[(0.5, 34.0)], []]
    assert first.curves[1].default is None
    assert against(first, "ours") == {"unknown": {}}
    with Image.open(BytesIO(plotted("title", first, others))) as picture:
        assert min(picture.size) > 100


def test_what_is_not_edited_at_all_is_in_no_curve_of_similarities():
    similar = {f"{name} similarity, CLIP": 0.5 for name in ("direction", "image")}
    edited = {"success": 0.5, UP: 34.0, "edit PSNR, pooled": 30.0, **similar}
    untouched = {"success": 0.0, UP: 99.0, "edit PSNR, pooled": 99.0, **similar}
    first, others = panels([Line("ours", [untouched, edited], None)], 30.0, "CLIP")
    assert [one.curves[0].points for one in others] == [[(0.5, 0.5)], [(0.5, 30.0)]]
    assert len(first.curves[0].points) == 2


def test_a_plot_has_every_curves_name_beside_it(monkeypatch):
    written = []
    from matplotlib.axes import Axes

    annotate = Axes.annotate
    monkeypatch.setattr(
        Axes,
        "annotate",
        lambda self, text, *a, **k: (written.append((text, k)), annotate(self, text, *a, **k)),
    )
    curves = [Curve(f"method {n}", [(0.5, 30.0), (0.6, 29.9)], (0.5, 30.0)) for n in range(13)]
    panel = Panel("success", "PSNR", curves, (34.0, "round trip"))
    assert plotted("title", panel, [panel, panel])[:4] == b"\x89PNG"
    heights = sorted(k["xytext"][1] for text, k in written if text.startswith("method"))
    assert len(heights) == 13
    assert min(np.diff(heights)) > 0.035
    assert 0 <= heights[0] <= heights[-1] <= 1
