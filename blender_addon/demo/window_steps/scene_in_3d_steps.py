"""The session's scene in 3D: a capture that Esc stops in its middle, what is painted for the edit,
and the edit.
"""

import bpy
import still_life
from person import Lost, Steps
from session import STEPS, Session

VIEWS, SIZE, TRAINED, UPDATED = 9, 64, 200, 60
"""Of the scene: its views, their pixels, and for how many steps it is trained and edited."""


def steps(session: Session) -> Steps:
    """The scene captured, trained and edited."""
    person = session.person
    yield from session.open("Scene in 3D")
    yield from person.photograph("scene_in_3d")
    _choose(session)
    yield from _stopped_capture(session)
    _choose(session)  # of the keys for undo and redo some may have found the interface locked
    yield from person.click("watch_your_steps.train_scene()")
    yield from session.job()
    yield from _painted_view(session)
    yield from person.click("watch_your_steps.edit_scene()")
    yield from session.begun()
    yield from person.photograph("editing_in_3d")
    yield from session.job()
    yield from person.photograph("edit_in_3d")
    if not session.settings.in_3d.edit:
        raise Lost("The scene in 3D was not edited.")
    session.settings.in_3d.painted.clear()
    yield from session.close()


def _choose(session: Session) -> None:
    """What is edited how, as a step of undo."""
    settings, in_3d = session.settings, session.settings.in_3d
    settings.show, settings.instruction = False, still_life.INSTRUCTION
    in_3d.views, in_3d.size, in_3d.steps = VIEWS, SIZE, STEPS
    in_3d.train_iterations, in_3d.edit_iterations = TRAINED, UPDATED
    with session.person.context():
        bpy.ops.ed.undo_push(message="Numbers")


def _stopped_capture(session: Session) -> Steps:
    """A capture that Esc stops in its middle, and that goes on; undo leaves it."""
    person = session.person
    yield from person.click("watch_your_steps.capture_scene()")
    yield from person.wait(lambda: session.settings.in_3d.views_sent > 1, 120)
    yield from person.photograph("capturing")
    yield from person.key("Escape")
    yield from session.job()
    yield from person.photograph("capture_stopped")
    in_3d = session.settings.in_3d
    if in_3d.sealed or not 0 < in_3d.views_sent < in_3d.views_planned:
        raise Lost("Esc has not stopped the capture in its middle.")
    sent = in_3d.views_sent
    yield from person.click("watch_your_steps.resume_capture()")
    yield from person.key("ctrl+z", "ctrl+z", "ctrl+shift+z", "ctrl+shift+z")
    if session.settings.in_3d.views_sent < sent:
        raise Lost("Undo has lost views that were sent.")
    yield from session.job()
    yield from person.photograph("captured")
    if not session.settings.in_3d.sealed:
        raise Lost("The capture did not go on.")


def _painted_view(session: Session) -> Steps:
    """What is painted on the picture is kept for edits in 3D."""
    person = session.person
    session.settings.view = "MASK"
    with person.context():
        bpy.ops.watch_your_steps.paint_mask("INVOKE_DEFAULT")
    yield from person.drag(session.stroke())
    yield from person.key("Escape")
    yield from person.photograph("painted_in_3d")
    yield from person.click("watch_your_steps.keep_painted_view()")
    if len(session.settings.in_3d.painted) != 1:
        raise Lost("The painted view was not kept.")
    with person.context():
        bpy.ops.watch_your_steps.clear_painting("INVOKE_DEFAULT")
    session.settings.show = False
    yield from person.photograph("painted_view_kept")
