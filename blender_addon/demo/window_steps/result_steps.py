"""The session's result at the render's size: as a picture by a script, and as light by *Save As*
and the file browser.
"""

from pathlib import Path

import bpy
import numpy as np
from numpy.typing import NDArray
from person import Lost, Steps
from session import Session

AWAY = 3
"""Pixels around an edit's mask that do not count as outside."""
NOISE = 1e-4
"""By how much two renders of the same light may differ."""


def steps(session: Session) -> Steps:
    """All of it."""
    person = session.person
    yield from session.open("Result")
    yield from person.photograph("result_panel")
    with person.context():
        file = session.out / "result.png"
        bpy.ops.watch_your_steps.save_result(filepath=str(file))
    yield from session.job()
    yield from person.photograph("result_saved")
    if not file.exists():
        raise Lost("No result was saved.")
    yield from _saved_as_light(session)
    yield from session.close()


def _saved_as_light(session: Session) -> Steps:
    """The result as OpenEXR by *Save As* and the file browser, opened again: outside the mask it is
    the render's own light.
    """
    person, file = session.person, session.out / "result.exr"
    yield from person.click("watch_your_steps.save_result()")
    yield from person.name_file(file)
    yield from person.photograph("light_asked")
    yield from session.job()
    yield from person.wait(lambda: session.jobs.says_done(person.window.scene), 120)
    yield from person.photograph("light_saved")
    if not file.exists():
        raise Lost("The file browser has saved no OpenEXR file.")
    bpy.ops.render.render()
    render = session.out / "render.exr"
    scene = person.window.scene
    format_before = scene.render.image_settings.file_format
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    bpy.data.images["Render Result"].save_render(str(render), scene=scene)
    scene.render.image_settings.file_format = format_before
    light, own = _light_of(file), _light_of(render)
    differs = np.abs(light - own).max(axis=-1) > NOISE
    entry = session.settings.edits[session.settings.edit_index]
    inside = _light_of(entry.mask).max(axis=-1) > 0
    if not differs[inside].any():
        raise Lost("The saved light has no edit.")
    if (differs & ~_grown(inside, AWAY)).any():
        raise Lost("Outside the mask the saved light is not the render's.")


def _light_of(source: Path | bpy.types.Image) -> NDArray[np.float32]:
    """(H, W, 3), as Blender has it."""
    image = source if isinstance(source, bpy.types.Image) else bpy.data.images.load(str(source))
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    if image is not source:
        bpy.data.images.remove(image)
    return pixels.reshape(height, width, -1)[..., :3]


def _grown(inside: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    for _ in range(by):
        wider = np.pad(inside, 1)
        inside = (
            wider[1:-1, 1:-1]
            | wider[:-2, 1:-1]
            | wider[2:, 1:-1]
            | wider[1:-1, :-2]
            | wider[1:-1, 2:]
        )
    return inside
