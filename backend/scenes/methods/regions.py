"""Where the views of a scene are edited: inside its relevance field, inside each view's own map, or
everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from backend.editing import RelevanceMap
from backend.fields.radiance_field import Rendering
from backend.fields.rays import ViewRays
from backend.fields.relevance_field import Relevance

Composite = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What renders the relevance with the scene (`RelevanceField.composite`)."""


@dataclass(frozen=True)
class Region:
    """Where each view is edited.

    Attributes:
        mask: bool (H, W), of a view's number and its current rendering.
        composite: what the rendering must be made with, or None.
    """

    mask: Callable[[int, Rendering], NDArray[np.bool_]]
    composite: Composite | None = None


def inside_field(relevance: Relevance, threshold: float) -> Region:
    """Where the relevance field reaches a threshold on its calibrated scale (section 4.3)."""

    def mask(view: int, seen: Rendering) -> NDArray[np.bool_]:
        assert seen.relevance is not None  # rendered with `composite`
        return relevance.calibration.of(seen.relevance) >= threshold

    return Region(mask, relevance.field.composite)


def inside_maps(maps: Sequence[RelevanceMap], rays: ViewRays, threshold: float | None) -> Region:
    """Where each view's own map reaches a threshold, or where that is None its own suggestion (the
    paper's ablation).
    """
    limits = [one.suggested_threshold if threshold is None else threshold for one in maps]
    return Region(lambda view, seen: maps[view].at(*rays.shape(view)) >= limits[view])


def everything() -> Region:
    """All of each view, as Haque et al., "Instruct-NeRF2NeRF", 2023."""
    return Region(lambda view, seen: np.ones(seen.rgb.shape[:2], np.bool_))
