"""What tells a person's mistake from a defect of the program."""

import errno
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from protocol.known_settings import wrong_settings, wrong_value
from protocol.text import wrong_instruction
from protocol.values import MAX_LABEL

Settings = TypeVar("Settings")


class BadInput(ValueError):
    """What a person gave cannot be used; the text is one sentence that says what to do.

    Everything else that is raised is a defect, and keeps its traceback.
    """


FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""What systems say where there is no room left on a disk, or for a person."""


def words_of(error: Exception) -> str:
    """What a command says of what ended it: with what to do where a disk is full, which systems
    tell by a number, and often not of which disk.
    """
    if not isinstance(error, OSError) or error.errno not in FULL:
        return str(error)
    where = "" if error.filename is None else f", which {error.filename} is on,"
    return f"The disk{where} is full: make room on it, and give the same command again."


def check_instruction(text: str) -> None:
    """Raise BadInput, with what to do, where `text` cannot be an instruction."""
    if wrong := wrong_instruction(text):
        raise BadInput(wrong)


def check_settings(settings: Any) -> None:
    """Raise BadInput where an object of protocol/settings.py has a value out of its range."""
    if wrong := wrong_settings(settings):
        raise BadInput(wrong)


def check_value(hint: Any, value: Any) -> None:
    """The same of a single value, by its type in protocol/settings.py."""
    if wrong := wrong_value(hint, value):
        raise BadInput(wrong)


def check_array(what: str, value: Any) -> None:
    """Raise BadInput where something else was given in a numpy array's place."""
    if not isinstance(value, np.ndarray):
        raise BadInput(
            f"{what} must be a numpy array, not {type(value).__name__}: np.array(...) makes one of "
            "a list or a Pillow image."
        )


def check_things(things: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    """Raise BadInput unless these are whole numbers of things, 0..65535, of this shape."""
    check_array("Things", things)
    if not np.issubdtype(things.dtype, np.integer) or things.shape != shape:
        raise BadInput(
            f"Things must be whole numbers of shape {shape}, not {things.dtype} of shape "
            f"{things.shape}."
        )
    if things.size and not (things.min() >= 0 and things.max() <= MAX_LABEL):
        raise BadInput(
            f"The numbers of things must be 0 to {MAX_LABEL}, not {things.min()} to {things.max()}."
        )


def given_once(settings: Settings | None, single: Settings) -> Settings:
    """The settings of a call that takes them as an object or one by one.

    Raises:
        BadInput: they are given both ways.
    """
    if settings is None:
        return single
    if single != type(single)():
        raise BadInput("Give settings as one object or one by one, not both.")
    return settings
