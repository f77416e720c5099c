"""`bench gpu`: what it says of a GPU that does not do as it should, tried without one; and where
there is one, that it does.
"""

import json
import time

import numpy as np
import pytest
import torch

from backend.__main__ import main
from backend.editing import Editor
from backend.evaluation import bench_gpu

from .tiny_editor import random_image

on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def bench(out, *options):
    return main(["bench", "gpu", "--out", str(out), "--device", "cpu", "--small", *options])


def results(out):
    figures = json.loads((out / "report.json").read_text())["figures"]
    return {stage: found["result"] for stage, found in figures.items()}


@pytest.mark.slow
def test_every_stage_works_on_a_cpu(tmp_path):
    assert bench(tmp_path / "out", "--seconds", "600") == 0
    assert set(results(tmp_path / "out").values()) == {"works"}
    figures = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    assert figures["demo model"]["float32"]["map, largest difference"] == 0
    assert figures["a scene"]["steps"] == 10
    edits = figures["Stable Diffusion 1.5's size"]["float32"]
    assert edits["diffusers' pipeline of 2 steps, image guidance 1.5, seconds"] > 0


def test_a_stage_that_fails_does_not_keep_the_others_from_being_tried(
    tmp_path, monkeypatch, capsys
):
    def breaks(bench, found):
        found["before it"] = 1
        raise RuntimeError("CUDA error: no kernel image is available")

    def differs(bench, found):
        raise bench_gpu.NotEqual("other colours")

    def works(bench, found):
        found["seconds"] = 2

    stages = {"one": breaks, "two": differs, "three": works}
    monkeypatch.setattr(bench_gpu, "STAGES", stages)
    assert bench(tmp_path / "out") == 1
    found = results(tmp_path / "out")
    assert "no kernel image" in found["one"]
    assert found["two"] == "wrong: other colours"
    assert found["three"] == "works"
    assert "does not do as it should: one, two." in capsys.readouterr().out


def test_nothing_is_begun_when_the_time_is_over(tmp_path):
    assert bench(tmp_path / "out", "--seconds", "0") == 0
    assert set(results(tmp_path / "out").values()) == {"no time was left"}


def test_half_precision_that_is_not_precise_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_gpu.Bench, "dtypes", lambda self: {"bfloat16": torch.bfloat16})
    monkeypatch.setattr(bench_gpu.Bench, "seconds", lambda self, action: 0.0)
    monkeypatch.setattr(bench_gpu, "EDIT_DIFFERENCE", 0.001)
    monkeypatch.setattr(bench_gpu, "STAGES", {"demo model": bench_gpu.maps_and_edits})
    assert bench(tmp_path / "out") == 1
    assert results(tmp_path / "out")["demo model"].startswith("wrong: bfloat16: map or edit")


def test_without_a_gpu_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert main(["bench", "gpu", "--out", str(tmp_path)]) == 1
    assert "torch finds no GPU here: install its CUDA build" in capsys.readouterr().err


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=on_a_gpu) for stage in bench_gpu.STAGES]
)
def test_a_gpu_does_as_it_should(stage, tmp_path):
    ends = time.monotonic() + 300
    bench = bench_gpu.Bench(torch.device("cuda"), False, tmp_path / "scene", ends)
    found: bench_gpu.Figures = {}
    bench_gpu.STAGES[stage](bench, found)
    assert found


@pytest.mark.parametrize("dtype", [pytest.param(d, marks=on_a_gpu) for d in ("float32", "float16")])
def test_a_seed_fixes_an_edit_on_a_gpu(dtype):
    image, mask = random_image(128, 128), np.zeros((128, 128), bool)
    mask[30:90, 40:100] = True
    made = []
    for _ in range(2):
        editor = Editor.from_pretrained("demo", "cuda", dtype)
        editor.set_image(image)
        made.append(editor.edit("make the sphere red", mask=mask, steps=5, seed=7).image)
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0][~mask], image[~mask])
