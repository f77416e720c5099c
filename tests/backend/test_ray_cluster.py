"""`--executor ray`: the same figures as processes make, samples of killed workers done again, and
one sentence where Ray is not installed.
"""

import importlib.util
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backend.__main__ import main
from backend.evaluation.spread import cluster
from backend.evaluation.spread.records import Made, Records
from backend.evaluation.spread.work import Names, Task

has_ray = importlib.util.find_spec("ray") is not None
needs_ray = pytest.mark.skipif(not has_ray, reason="the package ray is not installed")


@dataclass(frozen=True)
class Number:
    """A point."""

    name: str = "number"


@dataclass(frozen=True)
class Square:
    """A record."""

    value: int
    process: int


class NoNames(Names):
    """Loads nothing."""

    def load(self):
        return None


@dataclass(frozen=True)
class Squares:
    """Squares the samples' numbers; the first process that meets the third dies."""

    marker: Path
    names: Names = field(default_factory=lambda: NoNames("", "", "", None, "", None))

    def do(self, tools: object, task: Task) -> Iterator[Made]:
        if task.number == 3 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        for point in task.points:
            yield Made(task.number, point, Square(task.number**2, os.getpid()))


@pytest.mark.skipif(has_ray, reason="Ray is installed")
def test_a_machine_without_ray_says_so(tiny_model, tmp_path, capsys):
    ask = ["evaluate", "images", "--model", str(tiny_model), "--methods", "ours-paper"]
    small = ["--samples", "1", "--steps", "1", "--defaults", "--seeds", "validation"]
    assert main([*ask, *small, "--executor", "ray", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "--executor ray needs the package ray, which is not installed here" in said
    assert said.count("\n") == 1


@needs_ray
def test_a_killed_workers_samples_are_done_again(two_workers, tmp_path):
    tasks = [Task(number, None, (Number(),)) for number in range(6)]
    records = Records(tmp_path / "records")
    marker = tmp_path / "killed"
    assert sum(cluster.all_done(Squares(marker), records, tasks, gpu=False)) == 6
    assert marker.exists()
    made = records.all(6, Number(), Square)
    assert [one.value for one in made] == [0, 1, 4, 9, 16, 25]
    assert os.getpid() not in {one.process for one in made}


@needs_ray
def test_a_clusters_figures_are_those_of_processes_to_the_bit(two_workers, tiny_model, tmp_path):
    ask = ["evaluate", "images", "--model", str(tiny_model), "--methods", "ours-paper"]
    small = ["--samples", "2", "--steps", "1", "--defaults", "--seeds", "validation"]
    found = []
    for name, more in (("ray", ["--executor", "ray"]), ("own", ["--processes", "1"])):
        out = tmp_path / name
        assert main([*ask, *small, "--device", "cpu", "--out", str(out), *more]) == 0
        records = [json.loads(one.read_text()) for one in sorted(out.glob("edits/*/*.json"))]
        pictures = [one.read_bytes() for one in sorted(out.glob("edits/*/*.png"))]
        for one in records:
            for key in ("seconds", "processor_seconds"):
                del one[key]
        found.append((records, pictures))
    assert len(found[0][0]) == 2
    assert found[0] == found[1]


@pytest.fixture(scope="module")
def two_workers():
    """A local cluster of two cores."""
    ray = pytest.importorskip("ray")
    root = str(Path(__file__).parents[2])
    started = ray.init(
        num_cpus=2,
        include_dashboard=False,
        runtime_env={"env_vars": {"PYTHONPATH": root}},
        logging_level="error",
    )
    yield started
    ray.shutdown()
