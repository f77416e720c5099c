"""Whether the shown render still shows the scene as it is.

Reading a large scene takes time, and panels are drawn often: so it is read again only after
Blender has updated something, and then for a small share of the time.
"""

import json
import time
from dataclasses import dataclass, field

import bpy

from ..data import picture_source
from ..data.picture_source import NEW_RENDER, Source
from . import render_job
from .fingerprint import AT_ANY_SIZE, fingerprint, forget_meshes
from .image_pixels import image_state
from .own_settings import own_settings

SECONDS = 0.5
"""Between two readings, at least."""
SHARE = 20
"""A reading may take one part in so many of the time."""


@dataclass
class _Known:
    """What was found last of a scene."""

    of: tuple[int, int] = (0, 0)
    """Image and size limit that it was found for."""
    changes: list[str] = field(default_factory=list)
    pending: bool = True
    """Blender has updated something since."""
    again: float = 0.0
    """When the scene may be read again."""


_known: dict[int, _Known] = {}
"""By Scene.session_uid."""


def state_of(scene: bpy.types.Scene, source: Source = NEW_RENDER) -> str:
    """What a render of the scene depends on now, as JSON to keep with the render."""
    forget_meshes()
    return json.dumps(_state(scene, source))


def changes(scene: bpy.types.Scene, state: str, source: Source = NEW_RENDER) -> list[str]:
    """What has changed since `state_of` said `state`, as words for people: "objects", ... None of
    it where `state` says nothing of the scene.
    """
    before = json.loads(state)
    if "objects" not in before:
        return []
    now = _state(scene, source)
    return [name for name, value in now.items() if _differs(before, name, value)]


def changes_at_any_size(scene: bpy.types.Scene, state: str) -> list[str]:
    """The same, but for what is only of a small render: its size and its limit for samples."""
    before = json.loads(state)
    if "objects" not in before:
        return []
    forget_meshes()
    now = fingerprint(scene, 0)
    now["render settings"] = now.pop(AT_ANY_SIZE)
    before["render settings"] = before.pop(AT_ANY_SIZE, now["render settings"])
    return [name for name, value in now.items() if before.get(name) != value]


def _differs(before: dict[str, str], name: str, value: str) -> bool:
    return name != AT_ANY_SIZE and before.get(name) != value


def _state(scene: bpy.types.Scene, source: Source) -> dict[str, str]:
    settings = scene.watch_your_steps
    if source.kind == picture_source.RESULT:  # the artist's own, which no limit of ours applies to
        return fingerprint(scene, 0)
    own = own_settings(settings, source)
    return fingerprint(scene, settings.max_side, own.changes(scene))


def _changes_of(scene: bpy.types.Scene, picture: bpy.types.Image, state: str) -> list[str]:
    """What has changed of that which a picture was taken from."""
    source = picture_source.of(picture)
    if source.kind != picture_source.IMAGE:
        return changes(scene, state, source)
    image = picture_source.image_of(scene.watch_your_steps, picture)
    return [] if image is None or image_state(image, scene) == state else ["image"]


def known_changes(scene: bpy.types.Scene, image: bpy.types.Image, state: str) -> list[str]:
    """The same of the picture in `image`, but from the last reading where it is too early for
    another one.
    """
    known = _known.setdefault(scene.session_uid, _Known())
    of, began = (image.session_uid, scene.watch_your_steps.max_side), time.monotonic()
    if known.of != of or (_may_read() and known.pending and began >= known.again):
        known.of, known.pending = of, False
        known.changes = _changes_of(scene, image, state)
        spent = time.monotonic() - began
        known.again = began + max(SECONDS, SHARE * spent)
    return known.changes


def forget_all() -> None:
    """Another file was opened, or another state of this one."""
    _known.clear()
    forget_meshes()


def updated(depsgraph: bpy.types.Depsgraph) -> None:
    """Blender has updated something: what is known may be out of date."""
    for update in depsgraph.updates:
        block = update.id.original
        if isinstance(block, bpy.types.Object) and update.is_updated_geometry:
            block = block.data
        if isinstance(block, bpy.types.Mesh):
            forget_meshes([block.session_uid])
    for known in _known.values():
        known.pending = True


def is_due() -> bool:
    """Whether it is time for another reading, which the next drawing of the panel does."""
    now = time.monotonic()
    return _may_read() and any(one.pending and now >= one.again for one in _known.values())


def _may_read() -> bool:
    """Whether scenes are as the artist has them: while a view is rendered its camera is in one."""
    return not render_job.is_running()


def have_changed(parts: list[str]) -> str:
    """The beginning of a sentence: which parts, at least one of those that `changes` names, have
    changed.
    """
    named = " and the ".join([", the ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)
    if parts[1:] or parts[0].endswith("s"):
        return f"The {named} have changed"
    return f"The {named} has changed"
