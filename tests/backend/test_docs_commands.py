"""docs/command-line.md names every command and every option that there is, and no others."""

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend import __main__ as command_line
from backend import server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text("utf-8")
SECTIONS = {
    part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
SCRIPTS = {
    "A texture": ["blender_addon/tools/export_mesh.py"],
    "Installing": ["install.py", "blender_addon/demo/run_demo.py"],
}


def help_of(main: Callable[[list[str]], int], words: list[str]) -> str:
    """What a command prints for -h."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        main([*words, "-h"])
    assert ended.value.code in (0, None)
    return printed.getvalue()


def commands(words: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Every command of `python -m backend` and its help."""
    text = help_of(command_line.main, list(words))
    usage = text.partition("\n\n")[0]
    below = re.search(r"\s\{([\w,-]+)\}\s*\.*\s*$", usage)
    if below is None:
        yield " ".join(words), text
        return
    for name in below[1].split(","):
        yield from commands((*words, name))


HELP = dict(commands())


def options(text: str) -> set[str]:
    """All that it names."""
    return set(OPTION.findall(text)) - {"--help"}


def section_of(command: str) -> str:
    """Where the page tells of a command."""
    if command == "scene texture":
        return "A texture"
    first = command.split()[0]
    return {"scene": "A scene", "evaluate": "Measuring", "bench": "Measuring"}.get(
        first, "A picture"
    )


def test_there_are_commands() -> None:
    assert {"edit", "scene train", "evaluate scene"} <= set(HELP)


@pytest.mark.parametrize("command", HELP)
def test_every_command_is_named_with_all_its_options(command: str) -> None:
    section = SECTIONS[section_of(command)]
    assert f"python -m backend {command} " in section
    assert options(HELP[command]) - options(section) == set()


def real_options(title: str) -> set[str]:
    """Of all commands and scripts that a section of the page is about."""
    found = set().union(*(options(t) for name, t in HELP.items() if section_of(name) == title))
    for script in SCRIPTS.get(title, ()):
        found |= set(re.findall(r'"(--[a-z][a-z0-9-]*)"', (ROOT / script).read_text("utf-8")))
    if title == "The server":
        found |= options(help_of(server.main, []))
    return found


@pytest.mark.parametrize("title", SECTIONS)
def test_every_option_that_is_named_exists(title: str) -> None:
    assert options(SECTIONS[title]) - real_options(title) == set()


def test_the_servers_options_are_all_named() -> None:
    assert real_options("The server") == options(SECTIONS["The server"])


@pytest.mark.parametrize(
    ("command", "cell"), re.findall(r"^\| `([\w ]+)` \| (.*--.*) \|$", PAGE, re.MULTILINE)
)
def test_a_row_of_options_belongs_to_its_command(command: str, cell: str) -> None:
    assert options(cell) <= options(HELP[command])


def test_installs_commands_are_all_named() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "install.py"), "-h"], capture_output=True, text=True, check=True
    )
    names = re.findall(r"^    (\w+)  ", done.stdout, re.MULTILINE)
    assert {"demo", "test"} <= set(names)
    for name in names:
        assert f"python install.py {name} " in SECTIONS["Installing"]
