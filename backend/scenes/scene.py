"""A scene: a capture, the fields that were trained on it, and its edits."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from backend.editing import ImageEditor
from backend.fields.config import SceneEditConfig
from backend.fields.training import CHECKPOINT_SECONDS
from backend.output.progress import OnPreview
from backend.scenes import edit_records
from backend.scenes.edit import SceneEdit
from backend.scenes.edit_run import edit_scene
from backend.scenes.given_masks import Mask
from backend.scenes.methods.painted_views import PaintedView
from backend.scenes.scene_fields import SceneFields
from backend.work_lock import alone_in


class Scene(SceneFields):
    """A capture, its fields and its edits.

    Attributes:
        capture: the views.
        work: the folder of what is made of them (see work_folder.py).
        device: where fields are trained and rendered.
    """

    def edit(
        self,
        instruction: str,
        editor: ImageEditor,
        threshold: float | None = None,
        config: SceneEditConfig | str | None = None,
        name: str | None = None,
        base: str | None = None,
        on_progress: OnPreview | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        masks: Mapping[str, Mask] | None = None,
        painted: Sequence[PaintedView] = (),
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
                the preset that is meant for the field (see `edit_run.edit_preset`).
            name: of the edit: a to z, 0 to 9, - and _; by default made from the instruction.
            base: an edit to go on from in place of the unedited scene.
            on_progress: told what is being done; what it raises pauses the edit, and the same call
                goes on.
            checkpoint_seconds: between two checkpoints; 0 writes one after every step.
            masks: of the views by their names, bool or 0..1 (H, W), whatever finds them: where the
                instruction applies, in place of what the model says of that.
            painted: views of the scene, in the capture's coordinates, on which was painted what
                belongs to the region and what does not, whatever the relevance there: it is carried
                to every view that sees the same places. Of what two views show, the later one wins.

        Raises:
            ValueError: a setting is out of range, or a view has no mask.
            EditError: the edit cannot be made: it is another one's name, `base` is not finished,
                the capture has changed, or the instruction makes no difference to the model.
            InUse, CheckpointError, CaptureError, FloatingPointError, OSError: as `train`.
        """
        with alone_in(self.work):
            return edit_scene(
                self,
                instruction,
                editor,
                threshold,
                config,
                name,
                base,
                on_progress,
                checkpoint_seconds,
                masks,
                painted,
            )

    def edits(self) -> tuple[str, ...]:
        """The names of all edits, finished or not, each after the one that it is stacked on."""
        return edit_records.edit_names(self.work)

    def keeps(self, name: str) -> bool:
        """Whether there is an edit of this name, even a damaged one.

        Raises:
            BadInput: the name is none.
        """
        return edit_records.keeps(self.work, name)

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
            InUse: another process or thread works in the work folder.
            OSError: it cannot be deleted.
        """
        with alone_in(self.work):
            edit_records.undo(self.work, name)

    def edit_folder(self, name: str) -> Path:
        """The folder of an edit.

        Raises:
            ValueError: the name is none.
        """
        return edit_records.edit_folder(self.work, name)

    @property
    def edits_folder(self) -> Path:
        """The folder of all edits."""
        return edit_records.edits_folder(self.work)
