"""Regions: a map snapped to the picture's edges or to whole things, as both sides compute it."""

import numpy as np
import pytest

from protocol import region
from protocol.region import edge_map, explained, snapped, thing_scores, with_clicks


def a_map(height, width, seed=0):
    """A blob in coarse cells, float32 (H, W), 0..1, with some noise."""
    rows, columns = np.mgrid[:height, :width] // 4 * 4
    distance = np.hypot(rows - height / 2, columns - width / 2) / max(height, width)
    noise = np.random.default_rng(seed).normal(0, 0.02, (height, width))
    return (np.exp(-8 * distance**2) + noise).clip(0, 1).astype(np.float32)


def a_picture(height, width, seed=0):
    """Two flat colours with grain, the border at half the width."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), (40, 90, 160))
    image[:, width // 2 :] = (200, 80, 60)
    return (image + rng.integers(-5, 6, image.shape)).astype(np.uint8)


def plain_guided_filter(target, image, radius, smooth):
    """The guided filter as it is written down, window by window, with numpy's own solver."""
    height, width = target.shape
    guide = image.astype(np.float64) / 255
    slopes, offsets = np.zeros((height, width, 3)), np.zeros((height, width))

    def window(row, column):
        return np.s_[
            max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1
        ]

    for row in range(height):
        for column in range(width):
            colours = guide[window(row, column)].reshape(-1, 3)
            values = target[window(row, column)].ravel().astype(np.float64)
            centred = colours - colours.mean(axis=0)
            covariance = centred.T @ centred / len(values) + smooth * np.eye(3)
            both = centred.T @ (values - values.mean()) / len(values)
            slopes[row, column] = np.linalg.solve(covariance, both)
            offsets[row, column] = values.mean() - slopes[row, column] @ colours.mean(axis=0)
    found = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            slope = slopes[window(row, column)].reshape(-1, 3).mean(axis=0)
            found[row, column] = slope @ guide[row, column] + offsets[window(row, column)].mean()
    return found.clip(0, 1)


@pytest.mark.parametrize(("height", "width"), [(24, 30), (33, 32), (1, 1), (1, 40), (40, 2)])
def test_edges_are_the_guided_filter_as_it_is_written_down(height, width):
    image, relevance = a_picture(height, width), a_map(height, width)
    radius = max(1, round(region.RADIUS * min(height, width)))
    plain = plain_guided_filter(relevance, image, radius, region.SMOOTH)
    assert edge_map(relevance, image) == pytest.approx(plain, abs=1e-6)


def test_the_fast_filter_of_a_large_picture_is_near_the_exact_one(monkeypatch):
    """Sizes that are no multiple of its cells, too."""
    height, width = 203, 262
    image, relevance = a_picture(height, width), a_map(height, width)
    exact = edge_map(relevance, image)
    monkeypatch.setattr(region, "SMALL_SIDE", 64)
    fast = edge_map(relevance, image)
    assert fast.shape == exact.shape
    assert np.abs(fast - exact).mean() < 0.01
    assert np.abs(fast - exact).max() < 0.12


def test_a_blurred_outline_moves_to_the_edge_of_the_picture():
    height, width = 256, 256
    image = a_picture(height, width)
    ramp = ((np.arange(width) - width / 2 - 3) / 12 + 0.5).clip(0, 1)  # 3 pixels off the edge
    relevance = np.broadcast_to(ramp, (height, width)).astype(np.float32)
    truth = np.arange(width) >= width // 2
    wrong = ((relevance >= 0.5) != truth).mean()
    snapped_wrong = ((edge_map(relevance, image) >= 0.5) != truth).mean()
    assert wrong > 0.01
    assert snapped_wrong < wrong / 3


def test_scores_of_things_are_means_of_each_thing_alone():
    rng = np.random.default_rng(3)
    values = rng.random(5000).astype(np.float32)
    labels = rng.integers(0, 1500, 5000) * 43  # gaps, and things of one pixel
    weights = rng.random(5000)
    scores = thing_scores(values, labels, weights)
    assert scores.dtype == np.float32
    assert len(scores) == labels.max() + 1
    for label in range(labels.max() + 1):
        mine = labels == label
        expected = np.average(values[mine], weights=weights[mine]) if mine.any() else 0.0
        assert scores[label] == pytest.approx(expected, abs=1e-6)


def test_a_thing_whose_pixels_do_not_count_has_no_relevance():
    scores = thing_scores(np.ones(4, np.float32), np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
    assert scores.tolist() == [1, 0]


def two_things(height=40, width=60):
    things = np.zeros((height, width), np.uint16)
    things[10:30, 20:40] = 9
    return things


def test_a_map_of_a_thing_becomes_the_thing():
    things = two_things()
    relevance = (things > 0) * np.float32(0.8) + np.float32(0.1)
    relevance[8:20, 18:24] = 0.55  # the map's own outline cuts across it
    found = snapped(relevance, a_picture(40, 60), "things", things, 0.5)
    assert (found.took, found.why) == ("things", "")
    assert ((found.values >= found.suggested_threshold) == (things == 9)).all()


def test_a_part_of_a_thing_falls_back_to_edges_and_says_so():
    things = two_things()
    relevance = np.full((40, 60), 0.1, np.float32)
    relevance[12:16, 22:27] = 0.9
    found = snapped(relevance, a_picture(40, 60), "things", things, 0.5)
    assert found.took == "edges"
    assert found.why == region.NO_WHOLE_THINGS
    assert (found.values == edge_map(relevance, a_picture(40, 60))).all()


@pytest.mark.parametrize("label", [0, 7])
@pytest.mark.parametrize("others", [0, 2])
def test_labels_of_one_thing_only_do_not_make_the_whole_picture_the_region(label, others):
    """An empty label image, one label for all, with some stray pixels of another or without."""
    relevance = np.full((40, 60), 0.1, np.float32)
    relevance[12:16, 22:27] = 0.9
    things = np.full((40, 60), label, np.uint16)
    things[0, :others] = 3
    found = snapped(relevance, a_picture(40, 60), "things", things, 0.5)
    assert found.took == "edges"
    assert found.why == (region.NO_WHOLE_THINGS if others else region.ONE_THING)
    assert (found.values >= found.suggested_threshold).mean() < 0.1


@pytest.mark.parametrize("seed", range(5))
def test_a_small_part_of_a_large_thing_is_not_the_thing_however_noisy_its_map(seed):
    """As the eyes of a face are in the maps of large models."""
    rng = np.random.default_rng(seed)
    cells = rng.uniform(0.05, 0.3, (32, 32)).astype(np.float32)
    cells[10:14, 4:9] = 0.9
    relevance = np.kron(cells, np.ones((8, 8), np.float32))
    things = np.zeros((256, 256), np.uint16)
    things[:, 128:] = 1
    found = snapped(relevance, a_picture(256, 256), "things", things, 0.5)
    assert (found.took, found.why) == ("edges", region.NO_WHOLE_THINGS)
    assert (found.values >= found.suggested_threshold).mean() < 0.1


def test_one_thing_that_is_relevant_all_over_is_the_region():
    relevance = np.full((40, 60), 0.8, np.float32)
    relevance[:, :4] = 0.2
    found = snapped(relevance, a_picture(40, 60), "things", np.ones((40, 60), np.uint16), 0.5)
    assert found.took == "things"
    assert (found.values >= found.suggested_threshold).all()


def test_without_things_the_edges_are_taken_and_nothing_leaves_the_map_alone():
    relevance, image = a_map(40, 60), a_picture(40, 60)
    found = snapped(relevance, image, "things", None, 0.4)
    assert (found.took, found.why) == ("edges", region.NO_THINGS)
    plain = snapped(relevance, image, "nothing", two_things(), 0.4)
    assert (plain.took, plain.why, plain.suggested_threshold) == ("nothing", "", 0.4)
    assert (plain.values == relevance).all()


def test_a_thing_that_no_pixel_s_own_relevance_reaches_the_threshold_of_is_found():
    """Stripes of one thing are relevant, and it is more relevant than all others."""
    things = two_things()
    relevance = np.full((40, 60), 0.05, np.float32)
    relevance[10:30, 20:40] = 0.2
    relevance[10:30, 20:40:6] = 0.4
    found = snapped(relevance, a_picture(40, 60), "things", things, 0.3)
    assert found.took == "things"
    assert ((found.values >= found.suggested_threshold) == (things == 9)).all()


def test_a_speck_does_not_say_what_is_most_relevant():
    things = two_things()
    things[0, 0] = 77
    relevance = (things == 9) * np.float32(0.3)
    relevance[0, 0] = 1
    found = snapped(relevance, a_picture(40, 60), "things", things, 0.5)
    region_found = found.values >= found.suggested_threshold
    assert (region_found == ((things == 9) | (things == 77))).all()


def test_a_map_that_is_nowhere_relevant_gives_an_empty_region():
    nothing = np.zeros((40, 60), np.float32)
    for things in (two_things(), np.zeros((40, 60), int)):
        found = snapped(nothing, a_picture(40, 60), "things", things, 0.5)
        assert not (found.values >= found.suggested_threshold).any()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("snap", ["nothing", "edges", "things"])
def test_a_map_that_is_the_same_everywhere_stays_so(value, snap):
    relevance = np.full((40, 60), value, np.float32)
    found = snapped(relevance, a_picture(40, 60), snap, two_things(), 0.5)
    assert found.values == pytest.approx(value, abs=1e-6)
    assert found.values.dtype == np.float32


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 1), (2, 2), (700, 3)])
@pytest.mark.parametrize("snap", ["nothing", "edges", "things"])
def test_tiny_and_thin_pictures_and_one_colour(height, width, snap):
    image = np.full((height, width, 3), 90, np.uint8)
    things = np.arange(height * width).reshape(height, width)  # every pixel is a thing
    found = snapped(a_map(height, width), image, snap, things, 0.5)
    assert found.values.shape == (height, width)
    assert np.isfinite(found.values).all()
    assert found.values.min() >= 0
    assert found.values.max() <= 1


def test_arrays_of_another_size_are_refused():
    with pytest.raises(ValueError, match="things are"):
        snapped(a_map(4, 5), a_picture(4, 5), "things", np.zeros((5, 4), int), 0.5)
    with pytest.raises(ValueError, match="the image is"):
        snapped(a_map(4, 5), a_picture(5, 4), "edges", None, 0.5)


def test_things_explain_a_map_of_whole_things_in_any_order():
    things = two_things().ravel()
    values = (things == 9) * np.float32(0.7)
    order = np.random.default_rng(0).permutation(len(things))
    assert explained(values[order], things[order])
    part = values * (np.arange(len(things)) % 60 < 24)
    assert not explained(part[order], things[order])


def test_things_that_are_all_relevant_explain_a_map():
    values = np.random.default_rng(0).uniform(0.8, 1, 4000).astype(np.float32)
    assert explained(values, np.arange(4000) // 1000)
    assert explained(values, np.zeros(4000, int))
    assert not explained(values * (np.arange(4000) % 4 == 0), np.zeros(4000, int), threshold=0.1)


def test_clicks_add_and_remove_whole_things():
    things = two_things()
    things[0] = 5
    mask = np.zeros(things.shape, bool)
    mask[15, 25] = True
    assert (with_clicks(mask, things, {5}, set()) == (mask | (things == 5))).all()
    assert not with_clicks(mask, things, {5}, {5, 9}).any()
    assert (with_clicks(mask, things, set(), set()) == mask).all()
