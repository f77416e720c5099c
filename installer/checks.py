"""`install.py test`: the linter, the type checker and all tests, each in its environment."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from . import extension, pythons
from .commands import DIST, build_addon
from .environments import BACKEND, BLENDER, BLENDER_50, BLENDER_52, Environment, ensure
from .processes import ROOT, InstallError, run
from .pytest_runs import Run, Step, by_file, side_by_side, split_arguments, total

BACKEND_TESTS = ("tests/protocol", "tests/backend")
BLENDER_TESTS = ("tests/blender",)
BLENDER_TOOLS = "tests/requirements-blender.txt"
MYPY_CACHE = ROOT / ".mypy_cache"
TYPED = ("install.py", "installer", "protocol", "backend", "examples")
MOST_AT_ONCE = 4
"""Test processes, however many cores there are: each may take more than a gigabyte of memory."""


@dataclass(frozen=True)
class Tested:
    """A Blender that the add-on's tests run in; `environment` is None where it cannot be had,
    which `reason` explains.
    """

    name: str
    environment: Environment | None
    reason: str = ""


def bpy_version(environment: Environment) -> str:
    """The version of Blender that an environment's requirements pin."""
    text = "\n".join((ROOT / n).read_text(encoding="utf-8") for n in environment.requirements)
    found = re.search(r"^bpy==(\S+)", text, re.MULTILINE)
    assert found is not None
    return found[1]


def blenders(home: Path) -> list[Tested]:
    """All Blenders that the tests are for, with the Python for the environment of each, as far as
    this machine has it.
    """
    found = []
    for environment in (BLENDER, BLENDER_50, BLENDER_52):
        name, version = f"Blender {bpy_version(environment)}", environment.version
        environment = environment.plus(BLENDER_TOOLS)
        if environment.version != BLENDER.version:  # install.py itself runs under the other
            try:
                base = pythons.find(version, pythons.candidates(version, home, fetch=False))
            except pythons.PythonMissingError as error:
                found.append(Tested(name, None, str(error)))
                continue
            environment = replace(environment, base=base)
        found.append(Tested(name, environment))
    return found


def check(name: str, action: Callable[[], int]) -> Step:
    """Runs a step that passes or fails as a whole."""
    print(f"\n== {name}", flush=True)
    start = time.monotonic()
    failed = action() != 0
    return Step(name, time.monotonic() - start, int(not failed), int(failed))


def pytest_run(
    name: str, python: Path, left_out: Sequence[str], options: Sequence[str], tests: Sequence[str]
) -> Run:
    """The run of some tests but those with the marks in `left_out`; pytest's own `options`."""
    marks = " and ".join(f"not {mark}" for mark in left_out)
    chosen = [*(("-m", marks) if marks else ()), *options]
    return Run(name, [python, "-m", "pytest", *chosen, *tests], nothing_is_fine=bool(chosen))


def backend_runs(left_out: Sequence[str], extra: Sequence[str]) -> list[Run]:
    """The run of the backend's tests, if the arguments for pytest name any of them."""
    selected = split_arguments(extra, BACKEND_TESTS)
    return [pytest_run("backend", BACKEND.python, left_out, *selected)] if selected else []


def blender_runs(
    tested: Sequence[Tested], left_out: Sequence[str], extra: Sequence[str]
) -> list[Run]:
    """The runs of the add-on's tests, file by file, so that a crash of Blender costs the tests of
    one file only. What has little to do with Blender's version runs in the first one.
    """
    selected = split_arguments(extra, BLENDER_TESTS)
    if selected is None:
        return []
    options, tests = selected
    runs = []
    for files in by_file(tests):
        file = Path(files[0].partition("::")[0]).stem
        for number, blender in enumerate(tested):
            if blender.environment is not None:
                marks = [*left_out, *(["one_blender"] if number > 0 else [])]
                python = blender.environment.python
                runs.append(pytest_run(f"{blender.name} {file}", python, marks, options, files))
    return runs


def cores() -> int:
    """How many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def test(fast: bool, torch: str | None, extra: list[str]) -> int:
    """Makes everything, runs every step whatever the others did, and sums up."""
    left_out = ["slow"] if fast else []
    with_blender = split_arguments(extra, BLENDER_TESTS) is not None
    tested = blenders(Path.home()) if with_blender else []
    made = [blender.environment for blender in tested if blender.environment is not None]
    ensure(
        BACKEND.plus("tests/requirements.txt"),
        *(made or [BLENDER]),  # which builds the extension, too
        torch=torch,
    )
    environ: dict[str, str | Path] = {
        "WATCH_YOUR_STEPS_BACKEND_PYTHON": BACKEND.python,
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait would else take the cores from each other
    }

    def build() -> int:
        try:
            environ["WATCH_YOUR_STEPS_ZIP"] = build_addon(DIST)
        except InstallError as error:
            print(error)
            return 1
        return 0

    # from its staged folder, as only there protocol/ lies where the extension imports it
    mypy_options = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={MYPY_CACHE}"]
    backend = BACKEND.python
    steps = [
        check("extension", build),
        check("ruff check", lambda: run([backend, "-m", "ruff", "check", "."])),
        check("ruff format", lambda: run([backend, "-m", "ruff", "format", "--check", "."])),
        check("mypy", lambda: run([backend, "-m", "mypy", *TYPED])),
    ]
    for folder in sorted(extension.STAGE.glob("*")):
        mypy: list[str | Path] = [backend, "-m", "mypy", *mypy_options, "-p", folder.name]
        steps.append(check(f"mypy {folder.name}", partial(run, mypy, cwd=extension.STAGE)))
    contracts: list[str | Path] = [backend.with_name("lint-imports"), "--no-cache"]
    staged = {"PYTHONPATH": extension.STAGE}
    steps.append(check("imports", lambda: run(contracts, environ=staged)))
    runs = [*backend_runs(left_out, extra), *blender_runs(tested, left_out, extra)]
    print()
    steps += side_by_side(runs, environ, min(cores(), MOST_AT_ONCE))
    sum_up(steps, tested)
    return int(any(step.failed for step in steps))


def sum_up(steps: Sequence[Step], tested: Sequence[Tested]) -> None:
    """Prints a line for each step, each failed test and each Blender, and last the counts."""
    print(f"\n{'step':<40}{'seconds':>9}{'passed':>8}{'failed':>8}{'skipped':>9}")
    for step in steps:
        print(
            f"{step.name:<40}{step.seconds:>9.1f}{step.passed:>8}{step.failed:>8}{step.skipped:>9}"
        )
    print()
    for step in steps:
        for failure in step.failures:
            print(f"failed, {step.name}: {failure}")
    for blender in tested:
        if blender.environment is None:
            print(f"{blender.name}: not tested. {blender.reason}")
            continue
        own = [step for step in steps if step.name.startswith(f"{blender.name} ")]
        print(f"{blender.name}: {total(own)}")
    print(total(steps))
