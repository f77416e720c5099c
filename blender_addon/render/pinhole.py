"""A Blender camera as the pinhole that it is: where it stands and how it projects, exactly."""

from dataclasses import dataclass

import bpy
import numpy as np
from numpy.typing import NDArray

from ..data.scene_error import SceneError

RIGID = 1e-4
"""How far the axes of a camera may be from right angles and unit length."""
FLATTEST = 1e-6
"""Determinant of a camera's axes, each as long as one; below it they do not span space any more."""


@dataclass(frozen=True, eq=False)
class Pinhole:
    """How a camera projects: x_pixel = cx + fx * x / -z, y_pixel = cy - fy * y / -z.

    Attributes:
        fx, fy: focal lengths in pixels; they differ where pixels are not square.
        cx, cy: the principal point in pixels from the image's top left corner, whose first pixel
            has its centre at 0.5, 0.5; lens shift moves it.
        width, height: of the image in pixels.
        camera_to_world: float64 (4, 4), rigid; x right, y up, looking along -z.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    camera_to_world: NDArray[np.float64]


def pinhole_of(
    scene: bpy.types.Scene, camera: bpy.types.Object, width: int, height: int
) -> Pinhole:
    """The pinhole that Blender renders `camera` with, at the scene's present frame.

    The scale of the camera object does not count, as in Blender. Source of the projection:
    BKE_camera_params_compute_viewplane in Blender's camera.cc.

    Args:
        scene: whose pixel aspect counts, and in whose first view layer the camera is.
        camera: the object that is looked through.
        width, height: of the render in pixels.

    Raises:
        SceneError: it is no camera, or no pinhole, or mirrored or sheared.
    """
    if camera.type != "CAMERA":
        kind = camera.bl_rna.properties["type"].enum_items[camera.type].name.lower()
        raise SceneError(
            f'"{camera.name}" is looked through, but it is no camera ({kind}): select a camera and '
            "press Ctrl Numpad 0."
        )
    layer = scene.view_layers[0]
    layer.update()
    evaluated = camera.evaluated_get(layer.depsgraph)
    lens = evaluated.data
    if lens.type != "PERSP":
        raise SceneError(
            f'The camera "{camera.name}" is not a perspective camera: set its Lens > Type to '
            "Perspective."
        )
    aspect = scene.render.pixel_aspect_y / scene.render.pixel_aspect_x
    fit = lens.sensor_fit
    if fit == "AUTO":
        fit = "HORIZONTAL" if width >= aspect * height else "VERTICAL"
    sensor = lens.sensor_height if lens.sensor_fit == "VERTICAL" else lens.sensor_width
    across = width if fit == "HORIZONTAL" else aspect * height
    fx = lens.lens / sensor * across
    return Pinhole(
        fx=fx,
        fy=fx / aspect,
        cx=width / 2 - lens.shift_x * across,
        cy=height / 2 + lens.shift_y * across / aspect,
        width=width,
        height=height,
        camera_to_world=_rigid(camera.name, np.array(evaluated.matrix_world, np.float64)),
    )


def check_extent(name: str, matrix: NDArray[np.float64]) -> None:
    """Raise SceneError where a camera's matrix, (4, 4), says neither where it is nor how it is
    turned.
    """
    if not np.isfinite(matrix).all():
        raise SceneError(
            f'The camera "{name}" is nowhere, as a constraint, driver or keyframe of it gives no '
            "number: mend that, or clear its location and rotation (Alt G, Alt R)."
        )
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    axes = matrix[:3, :3] / np.maximum(lengths, np.finfo(np.float32).tiny)
    if abs(np.linalg.det(axes)) < FLATTEST:
        raise SceneError(
            f'The camera "{name}" is scaled to nothing along an axis: select it and press Alt S, '
            "and the same for its parents."
        )


def _rigid(name: str, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A camera's matrix without its scale.

    Raises:
        SceneError: what is left is not a turn.
    """
    check_extent(name, matrix)
    axes = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    if np.linalg.det(axes) < 0:
        raise SceneError(
            f'The camera "{name}" is mirrored by a negative scale: apply its scale (Ctrl A).'
        )
    if np.abs(axes.T @ axes - np.eye(3)).max() > RIGID:
        raise SceneError(
            f'The camera "{name}" is sheared by the scale of its parents: clear its parent and '
            "keep its place (Alt P)."
        )
    # The nearest turn: matrices are float32 in Blender.
    left, _, right = np.linalg.svd(axes)
    pose = np.eye(4)
    pose[:3, :3] = left @ right
    pose[:3, 3] = matrix[:3, 3]
    return pose
