"""Builds scenes in Blender that another program has described: the demo world's own test scenes.

A description is plain data with the field names of `backend/world/world.py` (z up, metres, linear
Rec. 709), as `python -m backend.evaluation.renders` writes it. What the world approximates, Blender
does in its own way: light that bounces, Principled materials, wood's grain, view transforms,
Workbench's studio lights.
"""

import math
import random
from typing import Any

import bpy
from building import add_shape, in_window, material
from mathutils import Matrix, Vector
from patterns import pattern_colour

GROUND_INDEX, FIRST_THING_INDEX = 1, 2
"""Pass indices, as the ids of the world's own renderer; thing i has FIRST_THING_INDEX + i."""
VIEWS = {"standard": "Standard", "agx": "AgX", "filmic": "Filmic"}
HORIZON = 400.0
"""Half width of a ground without an end."""
NOISY_SAMPLES, SAMPLES = 6, 16
BOUNCES = 4


def build(description: dict[str, Any], width: int, height: int) -> bpy.types.Scene:
    """Replace the open file's content by the described scene, ready to be rendered.

    Args:
        description: {"seed", "scene", "camera"}.
        width: of its renders in pixels.
        height: of its renders in pixels.

    Raises:
        KeyError, ValueError: the description names something that is not known here.
    """
    bpy.ops.wm.read_homefile(use_empty=True)
    with in_window():
        return _built(description, width, height)


def _built(description: dict[str, Any], width: int, height: int) -> bpy.types.Scene:
    """The same in the empty file that is open."""
    scene = bpy.context.scene
    world = description["scene"]
    for number, thing in enumerate(world["things"]):
        _thing(thing, number)
    if world["ground"] is not None:
        _ground(world["ground"])
    _background(scene, world["background"], world["ambient"])
    for light in world["lights"]:
        _light(scene, light)
    _camera(scene, description["camera"], width, height)
    scene.view_settings.view_transform = VIEWS[world["look"]["view"]]
    scene.view_settings.exposure = math.log2(world["look"]["exposure"])
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    scene.cycles.samples = NOISY_SAMPLES if world["look"]["noise"] else SAMPLES
    scene.cycles.max_bounces = BOUNCES
    scene.cycles.use_denoising = False  # the bpy module comes without a denoiser
    scene.cycles.seed = description["seed"] % 2**31
    _workbench(scene, random.Random(description["seed"]))
    return scene


def _thing(described: dict[str, Any], number: int) -> None:
    thing = add_shape(described["shape"], described["stretch"], described["flat_shaded"])
    thing.pass_index = FIRST_THING_INDEX + number
    thing.data.materials.append(_surface(f"thing {number}", described["surface"], "Object"))
    turn = Matrix(described["rotation"]).to_4x4()
    size = Matrix.Scale(described["size"], 4)
    thing.matrix_world = Matrix.Translation(described["position"]) @ turn @ size


def _ground(described: dict[str, Any]) -> None:
    bpy.ops.mesh.primitive_plane_add(size=2 * (described["extent"] or HORIZON))
    ground = bpy.context.object
    ground.name = "ground"
    ground.pass_index = GROUND_INDEX
    ground.rotation_euler.z = described["yaw"]
    ground.data.materials.append(_surface("ground", described["surface"], "World"))


def _surface(name: str, described: dict[str, Any], space: str) -> bpy.types.Material:
    """A material, its pattern in the "Object" or the "World" space."""
    albedo = tuple(described["albedo"])
    made = material(name, albedo, described["roughness"], described["specular"])
    if described["pattern"] is not None:
        nodes = made.node_tree.nodes
        if space == "Object":
            place = nodes.new("ShaderNodeTexCoord").outputs["Object"]
        else:
            place = nodes.new("ShaderNodeNewGeometry").outputs["Position"]
        colour = pattern_colour(made.node_tree, albedo, described["pattern"], place)
        made.node_tree.links.new(colour, nodes["Principled BSDF"].inputs["Base Color"])
    return made


def is_patterned(world: dict[str, Any]) -> bool:
    """Whether a described scene has a pattern anywhere, which Workbench does not show."""
    parts = [*world["things"], world["ground"], world["background"]]
    return any(part is not None and part["surface"]["pattern"] is not None for part in parts)


def _background(scene: bpy.types.Scene, described: dict[str, Any], ambient: list[float]) -> None:
    """What the camera sees behind everything, and the light that comes from all around: two
    colours, as with a sky behind which a studio's own light is set up.
    """
    made = bpy.data.worlds.new("sky")
    scene.world = made
    made.use_nodes = True
    nodes, links = made.node_tree.nodes, made.node_tree.links
    lit = nodes["Background"]
    lit.inputs["Color"].default_value = (*ambient, 1)
    seen = nodes.new("ShaderNodeBackground")
    place = nodes.new("ShaderNodeTexCoord")
    apart = nodes.new("ShaderNodeSeparateXYZ")
    rise = nodes.new("ShaderNodeMapRange")
    for name, value in (
        ("From Max", 0.7),
        ("To Min", described["low"]),
        ("To Max", described["high"]),
    ):
        rise.inputs[name].default_value = value
    albedo = tuple(described["surface"]["albedo"])
    seen.inputs["Color"].default_value = (*albedo, 1)
    if described["surface"]["pattern"] is not None:
        pattern, direction = described["surface"]["pattern"], place.outputs["Generated"]
        colour = pattern_colour(made.node_tree, albedo, pattern, direction)
        links.new(colour, seen.inputs["Color"])
    links.new(place.outputs["Generated"], apart.inputs[0])
    links.new(apart.outputs["Z"], rise.inputs["Value"])
    links.new(rise.outputs[0], seen.inputs["Strength"])
    path = nodes.new("ShaderNodeLightPath")
    chosen = nodes.new("ShaderNodeMixShader")
    links.new(path.outputs["Is Camera Ray"], chosen.inputs["Fac"])
    links.new(lit.outputs[0], chosen.inputs[1])
    links.new(seen.outputs[0], chosen.inputs[2])
    links.new(chosen.outputs[0], nodes["World Output"].inputs["Surface"])
    made.color = described["surface"]["albedo"]  # what Workbench shows


def _light(scene: bpy.types.Scene, described: dict[str, Any]) -> None:
    """A sun or a lamp; strength 1 makes a white surface that faces it white."""
    toward = Vector(described["position"])
    kind = "POINT" if described["point"] else "SUN"
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", kind))
    scene.collection.objects.link(lamp)
    lamp.location = toward
    lamp.rotation_euler = toward.to_track_quat("Z", "Y").to_euler()
    lamp.data.color = described["colour"]
    lamp.data.use_shadow = described["shadow"]
    if described["point"]:
        lamp.data.energy = described["strength"] * 4 * math.pi**2 * toward.length_squared
        lamp.data.shadow_soft_size = described["softness"] * toward.length / 2
    else:
        lamp.data.energy = described["strength"] * math.pi
        lamp.data.angle = described["softness"]


def _camera(scene: bpy.types.Scene, described: dict[str, Any], width: int, height: int) -> None:
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.data.clip_end = 4 * HORIZON
    if width < height:
        camera.data.sensor_fit = "HORIZONTAL"
        camera.data.angle_x = described["fov"]
    else:
        camera.data.sensor_fit = "VERTICAL"
        camera.data.angle_y = described["fov"]
    camera.location = described["position"]
    backward = (Vector(described["position"]) - Vector(described["target"])).normalized()
    right = Vector((0, 0, 1)).cross(backward).normalized()
    up = backward.cross(right)
    turn = Matrix((right, up, backward)).transposed()
    camera.rotation_euler = (turn @ Matrix.Rotation(described["roll"], 3, "Z")).to_euler()


def _workbench(scene: bpy.types.Scene, rng: random.Random) -> None:
    """How Workbench shows the scene: one of the ways in which artists set it up."""
    shading = scene.display.shading
    shading.color_type = "MATERIAL"
    shading.light = "FLAT" if rng.random() < 0.1 else "STUDIO"
    shading.show_shadows = rng.random() < 0.4
    shading.show_cavity = rng.random() < 0.3
    shading.show_object_outline = rng.random() < 0.2
    shading.show_specular_highlight = rng.random() < 0.7
    scene.display.render_aa = "8"
