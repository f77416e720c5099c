"""The training loop: early stop, the best state, previews, interruptions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.fields import checkpoint, training
from backend.fields.training import Course, Progress, Schedule, fit
from protocol.settings import Stop


class Counter:
    """A trainee whose scores are given."""

    def __init__(self, scores: list[float]) -> None:
        self.scores, self.steps = scores, 0

    def advance(self, step: int) -> float:
        assert step == self.steps
        self.steps += 1
        return 1.0

    def measure(self) -> float:
        return self.scores[self.steps - 1]

    def preview(self) -> np.ndarray:
        return np.zeros((1, 1, 3), np.uint8)

    def state(self) -> dict[str, int]:
        return {"steps": self.steps}

    def load_state(self, state: dict[str, int]) -> None:
        self.steps = state["steps"]

    def facts(self) -> dict[str, object]:
        return {}


@pytest.mark.parametrize(
    ("scores", "patience", "steps"),
    [
        ([1, 2, 3, 4, 5, 6], 2, 6),
        ([1, 2, 3, 3, 3, 9], 2, 5),
        ([5, 4, 3, 2, 1, 0], 3, 4),
        ([5, 4, 3, 2, 1, 0], 0, 6),
        ([1, 1.06, 1.12, 1.18, 1.24, 1.3], 2, 6),
    ],
)
def test_early_stop(scores: list[float], patience: int, steps: int) -> None:
    schedule = Schedule(6, 1, Stop(stop_gain=0.1, stop_patience=patience))
    course = fit(Counter(scores), schedule, None, "x")
    assert course.step == steps
    assert course.finished


def test_it_ends_with_the_best_state(tmp_path: Path) -> None:
    stop = Stop(stop_gain=0.1, stop_patience=2)
    counter = Counter([1, 5, 4, 3, 9, 9])
    course = fit(counter, Schedule(6, 1, stop, keep_best=True), tmp_path, "x")
    assert course.step == 4
    assert counter.steps == 2
    assert course.scores == [(1, 1), (2, 5), (3, 4), (4, 3), (2, 5)]
    facts, state = checkpoint.load(tmp_path, "x") or ({}, {})
    assert state["steps"] == 2
    assert state["best"] is None, "the file is no larger than it has to be"
    assert facts["scores"][-1] == [2, 5]
    again = fit(Counter([]), Schedule(9, 1, stop, keep_best=True), tmp_path, "x")
    assert again.scores == course.scores, "it had stopped by itself"


def test_scores_from_before_it_is_judged_do_not_count(tmp_path: Path) -> None:
    """Neither as the best state nor for an early end: what they are of is still to change."""
    stop = Stop(stop_gain=0.1, stop_patience=2)
    counter = Counter([9, 8, 1, 2, 3, 2.5, 2, 2])
    schedule = Schedule(8, 1, stop, keep_best=True, judged_from=3)
    course = fit(counter, schedule, tmp_path, "x")
    assert course.step == 7
    assert counter.steps == 5
    assert course.scores[-1] == (5, 3)


def test_the_best_state_survives_an_interruption(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    schedule = Schedule(4, 1, Stop(stop_patience=0), keep_best=True)
    with pytest.raises(KeyboardInterrupt):
        fit(Counter([1, 5, 4, 3]), schedule, tmp_path, "x", interrupt)
    counter = Counter([1, 5, 4, 3])
    assert fit(counter, schedule, tmp_path, "x").scores[-1] == (2, 5)
    assert counter.steps == 2


def test_one_that_goes_on_for_fewer_steps_than_it_has_had_ends_with_the_next(
    tmp_path: Path,
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Counter([1] * 9), Schedule(9, 1, Stop(stop_patience=0)), tmp_path, "x", interrupt)
    told: list[Progress] = []
    course = fit(
        Counter([1] * 9), Schedule(2, 1, Stop(stop_patience=0)), tmp_path, "x", told.append
    )
    assert course.finished
    assert [(one.step, one.iterations) for one in told] == [(5, 5)], "no more than all is done"


def test_slow_previews_take_little_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, previews = 0.0, 0

    class Slow(Counter):
        def advance(self, step: int) -> float:
            nonlocal now
            now += 1
            return super().advance(step)

        def preview(self) -> np.ndarray:
            nonlocal now, previews
            now, previews = now + 30, previews + 1
            return super().preview()

    monkeypatch.setattr(training.time, "monotonic", lambda: now)
    fit(Slow([1.0] * 1300), Schedule(1300, 2000, Stop(stop_patience=0)), None, "x")
    assert previews == 1 + 2 + 1, "after 5 s, after 600 more each, and at the end"


def test_a_kill_inside_a_step_saves_nothing_half_done(tmp_path: Path) -> None:
    counter = Counter([1.0] * 6)

    def killed(step: int) -> float:
        counter.steps += 1
        if step == 3:
            raise KeyboardInterrupt
        return 1.0

    counter.advance = killed  # type: ignore[method-assign]
    training_schedule = Schedule(6, 1)
    with pytest.raises(KeyboardInterrupt):
        fit(counter, training_schedule, tmp_path, "x")
    assert checkpoint.load(tmp_path, "x") is None
    assert training._resume(counter, tmp_path, "x") == (Course(), None)
