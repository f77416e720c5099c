"""The demo world: exact masks, edits that change only their target, seeds that decide
everything.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from backend.demo import instructions, pool, render, sampling, world

SEEDS = range(11_000_000, 11_000_006)


def drawn(seed: int, things: int | None = None) -> tuple[world.Scene, world.Camera]:
    return sampling.sample_scene(np.random.default_rng(seed), things)


def brute_force_ids(
    scene: world.Scene, camera: world.Camera, height: int, width: int
) -> np.ndarray:
    """Which thing each pixel's centre shows, by walking every ray in small even steps through every
    thing.
    """
    origin, rays = render.camera_rays(camera, height, width)
    steps = np.linspace(0.0, 14.0, 2801, dtype=np.float32)
    best = np.full(rays.shape[1], np.inf, np.float32)
    ids = np.full(rays.shape[1], render.BACKGROUND, np.uint8)
    for index, thing in enumerate(scene.things):
        sdf, _ = render.distance_function(thing)
        rotation = np.array(thing.rotation, np.float32)
        for ray in range(rays.shape[1]):
            points = origin[:, None] + steps * rays[:, ray : ray + 1]
            local = rotation.T @ (points - np.array(thing.position, np.float32)[:, None])
            inside = np.flatnonzero(sdf(local / np.float32(thing.size)) < 0)
            if inside.size and steps[inside[0]] < best[ray]:
                best[ray] = steps[inside[0]]
                ids[ray] = render.FIRST_THING + index
    if scene.ground is not None:
        for ray in range(rays.shape[1]):
            if rays[2, ray] >= 0:
                continue
            t = -origin[2] / rays[2, ray]
            x, y = (origin + t * rays[:, ray])[:2]
            c, s = math.cos(scene.ground.yaw), math.sin(scene.ground.yaw)
            extent = scene.ground.extent or 1e9
            within = max(abs(c * x + s * y), abs(c * y - s * x)) < extent
            if within and t < best[ray] and t < 400:
                ids[ray] = render.GROUND
    return ids.reshape(height, width)


@pytest.mark.parametrize("shape", world.SHAPES)
def test_what_each_pixel_shows_agrees_with_a_brute_force_walk(shape: str) -> None:
    scene, camera = drawn(SEEDS[0], things=1)
    thing = dataclasses.replace(scene.things[0], shape=shape)
    scene = dataclasses.replace(scene, things=(thing,))
    picture = render.render(scene, camera, 20, 24, supersample=1)
    expected = brute_force_ids(scene, camera, 20, 24)
    assert (picture.ids == render.FIRST_THING).sum() > 15
    assert (picture.ids != expected).mean() < 0.01  # rays that graze an edge may differ


def test_several_things_hide_each_other_as_in_the_brute_force_walk() -> None:
    scene, camera = drawn(SEEDS[1], things=4)
    picture = render.render(scene, camera, 24, 24, supersample=1)
    assert (picture.ids != brute_force_ids(scene, camera, 24, 24)).mean() < 0.015


@pytest.mark.parametrize("seed", SEEDS)
def test_a_recolouring_changes_its_mask_and_nothing_else(seed: int) -> None:
    for sample in pool.draw_samples(seed, 48, 64):
        changed = (sample.image != sample.edited).any(-1)
        assert not changed[sample.mask == 0].any()
        if sample.edit.target is None:
            assert sample.mask.max() == 0
        elif isinstance(sample.edit.target, int):
            assert np.array_equal(sample.mask, sample.things[sample.edit.target])


def test_a_recoloured_picture_equals_the_edited_scene_rendered_anew() -> None:
    scene, camera = drawn(SEEDS[2], things=3)
    picture = render.render(scene, camera, 40, 40)
    rng = np.random.default_rng(0)
    targets: list[int | str] = [0, 1, 2, "background"]
    if scene.ground is not None:
        targets.append("ground")
    for target in targets:
        edit = instructions.sample_recolouring(rng, scene, target)
        anew = render.render(world.apply(scene, edit), camera, 40, 40).image
        edited, mask = pool.edited_picture(scene, picture, edit)
        # roughness and gloss stay; the light is the same
        assert np.array_equal(edited, anew)
        assert mask.shape == (40, 40)


def test_edges_are_anti_aliased_and_coverages_add_up() -> None:
    scene, camera = drawn(SEEDS[3], things=2)
    picture = render.render(scene, camera, 64, 64)
    targets: list[int | str] = [0, 1, "background"]
    if scene.ground is not None:
        targets.append("ground")
    cover = np.stack([picture.coverage(t) for t in targets])
    np.testing.assert_allclose(cover.sum(0), 1, atol=1e-6)
    partly = (cover[0] > 0) & (cover[0] < 1)
    assert partly.sum() > 10


def test_a_seed_decides_everything_and_another_seed_differs() -> None:
    first, again = (pool.draw_samples(SEEDS[4], 32, 48) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.edited, b.edited)
        assert a.edit == b.edit
    other = pool.draw_samples(SEEDS[5], 32, 48)
    assert not np.array_equal(first[0].image, other[0].image)


def test_seed_ranges_do_not_meet() -> None:
    ranges = (world.TRAIN_SEEDS, world.VALIDATION_SEEDS, world.TEST_SEEDS)
    for i, a in enumerate(ranges):
        for b in ranges[i + 1 :]:
            assert a.stop <= b.start or b.stop <= a.start
    shards = len(world.TRAIN_SEEDS) // pool.SCENES_PER_SHARD
    assert shards >= 100_000


def test_the_wording_names_its_target_alone() -> None:
    for seed in range(11_000_100, 11_000_160):
        scene, _ = drawn(seed)
        for index, thing in enumerate(scene.things):
            offered = instructions.wordings(scene, index)
            others = [t for i, t in enumerate(scene.things) if i != index]
            assert ("shape" in offered) == all(t.shape != thing.shape for t in others)
            same_colour = any(t.surface.colour == thing.surface.colour for t in others)
            assert ("colour" in offered) == (not same_colour)
            assert ("object" in offered) == (not others)


def test_an_instruction_for_something_absent_names_nothing_that_is_there() -> None:
    rng = np.random.default_rng(5)
    for seed in range(11_000_200, 11_000_240):
        scene, _ = drawn(seed, things=2)
        edit = instructions.sample_recolouring(rng, scene, None)
        assert edit.target is None
        assert world.apply(scene, edit) == scene
        for thing in scene.things:
            assert thing.surface.colour is not None
            assert f"{thing.surface.colour} {thing.shape}" not in edit.instruction


def test_orbit_cameras_look_at_the_same_point_from_their_angle() -> None:
    camera = world.orbit_camera(0.4, 0.5, 3.0, (0.1, -0.2, 0.3), 0.7)
    offset = np.array(camera.position) - (0.1, -0.2, 0.3)
    assert np.linalg.norm(offset) == pytest.approx(3.0)
    assert math.atan2(offset[1], offset[0]) == pytest.approx(0.4)
    assert math.asin(offset[2] / 3.0) == pytest.approx(0.5)
    origin, rays = render.camera_rays(camera, 9, 11)
    centre = rays[:, 4 * 11 + 5]
    np.testing.assert_allclose(origin + 3.0 * centre, (0.1, -0.2, 0.3), atol=1e-5)


def test_a_shard_is_written_once_and_whole(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(pool, "SCENES_PER_SHARD", 2)
    monkeypatch.setattr(pool, "SIZES", ((32, 48),))
    monkeypatch.setattr(pool, "SIZE_SHARE", (1.0,))
    path = pool.render_shard(tmp_path, 3)
    written = path.stat().st_mtime_ns
    assert pool.render_shard(tmp_path, 3).stat().st_mtime_ns == written
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with np.load(path) as shard:
        assert shard["images"].shape == (2, 32, 48, 3)
        assert shard["edited"].shape == (2 * pool.EDITS_PER_SCENE, 32, 48, 3)
        assert shard["masks"].shape == (2 * pool.EDITS_PER_SCENE, 8, 12)


def test_unknown_words_are_refused() -> None:
    scene, camera = drawn(SEEDS[0], things=1)
    edit = world.Edit("melt", 0, "red", "melt the cube", "shape")
    with pytest.raises(ValueError, match="Unknown kind of edit"):
        world.apply(scene, edit)
    with pytest.raises(ValueError, match="Unknown view transform"):
        render.view_transform(np.zeros((3, 1), np.float32), world.Look(view="nothing"))
    thing = dataclasses.replace(scene.things[0], shape="pyramid")
    with pytest.raises(ValueError, match="Unknown shape"):
        render.render(dataclasses.replace(scene, things=(thing,)), camera, 8, 8)
