"""Edits that are made again of the full-size render, for the detail that a small one has not."""

import dataclasses

import bpy
import msgspec

from ..protocol.messages import Welcome
from ..protocol.requests import EditResult
from ..protocol.values import Detail
from . import copies, edit_masks, edits, edits_again, full_results
from .edits import Asked

DETAIL: Detail = "sharp"
"""What of the picture the model is shown: a part, so that there is more detail than before."""
LARGEST_RIM = 256.0
NOT_TAKEN = edits_again.NEW_WITH_EACH | {"render", "root", "relevance", "picture", "full_render"}
"""What such an edit does not take from the small one: all that has the size of that."""


def asked_at(entry: bpy.types.PropertyGroup, scale: float) -> Asked:
    """What an edit was made with, for a picture so many times larger."""
    asked = edits_again.asked_with(entry, entry.seed)
    detail: Detail = "tiles" if asked.settings.detail == "tiles" else DETAIL
    rim = min(LARGEST_RIM, asked.settings.rim * scale)
    settings = dataclasses.replace(asked.settings, detail=detail, rim=rim)
    return msgspec.structs.replace(asked, settings=settings)


def keep(
    scene: bpy.types.Scene,
    uid: str,
    instruction: str,
    result: EditResult,
    png: bytes,
    noted: str,
    server: Welcome | None,
) -> None:
    """Keep what an edit has become that was made again at full size, and show it; the arguments
    are those of `edits_again.keep`.
    """
    settings = scene.watch_your_steps
    copies.settle(scene)
    edits.adopt(scene)
    source = edits.named(settings, uid)
    assert source is not None  # the job's kind has looked
    base, picture = full_results.base_and_identity(source)
    entry = edits.new_entry(settings, instruction)
    source = edits.named(settings, uid)  # again: the list's entries have moved
    assert source is not None
    for one in entry.bl_rna.properties:
        if not one.is_readonly and one.identifier not in NOT_TAKEN:
            setattr(entry, one.identifier, getattr(source, one.identifier))
    entry.render, entry.picture = base, picture
    entry.root = source.full_render if source.root is not None else None
    entry.image = edits.new_picture(scene, entry.render, result.image, png)
    entry.image.colorspace_settings.name = entry.render.colorspace_settings.name
    entry.mask = edit_masks.new_image(f"{scene.name} edit mask", result.mask)
    entry.made_of = source.made_of or source.uid
    edits.note(entry, result, noted, server)
    settings.edit_index = 0  # shows it
