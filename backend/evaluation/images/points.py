"""One point of one method's curve on one sample: what is edited, and what is measured of it. A pure
function of both, but for the time it takes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.editing.methods.method import Request
from backend.editing.methods.registry import METHODS
from backend.evaluation import metrics
from backend.evaluation.spread.edit_record import EditRecord, measured_edit
from backend.evaluation.spread.work import Tools
from backend.world.pool import Sample


@dataclass(frozen=True)
class Point:
    """A method at one stand of its knob.

    Attributes:
        method: a name in METHODS.
        knob: its number; None for its default.
    """

    method: str
    knob: float | None

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.method}-{'default' if self.knob is None else f'{self.knob:g}'}"

    @property
    def stand(self) -> float | str:
        """Where the knob stands, in words where that is no number."""
        return METHODS[self.method].knob.default if self.knob is None else self.knob


def points_of(method: str) -> list[Point]:
    """The points of a method's curve: its default, and the values of its knob."""
    knob = METHODS[method].knob
    return [Point(method, None)] + [
        Point(method, value) for value in knob.values if value != knob.default
    ]


def measured(
    tools: Tools,
    sample: Sample,
    palette: metrics.Palette | None,
    point: Point,
    steps: int,
    seed: int,
) -> tuple[EditRecord, NDArray[np.uint8]]:
    """A sample edited at a point: what was measured, and the edit, uint8 (H, W, 3). A given mask is
    the true one.
    """
    request = Request(
        image=sample.image,
        instruction=sample.edit.instruction,
        captions=sample.captions,
        mask=sample.mask > 0.5,
        steps=steps,
        seed=seed,
        knob=point.knob,
    )
    method = METHODS[point.method]
    return measured_edit(sample, palette, tools, lambda: method.edit(tools.models, request))
