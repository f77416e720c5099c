"""What a PNG file says beside its pixels, and the file without it.

Pillow refuses a file whose texts or whose colour profile unpack to more than a megabyte, and reads
chunks that it does not know whole into memory, although neither is needed for the pixels. The
format: W3C, "Portable Network Graphics (PNG) Specification", third edition.
"""

import io
import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass
from typing import BinaryIO

from backend.pictures import png_colours

SIGNATURE = b"\x89PNG\r\n\x1a\n"
NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"}
"""Without the chunks of an animation: what is left is its first picture."""
LARGEST_SIDE_CHUNK = 1 << 20
"""Bytes of a chunk beside the pixels; the EXIF data of a photo have at most 64 KiB."""
LARGEST_PROFILE = 16 << 20
"""Bytes of a colour profile, unpacked."""
LARGEST_COLOURS = 33
"""Bytes of the other chunks about colours, and one more, which makes no sense."""


@dataclass(frozen=True)
class FileFacts:
    """What an image file, mostly a PNG, says beside its pixels.

    Attributes:
        depth: bits a channel.
        animated: whether it has more frames than one.
        profile: its ICC profile, or that of what a PNG says of its colours instead; b"" where it
            has one that cannot be read; None where it has none.
        exif: whether a PNG has EXIF data, before its pixels or behind them.
        turned: the EXIF orientation by which Pillow turns the pixels as it decodes them, which it
            does for TIFF only.
    """

    depth: int
    animated: bool
    profile: bytes | None
    exif: bool = False
    turned: int = 1


def split_png(stream: BinaryIO) -> tuple[FileFacts, io.BufferedReader]:
    """What a PNG file says beside its pixels, and the file with only what the pixels need. Nothing
    of the pixels is read; a file that breaks off or makes no sense is left so from there on.
    """
    depth, frames, profile, exif = 8, 1, None, False
    colours: dict[bytes, bytes] = {}
    kept = [(0, len(SIGNATURE))]
    place = len(SIGNATURE)
    while True:
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8 or not head[4:].isalpha():
            kept.append((place, _length(stream)))
            break
        (length,), kind = struct.unpack(">I", head[:4]), head[4:]
        end = place + 12 + length
        if kind == b"IHDR":
            depth = (stream.read(9) + bytes(9))[8]
        elif kind == b"acTL":
            (frames,) = struct.unpack(">I", (stream.read(4) + bytes(4))[:4])
        elif kind == b"iCCP":
            profile = _profile(stream.read(min(length, LARGEST_PROFILE)))
        elif kind in png_colours.KINDS:
            colours[kind] = stream.read(min(length, LARGEST_COLOURS))
        exif |= kind == b"eXIf"
        pixels = kind in (b"IHDR", b"PLTE", b"IDAT", b"IEND")
        if kind in NEEDED and (pixels or length <= LARGEST_SIDE_CHUNK):
            kept.append((place, end))
        if kind == b"IEND":
            break
        place = end
    profile = png_colours.profile_of(colours, profile)
    return FileFacts(depth, frames > 1, profile, exif), io.BufferedReader(_Ranges(stream, kept))


def _profile(chunk: bytes) -> bytes:
    """The profile in an iCCP chunk: a name, a zero, a zero, and the profile packed by zlib."""
    _, _, packed = chunk.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(packed[1:], LARGEST_PROFILE)
    except zlib.error:
        return b""
    return profile if unpacking.eof else b""


def _length(stream: BinaryIO) -> int:
    return stream.seek(0, io.SEEK_END)


class _Ranges(io.RawIOBase):
    """Ranges of a file as one file, without a copy of them."""

    def __init__(self, stream: BinaryIO, ranges: list[tuple[int, int]]) -> None:
        self._stream = stream
        self._starts, self._places, self._place = [0], [], 0
        end = _length(stream)
        for first, last in ranges:
            self._places.append(first)
            self._starts.append(self._starts[-1] + max(0, min(last, end) - first))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._starts[-1]}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number = bisect_right(self._starts, self._place) - 1
        if number >= len(self._places):
            return 0
        inside = self._place - self._starts[number]
        count = min(len(buffer), self._starts[number + 1] - self._place)
        self._stream.seek(self._places[number] + inside)
        data = self._stream.read(count)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
