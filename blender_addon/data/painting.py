"""What is painted on a mask by hand: a picture that says of each pixel whether it was added, taken
away, or left to the slider.

It is an image in the file, to be looked at: white is added, black taken away, grey neither.
"""

import base64
import zlib
from collections import OrderedDict
from typing import TypeVar

import bpy
import numpy as np
from numpy.typing import NDArray

from ..link.encode import encode_png
from ..protocol import corrections
from ..protocol.corrections import ADDED, INSIDE, NOTHING, OUTSIDE, TAKEN, Painted
from . import pictures

Kind = TypeVar("Kind", bound=np.generic)

LEVELS = np.array([128, 255, 0], np.uint8)
"""Of grey, by what was painted."""
DARK, BRIGHT = 64, 192
"""Levels below which a pixel was taken away, and from which it was added."""
FAST = 1  # of zlib's levels
KEPT = 4

_read: OrderedDict[tuple[int, tuple[int, ...]], Painted] = OrderedDict()
"""By ID.session_uid, whose pixels are never rewritten, and size."""


def forget_all() -> None:
    """Another file was opened."""
    _read.clear()


def new_image(name: str, painted: Painted) -> bpy.types.Image:
    """A new packed Image data-block of what was painted."""
    image = pictures.new_packed_image(name, encode_png(LEVELS[painted][..., None]))
    _remember(image, painted)
    return image


def read(image: bpy.types.Image, shape: tuple[int, int] | None = None) -> Painted | None:
    """What an image says was painted, at a size of (height, width): that of the render may be
    another one by now; None for its own. None where its file is missing.
    """
    shape = shape or pictures.size_of(image)
    known = _read.get((image.session_uid, shape))
    if known is not None:
        return known
    if pictures.why_lost(image):
        return None
    level = pictures.read_rgb(image)[..., 0]
    painted = np.full(level.shape, NOTHING, np.uint8)
    painted[level >= BRIGHT] = ADDED
    painted[level < DARK] = TAKEN
    painted = scaled(painted, shape)
    _remember(image, painted)
    return painted


def scaled(array: NDArray[Kind], shape: tuple[int, int]) -> NDArray[Kind]:
    """An array (h, w) at another size (H, W): each pixel is the nearest one's."""
    if array.shape == shape:
        return array
    rows, columns = (
        (2 * np.arange(wanted) + 1) * given // (2 * wanted)
        for wanted, given in zip(shape, array.shape, strict=True)
    )
    return array[np.ix_(rows, columns)]


def inverted(painted: Painted) -> Painted:
    """What was added is taken away, and the other way round."""
    return np.array([NOTHING, TAKEN, ADDED], np.uint8)[painted]


def grown(painted: Painted, pixels: int) -> Painted:
    """What was added reaches further by some pixels, and what was taken away less far; less than 0
    the other way round. So that inverting turns growing into shrinking.
    """
    values = corrections.with_painting(np.zeros(painted.shape, np.float32), painted)
    values = corrections.grown(values, pixels)
    made = np.full(painted.shape, NOTHING, np.uint8)
    made[values == INSIDE], made[values == OUTSIDE] = ADDED, TAKEN
    return made


def write(image: bpy.types.Image | None) -> str:
    """An image's painting as JSON can hold it, in a few characters where little was painted; "" for
    none.
    """
    painted = None if image is None else read(image)
    return "" if painted is None else written(painted)


def written(painted: Painted) -> str:
    """The same of what was painted."""
    height, width = painted.shape
    packed = base64.b64encode(zlib.compress(painted.tobytes(), FAST)).decode()
    return f"{height} {width} {packed}"


def parse(text: str) -> Painted | None:
    """What `write` has written."""
    if not text:
        return None
    height, width, packed = text.split()
    flat = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
    return flat.reshape(int(height), int(width))


def _remember(image: bpy.types.Image, painted: Painted) -> None:
    painted.setflags(write=False)
    _read[image.session_uid, painted.shape] = painted
    while len(_read) > KEPT:
        _read.popitem(last=False)
