"""Pictures of the demo world: a vectorised sphere tracer with exact masks, and edits of a picture
at little cost.

Recolouring changes neither what a ray hits nor the light there, so a scene is traced once and every
recoloured picture only shades anew the samples of its target: outside the mask it is the same
picture to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backend.demo.world import Camera, Light, Look, Scene, Surface, Thing

Array = np.ndarray
BACKGROUND, GROUND, FIRST_THING = 0, 1, 2
"""Values of `Rendering.ids`; thing i of the scene has FIRST_THING + i."""


# --- signed distances of the unit shapes, (3, N) -> (N,) -----------------------------------------


def _box(p: Array, half: float) -> Array:
    q = np.abs(p) - np.float32(half)
    outside = np.sqrt((np.maximum(q, 0) ** 2).sum(0))
    return outside + np.minimum(q.max(0), 0)


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
        k0 = np.sqrt(((q / r) ** 2).sum(0))
        k1 = np.sqrt(((q / (r * r)) ** 2).sum(0)) + np.float32(1e-6)
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
            return (lambda p: np.sqrt((p * p).sum(0)) - np.float32(1)), 1.0
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


# --- tracing -------------------------------------------------------------------------------------


@dataclass
class Rendering:
    """A traced picture.

    image  uint8 (H, W, 3), sRGB-encoded as shown
    ids    uint8 (H * s, W * s), what each sample shows
    """

    image: Array
    ids: Array
    supersample: int
    _display: Array  # float32 (3, samples), 0..1
    _diffuse: Array  # float32 (3, samples): what a white surface would reflect there
    _specular: Array  # float32 (3, samples)
    _look: Look

    def coverage(self, target: int | str) -> Array:
        """Share of each pixel that shows the target (a thing's index, "ground" or "background"),
        float32 (H, W).
        """
        return _average((self.ids == _id_of(target)).astype(np.float32)[..., None], self)[..., 0]

    def recoloured(self, target: int | str, surface: Surface) -> Array:
        """The picture with the target made of another colour, uint8 (H, W, 3)."""
        changed = np.flatnonzero(self.ids.ravel() == _id_of(target))
        display = self._display.copy()
        albedo = np.array(surface.albedo, np.float32)[:, None]
        linear = albedo * self._diffuse[:, changed] + self._specular[:, changed]
        display[:, changed] = view_transform(linear, self._look)
        return _encode(display, self)


def _id_of(target: int | str) -> int:
    if isinstance(target, int):
        return FIRST_THING + target
    return {"background": BACKGROUND, "ground": GROUND}[target]


def _average(samples: Array, rendering: Rendering) -> Array:
    s = rendering.supersample
    height, width = rendering.ids.shape
    return samples.reshape(height // s, s, width // s, s, -1).mean((1, 3))


def _encode(display: Array, rendering: Rendering) -> Array:
    s = rendering.supersample
    height, width = rendering.ids.shape
    mean = display.reshape(3, height // s, s, width // s, s).mean((2, 4))
    return np.ascontiguousarray((mean * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def render(
    scene: Scene, camera: Camera, height: int, width: int, supersample: int = 2
) -> Rendering:
    """Traces and shades a picture with `supersample` squared samples a pixel."""
    origin, directions = camera_rays(camera, height * supersample, width * supersample)
    samples = directions.shape[1]
    depth = np.full(samples, np.inf, np.float32)
    ids = np.full(samples, BACKGROUND, np.uint8)
    normals = np.zeros((3, samples), np.float32)
    if scene.ground is not None:
        down = -directions[2]
        t = np.where(
            down > 1e-5, np.float32(origin[2]) / np.maximum(down, 1e-5), np.float32(np.inf)
        )
        hit = t < 400
        if scene.ground.extent is not None:
            x = origin[0] + t * directions[0]
            y = origin[1] + t * directions[1]
            c, s = math.cos(scene.ground.yaw), math.sin(scene.ground.yaw)
            with np.errstate(invalid="ignore"):
                hit &= (
                    np.maximum(np.abs(c * x + s * y), np.abs(c * y - s * x)) < scene.ground.extent
                )
        depth[hit] = t[hit]
        ids[hit] = GROUND
        normals[2, hit] = 1
    for index, thing in enumerate(scene.things):
        _trace_thing(thing, FIRST_THING + index, origin, directions, depth, ids, normals)
    diffuse, specular = _light(scene, origin, directions, depth, ids, normals)
    if scene.look.noise > 0:
        rng = np.random.default_rng(scene.look.noise_seed)
        grain = 1 + scene.look.noise * rng.standard_normal(samples, np.float32)
        diffuse[:, ids != BACKGROUND] *= np.maximum(grain, 0.1)[ids != BACKGROUND]
    albedo = np.zeros((3, FIRST_THING + len(scene.things)), np.float32)
    albedo[:, BACKGROUND] = scene.background.surface.albedo
    if scene.ground is not None:
        albedo[:, GROUND] = scene.ground.surface.albedo
    for index, thing in enumerate(scene.things):
        albedo[:, FIRST_THING + index] = thing.surface.albedo
    display = view_transform(albedo[:, ids] * diffuse + specular, scene.look)
    grid = ids.reshape(height * supersample, width * supersample)
    rendering = Rendering(np.zeros(0), grid, supersample, display, diffuse, specular, scene.look)
    rendering.image = _encode(display, rendering)
    return rendering


def camera_rays(camera: Camera, height: int, width: int) -> tuple[Array, Array]:
    """The camera's position (3,) and unit directions (3, height * width) through the pixels'
    centres, float32.
    """
    position = np.array(camera.position, np.float64)
    forward = np.array(camera.target, np.float64) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    c, s = math.cos(camera.roll), math.sin(camera.roll)
    right, up = c * right + s * up, c * up - s * right
    scale = math.tan(camera.fov / 2) / (min(height, width) / 2)
    x = (np.arange(width) + 0.5 - width / 2) * scale
    y = (height / 2 - np.arange(height) - 0.5) * scale
    rays = (
        forward[:, None, None]
        + right[:, None, None] * x[None, None, :]
        + up[:, None, None] * y[None, :, None]
    ).reshape(3, -1)
    rays /= np.sqrt((rays * rays).sum(0))
    return position.astype(np.float32), rays.astype(np.float32)


def _ball(
    centre: Array, radius: Array | float, origins: Array, directions: Array
) -> tuple[Array, Array, Array]:
    """Where rays enter and leave a ball: indices of those that do, and both distances."""
    offset = origins - centre[:, None]
    along = -(offset * directions).sum(0)
    room = np.asarray(radius) ** 2 - ((offset * offset).sum(0) - along * along)
    chosen = np.flatnonzero((room > 0) & (along + np.sqrt(np.maximum(room, 0)) > 0))
    half = np.sqrt(room[chosen])
    return chosen, np.maximum(along[chosen] - half, 0), along[chosen] + half


def _trace_thing(
    thing: Thing, number: int, origin: Array, rays: Array, depth: Array, ids: Array, normals: Array
) -> None:
    """Enters the thing into depth, ids and normals where it is nearest."""
    sdf, bound = distance_function(thing)
    centre = np.array(thing.position, np.float32)
    rotation = np.array(thing.rotation, np.float32)
    chosen, near, far = _ball(centre, bound * thing.size, origin[:, None], rays)
    if not len(chosen):
        return
    local_origin = (rotation.T @ (origin - centre) / np.float32(thing.size))[:, None]
    local_rays = rotation.T @ rays[:, chosen]
    t, end = near / np.float32(thing.size), far / np.float32(thing.size)
    found = np.zeros(len(chosen), bool)
    live = np.arange(len(chosen))
    directions = local_rays
    for _ in range(64):
        step = sdf(local_origin + t[live] * directions)
        done = step < 1e-3
        found[live[done]] = True
        t[live] += step
        keep = ~done & (t[live] < end[live])
        if not keep.all():
            live, directions = live[keep], directions[:, keep]
        if not len(live):
            break
    t *= np.float32(thing.size)
    found &= t < depth[chosen]
    chosen, t, local_rays = chosen[found], t[found], local_rays[:, found]
    if not len(chosen):
        return
    point = local_origin + (t / np.float32(thing.size)) * local_rays
    normal = _gradient(sdf, point)
    if thing.flat_shaded and thing.shape != "cube":
        normal = _faceted(normal, 32, 0 if thing.shape in ("cone", "cylinder") else 16)
    depth[chosen] = t
    ids[chosen] = number
    normals[:, chosen] = rotation @ normal


def _gradient(sdf: Callable[[Array], Array], point: Array) -> Array:
    h = np.float32(2e-3)
    gradient = np.zeros_like(point)
    for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        k = np.array(corner, np.float32)[:, None]
        gradient += k * sdf(point + h * k)
    return gradient / np.maximum(np.sqrt((gradient * gradient).sum(0)), 1e-9)


def _faceted(normal: Array, around: int, rings: int) -> Array:
    """The normals of a mesh with that many segments around and rings from pole to pole (0: smooth
    that way).
    """
    step = 2 * math.pi / around
    azimuth = (np.floor(np.arctan2(normal[1], normal[0]) / step) + 0.5) * step
    height = normal[2]
    if rings:
        ring = math.pi / rings
        height = np.sin((np.floor(np.arcsin(np.clip(height, -1, 1)) / ring) + 0.5) * ring)
    level = np.sqrt(np.maximum(1 - height * height, 0))
    return np.stack([level * np.cos(azimuth), level * np.sin(azimuth), height]).astype(np.float32)


# --- light --------------------------------------------------------------------------------------


def _light(
    scene: Scene, origin: Array, rays: Array, depth: Array, ids: Array, normals: Array
) -> tuple[Array, Array]:
    """Diffuse and specular light of every sample, float32 (3, samples) each."""
    diffuse = np.zeros((3, ids.size), np.float32)
    specular = np.zeros_like(diffuse)
    sky = ids == BACKGROUND
    rise = np.clip(rays[2, sky] / np.float32(0.7), 0, 1)
    diffuse[:, sky] = scene.background.low + (scene.background.high - scene.background.low) * rise
    hit = np.flatnonzero(~sky)
    if not hit.size:
        return diffuse, specular
    point = origin[:, None] + depth[hit] * rays[:, hit]
    normal, view, number = normals[:, hit], rays[:, hit], ids[hit]
    facing = -(normal * view).sum(0)
    point = point + normal * np.float32(2e-3)

    open_sky = _openness(scene, point, normal, number)
    ambient = np.array(scene.ambient, np.float32)[:, None]
    light = ambient * ((np.float32(0.68) + np.float32(0.32) * normal[2]) * open_sky)
    roughness = np.full(FIRST_THING + len(scene.things), 1.0, np.float32)
    shine = np.zeros_like(roughness)
    surfaces = [(FIRST_THING + i, t.surface) for i, t in enumerate(scene.things)]
    if scene.ground is not None:
        surfaces.append((GROUND, scene.ground.surface))
    for which, surface in surfaces:
        roughness[which], shine[which] = surface.roughness, surface.specular
    exponent = np.clip(2 / roughness**4 - 2, 1, 900)[number]
    gloss = (0.04 * shine)[number]
    fresnel = gloss * 4 * np.clip(1 - facing, 0, 1) ** 5 * (1 - roughness[number])
    gleam = ambient * (fresnel + gloss) * open_sky
    for lamp in scene.lights:
        colour = np.array(lamp.colour, np.float32)[:, None]
        toward, reach, strength = _toward(lamp, point)
        lambert = (normal * toward).sum(0)
        lit = np.clip((lambert + lamp.wrap) / (1 + lamp.wrap), 0, None) * strength
        if lamp.shadow:
            faces = np.flatnonzero(lambert > 0)
            lit[faces] *= _shadow(
                scene, lamp, point[:, faces], toward[:, faces], reach[faces], number[faces]
            )
        half = toward - view
        half /= np.maximum(np.sqrt((half * half).sum(0)), 1e-6)
        highlight = np.clip((normal * half).sum(0), 0, 1) ** exponent
        light = light + colour * lit
        gleam = gleam + colour * (lit * gloss * np.minimum((exponent + 8) / 8, 30) * highlight)
    diffuse[:, hit], specular[:, hit] = light, gleam
    return diffuse, specular


def _toward(lamp: Light, point: Array) -> tuple[Array, Array, Array | float]:
    """Unit direction to the light, distance to it, and its strength there (a point's is `strength`
    at the origin).
    """
    position = np.array(lamp.position, np.float32)[:, None]
    if not lamp.point:
        toward = np.broadcast_to(position / np.linalg.norm(position), point.shape)
        return toward, np.full(point.shape[1], 1e3, np.float32), lamp.strength
    offset = position - point
    reach = np.maximum(np.sqrt((offset * offset).sum(0)), 1e-3)
    return offset / reach, reach, lamp.strength * (float((position**2).sum()) / reach**2)


def _openness(scene: Scene, point: Array, normal: Array, number: Array) -> Array:
    """Share of the sky that other things leave, by the ball around each (Quilez, sphere ambient
    occlusion).
    """
    openness = np.ones(point.shape[1], np.float32)
    if scene.occlusion <= 0:
        return openness
    for index, thing in enumerate(scene.things):
        offset = np.array(thing.position, np.float32)[:, None] - point
        distance = np.sqrt((offset * offset).sum(0)) + np.float32(1e-6)
        radius = np.float32(0.8 * thing.size)
        share = np.clip((normal * offset).sum(0) / distance, 0, 1)
        share *= np.minimum((radius / distance) ** 2, 1)
        share[number == FIRST_THING + index] = 0
        openness *= 1 - np.float32(scene.occlusion) * share
    if scene.ground is not None:  # a thing near the ground gets less light from below
        near = np.clip(1 - point[2], 0, 1) * np.clip(-normal[2], 0, 1)
        openness *= 1 - np.float32(0.7 * scene.occlusion) * np.where(number == GROUND, 0, near)
    return openness


def _shadow(
    scene: Scene, lamp: Light, point: Array, toward: Array, reach: Array, number: Array
) -> Array:
    """How much of the light arrives, 0..1: marched soft shadows (Aaltonen, Quilez)."""
    arrives = np.ones(point.shape[1], np.float32)
    for index, thing in enumerate(scene.things):
        sdf, bound = distance_function(thing)
        centre = np.array(thing.position, np.float32)
        far = np.sqrt(((point - centre[:, None]) ** 2).sum(0))
        radius = bound * thing.size + np.float32(lamp.softness) * far
        if thing.shape not in ("torus", "monkey"):  # a convex thing does not shadow itself
            radius = np.where(number == FIRST_THING + index, np.float32(0), radius)
        chosen, near, end = _ball(centre, radius, point, toward)
        if not chosen.size:
            continue
        rotation = np.array(thing.rotation, np.float32)
        size = np.float32(thing.size)
        start = rotation.T @ (point[:, chosen] - centre[:, None]) / size
        direction = rotation.T @ toward[:, chosen]
        t = np.maximum(near, 0.03 * size)
        end = np.minimum(end, reach[chosen])
        opening = np.ones(chosen.size, np.float32)
        live = np.flatnonzero(t < end)
        for _ in range(24):
            if not live.size:
                break
            d = sdf(start[:, live] + (t[live] / size) * direction[:, live]) * size
            opening[live] = np.minimum(
                opening[live], d / (np.float32(lamp.softness) * np.maximum(t[live], 1e-3))
            )
            t[live] += np.clip(d, 0.02 * size, 0.5 * size)
            live = live[(opening[live] > -1) & (t[live] < end[live])]
        opening = np.maximum(opening, -1)
        arrives[chosen] *= 0.25 * (1 + opening) ** 2 * (2 - opening)
    return arrives


# --- from light to picture -----------------------------------------------------------------------

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
        x = np.log2(np.maximum(_AGX_IN @ x, 1e-10))
        x = np.clip((x + np.float32(12.47393)) / np.float32(16.5), 0, 1)
        x2 = x * x
        y = 0.4298 * x2 + 0.1191 * x - 0.00232
        y += x2 * x * (-6.868 + x * (31.96 + x * (-40.14 + x * 15.5)))
        y = _AGX_OUT @ y.astype(np.float32)
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
