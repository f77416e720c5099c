"""The relevance field (section 4.3), its maps and its training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.captures.capture import Capture
from backend.editing.relevance import RelevanceMap, normalise, normalise_together
from backend.fields import relevance_field
from backend.fields.config import RelevanceConfig
from backend.fields.facts import CheckpointError
from backend.fields.nerfstudio_compat import FieldHeadNames, RayBundle
from backend.fields.radiance_field import RadianceField
from backend.fields.rays import ViewRays
from backend.fields.relevance_field import RelevanceField, RelevanceTraining, scene_maps, train

from .tiny_capture import Truth, orbit_capture
from .tiny_field import TINY

SMALL = RelevanceConfig(iterations=4, rays=64, levels=2, log2_table_size=8, evaluate_every=2)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 16, 24)


class ExactRays(ViewRays):
    """Rays that know where the surface is, `distances` (total, 1) in box units, inf for none, and
    what they show there, `colours` (total, 3).
    """

    def __init__(self, capture: Capture, views: list[int], truth: Truth) -> None:
        super().__init__(capture.camera_to_box[views], [capture.intrinsics[k] for k in views])
        distances = truth.distances[views].reshape(-1, 1) * capture.box_scale
        self.distances = torch.tensor(distances, dtype=torch.float32)
        self.colours = torch.tensor(truth.images[views].reshape(-1, 3) / 255).float()

    def bundle(self, pixels: torch.Tensor) -> RayBundle:
        bundle = super().bundle(pixels)
        bundle.metadata["distance"] = self.distances[pixels]
        bundle.metadata["colour"] = self.colours[pixels]
        return bundle


class ExactScene(RadianceField):
    """A scene whose surfaces are where `ExactRays` say: three samples on each ray, the middle one
    on the surface with nearly all of the weight.
    """

    def weigh(self, bundle: RayBundle) -> tuple[torch.Tensor, torch.Tensor]:
        distance = bundle.metadata["distance"]
        hit = torch.isfinite(distance)
        at = torch.where(hit, distance, 3.0) * torch.tensor([0.9, 1.0, 1.1])
        positions = bundle.origins[:, None] + at[..., None] * bundle.directions[:, None]
        return positions, (hit * torch.tensor([0.05, 0.9, 0.05]))[..., None]

    def shade(
        self,
        bundle: RayBundle,
        relevance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    ) -> torch.Tensor:
        assert relevance is not None
        nothing = torch.zeros(len(bundle), 2)
        with torch.no_grad():
            rendered = relevance(*self.weigh(bundle))
        return torch.cat([bundle.metadata["colour"], nothing, rendered], -1)


# maps


def test_views_are_normalised_together_not_one_by_one() -> None:
    """A view without the target stays dark; the authors' code stretches it to 0..1."""
    rng = np.random.default_rng(0)
    noise = [(0.1 + 0.02 * rng.random((8, 8))).astype(np.float32) for _ in range(3)]
    noise[0][2:5, 2:5] += 1
    noise[2][4:, 4:] += 0.8
    together = normalise_together(noise, "full")
    assert together[0].max() == 1
    assert min(one.min() for one in together) == 0
    assert together[1].max() < 0.05
    assert normalise(noise[1], "full").max() == 1
    order = np.argsort(np.concatenate([n.ravel() for n in noise]))
    assert (np.diff(np.concatenate([t.ravel() for t in together])[order]) >= 0).all()


def test_one_view_is_normalised_as_a_single_map() -> None:
    raw = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    for normalisation in ("paper", "full"):
        np.testing.assert_array_equal(
            normalise_together([raw], normalisation)[0], normalise(raw, normalisation)
        )


def test_views_of_different_sizes_keep_their_places() -> None:
    shapes = [np.full((2, 3), 1.0), np.full((4, 1), 3.0), np.eye(5)]
    raws = [raw.astype(np.float32) for raw in shapes]
    first, second, third = normalise_together(raws, "full")
    assert first.shape == (2, 3)
    np.testing.assert_allclose(first, 1 / 3)
    assert (second == 1).all()
    np.testing.assert_allclose(third, np.eye(5) / 3)


def test_maps_come_at_the_views_sizes() -> None:
    raw = np.zeros((4, 4), np.float32)
    raw[:2] = 2.0
    one = RelevanceMap(raw, raw, raw, (4, 4), 0.5, 1.0, True)
    dark = dataclasses.replace(one, raw=raw * 0)
    maps = scene_maps([one, dark], [(16, 20), (8, 8)], "full")
    assert [m.shape for m in maps] == [(16, 20), (8, 8)]
    assert maps[0][0, 0] == 1
    assert maps[0][-1, 0] == 0
    assert maps[1].max() == 0
    assert all(m.dtype == np.float32 for m in maps)


# the field


def test_relevance_is_the_weighted_sum_of_what_samples_send() -> None:
    field = RelevanceField(SMALL)
    positions, weights = torch.rand(5, 7, 3) * 4 - 2, torch.rand(5, 7, 1) / 7
    weights[3] = 0
    expected = torch.zeros(5)
    with torch.no_grad():
        for m in range(5):
            for i in range(7):
                expected[m] += weights[m, i, 0] * field(positions[m, i : i + 1])[0, 0]
    found = field.composite(positions, weights)
    torch.testing.assert_close(found[:, 0], expected)
    assert found[3] == 0
    at = field.at(positions[:, 0].numpy())
    np.testing.assert_allclose(at, field(positions[:, 0])[:, 0].detach().numpy(), rtol=1e-5)
    assert ((at > 0) & (at < 1)).all()


def test_what_is_seen_behind_the_last_sample_can_be_relevant(
    scene: tuple[Capture, Truth],
) -> None:
    """Relevance is mixed as the colour is: a field that is 1 everywhere comes out as 1 in opaque
    photos, however little of a ray's light the samples send, and as the accumulation where views
    have alpha.
    """
    rays = ViewRays(scene[0].camera_to_box[:1], scene[0].intrinsics[:1])
    bundle = rays.bundle(torch.arange(0, 576, 7))

    def everywhere(positions: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return weights.sum(dim=-2)

    opaque, clear = RadianceField(TINY, ["a"]), RadianceField(TINY, ["a"], alpha=True)
    shaded = opaque.shade(bundle, everywhere)
    assert shaded[:, 4].mean() < 0.5, "an untrained field is see-through"
    torch.testing.assert_close(shaded[:, 5], torch.ones(len(bundle)))
    shaded = clear.shade(bundle, everywhere)
    torch.testing.assert_close(shaded[:, 5], shaded[:, 4])
    # with the colours' own weights: what the last sample is counts for all that is behind it
    march = opaque.march(bundle)
    colours = opaque.model.field(march.samples)[FieldHeadNames.RGB]
    mixed = (opaque.shown(march.weights) * colours).sum(dim=-2)
    torch.testing.assert_close(mixed, march.rgb)


def test_relevance_is_trained_by_the_same_rule(scene: tuple[Capture, Truth]) -> None:
    """Maps that say "here" everywhere are reached before a field that is all but empty."""
    capture, _ = scene
    radiance = RadianceField(TINY, capture.names)
    rays = ViewRays(capture.camera_to_box[:2], capture.intrinsics[:2])
    maps = [np.ones((24, 24), np.float32)] * 2
    config = dataclasses.replace(SMALL, iterations=60, learning_rate=5e-2, stop_patience=0)
    _, _, course = train(radiance, rays, maps, config)
    assert course.scores[-1][1] > 20


class Wall(RadianceField):
    """A scene that is a wall between x of 0.2 and 0.3, whatever the ray."""

    def weigh(self, bundle: RayBundle) -> tuple[torch.Tensor, torch.Tensor]:
        positions = torch.rand(len(bundle), 4, 3)
        positions[..., 0] = positions[..., 0] / 10 + torch.tensor([-0.5, -0.3, 0.2, 0.5])
        return positions, torch.tensor([0.0, 0, 1, 0])[:, None].expand(len(bundle), 4, 1)


def test_the_air_before_what_is_seen_is_kept_dark(scene: tuple[Capture, Truth]) -> None:
    capture, _ = scene
    rays = ViewRays(capture.camera_to_box[:1], capture.intrinsics[:1])
    maps = [np.ones((24, 24), np.float32)]
    config = dataclasses.replace(SMALL, iterations=250, learning_rate=2e-2, stop_patience=0)
    places = np.random.default_rng(0).random((400, 3)).astype(np.float32)
    places[:, 0] = places[:, 0] / 10
    found = {}
    for dark in (0.0, config.dark):
        chosen = dataclasses.replace(config, dark=dark)
        field, _, _ = train(Wall(TINY, capture.names), rays, maps, chosen)
        found[dark] = [
            float(field.at(places + np.float32([x, 0, 0])).mean()) for x in (-0.3, 0.2, 0.5)
        ]
    (air, wall, _), (dark_air, dark_wall, dark_behind) = found.values()
    assert config.dark > 0
    assert air > 0.5, "no map says anything of it"
    assert dark_air < air / 3
    assert min(wall, dark_wall) > 0.85
    assert dark_behind > 0.5, "what lies within may be seen once the wall is taken away"


def test_it_sees_all_of_unbounded_space() -> None:
    field = RelevanceField(SMALL)
    far = torch.tensor([[1e6, -1e6, 0.0], [0.0, 0.0, 0.0], [-3e4, 2.0, 1e5]])
    assert torch.isfinite(field(far)).all()


def test_its_loss_never_touches_the_scene(scene: tuple[Capture, Truth]) -> None:
    capture, truth = scene
    radiance = RadianceField(TINY, capture.names)
    before = {name: value.clone() for name, value in radiance.model.state_dict().items()}
    rays = ViewRays(capture.camera_to_box, capture.intrinsics)
    field = RelevanceField(SMALL)
    maps = torch.tensor(truth.masks.reshape(-1), dtype=torch.float32)
    training = RelevanceTraining(field, radiance, rays, maps)
    for step in range(3):
        training.advance(step)
    assert all(p.grad is None for p in radiance.parameters())
    assert all(torch.equal(before[n], v) for n, v in radiance.model.state_dict().items())
    assert all(p.grad is not None for p in field.parameters())
    # nor where the weights do carry a gradient
    march = radiance.march(rays.bundle(torch.arange(20)))
    assert march.weights.requires_grad
    field.composite(march.samples.frustums.get_positions(), march.weights).sum().backward()
    assert all(p.grad is None for p in radiance.parameters())


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_it_agrees_where_single_maps_do_not(scene: tuple[Capture, Truth]) -> None:
    """Maps that miss the target in some views and are noisy in all: the field, seen from views that
    had no map, is closer to the truth than the maps are.
    """
    capture, truth = scene
    rng = np.random.default_rng(1)
    radiance = ExactScene(TINY, ["a"])
    inside = [k for k in range(16) if k % 4 != 2]
    maps = []
    for k in inside:
        low = truth.masks[k].reshape(12, 2, 12, 2).mean((1, 3)) * (0.0 if k % 5 == 0 else 0.8)
        low += 0.5 * rng.random(low.shape) * (rng.random(low.shape) < 0.5)
        maps.append(np.kron(low, np.ones((2, 2))).clip(0, 1).astype(np.float32))
    single = np.mean([iou(m >= 0.5, truth.masks[k]) for m, k in zip(maps, inside, strict=True)])
    rays = ExactRays(capture, inside, truth)
    config = RelevanceConfig(iterations=80, rays=256, learning_rate=2e-2, stop_patience=0)
    field, calibration, course = train(radiance, rays, maps, config)
    assert course.scores[-1][1] > 10
    found = []
    with torch.no_grad():
        for k in range(2, 16, 4):
            seen = ExactRays(capture, [k], truth)
            bundle = seen.bundle(seen.of_view(0))
            rendered = field.composite(*radiance.weigh(bundle)).view(24, 24).numpy()
            found.append(iou(calibration.of(rendered) >= 0.5, truth.masks[k]))
    assert np.mean(found) > single + 0.1
    assert np.mean(found) > 0.75


def test_an_interrupted_training_goes_on_bit_for_bit(
    tmp_path: Path, scene: tuple[Capture, Truth]
) -> None:
    capture, truth = scene
    radiance = RadianceField(TINY, capture.names)
    rays = ViewRays(capture.camera_to_box, capture.intrinsics)
    maps = [mask.astype(np.float32) for mask in truth.masks]
    straight, calibration, _ = train(radiance, rays, maps, SMALL)

    def cancel(progress: relevance_field.Course) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(radiance, rays, maps, SMALL, tmp_path, cancel)  # type: ignore[arg-type]
    torch.rand(3)
    resumed, other, _ = train(radiance, rays, maps, SMALL, tmp_path)
    again = relevance_field.load(tmp_path)
    for one in (resumed, again):
        pairs = zip(straight.state_dict().values(), one.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    assert calibration == other
    with pytest.raises(CheckpointError, match="trained on other maps"):
        train(radiance, rays, [m * 0.5 for m in maps], SMALL, tmp_path)


def test_maps_of_another_size_and_missing_fields_are_refused(
    tmp_path: Path, scene: tuple[Capture, Truth]
) -> None:
    capture, truth = scene
    radiance = RadianceField(TINY, capture.names)
    rays = ViewRays(capture.camera_to_box, capture.intrinsics)
    maps = [mask.astype(np.float32) for mask in truth.masks]
    with pytest.raises(ValueError, match=r"Map 3 is \(24, 23\), its view \(24, 24\)"):
        train(radiance, rays, [*maps[:3], maps[3][:, 1:], *maps[4:]], SMALL)
    with pytest.raises(ValueError, match="15 maps for 16 views"):
        train(radiance, rays, maps[1:], SMALL)
    with pytest.raises(CheckpointError, match="holds no relevance field"):
        relevance_field.load(tmp_path)
