"""The tools of this add-on that wait in a window for clicks and strokes: one of them at a time. The
button of the one that waits ends it.
"""

import bpy

from ..jobs.job import WAITING_TOOLS

_ending: set[str] = set()
"""Those that are to end with the next event."""


def is_running(context: bpy.types.Context, tool: str) -> bool:
    """Whether a tool, as Blender calls it, waits in the window."""
    tools = context.window.modal_operators if context.window is not None else ()
    return any(one.bl_idname == tool for one in tools)


def may_begin(context: bpy.types.Context, tool: str) -> bool:
    """Whether a tool begins now. Those that wait already end, be it this one or others."""
    waiting = {one for one in WAITING_TOOLS if is_running(context, one)}
    _ending.update(waiting)
    return tool not in waiting


def is_ending(tool: str) -> bool:
    """Whether a tool was told to end."""
    return tool in _ending


def ended(context: bpy.types.Context, tool: str) -> None:
    """A tool waits no more."""
    _ending.discard(tool)
    context.workspace.status_text_set(None)
    redraw(context)


def redraw(context: bpy.types.Context) -> None:
    """Draw all of the window's areas anew."""
    for area in context.screen.areas:
        area.tag_redraw()
