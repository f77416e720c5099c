"""`bench capture`: this program's field against nerfstudio's own after equal seconds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from backend.__main__ import main
from backend.evaluation import bench_capture
from backend.evaluation.bench_capture import Contestant, NerfstudioTraining, nerfstudio_config
from backend.fields.config import PRESETS, FieldConfig, ProposalConfig
from backend.fields.radiance_training import RadianceTraining, prepare
from backend.fields.views import Views

from .tiny_capture import orbit_capture

TINY = replace(
    PRESETS["preview"],
    iterations=30,
    rays=32,
    samples=4,
    proposals=(ProposalConfig(4, log2_table_size=8),),
    levels=2,
    log2_table_size=8,
    evaluate_every=10,
)


def test_nerfstudios_training_makes_the_steps_that_ours_makes_without_its_own_losses(
    tmp_path: Path,
) -> None:
    config = nerfstudio_config(TINY, small=True)
    assert replace(config, **{n: getattr(FieldConfig(), n) for n in ("depth", "solid")}) == replace(
        FieldConfig(),
        **{n: getattr(TINY, n) for n in ("rays", "samples", "proposals", "levels", "hidden")},
        log2_table_size=TINY.log2_table_size,
        highest_resolution=TINY.highest_resolution,
    )
    capture, _ = orbit_capture(tmp_path)
    views = Views(capture)
    theirs = NerfstudioTraining(config, views, seed=0)
    ours, _ = prepare(replace(capture, held_out=()), config)
    assert isinstance(ours, RadianceTraining)
    losses = []
    for training in (theirs, ours):
        torch.manual_seed(1)
        losses.append([training.advance(step) for step in range(5)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_turn_ends_with_the_step_in_which_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clocked:
        now = 0.0

        def advance(self, step: int) -> float:
            Clocked.now += 2.0
            return 0.0

    monkeypatch.setattr(bench_capture.time, "perf_counter", lambda: Clocked.now)
    one = Contestant(Clocked(), steps=4)  # type: ignore[arg-type]
    one.train(3.0)
    assert (one.step, one.seconds, one.done) == (2, 4.0, False)
    one.train(100.0)
    assert (one.step, one.seconds, one.done) == (4, 8.0, True)


def test_three_fields_are_measured_after_equal_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = orbit_capture(tmp_path / "capture")[0].folder
    monkeypatch.setitem(bench_capture.PRESETS, "preview", TINY)
    monkeypatch.setattr(bench_capture, "FieldConfig", lambda: TINY)  # a full one takes minutes
    command = ["bench", "capture", str(folder), "--out", str(tmp_path / "out"), "--minutes", "0.01"]
    assert main(command) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    found = report["figures"]["seconds_steps_decibels"]
    assert len(found) == 3
    for scores in found.values():
        assert len(scores) == bench_capture.PARTS
        assert all(step > 0 and 5 < score < 60 for _, step, score in scores)
    assert set(report["figures"]["decibels_above"]) < set(found)
    ours = found[bench_capture.OURS][-1][2]
    for name, gain in report["figures"]["decibels_above"].items():
        assert gain == pytest.approx(ours - found[name][-1][2], abs=0.011)
    assert "dB against nerfstudio's nerfacto" in capsys.readouterr().out


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_minutes_must_be_some(
    tmp_path: Path, minutes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "capture", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main([*command, "--minutes", minutes]) == 1
    assert "--minutes must be above 0" in capsys.readouterr().err
