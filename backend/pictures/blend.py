"""Putting an edit back into its picture: inside the region's edge, which may be soft."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt


def weights(mask: NDArray[np.bool_], rim: float) -> NDArray[np.float32] | NDArray[np.bool_]:
    """(H, W), 0..1: how much of the edit a pixel gets.

    With d the distance of its centre from the mask's edge, in pixels and positive inside, it is
    0.5 + d / rim, within 0 and 1: 1 from half a rim inside on, 0 from half a rim outside on. Of a
    mask (bool (H, W)) that is everything or nothing there is no edge; nor is the picture's border
    one. float32; without a rim it is the mask itself, bool.
    """
    if rim <= 0 or mask.all() or not mask.any():
        return mask
    # distances are to the next centre on the other side, half a pixel beyond the edge
    inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
    depth = np.where(mask, inside - 0.5, 0.5 - outside)
    found: NDArray[np.float32] = (0.5 + depth / rim).clip(0, 1).astype(np.float32)
    return found


def blended(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    share: NDArray[np.float32] | NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """uint8 (H, W, 3), sRGB: the bytes of `before` where the share of `after`, (H, W), is
    0, those of `after` where it is 1, and between them what a lens out of focus would mix, which is
    light, not sRGB's numbers.
    """
    mixed = np.where((share > 0)[..., None], after, before)
    soft = (share > 0) & (share < 1)
    if soft.any():  # never of a bool share
        part = share[soft][:, None]
        light = (1 - part) * _LIGHT[before[soft]] + part * _LIGHT[after[soft]]
        mixed[soft] = np.searchsorted(_BETWEEN, light)
    return mixed


_LEVELS = np.arange(511) / 510
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
_LIGHT = _LINEAR[::2].astype(np.float32)
"""Light of sRGB's 256 levels, 0..1."""
_BETWEEN = _LINEAR[1::2].astype(np.float32)
"""Light of the 255 places halfway between them, in sRGB."""
