"""What edits of textures call materials by: a name may change, and a copy begins with all that its
original has. So a material that an edit was made for has a mark, and knows whose mark that is.
"""

import secrets

import bpy

_process = secrets.token_hex(8)
"""Session uids of Blender mean nothing in another process, whose file may be opened or appended."""


def note(edited: bpy.types.Image, materials: list[bpy.types.Material]) -> None:
    """Let an edit know the materials that it was made for, of this file."""
    mine = edited.watch_your_steps
    mine.made_for = "\n".join(one.name_full for one in materials)
    mine.made_for_marks = "\n".join(_mark(one) for one in materials if one.library is None)


def is_made_for(edited: bpy.types.Image, material: bpy.types.Material) -> bool:
    """Whether an edit was made for a material, whatever that is called by now."""
    mine = edited.watch_your_steps
    if mine.made_for_marks:
        return _known(material) in mine.made_for_marks.splitlines()
    return material.name_full in mine.made_for.splitlines()  # by a version without marks


def settle_all() -> None:
    """The file is about to be saved: copies of materials lose the marks of their originals."""
    for material in bpy.data.materials:
        mine = material.watch_your_steps
        if mine.mark and not _known(material) and material.is_editable:
            mine.mark = mine.mark_of = ""


def claim_all() -> None:
    """A file was opened: its materials are what they were when it was saved. Of those that share a
    mark, as the file was saved without this add-on, the first by name has it.
    """
    taken: set[str] = set()
    for material in bpy.data.materials:
        mine = material.watch_your_steps
        if mine.mark and material.is_editable:
            if mine.mark in taken:
                mine.mark = mine.mark_of = ""
            else:
                taken.add(mine.mark)
                mine.mark_of = _own(material)


def _own(material: bpy.types.Material) -> str:
    return f"{_process} {material.session_uid}"


def _known(material: bpy.types.Material) -> str:
    """A material's mark; "" where it has none, or that of the material that it is a copy of. One
    that was appended has its own.
    """
    mine = material.watch_your_steps
    is_copy = mine.mark_of.startswith(_process) and mine.mark_of != _own(material)
    return "" if is_copy else mine.mark


def _mark(material: bpy.types.Material) -> str:
    mine = material.watch_your_steps
    if not _known(material):
        mine.mark = secrets.token_hex(8)
    mine.mark_of = _own(material)
    return str(mine.mark)
