"""From the relevance map of an image to what its region is thresholded from."""

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput, check_settings, check_things
from protocol.region import Snapped, snapped
from protocol.settings import RegionSettings

from .relevance import RelevanceMap


def snapped_map(
    relevance: RelevanceMap,
    covered: tuple[float, float],
    image: NDArray[np.uint8],
    region: RegionSettings,
    things: NDArray[np.integer] | None,
) -> Snapped:
    """`protocol.region.snapped` of an image, uint8 (H, W, 3), and its map.

    Args:
        covered: cells (rows, columns) that the image covers in a map of its own.
        things: whole numbers (H, W), 0..65535, or None.

    Raises:
        BadInput: the map or the things belong to an image of another size, or a value is out of
            range.
    """
    check_settings(region)
    if things is not None:
        check_things(things, image.shape[:2])
    if relevance.extent != covered:
        raise BadInput("The relevance map belongs to an image of another size.")
    values = relevance.at(*image.shape[:2])
    return snapped(values, image, region.snap, things, relevance.suggested_threshold)
