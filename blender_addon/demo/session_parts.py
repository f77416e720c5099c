"""Parts of the session in Blender's window (window_session.py): a result saved as light by the file
browser, a capture that Esc stops in its middle, what is painted for edits in 3D, and a region that
is grown and painted on a mesh.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import bpy
import numpy as np
from numpy.typing import NDArray
from person import LEFT, Lost, Steps

if TYPE_CHECKING:
    from window_session import Session

GROWN = 6
"""Texels by which the region on the mesh is grown."""
AWAY = 3
"""Pixels around an edit's mask that do not count as outside."""
NOISE = 1e-4
"""By how much two renders of the same light may differ."""


def saved_as_light(session: "Session") -> Steps:
    """The result as OpenEXR by *Save As* and the file browser, opened again: outside the mask it is
    the render's own light.
    """
    person, file = session.person, session.options.out / "result.exr"
    yield from person.click("watch_your_steps.save_result()")
    yield from person.name_file(file)
    yield from person.photograph("light_asked")
    yield from session.job()
    yield from person.wait(lambda: session.jobs.says_done(person.window.scene), 120)
    yield from person.photograph("light_saved")
    if not file.exists():
        raise Lost("The file browser has saved no OpenEXR file.")
    bpy.ops.render.render()
    render = session.options.out / "render.exr"
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


def stopped_capture(session: "Session") -> Steps:
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


def painted_view(session: "Session") -> Steps:
    """What is painted on the picture is kept for edits in 3D."""
    person = session.person
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


def corrected_region(session: "Session") -> Steps:
    """The region on the mesh grown, and painted on it by Texture Paint."""
    person = session.person
    yield from person.write(".preview.grow", str(GROWN))
    yield from person.photograph("texture_grown")
    yield from person.write(".preview.grow", "0")
    yield from person.click("paint_texture_region(brush='REMOVE')")
    yield 2.0
    yield from person.drag(session.stroke("cube"))
    yield from person.photograph("texture_painting")
    yield from person.click("watch_your_steps.end_texture_painting()")
    yield 1.0
    texture = session.texture_of()
    if texture.watch_your_steps.preview.paint is None:
        raise Lost("Texture Paint has corrected nothing.")
    yield from person.photograph("texture_painted")
    yield from person.click("watch_your_steps.clear_texture_painting()", LEFT)


def textures_of_several(session: "Session", other: str) -> Steps:
    """The textures of two meshes, one after the other."""
    person = session.person
    bpy.data.objects[other].select_set(True)
    before = set(bpy.data.images.keys())
    yield from person.click("watch_your_steps.edit_textures()")
    yield 5.0
    yield from person.photograph("textures_of_selected")
    yield from session.job()
    made = [name for name in set(bpy.data.images.keys()) - before if "(edited)" in name]
    if len(made) < 2:
        raise Lost(f"Of two textures only these were edited: {made}")
    bpy.data.objects[other].select_set(False)
    yield from person.photograph("textures_edited")
