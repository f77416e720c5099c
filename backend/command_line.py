"""A command line from dataclasses, by tyro: a command is a dataclass whose fields are its options.
Settings of protocol/settings.py are options by what is known of them there.
"""

import dataclasses
import difflib
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro
from tyro._backends._tyro_backend import _LiteralValue  # private, as what follows
from tyro._errors import (  # requirements.txt pins the version
    BadValue,
    InstantiationFailure,
    InvalidChoice,
    MissingArgs,
    ParseErrorEvent,
    UnrecognizedArgs,
    on_parse_error,
)
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from backend.errors import BadInput
from protocol import settings as known
from protocol.known_settings import Setting, all_settings

CONFIG = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
    tyro.conf.PositionalMetavarFromFieldName,
    tyro.conf.HelptextFromCommentsOff,
)
COMPLETION = {"--tyro-print-completion": "SHELL", "--tyro-write-completion": "SHELL FILE"}
SHELLS = ("bash", "zsh", "tcsh", "fish")
HELP = ("-h", "--help", "help")
PROGRAM = "watch-your-steps"
"""What completion completes."""

Command = TypeVar("Command")
Tree = Mapping[str, "type | tuple[str, Tree]"]
"""Commands by their names; a group of commands is what it is for, and its own commands."""


class _Refused(Exception):
    """What was typed cannot be used; the text says why. No ValueError: tyro catches these."""


def command_in(tree: Tree, arguments: Sequence[str], program: str) -> Any:
    """The command that was typed, with its options. Ends the program where help or a completion
    script was asked for, and with status 2, after one sentence, where there is no such command or
    option.

    Raises:
        BadInput: a setting is out of its range.
    """
    if arguments and arguments[0] in COMPLETION:
        wanted = COMPLETION[arguments[0]]
        if len(arguments) != 1 + len(wanted.split()) or arguments[1] not in SHELLS:
            _end(f"Say {arguments[0]} {wanted}, where SHELL is {_any(SHELLS)}.")
        return parse(_group(_about(tree, []), tree), arguments, PROGRAM)
    typed: list[str] = []
    group, rest = tree, list(arguments)
    while True:
        here = " ".join([program, *typed])
        names = _any(list(group))
        if not rest:
            _end(f"Say what to do, after {here!r}: {names}.")
        word = rest[0]
        if word in HELP:
            _list(_about(tree, typed), group, here)
        if word not in group:
            _end(f"There is no command {' '.join([*typed, word])!r}: use {names}.")
        typed.append(rest.pop(0))
        found = group[word]
        if isinstance(found, type):
            return parse(found, rest, " ".join([program, *typed]))
        group = found[1]


def parse(kind: Any, arguments: Sequence[str], program: str) -> Any:
    """One command's dataclass from its options. Ends the program as `command_in` does.

    Raises:
        BadInput: a setting is out of its range.
    """

    def refuse(event: ParseErrorEvent) -> None:
        raise _Refused(f"{_sentence(event, kind, arguments)} See {program} -h.")

    try:
        with on_parse_error(refuse):
            found = tyro.cli(
                kind,
                args=_filled(arguments, kind),
                prog=program,
                description=_wrapped(kind),
                config=CONFIG,
                registry=_registry(),
            )
        for field in dataclasses.fields(found):
            if getattr(found, field.name) == () != field.default:
                raise _Refused(f"--{field.name} needs a value. See {program} -h.")
        return found
    except OutOfRange as wrong:
        raise BadInput(str(wrong)) from None
    except _Refused as refused:
        _end(str(refused))


def _filled(arguments: Sequence[str], kind: Any) -> list[str]:
    """What was typed, with their values after the options that stand for something alone, and with
    texts that begin with a dash marked as texts.
    """
    alone, filled = getattr(kind, "alone", {}), []
    for word, following in zip(arguments, [*arguments, "-"][1:], strict=True):
        filled.append(_LiteralValue(word) if _is_text(word) else word)
        if word in alone and following.startswith("-"):
            filled.append(alone[word])
    return filled


def _is_text(word: str) -> bool:
    """Whether it is none of an option's, though it begins with a dash: no option has a space."""
    return word.startswith("-") and any(one.isspace() for one in word.partition("=")[0])


def _wrapped(kind: type) -> str:
    """What a command does, in lines of the terminal's width. tyro joins those without an indent."""
    width = shutil.get_terminal_size().columns
    paragraphs = [" ".join(one.split()) for one in (kind.__doc__ or "").split("\n\n")]
    return "\n\n".join(textwrap.fill(one, width, subsequent_indent="  ") for one in paragraphs)


def _list(about: str, group: Tree, here: str) -> Any:
    """Show what a group of commands is for, and each of them."""
    print(f"usage: {here} [-h] {{{','.join(group)}}}\n\n{about}\n")
    width = max(map(len, group)) + 4
    for name, found in group.items():
        words = _first_sentence(found) if isinstance(found, type) else found[0]
        indent = " " * width
        print(textwrap.fill(f"  {name}".ljust(width) + words, 98, subsequent_indent=indent))
    raise SystemExit(0)


def _first_sentence(command: type) -> str:
    return " ".join((command.__doc__ or "").strip().split("\n\n")[0].split())


def _end(sentence: str) -> Any:
    print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def _about(tree: Tree, typed: Sequence[str]) -> str:
    """What a group of commands is for."""
    about = "Watch Your Steps: local edits of pictures and scenes by text."
    for word in typed:
        found = tree[word]
        assert not isinstance(found, type)
        about, tree = found
    return about


def _group(about: str, tree: Tree) -> Any:
    """A dataclass whose one field is one of the commands, for completion."""
    kinds = []
    for name, found in tree.items():
        one = found if isinstance(found, type) else _group(*found)
        kinds.append(Annotated[one, tyro.conf.subcommand(name)])
    if len(kinds) == 1:  # tyro would leave the one name out
        kinds.append(Annotated[_Help, tyro.conf.subcommand("help")])
    group = dataclasses.make_dataclass("Group", [("command", Union[tuple(kinds)])])  # noqa: UP007
    group.__doc__ = about
    return group


@dataclasses.dataclass
class _Help:
    """Show the commands."""


# ---------------------------------------------------------------- settings as options


def _registry() -> ConstructorRegistry:
    registry = ConstructorRegistry()
    registry.struct_rule(_settings_rule)
    registry.primitive_rule(_path_rule)
    return registry


def _path_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Path] | None:
    """Names of files and folders, of which an empty one would be the current folder."""
    if info.type is not Path:
        return None

    def make(words: list[str]) -> Path:
        if not words[0]:
            raise _Refused("The name of a file or folder is empty: give one.")
        return Path(words[0])

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=make,
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda value: [str(value)],
    )


def _settings_rule(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Options of a class of settings."""
    kind = info.type
    if getattr(kind, "__module__", "") != known.__name__ or not dataclasses.is_dataclass(kind):
        return None
    fields = {option_name(one): one for one in all_settings(kind)}

    def make(**given: Any) -> Any:
        values = {}
        for option, one in fields.items():
            value = given[option]
            if one.kind is tuple:
                value = range(value)
            elif one.kind is bool:
                value = value == next(iter(one.extra["words"]))
            if must_be := one.wrong(value):
                shown = given[option]
                raise OutOfRange(f"--{option.replace('_', '-')} must be {must_be}, not {shown}.")
            values[one.name] = tuple(value) if one.kind is tuple else value
        return kind(**values)

    return StructConstructorSpec(
        instantiate=make,
        fields=tuple(_option(option, one) for option, one in fields.items()),
    )


class OutOfRange(Exception):
    """A setting's value is out of its range; the text says which. No ValueError: tyro catches
    these.
    """


def option_name(one: Setting) -> str:
    """What a setting is called on the command line, with _ for -."""
    return one.name.removeprefix("relevance_")


def otherwise(words: str, metavar: str | None = None) -> Any:
    """What the help says of an option's default where that is decided later."""
    return tyro.conf.arg(help_behavior_hint=f"(default: {words})", metavar=metavar)


def _option(option: str, one: Setting) -> StructFieldSpec:
    kind: Any = int if one.kind is tuple else one.kind
    default = len(one.default) if one.kind is tuple else one.default
    if one.kind in (bool, str):
        choices = tuple(one.extra["words"])
        kind = Literal[choices]
        default = one.default if one.kind is str else choices[0 if one.default else 1]
    if one.optional:
        hint = tyro.conf.arg(help_behavior_hint=f"(default: {one.extra['none']})")
        kind = Annotated[kind | None, hint]
    return StructFieldSpec(name=option, type=kind, default=default, helptext=one.description)


# ---------------------------------------------------------------- sentences


def _sentence(event: ParseErrorEvent, kind: Any, arguments: Sequence[str]) -> str:
    unknown = _unknown(arguments, kind)
    if unknown is not None and isinstance(event, MissingArgs | UnrecognizedArgs | BadValue):
        return _no_option(unknown, kind)
    if isinstance(event, MissingArgs):
        names = [_name(one.arg) for one in event.missing_arguments]
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        return f"{listed} {'are' if len(names) > 1 else 'is'} missing."
    if isinstance(event, UnrecognizedArgs):
        return f"{' '.join(event.tokens)!r} belongs to nothing: put texts with spaces in quotes."
    if isinstance(event, InvalidChoice):
        choices = [one for one in _literals(event.argument.field.type) if one in event.choices]
        return f"{_name(event.argument)} must be {_any(choices)}, not {event.value}."
    if isinstance(event, BadValue):
        return f"{_name(event.argument)} needs a value."
    if isinstance(event, InstantiationFailure) and event.argument is not None:
        numbers = _numbers(event.argument.field.type)
        if numbers > 1:
            named = event.argument.lowered.metavar
            return f"{_name(event.argument)} needs {numbers} whole numbers: {named}."
        value = event.message.rpartition(": ")[2].strip("'\"")
        kinds = {"int": "a whole number", "float": "a number"}
        wanted = next((w for name, w in kinds.items() if f" {name}" in f" {event.message}"), "")
        if "set_int_max_str_digits" in value:
            return f"{_name(event.argument)} has too many digits."
        return (
            f"{_name(event.argument)} must be {wanted or 'another value'}, not {value or 'empty'}."
        )
    return "The command line cannot be read."


def _any(names: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _literals(kind: Any) -> list[str]:
    """The texts of a Literal, also of one that something else may stand for, in their order."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [text for part in get_args(kind) for text in _literals(part)]


def _numbers(kind: Any) -> int:
    """How many whole numbers a tuple of them has, also one that something else may stand for; 0 of
    another type.
    """
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        return len(parts) if all(part is int for part in parts) else 0
    return max(map(_numbers, parts), default=0)


def _name(argument: Any) -> str:
    """An option's or a positional argument's name, as it is typed or shown."""
    lowered = argument.lowered
    return str(lowered.metavar if argument.is_positional() else lowered.name_or_flags[-1])


def _unknown(arguments: Sequence[str], kind: Any) -> str | None:
    """The first word that looks like an option, and is none."""
    for word in arguments:
        if word == "--":
            break
        name = word.partition("=")[0].replace("_", "-")
        option = name.lstrip("-")[:1].isalpha() and name.startswith("-") and not _is_text(word)
        number = name.lower() in ("-inf", "-infinity", "-nan")
        if option and not number and name not in _option_names(kind):
            return word
    return None


def _no_option(token: str, kind: Any) -> str:
    """That there is none, and those that were meant, where some are like it."""
    name, names = token.partition("=")[0], _option_names(kind)
    near = [one for one in names if one.startswith(name)] if name.startswith("--") else []
    near = near or difflib.get_close_matches(name, names, 1)
    return f"There is no option {name}{f': did you mean {_any(near)}?' if near else '.'}"


def _option_names(kind: Any) -> list[str]:
    names, hints = [], get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        inner = type(field.default)
        if getattr(inner, "__module__", "") == known.__name__:
            names += [option_name(one) for one in all_settings(inner)]
        elif tyro.conf.Positional not in getattr(hints[field.name], "__metadata__", ()):
            names.append(field.name)
    return [f"--{name.replace('_', '-')}" for name in names]
