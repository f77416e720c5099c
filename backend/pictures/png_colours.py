"""What a PNG without an ICC profile says of its colours, as a profile.

The chunks and which of them counts: W3C, "Portable Network Graphics (PNG) Specification", third
edition, 11.3.2; the numbers in cICP: ITU-T H.273; the profile: ICC.1:2022, of three curves and a
matrix.
"""

import struct
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of white, red, green and blue."""
Curve = tuple[int, tuple[float, ...]]
"""Kind and parameters of ICC's parametric curves."""

D65 = (0.3127, 0.3290)
SRGB: Chromaticities = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    2: SRGB,  # not told
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),  # BT.2020
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),  # Display P3
}
SRGB_CURVE: Curve = (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
CURVES: dict[int, Curve] = {4: (0, (2.2,)), 5: (0, (2.8,)), 8: (0, (1.0,))} | dict.fromkeys(
    (1, 2, 6, 13, 14, 15), SRGB_CURVE
)
"""2 is not told; 1, 6, 14 and 15 are those of television's cameras, whose pictures viewers show as
sRGB. Without those of HDR, which are not made for a screen as it is."""
SRGB_GAMMA, NEAR = 0.45455, 0.05
"""What gAMA says of sRGB, and by which share it may differ and still mean that, as in libpng; with
other primaries it means what it says."""
NEAR_PRIMARIES = 0.005
LEAST_GAMMA = 0.1
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
KINDS = (b"cICP", b"sRGB", b"gAMA", b"cHRM")


def profile_of(said: dict[bytes, bytes], profile: bytes | None) -> bytes | None:
    """The ICC profile that a PNG's chunks amount to.

    Args:
        said: the chunks of `KINDS` that it has, by kind.
        profile: what iCCP holds, if there is one.

    Returns:
        None for sRGB; b"" where they make no sense, or mean no colours of a screen.
    """
    try:
        if b"cICP" in said:
            primaries, curve, matrix, full = struct.unpack(">4B", said[b"cICP"])
            if matrix or not full:
                return b""
            return _made(PRIMARIES[primaries], CURVES[curve])
        if profile is not None or b"sRGB" in said:
            return profile
        points, shape = SRGB, SRGB_CURVE
        if b"cHRM" in said:
            found = np.array(struct.unpack(">8I", said[b"cHRM"])) / 1e5
            if np.abs(found - SRGB).max() > NEAR_PRIMARIES:
                points = tuple(found)
        if b"gAMA" in said:
            gamma = struct.unpack(">I", said[b"gAMA"])[0] / 1e5
            if points != SRGB or abs(gamma / SRGB_GAMMA - 1) > NEAR:
                if not LEAST_GAMMA <= gamma <= 1 / LEAST_GAMMA:
                    return b""
                shape = (0, (1 / gamma,))
        return _made(points, shape)
    except (KeyError, ArithmeticError, struct.error, np.linalg.LinAlgError):
        return b""


def _made(points: Chromaticities, curve: Curve) -> bytes | None:
    if (points, curve) == (SRGB, SRGB_CURVE):
        return None
    with np.errstate(all="raise"):
        white, *corners = (_xyz(x, y) for x, y in np.reshape(points, (4, 2)))
        primaries = np.stack(corners, axis=1)
        adapting = (
            np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
        )
        columns = (adapting @ primaries * np.linalg.solve(primaries, white)).T
    kind, numbers = curve
    shape = struct.pack(">4sIHH", b"para", 0, kind, 0) + _fixed(numbers)
    words = {b"desc": "Colours of a PNG", b"cprt": "No copyright"}
    tags = {name: _words(text) for name, text in words.items()}
    tags |= {b"wtpt": _xyz_tag(D50), b"chad": b"sf32\0\0\0\0" + _fixed(adapting.flat)}
    tags |= {
        name: _xyz_tag(c) for name, c in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
    }
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), shape)
    return _file(tags)


def _file(tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    first = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, first + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kinds = struct.pack(
        ">I4sI4s4s4s", first + len(body), b"", 0x04400000, b"mntr", b"RGB ", b"XYZ "
    )
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head = kinds + date + b"acsp" + bytes(28) + _fixed(D50)
    return head.ljust(128, b"\0") + table + body


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(numbers: Iterable[float]) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def _xyz_tag(xyz: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(xyz)


def _words(text: str) -> bytes:
    coded = text.encode("utf-16-be")
    return struct.pack(">4sIII4sII", b"mluc", 0, 1, 12, b"enUS", len(coded), 28) + coded
