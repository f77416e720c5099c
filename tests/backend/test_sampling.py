"""Where a ray is sampled while a field is trained: within places that it is told to look into."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.fields.nerfstudio_compat import FieldHeadNames, RayBundle, RaySamples
from backend.fields.radiance_field import RadianceField
from backend.scenes.methods.hull import Hull

from .tiny_field import TINY

RAYS = 64


def bundle(aside: float = 0.0) -> RayBundle:
    """Rays along x through the middle of the box, or so far beside it."""
    origins = torch.tensor([-0.9, 0.0, aside]).expand(RAYS, 3)
    directions = torch.tensor([1.0, 0.0, 0.0]).expand(RAYS, 3)
    return RayBundle(
        origins=origins,
        directions=directions,
        pixel_area=torch.full((RAYS, 1), 1e-4),
        camera_indices=torch.zeros(RAYS, 1, dtype=torch.int64),
    )


@pytest.fixture
def cube() -> Hull:
    """A cube in the middle of the box, with a side of 0.2 and a cell around it."""
    inside = np.zeros((5, 5, 5), np.float32)
    inside[1:4, 1:4, 1:4] = 1
    return Hull(inside, *np.float32([[-0.2] * 3, [0.2] * 3]))


@pytest.fixture
def field() -> RadianceField:
    fine = tuple(dataclasses.replace(one, samples=64) for one in TINY.proposals)
    return RadianceField(dataclasses.replace(TINY, samples=64, proposals=fine), ["a"])


def sampled(field: RadianceField, rays: RayBundle) -> RaySamples:
    torch.manual_seed(0)
    return field.march(rays).samples


def positions(field: RadianceField, rays: RayBundle) -> Tensor:
    found: Tensor = sampled(field, rays).frustums.get_positions()
    return found


def within(hull: Hull, places: Tensor) -> float:
    return float((hull.at(places) >= 0.5).float().mean())


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_share_of_the_samples_lies_where_it_is_to_look(
    field: RadianceField, cube: Hull, share: float
) -> None:
    field.model.train()
    before = within(cube, positions(field, bundle()))
    field.look_into(cube.share_of, share)
    found = within(cube, positions(field, bundle()))
    assert before < 0.2
    assert found == pytest.approx(share + (1 - share) * before, abs=0.06)


def test_all_other_rays_are_sampled_as_ever(field: RadianceField, cube: Hull) -> None:
    field.model.train()
    beside = positions(field, bundle(0.5))
    field.model.eval()
    seen = positions(field, bundle())
    field.look_into(cube.share_of, 0.5)
    assert torch.equal(positions(field, bundle()), seen)
    field.model.train()
    assert torch.equal(positions(field, bundle(0.5)), beside)
    field.model.eval()
    assert torch.equal(positions(field, bundle()), seen)


def test_it_looks_there_though_all_is_empty(field: RadianceField, cube: Hull) -> None:
    for net in (field.model.field, *field.model.proposal_networks):
        net.average_init_density = 0.0  # nothing anywhere
    field.model.train()
    field.look_into(cube.share_of, 0.5)
    assert within(cube, positions(field, bundle())) > 0.4


def test_how_much_of_a_sample_lies_inside(cube: Hull, field: RadianceField) -> None:
    samples = sampled(field, bundle())
    share = cube.share_of(samples)
    frustums = samples.frustums
    assert share.shape == frustums.starts.shape
    # against the cube's true ends along the ray, where its cells are half inside
    first, last = 0.9 - 0.15, 0.9 + 0.15
    true = (frustums.ends.clamp(max=last) - frustums.starts.clamp(min=first)).clamp(min=0)
    true = true / (frustums.ends - frustums.starts)
    assert float((share - true).abs().max()) <= 0.5 / 4 + 1e-3
    assert float(share.sum()) > 0
    assert not cube.share_of(sampled(field, bundle(0.5))).any()


def test_what_appears_teaches_nothing_of_what_lies_behind_its_place(
    field: RadianceField, cube: Hull, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the rays that say so, and where a place is looked into: all others teach all of it."""
    said: dict[FieldHeadNames, Tensor] = {}

    def say(samples: RaySamples) -> dict[FieldHeadNames, Tensor]:
        shape = samples.frustums.shape
        for name, channels in ((FieldHeadNames.DENSITY, 1), (FieldHeadNames.RGB, 3)):
            said[name] = torch.full((*shape, channels), 0.5, requires_grad=True)
        return said

    def taught(rays: RayBundle, appearing: Tensor | None) -> tuple[Tensor, Tensor]:
        """Which samples of a march learn their colour, bool (RAYS, s), and their x."""
        march = field.march(rays, appearing)
        march.rgb.sum().backward()
        colours = said[FieldHeadNames.RGB].grad
        density = said[FieldHeadNames.DENSITY].grad
        assert colours is not None
        assert density is not None
        learnt = colours.abs().sum(-1) > 0
        assert not density[~learnt].any()
        return learnt, march.samples.frustums.get_positions()[..., 0]

    monkeypatch.setattr(field.model.field, "forward", say)
    field.model.train()
    every = torch.arange(RAYS) % 2 == 0
    learnt, _ = taught(bundle(), every)
    assert learnt.all()  # nothing is looked into
    field.look_into(cube.share_of, 0.5)
    learnt, along = taught(bundle(), every)
    behind = along > 0.17
    assert behind[every].any()
    assert not learnt[every][behind[every]].any()
    assert learnt[every][along[every] < 0.13].all()  # before the cube and within it
    assert learnt[~every].all()
    for rays, appearing in ((bundle(), None), (bundle(0.5), every)):  # and beside the cube
        learnt, _ = taught(rays, appearing)
        assert learnt.all()
