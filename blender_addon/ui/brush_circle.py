"""The circle that shows where the brush paints, while Paint Mask runs."""

from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from .pointing import Canvas

SPACES = (bpy.types.SpaceView3D, bpy.types.SpaceImageEditor)
CORNERS = 48
LINES = ((0.0, 0.0, 0.0, 0.6), (1.0, 1.0, 1.0, 0.9))
"""Colours of the two circles, one inside the other: one of them is seen before any picture."""

_handles: list[tuple[Any, object]] = []
_at: tuple[int, float, float] | None = None
"""Where the pointer is: the address of a region, and pixels of it."""


def begin() -> None:
    """Draw from now on."""
    end()
    for space in SPACES:
        _handles.append((space, space.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")))


def end() -> None:
    """Draw no more."""
    global _at
    _at = None
    while _handles:
        space, handle = _handles.pop()
        space.draw_handler_remove(handle, "WINDOW")


def show(canvas: Canvas | None, event: bpy.types.Event) -> None:
    """The pointer is over a canvas now, or over none."""
    global _at
    _at = None
    if canvas is not None:
        part = canvas.part
        _at = (part.as_pointer(), event.mouse_x - part.x, event.mouse_y - part.y)


def _draw() -> None:
    context = bpy.context
    if _at is None or context.region.as_pointer() != _at[0]:
        return
    _, x, y = _at
    settings = context.scene.watch_your_steps
    frame = Canvas(context.space_data, context.region).frame(context.scene)
    image = settings.relevance_image
    if frame is None or image is None or not image.size[0]:
        return
    radius = settings.brush * (frame.right - frame.left) / image.size[0]
    turns = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    for less, colour in enumerate(LINES):
        along = max(radius - less, 0.5)
        places = np.stack([x + along * np.cos(turns), y + along * np.sin(turns)], axis=1)
        batch = batch_for_shader(shader, "LINE_LOOP", {"pos": places.astype(np.float32)})
        shader.uniform_float("color", colour)
        batch.draw(shader)
    gpu.state.blend_set("NONE")
