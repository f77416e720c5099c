"""An edit of a scene, as it is kept on the disk. scene_editing.py makes it.

edits/NAME/edit.json              what was asked for
edits/NAME/maps/0000.npz          the views' raw maps
edits/NAME/prompt_check.json      the prompt check of all views together
edits/NAME/relevance.json, relevance-STEP.pt, calibration.json
edits/NAME/edited.json, edited-STEP.pt
                                  the edited field, and the views as it is trained on them
edits/NAME/views/00000.json, ...  every view that was edited: before, after, mask
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from backend.editing import RelevanceMap
from backend.errors import BadInput
from backend.fields import checkpoint, radiance_training
from backend.fields.config import SceneEditConfig
from backend.fields.radiance_field import RadianceField
from backend.records import DamagedRecord, read_record
from backend.scenes.dataset_update import VIEWS_FOLDER, EditedView, edited_views
from backend.scenes.view_maps import read_map
from protocol import files

if TYPE_CHECKING:
    from backend.scenes.scene import Camera, Relevance, Scene, View

NAME = "edited"
"""Of the edited field's checkpoint."""
EDIT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
EDIT_FILE = "edit.json"
CHECK_FILE = "prompt_check.json"
MAPS_FOLDER = "maps"
MIDDLE = 0.5
"""The threshold on the calibrated scale whose region fits the scene best (see `Calibration`)."""


class EditError(BadInput):
    """A scene edit that cannot be made or used; the text is one sentence."""


@dataclass(frozen=True)
class Asked:
    """What an edit was asked for. Kept in edit.json.

    Attributes:
        instruction: such as "turn the bear into a panda".
        base: the edit that it is stacked on, or None.
        threshold: 0..1 on the calibrated scale, or of each view's own map without the relevance
            field; None for what suits them.
        model: name of the editor's model.
        config: all numbers.
    """

    instruction: str
    base: str | None
    threshold: float | None
    model: str
    config: SceneEditConfig


class PromptCheck(msgspec.Struct):
    """The prompt check of all views together.

    Attributes:
        evidence: 0..1, pooled over the views; None with one seed.
        limit: the model's, from which an instruction counts as applying.
    """

    evidence: float | None
    limit: float


class SceneEdit:
    """An edit of a scene, finished or not.

    Attributes:
        name: of the edit.
        folder: where it is kept.
        asked: what was asked for.
    """

    def __init__(self, scene: "Scene", name: str) -> None:
        """Reads what an edit was asked for.

        Raises:
            EditError: there is no such edit.
            CheckpointError: it is damaged.
        """
        self._scene, self.name = scene, name
        self.folder = scene.edit_folder(name)
        path = self.folder / EDIT_FILE
        if not path.exists():
            raise EditError(f"The scene has no edit {name}: {_known(scene)}.")
        try:
            self.asked = read_record(path, Asked)
        except (OSError, DamagedRecord) as error:
            raise checkpoint.CheckpointError(
                f"{path} is damaged: delete {self.folder} to edit anew."
            ) from error

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
        """0..1, relevance from which the scene was edited: on the calibrated scale, or of each
        view's own map without the relevance field; None where each map had its own threshold.
        """
        if self.asked.threshold is None and self.asked.config.relevance:
            return MIDDLE
        return self.asked.threshold

    @property
    def finished(self) -> bool:
        """Whether the dataset update has come to its end."""
        facts = checkpoint.load_facts(self.folder, NAME)
        return facts is not None and bool(facts["finished"])

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
            raise checkpoint.CheckpointError(
                f"{path} is damaged: delete it, and the same edit makes it anew."
            ) from error
        return None if check.evidence is None else check.evidence >= check.limit

    @property
    def views(self) -> tuple[EditedView, ...]:
        """Every edit of a view that counts, in the order in which they were made."""
        facts = checkpoint.load_facts(self.folder, NAME)
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
        return self._scene.field if self.base is None else self._scene.edited(self.base).field

    @cached_property
    def relevance(self) -> "Relevance | None":
        """The relevance field and its calibration; None where the edit did without.

        Raises:
            CheckpointError: it is not trained to its end yet, or damaged.
        """
        return self._scene.relevance(self.name) if self.asked.config.relevance else None

    def camera(self, name: str) -> "Camera":
        """The camera of a view, as training has corrected it up to the end of the edit.

        Raises:
            CaptureError: there is no such view.
            CheckpointError: there is no edited field yet, or it is damaged.
        """
        return self._scene.camera(name, self.field)

    def render(self, camera: "Camera") -> "View":
        """What a camera sees of the edited scene, and the relevance there."""
        return self._scene.render(camera, self.relevance, self.field)

    def checkpoint(self) -> tuple[checkpoint.Facts, dict[str, Any]]:
        """Facts and tensors of the edited field.

        Raises:
            CheckpointError: there are none yet, or they are damaged.
        """
        found = checkpoint.load(self.folder, NAME)
        if found is None:
            raise checkpoint.CheckpointError(
                f"The edit {self.name} has no edited field yet: let it finish."
            )
        return found

    def maps(self) -> list[RelevanceMap]:
        """The training views' own maps, each normalised by itself."""
        return [read_map(path) for path in self._map_files()]

    def _map_files(self) -> list[Path]:
        return sorted((self.folder / MAPS_FOLDER).glob("*.npz"))


def _known(scene: "Scene") -> str:
    names = scene.edits()
    return f"it has {', '.join(names)}" if names else "it has none"


# --- the edits of a scene -------------------------------------------------------------------------


def edit_names(scene: "Scene") -> tuple[str, ...]:
    """The names of a scene's edits, each after the one that it is stacked on.

    Raises:
        CheckpointError: one is damaged.
    """
    left = {name: SceneEdit(scene, name).base for name in _folder_names(scene)}
    found: list[str] = []
    while left:
        # what is stacked on an edit that was deleted by hand comes last
        ready = [name for name, base in left.items() if base not in left] or list(left)
        found += ready
        for name in ready:
            del left[name]
    return tuple(found)


def _folder_names(scene: "Scene") -> list[str]:
    """The names of a scene's edits, damaged ones too. What else lies there is none, such as what is
    left of a deletion.
    """
    names = (path.parent.name for path in scene.edits_folder.glob(f"*/{EDIT_FILE}"))
    return sorted(name for name in names if EDIT_NAME.fullmatch(name))


def undo(scene: "Scene", name: str) -> None:
    """Delete an edit, even a damaged one. The scene and other edits stay as they are.

    Raises:
        EditError: there is no such edit, or another one is stacked on it.
        OSError: it cannot be deleted.
    """
    if not scene.keeps(name):
        raise EditError(f"The scene has no edit {name}: {_known(scene)}.")
    for other in _folder_names(scene):
        try:
            base = SceneEdit(scene, other).base
        except checkpoint.CheckpointError:
            continue  # it cannot be used, whatever lies under it
        if base == name:
            raise EditError(f"The edit {other} is stacked on {name}: undo that one first.")
    files.delete_folder(scene.edit_folder(name), f".{name}.deleted")
