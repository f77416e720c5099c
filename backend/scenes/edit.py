"""An edit of a scene, as it is kept on the disk (see edit_records.py). edit_run.py makes it."""

from functools import cached_property
from pathlib import Path
from typing import Any

from backend.editing import RelevanceMap
from backend.fields import checkpoint, radiance_training
from backend.fields.calibration import AS_RENDERED
from backend.fields.facts import CheckpointError, Facts, load_facts
from backend.fields.radiance_field import RadianceField
from backend.fields.relevance_field import Relevance, RelevanceField
from backend.records import DamagedRecord, read_record
from backend.scenes.camera import Camera, View
from backend.scenes.edit_records import (
    CHECK_FILE,
    HULL_FILE,
    MAPS_FOLDER,
    MIDDLE,
    NAME,
    REGION_FOLDER,
    PromptCheck,
    SnapRecord,
    edit_folder,
    is_finished,
    read_asked,
    read_snap,
)
from backend.scenes.methods.dataset_update import RELEVANCE, VIEWS_FOLDER, EditedView, edited_views
from backend.scenes.methods.hull import Hull
from backend.scenes.scene_fields import SceneFields
from backend.scenes.view_maps import read_map


class SceneEdit:
    """An edit of a scene, finished or not.

    Attributes:
        name: of the edit.
        folder: where it is kept.
        asked: what was asked for.
    """

    def __init__(self, scene: SceneFields, name: str) -> None:
        """Reads what an edit was asked for.

        Raises:
            EditError: there is no such edit.
            CheckpointError: it is damaged.
        """
        self._scene, self.name = scene, name
        self.folder = edit_folder(scene.work, name)
        self.asked = read_asked(scene.work, name)

    @property
    def instruction(self) -> str:
        """What was asked for."""
        return self.asked.instruction

    @property
    def base(self) -> str | None:
        """The edit that this one is stacked on, or None."""
        return self.asked.base

    @property
    def threshold(self) -> float | None:
        """0..1, relevance from which the scene was edited: on the scale of `relevance`, or of each
        view's own map without the relevance field; None where each map had its own threshold.
        """
        if self.asked.threshold is None and self.asked.config.region == "field":
            return MIDDLE
        return self.asked.threshold

    @property
    def finished(self) -> bool:
        """Whether the dataset update has come to its end."""
        return is_finished(self._scene.work, self.name)

    @property
    def applies(self) -> bool | None:
        """The prompt check: whether the model sees in all views together where the instruction
        applies; None with one seed, or before all maps are there.

        Raises:
            CheckpointError: what was kept of it is damaged.
        """
        path = self.folder / CHECK_FILE
        if not path.exists():
            return None
        try:
            check = read_record(path, PromptCheck)
        except (OSError, DamagedRecord) as error:
            raise CheckpointError(
                f"{path} is damaged: delete it, and the same edit makes it anew."
            ) from error
        return None if check.evidence is None else check.evidence >= check.limit

    @property
    def views(self) -> tuple[EditedView, ...]:
        """Every edit of a view that counts, in the order in which they were made."""
        facts = load_facts(self.folder, NAME)
        count = 0 if facts is None else int(facts["edits"])
        return edited_views(self.folder / VIEWS_FOLDER, count)

    @property
    def unedited(self) -> tuple[str, ...]:
        """The views that the field is trained on as they were: nothing in them is relevant enough,
        or their turn has not come yet.
        """
        edited = {one.name for one in self.views}
        return tuple(name for name in self.field.names if name not in edited)

    @cached_property
    def field(self) -> RadianceField:
        """The edited radiance field.

        Raises:
            CheckpointError: there is none yet, or it is damaged.
        """
        facts, tensors = self.checkpoint()
        return radiance_training.from_checkpoint(facts, tensors["training"], self._scene.device)

    @property
    def original_field(self) -> RadianceField:
        """The radiance field that was edited: the scene's, or that of `base`."""
        if self.base is None:
            return self._scene.field
        return SceneEdit(self._scene, self.base).field

    @property
    def snap(self) -> SnapRecord | None:
        """What its region keeps to; None where that is not decided yet, where everything is
        edited, and of edits of earlier versions.

        Raises:
            CheckpointError: what was kept of it is damaged.
        """
        return read_snap(self._scene.work, self.name)

    @cached_property
    def relevance(self) -> Relevance | None:
        """The relevance field and its calibration, or where whole things are edited, or something
        was painted, a field of the region, which is at the threshold on its outline; None where the
        edit did without.

        Raises:
            CheckpointError: it is not trained to its end yet, or damaged.
        """
        config = self.asked.config
        if config.region != "field":
            return None
        if config.fits_while_edited:
            state = self.checkpoint()[1][RELEVANCE]["field"]
            field = RelevanceField(config.relevance_field)
            field.load_state_dict(state)
            return Relevance(field.to(self._scene.device), AS_RENDERED)
        snap = self.snap
        of_region = self.asked.painted or (snap is not None and snap.took == "things")
        part = REGION_FOLDER if of_region else ""
        found = self._scene.relevance(self.name, part)
        if not part and config.refit_every and self.finished:
            found.field.load_state_dict(self.checkpoint()[1][RELEVANCE]["field"])
        if snap is not None and self.hull is not None:
            # the outline of a field of the region is in its middle
            middle = found.calibration.at if part else snap.middle
            found = found.grown(self.hull.at, middle)
        return found

    @cached_property
    def hull(self) -> Hull | None:
        """The places in the air into which the scene may grow; None where it may not.

        Raises:
            CheckpointError: what was kept of them is damaged.
        """
        snap = self.snap
        if snap is None or not snap.grows:
            return None
        return Hull.load(self.folder / HULL_FILE, self._scene.device)

    def camera(self, name: str) -> Camera:
        """The camera of a view, as training has corrected it up to the end of the edit.

        Raises:
            CaptureError: there is no such view.
            CheckpointError: there is no edited field yet, or it is damaged.
        """
        return self._scene.camera(name, self.field)

    def render(self, camera: Camera) -> View:
        """What a camera sees of the edited scene, and the relevance there."""
        return self._scene.render(camera, self.relevance, self.field)

    def checkpoint(self) -> tuple[Facts, dict[str, Any]]:
        """Facts and tensors of the edited field.

        Raises:
            CheckpointError: there are none yet, or they are damaged.
        """
        found = checkpoint.load(self.folder, NAME)
        if found is None:
            raise CheckpointError(f"The edit {self.name} has no edited field yet: let it finish.")
        return found

    def maps(self) -> list[RelevanceMap]:
        """The training views' own maps that were found, each normalised by itself."""
        return [read_map(path) for path in self._map_files()]

    def _map_files(self) -> list[Path]:
        return sorted((self.folder / MAPS_FOLDER).glob("*.npz"))
