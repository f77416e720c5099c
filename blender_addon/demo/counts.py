"""What the scripts' whole numbers must be at least."""

import argparse


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
