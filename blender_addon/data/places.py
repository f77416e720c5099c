"""Where objects are, and how far from the origin."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import bpy
import numpy as np
from numpy.typing import NDArray

from .changing import changed
from .scene_error import SceneError

FAR = 1000.0
"""Distance from the origin, in sizes of an object, from which on Blender's float32 is too coarse to
render it."""


def check_is_somewhere(thing: bpy.types.Object, points: NDArray[np.floating]) -> None:
    """Raise SceneError where points of an object are no numbers, or beyond all measure, as broken
    files, modifiers and drivers make them.
    """
    if not np.isfinite(points).all():
        raise SceneError(
            f'"{thing.name}" lies nowhere, as some of its coordinates are no numbers: mend what '
            "moves it there, or delete it."
        )


def bounds_of(thing: bpy.types.Object) -> NDArray[np.float64]:
    """The corners of an object's box in world space, (8, 3)."""
    matrix = np.array(thing.matrix_world, np.float64)
    corners = np.array([tuple(corner) for corner in thing.bound_box], np.float64)
    return corners @ matrix[:3, :3].T + matrix[:3, 3]


@contextmanager
def near_origin(
    scene: bpy.types.Scene,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    thing: bpy.types.Object | None = None,
) -> Iterator[NDArray[np.float64]]:
    """Move the whole scene but its active camera so that a far box lies at the origin: matrices and
    renders are of float32, which at the coordinates of maps leaves out half a metre.

    Args:
        scene: as before afterwards.
        low, high: the box, (3,) in world space.
        thing: what is in it, so that it can be seen whether it has moved.

    Returns:
        What has become the origin, (3,): zeros where the scene may stay where it is.

    Raises:
        SceneError: the object is held where it is.
    """
    centre = ((low + high) / 2).astype(np.float32).astype(np.float64)
    extent = (high - low).max()
    if np.abs(centre).max() <= FAR * extent:
        yield np.zeros(3)
        return
    roots = set()
    for root in scene.objects:
        while root.parent is not None:
            root = root.parent
        roots.add(root)
    roots.discard(scene.camera)
    with ExitStack() as stack:
        stack.callback(_update, scene)
        for root in roots:
            moved = [a - b for a, b in zip(root.delta_location, centre, strict=True)]
            stack.enter_context(changed(root, delta_location=moved))
        _update(scene)
        if thing is not None and np.abs(_bounds_in_renders(scene, thing)).max() > 2 * extent:
            raise SceneError(
                f'"{thing.name}" lies so far from the origin that it cannot be rendered exactly, '
                "and a constraint or its animation holds it there: move it nearer."
            )
        yield centre


def _bounds_in_renders(scene: bpy.types.Scene, thing: bpy.types.Object) -> NDArray[np.float64]:
    """As `bounds_of`, with all that is animated or driven at its place, as in renders."""
    copy = scene.copy()
    try:
        copy.frame_set(copy.frame_current, subframe=copy.frame_subframe)
        return bounds_of(thing.evaluated_get(copy.view_layers[0].depsgraph))
    finally:
        bpy.data.scenes.remove(copy)


def _update(scene: bpy.types.Scene) -> None:
    for layer in scene.view_layers:
        layer.update()
