"""A capture and the fields that were trained on it, opened, trained and rendered."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from backend.captures.capture import Capture
from backend.captures.conventions.axes import Axes
from backend.captures.error import CaptureError
from backend.captures.transforms import readable
from backend.editing import RelevanceMap
from backend.editing.devices import named_device
from backend.errors import BadInput
from backend.fields import radiance_training, relevance_field
from backend.fields.calibration import Calibration, of_region
from backend.fields.config import PRESETS, FieldConfig, RelevanceConfig
from backend.fields.facts import RADIANCE, CheckpointError
from backend.fields.radiance_field import RadianceField
from backend.fields.rays import ViewRays
from backend.fields.relevance_field import (
    Relevance,
    RelevanceField,
    RelevanceTraining,
    scene_maps,
)
from backend.fields.training import Course, OnStep
from backend.records import DamagedRecord, read_record
from backend.scenes.camera import Camera, View
from backend.scenes.edit_records import REGION_FOLDER, edit_folder
from backend.scenes.methods.painted_views import PaintedView
from backend.scenes.work_folder import keep_trained_in, open_as_trained, work_folder
from backend.work_lock import alone_in
from protocol import files
from protocol.settings import MapSettings
from protocol.values import Normalisation

CALIBRATION_FILE = "calibration.json"


class SceneFields:
    """A capture and its fields.

    Attributes:
        capture: the views.
        work: the folder of what is made of them.
        device: where fields are trained and rendered.
        downscale: how many times smaller than they are the images are read.
    """

    def __init__(
        self,
        capture: Capture,
        work: Path,
        device: torch.device,
        axes: Axes = "opengl",
        downscale: float = 1.0,
    ) -> None:
        self.capture, self.work, self.device = capture, work, device
        self.downscale = downscale
        self._axes = axes
        self._field: RadianceField | None = None

    @classmethod
    def open(
        cls,
        folder: Path | str,
        downscale: float | None = None,
        work: Path | str | None = None,
        device: str = "auto",
        axes: Axes | None = None,
    ) -> Self:
        """Opens a capture: a folder with transforms.json and images.

        Args:
            folder: the capture.
            downscale: images are read smaller by this factor; None for that of the training, else
                1.
            work: where fields and edits are kept; by default `.wys` in the capture's folder.
            device: "auto", "cpu", "cuda", "cuda:1".
            axes: what the file's poses are; None for what the scene was trained with, else for
                OpenGL's camera-to-world, with a note where they look as if they were others.

        Raises:
            CaptureError: the capture cannot be used, or was trained with other axes or another
                factor.
            BadInput: there is no such device.
            DamagedRecord: what it was trained with cannot be read.
        """
        work = work_folder(Path(folder), None if work is None else Path(work))
        capture, axes, downscale = open_as_trained(Path(folder), work, downscale, axes)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(capture, work, named_device(device), axes, downscale)

    def train(
        self,
        iterations: int | None = None,
        on_step: OnStep | None = None,
        config: FieldConfig | str = "preview",
        seed: int = 0,
    ) -> Course:
        """Trains the radiance field, or goes on with the one that the work folder has.

        Args:
            iterations: steps at most; by default the config's, which grow with the capture.
            on_step: is told of every step; what it raises ends the training after a checkpoint.
            config: all numbers, or the name of a preset: "preview", "medium", "full".
            seed: of parameters and rays.

        Raises:
            BadInput: no such preset, fewer than 3 views, or nothing was learnt of them.
            InUse: another process or thread works in the work folder.
            CaptureError, CheckpointError, FloatingPointError, OSError: as
                `radiance_training.train`.
        """
        if isinstance(config, str):
            if config not in PRESETS:
                raise BadInput(f"There is no preset {config!r}: use {', '.join(PRESETS)}.")
            config = PRESETS[config]
        with alone_in(self.work):
            self.leave_out_damaged()
            files.make_folder(self.work)
            trained = (self.work / f"{RADIANCE}.json").exists()
            if not trained:  # what there is may refuse to be gone on with, and then stays as it is
                keep_trained_in(self.work, self.capture, self._axes, self.downscale)
            self._field, course = radiance_training.train(
                self.capture, config, self.work, on_step, self.device, seed, iterations=iterations
            )
            if trained:
                keep_trained_in(self.work, self.capture, self._axes, self.downscale)
        return course

    def note_on_size(self, preset: str, elsewhere: str = "--work") -> list[str]:
        """That images had better be read smaller, where a training that begins takes in a part of
        their pixels alone, and every picture of the scene is rendered at their size.

        Args:
            preset: of the training.
            elsewhere: the option that names another folder for it.
        """
        most = PRESETS[preset].most_pixels
        pixels = sum(lens.width * lens.height for lens in self.capture.intrinsics)
        times = round(math.sqrt(pixels / most))
        if times < 2 or (self.work / f"{RADIANCE}.json").exists():
            return []
        return [
            f"The images have {pixels / 1e6:.0f} million pixels, and {preset} learns about "
            f"{most / 1e6:.0f} million: begin anew with --downscale {self.downscale * times:g} and "
            f"another {elsewhere} to see about as much in less time and memory, above all in edits."
        ]

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

    def trained_with(
        self, iterations: int | None = None, field: RadianceField | None = None
    ) -> FieldConfig:
        """The numbers of a training with the field's config, grown with its views.

        Args:
            iterations: as in `train`.
            field: of this capture, in place of the scene's own.

        Raises:
            CheckpointError: as `field`.
        """
        field = self.field if field is None else field
        names = self.capture.names
        cameras = [self.capture.intrinsics[names.index(name)] for name in field.names]
        pixels = sum(one.width * one.height for one in cameras)
        return field.config.for_pixels(pixels, iterations)

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
        composite = None if relevance is None else relevance.composite
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
        normalisation: Normalisation = MapSettings.normalisation,
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
            InUse: as `train`.
            CheckpointError, FloatingPointError, OSError: as `training.fit`.
        """
        folder = edit_folder(self.work, name)
        geometry = self.field if field is None else field
        names = geometry.names if views is None else tuple(views)
        if len(maps) != len(names):
            raise ValueError(f"There are {len(maps)} maps for {len(names)} views.")
        lenses = [self.camera(view, geometry).intrinsics for view in names]
        values = scene_maps(maps, [(one.height, one.width) for one in lenses], normalisation)
        return self._fitted(folder, values, names, geometry, config, on_step, seed)

    def train_region(
        self,
        name: str,
        regions: Mapping[str, NDArray[np.bool_]],
        threshold: float,
        config: RelevanceConfig,
        on_step: OnStep | None = None,
        seed: int = 0,
        field: RadianceField | None = None,
    ) -> Relevance:
        """Trains a field of an edit's region in space from what it is in some views, or goes on.

        Args:
            name, config, on_step, seed, field: as in `train_relevance`.
            regions: bool (H, W) by the names of the views.
            threshold: of the edit, which the region's outline stands for.

        Raises:
            ValueError, InUse, CheckpointError, FloatingPointError, OSError: as `train_relevance`.
        """
        folder = edit_folder(self.work, name) / REGION_FOLDER
        geometry = self.field if field is None else field
        values = [region.astype(np.float32) for region in regions.values()]
        known = of_region(threshold)
        return self._fitted(folder, values, tuple(regions), geometry, config, on_step, seed, known)

    def refitting(
        self,
        relevance: Relevance,
        maps: Sequence[RelevanceMap],
        normalisation: Normalisation,
        field: RadianceField,
    ) -> RelevanceTraining:
        """What goes on fitting a relevance field to the maps that `train_relevance` was given, as a
        radiance field changes.

        Args:
            relevance: it changes in place.
            maps: the raw maps, one for each view that the radiance field was trained on.
            normalisation: of all maps together.
            field: the radiance field, whose weights place the maps in each step.
        """
        cameras = [self.camera(view, field) for view in field.names]
        sizes = [(c.intrinsics.height, c.intrinsics.width) for c in cameras]
        values = np.concatenate([v.ravel() for v in scene_maps(maps, sizes, normalisation)])
        targets = torch.from_numpy(values.astype(np.float32)).to(field.device)
        return RelevanceTraining(relevance.field, field, self._rays(cameras), targets)

    def fitting(
        self, config: RelevanceConfig, field: RadianceField, seed: int
    ) -> RelevanceTraining:
        """What fits a new relevance field to maps as they become known, beside a radiance field
        that changes.

        Args:
            config: all numbers.
            field: the radiance field.
            seed: of parameters.
        """
        cameras = [self.camera(view, field) for view in field.names]
        new = RelevanceField(config, seed).to(field.device)
        return RelevanceTraining(new, field, self._rays(cameras), None)

    def in_box(self, view: PaintedView) -> PaintedView:
        """A painted view of the capture's coordinates in those of the box."""
        camera = dataclasses.replace(view.camera, pose=self._to_box(view.camera.pose))
        return PaintedView(view.painted, camera)

    def _rays(self, cameras: Sequence[Camera]) -> ViewRays:
        poses = np.array([self._to_box(camera.pose) for camera in cameras])
        return ViewRays(poses, [camera.intrinsics for camera in cameras], self.device)

    def _fitted(
        self,
        folder: Path,
        values: Sequence[NDArray[np.float32]],
        names: Sequence[str],
        geometry: RadianceField,
        config: RelevanceConfig | None,
        on_step: OnStep | None,
        seed: int,
        known: Calibration | None = None,
    ) -> Relevance:
        """A relevance field on values (H, W) of views, kept in a folder with its calibration."""
        cameras = [self.camera(view, geometry) for view in names]
        rays = self._rays(cameras)
        config = config or RelevanceConfig()
        with alone_in(self.work):
            found, calibration, _ = relevance_field.train(
                geometry, rays, values, config, folder, on_step, seed, known
            )
            files.write_json(folder / CALIBRATION_FILE, dataclasses.asdict(calibration))
        return Relevance(found, calibration)

    def relevance(self, name: str, part: str = "") -> Relevance:
        """The relevance that `train_relevance` left, or where the part is REGION_FOLDER the field
        of the region that `train_region` did.

        Raises:
            ValueError: the name is none.
            CheckpointError: there is none, or it is unfinished or damaged.
        """
        folder = edit_folder(self.work, name) / part
        field = relevance_field.load(folder, self.device)
        path = folder / CALIBRATION_FILE
        try:
            calibration = read_record(path, Calibration)
        except (OSError, DamagedRecord) as error:
            raise CheckpointError(
                f"{path} is missing or damaged: train the relevance field to its end."
            ) from error
        return Relevance(field, calibration)

    def _to_box(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = pose.copy()
        moved[:3, 3] = pose[:3, 3] * self.capture.box_scale + self.capture.to_box[:3, 3]
        return moved

    def _from_box(self, pose: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = pose.copy()
        moved[:3, 3] = (pose[:3, 3] - self.capture.to_box[:3, 3]) / self.capture.box_scale
        return moved
