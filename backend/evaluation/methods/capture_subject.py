"""A capture with masks of a region, measured in the views that its field holds out of training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from backend.captures.view_masks import ViewMask
from backend.editing.encoders import ClipEncoder
from backend.errors import BadInput
from backend.evaluation.edits import SAME
from backend.evaluation.lpips import Lpips
from backend.evaluation.scenes import capture_figures, clip_figures
from backend.evaluation.scenes.capture_figures import NOTHING_HELD_OUT, Photo, photos_of
from backend.evaluation.scenes.capture_instruction import figures_of
from backend.evaluation.scenes.scene_figures import Figures, psnr
from backend.evaluation.scenes.shown import Remembered, Shown
from backend.evaluation.scenes.true_editor import TrueEditor
from backend.output.contact_sheet import Tile
from backend.scenes.camera import Camera
from backend.scenes.edit import SceneEdit
from backend.scenes.given_masks import Mask
from backend.scenes.scene import Scene

from .subject import SHEET_VIEWS

COLUMNS = (
    "IoU",
    "colour reached",
    "nearer, inside",
    "nearer, outside",
    "PSNR inside",
    "PSNR outside",
    "edit PSNR",
    "agreement between views",
)


@dataclass(frozen=True)
class CaptureSubject:
    """Satisfies `Subject`.

    Attributes:
        scene: the capture, with a trained field.
        instruction: what is asked for.
        colour: that it asks for, or None.
        painted: whether the edit paints the masks in that colour, so that its truth is known.
        captions: what the capture shows and is to show, or None.
        encoder: of similarities, or None.
        lpips: measured beside these, or None.
        trained, held_out: its views.
    """

    scene: Scene
    instruction: str
    colour: str | None
    painted: bool
    captions: tuple[str, str] | None
    encoder: ClipEncoder | None
    lpips: Lpips | None
    trained: Sequence[Photo]
    held_out: Sequence[Photo]

    @classmethod
    def of(
        cls,
        scene: Scene,
        masks: Mapping[str, ViewMask],
        instruction: str | None,
        colour: str | None,
        captions: tuple[str, str] | None,
        encoder: ClipEncoder | None,
        lpips: Lpips | None,
    ) -> "CaptureSubject":
        """Args:
            scene: with a trained field.
            masks: of the region, by the views' names.
            instruction: None for one that paints the region.
            colour: that it asks for, or None; what paints takes one that is not there.
            captions, encoder, lpips: as they are kept.

        Raises:
            BadInput: no view is held out, or the masks mark nothing or everything.
        """
        names = [name for name in scene.capture.names if name not in scene.field.names]
        if not names:
            raise BadInput(NOTHING_HELD_OUT)
        trained = photos_of(scene, scene.field.names, masks)
        held_out = photos_of(scene, names, masks)
        capture_figures.check_marked("given", trained, held_out)
        if instruction is not None:
            return cls(
                scene, instruction, colour, False, captions, encoder, lpips, trained, held_out
            )
        colour = colour or capture_figures.paint_for(trained)
        words = f"paint it {colour}"
        return cls(scene, words, colour, True, captions, encoder, lpips, trained, held_out)

    @cached_property
    def unedited(self) -> Shown:
        """See `Subject`."""
        return Remembered(self.scene)

    @property
    def masks(self) -> Mapping[str, Mask]:
        """See `Subject`."""
        return {photo.name: photo.share for photo in (*self.trained, *self.held_out)}

    @property
    def columns(self) -> Sequence[str]:
        """See `Subject`."""
        more = () if self.encoder is None else clip_figures.names(self.encoder, self.lpips)
        return (*COLUMNS, *more)

    def true_editor(self) -> TrueEditor:
        """See `Subject`: it paints the masks."""
        assert self.colour is not None
        return capture_figures.painter(self.trained, self.colour)

    def figures(self, edited: Shown) -> Figures:
        """See `Subject`: those of an instruction in `evaluate capture`, of one that paints also
        those of a region's painting; similarities are along an orbit.
        """
        before = [self.unedited.render(camera) for camera in self._cameras]
        after = [edited.render(camera) for camera in self._cameras]
        figures = figures_of(before, after, self.held_out, self.colour)
        whole = [min(SAME, psnr(new.rgb, old.rgb)) for new, old in zip(after, before, strict=True)]
        figures["edit PSNR"] = float(np.mean(whole))
        if self.painted:
            assert self.colour is not None
            figures |= capture_figures.edited(after, self.colour, self.held_out, before)
        if self.encoder is not None:
            along = clip_figures.edited_capture(
                self.scene.capture, self.unedited, edited, self.captions, self.encoder, self.lpips
            )[clip_figures.CORRECT]
            del along["edit PSNR"]  # of other views
            figures |= clip_figures.named(along, self.encoder)
        return figures

    def figures_of_views(self, edit: SceneEdit) -> Figures:
        """See `Subject`."""
        return capture_figures.agreement(edit, self.trained)

    def views(self) -> list[tuple[Camera, list[Tile]]]:
        """See `Subject`."""
        every = max(1, len(self.held_out) // SHEET_VIEWS)
        shown = list(zip(self.held_out, self._cameras, strict=True))[::every][:SHEET_VIEWS]
        found = []
        for photo, camera in shown:
            tiles: list[Tile] = [(Image.fromarray(photo.image), "photo")]
            tiles.append((Image.fromarray(photo.inside), "mask"))
            if self.painted:
                assert self.colour is not None
                truth = capture_figures.truth_of(photo, self.colour)
                tiles.append((Image.fromarray(truth.edited), "true edit"))
            found.append((camera, tiles))
        return found

    @property
    def _cameras(self) -> list[Camera]:
        return [self.scene.camera(photo.name) for photo in self.held_out]
