"""`pip install .`: what the package holds, what it asks for, and its command."""

import email
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from backend import __version__

ROOT = Path(__file__).parents[2]
BUILD = "import setuptools.build_meta as build; print(build.build_wheel('.'))"
ENTRY = (
    "import sys; from backend.__main__ import main; sys.argv[0] = 'watch-your-steps'; sys.exit({})"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built package, from a copy of the project without what Git does not know."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("backend", "protocol"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-c", BUILD], cwd=copy, check=True, capture_output=True)
    (built,) = copy.glob("*.whl")
    return built


def test_it_holds_every_module_the_weights_and_the_code_in_c(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for top in ("backend", "protocol")
        for path in (ROOT / top).rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".md") and "requirements" not in path.name
    }
    assert held == wanted
    assert "backend/fields/hash_encoding.c" in held
    assert "backend/demo/weights/unet/diffusion_pytorch_model.safetensors" in held
    assert "backend/demo/clip/model.safetensors" in held


def test_its_facts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        facts = email.message_from_bytes(archive.read(name))
        entries = archive.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert (facts["Name"], facts["Version"]) == ("watch-your-steps", __version__)
    assert entries.split() == [
        "[console_scripts]",
        "watch-your-steps",
        "=",
        "backend.__main__:main",
    ]


def test_it_asks_for_what_the_environment_of_the_project_has() -> None:
    """But for nerfstudio, which would bring in 3 GB, mmagic and lpips, of which a file is read."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {re.split(r"[=<>;, ]", one)[0] for one in project["dependencies"]}
    pins = (ROOT / "backend" / "requirements.txt").read_text("utf-8")
    own = set(re.findall(r"^([\w-]+)==", pins.split("# needed by")[0], re.MULTILINE))
    assert asked == own - {"nerfstudio", "mmagic", "lpips"} | {"torch", "jaxtyping"}


def test_its_command_runs_elsewhere_and_names_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")

    def run(call: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", ENTRY.format(call)]
        place = {"PYTHONPATH": str(tmp_path / "installed")}
        return subprocess.run(
            program,
            cwd=tmp_path,
            env=os.environ | place,
            capture_output=True,
            text=True,
            check=False,
        )

    shown = run("main(['scene', 'train', '-h'])")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("usage: watch-your-steps scene train [-h] ")
    assert "read images so many times smaller" in shown.stdout
    wrong = run("main(['scene'])")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: Say what to do, after 'watch-your-steps scene': import,")
