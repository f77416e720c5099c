"""Finds a Python of a given version. Older Pythons import this too: install.py looks for its own
with it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

PROBE = (
    "import sys, importlib.util as u, sysconfig;"
    " free = bool(sysconfig.get_config_var('Py_GIL_DISABLED'));"
    " print('%d.%d' % sys.version_info[:2] + 't' * free,"
    " bool(u.find_spec('venv') and u.find_spec('ensurepip')), sys.executable)"
)
"""Prints the version, with a "t" where it is a build without the GIL, which has no bpy."""


class PythonMissingError(Exception):
    """No such Python that can make environments; the message says in one sentence what to do."""


def candidates(version: str, home: Path, fetch: bool) -> Iterator[list[str]]:
    """Commands that may start a Python of a version ("3.11"), the likeliest first; uv, which may
    `fetch` one, last.
    """
    yield [sys.executable]
    yield [f"python{version}"]
    if os.name == "nt":
        yield ["py", f"-{version}"]
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    uv = home / ".local/share/uv"
    if os.name == "nt":
        uv = Path(os.environ.get("APPDATA", home)) / "uv"
    for folder, pattern in (
        (pyenv, f"versions/{version}.*/bin/python"),
        (pyenv, f"pyenv-win/versions/{version}.*/python.exe"),
        (uv, f"python/cpython-{version}*/bin/python{version}"),
        (uv, f"python/cpython-{version}*/python.exe"),
        (Path("/opt/homebrew/bin"), f"python{version}"),
        (Path("/usr/local/bin"), f"python{version}"),
        (Path(f"/Library/Frameworks/Python.framework/Versions/{version}/bin"), f"python{version}"),
    ):
        for path in sorted(folder.glob(pattern), reverse=True):
            yield [str(path)]
    if shutil.which("uv"):
        if fetch:
            print(f"No Python {version} found: asking uv for one.", flush=True)
            subprocess.run(["uv", "python", "install", version], check=False)
        found = subprocess.run(["uv", "python", "find", version], capture_output=True, text=True)
        if found.returncode == 0:
            yield [found.stdout.strip()]


def find(version: str, commands: Iterable[Sequence[str]]) -> str:
    """Returns the path of the first command's Python that has this version, venv and ensurepip.

    Raises PythonMissingError where none has; one without venv (Debian splits it off) is named.
    """
    incomplete = ""
    for command in commands:
        try:
            probe = subprocess.run(
                [*command, "-c", PROBE], capture_output=True, text=True, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        answer = probe.stdout.strip().split(" ", 2)
        if answer[:2] == [version, "True"]:
            return answer[2]
        if answer[:2] == [version, "False"]:
            incomplete = answer[2]
    if incomplete:
        raise PythonMissingError(
            f"{incomplete} cannot make virtual environments: install the package"
            f" python{version}-venv."
        )
    raise PythonMissingError(
        f"Python {version} is needed and was not found (this is {platform.python_version()}): get"
        f" it from python.org, your package manager, or with `uv python install {version}`."
    )
