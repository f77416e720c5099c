"""Small scenes that the demo builds in Blender, and the true masks of their objects.

Colours are linear Rec. 709, lengths metres, z is up.
"""

import math
import random
from dataclasses import dataclass

import bpy
import numpy as np
from building import Colour, add_shape, aim, material, mottle, put_on_ground
from mathutils import Vector
from numpy.typing import NDArray
from truth import object_indices

COLOURS: dict[str, Colour] = {
    "red": (0.60, 0.02, 0.02),
    "orange": (0.80, 0.20, 0.01),
    "yellow": (0.80, 0.58, 0.02),
    "green": (0.03, 0.33, 0.05),
    "cyan": (0.02, 0.50, 0.55),
    "blue": (0.02, 0.07, 0.60),
    "purple": (0.22, 0.02, 0.42),
}
GROUNDS: tuple[Colour, ...] = (
    (0.35, 0.33, 0.30),
    (0.55, 0.52, 0.48),
    (0.20, 0.21, 0.23),
    (0.30, 0.22, 0.15),
    (0.42, 0.45, 0.48),
)
SKIES: tuple[Colour, ...] = (
    (0.05, 0.05, 0.05),
    (0.45, 0.50, 0.58),
    (0.60, 0.58, 0.55),
    (0.18, 0.22, 0.30),
)
SHAPES = {
    "ball": "sphere",
    "cube": "cube",
    "cone": "cone",
    "cylinder": "cylinder",
    "ring": "torus",
    "monkey head": "monkey",
}
"""The instruction's words, and what they are called in `building.add_shape`."""
MOTTLED, MOTTLE_SIZE = 0.6, 0.6
"""The ground's variation: of a plain one, no view could tell how far away it is."""
MOST_THINGS = 3
APART = 2.2
"""Least distance between the middles of two objects."""
SMALLEST_SHARE = 0.03
"""Of the frame, which the named object covers at least; another scene is drawn where others hide
it."""
OBJECT_INDEX = 1
"""Pass index of the object that the instruction names; the other objects have higher ones."""


@dataclass(frozen=True)
class DemoScene:
    """A scene with one to three objects on the ground, and an instruction that names one of them.

    Attributes:
        seed: what it was drawn from; None: the still life.
        things: colour and shape of each object in words; the named one comes first.
        instruction: asks for another colour of it.
        scene: the Blender scene, with an active camera.
    """

    seed: int | None
    things: tuple[tuple[str, str], ...]
    instruction: str
    scene: bpy.types.Scene


def build(seed: int, size: int, samples: int) -> DemoScene:
    """Replace the open file's content by a scene drawn from `seed`, rendered by Cycles.

    Args:
        seed: fixes objects, colours, light and camera.
        size: width and height of its render in pixels.
        samples: Cycles samples a pixel.
    """
    rng = random.Random(seed)
    while True:
        demo = _build(seed, rng, size, samples)
        if true_mask(demo.scene, 64, 64).mean() >= SMALLEST_SHARE:
            return demo


def _build(seed: int, rng: random.Random, size: int, samples: int) -> DemoScene:
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    scene.name = "Demo"
    count = rng.randint(1, MOST_THINGS)
    *colours, new_colour = rng.sample(sorted(COLOURS), count + 1)
    names = tuple((colour, rng.choice(sorted(SHAPES))) for colour in colours)
    places = _places(rng, count)
    things = [
        _add(shape, COLOURS[colour], place, rng)
        for (colour, shape), place in zip(names, places, strict=True)
    ]
    for number, thing in enumerate(things):
        thing.pass_index = OBJECT_INDEX + number
    bpy.ops.mesh.primitive_plane_add(size=200)
    bpy.context.object.name = "ground"
    colour = rng.choice(GROUNDS)
    earth = material("ground", colour, 0.8)
    mottle(earth, colour, MOTTLED, MOTTLE_SIZE)
    bpy.context.object.data.materials.append(earth)
    _light(scene, rng)
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = size
    render.resolution_percentage = 100
    scene.cycles.samples = samples
    scene.cycles.use_denoising = False  # the bpy module comes without a denoiser
    scene.cycles.seed = seed
    _camera(scene, things, rng)
    colour, shape = names[0]
    return DemoScene(seed, names, f"turn the {colour} {shape} {new_colour}", scene)


def _places(rng: random.Random, count: int) -> list[Vector]:
    """Places on the ground around the origin, far enough from each other."""
    while True:
        reach = 0.6 + 0.7 * (count - 1)
        places = [Vector((rng.uniform(-reach, reach), rng.uniform(-1, 1), 0)) for _ in range(count)]
        apart = [(a - b).length for i, a in enumerate(places) for b in places[:i]]
        if min(apart, default=APART) >= APART:
            return places


def _add(shape: str, colour: Colour, place: Vector, rng: random.Random) -> bpy.types.Object:
    """An object on the ground, turned a little."""
    thing = add_shape(SHAPES[shape], stretch=rng.uniform(0.9, 1.2))
    thing.name = shape
    thing.data.materials.append(material(shape, colour, rng.uniform(0.25, 0.6)))
    thing.location = place
    thing.rotation_euler.z = rng.uniform(-0.6, 0.6)
    put_on_ground(thing)
    return thing


def _light(scene: bpy.types.Scene, rng: random.Random) -> None:
    """A soft lamp from one side, and a plain sky."""
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "AREA"))
    scene.collection.objects.link(lamp)
    lamp.data.energy = rng.uniform(450, 800)
    lamp.data.size = rng.uniform(1.0, 3.0)
    lamp.location = (rng.choice((-1, 1)) * rng.uniform(1.5, 3.5), rng.uniform(-3.5, -1), 4.5)
    aim(lamp, Vector((0, 0, 0.8)))
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (*rng.choice(SKIES), 1)
    scene.world = world


def _camera(scene: bpy.types.Scene, things: list[bpy.types.Object], rng: random.Random) -> None:
    """A camera that looks slightly down on all objects from the front; one alone is seen from
    nearer or farther.
    """
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.lens = rng.choice((35, 50, 70))
    bpy.context.view_layer.update()
    corners = [thing.matrix_world @ Vector(c) for thing in things for c in thing.bound_box]
    centre = sum(corners, Vector()) / len(corners)
    radius = max((corner - centre).length for corner in corners)
    filled = rng.uniform(0.5, 1.0) if len(things) == 1 else rng.uniform(0.9, 1.1)
    distance = radius / (filled * math.tan(camera.data.angle / 2))
    azimuth, elevation = rng.uniform(-2.2, -0.95), rng.uniform(0.3, 0.7)
    direction = Vector(
        (
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        )
    )
    camera.location = centre + distance * direction
    aim(camera, centre + Vector((rng.uniform(-0.15, 0.15), 0, rng.uniform(-0.1, 0.1))))
    bpy.context.view_layer.update()


def true_mask(scene: bpy.types.Scene, width: int, height: int) -> NDArray[np.bool_]:
    """Where the camera sees the named object: bool (height, width), row 0 at the top."""
    return object_indices(scene, width, height) == OBJECT_INDEX
