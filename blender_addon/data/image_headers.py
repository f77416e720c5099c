"""What the first bytes of PNG and JPEG files say that Blender does not: how large a picture is
before it is decoded, which way up it is, and the name of its colour profile.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..link.encode import PNG_SIGNATURE

FIRST = 1 << 20
"""Bytes of a file that are looked at: what is asked for comes before the pixels."""
JPEG = b"\xff\xd8"
ORIENTATION = 0x0112  # of EXIF's tags
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of a segment that has the picture's size."""


@dataclass
class Header:
    """What a file says of its picture.

    Attributes:
        size: width and height in pixels as they are stored; None where that is not known.
        orientation: EXIF's number, 1..8: how the stored pixels are to be turned.
        profile: what the colour profile calls itself; "" without one.
    """

    size: tuple[int, int] | None = None
    orientation: int = 1
    profile: str = ""


def read_header(file: bytes) -> Header:
    """What a file's first bytes say; of a damaged or another kind of file, what can be read."""
    header = Header()
    try:
        if file.startswith(PNG_SIGNATURE):
            _read_png(file, header)
        elif file.startswith(JPEG):
            _read_jpeg(file, header)
    except (struct.error, IndexError, zlib.error):
        return header  # the bytes end in the middle
    return header


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Stored pixels (H, W, C), row 0 at the top, turned as EXIF's orientation says."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _read_png(file: bytes, header: Header) -> None:
    at = len(PNG_SIGNATURE)
    while at < len(file):
        length, kind = struct.unpack(">I4s", file[at : at + 8])
        data = file[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            header.size = struct.unpack(">II", data[:8])
        elif kind == b"iCCP":
            header.profile = _profile_name(
                zlib.decompressobj().decompress(data.split(b"\0", 1)[1][1:])
            )
        elif kind == b"eXIf":
            header.orientation = _orientation(data)
        elif kind in (b"IDAT", b"IEND"):
            return
        at += 12 + length


def _read_jpeg(file: bytes, header: Header) -> None:
    at, profile = 2, b""
    while file[at] == 0xFF:
        marker, length = struct.unpack(">xBH", file[at : at + 4])
        data = file[at + 4 : at + 2 + length]
        if marker in FRAMES:
            height, width = struct.unpack(">xHH", data[:5])
            header.size = (width, height)
        elif marker == 0xE1 and data.startswith(b"Exif\0\0"):
            header.orientation = _orientation(data[6:])
        elif marker == 0xE2 and data.startswith(b"ICC_PROFILE\0"):
            profile += data[14:]
            header.profile = _profile_name(profile)
        elif marker == 0xDA:
            return
        at += 2 + length


def _orientation(exif: bytes) -> int:
    """Of the TIFF structure that EXIF is."""
    order = "<" if exif.startswith(b"II") else ">"
    (start,) = struct.unpack(f"{order}I", exif[4:8])
    (count,) = struct.unpack(f"{order}H", exif[start : start + 2])
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, value = struct.unpack(f"{order}H6xH", exif[entry : entry + 10])
        if tag == ORIENTATION and 1 <= value <= 8:
            return int(value)
    return 1


def _profile_name(profile: bytes) -> str:
    """What an ICC profile calls itself, in its tag "desc"."""
    (count,) = struct.unpack(">I", profile[128:132])
    for entry in range(132, 132 + 12 * count, 12):
        tag, start, size = struct.unpack(">4sII", profile[entry : entry + 12])
        if tag != b"desc":
            continue
        text = profile[start : start + size]
        if text.startswith(b"desc"):
            (length,) = struct.unpack(">I", text[8:12])
            return text[12 : 12 + length].rstrip(b"\0").decode("latin-1")
        length, offset = struct.unpack(">II", text[20:28])  # "mluc": the first language
        return text[offset : offset + length].decode("utf-16-be", "replace").rstrip("\0")
    return "without a name"
