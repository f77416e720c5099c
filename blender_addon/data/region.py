"""The region of a scene that Edit changes: its relevance map, snapped to what is there, and what
the artist has corrected.

Who wins is decided here, and each step wins over those before it:

1. where the map, snapped, reaches the threshold (the same rule is the backend's,
   protocol/region.py), or where it does not, if the mask is inverted;
2. the things that were clicked on;
3. all of that grown or shrunk;
4. what was painted or imported. A click on a thing takes the painting off it (operators_picks), so
   that of clicking and painting the last one wins.

What a map becomes by all this is found once; moving the threshold only compares.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from ..protocol.corrections import (
    INSIDE,
    OUTSIDE,
    Correction,
    Painted,
    grown,
    threshold_of,
    with_painting,
)
from ..protocol.region import Snapped
from . import painting, pictures, snapping, thing_labels
from .snapping import Snapping

KEPT = 4

WITHOUT_RENDER = "The render of this map is lost: the region is the map's own."

Found = TypeVar("Found")
_snapped: OrderedDict[object, Snapped] = OrderedDict()
_values: OrderedDict[object, NDArray[np.float32]] = OrderedDict()
_live: dict[int, NDArray[np.float32]] = {}
"""Values while a stroke is painted on them, by Scene.session_uid."""
_counted: list[tuple["Region", int]] = []
"""The region whose pixels were counted last."""


@dataclass(frozen=True, eq=False)
class Region:
    """What Edit changes: where `values`, float32 (H, W), reach `threshold`. They are not a map's
    own: where they come from, and who wins, is said at the top of this file.
    """

    values: NDArray[np.float32]
    threshold: np.float32

    @property
    def mask(self) -> NDArray[np.bool_]:
        """bool (H, W)."""
        return self.values >= self.threshold


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
    painting.forget_all()
    snapping.forget_all()
    for store in (_snapped, _values, _live, _counted):
        store.clear()


def things_of(settings: bpy.types.PropertyGroup) -> NDArray[np.uint16] | None:
    """The labels of the things in the shown render, uint16 (H, W); None where they are unknown."""
    render = settings.render_image
    return None if render is None else thing_labels.labels(render)


def picture_of_map(settings: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The picture in which the shown map was found, which it is snapped to: of an edit on top of
    another one, whose mask was found before, that is not the picture that is shown.
    """
    render, uid = settings.render_image, found_in(settings)
    if render is None or uid == render.get(pictures.EDIT, ""):
        return render
    if not uid:
        return settings.root_image or render
    for one in settings.edits:
        for image, of in ((one.image, one.uid), (one.render, one.parent)):
            if of == uid and image is not None:
                return image
    return render


def found_in(settings: bpy.types.PropertyGroup) -> str:
    """The uid of the edit in whose picture the shown map was found; "" for a render. A map from
    before that was kept counts as one of the shown picture.
    """
    known = [image for image in (settings.relevance_image, settings.render_image) if image]
    tags = (image[pictures.EDIT] for image in known if pictures.EDIT in image)
    return next(tags, "")


def snapped_map(settings: bpy.types.PropertyGroup) -> Snapped | None:
    """The shown map as it is thresholded, without picks; None where there is no map, or its file is
    missing.
    """
    relevance, render = settings.relevance_image, picture_of_map(settings)
    if relevance is None or pictures.why_lost(relevance):
        return None
    # A file from before maps had suggestions keeps -1.
    suggested = settings.suggested_threshold if settings.suggested_threshold >= 0 else 0.5

    def find() -> Snapped:
        found = pictures.read_gray(relevance)
        if render is None or pictures.why_lost(render) or pictures.size_of(render) != found.shape:
            return Snapped(found, "nothing", WITHOUT_RENDER, suggested)
        things, rgb = thing_labels.labels(render), pictures.read_rgb(render)
        return snapping.answer(Snapping(found, rgb, settings.snap, things, suggested))

    return _kept(_snapped, (*_shown(settings), suggested), find)


def found(settings: bpy.types.PropertyGroup) -> Region | None:
    """The region that Edit changes. None as in `snapped_map`."""
    return _region(settings, _painted(settings))


def seen(settings: bpy.types.PropertyGroup) -> Region | None:
    """The same with the stroke that is painted just now: it counts once it has ended."""
    values = _live.get(settings.id_data.session_uid)
    return found(settings) if values is None else _region(settings, values)


def _region(settings: bpy.types.PropertyGroup, values: NDArray[np.float32] | None) -> Region | None:
    if values is None:
        return None
    return Region(values, threshold_of(settings.threshold, settings.invert))


def unpainted(settings: bpy.types.PropertyGroup) -> NDArray[np.float32] | None:
    """The values of the region without what was painted. None as in `snapped_map`."""
    snapped_to = snapped_map(settings)
    if snapped_to is None:
        return None
    picks = Picks.read(settings.picks)
    things = things_of(settings)

    def find() -> NDArray[np.float32]:
        made = -snapped_to.values if settings.invert else snapped_to.values
        if things is not None and picks != Picks():
            made = made.copy()
            made[np.isin(things, list(picks.added))] = INSIDE
            made[np.isin(things, list(picks.removed))] = OUTSIDE
        made = grown(made, settings.grow)
        made.setflags(write=False)
        return made

    return _kept(_values, _unpainted_key(settings, snapped_to), find)


def by_slider(settings: bpy.types.PropertyGroup) -> NDArray[np.bool_] | None:
    """bool (H, W): the region by the first of the four steps alone. None as in `snapped_map`."""
    snapped_to = snapped_map(settings)
    if snapped_to is None:
        return None
    return (snapped_to.values >= np.float32(settings.threshold)) != settings.invert


def painted(settings: bpy.types.PropertyGroup) -> Painted | None:
    """What was painted, at the size of the shown map; None where nothing was, where there is no
    map, and where its image has lost its file.
    """
    image, relevance = settings.painted_image, settings.relevance_image
    if image is None or relevance is None:
        return None
    return painting.read(image, pictures.size_of(relevance))


def correction(settings: bpy.types.PropertyGroup) -> Correction:
    """What is corrected of the region of a picture whose map is not there yet, painted at any size.
    Picked things are those of a map, and go with it.
    """
    image = settings.painted_image
    where = None if image is None else painting.read(image)
    return Correction(invert=settings.invert, grow=settings.grow, painted=where)


def count(settings: bpy.types.PropertyGroup) -> tuple[int, int] | None:
    """The pixels of the region, and those of the picture. None as in `snapped_map`."""
    region = seen(settings)
    if region is None:
        return None
    for known, pixels in _counted:
        if known.values is region.values and known.threshold == region.threshold:
            return pixels, known.values.size
    pixels = int(np.count_nonzero(region.mask))
    _counted[:] = [(region, pixels)]
    return pixels, region.values.size


def show_live(scene: bpy.types.Scene, values: NDArray[np.float32] | None) -> None:
    """Show other values while a stroke is painted; None ends that."""
    if values is None:
        _live.pop(scene.session_uid, None)
    else:
        _live[scene.session_uid] = values


def _painted(settings: bpy.types.PropertyGroup) -> NDArray[np.float32] | None:
    values, where = unpainted(settings), painted(settings)
    if values is None or where is None:
        return values

    def find() -> NDArray[np.float32]:
        made = with_painting(values, where)
        made.setflags(write=False)
        return made

    snapped_to = snapped_map(settings)
    assert snapped_to is not None  # there are values
    key = (*_unpainted_key(settings, snapped_to), settings.painted_image.session_uid)
    return _kept(_values, key, find)


def suggestion(settings: bpy.types.PropertyGroup) -> float:
    """The threshold that the shown map suggests as it is snapped; -1 where there is none."""
    if settings.suggested_threshold < 0:
        return -1.0
    found = snapped_map(settings)
    return float(settings.suggested_threshold if found is None else found.suggested_threshold)


def _shown(settings: bpy.types.PropertyGroup) -> tuple[object, ...]:
    """What a snapped map is of."""
    images = (settings.relevance_image, settings.render_image, picture_of_map(settings))
    return (*(image and image.session_uid for image in images), settings.snap)


def _unpainted_key(settings: bpy.types.PropertyGroup, snapped_to: Snapped) -> tuple[object, ...]:
    """What the values without the painting are of."""
    corrected = (settings.picks, settings.grow, settings.invert)
    return (*_shown(settings), *corrected, snapped_to.suggested_threshold)


def _kept(store: OrderedDict[object, Found], key: object, find: Callable[[], Found]) -> Found:
    if key not in store:
        store[key] = find()
        while len(store) > KEPT:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]
