"""Help texts name the defaults that the code has."""

import argparse
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend import __main__ as command_line
from backend.demo.model import WEIGHTS
from backend.editing.editor import Editor
from backend.editing.models.guidance import GUIDANCE_FILE
from backend.fields.config import EDIT_PRESETS, PRESETS
from backend.meshes.extraction import RESOLUTION as CELLS
from backend.meshes.texture_edit import MeshEditConfig
from protocol.settings import (
    INSTRUCT_PIX2PIX,
    EditSettings,
    MapSettings,
    TextureSettings,
    UpdateSettings,
    taken,
)

NUMBER = r"-?\d[\d,]*\.?\d*"


def options(
    parser: argparse.ArgumentParser, name: str = ""
) -> Iterator[tuple[str, argparse.Action]]:
    """Every option of a command and of the commands below it, with the command's name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from options(below, f"{name} {word}".strip())
        elif action.option_strings:
            yield name, action


ALL = list(options(command_line._parser()))


@pytest.mark.parametrize(
    ("command", "action"), ALL, ids=[f"{name} {one.option_strings[-1]}" for name, one in ALL]
)
def test_a_number_in_brackets_is_the_default(command: str, action: argparse.Action) -> None:
    said = re.search(rf"\(({NUMBER})\)$", action.help or "")
    if said is None:
        return
    default = action.default
    if default is None:  # then it is decided later
        later = {"scene edit": vars(EDIT_PRESETS["preview"]), "scene mesh": {"resolution": CELLS}}
        default = later[command][action.dest]
    assert float(said[1].replace(",", "")) == default


def test_guidance_in_help_is_the_models_own() -> None:
    """The demo model's differs and is told by its own folder: help names none but the default."""
    own = INSTRUCT_PIX2PIX
    for _, action in ALL:
        if action.dest not in ("text_guidance", "image_guidance"):
            continue
        assert action.default is None
        wanted = getattr(own, action.dest)
        numbers = [float(one) for one in re.findall(rf"(?<!\w){NUMBER}", action.help or "")]
        assert numbers in ([], [wanted])


def test_the_manual_names_the_guidance_of_both_models() -> None:
    demo = json.loads((WEIGHTS / GUIDANCE_FILE).read_text("utf-8"))
    text, image = INSTRUCT_PIX2PIX.numbers
    manual = (Path(__file__).parents[2] / "docs" / "models.md").read_text("utf-8")
    assert f"({demo['text']:g} and {demo['image']:g} in place of {text:g} and {image:g})" in manual


def test_the_same_thing_has_the_same_default_everywhere() -> None:
    """In the protocol, the Python functions, the presets and the command line."""
    by_name = {(command, action.dest): action.default for command, action in ALL}
    function, settings = inspect.signature(Editor.edit).parameters, EditSettings()
    for name in ("steps", "strength", "seed", "text_guidance", "image_guidance"):
        assert function[name].default == getattr(settings, name) == by_name["edit", name], name
    relevance, maps = inspect.signature(Editor.relevance).parameters, MapSettings()
    assert relevance["seeds"].default == maps.relevance_seeds
    assert relevance["noise_level"].default == maps.noise_level
    assert relevance["normalisation"].default == maps.normalisation
    for config in (MeshEditConfig(), *EDIT_PRESETS.values()):
        assert taken(MapSettings, config) == maps
    texture = TextureSettings()
    assert taken(TextureSettings, MeshEditConfig()) == texture
    for name in ("steps", "rounds", "seed"):
        assert getattr(texture, name) == by_name["scene texture", name]
    for preset in EDIT_PRESETS.values():
        assert taken(UpdateSettings, preset) == UpdateSettings()
    assert EDIT_PRESETS.keys() == PRESETS.keys()
