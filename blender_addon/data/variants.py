"""Which of the variants stay: those that the artist picks."""

import bpy

from . import contact_sheet, copies, edits


def others(settings: bpy.types.PropertyGroup, entry: bpy.types.PropertyGroup) -> list[str]:
    """The uids of the edits that were asked for together with one, but for those with a star, and
    those that are layers.
    """
    group = contact_sheet.of_group(settings, entry.variants)
    layered = {layer.edit for layer in settings.layers}
    return [
        one.uid for one in group if one != entry and not one.favourite and one.uid not in layered
    ]


def pick(scene: bpy.types.Scene, uid: str) -> bool:
    """Choose an edit in the list, which shows it; whether it is there."""
    settings = scene.watch_your_steps
    places = [place for place, one in enumerate(settings.edits) if uid and one.uid == uid]
    if places:
        settings.edit_index = places[0]
    return bool(places)


def keep_only(scene: bpy.types.Scene) -> None:
    """Delete all that were asked for together with the chosen edit, but for itself, those with a
    star and those that are layers, and show it.
    """
    settings, kept = scene.watch_your_steps, edits.chosen(scene)
    assert kept is not None  # the operator's poll has found it
    copies.settle(scene)
    uid = kept.uid
    for gone in others(settings, kept):
        pick(scene, gone)
        edits.delete(scene)
    contact_sheet.forget(scene)
    pick(scene, uid)
