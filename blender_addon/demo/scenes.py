"""Small scenes that the demo builds in Blender, and the true masks of their objects.

Colours are linear Rec. 709, lengths metres, z is up.
"""

import math
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

Colour = tuple[float, float, float]

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
SHAPES = ("ball", "cube", "cone", "cylinder", "ring", "monkey head")
COVERAGE = (0.26, 0.38)
"""Share of the frame that the object fills, as the subject of a picture does. The paper's clamp of
outliers takes a target far below a quarter of the frame for one, and lifts what is around it to the
same height; its masks of small targets are too large."""
OBJECT_INDEX = 1
"""Pass index of the object that the instruction names; everything else has 0."""


@dataclass(frozen=True)
class DemoScene:
    """A scene with one object on the ground, and an instruction that names it.

    Attributes:
        seed: what it was drawn from.
        shape, colour: the object's words.
        instruction: asks for another colour of the object.
        scene: the Blender scene, with an active camera.
    """

    seed: int
    shape: str
    colour: str
    instruction: str
    scene: bpy.types.Scene


def build(seed: int, size: int, samples: int) -> DemoScene:
    """Replace the open file's content by a scene drawn from `seed`, rendered by Cycles.

    Args:
        seed: fixes shape, colours, light and camera.
        size: width and height of its render in pixels.
        samples: Cycles samples a pixel.
    """
    bpy.ops.wm.read_homefile(use_empty=True)
    rng = random.Random(seed)
    scene = bpy.context.scene
    scene.name = "Demo"
    shape = rng.choice(SHAPES)
    colour, new_colour = rng.sample(sorted(COLOURS), 2)
    thing = _add(shape, rng)
    thing.name = shape
    thing.pass_index = OBJECT_INDEX
    thing.data.materials.append(_material(shape, COLOURS[colour], rng.uniform(0.25, 0.6)))
    bpy.ops.mesh.primitive_plane_add(size=200)
    bpy.context.object.name = "ground"
    bpy.context.object.data.materials.append(_material("ground", rng.choice(GROUNDS), 0.8))
    _light(scene, rng)
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = size
    render.resolution_percentage = 100
    scene.cycles.samples = samples
    scene.cycles.use_denoising = False  # the bpy module comes without a denoiser
    scene.cycles.seed = seed
    _camera(scene, thing, rng)
    return DemoScene(seed, shape, colour, f"turn the {colour} {shape} {new_colour}", scene)


def _add(shape: str, rng: random.Random) -> bpy.types.Object:
    """The object, on the ground and turned at random."""
    add = bpy.ops.mesh
    if shape == "ball":
        add.primitive_uv_sphere_add(radius=1, segments=64, ring_count=32)
    elif shape == "cube":
        add.primitive_cube_add(size=1.6)
    elif shape == "cone":
        add.primitive_cone_add(radius1=1, depth=2.2, vertices=96)
    elif shape == "cylinder":
        add.primitive_cylinder_add(radius=0.85, depth=1.9, vertices=96)
    elif shape == "ring":
        add.primitive_torus_add(
            major_radius=0.9, minor_radius=0.32, major_segments=96, minor_segments=32
        )
    else:
        add.primitive_monkey_add(size=2)
    thing = bpy.context.object
    if shape in ("ball", "ring"):
        bpy.ops.object.shade_smooth()
    elif shape == "monkey head":
        thing.modifiers.new("smooth", "SUBSURF").render_levels = 2
        bpy.ops.object.shade_smooth()
    elif shape in ("cone", "cylinder"):
        bpy.ops.object.shade_smooth_by_angle(angle=math.radians(40))
    thing.rotation_euler.z = rng.uniform(-0.6, 0.6)
    bpy.context.view_layer.update()
    thing.location.z -= min((thing.matrix_world @ v.co).z for v in thing.data.vertices)
    return thing


def _material(name: str, colour: Colour, roughness: float) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    surface = material.node_tree.nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*colour, 1)
    surface.inputs["Roughness"].default_value = roughness
    material.diffuse_color = (*colour, 1)
    return material


def _light(scene: bpy.types.Scene, rng: random.Random) -> None:
    """A soft lamp from one side, and a plain sky."""
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "AREA"))
    scene.collection.objects.link(lamp)
    lamp.data.energy = rng.uniform(450, 800)
    lamp.data.size = rng.uniform(1.0, 3.0)
    lamp.location = (rng.choice((-1, 1)) * rng.uniform(1.5, 3.5), rng.uniform(-3.5, -1), 4.5)
    _aim(lamp, Vector((0, 0, 0.8)))
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs["Color"].default_value = (*rng.choice(SKIES), 1)
    scene.world = world


def _camera(scene: bpy.types.Scene, thing: bpy.types.Object, rng: random.Random) -> None:
    """A camera that looks slightly down on the object from the front, as far away as it takes for
    the object to fill its share of the frame.
    """
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.lens = rng.choice((35, 50, 70))
    azimuth, elevation = rng.uniform(-2.2, -0.95), rng.uniform(0.3, 0.7)
    direction = Vector(
        (
            math.cos(azimuth) * math.cos(elevation),
            math.sin(azimuth) * math.cos(elevation),
            math.sin(elevation),
        )
    )
    centre = Vector((0, 0, thing.dimensions.z / 2))
    off_centre = Vector((rng.uniform(-0.15, 0.15), 0, rng.uniform(-0.1, 0.1)))
    wanted = rng.uniform(*COVERAGE)
    distance = 6.0 * camera.data.lens / 50
    for _ in range(3):
        camera.location = centre + distance * direction
        _aim(camera, centre + off_centre)
        distance *= math.sqrt(true_mask(scene, 64, 64).mean() / wanted)
    camera.location = centre + distance * direction
    _aim(camera, centre + off_centre)


def _aim(thing: bpy.types.Object, target: Vector) -> None:
    thing.rotation_euler = (target - thing.location).to_track_quat("-Z", "Y").to_euler()


def true_mask(scene: bpy.types.Scene, width: int, height: int) -> NDArray[np.bool_]:
    """Where the camera sees the named object: bool (height, width), row 0 at the top.

    Cycles' own object index pass, one sample through every pixel's centre. Only the scene's
    compositor and render settings are touched, and put back.
    """
    layer, render = scene.view_layers[0], scene.render
    before = (scene.cycles.samples, scene.cycles.pixel_filter_type, scene.use_nodes)
    size = (render.resolution_x, render.resolution_y, render.resolution_percentage)
    layer.use_pass_object_index = True
    scene.use_nodes = True
    nodes, links = scene.node_tree.nodes, scene.node_tree.links
    source = nodes.new("CompositorNodeRLayers")
    output = nodes.new("CompositorNodeOutputFile")
    try:
        with tempfile.TemporaryDirectory() as folder:
            output.base_path = folder
            output.format.file_format = "OPEN_EXR"
            output.format.color_depth = "32"
            output.file_slots[0].path = "index"
            links.new(source.outputs["IndexOB"], output.inputs[0])
            scene.cycles.samples, scene.cycles.pixel_filter_type = 1, "BOX"
            render.resolution_x, render.resolution_y, render.resolution_percentage = (
                width,
                height,
                100,
            )
            bpy.ops.render.render(scene=scene.name)
            (file,) = Path(folder).glob("index*.exr")
            image = bpy.data.images.load(str(file))
            pixels = np.empty(width * height * image.channels, np.float32)
            image.pixels.foreach_get(pixels)
            bpy.data.images.remove(image)
    finally:
        nodes.remove(source)
        nodes.remove(output)
        layer.use_pass_object_index = False
        scene.cycles.samples, scene.cycles.pixel_filter_type, scene.use_nodes = before
        render.resolution_x, render.resolution_y, render.resolution_percentage = size
    index = pixels.reshape(height, width, -1)[::-1, :, 0]
    return np.abs(index - OBJECT_INDEX) < 0.5
