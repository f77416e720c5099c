"""The things that a render shows, kept with its Image data-block: where they are, what they are
called, or why nothing is known of them.

They are custom properties of the render, so that whatever becomes of it (a copy of its scene, undo,
an edit that is kept with it, saving) becomes of them.
"""

import hashlib
import json
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

THINGS = "watch_your_steps_things"
"""Custom property of a render: the labels, packed."""
DESCRIBED = "watch_your_steps_things_described"
"""The same: their kind, their names by their labels, and why they are not known, as JSON."""
Found = TypeVar("Found")
FAST = 1  # of zlib's levels
KEPT = 4

_unpacked: OrderedDict[int, NDArray[np.uint16]] = OrderedDict()
"""By ID.session_uid of the render, whose labels are never rewritten."""
_described: OrderedDict[int, "Things"] = OrderedDict()
"""The same: there may be thousands of names, and panels are drawn often."""


@dataclass(frozen=True)
class Things:
    """What a render shows.

    Attributes:
        kind: one of `render.things.KINDS`.
        packed: the labels, uint16 (H, W), row 0 at the top, deflated; empty where they are unknown.
        names: of the things, by their labels.
        unknown: why the things are not known; "" where they are.
    """

    kind: str
    packed: bytes
    names: tuple[str, ...]
    unknown: str

    @staticmethod
    def of(
        kind: str, labels: NDArray[np.uint16] | None, names: tuple[str, ...], unknown: str
    ) -> "Things":
        """As a render's data-block holds it."""
        packed = b"" if labels is None else zlib.compress(labels.astype("<u2").tobytes(), FAST)
        return Things(kind, packed, names, unknown)


def put(image: bpy.types.Image, things: Things) -> None:
    """Keep what a render shows with its data-block."""
    image[THINGS] = things.packed
    image[DESCRIBED] = json.dumps([things.kind, things.names, things.unknown])


def of(image: bpy.types.Image) -> Things | None:
    """What a render shows; None where nobody has looked, as before things were known."""
    if THINGS not in image:
        return None
    if image.session_uid not in _described:
        kind, names, unknown = json.loads(image[DESCRIBED])
        found = Things(kind, bytes(image[THINGS]), tuple(names), unknown)
        _remember(_described, image.session_uid, found)
    return _described[image.session_uid]


def names(image: bpy.types.Image) -> tuple[str, ...]:
    """Of the things in a render by their labels; () where they are not known."""
    known = of(image)
    return () if known is None else known.names


def identity(image: bpy.types.Image | None) -> str:
    """The same for two renders that show the same things at the same places; "" where they are not
    known.
    """
    if image is None or not image.get(THINGS):
        return ""
    return hashlib.sha256(image[THINGS] + image[DESCRIBED].encode()).hexdigest()


def labels(image: bpy.types.Image) -> NDArray[np.uint16] | None:
    """What is seen at each pixel of a render, uint16 (H, W), or None where that is not known, also
    because the picture has another size by now.
    """
    known = _unpacked.get(image.session_uid)
    if known is not None:
        return known
    if not image.get(THINGS):
        return None
    width, height = image.size
    found = unpacked(image[THINGS], (height, width))
    keep(image.session_uid, found)
    return found


def unpacking(image: bpy.types.Image) -> Callable[[], NDArray[np.uint16] | None]:
    """What finds `labels` in any thread: all that it takes of Blender has been read."""
    known = _unpacked.get(image.session_uid)
    if known is not None:
        return lambda: known
    packed, (width, height) = bytes(image.get(THINGS, b"")), image.size
    return lambda: unpacked(packed, (height, width))


def keep(uid: int, found: NDArray[np.uint16] | None) -> None:
    """Keep what was found so for the render of this ID.session_uid."""
    if found is not None:
        found.setflags(write=False)
        _remember(_unpacked, uid, found)


def unpacked(packed: bytes, shape: tuple[int, int]) -> NDArray[np.uint16] | None:
    """The labels of a picture of `shape` (height, width), uint16, as `Things` has them packed; None
    where they are not known, or are those of another size.
    """
    flat = np.frombuffer(zlib.decompress(packed) if packed else b"", "<u2")
    height, width = shape
    return flat.reshape(shape).astype(np.uint16) if packed and flat.size == height * width else None


def _remember(store: OrderedDict[int, Found], uid: int, found: Found) -> None:
    store[uid] = found
    while len(store) > KEPT:
        store.popitem(last=False)
