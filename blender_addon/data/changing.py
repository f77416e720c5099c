"""Changing Blender's settings for a while.

What is changed while Blender renders beside its window is not to get into a file that is saved
meanwhile, by a script say: `saving_begins` puts it back for that moment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
from mathutils import Vector

from .marked_cameras import follow_markers


@dataclass(eq=False)
class _Change:
    """What is changed now."""

    owner: Any
    before: dict[str, Any]
    now: dict[str, Any]


_changes: list[_Change] = []
"""In the order in which they were made."""


@contextmanager
def changed(owner: Any, **values: Any) -> Iterator[None]:
    """Set attributes in the order given, and put all of them back in that order, also after an
    error. The order matters: choosing a file format may change depth and alpha.
    """
    change = _Change(owner, {name: _value(owner, name) for name in values}, values)
    _changes.append(change)
    try:
        _set(owner, values)
        yield
    finally:
        _changes.remove(change)
        _put_back(change)


@contextmanager
def linked(collection: bpy.types.Collection, thing: bpy.types.Object) -> Iterator[None]:
    """Let an object lie in a collection, too, for a while; it must not be there already."""
    with changed(_Membership(collection, thing), there=True):
        yield


@dataclass(eq=False)
class _Membership:
    """An object in a collection; nowhere once one of them has been removed."""

    collection: bpy.types.Collection
    thing: bpy.types.Object

    @property
    def there(self) -> bool:
        """Whether it lies there."""
        known = not (_is_gone(self.collection) or _is_gone(self.thing))
        return known and self.thing in self.collection.objects.values()

    @there.setter
    def there(self, wanted: bool) -> None:
        if _is_gone(self.collection) or _is_gone(self.thing) or self.there == wanted:
            return
        objects = self.collection.objects
        (objects.link if wanted else objects.unlink)(self.thing)


@contextmanager
def at_frame(scene: bpy.types.Scene, frame: int) -> Iterator[None]:
    """Look at another frame for a while."""
    if frame == scene.frame_current:
        # Setting the present frame anew would undo what the artist has moved and not keyed.
        follow_markers(scene)
        yield
        return
    before = {"frame_current": scene.frame_current, "frame_subframe": scene.frame_subframe}
    change = _Change(scene, before, {"frame_current": frame, "frame_subframe": 0.0})
    scene.frame_set(frame)
    _changes.append(change)
    try:
        yield
    finally:
        _changes.remove(change)
        scene.frame_set(before["frame_current"], subframe=before["frame_subframe"])


def saving_begins() -> None:
    """The file is about to be saved: it is to have what was there before all changes."""
    for change in reversed(_changes):
        _put_back(change)


def saving_ends() -> None:
    """It is saved: what was changed is so again."""
    for change in _changes:
        if not _is_gone(change.owner):
            _set(change.owner, change.now)


def _value(owner: Any, name: str) -> Any:
    value = getattr(owner, name)
    return tuple(value) if isinstance(value, Vector) else value


def _put_back(change: _Change) -> None:
    """Set what was there before. A script may have removed what was changed, or what was there,
    while Blender rendered: then there is nothing to put back.
    """
    if not _is_gone(change.owner):
        _set(change.owner, {k: None if _is_gone(v) else v for k, v in change.before.items()})


def _is_gone(found: Any) -> bool:
    """Whether it is a data-block that has been removed."""
    if not isinstance(found, bpy.types.ID):
        return False
    try:
        found.name  # noqa: B018  # asking is what tells
    except ReferenceError:
        return True
    return False


def _set(owner: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(owner, name, value)
