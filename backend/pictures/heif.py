"""HEIC, in which phones keep photos: libheif, through pillow-heif, for Pillow."""

from functools import cache
from importlib import import_module
from typing import BinaryIO

from backend.errors import BadInput

BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Of ISO base media files with HEVC pictures; AVIF has others."""


def is_heif(stream: BinaryIO) -> bool:
    """Whether a file is HEIC or HEIF, by its first bytes; the stream is back at its start then."""
    stream.seek(0)
    head = stream.read(64)
    stream.seek(0)
    if head[4:8] != b"ftyp" or head[8:12] not in BRANDS:
        return False
    return b"avif" not in head[12 : int.from_bytes(head[:4], "big")]  # whose brand may be mif1


@cache
def register() -> None:
    """Let Pillow open HEIC.

    Raises:
        BadInput: the package is missing.
    """
    try:
        import_module("pillow_heif").register_heif_opener(thumbnails=False)
    except ImportError as error:
        raise BadInput(
            "the package pillow-heif is missing: run `python install.py backend` again, or save "
            "it as a JPEG"
        ) from error
