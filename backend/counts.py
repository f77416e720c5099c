"""Numbers that a person gives: counts of steps, rounds, views, seeds and the like are 1 at least,
and settings of edits lie in the ranges that the protocol gives them.
"""

import argparse

from backend.errors import BadInput
from protocol.settings import EditSettings, MapSettings, Setting, Threshold, all_settings

FROM_ZERO = {"seed", "first_shard"}
"""Options that are numbers, not counts."""
ALSO = {"faces": 0, "edits": 0, "threads": -1}
"""Values below 1 that have a meaning of their own, which the option's help tells."""


def check_options(options: argparse.Namespace) -> None:
    """Check every whole number of a command line.

    Raises:
        BadInput: one is below 1, or below 0 where it is no count.
    """
    for name, value in vars(options).items():
        if type(value) is not int or value == ALSO.get(name):
            continue
        least = 0 if name in FROM_ZERO else 1
        if value < least:
            also = f" (or {ALSO[name]})" if name in ALSO else ""
            option = name.replace("_", "-")
            raise BadInput(f"--{option} must be {least} or more{also}, not {value}.")


def check_settings(options: argparse.Namespace) -> None:
    """Check the settings of an edit on a command line, as far as it has them.

    Raises:
        BadInput: one is out of its range.
    """
    threshold = Setting.of("threshold", Threshold)
    for one in (*all_settings(EditSettings), *all_settings(MapSettings), threshold):
        name = one.name.removeprefix("relevance_")
        value = getattr(options, name, None)
        if not isinstance(value, int | float):
            continue
        if must_be := one.wrong(range(int(value)) if one.kind is tuple else value):
            raise BadInput(f"--{name.replace('_', '-')} must be {must_be}, not {value}.")


def check_counts(**counts: int) -> None:
    """Check counts that are given in Python, by their names.

    Raises:
        BadInput: one is below 1.
    """
    for name, value in counts.items():
        if value < 1:
            raise BadInput(f"{name} must be 1 or more, not {value}.")
