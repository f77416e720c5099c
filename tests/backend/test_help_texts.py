"""Help texts name the defaults that the code has."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from backend.__main__ import main
from backend.command_line import Tree
from backend.commands import COMMANDS
from backend.demo.model import WEIGHTS
from backend.editing.editor import Editor
from backend.editing.models.guidance import GUIDANCE_FILE
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.meshes.texture_edit import MeshEditConfig
from protocol.settings import (
    INSTRUCT_PIX2PIX,
    EditSettings,
    MapSettings,
    MeshSettings,
    PictureMapSettings,
    TextureSettings,
    UpdateSettings,
    taken,
)
from protocol.values import EditPreset, Preset


def commands(tree: Tree = COMMANDS, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its name."""
    for name, found in tree.items():
        if isinstance(found, type):
            yield " ".join([*words, name]), found
        else:
            yield from commands(found[1], (*words, name))


ALL = dict(commands())
OPTION = r"(--[\w-]+|[A-Z]+)(?: \S+)*?  +(.*)"
GROUPS = ("", *(name for name, found in COMMANDS.items() if not isinstance(found, type)))


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What -h prints, in 100 columns."""
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "-h"])
    assert ended.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", [*ALL, *GROUPS])
def test_help_fits_a_screen(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    printed = help_of(name, capsys).splitlines()
    lines = [part for line in printed for part in textwrap.wrap(line, 100) or [""]]
    assert len(lines) <= 60, "\n".join(lines)


@pytest.mark.parametrize("name", ALL)
def test_help_explains_every_option_and_says_its_default(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    lines = [line.strip("│ ") for line in help_of(name, capsys).splitlines()]
    shown = [m.groups() for line in lines if (m := re.fullmatch(OPTION, line))]
    assert len(shown) >= 3
    for option, words in shown:
        said = re.search(r"\((default: [^()]+|required)\)$", words)
        assert said is not None, f"{option}: {words}"
        assert len(words) > len(said[0]) + 3, option
        assert "None" not in said[0], option


@pytest.mark.parametrize("name", ALL)
def test_help_is_as_wide_as_the_terminal(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, *lines = help_of(name, capsys).splitlines()  # the first one, usage, is tyro's own
    assert max(map(len, lines)) <= 80


def test_help_ends_quietly_where_nobody_reads_on() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "backend", "edit", "-h"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_help_loads_no_models_libraries() -> None:
    program = (
        "import sys\nfrom backend.__main__ import main\n"
        "try: main(['scene', 'edit', '-h'])\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'diffusers', 'nerfstudio'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0


def test_a_completion_script_is_printed_that_bash_can_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--tyro-print-completion", "bash"])
    script = capsys.readouterr().out
    for word in ("watch-your-steps", "--text-guidance", "--views-at-once", "radiance"):
        assert word in script
    bash = shutil.which("bash")
    if bash is not None:
        subprocess.run([bash, "-n"], input=script, text=True, check=True)


def test_the_manual_names_the_guidance_of_both_models() -> None:
    demo = json.loads((WEIGHTS / GUIDANCE_FILE).read_text("utf-8"))
    text, image = INSTRUCT_PIX2PIX.numbers
    manual = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
    assert f"({demo['text']:g} and {demo['image']:g} in place of {text:g} and {image:g})" in manual


def test_the_same_thing_has_the_same_default_everywhere() -> None:
    """In the protocol, the Python functions, the presets and the command line."""
    by_name = {name: {one.name: one.default for one in fields(kind)} for name, kind in ALL.items()}
    function, settings = inspect.signature(Editor.edit).parameters, EditSettings()
    for name in ("steps", "strength", "seed", "text_guidance", "image_guidance"):
        assert function[name].default == getattr(settings, name), name
    relevance, maps = inspect.signature(Editor.relevance).parameters, MapSettings()
    assert relevance["seeds"].default == maps.relevance_seeds
    assert relevance["noise_level"].default == maps.noise_level
    assert relevance["normalisation"].default == maps.normalisation
    own = [preset for name, preset in EDIT_PRESETS.items() if name != "paper"]
    for config in (MeshEditConfig(), *own):
        assert taken(MapSettings, config) == maps
    texture = TextureSettings()
    assert taken(TextureSettings, MeshEditConfig()) == texture
    assert taken(EditSettings, by_name["edit"]["settings"]) == settings
    picture = PictureMapSettings()
    assert by_name["edit"]["maps"] == by_name["relevance"]["maps"]
    assert taken(PictureMapSettings, by_name["edit"]["maps"]) == picture
    assert taken(MapSettings, picture) == maps
    assert relevance["closer"].default == picture.closer
    assert by_name["scene texture"]["settings"] == texture
    assert by_name["scene mesh"]["texture_size"] == MeshSettings().texture_size
    for preset in own:
        assert taken(UpdateSettings, preset) == UpdateSettings()
    paper = taken(UpdateSettings, EDIT_PRESETS["paper"])
    assert replace(paper, detail=UpdateSettings.detail) == UpdateSettings()
    assert EDIT_PRESETS.keys() == {*PRESETS, "paper"} == set(get_args(EditPreset))
    assert set(get_args(Preset)) == PRESETS.keys()
