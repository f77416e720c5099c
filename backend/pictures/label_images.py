"""Label images: a whole number for every pixel, the same for all pixels of one thing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.pictures.reading import PictureError

HIGHEST = 65535
"""Label that 16 bits hold."""
KINDS = {"1", "L", "P", "I", "I;16", "I;16B", "I;16L", "I;16N"}
"""Pillow's names for pictures of one number a pixel; of a palette it is the entry's number."""
LOSSY = {"JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "HEIF"}
"""Formats that invent labels along the things' edges."""


def read_labels(path: Path, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Read a label image: grey of up to 16 bits a pixel, or with a palette.

    Args:
        path: a PNG or another file without loss.
        shape: rows and columns of the picture that it belongs to.

    Returns:
        uint16 (H, W).

    Raises:
        PictureError: it is missing, damaged, no label image, or of another size.
    """
    with _opened(path, shape) as file:
        labels = np.asarray(file)
    if labels.min() < 0 or labels.max() > HIGHEST:
        raise PictureError(f"The labels of {path} must be 0 to {HIGHEST}: number the things anew.")
    return labels.astype(np.uint16)


def check_labels(path: Path, shape: tuple[int, int]) -> None:
    """Check a label image by its header. Raises PictureError as `read_labels`, but for damage
    behind the header.
    """
    with _opened(path, shape):
        pass


def write_labels(file: BinaryIO, labels: NDArray[np.uint16]) -> None:
    """Write labels uint16 (H, W) as a 16-bit PNG.

    Raises:
        OSError: it cannot be written.
    """
    Image.fromarray(labels).save(file, "PNG", compress_level=1)


@contextmanager
def _opened(path: Path, shape: tuple[int, int]) -> Iterator[Image.Image]:
    """The file, checked by its header."""
    height, width = shape
    try:
        with Image.open(path) as file:
            if file.mode not in KINDS or file.format in LOSSY:
                kind = f"{file.format}, with loss" if file.format in LOSSY else f"{file.mode}"
                raise PictureError(
                    f"{path} is not a label image, which has one whole number a pixel (it is of "
                    f"the kind {kind}): save the things' numbers as a grey PNG of 16 bits."
                )
            if file.size != (width, height):
                raise PictureError(
                    f"The label image {path} is {file.width}x{file.height}, unlike its picture, "
                    f"which is {width}x{height}: save it at the picture's size."
                )
            yield file
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError(f"The label image {path} does not exist.") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise PictureError(f"{path} cannot be read as a label image: {error}.") from error
