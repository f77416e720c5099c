"""An edit's share of the rays: what was edited has its part of every step, however small it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.editing import Editor
from backend.errors import BadInput
from backend.fields.config import EDIT_PRESETS
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import RadianceTraining
from backend.fields.rays import ViewRays
from backend.fields.views import Views
from backend.scenes import Scene

from .quick_edit import INSTRUCTION, QUICK, VIEWS
from .tiny_capture import orbit_capture
from .tiny_field import TINY

RAYS, STEPS = 200, 60


@pytest.fixture
def training(tmp_path: Path) -> RadianceTraining:
    orbit_capture(tmp_path, VIEWS, 24)
    views = Views(Scene.open(tmp_path, device="cpu").capture, "cpu")
    return RadianceTraining(RadianceField(TINY, views.names), views, None, rays=RAYS)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The pixels of every step from now on."""
    found: list[torch.Tensor] = []
    bundle = ViewRays.bundle

    def noted(self: ViewRays, pixels: torch.Tensor) -> object:
        found.append(pixels)
        return bundle(self, pixels)

    monkeypatch.setattr(ViewRays, "bundle", noted)
    return found


def shares(training: RadianceTraining, drawn: list[torch.Tensor], inside: torch.Tensor) -> float:
    """How many of the rays of STEPS steps lie inside."""
    torch.manual_seed(0)
    drawn.clear()
    for step in range(STEPS):
        training.advance(step)
    assert all(len(pixels) == RAYS for pixels in drawn)
    return float(torch.cat([inside[pixels] for pixels in drawn]).float().mean())


def test_what_is_small_has_its_share_of_the_rays(
    training: RadianceTraining, drawn: list[torch.Tensor]
) -> None:
    total = training.views.rays.total
    inside = torch.zeros(total, dtype=torch.bool)
    inside[100:140] = True  # 0.9 % of all pixels
    assert shares(training, drawn, inside) == pytest.approx(40 / total, abs=0.005)
    training.favour(inside, 0.25)
    assert shares(training, drawn, inside) == pytest.approx(0.25, abs=0.01)
    chosen = torch.cat(drawn)
    assert set(range(100, 140)) <= set(chosen.tolist()), "all of it"
    others = chosen[~inside[chosen]].double()
    assert float(others.mean()) == pytest.approx(total / 2, rel=0.02), "all else alike"
    training.favour(torch.zeros_like(inside), 0.25)
    assert shares(training, drawn, inside) == pytest.approx(40 / total, abs=0.005)


def test_what_is_large_is_drawn_as_all_else(
    training: RadianceTraining, drawn: list[torch.Tensor]
) -> None:
    inside = torch.rand(training.views.rays.total) < 0.3
    shares(training, drawn, inside)
    before = torch.cat(drawn)
    for share in (0.25, 0.0):
        training.favour(inside, share)
        shares(training, drawn, inside)
        assert torch.equal(torch.cat(drawn), before)


def test_what_a_mask_hides_is_never_drawn(
    training: RadianceTraining, drawn: list[torch.Tensor]
) -> None:
    views = training.views
    views.seen = torch.arange(0, views.rays.total, 2)
    inside = torch.zeros(views.rays.total, dtype=torch.bool)
    inside[100:140] = True  # half of it hidden
    training.favour(inside, 0.25)
    assert shares(training, drawn, inside) == pytest.approx(0.25, abs=0.01)
    assert not (torch.cat(drawn) % 2).any()


def test_an_edit_favours_what_it_has_edited(
    scene: Scene, editor: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = {name: np.zeros((24, 24), bool) for name in scene.capture.names}
    for mask in masks.values():
        mask[10:13, 10:13] = True
    told: list[tuple[int, float]] = []
    favour = RadianceTraining.favour

    def noted(self: RadianceTraining, inside: torch.Tensor, share: float) -> None:
        told.append((int(inside.sum()), share))
        favour(self, inside, share)

    monkeypatch.setattr(RadianceTraining, "favour", noted)
    config = dataclasses.replace(QUICK, relevance=False, iterations=14)
    edit = scene.edit(INSTRUCTION, editor, config=config, masks=masks)
    assert len(edit.views) == 7
    assert [count for count, _ in told][-7:] == [9, 18, 27, 36, 45, 54, 54], "of six views"
    assert {share for _, share in told} == {config.inside_rays}
    assert config.inside_rays == 0.05
    assert EDIT_PRESETS["paper"].inside_rays == 0
    with pytest.raises(BadInput, match="inside_rays must be from 0 to below 1, not 1"):
        scene.edit(INSTRUCTION, editor, config=dataclasses.replace(config, inside_rays=1.0))
