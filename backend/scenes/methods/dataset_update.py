"""The dataset update of section 4.3: while the radiance field goes on training, its training views
are exchanged one by one for edited ones, until the scene itself is edited.

    every `edit_every` steps, for the next view i with the original photo I_i:
    1. render the scene from there, x, and its relevance: the mask is where that is high
    2. noise x to a random level and denoise it inside the mask, conditioned on I_i  (Eq. 1, 4, 5)
    3. outside the mask (and its rim, where that is soft) put I_i back, and train on the result

`views_at_once` of them are denoised in one batch, each from its own render, level and noise.

An edit reaches the scene only as far as views agree on it, which is what makes it the same from
every side.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from backend.editing import ImageEditor, Step
from backend.fields.config import SceneEditConfig
from backend.fields.facts import CheckpointError
from backend.fields.pace import Aside
from backend.fields.radiance_training import RadianceTraining
from backend.fields.views import MEASURED_PIXELS, Views, corrected_rays, psnr
from backend.pictures.changes import UNSEEN
from backend.pictures.visible_change import changed_share
from backend.records import DamagedRecord, read_record
from backend.scenes.edit_records import Asked
from backend.scenes.methods.regions import Region
from backend.scenes.methods.update_plan import UpdatePlan
from protocol import files
from protocol.settings import EditSettings, taken

VIEWS_FOLDER = "views"
RELEVANCE = "relevance"
"""Part of the state: the relevance field, where it was fitted while the scene changed."""
LATEST_EDITS = 24
"""The edits whose mean is that of those to come."""

OnStage = Callable[[str, float], None]
"""Told of every denoising step of a view's edit, in words and as a share 0..1 of that edit."""


@dataclass(frozen=True)
class EditedView:
    """One edit of one view, as it is kept on disk.

    Attributes:
        name: of the view.
        count: how many edits came before it.
        step: of the training, after which it was made.
        seed: of its noise.
        noise_level: 0..1, that the render was noised to.
        folder: where its pictures are.
        changed: share 0..1 of the mask that can be seen to have changed from the original photo
            (see visible_change.py); None in edits of earlier versions.
    """

    name: str
    count: int
    step: int
    seed: int
    noise_level: float
    folder: Path
    changed: float | None = None

    @property
    def before(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): the render that the edit started from."""
        return self._picture("before")

    @property
    def after(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3): the edited view, outside the mask and its rim the original photo."""
        return self._picture("after")

    @property
    def mask(self) -> NDArray[np.bool_]:
        """bool (H, W): where it was edited."""
        return self._picture("mask") > 0

    def _picture(self, kind: str) -> NDArray[np.uint8]:
        path = self.folder / f"{self.count:05d}_{kind}.png"
        try:
            with Image.open(path) as file:
                return np.asarray(file)
        except OSError as error:
            raise CheckpointError(
                f"{path} is missing or damaged: undo the edit and make it anew."
            ) from error


class _Record(msgspec.Struct):
    """What is noted of an edited view; see `EditedView`."""

    name: str
    count: int
    step: int
    seed: int
    noise_level: float
    changed: float | None = None


def keep_view(view: EditedView, pictures: Mapping[str, NDArray[Any]]) -> None:
    """Keeps an edit of a view on disk: its record, and its pictures "before", "after" and "mask".

    Raises:
        OSError: the folder cannot be written.
    """
    files.make_folder(view.folder)
    for kind, picture in pictures.items():
        with files.replacing(view.folder / f"{view.count:05d}_{kind}.png") as file:
            Image.fromarray(picture).save(file, "PNG")
    record = _Record(view.name, view.count, view.step, view.seed, view.noise_level, view.changed)
    files.write_json(view.folder / f"{view.count:05d}.json", msgspec.structs.asdict(record))


def edited_views(folder: Path, before: int) -> tuple[EditedView, ...]:
    """The edits that lie in a folder and were made before a number of them, in their order.

    Raises:
        CheckpointError: a record is damaged.
    """
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = read_record(path, _Record)
        except (OSError, DamagedRecord) as error:
            raise CheckpointError(f"{path} is damaged: undo the edit and make it anew.") from error
        if record.count < before:
            found.append(EditedView(**msgspec.structs.asdict(record), folder=folder))
    return tuple(found)


@dataclass(frozen=True)
class _Turn:
    """An edit of a view that is to be made.

    Attributes:
        count: how many edits come before it.
        index: of the view.
        seed: of its noise.
        noise_level: 0..1, that the render is noised to.
        original: uint8 (H, W, 3), the original photo over black.
        before: uint8 (H, W, 3), the current render.
        mask: bool (H, W), where it is to be edited.
    """

    count: int
    index: int
    seed: int
    noise_level: float
    original: NDArray[np.uint8]
    before: NDArray[np.uint8]
    mask: NDArray[np.bool_]


class DatasetUpdate:
    """A radiance field that is trained on while its views are edited. Satisfies `SceneTrainee`, and
    the class itself `SceneMethod`.

    Attributes:
        count: edits of views made so far, those of views without a region among them.
        plan: when which of them is made.
    """

    def __init__(
        self,
        training: RadianceTraining,
        editor: ImageEditor,
        instruction: str,
        region: Region,
        config: SceneEditConfig,
        folder: Path,
        first_step: int,
        on_stage: OnStage,
    ) -> None:
        """Args:
        training: of the field; its views' pixels are the originals, and are exchanged here.
        editor: the model.
        instruction: such as "turn the bear into a panda".
        region: where each view is edited.
        config: all numbers, for as many views (`SceneEditConfig.for_views`).
        folder: where every edited view is kept.
        first_step: steps that the field was trained for before.
        on_stage: told of every denoising step; what it raises ends the edit before anything of it
            counts.
        """
        self.training, self._editor, self._instruction = training, editor, instruction
        self._region, self._config = region, config
        self._folder, self._first_step, self._on_stage = folder, first_step, on_stage
        views = training.views
        self.originals, self._distances = views.pixels.clone(), views.distances
        self._inside = torch.zeros(views.rays.total, dtype=torch.bool, device=views.pixels.device)
        self._kept = self._inside.clone()
        # what is to appear would be painted on what lies behind its place, sooner than it appears
        training.appearing = self._inside
        self.count, self._edited = 0, False
        self._spent = 0.0
        self._seconds: deque[float] = deque(maxlen=LATEST_EDITS)
        self.plan = UpdatePlan.of(config, len(views.names))

    @classmethod
    def check(cls, editor: ImageEditor, config: SceneEditConfig) -> None:
        """See `SceneMethod`: it works with every editor."""

    @classmethod
    def begin(
        cls,
        training: RadianceTraining,
        editor: ImageEditor,
        asked: Asked,
        region: Region,
        folder: Path,
        first_step: int,
        on_stage: OnStage,
    ) -> Self:
        """See `SceneMethod`."""
        config = asked.config.for_views(len(training.views.names))
        kept = folder / VIEWS_FOLDER
        return cls(training, editor, asked.instruction, region, config, kept, first_step, on_stage)

    @property
    def round_steps(self) -> int:
        """The steps that it takes until every view has had its turn once more."""
        return self.plan.round_steps

    def between_steps(self, step: int) -> None:
        """Edits the next views whose turn has come when `step` steps are done.

        The random numbers of an edit depend on nothing but the seed and its count, so that a batch
        which was broken off can be made again as it would have been.
        """
        at_once = self._config.views_at_once
        while self.count < self.plan.edits and self.plan.due(self.count) <= step:
            if self._stays and self.count == len(self.training.views.names):
                return  # no view has a region, nor will it: the field stays as it is
            counts = self.plan.together(self.count, at_once)
            began = time.monotonic()
            self._meet(counts)
            # 1. render; what the instruction does not apply to stays as it is
            turns = [turn for turn in map(self._turn, counts) if turn.mask.any()]
            # 2. denoise, views of one size in a batch; until all are done it may be broken off
            edited: dict[int, NDArray[np.uint8]] = {}
            for shape in dict.fromkeys(turn.mask.shape for turn in turns):
                edited |= self._denoise([turn for turn in turns if turn.mask.shape == shape])
            # 3. train on the results
            for turn in turns:
                self._take(turn, edited[turn.count], step)
            self.count = counts.stop
            took = time.monotonic() - began
            self._spent += took
            self._seconds += [took / len(counts)] * len(counts)

    def aside(self) -> Aside:
        """What edits of views have taken and will take yet. Nothing tells before the first that
        changes something, up to which the field stays as it is.
        """
        left = self.plan.edits - self.count
        if not self._learns or (left > 0 and not self._seconds):
            return Aside(self._spent, None)
        mean = sum(self._seconds) / max(1, len(self._seconds))
        return Aside(self._spent, left * mean)

    @property
    def _learns(self) -> bool:
        """Whether there is anything for the field to learn by now."""
        return self._edited

    @property
    def _stays(self) -> bool:
        """Whether the scene is as it was, and no map can be found that would change that."""
        return not self._edited and self._region.drawn is None

    def _meet(self, counts: range) -> None:
        """Finds the maps of the views of these edits, where that is not done before."""
        if self._region.drawn is None:
            return
        views = [self._draw(count)[0] for count in counts]
        self._region.drawn.learn(views, self._on_stage)
        if self.count == 0:
            # a field that has learnt nothing would mark places by chance
            for _ in range(self._config.edit_every):
                self._refit()

    def _refit(self) -> None:
        """A step of the relevance field, at its last learning rate."""
        refitting = self._region.refitting
        assert refitting is not None
        refitting.advance(refitting.field.config.iterations)

    def _turn(self, count: int) -> _Turn:
        """What the edit of a count is made of: the render and its mask (step 1), the original."""
        index, seed, level = self._draw(count)
        views, field = self.training.views, self.training.field
        name = views.names[index]
        seen = field.render(
            field.corrected(views.poses[index], name),
            views.intrinsics[index],
            self._region.composite,
        )
        original, opaque = photo_of(views, index, self.originals)
        mask = self._region.mask(index, seen)
        if self._config.keep_region:
            mask |= self._kept[views.rays.of_view(index)].cpu().numpy().reshape(mask.shape)
        mask &= opaque
        before = (seen.rgb * 255 + 0.5).astype(np.uint8)
        return _Turn(count, index, seed, level, original, before, mask)

    def _denoise(self, turns: Sequence[_Turn]) -> dict[int, NDArray[np.uint8]]:
        """The edited views of one size, uint8 (H, W, 3), by their counts."""
        first = f"view {self.training.views.names[turns[0].index]}"
        words = f"Editing {first if len(turns) == 1 else f'{len(turns)} views'}"
        words += f", edit {turns[0].count + 1} of {self.plan.edits}"

        def after_step(done: Step) -> None:
            self._on_stage(words, (done.index + 1) / done.count)

        edited = self._editor.edit_images(
            self._instruction,
            images=[turn.original for turn in turns],
            masks=[turn.mask for turn in turns],
            starts=[turn.before for turn in turns],
            strengths=[turn.noise_level for turn in turns],
            seeds=[turn.seed for turn in turns],
            settings=taken(EditSettings, self._config),
            on_step=after_step,
        )
        return {turn.count: image for turn, image in zip(turns, edited, strict=True)}

    def _take(self, turn: _Turn, edited: NDArray[np.uint8], step: int) -> None:
        """Keep an edited view, uint8 (H, W, 3), and train on it inside its mask and rim from now
        on.
        """
        views, mask = self.training.views, turn.mask
        keep_view(
            EditedView(
                views.names[turn.index],
                turn.count,
                step,
                turn.seed,
                turn.noise_level,
                self._folder,
                round(changed_share(turn.original, edited, mask, UNSEEN), 5),
            ),
            {"before": turn.before, "after": edited, "mask": mask},
        )
        place = views.rays.of_view(turn.index)
        views.pixels[place] = self.originals[place]
        # the region, and as much of its soft rim as lies outside
        written = mask | (edited != turn.original).any(axis=2)
        chosen = place[torch.from_numpy(written.reshape(-1)).to(place.device)]
        views.pixels[chosen, :3] = torch.from_numpy(edited[written]).to(views.pixels.device)
        self._inside[place] = False
        self._inside[chosen] = self._edited = True
        self._kept[place] = torch.from_numpy(mask.reshape(-1)).to(place.device)
        self._forget_depth()
        self._favour()

    def _favour(self) -> None:
        """Lets what was edited have its share of the rays, however small it is."""
        self.training.favour(self._inside, self._config.inside_rays)

    def _forget_depth(self) -> None:
        """An edit may change the shape: what is inside its region has no known depth any more."""
        if self._distances is not None:
            self.training.views.distances = torch.where(self._inside, 0, self._distances)

    def _draw(self, count: int) -> tuple[int, int, float]:
        """Which view an edit is of, with which seed and from which noise level, by its count."""
        config, views = self._config, len(self.training.views.names)
        number, place = divmod(count, views)
        # every view once a round, in an order drawn anew: none waits for long
        order = np.random.default_rng([config.seed, number, 0]).permutation(views)
        random = np.random.default_rng([config.seed, count, 1])
        low, high = config.noise_range
        level = low + (high - low) * random.random()
        if number == 0 and config.first_level is not None:
            level = config.first_level
        return int(order[place]), int(random.integers(2**31)), float(level)

    # ------------------------------------------------------------ training.Trainee

    def advance(self, step: int) -> float:
        """One step of the field's training on the views as they are now; the loss. As long as no
        view has been edited there is nothing to learn, and the field stays as it is.
        """
        self.between_steps(step)
        if self._stays:
            return 0.0
        loss = self.training.advance(self._first_step + step) if self._learns else 0.0
        if self._region.refitting is not None and step % self._config.refit_every == 0:
            self._refit()
        return loss

    def measure(self) -> float | None:
        """How far the edited views agree in the field: PSNR in decibels of what it shows against
        them, inside their regions. None before every view has had its turn.
        """
        views = self.training.views
        inside = torch.nonzero(self._inside)[:, 0]
        if self.count < len(views.names) or not len(inside):
            return None
        every = -(-len(inside) // MEASURED_PIXELS)
        pixels = inside[::every]
        field = self.training.field
        shown = field.shade(corrected_rays(field, views).bundle(pixels))[:, :3]
        true = field.model.renderer_rgb.blend_background(views.colours(pixels))
        return psnr(shown, true)

    def preview(self) -> NDArray[np.uint8]:
        """A small picture of the field."""
        return self.training.preview()

    def state(self) -> dict[str, Any]:
        """The field's training, the views as they are now, and how many edits were made."""
        views = self.training.views
        state = {
            "training": self.training.state(),
            "pixels": views.pixels.cpu(),
            "inside": self._inside.cpu(),
            "count": self.count,
            "kept": self._kept.cpu(),
        }
        if self._region.refitting is not None:
            state[RELEVANCE] = self._region.refitting.state()
        return state if views.distances is None else state | {"distances": views.distances.cpu()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.training.load_state(state["training"])
        self.training.views.pixels.copy_(state["pixels"])
        self._inside.copy_(state["inside"])
        self._kept.copy_(state.get("kept", state["inside"]))  # an earlier version did not keep it
        self._edited = bool(self._inside.any())
        self._forget_depth()
        self._favour()
        self.count = state["count"]
        if self._region.drawn is not None:
            first_round = range(min(self.count, len(self.training.views.names)))
            met = [self._draw(count)[0] for count in first_round]
            self._region.drawn.learn(met, self._on_stage)
        if self._region.refitting is not None:
            self._region.refitting.load_state(state[RELEVANCE])

    def facts(self) -> dict[str, Any]:
        """What it takes to make the field again, how many edits were made, and where they began."""
        return self.training.facts() | {"edits": self.count, "first_step": self._first_step}


def photo_of(
    views: Views, index: int, pixels: torch.Tensor
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """uint8 (H, W, 3), what one of the views shows in pixels (views.rays.total, 3 or 4), over
    black, and bool (H, W), where it shows something.
    """
    photo = pixels[views.rays.of_view(index)].cpu().numpy()
    photo = photo.reshape(*views.rays.shape(index), -1)
    if not views.alpha:
        return photo, np.ones(photo.shape[:2], np.bool_)
    alpha = photo[..., 3:].astype(np.uint16)
    return (photo[..., :3] * alpha // 255).astype(np.uint8), alpha[..., 0] > 127


def split(pixels: torch.Tensor, shapes: Sequence[tuple[int, int]]) -> list[NDArray[np.uint8]]:
    """The images (H, W, C) of views whose pixels lie in one row."""
    ends = np.cumsum([height * width for height, width in shapes])[:-1]
    parts = np.split(pixels.cpu().numpy(), ends)
    return [part.reshape(*shape, -1) for part, shape in zip(parts, shapes, strict=True)]
