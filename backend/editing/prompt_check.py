"""The prompt check: does the model see where an instruction applies?

An instruction that names nothing in the picture still gives a map, because every map is stretched
to 0..1. But what it would change then depends on the noise and is faint, while a change that the
model is sure of comes out alike for every noise.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.errors import BadInput

CALIBRATION_FILE = "prompt_check.json"
"""Beside a model's model_index.json: a limit by its name."""
IMAGE_LIMIT, VIEWS_LIMIT = "evidence_limit", "views_evidence_limit"
"""Of one image, from `evaluate relevance --calibrate`, and of all views of a scene together, from
`evaluate check --calibrate`."""
DEFAULT_EVIDENCE_LIMIT = 0.1
"""For a model without a calibration: its differences hardly have anything in common. Low, because
nothing is known about such a model; what it lets pass need not apply."""
FAINT = 5e-4
"""Mean square of differences, in units of the noise's variance, at which the evidence is a half at
most: a model that would change nothing still gives faint differences, which repeat themselves as
well. Any value from 5e-5 to 2e-2 tells equally well (validation scenes, evaluation/README.md).
"""


@dataclass(frozen=True)
class Agreement:
    """How far a model's differences for several noises are the same, in one image.

    Attributes:
        shared: mean product of the differences of two seeds, in units of the noise's variance.
        own: mean square of a seed's own; at least 0.
    """

    shared: float
    own: float

    @property
    def evidence(self) -> float:
        """0..1: `shared` relative to `own` and FAINT. Near 1 where strong differences are all the
        same, about 0 where they have nothing in common or there are hardly any. Every model
        predicts noise of unit variance, so the strength means the same for all.
        """
        return min(max(self.shared / (self.own + FAINT), 0.0), 1.0)


def agreement(differences: NDArray[np.float32]) -> Agreement | None:
    """How much of its differences a model repeats from noise to noise.

    Args:
        differences: (seeds, c, h, w), eps(I_t, I, text) - eps(I_t, I, "") with their signs.

    Returns:
        None with one seed, which cannot tell.
    """
    seeds = len(differences)
    if seeds < 2:
        return None
    flat = differences.reshape(seeds, -1).astype(np.float64)
    own = float((flat**2).mean())
    shared = (seeds * float((flat.mean(axis=0) ** 2).mean()) - own) / (seeds - 1)
    return Agreement(shared, own)


def pooled_evidence(views: Sequence[Agreement | None]) -> float | None:
    """The evidence of several views of one scene together: the mean of the views' own, each
    weighted with how strong its differences are (their root mean square). A view that does not show
    what the instruction is about has faint ones, and hardly counts.

    Args:
        views: one each, on the same noises.

    Returns:
        0..1, or None where there are none, or one of them cannot tell.
    """
    known = [view for view in views if view is not None]
    if not known or len(known) < len(views):
        return None
    weights = np.sqrt([view.own for view in known])
    if not weights.any():
        return 0.0
    return float(np.average([view.evidence for view in known], weights=weights))


def read_evidence_limits(folder: Path) -> tuple[float, float]:
    """The evidence from which an instruction counts as applying, of the model in this folder: in
    one image, and in all views of a scene together, where that of one image does without a
    calibration of its own.

    Raises:
        BadInput: the folder's calibration file cannot be read.
    """
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return DEFAULT_EVIDENCE_LIMIT, DEFAULT_EVIDENCE_LIMIT
    try:
        kept = json.loads(path.read_text("utf-8"))
        limit = float(kept[IMAGE_LIMIT])
        return limit, float(kept.get(VIEWS_LIMIT, limit))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is no calibration of the prompt check: {error!r}") from error


def write_evidence_limit(folder: Path, limit: float, name: str = IMAGE_LIMIT) -> Path:
    """Write a limit into the calibration file of the model in this folder, and return its path. The
    file's other limit stays; a new one has both.

    Raises:
        BadInput: the file that is there cannot be read.
    """
    path = folder / CALIBRATION_FILE
    kept = {IMAGE_LIMIT: limit}
    if path.is_file():
        image, views = read_evidence_limits(folder)
        kept = {IMAGE_LIMIT: image, VIEWS_LIMIT: views}
    path.write_text(json.dumps(kept | {name: limit}) + "\n", "utf-8")
    return path
