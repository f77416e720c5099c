"""Files of images with a property each, as they come from cameras and other programs."""

import struct
import zlib

import numpy as np

PNG = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: np.ndarray, before: bytes = b"") -> bytes:
    """A PNG file of uint8 or uint16 (H, W), (H, W, 3) or (H, W, 4), with other parts before its
    pixels.
    """
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    kind = {1: 0, 3: 2, 4: 6}[channels]
    depth = 8 * pixels.dtype.itemsize
    rows = pixels.astype(f">u{depth // 8}").reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header) + before + chunk(b"IDAT", zlib.compress(data))
    return PNG + parts + chunk(b"IEND", b"")


def exif(orientation: int) -> bytes:
    """A TIFF structure that says how a picture is to be turned."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + b"\0" * 4


def icc(name: str) -> bytes:
    """A colour profile, as far as its name."""
    text = b"desc" + b"\0" * 4 + struct.pack(">I", len(name) + 1) + name.encode() + b"\0"
    return b"\0" * 128 + struct.pack(">I4sII", 1, b"desc", 144, len(text)) + text


def with_segment(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """A JPEG file with one more segment at its beginning."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]
