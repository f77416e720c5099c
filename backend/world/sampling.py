"""Draws scenes of the demo world, with a camera that sees them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from backend.world.cameras import RINGS, ball_around, orbit_camera, rings
from backend.world.placing import random_rotation, vector
from backend.world.shapes import lowest_extent
from backend.world.world import (
    COLOUR_SPREAD,
    COLOURS,
    PATTERNS,
    SHAPES,
    Background,
    Camera,
    Ground,
    Light,
    Look,
    Pattern,
    Scene,
    Surface,
    Thing,
    Vector,
    grain_of,
)


def sample_scene(rng: np.random.Generator, things: int | None = None) -> tuple[Scene, Camera]:
    """Draws a scene of one to four things (or as many as asked for) and a camera that sees them."""
    count = things or int(rng.choice(4, p=(0.22, 0.38, 0.27, 0.13))) + 1
    names = _sample_names(rng, count)
    grounded = rng.random() < 0.9
    objects = _place(rng, names, floating=not grounded or rng.random() < 0.12)
    objects = tuple(
        dataclasses.replace(t, surface=_sometimes_patterned(rng, t.surface, t.shape, 0.24, names))
        for t in objects
    )
    ground_surface = _sometimes_patterned(rng, _large_surface(rng), "ground", 0.12, names)
    background_surface = _large_surface(rng)
    while _distance(background_surface.albedo, ground_surface.albedo) < 0.12:
        background_surface = _large_surface(rng)
    background_surface = _sometimes_patterned(rng, background_surface, "background", 0.03, names)
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


def as_captured(rng: np.random.Generator, scene: Scene) -> tuple[Scene, Camera]:
    """The scene as one of the views shows it that captures are made of: from somewhere around all
    things, and without a path tracer's grain, which no two views share.
    """
    middle, radius = ball_around(scene.things)
    turn = float(rng.uniform(0, len(RINGS)))
    camera = rings(middle, radius, len(RINGS), turn)[int(rng.integers(len(RINGS)))]
    return dataclasses.replace(scene, look=dataclasses.replace(scene.look, noise=0.0)), camera


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
        else vector(rng.uniform(np.array(low), np.array(high)))
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
        return Surface(None, vector(albedo), roughness, specular)
    colour = str(rng.choice(list(COLOURS)))
    surface = _thing_surface(rng, colour)
    return dataclasses.replace(surface, roughness=roughness, specular=specular)


_PERIODS = {
    "thing": {"stripes": (0.40, 0.85), "checks": (0.65, 1.1), "wood": (0.28, 0.5)},
    "ground": {"stripes": (0.5, 1.5), "checks": (0.8, 2.0), "wood": (0.4, 1.0)},
    "background": {"stripes": (0.12, 0.3), "checks": (0.15, 0.4), "wood": (0.08, 0.2)},
}
"""Lowest and highest period of each pattern, in unit sizes of a thing, metres, and radians."""


def sample_pattern(
    rng: np.random.Generator, kind: str, colour: str | None, base: Vector, bearer: str
) -> Pattern:
    """A pattern of a kind on albedo `base`; `colour` is None for wood. `bearer` is a shape,
    "ground" or "background".
    """
    period = float(rng.uniform(*_PERIODS.get(bearer, _PERIODS["thing"])[kind]))
    axis = np.array([0.0, 0.0, 1.0])
    if rng.random() < 0.5:
        axis = rng.standard_normal(3)
    elif bearer == "torus" or rng.random() < 0.5:  # its height is hardly one period
        axis = np.array([1.0, 0.0, 0.0])
    if bearer == "ground":
        axis = np.array([*rng.standard_normal(2), 0.0])
    axis /= np.linalg.norm(axis)
    # no face of a cube, nor the ground, may lie just where one colour meets the other
    faces = np.array([-0.8, 0.0, 0.8])
    while True:
        phase = rng.random(3)
        halves = 2 * (faces[:, None] / period + phase)
        if np.abs(halves - np.round(halves)).min() > 0.06:
            break
    albedo = grain_of(base) if colour is None else COLOURS[colour]
    return Pattern(kind, colour, albedo, period, vector(axis), vector(phase))


def _sometimes_patterned(
    rng: np.random.Generator,
    surface: Surface,
    bearer: str,
    chance: float,
    names: list[tuple[str, str]],
) -> Surface:
    """The surface, with that chance under a pattern whose colour is no thing's own, so that a
    colour word still means one thing.
    """
    if rng.random() >= chance:
        return surface
    kind = str(rng.choice(PATTERNS, p=(0.42, 0.36, 0.22)))
    taken = {c for c, _ in names}
    free = [c for c in COLOURS if c not in taken and _distance(COLOURS[c], surface.albedo) > 0.25]
    if kind == "wood":
        pattern = sample_pattern(rng, kind, None, surface.albedo, bearer)
    elif free:
        often = [c for c in free if c in ("white", "black")]
        pool = often if often and rng.random() < 0.4 else free
        pattern = sample_pattern(rng, kind, str(rng.choice(pool)), surface.albedo, bearer)
    else:
        return surface
    return dataclasses.replace(surface, pattern=pattern)


def _distance(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Largest difference over the channels, in display space, where a viewer judges it."""
    return float(np.abs(np.sqrt(np.array(a)) - np.sqrt(np.array(b))).max())


def _place(
    rng: np.random.Generator, names: list[tuple[str, str]], floating: bool
) -> tuple[Thing, ...]:
    """Things on the ground (or up to a metre above it), at least a little apart in plan."""
    placed: list[Thing] = []
    reach = 0.5 if len(names) == 1 else rng.uniform(0.6, 1.0) + 0.15 * len(names)
    for colour, shape in names:
        size = float(rng.uniform(0.4, 0.66))
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
        rotation = random_rotation(rng, tilt)
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
                (vector(rotation[0]), vector(rotation[1]), vector(rotation[2])),
                flat_shaded=bool(rng.random() < 0.35),
            )
        )
    return tuple(placed)


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
        vector(target),
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
            Light(vector(direction(0.4, 1.4)), strength, warm(), shadow=True, softness=softness)
        )
    if kind == "lamp":
        position = direction(0.5, 1.4) * rng.uniform(3.0, 8.0)
        lights.append(Light(vector(position), strength, warm(), point=True, softness=softness))
    if kind == "two":
        lights.append(
            Light(vector(direction(0.3, 1.3)), strength * 0.5, warm(), softness=softness * 2)
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
                    vector(right * x + up * y + back),
                    strength * weight * 0.75,
                    shadow=False,
                    wrap=float(rng.uniform(0, 0.5)),
                )
            )
        ambient = float(rng.uniform(0.1, 0.4))
    tint = rng.normal(0, 0.03, 3)
    return tuple(lights), vector(np.clip(ambient * (1 + tint), 0, None))
