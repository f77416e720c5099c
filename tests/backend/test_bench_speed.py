"""`bench speed`: what the options that make edits faster are compared by."""

import json

import numpy as np
import pytest
from diffusers import UNet2DConditionModel

from backend.__main__ import main
from backend.editing import Editor
from backend.editing.models import compiled
from backend.evaluation import bench_speed
from backend.evaluation.options import SpeedOptions
from backend.evaluation.samples import SEEDS, draw_present
from protocol.settings import EditSettings, SpeedSettings


def test_every_way_is_measured_on_the_same_picture(tiny_model, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["bench", "speed", "--model", str(tiny_model), "--device", "cpu", "--out", str(out)]
    given = ["--samples", "1", "--steps", "4", "--ways", "solver", "deep", "seeds"]
    assert main([*command, *given]) == 0
    figures = json.loads((out / "report.json").read_text())["figures"]
    assert list(figures) == [
        bench_speed.USUAL,
        "--solver dpm++",
        "--solver dpm++ --steps 2",
        "--deep-every 2",
        "--deep-every 3",
        "4 seeds in one batch, each",
    ]
    usual = figures[bench_speed.USUAL]
    assert usual["share of the time"] == usual["share of processor time"] == 1
    assert usual["PSNR, as it is"] == 99
    assert figures["4 seeds in one batch, each"]["PSNR, as it is"] > 50
    assert figures["--deep-every 3"]["PSNR, as it is"] < 99
    # the last but one, by the editor itself and numpy
    editor = Editor.from_pretrained(str(tiny_model), "cpu", "float32")
    (sample,) = draw_present(SEEDS["test"], 1, editor.card.native_size)
    editor.set_image(sample.image)
    words = sample.edit.instruction
    mask = editor.edit(words, settings=EditSettings(steps=1)).mask
    made = [
        editor.edit(words, mask=mask, settings=EditSettings(steps=4), speed=speed).image
        for speed in (SpeedSettings(), SpeedSettings(deep_every=3))
    ]
    error = np.square(made[0].astype(float) - made[1]).mean()
    psnr = 10 * np.log10(255**2 / error)
    assert figures["--deep-every 3"]["PSNR, as it is"] == pytest.approx(psnr, abs=0.01)
    assert "share of processor time" in capsys.readouterr().out


def test_what_compiling_takes_counts_by_itself(monkeypatch, tiny_model):
    now, running = [0.0], []
    monkeypatch.setattr(bench_speed.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(bench_speed.time, "process_time", lambda: now[0])
    editor = Editor.from_pretrained(str(tiny_model), "cpu", "float32")
    unet = editor.model.unet
    forward = UNet2DConditionModel.forward

    def run(*given, **named):
        now[0] += 1 if running else 100  # compiles
        running.append(1)
        return forward(*given, **named)

    monkeypatch.setattr(compiled, "_forward", lambda: run)
    unet.register_forward_hook(
        lambda *_: None if compiled.is_compiled(unet) else now.__setitem__(0, now[0] + 2)
    )
    (sample,) = draw_present(SEEDS["test"], 1, editor.card.native_size)
    asked = bench_speed.ways(SpeedOptions(out=None, steps=4, ways=("compile",)))
    found = bench_speed.measure(editor, [sample], asked)
    assert found["--compile"]["seconds, first"] == 100 + 3
    assert found["--compile"]["seconds"] == 4
    assert found[bench_speed.USUAL]["seconds"] == 8
    assert found["--compile"]["share of the time"] == 0.5
    assert found["--compile"]["PSNR, as it is"] == 99
    assert "compile" not in SpeedOptions(out=None).ways


def test_shares_are_of_the_plain_edit_on_one_clock(monkeypatch, tiny_model):
    """An edit that takes so many seconds on a clock that stands still otherwise."""
    now = [0.0]
    monkeypatch.setattr(bench_speed.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(bench_speed.time, "process_time", lambda: 2 * now[0])
    editor = Editor.from_pretrained(str(tiny_model), "cpu", "float32")
    edit_seeds = editor.edit_seeds

    def timed(instruction, seeds, **given):
        now[0] += given["settings"].steps
        return edit_seeds(instruction, seeds, **given)

    monkeypatch.setattr(editor, "edit_seeds", timed)
    (sample,) = draw_present(SEEDS["test"], 1, editor.card.native_size)
    asked = bench_speed.ways(SpeedOptions(out=None, steps=4, ways=("steps", "seeds")))
    found = bench_speed.measure(editor, [sample], asked)
    shares = {name: figures["share of the time"] for name, figures in found.items()}
    assert shares == {bench_speed.USUAL: 1, "--steps 2": 0.5, "4 seeds in one batch, each": 0.25}
    assert found[bench_speed.USUAL]["seconds"] == 4
    assert found["--steps 2"]["processor seconds"] == 4
