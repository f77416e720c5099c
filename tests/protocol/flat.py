"""Requests from single settings, wherever in them these lie."""

import dataclasses
from typing import Any, TypeVar, get_type_hints

import msgspec

Request = TypeVar("Request", bound=msgspec.Struct)


def flat(kind: type[Request], **values: Any) -> Request:
    """A request of a kind; a value that is no field of its own is one of its settings."""
    own = {name: values[name] for name in kind.__struct_fields__ if name in values}
    rest = {name: value for name, value in values.items() if name not in own}
    for name, hint in get_type_hints(kind).items():
        if not dataclasses.is_dataclass(hint):
            continue
        mine = {field.name for field in dataclasses.fields(hint)} & rest.keys()
        own[name] = hint(**{one: rest.pop(one) for one in mine})
    assert not rest, f"{kind.__name__} has no {rest.keys()}"
    return kind(**own)


def changed(request: Request, **values: Any) -> Request:
    """The request with other values."""
    own = {name: value for name, value in values.items() if name in request.__struct_fields__}
    rest = values.keys() - own.keys()
    for name in request.__struct_fields__:
        settings = getattr(request, name)
        if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
            mine = {field.name for field in dataclasses.fields(settings)} & rest
            own[name] = dataclasses.replace(settings, **{one: values[one] for one in mine})
            rest = rest - mine
    assert not rest, f"{type(request).__name__} has no {rest}"
    return msgspec.structs.replace(request, **own)
