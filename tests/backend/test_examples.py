"""The scripts in examples/ do what they say, on small inputs."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.fields.config import EDIT_PRESETS, PRESETS
from examples import edit_picture, edit_scene, new_model

from .quick_edit import INSTRUCTION, QUICK
from .tiny_capture import orbit_capture
from .tiny_editor import random_image
from .tiny_field import TINY


def test_a_picture(tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "picture.png", tmp_path / "edited.png"
    Image.fromarray(random_image(64, 80)).save(source)
    edit_picture.main(str(source), INSTRUCTION, str(target), str(tiny_model))
    assert np.asarray(Image.open(target)).shape == (64, 80, 3)
    assert np.asarray(Image.open(tmp_path / "edited.maps.png")).shape == (64, 160)
    assert "suggested threshold" in capsys.readouterr().out


def test_a_scene(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "preview", dataclasses.replace(TINY, hold_out_every=4))
    monkeypatch.setitem(EDIT_PRESETS, "preview", QUICK)
    capture, _ = orbit_capture(tmp_path / "capture", 8, 24)
    edit_scene.main(str(capture.folder), INSTRUCTION, str(tmp_path / "out"), str(tiny_model))
    pictures = sorted((tmp_path / "out").glob("*.png"))
    assert [path.stem for path in pictures] == ["000", "002", "004", "006"]
    assert np.asarray(Image.open(pictures[0])).shape == (24, 48, 3)


def test_a_new_model(tmp_path: Path) -> None:
    """The green part becomes red, and nothing else changes."""
    image = np.repeat(random_image(60, 80)[..., :1], 3, axis=2)  # grey
    image[20:40, 20:50] = (20, 200, 30)
    source, target = tmp_path / "picture.png", tmp_path / "edited.png"
    Image.fromarray(image).save(source)
    new_model.main(str(source), "turn green into red", str(target))
    edited = np.asarray(Image.open(target))
    assert (edited[20:40, 20:50] == (200, 20, 30)).all()
    image[20:40, 20:50] = (200, 20, 30)
    assert (edited == image).all()


def test_the_lines_of_python_in_readme_run(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (lines,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert "timbrooks/instruct-pix2pix" in lines
    monkeypatch.chdir(tmp_path)
    Image.fromarray(random_image(64, 80)).save("photo.jpg")
    exec(lines.replace("timbrooks/instruct-pix2pix", str(tiny_model)), {})  # noqa: S102
    assert np.asarray(Image.open("edited.png")).shape == (64, 80, 3)
