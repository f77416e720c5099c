"""How far edited views agree, by the demo world's true depth."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from backend.evaluation.samples import SEEDS
from backend.evaluation.scenes.agreement import agreement
from backend.evaluation.scenes.scene_world import draw

SIDE, VIEWS = 32, 6


def test_views_that_show_one_colour_agree_and_noise_does_not():
    worlds = (draw(seed, VIEWS, SIDE) for seed in SEEDS["validation"])
    world = next(one for one in worlds if one is not None)
    names = [f"{number}.png" for number in range(VIEWS)]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (VIEWS, SIDE, SIDE, 3), dtype=np.uint8)
    scene = SimpleNamespace(
        field=SimpleNamespace(names=names), capture=SimpleNamespace(names=names)
    )
    edited = [
        SimpleNamespace(
            name=name,
            mask=view.shows(world.target),
            after=np.full((SIDE, SIDE, 3), 90, np.uint8),
        )
        for name, view in zip(names[1:], world.captured[1:], strict=True)  # the first is not edited
    ]
    pixels = torch.from_numpy(noise.reshape(-1, 3))
    edit = SimpleNamespace(views=edited, checkpoint=lambda: ({}, {"pixels": pixels}))
    found = agreement(scene, world, edit)
    assert found["views apart, edited"] == pytest.approx(0, abs=1e-4)
    # two independent bytes are 85 apart; between pixels they are averaged
    assert 50 < found["views apart, trained on"] < 90
    assert 0 < found["views apart, photos"] < 30
    edit.views = edited[:1]
    assert agreement(scene, world, edit) == {}
