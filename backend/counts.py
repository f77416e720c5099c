"""Numbers that a person gives: counts of steps, rounds, views, seeds and the like are 1 at least,
and settings of edits lie in the ranges that the protocol gives them.
"""

import argparse
import math

import msgspec.inspect

from backend.errors import BadInput
from protocol.requests import EditRequest

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
    for name, (least, above, most) in _ranges().items():
        value = getattr(options, name, None)
        if not isinstance(value, int | float):
            continue
        if above is None and not least <= value <= most:
            words = f"{_short(least)} to {_short(most)}"
        elif above is not None and not above < value <= most:
            words = f"above {_short(above)} and at most {_short(most)}"
        else:
            continue
        raise BadInput(f"--{name.replace('_', '-')} must be {words}, not {value}.")


def _ranges() -> dict[str, tuple[float, float | None, float]]:
    """Of the settings of an edit that are numbers, by option: the least, or what they must be
    above, and the most.
    """
    ranges: dict[str, tuple[float, float | None, float]] = {}
    structure = msgspec.inspect.type_info(EditRequest)
    assert isinstance(structure, msgspec.inspect.StructType)
    for field in structure.fields:
        for kind in getattr(field.type, "types", (field.type,)):
            if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
                ranges[field.name] = (
                    kind.ge or 0,
                    kind.gt,
                    math.inf if kind.le is None else kind.le,
                )
            elif isinstance(kind, msgspec.inspect.VarTupleType):  # counted on a command line
                most = math.inf if kind.max_length is None else kind.max_length
                ranges[field.name.removeprefix("relevance_")] = (kind.min_length or 0, None, most)
    return ranges


def _short(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def check_counts(**counts: int) -> None:
    """Check counts that are given in Python, by their names.

    Raises:
        BadInput: one is below 1.
    """
    for name, value in counts.items():
        if value < 1:
            raise BadInput(f"{name} must be 1 or more, not {value}.")
