"""Views that are made consistent before the field learns from them: a training-free way to give
edits of single pictures what they have in common.

    1. edit every view once inside its region, as the dataset update's first round does: from the
       unedited scene's render, conditioned on the view's own photo   (Eq. 1, 4, 5)
    2. give every pixel of a region the median of what all edited views show of the same point; the
       field, as yet unedited, says by its depth which pixels these are       (correspondence.py)
    3. train the field on the results; outside the regions the photos are as they were

It is for edits that leave shapes as they are: where an edit changes the shape, the unedited depth
does not know which pixels belong together. Views are edited in the first steps, one in each, so
that what is done is kept; the field learns in those that are left.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any, Self

import torch

from backend.editing import ImageEditor
from backend.fields.radiance_training import RadianceTraining
from backend.scenes.edit_records import Asked
from backend.scenes.methods.correspondence import PosedView, together
from backend.scenes.methods.dataset_update import DatasetUpdate, OnStage
from backend.scenes.methods.regions import Region
from backend.scenes.methods.update_plan import UpdatePlan


class ConsistentViews(DatasetUpdate):
    """A radiance field that is trained on views which were all edited before and then brought
    together. Satisfies `SceneTrainee`, and the class itself `SceneMethod`.

    Attributes:
        consistent: whether that is done.
    """

    consistent = False

    @classmethod
    def begin(
        cls,
        training: RadianceTraining,
        editor: ImageEditor,
        asked: Asked,
        region: Region,
        folder: Path,
        first_step: int,
        on_stage: OnStage,
    ) -> Self:
        """See `SceneMethod`. Views are edited from the first level, and where there is none from
        the highest of the range: no later edit would make up for a low one.
        """
        config = asked.config
        level = config.noise_range[1] if config.first_level is None else config.first_level
        asked = dataclasses.replace(asked, config=dataclasses.replace(config, first_level=level))
        made = super().begin(training, editor, asked, region, folder, first_step, on_stage)
        views, steps = len(training.views.names), config.for_views(len(training.views.names))
        made.plan = UpdatePlan(views, views, min(views, steps.iterations // 2), 0)
        return made

    @property
    def round_steps(self) -> int:
        """Steps between two measurements: as many as those of a dataset update's round."""
        return max(1, self._config.edit_every * len(self.training.views.names))

    def between_steps(self, step: int) -> None:
        """Edits the next view, and when all are edited brings them together."""
        super().between_steps(step)
        if self.count == self.plan.edits and not self.consistent:
            began = time.monotonic()
            if self._edited:
                self._bring_together()
            self.consistent = True
            self._spent += time.monotonic() - began

    @property
    def _learns(self) -> bool:
        return self.consistent and super()._learns

    def _bring_together(self) -> None:
        """Gives the pixels of all regions what views have in common; until all are done it may be
        broken off.
        """
        views = self.training.views
        count = len(views.names)
        posed = []
        for index in range(count):
            self._on_stage(f"Depth of view {index + 1} of {count}", index / count)
            posed.append(self._posed(index))
        found = []
        for index in range(count):
            self._on_stage(f"Bringing view {index + 1} of {count} together", index / count)
            found.append(together(posed, index))
        for index, colours in enumerate(found):
            place = views.rays.of_view(index)
            chosen = place[posed[index].inside.reshape(-1)]
            views.pixels[chosen, :3] = (colours + 0.5).to(torch.uint8)

    def _posed(self, index: int) -> PosedView:
        """A view as it was edited, with the depth of the field that has not learnt from it yet. Its
        rim, where edit and photo are mixed, counts for nothing.
        """
        views, field = self.training.views, self.training.field
        place, shape = views.rays.of_view(index), views.rays.shape(index)
        pose, camera = (
            field.corrected(views.poses[index], views.names[index]),
            views.intrinsics[index],
        )
        distances = torch.from_numpy(field.render(pose, camera).depth).to(views.pixels.device)
        colours = views.pixels[place, :3].float().view(*shape, 3)
        return PosedView(pose, camera, colours, self._kept[place].view(shape), distances)

    def state(self) -> dict[str, Any]:
        """That of a dataset update, and whether the views are consistent."""
        return super().state() | {"consistent": self.consistent}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        super().load_state(state)
        self.consistent = state["consistent"]
