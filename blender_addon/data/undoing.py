"""What scenes point to, while Blender undoes.

Blender reads a data-block from an undo step only where that step has another one than the next
step. Otherwise it keeps the block as it is in memory, with pointers that were set since, but frees
what they point to where the step does not know it: memory that Blender then reads or writes as an
image, which ends it, or where by then another image is. A scene is the same in most steps, and
timers set its pointers without steps of their own: to the render that a job was sent with, to the
texture that it paints, to a mask. So while Blender undoes, scenes point to nothing; those that it
kept point afterwards to what is still there.

Where results wait for their undo steps, not only scenes point to what no step knows: then each
step is read as a whole, as Blender's own preference "Undo Legacy" does it, and they are put into
the scenes again.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import bpy

from .changing import changed
from .copies import editable

MARK = "watch_your_steps_undoing"
"""Custom property of a scene while Blender undoes: afterwards only those that it kept have it."""
BLOCKS = {
    "COLLECTION": "collections",
    "IMAGE": "images",
    "NODETREE": "node_groups",
    "OBJECT": "objects",
}
"""Where the data-blocks that scenes point to are in bpy.data, by ID.id_type."""

Place = tuple[str | int, ...]
"""How a pointer is reached from a scene's settings: names of properties, indices in collections."""


@dataclass
class _Undoing:
    """What was set aside."""

    pointers: dict[int, list[tuple[Place, str, int]]] = field(default_factory=dict)
    """By Scene.session_uid: where a pointer was, and ID.id_type and ID.session_uid of what it
    pointed to."""
    reading_whole: ExitStack = field(default_factory=ExitStack)


_undoing: _Undoing | None = None


def begin(whole: bool) -> None:
    """Let nothing of ours point to what may be freed.

    Args:
        whole: whether Blender is to read the whole step.
    """
    global _undoing
    end()
    _undoing = _Undoing()
    for scene in editable():
        found = list(_pointers(scene.watch_your_steps))
        _undoing.pointers[scene.session_uid] = [
            (place, block.id_type, block.session_uid) for place, block in found
        ]
        for place, _ in found:
            _set(scene, place, None)
        scene[MARK] = True
    if whole:
        preferences = bpy.context.preferences
        stack = _undoing.reading_whole
        # the first one last: to set the others makes the preferences unsaved
        stack.enter_context(changed(preferences, is_dirty=preferences.is_dirty))
        stack.enter_context(changed(preferences.view, show_developer_ui=True))
        stack.enter_context(changed(preferences.experimental, use_undo_legacy=True))


def end() -> set[int]:
    """Let scenes that Blender kept point to what is still there. Returns Scene.session_uid of
    these; where nothing was begun, none.
    """
    global _undoing
    if _undoing is None:
        return set()
    _undoing.reading_whole.close()
    kept = {scene.session_uid: scene for scene in editable() if MARK in scene}
    wanted = {kind for uid in kept for _, kind, _ in _undoing.pointers[uid]}
    there = {
        (kind, block.session_uid): block
        for kind in wanted
        for block in getattr(bpy.data, BLOCKS[kind])
    }
    for uid, scene in kept.items():
        del scene[MARK]
        for place, kind, block_uid in _undoing.pointers[uid]:
            _set(scene, place, there.get((kind, block_uid)))
    _undoing = None
    return set(kept)


def _set(scene: bpy.types.Scene, place: Place, block: bpy.types.ID | None) -> None:
    *way, name = place
    group = scene.watch_your_steps
    for step in way:
        group = group[step] if isinstance(step, int) else getattr(group, step)
    setattr(group, str(name), block)


def _pointers(
    group: bpy.types.PropertyGroup, place: Place = ()
) -> Iterator[tuple[Place, bpy.types.ID]]:
    """All pointers to data-blocks in a group of properties and in the groups that it has."""
    for prop in group.bl_rna.properties:
        name = prop.identifier
        if name == "rna_type":
            continue
        if prop.type == "COLLECTION":
            for index, one in enumerate(getattr(group, name)):
                yield from _pointers(one, (*place, name, index))
        elif prop.type == "POINTER":
            value = getattr(group, name)
            if isinstance(value, bpy.types.ID):
                yield (*place, name), value
            elif value is not None:
                yield from _pointers(value, (*place, name))
