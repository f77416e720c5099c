"""Samples in which two things far apart are to change, the same words meaning both."""

import dataclasses
import math

import numpy as np
from scipy.ndimage import label

from backend.world import instructions, naming, render, sampling, world
from backend.world.cameras import orbit_camera
from backend.world.pool import Sample

REACH = (1.8, 2.8)
"""Metres of the two from the middle, where everything else stands."""
SEEN = 0.003
"""Share of the picture that each of the two covers at least."""


def draw_apart(seeds: range, count: int, size: int) -> list[Sample]:
    """The first `count` samples, of pictures of `size` pixels a side: a scene of these seeds whose
    first thing stands twice, far out on two sides, and is asked to take another colour.
    """
    found: list[Sample] = []
    for seed in seeds:
        if len(found) >= count:
            break
        rng = np.random.default_rng([seed, 3])
        scene, camera = sampling.sample_scene(rng)
        edit = instructions.sample_recolouring(rng, scene, 0)
        reach, turn = rng.uniform(*REACH), rng.uniform(0, 2 * math.pi)
        one, fov = scene.things[0], camera.fov
        away = turn + math.pi / 2 + rng.uniform(-math.pi / 4, math.pi / 4)
        x, y = reach * math.cos(away), reach * math.sin(away)
        height = one.position[2]
        here, there = (
            dataclasses.replace(one, position=(side * x, side * y, height)) for side in (1, -1)
        )
        things = (here, *scene.things[1:], there)
        scene = dataclasses.replace(scene, things=things)
        distance = (reach + one.size * max(1.0, one.stretch)) / (0.85 * math.tan(fov / 2))
        camera = orbit_camera(turn, rng.uniform(0.45, 0.9), distance, (0.0, 0.0, 0.3), fov)
        picture = render.render(scene, camera, size, size)
        both = (0, len(things) - 1)
        after = scene
        for number in both:
            surface = world.painted(one.surface, str(edit.colour))
            after = world.with_surface(after, number, surface)
        mask = picture.share(np.isin(picture.ids, [render.id_of(number) for number in both]))
        seen = [picture.coverage(number).mean() for number in both]
        if min(seen) < SEEN or label(mask > 0.5)[1] != 2:
            continue
        own = np.stack([picture.coverage(number) for number in range(len(things))])
        captions = naming.captions(scene, edit, list(range(len(things))))
        edited = picture.of(after).image
        found.append(Sample(picture.image, edited, mask, own, edit, scene, camera, captions))
    return found
