"""A scene whose fields are solid (see solid_field.py), as if they had been trained."""

from types import SimpleNamespace

import numpy as np
import pytest

from backend.scenes import Scene
from backend.scenes.edit_records import EditError

from .solid_field import Colours, SolidField, first_sphere, solid_relevance


def ramps(points: np.ndarray) -> np.ndarray:
    """Colours that tell places apart."""
    return (0.5 + 0.15 * points).clip(0, 1)


def blue_sphere(points: np.ndarray) -> np.ndarray:
    """The same after an edit that makes the first sphere blue, and all else a little brighter."""
    edited = (ramps(points) + 0.06).clip(0, 1)
    return np.where(first_sphere(points)[:, None], (0.1, 0.1, 0.9), edited)


def make_solid(
    monkeypatch: pytest.MonkeyPatch, before: Colours = ramps, after: Colours = blue_sphere
) -> None:
    """Scenes have a field of the colours `before` and an edit "blue" of it from now on."""

    def edited(scene: Scene, name: str) -> SimpleNamespace:
        if name != "blue":
            raise EditError(f"The scene has no edit {name}: it has blue.")
        return SimpleNamespace(
            name="blue",
            instruction="make the sphere blue",
            field=SolidField(scene.capture, after),
            original_field=scene.field,
            relevance=solid_relevance(scene.capture),
            threshold=0.5,
            applies=None,
            finished=True,
        )

    monkeypatch.setattr(Scene, "field", property(lambda scene: SolidField(scene.capture, before)))
    monkeypatch.setattr(Scene, "edited", edited)
