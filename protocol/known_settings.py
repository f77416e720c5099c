"""What is known of each setting: name, default, range and help, read from the types of its field.

The command line, the add-on's properties and the manual are made from it, and what is out of range
is refused by it.
"""

import dataclasses
import math
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType
from typing import Any, Self, get_args, get_type_hints

from msgspec import Meta


@dataclass(frozen=True)
class Setting:
    """What is known of one field.

    Attributes:
        name: of the field.
        default: its value where nothing is said.
        kind: bool, int, float, tuple (numbers that people give by their count) or str.
        choices: the values of a str.
        optional: whether None is a value.
        least, most: its range, both included; of a tuple, that of its length.
        above: it must be above `least`, not at it.
        title, description, extra: as protocol/settings.py says.
        each: what is known of a tuple's values.
    """

    name: str
    default: Any
    kind: type
    choices: tuple[str, ...]
    optional: bool
    least: float
    most: float
    above: bool
    title: str
    description: str
    extra: dict[str, Any]
    each: "Setting | None" = None

    @classmethod
    def of(cls, name: str, hint: Any, default: Any = None) -> Self:
        """What is known of a field from its type."""
        metas: list[Meta] = []
        plain, optional = _unwrapped(hint, metas)
        given = {
            key: value
            for meta in metas  # the outermost is the last one and wins
            for key in ("ge", "gt", "le", "min_length", "max_length", "title", "description")
            if (value := getattr(meta, key)) is not None
        }
        origin = tuple if getattr(plain, "__origin__", None) is tuple else plain
        kind = origin if origin in (bool, int, float, tuple) else str
        return cls(
            name=name,
            default=default,
            kind=kind,
            choices=get_args(plain) if kind is str else (),
            optional=optional,
            least=given.get("min_length", given.get("gt", given.get("ge", -math.inf))),
            most=given.get("max_length", given.get("le", math.inf)),
            above="gt" in given,
            title=given.get("title", ""),
            description=given.get("description", ""),
            extra={key: value for meta in metas for key, value in (meta.extra or {}).items()},
            each=cls.of(name, get_args(plain)[0]) if kind is tuple else None,
        )

    def wrong(self, value: Any) -> str | None:
        """How a value must be, such as "0 to 1"; None where it is right."""
        if (value is None and self.optional) or self.kind is bool:
            return None
        if self.kind is str:
            return None if value in self.choices else " or ".join(self.choices)
        if self.kind is int and not isinstance(value, Integral):
            return "a whole number"
        if self.kind is float and not isinstance(value, Real):
            return "a number"
        number = len(value) if self.kind is tuple else value
        ends = (self.least, self.most)
        least, most = (f"{end:g}" if self.kind is float else str(end) for end in ends)
        if self.above:
            return None if self.least < number <= self.most else f"above {least} and at most {most}"
        if self.least <= number <= self.most:
            return None
        if self.kind is not float and number < self.least and self.least in (0, 1):
            return f"{least} or more"
        return f"{least} to {most}"


def all_settings(settings: type) -> tuple[Setting, ...]:
    """What is known of the fields of a class of protocol/settings.py, or of another with such
    types, that have a name for people; in their order.
    """
    hints = get_type_hints(settings, include_extras=True)
    fields = dataclasses.fields(settings)
    found = (Setting.of(one.name, hints[one.name], one.default) for one in fields)
    return tuple(one for one in found if one.title)


def _unwrapped(hint: Any, metas: list[Meta]) -> tuple[Any, bool]:
    """A type without its metadata, which goes into `metas`, and whether None is a value of it."""
    if hasattr(hint, "__metadata__"):
        plain, optional = _unwrapped(hint.__origin__, metas)
        metas += [meta for meta in hint.__metadata__ if isinstance(meta, Meta)]
        return plain, optional
    if NoneType in get_args(hint):
        (value,) = (one for one in get_args(hint) if one is not NoneType)
        return _unwrapped(value, metas)[0], True
    return hint, False


def wrong_settings(settings: Any) -> str | None:
    """What is wrong with the first of an object's settings that is out of its range, in one
    sentence; None where all are right.
    """
    found = (_wrong_value(one, getattr(settings, one.name)) for one in all_settings(type(settings)))
    return next((sentence for sentence in found if sentence), None)


def wrong_value(hint: Any, value: Any) -> str | None:
    """The same of a single value, such as a threshold, by its type in protocol/settings.py."""
    return _wrong_value(Setting.of("", hint), value)


def _wrong_value(one: Setting, value: Any) -> str | None:
    name = one.title.lower()
    if must_be := one.wrong(value):
        return f"The {name} must be {must_be}, not {len(value) if one.kind is tuple else value}."
    if one.each is not None:
        for part in value:
            if must_be := one.each.wrong(part):
                return f"Each of the {name} must be {must_be}, not {part}."
    return None
