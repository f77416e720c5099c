"""Edits that are made again, with another seed."""

import dataclasses
import itertools

import bpy

from ..protocol.messages import Welcome
from ..protocol.requests import EditResult
from ..protocol.settings import EditSettings, PictureMapSettings, RegionSettings
from . import copies, edit_masks, edits, painting
from .edits import Asked
from .properties_settings import asked

NEW_WITH_EACH = {"uid", "image", "mask", "full", "favourite", "date", "model", "notes"}
"""What an edit that is made again does not take from the first one."""


def asked_with(entry: bpy.types.PropertyGroup, seed: int) -> Asked:
    """What an edit was made with, with another seed."""
    settings = dataclasses.replace(asked(EditSettings, entry), seed=seed)
    return Asked(
        maps=asked(PictureMapSettings, entry),
        settings=settings,
        region=asked(RegionSettings, entry),
        threshold=entry.threshold,
        picks=entry.picks,
        painted=painting.write(entry.painted),
        grow=entry.grow,
        invert=entry.invert,
    )


def next_seed(
    settings: bpy.types.PropertyGroup, entry: bpy.types.PropertyGroup, to_come: set[int]
) -> int:
    """The first seed after an edit's own that no edit of the same picture has with its
    instruction, and none of those `to_come`.
    """
    of = (entry.picture, entry.instruction)
    used = {one.seed for one in settings.edits if (one.picture, one.instruction) == of} | to_come
    most = entry.bl_rna.properties["seed"].hard_max
    seeds = (seed % (most + 1) for seed in itertools.count(entry.seed + 1))
    return next(seed for seed in seeds if seed not in used)


def keep(
    scene: bpy.types.Scene,
    uid: str,
    instruction: str,
    result: EditResult,
    png: bytes,
    noted: str,
    server: Welcome | None,
) -> None:
    """Keep what an edit has become that was made again, and show it. Renders and maps that the
    scene shows stay as they are.

    Args:
        scene: in whose list the edit is.
        uid: of the edit that was made again.
        instruction: its own.
        result: what the backend has made.
        png: the file of its picture.
        noted: what it was asked to be made with, as JSON of `edits.Asked`.
        server: what the backend says of itself.
    """
    settings = scene.watch_your_steps
    copies.settle(scene)
    edits.adopt(scene)
    entry = edits.new_entry(settings, instruction)
    source = edits.named(settings, uid)  # only now: the list's entries have moved
    assert source is not None  # the job's kind has looked
    for one in entry.bl_rna.properties:
        if not one.is_readonly and one.identifier not in NEW_WITH_EACH:
            setattr(entry, one.identifier, getattr(source, one.identifier))
    entry.image = edits.new_picture(scene, source.render, result.image, png)
    if source.render is not None:  # it was not deleted meanwhile
        entry.image.colorspace_settings.name = source.render.colorspace_settings.name
    entry.mask = edit_masks.new_image(f"{scene.name} edit mask", result.mask)
    edits.note(entry, result, noted, server)
    settings.edit_index = 0  # shows it
