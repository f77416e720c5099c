"""Arrays to the bytes of picture files, without bpy: the worker thread calls this."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXR_MAGIC = 20000630


def encode(values: NDArray[np.uint8] | NDArray[np.float32]) -> bytes:
    """Colours (H, W, 1, 3 or 4) as a PNG file, data (H, W) as an OpenEXR file."""
    if values.dtype == np.uint8:
        return encode_png(values.astype(np.uint8, copy=False))
    return encode_exr(values.astype(np.float32, copy=False))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """The bytes of a PNG file (8 bits a channel) of a uint8 (H, W, 3) image, or (H, W, 4) with
    alpha, or (H, W, 1) of grey.
    """
    height, width, channels = image.shape
    colour_type = {1: 0, 3: 2, 4: 6}[channels]
    rows = np.zeros((height, 1 + channels * width), np.uint8)  # each row begins with filter type 0
    rows[:, 1:] = image.reshape(height, -1)

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    return b"".join(
        (
            PNG_SIGNATURE,
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)),
            chunk(b"IDAT", zlib.compress(rows.data, 1)),
            chunk(b"IEND", b""),
        )
    )


def encode_exr(values: NDArray[np.float32] | NDArray[np.float16], space: str = "") -> bytes:
    """The bytes of an OpenEXR file (uncompressed, 32 or 16 bits a channel as the values have) of a
    (H, W) image, whose channel is called Y, or of colours, (H, W, 3), or (H, W, 4) with alpha:
    every value comes back exactly. Layout: "OpenEXR File Layout", openexr.com. `space` is the
    colour space that the file says of itself, by its interop id such as "lin_ap1_scene".
    """
    height, width = values.shape[:2]
    planes = values.reshape(height, width, -1)[..., ::-1]
    names = {1: b"Y", 3: b"BGR", 4: b"ABGR"}[planes.shape[2]]  # in the order of the alphabet

    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<I", len(value)) + value

    pixel_type = 1 if values.dtype == np.float16 else 2
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    described = struct.pack("<iB3xii", pixel_type, 0, 1, 1)
    channels = b"".join(bytes([name]) + b"\0" + described for name in names) + b"\0"
    header = b"".join(
        (
            struct.pack("<II", EXR_MAGIC, 2),
            attribute(b"channels", b"chlist", channels),
            attribute(b"colorInteropID", b"string", space.encode()) if space else b"",
            attribute(b"compression", b"compression", b"\0"),
            attribute(b"dataWindow", b"box2i", window),
            attribute(b"displayWindow", b"box2i", window),
            attribute(b"lineOrder", b"lineOrder", b"\0"),
            attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1.0)),
            attribute(b"screenWindowCenter", b"v2f", struct.pack("<2f", 0.0, 0.0)),
            attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1.0)),
            b"\0",
        )
    )
    row_bytes = values.itemsize * width * len(names)
    offsets = len(header) + 8 * height + (8 + row_bytes) * np.arange(height, dtype="<u8")
    rows = np.empty(
        height,
        np.dtype([("y", "<i4"), ("size", "<i4"), ("values", values.dtype, (len(names), width))]),
    )
    rows["y"] = np.arange(height)
    rows["size"] = row_bytes
    rows["values"] = planes.transpose(0, 2, 1)
    return header + offsets.tobytes() + rows.tobytes()
