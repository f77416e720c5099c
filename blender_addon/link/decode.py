"""Picture files' bytes to arrays, without bpy: the counterpart of encode.py."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from .encode import EXR_MAGIC, PNG_SIGNATURE

SINGLE_PART_SCAN_LINES = (0x002, 0x402)
"""The version field of such a file, without and with the flag of names above 31 bytes."""
PIXEL_TYPES = ("<u4", "<f2", "<f4")
CHANNEL = struct.Struct("<iB3xii")
"""After a channel's name: pixel type, linear or not, sampling across and down."""
PNG_CHANNELS = {2: 3, 6: 4}
"""By a PNG file's colour type."""
TARGA_HEADER = 18
FROM_TOP = 0x20
"""Bit of a Targa file's last byte before its pixels: its first row is the top one."""


def decode_png(file: bytes) -> NDArray[np.uint8] | None:
    """uint8 (H, W, 3), or (H, W, 4) with straight alpha, of the bytes of a PNG file whose rows are
    stored as they are, as `encode_png` does it; None of any other and of a damaged one, which are
    Blender's to decode: to take others' filters back, numpy needs far longer than Blender.
    """
    packed, size, channels = [], (0, 0), 0
    try:
        at = len(PNG_SIGNATURE)
        while at < len(file):
            length, kind = struct.unpack_from(">I4s", file, at)
            if kind == b"IHDR":
                width, height, *how = struct.unpack_from(">IIBBBBB", file, at + 8)
                size, channels = (height, width), PNG_CHANNELS.get(how[1], 0)
                if how[0] != 8 or how[4]:
                    return None
            elif kind == b"IDAT":
                packed.append(file[at + 8 : at + 8 + length])
            at += 12 + length
        if not channels:
            return None
        data = b"".join(packed)
        if zlib.decompressobj().decompress(data, 1) != b"\0":  # before all of it
            return None
        rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(size[0], -1)
        if rows[:, 0].any():
            return None
        return rows[:, 1:].reshape(*size, channels)
    except (struct.error, zlib.error, ValueError):
        return None


def decode_targa(file: bytes) -> NDArray[np.uint8]:
    """uint8 (H, W, 3), or (H, W, 4) with straight alpha, row 0 at the top, of the bytes of an
    uncompressed Targa file that Blender has written.

    Raises:
        ValueError: it ends in the middle.
    """
    if len(file) < TARGA_HEADER:
        raise ValueError("this is no whole Targa file")
    width, height = struct.unpack_from("<HH", file, 12)
    channels = file[16] // 8
    pixels = np.frombuffer(file, np.uint8, height * width * channels, TARGA_HEADER + file[0])
    pixels = pixels.reshape(height, width, channels)
    if not file[17] & FROM_TOP:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3][:channels]])


def decode_exr(file: bytes) -> dict[str, NDArray[np.generic]]:
    """The channels (H, W) of an uncompressed OpenEXR file by name, float32, float16 or uint32 as
    they are stored, row 0 at the top. Layout: "OpenEXR File Layout", openexr.com.

    Raises:
        ValueError: it is compressed, tiled, cropped, has several parts, or is no such file.
    """
    try:
        attributes, start = _header(file)
        if attributes["compression"] != b"\0":
            raise ValueError("this OpenEXR file is compressed")
        left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
        width, height = right - left + 1, bottom - top + 1
        channels = _channels(attributes["channels"], width)
        line = np.dtype([("y", "<i4"), ("size", "<i4"), *channels])
        offsets = np.frombuffer(file, "<u8", height, start)
        first = int(offsets.min())
        if (
            attributes["dataWindow"] != attributes["displayWindow"]
            or (
                np.sort(offsets) != first + line.itemsize * np.arange(height, dtype=np.uint64)
            ).any()
        ):
            raise ValueError("this OpenEXR file is not laid out line after line")
        lines = np.frombuffer(file, line, height, first)
    except (KeyError, IndexError, struct.error) as error:
        raise ValueError("this is no whole OpenEXR file") from error
    lines = lines[np.argsort(lines["y"])]
    return {name: lines[name] for name, _, _ in channels}


def _header(file: bytes) -> tuple[dict[str, bytes], int]:
    """The attributes' values by name, and where the table of the lines' offsets begins."""
    magic, version = struct.unpack_from("<II", file)
    if magic != EXR_MAGIC or version not in SINGLE_PART_SCAN_LINES:
        raise ValueError("this is no OpenEXR file of one part in scan lines")
    attributes, at = {}, 8
    while file[at]:
        name, at = _text(file, at)
        _, at = _text(file, at)  # its type
        (size,) = struct.unpack_from("<I", file, at)
        attributes[name] = file[at + 4 : at + 4 + size]
        at += 4 + size
    return attributes, at + 1


def _text(file: bytes, start: int) -> tuple[str, int]:
    """The text that begins there and ends with a zero, and where the next thing begins."""
    end = file.find(b"\0", start)
    if end < 0:
        raise ValueError("this is no whole OpenEXR file")
    return file[start:end].decode(), end + 1


def _channels(listed: bytes, width: int) -> list[tuple[str, str, tuple[int]]]:
    """A line's fields of a numpy structure, in the order in which they are stored."""
    fields, at = [], 0
    while listed[at]:
        name, at = _text(listed, at)
        kind, _, across, down = CHANNEL.unpack_from(listed, at)
        if (across, down) != (1, 1):
            raise ValueError(f"the channel {name} of this OpenEXR file has fewer pixels")
        fields.append((name, PIXEL_TYPES[kind], (width,)))
        at += CHANNEL.size
    return fields
