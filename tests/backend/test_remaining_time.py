"""What is said of the time that a training and an edit of a scene take yet, against a clock that
moves with what they do and nothing else.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.editing import Editor
from backend.fields.pace import Aside
from backend.fields.radiance_training import RadianceTraining
from backend.fields.training import Progress, Schedule, fit
from backend.output.progress import time_left
from backend.scenes import Scene
from protocol.settings import Stop

from .quick_edit import INSTRUCTION, QUICK, train_a_little

STEP, EDIT = 0.1, 30.0
NEVER = Stop(stop_patience=0)


class Clock:
    """Seconds that pass only where a test lets them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: one.now)
    return one


class Timed:
    """A trainee whose parts take given seconds."""

    def __init__(self, clock: Clock, step: float, measure: float = 0, preview: float = 0) -> None:
        self.clock, self.step, self._measure, self._preview = clock, step, measure, preview

    def advance(self, step: int) -> float:
        self.clock.spend(self.step)
        return 1.0

    def measure(self) -> float:
        self.clock.spend(self._measure)
        return 1.0

    def preview(self) -> np.ndarray:
        self.clock.spend(self._preview)
        return np.zeros((1, 1, 3), np.uint8)

    def state(self) -> dict[str, int]:
        return {}

    def load_state(self, state: dict[str, int]) -> None:
        pass

    def facts(self) -> dict[str, object]:
        return {}


def told(
    clock: Clock,
    trainee: Timed,
    schedule: Schedule,
    between: Callable[[int], None] = lambda step: None,
    aside: Callable[[], Aside] = Aside,
) -> list[tuple[int, float | None, float]]:
    """(step, said, true) seconds that are left after each step."""
    seen: list[tuple[int, float | None, float]] = []

    def look(progress: Progress) -> None:
        seen.append((progress.step, progress.remaining, clock.now))
        if not progress.finished:
            between(progress.step)

    fit(trainee, schedule, None, "x", look, aside)
    return [(step, said, clock.now - at) for step, said, at in seen]


def test_a_training_of_even_steps_knows_its_end(clock: Clock) -> None:
    for step, said, true in told(clock, Timed(clock, 2.0), Schedule(300, 1000, NEVER)):
        assert (said is None) == (step < 10)
        assert said is None or said == pytest.approx(true)


def test_measurements_and_previews_are_not_taken_for_the_pace_of_the_steps(clock: Clock) -> None:
    """Previews of 30 s in a window of 50 steps of a tenth of a second: they come every 10 min."""
    trainee = Timed(clock, 0.1, measure=20, preview=30)
    for step, said, true in told(clock, trainee, Schedule(20_000, 1000, NEVER)):
        if step > 1000 and said is not None:  # one of each was timed
            assert said == pytest.approx(true, rel=0.1, abs=35), step


def test_the_first_measurement_may_come_last(clock: Clock) -> None:
    *_, (_, said, true) = told(clock, Timed(clock, 1.0, measure=9), Schedule(20, 50, NEVER))
    assert said == true == 0


def test_edits_that_come_first_are_not_taken_for_the_pace_of_the_steps(clock: Clock) -> None:
    """21 views, one after every tenth step of 600: in the window of the latest steps lay five
    edits, and three times what was left was said.
    """
    made = [0]

    def between(step: int) -> None:
        if step % 10 == 0 and made[0] < 21:
            clock.spend(EDIT)
            made[0] += 1

    def aside() -> Aside:
        return Aside(made[0] * EDIT, (21 - made[0]) * EDIT if made[0] else None)

    seen = told(clock, Timed(clock, STEP), Schedule(600, 1000, NEVER), between, aside)
    assert [step for step, said, _ in seen if said is None] == list(range(1, 20))
    for step, said, true in seen:
        assert said is None or said == pytest.approx(true, rel=0.01), step


@pytest.mark.parametrize("at_once", [1, 4])
def test_an_edit_of_a_scene_says_honestly_what_is_left(
    clock: Clock, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """All edits of views come in the first sixth of the steps, and take nearly all of the time."""
    editor = Editor.from_pretrained(str(tiny_model), "cpu", "float32")
    scene = Scene.open(train_a_little(tmp_path / "scene"), device="cpu")
    advance = RadianceTraining.advance

    def slow_step(training: RadianceTraining, step: int) -> float:
        clock.spend(STEP)
        return advance(training, step)

    def slow_edits(self: Editor, instruction: str, images, on_step, **others):  # type: ignore[no-untyped-def]
        clock.spend(EDIT * len(images) / 2)
        on_step(StepDone(0, 2))
        clock.spend(EDIT * len(images) / 2)
        return [255 - image for image in images]

    monkeypatch.setattr(RadianceTraining, "advance", slow_step)
    monkeypatch.setattr(Editor, "edit_images", slow_edits)
    monkeypatch.setattr(RadianceTraining, "preview", lambda self: np.zeros((1, 1, 3), np.uint8))
    said: list[tuple[str, float, float]] = []
    config = dataclasses.replace(
        QUICK,
        iterations=120,
        views=0,
        edit_every=4,
        rounds=1,
        everything=True,
        settling=0.0,
        views_at_once=at_once,
        stop_patience=0,
    )
    scene.edit(
        INSTRUCTION,
        editor,
        config=config,
        on_progress=lambda words, share, picture: said.append((words, share, clock.now)),
    )
    end = clock.now
    first = "view images/004.png" if at_once == 1 else "4 views"
    assert said[0][0] == f"Editing {first}, edit 1 of 6, 50%", "nothing has been timed yet"
    known = 0
    for words, _, at in said:
        found = re.search(r", (\d+) (s|min) left at most$", words)
        if found is None:
            continue
        known += 1
        assert time_left(end - at, at_most=True) in words, (words, end - at)
    assert known > 110
    shares = [share for _, share, _ in said]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


@dataclasses.dataclass
class StepDone:
    """What is told of a denoising step."""

    index: int
    count: int
