"""What a person's threshold means for a trained relevance field.

A field averages over views that disagree, and its target lies near 0.4 to 0.6 instead of 1. On the
scale that a person sees, 0.5 is the value t at which the region R >= t fits the scene best: of all
neighbouring pixels p, q that t parts,

    R(p) < t <= R(q)

the mean of |R(p) - R(q)| |I(p) - I(q)| is largest there, I being the colours. An outline in the
right place follows the things' own outlines in every view at once; one that is too wide or too
narrow runs through the plain ground, or through the thing. The first factor keeps it away from
edges in the things' patterns, which R does not know of. ("Edge matching" is an old way to choose
thresholds: Hertz and Schafer, "Multilevel thresholding using edge matching", 1988.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.editing.threshold import suggest_threshold

CANDIDATES = np.linspace(0.2, 0.8, 61)
"""Thresholds that are tried, where 0.5 is Otsu's."""
WINDOW = 5
"""Candidates on either side whose pixels count, too, so that one lucky pixel does not decide."""


@dataclass(frozen=True)
class Calibration:
    """What a person's threshold in 0..1 means in values of a trained field.

    0 stands for the lowest value that the field renders in the views that calibrate it, 1 for the
    highest, and 0.5 for the one whose region fits the scene best; between these the scale is
    linear.

    Attributes:
        low, middle, high: these three values; low <= middle <= high.
        at: what the middle one stands for: 0.5, or for a field of a region the threshold that the
            region was made with.
    """

    low: float
    middle: float
    high: float
    at: float = 0.5

    def of(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rendered relevance of any shape on the person's scale: compare it with the threshold."""
        if self.high <= self.low:
            return np.zeros_like(values)
        scale = (self.low, self.middle, self.high)
        return np.interp(values, scale, (0.0, self.at, 1.0)).astype(np.float32)

    def field_value(self, threshold: float) -> float:
        """The field's value at a person's threshold."""
        return float(np.interp(threshold, (0.0, self.at, 1.0), (self.low, self.middle, self.high)))

    def moved(self, middle: float) -> "Calibration":
        """The one whose middle is what this one gives as a value of 0..1."""
        return replace(self, middle=self.field_value(middle))


def of_region(threshold: float) -> Calibration:
    """Of a field that is 1 in a region and 0 elsewhere: its outline, at 0.5, stands for the
    threshold that the region was made with.
    """
    return Calibration(0.0, 0.5, 1.0, threshold)


AS_RENDERED = Calibration(0.0, 0.5, 1.0)
"""Of a field whose values are compared with the threshold as they are, as in the paper."""
NOWHERE = Calibration(1.0, 1.0, 1.0)
"""Of a field that nothing is relevant in: 0 everywhere on the person's scale."""


def calibrate(
    relevance: Sequence[NDArray[np.float32]], pictures: Sequence[NDArray[np.float32]]
) -> Calibration:
    """The calibration of a field by some of its views.

    Otsu's threshold over all values begins; then it is moved to where the region's outline follows
    the pictures' edges best, if they have any.

    Args:
        relevance: R, float32 (h, w), of views of any sizes.
        pictures: the same views' colours, float32 (h, w, 3), 0..1.
    """
    values = np.concatenate([view.ravel() for view in relevance])
    low, high = float(values.min()), float(values.max())
    middle = suggest_threshold(values) if high > low else low
    otsu = Calibration(low, min(max(middle, low), high), high)
    strength = edge_strength([otsu.of(view) for view in relevance], pictures)
    if not strength.any():
        return otsu
    return Calibration(low, otsu.field_value(float(CANDIDATES[strength.argmax()])), high)


def edge_strength(
    relevance: Sequence[NDArray[np.float32]], pictures: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """How well the outlines at the candidates follow edges, float64 (len(CANDIDATES)), at least 0.

    Args:
        relevance: float32 (h, w) of each view, 0..1.
        pictures: float32 (h, w, 3) of each view, 0..1.
    """
    step = CANDIDATES[1] - CANDIDATES[0]
    wider = step * np.arange(1, WINDOW + 1)
    tried = np.concatenate([CANDIDATES[0] - wider[::-1], CANDIDATES, CANDIDATES[-1] + wider])
    # A pair counts from the first threshold that parts it until after the last. Products are whole
    # numbers of 2^-24, so that nothing but zero is left of what is added and taken away again.
    products, pairs = np.zeros(len(tried) + 1), np.zeros(len(tried) + 1)
    for view, picture in zip(relevance, pictures, strict=True):
        for axis in (0, 1):
            rows, colours = np.moveaxis(view, axis, 0), np.moveaxis(picture, axis, 0)
            lower = np.minimum(rows[:-1], rows[1:]).ravel()
            upper = np.maximum(rows[:-1], rows[1:]).ravel()
            change = np.abs(np.diff(colours, axis=0)).max(-1).ravel()
            product = np.round((upper - lower).astype(np.float64) * change * 2**24)
            for ends, sign in ((lower, 1), (upper, -1)):
                at = np.searchsorted(tried, ends, side="right")
                products += sign * np.bincount(at, product, len(tried) + 1)
                pairs += sign * np.bincount(at, minlength=len(tried) + 1)
    window = np.ones(2 * WINDOW + 1)
    summed = np.convolve(products.cumsum()[:-1], window, "valid")
    counted = np.convolve(pairs.cumsum()[:-1], window, "valid")
    return summed / counted.clip(1) / 2**24
