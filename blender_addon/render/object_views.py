"""Cameras around an object, and renders of it from them."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..data.changing import changed, linked
from ..data.helper_files import whole
from ..data.meshes.material_images import colour_nodes, image_nodes, tree_of
from ..data.meshes.texture_uvs import laying_of
from ..data.places import bounds_of, near_origin
from ..data.scene_error import SceneError
from ..link.aside import aside
from ..link.decode import decode_targa
from .camera_render import NO_LAYER, Rendering, at_once, rendering_seen, renders_layers
from .own_settings import AS_THE_SCENE

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
SHAPES = {"MESH", "CURVE", "SURFACE", "META", "FONT", "VOLUME", "POINTCLOUD", "CURVES", "EMPTY"}
"""What hides an object or can be mistaken for it; EMPTY for instances of collections."""
UNLIT_BACKGROUND = (0.2, 0.2, 0.2)
WIDEST = math.tan(math.radians(50))
"""Of half a field of view, at most: a nearer camera sees too little of an object."""


@dataclass(frozen=True, eq=False)
class ObjectViews:
    """Renders of an object from around it.

    Attributes:
        images: uint8 (V, N, N, 3), sRGB, row 0 at the top.
        intrinsics: float64 (4,): fx, fy, cx, cy of all of them, in pixels from the top left corner.
        camera_to_world: float64 (V, 4, 4), rigid; x right, y up, looking along -z.
    """

    images: NDArray[np.uint8]
    intrinsics: NDArray[np.float64]
    camera_to_world: NDArray[np.float64]


def poses_around(
    points: NDArray[np.floating],
    count: int,
    field_of_view: float,
    lowest: float = math.radians(-35),
    highest: float = math.radians(70),
    turn: float = 0.0,
    filled: float = 0.9,
) -> NDArray[np.float64]:
    """Cameras that look at an object from all sides, evenly spread, each as near as it fits.

    They lie on a Fibonacci spiral of directions around the centre of the object's bounds.

    Args:
        points: (N, 3), the object's corners in world space.
        count: how many cameras.
        field_of_view: of their square images, in radians.
        lowest: the lowest elevation, in radians above the horizon.
        highest: the highest one.
        turn: turns all of them around the vertical, in radians.
        filled: share of the image's side that the object takes up at most.

    Returns:
        float64 (count, 4, 4), camera to world; x right, y up, looking along -z.
    """
    points = points.astype(np.float64)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    relative = points - centre
    tangent = math.tan(field_of_view / 2) * filled
    poses = np.tile(np.eye(4), (count, 1, 1))
    for number in range(count):
        share = (number + 0.5) / count
        height = math.sin(lowest) + share * (math.sin(highest) - math.sin(lowest))
        azimuth = number * GOLDEN_ANGLE + turn - math.pi / 2
        level = math.sqrt(1 - height**2)
        back = np.array([math.cos(azimuth) * level, math.sin(azimuth) * level, height])
        right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
        axes = np.stack([right, np.cross(back, right), back], axis=1)
        across = relative @ axes
        # A point is inside the image's share where |x| and |y| <= tangent * (distance - z).
        distance = (np.abs(across[:, :2]).max(axis=1) / tangent + across[:, 2]).max()
        poses[number, :3, :3] = axes
        poses[number, :3, 3] = centre + distance * back
    return poses


def poses_towards(
    places: NDArray[np.float64], points: NDArray[np.floating], filled: float = 0.9
) -> tuple[NDArray[np.float64], float]:
    """Cameras at given places, turned towards an object, all with the field of view that the
    nearest of them needs. Places within the object's bounds, or nearly so, are left out.

    Args:
        places: (N, 3), in world space.
        points: (M, 3), the object's corners in world space.
        filled: share of the image's side that the object takes up at most.

    Returns:
        float64 (n, 4, 4), camera to world, n at most N and maybe 0; x right, y up, looking along
        -z. And the field of view of square images, in radians.
    """
    points = points.astype(np.float64)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    poses, widest = [], 0.0
    for place in places:
        back = place - centre
        distance = np.linalg.norm(back)
        if distance == 0:
            continue
        pose = pose_at(place, back / distance)
        across = (points - place) @ pose[:3, :3]
        ahead = -across[:, 2]
        if ahead.min() <= 0:
            continue
        tangent = float((np.abs(across[:, :2]).max(axis=1) / ahead).max()) / filled
        if tangent > WIDEST:
            continue
        widest = max(widest, tangent)
        poses.append(pose)
    return np.reshape(np.array(poses), (-1, 4, 4)), 2 * math.atan(widest)


def pose_at(place: NDArray[np.float64], back: NDArray[np.float64]) -> NDArray[np.float64]:
    """A camera at a place, upright.

    Args:
        place: (3,), in world space.
        back: (3,), of length 1: what it looks away from.

    Returns:
        float64 (4, 4), camera to world; x right, y up, looking along -z.
    """
    right = np.cross([0.0, 0.0, 1.0], back)
    length = np.linalg.norm(right)
    right = right / length if length > 1e-6 else np.array([1.0, 0.0, 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    pose[:3, 3] = place
    return pose


def render_around(
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    image: bpy.types.Image,
    poses: NDArray[np.float64],
    size: int,
    field_of_view: float,
    lit: bool,
    as_captured: bool = False,
) -> ObjectViews:
    """Render an object alone from given cameras. The scene is as before afterwards.

    Args:
        scene: that the object is in; as for `render_png`, not within a `temp_override`.
        thing: a mesh object; everything else but the lights and the world is left out.
        image: the texture that is painted.
        poses: (V, 4, 4), camera to world, rigid.
        size: width and height of the renders in pixels.
        field_of_view: in radians.
        lit: whether to show it in the scene's light by the scene's engine, through the view
            transform "Standard", or its bare texture.
        as_captured: whether colours are shown as captures of the scene show them, by its own view
            transform; otherwise by "Standard", which the backend can undo exactly.

    Raises:
        SceneError: Blender cannot render it.
    """
    given = (scene, thing, image)
    views = [
        at_once(rendering_from(*given, pose, size, field_of_view, lit, as_captured))
        for pose in poses
    ]
    intrinsics = intrinsics_of(size, field_of_view)
    return ObjectViews(np.stack(views), intrinsics, np.array(poses, np.float64))


def intrinsics_of(size: int, field_of_view: float) -> NDArray[np.float64]:
    """float64 (4,): fx, fy, cx, cy of square views, as in `ObjectViews`.

    Args:
        size: pixels of a side.
        field_of_view: in radians.
    """
    focal = size / 2 / math.tan(field_of_view / 2)
    return np.array([focal, focal, size / 2, size / 2])


def rendering_from(
    scene: bpy.types.Scene,
    thing: bpy.types.Object,
    image: bpy.types.Image,
    pose: NDArray[np.float64],
    size: int,
    field_of_view: float,
    lit: bool,
    as_captured: bool,
) -> Rendering[NDArray[np.uint8]]:
    """One of these renders, left to somebody else (`camera_render.capturing`): uint8 (N, N, 3),
    sRGB, row 0 at the top.
    """
    if thing.name not in scene.objects:
        raise SceneError(f'"{thing.name}" is not in the scene "{scene.name}".')
    if not renders_layers(scene):
        raise SceneError(NO_LAYER)
    with ExitStack() as stack:
        lens = bpy.data.cameras.new("watch your steps")
        stack.callback(bpy.data.cameras.remove, lens)
        camera = bpy.data.objects.new("watch your steps", lens)
        stack.callback(bpy.data.objects.remove, camera)
        world = bpy.data.worlds.new("watch your steps")
        stack.callback(bpy.data.worlds.remove, world)
        for made in (lens, camera, world):  # in no file that is saved meanwhile
            made.is_runtime_data = True
        scene.collection.objects.link(camera)
        lens.sensor_fit, lens.angle = "HORIZONTAL", field_of_view
        world.color = UNLIT_BACKGROUND
        _show_alone(stack, scene, thing)
        if not as_captured:
            values = {"view_transform": "Standard", "look": "None", "use_curve_mapping": False}
            plain = {} if lit else {"exposure": 0.0, "gamma": 1.0}
            stack.enter_context(changed(scene.view_settings, **values, **plain))
            stack.enter_context(changed(scene.display_settings, display_device="sRGB"))
        stack.enter_context(_square_pictures(scene.render, size))
        if not lit:
            _show_image(stack, scene, thing, image)
            _show_bare_texture(stack, scene, world)
        bounds = bounds_of(thing)
        stack.enter_context(changed(scene, camera=camera))
        low, high = bounds.min(axis=0), bounds.max(axis=0)
        origin = stack.enter_context(near_origin(scene, low, high, thing))
        there = pose.copy()
        there[:3, 3] -= origin
        camera.matrix_world = Matrix(there.tolist())
        _set_clipping(lens, bounds - origin, there)
        file = yield from rendering_seen(scene, size, size, False, AS_THE_SCENE)
    return (yield from aside(lambda: whole(decode_targa, file)))  # the scene is as before


def _square_pictures(render: bpy.types.RenderSettings, size: int) -> AbstractContextManager[None]:
    """Sharp renders of `size` x `size` pixels, within the context."""
    return changed(
        render,
        resolution_x=size,
        resolution_y=size,
        resolution_percentage=100,
        pixel_aspect_x=1.0,
        pixel_aspect_y=1.0,
        use_motion_blur=False,
        use_compositing=False,
    )


def _show_alone(stack: ExitStack, scene: bpy.types.Scene, thing: bpy.types.Object) -> None:
    """Let renders show an object as it is, wherever the artist has hidden or covered it, without
    any other, from the active camera.
    """
    for other in scene.objects:
        if other.type in SHAPES:
            stack.enter_context(changed(other, hide_render=other != thing))
    plain = {"visible_camera": True, "is_holdout": False, "is_shadow_catcher": False}
    stack.enter_context(changed(thing, **plain))
    layers = [layer for layer in scene.view_layers if layer.use]
    if not any(_renders(layer.layer_collection, thing) for layer in layers):
        stack.enter_context(linked(scene.collection, thing))
    for layer in layers:
        stack.enter_context(changed(layer, material_override=None))
        for part in _parts(layer.layer_collection):
            if part.holdout or part.indirect_only:
                stack.enter_context(changed(part, holdout=False, indirect_only=False))


def _renders(part: bpy.types.LayerCollection, thing: bpy.types.Object) -> bool:
    """Whether an object is rendered as it lies in this collection or in one within it."""
    if part.collection.hide_render:
        return False
    there = not part.exclude and thing.name in part.collection.objects
    return there or any(_renders(inner, thing) for inner in part.children)


def _parts(part: bpy.types.LayerCollection) -> Iterator[bpy.types.LayerCollection]:
    yield part
    for inner in part.children:
        yield from _parts(inner)


def _show_bare_texture(
    stack: ExitStack,
    scene: bpy.types.Scene,
    world: bpy.types.World,
) -> None:
    """Let Workbench draw textures without any light."""
    stack.enter_context(changed(scene.render, engine="BLENDER_WORKBENCH"))
    stack.enter_context(changed(scene, world=world))
    stack.enter_context(
        changed(
            scene.display.shading,
            light="FLAT",
            color_type="TEXTURE",
            show_object_outline=False,
            show_cavity=False,
            show_shadows=False,
            show_xray=False,
            use_dof=False,
        )
    )


def _show_image(
    stack: ExitStack, scene: bpy.types.Scene, thing: bpy.types.Object, image: bpy.types.Image
) -> None:
    """Make an image the active texture of an object's materials, and its UV map the active one:
    that is what Workbench draws.

    Raises:
        SceneError: Workbench cannot lay it on as the material does.
    """
    layers = set()
    for slot in thing.material_slots:
        shown = [
            one for one in colour_nodes(slot.material, scene.render.engine) if one.image == image
        ]
        if not shown:
            continue
        laying = laying_of(shown[0])
        layers.add(laying.layer)
        if laying.moved != Matrix.Identity(4):
            raise SceneError(
                f'A Mapping node moves "{image.name}", which only shows in the scene\'s light: '
                "have it rendered lit."
            )
        wanted = {shown[0].node, *shown[0].groups}
        for node in image_nodes(tree_of(slot.material)):
            stack.enter_context(changed(node, show_texture=node in wanted))
    maps = thing.data.uv_layers
    usual = next((layer.name for layer in maps if layer.active_render), "")
    names = {layer or usual for layer in layers}
    if len(names) != 1 or not names <= set(maps.keys()):
        raise SceneError(
            f'"{image.name}" is laid on by UV maps that only show in the scene\'s light: have it '
            "rendered lit."
        )
    name = names.pop()
    if name != maps.active.name:
        stack.enter_context(changed(maps, active_index=maps.find(name)))


def _set_clipping(
    lens: bpy.types.Camera, bounds: NDArray[np.float64], pose: NDArray[np.float64]
) -> None:
    """Clip as near to a box with these corners as it allows: depth is then as exact as can be."""
    depths = (pose[:3, 3] - bounds) @ pose[:3, 2]
    lens.clip_start = max(depths.min() * 0.5, depths.max() * 1e-3)
    lens.clip_end = depths.max() * 2.0
