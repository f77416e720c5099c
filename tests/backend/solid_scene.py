"""A scene whose fields are solid (see solid_field.py), as if they had been trained."""

from types import SimpleNamespace

import numpy as np
import pytest

from backend.scenes import Scene
from backend.scenes.capture import Capture
from backend.scenes.scene_edit import EditError

from .solid_field import SolidField, first_sphere, solid_relevance


def ramps(points: np.ndarray) -> np.ndarray:
    """Colours that tell places apart."""
    return (0.5 + 0.15 * points).clip(0, 1)


def blue_sphere(points: np.ndarray) -> np.ndarray:
    """The same after an edit that makes the first sphere blue, and all else a little brighter."""
    edited = (ramps(points) + 0.06).clip(0, 1)
    return np.where(first_sphere(points)[:, None], (0.1, 0.1, 0.9), edited)


def make_solid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes have the field `ramps` and an edit "blue" of it from now on."""

    def edited(scene: Scene, name: str) -> SimpleNamespace:
        if name != "blue":
            raise EditError(f"The scene has no edit {name}: it has blue.")
        return SimpleNamespace(
            name="blue",
            instruction="make the sphere blue",
            field=SolidField(scene.capture, blue_sphere),
            original_field=scene.field,
            relevance=solid_relevance(scene.capture),
            threshold=0.5,
            applies=None,
        )

    monkeypatch.setattr(Scene, "field", property(lambda scene: solid(scene.capture)))
    monkeypatch.setattr(Scene, "edited", edited)


def solid(capture: Capture) -> SolidField:
    """The field before the edit."""
    return SolidField(capture, ramps)
