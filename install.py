#!/usr/bin/env python3
"""Makes the environments, builds the Blender extension, runs the demo and the tests.

Standard library only. It needs Python 3.11; started by another Python (3.8 or newer) it looks for
one and starts itself again there. The work is done in installer/, which only 3.11 imports.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

DESCRIPTION = """\
Installs Watch Your Steps for Blender, builds its extension, runs its demo and its tests.

Everything is made below the project's folder:
  .venv-backend   torch, diffusers, transformers: what the server runs in
  .venv-blender   Blender 4.5 LTS as a Python module, which stands in for Blender here
  dist            the Blender extension, one zip for each platform
What is there already and right is used again: run any command as often as you like.
"""

PROBE = (
    "import sys, importlib.util as u; print(sys.version_info[:2] == (3, 11),"
    " bool(u.find_spec('venv') and u.find_spec('ensurepip')), sys.executable)"
)


class PythonMissingError(Exception):
    """No Python 3.11 that can make environments; the message says in one sentence what to do."""


def python_candidates(home: Path) -> Iterator[list[str]]:
    """Commands that may start a Python 3.11, the likeliest first; uv, which may fetch one, last."""
    yield [sys.executable]
    yield ["python3.11"]
    if os.name == "nt":
        yield ["py", "-3.11"]
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    uv = home / ".local/share/uv"
    if os.name == "nt":
        uv = Path(os.environ.get("APPDATA", home)) / "uv"
    for folder, pattern in (
        (pyenv, "versions/3.11.*/bin/python"),
        (pyenv, "pyenv-win/versions/3.11.*/python.exe"),
        (uv, "python/cpython-3.11*/bin/python3.11"),
        (uv, "python/cpython-3.11*/python.exe"),
        (Path("/opt/homebrew/bin"), "python3.11"),
        (Path("/usr/local/bin"), "python3.11"),
        (Path("/Library/Frameworks/Python.framework/Versions/3.11/bin"), "python3.11"),
    ):
        for path in sorted(folder.glob(pattern), reverse=True):
            yield [str(path)]
    if shutil.which("uv"):
        print("No Python 3.11 found: asking uv for one.", flush=True)
        subprocess.run(["uv", "python", "install", "3.11"], check=False)
        found = subprocess.run(["uv", "python", "find", "3.11"], capture_output=True, text=True)
        if found.returncode == 0:
            yield [found.stdout.strip()]


def find_python(candidates: Iterable[Sequence[str]]) -> str:
    """Returns the path of the first candidate that is a Python 3.11 with venv and ensurepip.

    Raises PythonMissingError where none is; a 3.11 without venv (Debian splits it off) is named.
    """
    incomplete = ""
    for command in candidates:
        try:
            probe = subprocess.run(
                [*command, "-c", PROBE], capture_output=True, text=True, timeout=30
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        answer = probe.stdout.strip().split(" ", 2)
        if answer[:2] == ["True", "True"]:
            return answer[2]
        if answer[:2] == ["True", "False"]:
            incomplete = answer[2]
    if incomplete:
        raise PythonMissingError(
            f"{incomplete} cannot make virtual environments: install the package python3.11-venv."
        )
    raise PythonMissingError(
        f"Python 3.11 is needed and was not found (this is {platform.python_version()}): get it"
        " from python.org, your package manager, or with `uv python install 3.11`."
    )


def restart(python: str) -> int:
    """Runs this script with the same arguments under another Python. Returns its exit code."""
    command = [python, str(Path(__file__).resolve()), *sys.argv[1:]]
    with subprocess.Popen(command) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                pass  # the terminal has interrupted the child as well: it says so and ends


def parse_arguments(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Reads the command line. Returns the options, and what `demo` and `test` pass on."""
    parser = argparse.ArgumentParser(
        prog="install.py",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, note: str = "") -> argparse.ArgumentParser:
        description = f"{text[0].upper()}{text[1:]}. {note}"
        return commands.add_parser(name, help=text, description=description)

    def torch_options(sub: argparse.ArgumentParser) -> None:
        which = sub.add_mutually_exclusive_group()
        which.add_argument(
            "--cuda",
            dest="torch",
            nargs="?",
            const="cuda",
            metavar="BUILD",
            help="the CUDA build of torch even if no NVIDIA GPU answers; BUILD names one of"
            " PyTorch's own index, such as cu126, which also serves older drivers and GPUs",
        )
        which.add_argument(
            "--cpu", dest="torch", action="store_const", const="cpu", help="the CPU build of torch"
        )

    backend = command("backend", "make the backend's environment, which the server runs in")
    torch_options(backend)
    addon = command("addon", "build the Blender extension, and install it where a Blender is given")
    addon.add_argument(
        "--blender",
        metavar="PATH",
        help="the program of a Blender (4.5 or newer), which then builds the zips and gets the"
        " extension installed and enabled; without it the bpy environment builds them",
    )
    addon.add_argument("--out", metavar="DIR", type=Path, help="where the zips go (default: dist)")
    demo = command(
        "demo",
        "make everything, then run the main job on a small scene",
        "A scene is rendered in Blender, the server finds where the instruction applies, edits"
        " there, and the result comes back. Further arguments go to the demo itself.",
    )
    demo.add_argument(
        "--out", metavar="DIR", type=Path, help="where the results go (default: demo_output)"
    )
    torch_options(demo)
    test = command(
        "test",
        "make everything, then run the linter, the type checker and all tests",
        "Further arguments go to pytest; named test files or folders are the only ones run.",
    )
    test.add_argument("--fast", action="store_true", help="leave out the tests marked as slow")
    torch_options(test)
    options, extra = parser.parse_known_args(arguments)
    if extra and options.command not in ("demo", "test"):
        parser.error(f"unknown argument: {extra[0]}")
    return options, [argument for argument in extra if argument != "--"]


def main() -> int:
    """Runs one command. Returns its exit code: 1 for a failure (in words), 130 after Ctrl-C."""
    options, extra = parse_arguments(sys.argv[1:])
    if sys.version_info[:2] != (3, 11):
        try:
            python = find_python(python_candidates(Path.home()))
        except PythonMissingError as error:
            print(f"install.py: {error}", file=sys.stderr)
            return 1
        print(f"Going on with {python}", flush=True)
        return restart(python)

    from installer import checks, commands
    from installer.processes import InstallError

    try:
        if options.command == "backend":
            return commands.backend(options.torch)
        if options.command == "addon":
            return commands.addon(options.blender, options.out)
        if options.command == "demo":
            return commands.demo(options.out, options.torch, extra)
        return checks.test(options.fast, options.torch, extra)
    except (InstallError, OSError) as error:
        print(f"install.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninstall.py: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
