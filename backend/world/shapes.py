"""The unit shapes of the demo world: signed distances (3, N) -> (N,), and vectors' small change.

Sums over three components are written out: numpy's reductions over a short first axis cost several
times as much, and a matrix product's last bits depend on how many vectors go through it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from backend.world.world import Thing

Array = np.ndarray


def dot(a: Array, b: Array) -> Array:
    """Inner products of vectors (3, N)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def length(a: Array) -> Array:
    """Lengths of vectors (3, N)."""
    return np.sqrt(dot(a, a))


def turned(matrix: Array, a: Array) -> Array:
    """Vectors (3, N) times a 3x3 matrix, each by itself."""
    return np.stack([row[0] * a[0] + row[1] * a[1] + row[2] * a[2] for row in matrix])


def _box(p: Array, half: float) -> Array:
    q = np.abs(p) - np.float32(half)
    outside = length(np.maximum(q, 0))
    return outside + np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0)


def _cylinder(p: Array, radius: float, half: float) -> Array:
    dx = np.hypot(p[0], p[1]) - np.float32(radius)
    dz = np.abs(p[2]) - np.float32(half)
    return np.minimum(np.maximum(dx, dz), 0) + np.hypot(np.maximum(dx, 0), np.maximum(dz, 0))


def _cone(p: Array, radius: float, half: float) -> Array:
    """A cone with its base at z = -half and its tip at z = +half (Quilez, capped cone with an upper
    radius of 0).
    """
    x, z = np.hypot(p[0], p[1]), p[2]
    cap_x = x - np.minimum(x, np.where(z < 0, np.float32(radius), np.float32(0)))
    cap_z = np.abs(z) - np.float32(half)
    side = np.clip((radius * x - 2 * half * (z - half)) / (radius**2 + 4 * half**2), 0, 1)
    # nearest point on the slanted side, from the tip (0, half) down to (radius, -half)
    side_x, side_z = x - side * radius, z - half + 2 * half * side
    inside = (side_x < 0) & (cap_z < 0)
    d2 = np.minimum(cap_x**2 + cap_z**2, side_x**2 + side_z**2)
    return np.where(inside, -1, 1).astype(np.float32) * np.sqrt(d2)


def _torus(p: Array, ring: float, tube: float) -> Array:
    return np.hypot(np.hypot(p[0], p[1]) - np.float32(ring), p[2]) - np.float32(tube)


_MONKEY_BALLS = (  # centre, radii: head, muzzle, brow, ears, eyes; it looks along -y
    ((0.0, 0.0, 0.12), (0.72, 0.66, 0.66)),
    ((0.0, -0.42, -0.38), (0.42, 0.42, 0.36)),
    ((0.0, -0.42, 0.30), (0.50, 0.28, 0.26)),
    ((0.92, 0.05, 0.12), (0.38, 0.14, 0.34)),
    ((-0.92, 0.05, 0.12), (0.38, 0.14, 0.34)),
    ((0.28, -0.62, 0.18), (0.20, 0.20, 0.20)),
    ((-0.28, -0.62, 0.18), (0.20, 0.20, 0.20)),
)


def _monkey(p: Array) -> Array:
    best: Array | None = None
    for centre, radii in _MONKEY_BALLS:
        q = p - np.array(centre, np.float32)[:, None]
        r = np.array(radii, np.float32)[:, None]
        k0 = length(q / r)
        k1 = length(q / (r * r)) + np.float32(1e-6)
        d = k0 * (k0 - 1) / k1
        if best is None:
            best = d
        else:
            blend = np.maximum(np.float32(0.12) - np.abs(best - d), 0)
            best = np.minimum(best, d) - blend * blend * np.float32(1 / 0.48)
    assert best is not None
    return best


def distance_function(thing: Thing) -> tuple[Callable[[Array], Array], float]:
    """The thing's signed distance in its own unit space, and the radius of a ball around it there.

    Raises ValueError for an unknown shape.
    """
    half = thing.stretch
    match thing.shape:
        case "sphere":
            return (lambda p: length(p) - np.float32(1)), 1.0
        case "cube":
            return (lambda p: _box(p, 0.8)), 0.8 * math.sqrt(3)
        case "cylinder":
            return (lambda p: _cylinder(p, 0.85, half)), math.hypot(0.85, half)
        case "cone":
            return (lambda p: _cone(p, 0.85, half)), math.hypot(0.85, half)
        case "torus":
            return (lambda p: _torus(p, 0.72, 0.28)), 1.0
        case "monkey":
            return _monkey, 1.32
    raise ValueError(f"Unknown shape {thing.shape!r}.")


def lowest_extent(shape: str, stretch: float, rotation: np.ndarray) -> float:
    """How far the turned unit shape reaches below its centre."""
    up = np.abs(rotation[2])  # world z in the shape's own axes
    level = math.hypot(up[0], up[1])
    if shape == "cube":
        return float(0.8 * up.sum())
    if shape in ("cone", "cylinder"):
        base = 0.85 * level + stretch * up[2]
        if shape == "cone" and rotation[2, 2] < 0:
            base = max(stretch * up[2], 0.85 * level - stretch * up[2])
        return float(base)
    if shape == "torus":
        return float(0.72 * level + 0.28)
    return 0.9 if shape == "monkey" else 1.0


def form_of(thing: Thing) -> tuple[object, ...]:
    """All of a thing but what it is made of."""
    return (
        thing.shape,
        thing.position,
        thing.size,
        thing.stretch,
        thing.rotation,
        thing.flat_shaded,
    )
