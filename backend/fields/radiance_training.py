"""Training a radiance field on the views of a capture."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.captures.capture import Capture, Intrinsics, Pixels
from backend.counts import check_counts
from backend.errors import BadInput
from backend.fields import checkpoint
from backend.fields.colour_loss import ColourLoss
from backend.fields.config import ColourLossConfig, FieldConfig
from backend.fields.facts import RADIANCE, CheckpointError, check_same, config_of
from backend.fields.radiance_field import OPAQUE, RadianceField
from backend.fields.rays import Squares, ViewRays
from backend.fields.training import CHECKPOINT_SECONDS, Course, OnStep, Schedule, Starts, fit

MEASURED_PIXELS = 8192
PREVIEW_SIDE, FEWEST_VIEWS = 96, 3
CAMERA_DECAY = 5000
JUDGED_FROM = 200
"""Steps after which a field must have learnt what a blurred photo shows."""
BLURRED = 4
"""Cells of a side of such a photo."""
FAR_BELOW = 2.0
"""Decibels."""
SHARP = 30.0
"""Decibels from which on a field has learnt its photos, however flat they are."""
FREE = ("iterations", "evaluate_every", "stop_gain", "stop_patience")
"""Numbers that may change from one run of a training to the next."""


class UnlearntError(BadInput):
    """A training that came to its end without learning what the photos show."""


class Views:
    """Views with their pixels on a device.

    Attributes:
        names: n names.
        poses: float64 (n, 4, 4), camera to box coordinates.
        intrinsics: n pinhole cameras.
        rays: the rays through all pixels.
        pixels: uint8 (rays.total, 3 or 4), in the order of `rays`; alpha is straight.
        distances: float32 (rays.total), how far along its ray the surface is that a pixel shows, in
            box units, 0 where that is not known; None where no view has a depth.
        seen: int64, the pixels that no mask hides, in order; None where no view has a mask.
    """

    def __init__(self, capture: Capture, device: torch.device | str = "cpu") -> None:
        """Reads all images of the capture.

        Raises:
            CaptureError: an image cannot be read.
        """
        self.names = capture.names
        self.poses = capture.camera_to_box
        self.intrinsics = capture.intrinsics
        self.rays = ViewRays(self.poses, self.intrinsics, device)
        read = [capture.read(index) for index in range(len(capture))]
        images = [view.image for view in read]
        if any(view.alpha is not None and view.alpha.min() < OPAQUE for view in read):
            opaque = [np.full(image.shape[:2], 255, np.uint8) for image in images]
            alphas = [o if v.alpha is None else v.alpha for o, v in zip(opaque, read, strict=True)]
            images = [np.dstack(pair) for pair in zip(images, alphas, strict=True)]
        flat = [image.reshape(-1, image.shape[2]) for image in images]
        self.pixels = torch.from_numpy(np.concatenate(flat)).to(device)
        self.distances: Tensor | None = None
        if any(view.depth is not None for view in read):
            found = [
                _distances(view, camera).ravel() * capture.box_scale
                for view, camera in zip(read, self.intrinsics, strict=True)
            ]
            self.distances = torch.from_numpy(np.concatenate(found).astype(np.float32)).to(device)
        self.seen: Tensor | None = None
        if any(view.seen is not None for view in read):
            whole = [np.ones(v.image.shape[:2], bool) if v.seen is None else v.seen for v in read]
            seen = np.flatnonzero(np.concatenate([one.ravel() for one in whole]))
            if len(seen) == 0:
                raise BadInput(
                    f"The masks of {capture.folder} hide every pixel: they must be white where "
                    "views are to be trained on."
                )
            self.seen = torch.from_numpy(seen).to(device)

    def draw(self, count: int) -> Tensor:
        """int64 (count): pixels at random that no mask hides, by torch's own generator."""
        if self.seen is None:
            return self.rays.draw(count)
        return self.seen[torch.randint(len(self.seen), (count,), device=self.seen.device)]

    def spread(self, count: int) -> Tensor:
        """int64 (count or fewer): pixels that no mask hides, evenly over all views."""
        total = self.rays.total if self.seen is None else len(self.seen)
        device = self.pixels.device
        chosen = torch.linspace(0, total - 1, min(count, total), device=device).long()
        return chosen if self.seen is None else self.seen[chosen]

    @property
    def alpha(self) -> bool:
        """Whether the pixels have alpha."""
        return self.pixels.shape[1] == 4

    def fingerprint(self) -> str:
        """A text that tells views apart by pixels, poses, cameras, and depths and masks if they
        have any.
        """
        cameras = np.array([dataclasses.astuple(camera) for camera in self.intrinsics])
        further = [one.cpu().numpy() for one in (self.distances, self.seen) if one is not None]
        return checkpoint.fingerprint(self.pixels.cpu().numpy(), self.poses, cameras, *further)

    def colours(self, pixels: Tensor) -> Tensor:
        """float32 (m, 3 or 4), 0..1, of pixels int64 (m)."""
        return self.pixels[pixels].float() / 255

    def replace(self, view: int, image: NDArray[np.uint8]) -> None:
        """Puts another image uint8 (H, W, 3) in a view's place; its alpha stays."""
        self.pixels[self.rays.of_view(view), :3] = torch.from_numpy(image.reshape(-1, 3)).to(
            self.pixels.device
        )


def _distances(view: Pixels, camera: Intrinsics) -> NDArray[np.float64]:
    """float64 (H, W): how far along its ray the surface is that a pixel shows, in capture units; 0
    where that is not known, or the pixel shows what is behind the surface, too.
    """
    if view.depth is None:
        return np.zeros(view.image.shape[:2])
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = camera.directions(np.stack([columns, rows], axis=-1))  # of length 1 along the axis
    distances = view.depth * np.linalg.norm(rays, axis=-1)
    return distances if view.alpha is None else np.where(view.alpha == 255, distances, 0)


def held_out(count: int, every: int) -> list[int]:
    """Indices of the views that are not trained on: every n-th, from the middle of the first
    such run, or of all views where they are fewer; one at least, however few there are, as only it
    says what the field shows from elsewhere. None where `every` is 0.
    """
    return list(range(min(every, count) // 2, count, every)) if every > 0 else []


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
        march = self.field.march(self.views.rays.bundle(pixels))
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


def psnr(shown: Tensor, true: Tensor) -> float:
    """Peak signal-to-noise ratio in decibels of values in 0..1, of the same shape."""
    return -10 * math.log10(max(float(((shown - true) ** 2).mean()), 1e-12))


def corrected_rays(field: RadianceField, views: Views) -> ViewRays:
    """The rays through all pixels of views, from their poses as training has corrected them."""
    poses = [
        field.corrected(pose, name) for pose, name in zip(views.poses, views.names, strict=True)
    ]
    return ViewRays(np.array(poses), views.intrinsics, field.device)


def psnr_of_views(field: RadianceField, views: Views) -> float:
    """PSNR in decibels of a field on pixels spread evenly over views, without those that masks
    hide, in eval mode, from their poses as training has corrected them.
    """
    rays = corrected_rays(field, views)
    pixels = views.spread(MEASURED_PIXELS)
    shown = field.shade(rays.bundle(pixels))[:, :3]
    return psnr(shown, field.model.renderer_rgb.blend_background(views.colours(pixels)))


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
    if course.step >= JUDGED_FROM:
        _check_learnt(training.current.field, first.views)
    return training.current.field, course


def _check_learnt(field: RadianceField, views: Views) -> None:
    """Raises UnlearntError where a field shows its own views far worse than a blur of them does."""
    found, blurred = psnr_of_views(field, views), psnr_of_blur(views)
    if _far_below(found, blurred):
        raise UnlearntError(
            f"The field has learnt nothing of the photos: it shows them at {found:.1f} dB, and a "
            f"blur of {BLURRED} x {BLURRED} patches does at {blurred:.1f}. Check poses and alpha, "
            "or train anew with another seed or preset in another work folder; what was trained "
            "is kept."
        )


def _far_below(found: float, blurred: float) -> bool:
    return found < min(blurred - FAR_BELOW, SHARP)


def note_on_new_places(course: Course, measured: Views) -> tuple[str, ...]:
    """What a person should know where a training ended with held-out views far worse than a blur
    of them: its field has learnt its own views by heart, as it does from wrong poses.

    Args:
        course: of the training.
        measured: the held-out views.
    """
    if course.step < JUDGED_FROM or not course.scores:
        return ()
    found, blurred = course.scores[-1][1], psnr_of_blur(measured)
    if not _far_below(found, blurred):
        return ()
    return (
        f"The field shows held-out views at {found:.1f} dB, worse than a blur of {BLURRED} x "
        f"{BLURRED} patches, which does at {blurred:.1f}: it does not know the scene from new "
        "places. Check the poses, or add photos between these.",
    )


def psnr_of_blur(views: Views) -> float:
    """PSNR in decibels of views over black, without the pixels that masks hide, when all that is
    known of each view is the mean colours of BLURRED x BLURRED patches.
    """
    errors, pixels = 0.0, 0
    for view in range(len(views.names)):
        height, width = views.rays.shape(view)
        here = views.rays.of_view(view)
        colours = views.colours(here)
        picture = (colours[:, :3] * colours[:, 3:] if views.alpha else colours).view(
            height, width, 3
        )
        planes = picture.permute(2, 0, 1)[None]
        patches = torch.nn.functional.adaptive_avg_pool2d(planes, BLURRED)
        blurred = torch.nn.functional.interpolate(patches, (height, width), mode="nearest")
        wrong = ((blurred - planes) ** 2).sum(dim=1).flatten()
        if views.seen is not None:
            wrong = wrong[torch.isin(here, views.seen)]
        errors += float(wrong.sum())
        pixels += 3 * len(wrong)
    return -10 * math.log10(max(errors / pixels, 1e-12))


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
