"""What tests of scenes' edits share: a tiny model, and a scene that is trained a little."""

from pathlib import Path

import pytest

from backend.editing import Editor
from backend.scenes import Scene

from .quick_edit import scene_of, train_a_little


@pytest.fixture(scope="module")
def editor(tiny_model: Path) -> Editor:
    return Editor.from_pretrained(str(tiny_model), "cpu", "float32")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture with a field that is trained a little, in `.wys`."""
    return train_a_little(tmp_path_factory.mktemp("capture"))


@pytest.fixture
def scene(trained: Path, tmp_path: Path) -> Scene:
    """The scene with a work folder of its own."""
    return scene_of(trained, tmp_path / "work")
