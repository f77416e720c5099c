"""From linear light to display values."""

from __future__ import annotations

import numpy as np

from backend.world.shapes import turned
from backend.world.world import Look

Array = np.ndarray

_AGX_IN = np.array(
    [
        [0.842479062253094, 0.0784335999999992, 0.0792237451477643],
        [0.0423282422610123, 0.878468636469772, 0.0791661274605434],
        [0.0423756549057051, 0.0784336, 0.879142973793104],
    ],
    np.float32,
)
_AGX_OUT = np.array(
    [
        [1.19687900512017, -0.0980208811401368, -0.0990297440797205],
        [-0.0528968517574562, 1.15190312990417, -0.0989611768448433],
        [-0.0529716355144438, -0.0980434501171241, 1.15107367264116],
    ],
    np.float32,
)


def view_transform(linear: Array, look: Look) -> Array:
    """Linear light (3, N) to display values 0..1: sRGB, an approximation of AgX (Wrensch), or a
    filmic curve (Hable's shape by Narkowicz). Raises ValueError for an unknown view.
    """
    x = np.maximum(linear * np.float32(look.exposure), 0)
    if look.view == "standard":
        y = srgb_encode(np.minimum(x, 1))
    elif look.view == "agx":
        x = np.log2(np.maximum(turned(_AGX_IN, x), 1e-10))
        x = np.clip((x + np.float32(12.47393)) / np.float32(16.5), 0, 1)
        x2 = x * x
        y = 0.4298 * x2 + 0.1191 * x - 0.00232
        y += x2 * x * (-6.868 + x * (31.96 + x * (-40.14 + x * 15.5)))
        y = turned(_AGX_OUT, y.astype(np.float32))
    elif look.view == "filmic":
        x = x * np.float32(0.6)
        y = srgb_encode(np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1))
    else:
        raise ValueError(f"Unknown view transform {look.view!r}.")
    return np.clip((y - 0.5) * np.float32(look.contrast) + 0.5, 0, 1).astype(np.float32)


def srgb_encode(linear: Array) -> Array:
    """IEC 61966-2-1, linear 0..1 to display 0..1."""
    return np.where(
        linear <= 0.0031308,
        12.92 * linear,
        1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055,
    )
