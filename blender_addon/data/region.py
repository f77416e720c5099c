"""The region of a scene that Edit changes: its relevance map, snapped to what is there, and the
things that the artist has added or removed.

What a map becomes by snapping is found once, and so are the values with the picked things; moving
the threshold only compares. The same rule is the backend's (protocol/region.py).
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from ..protocol.region import Snapped, snapped
from . import pictures, thing_labels

KEPT = 4
ADDED, REMOVED = 1.0, -1.0
"""Values of picked things: at least and below every threshold."""

WITHOUT_RENDER = "The render of this map is lost: the region is the map's own."

Found = TypeVar("Found")
_snapped: OrderedDict[object, Snapped] = OrderedDict()
_values: OrderedDict[object, NDArray[np.float32]] = OrderedDict()


@dataclass(frozen=True)
class Picks:
    """Things that were added to a region and removed from it, by their labels."""

    added: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()

    @staticmethod
    def read(text: str) -> "Picks":
        """Of what a scene keeps, such as "+3 -0"."""
        parts = text.split()
        found = (frozenset(int(one[1:]) for one in parts if one[0] == sign) for sign in "+-")
        return Picks(*found)

    def write(self) -> str:
        """As a scene keeps them."""
        signs = (("+", self.added), ("-", self.removed))
        return " ".join(f"{sign}{label}" for sign, all_ in signs for label in sorted(all_))

    def with_thing(self, label: int, inside: bool) -> "Picks":
        """The same with one thing added or removed."""
        added, removed = self.added - {label}, self.removed - {label}
        if inside:
            return Picks(added | {label}, removed)
        return Picks(added, removed | {label})

    def without(self, label: int) -> "Picks":
        """The same where one thing is left to the threshold."""
        return Picks(self.added - {label}, self.removed - {label})


def forget_all() -> None:
    """Another file was opened."""
    _snapped.clear()
    _values.clear()


def things_of(settings: bpy.types.PropertyGroup) -> NDArray[np.uint16] | None:
    """The labels of the things in the shown render, uint16 (H, W); None where they are unknown."""
    render = settings.render_image
    return None if render is None else thing_labels.labels(render)


def snapped_map(settings: bpy.types.PropertyGroup) -> Snapped | None:
    """The shown map as it is thresholded, without picks; None where there is no map, or its file is
    missing.
    """
    relevance, render = settings.relevance_image, settings.render_image
    if relevance is None or pictures.why_lost(relevance):
        return None
    # A file from before maps had suggestions keeps -1.
    suggested = settings.suggested_threshold if settings.suggested_threshold >= 0 else 0.5

    def find() -> Snapped:
        found = pictures.read_gray(relevance)
        if render is None or pictures.why_lost(render) or pictures.size_of(render) != found.shape:
            return Snapped(found, "nothing", WITHOUT_RENDER, suggested)
        things = thing_labels.labels(render)
        return snapped(found, pictures.read_rgb(render), settings.snap, things, suggested)

    return _kept(_snapped, (*_shown(settings), suggested), find)


def values(settings: bpy.types.PropertyGroup) -> NDArray[np.float32] | None:
    """What the region is made of, float32 (H, W): it is where this is at least the threshold. Not
    in 0..1 at picked things. None as in `snapped_map`.
    """
    found = snapped_map(settings)
    if found is None:
        return None
    picks = Picks.read(settings.picks)
    things = things_of(settings)
    if things is None or picks == Picks():
        return found.values

    def find() -> NDArray[np.float32]:
        made = found.values.copy()
        made[np.isin(things, list(picks.added))] = ADDED
        made[np.isin(things, list(picks.removed))] = REMOVED
        made.setflags(write=False)
        return made

    return _kept(_values, (*_shown(settings), settings.picks, found.suggested_threshold), find)


def suggestion(settings: bpy.types.PropertyGroup) -> float:
    """The threshold that the shown map suggests as it is snapped; -1 where there is none."""
    if settings.suggested_threshold < 0:
        return -1.0
    found = snapped_map(settings)
    return float(settings.suggested_threshold if found is None else found.suggested_threshold)


def _shown(settings: bpy.types.PropertyGroup) -> tuple[object, ...]:
    """What a snapped map is of."""
    images = (settings.relevance_image, settings.render_image)
    return (*(image and image.session_uid for image in images), settings.snap)


def _kept(store: OrderedDict[object, Found], key: object, find: Callable[[], Found]) -> Found:
    if key not in store:
        store[key] = find()
        while len(store) > KEPT:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]
