"""Blender's timer and application handlers: each hands over to one function of the session."""

import traceback

import bpy
from bpy.app.handlers import persistent

from ..data import changing, copies, migration, results
from ..data.meshes import material_marks, painted_regions
from ..jobs import open_files, own_backend, saved_waiting, session, texture_making
from ..render import freshness, render_job, render_notes
from . import esc, preferences

BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.25
SOON = 0.01
"""Seconds in which Blender draws its window between two calls that take their time."""
REDRAWN_AREAS = {"VIEW_3D", "IMAGE_EDITOR", "PREFERENCES"}
REDRAWS = 2
"""For each change: panels are placed by the heights that they had when they were drawn last, so
that one that has grown lies over those below it until the next redraw."""
_redraws = 0
"""That are still to come."""


def _tick() -> float:
    """Blender's timer: returns the seconds until the next call."""
    global _redraws
    try:
        own_backend.look()
        render_notes.look()
        if render_job.look():  # which has taken its time
            return SOON
        texture_making.look()
        session.drain()
        esc.look()
    except Exception as error:  # noqa: BLE001  # Blender would drop the timer without a word
        traceback.print_exc()
        text = f"The add-on has a defect ({error!r}); the system console has the details."
        session.say(bpy.context.scene, text)
    if session.state.changed or freshness.is_due():
        session.state.changed, _redraws = False, REDRAWS
    if _redraws:
        _redraws -= 1
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.type in REDRAWN_AREAS:
                    area.tag_redraw()
    busy = session.state.jobs or _redraws or render_job.is_running()
    return BUSY_SECONDS if busy else IDLE_SECONDS


def _connect_at_start() -> None:
    chosen = preferences.get()
    if chosen is not None and chosen.connect_at_start and session.state.link is None:
        session.connect(session.connection_file(chosen))


def start_connecting() -> None:
    """Connect in a moment, also where the file of Blender's command line is opened until then."""
    bpy.app.timers.register(_connect_at_start, first_interval=IDLE_SECONDS, persistent=True)


@persistent
def _load_post(*_: object) -> None:
    freshness.forget_all()
    render_notes.forget_all()
    texture_making.cancel()  # its object is in the file that was closed
    material_marks.claim_all()
    open_files.after_load()


@persistent
def _save_pre(*_: object) -> None:
    render_job.settle()
    changing.saving_begins()
    copies.settle_all()
    material_marks.settle_all()
    for scene in copies.editable():
        migration.mark(scene)
    results.pack_masks()
    painted_regions.pack_all()
    saved_waiting.before_save()


@persistent
def _save_post(*_: object) -> None:
    changing.saving_ends()
    open_files.after_save()


@persistent
def _save_post_fail(*_: object) -> None:
    changing.saving_ends()


@persistent
def _undo_pre(*_: object) -> None:
    render_job.settle()
    open_files.before_undo()


@persistent
def _undo_post(*_: object) -> None:
    freshness.forget_all()
    open_files.after_undo()


@persistent
def _depsgraph_update_post(_: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    freshness.updated(depsgraph)


HANDLERS = (
    ("depsgraph_update_post", _depsgraph_update_post),
    ("frame_change_post", _depsgraph_update_post),
    ("load_post", _load_post),
    ("save_pre", _save_pre),
    ("save_post", _save_post),
    ("save_post_fail", _save_post_fail),
    ("undo_pre", _undo_pre),
    ("redo_pre", _undo_pre),
    ("undo_post", _undo_post),
    ("redo_post", _undo_post),
    *((name, persistent(render_notes.handler(name))) for name in render_notes.EVENTS),
)


def register() -> None:
    """Start the timer and listen to files and undo."""
    for name, handler in HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_tick, first_interval=IDLE_SECONDS, persistent=True)
    if not bpy.app.background:
        start_connecting()


def unregister() -> None:
    """Stop all of it, the link included."""
    for timer in (_tick, _connect_at_start):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    own_backend.stop()
    texture_making.cancel()
    session.disconnect()
    render_job.leave(_remove_handlers)


def _remove_handlers() -> None:
    for name, handler in HANDLERS:
        listening = getattr(bpy.app.handlers, name)
        while handler in listening:
            listening.remove(handler)
