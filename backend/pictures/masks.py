"""Masks that people bring as image files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.pictures.reading import PictureError, read_picture
from protocol.values import MAX_IMAGE_SIDE

BRIGHT = 128
"""Brightness times alpha, of 255, from which a pixel is masked."""


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
    return mask, notes
