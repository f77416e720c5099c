"""Runs of pytest: which tests each gets, several at a time, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from xml.etree import ElementTree

from .processes import ROOT, run

NOTHING_SELECTED = 5  # pytest's exit code
LONGEST_FAILURE = 300


@dataclass(frozen=True)
class Step:
    """How one step went: the counts of its tests; a step that is not pytest's counts as one.

    `failures` has a line for each test that failed, where that is known.
    """

    name: str
    seconds: float
    passed: int
    failed: int
    skipped: int = 0
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """One process of pytest.

    `nothing_is_fine` where its tests may all be deselected, which is else a failure.
    """

    name: str
    command: Sequence[str | Path]
    nothing_is_fine: bool


def total(steps: Sequence[Step]) -> str:
    """The sums of some steps, in words."""
    passed, failed, skipped = (
        sum(getattr(step, key) for step in steps) for key in ("passed", "failed", "skipped")
    )
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def junit_counts(path: Path) -> tuple[int, int, int]:
    """Passed, failed (errors too) and skipped tests in a report that pytest has written."""
    passed = failed = skipped = 0
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        left_out = int(suite.get("skipped", 0))
        passed += int(suite.get("tests", 0)) - bad - left_out
        failed += bad
        skipped += left_out
    return passed, failed, skipped


def junit_failures(path: Path) -> tuple[str, ...]:
    """A line for each failed test in a report that pytest has written: its name and what it said,
    of which the first `LONGEST_FAILURE` characters.
    """
    return tuple(
        f"{test.get('classname')}::{test.get('name')}: "
        + " ".join(bad.get("message", "").split())[:LONGEST_FAILURE]
        for test in ElementTree.parse(path).getroot().iter("testcase")
        for bad in [*test.findall("failure"), *test.findall("error")]
    )


def split_arguments(
    extra: Sequence[str], folders: Sequence[str]
) -> tuple[list[str], list[str]] | None:
    """Splits pytest's arguments into options and the tests to run, out of those below `folders`.

    Without named tests all folders are run. None where tests are named and none of them is below
    `folders`.
    """
    named = [a for a in extra if not a.startswith("-") and (ROOT / a.partition("::")[0]).exists()]
    options = [a for a in extra if a not in named]
    if not named:
        return options, list(folders)
    chosen = []
    for argument in named:
        path = (ROOT / argument.partition("::")[0]).resolve()
        if any(path.is_relative_to(ROOT / folder) for folder in folders):
            chosen.append(argument)
        chosen += [folder for folder in folders if path in (ROOT / folder).parents]
    return (options, chosen) if chosen else None


def by_file(tests: Sequence[str]) -> list[list[str]]:
    """The same tests, those of each file in a list of their own; a folder stands for its files."""
    files: dict[str, list[str]] = {}
    for test in tests:
        path = ROOT / test.partition("::")[0]
        found = sorted(path.glob("test_*.py")) if path.is_dir() else [path]
        for file in found:
            named = str(file.relative_to(ROOT)) if path.is_dir() else test
            files.setdefault(str(file), []).append(named)
    return list(files.values())


def pytest(one: Run, environ: Mapping[str, str | Path], output: Path | None = None) -> Step:
    """Runs pytest, whose output goes to a file or the screen. A run that breaks off, or selects
    nothing, counts as one failure.
    """
    start = time.monotonic()
    with TemporaryDirectory() as folder:
        report = Path(folder, "pytest.xml")
        code = run([*one.command, f"--junitxml={report}"], environ=environ, output=output)
        passed, failed, skipped = junit_counts(report) if report.exists() else (0, 0, 0)
        failures = junit_failures(report) if report.exists() else ()
    if code != 0 and failed == 0 and not (code == NOTHING_SELECTED and one.nothing_is_fine):
        failed = 1
        failures = (f"{one.name} broke off with exit code {code}",)
    return Step(one.name, time.monotonic() - start, passed, failed, skipped, failures)


def side_by_side(
    runs: Sequence[Run], environ: Mapping[str, str | Path], at_once: int
) -> list[Step]:
    """Runs all, `at_once` at a time. What each prints appears in one piece as soon as it ends; a
    run that is alone prints as it goes.
    """
    if len(runs) == 1:
        print(f"\n== {runs[0].name}", flush=True)
        return [pytest(runs[0], environ)]
    screen = Lock()

    def work(one: Run) -> Step:
        with screen:
            print(f"  begins: {one.name}", flush=True)
        with TemporaryDirectory() as folder:
            output = Path(folder, "output.txt")
            step = pytest(one, environ, output)
            text = output.read_text(encoding="utf-8", errors="replace")
        with screen:
            print(f"\n== {one.name} ({step.seconds:.0f} s)\n{text}", flush=True)
        return step

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(work, runs))
