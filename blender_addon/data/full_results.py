"""Edits at the render's size, kept with the edits that they are of.

An edit on top of others is laid over the render below all of them at once: the picture that it ends
in holds theirs. So one full-size render serves all edits that a render is below of.
"""

from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import bpy
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..link.aside import Aside, aside
from ..link.encode import PNG_SIGNATURE, encode_png
from . import edits, pictures, render_size, taken_pictures
from .pictures import PNG_COLOUR_TYPE, PNG_RGBA
from .scene_error import SceneError

Size = tuple[int, int]
"""Height and width in pixels."""
Made = TypeVar("Made")
Making = Generator[Aside[Any], None, Made]
"""Work on the main thread in pieces, with calls for threads in between (link/aside.py)."""


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
) -> Making[bytes]:
    """The PNG file of the edit at the render's size, picture by picture: all that it takes of the
    file is read before the first one.

    Args:
        settings: of the scene.
        entry: the edit.
        full: the full-size render; None where the render that was sent is that.

    Raises:
        SceneError: a picture that it is made of is not in the file any more.
    """
    files, below = _files(settings, entry), None if full is None else _packed(full)
    if below is None:
        edit = yield from pictures.decoding(files.edit)
        return (yield from aside(partial(encode_png, edit)))
    own = yield from pictures.decoding(below)
    layer = yield from _decoding(files)

    def make() -> bytes:
        below = _with_channels(own, layer.base.shape[2])
        return encode_png(render_size.laid_over(below, layer.base, layer.edit, layer.held()))

    return (yield from aside(make))


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
    taken_pictures.tag_alike(image, entry.render)
    return image


def base_and_identity(entry: bpy.types.PropertyGroup) -> tuple[bpy.types.Image, str]:
    """The same, and the identity of it as a picture; raises SceneError, too, where its file is not
    in the .blend any more.
    """
    base = base_of(entry)
    return base, taken_pictures.identity_of(_packed(base), None)


def layering(
    settings: bpy.types.PropertyGroup, entry: bpy.types.PropertyGroup, size: Size
) -> Making[bytes]:
    """The PNG file of an edit alone, at a size, with its matte as alpha: nothing of the render is
    in it. The rest is as in `making`.
    """
    layer = yield from layer_of(settings, entry)

    def make() -> bytes:
        return encode_png(render_size.layer(layer.base, layer.edit, size, layer.held()))

    return (yield from aside(make))


def new_layer(
    scene: bpy.types.Scene, entry: bpy.types.PropertyGroup, png: bytes
) -> bpy.types.Image:
    """A new image of such a file, its colours tagged as seen through the scene's view."""
    image = pictures.new_packed_image(f"{entry.title} layer", png)
    pictures.tag_as_seen(scene, image)
    image.alpha_mode = "CHANNEL_PACKED"  # colours and matte are two things
    return image


def _shares(base: NDArray[np.uint8], edit: NDArray[np.uint8], rim: float) -> NDArray[np.float32]:
    return render_size.shares(render_size.changes(base, edit), rim)


@dataclass(frozen=True)
class _Files:
    """The PNG files that an edit is laid over a render by."""

    base: bytes
    """The render below it, as it was sent."""
    edit: bytes
    """As it came back."""
    rim: float
    layers: list[tuple[float, bytes, bytes, float]] | None
    """Opacity, base, edit and rim of each layer, where it was kept of some; those that were deleted
    are left out."""


@dataclass(frozen=True, eq=False)
class Layer:
    """An edit and the render below it, uint8 (h, w, C), as they were sent and came back."""

    base: NDArray[np.uint8]
    edit: NDArray[np.uint8]
    rim: float
    layers: list[tuple[np.float32, NDArray[np.uint8], NDArray[np.uint8], float]] | None

    def held(self) -> NDArray[np.float32]:
        """How much of the edit each pixel of it holds, (h, w) in 0..1: where it was kept of layers,
        as much as these let through nothing of the render. Any thread may call this.
        """
        if self.layers is None:
            return _shares(self.base, self.edit, self.rim)
        left = np.ones(self.base.shape[:2], np.float32)
        for opacity, base, edit, rim in self.layers:
            left *= 1 - opacity * _shares(base, edit, rim)
        # where the edit was deleted, all is taken for its
        covered = np.where(left < 1, 1 - left, 1)
        changed = render_size.changes(self.base, self.edit)
        return np.where(changed, covered, 0).astype(np.float32)


def _files(settings: bpy.types.PropertyGroup, entry: bpy.types.PropertyGroup) -> _Files:
    """Raises SceneError where one of them was deleted, unpacked or replaced."""
    base, edit = check_sent(entry)
    if not entry.layers:
        return _Files(base, edit, entry.rim, None)
    layers = []
    for uid, visible, opacity in msgspec.json.decode(
        entry.layers, type=list[tuple[str, bool, float]]
    ):
        one = edits.named(settings, uid)
        if not visible or one is None or one.image is None or one.render is None:
            continue
        layers.append((opacity, _packed(one.render), _packed(one.image), one.rim))
    return _Files(base, edit, entry.rim, layers)


def layer_of(settings: bpy.types.PropertyGroup, entry: bpy.types.PropertyGroup) -> Making[Layer]:
    """An edit decoded; the arguments and the rest are as in `making`."""
    return (yield from _decoding(_files(settings, entry)))


def _decoding(files: _Files) -> Making[Layer]:
    base = yield from pictures.decoding(files.base)
    edit = yield from pictures.decoding(files.edit)
    if files.layers is None:
        return Layer(base, edit, files.rim, None)
    layers = []
    for opacity, below, above, rim in files.layers:
        own_base = yield from pictures.decoding(below)
        own_edit = yield from pictures.decoding(above)
        layers.append((np.float32(opacity), own_base, own_edit, rim))
    return Layer(base, edit, files.rim, layers)


def check_sent(entry: bpy.types.PropertyGroup) -> tuple[bytes, bytes]:
    """The files of the render below an edit, and of the edit, as they were sent and came back.

    Raises:
        SceneError: one of them was deleted, unpacked or replaced.
    """
    if entry.image is None:
        raise SceneError(
            "The picture of this edit was deleted from the file: choose another edit in the list."
        )
    base, edit = (_packed(one) for one in (render_below(entry), entry.image))
    if pictures.png_shape(base) != pictures.png_shape(edit):
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
