"""Where a map falls into two parts by itself."""

import numpy as np
from numpy.typing import NDArray


def suggest_threshold(values: NDArray[np.float32]) -> float:
    """The threshold that parts a map (h, w) best: Otsu's, "A Threshold Selection Method from
    Gray-Level Histograms", 1979, over all values of the map instead of a histogram.

    The two parts' means are then as far apart as can be, each weighted with its size. Halfway
    between the parts' nearest values; 0.5 for a map that is the same everywhere.
    """
    ordered = np.sort(values.astype(np.float64), axis=None)
    count = np.arange(1, len(ordered))
    below = np.cumsum(ordered)[:-1] / count
    above = (ordered.sum() - np.cumsum(ordered)[:-1]) / (len(ordered) - count)
    between = count * (len(ordered) - count) * (above - below) ** 2
    between[ordered[1:] == ordered[:-1]] = 0.0  # equal values stay together
    if not between.any():
        return 0.5
    best = int(between.argmax())
    return float((ordered[best] + ordered[best + 1]) / 2)
