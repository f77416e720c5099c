"""A scene of the demo world, whose true edit is known in every view."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from backend.editing.encoders import Encoder
from backend.evaluation.lpips import Lpips
from backend.evaluation.scenes import clip_figures, scene_figures, true_figures
from backend.evaluation.scenes.agreement import agreement
from backend.evaluation.scenes.scene_figures import Figures
from backend.evaluation.scenes.scene_world import WorldScene
from backend.evaluation.scenes.shown import Remembered, Shown
from backend.evaluation.scenes.true_editor import TrueEditor
from backend.evaluation.scenes.true_edits import editor_of
from backend.output.contact_sheet import Tile
from backend.scenes.camera import Camera
from backend.scenes.edit import SceneEdit
from backend.scenes.given_masks import Mask
from backend.scenes.scene import Scene
from backend.world.naming import captions

from .subject import SHEET_VIEWS

COLUMNS = (
    "IoU",
    "IoU of the change",
    "colour",
    "PSNR inside",
    "PSNR outside, pooled",
    "edit PSNR",
    "frame consistency",
    "edit consistency",
    "views apart, trained on",
)


@dataclass(frozen=True)
class WorldSubject:
    """Satisfies `Subject`.

    Attributes:
        world: the scene.
        scene: its capture, with a trained field.
        encoder: of similarities.
        lpips: measured beside these, or None.
        given: masks in place of the world's own, or None.
    """

    world: WorldScene
    scene: Scene
    encoder: Encoder
    lpips: Lpips | None = None
    given: Mapping[str, Mask] | None = None

    @cached_property
    def unedited(self) -> Shown:
        """See `Subject`."""
        return Remembered(self.scene)

    @property
    def instruction(self) -> str:
        """See `Subject`."""
        return self.world.edit.instruction

    @property
    def captions(self) -> tuple[str, str]:
        """See `Subject`: of a view that shows all things."""
        things = range(len(self.world.scene.things))
        return captions(self.world.scene, self.world.edit, things)

    @property
    def masks(self) -> Mapping[str, Mask]:
        """See `Subject`."""
        if self.given is not None:
            return self.given
        views = zip(self.scene.capture.names, self.world.captured, strict=True)
        return {name: view.rendering.coverage(self.world.target) for name, view in views}

    @property
    def columns(self) -> Sequence[str]:
        """See `Subject`."""
        return (*COLUMNS, *clip_figures.names(self.encoder, self.lpips))

    def true_editor(self) -> TrueEditor:
        """See `Subject`."""
        return editor_of(self.world)

    def figures(self, edited: Shown) -> Figures:
        """See `Subject`: those of `evaluate scene`, and the IoU of what has changed with what
        should, which methods without a region have, too.
        """
        figures = scene_figures.edited(self.unedited, self.world, edited)
        figures["IoU of the change"] = true_figures.changed_iou(self.unedited, self.world, edited)
        return figures | clip_figures.edited(
            self.unedited, self.world, edited, self.encoder, self.lpips
        )

    def figures_of_views(self, edit: SceneEdit) -> Figures:
        """See `Subject`."""
        figures = scene_figures.edited_views(self.scene, self.world, edit)
        return figures | agreement(self.scene, self.world, edit)

    def views(self) -> list[tuple[Camera, list[Tile]]]:
        """See `Subject`."""
        return [
            (
                view.camera,
                [
                    (Image.fromarray(view.image), "truth"),
                    (Image.fromarray(self.world.true_change(view)[0]), "true edit"),
                ],
            )
            for view in self.world.held_out[:SHEET_VIEWS]
        ]
