"""What a threshold means for a relevance field: its scale, and where 0.5 lies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backend.editing.threshold import suggest_threshold
from backend.fields.calibration import CANDIDATES, WINDOW, Calibration, calibrate, edge_strength

SIZES = st.tuples(st.integers(1, 8), st.integers(1, 8))
PLAIN = np.full((1, 1, 3), 0.4, np.float32)


def views(draw: st.DrawFn) -> tuple[list[np.ndarray], list[np.ndarray]]:
    sizes = draw(st.lists(SIZES, min_size=1, max_size=3))
    values = st.floats(0, 1, width=32)
    relevance = [draw(hnp.arrays(np.float32, size, elements=values)) for size in sizes]
    pictures = [draw(hnp.arrays(np.float32, (*size, 3), elements=values)) for size in sizes]
    return relevance, pictures


VIEWS = st.composite(views)()


@settings(deadline=None)
@given(VIEWS, st.floats(0, 1))
def test_the_threshold_means_the_same_on_both_scales(
    seen: tuple[list[np.ndarray], list[np.ndarray]], threshold: float
) -> None:
    calibration = calibrate(*seen)
    values = np.concatenate([view.ravel() for view in seen[0]])
    assert (calibration.low, calibration.high) == (values.min(), values.max())
    assert calibration.low <= calibration.middle <= calibration.high
    mine = calibration.of(values)
    assert mine.dtype == np.float32
    assert ((mine >= 0) & (mine <= 1)).all()
    order = np.argsort(values)
    assert (np.diff(mine[order]) >= 0).all()
    if calibration.low < calibration.middle < calibration.high:
        clear = np.abs(mine - threshold) > 1e-5
        above = values >= calibration.field_value(threshold)
        np.testing.assert_array_equal((mine >= threshold)[clear], above[clear])


def in_words(relevance: list[np.ndarray], pictures: list[np.ndarray], middle: float) -> float:
    """`edge_strength` at one candidate, pair by pair."""
    total, count = 0.0, 0
    for offset in range(-WINDOW, WINDOW + 1):
        t = middle + offset * 0.01
        for view, picture in zip(relevance, pictures, strict=True):
            for i, j in np.ndindex(view.shape):
                for k, m in ((i + 1, j), (i, j + 1)):
                    if k == view.shape[0] or m == view.shape[1]:
                        continue
                    lower, upper = sorted((float(view[i, j]), float(view[k, m])))
                    if lower < t <= upper:
                        change = np.abs(picture[i, j] - picture[k, m]).max()
                        total += (upper - lower) * float(change)
                        count += 1
    return total / count if count else 0.0


@settings(deadline=None, max_examples=30)
@given(VIEWS)
def test_strength_is_what_its_equation_says(
    seen: tuple[list[np.ndarray], list[np.ndarray]],
) -> None:
    # away from the thresholds, where the two ways' rounding would decide
    relevance = [(np.round(view * 50) / 50 + 0.005).astype(np.float32) for view in seen[0]]
    found = edge_strength(relevance, seen[1])
    assert found.shape == CANDIDATES.shape
    for k in (0, 17, 30, 60):
        assert found[k] == pytest.approx(in_words(relevance, seen[1], CANDIDATES[k]), abs=1e-6)


def test_half_parts_target_and_rest_where_pictures_have_no_edges() -> None:
    rng = np.random.default_rng(0)
    rest, target = 0.08 + 0.05 * rng.random(5000), 0.4 + 0.2 * rng.random(150)
    values = np.concatenate([rest, target]).astype(np.float32)[None]
    calibration = calibrate([values], [np.broadcast_to(PLAIN, (*values.shape, 3))])
    assert calibration.field_value(0.5) == pytest.approx(suggest_threshold(values))
    assert 0.13 < calibration.field_value(0.5) < 0.4
    assert calibration.field_value(0) == calibration.low
    assert calibration.field_value(1) == calibration.high
    assert (calibration.of(target.astype(np.float32)) >= 0.5).all()
    assert (calibration.of(rest.astype(np.float32)) < 0.5).all()


def disc(radius: float, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A disc, bool, and how far each pixel is from its outline, outwards."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    beyond = np.hypot(rows, columns) - radius
    return beyond < 0, beyond


@pytest.mark.parametrize("shift", [-2.0, 2.0])
@pytest.mark.parametrize("striped", [False, True])
def test_half_moves_to_where_the_outline_follows_the_edges(shift: float, striped: bool) -> None:
    """A field whose blurred region is too wide or too narrow at Otsu's threshold."""
    relevance, pictures, masks = [], [], []
    rng = np.random.default_rng(0)
    for radius in (14, 16, 18):
        mask, beyond = disc(radius)
        relevance.append((0.1 + 0.5 / (1 + np.exp((beyond - shift) / 2))).astype(np.float32))
        picture = np.where(mask[..., None], [0.8, 0.2, 0.1], [0.3, 0.3, 0.35])
        if striped:  # stronger edges than the outline's, all over the disc
            picture[mask & (np.arange(64) // 5 % 2 == 0)] = (0.0, 0.9, 1.0)
        pictures.append((picture + 0.01 * rng.standard_normal(picture.shape)).astype(np.float32))
        masks.append(mask)

    def iou(value: float) -> float:
        pairs = [(view >= value, mask) for view, mask in zip(relevance, masks, strict=True)]
        return float(np.mean([(one & other).sum() / (one | other).sum() for one, other in pairs]))

    otsu = suggest_threshold(np.concatenate([view.ravel() for view in relevance]))
    calibration = calibrate(relevance, pictures)
    assert iou(otsu) < 0.85
    assert iou(calibration.field_value(0.5)) > 0.95


def test_a_field_that_is_the_same_everywhere_selects_nothing() -> None:
    flat = np.full((5, 10), 0.3, np.float32)
    calibration = calibrate([flat], [np.random.default_rng(0).random((5, 10, 3), np.float32)])
    assert (calibration.of(np.full(5, 0.3, np.float32)) == 0).all()
    assert Calibration(0.0, 0.5, 1.0).field_value(0.25) == 0.25
