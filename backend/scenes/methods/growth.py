"""Whether an edit may let a scene grow, into places where nothing is yet, and into which.

A relevance field places the views' maps on the surfaces that the views show. Where the maps are of
something that is to appear before these, they disagree there, and agree on places in the air.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.editing import RelevanceMap
from backend.editing.threshold import suggest_threshold
from backend.fields.radiance_field import RadianceField
from backend.fields.relevance_field import Relevance, scene_maps
from backend.fields.views import Views
from backend.scenes.methods.hull import Hull, MarkedView, carve
from backend.scenes.things import Labels, OnView, shaded, thinned
from protocol.region import thing_scores
from protocol.values import Normalisation

MOST_VIEWS = 32
"""That are asked at most, spread evenly over all."""
SIDE = 64
"""Pixels that are enough along the longer side of such a view: of larger ones, every n-th pixel."""
MIDDLES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Of the relevance on surfaces, what may take the middle's place: the field's own is found where
surfaces explain the maps, and no surface may be what is to be edited."""
GAIN = 0.06
"""By how much the region must fit the maps better (IoU) with the places in the air than without."""
LEAST = 0.6
"""How well (IoU) it must fit them then: maps that agree on less say of no place where it is."""
SEE_THROUGH = (
    " Where photos are see-through they stay so: it can appear only before what they show."
)


@dataclass(frozen=True)
class Growth:
    """Where a scene may grow.

    Attributes:
        hull: the places.
        middle: what takes the middle's place on the calibrated scale (`Relevance.grown`).
        why: a sentence about it.
    """

    hull: Hull
    middle: float
    why: str


def growth_of(
    relevance: Relevance,
    threshold: float,
    maps: Sequence[RelevanceMap],
    normalisation: Normalisation,
    field: RadianceField,
    views: Views,
    things: Sequence[Labels | None],
    on_view: OnView,
) -> Growth | None:
    """Where a scene may grow; None where surfaces or whole things explain the maps.

    Args:
        relevance: the relevance field.
        threshold: of it, on its calibrated scale.
        maps: the views' own, raw.
        normalisation: of all maps together.
        field: the radiance field that is to be edited.
        views: that it was trained on.
        things: their labels, where the region may keep to whole things; None of a view without.
        on_view: told of the number of each view that is rendered, and how many there are.
    """
    count = len(views.names)
    shapes = [_shape(views.rays.shape(view)) for view in range(count)]
    values = scene_maps(maps, shapes, normalisation)
    limit = suggest_threshold(np.concatenate([one.ravel() for one in values]))
    which = np.linspace(0, count - 1, min(count, MOST_VIEWS)).round().astype(int).tolist()
    marked = [values[view] >= limit for view in which]
    if all(one.all() for one in marked) or not any(one.any() for one in marked):
        return None
    shown = shaded(field, views, which, on_view, relevance.composite, SIDE)
    told, rendered = [], []
    for view, marks, seen in zip(which, marked, shown, strict=True):
        pose = field.corrected(views.poses[view], views.names[view])
        height, width = marks.shape
        camera = views.intrinsics[view].resized(width, height)
        told.append(MarkedView(pose, camera, marks, seen[:, 3].reshape(marks.shape)))
        rendered.append(seen[:, 5].reshape(marks.shape))
    known = [relevance.calibration.moved(middle) for middle in MIDDLES]
    surfaces = [[one.of(values) >= threshold for values in rendered] for one in known]
    fits = [_overlap(regions, marked) for regions in surfaces]
    labelled = [labels for labels in (things[view] for view in which) if labels is not None]
    if len(labelled) == len(which):
        numbers = [thinned(labels, SIDE) for labels in labelled]
        scores = thing_scores(
            relevance.calibration.of(np.concatenate([one.ravel() for one in rendered])),
            np.concatenate([one.ravel() for one in numbers]),
        )
        fits.append(_overlap([scores[one] >= threshold for one in numbers], marked))
    before, best = max(fits), None
    after = max(before + GAIN, LEAST)
    for hull in carve(told, field.device):
        air = [hull.seen_from(one.pose, one.camera, one.distances) for one in told]
        for middle, regions in zip(MIDDLES, surfaces, strict=True):
            fit = _overlap([a | b for a, b in zip(regions, air, strict=True)], marked)
            if fit > after:
                after, best = fit, (hull, middle)
    if best is None:
        return None
    return Growth(
        *best,
        f"The scene may grow where nothing is yet: with places in the air that the views' maps "
        f"agree on, its region fits them better (IoU {after:.2f}) than with surfaces alone "
        f"({before:.2f})." + (SEE_THROUGH if views.alpha else ""),
    )


def _shape(size: tuple[int, int]) -> tuple[int, int]:
    """Of what is looked at of a view of that size (H, W)."""
    height, width = thinned(np.zeros(size, np.bool_), SIDE).shape
    return height, width


def _overlap(regions: Sequence[NDArray[np.bool_]], marked: Sequence[NDArray[np.bool_]]) -> float:
    """IoU of the pixels (h, w) of all views together."""
    pairs = list(zip(regions, marked, strict=True))
    either = sum(int((one | other).sum()) for one, other in pairs)
    return sum(int((one & other).sum()) for one, other in pairs) / max(either, 1)
