"""Image files to read, made by Pillow or by hand."""

import struct
import zlib

import numpy as np
from PIL import Image

COLOURS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def saved(folder, image, name="picture.png", **options):
    """A file with an image (or an array) in it."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(folder / name, **options)
    return folder / name


def png(folder, width, height, depth, kind, rows, *chunks):
    """A PNG written by hand: chunks are (type, data) between header and pixels."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
    (folder / "by_hand.png").write_bytes(data)
    return folder / "by_hand.png"
