"""Training a radiance field on the views of a capture."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.captures.capture import Capture
from backend.counts import check_counts
from backend.errors import BadInput
from backend.fields import checkpoint
from backend.fields.colour_loss import ColourLoss
from backend.fields.config import ColourLossConfig, FieldConfig
from backend.fields.facts import RADIANCE, CheckpointError, check_same, config_of
from backend.fields.learnt import judge
from backend.fields.radiance_field import RadianceField
from backend.fields.rays import Squares
from backend.fields.training import CHECKPOINT_SECONDS, Course, OnStep, Schedule, Starts, fit
from backend.fields.views import Views, held_out, psnr_of_views

PREVIEW_SIDE, FEWEST_VIEWS = 96, 3
CAMERA_DECAY = 5000
FREE = ("iterations", "evaluate_every", "stop_gain", "stop_patience")
"""Numbers that may change from one run of a training to the next."""


@dataclass(frozen=True)
class Decay:
    """A learning rate that falls exponentially.

    Attributes:
        first, last: at its start, and from its end on.
        steps: that the fall takes.
        start: the step at which it begins.
        warm_up: steps from there on over which the whole grows linearly to what it is.
    """

    first: float
    last: float
    steps: int
    start: int = 0
    warm_up: int = 0

    def at(self, step: int) -> float:
        """The learning rate of a step."""
        gone = step - self.start
        share = min(max(gone / self.steps, 0), 1)
        warm = min(max(gone + 1, 0) / self.warm_up, 1) if self.warm_up > 0 else 1
        return warm * self.first * (self.last / self.first) ** share


class RadianceTraining:
    """A radiance field and what it takes to train it. Satisfies `training.Trainee`.

    Attributes:
        field: the field.
        views: that it is trained on.
        measured: held-out views, None where there are none.
        rays: in a step.
        spared: bool (views.rays.total), the pixels whose colours are not fitted, as something else
            says what the field shows there; None for none.
        appearing: bool (views.rays.total), the pixels that show what is to appear in places which
            the field was told to look into: of what lies behind these they teach nothing. None for
            none.
    """

    def __init__(
        self,
        field: RadianceField,
        views: Views,
        measured: Views | None,
        decay: Decay | None = None,
        rays: int | None = None,
        colours: ColourLossConfig | None = None,
        move_cameras: bool = True,
    ) -> None:
        """Args:
        field: whose `names` are the views'.
        views: to train on.
        measured: held-out views, None where there are none.
        decay: of the field's learning rate, in place of the config's.
        rays: in a step, in place of the config's.
        colours: how they are fitted, in place of nerfacto's squared error.
        move_cameras: whether cameras are corrected, where the field's config says so.
        """
        self.field, self.views, self.measured = field, views, measured
        self.rays = field.config.rays if rays is None else rays
        self.spared: Tensor | None = None
        self.appearing: Tensor | None = None
        self._squares: Squares | None = None
        self._loss: ColourLoss | None = None
        if colours is not None:
            if colours.patch > 0:
                self._squares = Squares(views.rays, colours.patch, views.seen)
            side = 0 if self._squares is None else self._squares.side
            field.model.rgb_loss = self._loss = ColourLoss(colours, side)
        groups, config = field.model.get_param_groups(), field.config
        self._still = "" if move_cameras else "camera_opt"
        usual = Decay(config.learning_rate, config.final_learning_rate, config.decay_iterations)
        self._rates = {
            name: Decay(
                config.camera_learning_rate, 0.1 * config.camera_learning_rate, CAMERA_DECAY
            )
            if name == "camera_opt"
            else decay or usual
            for name in groups
        }
        self.optimizer = torch.optim.Adam(
            [{"params": parameters, "name": name} for name, parameters in groups.items()],
            eps=1e-15,
            fused=True,
        )
        self._capture = views.fingerprint()
        self._callbacks = field.model.get_training_callbacks(None)
        self._favoured, self._extra = torch.zeros(0, dtype=torch.int64), 0

    def favour(self, inside: Tensor, share: float) -> None:
        """From now on draw at least such a share of a step's rays, in the mean, among some pixels:
        of what is small few would be drawn by chance. Rays that are drawn in squares stay as they
        are.

        Args:
            inside: bool (all pixels of the views), these pixels.
            share: 0..1, below 1; 0 draws all pixels alike.
        """
        seen = self.views.seen
        own = float((inside if seen is None else inside[seen]).float().mean())
        # of those that are drawn among all pixels, `own` lie inside, too
        self._extra = round((share - own) / (1 - own) * self.rays) if 0 < own < share else 0
        if self._extra:
            self._favoured = torch.nonzero(inside)[:, 0] if seen is None else seen[inside[seen]]

    def _drawn(self) -> Tensor:
        """int64 (rays): the pixels of a step."""
        if not self._extra:
            return self.views.draw(self.rays)
        favoured = self._favoured
        among = torch.randint(len(favoured), (self._extra,), device=favoured.device)
        return torch.cat([self.views.draw(self.rays - self._extra), favoured[among]])

    def anew(self, seed: int) -> "RadianceTraining":
        """The same training of a new field, from other random numbers."""
        old, views = self.field, self.views
        field = RadianceField(old.config, old.names, views.alpha, old.device, seed)
        field.cover(views.poses, views.intrinsics)
        decay = next(rate for name, rate in self._rates.items() if name != "camera_opt")
        return RadianceTraining(field, views, self.measured, decay, self.rays)

    def advance(self, step: int, also: Callable[[], float] | None = None) -> float:
        """One step of nerfacto's training, on random rays of all views; the loss.

        Args:
            step: its number.
            also: adds the gradients of another loss to the parameters' own, and gives that loss.
        """
        model = self.field.model
        model.train()
        for group in self.optimizer.param_groups:
            name = group["name"]
            group["lr"] = 0.0 if name == self._still else self._rates[name].at(step)
        before, after = self._callbacks
        before.func(step)
        squares = self._squares
        pixels = self._drawn() if squares is None else squares.draw(self.rays)
        self.optimizer.zero_grad()
        appearing = None if self.appearing is None else self.appearing[pixels]
        march = self.field.march(self.views.rays.bundle(pixels), appearing)
        distances = self.views.distances
        known = None if distances is None else distances[pixels]
        if self.spared is not None:
            assert self._loss is not None  # an edit's training, which has one
            self._loss.counted = ~self.spared[pixels]
        losses = self.field.losses(march, self.views.colours(pixels), known, step)
        loss = torch.stack(list(losses.values())).sum()
        loss.backward()
        more = 0.0 if also is None else also()
        self.optimizer.step()
        after.func(step)
        model.eval()
        return float(loss.detach()) + more

    def measure(self) -> float | None:
        """PSNR in decibels on the held-out views, None without any; see `psnr_of_views`."""
        return None if self.measured is None else psnr_of_views(self.field, self.measured)

    def preview(self) -> NDArray[np.uint8]:
        """The first held-out view, else the first view, at most 96 pixels a side."""
        views = self.measured or self.views
        camera, pose = views.intrinsics[0], self.field.corrected(views.poses[0], views.names[0])
        factor = min(1.0, PREVIEW_SIDE / max(camera.width, camera.height))
        small = camera.resized(
            max(1, round(camera.width * factor)), max(1, round(camera.height * factor))
        )
        rgb = self.field.render(pose, small).rgb
        return (rgb * 255 + 0.5).astype(np.uint8)

    def state(self) -> dict[str, Any]:
        """Parameters, the sampler's and the optimizer's state."""
        return {"field": self.field.state(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.field.load_state(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])

    def facts(self) -> dict[str, Any]:
        """What it takes to make the field again, and the views that were held out."""
        names = [] if self.measured is None else list(self.measured.names)
        return self.field.facts() | {"held_out": names, "capture": self._capture}


def prepare(
    capture: Capture,
    config: FieldConfig,
    device: torch.device | str = "cpu",
    seed: int = 0,
    iterations: int | None = None,
) -> tuple[RadianceTraining, FieldConfig]:
    """A training that has not begun, and the config with as many steps and rays as the capture's
    pixels take. Args and errors as of `train`.
    """
    check_counts(
        iterations=config.iterations if iterations is None else iterations,
        rays=config.rays,
        evaluate_every=config.evaluate_every,
        starts=config.starts,
        start_steps=config.start_steps,
    )
    if len(capture) < FEWEST_VIEWS:
        raise BadInput(
            f"{capture.folder} has {len(capture)} views: a field needs {FEWEST_VIEWS} at least."
        )
    out = held_out(len(capture), config.hold_out_every)
    if capture.held_out is not None:  # who made the capture has chosen
        out = [index for index, name in enumerate(capture.names) if name in capture.held_out]
    inside = [index for index in range(len(capture)) if index not in out]
    views = Views(capture.subset(inside), device)
    measured = Views(capture.subset(out), device) if out else None
    field = RadianceField(config, views.names, views.alpha, device, seed)
    field.cover(views.poses, views.intrinsics)
    grown = config.for_pixels(views.rays.total, iterations)
    decay = Decay(
        config.learning_rate,
        config.final_learning_rate,
        grown.decay_iterations,
        warm_up=config.warm_up,
    )
    training = RadianceTraining(field, views, measured, decay, grown.rays)
    return training, grown


def train(
    capture: Capture,
    config: FieldConfig,
    folder: Path | None = None,
    on_step: OnStep | None = None,
    device: torch.device | str = "cpu",
    seed: int = 0,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    iterations: int | None = None,
) -> tuple[RadianceField, Course]:
    """Trains a radiance field on a capture, or goes on with the one in `folder`.

    Args:
        capture: at least 3 views.
        config: all numbers; those of the field itself must be those of the checkpoint.
        folder: for checkpoints; None to keep none.
        on_step: is told of every step; what it raises ends the training after a checkpoint.
        device: where to train.
        seed: of parameters and rays.
        checkpoint_seconds: between two checkpoints; 0 writes one after every step.
        iterations: steps at most, of one start, in place of what the config grows to with pixels.

    Raises:
        BadInput: a count is below 1, there are fewer than 3 views, or the checkpoint is of another
            capture or config.
        CaptureError: an image cannot be read.
        UnlearntError: it came to its end, and shows far less than a blur of the photos does.
        CheckpointError, FloatingPointError, OSError: as `training.fit`.
    """
    first, grown = prepare(capture, config, device, seed, iterations)
    if folder is not None:
        check_same(folder, RADIANCE, first.facts(), FREE)
    together = config.starts * config.start_steps
    several = iterations is None and first.measured is not None and grown.iterations >= 2 * together
    training = Starts(
        lambda number: first if number == 0 else first.anew(seed + number),
        config.starts if several else 1,
        config.start_steps,
    )
    schedule = Schedule(
        grown.iterations + training.extra,
        grown.evaluate_every,
        config,
        seed,
        checkpoint_seconds,
        keep_best=True,
        # A field that is being made solid may well show views worse for a while.
        judged_from=config.solid_after + training.extra,
    )
    course = fit(training, schedule, folder, RADIANCE, on_step)
    judge(course, training.current.field, first.views, first.measured)
    return training.current.field, course


def load(folder: Path, device: torch.device | str = "cpu") -> RadianceField:
    """The field that `train` left in a folder, finished or not.

    Raises:
        CheckpointError: there is none, or it is damaged.
        BadInput: it was trained with tiny-cuda-nn, which is not there.
    """
    found = checkpoint.load(folder, RADIANCE)
    if found is None:
        raise CheckpointError(f"{folder} holds no trained field: train one first.")
    return from_checkpoint(*found, device)


def from_checkpoint(
    facts: dict[str, Any], state: dict[str, Any], device: torch.device | str = "cpu"
) -> RadianceField:
    """The field of a checkpoint's facts and of `RadianceTraining.state`.

    Raises:
        CheckpointError: its config has other keys or values than this version's.
        BadInput: it was trained with tiny-cuda-nn, which is not there.
    """
    field = RadianceField(
        config_of(FieldConfig, facts["config"], RADIANCE),
        facts["names"],
        facts["alpha"],
        device,
        implementation=facts["implementation"],
    )
    field.load_state(state["field"])
    return field
