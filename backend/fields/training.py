"""The training loop of both fields: progress, checkpoints, resume, early stop; and several
beginnings of one training, of which the best goes on.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from backend.fields import checkpoint
from backend.fields.pace import Aside, Pace
from protocol.settings import Stop

CHECKPOINT_SECONDS = 30.0
PREVIEW_SECONDS = 5.0
PREVIEW_SHARE = 0.05
"""Of the time, that previews take at most: where one takes long, they are farther apart."""


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    Attributes:
        step: steps done, of `iterations` at most: these are more than were asked for where the
            training that goes on had more already.
        loss: of the latest step.
        score: of the latest measurement: PSNR in decibels on held-out views for a radiance field,
            None where nothing is held out.
        seconds: that it has trained, earlier runs included.
        remaining: seconds that it will take yet if it does not stop early; None while unknown.
        preview: uint8 (h, w, 3), a new picture of the field, now and then.
        finished: this was the last step.
    """

    step: int
    iterations: int
    loss: float
    score: float | None
    seconds: float
    remaining: float | None
    preview: NDArray[np.uint8] | None = None
    finished: bool = False


OnStep = Callable[[Progress], None]
"""What is told of every step. Whatever it raises ends the training, after a checkpoint."""


class Trainee(Protocol):
    """What `fit` trains."""

    def advance(self, step: int) -> float:
        """Do one step, the `step`-th, from 0; the loss."""

    def measure(self) -> float | None:
        """The score; more is better. It draws no random numbers."""

    def preview(self) -> NDArray[np.uint8]:
        """A small picture. It draws no random numbers."""

    def state(self) -> dict[str, Any]:
        """All that a checkpoint must hold."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""

    def facts(self) -> dict[str, Any]:
        """What JSON tells about it."""


Beginning = TypeVar("Beginning", bound=Trainee)


class Starts(Generic[Beginning]):
    """Trains each beginning for some steps, one after the other, and then the one with the best
    score. The steps of the others count as steps, too. Satisfies `training.Trainee`.

    Attributes:
        current: the beginning that is at work.
        extra: steps that all but one take.
    """

    def __init__(self, begin: Callable[[int], Beginning], count: int, steps: int) -> None:
        """Args:
        begin: the beginning of a number, from 0; they differ by their random numbers alone.
        count: how many, at least 1; with more than 1 they must be measurable.
        steps: of each.
        """
        self._begin, self._count, self._steps = begin, count, steps
        self._alone = count == 1
        self.extra = (count - 1) * steps
        self.current = begin(0)
        self._which = 0 if count > 1 else None  # None once one has been chosen
        self._before = 0  # steps of the beginnings that were left
        self._best: tuple[float, dict[str, Any]] | None = None

    def advance(self, step: int) -> float:
        """One step of the beginning whose turn it is; the loss."""
        if self._which is not None:
            done = step - self._before == self._steps
            if self._alone or (done and self._which + 1 == self._count):
                self._choose(step)
            elif done:
                self._keep_better()
                self._which, self._before = self._which + 1, step
                self.current = self._begin(self._which)
        return self.current.advance(step - self._before)

    def _keep_better(self) -> None:
        """Keeps the state of the one at work if it is the best so far."""
        score = self.current.measure()
        assert score is not None
        if self._best is None or score > self._best[0]:
            self._best = score, copy.deepcopy(self.current.state())

    def _choose(self, step: int) -> None:
        """Goes on with the best so far, or the one at work, where that is stopped early, too."""
        if self._best is not None:
            score = self.current.measure()
            assert score is not None
            if score <= self._best[0]:
                self.current.load_state(self._best[1])
                self._before = step - self._steps
        self._which, self._best = None, None

    def measure(self) -> float | None:
        """The score of the one at work."""
        return self.current.measure()

    def preview(self) -> NDArray[np.uint8]:
        """A picture of the one at work."""
        return self.current.preview()

    def state(self) -> dict[str, Any]:
        """The state of the one at work, and of the best of those before it."""
        turn = {
            "which": self._which,
            "count": self._count,
            "steps": self._steps,
            "before": self._before,
            "best": self._best,
        }
        return self.current.state() | {"starts": turn}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave, of as many beginnings as there were then; if this has one,
        the choice is made at once. A state of a training without beginnings will do.
        """
        turn = state.get("starts") or {"which": None, "before": 0, "best": None}
        self._which, self._before, self._best = turn["which"], turn["before"], turn["best"]
        self._count, self._steps = turn.get("count", 1), turn.get("steps", self._steps)
        self.current.load_state(state)

    def facts(self) -> dict[str, Any]:
        """Those of the one at work."""
        return self.current.facts()


@dataclass(frozen=True)
class Schedule:
    """When `fit` does what.

    Attributes:
        iterations: steps in all.
        evaluate_every: steps between two measurements.
        stop: when it ends earlier.
        seed: of the random numbers of a training that begins.
        checkpoint_seconds: between two checkpoints; 0 writes one after every step.
        keep_best: whether it ends with the state that had the best score, in place of the last.
        judged_from: the step from which on scores count for an early end and the best state: before
            it, what is trained for still changes.
    """

    iterations: int
    evaluate_every: int
    stop: Stop = Stop()
    seed: int = 0
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    keep_best: bool = False
    judged_from: int = 0

    def judged(self, scores: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
        """Those of the (step, score) that count."""
        return [one for one in scores if one[0] >= self.judged_from]


@dataclass
class Course:
    """How a training went so far.

    Attributes:
        step: steps done.
        seconds: that it took, all runs together.
        scores: (step, score) of every measurement; the last one is of the state that it ended with,
            once more where that is an earlier one.
        finished: it has had all its steps or stopped early.
        most: steps that it was to have at most.
        trained_psnr: decibels on the views that a radiance field was trained on, at its end; None
            before, and of others (see learnt.py).
        unfit: names of the views that do not fit the others then.
        notes: what a person should know of it then.
    """

    step: int = 0
    seconds: float = 0.0
    scores: list[tuple[int, float]] = field(default_factory=list)
    finished: bool = False
    most: int = 0
    trained_psnr: float | None = None
    unfit: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ended_early(self) -> bool:
        """Whether it ended before its last step, as its scores showed no progress any more."""
        return self.finished and self.step < self.most

    def stalled(self, schedule: Schedule) -> bool:
        """Whether the last measurements show no progress any more."""
        patience = schedule.stop.stop_patience
        scores = schedule.judged(self.scores)
        if patience == 0 or len(scores) <= patience:
            return False
        before = max(score for _, score in scores[:-patience])
        latest = max(score for _, score in scores[-patience:])
        return latest < before + schedule.stop.stop_gain


def fit(
    trainee: Trainee,
    schedule: Schedule,
    folder: Path | None,
    name: str,
    on_step: OnStep | None = None,
    aside: Callable[[], Aside] = Aside,
) -> Course:
    """Trains, or goes on from the checkpoint folder/name.json where there is one.

    `on_step` may do more than look on; `aside` says how long that takes, and will take yet.

    A checkpoint is written at the schedule's interval, at the end, and when `on_step` raises. A
    training that went on from one gives bit for bit what it would have given without the
    interruption, on the same machine with the same number of threads.

    Raises:
        FloatingPointError: the loss is not finite any more; the last checkpoint stays.
        CheckpointError: the checkpoint cannot be used.
        OSError: the folder cannot be written.
    """
    with torch.random.fork_rng():  # nobody else's random numbers change, and nobody changes ours
        torch.manual_seed(schedule.seed)
        course, best = _resume(trainee, folder, name)
        course.most = schedule.iterations
        if (course.finished and course.step >= schedule.iterations) or course.stalled(schedule):
            return course
        course.finished = False
        run = _Run(trainee, schedule, folder, name, course, best, aside)
        while not course.finished:
            progress = run.step()
            if on_step is not None:
                try:
                    on_step(progress)
                except BaseException:
                    run.save()
                    raise
        run.save()
    return course


class _Run:
    """One call of `fit`."""

    def __init__(
        self,
        trainee: Trainee,
        schedule: Schedule,
        folder: Path | None,
        name: str,
        course: Course,
        best: dict[str, Any] | None,
        aside: Callable[[], Aside],
    ) -> None:
        self._trainee, self._schedule, self._course = trainee, schedule, course
        self._folder, self._name, self._aside = folder, name, aside
        self._start = time.monotonic() - course.seconds
        self._saved = self._preview_due = time.monotonic()
        self._preview_due += PREVIEW_SECONDS
        self._pace = Pace()
        self._best = best

    def step(self) -> Progress:
        """One step, and what is due after it."""
        course, schedule = self._course, self._schedule
        loss = self._trainee.advance(course.step)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The training diverged at step {course.step}: lower the learning rate, and check "
                "the poses of the views."
            )
        course.step += 1
        last = course.step >= schedule.iterations
        if course.step % schedule.evaluate_every == 0 or last:
            with self._pace.apart("measurement"):
                score = self._trainee.measure()
            if score is not None:
                self._note(score)
        course.finished = last or (
            course.step % schedule.evaluate_every == 0 and course.stalled(schedule)
        )
        if course.finished:
            self._return_to_best()
        now = time.monotonic()
        course.seconds = now - self._start
        if now - self._saved > schedule.checkpoint_seconds and not course.finished:
            with self._pace.apart("checkpoint"):
                self.save()
        preview = None
        if now > self._preview_due or course.finished:
            with self._pace.apart("preview"):
                preview = self._trainee.preview()
            self._preview_due = time.monotonic() + self._preview_seconds()
        self._pace.end_step(self._aside())
        return Progress(
            course.step,
            max(course.step, schedule.iterations),
            loss,
            course.scores[-1][1] if course.scores else None,
            course.seconds,
            self._remaining(),
            preview,
            course.finished,
        )

    def _note(self, score: float) -> None:
        """A measurement, and a copy of the state that it is of where that is the best so far."""
        course, schedule = self._course, self._schedule
        before = max((one for _, one in schedule.judged(course.scores)), default=-math.inf)
        course.scores.append((course.step, score))
        counts = course.step >= schedule.judged_from
        if schedule.keep_best and counts and score > before:
            self._best = copy.deepcopy(self._trainee.state())

    def _return_to_best(self) -> None:
        """Ends with the state of the best score, where a later one is worse."""
        scores = self._course.scores
        best = max(self._schedule.judged(scores), key=lambda one: one[1], default=None)
        if best is not None and self._best is not None and scores[-1][1] < best[1]:
            self._trainee.load_state(self._best)
            scores.append(best)
        self._best = None

    def _preview_seconds(self) -> float:
        """Between two previews."""
        return max(PREVIEW_SECONDS, self._pace.took("preview") / PREVIEW_SHARE)

    def _remaining(self) -> float | None:
        if self._course.finished:
            return 0.0
        schedule, step = self._schedule, self._course.step
        every = schedule.evaluate_every
        return self._pace.remaining(
            schedule.iterations - step,
            schedule.iterations,
            {"measurement": -(-schedule.iterations // every) - step // every},
            {"checkpoint": schedule.checkpoint_seconds, "preview": self._preview_seconds()},
            self._aside(),
        )

    def save(self) -> None:
        """Writes a checkpoint, where there is a folder for it."""
        if self._folder is None:
            return
        course = self._course
        facts = {
            "step": course.step,
            "iterations": self._schedule.iterations,
            "finished": course.finished,
            "seconds": round(course.seconds, 2),
            "scores": course.scores,
            "seed": self._schedule.seed,
        }
        state = self._trainee.state() | {"random": random_state(), "best": self._best}
        checkpoint.save(self._folder, self._name, facts | self._trainee.facts(), state)
        self._saved = time.monotonic()


def _resume(
    trainee: Trainee, folder: Path | None, name: str
) -> tuple[Course, dict[str, Any] | None]:
    """Loads a checkpoint into `trainee` where there is one; how it went, and the best state."""
    found = None if folder is None else checkpoint.load(folder, name)
    if found is None:
        return Course(), None
    facts, tensors = found
    trainee.load_state(tensors)
    set_random_state(tensors["random"])
    scores = [(int(step), float(score)) for step, score in facts["scores"]]
    course = Course(facts["step"], facts["seconds"], scores, facts["finished"])
    return course, tensors.get("best")  # an earlier version kept none


def random_state() -> dict[str, Any]:
    """The state of torch's generators: the CPU's, and the GPUs' where there are any."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: dict[str, Any]) -> None:
    """Takes over what `random_state` gave, as far as this machine has such devices."""
    torch.set_rng_state(state["cpu"])
    for device, cuda in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(cuda, device)
