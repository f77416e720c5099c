"""The demo's own scene: painted toys on a round table, which the instruction is about one of.

Colours are linear Rec. 709, lengths metres, z is up.
"""

import math

import bpy
from building import Colour, add_shape, aim, in_window, material, put_on_ground
from mathutils import Vector
from scenes import OBJECT_INDEX, DemoScene

INSTRUCTION = "turn the yellow cube purple"
YELLOW: Colour = (0.85, 0.68, 0.02)
RED: Colour = (0.70, 0.02, 0.02)
CYAN: Colour = (0.02, 0.58, 0.62)
PINK: Colour = (0.85, 0.25, 0.48)
WHITE: Colour = (0.85, 0.85, 0.85)
TABLE: Colour = (0.72, 0.66, 0.57)
SKY: Colour = (0.35, 0.46, 0.55)
SHARP = math.radians(40)
"""Edges that turn by more are rounded."""


def build(size: int, samples: int) -> DemoScene:
    """Replace the open file's content by the still life, rendered by Cycles.

    Args:
        size: width and height of its render in pixels.
        samples: Cycles samples a pixel.
    """
    bpy.ops.wm.read_homefile(use_empty=True)
    with in_window():
        return _fill(bpy.context.scene, size, samples)


def _fill(scene: bpy.types.Scene, size: int, samples: int) -> DemoScene:
    scene.name = "Demo"
    cube = _toy("cube", "cube", YELLOW, (-0.62, 0.30, 0.0), 0.8, turn=0.38, rounded=0.12)
    toys = (
        cube,
        _toy("white ball", "sphere", WHITE, (-0.62, 0.30, 1.28), 0.38, roughness=0.25),
        _toy("red ball", "sphere", RED, (0.78, -0.62, 0.0), 0.52, roughness=0.22),
        _toy("cone", "cone", CYAN, (0.82, 0.72, 0.0), 0.86, stretch=1.2, rounded=0.08),
        _toy("ring", "torus", PINK, (-0.62, -1.10, 0.0), 0.58),
    )
    for number, toy in enumerate(toys):
        toy.pass_index = OBJECT_INDEX + number
    table = _toy("table", "cylinder", TABLE, (0.0, 0.0, 0.0), 2.6, stretch=0.034, rounded=0.01)
    table.location.z = -0.034 * 2.6  # its top is the ground
    _light(scene)
    _camera(scene)
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = size
    render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"  # painted toys keep their bright colours
    scene.cycles.samples = samples
    scene.cycles.use_denoising = False  # the bpy module comes without a denoiser
    scene.cycles.max_bounces = 3
    scene.cycles.sample_clamp_indirect = 3
    scene.cycles.adaptive_threshold = 0.02
    bpy.ops.object.select_all(action="DESELECT")
    cube.select_set(True)
    bpy.context.view_layer.objects.active = cube
    names = (
        ("yellow", "cube"),
        ("white", "ball"),
        ("red", "ball"),
        ("cyan", "cone"),
        ("pink", "ring"),
    )
    return DemoScene(None, names, INSTRUCTION, scene)


def _toy(
    name: str,
    shape: str,
    colour: Colour,
    place: tuple[float, float, float],
    size: float,
    stretch: float = 1.0,
    turn: float = 0.0,
    rounded: float = 0.0,
    roughness: float = 0.35,
) -> bpy.types.Object:
    """An object whose lowest point is at `place`, its edges rounded by `rounded` of its size."""
    toy = add_shape(shape, stretch=stretch)
    toy.name = name
    if rounded:
        bevel = toy.modifiers.new("rounded", "BEVEL")
        bevel.width, bevel.segments = rounded, 4
        bevel.limit_method, bevel.angle_limit = "ANGLE", SHARP
        bpy.ops.object.modifier_apply(modifier=bevel.name)
        bpy.ops.object.shade_smooth_by_angle(angle=SHARP)
    toy.data.materials.append(material(name, colour, roughness))
    toy.scale = (size, size, size)
    toy.rotation_euler.z = turn
    toy.location = place
    put_on_ground(toy)
    toy.location.z += place[2]
    bpy.context.view_layer.update()
    return toy


def _light(scene: bpy.types.Scene) -> None:
    """A large warm lamp from the left, a weak cool one from the right, and a plain sky."""
    for name, place, size, energy, colour in (
        ("key", (-3.5, -3.0, 4.5), 3.0, 380, (1.0, 0.96, 0.90)),
        ("fill", (4.0, -2.0, 2.5), 4.0, 90, (0.85, 0.92, 1.0)),
    ):
        lamp = bpy.data.objects.new(name, bpy.data.lights.new(name, "AREA"))
        scene.collection.objects.link(lamp)
        lamp.data.size, lamp.data.energy, lamp.data.color = size, energy, colour
        lamp.location = place
        aim(lamp, Vector((0, 0, 0.5)))
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (*SKY, 1)
    scene.world = world


def _camera(scene: bpy.types.Scene) -> None:
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.lens = 80
    middle, distance = Vector((0.0, -0.1, 0.58)), 10.2
    azimuth, elevation = math.radians(-80), math.radians(21)
    level = math.cos(elevation)
    camera.location = middle + distance * Vector(
        (math.cos(azimuth) * level, math.sin(azimuth) * level, math.sin(elevation))
    )
    aim(camera, middle)
    bpy.context.view_layer.update()
