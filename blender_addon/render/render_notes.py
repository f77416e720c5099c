"""What the artist's own renders were made of, noted when they begin.

Blender calls render handlers from the render's own thread while a window is open, where a scene
must not be read: they only leave word, and the timer reads the scene a moment later.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import bpy

from ..data.marked_cameras import camera_of_markers
from ..data.picture_source import RESULT, Source
from . import freshness
from .camera_render import viewpoint

SEQUENCED = "The Video Sequencer has made this, not the camera."
CROPPED = "This is not all that the camera sees."
MARKED = "A camera that a marker is bound to has made this, not the active one."
STEREO = "This is a stereo render, of which the left eye's picture is taken."


@dataclass(frozen=True)
class Note:
    """What a render was made of."""

    camera: str
    frame: int
    viewpoint: tuple[float, ...]
    state: str
    """As `freshness.state_of` says it."""
    other: str
    """Why it does not show all that the camera sees, as a sentence; "" where it does."""


@dataclass
class _Running:
    """A render that has begun."""

    note: Note | None
    frames: int = 0


_words: deque[tuple[str, int]] = deque()
"""What handlers have said: which, and Scene.session_uid."""
_running: dict[int, _Running] = {}
_notes: dict[tuple[int, int], Note | None] = {}
"""By Scene.session_uid and the slot of the Render Result."""


def forget_all() -> None:
    """Another file was opened."""
    _words.clear()
    _running.clear()
    _notes.clear()


def handler(event: str) -> Callable[..., None]:
    """The handler of one of EVENTS."""

    def said(scene: bpy.types.Scene, *_: object) -> None:
        _words.append((event, scene.session_uid))
        if threading.current_thread() is threading.main_thread():
            look()

    return said


def note_of(scene: bpy.types.Scene, slot: int) -> Note | None:
    """What the scene's render in a slot was made of; None where nobody has seen it begin, where it
    was stopped, or where it is one frame of a film.
    """
    look()
    return _notes.get((scene.session_uid, slot))


def look() -> None:
    """Take what the handlers have said. Only the main thread may call this."""
    while _words:
        event, uid = _words.popleft()
        scene = next((one for one in bpy.data.scenes if one.session_uid == uid), None)
        if scene is None:
            continue
        if event == "render_init":
            _running[uid] = _Running(_note(scene))
        elif event == "render_pre" and uid in _running:
            _running[uid].frames += 1
        elif event in ("render_complete", "render_cancel"):
            ended = _running.pop(uid, None)
            whole = event == "render_complete" and ended is not None and ended.frames == 1
            _notes[uid, shown_slot()] = ended.note if whole and ended is not None else None


def shown_slot() -> int:
    """The slot that Render Result shows, which a new render goes into."""
    result = artists_result()
    return result.render_slots.active_index if result is not None else 0


def artists_result() -> bpy.types.Image | None:
    """The image that the artist's renders go into; None where there is none yet."""
    return next((one for one in bpy.data.images if one.type == "RENDER_RESULT"), None)


def _note(scene: bpy.types.Scene) -> Note | None:
    if scene.camera is None or not hasattr(scene, "watch_your_steps"):
        return None
    state = freshness.state_of(scene, Source(RESULT))
    other = _why_other(scene)
    return Note(scene.camera.name, scene.frame_current, viewpoint(scene), state, other)


def _why_other(scene: bpy.types.Scene) -> str:
    render, sequences = scene.render, scene.sequence_editor
    if render.use_sequencer and sequences is not None and _shows(sequences.strips):
        return SEQUENCED
    if render.use_border and render.use_crop_to_border:
        return CROPPED
    if render.use_multiview:
        return STEREO
    return "" if camera_of_markers(scene) in (None, scene.camera) else MARKED


def _shows(strips: bpy.types.bpy_prop_collection) -> bool:
    """Whether Blender renders strips in place of the camera: one that is ever seen is enough."""
    return any(one.type != "SOUND" and not one.mute for one in strips)


EVENTS = ("render_init", "render_pre", "render_complete", "render_cancel")
