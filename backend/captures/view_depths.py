"""Which depth images of a capture's views can be used, found by reading them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.captures.checks import left_out_note
from backend.captures.depth_images import depth_units, usual_depth
from backend.captures.error import CaptureError
from backend.captures.views import StoredView

IN_THE_UNIT = (
    "store them in the cameras' unit (whole numbers count in thousandths of it, or in "
    "integer_depth_scale)."
)


class ViewDepths:
    """Depth images of views, read one by one. Of those that are not read nothing is said."""

    def __init__(self, views: Sequence[StoredView]) -> None:
        self._views = list(views)
        self._count = sum(view.depth is not None for view in views)
        self._usual = np.full(len(views), math.nan)
        self._damaged: list[str] = []

    def read(self, index: int) -> None:
        """Read a view's depth image, if it has one; a damaged one is left out."""
        try:
            self._usual[index] = usual_depth(self._views[index].read_depth())
        except CaptureError as error:
            self._damaged.append(str(error))
            self._views[index] = replace(self._views[index], depth=None)

    def fitting(
        self, file: str, camera_to_world: NDArray[np.float64]
    ) -> tuple[list[StoredView], list[str]]:
        """The views without damaged depths and those in another unit than the cameras or than most
        others, and notes on these.

        Args:
            file: that names them, for sentences.
            camera_to_world: float64 (n, 4, 4).
        """
        notes = []
        if self._damaged:
            notes.append(left_out_note("depth images", self._count, self._damaged))
        units = depth_units(self._usual, camera_to_world)
        if units.times is not None:
            first = self._views[int(np.flatnonzero(~np.isnan(self._usual))[0])].name
            notes.append(
                f"The depths that {file} names, such as that of {first}, are about "
                f"{_in_words(units.times)} for the distances of the cameras, and are not used: "
                f"{IN_THE_UNIT}"
            )
            return [replace(view, depth=None) for view in self._views], notes
        views = list(self._views)
        reasons = []
        for index in np.flatnonzero(units.odd):
            times = _in_words(self._usual[index] / np.nanmedian(self._usual))
            reasons.append(f"That of {views[index].name} is about {times} beside the others.")
            views[index] = replace(views[index], depth=None)
        if reasons:
            notes.append(left_out_note("depth images", self._count, reasons))
        return views, notes


def _in_words(times: float) -> str:
    number = float(f"{max(times, 1 / times):.2g}")
    return f"{number:.0f} times too {'large' if times > 1 else 'small'}"
