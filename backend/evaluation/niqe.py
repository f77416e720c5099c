"""NIQE: how natural a picture looks, without a reference (Mittal, Soundararajan and Bovik 2013,
"Making a 'completely blind' image quality analyzer"). Lower is better; photographs have about 2 to
5. It was made for photographs: of the demo world's drawings it only tells one from another.

The model of natural pictures is the one that its authors published. It is read from mmagic
(Apache-2.0), which requirements.txt installs for that file alone; mmagic's code is not used.
"""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import gamma

from backend.editing.encoders import Picture
from backend.errors import BadInput

BLOCK = 96
"""Pixels of a block's side: what does not fill a block at the right and below is left out."""
SMALLEST_BLOCKS = 2
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Whose products with a pixel are looked at: along rows, columns and both diagonals."""
SHAPES = np.arange(0.2, 10.001, 0.001)
"""That a generalised Gaussian's exponent is looked for among."""
HALVING = np.array([-3, -9, 29, 111, 111, 29, -9, -3]) / 256
"""Cubic interpolation (a = -0.5) at half the size, with a filter twice as wide."""

Values = NDArray[np.float64]


def niqe(picture: Picture) -> float:
    """NIQE of a picture uint8 (H, W, 3), RGB.

    Raises:
        BadInput: it holds fewer than SMALLEST_BLOCKS blocks that are not all of one colour, or
            mmagic is not installed.
    """
    mean, covariance = _natural()
    rows, columns = (side // BLOCK for side in picture.shape[:2])
    grey = np.round(picture.astype(np.float64) @ np.array([0.2989, 0.587, 0.114]))
    grey = grey[: rows * BLOCK, : columns * BLOCK]
    fine = _features(grey, BLOCK)
    coarse = _features(_halved(grey), BLOCK // 2)
    found = np.concatenate([fine, coarse], axis=1)
    found = found[np.isfinite(found).all(axis=1)]
    if len(found) < SMALLEST_BLOCKS:
        raise BadInput(
            f"NIQE needs {SMALLEST_BLOCKS} blocks of {BLOCK}x{BLOCK} pixels with something in "
            f"them: a picture of {picture.shape[1]}x{picture.shape[0]} has {len(found)}."
        )
    off = mean - found.mean(axis=0)
    pooled = (covariance + np.cov(found, rowvar=False)) / 2
    return float(np.sqrt(off @ np.linalg.pinv(pooled) @ off))


@cache
def _natural() -> tuple[Values, Values]:
    """Mean (36,) and covariance (36, 36) of the features of natural pictures."""
    package = importlib.util.find_spec("mmagic")  # importing it would ask for much else
    if package is None or package.origin is None:
        raise BadInput(
            "NIQE's model of natural pictures is not here: `pip install --no-deps mmagic==1.2.0`."
        )
    place = Path(package.origin).parent / "evaluation" / "metrics" / "niqe_pris_params.npz"
    with np.load(place) as file:
        return file["mu_pris_param"].ravel(), file["cov_pris_param"]


def _features(grey: Values, block: int) -> Values:
    """The 18 features of every block, (blocks, 18), not finite where a block is of one colour."""

    def blurred(values: Values) -> Values:
        return ndimage.gaussian_filter(values, 7 / 6, mode="nearest", radius=3)

    mean = blurred(grey)
    spread = np.sqrt(np.abs(blurred(grey**2) - mean**2))
    normal = (grey - mean) / (spread + 1)
    height, width = normal.shape
    parts = normal.reshape(height // block, block, width // block, block).swapaxes(1, 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = [_features_of_block(one) for one in parts.reshape(-1, block, block)]
    return np.array(rows)


def _features_of_block(block: Values) -> list[float]:
    exponent, left, right = _asymmetric_gaussian(block)
    found = [exponent, (left + right) / 2]
    for shift in NEIGHBOURS:
        exponent, left, right = _asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        mean = (right - left) * gamma(2 / exponent) / gamma(1 / exponent)
        found += [exponent, mean, left, right]
    return found


def _asymmetric_gaussian(values: Values) -> tuple[float, float, float]:
    """Exponent and both scales of the asymmetric generalised Gaussian that values are drawn from,
    by matching moments (Lasmar et al. 2009).
    """
    squares = values**2
    left = np.sqrt(squares[values < 0].sum() / (values < 0).sum())
    right = np.sqrt(squares[values > 0].sum() / (values > 0).sum())
    skew = left / right
    ratio = np.abs(values).mean() ** 2 / squares.mean()
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    if not np.isfinite(ratio):
        return np.nan, np.nan, np.nan
    exponent = SHAPES[np.abs(_RATIOS - ratio).argmin()]
    scale = np.sqrt(gamma(1 / exponent) / gamma(3 / exponent))
    return float(exponent), float(left * scale), float(right * scale)


_RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))
"""Squared mean of absolute values over mean of squares, for every exponent."""


def _halved(grey: Values) -> Values:
    """The picture (H, W) at half its size, mirrored beyond its borders."""
    for axis in (0, 1):
        # The middle of scipy's 8 taps is the fifth: between pixels 2k and 2k + 1 it is at 2k + 1.
        grey = ndimage.correlate1d(grey, HALVING, axis, mode="reflect")
        grey = np.take(grey, np.arange(1, grey.shape[axis], 2), axis)
    return grey
