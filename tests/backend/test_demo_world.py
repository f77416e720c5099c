"""The demo world: exact masks, edits that change only their target, seeds that decide
everything.
"""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from backend.demo.model import WEIGHTS, build_tokenizer
from backend.world import (
    cameras,
    instructions,
    naming,
    placing,
    pool,
    render,
    sampling,
    shapes,
    textures,
    world,
)
from backend.world.view_transform import view_transform

SEEDS = range(11_000_000, 11_000_006)


def drawn(seed: int, things: int | None = None) -> tuple[world.Scene, world.Camera]:
    return sampling.sample_scene(np.random.default_rng(seed), things)


def brute_force_ids(
    scene: world.Scene, camera: world.Camera, height: int, width: int
) -> np.ndarray:
    """Which thing each pixel's centre shows, by walking every ray in small even steps through every
    thing.
    """
    origin, rays = cameras.camera_rays(camera, height, width)
    steps = np.linspace(0.0, 14.0, 2801, dtype=np.float32)
    best = np.full(rays.shape[1], np.inf, np.float32)
    ids = np.full(rays.shape[1], render.BACKGROUND, np.uint8)
    for index, thing in enumerate(scene.things):
        sdf, _ = shapes.distance_function(thing)
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
    partly = (cover[:2] > 0) & (cover[:2] < 1)  # one of the two may be hidden
    assert partly.sum() > 10


def test_a_seed_decides_everything_and_another_seed_differs() -> None:
    first, again = (pool.draw_samples(SEEDS[4], 32, 48) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.edited, b.edited)
        assert a.edit == b.edit
    other = pool.draw_samples(SEEDS[5], 32, 48)
    assert not np.array_equal(first[0].image, other[0].image)


def test_a_sample_of_a_capture_sees_all_things_of_the_same_scene() -> None:
    """The same world, without grain, from a place that the seed decides."""
    for seed in SEEDS[:4]:
        (plain, *_), (first, *_) = (
            pool.draw_samples(seed, 48, 64, captured=captured) for captured in (False, True)
        )
        again = pool.draw_samples(seed, 48, 64, captured=True)[0]
        assert again.camera == first.camera != plain.camera
        still = dataclasses.replace(plain.scene.look, noise=0.0)
        assert first.scene == dataclasses.replace(plain.scene, look=still)
        for thing in first.scene.things:
            (x, y), ahead = cameras.project(first.camera, np.array([thing.position]).T, 48, 64)
            assert ahead[0] > 0
            assert 0 < x[0] < 64
            assert 0 < y[0] < 48


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
            offered = naming.wordings(scene, index)
            others = [t for i, t in enumerate(scene.things) if i != index]
            assert ("shape" in offered) == all(t.shape != thing.shape for t in others)
            same_colour = any(t.surface.colour == thing.surface.colour for t in others)
            assert ("colour" in offered) == (not same_colour)
            assert ("object" in offered) == (not others)
            assert "colour and shape" in offered


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
    camera = cameras.orbit_camera(0.4, 0.5, 3.0, (0.1, -0.2, 0.3), 0.7)
    offset = np.array(camera.position) - (0.1, -0.2, 0.3)
    assert np.linalg.norm(offset) == pytest.approx(3.0)
    assert math.atan2(offset[1], offset[0]) == pytest.approx(0.4)
    assert math.asin(offset[2] / 3.0) == pytest.approx(0.5)
    origin, rays = cameras.camera_rays(camera, 9, 11)
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
        edits = len(shard["edited"])
        assert pool.EDITS_PER_SCENE < edits <= 2 * pool.EDITS_PER_SCENE
        assert shard["edited"].shape == (edits, 32, 48, 3)
        assert shard["masks"].shape == (edits, 8, 12)
        assert shard["source"].tolist() == sorted(shard["source"])
        scene, _ = drawn(world.TRAIN_SEEDS[3 * 2])
        for thing, (shape, colour, pattern) in zip(scene.things, shard["names"][0], strict=False):
            assert world.SHAPES[shape] == thing.shape
            assert list(world.COLOURS)[colour] == thing.surface.colour
            has = thing.surface.pattern
            assert (pattern == -1) if has is None else (world.PATTERNS[pattern] == has.kind)
        assert (shard["names"][0, len(scene.things) :] == -1).all()
        assert shard["kinds"].shape == (edits,)
        texts, captions = (json.loads(bytes(shard[k])) for k in ("texts", "captions"))
        assert [len(t) for t in texts] == [pool.WORDINGS_PER_EDIT] * edits
        assert [len(c) for c in captions] == [2] * edits


def test_unknown_words_are_refused() -> None:
    scene, camera = drawn(SEEDS[0], things=1)
    with pytest.raises(ValueError, match="Unknown kinds of edit"):
        pool.draw_samples(SEEDS[0], 8, 8, kinds=("melt",))
    edit = world.Edit("melt", 0, "red", "melt the cube", "shape")
    with pytest.raises(ValueError, match="Unknown kind of edit"):
        world.apply(scene, edit)
    with pytest.raises(ValueError, match="Unknown view transform"):
        view_transform(np.zeros((3, 1), np.float32), world.Look(view="nothing"))
    thing = dataclasses.replace(scene.things[0], shape="pyramid")
    with pytest.raises(ValueError, match="Unknown shape"):
        render.render(dataclasses.replace(scene, things=(thing,)), camera, 8, 8)


def unshadowed(scene: world.Scene) -> world.Scene:
    """The scene without anything that one thing does to another's light."""
    lamps = tuple(dataclasses.replace(lamp, shadow=False) for lamp in scene.lights)
    look = dataclasses.replace(scene.look, noise=0.0)
    return dataclasses.replace(scene, lights=lamps, occlusion=0.0, look=look)


def some_edits(seed: int, count: int = 8) -> tuple[world.Scene, world.Camera, list[world.Edit]]:
    rng = np.random.default_rng(seed)
    scene, camera = sampling.sample_scene(rng)
    targets: list[int | str] = [*range(len(scene.things)), "ground", "background"]
    visible = dict.fromkeys(targets if scene.ground else targets[:-2], 0.1)
    return scene, camera, instructions.sample_edits(rng, scene, count, visible, world.KINDS)


def test_masks_of_all_kinds_are_what_two_plain_renders_show_to_differ() -> None:
    met: set[str] = set()
    for seed in range(11_000_300, 11_000_309):
        scene, camera, edits = some_edits(seed)
        scene = unshadowed(scene)
        picture = render.render(scene, camera, 24, 32)
        for edit in edits:
            edited, mask = pool.edited_picture(scene, picture, edit)
            after = render.render(world.apply(scene, edit), camera, 24, 32)
            assert np.array_equal(edited, after.image)
            assert not (edited != picture.image).any(-1)[mask == 0].any()
            if edit.target is None:
                continue
            # What each sample shows, by what it is: things that went, came or stayed.
            shown = [np.full(p.ids.shape, -1) for p in (picture, after)]
            forms: list[object] = []
            for grid, (p, s) in zip(shown, ((picture, scene), (after, after.scene)), strict=True):
                kinds: list[object] = ["background", "ground", *s.things]
                for number, kind in enumerate(kinds):
                    if kind not in forms:
                        forms.append(kind)
                    grid[p.ids == number] = forms.index(kind)
            if edit.target in ("ground", "background"):
                expected = picture.coverage(edit.target)
            else:
                expected = picture.share(shown[0] != shown[1])
            np.testing.assert_array_equal(mask, expected)
            met.add(edit.kind)
    assert met == set(world.KINDS)


def test_a_changed_scene_shares_the_work_and_nothing_of_the_result_differs() -> None:
    for seed in range(11_000_320, 11_000_326):
        scene, camera, edits = some_edits(seed)
        picture = render.render(scene, camera, 32, 40)
        for edit in edits:
            if edit.kind in world.STRUCTURAL_KINDS and edit.target is not None:
                changed = world.apply(scene, edit)
                shared, anew = picture.of(changed), render.render(changed, camera, 32, 40)
                assert np.array_equal(shared.image, anew.image)
                assert np.array_equal(shared.ids, anew.ids)
    darker = dataclasses.replace(scene, ambient=(0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="more than its things"):
        picture.of(darker)


def test_every_kind_of_edit_does_what_it_says() -> None:
    for seed in range(11_000_330, 11_000_350):
        scene, _, edits = some_edits(seed)
        for edit in edits:
            after = world.apply(scene, edit)
            if edit.target is None:
                assert after == scene
                assert edit.wording == "absent"
                continue
            if edit.kind == "remove":
                assert len(after.things) == len(scene.things) - 1
            elif edit.kind == "put on top":
                assert after.things[:-1] == scene.things
                below, top = scene.things[int(edit.target)], after.things[-1]
                assert top.position[2] > below.position[2]
                assert top.size < below.size
            elif edit.kind == "replace":
                old, new = (s.things[int(edit.target)] for s in (scene, after))
                assert new.shape != old.shape
                assert edit.colour in (None, new.surface.colour)
            else:
                old_surface = world.surface_of(scene, edit.target)
                surface = world.surface_of(after, edit.target)
                if edit.kind == "recolour":
                    assert surface.colour == edit.colour != old_surface.colour
                    assert (surface.pattern is None) == (old_surface.pattern is None)
                elif edit.kind == "add pattern":
                    assert old_surface.pattern is None
                    assert surface.pattern is not None
                    assert surface.pattern.colour == edit.colour
                else:
                    assert old_surface.pattern is not None
                    assert surface.pattern is None


def test_no_word_is_spelled_in_pieces_and_the_shipped_tokenizer_knows_the_same_words() -> None:
    tokenizer = build_tokenizer()
    shipped = json.loads((WEIGHTS / "tokenizer" / "tokenizer.json").read_text("utf-8"))
    assert tokenizer.get_vocab() == shipped["model"]["vocab"]
    known = set(instructions.vocabulary())
    rng = np.random.default_rng(3)
    for seed in range(11_000_400, 11_000_430):
        scene, _, edits = some_edits(seed)
        for edit in edits:
            for _ in range(4):
                text = instructions.worded(rng, scene, edit).instruction
                assert set(text.split()) <= known, text
                assert len(text.split()) <= 20
                assert "{" not in text


def test_a_phrase_fits_its_target_and_no_other_thing() -> None:
    adjectives = {"striped": "stripes", "checkered": "checks", "wood": "wood"}
    colour_of = {w: c for c in world.COLOURS for w in naming.COLOUR_WORDS.get(c, (c,))}
    shape_of = {w: s for s in world.SHAPES for w in naming.SHAPE_WORDS.get(s, (s,))}
    rng = np.random.default_rng(4)

    def fits(thing: world.Thing, phrase: str) -> bool:
        words = phrase.replace("monkey head", "monkey").split()
        pattern = thing.surface.pattern
        seen = {thing.surface.colour, pattern.colour if pattern else None}
        return all(
            (w not in colour_of or colour_of[w] in seen)
            and (w not in shape_of or shape_of[w] == thing.shape)
            and (w not in adjectives or (pattern is not None and pattern.kind == adjectives[w]))
            and (w != "plain" or pattern is None)
            for w in words
        )

    met: set[str] = set()
    for seed in range(11_000_500, 11_000_600):
        scene, _ = drawn(seed)
        for index in range(len(scene.things)):
            for wording in naming.wordings(scene, index):
                phrase = naming.phrase(rng, scene, index, wording)
                assert [i for i, t in enumerate(scene.things) if fits(t, phrase)] == [index]
                met.add(wording)
        assert not any(fits(t, naming.absent_phrase(rng, scene)) for t in scene.things)
    assert met == {"colour and shape", "colour", "shape", "object", "pattern", "pattern and shape"}
    with pytest.raises(ValueError, match="does not name"):
        naming.phrase(rng, drawn(SEEDS[1], 4)[0], 0, "object")


def plain_scene(*things: world.Thing) -> world.Scene:
    grey, white = (world.Surface(None, (v, v, v)) for v in (0.2, 0.8))
    sun = world.Light((1.0, 0.5, 2.0), 1.0)
    return world.Scene(
        things,
        world.Ground(grey, None),
        world.Background(white),
        (sun,),
        (0.2, 0.2, 0.2),
        0.5,
        world.Look(),
    )


def thing(shape: str, colour: str, position: world.Vector, size: float = 0.5) -> world.Thing:
    eye = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    surface = world.Surface(colour, world.COLOURS[colour])
    return world.Thing(shape, surface, position, size, 1.0, eye)


def test_captions_tell_what_is_shown_before_and_after() -> None:
    rng = np.random.default_rng(0)
    scene = plain_scene(thing("cube", "orange", (0, 0, 0.4)), thing("sphere", "blue", (2, 0, 0.5)))
    stripes = sampling.sample_pattern(rng, "stripes", "white", world.COLOURS["blue"], "sphere")
    before = "an orange cube and a blue sphere on a grey ground in front of a white background"
    ball = thing("sphere", "red", (0, 0, 1), 0.2)
    for edit, expected in (
        (
            world.Edit("add pattern", 1, "white", "", "", pattern=stripes),
            before.replace("a blue", "a striped blue"),
        ),
        (world.Edit("remove", 1, None, "", ""), before.replace(" and a blue sphere", "")),
        (world.Edit("recolour", "ground", "red", "", ""), before.replace("a grey", "a red")),
        (
            world.Edit("put on top", 0, "red", "", "", thing=ball),
            before.replace("cube", "cube with a small red sphere on top"),
        ),
        (
            world.Edit("replace", 1, None, "", "", thing=thing("cone", "blue", (2, 0, 0.5))),
            before.replace("sphere", "cone"),
        ),
        (world.Edit("remove", None, None, "", ""), before),
    ):
        assert naming.captions(scene, edit, [0, 1]) == (before, expected)
    nothing_left = naming.captions(scene, world.Edit("remove", 1, None, "", ""), [1])[1]
    assert nothing_left == "a grey ground in front of a white background"


def test_patterns_show_both_colours_in_their_shares_and_fade_when_far() -> None:
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.9, 0.9, (3, 4000)).astype(np.float32)
    for kind in world.PATTERNS:
        pattern = sampling.sample_pattern(rng, kind, None, (0.5, 0.5, 0.5), "sphere")
        sharp = textures.second_share(pattern, points, lambda axis: np.full(4000, 1e-4, np.float32))
        assert sharp.min() == pytest.approx(0, abs=1e-3)
        assert sharp.max() == pytest.approx(1, abs=1e-3)
        assert sharp.mean() == pytest.approx(0.5, abs=0.12)
        wide = np.full(4000, 6 * pattern.period, np.float32)
        far = textures.second_share(pattern, points, lambda axis, wide=wide: wide)
        np.testing.assert_allclose(far, 0.5, atol=0.1)
    # along its axis a stripe is what the formula of a square wave says, in every half period
    stripes = world.Pattern("stripes", "red", (1, 0, 0), 0.5, (0.0, 1.0, 0.0), (0.0, 0.0, 0.0))
    places = np.array([[0.0] * 4, [0.1, 0.35, 0.6, -0.1], [0.3] * 4], np.float32)
    found = textures.second_share(stripes, places, lambda axis: np.full(4, 1e-3, np.float32))
    np.testing.assert_allclose(found, [1, 0, 1, 0], atol=1e-3)
    with pytest.raises(ValueError, match="Unknown pattern"):
        textures.second_share(dataclasses.replace(stripes, kind="dots"), places, lambda axis: 0)


def test_a_pattern_is_painted_in_its_two_colours_and_is_anti_aliased() -> None:
    sphere = thing("sphere", "red", (0.0, 0.0, 0.5))
    checks = world.Pattern("checks", "blue", world.COLOURS["blue"], 0.5, (0, 0, 1), (0.1, 0.2, 0.3))
    surface = dataclasses.replace(sphere.surface, pattern=checks)
    camera = cameras.orbit_camera(0.3, 0.4, 2.5, (0, 0, 0.5), 0.6)
    picture = render.render(plain_scene(sphere), camera, 64, 64, supersample=4)
    inside = picture.coverage(0) == 1
    checked = picture.recoloured(0, surface)
    blue = picture.recoloured(0, dataclasses.replace(surface, albedo=checks.albedo, pattern=None))
    is_red = (checked == picture.image).all(-1) & inside
    is_blue = (checked == blue).all(-1) & inside
    assert 0.15 < is_red.sum() / inside.sum() < 0.6  # the rest are edges
    assert 0.15 < is_blue.sum() / inside.sum() < 0.6
    assert (inside & ~is_red & ~is_blue).any()
    # few samples give nearly the picture that many give: the edges of the checks are filtered
    coarse = render.render(plain_scene(sphere), camera, 64, 64, supersample=1)
    difference = coarse.recoloured(0, surface).astype(float) - checked
    assert np.abs(difference[inside]).mean() < 8


def test_things_on_top_stand_on_what_is_below_them() -> None:
    rng = np.random.default_rng(2)
    surface = world.Surface("red", world.COLOURS["red"])
    cube = thing("cube", "blue", (1.0, -2.0, 0.4))
    ball = placing.topping(rng, cube, "sphere", surface)
    assert ball is not None
    assert ball.position[:2] == (1.0, -2.0)
    assert ball.position[2] - ball.size == pytest.approx(0.8, abs=2e-3)
    cone = placing.topping(rng, thing("sphere", "blue", (0, 0, 0.5)), "cone", surface)
    assert cone is not None
    assert 0.8 < cone.position[2] - cone.stretch * cone.size < 1.0  # sunk, not floating
    assert placing.topping(rng, thing("torus", "blue", (0, 0, 0.2)), "sphere", surface) is None
    assert placing.topping(rng, thing("cone", "blue", (0, 0, 0.5)), "cube", surface) is None
    swapped = placing.replacement(rng, cube, "torus", surface)
    assert swapped.position[2] - 0.28 * swapped.size == pytest.approx(0.0, abs=1e-6)


def test_cameras_around_a_scene_see_a_sphere_where_their_poses_say() -> None:
    centre, radius = np.array([0.4, -0.3, 0.5]), 0.5
    scene = plain_scene(
        thing("sphere", "red", tuple(centre), radius), thing("cube", "blue", (-0.9, 0.6, 0.4))
    )
    first = cameras.orbit_camera(0.7, 0.5, 4.0, (0.0, 0.0, 0.4), 0.8, roll=0.1)
    height, width = 60, 80
    views = cameras.orbit(first, 5, height, width)
    np.testing.assert_allclose(views[0].camera.position, first.position, atol=1e-9)
    assert len({v.camera.position for v in views}) == 5
    rows, columns = np.mgrid[:height, :width]
    for view in views:
        pose, (fx, fy, cx, cy) = view.camera_to_world, view.intrinsics
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
        # The silhouette by the poses alone: pixels whose ray passes the centre closer than radius.
        local = [(columns + 0.5 - cx) / fx, -(rows + 0.5 - cy) / fy, -np.ones((height, width))]
        rays = np.stack(local, -1) @ pose[:3, :3].T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        missed = np.linalg.norm(np.cross(rays, centre - pose[:3, 3]), axis=-1)
        alone = dataclasses.replace(scene, things=scene.things[:1])
        mask = render.render(alone, view.camera, height, width).coverage(0)
        assert ((mask > 0.5) != (missed < radius)).mean() < 0.004
        ((x,), (y,)), ahead = cameras.project(view.camera, centre[:, None], height, width)
        assert ahead[0] > 0
        assert mask[int(y), int(x)] == 1
        # the middle of the silhouette lies beside it by perspective's little only
        assert np.hypot(columns[mask > 0.5].mean() + 0.5 - x, rows[mask > 0.5].mean() + 0.5 - y) < 1
        # both things' masks are exact in every view: they add up to what is not ground or sky
        both = render.render(scene, view.camera, height, width)
        things = both.coverage(0) + both.coverage(1)
        rest = both.coverage("ground") + both.coverage("background")
        np.testing.assert_allclose(things + rest, 1, atol=1e-6)
    behind = views[0].camera_to_world @ np.array([0, 0, 1, 1])
    _, ahead = cameras.project(views[0].camera, behind[:3, None], height, width)
    assert ahead[0] < 0


def test_most_scenes_hold_several_things_and_kinds_come_in_their_shares() -> None:
    counts = [len(drawn(seed)[0].things) for seed in range(11_001_000, 11_001_200)]
    assert np.mean(np.array(counts) > 1) >= 0.7
    kinds = [e.kind for seed in range(11_001_000, 11_001_060) for e in some_edits(seed)[2]]
    assert 0.45 < np.mean([k == "recolour" for k in kinds]) < 0.6
    for kind in world.KINDS[1:]:
        assert np.mean([k == kind for k in kinds]) > 0.03, kind
    structural = [k in world.STRUCTURAL_KINDS for k in kinds]
    assert np.mean(structural) <= 2 / 8


def test_the_wordings_of_an_edit_take_turns() -> None:
    rng = np.random.default_rng(6)
    scene = plain_scene(thing("cube", "red", (0, 0, 0.4)), thing("sphere", "blue", (2, 0, 0.5)))
    edit = instructions.sample_recolouring(rng, scene, 0, "colour and shape", "green")
    camera = cameras.orbit_camera(0.7, 0.5, 4.0, (0.0, 0.0, 0.4), 0.8)
    empty = np.zeros((0, 0))
    sample = pool.Sample(empty, empty, empty, empty, edit, scene, camera, ("", ""))
    texts = [t for _ in range(40) for t in pool.balanced_wordings(rng, sample)[1:]]
    named_by_shape = [("cube" in t or "box" in t) and " red " not in t for t in texts]
    named_by_colour = [" red " in t and "cube" not in t and "box" not in t for t in texts]
    assert np.mean(named_by_shape) == pytest.approx(1 / 3, abs=0.08)
    assert np.mean(named_by_colour) == pytest.approx(1 / 3, abs=0.08)
