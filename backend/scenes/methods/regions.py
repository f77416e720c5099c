"""Where the views of a scene are edited: inside its relevance field, inside each view's own map, or
everywhere; both of the former as they are, along the pictures' edges, or by whole things.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.editing import RelevanceMap
from backend.fields.radiance_field import Rendering
from backend.fields.relevance_field import Relevance, RelevanceTraining
from backend.scenes.edit_records import SnapRecord
from backend.scenes.methods.drawn_maps import DrawnMaps
from backend.scenes.things import Composite, Labels, values_of_things
from protocol.region import Snapped, edge_map, snapped
from protocol.values import Snap

Mask = Callable[[int, Rendering], NDArray[np.bool_]]
"""A region (H, W) of a view's number and its current rendering."""


@dataclass(frozen=True)
class Region:
    """Where each view is edited.

    Attributes:
        mask: bool (H, W), of a view's number and its current rendering.
        composite: what the rendering must be made with, or None.
        refitting: goes on fitting the relevance field to the scene as it changes, or None.
        drawn: the maps that it is fitted to, where these are found as views are drawn; else None.
    """

    mask: Mask
    composite: Composite | None = None
    refitting: RelevanceTraining | None = None
    drawn: DrawnMaps | None = None


def inside_field(
    relevance: Relevance,
    threshold: float,
    record: SnapRecord,
    images: Sequence[NDArray[np.uint8]],
    things: Sequence[Labels | None],
    refitting: RelevanceTraining | None = None,
    drawn: DrawnMaps | None = None,
    in_air: Mask | None = None,
) -> Region:
    """Where the relevance field reaches a threshold on its scale (section 4.3), or what it was
    snapped to does.

    Args:
        relevance: the field.
        threshold: of it.
        record: what the region keeps to.
        images: uint8 (H, W, 3), the views as they were before the edit, over black.
        things: the views' labels. Whole things are those of the capture, whatever its field shows
            by now; a view that has none keeps to the edges of its image.
        refitting: of the field, as the scene changes.
        drawn: what it is fitted to, where that is found as views are drawn.
        in_air: where a view looks through places that are to be edited though nothing is there yet.
    """

    def mask(view: int, seen: Rendering) -> NDArray[np.bool_]:
        labels = things[view]
        if record.took == "things" and labels is not None:
            return values_of_things(labels, record.scores) >= np.float32(threshold)
        assert seen.relevance is not None  # rendered with `composite`
        values = relevance.calibration.of(seen.relevance)
        if record.took != "nothing":
            values = edge_map(values, images[view])
        found: NDArray[np.bool_] = values >= threshold
        return found if in_air is None else found | in_air(view, seen)

    return Region(mask, relevance.composite, refitting, drawn)


def snapped_maps(
    maps: Sequence[RelevanceMap],
    snap: Snap,
    images: Sequence[NDArray[np.uint8]],
    things: Sequence[Labels | None],
) -> list[Snapped]:
    """Each view's own map, snapped to its own image and labels, as that of a single picture."""
    return [
        snapped(one.at(*image.shape[:2]), image, snap, labels, one.suggested_threshold)
        for one, image, labels in zip(maps, images, things, strict=True)
    ]


def inside_maps(maps: Sequence[Snapped], threshold: float | None) -> Region:
    """Where each view's own map reaches a threshold, or where that is None its own suggestion (the
    paper's ablation).
    """
    limits = [one.suggested_threshold if threshold is None else threshold for one in maps]
    return Region(lambda view, seen: maps[view].values >= limits[view])


def everything() -> Region:
    """All of each view, as Haque et al., "Instruct-NeRF2NeRF", 2023."""
    return Region(lambda view, seen: np.ones(seen.rgb.shape[:2], np.bool_))
