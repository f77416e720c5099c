"""How the connection and this Blender's own backend stand, and the button that mends it."""

import bpy

from ..jobs import own_backend, session
from ..jobs.own_backend import Stage
from ..link.worker_thread import NO_BACKEND, LinkState
from . import preferences, words
from .operators_backend import stage

WORDS = {
    Stage.NO_PROGRAM: f"{own_backend.NO_PROGRAM}.",
    Stage.NOT_INSTALLED: "The backend is not installed on this machine.",
    Stage.OUTDATED: "The backend was installed for another version of the add-on: update it.",
    Stage.INSTALLING: "Installing the backend. Blender can be used meanwhile.",
    Stage.STARTING: "Starting the backend...",
    Stage.STOPPING: "Stopping the backend...",
}

FILE_GONE = "The backend runs, but its connection file was deleted: stop it, and start it again."


def draw(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The top of the panel."""
    now = stage()
    if now in (Stage.INSTALLING, Stage.STARTING, Stage.STOPPING):
        _draw_busy(layout, context, now)
        return
    status = session.state.status
    missing = status.text == NO_BACKEND
    icon = "UNLINKED" if missing else words.status_icon(status.state)
    row = layout.row()
    inset = words.BUTTON if status.state is not LinkState.CLOSED and not missing else 0
    text = FILE_GONE if missing and now is Stage.RUNNING else words.status(status)
    words.paragraph(row.column(), context, text, icon, inset=inset)
    if status.state is LinkState.CONNECTED and own_backend.is_linked():
        row.operator("watch_your_steps.stop_backend", text="", icon="CANCEL")
    elif inset:
        row.operator("watch_your_steps.disconnect", text="", icon="UNLINKED")
    if status.state is LinkState.CONNECTED:
        if status.welcome is not None and status.welcome.model_state != "ready":
            _draw_said(layout, context)
        words.paragraph(layout, context, words.memory(status.welcome), "MEMORY")
        return
    if own_backend.own.trouble:
        alert = layout.column()
        alert.alert = True
        words.paragraph(alert, context, own_backend.own.trouble, "ERROR")
        layout.operator("watch_your_steps.show_backend_log", icon="TEXT")
    draw_buttons(layout, context, now)


def draw_buttons(layout: bpy.types.UILayout, context: bpy.types.Context, now: Stage) -> None:
    """The ways to a backend, what is to be done first on top."""
    column = layout.column(align=True)
    if now in WORDS:
        words.paragraph(column, context, WORDS[now], "INFO")
    if now is Stage.NO_PROGRAM:
        column.operator("watch_your_steps.show_preferences", icon="PREFERENCES")
    elif now is Stage.NOT_INSTALLED:
        column.operator("watch_your_steps.install_backend", icon="IMPORT")
    elif now is Stage.OUTDATED:
        column.operator(
            "watch_your_steps.install_backend", text="Update Backend", icon="FILE_REFRESH"
        )
    elif now is Stage.RUNNING:
        column.operator("watch_your_steps.stop_backend", icon="CANCEL")
    else:
        _draw_model(column)
        column.operator("watch_your_steps.start_backend", icon="PLAY")
    column.operator("watch_your_steps.connect", icon="LINKED")
    row = column.row(align=True)
    row.operator("watch_your_steps.choose_connection", text="File...", icon="FILEBROWSER")
    row.operator("watch_your_steps.paste_connection", text="Paste...", icon="PASTEDOWN")
    row.operator("watch_your_steps.manual", text="", icon="HELP")


def _draw_model(layout: bpy.types.UILayout) -> None:
    """What the backend is started with; the choices' tooltips tell sizes and uses."""
    chosen = preferences.get()
    if chosen is None:
        return
    layout.prop(chosen, "model_choice", text="")
    if chosen.model_choice == preferences.OWN_MODEL:
        layout.prop(chosen, "own_model", text="", placeholder="Hub id or folder")


def _draw_busy(layout: bpy.types.UILayout, context: bpy.types.Context, now: Stage) -> None:
    """What is going on, and how to end it."""
    words.paragraph(layout, context, WORDS[now], "SORTTIME")
    _draw_said(layout, context)
    row = layout.row(align=True)
    row.operator("watch_your_steps.show_backend_log", icon="TEXT")
    if now is not Stage.STOPPING:
        row.operator("watch_your_steps.stop_backend", text="Stop", icon="CANCEL")


def _draw_said(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """The last line of the log of what was started here, and how far a download is."""
    own = own_backend.own
    if own.said:
        text = f"{own.said[:1].upper()}{own.said[1:]}"
        words.paragraph(layout.box(), context, text, inset=words.BOX)
    if own.fraction is not None:
        layout.progress(factor=own.fraction, text=f"{own.fraction:.0%}")
