"""An object's edited texture: put in place of the original, switched, and taken away again.

The edited texture is a new packed image: Blender's renderers show new pixels only so. The original
and all of its edits stay in the file, and know each other. Objects that show the same texture by
materials of their own, such as duplicates, are switched and reverted one by one: an edit knows the
materials that it was made for.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import bpy
import numpy as np
from numpy.typing import NDArray

from .. import alpha_modes, pictures
from ..scene_error import SceneError
from . import live_textures, material_marks, texture_regions
from .material_images import colour_nodes, holds_data, image_nodes, tree_of
from .mesh_reading import colour_images

SHOWN = ("ORIGINAL", "EDITED", "RELEVANCE")


def install_edited(
    original: bpy.types.Image,
    texture: NDArray[np.uint8],
    relevance: NDArray[np.float32] | None,
    instruction: str,
    made_with: str = "",
    thing: bpy.types.Object | None = None,
    files: Mapping[str, bytes] | None = None,
) -> bpy.types.Image:
    """Keep an edited texture and its relevance beside the original; the edited one.

    Args:
        original: what was edited; an earlier edit of it stays in the file, too.
        texture: uint8 (T, S, 3 or 4), the edited one, of the original's size.
        relevance: float32 (T, S), or None.
        instruction: what was asked for.
        made_with: the edit's settings, in words.
        thing: whose texture it is.
        files: both encoded, as "texture" and "relevance", where they are already.

    Raises:
        SceneError: the original has other UDIM tiles by now, or they cannot be written to the disk
            for a moment.
    """
    files, shown = files or {}, None
    if relevance is not None:  # first, as an edit without it would be one by halves
        name = f"{original.name} relevance"
        shown = pictures.new_like(original, name, relevance, files.get("relevance", b""))
    name = f"{original.name} (edited)"
    try:
        edited = pictures.new_like(original, name, texture, files.get("texture", b""))
    except SceneError:
        if shown is not None:
            bpy.data.images.remove(shown)
        raise
    edited.colorspace_settings.name = original.colorspace_settings.name
    edited.alpha_mode = alpha_modes.of_pixels(original)
    edited.use_fake_user = True  # no material shows it while it shows the original
    mine = edited.watch_your_steps
    mine.root = original_of(original)  # found where what is between was deleted
    mine.original, mine.instruction, mine.made_with = original, instruction, made_with
    slots = thing.material_slots if thing is not None else ()
    material_marks.note(edited, [one.material for one in slots if one.material is not None])
    mine.date = datetime.now().isoformat(sep=" ")  # with microseconds: edits are sorted by it
    mine.relevance = shown
    original.watch_your_steps.edited = edited
    return edited


def nodes_with(
    thing: bpy.types.Object, image: bpy.types.Image, engine: str
) -> list[bpy.types.ShaderNode]:
    """The image texture nodes of an object's materials that show `image` as a colour, or at all
    where none does.
    """
    found = []
    for slot in thing.material_slots:
        colours = [one.node for one in colour_nodes(slot.material, engine) if one.image == image]
        nodes = image_nodes(tree_of(slot.material))
        found += colours or [node for node in nodes if node.image == image]
    return found


def texture_of(
    thing: bpy.types.Object | None, chosen: bpy.types.Image | None = None
) -> bpy.types.Image | None:
    """The edit of a texture that an object shows, or where it shows none the last one: of the
    chosen texture, where it has several; None where there is none.
    """
    if thing is None or thing.type != "MESH":
        return None
    edits = _sorted(one for one in bpy.data.images if is_listed(one))
    if not edits:  # panels ask at every redraw
        return None
    wanted = None if chosen is None else original_of(chosen)
    found = live_textures.mixed(thing)
    for slot in thing.material_slots:
        for image in dict.fromkeys(node.image for node in image_nodes(tree_of(slot.material))):
            edited = _edit_of(slot.material, image, edits)
            if edited is not None:
                found.append(edited)
    of_chosen = (edited for edited in found if original_of(edited) == wanted)
    return next(of_chosen, found[0] if found else None)


def _edit_of(
    material: bpy.types.Material, image: bpy.types.Image, edits: list[bpy.types.Image]
) -> bpy.types.Image | None:
    """Of all edits, the latest first, the one that an image is, or is the relevance of; else the
    last one of that original that was made for the material that shows it, as another object may
    have been given a later one; else the last one.
    """
    for one in edits:
        if image in (one, one.watch_your_steps.relevance):
            return one
    original = original_of(image)
    mine = [one for one in edits if _versions(one)[-1] == original]
    own = [one for one in mine if image == original and material_marks.is_made_for(one, material)]
    return next(iter(own or mine), None)


def is_edit(image: bpy.types.Image) -> bool:
    """Whether an image is an edit of a texture, also of one that is not there any more."""
    return below(image) is not None


def is_listed(image: bpy.types.Image) -> bool:
    """Whether an image is an edit that was not deleted. One that was only kept for others is an
    edit again where these were removed from the file, as a mesh may show it.
    """
    is_hidden = image.watch_your_steps.deleted and on_top_of(image)
    return is_edit(image) and not is_hidden


def below(edited: bpy.types.Image) -> bpy.types.Image | None:
    """What an edit was made of: the original, where that was deleted; None for no edit."""
    mine = edited.watch_your_steps
    made_of: bpy.types.Image | None = mine.original or mine.root
    return made_of


def listed_below(edited: bpy.types.Image) -> bpy.types.Image:
    """The first below an edit that was not deleted: another edit, or the original."""
    return next(one for one in _versions(edited)[1:] if is_listed(one) or not is_edit(one))


def on_top_of(image: bpy.types.Image) -> list[bpy.types.Image]:
    """The edits that were made of an image."""
    return [one for one in bpy.data.images if below(one) == image]


def depth(edited: bpy.types.Image) -> int:
    """On top of how many other edits an edit is, without those that were deleted."""
    return sum(is_listed(one) for one in _versions(edited)[1:])


def edits_of(image: bpy.types.Image) -> list[bpy.types.Image]:
    """All edits that a texture, of which `image` is a version, has, the latest first."""
    return [one for one in _all_edits_of(image) if is_listed(one)]


def _all_edits_of(image: bpy.types.Image) -> list[bpy.types.Image]:
    """The same, with those that were deleted, and are only kept as others are made of them."""
    original = original_of(image)
    edits = (one for one in bpy.data.images if is_edit(one))
    return _sorted(one for one in edits if _versions(one)[-1] == original)


def _sorted(edits: Iterable[bpy.types.Image]) -> list[bpy.types.Image]:
    """The latest first."""
    return sorted(edits, key=lambda one: one.watch_your_steps.date, reverse=True)


def to_paint(
    thing: bpy.types.Object, chosen: bpy.types.Image | None, engine: str
) -> tuple[list[bpy.types.Image], bpy.types.Image | None]:
    """The images of an object that can be painted, the main one first, and which of them will be:
    the version that is shown of the chosen one, else the main one. None where there is none.
    """
    images = colour_images(thing, engine)
    wanted = None if chosen is None else original_of(chosen)
    shown = (image for image in images if original_of(image) == wanted)
    return images, next(shown, images[0] if images else None)


def shows_relevance(thing: bpy.types.Object, engine: str) -> bool:
    """Whether a relevance is to be seen on an object, in place of its texture."""
    maps = {image.watch_your_steps.relevance for image in bpy.data.images} - {None}
    nodes = (one for slot in thing.material_slots for one in colour_nodes(slot.material, engine))
    return any(one.image in maps for one in nodes)


def check_lasts(thing: bpy.types.Object, image: bpy.types.Image, engine: str) -> None:
    """Refuse an object whose material could show an edited texture only until the file is closed.

    Raises:
        SceneError: something between the object and the texture's node is linked from another
            file, or no material slot leads there.
    """
    shows = False
    for slot in thing.material_slots:
        for one in colour_nodes(slot.material, engine):
            if one.image != image:
                continue
            shows = True
            data = [thing.data] if slot.link == "DATA" else []
            for block in (thing, *data, slot.material):
                if block.library is not None:
                    raise SceneError(
                        f'"{block.name}" is linked from {_file_of(block)}, where an edit of "'
                        f'{image.name}" cannot be saved: make it local (Object > Relations > Make '
                        "Local > Selected Objects, Data and Materials), and edit it then."
                    )
            for block in (slot.material, *(group.node_tree for group in one.groups)):
                if block.override_library is not None:
                    raise SceneError(
                        f'"{block.name}" is a library override, whose nodes Blender does not save: '
                        "make it local (in the Outliner's Blender File view, right-click > ID Data "
                        "> Make Local), and edit it then."
                    )
            for group in one.groups:
                if group.node_tree.library is not None:
                    raise SceneError(
                        f'The node group "{group.node_tree.name}" is linked from '
                        f'{_file_of(group.node_tree)}, where an edit of "{image.name}" cannot be '
                        "saved: make it local (in the Outliner's Blender File view, right-click > "
                        "ID Data > Make Local), and edit it then."
                    )
    if not shows:
        raise SceneError(
            f'No material slot of "{thing.name}" shows "{image.name}", as geometry nodes set its '
            "material: put the material into a slot, too."
        )


def _file_of(block: bpy.types.ID) -> str:
    """Name of the file that a linked data-block comes from."""
    return bpy.path.basename(block.library.filepath)


def original_of(image: bpy.types.Image) -> bpy.types.Image:
    """What an edit or a relevance goes back to; any other image is its own original."""
    if not is_edit(image) and holds_data(image):  # it may be a relevance
        made = (one for one in bpy.data.images if one.watch_your_steps.relevance == image)
        image = next(made, image)
    return _versions(image)[-1]


def _versions(edited: bpy.types.Image) -> list[bpy.types.Image]:
    """An edit, the edits below it and the original."""
    found = [edited]
    while (made_of := below(found[-1])) is not None:
        found.append(made_of)
    return found


def image_for(edited: bpy.types.Image, what: str) -> bpy.types.Image | None:
    """The image that is to be seen for one of SHOWN; None where there is no relevance."""
    if what == "RELEVANCE":
        return edited.watch_your_steps.relevance
    return edited if what == "EDITED" else _versions(edited)[-1]


def shown(thing: bpy.types.Object, edited: bpy.types.Image, engine: str) -> str:
    """Which of SHOWN an object's material shows; "" where it shows something else."""
    texture = original_of(edited)
    mixed = [one for one in live_textures.mixed(thing) if original_of(one) == texture]
    if mixed or live_textures.is_previewed(thing):
        return "EDITED" if edited in mixed else ""
    for what in SHOWN:
        image = image_for(edited, what)
        if image is not None and nodes_with(thing, image, engine):
            return what
    return ""


def show(thing: bpy.types.Object, edited: bpy.types.Image, what: str, engine: str) -> bool:
    """Let an object's materials show one of SHOWN; whether there was a node to do it."""
    wanted = image_for(edited, what)
    if wanted is None:
        return False
    versions = [original_of(edited), *_all_edits_of(edited)]
    relevance = [one.watch_your_steps.relevance for one in versions]
    images = [one for one in (*versions, *relevance) if one is not None]
    is_shown = _put(thing, images, wanted, engine)
    if what == "EDITED":
        live_textures.refresh(edited.watch_your_steps.region)
    return is_shown


def show_itself(thing: bpy.types.Object, image: bpy.types.Image, engine: str) -> None:
    """Let an object's materials show a version of a texture, whatever its threshold."""
    _put(thing, [original_of(image), *_all_edits_of(image)], image, engine)


def _put(
    thing: bpy.types.Object, images: list[bpy.types.Image], wanted: bpy.types.Image, engine: str
) -> bool:
    """Show one image where any of others is shown; whether there was a node to do it."""
    live_textures.take_off(thing, images)
    nodes = [node for image in images for node in nodes_with(thing, image, engine)]
    for node in nodes:
        node.image = wanted
    return bool(nodes)


def revert(thing: bpy.types.Object, edited: bpy.types.Image) -> bool:
    """Let an object's materials show what an edited texture was made from, and take the edit out of
    the file, unless materials of other objects show it or it was made for them. Of an edit that
    others are on top of the picture stays, for them. Whether the edit is gone.
    """
    mine = edited.watch_your_steps
    made_of, relevance = listed_below(edited), mine.relevance
    images = [image for image in (edited, relevance) if image is not None]
    materials = [slot.material for slot in thing.material_slots if slot.material is not None]
    if any(node.image in images for one in materials for node in image_nodes(tree_of(one))):
        live_textures.take_off(thing, _all_edits_of(edited))
    others = [material for material in bpy.data.materials if material not in materials]
    is_needed = any(_needs(material, edited, images) for material in others)
    if is_needed or on_top_of(edited):
        for material in materials:
            for node in image_nodes(tree_of(material)):
                if node.image in images:
                    node.image = made_of
        mine.deleted = not is_needed
        return not is_needed
    _remove(edited, made_of)
    return True


def _remove(edited: bpy.types.Image, made_of: bpy.types.Image) -> None:
    """Take an edit out of the file, and with it what was only kept for it; whatever shows it shows
    `made_of`.
    """
    mine = edited.watch_your_steps
    images = [image for image in (edited, mine.relevance) if image is not None]
    kept = below(edited)
    # First: a pointer that is remapped to the very image that has it crashes Blender 5.0.
    for one in _versions(edited)[1:]:
        if one.watch_your_steps.edited == edited:
            one.watch_your_steps.edited = None
    for region in (mine.preview, mine.sent, mine.region):
        texture_regions.clear(region)
    mine.original = mine.relevance = mine.root = None
    for image in images:
        image.user_remap(made_of)
    for image in reversed(images):
        bpy.data.images.remove(image)
    if kept is not None and kept != made_of and not on_top_of(kept):
        _remove(kept, made_of)


def _needs(
    material: bpy.types.Material, edited: bpy.types.Image, images: list[bpy.types.Image]
) -> bool:
    """Whether a material shows one of these images, or goes back to the edit."""
    nodes = list(image_nodes(tree_of(material)))
    if any(node.image in images for node in nodes):
        return True
    of_texture = any(node.image == original_of(edited) for node in nodes)
    return of_texture and material_marks.is_made_for(edited, material)
