"""Depths that are none, or in a unit that is plausible beside the cameras, found by whether what
several views see meets in the same surfaces.
"""

import json

import numpy as np
import pytest

from backend.captures.depth_agreement import SeenDepth, found_in
from backend.captures.lens import Intrinsics
from backend.captures.transforms import open_capture, readable
from tests.backend.tiny_capture import orbit_capture, orbit_pose, planar, trace

COUNT, SIZE = 12, 40


def noise(depth, share):
    rng = np.random.default_rng(int(depth.sum()))
    return depth * (1 + share * rng.normal(size=depth.shape))


def along_rays(depth):
    row, column = (np.mgrid[:SIZE, :SIZE] + 0.5 - SIZE / 2) / (1.3 * SIZE)
    return depth * np.sqrt(1 + row**2 + column**2)


def with_depths(folder, change):
    """A capture whose exact depths are changed, opened and read whole."""
    orbit_capture(folder, COUNT, SIZE, depth_every=1)
    for frame in json.loads((folder / "transforms.json").read_text("utf-8"))["frames"]:
        path = folder / frame["depth_file_path"]
        with np.errstate(divide="ignore"):
            np.save(path, np.asarray(change(np.load(path))))
    return readable(open_capture(folder))


@pytest.mark.parametrize(
    "change",
    [
        lambda depth: depth,
        lambda depth: depth.astype(np.float16),
        lambda depth: np.rint(depth * 1000).astype(np.uint16),
        lambda depth: depth[::2, ::2],
        lambda depth: 1.03 * depth,
        lambda depth: noise(depth, 0.05),
        lambda depth: np.where(depth > np.median(depth), np.inf, depth),
    ],
)
def test_depths_that_meet_are_used_without_a_word(tmp_path, change):
    capture = with_depths(tmp_path, change)
    assert capture.notes == ()
    assert all(view.depth is not None for view in capture.views)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda depth: 3 * depth, "times too large for the distances of the cameras"),
        (lambda depth: noise(10 * depth, 0.03), "times too large for the distances"),
        (lambda depth: np.rint(5000 * depth).astype(np.uint16), "times too large"),
        (lambda depth: np.rint(256 * depth).astype(np.uint16), "times too small"),
        (lambda depth: depth / 10, "10 times too small for the distances of the cameras"),
        (lambda depth: 1 / depth, "as inverse depths (disparities)"),
        (lambda depth: 4 / depth, "as inverse depths (disparities)"),
        (along_rays, "as distances from the cameras, not along their axes"),
        (lambda depth: -depth, "are 0, negative or not finite everywhere"),
        (lambda depth: depth * np.nan, "are 0, negative or not finite everywhere"),
    ],
)
def test_depths_that_are_something_else_are_named_and_not_used(tmp_path, change, words):
    capture = with_depths(tmp_path, change)
    (note,) = capture.notes
    assert note.startswith("The depths that transforms.json names, such as that of images/0")
    assert words in note
    assert "and are not used: store" in note
    assert all(view.depth is None for view in capture.views)


@pytest.mark.parametrize(
    ("count", "height", "radius"),
    [(2, 0.9, 4.0), (3, 0.2, 4.0), (5, 0.4, 3.0), (7, 0.3, 4.0), (8, 0.1, 7.0), (9, 0.1, 4.0)],
)
def test_exact_depths_of_few_views_from_all_sides_are_not_taken_for_others(count, height, radius):
    camera = Intrinsics(52, 52, 20, 20, 40, 40)
    turns = 2 * np.pi * np.arange(count) / count
    poses = np.array([orbit_pose(turn, height, radius) for turn in turns])
    depths = [planar(trace(pose, camera)[2], camera) for pose in poses]
    assert found_in([SeenDepth.of(camera, depth) for depth in depths], poses) is None
