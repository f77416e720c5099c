"""The demo world: small scenes of shaded objects, as plain data, and edits of them.

`backend.world.sampling` draws scenes, `backend.world.instructions` draws edits with their wording,
and `backend.world.render` turns scenes into pictures with exact masks. The world is z up and
right-handed, as Blender's is; lengths are in metres; colours are linear Rec. 709 reflectances in
0..1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

Vector = tuple[float, float, float]

TRAIN_SEEDS = range(0, 10_000_000)
VALIDATION_SEEDS = range(10_000_000, 11_000_000)
TEST_SEEDS = range(11_000_000, 12_000_000)
"""A scene, its camera and its edits are a pure function of one seed; nothing is tested on a trained
seed.
"""

COLOURS: dict[str, Vector] = {
    "red": (0.70, 0.02, 0.02),
    "orange": (0.85, 0.20, 0.01),
    "yellow": (0.85, 0.68, 0.02),
    "green": (0.03, 0.36, 0.04),
    "cyan": (0.02, 0.58, 0.62),
    "blue": (0.02, 0.06, 0.66),
    "purple": (0.24, 0.02, 0.46),
    "pink": (0.85, 0.25, 0.48),
    "white": (0.85, 0.85, 0.85),
    "black": (0.015, 0.015, 0.015),
}
"""Reflectance that an instruction's colour word stands for."""

COLOUR_SPREAD: dict[str, tuple[Vector, Vector]] = {
    "red": ((0.36, 0.0, 0.0), (0.95, 0.06, 0.06)),
    "orange": ((0.70, 0.13, 0.0), (1.0, 0.30, 0.04)),
    "yellow": ((0.62, 0.48, 0.0), (1.0, 0.90, 0.14)),
    "green": ((0.0, 0.16, 0.0), (0.12, 0.65, 0.12)),
    "cyan": ((0.0, 0.36, 0.40), (0.10, 0.80, 0.85)),
    "blue": ((0.0, 0.02, 0.32), (0.08, 0.18, 0.95)),
    "purple": ((0.14, 0.0, 0.25), (0.36, 0.07, 0.65)),
    "pink": ((0.65, 0.15, 0.32), (1.0, 0.40, 0.62)),
    "white": ((0.70, 0.70, 0.70), (0.95, 0.95, 0.95)),
    "black": ((0.005, 0.005, 0.005), (0.03, 0.03, 0.03)),
}
"""Lowest and highest reflectance that is still called by the name, per channel."""

SHAPES = ("sphere", "cube", "cone", "cylinder", "torus", "monkey")
PATTERNS = ("stripes", "checks", "wood")

KINDS = ("recolour", "add pattern", "remove pattern", "remove", "replace", "put on top")
"""What can be asked. The last three change what is there, the others only what it is made of."""
STRUCTURAL_KINDS = KINDS[3:]
RECOLOURING = KINDS[:1]


@dataclass(frozen=True)
class Pattern:
    """A second colour in a regular part of a surface, a solid texture in the thing's unit space
    (metres for the ground, directions for the background).

    "stripes" and "checks" alternate every half `period`, stripes along the unit vector `axis`;
    "wood" has wavy rings around `axis`, in a shade of the base colour (`colour` is then None: no
    instruction names it). `phase` (3,) shifts it, in periods.
    """

    kind: str
    colour: str | None
    albedo: Vector
    period: float
    axis: Vector
    phase: Vector


@dataclass(frozen=True)
class Surface:
    """What a thing is made of. `colour` is its name, or None for a neutral that no instruction
    refers to by colour. A pattern's second colour comes on top of it.
    """

    colour: str | None
    albedo: Vector
    roughness: float = 0.5
    specular: float = 0.3
    pattern: Pattern | None = None


@dataclass(frozen=True)
class Thing:
    """One object: unit shape, scaled by `size` (3,), turned by `rotation` (3x3, rows), moved to
    `position` (3,).
    """

    shape: str
    surface: Surface
    position: Vector
    size: float
    stretch: float
    rotation: tuple[Vector, Vector, Vector]
    flat_shaded: bool = False


@dataclass(frozen=True)
class Ground:
    """The plane z = 0. `extent` is the half width of a square (turned by `yaw`) or None for one
    without an end.
    """

    surface: Surface
    extent: float | None
    yaw: float = 0.0


@dataclass(frozen=True)
class Background:
    """What a ray that hits nothing sees: `surface.albedo` times `low` at the horizon and `high` 45
    degrees above.
    """

    surface: Surface
    low: float = 1.0
    high: float = 1.0


@dataclass(frozen=True)
class Light:
    """A sun (`position` is then the direction to it) or a point. `softness` is the penumbra's
    width, `wrap` softens the terminator as studio light does.
    """

    position: Vector
    strength: float
    colour: Vector = (1.0, 1.0, 1.0)
    point: bool = False
    shadow: bool = True
    softness: float = 0.1
    wrap: float = 0.0


@dataclass(frozen=True)
class Look:
    """How linear light becomes a picture: view transform ("standard", "agx", "filmic"), exposure,
    contrast, and the relative noise of the light as a path tracer with few samples leaves it.
    """

    view: str = "standard"
    exposure: float = 1.0
    contrast: float = 1.0
    noise: float = 0.0
    noise_seed: int = 0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. `fov` is the whole angle of view of the shorter side of the picture, in
    radians.
    """

    position: Vector
    target: Vector
    fov: float
    roll: float = 0.0


@dataclass(frozen=True)
class Scene:
    """Things on a ground before a background, their light, and how the camera sees light.

    `ambient` is the sky's light per channel; `occlusion` in 0..1 is how much things keep it from
    each other.
    """

    things: tuple[Thing, ...]
    ground: Ground | None
    background: Background
    lights: tuple[Light, ...]
    ambient: Vector
    occlusion: float
    look: Look


@dataclass(frozen=True)
class Edit:
    """One change of a scene. `target` is an index into `Scene.things`, or "ground", "background",
    or None where the instruction asks for something that is not there (nothing changes then).

    `kind` is one of KINDS, and says which of the others are there:

    - "recolour": `colour` becomes the base colour. A pattern stays, stripes and checks in their own
      colour, wood's grain as a shade of the new one.
    - "add pattern": `pattern` comes upon the surface; `colour` is the pattern's where it is named.
    - "remove pattern": the base colour is left.
    - "remove": the thing goes.
    - "replace": `thing` takes its place; `colour` is the new thing's where it is named.
    - "put on top": `thing`, of `colour`, is added after the others.

    `wording` is how the target is named: see `naming.wordings`; "absent" where it is None.
    """

    kind: str
    target: int | str | None
    colour: str | None
    instruction: str
    wording: str
    pattern: Pattern | None = None
    thing: Thing | None = None


def grain_of(albedo: Vector) -> Vector:
    """The shade that wood's grain has on a base of this albedo: darker, on a dark one lighter."""
    dark = max(albedo) < 0.06
    r, g, b = (min(1.0, c + 0.12) if dark else 0.22 * c for c in albedo)
    return (r, g, b)


def painted(surface: Surface, colour: str, albedo: Vector | None = None) -> Surface:
    """The surface in another base colour (see `Edit`, "recolour"); of `albedo`, or of the
    reflectance that the word stands for.
    """
    albedo = albedo or COLOURS[colour]
    pattern = surface.pattern
    if pattern is not None and pattern.kind == "wood":
        pattern = dataclasses.replace(pattern, albedo=grain_of(albedo))
    return dataclasses.replace(surface, colour=colour, albedo=albedo, pattern=pattern)


def with_surface(scene: Scene, target: int | str, surface: Surface) -> Scene:
    """The scene with the target made of something else. Raises ValueError for the ground of a scene
    that has none.
    """
    if target == "background":
        return dataclasses.replace(
            scene, background=dataclasses.replace(scene.background, surface=surface)
        )
    if target == "ground":
        if scene.ground is None:
            raise ValueError("This scene has no ground.")
        return dataclasses.replace(scene, ground=dataclasses.replace(scene.ground, surface=surface))
    things = list(scene.things)
    things[int(target)] = dataclasses.replace(things[int(target)], surface=surface)
    return dataclasses.replace(scene, things=tuple(things))


def apply(scene: Scene, edit: Edit) -> Scene:
    """The scene after the edit. Raises ValueError for a kind of edit that this world does not know,
    and for an edit that lacks what its kind needs.
    """
    if edit.kind not in KINDS:
        raise ValueError(f"Unknown kind of edit {edit.kind!r}: use one of {', '.join(KINDS)}.")
    if edit.target is None:
        return scene
    if edit.kind in STRUCTURAL_KINDS:
        return _with_things(scene, edit)
    surface = surface_of(scene, edit.target)
    if edit.kind == "recolour":
        if edit.colour is None:
            raise ValueError("A recolouring needs a colour.")
        surface = painted(surface, edit.colour)
    elif edit.kind == "add pattern":
        if edit.pattern is None:
            raise ValueError("Adding a pattern needs the pattern.")
        surface = dataclasses.replace(surface, pattern=edit.pattern)
    else:
        surface = dataclasses.replace(surface, pattern=None)
    return with_surface(scene, edit.target, surface)


def _with_things(scene: Scene, edit: Edit) -> Scene:
    if not isinstance(edit.target, int):
        raise ValueError(f"To {edit.kind} needs a thing as its target, not the {edit.target}.")
    things = list(scene.things)
    if edit.kind == "remove":
        del things[edit.target]
    elif edit.thing is None:
        raise ValueError(f"To {edit.kind} needs the new thing.")
    elif edit.kind == "replace":
        things[edit.target] = edit.thing
    else:
        things.append(edit.thing)
    return dataclasses.replace(scene, things=tuple(things))


def surface_of(scene: Scene, target: int | str) -> Surface:
    """What the target is made of. Raises ValueError for the ground of a scene that has none."""
    if target == "background":
        return scene.background.surface
    if target == "ground":
        if scene.ground is None:
            raise ValueError("This scene has no ground.")
        return scene.ground.surface
    return scene.things[int(target)].surface
