"""A count below 1 is refused in words, on every command line and in every Python entry."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import numpy as np
import pytest

from backend.__main__ import main
from backend.captures.capture import Capture
from backend.commands.import_capture import Import
from backend.counts import check_options
from backend.demo import train as demo_train
from backend.errors import BadInput
from backend.fields import radiance_training, relevance_field
from backend.fields.config import EDIT_PRESETS, PRESETS, RelevanceConfig
from backend.meshes.texture_edit import MeshEditConfig, edit_mesh
from backend.meshes.textured_mesh import MeshView
from backend.scenes import camera_path
from backend.scenes.edit_run import edit_scene
from protocol import requests, settings

from .test_mesh_edit import ball_mesh, camera, look_at, two_halves
from .tiny_capture import orbit_capture


def is_kind(thing: object) -> bool:
    """Whether it is a class of settings."""
    return isinstance(thing, type) and dataclasses.is_dataclass(thing)


COMMANDS = {
    ("relevance", "I", "make it red", "--out", "O"): ["--seeds"],
    ("edit", "I", "make it red", "--out", "O"): ["--seeds", "--steps"],
    ("evaluate", "relevance", "--out", "O"): ["--samples"],
    ("evaluate", "scene", "--out", "O"): ["--scenes", "--views", "--side"],
    ("bench", "radiance", "--out", "O"): ["--rays", "--rounds"],
    ("bench", "detail", "--out", "O"): ["--samples", "--size", "--steps"],
    ("scene", "train", "F"): ["--iterations"],
    ("scene", "edit", "F", "make it red"): ["--iterations", "--steps", "--views-at-once"],
    ("scene", "mesh", "F", "--out", "O"): ["--texture-size", "--resolution"],
    ("scene", "render", "F", "--out", "O"): ["--frames", "--width"],
    ("scene", "texture", "F", "make it red", "--out", "O"): ["--seeds", "--steps", "--rounds"],
}
CASES = [(command, option) for command, options in COMMANDS.items() for option in options]


@pytest.mark.parametrize(("command", "option"), CASES, ids=lambda one: "-".join(one)[:40])
@pytest.mark.parametrize("value", [0, -1])
def test_command_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    option: str,
    value: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, f"{option}={value}"]) == 1
    assert capsys.readouterr().err == f"error: {option} must be 1 or more, not {value}.\n"
    assert list(tmp_path.iterdir()) == []


def test_what_zero_means_something_for_stays_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    """Up to where the folder is missed."""
    for arguments in (
        ["scene", "mesh", "missing", "--out", "O", "--faces", "0"],
        ["scene", "train", "missing", "--seed", "0"],
    ):
        assert main(arguments) == 1
        assert "missing" in capsys.readouterr().err
    assert main(["scene", "mesh", "missing", "--out", "O", "--faces", "-2"]) == 1
    assert "--faces must be 1 or more (or 0), not -2." in capsys.readouterr().err
    assert main(["scene", "edit", "missing", "red", "--seed", "-1"]) == 1
    assert "--seed must be 0 or more, not -1." in capsys.readouterr().err
    check_options(Import(folder=Path("F")))


def test_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo_train.main(["--batch", "0"])
    assert "--batch must be 1 or more, not 0." in capsys.readouterr().err
    command = [sys.executable, "-m", "backend.evaluation.renders", "--scenes", "-1", "--out", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--scenes must be 1 or more, not -1." in done.stderr


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 4, 16)[0]


@pytest.mark.parametrize("value", [0, -5])
def test_python_entries(capture: Capture, value: int) -> None:
    def refused(name: str) -> pytest.RaisesExc[BadInput]:
        return pytest.raises(BadInput, match=f"{name} must be 1 or more, not {value}")

    for name in ("iterations", "rays", "evaluate_every"):
        config = dataclasses.replace(PRESETS["preview"], **{name: value})
        with refused(name):
            radiance_training.train(capture, config, None)
        coarse = dataclasses.replace(RelevanceConfig(), **{name: value})
        with refused(name):
            relevance_field.train(None, None, [], coarse)  # type: ignore[arg-type]
    for name in ("iterations", "edit_every", "views_at_once", "steps"):
        edit = dataclasses.replace(EDIT_PRESETS["preview"], **{name: value})
        with refused(name):
            edit_scene(None, "make it red", None, config=edit)  # type: ignore[arg-type]
    for path in (camera_path.orbit, camera_path.through):
        with refused("frames"):
            path(capture, value)
    mesh = ball_mesh(two_halves())
    view = MeshView(
        np.zeros((48, 48, 3), np.uint8), camera(), look_at(np.array([4.0, 0, 0]), np.zeros(3))
    )
    for name in ("steps", "rounds", "samples"):
        with refused(name):
            edit_mesh(mesh, [view], "red", None, MeshEditConfig(**{name: value}))  # type: ignore[arg-type]


KINDS = (*get_args(requests.Request), *(kind for kind in vars(settings).values() if is_kind(kind)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_requests_and_their_settings(kind: type) -> None:
    """Every whole number but a seed counts something."""
    for name, wanted in get_type_hints(kind, include_extras=True).items():
        if name == "relevance_seeds":
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert((), wanted)
        if name in ("seed", "stop_patience"):
            continue
        try:
            msgspec.convert(64, wanted, strict=True)
        except (msgspec.ValidationError, TypeError):
            continue  # no number, or an array
        if msgspec.convert(64, wanted).__class__ is int:
            for value in (0, -1):
                with pytest.raises(msgspec.ValidationError):
                    msgspec.convert(value, wanted)
