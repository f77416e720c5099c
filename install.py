#!/usr/bin/env python3
"""Makes the environments, builds the Blender extension, runs the demo and the tests.

Standard library only. It needs Python 3.11; started by another Python (3.8 or newer) it looks for
one and starts itself again there. The work is done in installer/, of which only pythons.py is for
older Pythons too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from installer import pythons

DESCRIPTION = """\
Installs Watch Your Steps for Blender, builds its extension, runs its demo and its tests.

Everything is made below the project's folder:
  .venv-backend   torch, diffusers, transformers: what the server runs in
  .venv-blender   Blender 4.5 LTS as a Python module, which stands in for Blender here
  .venv-blender50, .venv-blender52   Blender 5.0, and 5.2 LTS where a Python 3.13 is found, which
                  the add-on's tests run in as well
  dist            the Blender extension, one zip for each platform
What is there already and right is used again: run any command as often as you like.
"""


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
    backend.add_argument(
        "--stop-with-input",
        action="store_true",
        help="stop when the standard input ends, as it does with the program that started this one",
    )
    addon = command("addon", "build the Blender extension, and install it where a Blender is given")
    addon.add_argument(
        "--blender",
        metavar="PATH",
        help="the program of a Blender (4.5 or newer), which then builds the zips and gets the"
        " extension installed and enabled; without it the bpy environment builds them",
    )
    addon.add_argument("--out", metavar="DIR", type=Path, help="where the zips go (default: dist)")
    addon.add_argument(
        "--website",
        metavar="URL",
        help="the page of whoever publishes the zips, to which Blender links beside the"
        " extension's name (default: none)",
    )
    blender = command(
        "blender",
        "open a Blender with the add-on, the backend and the demo scene ready",
        "The add-on is installed into that Blender, which starts the backend itself.",
    )
    blender.add_argument(
        "--blender",
        metavar="PATH",
        help="the program of a Blender (4.5 or newer); without it, the one that is found",
    )
    blender.add_argument(
        "--model", default="auto", help="as the server's own --model (default: %(default)s)"
    )
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
    kit = command(
        "gpu-kit",
        "make a folder that tells on a machine with a GPU whether the program works there",
        "It holds wheels, the source, and run.sh, which runs `bench gpu` and the tests of a GPU in"
        " ten minutes at most, and needs no network. That machine's Python has torch, numpy and"
        " transformers.",
    )
    kit.add_argument("out", metavar="DIR", type=Path, help="a new folder")
    kit.add_argument(
        "--python", metavar="X.Y", default="3.12", help="its Python (default: %(default)s)"
    )
    kit.add_argument(
        "--machine",
        choices=("x86_64", "aarch64"),
        default="x86_64",
        help="its processor; its system is Linux (default: %(default)s)",
    )
    kit.add_argument(
        "--glibc",
        metavar="N",
        type=int,
        default=35,
        help="its C library is 2.N or newer, as `ldd --version` says (default: %(default)s)",
    )
    kit.add_argument(
        "--without",
        nargs="+",
        metavar="PACKAGE",
        default=[],
        help="packages that its Python has, such as scipy and pillow: left out, for a smaller kit",
    )
    options, extra = parser.parse_known_args(arguments)
    if extra and options.command not in ("demo", "test"):
        parser.error(f"unknown argument: {extra[0]}")
    return options, [argument for argument in extra if argument != "--"]


def main() -> int:
    """Runs one command. Returns its exit code: 1 for a failure (in words), 130 after Ctrl-C."""
    options, extra = parse_arguments(sys.argv[1:])
    if sys.version_info[:2] != (3, 11):
        try:
            python = pythons.find("3.11", pythons.candidates("3.11", Path.home(), fetch=True))
        except pythons.PythonMissingError as error:
            print(f"install.py: {error}", file=sys.stderr)
            return 1
        print(f"Going on with {python}", flush=True)
        return restart(python)

    from installer import checks, commands, gpu_kit
    from installer.processes import InstallError, in_words, stop_with_input

    if getattr(options, "stop_with_input", False):
        stop_with_input()
    try:
        if options.command == "backend":
            return commands.backend(options.torch)
        if options.command == "addon":
            return commands.addon(options.blender, options.out, options.website)
        if options.command == "blender":
            return commands.blender(options.blender, options.model)
        if options.command == "gpu-kit":
            return gpu_kit.make(
                options.out.resolve(),
                options.python,
                options.machine,
                options.glibc,
                options.without,
            )
        if options.command == "demo":
            return commands.demo(options.out, options.torch, extra)
        return checks.test(options.fast, options.torch, extra)
    except InstallError as error:
        print(f"install.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"install.py: {in_words(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninstall.py: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
