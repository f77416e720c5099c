"""The radiance field: nerfstudio's nerfacto in the slice, its losses, presets."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.captures.capture import Capture
from backend.fields import nerfstudio_compat
from backend.fields.config import PRESETS, FieldConfig
from backend.fields.nerfstudio_compat import FieldHeadNames
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import train
from backend.fields.rays import ViewRays
from backend.fields.training import Progress
from backend.fields.views import Views

from .tiny_capture import Truth, orbit_capture
from .tiny_field import TINY, parameters, same

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 16, 24)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    """The same with a depth of every other view."""
    return orbit_capture(tmp_path_factory.mktemp("deep"), 16, 24, depth_every=2)


# the slice of nerfstudio


def test_placeholders_are_gone_after_the_import() -> None:
    left = [n for n, m in sys.modules.items() if type(m).__name__ == "_AbsentModule"]
    assert left == []
    with nerfstudio_compat.absent_packages():
        import viser  # type: ignore[import-not-found, unused-ignore]

        with pytest.raises(nerfstudio_compat.AbsentPackageError, match="installed without"):
            viser.Something()()
    assert "viser" not in sys.modules or type(sys.modules["viser"]).__name__ != "_AbsentModule"


def test_the_slice_needs_no_torchvision() -> None:
    code = (
        "import sys, backend.fields.radiance_field\n"
        "print(sorted({'torchvision', 'viser', 'open3d', 'gsplat'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


# the model


def test_march_is_nerfstudios_get_outputs(scene: tuple[Capture, Truth]) -> None:
    field = RadianceField(dataclasses.replace(TINY, appearance=3), ["a", "b"])
    rays = ViewRays(scene[0].camera_to_box[:2], scene[0].intrinsics[:2])
    with torch.no_grad():
        theirs = field.model(rays.bundle(rays.of_view(1)))
    shaded = field.shade(rays.bundle(rays.of_view(1)))
    for name, channels in (
        ("rgb", slice(0, 3)),
        ("depth", slice(3, 4)),
        ("accumulation", slice(4, 5)),
    ):
        torch.testing.assert_close(shaded[:, channels], theirs[name])
    positions, weights = field.weigh(rays.bundle(rays.of_view(1)))
    torch.testing.assert_close(weights.sum(1), theirs["accumulation"])
    assert positions.shape == (24 * 24, TINY.samples, 3)
    samples = field.march(rays.bundle(rays.of_view(1))).samples
    density = field.model.field(samples)[FieldHeadNames.DENSITY].detach()
    torch.testing.assert_close(field.density(positions[:, 2]), density[:, 2, 0])


def test_sparsity_is_the_mean_over_all_samples(scene: tuple[Capture, Truth]) -> None:
    field = RadianceField(dataclasses.replace(TINY, sparsity=0.5), ["a", "b"])
    rays = ViewRays(scene[0].camera_to_box[:2], scene[0].intrinsics[:2])
    field.model.train()
    march = field.march(rays.bundle(torch.arange(40)))
    density = march.density.detach().double().numpy()
    assert density.shape == (40, TINY.samples, 1)
    assert (density >= 0).all()
    found = field.losses(march, torch.rand(40, 3))["sparsity"]
    assert found.item() == pytest.approx(0.5 * np.log(1 + 2 * density**2).mean(), rel=1e-5)
    without = RadianceField(dataclasses.replace(TINY, sparsity=0.0), ["a", "b"])
    without.model.train()
    assert "sparsity" not in without.losses(
        without.march(rays.bundle(torch.arange(40))), torch.rand(40, 3)
    )


def test_what_views_show_as_opaque_is_pressed_to_be_solid(scene: tuple[Capture, Truth]) -> None:
    """By the light that the field lacks there, more and more once there are shapes; never where a
    view is see-through.
    """
    config = dataclasses.replace(TINY, solid=0.5, solid_from=10, solid_after=20)
    rays = ViewRays(scene[0].camera_to_box[:1], scene[0].intrinsics[:1]).bundle(torch.arange(40))
    for alpha in (False, True):
        field = RadianceField(config, ["a", "b"], alpha)
        field.model.train()
        march = field.march(rays)
        colours = torch.rand(40, 4 if alpha else 3)
        opaque = torch.arange(40) % 3 == 0 if alpha else torch.ones(40, dtype=torch.bool)
        if alpha:
            colours[:, 3] = torch.where(opaque, 252 / 255, 0.5)  # as lossy formats keep 255
        lacking = (1 - march.weights.sum((1, 2))).detach() * opaque
        for step, share in ((0, 0.0), (10, 0.0), (15, 0.5), (20, 1.0), (99, 1.0)):
            found = field.losses(march, colours, step=step)["solid"]
            assert found.item() == pytest.approx(0.5 * share * lacking.mean().item(), rel=1e-5)


def test_only_see_through_pixels_are_over_random_colours(scene: tuple[Capture, Truth]) -> None:
    """Else a capture with alpha that is opaque all over is trained to fog of its mean colour."""
    rays = ViewRays(scene[0].camera_to_box[:1], scene[0].intrinsics[:1]).bundle(torch.arange(40))
    clear = RadianceField(TINY, ["a", "b"], alpha=True)
    opaque = RadianceField(TINY, ["a", "b"])
    opaque.load_state(clear.state())
    colours = torch.cat([torch.rand(40, 3), torch.ones(40, 1)], 1)
    march, other = clear.march(rays), opaque.march(rays)
    expected = opaque.losses(other, colours[:, :3])["rgb_loss"]
    assert clear.losses(march, colours)["rgb_loss"].item() == pytest.approx(expected.item())
    colours[:, 3] = 0.5
    random = [clear.losses(march, colours)["rgb_loss"].item() for _ in range(2)]
    assert random[0] != random[1]


def test_the_depth_loss_is_eq_7_of_the_field_and_its_proposals(
    deep: tuple[Capture, Truth],
) -> None:
    """sum of -log(w_k) exp(-(t_k - D)^2 / (2 sigma^2)) dt_k, over rays whose depth D is known."""
    views = Views(deep[0])
    assert views.distances is not None
    config = dataclasses.replace(TINY, depth=0.5, depth_sigma=0.2)
    field = RadianceField(config, views.names)
    field.model.train()
    pixels = torch.cat([views.rays.of_view(0)[::9], views.rays.of_view(1)[::9]])
    distances, colours = views.distances[pixels], views.colours(pixels)
    assert 0 < (distances > 0).float().mean() < 0.5
    march = field.march(views.rays.bundle(pixels))
    parts = []
    for weights, samples in zip(*march.proposed, strict=True):
        starts = samples.frustums.starts[..., 0].double().numpy()
        ends = samples.frustums.ends[..., 0].double().numpy()
        away = (starts + ends) / 2 - distances.double().numpy()[:, None]
        likely = np.exp(-(away**2) / (2 * 0.2**2)) * (ends - starts)
        surprise = -np.log(weights[..., 0].detach().double().numpy() + 1e-7)
        parts.append(((surprise * likely).sum(1) * (distances.numpy() > 0)).mean())
    assert len(parts) == 2
    losses = field.losses(march, colours, distances)
    assert losses["depth"].item() == pytest.approx(0.5 * np.mean(parts), rel=1e-4)
    assert field.losses(march, colours, torch.zeros_like(distances))["depth"] == 0
    assert "depth" not in field.losses(march, colours)
    without = RadianceField(dataclasses.replace(config, depth=0.0), views.names)
    without.model.train()
    march = without.march(views.rays.bundle(pixels))
    assert "depth" not in without.losses(march, colours, distances)


def test_a_seed_fixes_the_field_and_nobody_elses_random_numbers() -> None:
    state = torch.get_rng_state()
    one, other = RadianceField(TINY, ["a"], seed=3), RadianceField(TINY, ["a"], seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(parameters(one), parameters(other))
    assert not same(parameters(one), parameters(RadianceField(TINY, ["a"], seed=4)))


def test_corrected_poses_are_what_training_sees(scene: tuple[Capture, Truth]) -> None:
    config = dataclasses.replace(TINY, optimise_cameras=True)
    field = RadianceField(config, ["a", "b"])
    pose, camera = scene[0].camera_to_box[3], scene[0].intrinsics[3]
    np.testing.assert_allclose(field.corrected(pose, "b"), pose, atol=1e-6)
    adjustment = field.model.camera_optimizer.pose_adjustment
    adjustment.data[1] = torch.tensor([0.1, -0.2, 0.05, 0.02, 0.03, -0.01])
    rays = ViewRays(pose[None], [camera])
    bundle = rays.bundle(rays.of_view(0))
    bundle.set_camera_indices(1)
    field.model.camera_optimizer.apply_to_raybundle(bundle)
    corrected = ViewRays(field.corrected(pose, "b")[None], [camera])
    mine = corrected.bundle(corrected.of_view(0))
    torch.testing.assert_close(mine.origins, bundle.origins.detach(), atol=1e-5, rtol=0)
    torch.testing.assert_close(mine.directions, bundle.directions.detach(), atol=1e-5, rtol=0)
    assert field.corrected(pose, "unknown") is pose


def test_a_field_of_tiny_cuda_nn_is_refused_where_that_is_missing() -> None:
    with pytest.raises(ValueError, match="tiny-cuda-nn"):
        RadianceField(TINY, ["a"], implementation="tcnn", device="cpu")


def test_presets_grow_with_the_pixels_of_a_capture() -> None:
    """Steps first, then rays, each within limits; "full" is nerfacto's own."""
    preview = PRESETS["preview"]
    assert preview.for_pixels(preview.pixels) == preview.for_pixels(1000) == preview
    twice = preview.for_pixels(2 * preview.pixels)
    assert (twice.iterations, twice.rays) == (1600, 1024)
    assert (twice.decay_iterations, twice.evaluate_every) == (1600, 200)
    large = preview.for_pixels(5 * preview.pixels)
    assert (large.iterations, large.rays) == (2400, 1322)
    assert preview.for_pixels(10**9).rays == 2048
    assert PRESETS["full"].for_pixels(10**9) == PRESETS["full"]


def test_a_training_has_the_steps_that_its_capture_takes(scene: tuple[Capture, Truth]) -> None:
    config = dataclasses.replace(TINY, pixels=14 * 24 * 24 // 2, stop_patience=0)
    seen: list[Progress] = []
    _, course = train(scene[0], config, on_step=seen.append)
    assert course.step == seen[0].iterations == 12


def test_presets_are_valid_and_full_is_nerfstudios_own() -> None:
    assert set(PRESETS) == {"preview", "medium", "full"}
    full = nerfstudio_compat.NerfactoModelConfig(
        average_init_density=0.01,
        camera_optimizer=nerfstudio_compat.CameraOptimizerConfig(mode="SO3xR3"),
        implementation="torch",
    )
    from backend.fields.radiance_field import nerfacto_config

    mine = nerfacto_config(FieldConfig(), "torch", alpha=False)
    for setting in dataclasses.fields(mine):
        theirs = getattr(full, setting.name)
        found = getattr(mine, setting.name)
        if setting.name == "proposal_net_args_list":
            theirs = [args | {"use_linear": False} for args in theirs]
        if setting.name not in ("_target", "camera_optimizer"):
            assert found == theirs, setting.name
    assert PRESETS["full"].iterations == 30_000
