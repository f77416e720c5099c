"""The virtual environments: what each holds, whether it is right, and making it so."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from . import torch_build
from .processes import CACHE, ROOT, InstallError, capture, run_pip
from .system_libraries import check_bpy

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

STATE_FILE = "install_state.json"
GIGABYTE = 1_000_000_000
CUDA_BYTES = 12 * GIGABYTE


@dataclass(frozen=True)
class Environment:
    """A virtual environment.

    `needed_bytes` is what its making may take on the disk, at most; `base` is the Python that makes
    it, and `version` that Python's.
    """

    folder: Path
    requirements: tuple[str, ...]
    needed_bytes: int
    version: str = "3.11"
    base: str = sys.executable

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def plus(self, *requirements: str) -> Environment:
        """The same environment with more requirement files."""
        return replace(self, requirements=(*self.requirements, *requirements))


BACKEND = Environment(
    ROOT / ".venv-backend", ("backend/requirements.txt", torch_build.REQUIREMENTS), 3 * GIGABYTE
)
BLENDER = Environment(ROOT / ".venv-blender", ("blender_addon/requirements.txt",), 2 * GIGABYTE)
BLENDER_50 = Environment(ROOT / ".venv-blender50", ("tests/requirements-bpy50.txt",), 2 * GIGABYTE)
BLENDER_52 = Environment(
    ROOT / ".venv-blender52",
    ("tests/requirements-bpy52.txt",),
    2 * GIGABYTE,
    version="3.13",
)
BPY_REQUIREMENTS = {
    name for blender in (BLENDER, BLENDER_50, BLENDER_52) for name in blender.requirements
}
WITHOUT_DEPS = ("nerfstudio ", "mmagic ", "lpips ")
"""How `pip check` begins lines on packages that are used without most of what they ask for."""
DOWNLOADER = Environment(CACHE / "venv-downloader", (), GIGABYTE // 10)  # pip and nothing else


@dataclass(frozen=True)
class Plan:
    """What is to be done with an environment, and the requirement files to install for it."""

    action: Literal["reuse", "update", "make"]
    files: tuple[str, ...]


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes, as hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_state(folder: Path) -> dict[str, Any]:
    """What install.py has written into an environment; {} where nothing readable is there."""
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the state file in one step: an interruption leaves the old one or the new one."""
    partial = folder / (STATE_FILE + ".partial")
    partial.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / STATE_FILE)


def plan(environment: Environment, torch: str | None = None) -> Plan:
    """Looks at an environment and changes nothing. `torch` is the build asked for, None for any.

    "update" installs what has changed into a finished environment. "make" starts from nothing:
    there is no folder, its making was interrupted, another build of torch is asked for, or its
    Python is gone. Raises InstallError for a folder that install.py did not make, which it will not
    delete.
    """
    folder = environment.folder
    from_nothing = Plan("make", environment.requirements)
    if not folder.exists() or not any(folder.iterdir()):
        return from_nothing
    if not (folder / STATE_FILE).exists():
        raise InstallError(
            f"{folder} was not made by install.py: move or delete that folder, and run this again."
        )
    state = read_state(folder)
    if not state.get("complete") or (torch and state.get("torch", torch) != torch):
        return from_nothing
    try:
        ask = "import sys; print('%d.%d' % sys.version_info[:2])"
        _, version = capture([environment.python, "-c", ask])
    except OSError:
        return from_nothing
    if version.strip() != environment.version:
        return from_nothing
    changed = tuple(
        name
        for name in environment.requirements
        if state["files"].get(name) != file_hash(ROOT / name)
    )
    return Plan("update" if changed else "reuse", changed)


def check_disk(needed_bytes: int, free_bytes: int) -> None:
    """Raises InstallError where less is free than the work may take."""
    if free_bytes < needed_bytes:
        raise InstallError(
            f"About {needed_bytes / GIGABYTE:.1f} GB of free disk are needed at {ROOT}, and"
            f" {free_bytes / GIGABYTE:.1f} GB are free: make room and run this again."
        )


def folder_bytes(folder: Path) -> int:
    """Sum of the sizes of all files below a folder; links are not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def try_lock(file: int) -> bool:
    """Locks an open file for this process, until it is closed or the process ends."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def only_one() -> Iterator[None]:
    """Waits while another install.py works on the environments of this folder."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "install.lock").open("a") as file:
        if not try_lock(file.fileno()):
            print("Another install.py is at work in this folder: waiting for it.", flush=True)
            while not try_lock(file.fileno()):
                time.sleep(0.5)
        yield


def ensure(*environments: Environment, torch: str | None = None) -> dict[str, dict[str, Any]]:
    """Makes, updates or reuses environments, and says so.

    `torch` forces a build: "cpu", "cuda", or one such as "cu126". Returns for each folder's name
    {"seconds": of its making, "bytes": on disk, "reused": whether this run found it ready}.
    """
    with only_one():
        return ensure_alone(environments, torch)


def ensure_alone(
    environments: Sequence[Environment], torch: str | None
) -> dict[str, dict[str, Any]]:
    """Does what `ensure` says while no other install.py does."""
    plans = [(environment, plan(environment, torch)) for environment in environments]
    builds = {
        environment: torch_build.choose(torch, read_state(environment.folder).get("torch"))
        for environment, todo in plans
        if torch_build.REQUIREMENTS in todo.files
    }
    check_disk(
        sum(
            CUDA_BYTES if builds.get(environment, "cpu") != "cpu" else environment.needed_bytes
            for environment, todo in plans
            if todo.action == "make"
        ),
        shutil.disk_usage(ROOT).free,
    )
    report = {}
    for environment, todo in plans:
        name = environment.folder.name
        if todo.action != "reuse":
            apply(environment, todo, builds.get(environment))
        state = read_state(environment.folder)
        done = "ready" if todo.action == "reuse" else f"done in {state['seconds']:.0f} s"
        print(f"{name}: {done}, {state['bytes'] / GIGABYTE:.2f} GB", flush=True)
        report[name] = {
            "seconds": state["seconds"],
            "bytes": state["bytes"],
            "reused": todo.action == "reuse",
        }
    return report


def apply(environment: Environment, todo: Plan, build: str | None) -> None:
    """Carries out a plan; until the very end the state file calls the environment incomplete."""
    folder, start = environment.folder, time.monotonic()
    old = read_state(folder) if todo.action == "update" else {}
    folder.mkdir(parents=True, exist_ok=True)
    write_state(folder, {"complete": False, "torch": build or old.get("torch")})
    try:
        if todo.action == "make":
            print(f"{folder.name}: making it ({environment.base})", flush=True)
            empty(folder)
            code, output = capture([environment.base, "-m", "venv", folder])
            if code != 0:
                raise InstallError(
                    f"Python could not make {folder}: {output.strip().splitlines()[-1]}"
                )
        else:
            print(f"{folder.name}: installing {', '.join(todo.files)}", flush=True)
        install(environment, todo, build)
    except InstallError:
        # pip fails before it changes anything; a build of torch that failed is not to be kept
        write_state(folder, old or {"complete": False})
        raise
    known = old.get("files", {}) | {name: file_hash(ROOT / name) for name in todo.files}
    write_state(
        folder,
        {
            "complete": True,
            "torch": build or old.get("torch"),
            "files": known,
            "seconds": round(old.get("seconds", 0) + time.monotonic() - start, 1),
            "bytes": folder_bytes(folder),
        },
    )


def empty(folder: Path) -> None:
    """Removes all from an environment's folder but its state file, which marks it as ours."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != STATE_FILE:
            entry.unlink()


def install(environment: Environment, todo: Plan, build: str | None) -> None:
    """Installs a plan's requirement files and proves that the result works."""
    python = environment.python
    pinned = [ROOT / name for name in todo.files if name != torch_build.REQUIREMENTS]
    if pinned:
        text = "\n".join(path.read_text(encoding="utf-8") for path in pinned)
        packages = len(set(re.findall(r"^\w\S*", text, re.MULTILINE)))
        files = [part for path in pinned for part in ("-r", path)]
        # The pins are complete. What nerfstudio, mmagic and lpips ask for must not come in:
        # several GB.
        run_pip(python, ["install", "--no-deps", *files], packages)
    if build is not None:
        torch_build.install(python, build)
    if BPY_REQUIREMENTS.intersection(todo.files):
        check_bpy(python)
    _, output = capture([python, "-m", "pip", "check"])
    if problems := misfits(output):
        raise InstallError(f"The pinned packages do not fit together: {problems[-1]}")


def misfits(output: str) -> list[str]:
    """The lines of `pip check` that tell of a problem, but for those on WITHOUT_DEPS."""
    fine = "No broken requirements found."
    lines = [line.strip() for line in output.splitlines()]
    return [line for line in lines if line and line != fine and not line.startswith(WITHOUT_DEPS)]
