"""The scene that methods are compared on, and what is known of it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from backend.evaluation.scenes.scene_figures import Figures
from backend.evaluation.scenes.shown import Shown
from backend.evaluation.scenes.true_editor import TrueEditor
from backend.output.contact_sheet import Tile
from backend.scenes.camera import Camera
from backend.scenes.edit import SceneEdit
from backend.scenes.given_masks import Mask
from backend.scenes.scene import Scene

SHEET_VIEWS = 3


class Subject(Protocol):
    """A scene with its trained field and an instruction."""

    @property
    def scene(self) -> Scene:
        """Whose field all methods edit."""

    @property
    def unedited(self) -> Shown:
        """The field as it is."""

    @property
    def instruction(self) -> str:
        """What is asked for."""

    @property
    def captions(self) -> tuple[str, str] | None:
        """What the scene shows and what it is to show, where that is known."""

    @property
    def masks(self) -> Mapping[str, Mask]:
        """Of all views: where the instruction applies."""

    @property
    def columns(self) -> Sequence[str]:
        """The figures that a table shows, in their order, where there are any."""

    def true_editor(self) -> TrueEditor:
        """An editor that knows the true edit of all training views."""

    def figures(self, edited: Shown) -> Figures:
        """Of what an edit shows."""

    def figures_of_views(self, edit: SceneEdit) -> Figures:
        """Of the edits of the training views that the field has learnt from."""

    def views(self) -> list[tuple[Camera, list[Tile]]]:
        """Some held-out views, and what is known of each: the photo, the true edit."""
