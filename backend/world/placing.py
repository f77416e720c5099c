"""Where new things of the demo world stand: in another's place, or on top of it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from backend.world.shapes import distance_function, lowest_extent, turned
from backend.world.world import Surface, Thing, Vector

Array = np.ndarray
TOPPINGS = ("sphere", "cube", "cone", "cylinder")
"""Shapes that look right on top of something."""


def vector(v: Array) -> Vector:
    """Three numbers of an array."""
    return (float(v[0]), float(v[1]), float(v[2]))


def random_rotation(rng: np.random.Generator, tilt: float) -> Array:
    """A turn about z by any angle after a turn about a level axis by up to `tilt` radians; rows of
    a 3x3 matrix.
    """
    yaw, lean, axis = (
        rng.uniform(0, 2 * math.pi),
        rng.uniform(-tilt, tilt),
        rng.uniform(0, 2 * math.pi),
    )

    def about_z(a: float) -> Array:
        return np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])

    about_x = np.array(
        [[1, 0, 0], [0, math.cos(lean), -math.sin(lean)], [0, math.sin(lean), math.cos(lean)]]
    )
    return about_z(axis) @ about_x @ about_z(yaw - axis)


def upright(
    rng: np.random.Generator, shape: str, surface: Surface, foot: Vector, size: float
) -> Thing:
    """A thing that stands with its lowest point at the height of `foot`."""
    stretch = float(rng.uniform(0.8, 1.4)) if shape in ("cone", "cylinder") else 1.0
    rotation = random_rotation(rng, 0.0)
    height = foot[2] + lowest_extent(shape, stretch, rotation) * size
    rows = (vector(rotation[0]), vector(rotation[1]), vector(rotation[2]))
    flat_shaded = bool(rng.random() < 0.35)
    return Thing(shape, surface, (foot[0], foot[1], height), size, stretch, rows, flat_shaded)


def replacement(rng: np.random.Generator, thing: Thing, shape: str, surface: Surface) -> Thing:
    """A thing of another shape in this one's place, upright, as high above the ground."""
    rotation = np.array(thing.rotation)
    x, y, z = thing.position
    foot = z - lowest_extent(thing.shape, thing.stretch, rotation) * thing.size
    return upright(rng, shape, surface, (x, y, foot), thing.size)


def topping(rng: np.random.Generator, below: Thing, shape: str, surface: Surface) -> Thing | None:
    """A smaller thing that stands on the middle of the one below, sunk a little where the top is
    round; None where that top would not hold it.
    """
    size = below.size * float(rng.uniform(0.38, 0.55))
    centre = _height(below, 0.0, 0.0)
    rim = 0.75 * size
    turns = np.arange(8) * math.pi / 4
    around = [_height(below, rim * math.cos(a), rim * math.sin(a)) for a in turns]
    if centre is None or any(h is None for h in around):
        return None
    heights = np.array(around, np.float64)
    if heights.max() > centre + 0.02 * below.size or heights.min() < centre - 0.45 * below.size:
        return None
    foot = centre if shape == "sphere" else 0.5 * (centre + float(heights.mean()))
    x, y, _ = below.position
    thing = upright(rng, shape, surface, (x, y, foot), size)
    return dataclasses.replace(thing, flat_shaded=below.flat_shaded)


def _height(thing: Thing, dx: float, dy: float) -> float | None:
    """The height of the thing's surface as seen from above, beside its centre; None where the look
    from above misses it.
    """
    sdf, bound = distance_function(thing)
    rotation = np.array(thing.rotation, np.float64)
    start = np.array([[dx], [dy], [bound * thing.size]]) / thing.size
    down = turned(rotation.T, np.array([[0.0], [0.0], [-1.0]]))
    local, travelled = turned(rotation.T, start), 0.0
    while travelled < 2 * bound:
        step = float(sdf(local + travelled * down)[0])
        if step < 1e-3:
            return thing.position[2] + (bound - travelled) * thing.size
        travelled += step
    return None
