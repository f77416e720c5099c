"""Numbers that a person gives: counts of steps, rounds, views, seeds and the like are 1 at least,
and settings of edits lie in the ranges that the protocol gives them.
"""

import dataclasses

from backend.errors import BadInput
from protocol.known_settings import all_settings

FROM_ZERO = {"seed", "scene", "first_shard"}
"""Options that are numbers, not counts."""
ALSO = {"faces": 0, "edits": 0, "threads": -1}
"""Values below 1 that have a meaning of their own, which the option's help tells."""


def check_options(options: object) -> None:
    """Check the numbers of a command line: the options of a command, or of a parser.

    Raises:
        BadInput: one is below 1, or below 0 where it is no count, or not in the range that
            protocol/settings.py has for it.
    """
    for name, value in vars(options).items():
        option = f"--{name.replace('_', '-')}"
        if type(value) is int and value != ALSO.get(name):
            least = 0 if name in FROM_ZERO else 1
            if value < least:
                also = f" (or {ALSO[name]})" if name in ALSO else ""
                raise BadInput(f"{option} must be {least} or more{also}, not {value}.")
    for one in all_settings(type(options)) if dataclasses.is_dataclass(options) else ():
        value = getattr(options, one.name)
        if must_be := one.wrong(value):
            raise BadInput(f"--{one.name.replace('_', '-')} must be {must_be}, not {value}.")


def check_counts(**counts: int) -> None:
    """Check counts that are given in Python, by their names.

    Raises:
        BadInput: one is below 1.
    """
    for name, value in counts.items():
        if value < 1:
            raise BadInput(f"{name} must be 1 or more, not {value}.")
