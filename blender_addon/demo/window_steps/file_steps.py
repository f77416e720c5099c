"""The session's file: saved and opened again, and closed in the middle of an edit that then goes
on.
"""

from typing import Any

import bpy
import still_life
from person import Lost, Steps
from session import TEXTURED, Session

MANY = 600
"""Steps of an edit that does not end before Blender is closed."""


def steps(session: Session) -> Steps:
    """A painted mask, and the file saved and opened again."""
    person = session.person
    session.settings.show = True
    yield from session.open("Edits")
    yield from session.open("Mask")
    yield from person.click("watch_your_steps.paint_mask()")
    yield from person.drag(session.stroke())
    yield from person.key("Escape")
    yield from person.photograph("to_save")
    before = _kept(session)
    bpy.ops.wm.save_as_mainfile(filepath=str(session.file))
    bpy.ops.wm.open_mainfile(filepath=str(session.file))
    yield 5.0
    yield from person.photograph("opened_again")
    after = _kept(session)
    if lost := [what for what, it in before.items() if not it or after[what] != it]:
        raise Lost(f"The saved file has not kept: {', '.join(lost)}.")


def _kept(session: Session) -> dict[str, Any]:
    """What the file is to keep: for pictures, their values by their names."""
    thing, settings = bpy.data.objects[TEXTURED], session.settings
    painted = [settings.painted_image] if settings.painted_image else []
    nodes = [node for slot in thing.material_slots for node in slot.material.node_tree.nodes]
    textures = [node.image for node in nodes if node.type == "TEX_IMAGE"]
    return {
        "edits": [(one.uid, one.title, _pixels_of([one.image])) for one in settings.edits],
        "painted mask": _pixels_of(painted),
        "texture": _pixels_of(textures),
    }


def _pixels_of(images: list[bpy.types.Image]) -> dict[str, tuple[float, ...]]:
    return {image.name: tuple(image.pixels[:]) for image in images}


def quits_in_mid_edit(session: Session) -> Steps:
    """Blender is closed, and saves the file, while an edit runs."""
    person = session.person
    session.settings.steps = MANY
    yield from person.write("instruction", still_life.INSTRUCTION)  # which Blender asks to save
    yield from person.click("watch_your_steps.edit()")
    yield from session.begun()
    yield from person.photograph("in_mid_edit")


def goes_on(session: Session) -> Steps:
    """The edit that Blender was closed in the middle of."""
    person, settings = session.person, session.settings
    had, instruction = len(settings.edits), settings.instruction
    yield from person.click("watch_your_steps.go_on()")
    yield 3.0
    yield from person.photograph("going_on")
    yield from session.job()
    yield from person.photograph("gone_on")
    if len(settings.edits) != had + 1 or settings.edits[0].instruction != instruction:
        raise Lost("The edit did not go on.")
