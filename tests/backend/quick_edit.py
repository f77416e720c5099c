"""A scene that is trained and edited in seconds: two spheres, eight small views, a tiny model."""

import dataclasses
from pathlib import Path

from backend.fields.config import RelevanceConfig, SceneEditConfig
from backend.scenes import Scene

from .tiny_capture import orbit_capture
from .tiny_field import TINY

INSTRUCTION = "make the sphere red"
QUICK = SceneEditConfig(
    snap="nothing",
    iterations=20,
    edit_every=2,
    first_level=0.9,
    steps=2,
    relevance_seeds=(0, 1),
    relevance_field=RelevanceConfig(iterations=30, rays=256, levels=3, log2_table_size=10),
    learning_rate=5e-3,
    settling=0.1,
    refit_every=0,
    keep_region=False,
    grow=False,
)
LEAST = SceneEditConfig(
    snap="nothing",
    iterations=6,
    edit_every=1,
    first_level=0.9,
    steps=2,
    relevance_field=RelevanceConfig(iterations=4, rays=64, levels=2, log2_table_size=8),
)
"""For tests of what is written about an edit, whatever it has become."""
VIEWS = 8


def train_a_little(folder: Path, views: int = VIEWS) -> Path:
    """A capture in `folder` with a field in `.wys`, of which every fourth view is held out."""
    orbit_capture(folder, views, 24)
    Scene.open(folder, device="cpu").train(config=dataclasses.replace(TINY, hold_out_every=4))
    return folder


def scene_of(trained: Path, work: Path) -> Scene:
    """The scene of `train_a_little` with a new work folder of its own."""
    work.mkdir()
    for path in (trained / ".wys").iterdir():
        if path.is_file():
            (work / path.name).write_bytes(path.read_bytes())
    return Scene.open(trained, work=work, device="cpu")
