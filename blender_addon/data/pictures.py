"""Pictures between numpy arrays, packed Image data-blocks and their file bytes.

Arrays have row 0 at the top, Blender's pixels have it at the bottom. A new picture reaches Blender
as the bytes of a PNG or OpenEXR file: the worker thread can make those, and packing them costs the
main thread less than a millisecond, where writing pixels and letting Blender compress them costs
about 40 ms for 1024x1024. It also means that a picture lies in the .blend file, in every undo
step and in every automatic save from the moment when it appears.
"""

from collections import OrderedDict
from collections.abc import Generator
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from ..link import decode
from ..link.aside import Aside, aside, breath
from ..link.encode import PNG_SIGNATURE, encode
from . import tiles
from .scene_error import SceneError

CACHED_ARRAYS = 12
COLOUR_SPACES = {
    "AgX": "AgX Base sRGB",
    "Filmic": "Filmic sRGB",
    "Khronos PBR Neutral": "Khronos PBR Neutral sRGB",
    "ACES 1.3": "ACES 1.3 sRGB",
    "ACES 2.0": "ACES 2.0 sRGB",
}
"""What renders are seen through, and the colour space that takes it out of them again."""
GREY = 0.5
"""What is seen behind transparent pixels, also by the model."""
EDIT = "watch_your_steps_edit"
"""Custom property of a picture's Image data-block: the uid of the edit whose picture it is, where
it is no render. Of a relevance map: the edit in whose picture it was found, "" for a render; a map
from before that was kept has none."""
PNG_COLOUR_TYPE, PNG_RGBA = 25, 6
"""Where a PNG file's colour type stands, and its value for colours with alpha."""
PNG_WIDTH, PNG_HEIGHT = slice(16, 20), slice(20, 24)
"""Where its size stands."""
BLACK_AND_WHITE = np.array([[0, 0, 0, 1], [1, 1, 1, 1]], np.float32).view(np.complex128)[:, 0]
"""RGBA of the two values of a mask; 16 bytes make one pixel, whatever numpy calls them."""

_arrays: OrderedDict[int, NDArray[np.generic]] = OrderedDict()
"""The pixels of recently used images by ID.session_uid. The add-on never rewrites an image's pixels
(a new picture is a new data-block), so that an entry is not out of date after an undo either, but
where an artist has painted on the image or scaled it."""

_mask_pixels = np.empty((0, 0), np.complex128)


def new_packed_image(
    name: str, file: bytes, pixels: NDArray[np.generic] | None = None
) -> bpy.types.Image:
    """A new Image data-block that holds `file` (PNG of a picture, OpenEXR of data) packed.

    `pixels` are the same picture as uint8 (H, W, 3) sRGB or float32 (H, W), where they are known,
    so that nobody has to decode it again.
    """
    image = bpy.data.images.new(name, 1, 1)
    image.pack(data=file, data_len=len(file))
    image.source = "FILE"  # from now on its pixels are those of the packed file
    image.colorspace_settings.name = "sRGB" if file.startswith(PNG_SIGNATURE) else "Non-Color"
    if pixels is not None:
        _remember(image, pixels)
    return image


def new_like(
    like: bpy.types.Image,
    name: str,
    values: NDArray[np.uint8] | NDArray[np.float32],
    file: bytes = b"",
) -> bpy.types.Image:
    """A new packed image that is laid out as another one: with UDIM tiles where that has some.

    Args:
        like: the other one.
        name: its name.
        values: colours, uint8 (H, W, 3 or 4), or data, float32 (H, W): where there are tiles, of
            their atlas.
        file: the same, encoded, where it is already.

    Raises:
        SceneError: the other one has other tiles by now.
    """
    is_data = values.dtype == np.float32
    if tiles.is_tiled(like):
        image = tiles.new_image(name, like, values)
        if is_data:
            _remember(image, values)
        return image
    return new_packed_image(name, file or encode(values), values if is_data else None)


def tag_as_seen(scene: bpy.types.Scene, image: bpy.types.Image) -> None:
    """Tag an image whose pixels are after the scene's view transform with the colour space that
    takes it out of them again, so that to composite the image, or to save it as a render, leaves
    them as they are, as far as the transform has a way back: the brightest colours of Khronos PBR
    Neutral have none. The scene's exposure, gamma and look are not in a colour space.
    """
    wanted = COLOUR_SPACES.get(scene.view_settings.view_transform, "sRGB")
    known = image.colorspace_settings.bl_rna.properties["name"].enum_items
    image.colorspace_settings.name = wanted if wanted in known else "sRGB"


def write_mask(image: bpy.types.Image, mask: NDArray[np.bool_]) -> None:
    """Write a bool (H, W) mask into an 8-bit image of the same size as black and white.

    Every step of the threshold's slider does this: hence whole pixels are copied, as 16 bytes each,
    into memory that is kept from one step to the next.
    """
    global _mask_pixels
    if _mask_pixels.shape != mask.shape:
        _mask_pixels = np.empty(mask.shape, np.complex128)
    np.take(BLACK_AND_WHITE, mask[::-1].view(np.uint8), out=_mask_pixels, mode="clip")
    image.pixels.foreach_set(_mask_pixels.view(np.float32).reshape(-1))
    image.update()


def read_rgb(image: bpy.types.Image) -> NDArray[np.uint8]:
    """The pixels of an 8-bit image as uint8 (H, W, 3), over grey where it is transparent.

    Raises:
        SceneError: the image has no pixels, for example because its file is missing.
    """
    cached = _kept(image)
    if cached is not None and cached.ndim == 3:
        return cached  # type: ignore[return-value]  # ndim 3 is always uint8 here
    rgb = _over_grey(channels(image))
    _remember(image, rgb)
    return rgb


def _over_grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What is seen of colours (H, W, C) in 0..1, which are overwritten."""
    if values.shape[2] == 4 and (values[..., 3] < 1).any():
        values[..., :3] += (1 - values[..., 3:]) * (GREY - values[..., :3])
    values *= 255.0
    values += 0.5
    return np.ascontiguousarray(values.astype(np.uint8)[..., :3])


def as_seen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What `read_rgb` makes of an image with pixels (H, W, 3 or 4). Any thread may call this."""
    if pixels.shape[2] == 3:
        return pixels
    return _over_grey(pixels * np.float32(1 / 255))  # as Blender has it


def loading(image: bpy.types.Image) -> Generator[Aside[Any], None, None]:
    """What takes most of the time of `read_rgb`, by a thread, or where only Blender can decode the
    image's file in a tick of its own.
    """
    if _kept(image) is not None or image.has_data:
        return
    file = image.packed_file
    if file is not None and file.data.startswith(PNG_SIGNATURE) and not tiles.is_tiled(image):
        uid, png = image.session_uid, file.data

        def find() -> NDArray[np.uint8] | None:
            pixels = decode.decode_png(png)
            return None if pixels is None else as_seen(pixels)

        rgb = yield from aside(find)
        if rgb is not None:
            _remember_as(uid, rgb)
            return
    if len(image.pixels):  # this decodes it
        yield from breath()


def size_of(image: bpy.types.Image) -> tuple[int, int]:
    """Height and width in pixels; of UDIM tiles, of their atlas.

    Raises:
        SceneError: as `tiles.atlas_of`.
    """
    if tiles.is_tiled(image):
        return tiles.atlas_of(image).shape
    width, height = image.size
    return height, width


def png_size(png: bytes) -> tuple[int, int]:
    """Height and width in pixels that a PNG file says."""
    return int.from_bytes(png[PNG_HEIGHT], "big"), int.from_bytes(png[PNG_WIDTH], "big")


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) of the bytes of a PNG file, or (H, W, 4) with alpha and straight colours."""
    pixels = decode.decode_png(png)
    return _in_bytes(_decoded(png), png_shape(png)[2]) if pixels is None else pixels


def decoding(png: bytes) -> Generator[Aside[Any], None, NDArray[np.uint8]]:
    """The same by a thread; of a file that only Blender decodes, such as a render that an earlier
    version has kept, a tick of its own does most of it.
    """
    pixels = yield from aside(lambda: decode.decode_png(png))
    if pixels is not None:
        return pixels
    yield from breath()
    values = _decoded(png)
    return (yield from aside(lambda: _in_bytes(values, png_shape(png)[2])))


def _decoded(png: bytes) -> NDArray[np.float32]:
    """float32 (H, W, 4), 0..1, of the bytes of a PNG file, straight colours."""
    image = new_packed_image("watch your steps", png)
    try:
        image.alpha_mode = "CHANNEL_PACKED"  # colours where nothing is to be seen are kept
        return channels(image)
    finally:
        bpy.data.images.remove(image)


def _in_bytes(values: NDArray[np.float32], count: int) -> NDArray[np.uint8]:
    """The first channels of such values, which are overwritten, in 0..255."""
    values *= 255
    np.rint(values, out=values)  # all four channels in a row: strided ones take thrice the time
    return np.ascontiguousarray(values.astype(np.uint8)[..., :count])


def png_shape(png: bytes) -> tuple[int, int, int]:
    """Of what `decode_png` makes of a PNG file."""
    return (*png_size(png), 4 if png[PNG_COLOUR_TYPE] == PNG_RGBA else 3)


def decoding_as_seen(png: bytes) -> Generator[Aside[Any], None, NDArray[np.uint8]]:
    """uint8 (H, W, 3) of the bytes of a PNG file, over grey where it is transparent; how, is as in
    `decoding`.
    """
    pixels = yield from decoding(png)
    return (yield from aside(lambda: as_seen(pixels)))


def with_alpha_of(render: bytes, edited: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """An edit of a transparent render with the render's alpha: uint8 (H, W, 4), straight colours.

    Args:
        render: the PNG file of the render.
        edited: (H, W, 3), of what `read_rgb` makes of it.

    Returns:
        What lies over grey as the edit has it; where nothing was edited, and where nothing is seen,
        the render's own bytes. None where the render is not transparent.
    """
    if render[PNG_COLOUR_TYPE] != PNG_RGBA:
        return None
    own = decode_png(render)
    alpha = own[..., 3:] / np.float32(255)
    behind = (1 - alpha) * np.float32(255 * GREY)
    sent = np.floor(own[..., :3] * alpha + behind + np.float32(0.5))
    changed = (np.abs(edited - sent) > 1).any(axis=2, keepdims=True) & (alpha > 0)
    colours = np.clip(np.rint((edited - behind) / np.maximum(alpha, 1 / 255)), 0, 255)
    rgb = np.where(changed, colours.astype(np.uint8), own[..., :3])
    return np.concatenate([rgb, own[..., 3:]], axis=2)


def read_gray(image: bpy.types.Image) -> NDArray[np.float32]:
    """The first channel of an image as float32 (H, W): a relevance map, or a mask of 0 and 1.

    Raises:
        SceneError: the image has no pixels, for example because its file is missing.
    """
    cached = _kept(image)
    if cached is not None and cached.ndim == 2:
        return cached  # type: ignore[return-value]  # ndim 2 is always float32 here
    gray = np.ascontiguousarray(channels(image)[..., 0])
    if image.is_float:  # masks, which are rewritten, are 8-bit images
        _remember(image, gray)
    return gray


def forget_all() -> None:
    """Drop the kept pixels: another file was opened."""
    global _mask_pixels
    _arrays.clear()
    _mask_pixels = np.empty((0, 0), np.complex128)


def _kept(image: bpy.types.Image) -> NDArray[np.generic] | None:
    """The pixels of an image where they are known, and nobody has painted on it or scaled it."""
    if image.is_dirty:
        _arrays.pop(image.session_uid, None)
    return _arrays.get(image.session_uid)


def _remember(image: bpy.types.Image, pixels: NDArray[np.generic]) -> None:
    _remember_as(image.session_uid, pixels)


def _remember_as(uid: int, pixels: NDArray[np.generic]) -> None:
    pixels.setflags(write=False)
    _arrays[uid] = pixels
    while len(_arrays) > CACHED_ARRAYS:
        _arrays.popitem(last=False)


def why_lost(image: bpy.types.Image) -> str:
    """Why an image cannot be read, without a full stop; "" where it can. It may have been unpacked,
    and its file deleted.
    """
    if _kept(image) is not None or image.has_data or len(image.pixels):
        return ""
    return f'The image "{image.name}" has no pixels: its file is missing'


def channels(image: bpy.types.Image) -> NDArray[np.float32]:
    """float32 (H, W, channels), row 0 at the top; of UDIM tiles their atlas.

    Raises:
        SceneError: the image has no pixels, for example because its file is missing.
    """
    if tiles.is_tiled(image):
        found = tiles.read(image)
        whole = np.float32(255 if found.dtype == np.uint8 else 1)
        return (found / whole).astype(np.float32, copy=False)
    width, height = image.size
    if lost := why_lost(image):
        raise SceneError(f"{lost}.")
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(height, width, -1)[::-1]
