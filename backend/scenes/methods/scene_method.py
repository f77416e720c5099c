"""The methods that edit a scene: what each of them has to offer, and which ones there are.

An edit of a scene is a training of its radiance field (`training.fit`) while something about its
views or its loss changes. `edit_scene` makes the maps, the region and the progress; a method makes
what is trained.
"""

from pathlib import Path
from typing import Protocol

from backend.editing import ImageEditor
from backend.fields.config import SceneEditConfig
from backend.fields.pace import Aside
from backend.fields.radiance_training import RadianceTraining
from backend.fields.training import Trainee
from backend.scenes.edit_records import Asked
from backend.scenes.methods.clip_guidance import ClipGuidance
from backend.scenes.methods.consistent_views import ConsistentViews
from backend.scenes.methods.dataset_update import DatasetUpdate, OnStage
from backend.scenes.methods.regions import Region
from backend.scenes.methods.score_distillation import ScoreDistillation


class SceneTrainee(Trainee, Protocol):
    """A scene's field while it is edited."""

    @property
    def round_steps(self) -> int:
        """Steps between two measurements: until every view has had its turn once more."""

    def between_steps(self, step: int) -> None:
        """What is due when `step` steps are done, of work that may be broken off."""

    def aside(self) -> Aside:
        """How long that has taken so far, and will take yet."""


class SceneMethod(Protocol):
    """A method that edits a scene."""

    def check(self, editor: ImageEditor, config: SceneEditConfig) -> None:
        """Refuse what it cannot work with, before anything is made.

        Raises:
            BadInput: the editor or a setting is not for it.
        """

    def begin(
        self,
        training: RadianceTraining,
        editor: ImageEditor,
        asked: Asked,
        region: Region,
        folder: Path,
        first_step: int,
        on_stage: OnStage,
    ) -> SceneTrainee:
        """What is to be trained; `fit` makes it go on where an earlier run was stopped.

        Args:
            training: of the field; its views' pixels are the originals.
            editor: what edits pictures.
            asked: what was asked for, its numbers those for any number of views.
            region: where each view is edited.
            folder: of the edit, for what the method keeps.
            first_step: steps that the field was trained for before.
            on_stage: told of every part of what is done between two steps; what it raises ends the
                edit before anything of that counts.
        """


METHODS: dict[str, SceneMethod] = {
    "dataset_update": DatasetUpdate,
    "consistent_views": ConsistentViews,
    "score_distillation": ScoreDistillation,
    "clip_guidance": ClipGuidance,
}
"""By the name that `SceneEditConfig.method` has."""
