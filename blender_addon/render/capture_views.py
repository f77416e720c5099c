"""The views that a capture of a scene consists of, and how each of them is rendered.

Every view is rendered by a call of its own that leaves the scene as it was, so that an artist can
work between two of them.
"""

import math
from contextlib import ExitStack
from pathlib import Path

import bpy
import msgspec
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from ..data.changing import at_frame, changed
from ..data.helper_files import helper_folder
from ..data.meshes.brought_mesh import collection_of
from ..data.places import bounds_of, check_is_somewhere, near_origin
from ..data.scene_error import SceneError
from ..link.aside import aside
from ..protocol.messages import PutView
from ..protocol.values import MAX_VIEWS, MIN_VIEWS
from .camera_render import (
    NO_LAYER,
    SMALLEST_SIDE,
    Rendering,
    at_once,
    rendering_with_depth,
    renders_layers,
)
from .moved_pixels import mover_of
from .pinhole import pinhole_of
from .stand_in import compositor_of

FIELD_OF_VIEW = math.radians(45)
"""Of the cameras around a scene."""
FILLED = 0.75
"""Share of the image's side that the objects take up at most: the surroundings are to be seen."""
LOWEST, HIGHEST = math.radians(15), math.radians(50)
"""Elevations of the rings of cameras around a scene."""
THREE_RINGS = 18
"""From so many views on there are three rings, with fewer two."""
FLAT = 0.02
"""An object whose height is below this share of its width is ground."""
VAST = 4.0
"""An object so many times as large as all others together, which it contains, is surroundings."""
SHOWN = {"MESH", "CURVE", "SURFACE", "META", "FONT", "VOLUME", "POINTCLOUD", "CURVES"}


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One view of a capture: from a pose, or by one of the scene's cameras."""

    name: str
    pose: tuple[float, ...] | None = None
    """Camera to world, row by row; None for one of the scene's cameras."""
    camera: str | None = None
    """Name of the camera object; None for the one that is active at that frame."""
    frame: int | None = None
    """None for the frame that the scene is at."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The views of a capture. As JSON it is saved with the scene, so that an interrupted capture
    goes on with the same cameras.
    """

    size: int
    """Pixels of the images' shorter side."""
    shots: tuple[Shot, ...]
    things: dict[str, int] = {}
    """Labels of the scene's objects by their names, the same in all views. Objects that are seen
    and not among them, such as instances, are added by `take_view`."""

    def to_json(self) -> str:
        """The plan as text."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def from_json(text: str) -> "Plan":
        """The plan that a text holds.

        Raises:
            SceneError: the text is not a plan.
        """
        try:
            return msgspec.json.decode(text, type=Plan)
        except msgspec.DecodeError as error:
            raise SceneError(
                "The file has lost the cameras of its capture: start the capture anew."
            ) from error


def subjects(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> list[bpy.types.Object]:
    """What the cameras around a scene look at: the selected objects that can be rendered, or where
    there are none all objects but what earlier edits have brought. Neither the ground nor the
    surroundings count beside other objects, also where they happen to be selected.
    """
    there = [
        thing
        for thing in view_layer.objects
        if thing.type in SHOWN
        and not thing.hide_render
        and thing.visible_get(view_layer=view_layer)
    ]
    chosen = [thing for thing in there if thing.select_get(view_layer=view_layer)]
    brought = collection_of(scene)
    if brought is not None:
        there = [thing for thing in there if thing.name not in brought.all_objects]
    standing = [thing for thing in there if not _is_flat(thing)]
    things = [thing for thing in standing if not _surrounds(thing, standing)]
    chosen = [
        thing
        for thing in chosen
        if not (_surrounds(thing, things) or (_is_flat(thing) and _is_vast(thing, things)))
    ]
    return chosen or things or there


def _corners(things: list[bpy.types.Object]) -> NDArray[np.float64]:
    """(8 N, 3), the corners of the objects' bounding boxes in world space."""
    return np.concatenate([bounds_of(thing) for thing in things])


def _is_flat(thing: bpy.types.Object) -> bool:
    extent = np.ptp(_corners([thing]), axis=0)
    return bool(extent[2] < FLAT * max(extent[0], extent[1]))


def _is_vast(thing: bpy.types.Object, things: list[bpy.types.Object]) -> bool:
    others = [other for other in things if other != thing]
    if not others:
        return False
    own, rest = np.ptp(_corners([thing]), axis=0), np.ptp(_corners(others), axis=0)
    return bool(own.max() > VAST * rest.max())


def _surrounds(thing: bpy.types.Object, things: list[bpy.types.Object]) -> bool:
    if not _is_vast(thing, things):
        return False
    own, rest = _corners([thing]), _corners([other for other in things if other != thing])
    middle = rest.mean(axis=0)
    return bool(((own.min(axis=0) <= middle) & (middle <= own.max(axis=0))).all())


def plan_around(
    scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer, count: int, size: int
) -> Plan:
    """Cameras around the scene's objects, on two to three rings.

    Args:
        scene: what is captured.
        view_layer: whose selection counts.
        count: how many views.
        size: pixels of a side of the square images.

    Raises:
        SceneError: there is nothing to look at, or the number is not allowed.
    """
    view_layer.update()
    things = subjects(scene, view_layer)
    if not things:
        raise SceneError("There is nothing to capture: the scene has no objects that render.")
    for thing in things:
        check_is_somewhere(thing, bounds_of(thing))
    poses = poses_on_rings(_corners(things), count)
    shots = tuple(
        Shot(name=f"view {number + 1}", pose=tuple(pose.ravel().tolist()))
        for number, pose in enumerate(poses)
    )
    return _checked(scene, size, shots, "raise the number of views")


def plan_cameras(scene: bpy.types.Scene, size: int) -> Plan:
    """All cameras of the scene, by name.

    Raises:
        SceneError: they are too few or too many, or one is not a pinhole.
    """
    cameras = sorted(
        (thing for thing in scene.objects if thing.type == "CAMERA"), key=lambda one: one.name
    )
    width, height = image_size(scene, size)
    for camera in cameras:
        pinhole_of(scene, camera, width, height)
    shots = tuple(Shot(name=camera.name, camera=camera.name) for camera in cameras)
    return _checked(scene, size, shots, "add cameras, or capture around the objects")


def plan_frames(scene: bpy.types.Scene, size: int) -> Plan:
    """The active camera at every frame of the scene's range, by its step.

    Raises:
        SceneError: there is no camera, it is not a pinhole, or there are too few or many frames.
    """
    if scene.camera is None:
        raise SceneError("The scene has no active camera: add one (Add > Camera).")
    pinhole_of(scene, scene.camera, *image_size(scene, size))
    frames = range(scene.frame_start, scene.frame_end + 1, scene.frame_step)
    shots = tuple(Shot(name=f"frame {frame}", frame=frame) for frame in frames)
    return _checked(scene, size, shots, "set the scene's frame range")


def _checked(scene: bpy.types.Scene, size: int, shots: tuple[Shot, ...], remedy: str) -> Plan:
    _check_unmoved(scene)
    count = len(shots)
    if not MIN_VIEWS <= count <= MAX_VIEWS:
        raise SceneError(
            f"A capture needs {MIN_VIEWS} to {MAX_VIEWS} views, and this would have {count}: "
            f"{remedy}."
        )
    names = sorted(thing.name_full for thing in scene.objects if thing.type in SHOWN)
    things = {name: number for number, name in enumerate(names, start=1)}
    return Plan(size=size, shots=shots, things=things)


def _check_unmoved(scene: bpy.types.Scene) -> None:
    """Refuse views whose pixels do not show what their cameras see there."""
    if not renders_layers(scene):
        raise SceneError(NO_LAYER)
    tree = compositor_of(scene)
    mover = mover_of(tree) if tree is not None else None
    if mover is not None:
        raise SceneError(
            f'The compositor\'s node "{mover.name}" moves the picture, so that a view is not what '
            "its camera sees: mute that node, or switch Compositing off (Output Properties > Post "
            "Processing), and capture then."
        )


def image_size(scene: bpy.types.Scene, size: int) -> tuple[int, int]:
    """Width and height in pixels of a view by one of the scene's cameras: its render scaled so
    that the shorter side has `size` pixels, but never up.
    """
    scale = scene.render.resolution_percentage / 100
    width, height = scene.render.resolution_x * scale, scene.render.resolution_y * scale
    shrink = min(1.0, size / min(width, height))
    return (
        max(SMALLEST_SIDE, round(width * shrink)),
        max(SMALLEST_SIDE, round(height * shrink)),
    )


def poses_on_rings(points: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Cameras on rings around some points, evenly over azimuths, all looking at the middle of
    their bounds from one distance at which each of them shows all points.

    Args:
        points: (N, 3), in world space.
        count: how many cameras.

    Returns:
        float64 (count, 4, 4), camera to world; x right, y up, looking along -z.
    """
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    rings = 3 if count >= THREE_RINGS else 2
    poses = np.tile(np.eye(4), (count, 1, 1))
    for number in range(count):
        # One round of azimuths for all rings together: neighbours differ in elevation.
        azimuth = 2 * math.pi * number / count - math.pi / 2
        ring = number % rings
        elevation = LOWEST + (HIGHEST - LOWEST) * ring / (rings - 1)
        level = math.cos(elevation)
        back = np.array([math.cos(azimuth) * level, math.sin(azimuth) * level, math.sin(elevation)])
        right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
        poses[number, :3, :3] = np.stack([right, np.cross(back, right), back], axis=1)
    across = np.einsum("nk,vkc->vnc", points - centre, poses[:, :3, :3])
    tangent = math.tan(FIELD_OF_VIEW / 2) * FILLED
    # A point is inside the image's share where |x| and |y| <= tangent * (distance - z).
    distance = (np.abs(across[..., :2]).max(axis=2) / tangent + across[..., 2]).max()
    poses[:, :3, 3] = centre + max(distance, 1e-3) * poses[:, :3, 2]
    return poses


def take_view(scene: bpy.types.Scene, plan: Plan, index: int, capture: str) -> PutView:
    """Render one view of a plan by the scene's own engine and colours, as the message that sends
    it. Depth of field, motion blur, stereo and the render region are left out, as they are no
    pinhole's, and meshes that earlier edits have brought. Where the film is transparent, alpha
    comes too, depth wherever the engine gives it, and which object is seen.

    Raises:
        SceneError: the camera is not there any more, or no pinhole, or the render fails.
    """
    return at_once(taking_view(scene, plan, index, capture))


def taking_view(scene: bpy.types.Scene, plan: Plan, index: int, capture: str) -> Rendering[PutView]:
    """The same, with the render left to somebody else (`camera_render.capturing`)."""
    with helper_folder() as folder:
        return (yield from _taking_view(scene, plan, index, capture, folder))


def _taking_view(
    scene: bpy.types.Scene, plan: Plan, index: int, capture: str, folder: Path
) -> Rendering[PutView]:
    _check_unmoved(scene)
    shot = plan.shots[index]
    alpha = scene.render.film_transparent
    with ExitStack() as stack:
        stack.enter_context(changed(scene.render, use_motion_blur=False))
        camera = _camera_of(stack, scene, shot)
        if shot.pose is not None:
            width = height = plan.size
            aspect = {"pixel_aspect_x": 1.0, "pixel_aspect_y": 1.0}
            stack.enter_context(changed(scene.render, **aspect))
        else:
            width, height = image_size(scene, plan.size)
        brought = collection_of(scene)
        if brought is not None:
            stack.enter_context(changed(brought, hide_render=True))
        stack.enter_context(changed(scene, camera=camera))
        stack.enter_context(changed(camera.data.dof, use_dof=False))
        origin = np.zeros(3)
        if shot.pose is not None:
            around = np.array([one.pose for one in plan.shots if one.pose is not None])
            places = around.reshape(-1, 4, 4)[:, :3, 3]
            low, high = places.min(axis=0), places.max(axis=0)
            origin = stack.enter_context(near_origin(scene, low, high))
            if origin.any():
                pose = np.reshape(shot.pose, (4, 4)).astype(np.float64)
                pose[:3, 3] -= origin
                camera.matrix_world = Matrix(pose.tolist())
        pinhole = pinhole_of(scene, camera, width, height)
        clip_end = camera.data.clip_end
        measured = yield from rendering_with_depth(scene, width, height, alpha, folder)
    camera_to_world = pinhole.camera_to_world.copy()
    camera_to_world[:3, 3] += origin

    def read() -> PutView:
        pixels = measured.pixels()
        depth = measured.depth(clip_end)
        if alpha and depth is not None:  # of what is cut out of the film, there is a depth
            depth[pixels[..., 3] == 0] = 0
        return PutView(
            capture=capture,
            index=index,
            name=shot.name,
            image=np.ascontiguousarray(pixels[..., :3]),
            alpha=np.ascontiguousarray(pixels[..., 3]) if alpha else None,
            depth=depth,
            things=measured.things(plan.things),
            fx=pinhole.fx,
            fy=pinhole.fy,
            cx=pinhole.cx,
            cy=pinhole.cy,
            camera_to_world=tuple(camera_to_world.ravel().tolist()),
        )

    return (yield from aside(read))


def places_of(scene: bpy.types.Scene, plan: Plan, count: int) -> NDArray[np.float64]:
    """Where cameras of a plan stand, at most `count` of them, spread over all: (n, 3), in world
    space.

    Raises:
        SceneError: one of the scene's cameras is not there any more.
    """
    count, places = min(count, len(plan.shots)), []
    for shot in (plan.shots[k * len(plan.shots) // count] for k in range(count)):
        if shot.pose is not None:
            places.append(np.reshape(shot.pose, (4, 4))[:3, 3])
            continue
        with ExitStack() as stack:
            places.append(_camera_of(stack, scene, shot).matrix_world.translation[:])
    return np.array(places, np.float64)


def _camera_of(stack: ExitStack, scene: bpy.types.Scene, shot: Shot) -> bpy.types.Object:
    """The camera that a shot is taken by, for the time that the stack is open, at its frame.

    Raises:
        SceneError: it is not there any more.
    """
    if shot.frame is not None:
        stack.enter_context(at_frame(scene, shot.frame))
    if shot.pose is not None:
        return place_camera(stack, scene, shot.pose)
    camera = scene.camera if shot.camera is None else scene.objects.get(shot.camera)
    if camera is None or camera.type != "CAMERA":
        raise SceneError(f'The camera of the view "{shot.name}" is not there any more.')
    return camera


def place_camera(
    stack: ExitStack, scene: bpy.types.Scene, pose: tuple[float, ...]
) -> bpy.types.Object:
    """A camera for the time that the stack is open."""
    lens = bpy.data.cameras.new("watch your steps")
    stack.callback(bpy.data.cameras.remove, lens)
    camera = bpy.data.objects.new("watch your steps", lens)
    stack.callback(bpy.data.objects.remove, camera)
    camera.is_runtime_data = lens.is_runtime_data = True  # in no file that is saved meanwhile
    scene.collection.objects.link(camera)
    lens.sensor_fit, lens.angle = "HORIZONTAL", FIELD_OF_VIEW
    own = scene.camera.data if scene.camera is not None else None
    if own is not None and own.id_type == "CAMERA":
        lens.clip_start, lens.clip_end = own.clip_start, max(own.clip_end, lens.clip_end)
    camera.matrix_world = Matrix(np.reshape(pose, (4, 4)).tolist())
    return camera
