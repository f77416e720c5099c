"""`install.py test`: the linter, the type checker and all tests, each in its environment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from . import extension
from .commands import DIST, build_addon
from .environments import BACKEND, BLENDER, ensure
from .processes import CACHE, ROOT, InstallError, run

BACKEND_TESTS = ("tests/protocol", "tests/backend")
BLENDER_TESTS = ("tests/blender",)
NOTHING_SELECTED = 5  # pytest's exit code
MYPY_CACHE = ROOT / ".mypy_cache"
TYPED = ("install.py", "installer", "protocol", "backend")


@dataclass(frozen=True)
class Step:
    """How one step went: the counts of its tests; a step that is not pytest's counts as one."""

    name: str
    seconds: float
    passed: int
    failed: int
    skipped: int = 0


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


def check(name: str, action: Callable[[], int]) -> Step:
    """Runs a step that passes or fails as a whole."""
    print(f"\n== {name}", flush=True)
    start = time.monotonic()
    failed = action() != 0
    return Step(name, time.monotonic() - start, int(not failed), int(failed))


def pytest(
    name: str, command: list[str | Path], environ: Mapping[str, str | Path], nothing_is_fine: bool
) -> Step:
    """Runs pytest. A run that breaks off, or selects nothing, counts as one failure."""
    print(f"\n== {name}", flush=True)
    start = time.monotonic()
    report = CACHE / "pytest.xml"
    report.unlink(missing_ok=True)
    code = run([*command, f"--junitxml={report}"], environ=environ)
    passed, failed, skipped = junit_counts(report) if report.exists() else (0, 0, 0)
    if code != 0 and failed == 0 and not (code == NOTHING_SELECTED and nothing_is_fine):
        failed = 1
    return Step(name, time.monotonic() - start, passed, failed, skipped)


def test(fast: bool, torch: str | None, extra: list[str]) -> int:
    """Makes everything, runs every step whatever the others did, and sums up."""
    ensure(
        BACKEND.plus("tests/requirements.txt"),
        BLENDER.plus("tests/requirements-blender.txt"),
        torch=torch,
    )
    backend, blender = BACKEND.python, BLENDER.python
    environ: dict[str, str | Path] = {
        "WATCH_YOUR_STEPS_BACKEND_PYTHON": backend,
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
    steps = [
        check("extension", build),
        check("ruff check", lambda: run([backend, "-m", "ruff", "check", "."])),
        check("ruff format", lambda: run([backend, "-m", "ruff", "format", "--check", "."])),
        check("mypy", lambda: run([backend, "-m", "mypy", *TYPED])),
    ]
    for folder in sorted(extension.STAGE.glob("*")):
        mypy: list[str | Path] = [backend, "-m", "mypy", *mypy_options, "-p", folder.name]
        steps.append(check(f"mypy {folder.name}", partial(run, mypy, cwd=extension.STAGE)))
    arguments = [*(("-m", "not slow") if fast else ()), *extra]
    for name, python, folders in (
        ("pytest backend", backend, BACKEND_TESTS),
        ("pytest blender", blender, BLENDER_TESTS),
    ):
        if selected := split_arguments(arguments, folders):
            options, tests = selected
            # so that a crash of Blender costs the tests of one file
            runs = by_file(tests) if folders == BLENDER_TESTS else [tests]
            for run_of in runs:
                title = name if len(runs) == 1 else f"{name} {Path(run_of[0]).stem}"
                command: list[str | Path] = [python, "-m", "pytest", *options, *run_of]
                steps.append(pytest(title, command, environ, nothing_is_fine=bool(arguments)))

    print(f"\n{'step':<40}{'seconds':>9}{'passed':>8}{'failed':>8}{'skipped':>9}")
    for step in steps:
        print(
            f"{step.name:<40}{step.seconds:>9.1f}{step.passed:>8}{step.failed:>8}{step.skipped:>9}"
        )
    passed, failed, skipped = (
        sum(getattr(s, key) for s in steps) for key in ("passed", "failed", "skipped")
    )
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return int(failed > 0)
