"""Relevance maps snapped to what is there, also by a thread before a map is shown."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..protocol.region import Snapped, snapped
from ..protocol.values import Snap


@dataclass(frozen=True, eq=False)
class Snapping:
    """What `protocol.region.snapped` is asked."""

    relevance: NDArray[np.float32]
    image: NDArray[np.uint8]
    snap: Snap
    things: NDArray[np.uint16] | None
    suggested_threshold: float

    def find(self) -> Snapped:
        """The answer; any thread may call this."""
        return snapped(self.relevance, self.image, self.snap, self.things, self.suggested_threshold)

    def is_same(self, other: "Snapping") -> bool:
        """Whether it is asked of the very same arrays."""
        return (
            self.relevance is other.relevance
            and self.image is other.image
            and self.things is other.things
            and self.snap == other.snap
            and self.suggested_threshold == other.suggested_threshold
        )


_ahead: list[tuple[Snapping, Snapped]] = []
"""What was found last for a map that is about to be shown."""


def keep(asked: Snapping, found: Snapped) -> None:
    """Keep what a thread has found."""
    _ahead[:] = [(asked, found)]


def answer(asked: Snapping) -> Snapped:
    """What a thread has found, or else what is found now."""
    for known, found in _ahead:
        if known.is_same(asked):
            return found
    return asked.find()


def forget_all() -> None:
    """Another file was opened."""
    _ahead.clear()
