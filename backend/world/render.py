"""Pictures of the demo world: a vectorised sphere tracer with exact masks, and edits of a picture
at little cost.

A change of surface changes neither what a ray hits nor the light there, so a scene is traced once
and such an edit only shades anew the samples of its target: outside the mask it is the same picture
to the last bit. A change of what is there shares what it leaves alone (`Rendering.of`), and changes
the picture outside its mask only where shadows and reflected sky do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from backend.world.cameras import camera_rays
from backend.world.lighting import (
    BACKGROUND,
    FIRST_THING,
    GROUND,
    Hits,
    Obstructions,
    light,
    through_ball,
)
from backend.world.shapes import distance_function, form_of, length, turned
from backend.world.textures import second_share
from backend.world.view_transform import view_transform
from backend.world.world import Camera, Scene, Surface, Thing, surface_of

Array = np.ndarray


@dataclass
class _Traced:
    """Where one thing's surface is hit: indices of samples, depth (n,) and normals (3, n)."""

    samples: Array
    depth: Array
    normals: Array


@dataclass
class Rendering:
    """A traced picture.

    image  uint8 (H, W, 3), sRGB-encoded as shown
    ids    uint8 (H * s, W * s), what each sample shows: BACKGROUND, GROUND, FIRST_THING + i
    """

    image: Array
    ids: Array
    supersample: int
    scene: Scene
    camera: Camera
    _hits: Hits
    _traced: dict[tuple[object, ...], _Traced]
    _obstructions: Obstructions
    _diffuse: Array  # float32 (3, samples): what a white surface would reflect there
    _specular: Array  # float32 (3, samples)
    _display: Array  # float32 (3, samples), 0..1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.image.shape[0], self.image.shape[1]

    def coverage(self, target: int | str) -> Array:
        """Share of each pixel that shows the target (a thing's index, "ground" or "background"),
        float32 (H, W).
        """
        return self.share(self.ids == id_of(target))

    def labels(self) -> Array:
        """What each pixel mostly shows, as `ids` names it: uint8 (H, W)."""
        numbers = np.unique(self.ids)
        shares = np.stack([self.share(self.ids == number) for number in numbers])
        found: Array = numbers[shares.argmax(axis=0)]
        return found

    def share(self, samples: Array) -> Array:
        """Share of each pixel of which a boolean grid (H * s, W * s) is true, float32 (H, W)."""
        return _mean_of_samples(samples.astype(np.float32), self.supersample)

    def recoloured(self, target: int | str, surface: Surface) -> Array:
        """The picture with the target of another surface's colour and pattern (its gloss stays),
        uint8 (H, W, 3).
        """
        changed = np.flatnonzero(self.ids.ravel() == id_of(target))
        display = self._display.copy()
        albedo = _albedo(self.scene, target, surface, self._hits, changed, self._sample_angle())
        linear = albedo * self._diffuse[:, changed] + self._specular[:, changed]
        display[:, changed] = view_transform(linear, self.scene.look)
        return _encode(display, self.ids.shape, self.supersample)

    def of(self, scene: Scene) -> Rendering:
        """A scene of which only the things are others, through the same camera, with the same
        grain. What both scenes have is not traced again; the picture equals one rendered anew.

        Raises ValueError where more than the things differs.
        """
        if replace(scene, things=()) != replace(self.scene, things=()):
            raise ValueError("This scene differs in more than its things: render it anew.")
        return _render(scene, self.camera, *self.size, self.supersample, self)

    def _sample_angle(self) -> float:
        return _sample_angle(self.camera, *self.size, self.supersample)


def id_of(target: int | str) -> int:
    """The target's value in `Rendering.ids`."""
    if isinstance(target, int):
        return FIRST_THING + target
    return {"background": BACKGROUND, "ground": GROUND}[target]


def _mean_of_samples(samples: Array, s: int) -> Array:
    """Means of the last two axes' s x s cells."""
    parts = [samples[..., i::s, j::s] for i in range(s) for j in range(s)]
    return sum(parts[1:], parts[0]) * np.float32(1 / (s * s))


def _encode(display: Array, shape: tuple[int, ...], supersample: int) -> Array:
    mean = _mean_of_samples(display.reshape(3, *shape), supersample)
    return np.ascontiguousarray((mean * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0))


def _sample_angle(camera: Camera, height: int, width: int, supersample: int) -> float:
    """The angle between neighbouring samples in the middle of the picture."""
    return 2 * math.tan(camera.fov / 2) / (min(height, width) * supersample)


def render(
    scene: Scene, camera: Camera, height: int, width: int, supersample: int = 2
) -> Rendering:
    """Traces and shades a picture with `supersample` squared samples a pixel."""
    return _render(scene, camera, height, width, supersample, None)


def _render(
    scene: Scene,
    camera: Camera,
    height: int,
    width: int,
    supersample: int,
    before: Rendering | None,
) -> Rendering:
    grid = (height * supersample, width * supersample)
    origin, rays = camera_rays(camera, *grid) if before is None else _rays_of(before)
    hits, traced = _trace(scene, origin, rays, {} if before is None else before._traced)
    obstructions = Obstructions(hits, None if before is None else before._obstructions)
    diffuse, specular = light(scene, hits, obstructions)
    if scene.look.noise > 0:
        rng = np.random.default_rng(scene.look.noise_seed)
        draws: Array = rng.standard_normal((rays.shape[1],), np.float32)
        grain = 1 + scene.look.noise * draws
        grain[hits.ids == BACKGROUND] = 1
        diffuse *= np.maximum(grain, 0.1)
    angle = _sample_angle(camera, height, width, supersample)
    linear = specular.copy()
    targets: list[int | str] = [*range(len(scene.things)), "ground", "background"]
    for target in targets:
        where = np.flatnonzero(hits.ids == id_of(target))
        if where.size:
            albedo = _albedo(scene, target, surface_of(scene, target), hits, where, angle)
            linear[:, where] += albedo * diffuse[:, where]
    display = view_transform(linear, scene.look)
    return Rendering(
        _encode(display, grid, supersample),
        hits.ids.reshape(grid),
        supersample,
        scene,
        camera,
        hits,
        traced,
        obstructions,
        diffuse,
        specular,
        display,
    )


def depth(scene: Scene, camera: Camera, height: int, width: int) -> Array:
    """How far along the camera's axis the nearest surface lies in the pixels' centres, in metres;
    float32 (H, W), 0 where there is none.
    """
    origin, rays = camera_rays(camera, height, width)
    distance = _trace(scene, origin, rays, {})[0].depth
    ahead = np.subtract(camera.target, camera.position)
    cosine = (ahead / np.linalg.norm(ahead)) @ rays
    along = np.where(np.isfinite(distance), distance * cosine, 0)
    return along.astype(np.float32).reshape(height, width)


def _trace(
    scene: Scene, origin: Array, rays: Array, known: dict[tuple[object, ...], _Traced]
) -> tuple[Hits, dict[tuple[object, ...], _Traced]]:
    """What rays hit, and every thing's own hits by its form; those in `known` are taken over."""
    samples = rays.shape[1]
    hits = Hits(
        origin,
        rays,
        np.full(samples, np.inf, np.float32),
        np.full(samples, BACKGROUND, np.uint8),
        np.zeros((3, samples), np.float32),
    )
    if scene.ground is not None:
        _trace_ground(scene.ground.extent, scene.ground.yaw, hits)
    traced: dict[tuple[object, ...], _Traced] = {}
    for index, thing in enumerate(scene.things):
        form = form_of(thing)
        traced[form] = found = known.get(form) or _trace_thing(thing, origin, rays)
        nearer = found.depth < hits.depth[found.samples]
        where = found.samples[nearer]
        hits.depth[where] = found.depth[nearer]
        hits.ids[where] = FIRST_THING + index
        hits.normals[:, where] = found.normals[:, nearer]
    return hits, traced


def _rays_of(rendering: Rendering) -> tuple[Array, Array]:
    return rendering._hits.origin, rendering._hits.rays


def _trace_ground(extent: float | None, yaw: float, hits: Hits) -> None:
    """Enters the ground into the hits."""
    origin, rays = hits.origin, hits.rays
    down = -rays[2]
    t = np.where(down > 1e-5, origin[2] / np.maximum(down, 1e-5), np.float32(np.inf))
    hit = t < 400
    if extent is not None:
        with np.errstate(invalid="ignore"):
            x = origin[0] + t * rays[0]
            y = origin[1] + t * rays[1]
            c, s = math.cos(yaw), math.sin(yaw)
            hit &= np.maximum(np.abs(c * x + s * y), np.abs(c * y - s * x)) < extent
    hits.depth[hit] = t[hit]
    hits.ids[hit] = GROUND
    hits.normals[2, hit] = 1


def _trace_thing(thing: Thing, origin: Array, rays: Array) -> _Traced:
    """Walks the rays to the thing's surface, whatever stands before it."""
    sdf, bound = distance_function(thing)
    rotation = np.array(thing.rotation, np.float32)
    size = np.float32(thing.size)
    offset = origin - np.array(thing.position, np.float32)
    chosen, near, far = through_ball(bound * thing.size, offset[:, None], rays)
    local_origin = turned(rotation.T, offset[:, None]) / size
    local_rays = turned(rotation.T, rays[:, chosen])
    t, end = near / size, far / size
    found = np.zeros(len(chosen), bool)
    live = np.arange(len(chosen))
    directions = local_rays
    for _ in range(64):
        if not len(live):
            break
        here = t[live]
        step = sdf(local_origin + here * directions)
        done = step < 1e-3
        found[live[done]] = True
        here += step
        t[live] = here
        keep = ~done & (here < end[live])
        if not keep.all():
            live, directions = live[keep], directions[:, keep]
    chosen, t, local_rays = chosen[found], t[found], local_rays[:, found]
    normal = _gradient(sdf, local_origin + t * local_rays)
    if thing.flat_shaded and thing.shape != "cube":
        normal = _faceted(normal, 32, 0 if thing.shape in ("cone", "cylinder") else 16)
    return _Traced(chosen, t * size, turned(rotation, normal))


def _gradient(sdf: Callable[[Array], Array], point: Array) -> Array:
    h = np.float32(2e-3)
    gradient = np.zeros_like(point)
    for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        k = np.array(corner, np.float32)[:, None]
        gradient += k * sdf(point + h * k)
    return gradient / np.maximum(length(gradient), 1e-9)


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


def _albedo(
    scene: Scene, target: int | str, surface: Surface, hits: Hits, where: Array, angle: float
) -> Array:
    """The surface's reflectance at samples `where`, all of which show the target, float32 (3, n),
    or (3, 1) without a pattern. `angle` is that between neighbouring samples.
    """
    base = np.array(surface.albedo, np.float32)[:, None]
    if surface.pattern is None:
        return base
    view = hits.rays[:, where]
    if target == "background":
        point, normal, covered = view, -view, np.full(where.size, angle, np.float32)
        axes = np.eye(3, dtype=np.float32)
    else:
        point, normal = hits.points(where), hits.normals[:, where]
        covered = hits.depth[where] * np.float32(angle)
        axes = np.eye(3, dtype=np.float32)
        if isinstance(target, int):
            thing = scene.things[target]
            axes = np.array(thing.rotation, np.float32)
            point = point - np.array(thing.position, np.float32)[:, None]
            point = turned(axes.T, point) / np.float32(thing.size)
            covered = covered / np.float32(thing.size)
    facing = np.minimum(
        normal[0] * view[0] + normal[1] * view[1] + normal[2] * view[2], np.float32(-0.02)
    )

    def width_along(axis: tuple[float, float, float]) -> Array:
        # A sample's square, seen along `view` and laid onto the surface, reaches this far along the
        # axis: |a - n (a.v) / (n.v)| times its side.
        ax, ay, az = axes @ np.array(axis, np.float32)
        along_view = ax * view[0] + ay * view[1] + az * view[2]
        along_normal = ax * normal[0] + ay * normal[1] + az * normal[2]
        lean = along_view / facing
        return covered * np.sqrt(np.maximum(1 - 2 * along_normal * lean + lean * lean, 0))

    share = second_share(surface.pattern, point, width_along)
    return base + (np.array(surface.pattern.albedo, np.float32)[:, None] - base) * share
