"""Draws scenes of the demo world, with a camera that sees them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from backend.demo.world import (
    COLOUR_SPREAD,
    COLOURS,
    SHAPES,
    Background,
    Camera,
    Ground,
    Light,
    Look,
    Scene,
    Surface,
    Thing,
    Vector,
    orbit_camera,
)


def sample_scene(rng: np.random.Generator, things: int | None = None) -> tuple[Scene, Camera]:
    """Draws a scene of one to four things (or as many as asked for) and a camera that sees them."""
    count = things or int(rng.choice(4, p=(0.30, 0.34, 0.24, 0.12))) + 1
    names = _sample_names(rng, count)
    grounded = rng.random() < 0.9
    objects = _place(rng, names, floating=not grounded or rng.random() < 0.12)
    ground_surface = _large_surface(rng)
    background_surface = _large_surface(rng)
    while _distance(background_surface.albedo, ground_surface.albedo) < 0.12:
        background_surface = _large_surface(rng)
    extent = None if rng.random() < 0.5 else float(rng.uniform(1.6, 6.0))
    ground = (
        Ground(ground_surface, extent, float(rng.uniform(0, math.pi / 2))) if grounded else None
    )
    gradient = rng.random() < 0.5
    background = Background(
        background_surface,
        float(rng.uniform(0.6, 1.3)) if gradient else 1.0,
        float(rng.uniform(0.6, 1.3)) if gradient else 1.0,
    )
    camera = _sample_camera(rng, objects)
    lights, ambient = _sample_lights(rng, camera)
    view = str(rng.choice(["standard", "agx", "filmic"], p=(0.4, 0.45, 0.15)))
    noise = float(rng.uniform(0.02, 0.15)) if rng.random() < 0.3 else 0.0
    look = Look(
        view,
        float(rng.uniform(0.75, 1.35)) * (1.35 if view != "standard" else 1.0),
        float(rng.uniform(0.9, 1.12)),
        noise,
        int(rng.integers(2**31)),
    )
    occlusion = float(rng.uniform(0.0, 1.0))
    return Scene(objects, ground, background, lights, ambient, occlusion, look), camera


def _sample_names(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Colour and shape of each thing; no pair twice. Often one of the two is shared, so that the
    text is needed.
    """
    colours, shapes = list(COLOURS), list(SHAPES)
    mode = rng.random()
    names: list[tuple[str, str]] = []
    shared_shape, shared_colour = str(rng.choice(shapes)), str(rng.choice(colours))
    while len(names) < count:
        colour = shared_colour if 0.3 < mode < 0.5 else str(rng.choice(colours))
        shape = shared_shape if mode < 0.3 else str(rng.choice(shapes))
        if (colour, shape) not in names:
            names.append((colour, shape))
    return names


def _thing_surface(rng: np.random.Generator, colour: str) -> Surface:
    low, high = COLOUR_SPREAD[colour]
    albedo = (
        COLOURS[colour]
        if rng.random() < 0.3
        else _vector(rng.uniform(np.array(low), np.array(high)))
    )
    if colour in ("white", "black"):  # a neutral stays neutral
        albedo = (albedo[0], albedo[0], albedo[0])
    return Surface(
        colour, albedo, float(rng.uniform(0.15, 1.0)), float(rng.choice([0.0, 0.3, 0.5, 1.0]))
    )


def _large_surface(rng: np.random.Generator) -> Surface:
    """A surface for ground or background: mostly a neutral, as in most Blender scenes, sometimes a
    colour.
    """
    roughness, specular = float(rng.uniform(0.4, 1.0)), float(rng.choice([0.0, 0.0, 0.3]))
    if rng.random() < 0.68:
        grey = float(rng.choice([0.05, 0.8, rng.uniform(0.03, 0.9), rng.uniform(0.1, 0.6)]))
        tint = rng.uniform(0.88, 1.12, 3) if rng.random() < 0.6 else np.ones(3)
        albedo = np.clip(grey * tint, 0.01, 0.95)
        return Surface(None, _vector(albedo), roughness, specular)
    colour = str(rng.choice(list(COLOURS)))
    surface = _thing_surface(rng, colour)
    return dataclasses.replace(surface, roughness=roughness, specular=specular)


def _vector(v: np.ndarray) -> Vector:
    return (float(v[0]), float(v[1]), float(v[2]))


def _distance(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Largest difference over the channels, in display space, where a viewer judges it."""
    return float(np.abs(np.sqrt(np.array(a)) - np.sqrt(np.array(b))).max())


def _rotation(rng: np.random.Generator, tilt: float) -> np.ndarray:
    """A turn about z by any angle after a turn about a level axis by up to `tilt` radians; rows of
    a 3x3 matrix.
    """
    yaw, lean, axis = (
        rng.uniform(0, 2 * math.pi),
        rng.uniform(-tilt, tilt),
        rng.uniform(0, 2 * math.pi),
    )

    def about_z(a: float) -> np.ndarray:
        return np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])

    about_x = np.array(
        [[1, 0, 0], [0, math.cos(lean), -math.sin(lean)], [0, math.sin(lean), math.cos(lean)]]
    )
    return about_z(axis) @ about_x @ about_z(yaw - axis)


def _place(
    rng: np.random.Generator, names: list[tuple[str, str]], floating: bool
) -> tuple[Thing, ...]:
    """Things on the ground (or up to a metre above it), at least a little apart in plan."""
    placed: list[Thing] = []
    reach = 0.5 if len(names) == 1 else rng.uniform(1.0, 1.7)
    for colour, shape in names:
        size = float(rng.uniform(0.32, 0.62))
        stretch = float(rng.uniform(0.7, 1.5)) if shape in ("cone", "cylinder") else 1.0
        x = y = 0.0
        for _ in range(60):
            angle, radius = rng.uniform(0, 2 * math.pi), reach * math.sqrt(rng.random())
            x, y = radius * math.cos(angle), radius * math.sin(angle)
            if all(
                math.hypot(x - o.position[0], y - o.position[1]) > 0.95 * (size + o.size)
                for o in placed
            ):
                break
        turned = rng.random() < 0.3
        tilt = math.pi if turned else (0.4 if shape == "monkey" else 0.0)
        rotation = _rotation(rng, tilt)
        if shape == "torus" and rng.random() < 0.35:  # standing on its edge
            rotation = rotation @ np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        height = lowest_extent(shape, stretch, rotation) * size
        if floating:
            height += float(rng.uniform(0.0, 1.0))
        placed.append(
            Thing(
                shape,
                _thing_surface(rng, colour),
                (float(x), float(y), float(height)),
                size,
                stretch,
                (_vector(rotation[0]), _vector(rotation[1]), _vector(rotation[2])),
                flat_shaded=bool(rng.random() < 0.35),
            )
        )
    return tuple(placed)


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


def _sample_camera(rng: np.random.Generator, things: tuple[Thing, ...]) -> Camera:
    """A camera that frames the things: one alone is drawn from small to large, several together
    fill the frame.
    """
    centres = np.array([t.position for t in things])
    middle = (centres.min(0) + centres.max(0)) / 2
    radius = max(
        float(np.linalg.norm(np.array(t.position) - middle)) + t.size * max(1.0, t.stretch)
        for t in things
    )
    fov = float(rng.uniform(0.35, 1.0))
    fraction = rng.uniform(0.22, 0.8) if len(things) == 1 else rng.uniform(0.62, 1.05)
    distance = radius / (fraction * math.tan(fov / 2))
    distance = max(distance, radius + 0.5)
    wander = 0.45 if len(things) == 1 else 0.12
    shift = rng.uniform(-1, 1, 3) * wander * distance * math.tan(fov / 2) * (1.0 - 0.6 * fraction)
    target = middle + shift * np.array([1, 1, 0.7])
    elevation = float(rng.uniform(0.08, 1.0) if rng.random() < 0.9 else rng.uniform(1.0, 1.4))
    lowest = math.asin(min(1.0, max(0.0, 0.25 - float(target[2])) / distance))
    elevation = max(elevation, lowest)  # never below the ground
    return orbit_camera(
        float(rng.uniform(0, 2 * math.pi)),
        elevation,
        distance,
        _vector(target),
        fov,
        float(rng.normal(0, 0.05)) if rng.random() < 0.3 else 0.0,
    )


def _sample_lights(rng: np.random.Generator, camera: Camera) -> tuple[tuple[Light, ...], Vector]:
    """Lights and the ambient light: sun, lamp, sky alone, or a studio fixed to the camera (as
    Workbench has).
    """
    kind = rng.choice(["sun", "lamp", "two", "sky", "studio"], p=(0.3, 0.25, 0.15, 0.08, 0.22))

    def warm() -> Vector:
        t = rng.normal(0, 0.06)
        return (1 + float(t), 1.0, 1 - float(t))

    def direction(low: float, high: float) -> np.ndarray:
        a, e = rng.uniform(0, 2 * math.pi), rng.uniform(low, high)
        return np.array([math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)])

    softness = float(rng.choice([0.01, rng.uniform(0.03, 0.2), rng.uniform(0.2, 0.5)]))
    ambient = float(rng.uniform(0.04, 0.5))
    strength = float(rng.uniform(0.55, 1.25))
    lights: list[Light] = []
    if kind in ("sun", "two"):
        lights.append(
            Light(_vector(direction(0.4, 1.4)), strength, warm(), shadow=True, softness=softness)
        )
    if kind == "lamp":
        position = direction(0.5, 1.4) * rng.uniform(3.0, 8.0)
        lights.append(Light(_vector(position), strength, warm(), point=True, softness=softness))
    if kind == "two":
        lights.append(
            Light(_vector(direction(0.3, 1.3)), strength * 0.5, warm(), softness=softness * 2)
        )
    if kind == "sky":
        ambient = float(rng.uniform(0.7, 1.1))
    if kind == "studio":
        back = np.array(camera.position) - np.array(camera.target)
        back /= np.linalg.norm(back)
        right = np.cross([0, 0, 1.0], back)
        right /= np.linalg.norm(right) + 1e-9
        up = np.cross(back, right)
        for weight in (1.0, 0.45, 0.3):
            x, y = rng.uniform(-0.9, 0.9), rng.uniform(-0.2, 1.0)
            lights.append(
                Light(
                    _vector(right * x + up * y + back),
                    strength * weight * 0.75,
                    shadow=False,
                    wrap=float(rng.uniform(0, 0.5)),
                )
            )
        ambient = float(rng.uniform(0.1, 0.4))
    tint = rng.normal(0, 0.03, 3)
    return tuple(lights), _vector(np.clip(ambient * (1 + tint), 0, None))
