"""Label images that people bring: which thing each pixel shows."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from backend.errors import BadInput, check_things
from backend.pictures.reading import (
    PictureError,
    has_16_bits,
    opened,
    orientation_of,
    turned_pixels,
)
from protocol.values import MAX_IMAGE_SIDE, MAX_LABEL

LOSSY = {"JPEG", "MPO", "WEBP", "AVIF", "HEIF", "JPEG2000"}
"""Formats that may change pixels as they store them."""
MANY_THINGS = 100
"""From which on neighbouring pixels tell whether labels are those of things."""
LOSSY_IN_TIFF = {"jpeg", "tiff_jpeg", "webp"}


def read_labels(path: Path, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """The labels in a file, exactly: the values of a grey image (of 1 to 32 bits), the indices of
    an image with a palette, each colour of an image in colours as a label of its own (the fully
    transparent pixels as one), or whole numbers in a file of numpy's (.npy).

    Args:
        shape: rows and columns of the image that it belongs to.

    Returns:
        uint16 (H, W).

    Raises:
        PictureError: it cannot be read, may have lost its exact labels, or is of another size.
    """
    if path.suffix.lower() == ".npy":
        labels = _of_array(path)
    else:
        with opened(path, MAX_IMAGE_SIDE, whole=True, numbers=True) as (file, facts):
            pixels = _of_image(path, file, facts.depth)
            asked = orientation_of(file)
            labels = pixels if asked == 1 else turned_pixels(pixels, asked)
    if labels.shape != shape:
        (rows, columns), (height, width) = labels.shape, shape
        size = "size as it is shown upright" if (columns, rows) == shape else "size"
        raise PictureError(
            f"The things {path} are {columns}x{rows}, unlike the image, which is {width}x{height}: "
            f"save them at the image's {size}, without interpolation."
        )
    if len(np.unique(labels)) > MANY_THINGS and _differing(labels) > 0.5:
        raise PictureError(
            f"{path} shows no things, as neighbouring pixels mostly differ there, like a photo's: "
            "give an image in which every thing has a colour or number of its own."
        )
    return labels


def _differing(labels: NDArray[np.uint16]) -> float:
    """Share of the neighbouring pixels that are not of one thing."""
    across = labels[:, 1:] != labels[:, :-1]
    down = labels[1:] != labels[:-1]
    return float((across.sum() + down.sum()) / max(1, across.size + down.size))


def _of_array(path: Path) -> NDArray[np.uint16]:
    try:
        labels = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise PictureError(f"There are no things {path}: the file does not exist.") from None
    except (OSError, ValueError, EOFError) as error:
        raise PictureError(f"{path} cannot be read as a file of numpy's: save it anew.") from error
    if not isinstance(labels, np.ndarray) or labels.ndim != 2:
        raise PictureError(f"{path} must hold one array of rows and columns of whole numbers.")
    return _numbered(path, labels)


def _numbered(path: Path, labels: NDArray[np.generic]) -> NDArray[np.uint16]:
    """The labels of a file, as they are to be."""
    if labels.dtype == np.bool_:
        labels = labels.astype(np.uint16)
    try:
        check_things(labels, labels.shape)
    except BadInput as error:
        raise PictureError(f"{path}: {error}") from error
    return labels.astype(np.uint16)


def _of_image(path: Path, file: ImageFile.ImageFile, depth: int) -> NDArray[np.uint16]:
    if file.format in LOSSY or file.info.get("compression") in LOSSY_IN_TIFF:
        raise PictureError(
            f"{path} is a {file.format}, which may not keep labels exactly: save them as a PNG."
        )
    mode = file.mode
    if mode == "1" or mode == "P" or mode.startswith("I"):
        return _numbered(path, np.asarray(file))
    if mode == "L":
        scale = 255 // (2**depth - 1) if depth < 8 else 1  # Pillow stretches 2 and 4 bits to 8
        return np.asarray(file).astype(np.uint16) // np.uint16(scale)
    if has_16_bits(file, depth):
        raise PictureError(
            f"{path} has colours of 16 bits a channel: save its labels as 16-bit grey, or as "
            "colours of 8 bits."
        )
    colours = np.asarray(file.convert("RGBA")).astype(np.uint32)
    red, green, blue, alpha = np.moveaxis(colours, 2, 0)
    packed = np.where(alpha > 0, 1 + ((red << 16) | (green << 8) | blue), 0)
    numbers, labels = np.unique(packed, return_inverse=True)
    if len(numbers) > MAX_LABEL + 1:
        raise PictureError(
            f"{path} has {len(numbers)} colours, as a photo has: give an image in which every "
            "thing has a colour or number of its own."
        )
    return labels.reshape(packed.shape).astype(np.uint16)
