"""`bench edit` and `bench relevance`: that what is timed side by side computes the same, and how it
is timed.
"""

import json

import numpy as np
import pytest
import torch

from backend.__main__ import main
from backend.editing import Editor
from backend.editing.models.registry import load_model
from backend.evaluation import bench_edit, paired, plain_order
from backend.evaluation.options import EditBenchOptions
from backend.evaluation.random_model import random_model

from .tiny_editor import INSTRUCTION, random_image, reference_pipeline


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(str(tiny_model), "cpu", "float32")


def test_the_authors_order_gives_the_same_map(model):
    image = random_image(64, 80)
    noise = np.random.default_rng(1).standard_normal((4, 8, 10)).astype(np.float32)
    theirs = plain_order.three_branch_map(
        plain_order.pipeline_of(model), image, INSTRUCTION, 0.8, torch.from_numpy(noise)[None]
    )
    editor = Editor(model)
    editor.set_image(image)
    ours = editor.relevance(INSTRUCTION, noise=noise, normalisation="paper").values
    assert ours.max() == theirs.max() == 1
    assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize("image_guidance", [1.0, 1.5])
def test_the_pipeline_is_that_of_the_models_own_folder(model, tiny_model, image_guidance):
    image = random_image(64, 64)
    start = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    made = [
        plain_order.pipeline_edit(pipeline, image, INSTRUCTION, start, 3, (7.5, image_guidance))
        for pipeline in (plain_order.pipeline_of(model), reference_pipeline(tiny_model))
    ]
    assert np.abs(made[0].astype(int) - made[1]).max() <= 1
    assert (made[0] != image).any()


class Clock:
    """A clock that stands still until it is told how much time has passed."""

    def __init__(self):
        self.now = 0.0

    def pass_by(self, seconds):
        self.now += seconds

    def __call__(self):
        return self.now


def test_turns_tell_the_seconds_inside_a_network_apart(monkeypatch):
    clock, processor, order = Clock(), Clock(), []
    monkeypatch.setattr(paired.time, "perf_counter", clock)
    monkeypatch.setattr(paired.time, "process_time", processor)

    class Network(torch.nn.Module):
        def forward(self, seconds):
            clock.pass_by(seconds)
            processor.pass_by(2 * seconds)

    network = Network()

    def slow():
        order.append("slow")
        network(3.0)
        clock.pass_by(1.0)

    def fast():
        order.append("fast")
        network(0.5)
        network(0.5)

    turns = paired.take_turns({"slow": slow, "fast": fast}, 2, network, torch.device("cpu"))
    assert order == ["slow", "fast"] * 3, "once to warm up"
    assert [(run.wall, run.processor, run.inside) for run in turns["slow"]] == [(4, 6, 3)] * 2
    found = paired.compared(turns, {"fast": "slow"})
    assert found["slow"] == {
        "seconds": 4,
        "processor seconds": 6,
        "outside the network": 0.25,
    }
    assert found["fast"]["outside the network"] == 0
    assert found["fast"]["share of slow"] == 0.25
    assert found["fast"]["share of its processor seconds"] == pytest.approx(1 / 3, abs=1e-3)
    network(1.0)
    assert len(network._forward_hooks) == 0, "nothing is left on the network"


def test_both_commands_write_what_they_measured(tiny_model, tmp_path, capsys):
    options = ["--model", str(tiny_model), "--device", "cpu", "--rounds", "1", "--size", "128"]
    assert main(["bench", "relevance", "--out", str(tmp_path / "map"), *options]) == 0
    figures = json.loads((tmp_path / "map" / "report.json").read_text())["figures"]
    assert figures["largest difference of the maps"] < 1e-3
    assert 0 < figures["this program"]["share of the authors' order"] < 10
    edit = ["bench", "edit", "--out", str(tmp_path / "edit"), *options, "--steps", "2"]
    assert main(edit) == 0
    figures = json.loads((tmp_path / "edit" / "report.json").read_text())["figures"]
    theirs = "diffusers' pipeline, image guidance 1.5"
    ours = "this program, all of the picture, image guidance 1.5"
    assert figures[f"pictures: {ours}"][f"PSNR, {theirs}"] > 50
    assert 0 < figures[ours][f"share of {theirs}"] < 10
    alone = "this program, the region alone, detail sharp, image guidance 1"
    assert figures[f"pictures: {alone}"]["PSNR outside"] == 99
    assert "share of diffusers' pipeline, image guidance 1" in figures[alone]
    assert "share of the authors' order" in capsys.readouterr().out


def test_every_run_reads_both_texts_and_encodes_the_picture(tiny_model, tmp_path):
    options = EditBenchOptions(model=str(tiny_model), device="cpu", size=128, out=tmp_path)
    bench = bench_edit.Bench.of(options)
    ways = bench_edit.relevance_ways(bench) | bench_edit.edit_ways(bench, steps=1)[0]
    texts, pictures = [], []

    def count(_, given, told, __):
        texts.append(len(given[0] if given else told["input_ids"]))

    encoder = bench.model.text_encoder.register_forward_hook(count, with_kwargs=True)
    vae = bench.model.vae.encoder.register_forward_hook(lambda *_: pictures.append(1))
    for _ in range(2):
        for name, way in ways.items():
            texts.clear()
            pictures.clear()
            way()
            assert (sum(texts), sum(pictures)) == (2, 1), name
    encoder.remove()
    vae.remove()


def test_what_cannot_be_compared_is_refused_in_words(tiny_model, tmp_path, capsys):
    options = ["--model", str(tiny_model), "--device", "cpu", "--out", str(tmp_path)]
    assert main(["bench", "edit", *options, "--size", "100"]) == 1
    said = "--size must be a multiple of 8, and at least 64, not"
    assert f"{said} 100." in capsys.readouterr().err
    assert main(["bench", "relevance", *options, "--size", "8"]) == 1
    assert f"{said} 8." in capsys.readouterr().err
    assert main(["bench", "edit", *options, "--rounds", "0"]) == 1
    assert "rounds" in capsys.readouterr().err


def test_random_weights_run_in_the_precision_that_is_asked_for():
    model = random_model(torch.device("cpu"), torch.bfloat16, small=True)
    assert model.unet.dtype == model.text_encoder.dtype == torch.bfloat16
    assert model.vae.dtype == torch.float32
    assert torch.get_default_dtype() == torch.float32
    assert (model.card.native_size, model.card.cell) == (512, 8)
    editor = Editor(model)
    editor.set_image(random_image(64, 64))
    assert editor.relevance(INSTRUCTION, seeds=(0,)).values.max() == 1
    pipeline = plain_order.pipeline_of(model)
    start = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    edited = plain_order.pipeline_edit(
        pipeline, random_image(64, 64), INSTRUCTION, start, 1, (7.5, 1.5)
    )
    assert edited.shape == (64, 64, 3)
