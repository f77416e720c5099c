"""`evaluate regions`: its figures on samples whose truth is known, and the files that it writes."""

import json

import numpy as np

from backend.__main__ import main
from backend.editing import Editor
from backend.evaluation import regions
from backend.evaluation.options import RegionOptions
from backend.evaluation.samples import SEEDS, draw_present
from backend.world.render import id_of
from protocol.region import snapped

SIZE = 64


def options(tmp_path, **more):
    return RegionOptions(out=tmp_path, size=SIZE, seeds="validation", **more)


def test_samples_and_labels_are_those_of_the_world(tmp_path):
    drawn = list(regions.drawn(options(tmp_path, samples=7), ["recolour"]))
    plain = draw_present(SEEDS["validation"], 7, SIZE, ["recolour"])
    assert [one.edit.instruction for one, _ in drawn] == [one.edit.instruction for one in plain]
    for sample, picture in drawn:
        assert (picture.image == sample.image).all()
        of_target = regions.labels_of(picture) == id_of(sample.edit.target)
        truth = sample.mask > 0.5
        assert (of_target & truth).sum() >= 0.97 * (of_target | truth).sum()


def test_the_command_measures_every_way_and_shows_it(tiny_model, tmp_path, capsys):
    words = ["--model", str(tiny_model), "--device", "cpu", "--seeds", "validation"]
    words += ["--samples", "3", "--edits", "2", "--size", str(SIZE), "--kinds", "recolour"]
    words += ["--ways", "things", "edges-sharp", "--out", str(tmp_path)]
    assert main(["evaluate", "regions", *words]) == 0
    assert "wrote figures.md" in capsys.readouterr().out
    assert (tmp_path / "contact_sheet.png").stat().st_size > 1000
    figures = json.loads((tmp_path / "report.json").read_text())["figures"]
    assert len(figures["samples"]) == 3
    first = figures["samples"][0]
    assert 0 < first["share of the picture"] < 1
    assert first["edits"]["edges-sharp"]["seconds"] > 0
    sample, picture = next(regions.drawn(options(tmp_path, samples=1), ["recolour"]))
    editor = Editor.from_pretrained(str(tiny_model), device="cpu")
    editor.set_image(sample.image)
    relevance = editor.relevance(sample.edit.instruction)
    labels = regions.labels_of(picture)
    at, suggested = relevance.at(SIZE, SIZE), relevance.suggested_threshold
    truth = sample.mask > 0.5
    for snap in ("nothing", "edges", "things"):
        found = snapped(at, sample.image, snap, labels, suggested)
        region = found.values >= found.suggested_threshold
        iou = (region & truth).sum() / (region | truth).sum()
        assert abs(figures["samples"][0][snap] - iou) < 1e-3
    tables = {name: table for name, table in figures.items() if name.startswith("Edits")}
    assert tables
    for table in tables.values():
        assert set(table) == {"today", "things", "edges-sharp"}
        assert table["today"]["share of today's time"] == 1
        assert all(np.isfinite(row["PSNR outside"]) for row in table.values())


def test_another_kind_and_no_sample_are_one_sentence(tiny_model, tmp_path, capsys):
    words = ["evaluate", "regions", "--model", str(tiny_model), "--out", str(tmp_path)]
    assert main([*words, "--kinds", "explode"]) == 1
    assert "no kind of edit 'explode'" in capsys.readouterr().err
