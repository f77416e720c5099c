"""Whether Blender has a window, which goes on while something is rendered or computed."""

import bpy


def is_open() -> bool:
    """False where a script waits instead."""
    return not bpy.app.background
