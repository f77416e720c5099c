"""The light at every sample of a picture: sky, lamps, soft shadows, highlights."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from backend.world.shapes import distance_function, dot, form_of, length, turned
from backend.world.world import Light, Scene, Thing

Array = np.ndarray
BACKGROUND, GROUND, FIRST_THING = 0, 1, 2
"""What a sample shows; thing i of the scene has FIRST_THING + i."""


@dataclass
class Hits:
    """Where the camera's rays end.

    origin  float32 (3,)
    rays    float32 (3, samples), unit directions
    depth   float32 (samples,), inf where nothing is hit
    ids     uint8 (samples,)
    normals float32 (3, samples), 0 where nothing is hit
    """

    origin: Array
    rays: Array
    depth: Array
    ids: Array
    normals: Array

    def points(self, where: Array) -> Array:
        """Where the samples with these indices end, float32 (3, n)."""
        return self.origin[:, None] + self.depth[where] * self.rays[:, where]


class Obstructions:
    """What each thing leaves of each light, float32 (samples,), kept so that the picture of a
    changed scene only works out what the change can have changed.
    """

    def __init__(self, hits: Hits, before: Obstructions | None = None) -> None:
        self._known: dict[Hashable, Array] = {}
        self._before = {} if before is None else before._known
        self._depth = hits.depth
        same = None if before is None else before._depth == hits.depth
        self._new = np.ones(hits.depth.size, bool) if same is None else ~same

    def factor(self, key: Hashable, where: Array, compute: Callable[[Array], Array]) -> Array:
        """The factors at samples `where`; `compute` gives those of samples it is handed."""
        factor = self._before.get(key)
        if factor is None:
            factor = np.ones(self._depth.size, np.float32)
            todo = where
        else:
            factor, todo = factor.copy(), where[self._new[where]]
        if todo.size:
            factor[todo] = compute(todo)
        self._known[key] = factor
        return factor[where]


def light(scene: Scene, hits: Hits, obstructions: Obstructions) -> tuple[Array, Array]:
    """Diffuse and specular light of every sample, float32 (3, samples) each: what a white surface
    would reflect, and what comes on top of any colour.
    """
    diffuse = np.zeros((3, hits.ids.size), np.float32)
    specular = np.zeros_like(diffuse)
    sky = hits.ids == BACKGROUND
    rise = np.clip(hits.rays[2, sky] / np.float32(0.7), 0, 1)
    diffuse[:, sky] = scene.background.low + (scene.background.high - scene.background.low) * rise
    hit = np.flatnonzero(~sky)
    if not hit.size:
        return diffuse, specular
    normal, view, number = hits.normals[:, hit], hits.rays[:, hit], hits.ids[hit]
    facing = -dot(normal, view)
    point = _above_surface(hits, hit)

    open_sky = _openness(scene, hits, hit, point, obstructions)
    ambient = np.array(scene.ambient, np.float32)[:, None]
    lit_by_all = ambient * ((np.float32(0.68) + np.float32(0.32) * normal[2]) * open_sky)
    roughness = np.full(FIRST_THING + len(scene.things), 1.0, np.float32)
    shine = np.zeros_like(roughness)
    surfaces = [(FIRST_THING + i, t.surface) for i, t in enumerate(scene.things)]
    if scene.ground is not None:
        surfaces.append((GROUND, scene.ground.surface))
    for which, surface in surfaces:
        roughness[which], shine[which] = surface.roughness, surface.specular
    exponent = np.clip(2 / roughness**4 - 2, 1, 900)[number]
    gloss = (np.float32(0.04) * shine)[number]
    fresnel = gloss * 4 * np.clip(1 - facing, 0, 1) ** 5 * (1 - roughness[number])
    gleam = ambient * (fresnel + gloss) * open_sky
    for index, lamp in enumerate(scene.lights):
        colour = np.array(lamp.colour, np.float32)[:, None]
        toward, _, strength = _toward(lamp, point)
        lambert = dot(normal, toward)
        lit = np.clip((lambert + lamp.wrap) / (1 + lamp.wrap), 0, None) * strength
        if lamp.shadow:
            faces = np.flatnonzero(lambert > 0)
            lit[faces] *= _arrives(scene, index, lamp, hits, hit[faces], obstructions)
        glossy = np.flatnonzero((gloss > 0) & (lit > 0))
        if glossy.size:
            half = toward[:, glossy] - view[:, glossy]
            half /= np.maximum(length(half), 1e-6)
            power = exponent[glossy]
            highlight = np.clip(dot(normal[:, glossy], half), 0, 1) ** power
            shining = lit[glossy] * gloss[glossy] * np.minimum((power + 8) / 8, 30) * highlight
            gleam[:, glossy] += colour * shining
        lit_by_all = lit_by_all + colour * lit
    diffuse[:, hit], specular[:, hit] = lit_by_all, gleam
    return diffuse, specular


def _above_surface(hits: Hits, where: Array) -> Array:
    return hits.points(where) + hits.normals[:, where] * np.float32(2e-3)


def _toward(lamp: Light, point: Array) -> tuple[Array, Array, Array | float]:
    """Unit direction to the light, distance to it, and its strength there (a point's is `strength`
    at the origin).
    """
    position = np.array(lamp.position, np.float32)[:, None]
    if not lamp.point:
        toward = np.broadcast_to(position / length(position), point.shape)
        return toward, np.full(point.shape[1], 1e3, np.float32), lamp.strength
    offset = position - point
    reach = np.maximum(length(offset), 1e-3)
    return offset / reach, reach, lamp.strength * (float((position**2).sum()) / reach**2)


def _openness(
    scene: Scene, hits: Hits, where: Array, point: Array, obstructions: Obstructions
) -> Array:
    """Share of the sky that other things leave, by the ball around each (Quilez, sphere ambient
    occlusion).
    """
    openness = np.ones(where.size, np.float32)
    if scene.occlusion <= 0:
        return openness
    strength = np.float32(scene.occlusion)
    for index, thing in enumerate(scene.things):

        def left(samples: Array, thing: Thing = thing, number: int = FIRST_THING + index) -> Array:
            offset = np.array(thing.position, np.float32)[:, None] - _above_surface(hits, samples)
            distance = length(offset) + np.float32(1e-6)
            share = np.clip(dot(hits.normals[:, samples], offset) / distance, 0, 1)
            share *= np.minimum((np.float32(0.8 * thing.size) / distance) ** 2, 1)
            share[hits.ids[samples] == number] = 0
            return 1 - strength * share

        openness *= obstructions.factor((form_of(thing), "sky"), where, left)
    if scene.ground is not None:  # a thing near the ground gets less light from below
        near = np.clip(1 - point[2], 0, 1) * np.clip(-hits.normals[2, where], 0, 1)
        near[hits.ids[where] == GROUND] = 0
        openness *= 1 - np.float32(0.7) * strength * near
    return openness


def _arrives(
    scene: Scene, index: int, lamp: Light, hits: Hits, where: Array, obstructions: Obstructions
) -> Array:
    """How much of the lamp's light the things let through, 0..1."""
    arrives = np.ones(where.size, np.float32)
    for i, thing in enumerate(scene.things):

        def left(samples: Array, thing: Thing = thing, number: int = FIRST_THING + i) -> Array:
            own = hits.ids[samples] == number
            return _shadow(thing, lamp, _above_surface(hits, samples), own)

        arrives *= obstructions.factor((form_of(thing), index), where, left)
    return arrives


def _shadow(thing: Thing, lamp: Light, point: Array, own: Array) -> Array:
    """How much of the light one thing lets through to the points, 0..1: marched soft shadows
    (Aaltonen, Quilez). `own` says which points are the thing's own.
    """
    sdf, bound = distance_function(thing)
    toward, reach, _ = _toward(lamp, point)
    centre = np.array(thing.position, np.float32)
    offset = point - centre[:, None]
    radius = bound * thing.size + np.float32(lamp.softness) * length(offset)
    if thing.shape not in ("torus", "monkey"):  # a convex thing does not shadow itself
        radius = np.where(own, np.float32(0), radius)
    arrives = np.ones(point.shape[1], np.float32)
    chosen, near, end = through_ball(radius, offset, toward)
    if not chosen.size:
        return arrives
    rotation = np.array(thing.rotation, np.float32)
    size = np.float32(thing.size)
    start = turned(rotation.T, offset[:, chosen]) / size
    direction = turned(rotation.T, toward[:, chosen])
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
    arrives[chosen] = 0.25 * (1 + opening) ** 2 * (2 - opening)
    return arrives


def through_ball(
    radius: Array | float, offset: Array, directions: Array
) -> tuple[Array, Array, Array]:
    """Where rays, starting `offset` (3, N) from a ball's centre, enter and leave it: indices of
    those that do, and both distances.
    """
    along = -dot(offset, directions)
    room = np.asarray(radius, np.float32) ** 2 - (dot(offset, offset) - along * along)
    chosen = np.flatnonzero((room > 0) & (along + np.sqrt(np.maximum(room, 0)) > 0))
    half = np.sqrt(room[chosen])
    return chosen, np.maximum(along[chosen] - half, 0), along[chosen] + half
