"""Checkpoints of a radiance field: interruptions, kills, damage, the same again."""

from __future__ import annotations

import copy
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.captures.capture import Capture
from backend.captures.transforms import open_capture
from backend.fields import checkpoint
from backend.fields.facts import RADIANCE, CheckpointError, load_facts
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import RadianceTraining, load, train
from backend.fields.training import Progress
from backend.fields.views import Views
from protocol import files

from .tiny_capture import Truth, orbit_capture
from .tiny_field import TINY, parameters, same

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 16, 24)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    """The same with a depth of every other view."""
    return orbit_capture(tmp_path_factory.mktemp("deep"), 16, 24, depth_every=2)


class Cancelled(Exception):
    """What a person who cancels raises."""


@pytest.mark.parametrize("which", ["scene", "deep"])
def test_an_interrupted_training_goes_on_bit_for_bit(
    tmp_path: Path, request: pytest.FixtureRequest, which: str
) -> None:
    scene: tuple[Capture, Truth] = request.getfixturevalue(which)
    config = dataclasses.replace(TINY, optimise_cameras=True, appearance=2)
    straight, course = train(scene[0], config)
    for stops in ((1,), (2, 5)):
        folder = tmp_path / f"{stops}"
        for stop in stops:

            def cancel(progress: Progress, at: int = stop) -> None:
                if progress.step == at:
                    raise Cancelled

            with pytest.raises(Cancelled):
                train(scene[0], config, folder, cancel)
            torch.rand(7)  # what goes on between must not matter
        steps: list[int] = []
        resumed, other = train(scene[0], config, folder, lambda p, s=steps: s.append(p.step))
        assert steps == list(range(stops[-1] + 1, 7))
        assert same(parameters(straight), parameters(resumed))
        assert course.scores == other.scores
        assert same(parameters(load(folder)), parameters(straight))
        again, _ = train(scene[0], config, folder, lambda p: pytest.fail("it was finished"))
        assert same(parameters(again), parameters(straight))


def test_more_iterations_go_on_from_a_finished_training(
    tmp_path: Path, scene: tuple[Capture, Truth]
) -> None:
    config = dataclasses.replace(TINY, stop_patience=0)
    train(scene[0], config, tmp_path)
    steps: list[int] = []
    longer = dataclasses.replace(config, iterations=8)
    train(scene[0], longer, tmp_path, lambda p: steps.append(p.step))
    assert steps == [7, 8]


def test_a_checkpoint_of_another_capture_or_config_is_refused(
    tmp_path: Path, scene: tuple[Capture, Truth], deep: tuple[Capture, Truth]
) -> None:
    train(scene[0], TINY, tmp_path)
    with pytest.raises(
        CheckpointError, match="trained with another preset or other settings: go back"
    ):
        train(scene[0], dataclasses.replace(TINY, levels=4), tmp_path)
    with pytest.raises(
        CheckpointError, match="trained on other photos, cameras, masks or depths: go back"
    ):
        train(scene[0].subset(range(15)), TINY, tmp_path)
    with pytest.raises(CheckpointError, match="trained on other photos, cameras"):
        train(deep[0], TINY, tmp_path)


def test_damaged_checkpoints_are_named(tmp_path: Path, scene: tuple[Capture, Truth]) -> None:
    with pytest.raises(CheckpointError, match="holds no trained field"):
        load(tmp_path)
    train(scene[0], TINY, tmp_path)
    (tensors,) = tmp_path.glob("radiance-*.pt")
    content = tensors.read_bytes()
    for damage in (content[: len(content) // 2], b"", b"nonsense"):
        tensors.write_bytes(damage)
        with pytest.raises(CheckpointError, match=tensors.name):
            load(tmp_path)
    tensors.unlink()
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load(tmp_path)
    (tmp_path / "radiance.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"radiance\.json is damaged"):
        load(tmp_path)
    (tmp_path / "radiance.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(CheckpointError, match="another version"):
        load(tmp_path)


def test_a_save_that_breaks_off_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every place where a file changes its name or contents."""
    checkpoint.save(tmp_path, "radiance", {"step": 1}, {"x": torch.ones(3)})
    real = Path.replace
    for failing in (1, 2):
        calls = 0

        def replace(self: Path, target: Path, at: int = failing) -> Path:
            nonlocal calls
            calls += 1
            if calls == at:
                raise KeyboardInterrupt
            return real(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path, "radiance", {"step": 2}, {"x": torch.zeros(3)})
        monkeypatch.setattr(Path, "replace", real)
        found = checkpoint.load(tmp_path, "radiance")
        assert found is not None
        assert found[0]["step"] == 1
        assert torch.equal(found[1]["x"], torch.ones(3))
    checkpoint.save(tmp_path, "radiance", {"step": 3}, {"x": torch.zeros(3)})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "radiance-000003.pt",
        "radiance.json",
    ]


KILLS = 20
LIVES = dataclasses.replace(TINY, iterations=100_000, stop_patience=0, evaluate_every=50)


def live(folder: Path, work: Path, log: Path, iterations: int) -> None:
    """Trains with a checkpoint after every step, and notes every step in a file."""
    torch.set_num_threads(1)
    config = dataclasses.replace(LIVES, iterations=iterations)
    with log.open("a", buffering=1) as steps:
        train(
            open_capture(folder),
            config,
            work,
            lambda p: print(p.step, file=steps),
            checkpoint_seconds=0.0,
        )


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size")
def test_a_disk_that_fills_up_in_the_middle_of_a_save_is_told(tmp_path: Path) -> None:
    """In the system's words: torch has others for it, which say nothing of a disk."""
    script = (
        "import resource, signal, sys; from pathlib import Path; import torch\n"
        "from backend.fields import checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "tensors = {name: torch.zeros(40_000) for name in 'ab'}\n"
        "try: checkpoint.save(Path(sys.argv[1]), 'field', {'step': 1}, tensors)\n"
        "except OSError as error: print(error.strerror)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "File too large\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_save_deletes_what_a_killed_one_has_left(tmp_path: Path) -> None:
    for name in ("radiance-000001.pt", "radiance-000002.pt", "radiance.json"):
        (tmp_path / f"{name}.1872a2cb{files.UNFINISHED}").write_bytes(b"half")
    checkpoint.save(tmp_path, "radiance", {"step": 2}, {"x": torch.zeros(3)})
    assert {path.name for path in tmp_path.iterdir()} == {"radiance-000002.pt", "radiance.json"}


@pytest.mark.slow
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="POSIX")
def test_a_process_killed_at_random_moments_loses_no_checkpoint(
    tmp_path: Path, scene: tuple[Capture, Truth]
) -> None:
    """Killed 20 times, in steps, while it writes and while it starts, it always goes on from the
    last checkpoint, and ends where a training that nobody disturbed ends.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # nobody waits for torch 20 times
    rng = np.random.default_rng(0)
    reached, progressed = 0, 0
    for life in range(KILLS):
        log = tmp_path / f"{life}.txt"
        child = context.Process(target=live, args=(scene[0].folder, tmp_path / "w", log, 100_000))
        child.start()
        if life % 4:
            while child.is_alive() and not (log.exists() and log.stat().st_size > 0):
                time.sleep(0.005)
        time.sleep(float(rng.random()) * 0.4)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        steps = [int(line) for line in log.read_text().split()] if log.exists() else []
        facts = load_facts(tmp_path / "w", "radiance")
        if facts is None:
            assert len(steps) < 2
            continue
        # the step that was being noted when it died may have been saved already
        last = steps[-1] if steps else reached
        assert facts["step"] in (last, last + 1)
        assert steps == list(range(reached + 1, last + 1))
        load(tmp_path / "w")
        progressed += facts["step"] > reached
        reached = facts["step"]
    assert progressed > KILLS // 2
    threads = torch.get_num_threads()
    try:  # the undisturbed one with a single thread, as the others
        live(scene[0].folder, tmp_path / "w", tmp_path / "end.txt", reached + 2)
        undisturbed, _ = train(scene[0], dataclasses.replace(LIVES, iterations=reached + 2))
    finally:
        torch.set_num_threads(threads)
    assert same(parameters(load(tmp_path / "w")), parameters(undisturbed))
    assert len(list((tmp_path / "w").iterdir())) == 2  # what the killed have left is gone, too


def test_the_same_seed_gives_the_same_field_in_every_process(tmp_path: Path) -> None:
    """On two threads, too, whose sums MKL otherwise makes in another order from run to run."""
    orbit_capture(tmp_path / "capture", 8, 40)
    code = (
        "import hashlib, sys, torch\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from backend.captures.transforms import open_capture\n"
        "from backend.fields.config import PRESETS\n"
        "from backend.fields.radiance_training import train\n"
        "torch.set_num_threads(2)\n"
        "config = replace(PRESETS['preview'], iterations=12)\n"
        "field, _ = train(open_capture(Path(sys.argv[1])), config)\n"
        "values = [v.numpy().tobytes() for v in field.model.state_dict().values()]\n"
        "print(hashlib.sha256(b''.join(values)).hexdigest())\n"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MKL_")}
    command = [sys.executable, "-c", code, str(tmp_path / "capture")]
    runs = [
        subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ)
        for _ in range(3)
    ]
    found = {run.stdout.strip() for run in runs}
    assert len(found) == 1, runs[0].stderr
    assert len(found.pop()) == 64, runs[0].stderr


def test_training_state_survives_a_copy(scene: tuple[Capture, Truth]) -> None:
    """The optimizer's moments are part of the state: without them the next step differs."""
    views = Views(scene[0])
    one = RadianceTraining(RadianceField(TINY, views.names), views, None)
    other = RadianceTraining(RadianceField(TINY, views.names, seed=9), views, None)
    for step in range(3):
        one.advance(step)
    other.load_state(copy.deepcopy(one.state()))
    for training_run in (one, other):
        torch.manual_seed(5)
        training_run.advance(3)
    assert same(parameters(one.field), parameters(other.field))
    assert one.measure() is None
    assert RADIANCE == "radiance"


def test_looking_at_a_field_while_it_is_trained_does_not_change_it(
    scene: tuple[Capture, Truth],
) -> None:
    """Previews are made when their time has come, which is never the same."""
    runs = [
        RadianceTraining(RadianceField(TINY, scene[0].names), Views(scene[0]), None)
        for _ in range(2)
    ]
    for watched, one in enumerate(runs):
        torch.manual_seed(0)
        for step in range(16):
            one.advance(step)
            if watched:
                one.preview()
                one.field.weigh(one.views.rays.bundle(torch.arange(8)))
    assert same(parameters(runs[0].field), parameters(runs[1].field))
    assert runs[0].field.state()["sampler"] == runs[1].field.state()["sampler"]
