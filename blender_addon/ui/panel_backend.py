"""How the connection and this Blender's own backend stand, and the button that mends it."""

import bpy

from ..jobs import own_backend, session
from ..jobs.own_backend import Stage
from ..link.worker_thread import LinkState
from . import words
from .operators_backend import stage

WORDS = {
    Stage.NO_PROGRAM: f"{own_backend.NO_PROGRAM}, or connect to a backend that runs already.",
    Stage.NOT_INSTALLED: "The backend is not installed on this machine.",
    Stage.INSTALLING: "Installing the backend. Blender can be used meanwhile.",
    Stage.STARTING: "Starting the backend...",
    Stage.STOPPING: "Stopping the backend...",
}


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The top of the panel."""
    now = stage()
    status = session.state.status
    if now in (Stage.INSTALLING, Stage.STARTING, Stage.STOPPING):
        _draw_busy(layout, context, now)
        return
    row = layout.row()
    words.paragraph(
        row.column(),
        context,
        words.status(status),
        words.status_icon(status.state),
        inset=words.BUTTON,
    )
    if status.state is LinkState.CONNECTED:
        if now is Stage.RUNNING:
            row.operator("watch_your_steps.stop_backend", text="", icon="CANCEL")
        else:
            row.operator("watch_your_steps.disconnect", text="", icon="UNLINKED")
        return
    if status.state is not LinkState.CLOSED:
        row.operator("watch_your_steps.disconnect", text="", icon="UNLINKED")
    if own_backend.own.trouble:
        alert = layout.column()
        alert.alert = True
        words.paragraph(alert, context, own_backend.own.trouble, "ERROR")
        layout.operator("watch_your_steps.show_backend_log", icon="TEXT")
    draw_buttons(layout, context, now)


def draw_buttons(layout: bpy.types.UILayout, context: bpy.types.Context, now: Stage) -> None:
    """The ways to a backend, what is to be done first on top."""
    column = layout.column(align=True)
    if now in (Stage.NO_PROGRAM, Stage.NOT_INSTALLED):
        words.paragraph(column, context, WORDS[now], "INFO")
    if now is Stage.NO_PROGRAM:
        column.operator("watch_your_steps.show_preferences", icon="PREFERENCES")
    elif now is Stage.NOT_INSTALLED:
        column.operator("watch_your_steps.install_backend", icon="IMPORT")
    else:
        column.operator("watch_your_steps.start_backend", icon="PLAY")
    column.operator("watch_your_steps.connect", icon="LINKED")
    row = column.row(align=True)
    row.operator("watch_your_steps.choose_connection", text="File...", icon="FILEBROWSER")
    row.operator("watch_your_steps.paste_connection", text="Paste...", icon="PASTEDOWN")
    row.operator("watch_your_steps.manual", text="", icon="HELP")


def _draw_busy(layout: bpy.types.UILayout, context: bpy.types.Context, now: Stage) -> None:
    """What is going on, the last line of the log, and how to end it."""
    words.paragraph(layout, context, WORDS[now], "SORTTIME")
    if own_backend.own.said:
        words.paragraph(layout.box(), context, own_backend.own.said, inset=words.BOX)
    row = layout.row(align=True)
    row.operator("watch_your_steps.show_backend_log", icon="TEXT")
    if now is not Stage.STOPPING:
        row.operator("watch_your_steps.stop_backend", text="Stop", icon="CANCEL")
