"""Where an instruction applies in a scene: the relevance field of "Watch Your Steps", section 4.3.

r(x)  in 0..1: a hash grid and a small head at the contracted position x, a sigmoid; no direction
R(ray) = sum_i w_i r(x_i)      w_i are the radiance field's weights, detached; what they leave of a
                               ray is the last sample's where colours go on there, else 0
loss   = mean over rays of (R(ray) - M(pixel))^2      M: the views' relevance maps (Eq. 3)
         + dark * mean over samples of r(x_i)^2 where w_i is about 0 before what a ray shows

The maps M of all views are normalised together: a view that does not show the target is dark in
them, instead of stretched to 0..1. In the paper each is by itself, and becomes known when its view
is first drawn; `RelevanceTraining.learn` is for that.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.counts import check_counts
from backend.editing.relevance import RelevanceMap, normalise_together
from backend.fields import checkpoint
from backend.fields.calibration import NOWHERE, Calibration, calibrate
from backend.fields.config import RelevanceConfig
from backend.fields.facts import CheckpointError, check_same, config_of
from backend.fields.fast_nerfacto import accelerate
from backend.fields.nerfstudio_compat import MLPWithHashEncoding, SceneContraction
from backend.fields.radiance_field import CHUNK, RadianceField
from backend.fields.rays import ViewRays
from backend.fields.training import Course, OnStep, Schedule, fit
from backend.fields.views import MEASURED_PIXELS, psnr
from protocol.settings import MapSettings
from protocol.values import Normalisation

NAME = "relevance"
"""Of the checkpoint."""
UNSEEN = 1e-3
"""Of a ray's light, below which a sample lies where nothing is."""
CALIBRATION_VIEWS = 12
"""Views at most that calibrate a field, spread evenly over all."""
CALIBRATION_SIDE = 128
"""Pixels that are enough along the longer side of such a view: of larger ones, every n-th pixel."""


class RelevanceField(nn.Module):
    """r(x): how much an instruction concerns each place of a scene.

    It never sees the radiance field's parameters: `composite` gets positions and weights.
    """

    def __init__(self, config: RelevanceConfig, seed: int = 0) -> None:
        """Makes a field with random parameters that `seed` fixes; r is about 0.5 everywhere."""
        super().__init__()
        self.config = config
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.net = MLPWithHashEncoding(
                num_levels=config.levels,
                min_res=config.lowest_resolution,
                max_res=config.highest_resolution,
                log2_hashmap_size=config.log2_table_size,
                num_layers=2,
                layer_width=config.hidden,
                out_dim=1,
                out_activation=nn.Sigmoid(),
                implementation="torch",
            )
        self.contraction = SceneContraction(order=float("inf"))
        accelerate(self)

    def forward(self, positions: Tensor) -> Tensor:
        """r float32 (..., 1), 0..1, at positions float32 (..., 3) in box coordinates."""
        contracted = (self.contraction(positions) + 2) / 4
        flat: Tensor = self.net(contracted.reshape(-1, 3))
        return flat.view(*positions.shape[:-1], 1)

    def composite(self, positions: Tensor, weights: Tensor) -> Tensor:
        """R float32 (m, 1) of m rays with s samples each.

        Args:
            positions: float32 (m, s, 3), in box coordinates.
            weights: float32 (m, s, 1), how much of what a ray shows each sample sends: from
                `RadianceField.shown`, so that whatever is seen can be relevant.
        """
        return (weights.detach() * self(positions.detach())).sum(dim=-2)

    @torch.no_grad()
    def at(self, positions: NDArray[np.float32]) -> NDArray[np.float32]:
        """r float32 (m) at positions float32 (m, 3) in box coordinates."""
        device = next(self.parameters()).device
        parts = torch.from_numpy(positions).to(device).split(CHUNK * 16)
        found: NDArray[np.float32] = torch.cat([self(part) for part in parts])[:, 0].cpu().numpy()
        return found


@dataclass
class Relevance:
    """Where an instruction applies in a scene.

    Attributes:
        field: the trained field.
        calibration: what a threshold means for it.
        growth: how far places lie where the scene may grow, float32 (..., 1), at positions
            (..., 3): inside, above 0.5, whatever is there by then is relevant. None where the
            instruction is about nothing but what there was.
    """

    field: RelevanceField
    calibration: Calibration
    growth: Callable[[Tensor], Tensor] | None = None

    def grown(self, growth: Callable[[Tensor], Tensor], middle: float) -> "Relevance":
        """The same where the scene may grow.

        Args:
            growth: see above.
            middle: 0..1, what takes the middle's place on the calibrated scale.
        """
        return Relevance(self.field, self.calibration.moved(middle), growth)

    def composite(self, positions: Tensor, weights: Tensor) -> Tensor:
        """R float32 (m, 1) of rays, not yet calibrated; see `RelevanceField.composite`."""
        if self.growth is None:
            return self.field.composite(positions, weights)
        known = self.calibration
        # a ray that gets half of its light from inside is to reach the middle
        most = max(known.high - known.low, 2 * (known.middle - known.low))
        grown = known.low + most * self.growth(positions)
        return (weights.detach() * torch.maximum(self.field(positions.detach()), grown)).sum(dim=-2)


# --- what it is trained on ------------------------------------------------------------------------


def scene_maps(
    maps: Sequence[RelevanceMap],
    sizes: Sequence[tuple[int, int]],
    normalisation: Normalisation = MapSettings.normalisation,
) -> list[NDArray[np.float32]]:
    """The views' maps normalised together, float32 (height, width) each at its size in pixels."""
    values = normalise_together([one.raw for one in maps], normalisation)
    together = [dataclasses.replace(m, values=v) for m, v in zip(maps, values, strict=True)]
    return [m.at(*size) for m, size in zip(together, sizes, strict=True)]


# --- training -------------------------------------------------------------------------------------


class RelevanceTraining:
    """A relevance field and what it takes to train it. Satisfies `training.Trainee`."""

    def __init__(
        self,
        field: RelevanceField,
        scene: RadianceField,
        rays: ViewRays,
        maps: Tensor | None,
    ) -> None:
        """Args:
        field: to train.
        scene: whose weights place the maps in space; it is not changed.
        rays: of all views.
        maps: float32 (rays.total), the maps' values at the rays' pixels; None where no view has a
            map yet, see `learn`.
        """
        self.field, self.scene, self._rays = field, scene, rays
        self._maps = torch.zeros(rays.total, device=scene.device) if maps is None else maps
        self._known: set[int] | None = set() if maps is None else None
        self.optimizer = torch.optim.Adam(
            field.parameters(), lr=field.config.learning_rate, eps=1e-15, fused=True
        )

    def learn(self, view: int, values: NDArray[np.float32]) -> None:
        """Makes the map of one more view known, float32 (H, W) in 0..1, where none was in the
        beginning; steps are on the views whose map is known.
        """
        assert self._known is not None
        self._known.add(view)
        place = self._rays.of_view(view)
        self._maps[place] = torch.from_numpy(values.reshape(-1)).to(place.device)

    def _draw(self) -> Tensor:
        """int64 (rays of a step): pixels at random of the views that have a map."""
        if self._known is None:
            return self._rays.draw(self.field.config.rays)
        known = torch.tensor(sorted(self._known), device=self._maps.device)
        return self._rays.draw_of(known, self.field.config.rays)

    def advance(self, step: int) -> float:
        """One step on random rays of the views with a map, where the scene is by then; the loss."""
        config = self.field.config
        decay = config.final_learning_rate / config.learning_rate
        rate = config.learning_rate * decay ** min(step / config.iterations, 1)
        self.optimizer.param_groups[0]["lr"] = rate
        pixels = self._draw()
        self.optimizer.zero_grad()
        positions, weights = self.scene.weigh(self._rays.bundle(pixels))
        shown = self.scene.shown(weights)
        found = self.field(positions)
        loss = nn.functional.mse_loss((shown * found).sum(dim=(-2, -1)), self._maps[pixels])
        if config.dark > 0:
            before = (shown < UNSEEN) & (shown.cumsum(dim=-2) < 0.5)
            loss = loss + config.dark * (found.square() * before).mean()
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())

    def measure(self) -> float:
        """How well the field fits the maps: PSNR in decibels on pixels spread over the views."""
        count = min(MEASURED_PIXELS, self._rays.total)
        device = self._maps.device
        pixels = torch.linspace(0, self._rays.total - 1, count, device=device).long()
        return psnr(self._render(pixels), self._maps[pixels])

    def preview(self) -> NDArray[np.uint8]:
        """The first view's relevance, in grey."""
        rendered = self._render(self._rays.of_view(0)).reshape(self._rays.shape(0))
        grey = (rendered.cpu().numpy() * 255 + 0.5).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)

    @torch.no_grad()
    def _render(self, pixels: Tensor) -> Tensor:
        return torch.cat([self._composite(part) for part in pixels.split(CHUNK)])[:, 0]

    def _composite(self, pixels: Tensor) -> Tensor:
        positions, weights = self.scene.weigh(self._rays.bundle(pixels))
        return self.field.composite(positions, self.scene.shown(weights))

    def state(self) -> dict[str, Any]:
        """Parameters and the optimizer's state."""
        return {"field": self.field.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.field.load_state_dict(state["field"])
        self.optimizer.load_state_dict(state["optimizer"])

    def facts(self) -> dict[str, Any]:
        """What it takes to make the field again, and the maps that it is trained on."""
        maps = checkpoint.fingerprint(self._maps.cpu().numpy())
        return {"config": dataclasses.asdict(self.field.config), "maps": maps}


def train(
    scene: RadianceField,
    rays: ViewRays,
    maps: Sequence[NDArray[np.float32]],
    config: RelevanceConfig,
    folder: Path | None = None,
    on_step: OnStep | None = None,
    seed: int = 0,
    calibration: Calibration | None = None,
) -> tuple[RelevanceField, Calibration, Course]:
    """Trains a relevance field on the maps of some views, or goes on with the one in `folder`, and
    calibrates it by these views.

    Args:
        scene: a trained radiance field.
        rays: of the views that have a map; from the poses that `scene.corrected` gives.
        maps: float32 (H, W) in 0..1 for each of them, from `scene_maps`; where all are zeros, the
            field is calibrated to be relevant nowhere.
        config: all numbers.
        folder: for checkpoints; None to keep none.
        on_step: is told of every step; what it raises ends the training after a checkpoint.
        seed: of parameters and rays.
        calibration: where it is known, in place of what the views say.

    Raises:
        ValueError: there is not one map for each view, of its size.
        CheckpointError, FloatingPointError, OSError: as `training.fit`.
    """
    check_counts(
        iterations=config.iterations, rays=config.rays, evaluate_every=config.evaluate_every
    )
    views = len(rays.starts) - 1
    if len(maps) != views:
        raise ValueError(f"There are {len(maps)} maps for {views} views: give one for each.")
    for view, values in enumerate(maps):
        if values.shape != rays.shape(view):
            raise ValueError(f"Map {view} is {values.shape}, its view {rays.shape(view)}.")
    flat = np.concatenate([values.ravel() for values in maps]).astype(np.float32)
    field = RelevanceField(config, seed).to(scene.device)
    training = RelevanceTraining(field, scene, rays, torch.from_numpy(flat).to(scene.device))
    if folder is not None:
        check_same(folder, NAME, training.facts())
    # Maps that say nothing of where teach nothing, and the field's own noise must not be stretched
    # to a region; where the calibration is known, they teach that it is nowhere.
    says_where = bool(flat.any())
    iterations = config.iterations if says_where or calibration is not None else 1
    schedule = Schedule(iterations, config.evaluate_every, config, seed)
    course = fit(training, schedule, folder, NAME, on_step)
    if calibration is not None:
        return field, calibration, course
    if not says_where:
        return field, NOWHERE, course
    return field, calibrate(*_seen(field, scene, rays)), course


def _seen(
    field: RelevanceField, scene: RadianceField, rays: ViewRays
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """R (h, w) and the scene's colours (h, w, 3) in the views that calibrate a field."""
    views = len(rays.starts) - 1
    chosen = np.linspace(0, views - 1, min(views, CALIBRATION_VIEWS)).round().astype(int)
    relevance, pictures = [], []
    for view in chosen.tolist():
        every = max(1, max(rays.shape(view)) // CALIBRATION_SIDE)
        pixels = rays.of_view(view).view(rays.shape(view))[::every, ::every]
        bundle = rays.bundle(pixels.reshape(-1))
        shaded = scene.shade(bundle, field.composite).cpu().numpy().reshape(*pixels.shape, -1)
        pictures.append(shaded[..., :3])
        relevance.append(shaded[..., 5])
    return relevance, pictures


def load(folder: Path, device: torch.device | str = "cpu") -> RelevanceField:
    """The field that `train` left in a folder, finished or not.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    found = checkpoint.load(folder, NAME)
    if found is None:
        raise CheckpointError(f"{folder} holds no relevance field: train one first.")
    facts, tensors = found
    field = RelevanceField(config_of(RelevanceConfig, facts["config"], NAME))
    field.load_state_dict(tensors["field"])
    return field.to(device)
