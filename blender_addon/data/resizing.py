"""Pictures made smaller as a camera would have seen them: each new pixel is the mean light of all
that it covers.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_VALUES = np.arange(256) / 255
LIGHT = np.where(_VALUES <= 0.04045, _VALUES / 12.92, ((_VALUES + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)
"""The light of each 8-bit sRGB value, 0..1."""


def fitted(pixels: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """A picture whose longer side has at most `max_side` pixels; the same where it is that small.

    Args:
        pixels: (H, W, 4), sRGB with straight alpha. Colours count by how much of them is seen.
        max_side: in pixels, at least 1.
    """
    height, width = pixels.shape[:2]
    shrink = max_side / max(height, width)
    if shrink >= 1:
        return pixels
    size = max(1, round(height * shrink)), max(1, round(width * shrink))
    rows = np.empty((size[0], width, 4), np.float64)
    edges = np.linspace(0, height, size[0] + 1)
    for row, (low, high) in enumerate(pairwise(edges)):
        first, last = int(low), min(height, int(np.ceil(high)))
        covered = np.minimum(np.arange(first, last) + 1, high) - np.maximum(
            np.arange(first, last), low
        )
        rows[row] = np.tensordot(covered / covered.sum(), _seen(pixels[first:last]), 1)
    return _as_srgb(_means(rows, size[1]))


def _seen(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The light of pixels, times their alpha, and their alpha."""
    light = np.empty(pixels.shape, np.float32)
    light[..., 3] = pixels[..., 3] / np.float32(255)
    light[..., :3] = LIGHT[pixels[..., :3]] * light[..., 3:]
    return light


def _means(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The means of `count` equal parts of each row, (H, W, C) to (H, count, C)."""
    width = rows.shape[1]
    sums = np.zeros((rows.shape[0], width + 1, rows.shape[2]))
    np.cumsum(rows, axis=1, out=sums[:, 1:])
    edges = np.linspace(0, width, count + 1)
    before = np.minimum(edges.astype(int), width - 1)
    at = sums[:, before] + (edges - before)[:, None] * rows[:, before]
    return np.diff(at, axis=1) * (count / width)


def _as_srgb(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    alpha = light[..., 3:]
    colours = np.clip(light[..., :3] / np.maximum(alpha, 1e-9), 0, 1)
    srgb = np.where(colours <= 0.0031308, colours * 12.92, 1.055 * colours ** (1 / 2.4) - 0.055)
    return np.rint(np.concatenate([srgb, np.clip(alpha, 0, 1)], axis=2) * 255).astype(np.uint8)
