"""Overriding Blender's context: the only place where the add-on does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from ..link.stillness import still


@contextmanager
def overridden(**members: Any) -> Iterator[None]:
    """Work in another context, such as in a window where a timer has none. What runs within the
    block must not wait for the backend: the link's thread may stand still (link/stillness.py).
    """
    if all(getattr(bpy.context, name) == value for name, value in members.items()):
        yield
        return
    with still(), bpy.context.temp_override(**members):
        yield
