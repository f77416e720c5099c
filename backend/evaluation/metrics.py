"""How well a relevance map or a mask fits the truth, and how far pictures are apart."""

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

BEST_OF = np.linspace(0.05, 0.95, 19)
"""Thresholds that the best IoU is looked for at."""


def intersection_over_union(mask: Mask, truth: Mask) -> float:
    """IoU of two masks of one shape, 0..1; 1 where both are empty."""
    union = int((mask | truth).sum())
    return float((mask & truth).sum() / union) if union else 1.0


def best_iou(values: Map, truth: Mask) -> float:
    """The highest IoU of all thresholds in BEST_OF."""
    return max(intersection_over_union(values >= threshold, truth) for threshold in BEST_OF)


def auroc(values: Map, truth: Mask) -> float:
    """Chance that a cell inside the truth has a higher value than one outside; 0.5 says nothing.

    Raises:
        ValueError: the truth is empty or everywhere.
    """
    return float(roc_auc_score(truth.ravel(), values.ravel()))


def average_precision(values: Map, truth: Mask) -> float:
    """Area under precision over recall, 0..1."""
    return float(average_precision_score(truth.ravel(), values.ravel()))


def psnr(image: NDArray[np.uint8], reference: NDArray[np.uint8], where: Mask) -> float:
    """Peak signal-to-noise ratio in dB over the pixels `where`; infinite for equal ones."""
    difference = (image.astype(np.float64) - reference)[where]
    error = float((difference**2).mean())
    return 10 * math.log10(255**2 / error) if error > 0 else math.inf
