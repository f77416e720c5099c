"""Editing a scene by a gradient: while the radiance field goes on training, a guide says of its
pictures which way their pixels should go. No view is exchanged for an edited one.

    in every step, for the next view that has a region:
    1. render the scene from there, whole, if need be smaller than its photo
    2. the gradient of the guide's loss by the picture's pixels, inside the view's region
    3. the same carried on to the field, beside nerfacto's own losses on random rays of all views,
       whose colours count outside the regions alone: there the scene is kept as its photos show it

The regions are those of the unedited scene. Before the last step each view that has one is kept
with its picture before and after, as the dataset update keeps the edits of views, and the photos
get these pictures inside the regions, so that another edit can go on from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from backend.errors import BadInput
from backend.fields.config import SceneEditConfig
from backend.fields.pace import Aside
from backend.fields.radiance_field import Rendering
from backend.fields.radiance_training import RadianceTraining
from backend.fields.rays import ViewRays
from backend.pictures.changes import UNSEEN
from backend.pictures.visible_change import changed_share
from backend.scenes.methods.dataset_update import (
    RELEVANCE,
    VIEWS_FOLDER,
    EditedView,
    OnStage,
    keep_view,
    photo_of,
)
from backend.scenes.methods.regions import Region


@dataclass(frozen=True)
class Shot:
    """A picture that a guide is asked about.

    Attributes:
        view: number of the view.
        step: of the edit; nothing else may decide what is drawn at random.
        picture: float32 (1, 3, h, w), sRGB 0..1, that the loss is differentiated by.
        photo: uint8 (H, W, 3), the view's photo over black.
        before: uint8 (H, W, 3), what the scene showed there before the edit.
        mask: bool (H, W), the region.
    """

    view: int
    step: int
    picture: Tensor
    photo: NDArray[np.uint8]
    before: NDArray[np.uint8]
    mask: NDArray[np.bool_]


Guide = Callable[[Shot], Tensor]
"""The loss, a number, of a picture of the scene."""


class GuidedTraining:
    """A radiance field that is trained on while a guide pulls at its pictures. Satisfies
    `SceneTrainee`.
    """

    def __init__(
        self,
        training: RadianceTraining,
        guide: Guide,
        region: Region,
        config: SceneEditConfig,
        side: int,
        folder: Path,
        first_step: int,
        on_stage: OnStage,
    ) -> None:
        """Args:
        training: of the field; its views' pixels are the originals.
        guide: whose loss is made less.
        region: where each view is edited; known before the edit.
        config: all numbers, for as many views (`SceneEditConfig.for_views`).
        side: pixels along the longer side of the guide's pictures at most.
        folder: of the edit.
        first_step: steps that the field was trained for before.
        on_stage: told what is done; what it raises ends the edit.
        """
        self.training, self._guide, self._region, self._config = training, guide, region, config
        self._side, self._folder = side, folder / VIEWS_FOLDER
        self._first_step, self._on_stage = first_step, on_stage
        views = training.views
        self._inside = torch.zeros(views.rays.total, dtype=torch.bool, device=views.pixels.device)
        self._before: Tensor | None = None
        """uint8 (total, 3), what the scene showed before the edit, once that was looked at."""
        self._originals, self._distances = views.pixels.clone(), views.distances
        self._guided: list[int] = []
        self._kept = 0

    @property
    def round_steps(self) -> int:
        """Steps until every view has been rendered once more."""
        return len(self.training.views.names)

    def between_steps(self, step: int) -> None:
        """Before the last step the views are kept: what stops that comes after a checkpoint."""
        if step + 1 == self._config.iterations and self._guided and not self._kept:
            self._keep(step)

    def aside(self) -> Aside:
        """None of it takes time."""
        return Aside()

    # ------------------------------------------------------------ training.Trainee

    def advance(self, step: int) -> float:
        """One step of the field's training under the guide; the loss. Where no view has a region,
        the field stays as it is.
        """
        if self._before is None:
            self._look()
        self.between_steps(step)
        if not self._guided:
            return 0.0
        loss = self.training.advance(self._first_step + step, lambda: self._pull(step))
        refitting = self._region.refitting
        if refitting is not None and step % self._config.refit_every == 0:
            refitting.advance(refitting.field.config.iterations)  # at its last learning rate
        return loss

    def _look(self) -> None:
        """Finds the regions of all views in the scene as it is, and keeps what it shows there."""
        views = self.training.views
        before = torch.zeros(views.rays.total, 3, dtype=torch.uint8, device=views.pixels.device)
        for index in range(len(views.names)):
            self._tell("Looking at", index)
            seen, place = self._render(index), views.rays.of_view(index)
            _, opaque = photo_of(views, index, self._originals)
            mask = self._region.mask(index, seen) & opaque
            before[place] = torch.from_numpy(_bytes(seen).reshape(-1, 3)).to(place.device)
            self._inside[place] = torch.from_numpy(mask.reshape(-1)).to(place.device)
        self._before = before
        self._settle()

    def _settle(self) -> None:
        """What follows from the regions: where colours and depths say nothing any more."""
        views, rays = self.training.views, self.training.views.rays
        count = len(views.names)
        self._guided = [v for v in range(count) if bool(self._inside[rays.of_view(v)].any())]
        self.training.spared = self._inside
        if self._distances is not None:
            views.distances = torch.where(self._inside, 0, self._distances)

    def _pull(self, step: int) -> float:
        """Adds the guide's gradient to those of the field's parameters; its loss."""
        index = self._turn(step)
        field, views = self.training.field, self.training.views
        camera = views.intrinsics[index]
        scale = min(1.0, self._side / max(camera.width, camera.height))
        height, width = (max(1, round(side * scale)) for side in (camera.height, camera.width))
        pose = field.corrected(views.poses[index], views.names[index])
        rays = ViewRays(pose[None], [camera.resized(width, height)], field.device)
        bundle = rays.bundle(rays.of_view(0))
        shown = field.shade(bundle)[:, :3]
        picture = shown.view(1, height, width, 3).permute(0, 3, 1, 2).contiguous()
        mask = self._mask(index)
        assert self._before is not None
        shot = Shot(
            index,
            step,
            picture.requires_grad_(),
            photo_of(views, index, self._originals)[0],
            self._before[views.rays.of_view(index)].view(*mask.shape, 3).cpu().numpy(),
            mask.cpu().numpy(),
        )
        loss = self._guide(shot)
        (gradient,) = torch.autograd.grad(loss, picture)
        inside = functional.interpolate(mask[None, None].float(), (height, width), mode="area")
        field.pull(bundle, (gradient * inside)[0].permute(1, 2, 0).reshape(-1, 3))
        return float(loss.detach())

    def _turn(self, step: int) -> int:
        """The view of a step: every one once a round, in an order drawn anew."""
        number, place = divmod(step, len(self._guided))
        order = np.random.default_rng([self._config.seed, number, 0]).permutation(self._guided)
        return int(order[place])

    def _mask(self, index: int) -> Tensor:
        """bool (H, W), the region of a view."""
        rays = self.training.views.rays
        return self._inside[rays.of_view(index)].view(rays.shape(index))

    def _render(self, index: int) -> Rendering:
        """What the scene shows of a view now."""
        views, field = self.training.views, self.training.field
        pose = field.corrected(views.poses[index], views.names[index])
        return field.render(pose, views.intrinsics[index], self._region.composite)

    def _keep(self, step: int) -> None:
        """Keeps the views that have a region as the edit has left them."""
        views, before = self.training.views, self._before
        assert before is not None
        for count, index in enumerate(self._guided):
            self._tell("Rendering", index)
            photo, _ = photo_of(views, index, self._originals)
            place, mask = views.rays.of_view(index), self._mask(index).cpu().numpy()
            after = np.where(mask[..., None], _bytes(self._render(index)), photo)
            pictures = {
                "before": before[place].view(*mask.shape, 3).cpu().numpy(),
                "after": after,
                "mask": mask,
            }
            share = round(changed_share(photo, after, mask, UNSEEN), 5)
            view = EditedView(
                views.names[index], count, step, self._config.seed, 0.0, self._folder, share
            )
            keep_view(view, pictures)
            chosen = place[self._inside[place]]
            views.pixels[chosen, :3] = torch.from_numpy(after[mask]).to(place.device)
        self._kept = len(self._guided)

    def _tell(self, doing: str, index: int) -> None:
        names = self.training.views.names
        words = f"{doing} view {names[index]}, {index + 1} of {len(names)}"
        self._on_stage(words, (index + 1) / len(names))

    def measure(self) -> float | None:
        """None: nothing says how far the edit is, and it has all its steps."""
        return None

    def preview(self) -> NDArray[np.uint8]:
        """A small picture of the field."""
        return self.training.preview()

    def state(self) -> dict[str, Any]:
        """The field's training, the views with their regions, and what they showed before."""
        views = self.training.views
        assert self._before is not None
        state = {
            "training": self.training.state(),
            "pixels": views.pixels.cpu(),
            "inside": self._inside.cpu(),
            "before": self._before.cpu(),
            "count": self._kept,
        }
        if self._region.refitting is not None:
            state[RELEVANCE] = self._region.refitting.state()
        return state if views.distances is None else state | {"distances": views.distances.cpu()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.training.load_state(state["training"])
        self.training.views.pixels.copy_(state["pixels"])
        self._inside.copy_(state["inside"])
        self._before = state["before"].to(self._inside.device)
        self._kept = state["count"]
        self._settle()
        if self._region.refitting is not None:
            self._region.refitting.load_state(state[RELEVANCE])

    def facts(self) -> dict[str, Any]:
        """What it takes to make the field again, how many views were kept, and where it began."""
        return self.training.facts() | {"edits": self._kept, "first_step": self._first_step}


def check_region(config: SceneEditConfig) -> None:
    """Refuse a region that is not known before the edit.

    Raises:
        BadInput: it is found while the scene is edited.
    """
    if config.fits_while_edited:
        raise BadInput(
            f"The method {config.method} edits inside a region that is known before: take another "
            "preset than paper, or edit everything."
        )


def _bytes(seen: Rendering) -> NDArray[np.uint8]:
    """uint8 (H, W, 3)."""
    return (seen.rgb * 255 + 0.5).astype(np.uint8)
