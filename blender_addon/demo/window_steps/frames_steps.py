"""The session's frames of a film: what is painted on one of them counts in all, as its surfaces
move.
"""

import bpy
import still_life
from person import Lost, Steps
from session import Session

MOVED, FRAMES = "white ball", (1, 2)
UP = 0.35
"""Metres by which it is higher in the last frame."""
WAYS = ("STAY", "LEAVE_OUT", "FOLLOW")
"""What becomes of paint; the last one is what the frames are edited with."""


def steps(session: Session) -> Steps:
    """Two frames with something painted that moves."""
    person, settings = session.person, session.settings
    scene, thing = person.window.scene, bpy.data.objects[MOVED]
    scene.frame_start, scene.frame_end = FRAMES
    output, scene.render.filepath = scene.render.filepath, str(session.out / "film_")
    for frame in FRAMES:
        thing.location.z += UP * (frame == FRAMES[-1])
        thing.keyframe_insert("location", frame=frame)
    scene.frame_set(FRAMES[0])
    settings.instruction = still_life.INSTRUCTION
    yield from session.open("Frames")
    yield from person.photograph("frames")
    yield from person.click("watch_your_steps.preview_relevance()")
    yield from session.job()
    with person.context():
        bpy.ops.watch_your_steps.paint_mask("INVOKE_DEFAULT")
    yield from person.drag(session.stroke(MOVED))
    yield from person.key("Escape")
    for way in WAYS:
        settings.frames_painting = way
        yield from person.photograph(f"frames_painted_{way.lower()}")
    yield from person.click("watch_your_steps.edit_frames()")
    yield from session.begun()
    yield from person.photograph("editing_frames")
    yield from session.job()
    yield from person.photograph("frames_edited")
    files = sorted(session.out.glob("film_*"))
    if len(files) != len(FRAMES):
        raise Lost(f"Of {len(FRAMES)} frames these were written: {files}")
    with person.context():
        bpy.ops.watch_your_steps.clear_painting("INVOKE_DEFAULT")
    scene.frame_set(FRAMES[0])
    thing.animation_data_clear()
    scene.render.filepath = output
    yield from session.close()
