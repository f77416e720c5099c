"""A scene: a capture, the fields that were trained on it, and where they are kept.

Nothing of the capture is ever written to. What is made of it lies in a work folder, `.wys` in the
capture's own folder unless told otherwise:

    axes.json                                  what the capture's poses were taken for, and the box
    radiance.json, radiance-STEP.pt            the radiance field
    edits/NAME/                                the edits (see scene_edit.py)
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from backend.captures.axes import Axes
from backend.captures.capture import Capture, CaptureError
from backend.captures.files import description_of
from backend.captures.lens import Intrinsics
from backend.captures.transforms import open_capture, readable
from backend.editing import ImageEditor, RelevanceMap
from backend.errors import BadInput
from backend.fields import checkpoint, radiance_training, relevance_field
from backend.fields.calibration import Calibration
from backend.fields.config import PRESETS, FieldConfig, RelevanceConfig, SceneEditConfig
from backend.fields.radiance_field import RadianceField
from backend.fields.rays import ViewRays
from backend.fields.relevance_field import RelevanceField, scene_maps
from backend.fields.training import CHECKPOINT_SECONDS, Course, OnStep
from backend.records import DamagedRecord, read_record
from backend.scenes import edit as scene_edit
from backend.scenes import edit_run as scene_editing
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_run import OnProgress
from protocol import files
from protocol.values import DEFAULT_NORMALISATION, Normalisation

WORK_FOLDER = ".wys"
AXES_FILE = "axes.json"
CALIBRATION_FILE = "calibration.json"


@dataclass(frozen=True)
class Camera:
    """A camera in a scene.

    Attributes:
        pose: float64 (4, 4), camera (OpenGL: x right, y up, -z forward) to capture coordinates.
        intrinsics: the pinhole camera.
    """

    pose: NDArray[np.float64]
    intrinsics: Intrinsics

    def at_most(self, side: int) -> "Camera":
        """The same with at most so many pixels a side."""
        size = self.intrinsics.width, self.intrinsics.height
        factor = min(1.0, side / max(size))
        width, height = (max(1, round(pixels * factor)) for pixels in size)
        return Camera(self.pose, self.intrinsics.resized(width, height))


@dataclass(frozen=True)
class View:
    """What a camera sees of a scene's fields. Unpacks as `rgb, depth, relevance`.

    Attributes:
        rgb: float32 (H, W, 3), sRGB 0..1.
        depth: float32 (H, W), along the rays, in capture units.
        relevance: float32 (H, W) on the scale of the threshold that a person sets, 0..1; None
            where no relevance field is chosen.
        accumulation: float32 (H, W), 0..1, how much of a ray's light comes from the field.
    """

    rgb: NDArray[np.float32]
    depth: NDArray[np.float32]
    relevance: NDArray[np.float32] | None
    accumulation: NDArray[np.float32]

    @property
    def image(self) -> NDArray[np.uint8]:
        """uint8 (H, W, 3), sRGB."""
        return (self.rgb * 255 + 0.5).astype(np.uint8)

    def __iter__(self) -> Iterator[NDArray[np.float32] | None]:
        return iter((self.rgb, self.depth, self.relevance))


@dataclass
class Relevance:
    """A trained relevance field and what a threshold means for it."""

    field: RelevanceField
    calibration: Calibration


class _Box(msgspec.Struct):
    """Capture to box coordinates: places times `scale` plus `shift`."""

    scale: Annotated[float, msgspec.Meta(gt=0)]
    shift: tuple[float, float, float]


class _TrainedIn(msgspec.Struct):
    """What AXES_FILE holds; earlier versions kept no box."""

    axes: Axes
    box: _Box | None = None


def _trained_in(work: Path) -> _TrainedIn | None:
    """What the scene's field was trained in; None where it never was.

    Raises:
        DamagedRecord: it cannot be read.
    """
    try:
        return read_record(work / AXES_FILE, _TrainedIn)
    except FileNotFoundError:
        return None


def _axes(work: Path, trained: Axes, asked: Axes | None) -> Axes | None:
    """The axes that a trained scene is opened with: those asked for, else those of its training.

    Raises:
        CaptureError: it was trained with others than those asked for.
    """
    if asked is not None and asked != trained:
        raise CaptureError(
            f"The scene in {work} was trained with --axes {trained}: name another folder with "
            "--work, or delete it to train anew."
        )
    # OpenGL's are not insisted on: where the cameras look away from each other, that is still said.
    return asked if trained == "opengl" else trained


def _has_field(work: Path) -> bool:
    return (work / f"{radiance_training.NAME}.json").exists()


class Scene:
    """A capture and its fields.

    Attributes:
        capture: the views.
        work: the folder of what is made of them.
        device: where fields are trained and rendered.
    """

    def __init__(
        self, capture: Capture, work: Path, device: torch.device, axes: Axes = "opengl"
    ) -> None:
        self.capture, self.work, self.device = capture, work, device
        self._axes = axes
        self._field: RadianceField | None = None

    @classmethod
    def open(
        cls,
        folder: Path | str,
        downscale: float = 1.0,
        work: Path | None = None,
        device: str = "auto",
        axes: Axes | None = None,
    ) -> Self:
        """Opens a capture: a folder with transforms.json and images.

        Args:
            folder: the capture.
            downscale: images are read smaller by this factor.
            work: where fields and edits are kept; by default `.wys` in the capture's folder.
            device: "auto", "cpu", "cuda", "cuda:1".
            axes: what the file's poses are; None for what the scene was trained with, else for
                OpenGL's camera-to-world, with a note where they look as if they were others.

        Raises:
            CaptureError: the capture cannot be used, or was trained with other axes.
            DamagedRecord: what it was trained with cannot be read.
        """
        work = work or description_of(Path(folder)).parent / WORK_FOLDER
        trained = _trained_in(work)
        if trained is not None:
            axes = _axes(work, trained.axes, axes)
        capture = open_capture(Path(folder), downscale, axes)
        if trained is not None and trained.box is not None and _has_field(work):
            # A field lies in the box of its training: the one around the cameras is another one
            # where some of them are gone, or new.
            to_box = np.diag([*[trained.box.scale] * 3, 1.0])
            to_box[:3, 3] = trained.box.shift
            capture = dataclasses.replace(capture, to_box=to_box)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(capture, work, torch.device(device), axes or "opengl")

    def train(
        self,
        iterations: int | None = None,
        on_step: OnStep | None = None,
        config: FieldConfig | str = "preview",
        seed: int = 0,
    ) -> Course:
        """Trains the radiance field, or goes on with the one that the work folder has.

        Args:
            iterations: steps at most; by default the config's.
            on_step: is told of every step; what it raises ends the training after a checkpoint.
            config: all numbers, or the name of a preset: "preview", "medium", "full".
            seed: of parameters and rays.

        Raises:
            ValueError: no such preset, or fewer than 3 views.
            CaptureError, CheckpointError, FloatingPointError, OSError: as
                `radiance_training.train`.
        """
        if isinstance(config, str):
            if config not in PRESETS:
                raise BadInput(f"There is no preset {config!r}: use {', '.join(PRESETS)}.")
            config = PRESETS[config]
        if iterations is not None:
            config = dataclasses.replace(config, iterations=iterations)
        self.leave_out_damaged()
        files.make_folder(self.work)
        box = _Box(self.capture.box_scale, tuple(self.capture.to_box[:3, 3].tolist()))
        files.write_json(self.work / AXES_FILE, msgspec.to_builtins(_TrainedIn(self._axes, box)))
        self._field, course = radiance_training.train(
            self.capture, config, self.work, on_step, self.device, seed
        )
        return course

    def leave_out_damaged(self) -> None:
        """Read the capture whole; images and depth images that are damaged are left out with a
        note, as they are of training.

        Raises:
            CaptureError: too few images can be read.
        """
        self.capture = readable(self.capture)

    @property
    def field(self) -> RadianceField:
        """The radiance field.

        Raises:
            CheckpointError: none was trained yet, or its checkpoint is damaged.
        """
        if self._field is None:
            self._field = radiance_training.load(self.work, self.device)
        return self._field

    def camera(self, name: str, field: RadianceField | None = None) -> Camera:
        """The camera of a view, as training has corrected it where the config asks for that.

        Args:
            name: of the view.
            field: an edited radiance field in place of the scene's own: its cameras were corrected
                further while it was edited, and its colours lie where these see them.

        Raises:
            CaptureError: there is no such view.
        """
        if name not in self.capture.names:
            raise CaptureError(f"{self.capture.folder} has no view {name}.")
        index = self.capture.names.index(name)
        seen_by = self.field if field is None else field
        pose = seen_by.corrected(self.capture.camera_to_box[index], name)
        return Camera(self._from_box(pose), self.capture.intrinsics[index])

    def render(
        self,
        camera: Camera,
        relevance: Relevance | None = None,
        field: RadianceField | None = None,
    ) -> View:
        """What a camera sees, in eval mode.

        Args:
            camera: where from.
            relevance: is rendered too where it is given.
            field: an edited radiance field in place of the scene's own.

        Raises:
            CheckpointError: no field was trained yet.
        """
        composite = None if relevance is None else relevance.field.composite
        field = self.field if field is None else field
        seen = field.render(self._to_box(camera.pose), camera.intrinsics, composite)
        mapped = None
        if relevance is not None and seen.relevance is not None:
            mapped = relevance.calibration.of(seen.relevance)
        depth = seen.depth / np.float32(self.capture.box_scale)
        return View(seen.rgb, depth, mapped, seen.accumulation)

    def train_relevance(
        self,
        name: str,
        maps: Sequence[RelevanceMap],
        views: Sequence[str] | None = None,
        normalisation: Normalisation = DEFAULT_NORMALISATION,
        config: RelevanceConfig | None = None,
        on_step: OnStep | None = None,
        seed: int = 0,
        field: RadianceField | None = None,
    ) -> Relevance:
        """Trains where an instruction applies in space from its maps in some views, or goes on.

        Args:
            name: of the edit: a to z, 0 to 9, - and _.
            maps: the raw maps, one for each view.
            views: names of the views; by default those that the radiance field was trained on.
            normalisation: of all maps together.
            config, on_step, seed: as `relevance_field.train`.
            field: an edited radiance field in place of the scene's own.

        Raises:
            ValueError: the name is none, or maps and views do not fit together.
            CheckpointError, FloatingPointError, OSError: as `training.fit`.
        """
        folder = self.edit_folder(name)
        geometry = self.field if field is None else field
        names = geometry.names if views is None else tuple(views)
        cameras = [self.camera(view, geometry) for view in names]
        if len(maps) != len(cameras):
            raise ValueError(f"There are {len(maps)} maps for {len(cameras)} views.")
        sizes = [(c.intrinsics.height, c.intrinsics.width) for c in cameras]
        poses = np.array([self._to_box(c.pose) for c in cameras])
        rays = ViewRays(poses, [c.intrinsics for c in cameras], self.device)
        found, calibration, _ = relevance_field.train(
            geometry,
            rays,
            scene_maps(maps, sizes, normalisation),
            config or RelevanceConfig(),
            folder,
            on_step,
            seed,
        )
        files.write_json(folder / CALIBRATION_FILE, dataclasses.asdict(calibration))
        return Relevance(found, calibration)

    def relevance(self, name: str) -> Relevance:
        """The relevance that `train_relevance` left.

        Raises:
            ValueError: the name is none.
            CheckpointError: there is none, or it is unfinished or damaged.
        """
        folder = self.edit_folder(name)
        field = relevance_field.load(folder, self.device)
        path = folder / CALIBRATION_FILE
        try:
            calibration = read_record(path, Calibration)
        except (OSError, DamagedRecord) as error:
            raise checkpoint.CheckpointError(
                f"{path} is missing or damaged: train the relevance field to its end."
            ) from error
        return Relevance(field, calibration)

    def edit_folder(self, name: str) -> Path:
        """The folder of an edit.

        Raises:
            ValueError: the name is none.
        """
        if not scene_edit.EDIT_NAME.fullmatch(name):
            raise BadInput(f"An edit's name has letters a to z, digits, - and _, not {name!r}.")
        return self.edits_folder / name

    @property
    def edits_folder(self) -> Path:
        """The folder of all edits."""
        return self.work / "edits"

    def edit(
        self,
        instruction: str,
        editor: ImageEditor,
        threshold: float | None = None,
        config: SceneEditConfig | str | None = None,
        name: str | None = None,
        base: str | None = None,
        on_progress: OnProgress | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> SceneEdit:
        """Edits the scene where an instruction applies, or goes on with such an edit. The scene's
        own field and the capture stay as they are.

        Args:
            instruction: such as "turn the bear into a panda".
            editor: the model.
            threshold: above 0, at most 1: relevance on the calibrated scale (see `Calibration`)
                from which the scene is edited. None for 0.5, whose region fits the scene best;
                without the relevance field, each map's own suggestion.
            config: all numbers, or the name of a preset: "preview", "medium", "full"; by default
                the preset that is meant for the field (see `scene_editing.edit_preset`).
            name: of the edit: a to z, 0 to 9, - and _; by default made from the instruction.
            base: an edit to go on from in place of the unedited scene.
            on_progress: told what is being done; what it raises pauses the edit, and the same call
                goes on.
            checkpoint_seconds: between two checkpoints; 0 writes one after every step.

        Raises:
            ValueError: a setting is out of range.
            EditError: the edit cannot be made: it is another one's name, `base` is not finished,
                the capture has changed, or the instruction makes no difference to the model.
            CheckpointError, CaptureError, FloatingPointError, OSError: as `train`.
        """
        return scene_editing.edit_scene(
            self,
            instruction,
            editor,
            threshold,
            config,
            name,
            base,
            on_progress,
            checkpoint_seconds,
        )

    def edits(self) -> tuple[str, ...]:
        """The names of all edits, finished or not, each after the one that it is stacked on."""
        return scene_edit.edit_names(self)

    def keeps(self, name: str) -> bool:
        """Whether there is an edit of this name, even a damaged one.

        Raises:
            BadInput: the name is none.
        """
        return (self.edit_folder(name) / scene_edit.EDIT_FILE).exists()

    def edited(self, name: str) -> SceneEdit:
        """An edit.

        Raises:
            ValueError: the name is none.
            EditError: there is no such edit.
            CheckpointError: it is damaged.
        """
        return SceneEdit(self, name)

    def undo(self, name: str) -> None:
        """Deletes an edit.

        Raises:
            EditError: there is no such edit, or another one is stacked on it.
            OSError: it cannot be deleted.
        """
        scene_edit.undo(self, name)

    def _to_box(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = pose.copy()
        moved[:3, 3] = pose[:3, 3] * self.capture.box_scale + self.capture.to_box[:3, 3]
        return moved

    def _from_box(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = pose.copy()
        moved[:3, 3] = (pose[:3, 3] - self.capture.to_box[:3, 3]) / self.capture.box_scale
        return moved
