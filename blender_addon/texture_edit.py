"""An object's edited texture: put in place of the original, switched, and taken away again.

The edited texture is a new packed image: Blender's renderers show new pixels only so. The original
stays in the file, and each image knows the other.
"""

import bpy

from . import pictures
from .mesh_texture import colour_texture

SHOWN = ("ORIGINAL", "EDITED", "RELEVANCE")


def install_edited(
    original: bpy.types.Image,
    png: bytes,
    relevance_exr: bytes | None,
    instruction: str,
) -> bpy.types.Image:
    """Keep an edited texture and its relevance beside the original; the edited one.

    Args:
        original: what was edited; an earlier edit that is kept beside it stays in the file only as
            long as something else uses it.
        png: the edited texture's file, of the original's size.
        relevance_exr: the file of its relevance, or None.
        instruction: what was asked for.
    """
    edited = pictures.new_packed_image(f"{original.name} (edited)", png)
    edited.colorspace_settings.name = original.colorspace_settings.name
    edited.alpha_mode = original.alpha_mode
    mine = edited.watch_your_steps
    mine.original, mine.instruction = original, instruction
    if relevance_exr is not None:
        mine.relevance = pictures.new_packed_image(f"{original.name} relevance", relevance_exr)
    original.watch_your_steps.edited = edited
    return edited


def nodes_with(thing: bpy.types.Object, image: bpy.types.Image) -> list[bpy.types.ShaderNode]:
    """The image texture nodes of an object's materials that show `image`."""
    found = []
    for slot in thing.material_slots:
        if slot.material is not None and slot.material.node_tree is not None:
            nodes = slot.material.node_tree.nodes
            found += [node for node in nodes if node.type == "TEX_IMAGE" and node.image == image]
    return found


def texture_of(thing: bpy.types.Object | None) -> bpy.types.Image | None:
    """The last edit of the texture that an object shows, or None where there is none."""
    if thing is None or thing.type != "MESH":
        return None
    for slot in thing.material_slots:
        node = colour_texture(slot.material)
        if node is not None and (edited := last_edit_of(node.image)) is not None:
            return edited
    return None


def last_edit_of(image: bpy.types.Image) -> bpy.types.Image | None:
    """The last edit of a texture, which `image` is the original, an edit or a relevance of."""
    for other in bpy.data.images:
        if other.watch_your_steps.relevance == image:
            image = other
    while image.watch_your_steps.edited is not None:
        image = image.watch_your_steps.edited
    return image if image.watch_your_steps.original is not None else None


def _versions(edited: bpy.types.Image) -> list[bpy.types.Image]:
    """A texture's last edit, the edits before it and the original, latest first."""
    found = [edited]
    while found[-1].watch_your_steps.original is not None:
        found.append(found[-1].watch_your_steps.original)
    return found


def image_for(edited: bpy.types.Image, what: str) -> bpy.types.Image | None:
    """The image that is to be seen for one of SHOWN; None where there is no relevance."""
    if what == "RELEVANCE":
        return edited.watch_your_steps.relevance
    return edited if what == "EDITED" else _versions(edited)[-1]


def shown(thing: bpy.types.Object, edited: bpy.types.Image) -> str:
    """Which of SHOWN an object's material shows; "" where it shows something else."""
    for what in SHOWN:
        image = image_for(edited, what)
        if image is not None and nodes_with(thing, image):
            return what
    return ""


def show(thing: bpy.types.Object, edited: bpy.types.Image, what: str) -> bool:
    """Let an object's materials show one of SHOWN; whether there was a node to do it."""
    wanted = image_for(edited, what)
    if wanted is None:
        return False
    versions = _versions(edited)
    relevance = [one.watch_your_steps.relevance for one in versions]
    images = [one for one in (*versions, *relevance) if one is not None]
    nodes = [node for image in images for node in nodes_with(thing, image)]
    for node in nodes:
        node.image = wanted
    return bool(nodes)


def revert(edited: bpy.types.Image) -> None:
    """Take an edited texture out of the file; whatever showed it shows what it was made from."""
    mine = edited.watch_your_steps
    original, relevance = mine.original, mine.relevance
    for image in (edited, relevance):
        if image is not None:
            image.user_remap(original)
    if relevance is not None:
        bpy.data.images.remove(relevance)
    bpy.data.images.remove(edited)
    original.watch_your_steps.edited = None
