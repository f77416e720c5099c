"""Patterns of the demo world: solid textures, evaluated where a ray hits, smoothed to what a sample
of the picture covers.

A wave that is narrower than a sample averages out by itself: stripes and checks are box-filtered
analytically (Quilez, "Filtering procedural patterns"), wood's rings fade.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from backend.world.world import Pattern

Array = np.ndarray
Axis = tuple[float, float, float]


def second_share(pattern: Pattern, point: Array, width_along: Callable[[Axis], Array]) -> Array:
    """How much of each sample is of the pattern's second colour, float32 (N,), 0..1.

    `point` (3, N) in the pattern's space; `width_along(axis)` (N,) is how much a sample covers
    along a unit vector of that space. Raises ValueError for an unknown kind.
    """
    axis = pattern.axis
    period, phase = np.float32(pattern.period), np.array(pattern.phase, np.float32)
    match pattern.kind:
        case "stripes":
            place = _along(axis, point) / period + phase[0]
            return 0.5 + 0.5 * _filtered_square(place, width_along(axis) / period)
        case "checks":
            sign = np.ones(point.shape[1], np.float32)
            for i, unit in enumerate(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))):
                place = point[i] / period + phase[i]
                sign *= _filtered_square(place, width_along(unit) / period)
            return 0.5 + 0.5 * sign
        case "wood":
            return _rings(pattern, point, width_along)
    raise ValueError(f"Unknown pattern {pattern.kind!r}.")


def _along(axis: Axis | Array, point: Array) -> Array:
    x, y, z = (np.float32(a) for a in axis)
    return x * point[0] + y * point[1] + z * point[2]


def _filtered_square(place: Array, width: Array) -> Array:
    """The mean of a square wave (+1 in the first half of each period, -1 in the second) over
    `width` around `place`, both in periods.
    """
    width = np.maximum(width, np.float32(1e-3))
    rise = _square_integral(place + width / 2) - _square_integral(place - width / 2)
    return np.clip(rise / width, -1, 1)


def _square_integral(place: Array) -> Array:
    part = place - np.floor(place)
    return np.minimum(part, 1 - part)


_WAVES = np.array(
    [
        [0.9, 0.5, 0.20, 0.7],
        [-0.6, 1.1, 0.15, 2.1],
        [1.7, -1.2, 0.33, 4.0],
        [2.3, 1.9, -0.27, 5.2],
    ],
    np.float32,
)
"""Wave numbers across (2) and along wood's axis, a period, and a phase: what bends the rings."""


def _rings(pattern: Pattern, point: Array, width_along: Callable[[Axis], Array]) -> Array:
    """Rings around an axis beside the thing, bent by a few waves that are long along the axis."""
    axis = np.array(pattern.axis, np.float64)
    first = np.cross(axis, [1.0, 0, 0] if abs(axis[0]) < 0.7 else [0, 1.0, 0])
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    period, phase = np.float32(pattern.period), np.array(pattern.phase, np.float32)
    x, y, z = (_along(a, point) / period for a in (first, second, axis))
    x, y = x + phase[0], y + phase[1]
    bend: Array | float = 0.0
    for kx, ky, kz, shift in _WAVES:
        bend = bend + np.sin(kx * x + ky * y + kz * z + shift + 6 * phase[2]) / (1 + abs(kx))
    wave = np.sin(np.float32(2 * np.pi) * (np.hypot(x, y) + np.float32(0.45) * bend))
    width = np.maximum(width_along(tuple(first)), width_along(tuple(second))) / period
    seen = np.exp(-2 * np.minimum(width, 4) ** 2)
    return (0.5 + 0.5 * np.clip(1.6 * wave, -1, 1) * seen).astype(np.float32)
