"""`python -m backend bench capture`: what a field shows of a capture's held-out views after equal
seconds of training, nerfstudio's own nerfacto against this program's, in one run.
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from backend.captures.transforms import open_capture
from backend.errors import BadInput, words_of
from backend.evaluation.options import BenchCaptureOptions
from backend.fields.config import PRESETS, FieldConfig
from backend.fields.nerfstudio_compat import NerfactoModel, distortion_loss
from backend.fields.radiance_field import RadianceField, nerfacto
from backend.fields.radiance_training import Decay, RadianceTraining, prepare
from backend.fields.views import Views, psnr_of_views
from backend.output.report import Report, print_notes

TURN_SECONDS = 10.0
PARTS = 4
"""Measurements of each field, the last one at the end."""
OURS, THEIRS, THEIRS_SMALL = (
    "this program",
    "nerfstudio's nerfacto",
    "nerfstudio's nerfacto, as small",
)


class NerfstudioTraining:
    """nerfstudio 1.1.5's own training of its own model, by its `ns-train nerfacto` settings: Adam
    and rates that fall over 200,000 steps, and the gradients, samples and losses of its own code.

    Attributes:
        field: a field whose model is nerfstudio's, for `psnr_of_views`.
    """

    def __init__(self, config: FieldConfig, views: Views, seed: int) -> None:
        """Args:
        config: sizes, and rays in a step; all else is as in nerfstudio's own method.
        views: to train on.
        seed: of the parameters.
        """
        self._views, self._rays = views, config.rays
        device = views.pixels.device
        self.field = RadianceField(config, views.names, views.alpha, device, seed)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            # a model of its own: the one that a RadianceField makes has the fast parts
            self.field.model = nerfacto(config, len(views.names), "torch", views.alpha).to(device)
        self._model: NerfactoModel = self.field.model
        usual = Decay(
            config.learning_rate, config.final_learning_rate, FieldConfig().decay_iterations
        )
        cameras = Decay(config.camera_learning_rate, 0.1 * config.camera_learning_rate, 5000)
        self._optimizers = [
            (torch.optim.Adam(parameters, eps=1e-15), cameras if name == "camera_opt" else usual)
            for name, parameters in self._model.get_param_groups().items()
        ]
        self._callbacks = self._model.get_training_callbacks(None)

    def advance(self, step: int) -> float:
        """One step; the loss."""
        model = self._model
        model.train()
        before, after = self._callbacks
        before.func(step)
        for optimizer, rate in self._optimizers:
            optimizer.param_groups[0]["lr"] = rate.at(step)
            optimizer.zero_grad()
        pixels = self._views.draw(self._rays)
        bundle = self._views.rays.bundle(pixels)
        outputs = model(bundle)
        distortion = distortion_loss(outputs["weights_list"], outputs["ray_samples_list"])
        image: Tensor = self._views.colours(pixels)
        losses = model.get_loss_dict(outputs, {"image": image}, {"distortion": distortion})
        loss: Tensor = torch.stack(list(losses.values())).sum()
        loss.backward()
        for optimizer, _ in self._optimizers:
            optimizer.step()
        after.func(step)
        model.eval()
        return float(loss.detach())


@dataclass
class Contestant:
    """A training that takes turns with others.

    Attributes:
        trained: RadianceTraining or NerfstudioTraining.
        steps: at most; None for as many as there is time for.
        step, seconds: done, and what they took.
        scores: (seconds, step, PSNR in dB) of every measurement.
    """

    trained: RadianceTraining | NerfstudioTraining
    steps: int | None = None
    step: int = 0
    seconds: float = 0.0
    scores: list[tuple[float, int, float]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Whether it has had all its steps."""
        return self.steps is not None and self.step >= self.steps

    def train(self, until: float) -> None:
        """Goes on until its own clock shows `until` seconds; a step that has begun is ended."""
        while self.seconds < until and not self.done:
            begun = time.perf_counter()
            self.trained.advance(self.step)
            self.seconds += time.perf_counter() - begun
            self.step += 1

    def measure(self, measured: Views) -> None:
        """Notes what it shows of the held-out views."""
        score = psnr_of_views(self.trained.field, measured)
        self.scores.append((round(self.seconds, 1), self.step, round(score, 2)))


def nerfstudio_config(preset: FieldConfig, small: bool) -> FieldConfig:
    """nerfstudio's own numbers; `small` with the sizes, rays and samples of a preset."""
    theirs = replace(FieldConfig(), depth=0.0, solid=0.0)
    if not small:
        return theirs
    sizes = ("rays", "samples", "proposals", "levels", "log2_table_size", "highest_resolution")
    return replace(theirs, hidden=preset.hidden, **{name: getattr(preset, name) for name in sizes})


def race(
    contestants: dict[str, Contestant],
    measured: Views,
    seconds: float,
    show: Callable[[str], None] = print,
    turn: float = TURN_SECONDS,
) -> None:
    """Trains all for so many seconds each, in turns, and measures them all `PARTS` times."""
    for part in range(1, PARTS + 1):
        end, reached = seconds * part / PARTS, seconds * (part - 1) / PARTS
        while reached < end:
            reached = min(end, reached + turn)
            for one in contestants.values():
                one.train(reached)
        for name, one in contestants.items():
            one.measure(measured)
            took, step, score = one.scores[-1]
            show(f"{name}: {score} dB after {step} steps, {took} s")


def run(options: BenchCaptureOptions, command: list[str]) -> int:
    """Measure and write report.json into `options.out`; the exit status."""
    try:
        return _run(options, command)
    except (BadInput, FloatingPointError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 1


def _run(options: BenchCaptureOptions, command: list[str]) -> int:
    if not 0 < options.minutes < math.inf:
        raise BadInput(f"--minutes must be above 0, not {options.minutes}.")
    capture = open_capture(options.folder, options.downscale, options.axes)
    print_notes(capture.notes)
    preset = PRESETS[options.preset]
    ours, grown = prepare(capture, preset)
    if ours.measured is None:
        raise BadInput("Equal minutes are measured in held-out views, and this capture has none.")
    views, steps = ours.views, grown.iterations
    contestants = {
        OURS: Contestant(ours, steps),
        THEIRS: Contestant(NerfstudioTraining(nerfstudio_config(preset, False), views, 0)),
        THEIRS_SMALL: Contestant(NerfstudioTraining(nerfstudio_config(preset, True), views, 0)),
    }
    report = Report(
        command,
        settings={"preset": options.preset, "minutes": options.minutes, "steps": steps},
        notes=list(capture.notes),
    )
    with torch.random.fork_rng(), report.stage("training"):
        torch.manual_seed(0)
        race(contestants, ours.measured, 60 * options.minutes)
    report.figures = figures(contestants)
    report.write(options.out)
    for name, gain in report.figures["decibels_above"].items():
        print(f"{OURS}: {gain:+} dB against {name}")
    return 0


def figures(contestants: dict[str, Contestant]) -> dict[str, Any]:
    """Every measurement by name, and how far ours ends above the others, in dB."""
    last = {name: one.scores[-1][2] for name, one in contestants.items()}
    return {
        "seconds_steps_decibels": {name: one.scores for name, one in contestants.items()},
        "decibels_above": {n: round(last[OURS] - v, 2) for n, v in last.items() if n != OURS},
    }
