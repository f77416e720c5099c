"""The kit that tells on a machine with a GPU and without a network whether this program works
there: wheels of what such a machine lacks, a copy of the tracked source, and one script that runs
`bench gpu` and the tests marked gpu (gpu_kit.sh).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .environments import DOWNLOADER, ensure
from .processes import ROOT, InstallError, run_pip

PINS = ("backend/requirements.txt", "tests/requirements.txt")
IMPORTED = "diffusers msgspec nerfstudio pillow pyzmq rich scikit-learn scipy tyro"
NEEDED = (
    "anyio certifi charset-normalizer cloudpickle docstring-parser h11 httpcore2 httpx2 idna"
    " importlib_metadata jaxtyping joblib lazy-importer markdown-it-py mdurl narwhals Pygments"
    " requests threadpoolctl truststore typeguard typing-inspection urllib3 wadler_lindig zipp"
)
TESTS = "hypothesis iniconfig pluggy pytest sortedcontainers"
PACKAGES = tuple(f"{IMPORTED} {NEEDED} {TESTS}".split())
"""What a machine lacks that has torch, transformers, and what those two need: what backend/ and
protocol/ import there, what that and a newer transformers need, and the tests."""
SOURCE = ("backend", "protocol", "tests/__init__.py", "tests/conftest.py", "tests/backend")
SOURCE_FILES = ("pyproject.toml", "LICENSE")
SCRIPT = Path(__file__).with_suffix(".sh")
WITHOUT = "without.txt"
"""Names the packages that were left out, for the script to look for."""
GLIBC = {
    "x86_64": (39, 35, 34, 31, 28, 27, 26, 24, 17),
    "aarch64": (39, 35, 34, 31, 28, 27, 26, 17),
}
"""The C library's versions 2.N that wheels are made for, newest first."""
OLDER = {"x86_64": ("manylinux2014", "manylinux2010", "manylinux1"), "aarch64": ("manylinux2014",)}


def pins(names: tuple[str, ...] = PACKAGES) -> list[str]:
    """The lines "name==version" of packages, as the requirement files pin them.

    Raises:
        InstallError: one is not pinned.
    """
    pinned: dict[str, str] = {}
    for path in PINS:
        for line in (ROOT / path).read_text(encoding="utf-8").splitlines():
            if match := re.match(r"([\w.-]+)==([\w.]+)", line):
                pinned.setdefault(_normal(match[1]), match[0])
    if missing := [name for name in names if _normal(name) not in pinned]:
        raise InstallError(f"{missing[0]} is in none of {', '.join(PINS)}: pin it there.")
    return [pinned[_normal(name)] for name in names]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def platforms(machine: str, glibc: int) -> list[str]:
    """The platforms of wheels that a Linux machine takes, of its processor's name and its C
    library's version 2.`glibc`.
    """
    fitting = [f"manylinux_2_{n}_{machine}" for n in GLIBC[machine] if n <= glibc]
    return [*fitting, *(f"{name}_{machine}" for name in OLDER[machine])]


def left_out(without: Sequence[str]) -> tuple[str, ...]:
    """Those of PACKAGES that another machine is said to have, as they are called there.

    Raises:
        InstallError: a name is none of them.
    """
    known = {_normal(name): name for name in PACKAGES}
    if unknown := [name for name in without if _normal(name) not in known]:
        raise InstallError(
            f"--without {unknown[0]}: the kit brings no such package, but {', '.join(PACKAGES)}."
        )
    return tuple(known[_normal(name)] for name in without)


def fetch(
    folder: Path, version: str, machine: str, glibc: int, pip: Path, names: Sequence[str]
) -> None:
    """Downloads the wheels of packages for another machine, by the pip of a Python.

    Raises:
        InstallError: pip fails, in words.
    """
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={version}",
    ]
    options += [f"--platform={one}" for one in platforms(machine, glibc)]
    run_pip(pip, ["download", *options, "-d", folder, *pins(tuple(names))], len(names))


def copy_source(folder: Path) -> None:
    """Copies what is tracked of SOURCE, as it lies here, changes included.

    Raises:
        InstallError: this is no checkout of git.
    """
    done = subprocess.run(
        ["git", "ls-files", "-z", *SOURCE, *SOURCE_FILES], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise InstallError(
            "git does not list the program's files: make the kit in a clone of the repository."
        )
    for name in filter(None, done.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)


def make(out: Path, version: str, machine: str, glibc: int, without: Sequence[str] = ()) -> int:
    """Makes the kit in a new folder; the exit code.

    Args:
        out: the folder.
        version: of the other machine's Python, such as "3.12".
        machine: its processor, "x86_64" or "aarch64".
        glibc: the N of its C library's version 2.N.
        without: those of PACKAGES that it has already, which makes the kit smaller.

    Raises:
        InstallError: the folder holds something, the version is none, or what `left_out`, `fetch`
            and `copy_source` raise. Then nothing is left of it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InstallError(f"{out} is there and not empty: name a new folder.")
    if not re.fullmatch(r"3\.\d+", version):
        raise InstallError(f"--python must be a version such as 3.12, not {version}.")
    has = left_out(without)
    names = [name for name in PACKAGES if name not in has]
    ensure(DOWNLOADER)
    out.parent.mkdir(parents=True, exist_ok=True)
    # aside: a folder of this name is a whole kit
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as aside:
        kit = Path(aside) / "kit"
        (kit / "wheels").mkdir(parents=True)
        fetch(kit / "wheels", version, machine, glibc, DOWNLOADER.python, names)
        if has:
            (kit / WITHOUT).write_text("\n".join([*has, ""]), encoding="utf-8")
        copy_source(kit / "source")
        shutil.copyfile(SCRIPT, kit / "run.sh")
        (kit / "run.sh").chmod(0o755)
        if out.exists():
            out.rmdir()
        kit.rename(out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.0f} MB. Take it to the machine, and there: bash run.sh OUT")
    return 0
