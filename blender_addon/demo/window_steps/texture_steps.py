"""The session's textures: one for meshes that have none, the region on one of them and what
corrects it, and the edits.
"""

from importlib import import_module

import bpy
import still_life
from person import LEFT, RIGHT, Lost, Steps
from real_addon import MODULE
from session import OTHER, STEPS, TEXTURED, Session

BAKE = 300
"""Seconds that are waited for."""
GROWN, PART = 24, "0.55"
"""Texels by which the region is grown; the threshold at which it is a part of the cube."""


def steps(session: Session) -> Steps:
    """All of it."""
    person, settings = session.person, session.settings
    settings.show, settings.instruction = False, still_life.INSTRUCTION
    settings.texture.steps = STEPS
    yield from _made(session)
    person.area.spaces.active.shading.type = "MATERIAL"  # whose shaders Blender compiles meanwhile
    yield from person.click("watch_your_steps.preview_texture()")
    yield from session.job()
    yield 3.0
    yield from _look(session, "texture_preview")
    yield from _corrected_region(session)
    yield from person.click("watch_your_steps.edit_texture()")
    yield from session.begun()
    yield from _look(session, "texture_editing")
    yield from session.job()
    yield 3.0
    yield from _look(session, "texture_edit")
    yield from _of_several(session)
    yield from session.close()


def _made(session: Session) -> Steps:
    """Textures for two meshes that have none."""
    person, thing, other = session.person, bpy.data.objects[TEXTURED], bpy.data.objects[OTHER]
    with person.context("WINDOW"):
        bpy.ops.object.select_all(action="DESELECT")
    other.select_set(True)
    thing.select_set(True)
    person.window.view_layer.objects.active = thing
    yield from session.open("Texture")
    yield from person.photograph("no_texture")
    yield from person.click("watch_your_steps.make_texture()")
    yield 1.0
    yield from person.photograph("making_texture")
    making = import_module(f"{MODULE}.jobs.texture_making")
    yield from person.wait(lambda: making.makings.now is None, BAKE)
    yield from person.photograph("texture_made")
    other.select_set(False)


def _corrected_region(session: Session) -> Steps:
    """The region on the mesh, for a while only a part of faces: grown, painted on by Texture Paint,
    and grown where it is painted.
    """
    person = session.person
    _previewed().watch_your_steps.preview.snap = "nothing"
    yield from person.write(".preview.threshold", PART)
    yield from _look(session, "texture_part")
    yield from person.write(".preview.grow", str(GROWN))
    yield from _look(session, "texture_grown")
    yield from person.write(".preview.grow", "0")
    yield from person.click("paint_texture_region(brush='REMOVE')")
    yield 2.0
    yield from person.drag(session.stroke(TEXTURED))
    yield from _look(session, "texture_painting")
    yield from person.click("watch_your_steps.end_texture_painting()")
    yield 1.0
    if _previewed().watch_your_steps.preview.paint is None:
        raise Lost("Texture Paint has corrected nothing.")
    yield from _look(session, "texture_painted")
    yield from person.write(".preview.grow", str(-GROWN))
    yield from _look(session, "texture_painted_shrunk")
    yield from person.write(".preview.grow", str(GROWN))
    yield from _look(session, "texture_painted_grown")
    yield from person.write(".preview.grow", "0")
    yield from person.click("watch_your_steps.clear_texture_painting()", LEFT)
    yield from person.click("watch_your_steps.use_texture_suggestion()", RIGHT)
    _previewed().watch_your_steps.preview.snap = "things"


def _look(session: Session, name: str) -> Steps:
    """A photograph in Material Preview, which takes long to draw: so only for this."""
    shading = session.person.area.spaces.active.shading
    shading.type = "MATERIAL"
    yield 2.0
    yield from session.person.photograph(name)
    shading.type = "SOLID"


def _previewed() -> bpy.types.Image:
    """The texture whose preview is shown on its mesh."""
    return next(one for one in bpy.data.images if one.watch_your_steps.preview.group)


def _of_several(session: Session) -> Steps:
    """The textures of two meshes, one after the other."""
    person = session.person
    bpy.data.objects[OTHER].select_set(True)
    session.settings.texture.rounds = 1
    before = set(bpy.data.images.keys())
    yield from _look(session, "two_selected")
    yield from person.click("watch_your_steps.edit_textures()")
    yield from session.begun()
    yield from _look(session, "textures_of_selected")
    yield from session.job()
    yield from _look(session, "textures_edited")
    made = [name for name in set(bpy.data.images.keys()) - before if "(edited)" in name]
    if len(made) < 2:
        raise Lost(f"Of two textures only these were edited: {made}")
    bpy.data.objects[OTHER].select_set(False)
