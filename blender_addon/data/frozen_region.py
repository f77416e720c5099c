"""Where an edit is made, as it was when it was asked for: whatever the scene shows by the time
that it comes to its turn.
"""

from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from ..link.encode import encode_exr
from ..protocol.requests import EditResult
from ..protocol.settings import PictureMapSettings
from . import pictures, region, results


@dataclass(frozen=True)
class FoundMap:
    """A relevance map, and what it was found for."""

    values: NDArray[np.float32]
    """float32 (H, W), 0..1, row 0 at the top; not snapped."""
    instruction: str
    maps: PictureMapSettings
    suggested_threshold: float
    prompt_check: str
    found_in: str
    """The uid of the edit in whose picture it was found; "" for a render."""


@dataclass
class FrozenRegion:
    """The region of an edit, or of several that were asked for together. Where it was not known
    then, the first of them finds it for all.
    """

    mask: NDArray[np.bool_] | None = None
    """bool (H, W); None until it is found."""
    threshold: float | None = None
    """At which the mask was cut out of the map."""
    map: FoundMap | None = None

    @classmethod
    def shown(cls, scene: bpy.types.Scene, maps: PictureMapSettings) -> "FrozenRegion":
        """The region that a scene shows; its map is current, and was made with `maps`."""
        settings = scene.watch_your_steps
        mask = results.mask(scene)
        if mask is None:  # the map's file is missing
            return cls()
        values = pictures.read_gray(settings.relevance_image)
        found = FoundMap(
            values,
            settings.instruction,
            maps,
            settings.suggested_threshold,
            settings.prompt_check,
            region.found_in(settings),
        )
        return cls(mask, settings.threshold, found)

    def take(self, result: EditResult, found: FoundMap) -> None:
        """Keep what one of the edits has found, for those that come after it."""
        self.mask, self.threshold, self.map = result.mask, result.threshold, found

    def show(self, scene: bpy.types.Scene) -> None:
        """Show its map again, at its threshold, where the scene shows another one by now."""
        settings, found = scene.watch_your_steps, self.map
        if found is None:
            return
        image = settings.relevance_image
        now = (settings.relevance_of, settings.relevance_by)
        if (
            image is not None
            and now == (found.instruction, found.maps.normalisation)
            and not pictures.why_lost(image)
            and region.found_in(settings) == found.found_in
            and np.array_equal(pictures.read_gray(image), found.values)
        ):
            results.refresh_mask(scene)  # it may be over another picture by now
            return
        results.install_relevance(
            scene,
            found.values,
            encode_exr(found.values),
            found.instruction,
            found.maps,
            found.suggested_threshold,
            found.found_in,
        )
        settings.prompt_check = found.prompt_check
        if self.threshold is not None:
            settings.threshold = self.threshold
