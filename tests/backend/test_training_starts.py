"""Several beginnings of one training, of which the best goes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.captures.capture import Capture
from backend.fields.radiance_training import train
from backend.fields.training import Progress, Schedule, Starts, fit

from .tiny_capture import orbit_capture
from .tiny_field import TINY

COUNT, STEPS = 3, 4


class Counter:
    """Notes its steps; its score is how often it was told to go on, times what it is worth."""

    def __init__(self, number: int, worth: float) -> None:
        self.number, self.worth, self.steps = number, worth, []

    def advance(self, step: int) -> float:
        self.steps.append(step)
        return 1.0

    def measure(self) -> float | None:
        return self.worth * len(self.steps)

    def preview(self) -> np.ndarray:
        return np.zeros((2, 2, 3), np.uint8)

    def state(self) -> dict[str, Any]:
        return {"number": self.number, "worth": self.worth, "steps": self.steps}

    def load_state(self, state: dict[str, Any]) -> None:
        self.number, self.worth = state["number"], state["worth"]
        self.steps = list(state["steps"])

    def facts(self) -> dict[str, Any]:
        return {}


def counters() -> Starts[Counter]:
    return Starts(lambda number: Counter(number, (1.0, 3.0, 2.0)[number]), COUNT, STEPS)


def test_the_best_beginning_goes_on_where_it_was() -> None:
    starts = counters()
    assert starts.extra == (COUNT - 1) * STEPS
    seen = []
    for step in range(COUNT * STEPS + 2):
        starts.advance(step)
        seen.append(starts.current.number)
    assert seen == [0] * STEPS + [1] * STEPS + [2] * STEPS + [1, 1]
    assert starts.current.steps == list(range(STEPS + 2))
    assert starts.measure() == 3.0 * (STEPS + 2)


def test_a_beginning_is_measured_before_the_next_one_begins() -> None:
    schedule = Schedule(COUNT * STEPS + 4, STEPS)
    course = fit(counters(), schedule, None, "counter")
    assert course.scores == [(4, 4.0), (8, 12.0), (12, 8.0), (16, 24.0)]


@pytest.mark.parametrize("stopped", [1, 4, 5, 8, 12, 13])
def test_it_goes_on_from_its_state_wherever_it_was_stopped(stopped: int) -> None:
    whole, first, second = counters(), counters(), counters()
    for step in range(16):
        whole.advance(step)
    for step in range(stopped):
        first.advance(step)
    second.load_state(first.state())
    for step in range(stopped, 16):
        second.advance(step)
    assert second.current.state() == whole.current.state()


@pytest.mark.parametrize(
    ("stopped", "number", "done"), [(3, 0, 3), (5, 0, 4), (6, 1, 2), (9, 1, 4), (11, 1, 4)]
)
def test_one_that_is_to_begin_once_chooses_at_once(stopped: int, number: int, done: int) -> None:
    """After five steps the second has had one, and is worth 3; the first had four, worth 4."""
    first, second = counters(), Starts(lambda number: Counter(number, 1.0), 1, STEPS)
    for step in range(stopped):
        first.advance(step)
    second.load_state(first.state())
    for step in range(stopped, stopped + 3):
        second.advance(step)
    assert second.current.number == number
    assert second.current.steps == list(range(done + 3))


def test_one_beginning_is_a_training_without() -> None:
    starts = Starts(lambda number: Counter(number, 1.0), 1, STEPS)
    for step in range(9):
        starts.advance(step)
    assert (starts.extra, starts.current.steps) == (0, list(range(9)))
    starts.load_state({"number": 7, "worth": 2.0, "steps": [0, 1]})  # of a version without
    starts.advance(2)
    assert (starts.current.number, starts.current.steps) == (7, [0, 1, 2])


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return orbit_capture(tmp_path_factory.mktemp("capture"), 8, 24)[0]


TWO = dataclasses.replace(TINY, iterations=16, starts=2, start_steps=4, evaluate_every=2, pixels=0)


def test_a_field_is_trained_from_two_beginnings_and_a_given_number_of_steps_from_one(
    capture: Capture,
) -> None:
    _, course = train(capture, TWO)
    assert course.step == 16 + 4
    _, alone = train(capture, TWO, iterations=16)
    assert alone.step == 16
    assert alone.scores[:2] == course.scores[:2]  # the first beginning is the same one
    assert dict(course.scores)[6] != dict(alone.scores)[6]  # the other one is another
    _, without = train(capture, dataclasses.replace(TWO, hold_out_every=0))
    assert without.step == 16  # as nothing tells which is the better
    _, short = train(capture, dataclasses.replace(TWO, iterations=15))
    assert short.step == 15  # not worth it


@pytest.mark.parametrize("stopped", [2, 4, 6, 9])
def test_an_interrupted_beginning_goes_on_bit_for_bit(
    capture: Capture, tmp_path: Path, stopped: int
) -> None:
    def stop(progress: Progress) -> None:
        if progress.step == stopped:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(capture, TWO, tmp_path, stop)
    resumed, course = train(capture, TWO, tmp_path)
    whole, other = train(capture, TWO)
    assert course.scores == other.scores
    for one, two in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_better_of_two_beginnings_is_kept(capture: Capture) -> None:
    """Its last score before the choice is the better one of both, and it goes on from there."""
    field, course = train(capture, dataclasses.replace(TWO, evaluate_every=1))
    scores = dict(course.scores)
    first, second = scores[4], scores[8]
    assert abs(scores[9] - max(first, second)) < abs(scores[9] - min(first, second))
    assert field.names
