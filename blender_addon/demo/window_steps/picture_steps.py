"""The session's edits of a picture: preview, mask, edit, variants, an edit on top, layers, and
what is set once.
"""

import bpy
import still_life
from person import LEFT, RIGHT, Lost, Steps
from session import BALL, Session


def steps(session: Session) -> Steps:
    """All of it."""
    for part in (_first_preview, _mask, _edit, _variants, _on_top, _layers, _settings):
        yield from part(session)


def _first_preview(session: Session) -> Steps:
    """Instruction, preview, slider."""
    person = session.person
    yield from person.write("instruction", still_life.INSTRUCTION)
    yield from person.click("watch_your_steps.preview_relevance()")
    yield from session.job()
    yield from person.photograph("relevance")
    yield from person.write("watch_your_steps.threshold", "0.15")
    yield from person.photograph("threshold")
    yield from person.click("watch_your_steps.use_suggestion()", RIGHT)


def _mask(session: Session) -> Steps:
    """Snapped to edges and to things, a thing clicked on, and painted."""
    person, settings = session.person, session.settings
    yield from session.open("Mask")
    settings.view = "MASK"
    settings.snap = "edges"
    yield from person.photograph("edges")
    settings.snap = "things"
    yield from person.photograph("things")
    yield from person.click("watch_your_steps.pick_things()")
    yield from person.move(*session.place(BALL))
    yield from person.photograph("pick")
    yield from person.press()
    yield from person.key("Escape")
    yield from person.photograph("picked")
    yield from person.click("watch_your_steps.clear_picks()", RIGHT)
    yield from person.click("watch_your_steps.paint_mask()")
    yield from person.drag(session.stroke())
    yield from person.photograph("paint")
    yield from person.key("Escape")
    if settings.painted_image is None:
        raise Lost("The stroke has painted nothing.")
    with person.context():
        bpy.ops.ed.undo()
    yield 1.0
    if session.settings.painted_image is not None:
        raise Lost("An undo leaves the stroke.")
    with person.context():
        bpy.ops.ed.redo()
    yield 1.0
    yield from session.close()


def _edit(session: Session) -> Steps:
    """The edit of the painted mask, and what can be shown of it."""
    person = session.person
    yield from person.click("watch_your_steps.edit()")
    yield from session.begun()
    yield from person.photograph("editing")
    yield from session.job()
    yield from person.photograph("edit")
    yield from session.open("Show in Camera View")
    yield from person.click("show_picture(view='COMPARE')")
    yield from person.photograph("compare")
    yield from person.click("show_picture(view='EDIT')", LEFT)
    yield from session.close()


def _variants(session: Session) -> Steps:
    """Several seeds, of which one is clicked on."""
    person = session.person
    with person.context():
        bpy.ops.watch_your_steps.clear_painting("INVOKE_DEFAULT")
    yield from person.click("watch_your_steps.variants()")
    yield 2.0
    yield from person.photograph("variants_waiting")
    yield from session.job()
    yield from person.photograph("variants")
    yield from person.click("watch_your_steps.contact_sheet()")
    yield from person.move(*session.place(BALL))
    yield from person.photograph("contact_sheet")
    yield from person.press()
    yield from person.photograph("picked_variant")


def _on_top(session: Session) -> Steps:
    """Another edit on top of the one that was picked, with a title and a star."""
    person, settings = session.person, session.settings
    settings.base = "EDIT"
    yield from person.write("instruction", "turn the red ball green")
    yield from person.click("watch_your_steps.preview_relevance()")
    yield from session.job()
    yield from person.photograph("relevance_on_top")
    yield from person.click("watch_your_steps.edit()")
    yield from session.job()
    entry = settings.edits[settings.edit_index]
    entry.title, entry.favourite = "green ball", True
    yield from person.photograph("on_top")


def _layers(session: Session) -> Steps:
    """Two edits over each other."""
    person, settings = session.person, session.settings
    settings.base = "RENDER"
    yield from session.open("Layers")
    yield from person.photograph("no_layers")
    yield from person.click("watch_your_steps.add_layer()")
    settings.edit_index = 0 if settings.edit_index else len(settings.edits) - 1
    yield 1.0
    yield from person.click("watch_your_steps.add_layer()", RIGHT)
    settings.layers[0].opacity = 0.5
    with person.context():
        bpy.ops.watch_your_steps.show_picture("INVOKE_DEFAULT", view="LAYERS")
    yield from person.photograph("layers")
    yield from session.close()


def _settings(session: Session) -> Steps:
    """What is set once."""
    for title in ("Edit Settings", "Preview Settings"):
        yield from session.open(title)
        yield from session.person.photograph(title.replace(" ", "_").lower())
        yield from session.close()
