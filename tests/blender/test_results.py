"""The mask follows the threshold, and pictures replace each other as an artist expects."""

import time
from types import SimpleNamespace

import bpy
import numpy as np
import pytest


def show(addon: SimpleNamespace, scene: bpy.types.Scene, relevance: np.ndarray) -> None:
    exr = addon.encode.encode_exr(relevance)
    maps = addon.results.PictureMapSettings()
    addon.results.install_relevance(scene, relevance, exr, "an instruction", maps, 0.5, "")


def shown_mask(addon: SimpleNamespace, scene: bpy.types.Scene) -> np.ndarray:
    return addon.pictures.read_gray(scene.watch_your_steps.mask_image) > 0.5


@pytest.mark.parametrize("seed", range(5))
def test_mask_is_the_thresholded_map(addon: SimpleNamespace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = bpy.context.scene
    relevance = rng.random((37, 61), np.float32)
    threshold = rng.random(dtype=np.float32)
    relevance[3, 5] = threshold  # exactly at the threshold is inside
    show(addon, scene, relevance)
    for value in (threshold, 0.0, 1.0):
        scene.watch_your_steps.threshold = value
        assert np.array_equal(shown_mask(addon, scene), relevance >= np.float32(value))


def test_threshold_of_another_scene_moves_its_own_mask(addon: SimpleNamespace) -> None:
    here, there = bpy.context.scene, bpy.data.scenes.new("there")
    relevance = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    show(addon, here, relevance)
    show(addon, there, relevance)
    there.watch_your_steps.threshold = 0.9
    assert np.array_equal(shown_mask(addon, there), relevance >= np.float32(0.9))
    assert np.array_equal(shown_mask(addon, here), relevance >= np.float32(0.5))


def test_threshold_without_a_map_does_nothing(addon: SimpleNamespace) -> None:
    bpy.context.scene.watch_your_steps.threshold = 0.2
    assert bpy.context.scene.watch_your_steps.mask_image is None


def test_the_map_survives_saving(addon: SimpleNamespace, tmp_path) -> None:
    scene = bpy.context.scene
    relevance = np.random.default_rng(0).random((48, 64), np.float32)
    show(addon, scene, relevance)
    scene.watch_your_steps.threshold = 0.7
    path = str(tmp_path / "scene.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=path)
    settings = bpy.context.scene.watch_your_steps
    assert np.array_equal(addon.pictures.read_gray(settings.relevance_image), relevance)
    assert settings.mask_image.packed_file is not None
    assert np.array_equal(
        shown_mask(addon, bpy.context.scene), relevance >= np.float32(settings.threshold)
    )
    settings.threshold = 0.1
    assert np.array_equal(shown_mask(addon, bpy.context.scene), relevance >= np.float32(0.1))


def test_a_new_map_takes_the_place_of_the_old_one(addon: SimpleNamespace) -> None:
    scene = bpy.context.scene
    show(addon, scene, np.zeros((4, 6), np.float32))
    name = scene.watch_your_steps.relevance_image.name
    texture = bpy.data.textures.new("uses it", "IMAGE")
    texture.image = scene.watch_your_steps.relevance_image
    show(addon, scene, np.ones((8, 3), np.float32))
    assert scene.watch_your_steps.relevance_image.name == name
    assert texture.image == scene.watch_your_steps.relevance_image
    assert tuple(scene.watch_your_steps.mask_image.size) == (3, 8)
    assert len(bpy.data.images) == 2


def test_threshold_is_faster_than_the_plain_way(addon: SimpleNamespace) -> None:
    """Side by side in one run: the slider's whole step against the obvious way to write a mask."""
    scene = bpy.context.scene
    relevance = np.random.default_rng(0).random((1024, 1024), np.float32)
    show(addon, scene, relevance)
    plain_image = bpy.data.images.new("plain", 1024, 1024)

    def plain(threshold: float) -> None:
        mask = (relevance >= threshold)[::-1].astype(np.float32)
        pixels = np.dstack([mask, mask, mask, np.ones_like(mask)])
        plain_image.pixels.foreach_set(pixels.ravel())
        plain_image.update()

    def own(threshold: float) -> None:
        scene.watch_your_steps.threshold = threshold

    seconds: dict[str, list[float]] = {"own": [], "plain": []}
    for threshold in np.linspace(0.1, 0.9, 25):
        for name, step in (("own", own), ("plain", plain)):
            start = time.perf_counter()
            step(float(threshold))
            seconds[name].append(time.perf_counter() - start)
    assert np.array_equal(
        np.array(plain_image.pixels[:]),
        np.array(scene.watch_your_steps.mask_image.pixels[:]),
    )
    # pair by pair: what else the machine does lengthens both of most pairs alike
    shares = np.array(seconds["own"]) / np.array(seconds["plain"])
    assert np.median(shares) < 1
