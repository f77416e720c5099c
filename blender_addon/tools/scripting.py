"""What the scripts that run in Blender share."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


class Refused(Exception):
    """What a person gave cannot be used; the text is one sentence that says why."""


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
