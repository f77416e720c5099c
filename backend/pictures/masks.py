"""Masks that people bring as image files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.pictures.reading import PictureError, read_picture
from protocol.values import MAX_IMAGE_SIDE

BRIGHT = 128
"""Brightness times alpha, of 255, from which a pixel is masked."""
DARK = 16
"""Below this, shades of several kinds are a black picture's noise, as JPEG makes it."""
GREY, MOSTLY_GREY = (38, 217), 0.5
"""A photo has most of its pixels between these."""
SAME_SHAPE = 0.02
"""By how much the sides of a scaled mask may differ, besides the rounding of a pixel."""


def read_mask(path: Path, shape: tuple[int, int]) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Where an image file is bright and opaque, as people see it.

    Args:
        shape: rows and columns of the image that it belongs to.

    Returns:
        bool (H, W), and what a person should know about it.

    Raises:
        PictureError: it cannot be read, or is of another size.
    """
    picture = read_picture(path, MAX_IMAGE_SIDE)
    bright = picture.in_srgb().mean(axis=2, dtype=np.float32)
    if picture.alpha is not None:
        bright *= picture.alpha / np.float32(255)
    if bright.shape != shape:
        (rows, columns), (height, width) = bright.shape, shape
        size = "size as it is shown upright" if (columns, rows) == shape else "size"
        raise PictureError(
            f"The mask {path} is {columns}x{rows}, unlike the image, which is {width}x{height}: "
            f"save it at the image's {size}."
        )
    mask = bright >= BRIGHT
    notes = picture.notes
    if not mask.any():
        words = f"its brightest pixel has {bright.max():.0f} of 255, and {BRIGHT} are needed"
        notes = (*notes, f"The mask {path} marks nothing: {words}.")
    elif mask.all():
        notes = (*notes, f"The mask {path} marks everything: it is bright and opaque all over.")
    elif ((bright > GREY[0]) & (bright < GREY[1])).mean() > MOSTLY_GREY:
        notes = (
            *notes,
            f"The mask {path} has all shades of grey, as a photo: what is at least {BRIGHT} of 255 "
            "bright is marked; give a picture that is white where to edit and black elsewhere.",
        )
    return mask, notes


def read_training_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Where an image file is bright and opaque: the pixels of a view that are trained on.

    Args:
        path, shape: as of `stored_brightness`.

    Returns:
        bool `shape`.

    Raises:
        PictureError: as `stored_brightness`.
    """
    bright = stored_brightness(path, shape)
    brightest = float(bright.max())
    noise = brightest < DARK and len(np.unique(bright)) > 2
    return np.asarray(bright >= (BRIGHT if noise else level_of(brightest)))


def level_of(brightest: float) -> float:
    """From which brightness on pixels are masked where none is brighter than this: some programs
    write 1, or a dark colour of a palette, not 255.
    """
    return min(BRIGHT, max(brightest, 1))


def stored_brightness(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Brightness times opacity, float32 `shape`, 0..255, of a mask; see `stored_levels`."""
    bright, opacity = stored_levels(path, shape)
    return bright * opacity


def stored_levels(
    path: Path, shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Brightness 0..255 and opacity 0..1 of a mask that belongs to a view as it is stored: what its
    EXIF data say of turning is left out, as it is of the view.

    Args:
        path: the file; of another size of the same shape it is scaled, by the nearest pixel.
        shape: rows and columns of the view's image.

    Returns:
        float32 `shape` each.

    Raises:
        PictureError: it cannot be read, or is of another shape.
    """
    picture = read_picture(path, upright=False)
    bright = picture.in_srgb().mean(axis=2, dtype=np.float32)
    opacity = np.ones_like(bright)
    if picture.alpha is not None:
        opacity = picture.alpha / np.float32(255)
    (rows, columns), (height, width) = bright.shape, shape
    if abs(rows * width - columns * height) > SAME_SHAPE * rows * width + max(rows, columns):
        raise PictureError(
            f"The mask {path} is {columns}x{rows}, of another shape than its image, which is "
            f"{width}x{height}."
        )
    if (rows, columns) == shape:
        return bright, opacity
    at_rows = (2 * np.arange(height) + 1) * rows // (2 * height)
    at_columns = (2 * np.arange(width) + 1) * columns // (2 * width)
    chosen = np.ix_(at_rows, at_columns)
    return bright[chosen], opacity[chosen]
