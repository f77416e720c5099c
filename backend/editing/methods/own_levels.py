"""Relevance gathered during the edit itself: the map is the mean of what the instruction changes at
each of the edit's own levels so far (Eq. 2), instead of once, before, at one level. There is no
separate map to wait for, but two more branches in every step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.editing.relevance import RelevanceMap, normalise
from backend.editing.threshold import suggest_threshold
from protocol.settings import MapSettings

from .method import Edited, Knob, Models, Need, Request, check
from .ours import SUGGESTED
from .picture import Picture


@dataclass(frozen=True)
class OwnLevels:
    """Each step puts the input back where the map so far does not reach the threshold."""

    label: str = "relevance during the edit"
    needs: Sequence[Need] = ()
    knob: Knob = SUGGESTED

    @torch.inference_mode()
    def edit(self, models: Models, request: Request) -> Edited:
        """See `ImageMethod`."""
        check(self, models, request)
        picture = Picture(models.editor.model, request.image)
        model, clean = picture.model, picture.clean
        told, noise = picture.told(request.instruction), picture.noise(request.seed)
        levels = picture.levels(request.steps, 1.0)
        latents, total = model.noised(clean, noise, levels[0]), torch.zeros_like(clean[0, 0])
        mask = picture.everywhere
        for index, (level, following) in enumerate(pairwise(levels)):
            total = total + model.difference(latents, level, [told]).abs().sum(dim=(0, 1))
            model.card.check_numbers(total)
            found = map_of(total / (index + 1), picture.extent)
            threshold = found.suggested_threshold if request.knob is None else request.knob
            mask = found.at(*request.image.shape[:2]) >= threshold
            predicted = model.predict(latents, level, [told], model.card.guidance)
            model.card.check_numbers(predicted.noise)
            latents = model.noised(predicted.clean, predicted.noise, following)
            last = index == request.steps - 1
            original = clean if last else model.noised(clean, noise, following)
            latents = torch.where(picture.cells(mask), latents, original)
        return Edited(picture.pasted(latents, mask), mask)


def map_of(raw: Tensor, extent: tuple[float, float]) -> RelevanceMap:
    """The map of raw differences (h, w), of which a picture covers so many cells."""
    rows, columns = (int(np.ceil(cells)) for cells in extent)
    own: NDArray[np.float32] = raw[:rows, :columns].cpu().numpy()
    values = normalise(own, MapSettings.normalisation)
    return RelevanceMap(
        values=values,
        raw=own,
        spread=np.zeros_like(own),
        extent=extent,
        suggested_threshold=suggest_threshold(values),
        evidence=None,
        applies=None,
    )
