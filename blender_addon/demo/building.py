"""Pieces that scenes are built from: meshes of named shapes, materials, and aiming."""

import contextlib
import math

import bpy
from mathutils import Color, Vector

Colour = tuple[float, float, float]
SMOOTH_ANGLE = math.radians(40)
PAINT_SIZE = 1024
"""Pixels of a side of a painted texture."""


def in_window() -> contextlib.AbstractContextManager[object]:
    """Where Blender has a window, the context that its buttons are pressed in: scripts have none of
    a file that was opened since they began, and then nothing is the active object. Where they have
    one, nothing is overridden: Blender 4.5 and 5.0 crash within an override as soon as another
    thread, such as the add-on's, runs Python.
    """
    windows = bpy.context.window_manager.windows
    if bpy.context.window is not None or not windows:
        return contextlib.nullcontext()
    return bpy.context.temp_override(window=windows[0])


def add_shape(shape: str, stretch: float = 1.0, flat: bool = False) -> bpy.types.Object:
    """A new object of about one metre's radius around the origin, without a material.

    Args:
        shape: "sphere", "cube", "cone", "cylinder", "torus" or "monkey" (which looks along -y).
        stretch: half the height of a cone or a cylinder.
        flat: facets instead of a smooth surface.

    Raises:
        ValueError: an unknown shape.
    """
    add = bpy.ops.mesh
    if shape == "sphere":
        fine = (32, 16) if flat else (64, 32)
        add.primitive_uv_sphere_add(radius=1, segments=fine[0], ring_count=fine[1])
    elif shape == "cube":
        add.primitive_cube_add(size=1.6)
    elif shape == "cone":
        add.primitive_cone_add(radius1=0.85, depth=2 * stretch, vertices=32 if flat else 96)
    elif shape == "cylinder":
        add.primitive_cylinder_add(radius=0.85, depth=2 * stretch, vertices=32 if flat else 96)
    elif shape == "torus":
        add.primitive_torus_add(
            major_radius=0.72,
            minor_radius=0.28,
            major_segments=32 if flat else 96,
            minor_segments=16 if flat else 32,
        )
    elif shape == "monkey":
        add.primitive_monkey_add(size=1.9)
    else:
        raise ValueError(f"Unknown shape {shape!r}.")
    thing = bpy.context.object
    thing.name = shape
    if flat:
        return thing
    if shape == "monkey":
        thing.modifiers.new("smooth", "SUBSURF").render_levels = 2
    if shape in ("cone", "cylinder"):
        bpy.ops.object.shade_smooth_by_angle(angle=SMOOTH_ANGLE)
    elif shape != "cube":
        bpy.ops.object.shade_smooth()
    return thing


def material(
    name: str, colour: Colour, roughness: float = 0.5, specular: float = 1.0
) -> bpy.types.Material:
    """A Principled BSDF. `colour` is linear Rec. 709; `specular` 1 is that of common dielectrics
    (4 % straight on).
    """
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    surface = made.node_tree.nodes["Principled BSDF"]
    surface.inputs["Base Color"].default_value = (*colour, 1)
    surface.inputs["Roughness"].default_value = roughness
    surface.inputs["Specular IOR Level"].default_value = 0.5 * specular
    made.diffuse_color = (*colour, 1)  # what Workbench shows
    made.roughness = roughness
    return made


def mottle(made: bpy.types.Material, colour: Colour, contrast: float, size: float) -> None:
    """Let a material's colour vary smoothly over the surface, as concrete's or earth's does.

    Args:
        made: by `material`.
        colour: the mean, linear Rec. 709.
        contrast: how much lighter and darker it becomes, as a share of the colour.
        size: metres from a light place to a dark one, roughly.
    """
    nodes, links = made.node_tree.nodes, made.node_tree.links
    place, noise = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value = 0.5 / size
    noise.inputs["Detail"].default_value = 4.0
    ramp = nodes.new("ShaderNodeValToRGB")
    for element, sign, at in zip(ramp.color_ramp.elements, (-1, 1), (0.3, 0.7), strict=True):
        element.position = at
        element.color = (*(min(1.0, c * (1 + sign * contrast)) for c in colour), 1)
    links.new(place.outputs["Object"], noise.inputs["Vector"])
    links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])


def paint(thing: bpy.types.Object) -> bpy.types.Image:
    """Give an object its material's plain colour as a texture, in UVs that overlap nowhere.

    Its material must be by `material`, and its own. Returns the texture.
    """
    bpy.ops.object.select_all(action="DESELECT")
    thing.select_set(True)
    bpy.context.view_layer.objects.active = thing
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.uv.smart_project(angle_limit=math.radians(66), island_margin=0.02)
    bpy.ops.object.mode_set(mode="OBJECT")
    tree = thing.active_material.node_tree
    surface = tree.nodes["Principled BSDF"]
    linear = Color(surface.inputs["Base Color"].default_value[:3])
    image = bpy.data.images.new(f"{thing.name} paint", PAINT_SIZE, PAINT_SIZE)
    image.generated_color = (*linear.from_scene_linear_to_srgb(), 1.0)
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.image = image
    tree.links.new(texture.outputs["Color"], surface.inputs["Base Color"])
    return image


def put_on_ground(thing: bpy.types.Object) -> None:
    """Lift or lower an object until its lowest vertex is at z = 0."""
    bpy.context.view_layer.update()
    thing.location.z -= min((thing.matrix_world @ v.co).z for v in thing.data.vertices)
    bpy.context.view_layer.update()


def aim(thing: bpy.types.Object, target: Vector) -> None:
    """Turn a camera or lamp so that it looks at a point."""
    thing.rotation_euler = (target - thing.location).to_track_quat("-Z", "Y").to_euler()
