"""The prompt check: does the model see where an instruction applies?

An instruction that names nothing in the picture still gives a map, because every map is stretched
to 0..1. But what it would change then depends on the noise and is faint, while a change that the
model is sure of comes out alike for every noise.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput

CALIBRATION_FILE = "prompt_check.json"
"""Beside a model's model_index.json: {"evidence_limit": number}, from `evaluate relevance`."""
DEFAULT_EVIDENCE_LIMIT = 0.1
"""For a model without a calibration: its differences hardly have anything in common. Low, because
nothing is known about such a model; what it lets pass need not apply."""
FAINT = 5e-4
"""Mean square of differences, in units of the noise's variance, at which the evidence is a half at
most: a model that would change nothing still gives faint differences, which repeat themselves as
well. Any value from 5e-5 to 2e-2 tells equally well (validation scenes, evaluation/README.md).
"""


def evidence(differences: NDArray[np.float32]) -> float | None:
    """How much of its differences a model repeats from noise to noise.

    The mean product of the differences of two seeds, relative to the mean square of a seed's own
    and FAINT: near 1 where strong differences are all the same, about 0 where they have nothing in
    common or there are hardly any. Every model predicts noise of unit variance, so the strength
    means the same for all.

    Args:
        differences: (seeds, c, h, w), eps(I_t, I, text) - eps(I_t, I, "") with their signs.

    Returns:
        0..1, or None with one seed, which cannot tell.
    """
    seeds = len(differences)
    if seeds < 2:
        return None
    flat = differences.reshape(seeds, -1).astype(np.float64)
    own = float((flat**2).mean())
    shared = (seeds * float((flat.mean(axis=0) ** 2).mean()) - own) / (seeds - 1)
    return min(max(shared / (own + FAINT), 0.0), 1.0)


def read_evidence_limit(folder: Path) -> float:
    """The evidence from which an instruction counts as applying, of the model in this folder.

    Raises:
        BadInput: the folder's calibration file cannot be read.
    """
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return DEFAULT_EVIDENCE_LIMIT
    try:
        limit = float(json.loads(path.read_text("utf-8"))["evidence_limit"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is no calibration of the prompt check: {error!r}") from error
    return limit


def write_evidence_limit(folder: Path, limit: float) -> Path:
    """Write a model's calibration file into its folder and return its path."""
    path = folder / CALIBRATION_FILE
    path.write_text(json.dumps({"evidence_limit": limit}) + "\n", "utf-8")
    return path
