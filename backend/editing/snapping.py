"""Where an image is edited: inside a mask that is given, or that a relevance map becomes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput, check_settings, check_things
from backend.pictures import unchanged
from protocol.corrections import Correction
from protocol.region import Snapped, snapped
from protocol.settings import RegionSettings

from .crop import Window
from .image_editor import Edit
from .relevance import RelevanceMap


@dataclass(frozen=True)
class Where:
    """Where an image is edited, and what says so.

    Attributes:
        mask: bool (H, W).
        relevance, threshold, snapped: as in `Edit`; None where the mask was given.
    """

    mask: NDArray[np.bool_]
    relevance: RelevanceMap | None = None
    threshold: float | None = None
    snapped: Snapped | None = None
    corrected: bool = False
    """Whether the mask is not the thresholded map alone."""

    def outcome(
        self,
        image: NDArray[np.uint8],
        edited: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        windows: tuple[Window, ...],
    ) -> Edit:
        """What came of an image, uint8 (H, W, 3), that was edited inside as much of the mask."""
        values = None if self.relevance is None else self.relevance.values
        said = None if self.corrected else self.threshold
        sentence = unchanged(image, edited, mask, said, values)
        return Edit(edited, mask, self.relevance, self.threshold, sentence, windows, self.snapped)


def snapped_at(
    threshold: float | None,
    relevance: RelevanceMap,
    covered: tuple[float, float],
    image: NDArray[np.uint8],
    region: RegionSettings,
    things: NDArray[np.integer] | None,
    correction: Correction,
) -> Where:
    """Where `protocol.region.snapped` of an image, uint8 (H, W, 3), and its map reaches a
    threshold; None takes the map's own suggestion.

    Args:
        covered: cells (rows, columns) that the image covers in a map of its own.
        things: whole numbers (H, W), 0..65535, or None.
        correction: of what that gives.

    Raises:
        BadInput: the map, the things or the painting belong to an image of another size, or a value
            is out of range.
    """
    check_settings(region)
    if things is not None:
        check_things(things, image.shape[:2])
    if relevance.extent != covered:
        raise BadInput("The relevance map belongs to an image of another size.")
    values = relevance.at(*image.shape[:2])
    found = snapped(values, image, region.snap, things, relevance.suggested_threshold)
    limit = found.suggested_threshold if threshold is None else threshold
    try:
        mask = correction.mask(found.values, limit)
    except ValueError as error:
        raise BadInput(f"The painting belongs to an image of another size: {error}.") from error
    return Where(mask, relevance, limit, found, not correction.is_none)
