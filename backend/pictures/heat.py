"""Relevance as colours, for people to look at."""

import numpy as np
from numpy.typing import NDArray

HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""Colours of relevance 0 to 1, evenly spaced (dark to bright)."""
HEAT_LEVELS = 1024
"""Steps between these colours."""


def heat_map(relevance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Relevance (H, W) in 0..1 to uint8 (H, W, 3) colours from dark to bright."""
    stops = np.linspace(0, 1, len(HEAT))
    levels = np.linspace(0, 1, HEAT_LEVELS)
    channels = [np.interp(levels, stops, [colour[c] for colour in HEAT]) for c in range(3)]
    colours = np.stack(channels, axis=-1).round().astype(np.uint8)
    return colours[np.rint(relevance * (HEAT_LEVELS - 1)).astype(np.uint16)]
