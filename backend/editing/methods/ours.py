"""This program's own edit: inside the relevance map where it reaches a threshold (Eq. 1 to 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.settings import PictureMapSettings, RegionSettings

from .method import Edited, Knob, Models, Need, Request, check

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SUGGESTED = Knob("threshold", THRESHOLDS, "the map's own suggestion", 0.0, 1.0)
FIXED = Knob("threshold", THRESHOLDS, 0.5, 0.0, 1.0)


@dataclass(frozen=True)
class Ours:
    """As `Editor` edits by default; the map's own suggestion for a threshold where none is set."""

    label: str = "ours"
    needs: Sequence[Need] = ()
    knob: Knob = SUGGESTED

    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        models.editor.set_image(request.image)
        edit = models.editor.edit(
            request.instruction, threshold=request.knob, steps=request.steps, seed=request.seed
        )
        return Edited(edit.image, edit.mask)


@dataclass(frozen=True)
class OursAsInThePaper:
    """The paper's settings: one noise, its normalisation, a fixed threshold, the region as the map
    says it, the whole picture at once. Guidance is the model's own.
    """

    label: str = "ours, as in the paper"
    needs: Sequence[Need] = ()
    knob: Knob = FIXED

    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        editor = models.editor
        editor.set_image(request.image)
        once = PictureMapSettings(
            relevance_seeds=(request.seed,), normalisation="paper", closer=False
        )
        edit = editor.edit(
            request.instruction,
            threshold=self.knob.at(request.knob),
            steps=request.steps,
            seed=request.seed,
            detail="whole",
            relevance=editor.relevance(request.instruction, settings=once),
            region=RegionSettings(snap="nothing"),
        )
        return Edited(edit.image, edit.mask)
