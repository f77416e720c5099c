"""What the scripts that run in Blender share."""

import argparse
import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn


class Refused(Exception):
    """What a person gave cannot be used; the text is one sentence that says why."""


def end_with(main: Callable[[], int]) -> NoReturn:
    """Run a script's main function and end the process with its exit status, without taking Blender
    apart: as a module, Blender 4.5 may wait there for ever for a thread of its own.
    """
    try:
        status = main()
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException as error:  # noqa: BLE001  # told as Python would have told it
        traceback.print_exc()
        status = 130 if isinstance(error, KeyboardInterrupt) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def check_counts(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the script with one sentence where a whole number is below the least that its option has
    in `LEAST`, or below 1.
    """
    for name, value in vars(options).items():
        least = LEAST.get(name, 1)
        if type(value) is int and value < least:
            parser.error(f"--{name.replace('_', '-')} must be {least} or more, not {value}")


LEAST = {"seed": 0, "scenes": 0, "train_iterations": 0, "edit_iterations": 0}
"""Of options that may be 0: for none, or for what a preset has."""


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Blender writes to the process's own standard output, whatever sys.stdout is."""
    sys.stdout.flush()
    own = os.dup(1)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(own, 1)
        os.close(own)
