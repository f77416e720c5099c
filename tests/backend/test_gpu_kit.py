"""The kit for machines with a GPU: what it brings, and what its script says of what it finds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import install
from backend.output import report
from installer import gpu_kit
from installer.processes import InstallError

ROOT = Path(install.__file__).parent
posix_only = pytest.mark.skipif(os.name == "nt", reason="the script is bash's")
in_a_clone = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git what is tracked")

THERE = (
    *("torch", "torchgen", "functorch", "transformers", "numpy", "tokenizers", "safetensors"),
    *("huggingface_hub", "hf_xet", "yaml", "_yaml", "regex", "tqdm", "packaging", "filelock"),
    *("fsspec", "sympy", "mpmath", "jinja2", "markupsafe", "networkx", "setuptools", "typer"),
    *("click", "shellingham", "typing_extensions", "_distutils_hack", "annotated_doc"),
)
"""What a machine with torch and transformers can import."""

BARE = """
import sys
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from installer.gpu_kit import PACKAGES, _normal

brought, there = {_normal(name) for name in PACKAGES}, set(sys.argv[1].split())
lacking = {
    top for top, names in packages_distributions().items()
    if top not in there and not brought & {_normal(name) for name in names}
}
lacking -= {"backend", "protocol", "tests", "installer"}

class Bare(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in lacking else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Bare
import backend.__main__, tests.backend.test_bench_gpu
"""


def test_every_package_of_the_kit_has_the_pin_of_the_requirements() -> None:
    lines = [
        line.split()[0]
        for path in ("backend/requirements.txt", "tests/requirements.txt")
        for line in (ROOT / path).read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    found = gpu_kit.pins()
    assert set(found) <= set(lines)
    assert len(found) == len(gpu_kit.PACKAGES) == len(set(found))
    assert not {"torch", "transformers", "numpy"} & {pin.partition("==")[0] for pin in found}
    with pytest.raises(InstallError, match="nothing-such is in none of"):
        gpu_kit.pins(("nothing-such",))


@pytest.mark.slow
def test_the_bench_and_its_tests_import_nothing_that_such_a_machine_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BARE, " ".join(THERE)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_report_says_what_such_a_machine_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PACKAGES", ("pytest", "nothing-such"))
    found = report.versions()
    assert found["pytest"] == pytest.__version__
    assert found["nothing-such"] == "not installed"


def test_wheels_are_for_the_other_machine() -> None:
    assert gpu_kit.platforms("aarch64", 28) == [
        "manylinux_2_28_aarch64",
        "manylinux_2_27_aarch64",
        "manylinux_2_26_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
    ]
    assert "manylinux_2_39_x86_64" in gpu_kit.platforms("x86_64", 39)
    assert "manylinux_2_39_x86_64" not in gpu_kit.platforms("x86_64", 35)


@in_a_clone
def test_the_kit_has_wheels_source_and_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def download(python: Path, arguments: Sequence[str | Path], packages: int) -> None:
        asked.extend(str(one) for one in arguments)
        Path(arguments[arguments.index("-d") + 1], "one-1.0-py3-none-any.whl").write_bytes(b"1")

    monkeypatch.setattr(gpu_kit, "run_pip", download)
    monkeypatch.setattr(gpu_kit, "ensure", lambda environment: None)
    kit = tmp_path / "kit"
    assert gpu_kit.make(kit, "3.12", "x86_64", 35) == 0
    assert {"--no-deps", "--only-binary=:all:", "--python-version=3.12"} <= set(asked)
    assert asked[-len(gpu_kit.PACKAGES) :] == gpu_kit.pins()
    assert sorted(path.name for path in kit.iterdir()) == ["run.sh", "source", "wheels"]
    assert os.access(kit / "run.sh", os.X_OK)
    for name in ("backend/evaluation/bench_gpu.py", "tests/backend/test_bench_gpu.py"):
        assert (kit / "source" / name).read_bytes() == (ROOT / name).read_bytes()
    assert not list(kit.rglob("__pycache__"))
    with pytest.raises(InstallError, match="not empty: name a new folder"):
        gpu_kit.make(kit, "3.12", "x86_64", 35)


@in_a_clone
def test_a_kit_that_was_stopped_or_failed_leaves_nothing_so_that_the_same_command_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_kit, "ensure", lambda environment: None)
    kit = tmp_path / "kit"
    for error in (KeyboardInterrupt(), InstallError("pip failed"), OSError(28, "No space left")):

        def fails(*_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(gpu_kit, "run_pip", fails)
        with pytest.raises(type(error)):
            gpu_kit.make(kit, "3.12", "x86_64", 35)
        assert not list(tmp_path.iterdir())
    for version in ("abc", "3", "2.7", "3.12.1"):
        with pytest.raises(InstallError, match="--python must be a version such as"):
            gpu_kit.make(kit, version, "x86_64", 35)
    monkeypatch.setattr(gpu_kit, "run_pip", lambda *_: None)
    kit.mkdir()
    assert gpu_kit.make(kit, "3.12", "x86_64", 35) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["kit"]
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InstallError, match="name a new folder"):
        gpu_kit.make(file, "3.12", "x86_64", 35)


@in_a_clone
def test_what_the_machine_has_is_left_out_and_named_for_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(gpu_kit, "run_pip", lambda _, arguments, count: asked.extend(arguments))
    monkeypatch.setattr(gpu_kit, "ensure", lambda environment: None)
    kit = tmp_path / "kit"
    assert gpu_kit.make(kit, "3.12", "x86_64", 35, ["SciPy", "importlib-metadata"]) == 0
    brought = [str(one).partition("==")[0] for one in asked if "==" in str(one)]
    assert len(brought) == len(gpu_kit.PACKAGES) - 2
    assert not {"scipy", "importlib_metadata"} & set(brought)
    assert (kit / gpu_kit.WITHOUT).read_text() == "scipy\nimportlib_metadata\n"
    with pytest.raises(InstallError, match="--without scikit-image: the kit brings no such"):
        gpu_kit.make(tmp_path / "other", "3.12", "x86_64", 35, ["scikit-image"])
    assert not (tmp_path / "other").exists()


FAKE = """#!{python}
import json, os, pathlib, sys

given = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps([given, os.environ.get("PYTHONPATH", "")]) + "\\n")
if given[:2] == ["-m", "backend"]:
    if {figures!r}:
        folder = pathlib.Path(given[given.index("--out") + 1])
        (folder / "report.json").write_text({figures!r})
    sys.exit({bench})
if given[:2] == ["-m", "pytest"]:
    print("4 passed")
    sys.exit({tests})
if given[:1] == ["-"]:
    os.execv({python!r}, [{python!r}, *given])
sys.exit({lacks} if given[0] == "-c" else 0)
"""


def run(
    folder: Path,
    results: dict[str, str],
    bench: int = 0,
    tests: int = 0,
    lacks: int = 0,
    without: str = "",
) -> tuple[int, str]:
    """The exit status and words of the script on a machine whose Python is a fake, but for the
    packages that are named without.
    """
    kit = folder / "kit"
    (kit / "source/tests/backend").mkdir(parents=True)
    (kit / "wheels").mkdir()
    (kit / "wheels/one-1.0-py3-none-any.whl").write_bytes(b"")
    (kit / "source/tests/backend/test_one.py").write_text("@pytest.mark.gpu\n")
    (kit / "source/tests/backend/test_other.py").write_text(
        "s = 'pytest.mark.gpu'\n"
    )  # as this file: it says so, and has none
    (kit / "run.sh").write_bytes(gpu_kit.SCRIPT.read_bytes())
    if without:
        (kit / gpu_kit.WITHOUT).write_text(without)
    figures = {name: {"result": result} for name, result in results.items()}
    python = folder / "python"
    python.write_text(
        FAKE.format(
            python=sys.executable,
            log=str(folder / "log"),
            figures=json.dumps({"figures": figures}) if results else "",
            bench=bench,
            tests=tests,
            lacks=lacks,
        )
    )
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", kit / "run.sh", folder / "out", "--device", "cpu"],
        env=os.environ | {"PYTHON": str(python)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@posix_only
def test_a_machine_that_does_all_as_it_should_ends_with_0(tmp_path: Path) -> None:
    code, words = run(tmp_path, {"fields": "works", "a scene": "works"})
    assert code == 0, words
    assert "fields: works" in words
    assert "tests marked gpu: 4 passed" in words
    assert (tmp_path / "out/tests.txt").read_text() == "4 passed\n"
    calls = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    ours = [(given, path) for given, path in calls if given[0] == "-m"]
    (pip, _), (bench, path), (tests, _) = ours
    assert {"--no-index", "--no-deps", "--target"} <= set(pip)
    assert bench[-2:] == ["--device", "cpu"]
    assert path.startswith(f"{tmp_path}/kit/source:")
    assert [name for name in tests if name.endswith(".py")] == ["tests/backend/test_one.py"]


def test_the_script_finds_the_tests_of_a_gpu_and_no_others() -> None:
    found = re.search(r"grep -lE '([^']+)'", gpu_kit.SCRIPT.read_text())
    assert found is not None
    tests = (ROOT / "tests/backend").glob("test_*.py")
    marked = [one.name for one in tests if re.search(found[1], one.read_text("utf-8"), re.M)]
    assert marked == ["test_bench_gpu.py"]


@posix_only
@pytest.mark.parametrize(
    ("results", "bench", "tests", "words"),
    [
        ({"fields": "wrong: other colours"}, 1, 0, "fields: wrong: other colours"),
        ({"fields": "no time was left"}, 0, 0, "fields: no time was left"),
        ({"fields": "works"}, 0, 1, "tests marked gpu: 4 passed"),
        ({"fields": "works"}, 124, 124, "bench gpu ran out of time"),
        ({}, 1, 0, "bench gpu ended with 1"),
    ],
)
def test_whatever_is_not_as_it_should_be_ends_with_1(
    tmp_path: Path, results: dict[str, str], bench: int, tests: int, words: str
) -> None:
    code, said = run(tmp_path, results, bench, tests)
    assert code == 1
    assert words in said
    assert "Not all is as it should be" in said


@posix_only
def test_where_nothing_can_be_tried_it_says_why(tmp_path: Path) -> None:
    code, said = run(tmp_path, {}, lacks=1)
    assert code == 2
    assert "PYTHON=/path/to/python" in said
    assert not (tmp_path / "out").exists()  # so that the same command can be given again
    again = subprocess.run(
        ["bash", tmp_path / "kit/run.sh", tmp_path], capture_output=True, text=True
    )
    assert again.returncode == 2
    assert "name a new folder" in again.stderr


@posix_only
def test_a_kit_made_without_what_a_machine_has_runs_there_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    code, said = run(
        tmp_path / "there", {"fields": "works"}, without="pytest\nimportlib_metadata\n"
    )
    assert code == 0, said
    (tmp_path / "elsewhere").mkdir()
    code, said = run(tmp_path / "elsewhere", {}, without="pytest\nnothing-such\n")
    assert code == 2
    assert "has no nothing-such, which the kit was made without: leave --without out" in said
    assert not (tmp_path / "elsewhere" / "out").exists()
