"""The figures' own correctness: against brute force, and on maps whose figures are known."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.__main__ import main
from backend.demo import world
from backend.evaluation import metrics
from backend.evaluation.relevance import (
    Measured,
    draw_test_samples,
    groups_of,
    l1,
    l2,
    markdown,
    selects,
    stretch,
)

cells = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40).filter(
    lambda drawn: len({inside for _, inside in drawn}) == 2
)


def arrays(drawn):
    values = np.array([[value / 5 for value, _ in drawn]], np.float32)
    truth = np.array([[inside for _, inside in drawn]])
    return values, truth


@given(cells)
def test_auroc_equals_counting_pairs(drawn):
    values, truth = arrays(drawn)
    inside, outside = values[truth], values[~truth]
    wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside)
    assert metrics.auroc(values, truth) == pytest.approx(wins / (len(inside) * len(outside)))


@given(cells)
def test_iou_and_best_iou_equal_counting_cells(drawn):
    values, truth = arrays(drawn)
    ious = []
    for threshold in metrics.BEST_OF:
        mask = [value >= threshold for value in values[0]]
        both = sum(m and t for m, t in zip(mask, truth[0], strict=True))
        either = sum(m or t for m, t in zip(mask, truth[0], strict=True))
        ious.append(both / either)
        assert metrics.intersection_over_union(values >= threshold, truth) == ious[-1]
    assert metrics.best_iou(values, truth) == max(ious)


def test_figures_of_perfect_and_useless_maps():
    truth = np.zeros((8, 8), bool)
    truth[2:5, 3:7] = True
    perfect = truth.astype(np.float32)
    assert metrics.auroc(perfect, truth) == 1
    assert metrics.average_precision(perfect, truth) == 1
    assert metrics.auroc(np.ones((8, 8), np.float32), truth) == 0.5
    assert metrics.average_precision(np.ones((8, 8), np.float32), truth) == truth.mean()
    assert metrics.intersection_over_union(~truth, truth) == 0
    assert metrics.intersection_over_union(truth & False, truth & False) == 1


def test_psnr_of_a_known_difference():
    image = np.full((4, 4, 3), 100, np.uint8)
    other = image.copy()
    other[0] += 10
    where = np.zeros((4, 4), bool)
    where[0] = True
    assert metrics.psnr(other, image, where) == pytest.approx(20 * np.log10(255 / 10))
    assert metrics.psnr(other, image, ~where) == np.inf


def test_norms_over_channels_and_seeds():
    differences = np.array([[[[3.0]], [[4.0]]], [[[6.0]], [[8.0]]]], np.float32)  # seeds, c, 1, 1
    assert l1(differences)[0, 0] == pytest.approx((7 + 14) / 2)
    assert l2(differences)[0, 0] == pytest.approx((5 + 10) / 2)
    stretched = stretch(np.array([[2.0, 4.0, 3.0]], np.float32))
    assert stretched.tolist() == [[0.0, 1.0, 0.5]]


def test_selection_asks_for_the_highest_mean_on_the_named_thing():
    present, _ = draw_test_samples(12)
    sample = next(
        s for s in present if isinstance(s.edit.target, int) and len(s.scene.things) > 1
        and all(thing.mean() > 0.02 for thing in s.things)
    )  # fmt: skip
    things = sample.things.astype(np.float32)
    target = sample.edit.target
    other = next(i for i in range(len(things)) if i != target)

    def measured(high):
        return Measured(sample, sample.mask > 0.5, things, things[high][None, None], {})

    assert selects(measured(target)) is True
    assert selects(measured(other)) is False
    assert "one of several objects" in groups_of(sample)
    assert f"object named by {sample.edit.wording}" in groups_of(sample)


def test_samples_come_from_test_seeds_only():
    present, absent = draw_test_samples(6)
    assert len(present) == 6
    assert all(sample.edit.target is not None for sample in present)
    assert all(sample.edit.target is None for sample in absent)
    assert not set(world.TEST_SEEDS) & set(world.TRAIN_SEEDS)
    assert not set(world.TEST_SEEDS) & set(world.VALIDATION_SEEDS)
    assert not set(world.VALIDATION_SEEDS) & set(world.TRAIN_SEEDS)


def test_tables_have_all_columns():
    text = markdown("Title", {"a": {"n": 1, "IoU": 0.5}, "b": {"n": 2}})
    assert text.splitlines()[2:] == [
        "| | n | IoU |",
        "|---|---|---|",
        "| a | 1 | 0.5 |",
        "| b | 2 |  |",
    ]


@pytest.mark.slow
def test_command_writes_figures_report_and_sheet(tmp_path, capsys):
    arguments = ["--samples", "6", "--edits", "1", "--device", "cpu", "--out", str(tmp_path)]
    assert main(["evaluate", "relevance", *arguments]) == 0
    figures = json.loads((tmp_path / "report.json").read_text())["figures"]
    blind = figures["Controls"]["all ones, objects"]
    assert blind["AUROC"] == 0.5
    assert blind["IoU 0.3"] == blind["IoU 0.6"] == blind["best IoU"] == blind["AP"]
    default = figures["Maps at the default settings"]["all"]
    assert default == figures["One setting at a time"]["noise level 0.8"] | {
        name: value for name, value in default.items() if "selection" in name
    }
    assert default["n"] <= 6
    assert figures["Edits"]["guided edit inside the true mask"]["PSNR outside"] == 99
    assert (tmp_path / "contact_sheet.png").stat().st_size > 1000
    assert "| all |" in (tmp_path / "figures.md").read_text()
    assert "wrote figures.md" in capsys.readouterr().out
