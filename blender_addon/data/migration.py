"""The version of what is saved with a scene, and what brings older data up to it.

Saved properties are never renamed nor given another meaning. A version says which of them mean
something yet: what was added later has its default in a file from before, and where that default
would be untrue of what was made then, a step here sets what was true.
"""

import secrets

import bpy

VERSION = 1
"""Of the data that this add-on saves. A change that needs a step adds one, and raises this."""


def migrate(scene: bpy.types.Scene) -> None:
    """Bring a scene's settings from the version that they were saved with to this one. A file that
    was saved while the add-on was off has data of no version, which may be new: so a step may only
    set what is not set yet.
    """
    settings = scene.watch_your_steps
    for step in STEPS[settings.version :]:
        step(settings)
    settings.version = max(settings.version, VERSION)


def is_newer(scene: bpy.types.Scene) -> bool:
    """Whether a newer add-on has saved the scene's settings."""
    newer: bool = scene.watch_your_steps.version > VERSION
    return newer


def mark(scene: bpy.types.Scene) -> None:
    """Say of what version the settings are: call this before they are saved."""
    settings = scene.watch_your_steps
    settings.version = max(settings.version, VERSION)


def new_uid() -> str:
    """What an edit is called by in its file."""
    return secrets.token_hex(8)


def _from_0(settings: bpy.types.PropertyGroup) -> None:
    """From before there were versions: edits had no titles and were not called by
    anything, and at first there was no region to choose.
    """
    if settings.relevance_image is not None and not settings.is_property_set("snap"):
        settings.snap = "nothing"
    for entry in settings.edits:
        if not entry.title:
            entry.title = entry.instruction
        if not entry.uid:
            entry.uid = new_uid()


STEPS = (_from_0,)
"""Each from the version of its place to the next one."""
