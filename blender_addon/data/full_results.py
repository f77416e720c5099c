"""Edits at the render's size, kept with the edits that they are of.

An edit on top of others is laid over the render below all of them at once: the picture that it ends
in holds theirs. So one full-size render serves all edits that a render is below of.
"""

from collections.abc import Callable
from functools import partial

import bpy
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..link.encode import PNG_SIGNATURE, encode_png
from . import edits, pictures, render_size, results
from .pictures import PNG_COLOUR_TYPE, PNG_RGBA
from .scene_error import SceneError

Size = tuple[int, int]
"""Height and width in pixels."""


def render_below(entry: bpy.types.PropertyGroup) -> bpy.types.Image:
    """The render, as it was sent, that an edit and all those that it is on top of are of.

    Raises:
        SceneError: it was deleted from the file.
    """
    image = entry.root if entry.root is not None else entry.render
    if image is None:
        raise SceneError(
            "The render that this edit was made of was deleted from the file: edit a new preview."
        )
    return image


def full_render(
    settings: bpy.types.PropertyGroup, entry: bpy.types.PropertyGroup
) -> bpy.types.Image | None:
    """The full-size render that an edit belongs to, where it was made for that edit or another one
    of the same render.
    """
    below = render_below(entry)
    for one in (entry, *settings.edits):
        found: bpy.types.Image | None = one.full_render
        if found is not None and found.packed_file is not None and below in (one.root, one.render):
            return found
    return None


def result_of(entry: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    """The edit at the render's size, where it was made and is as it was made."""
    image: bpy.types.Image | None = entry.full
    return image if image is not None and image.packed_file is not None else None


def making(
    settings: bpy.types.PropertyGroup,
    entry: bpy.types.PropertyGroup,
    full: bpy.types.Image | None,
) -> Callable[[], bytes]:
    """What makes the PNG file of the edit at the render's size, in any thread: all that it takes of
    Blender has been read.

    Args:
        settings: of the scene.
        entry: the edit.
        full: the full-size render; None where the render that was sent is that.

    Raises:
        SceneError: a picture that it is made of is not in the file any more.
    """
    base, edit = sent(entry)
    if full is None:
        return partial(encode_png, edit)
    own, held = pictures.decode_png(_packed(full)), holding(settings, entry, base, edit)

    def make() -> bytes:
        below = _with_channels(own, base.shape[2])
        return encode_png(render_size.laid_over(below, base, edit, held()))

    return make


def keep(entry: bpy.types.PropertyGroup, png: bytes) -> bpy.types.Image:
    """Keep an edit at the render's size with the edit; returns its image."""
    replaced = entry.full
    image = pictures.new_packed_image(f"{entry.title} full size", png)
    entry.full = image
    if replaced is not None and replaced.users == 0:
        bpy.data.images.remove(replaced)
    return image


def base_of(entry: bpy.types.PropertyGroup) -> bpy.types.Image:
    """What an edit was made of, at full size: the full-size render that is kept with it; for an
    edit on top of others a new image, of that with those laid over it.

    Raises:
        SceneError: a picture that it is made of is not in the file any more.
    """
    full: bpy.types.Image | None = entry.full_render
    if full is None:
        raise SceneError("The full-size render of this edit was deleted: press the button again.")
    if entry.root is None:
        return full
    base, edit = (pictures.decode_png(_packed(one)) for one in (entry.root, entry.render))
    own = _with_channels(pictures.decode_png(_packed(full)), base.shape[2])
    png = encode_png(render_size.laid_over(own, base, edit, _shares(base, edit, entry.rim)))
    image = pictures.new_packed_image(f"{entry.title} full base", png)
    results.tag_alike(image, entry.render)
    return image


def layer(scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, size: Size) -> bpy.types.Image:
    """A new image of the edit alone, at a size, with its matte as alpha: nothing of the render is
    in it. Its colours are tagged as seen through the scene's view.

    Raises:
        SceneError: a picture that it is made of is not in the file any more.
    """
    base, edit = sent(entry)
    png = encode_png(
        render_size.layer(base, edit, size, holding(scene.watch_your_steps, entry, base, edit)())
    )
    image = pictures.new_packed_image(f"{entry.title} layer", png)
    pictures.tag_as_seen(scene, image)
    image.alpha_mode = "CHANNEL_PACKED"  # colours and matte are two things
    return image


def _shares(base: NDArray[np.uint8], edit: NDArray[np.uint8], rim: float) -> NDArray[np.float32]:
    return render_size.shares(render_size.changes(base, edit), rim)


def holding(
    settings: bpy.types.PropertyGroup,
    entry: bpy.types.PropertyGroup,
    base: NDArray[np.uint8],
    edit: NDArray[np.uint8],
) -> Callable[[], NDArray[np.float32]]:
    """What finds, in any thread, how much of an edit each pixel of it holds, (h, w) in 0..1: where
    it was kept of layers, as much as these let through nothing of the render.
    """
    if not entry.layers:
        return partial(_shares, base, edit, entry.rim)
    parts = []
    for uid, visible, opacity in msgspec.json.decode(
        entry.layers, type=list[tuple[str, bool, float]]
    ):
        one = edits.named(settings, uid)
        if not visible or one is None or one.image is None or one.render is None:
            continue
        own_base, own_edit = (pictures.decode_png(_packed(it)) for it in (one.render, one.image))
        parts.append((np.float32(opacity), own_base, own_edit, one.rim))

    def find() -> NDArray[np.float32]:
        left = np.ones(base.shape[:2], np.float32)
        for opacity, own_base, own_edit, rim in parts:
            left *= 1 - opacity * _shares(own_base, own_edit, rim)
        changed = render_size.changes(base, edit)
        covered = np.where(
            left < 1, 1 - left, 1
        )  # where the edit was deleted, all is taken for its
        return np.where(changed, covered, 0).astype(np.float32)

    return find


def sent(entry: bpy.types.PropertyGroup) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The render below an edit, and the edit, both uint8 (h, w, C) as they were sent and came back.

    Raises:
        SceneError: one of them was deleted, unpacked or replaced.
    """
    if entry.image is None:
        raise SceneError(
            "The picture of this edit was deleted from the file: choose another edit in the list."
        )
    base, edit = (pictures.decode_png(_packed(one)) for one in (render_below(entry), entry.image))
    if base.shape != edit.shape:
        raise SceneError(
            f'The image "{entry.image.name}" is not as large as the render that it is of: choose '
            "another edit in the list."
        )
    return base, edit


def has_alpha(image: bpy.types.Image) -> bool:
    """Whether a packed PNG has alpha; False where it is no longer packed."""
    file = image.packed_file
    return file is not None and file.data[PNG_COLOUR_TYPE] == PNG_RGBA


def _with_channels(picture: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """With alpha or without it: it is left out of a picture that is opaque all over."""
    if picture.shape[2] < count:
        return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    return picture[..., :count]


def _packed(image: bpy.types.Image) -> bytes:
    if image.packed_file is None:
        raise SceneError(
            f'The image "{image.name}" is no longer packed: pack it (File > External Data).'
        )
    data: bytes = image.packed_file.data
    if not data.startswith(PNG_SIGNATURE):
        raise SceneError(
            f'The image "{image.name}" is no longer what was kept: choose another edit in the list.'
        )
    return data
