"""The radiance field: nerfstudio's nerfacto in the slice, its training, checkpoints, resume."""

from __future__ import annotations

import copy
import dataclasses
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.captures.capture import Capture
from backend.captures.lens import Intrinsics
from backend.captures.transforms import NewView, open_capture, write_capture
from backend.captures.views import Pixels
from backend.fields import checkpoint, nerfstudio_compat, radiance_training
from backend.fields.config import PRESETS, FieldConfig, ProposalConfig
from backend.fields.facts import RADIANCE, CheckpointError, load_facts
from backend.fields.nerfstudio_compat import Cameras, FieldHeadNames
from backend.fields.radiance_field import RadianceField
from backend.fields.radiance_training import RadianceTraining, Views, held_out, load, psnr, train
from backend.fields.rays import ViewRays
from backend.fields.training import Progress
from protocol import files

from .tiny_capture import Truth, orbit_capture

ROOT = Path(__file__).resolve().parents[2]
TINY = dataclasses.replace(
    PRESETS["preview"],
    iterations=6,
    rays=64,
    samples=6,
    proposals=(ProposalConfig(8, levels=2, log2_table_size=8),),
    levels=3,
    log2_table_size=9,
    highest_resolution=64,
    evaluate_every=4,
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 16, 24)


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Truth]:
    """The same with a depth of every other view."""
    return orbit_capture(tmp_path_factory.mktemp("deep"), 16, 24, depth_every=2)


def parameters(field: RadianceField) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in field.model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


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


# rays


def test_rays_are_those_of_nerfstudios_cameras(scene: tuple[Capture, Truth]) -> None:
    poses = scene[0].camera_to_box[:3]
    cameras = [
        Intrinsics(30.0, 28.0, 11.5, 9.0, 24, 16),
        Intrinsics(20.0, 20.0, 4.0, 6.5, 9, 13),
        Intrinsics(50.0, 51.0, 12.0, 12.0, 20, 5),
    ]
    rays = ViewRays(poses, cameras)
    assert rays.total == 24 * 16 + 9 * 13 + 20 * 5
    for view, camera in enumerate(cameras):
        theirs = Cameras(
            torch.tensor(poses[view : view + 1, :3], dtype=torch.float32),
            *(torch.tensor([v]) for v in (camera.fx, camera.fy, camera.cx, camera.cy)),
            camera.width,
            camera.height,
        ).generate_rays(camera_indices=0)
        mine = rays.bundle(rays.of_view(view))
        shape = (camera.height, camera.width, 3)
        assert rays.shape(view) == shape[:2]
        torch.testing.assert_close(mine.origins.view(shape), theirs.origins)
        torch.testing.assert_close(mine.directions.view(shape), theirs.directions)
        assert (mine.camera_indices == view).all()


def test_pixels_are_the_views_own(scene: tuple[Capture, Truth]) -> None:
    capture, truth = scene
    views = Views(capture)
    assert not views.alpha
    for view in (0, 7, 15):
        seen = views.colours(views.rays.of_view(view)).view(24, 24, 3)
        np.testing.assert_allclose(seen.numpy() * 255, truth.images[view], atol=1e-4)
    views.replace(7, truth.images[0])
    assert torch.equal(views.pixels[views.rays.of_view(7)], views.pixels[views.rays.of_view(0)])
    assert not torch.equal(views.pixels[views.rays.of_view(8)], views.pixels[views.rays.of_view(0)])


def test_rays_through_a_point_meet_there(scene: tuple[Capture, Truth]) -> None:
    """Origin + distance * direction lies on the floor or on a sphere, in capture coordinates."""
    capture, truth = scene
    rays = ViewRays(capture.camera_to_box, capture.intrinsics)
    for view in (0, 5):
        bundle = rays.bundle(rays.of_view(view))
        distance = truth.distances[view].reshape(-1, 1)
        box = bundle.origins + bundle.directions * torch.tensor(distance * capture.box_scale)
        points = (box.double().numpy() - capture.to_box[:3, 3]) / capture.box_scale
        mask = truth.masks[view].ravel()
        off = np.linalg.norm(points[mask] - (0, 0, 0.6), axis=1) - 0.6
        assert np.abs(off).max() < 1e-5


def test_depths_become_distances_along_the_rays(
    scene: tuple[Capture, Truth], deep: tuple[Capture, Truth]
) -> None:
    capture, truth = deep
    views = Views(capture)
    assert views.distances is not None
    for view in (0, 6):
        found = views.distances[views.rays.of_view(view)].view(24, 24).numpy()
        known = np.isfinite(truth.distances[view])
        assert 0 < known.mean() < 1
        expected = truth.distances[view][known] * capture.box_scale
        np.testing.assert_allclose(found[known], expected, rtol=1e-6)
        assert (found[~known] == 0).all()
    assert (views.distances[views.rays.of_view(7)] == 0).all(), "it has none"
    assert Views(scene[0]).distances is None


def test_depth_counts_only_where_the_surface_covers_the_pixel(
    tmp_path: Path, deep: tuple[Capture, Truth]
) -> None:
    capture, truth = deep
    alpha = np.full((24, 24), 255, np.uint8)
    alpha[:, :8], alpha[:, 8:16] = 0, 254
    views = []
    for k in range(0, 16, 2):
        read = capture.read(k)
        pixels = Pixels(read.image, alpha, read.depth)
        views.append(NewView(f"{k}", pixels, capture.intrinsics[k], capture.camera_to_world[k]))
    write_capture(tmp_path, views)
    distances = Views(open_capture(tmp_path)).distances
    assert distances is not None
    first = distances[: 24 * 24].view(24, 24).numpy()
    assert (first[:, :16] == 0).all()
    assert ((first[:, 16:] > 0) == np.isfinite(truth.distances[0][:, 16:])).all()


def test_a_fingerprint_holds_the_depths_where_there_are_any(
    scene: tuple[Capture, Truth], deep: tuple[Capture, Truth]
) -> None:
    plain, views = Views(scene[0]), Views(deep[0])
    cameras = np.array([dataclasses.astuple(camera) for camera in plain.intrinsics])
    as_ever = checkpoint.fingerprint(plain.pixels.numpy(), plain.poses, cameras)
    assert plain.fingerprint() == as_ever, "of fields that were trained before depths were read"
    with_depth = views.fingerprint()
    assert with_depth != as_ever
    assert views.distances is not None
    views.distances[np.flatnonzero(views.distances.numpy())[3]] *= 1.001
    assert views.fingerprint() != with_depth


@pytest.mark.parametrize(
    ("count", "every", "expected"),
    [
        (24, 8, [4, 12, 20]),
        (16, 8, [4, 12]),
        (12, 8, [4]),
        (5, 8, [2]),
        (3, 8, [1]),
        (4, 2, [1, 3]),
        (24, 0, []),
    ],
)
def test_held_out_views(count: int, every: int, expected: list[int]) -> None:
    assert held_out(count, every) == expected


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
    """By the light that the field lacks there, more and more; never where a view is see-through."""
    config = dataclasses.replace(TINY, solid=0.5, solid_after=10)
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
        for step, share in ((0, 0.0), (5, 0.5), (10, 1.0), (99, 1.0)):
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


# training


@pytest.mark.slow
def test_it_learns_the_scene(scene: tuple[Capture, Truth]) -> None:
    """Better than the best single colour by far on views that it has not seen."""
    config = dataclasses.replace(
        PRESETS["preview"], iterations=300, rays=384, decay_iterations=300, evaluate_every=100
    )
    field, course = train(scene[0], config)
    images = scene[1].images / 255
    flat = psnr(torch.tensor(images.mean((0, 1, 2))).expand(images.shape), torch.tensor(images))
    assert course.scores[-1][1] > flat + 3.5
    assert course.scores[-1][1] > course.scores[0][1]
    rendering = field.render(scene[0].camera_to_box[4], scene[0].intrinsics[4])
    assert rendering.rgb.shape == (24, 24, 3)
    assert rendering.rgb.dtype == np.float32
    shown = torch.tensor(rendering.rgb)
    assert psnr(shown, torch.tensor(images[4], dtype=torch.float32)) > flat + 3
    mask = scene[1].masks[4]
    found = rendering.depth[mask] / scene[0].box_scale
    off = np.abs(found - scene[1].distances[4][mask])
    assert np.median(off) < 0.6  # of 4: it is the sphere that is red, not what is behind it


@pytest.mark.slow
def test_depth_puts_the_surfaces_where_they_are(deep: tuple[Capture, Truth]) -> None:
    """Sooner than without: in a view without a depth of its own that is not trained on."""
    capture, truth = deep
    view = held_out(16, 5)[1]
    assert view % 2 == 1
    known = np.isfinite(truth.distances[view])
    errors, scores = [], []
    for weight in (0.0, PRESETS["preview"].depth):
        config = dataclasses.replace(
            PRESETS["preview"], iterations=120, rays=384, hold_out_every=5, depth=weight
        )
        field, course = train(capture, config)
        rendering = field.render(capture.camera_to_box[view], capture.intrinsics[view])
        off = np.abs(rendering.depth / capture.box_scale - truth.distances[view])[known]
        errors.append(np.median(off))
        scores.append(course.scores[-1][1])
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.2  # of 4
    assert scores[1] > scores[0]


def test_progress_scores_and_previews(scene: tuple[Capture, Truth]) -> None:
    seen: list[Progress] = []
    _, course = train(scene[0], TINY, on_step=seen.append)
    assert [p.step for p in seen] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in course.scores] == [4, 6]
    assert seen[2].score is None
    assert seen[3].score == course.scores[0][1]
    assert seen[-1].remaining == 0
    assert seen[-1].preview is not None
    assert seen[-1].preview.shape == (24, 24, 3)
    assert seen[-1].preview.dtype == np.uint8
    assert all(p.remaining is None or p.remaining > 0 for p in seen[:-1])


def test_views_with_alpha(tmp_path: Path, scene: tuple[Capture, Truth]) -> None:
    capture, truth = scene
    views = [
        NewView(
            f"{k}",
            Pixels(truth.images[k], truth.masks[k].astype(np.uint8) * 255),
            capture.intrinsics[k],
            capture.camera_to_world[k],
        )
        for k in range(0, 16, 2)
    ]
    write_capture(tmp_path, views)
    field, course = train(open_capture(tmp_path), dataclasses.replace(TINY, hold_out_every=4))
    assert field.alpha
    assert {step for step, _ in course.scores} == {4, 6}


@pytest.mark.parametrize("alpha", [255, 251])
def test_an_opaque_alpha_is_no_alpha(
    tmp_path: Path, scene: tuple[Capture, Truth], alpha: int
) -> None:
    capture, truth = scene
    full = np.full((24, 24), alpha, np.uint8)
    views = [
        NewView(
            f"{k}", Pixels(truth.images[k], full), capture.intrinsics[k], capture.camera_to_world[k]
        )
        for k in range(4)
    ]
    write_capture(tmp_path, views)
    read = Views(open_capture(tmp_path))
    assert not read.alpha
    assert torch.equal(read.pixels, Views(capture.subset(range(4))).pixels)


def test_a_training_that_learns_nothing_is_no_success(
    tmp_path: Path, scene: tuple[Capture, Truth], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so in one sentence, again each time, and what was trained is kept."""
    capture, truth = scene
    patches = truth.images.reshape(16, 4, 6, 4, 6, 3).mean((2, 4)).repeat(6, 1).repeat(6, 2)
    blurred = psnr(torch.tensor(patches / 255), torch.tensor(truth.images / 255))
    assert radiance_training.psnr_of_blur(Views(capture)) == pytest.approx(blurred, abs=1e-3)
    monkeypatch.setattr(radiance_training, "JUDGED_FROM", 6)
    config = dataclasses.replace(TINY, learning_rate=1e-9, final_learning_rate=1e-9)
    for _ in range(2):
        with pytest.raises(radiance_training.UnlearntError, match="learnt nothing of the photos"):
            train(capture, config, tmp_path)
        facts = load_facts(tmp_path, RADIANCE)
        assert facts is not None
        assert facts["finished"]
    monkeypatch.setattr(radiance_training, "psnr_of_views", lambda field, views: blurred - 1)
    train(capture, config, tmp_path)


def test_too_few_views_are_refused(scene: tuple[Capture, Truth]) -> None:
    with pytest.raises(ValueError, match="has 2 views: a field needs 3"):
        train(scene[0].subset([0, 1]), TINY)


def test_a_diverging_training_says_so(scene: tuple[Capture, Truth]) -> None:
    with pytest.raises(FloatingPointError, match="diverged at step"):
        train(scene[0], dataclasses.replace(TINY, learning_rate=float("inf")))


# checkpoints


class Cancelled(Exception):
    """What a person who cancels raises."""


@pytest.mark.parametrize("which", ["scene", "deep"])
def test_an_interrupted_training_goes_on_bit_for_bit(
    tmp_path: Path, request: pytest.FixtureRequest, which: str
) -> None:
    scene: tuple[Capture, Truth] = request.getfixturevalue(which)
    config = dataclasses.replace(TINY, optimise_cameras=True, appearance=2)
    straight, course = train(scene[0], config)
    for stops in ((1,), (2, 5)):
        folder = tmp_path / f"{stops}"
        for stop in stops:

            def cancel(progress: Progress, at: int = stop) -> None:
                if progress.step == at:
                    raise Cancelled

            with pytest.raises(Cancelled):
                train(scene[0], config, folder, cancel)
            torch.rand(7)  # what goes on between must not matter
        steps: list[int] = []
        resumed, other = train(scene[0], config, folder, lambda p, s=steps: s.append(p.step))
        assert steps == list(range(stops[-1] + 1, 7))
        assert same(parameters(straight), parameters(resumed))
        assert course.scores == other.scores
        assert same(parameters(load(folder)), parameters(straight))
        again, _ = train(scene[0], config, folder, lambda p: pytest.fail("it was finished"))
        assert same(parameters(again), parameters(straight))


def test_more_iterations_go_on_from_a_finished_training(
    tmp_path: Path, scene: tuple[Capture, Truth]
) -> None:
    config = dataclasses.replace(TINY, stop_patience=0)
    train(scene[0], config, tmp_path)
    steps: list[int] = []
    longer = dataclasses.replace(config, iterations=8)
    train(scene[0], longer, tmp_path, lambda p: steps.append(p.step))
    assert steps == [7, 8]


def test_a_checkpoint_of_another_capture_or_config_is_refused(
    tmp_path: Path, scene: tuple[Capture, Truth], deep: tuple[Capture, Truth]
) -> None:
    train(scene[0], TINY, tmp_path)
    with pytest.raises(CheckpointError, match="another config"):
        train(scene[0], dataclasses.replace(TINY, levels=4), tmp_path)
    with pytest.raises(CheckpointError, match="another names and capture"):
        train(scene[0].subset(range(15)), TINY, tmp_path)
    with pytest.raises(CheckpointError, match="another capture:"):
        train(deep[0], TINY, tmp_path)


def test_damaged_checkpoints_are_named(tmp_path: Path, scene: tuple[Capture, Truth]) -> None:
    with pytest.raises(CheckpointError, match="holds no trained field"):
        load(tmp_path)
    train(scene[0], TINY, tmp_path)
    (tensors,) = tmp_path.glob("radiance-*.pt")
    content = tensors.read_bytes()
    for damage in (content[: len(content) // 2], b"", b"nonsense"):
        tensors.write_bytes(damage)
        with pytest.raises(CheckpointError, match=tensors.name):
            load(tmp_path)
    tensors.unlink()
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load(tmp_path)
    (tmp_path / "radiance.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"radiance\.json is damaged"):
        load(tmp_path)
    (tmp_path / "radiance.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(CheckpointError, match="another version"):
        load(tmp_path)


def test_a_save_that_breaks_off_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every place where a file changes its name or contents."""
    checkpoint.save(tmp_path, "radiance", {"step": 1}, {"x": torch.ones(3)})
    real = Path.replace
    for failing in (1, 2):
        calls = 0

        def replace(self: Path, target: Path, at: int = failing) -> Path:
            nonlocal calls
            calls += 1
            if calls == at:
                raise KeyboardInterrupt
            return real(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path, "radiance", {"step": 2}, {"x": torch.zeros(3)})
        monkeypatch.setattr(Path, "replace", real)
        found = checkpoint.load(tmp_path, "radiance")
        assert found is not None
        assert found[0]["step"] == 1
        assert torch.equal(found[1]["x"], torch.ones(3))
    checkpoint.save(tmp_path, "radiance", {"step": 3}, {"x": torch.zeros(3)})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "radiance-000003.pt",
        "radiance.json",
    ]


KILLS = 20
LIVES = dataclasses.replace(TINY, iterations=100_000, stop_patience=0, evaluate_every=50)


def live(folder: Path, work: Path, log: Path, iterations: int) -> None:
    """Trains with a checkpoint after every step, and notes every step in a file."""
    torch.set_num_threads(1)
    config = dataclasses.replace(LIVES, iterations=iterations)
    with log.open("a", buffering=1) as steps:
        train(
            open_capture(folder),
            config,
            work,
            lambda p: print(p.step, file=steps),
            checkpoint_seconds=0.0,
        )


def test_a_save_deletes_what_a_killed_one_has_left(tmp_path: Path) -> None:
    for name in ("radiance-000001.pt", "radiance-000002.pt", "radiance.json"):
        (tmp_path / f"{name}.1872a2cb{files.UNFINISHED}").write_bytes(b"half")
    checkpoint.save(tmp_path, "radiance", {"step": 2}, {"x": torch.zeros(3)})
    assert {path.name for path in tmp_path.iterdir()} == {"radiance-000002.pt", "radiance.json"}


@pytest.mark.slow
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="POSIX")
def test_a_process_killed_at_random_moments_loses_no_checkpoint(
    tmp_path: Path, scene: tuple[Capture, Truth]
) -> None:
    """Killed 20 times, in steps, while it writes and while it starts, it always goes on from the
    last checkpoint, and ends where a training that nobody disturbed ends.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # nobody waits for torch 20 times
    rng = np.random.default_rng(0)
    reached, progressed = 0, 0
    for life in range(KILLS):
        log = tmp_path / f"{life}.txt"
        child = context.Process(target=live, args=(scene[0].folder, tmp_path / "w", log, 100_000))
        child.start()
        if life % 4:
            while child.is_alive() and not (log.exists() and log.stat().st_size > 0):
                time.sleep(0.005)
        time.sleep(float(rng.random()) * 0.4)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        steps = [int(line) for line in log.read_text().split()] if log.exists() else []
        facts = load_facts(tmp_path / "w", "radiance")
        if facts is None:
            assert len(steps) < 2
            continue
        # the step that was being noted when it died may have been saved already
        last = steps[-1] if steps else reached
        assert facts["step"] in (last, last + 1)
        assert steps == list(range(reached + 1, last + 1))
        load(tmp_path / "w")
        progressed += facts["step"] > reached
        reached = facts["step"]
    assert progressed > KILLS // 2
    threads = torch.get_num_threads()
    try:  # the undisturbed one with a single thread, as the others
        live(scene[0].folder, tmp_path / "w", tmp_path / "end.txt", reached + 2)
        undisturbed, _ = train(scene[0], dataclasses.replace(LIVES, iterations=reached + 2))
    finally:
        torch.set_num_threads(threads)
    assert same(parameters(load(tmp_path / "w")), parameters(undisturbed))
    assert len(list((tmp_path / "w").iterdir())) == 2  # what the killed have left is gone, too


# the same again


def test_the_same_seed_gives_the_same_field_in_every_process(tmp_path: Path) -> None:
    """On two threads, too, whose sums MKL otherwise makes in another order from run to run."""
    orbit_capture(tmp_path / "capture", 8, 40)
    code = (
        "import hashlib, sys, torch\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from backend.captures.transforms import open_capture\n"
        "from backend.fields.config import PRESETS\n"
        "from backend.fields.radiance_training import train\n"
        "torch.set_num_threads(2)\n"
        "config = replace(PRESETS['preview'], iterations=12)\n"
        "field, _ = train(open_capture(Path(sys.argv[1])), config)\n"
        "values = [v.numpy().tobytes() for v in field.model.state_dict().values()]\n"
        "print(hashlib.sha256(b''.join(values)).hexdigest())\n"
    )
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MKL_")}
    command = [sys.executable, "-c", code, str(tmp_path / "capture")]
    runs = [
        subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ)
        for _ in range(3)
    ]
    found = {run.stdout.strip() for run in runs}
    assert len(found) == 1, runs[0].stderr
    assert len(found.pop()) == 64, runs[0].stderr


def test_training_state_survives_a_copy(scene: tuple[Capture, Truth]) -> None:
    """The optimizer's moments are part of the state: without them the next step differs."""
    views = Views(scene[0])
    one = RadianceTraining(RadianceField(TINY, views.names), views, None)
    other = RadianceTraining(RadianceField(TINY, views.names, seed=9), views, None)
    for step in range(3):
        one.advance(step)
    other.load_state(copy.deepcopy(one.state()))
    for training_run in (one, other):
        torch.manual_seed(5)
        training_run.advance(3)
    assert same(parameters(one.field), parameters(other.field))
    assert one.measure() is None
    assert RADIANCE == "radiance"
