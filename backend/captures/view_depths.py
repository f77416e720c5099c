"""Which depth images of a capture's views can be used, found by reading them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.captures.checks import left_out_note
from backend.captures.depth_agreement import ALONG_RAY, INVERSE, SeenDepth, found_in
from backend.captures.depth_images import depth_units, usual_depth
from backend.captures.error import CaptureError
from backend.captures.views import StoredView

IN_THE_UNIT = (
    "store them in the cameras' unit (whole numbers count in thousandths of it, or in "
    "integer_depth_scale)."
)
ALONG_THE_AXIS = "store distances along the viewing axis, in the cameras' unit."
OTHERWISE = {
    ALONG_RAY: "distances from the cameras, not along their axes",
    INVERSE: "inverse depths (disparities)",
}
"""What depths are that are none."""


class ViewDepths:
    """Depth images of views, read one by one. Of those that are not read nothing is said."""

    def __init__(self, views: Sequence[StoredView]) -> None:
        self._views = list(views)
        self._count = sum(view.depth is not None for view in views)
        self._usual = np.full(len(views), math.nan)
        self._damaged: list[str] = []
        self._read = 0
        self._seen: dict[int, SeenDepth] = {}

    def read(self, index: int) -> None:
        """Read a view's depth image, if it has one; a damaged one is left out."""
        view = self._views[index]
        try:
            depth = view.read_depth()
        except CaptureError as error:
            self._damaged.append(str(error))
            self._views[index] = replace(view, depth=None)
            return
        self._read += depth is not None
        self._usual[index] = usual_depth(depth)
        if depth is not None and not view.lens.fisheye:
            self._seen[index] = SeenDepth.of(view.intrinsics, depth)

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
        wrong = self._wrong(units.times, camera_to_world)
        if wrong is not None:
            first = next(view.name for view in self._views if view.depth is not None)
            notes.append(f"The depths that {file} names, such as that of {first}, {wrong}")
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

    def _wrong(self, times: float | None, camera_to_world: NDArray[np.float64]) -> str | None:
        """What is wrong with all depths, if anything.

        Args:
            times: how many times larger they are than the cameras allow, if they are.
            camera_to_world: float64 (n, 4, 4).
        """
        if self._read and self._read == self._count and np.isnan(self._usual).all():
            return f"are 0, negative or not finite everywhere, and are not used: {ALONG_THE_AXIS}"
        if times is None:
            indices = sorted(self._seen)
            found = found_in([self._seen[index] for index in indices], camera_to_world[indices])
            if found is None:
                return None
            if found.kind in OTHERWISE:
                return (
                    f"agree between the views as {OTHERWISE[found.kind]}, and are not used: "
                    f"{ALONG_THE_AXIS}"
                )
            times = found.times
        return (
            f"are about {_in_words(times)} for the distances of the cameras, and are not used: "
            f"{IN_THE_UNIT}"
        )


def _in_words(times: float) -> str:
    number = float(f"{max(times, 1 / times):.2g}")
    return f"{number:g} times too {'large' if times > 1 else 'small'}"
