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
        _set(owner, change.before)


@contextmanager
def at_frame(scene: bpy.types.Scene, frame: int) -> Iterator[None]:
    """Look at another frame for a while."""
    if frame == scene.frame_current:
        # Setting the present frame anew would undo what the artist has moved and not keyed.
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
        _set(change.owner, change.before)


def saving_ends() -> None:
    """It is saved: what was changed is so again."""
    for change in _changes:
        _set(change.owner, change.now)


def _value(owner: Any, name: str) -> Any:
    value = getattr(owner, name)
    return tuple(value) if isinstance(value, Vector) else value


def _set(owner: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(owner, name, value)
