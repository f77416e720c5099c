"""The fast hash encoding, and nerfacto with it, against nerfstudio's own."""

from __future__ import annotations

import copy
import logging
import os
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from backend.evaluation import bench_radiance
from backend.fields import hash_encoding
from backend.fields.config import FieldConfig, ProposalConfig
from backend.fields.fast_nerfacto import FastContraction, FastHashEncoding, LeanField, accelerate
from backend.fields.hash_encoding import Way, encode
from backend.fields.nerfstudio_compat import (
    HashEncoding,
    RayBundle,
    SceneContraction,
    distortion_loss,
)
from backend.fields.radiance_field import nerfacto

WAYS: list[Way] = ["c", "torch"]
needs_compiler = pytest.mark.skipif(
    hash_encoding.compiled_code() is None, reason="there is no C compiler here"
)


def original(levels: int, lowest: int, highest: int, log2: int, features: int) -> HashEncoding:
    """nerfstudio's encoding with a table of values large enough to see differences in."""
    encoding = HashEncoding(
        num_levels=levels,
        min_res=lowest,
        max_res=highest,
        log2_hashmap_size=log2,
        features_per_level=features,
        implementation="torch",
    )
    encoding.hash_table.data.uniform_(-1, 1)
    return encoding


def results(
    encoding: HashEncoding, positions: Tensor, gradient: Tensor, way: Way | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Values, and gradients by positions and table; by nerfstudio's own code where way is None."""
    positions = positions.clone().requires_grad_()
    encoding.hash_table.grad = None
    if way is None:
        values = encoding.pytorch_fwd(positions)
    else:
        scalings, log2 = encoding.scalings, encoding.log2_hashmap_size
        values = encode(positions, encoding.hash_table, scalings, log2, way)
    values.backward(gradient)
    return values.detach(), cast(Tensor, positions.grad), encoding.hash_table.grad


def check_same(encoding: HashEncoding, positions: Tensor, way: Way) -> None:
    gradient = torch.randn(len(positions), encoding.get_out_dim())
    expected = results(encoding, positions, gradient, None)
    found = results(encoding, positions, gradient, way)
    finest = float(encoding.scalings.max())
    for one, other in zip(found, expected, strict=True):
        scale = max(1.0, float(other.abs().max()))
        # Gradients by positions are differences of values times the resolution, rounded as such.
        atol = max(2e-6 * scale, 2e-7 * finest)
        torch.testing.assert_close(one, other, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("way", [pytest.param("c", marks=needs_compiler), "torch"])
@settings(max_examples=40, deadline=None)
@given(
    points=st.integers(1, 600),
    levels=st.integers(1, 5),
    lowest=st.integers(1, 16),
    growth=st.integers(0, 200),
    log2=st.integers(1, 12),
    features=st.sampled_from([1, 2, 3, 4, 8]),
    seed=st.integers(0, 2**31),
)
def test_values_and_gradients_are_nerfstudios(
    way: Way,
    points: int,
    levels: int,
    lowest: int,
    growth: int,
    log2: int,
    features: int,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    encoding = original(levels, lowest, lowest + growth, log2, features)
    check_same(encoding, torch.rand(points, 3), way)


@pytest.mark.parametrize("way", [pytest.param("c", marks=needs_compiler), "torch"])
def test_on_the_grid_and_at_its_ends(way: Way) -> None:
    """There floor and ceil are the same cell, and the slope is 0 by nerfstudio's definition."""
    torch.manual_seed(0)
    encoding = original(3, 4, 16, 8, 2)
    lattice = torch.cartesian_prod(*[torch.tensor([0.0, 0.25, 0.5, 0.8125, 1.0])] * 3)
    check_same(encoding, lattice, way)


@needs_compiler
def test_full_tables_and_many_points() -> None:
    """nerfacto's own sizes: hashes that overflow 32 bits, several blocks, several threads."""
    torch.manual_seed(0)
    encoding = original(16, 16, 2048, 19, 2)
    check_same(encoding, torch.rand(3001, 3), "c")


@needs_compiler
def test_threads_do_not_change_the_result() -> None:
    torch.manual_seed(0)
    encoding = original(5, 16, 128, 10, 2)
    positions, gradient = torch.rand(5000, 3), torch.randn(5000, 10)
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        try:
            found.append(results(encoding, positions, gradient, "c"))
        finally:
            torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_no_points_at_all() -> None:
    encoding = original(2, 4, 8, 4, 2)
    values = encode(torch.zeros(0, 3), encoding.hash_table, encoding.scalings, 4)
    assert values.shape == (0, 4)


def test_without_a_compiler_torch_does_it_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hash_encoding, "data_folder", lambda: tmp_path)
    monkeypatch.setattr(hash_encoding.shutil, "which", lambda name: None)
    hash_encoding.compiled_code.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert hash_encoding.compiled_code() is None
        assert "there is no C compiler" in caplog.text
        torch.manual_seed(0)
        encoding = original(3, 4, 16, 8, 2)
        positions, gradient = torch.rand(50, 3), torch.randn(50, 6)
        expected = results(encoding, positions, gradient, None)[0]
        scalings, log2 = encoding.scalings, encoding.log2_hashmap_size
        found = encode(positions, encoding.hash_table, scalings, log2)
        torch.testing.assert_close(found, expected)
    finally:
        hash_encoding.compiled_code.cache_clear()


@pytest.mark.skipif(os.name == "nt", reason="the fake compiler is a shell script")
def test_a_compiler_that_fails_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compiler = tmp_path / "broken-cc"
    compiler.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setattr(hash_encoding, "data_folder", lambda: tmp_path / "data")
    hash_encoding.compiled_code.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert hash_encoding.compiled_code() is None
        assert "no space left" in caplog.text
        assert not list((tmp_path / "data").rglob("*.so"))
    finally:
        hash_encoding.compiled_code.cache_clear()


def test_contraction_is_nerfstudios() -> None:
    torch.manual_seed(0)
    scale = torch.logspace(-2, 3, 400)[:, None]
    positions = torch.cat([torch.randn(400, 3) * scale, torch.tensor([[1.0, 1, 1], [2, 2, -2]])])
    found = []
    for kind in (SceneContraction, FastContraction):
        at = positions.clone().requires_grad_()
        contracted = kind(order=float("inf"))(at)
        contracted.square().sum().backward()
        found.append((contracted.detach(), cast(Tensor, at.grad)))
    torch.testing.assert_close(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])


@pytest.mark.parametrize("cameras", [False, True])
def test_a_step_of_nerfacto_is_nerfstudios(cameras: bool) -> None:
    """Loss, gradients of all parameters, and the names of the state dict."""
    config = FieldConfig(
        samples=6,
        proposals=(ProposalConfig(8, log2_table_size=8), ProposalConfig(6, log2_table_size=8)),
        levels=4,
        log2_table_size=9,
        highest_resolution=64,
        appearance=4,
        optimise_cameras=cameras,
    )
    torch.manual_seed(0)
    model = nerfacto(config, 5, "torch", alpha=False)
    fast = copy.deepcopy(model)
    fast.density_fns = [network.density_fn for network in fast.proposal_networks]
    accelerate(fast)
    kinds = {type(module) for module in fast.modules()}
    assert {FastHashEncoding, FastContraction, LeanField} <= kinds
    assert HashEncoding not in kinds
    origins, directions = torch.randn(2, 40, 3)
    indices, colours = torch.randint(5, (40, 1)), torch.rand(40, 3)
    losses = []
    for one in (model, fast):
        torch.manual_seed(1)
        one.train()
        bundle = RayBundle(
            origins=origins.clone(),
            directions=torch.nn.functional.normalize(directions, dim=-1),
            pixel_area=torch.ones(40, 1),
            camera_indices=indices,
        )
        outputs = one(bundle)
        distortion = distortion_loss(outputs["weights_list"], outputs["ray_samples_list"])
        parts = one.get_loss_dict(outputs, {"image": colours}, {"distortion": distortion})
        loss = torch.stack(list(parts.values())).sum()
        loss.backward()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert list(model.state_dict()) == list(fast.state_dict())
    graded = 0
    for (name, a), b in zip(model.named_parameters(), fast.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        if a.grad is not None:
            graded += 1
            size = float(np.abs(a.grad.numpy()).max()) if a.numel() else 1.0
            torch.testing.assert_close(b.grad, a.grad, rtol=1e-3, atol=1e-4 * size)
    assert graded > 8
    corrected = model.camera_optimizer.parameters() if cameras else []
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in corrected)


def test_the_benchmark_measures_two_that_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    small = FieldConfig(
        samples=4, proposals=(ProposalConfig(4, log2_table_size=8),), levels=2, log2_table_size=8
    )
    monkeypatch.setitem(bench_radiance.PRESETS, "full", small)
    figures = bench_radiance.measure(20, 2, torch.device("cpu"))
    assert figures["largest_relative_difference_of_losses"] < 1e-4
    assert set(figures["seconds_a_step"]) == {"nerfstudio", "this program"}
    assert figures["times_faster"] > 0
