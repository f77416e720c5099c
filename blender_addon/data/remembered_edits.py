"""An edit as it was when a job was asked to make it again: undo may take it out of the list, and
its pictures out of the file, before the job's result comes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy

from . import edits, pictures
from .blocks import with_uid

OWN = {"image", "full"}
"""Pictures of the edit itself, which nothing takes from it that is made again of the same."""
GROUP = "watch_your_steps"
"""Custom properties of this name are what the add-on registers, not what it has put there."""


@dataclass(frozen=True)
class _Image:
    """What an image needs to be made anew."""

    uid: int
    """ID.session_uid."""
    name: str
    file: bytes | None
    """None where it is not packed."""
    colours: str
    alpha: str
    own: dict[str, Any]
    """Its custom properties."""


@dataclass(frozen=True)
class RememberedEdit:
    """All that an entry of the list is, but for OWN."""

    values: dict[str, Any]
    images: dict[str, _Image]


def remember(entry: bpy.types.PropertyGroup) -> RememberedEdit:
    """An edit as it is now."""
    values, images = dict[str, Any](), dict[str, _Image]()
    for one in entry.bl_rna.properties:
        name = one.identifier
        if one.is_readonly or name in OWN:
            continue
        value = getattr(entry, name)
        if isinstance(value, bpy.types.Image):
            images[name] = _remembered(value)
        elif one.type != "POINTER":
            values[name] = value
    return RememberedEdit(values, images)


def write(edit: RememberedEdit, entry: bpy.types.PropertyGroup) -> None:
    """Put an edit into a group of its properties."""
    for name, value in edit.values.items():
        setattr(entry, name, value)
    for name, image in edit.images.items():
        setattr(entry, name, _found(image))


def pictures_of(entry: bpy.types.PropertyGroup) -> list[bpy.types.Image]:
    """All images that such a group points to."""
    pointers = [one.identifier for one in entry.bl_rna.properties if one.type == "POINTER"]
    found = (getattr(entry, name) for name in pointers)
    return [one for one in found if isinstance(one, bpy.types.Image)]


@contextmanager
def listed(scene: bpy.types.Scene, edit: RememberedEdit) -> Iterator[None]:
    """Have an edit in a scene's list within the block: where undo has taken it away, as the last
    one, and not for longer.
    """
    kept = scene.watch_your_steps.edits
    uid = edit.values["uid"]
    if edits.named(scene.watch_your_steps, uid) is not None:
        yield
        return
    write(edit, kept.add())
    try:
        yield
    finally:
        kept.remove([one.uid for one in kept].index(uid))


def _remembered(image: bpy.types.Image) -> _Image:
    packed = image.packed_file
    own = {
        name: value.to_list() if hasattr(value, "to_list") else value
        for name, value in image.items()
        if name != GROUP
    }
    colours, alpha = image.colorspace_settings.name, image.alpha_mode
    file = packed.data if packed is not None else None
    return _Image(image.session_uid, image.name, file, colours, alpha, own)


def _found(image: _Image) -> bpy.types.Image | None:
    """The image, made anew where it is not in the file any more and its pixels are known."""
    there: bpy.types.Image | None = with_uid(bpy.data.images, image.uid)
    if there is not None or image.file is None:
        return there
    made = pictures.new_packed_image(image.name, image.file)
    made.colorspace_settings.name, made.alpha_mode = image.colours, image.alpha
    for name, value in image.own.items():
        made[name] = value
    return made
