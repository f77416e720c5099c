"""ICC profiles made by hand (ICC.1:2022, matrix and grey ones), for images that have one."""

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def rgb_profile(gamma, red, green, blue):
    """A profile of colours with one gamma, by the chromaticities (x, y) of its primaries; its
    white is D65.
    """
    primaries = np.stack([_xyz(*corner) for corner in (red, green, blue)], axis=1)
    white = _xyz(*D65)
    matrix = primaries * np.linalg.solve(primaries, white)
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted = np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ matrix
    tags = {b"wtpt": _xyz_tag(D50)}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), adapted.T, strict=True):
        tags[name] = _xyz_tag(column)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma_tag(gamma))
    return _profile(b"RGB ", tags)


def grey_profile(gamma):
    """A profile of grey with a gamma."""
    return _profile(b"GRAY", {b"wtpt": _xyz_tag(D50), b"kTRC": _gamma_tag(gamma)})


def cmyk_profile():
    """A profile of inks by a table of two steps of each, far from the naive meaning of inks."""
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    light = (1 - corners[:, :3]) * (1 - corners[:, 3:])
    lightness = 20 + 80 * light @ (0.3, 0.6, 0.1)
    red_green, yellow_blue = 60 * (light[:, 0] - light[:, 1]), 60 * (light[:, 1] - light[:, 2])
    table = np.stack([lightness * 2.55, 128 + red_green, 128 + yellow_blue], axis=1)
    straight = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0])
    lut += struct.pack(">9i", *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    lut += straight * 4 + table.round().clip(0, 255).astype(np.uint8).tobytes() + straight * 3
    return _profile(b"CMYK", {b"wtpt": _xyz_tag(D50), b"A2B0": lut}, kind=b"prtr", between=b"Lab ")


def _xyz(x, y):
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _xyz_tag(xyz):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in xyz))


def _gamma_tag(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _profile(space, tags, kind=b"mntr", between=b"XYZ "):
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"made\0" + bytes(79)} | tags
    table, body = struct.pack(">I", len(tags)), b""
    first = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", first + len(body), len(data))
        body += data
    size = first + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02400000, kind, space, between)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp"
    head += bytes(28) + struct.pack(">3i", *(round(value * 65536) for value in D50))
    return head.ljust(128, b"\0") + table + body


ADOBE_RGB = rgb_profile(2.19921875, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = rgb_profile(2.2, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
"""With a gamma in place of sRGB's curve."""
